#include "kube/events.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <thread>
#include <tuple>
#include <utility>

#include "base/hash.h"
#include "base/log.h"

namespace perennial::kube {
namespace {

using nlohmann::json;

constexpr std::size_t kQueueLimit = 1000;
constexpr std::size_t kRememberedLimit = 4096;  // series and budgets that are kept
// client-go tools/events: a series ends after six minutes without the event.
constexpr Millis kSeriesGap = std::chrono::minutes(6);
constexpr double kBurst = 25;
constexpr Millis kRefill = std::chrono::minutes(5);
constexpr int kTries = 3;
constexpr Millis kTryAgain{1'000};
constexpr Millis kLastWrites{1'000};
// Limits of the API (pkg/apis/core/validation/events.go).
constexpr std::size_t kNoteLimit = 1024;
constexpr std::size_t kReasonLimit = 128;
constexpr std::size_t kInstanceLimit = 128;

const Resource& Events() {
  static const Resource resource{"events.k8s.io", "v1", "events", "Event"};
  return resource;
}

// Cut between characters: half a UTF-8 sequence would make the JSON text invalid.
std::string Cut(const std::string& text, std::size_t limit) {
  if (text.size() <= limit) return text;
  std::size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

// Tokens that come back with time: what one object may write.
struct Budget {
  double tokens = kBurst;
  Millis at{0};

  void Refill(Millis now) {
    const auto passed = static_cast<double>((now - at).count());
    tokens = std::min(kBurst, tokens + passed / static_cast<double>(kRefill.count()));
    at = now;
  }
};

// (uid, type, reason, action, note)
using Sameness = std::tuple<std::string, int, std::string, std::string, std::string>;

struct Series {
  Ref event;  // where it is kept
  int count = 1;
  Millis last{0};
};

struct Pending {
  Ref event;
  std::string body;                // to be created
  std::string patch;               // or the series to be patched in, if not empty
  std::optional<Sameness> series;  // to be begun anew if the patched event is gone
  int tries = 0;
};

}  // namespace

class EventRecorder::Impl {
 public:
  Impl(Client& client, const Clock& clock, std::string controller, const std::string& instance)
      : client_(client),
        clock_(clock),
        controller_(std::move(controller)),
        instance_(Cut(instance, kInstanceLimit)) {}
  ~Impl() { Stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void Start() {
    thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
  }
  void Record(const Ref& regarding, const std::string& uid, const EmitEvent& event);
  bool WriteOne();
  std::uint64_t dropped() const {
    const std::lock_guard lock(mutex_);
    return dropped_;
  }

 private:
  void Run(std::stop_token stop);
  void Stop();
  bool Spend(const std::string& uid, Millis now);
  void Repeat(const Sameness& same, Series& series, Millis now);
  void Enqueue(Pending pending);
  void Forget(Millis now);
  Ref NameFor(const Ref& regarding, const Sameness& same);
  std::string Body(const Ref& event, const Ref& regarding, const std::string& uid,
                   const EmitEvent& what) const;
  std::optional<Pending> Pop();
  // False if it should be tried again.
  bool Write(const Pending& pending);
  void Dropped(const Error& error);

  Client& client_;
  const Clock& clock_;
  const std::string controller_;
  const std::string instance_;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Pending> queue_;
  std::map<Sameness, Series> series_;
  std::map<std::string, Budget> budgets_;  // by UID of the object
  std::size_t look_at_budgets_ = kRememberedLimit;
  std::uint64_t dropped_ = 0;
  std::uint64_t named_ = 0;
  std::jthread thread_;
};

void EventRecorder::Impl::Record(const Ref& regarding, const std::string& uid,
                                 const EmitEvent& event) {
  {
    const std::lock_guard lock(mutex_);
    const Millis now = clock_.Steady();
    Forget(now);
    const EmitEvent what{event.type, Cut(event.reason, kReasonLimit),
                         Cut(event.action, kReasonLimit), Cut(Redact(event.note), kNoteLimit)};
    const Sameness same{uid, static_cast<int>(what.type), what.reason, what.action, what.note};
    if (const auto it = series_.find(same);
        it != series_.end() && now - it->second.last < kSeriesGap) {
      Repeat(same, it->second, now);
    } else if (queue_.size() >= kQueueLimit || !Spend(uid, now)) {
      ++dropped_;
    } else {
      const Ref name = NameFor(regarding, same);
      series_[same] = Series{name, 1, now};
      Enqueue({name, Body(name, regarding, uid, what), "", std::nullopt, 0});
    }
  }
  changed_.notify_one();
}

bool EventRecorder::Impl::Spend(const std::string& uid, Millis now) {
  const auto [it, fresh] = budgets_.try_emplace(uid, Budget{kBurst, now});
  if (!fresh) it->second.Refill(now);
  if (it->second.tokens < 1) return false;
  it->second.tokens -= 1;
  return true;
}

void EventRecorder::Impl::Repeat(const Sameness& same, Series& series, Millis now) {
  ++series.count;
  series.last = now;
  const json patch = {
      {"series", {{"count", series.count}, {"lastObservedTime", FormatMicroTime(clock_.Wall())}}}};
  // One that waits to be written takes the new count along, for nothing.
  for (Pending& pending : queue_) {
    if (pending.event == series.event && !pending.patch.empty()) {
      pending.patch = patch.dump();
      return;
    }
  }
  if (queue_.size() < kQueueLimit && Spend(std::get<0>(same), now)) {
    Enqueue({series.event, "", patch.dump(), same, 0});
  }
}

void EventRecorder::Impl::Enqueue(Pending pending) {
  queue_.push_back(std::move(pending));
}

// Keeps the memory bounded: ended series and full budgets say nothing that is needed. Looking for
// them takes time in proportion to all that is kept, so that many more are added before the next
// time.
void EventRecorder::Impl::Forget(Millis now) {
  if (series_.size() >= kRememberedLimit) {
    std::erase_if(series_,
                  [&](const auto& entry) { return now - entry.second.last >= kSeriesGap; });
    if (series_.size() >= kRememberedLimit / 2) series_.clear();
  }
  if (budgets_.size() >= look_at_budgets_) {
    std::erase_if(budgets_, [now](const auto& entry) {
      Budget budget = entry.second;
      budget.Refill(now);
      return budget.tokens >= kBurst;
    });
    if (budgets_.size() >= 4 * kRememberedLimit) budgets_.clear();
    look_at_budgets_ = std::max(kRememberedLimit, 2 * budgets_.size());
  }
}

// Unique to this process, moment and count; the same when a create is tried again.
Ref EventRecorder::Impl::NameFor(const Ref& regarding, const Sameness& same) {
  const std::string identity = instance_ + "/" + std::get<0>(same) + "/" +
                               FormatMicroTime(clock_.Wall()) + "/" + std::to_string(++named_);
  const std::string ns = regarding.key.ns.empty() ? "default" : regarding.key.ns;
  return {Events(), {ns, BoundedName(regarding.key.name, ShortHash(identity, 16), 253)}};
}

std::string EventRecorder::Impl::Body(const Ref& event, const Ref& regarding,
                                      const std::string& uid, const EmitEvent& what) const {
  json object = {{"apiVersion", regarding.resource.ApiVersion()},
                 {"kind", regarding.resource.kind},
                 {"name", regarding.key.name},
                 {"uid", uid}};
  if (!regarding.key.ns.empty()) object["namespace"] = regarding.key.ns;
  return json{{"apiVersion", Events().ApiVersion()},
              {"kind", Events().kind},
              {"metadata", {{"name", event.key.name}, {"namespace", event.key.ns}}},
              {"eventTime", FormatMicroTime(clock_.Wall())},
              {"type", what.type == EmitEvent::Type::kWarning ? "Warning" : "Normal"},
              {"reason", what.reason},
              {"action", what.action.empty() ? what.reason : what.action},
              {"note", what.note},
              {"regarding", std::move(object)},
              {"reportingController", controller_},
              {"reportingInstance", instance_}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<Pending> EventRecorder::Impl::Pop() {
  const std::lock_guard lock(mutex_);
  if (queue_.empty()) return std::nullopt;
  Pending pending = std::move(queue_.front());
  queue_.pop_front();
  return pending;
}

void EventRecorder::Impl::Dropped(const Error& error) {
  spdlog::warn("event dropped: {}", Redact(error.message));
  const std::lock_guard lock(mutex_);
  ++dropped_;
}

bool EventRecorder::Impl::Write(const Pending& pending) {
  const auto written = pending.patch.empty() ? client_.Create(pending.event, pending.body)
                                             : client_.MergePatch(pending.event, pending.patch);
  if (written.ok()) return true;
  const Error& error = written.error();
  switch (error.code) {
    case Errc::kAlreadyExists:  // an earlier try whose answer was lost
      return true;
    case Errc::kNotFound:
      if (pending.series) {  // expired: the next one begins a new series
        const std::lock_guard lock(mutex_);
        series_.erase(*pending.series);
      }
      break;
    case Errc::kUnavailable:
    case Errc::kTimeout:
    case Errc::kThrottled:
      if (pending.tries + 1 < kTries) return false;
      break;
    default:
      break;
  }
  Dropped(error);
  return true;
}

bool EventRecorder::Impl::WriteOne() {
  std::optional<Pending> pending = Pop();
  if (!pending) return false;
  if (!Write(*pending)) {
    ++pending->tries;
    const std::lock_guard lock(mutex_);
    queue_.push_front(*std::move(pending));
  }
  return true;
}

void EventRecorder::Impl::Run(std::stop_token stop) {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [this] { return !queue_.empty(); })) break;
      if (queue_.front().tries > 0) {
        changed_.wait_for(lock, stop, kTryAgain, [] { return false; });
      }
    }
    if (stop.stop_requested()) break;
    WriteOne();
  }
  const Millis end = clock_.Steady() + kLastWrites;
  while (clock_.Steady() < end) {
    const auto pending = Pop();
    if (!pending) break;
    Write(*pending);
  }
}

void EventRecorder::Impl::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

EventRecorder::EventRecorder(Client& client, const Clock& clock, std::string controller,
                             const std::string& instance)
    : impl_(std::make_unique<Impl>(client, clock, std::move(controller), instance)) {}

EventRecorder::~EventRecorder() = default;

void EventRecorder::Start() {
  impl_->Start();
}

void EventRecorder::Record(const Ref& regarding, const std::string& uid, const EmitEvent& event) {
  impl_->Record(regarding, uid, event);
}

std::uint64_t EventRecorder::dropped() const {
  return impl_->dropped();
}

bool EventRecorder::WriteOne() {
  return impl_->WriteOne();
}

}  // namespace perennial::kube
