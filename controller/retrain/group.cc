#include "retrain/group.h"

#include <algorithm>
#include <tuple>

#include "api/names.h"
#include "base/text.h"
#include "retrain/run.h"

namespace perennial::retrain {
namespace {

using api::RunPhase;

// By status alone, which has seconds: the same order for all who look.
auto OrderOf(const api::Run& run) {
  return std::tuple(run.enqueued ? run.enqueued->value : run.started.value, JobName(run));
}

bool CanShare(const api::RetrainPolicy& peer, const Observed& seen) {
  return !peer.meta.deleting && !peer.spec.suspend && SameTraining(peer.spec, seen.policy->spec);
}

// About what the training is told of a member. Linux starts no program with a variable of 128 KiB.
constexpr std::size_t kMostBytes = 90'000;
std::size_t BytesOf(const Peer& peer, const api::Run& run) {
  const std::size_t fixed = 256;
  const std::size_t parent =
      peer.parent == nullptr ? 0 : peer.parent->spec.model.uri.size() + 71 + run.parent.size();
  return fixed + peer.policy->spec.model_deployment.size() + run.name.size() + run.trigger.size() +
         parent;
}

// It waits, for its group or its turn, and follows nobody: others can follow it.
bool IsOpen(const api::Run& run) {
  return run.phase == RunPhase::kWaiting && run.follows.empty() && !run.held_until;
}

struct Leader {
  const api::RetrainPolicy* policy = nullptr;
  const api::Run* run = nullptr;
};

std::optional<Leader> FindLeader(const Observed& seen, const std::string& job) {
  for (const Peer& peer : seen.group) {
    const api::Run* run = UnfinishedRun(*peer.policy);
    if (run != nullptr && JobName(*run) == job && CanShare(*peer.policy, seen)) {
      return Leader{peer.policy.get(), run};
    }
  }
  return std::nullopt;
}

std::optional<Leader> FirstBefore(const Observed& seen, const api::Run& run) {
  std::optional<Leader> first;
  auto order = OrderOf(run);
  for (const Peer& peer : seen.group) {
    const api::Run* other = UnfinishedRun(*peer.policy);
    if (other == nullptr || !IsOpen(*other) || !CanShare(*peer.policy, seen)) continue;
    if (auto its = OrderOf(*other); its < order) {
      order = std::move(its);
      first = Leader{peer.policy.get(), other};
    }
  }
  return first;
}

// How long one that has its turn is waited for. A later attempt began long ago, and has its run's
// deadline.
std::optional<WallTime> LeadsUntil(const api::Run& leader) {
  if (leader.attempt > 0) return std::nullopt;
  return leader.started.value + kLongestJoin;
}

Place Follow(const Leader& leader, const std::string& group) {
  Place place;
  place.follows = JobName(*leader.run);
  place.message = "waits for run " + leader.run->name + " of RetrainPolicy " +
                  leader.policy->meta.key.name + ", which trains for group " + group;
  if (!IsOpen(*leader.run)) place.look_again = LeadsUntil(*leader.run);
  return place;
}

// A leader is left when its Job is there without this run, or does not come.
bool StillLeads(const Leader& leader, WallTime now) {
  if (IsOpen(*leader.run)) return true;
  if (leader.run->phase != RunPhase::kPending || !leader.run->follows.empty()) return false;
  const auto until = LeadsUntil(*leader.run);
  return !until || now < *until;
}

Place Gather(const Observed& seen, WallTime until, WallTime now) {
  Place place;
  place.gather_until = until;
  place.look_again = std::min(until, now + kLookAgain);
  const std::string& group = seen.policy->spec.group->name;
  place.message = "waits for others of group " + group + " until " + FormatTime(until);
  for (const Peer& peer : seen.group) {
    if (SameTraining(peer.policy->spec, seen.policy->spec)) continue;
    place.message += "; RetrainPolicy " + peer.policy->meta.key.name +
                     " of the group trains by itself, since its job, workload or result is another";
    break;
  }
  return place;
}

}  // namespace

const api::Run* UnfinishedRun(const api::RetrainPolicy& policy) {
  for (const api::Run& run : policy.status.runs) {
    if (run.phase != RunPhase::kSucceeded && run.phase != RunPhase::kFailed) return &run;
  }
  return nullptr;
}

bool SameTraining(const api::RetrainPolicySpec& a, const api::RetrainPolicySpec& b) {
  return a.job == b.job && a.workload == b.workload && a.result == b.result;
}

Place PlaceOf(const Observed& seen, const api::Run& run, WallTime now) {
  if (!seen.policy->spec.group) return {};
  const api::RunGroup& group = *seen.policy->spec.group;
  if (!run.follows.empty()) {
    const auto leader = FindLeader(seen, run.follows);
    if (leader && StillLeads(*leader, now)) return Follow(*leader, group.name);
  }
  if (const auto first = FirstBefore(seen, run)) return Follow(*first, group.name);
  std::optional<WallTime> until;
  if (run.gather_until) until = run.gather_until->value;
  if (!run.follows.empty()) until = now + group.window.value;
  if (until && now < *until) return Gather(seen, *until, now);
  return {};
}

std::vector<const Peer*> MembersOf(const Observed& seen, const api::Run& run) {
  std::vector<const Peer*> out;
  std::size_t bytes = 0;
  for (const Peer& peer : seen.group) {
    const api::Run* other = UnfinishedRun(*peer.policy);
    if (other == nullptr || other->phase != RunPhase::kWaiting) continue;
    if (other->follows != JobName(run) || !CanShare(*peer.policy, seen)) continue;
    bytes += BytesOf(peer, *other);
    if (out.size() + 1 == kMostMembers || bytes > kMostBytes) break;
    out.push_back(&peer);
  }
  return out;
}

std::vector<std::string> ParseMembers(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size() && out.size() < kMostMembers;) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) out.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return out;
}

const api::JobView* SharedJob(const Observed& seen, const api::Run& run) {
  const api::JobView* any = nullptr;
  for (const auto& job : seen.shared_jobs) {
    if (job->meta.key.name == run.follows) return job.get();
    if (any == nullptr) any = job.get();
  }
  // Once it goes by one, it goes by no other.
  return run.phase == RunPhase::kWaiting ? any : nullptr;
}

}  // namespace perennial::retrain
