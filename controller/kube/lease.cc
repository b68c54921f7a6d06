#include "kube/lease.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "kube/fence.h"
#include "kube/lease_record.h"

namespace perennial::kube {
using nlohmann::json;

class LeaderElection::Impl {
 public:
  Impl(Client& client, const Clock& clock, LeaseOptions options)
      : client_(client),
        clock_(clock),
        options_(std::move(options)),
        ref_{LeaseResource(), {options_.ns, options_.name}},
        fence_(clock, options_) {
    PERENNIAL_CHECK(!options_.identity.empty());
    // Candidates that start together should not ask together: up to a fifth later, each its own.
    const auto own = std::stoul(Sha256Hex(options_.identity).substr(0, 4), nullptr, 16) % 1024;
    candidate_period_ =
        options_.retry_period + options_.retry_period * static_cast<std::int64_t>(own) / 5 / 1024;
  }

  void Start(std::function<void()> gained, std::function<void()> lost);
  void Stop(bool release);
  Millis Step();

  bool MayWrite() const { return fence_.MayWrite(); }
  bool Leading() const { return fence_.Holding(); }
  std::string Holder() const {
    const std::lock_guard lock(mutex_);
    return holder_;
  }
  bool Vacant() const {
    const std::lock_guard lock(mutex_);
    return !Leading() && looked_ && seen_.Free(options_.identity, clock_.Steady());
  }
  void Stand(bool candidate) {
    const std::lock_guard lock(mutex_);
    if (std::exchange(candidate_, candidate) == candidate) return;
    woken_ = candidate;
    wake_.notify_all();
  }

 private:
  void Run(std::stop_token stop);
  void Look();
  void Looked();
  void Consider(const LeaseRecord& record);
  void CreateLease();
  void TakeLease(const LeaseRecord& record);
  void Renewed(const Written& written, Millis start);
  void Lose(const std::string& why);
  void Heed(const Error& refusal);
  void Observe(const LeaseRecord& record);
  bool Takeable() const;
  Millis NextStep() const;
  json Spec(int transitions) const {
    return LeaseSpec(options_.identity, options_.duration, acquired_, clock_.Wall(), transitions);
  }

  Client& client_;
  const Clock& clock_;
  const LeaseOptions options_;
  const Ref ref_;
  Fence fence_;
  Millis candidate_period_{0};
  std::function<void()> gained_;
  std::function<void()> lost_;

  // Of the stepping thread alone.
  std::string version_;   // of the lease that we hold
  std::string acquired_;  // when, as the lease says it
  int transitions_ = 0;
  Millis asked_to_wait_until_{0};  // by the API server

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  LeaseSight seen_;
  bool candidate_ = true;
  bool woken_ = false;
  bool looked_ = false;  // the API server has said once how things stand
  std::string holder_;
  std::jthread thread_;
};

Millis LeaderElection::Impl::Step() {
  const Millis start = clock_.Steady();
  const Fence::State state = fence_.Now();
  if (state == Fence::State::kOver) return options_.retry_period;
  if (state == Fence::State::kLapsed) {
    Lose("no renewal for " + FormatDuration(options_.renew_deadline));
  } else if (start < asked_to_wait_until_) {
    // Nothing is sent. A lease that this costs is lost like any other that isn't renewed.
  } else if (state == Fence::State::kHeld) {
    const json patch = {{"metadata", {{"resourceVersion", version_}}},
                        {"spec", Spec(transitions_)}};
    const auto written = client_.MergePatch(ref_, patch.dump());
    if (written.ok()) {
      Renewed(*written, start);
    } else if (written.error().code == Errc::kConflict || written.error().code == Errc::kNotFound) {
      Look();  // somebody wrote it: perhaps we did, and the answer was lost
    } else {
      Heed(written.error());
      spdlog::warn("lease {}: renewal failed: {}", ToString(ref_.key),
                   Redact(written.error().message));
    }
  } else {
    Look();
  }
  return NextStep();
}

void LeaderElection::Impl::Look() {
  const auto text = client_.Get(ref_);
  if (!text.ok()) {
    if (text.error().code == Errc::kNotFound) {
      Looked();
      return CreateLease();
    }
    Heed(text.error());
    spdlog::warn("lease {}: cannot be read: {}", ToString(ref_.key), Redact(text.error().message));
    return;
  }
  const auto record = ParseLease(*text);
  if (!record.ok()) {
    spdlog::warn("lease {}: {}", ToString(ref_.key), record.error().message);
    return;
  }
  Consider(*record);
  Looked();
}

void LeaderElection::Impl::Looked() {
  const std::lock_guard lock(mutex_);
  looked_ = true;
}

void LeaderElection::Impl::Consider(const LeaseRecord& record) {
  Observe(record);
  if (record.holder != options_.identity && Leading()) return Lose("held by " + record.holder);
  // Held by us without our knowing: the answer to an earlier write was lost.
  if (Takeable()) TakeLease(record);
}

void LeaderElection::Impl::Observe(const LeaseRecord& record) {
  const std::lock_guard lock(mutex_);
  seen_.Observe(record, options_.duration, clock_.Steady());
  holder_ = record.holder;
}

// To be taken by us.
bool LeaderElection::Impl::Takeable() const {
  const std::lock_guard lock(mutex_);
  return (candidate_ || Leading()) && seen_.Free(options_.identity, clock_.Steady());
}

void LeaderElection::Impl::CreateLease() {
  if (Leading()) return Lose("the lease was deleted");
  if (!Takeable()) return;  // perhaps deleted under its holder, who does not know yet
  acquired_ = FormatMicroTime(clock_.Wall());
  transitions_ = 0;
  const json lease = {{"apiVersion", ref_.resource.ApiVersion()},
                      {"kind", ref_.resource.kind},
                      {"metadata", {{"name", ref_.key.name}, {"namespace", ref_.key.ns}}},
                      {"spec", Spec(transitions_)}};
  const Millis start = clock_.Steady();
  const auto written = client_.Create(ref_, lease.dump());
  if (!written.ok()) return Heed(written.error());
  Renewed(*written, start);
}

void LeaderElection::Impl::TakeLease(const LeaseRecord& record) {
  const bool ours = record.holder == options_.identity;
  if (!ours || acquired_.empty()) acquired_ = FormatMicroTime(clock_.Wall());
  transitions_ = record.transitions + (ours ? 0 : 1);
  const json patch = {{"metadata", {{"resourceVersion", record.resource_version}}},
                      {"spec", Spec(transitions_)}};
  const Millis start = clock_.Steady();
  const auto written = client_.MergePatch(ref_, patch.dump());
  if (!written.ok()) return Heed(written.error());
  Renewed(*written, start);
}

// 429 and 503 with Retry-After, longer than the client waits by itself.
void LeaderElection::Impl::Heed(const Error& refusal) {
  if (refusal.retry_after) asked_to_wait_until_ = clock_.Steady() + *refusal.retry_after;
}

void LeaderElection::Impl::Renewed(const Written& written, Millis start) {
  version_ = written.resource_version;
  Fence::Renewal renewal{};
  {
    const std::lock_guard lock(mutex_);  // who sees us lead sees us as the holder
    renewal = fence_.Renewed(start);
    const bool ours = renewal == Fence::Renewal::kGained || renewal == Fence::Renewal::kKept;
    if (ours) holder_ = options_.identity;
  }
  if (renewal == Fence::Renewal::kLapsed) return Lose("the renewal came too late");
  // Where the first answer came too late, the next step finds the lease held by us and renews it.
  if (renewal != Fence::Renewal::kGained) return;
  spdlog::info("lease {}: leading as {}", ToString(ref_.key), options_.identity);
  if (gained_) gained_();
}

void LeaderElection::Impl::Lose(const std::string& why) {
  fence_.End();
  spdlog::error("lease {}: lost: {}", ToString(ref_.key), why);
  if (lost_) lost_();
}

Millis LeaderElection::Impl::NextStep() const {
  const std::lock_guard lock(mutex_);
  const Millis now = clock_.Steady();
  const Millis soonest{10};
  if (Leading()) {  // in time to say that it was lost
    const Millis period = std::max(options_.retry_period, asked_to_wait_until_ - now);
    return std::clamp(*fence_.Until() - now, soonest, period);
  }
  if (asked_to_wait_until_ > now) return asked_to_wait_until_ - now;
  const auto free_at = seen_.FreeAt();
  // Who only looks on has no moment to be in time for.
  if (!free_at || !candidate_) return candidate_period_;
  if (*free_at + soonest <= now) return candidate_period_;  // tried just now, and not got
  return std::clamp(*free_at - now, soonest, candidate_period_);
}

void LeaderElection::Impl::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    const Millis wait = Step();
    if (fence_.Now() == Fence::State::kOver) return;
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, wait, [this] { return std::exchange(woken_, false); });
  }
}

void LeaderElection::Impl::Start(std::function<void()> gained, std::function<void()> lost) {
  gained_ = std::move(gained);
  lost_ = std::move(lost);
  thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
}

void LeaderElection::Impl::Stop(bool release) {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  if (!fence_.End() || !release) return;
  // As client-go releases: nobody's, for a second.
  json spec = Spec(transitions_);
  spec["holderIdentity"] = "";
  spec["leaseDurationSeconds"] = 1;
  const json patch = {{"metadata", {{"resourceVersion", version_}}}, {"spec", spec}};
  const auto written = client_.MergePatch(ref_, patch.dump());
  if (!written.ok()) {
    spdlog::warn("lease {}: not released: {}", ToString(ref_.key), Redact(written.error().message));
  }
}

LeaderElection::LeaderElection(Client& client, const Clock& clock, LeaseOptions options)
    : impl_(std::make_unique<Impl>(client, clock, std::move(options))) {}

LeaderElection::~LeaderElection() {
  impl_->Stop(/*release=*/false);
}

void LeaderElection::Start(std::function<void()> gained, std::function<void()> lost) {
  impl_->Start(std::move(gained), std::move(lost));
}

void LeaderElection::Stop(bool release) {
  impl_->Stop(release);
}

bool LeaderElection::MayWrite() const {
  return impl_->MayWrite();
}

bool LeaderElection::Leading() const {
  return impl_->Leading();
}

std::string LeaderElection::Holder() const {
  return impl_->Holder();
}

bool LeaderElection::Vacant() const {
  return impl_->Vacant();
}

void LeaderElection::Stand(bool candidate) {
  impl_->Stand(candidate);
}

Millis LeaderElection::Step() {
  return impl_->Step();
}

}  // namespace perennial::kube
