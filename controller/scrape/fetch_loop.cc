#include "scrape/fetch_loop.h"

#include <algorithm>
#include <utility>

namespace perennial::scrape {
namespace {

constexpr Millis kLongestWait{1'000};

}  // namespace

FetchLoop::FetchLoop(const Clock& clock, std::size_t in_flight, std::size_t idle_connections,
                     Owner owner)
    : clock_(clock),
      in_flight_(std::max<std::size_t>(in_flight, 2)),
      owner_(std::move(owner)),
      fetcher_(idle_connections) {}

FetchLoop::~FetchLoop() {
  Stop();
}

void FetchLoop::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void FetchLoop::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  fetcher_.Wake();
  thread_.join();
}

void FetchLoop::Changed() {
  changed_ = true;
  fetcher_.Wake();
}

void FetchLoop::Add(std::uint64_t job, std::string_view target, Millis interval) {
  schedule_.Add(job, target, interval, clock_.Steady());
  jobs_ = schedule_.size();
}

void FetchLoop::Remove(std::uint64_t job) {
  schedule_.Remove(job);
  jobs_ = schedule_.size();
}

void FetchLoop::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (changed_.exchange(false)) owner_.take_changes();
    StartDue();
    fetcher_.Poll(Wait(), [this](std::uint64_t job, Result<FetchSummary> outcome) {
      End(job, std::move(outcome));
    });
    running_ = fetcher_.in_flight();
  }
}

std::size_t FetchLoop::FreeSuspectSlots() const {
  const std::size_t most = in_flight_ / 2;
  return most > suspects_.size() ? most - suspects_.size() : 0;
}

void FetchLoop::StartDue() {
  const std::size_t busy = fetcher_.in_flight();
  if (busy >= in_flight_) return;
  for (const auto& due : schedule_.Take(clock_.Steady(), in_flight_ - busy, FreeSuspectSlots())) {
    if (schedule_.suspect(due.job)) suspects_.insert(due.job);
    auto exchange = owner_.begin(due.job, due.lateness);
    if (exchange.ok()) {
      fetcher_.Start(due.job, exchange->request, std::move(exchange->sink));
    } else {
      End(due.job, exchange.error());
    }
  }
  running_ = fetcher_.in_flight();
}

void FetchLoop::End(std::uint64_t job, Result<FetchSummary> outcome) {
  suspects_.erase(job);
  const Turn turn = owner_.end(job, std::move(outcome));
  const Millis now = clock_.Steady();
  schedule_.Finished(job, turn != Turn::kFailed, now);
  if (turn == Turn::kMore) schedule_.Again(job, now);
}

Millis FetchLoop::Wait() const {
  if (changed_) return Millis{0};
  if (fetcher_.in_flight() >= in_flight_) return kLongestWait;
  const auto next = schedule_.NextDue(FreeSuspectSlots() > 0);
  if (!next) return kLongestWait;
  return std::clamp(*next - clock_.Steady(), Millis{0}, kLongestWait);
}

}  // namespace perennial::scrape
