#include "kube/informer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "base/log.h"
#include "kube/json_scan.h"
#include "kube/watch.h"

namespace perennial::kube {
namespace {

constexpr Millis kListDeadline{60'000};
// A watch is given up where the server did not end it itself this long after it promised to.
constexpr Millis kWatchMargin{15'000};
constexpr Millis kLogInterval{60'000};
// The API server stores nothing that nests deeper than a few dozen levels.
constexpr int kDeepest = 128;

}  // namespace

class InformerLoop::Impl {
 public:
  Impl(Transport& transport, const Clock& clock, Resource resource, InformerOptions options,
       InformerSink& sink)
      : transport_(transport),
        clock_(clock),
        resource_(std::move(resource)),
        options_(std::move(options)),
        policy_{options_.first_backoff, options_.longest_backoff, options_.optional,
                options_.absent_retry},
        sink_(sink),
        random_(options_.seed) {}

  void Start() {
    thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
  }

  void Stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
  }

  InformerCounters Counters() const {
    const std::lock_guard lock(mutex_);
    return counters_;
  }

 private:
  void Run(std::stop_token stop) {
    while (Wait(stop)) {
      if (state_.next == WatchState::Next::kList) {
        List();
      } else {
        Watch(stop);
      }
      if (!stop.stop_requested()) LogTrouble();
    }
  }

  // False once it is time to stop.
  bool Wait(const std::stop_token& stop) {
    if (const auto wait = std::exchange(state_.wait, std::nullopt)) {
      // Up to twice the time (client-go's jitter), so that many informers do not come back at once.
      const Millis jittered =
          *wait + Millis(std::uniform_int_distribution<Millis::rep>(0, wait->count())(random_));
      std::unique_lock lock(mutex_);
      sleeping_.wait_for(lock, stop, jittered, [] { return false; });
    }
    return !stop.stop_requested();
  }

  void List() {
    const ListOptions list{options_.ns,           options_.label_selector, "",
                           state_.continue_token, options_.page_size,      options_.field_selector};
    const bool first = state_.continue_token.empty();
    Count([&](InformerCounters& counters) { counters.lists += first ? 1 : 0; });
    auto page = Page(list);
    if (page.ok()) {
      Touch();
      Take(PageSeen{*page});
    } else {
      Count([](InformerCounters& counters) { ++counters.failures; });
      Take(ListFailed{page.error()});
    }
    Count([&](InformerCounters& counters) { counters.absent = state_.absent; });
  }

  Result<ListPage> Page(const ListOptions& list) {
    PERENNIAL_TRY(const Response response,
                  transport_.Send(ListRequest(resource_, list), kListDeadline));
    if (response.status < 200 || response.status >= 300) return ErrorFromStatus(response);
    return ParseListPage(resource_, response.body);
  }

  void Watch(const std::stop_token& stop) {
    const Seconds timeout(std::uniform_int_distribution<Seconds::rep>(
        options_.shortest_watch.count(), options_.longest_watch.count())(random_));
    const ListOptions from{options_.ns, options_.label_selector, state_.version, "",
                           0,           options_.field_selector};
    Count([](InformerCounters& counters) { ++counters.watches; });
    std::stop_source drop;
    const std::stop_callback forward(stop, [&drop] { drop.request_stop(); });
    const Millis begin = clock_.Steady();
    const Status how = transport_.Stream(
        WatchRequest(resource_, from, timeout), Millis(timeout) + kWatchMargin,
        [&](std::string_view line) {
          if (state_.next != WatchState::Next::kWatch) return;  // what was still on its way
          Count([](InformerCounters& counters) { ++counters.events; });
          Touch();
          Take(LineSeen{line});
          if (state_.next != WatchState::Next::kWatch) drop.request_stop();
        },
        drop.get_token());
    if (how.ok()) Touch();
    const bool wanted = how.ok() || stop.stop_requested();
    Count([&](InformerCounters& counters) { counters.failures += wanted ? 0 : 1; });
    Take(WatchEnded{how, clock_.Steady() - begin});
  }

  void Take(const WatchInput& input) {
    effects_.clear();
    Advance(state_, input, policy_, effects_);
    for (const WatchEffect& effect : effects_) Carry(effect);
  }

  void Carry(const WatchEffect& effect) {
    if (const auto* put = std::get_if<PutObject>(&effect)) {
      if (!Wanted(put->json)) return;
      const Status taken = sink_.Put(put->json);
      if (!taken.ok()) return Undecodable(put->json, taken.error());
      if (options_.unreadable == nullptr || options_.unreadable->empty()) return;
      if (const auto meta = ScanMeta(put->json); meta.ok()) {
        options_.unreadable->Remove(resource_.kind, meta->key);
      }
    } else if (const auto* remove = std::get_if<RemoveObject>(&effect)) {
      sink_.Remove(remove->key, remove->uid);
      if (options_.unreadable != nullptr) options_.unreadable->Remove(resource_.kind, remove->key);
    } else if (std::holds_alternative<TakeOlder>(effect)) {
      sink_.TakeOlder();
    } else {
      const auto& listed = std::get<FinishList>(effect).listed;
      sink_.FinishList(listed);
      if (options_.unreadable != nullptr) options_.unreadable->FinishList(resource_.kind, listed);
    }
  }

  bool Wanted(std::string_view json) const {
    if (!options_.keep) return true;
    const auto meta = ScanMeta(json);
    return !meta.ok() || options_.keep(meta->key.ns);  // what can't be read is told of
  }

  void Undecodable(std::string_view json, const Error& why) {
    Count([](InformerCounters& counters) { ++counters.undecodable; });
    const auto meta = ScanMeta(json);
    const bool holds_up = meta.ok() && options_.unreadable != nullptr;
    if (holds_up) options_.unreadable->Add(resource_.kind, meta->key);
    const Millis now = clock_.Steady();
    if (last_undecodable_log_ && now - *last_undecodable_log_ < kLogInterval) return;
    last_undecodable_log_ = now;
    spdlog::error("{} {} can't be read{}: {}", resource_.kind,
                  meta.ok() ? ToString(meta->key) : "?",
                  holds_up ? ", and nothing is done in its namespace" : "", Redact(why.message));
  }

  void LogTrouble() {
    if (!state_.error || state_.failures == 0) {
      if (logged_trouble_) spdlog::info("{}: watched again", resource_.plural);
      logged_trouble_ = false;
      return;
    }
    // Each doubling of the back-off is news, what comes at the longest one is not.
    if (logged_trouble_ && state_.failures > 6) return;
    logged_trouble_ = true;
    spdlog::warn("{}: {} (failure {}, next: {})", resource_.plural, Redact(state_.error->message),
                 state_.failures, state_.next == WatchState::Next::kList ? "list" : "watch");
  }

  template <class Change>
  void Count(const Change& change) {
    const std::lock_guard lock(mutex_);
    change(counters_);
  }

  void Touch() {
    Count([now = clock_.Steady()](InformerCounters& counters) { counters.last_contact = now; });
  }

  Transport& transport_;
  const Clock& clock_;
  const Resource resource_;
  const InformerOptions options_;
  const WatchPolicy policy_;
  InformerSink& sink_;
  std::mt19937_64 random_;

  // The informer's thread alone uses these.
  WatchState state_;
  std::vector<WatchEffect> effects_;
  std::optional<Millis> last_undecodable_log_;
  bool logged_trouble_ = false;

  mutable std::mutex mutex_;
  std::condition_variable_any sleeping_;
  InformerCounters counters_;
  std::jthread thread_;  // last: it uses the others
};

InformerLoop::InformerLoop(Transport& transport, const Clock& clock, Resource resource,
                           InformerOptions options, InformerSink& sink)
    : impl_(std::make_unique<Impl>(transport, clock, std::move(resource), std::move(options),
                                   sink)) {}
InformerLoop::~InformerLoop() {
  impl_->Stop();
}
void InformerLoop::Start() {
  impl_->Start();
}
void InformerLoop::Stop() {
  impl_->Stop();
}
InformerCounters InformerLoop::Counters() const {
  return impl_->Counters();
}

Status WithJson(std::string_view text, const std::function<Status(const nlohmann::json&)>& use) {
  if (!DepthWithin(text, kDeepest)) return Error{Errc::kInvalid, "the JSON nests too deep"};
  const nlohmann::json object = nlohmann::json::parse(WithoutManagedFields(text), nullptr, false);
  if (!object.is_object()) return Error{Errc::kInvalid, "not a JSON object"};
  try {
    return use(object);
  } catch (const std::exception& e) {  // of the JSON library: a member of another type
    return Error{Errc::kInvalid, e.what()};
  }
}

}  // namespace perennial::kube
