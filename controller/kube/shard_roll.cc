#include "kube/shard_roll.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <map>
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
namespace {

using nlohmann::json;

// "perennial.dev/replica-HASH: IDENTITY TIME".
constexpr std::string_view kEntry = "perennial.dev/replica-";
// Entries of replicas that ended without a word are removed after so many durations.
constexpr int kForget = 4;
constexpr Millis kSoonest{10};

}  // namespace

class ShardRoll::Impl {
 public:
  Impl(Client& client, const Clock& clock, LeaseOptions options, int shards)
      : client_(client),
        clock_(clock),
        options_(std::move(options)),
        holder_(std::to_string(shards) + " shards"),
        entry_(std::string(kEntry) + ShortHash(options_.identity)),
        ref_{LeaseResource(), {options_.ns, options_.name}},
        fence_(clock, options_) {
    PERENNIAL_CHECK(!options_.identity.empty());
    const auto own = std::stoul(Sha256Hex(options_.identity).substr(0, 4), nullptr, 16) % 1024;
    again_ = kSoonest + options_.retry_period * static_cast<std::int64_t>(own) / 8 / 1024;
  }

  void Start(std::function<void()> lost) {
    lost_ = std::move(lost);
    thread_ = std::jthread([this](std::stop_token stop) {
      while (!stop.stop_requested()) {
        const Millis wait = Step();
        if (fence_.Now() == Fence::State::kOver) return;
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, stop, wait, [] { return false; });
      }
    });
  }

  void Stop(bool leave);
  Millis Step();

  bool MayWrite() const { return fence_.MayWrite(); }
  std::set<std::string> Replicas() const {
    const std::lock_guard lock(mutex_);
    std::set<std::string> out;
    if (!fence_.Until()) return out;
    const Millis now = clock_.Steady();
    for (const auto& [name, seen] : seen_) {
      if (now - seen.at < options_.duration) out.insert(IdentityIn(seen.text));
    }
    out.insert(options_.identity);
    return out;
  }

 private:
  struct Seen {
    std::string text;
    Millis at{0};  // when we first saw this text
  };

  static std::string IdentityIn(const std::string& text) { return text.substr(0, text.find(' ')); }
  void See(const LeaseRecord& record);
  // Until the next step.
  Millis Write(const std::optional<LeaseRecord>& record, Millis start);
  json Entries(WallTime now) const;
  void Lose(const std::string& why);

  Client& client_;
  const Clock& clock_;
  const LeaseOptions options_;
  const std::string holder_;
  const std::string entry_;
  const Ref ref_;
  Fence fence_;
  // After a conflict. Replicas that started together read and write in step: with a whole period
  // between their tries one of four loses five in a row, and its right, every minute. Each has its
  // own time, so that they come apart, and stay so.
  Millis again_{0};
  std::function<void()> lost_;
  LeaseSight sight_;  // of the stepping thread alone
  std::string acquired_;
  bool waited_ = false;

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::map<std::string, Seen> seen_;  // others' entries, by annotation
  std::jthread thread_;
};

Millis ShardRoll::Impl::Step() {
  const Millis start = clock_.Steady();
  const Fence::State state = fence_.Now();
  if (state == Fence::State::kOver) return options_.retry_period;
  if (state == Fence::State::kLapsed) {
    Lose("no renewal for " + FormatDuration(options_.renew_deadline));
    return options_.retry_period;
  }
  const bool held = state == Fence::State::kHeld;
  const auto text = client_.Get(ref_);
  if (!text.ok() && text.error().code == Errc::kNotFound) {
    if (held) {
      Lose("the lease was deleted");
    } else if (sight_.Free(holder_, clock_.Steady())) {
      return Write(std::nullopt, start);
    }
    return options_.retry_period;
  }
  const auto record = text.ok() ? ParseLease(*text) : Result<LeaseRecord>(text.error());
  if (!record.ok()) {
    spdlog::warn("lease {}: cannot be read: {}", ToString(ref_.key),
                 Redact(record.error().message));
    return options_.retry_period;
  }
  See(*record);
  if (held && record->holder != holder_) {
    Lose("held by " + record->holder);
  } else if (sight_.Free(holder_, clock_.Steady())) {
    return Write(*record, start);
  } else if (!std::exchange(waited_, true)) {
    spdlog::info("lease {}: waiting for {}, who divide the work otherwise", ToString(ref_.key),
                 record->holder);
  }
  return options_.retry_period;
}

void ShardRoll::Impl::See(const LeaseRecord& record) {
  const Millis now = clock_.Steady();
  sight_.Observe(record, options_.duration, now);
  const std::lock_guard lock(mutex_);
  std::map<std::string, Seen> seen;
  for (const auto& [name, text] : record.annotations) {
    if (!name.starts_with(kEntry) || name == entry_) continue;
    const auto known = seen_.find(name);
    const bool same = known != seen_.end() && known->second.text == text;
    seen.emplace(name, Seen{text, same ? known->second.at : now});
  }
  seen_ = std::move(seen);
}

json ShardRoll::Impl::Entries(WallTime now) const {
  json out = {{entry_, options_.identity + " " + FormatMicroTime(now)}};
  const std::lock_guard lock(mutex_);
  for (const auto& [name, seen] : seen_) {
    if (clock_.Steady() - seen.at >= options_.duration * kForget) out[name] = nullptr;
  }
  return out;
}

Millis ShardRoll::Impl::Write(const std::optional<LeaseRecord>& record, Millis start) {
  const WallTime now = clock_.Wall();
  if (acquired_.empty()) acquired_ = FormatMicroTime(now);
  json metadata = {{"annotations", Entries(now)}};
  const int transitions = !record ? 0 : record->transitions + (record->holder == holder_ ? 0 : 1);
  const json spec = LeaseSpec(holder_, options_.duration, acquired_, now, transitions);
  Result<Written> written = Error{};
  if (record) {
    metadata["resourceVersion"] = record->resource_version;
    written = client_.MergePatch(ref_, json{{"metadata", metadata}, {"spec", spec}}.dump());
  } else {
    metadata["name"] = ref_.key.name;
    metadata["namespace"] = ref_.key.ns;
    for (auto it = metadata["annotations"].begin(); it != metadata["annotations"].end();) {
      it = it->is_null() ? metadata["annotations"].erase(it) : std::next(it);
    }
    written = client_.Create(ref_, json{{"apiVersion", ref_.resource.ApiVersion()},
                                        {"kind", ref_.resource.kind},
                                        {"metadata", metadata},
                                        {"spec", spec}}
                                       .dump());
  }
  if (!written.ok()) {
    const Errc code = written.error().code;
    // Another replica's renewal.
    if (code == Errc::kConflict || code == Errc::kAlreadyExists) return again_;
    spdlog::warn("lease {}: renewal failed: {}", ToString(ref_.key),
                 Redact(written.error().message));
    return options_.retry_period;
  }
  const Fence::Renewal renewal = fence_.Renewed(start);
  if (renewal == Fence::Renewal::kLapsed) {
    Lose("the renewal came too late");
  } else if (renewal == Fence::Renewal::kGained) {
    spdlog::info("lease {}: one of the {}", ToString(ref_.key), holder_);
  }
  return options_.retry_period;
}

void ShardRoll::Impl::Lose(const std::string& why) {
  fence_.End();
  spdlog::error("lease {}: lost: {}", ToString(ref_.key), why);
  if (lost_) lost_();
}

void ShardRoll::Impl::Stop(bool leave) {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  if (!fence_.End() || !leave) return;
  // The Lease itself is the others'. The last one gives it up, if nobody came meanwhile.
  json patch = {{"metadata", {{"annotations", {{entry_, nullptr}}}}}};
  const auto text = client_.Get(ref_);
  const auto record = text.ok() ? ParseLease(*text) : Result<LeaseRecord>(text.error());
  if (record.ok() && record->holder == holder_) {
    See(*record);
    const std::lock_guard lock(mutex_);
    if (seen_.empty()) {
      patch["metadata"]["resourceVersion"] = record->resource_version;
      patch["spec"] = LeaseSpec("", Seconds(1), acquired_, clock_.Wall(), record->transitions);
    }
  }
  auto written = client_.MergePatch(ref_, patch.dump());
  if (!written.ok()) {
    spdlog::warn("lease {}: not left: {}", ToString(ref_.key), Redact(written.error().message));
  }
}

ShardRoll::ShardRoll(Client& client, const Clock& clock, LeaseOptions options, int shards)
    : impl_(std::make_unique<Impl>(client, clock, std::move(options), shards)) {}
ShardRoll::~ShardRoll() {
  impl_->Stop(/*leave=*/false);
}
void ShardRoll::Start(std::function<void()> lost) {
  impl_->Start(std::move(lost));
}
void ShardRoll::Stop() {
  impl_->Stop(/*leave=*/true);
}
bool ShardRoll::MayWrite() const {
  return impl_->MayWrite();
}
std::set<std::string> ShardRoll::Replicas() const {
  return impl_->Replicas();
}
Millis ShardRoll::Step() {
  return impl_->Step();
}

}  // namespace perennial::kube
