#include "scrape/window.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "scrape/window_key.h"

namespace perennial::scrape {
namespace {

constexpr std::size_t kMaxLanes = 4;
constexpr std::size_t kMaxDeparted = 8;  // beside as many as there are targets
constexpr std::size_t kMaxForgotten = 1'000;
// `_created` and process_start_time_seconds are derived from clocks and tick counts: values that
// differ by less are the same start.
constexpr double kSameStart = 1.5;
// A start this far in the future is a wrong clock, not a young process.
constexpr double kMaxSkew = 300;

std::size_t LogWidth(SeriesKind kind, std::size_t bounds) {
  switch (kind) {
    case SeriesKind::kHistogram:
      return bounds + 1;  // per bucket, sum
    case SeriesKind::kCounter:
      return 1;                 // increase
    case SeriesKind::kGauge:    // sum of samples, number of samples
    case SeriesKind::kSummary:  // count, sum
      return 2;
    case SeriesKind::kUnknown:
      return 3;  // increase, sum of samples, number of samples
  }
  return 1;
}

// Is it a sample at all? A counter that is not a number says nothing.
bool Usable(const Series& series) {
  const bool counts = series.kind == SeriesKind::kCounter || series.kind == SeriesKind::kUnknown;
  return !counts || std::isfinite(series.value);
}

// A failure without where on the page it was ("line 7, column 3: ").
std::string_view Reason(std::string_view message) {
  const std::size_t colon = message.find(": ");
  return message.starts_with("line ") && colon != message.npos ? message.substr(colon + 2)
                                                               : message;
}

std::size_t HashOf(std::string_view id) {
  return std::hash<std::string_view>()(id);
}

double UnixSeconds(WallTime wall, Millis ago) {
  return static_cast<double>((wall.time_since_epoch() - ago).count()) / 1000;
}

// Did what began at `before` begin again after `seen`? A start that moves but stays long before
// that is the start of the same process by a clock that was set meanwhile.
bool StartedSince(double seen, const std::optional<double>& before,
                  const std::optional<double>& now) {
  return now && before && *now > *before + kSameStart && *now > seen - kMaxSkew;
}

// Since when a page counts, for all of its series alike: a series that was first used within the
// window must not be counted from zero beside others that were not. Clients write `_created` for
// each set of labels when it is first used.
std::optional<double> StartOf(const Scrape& scrape) {
  if (scrape.process_start_time) return scrape.process_start_time;
  std::optional<double> start;
  for (const Series& series : scrape.series) {
    if (series.created && !(start && *start <= *series.created)) start = series.created;
  }
  return start;
}

}  // namespace

struct VariantWindow::Pass {
  TargetState& target;
  const Scrape& scrape;
  Millis now;
  WallTime wall;
  std::optional<Millis> began = std::nullopt;  // what counts on the page, if inside the retention
  bool restarted = false;
  std::vector<Baseline> old{};
  std::vector<std::int32_t> old_of_series{};  // index into old, -1: none or used
  PackedNumbers packed{};
};

std::shared_ptr<const WantedSince> WantedSince::Always(std::vector<std::string> names) {
  auto metrics = std::make_shared<const WantedMetrics>(std::move(names));
  std::vector<Millis> since(metrics->names().size(), Millis{0});
  return std::make_shared<const WantedSince>(std::move(metrics), std::move(since));
}

std::optional<Millis> WantedSince::Of(std::string_view metric) const {
  const auto& names = metrics_->names();
  const auto it = std::ranges::lower_bound(names, metric);
  if (it == names.end() || *it != metric) return std::nullopt;
  return since_[static_cast<std::size_t>(it - names.begin())];
}

VariantWindow::VariantWindow(WindowOptions options, std::shared_ptr<const WantedSince> wanted,
                             Millis now)
    : options_(options), wanted_(std::move(wanted)), collected_(now) {}

void VariantWindow::Configure(WindowOptions options, std::shared_ptr<const WantedSince> wanted) {
  if (options.slot != options_.slot) {
    for (SeriesState& state : series_) {
      for (Lane& lane : state.lanes) lane.log = DeltaLog(lane.log.width());
    }
    first_ = kNever;
  }
  if (options.totals_since != options_.totals_since) {
    for (SeriesState& state : series_) {
      for (Lane& lane : state.lanes) std::vector<double>().swap(lane.totals);
    }
  }
  options_ = options;
  wanted_ = std::move(wanted);
  std::vector<bool> dead(series_.size(), false);
  for (std::uint32_t place : order_) {
    const auto [metric, labels] = SplitKey(series_[place].key);
    dead[place] = !wanted_->Of(metric);
  }
  Forget(dead);
}

// Rounds down, also before zero: a steady clock may have started after the pods did.
std::int64_t VariantWindow::SlotOf(Millis time) const {
  return time.count() / options_.slot.count() - (time % options_.slot < Millis{0} ? 1 : 0);
}

const VariantWindow::TargetState* VariantWindow::Find(std::string_view id) const {
  const auto it = std::ranges::find(targets_, id, &TargetState::id);
  return it == targets_.end() ? nullptr : &*it;
}

VariantWindow::TargetState* VariantWindow::Find(std::string_view id) {
  return const_cast<TargetState*>(std::as_const(*this).Find(id));
}

bool VariantWindow::HasTaken(std::string_view id, WallTime page) const {
  if (const TargetState* target = Find(id)) return page <= target->page;
  const auto gone = std::ranges::find(departed_, HashOf(id), &Departed::id);
  return gone != departed_.end() && page <= gone->page;
}

void VariantWindow::AddTarget(std::string_view id) {
  if (TargetState* target = Find(id)) {
    target->removed = kNever;
    return;
  }
  TargetState& target = targets_.emplace_back();
  target.id = id;
  const auto gone = std::ranges::find(departed_, HashOf(id), &Departed::id);
  if (gone == departed_.end()) return;
  target.scraped = gone->scraped;
  target.page = gone->page;
  target.forgotten = true;
  departed_.erase(gone);
}

void VariantWindow::RemoveTarget(std::string_view id, Millis now) {
  TargetState* target = Find(id);
  if (target == nullptr || target->removed != kNever) return;
  target->removed = now;
  target->failing = false;
  target->problems = {};
  const auto departed = [](const TargetState& t) { return t.removed != kNever; };
  std::erase_if(targets_,
                [](const TargetState& t) { return t.removed != kNever && t.scraped == kNever; });
  const auto gone = static_cast<std::size_t>(std::ranges::count_if(targets_, departed));
  if (gone <= kMaxDeparted + (targets_.size() - gone)) return;
  Evict(std::ranges::min_element(
      targets_, {}, [&](const TargetState& t) { return departed(t) ? t.removed : Millis::max(); }));
}

void VariantWindow::Evict(std::vector<TargetState>::iterator target) {
  if (departed_.size() >= kMaxForgotten) {
    departed_.erase(std::ranges::min_element(departed_, {}, &Departed::scraped));
  }
  departed_.push_back({HashOf(target->id), target->scraped, target->page});
  targets_.erase(target);
}

bool VariantWindow::has_targets() const {
  return std::ranges::any_of(targets_, [](const TargetState& t) { return t.removed == kNever; });
}

bool VariantWindow::Expired(Millis now) const {
  if (has_targets() || options_.totals_since) return false;
  return newest_ == kNever || newest_ < now - options_.retention;
}

void VariantWindow::RecordFailure(std::string_view id, const Error& error) {
  TargetState* target = Find(id);
  if (target == nullptr || target->removed != kNever) return;
  // A page that grows is wrong in another line at every scrape, for the same reason.
  const bool known = target->failing && !target->problems.empty() &&
                     Reason(target->problems.front()) == Reason(error.message);
  if (!known) target->problems.assign(1, error.message);
  target->failing = true;
}

void VariantWindow::Ingest(std::string_view id, const Scrape& scrape, Millis now, WallTime wall) {
  Collect(now);
  TargetState* target = Find(id);
  if (target == nullptr || target->removed != kNever) return;
  // A page is later than the one before it, whatever a clock that was set meanwhile says.
  now = std::max(now, target->scraped);
  const Millis oldest = now - options_.retention;
  if (newest_ != kNever && newest_ < oldest) first_ = kNever;
  if (target->scraped != kNever && target->scraped < oldest) {
    target->scraped = kNever;  // too long ago to say anything about the window
    target->forgotten = false;
    PackedNumbers().swap(target->counters);
  }

  Pass pass{.target = *target, .scrape = scrape, .now = now, .wall = wall};
  pass.began = BeganAt(StartOf(scrape), pass);
  if (target->scraped != kNever) {
    pass.restarted = StartedSince(UnixSeconds(wall, now - target->scraped), target->process_start,
                                  scrape.process_start_time);
  }
  pass.old = UnpackBaselines(target->counters, target->scraped);
  pass.old_of_series.assign(series_.size(), -1);
  for (std::size_t i = 0; i < pass.old.size(); ++i) {
    pass.old_of_series[pass.old[i].series] = static_cast<std::int32_t>(i);
  }
  pass.packed.reserve(target->counters.size() + 16);
  bool partial = !scrape.problems.empty();
  for (const Series& series : scrape.series) {
    if (!Usable(series) || !IngestSeries(series, pass)) partial = true;
  }
  for (const std::int32_t i : pass.old_of_series) {
    // Not on this page: kept for a while, because it may come back with the same counters.
    if (i >= 0 && !pass.restarted && pass.old[static_cast<std::size_t>(i)].seen >= oldest &&
        pass.packed.size() <= options_.max_counter_bytes) {
      PackBaseline(pass.old[static_cast<std::size_t>(i)], now, pass.packed);
    }
  }
  pass.packed.shrink_to_fit();
  target->counters = std::move(pass.packed);
  target->scraped = now;
  target->page = wall;
  target->failing = false;
  target->forgotten = false;
  target->partial = partial;
  if (scrape.process_start_time) target->process_start = scrape.process_start_time;
  target->problems = scrape.problems;
  newest_ = std::max(newest_, now);
  if (first_ == kNever) first_ = now;
  Shorten(now);
}

// False if there is no room for the series.
bool VariantWindow::IngestSeries(const Series& series, Pass& pass) {
  if (pass.packed.size() > options_.max_counter_bytes) {
    too_large_ = true;
    return false;
  }
  const auto place = FindSeries(series, pass.now);
  if (!place) return false;
  Lane* lane = FindLane(series_[*place], series.bounds, pass.now);
  if (lane == nullptr) return false;

  Baseline after{*place, lane->id, pass.now, series.created, NumbersOf(series)};
  if (series.kind == SeriesKind::kGauge) {
    if (std::isfinite(series.value)) AddDelta(*lane, {series.value, 1}, pass.now, pass.now);
  } else if (series.kind == SeriesKind::kUnknown) {
    AddDelta(*lane, {0, series.value, 1}, pass.now, pass.now);
  }
  Baseline delta = after;
  std::optional<Millis> from;
  if (*place < pass.old_of_series.size() && pass.old_of_series[*place] >= 0) {
    const Baseline& before = pass.old[static_cast<std::size_t>(pass.old_of_series[*place])];
    pass.old_of_series[*place] = -1;
    from = CountedSince(series, before, delta, pass);
  } else {
    from = CountedFrom(series, pass);
  }
  if (series.kind == SeriesKind::kUnknown) delta.numbers.insert(delta.numbers.end(), {0, 0});
  if (from && series.kind != SeriesKind::kGauge) AddDelta(*lane, delta.numbers, *from, pass.now);
  PackBaseline(after, pass.now, pass.packed);
  return true;
}

// Takes off `delta` what was counted before, and says since when the rest was; nullopt if that
// cannot be known.
std::optional<Millis> VariantWindow::CountedSince(const Series& series, const Baseline& before,
                                                  Baseline& delta, const Pass& pass) const {
  const double seen = UnixSeconds(pass.wall, pass.now - before.seen);
  if (pass.restarted || StartedSince(seen, before.created, delta.created)) return before.seen;
  if (before.lane != delta.lane) {
    // Another layout is another program, so it began at zero. But a layout that was forgotten
    // meanwhile has a new number, though it may be the very same.
    const auto& lanes = series_[delta.series].lanes;
    if (std::ranges::find(lanes, before.lane, &Lane::id) == lanes.end()) return std::nullopt;
    return before.seen;
  }
  if (AnyCountFell(series.kind, before, delta)) return before.seen;
  for (std::size_t i = 0; i < delta.numbers.size(); ++i) delta.numbers[i] -= before.numbers[i];
  return before.seen;
}

// Since when the counters of a series that this target did not have before have been counting;
// nullopt if that is not known or before everything we keep.
std::optional<Millis> VariantWindow::CountedFrom(const Series& series, const Pass& pass) const {
  const TargetState& target = pass.target;
  if (target.forgotten) return std::nullopt;
  const std::optional<Millis> wanted = wanted_->Of(series.metric);
  if (target.scraped == kNever || !wanted || *wanted > target.scraped) return pass.began;
  if (!target.partial) return target.scraped;
  // After a page of which something was left out nobody knows whether it was this.
  return BeganAt(series.created ? series.created : pass.scrape.process_start_time, pass);
}

// When that was, if it is known and within what we keep.
std::optional<Millis> VariantWindow::BeganAt(std::optional<double> start, const Pass& pass) const {
  if (!start) return std::nullopt;
  const double age = UnixSeconds(pass.wall, Millis{0}) - *start;
  const double retention = static_cast<double>(options_.retention.count()) / 1000;
  if (!(age >= -kMaxSkew) || age > retention) return std::nullopt;
  return pass.now - Millis(static_cast<std::int64_t>(std::max(age, 0.0) * 1000));
}

void VariantWindow::AddDelta(Lane& lane, const std::vector<double>& delta, Millis from,
                             Millis now) {
  lane.newest = now;
  from = std::min(from, now);
  const bool kept = from >= forgotten_;
  if (kept && (first_ == kNever || from < first_)) first_ = from;
  if (std::ranges::all_of(delta, [](double number) { return number == 0; })) return;
  if (options_.totals_since && from >= *options_.totals_since) {
    lane.totals.resize(delta.size(), 0);
    for (std::size_t i = 0; i < delta.size(); ++i) lane.totals[i] += delta[i];
  }
  const Millis oldest = now - options_.retention;
  lane.log.DropBefore(SlotOf(oldest));
  if (kept && SlotOf(from) >= SlotOf(oldest)) lane.log.Add(SlotOf(from), delta);
}

std::optional<std::uint32_t> VariantWindow::FindSeries(const Series& series, Millis now) {
  std::string key = MakeKey(series.metric, series.labels, series.kind);
  const auto key_of = [this](std::uint32_t place) -> const std::string& {
    return series_[place].key;
  };
  const auto it = std::ranges::lower_bound(order_, key, {}, key_of);
  if (it != order_.end() && series_[*it].key == key) {
    series_[*it].seen = now;
    return *it;
  }
  if (held_ > options_.max_bytes) {
    too_large_ = true;
    return std::nullopt;
  }
  if (order_.size() >= options_.max_series) {
    too_many_series_ = true;
    return std::nullopt;
  }
  std::uint32_t place = static_cast<std::uint32_t>(series_.size());
  if (free_.empty()) {
    series_.emplace_back();
  } else {
    place = free_.back();
    free_.pop_back();
  }
  order_.insert(it, place);
  series_[place].key = std::move(key);
  series_[place].kind = series.kind;
  series_[place].seen = now;
  return place;
}

// nullptr if there are too many layouts in use.
VariantWindow::Lane* VariantWindow::FindLane(SeriesState& state, const std::vector<double>& bounds,
                                             Millis now) {
  const auto it = std::ranges::find(state.lanes, bounds, &Lane::bounds);
  if (it != state.lanes.end()) {
    it->newest = now;
    return &*it;
  }
  if (state.lanes.size() >= kMaxLanes) {
    const auto oldest = std::ranges::min_element(state.lanes, {}, &Lane::newest);
    if (oldest->newest + options_.interval * 2 >= now) {
      too_many_layouts_ = true;
      return nullptr;
    }
    state.lanes.erase(oldest);
  }
  const std::size_t width = LogWidth(state.kind, bounds.size());
  held_ += sizeof(SeriesState) + sizeof(Lane) + 2 * width * sizeof(double);
  return &state.lanes.emplace_back(Lane{state.next_lane++, bounds, DeltaLog(width), {}, now});
}

}  // namespace perennial::scrape
