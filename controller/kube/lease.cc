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

#include "base/hash.h"
#include "base/log.h"
#include "kube/meta.h"

namespace perennial::kube {
namespace {

using nlohmann::json;

const Resource& Leases() {
  static const Resource resource{"coordination.k8s.io", "v1", "leases", "Lease"};
  return resource;
}

// What a Lease says. `renewed` is compared as text: another machine's clock is never trusted.
struct Record {
  std::string resource_version;
  std::string holder;
  std::string renewed;
  Seconds duration{0};
  int transitions = 0;
};

std::string TextOf(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

int NumberOf(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_number_integer() ? it->get<int>() : 0;
}

Result<Record> ParseRecord(const std::string& text) {
  const json lease = json::parse(text, nullptr, /*allow_exceptions=*/false);
  PERENNIAL_TRY(const Meta meta, ParseMeta(lease));
  Record record;
  record.resource_version = meta.resource_version;
  if (const auto spec = lease.find("spec"); spec != lease.end() && spec->is_object()) {
    record.holder = TextOf(*spec, "holderIdentity");
    record.renewed = TextOf(*spec, "renewTime");
    record.duration = Seconds(NumberOf(*spec, "leaseDurationSeconds"));
    record.transitions = NumberOf(*spec, "leaseTransitions");
  }
  return record;
}

}  // namespace

class LeaderElection::Impl {
 public:
  Impl(Client& client, const Clock& clock, LeaseOptions options)
      : client_(client),
        clock_(clock),
        options_(std::move(options)),
        ref_{Leases(), {options_.ns, options_.name}} {
    // Fencing needs room between the two, or a new leader could start before the old one stopped.
    PERENNIAL_CHECK(options_.renew_deadline < options_.duration);
    PERENNIAL_CHECK(!options_.identity.empty());
    // Candidates that start together should not ask together: up to a fifth later, each its own.
    const auto own = std::stoul(Sha256Hex(options_.identity).substr(0, 4), nullptr, 16) % 1024;
    candidate_period_ =
        options_.retry_period + options_.retry_period * static_cast<std::int64_t>(own) / 5 / 1024;
  }

  void Start(std::function<void()> gained, std::function<void()> lost);
  void Stop(bool release);
  Millis Step();

  bool MayWrite() const {
    const std::lock_guard lock(mutex_);
    return MayWriteLocked(clock_.Steady());
  }
  bool Leading() const {
    const std::lock_guard lock(mutex_);
    return leading_;
  }
  std::string Holder() const {
    const std::lock_guard lock(mutex_);
    return holder_;
  }

 private:
  bool MayWriteLocked(Millis now) const {
    return leading_ && now - renewed_at_ < options_.renew_deadline;
  }
  void Run(std::stop_token stop);
  void Look();
  void Consider(const Record& record);
  void CreateLease();
  void TakeLease(const Record& record);
  void Renewed(const Written& written, Millis start);
  void Lose(const std::string& why);
  void Observe(const Record& record);
  bool Free() const;
  Millis NextStep() const;
  json Spec(int transitions) const;

  Client& client_;
  const Clock& clock_;
  const LeaseOptions options_;
  const Ref ref_;
  Millis candidate_period_{0};
  std::function<void()> gained_;
  std::function<void()> lost_;

  // Of the stepping thread alone.
  std::string version_;   // of the lease that we hold
  std::string acquired_;  // when, as the lease says it
  int transitions_ = 0;
  std::string seen_holder_;  // what another holder last wrote, and when WE first saw it
  std::string seen_renewed_;
  std::optional<Millis> seen_at_;
  Seconds seen_duration_{0};

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  bool leading_ = false;
  bool over_ = false;  // lost or stopped: never leads again
  Millis renewed_at_{0};
  std::string holder_;
  std::jthread thread_;
};

json LeaderElection::Impl::Spec(int transitions) const {
  return {{"holderIdentity", options_.identity},
          {"leaseDurationSeconds", options_.duration.count()},
          {"acquireTime", acquired_},
          {"renewTime", FormatMicroTime(clock_.Wall())},
          {"leaseTransitions", transitions}};
}

Millis LeaderElection::Impl::Step() {
  const Millis start = clock_.Steady();
  bool leading = false;
  bool may_write = false;
  {
    const std::lock_guard lock(mutex_);
    if (over_) return options_.retry_period;
    leading = leading_;
    may_write = MayWriteLocked(start);
  }
  if (leading && !may_write) {
    // Not even tried: MayWrite() that turned false never turns true again.
    Lose("no renewal for " + FormatDuration(options_.renew_deadline));
  } else if (leading) {
    const json patch = {{"metadata", {{"resourceVersion", version_}}},
                        {"spec", Spec(transitions_)}};
    const auto written = client_.MergePatch(ref_, patch.dump());
    if (written.ok()) {
      Renewed(*written, start);
    } else if (written.error().code == Errc::kConflict || written.error().code == Errc::kNotFound) {
      Look();  // somebody wrote it: perhaps we did, and the answer was lost
    } else {
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
    if (text.error().code == Errc::kNotFound) return CreateLease();
    spdlog::warn("lease {}: cannot be read: {}", ToString(ref_.key), Redact(text.error().message));
    return;
  }
  const auto record = ParseRecord(*text);
  if (!record.ok()) {
    spdlog::warn("lease {}: {}", ToString(ref_.key), record.error().message);
    return;
  }
  Consider(*record);
}

void LeaderElection::Impl::Consider(const Record& record) {
  Observe(record);
  if (record.holder != options_.identity && Leading()) return Lose("held by " + record.holder);
  // Held by us without our knowing: the answer to an earlier write was lost.
  if (Free()) TakeLease(record);
}

// Times are counted from when the answer was here: later than the renewal itself, so that the
// holder has at least its whole duration.
void LeaderElection::Impl::Observe(const Record& record) {
  if (!seen_at_ || record.holder != seen_holder_ || record.renewed != seen_renewed_) {
    seen_holder_ = record.holder;
    seen_renewed_ = record.renewed;
    seen_at_ = clock_.Steady();
    // The holder may have been started with a longer one; a shorter one is not believed.
    seen_duration_ = std::max(record.duration, options_.duration);
  }
  const std::lock_guard lock(mutex_);
  holder_ = record.holder;
}

// Nobody that we know of can still be writing under the lease.
bool LeaderElection::Impl::Free() const {
  return !seen_at_ || seen_holder_.empty() || seen_holder_ == options_.identity ||
         clock_.Steady() - *seen_at_ >= seen_duration_;
}

void LeaderElection::Impl::CreateLease() {
  if (Leading()) return Lose("the lease was deleted");
  if (!Free()) return;  // deleted under its holder, who does not know yet
  acquired_ = FormatMicroTime(clock_.Wall());
  transitions_ = 0;
  const json lease = {{"apiVersion", Leases().ApiVersion()},
                      {"kind", Leases().kind},
                      {"metadata", {{"name", ref_.key.name}, {"namespace", ref_.key.ns}}},
                      {"spec", Spec(transitions_)}};
  const Millis start = clock_.Steady();
  const auto written = client_.Create(ref_, lease.dump());
  if (written.ok()) Renewed(*written, start);
}

void LeaderElection::Impl::TakeLease(const Record& record) {
  const bool ours = record.holder == options_.identity;
  if (!ours || acquired_.empty()) acquired_ = FormatMicroTime(clock_.Wall());
  transitions_ = record.transitions + (ours ? 0 : 1);
  const json patch = {{"metadata", {{"resourceVersion", record.resource_version}}},
                      {"spec", Spec(transitions_)}};
  const Millis start = clock_.Steady();
  const auto written = client_.MergePatch(ref_, patch.dump());
  if (written.ok()) Renewed(*written, start);
}

void LeaderElection::Impl::Renewed(const Written& written, Millis start) {
  version_ = written.resource_version;
  bool gained = false;
  bool late = false;
  {
    const std::lock_guard lock(mutex_);
    const Millis now = clock_.Steady();
    gained = !leading_;
    // An answer that took longer than it is good for makes nobody leader (the next step finds the
    // lease held by us and renews it), and MayWrite() that turned false never turns true again.
    late = gained ? now - start >= options_.renew_deadline : !MayWriteLocked(now);
    if (!late) {
      leading_ = true;
      renewed_at_ = start;
      holder_ = options_.identity;
    }
  }
  if (late && !gained) return Lose("the renewal came too late");
  if (late || !gained) return;
  spdlog::info("lease {}: leading as {}", ToString(ref_.key), options_.identity);
  if (gained_) gained_();
}

void LeaderElection::Impl::Lose(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    leading_ = false;
    over_ = true;
  }
  spdlog::error("lease {}: lost: {}", ToString(ref_.key), why);
  if (lost_) lost_();
}

Millis LeaderElection::Impl::NextStep() const {
  const std::lock_guard lock(mutex_);
  const Millis now = clock_.Steady();
  const Millis soonest{10};
  if (leading_) {  // in time to say that it was lost
    return std::clamp(renewed_at_ + options_.renew_deadline - now, soonest, options_.retry_period);
  }
  if (seen_holder_.empty() || !seen_at_) return candidate_period_;
  return std::clamp(*seen_at_ + seen_duration_ - now, soonest, candidate_period_);
}

void LeaderElection::Impl::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    const Millis wait = Step();
    std::unique_lock lock(mutex_);
    if (over_) return;
    wake_.wait_for(lock, stop, wait, [] { return false; });
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
  bool held = false;
  {
    const std::lock_guard lock(mutex_);
    held = MayWriteLocked(clock_.Steady());
    leading_ = false;
    over_ = true;
  }
  if (!held || !release) return;
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

Millis LeaderElection::Step() {
  return impl_->Step();
}

}  // namespace perennial::kube
