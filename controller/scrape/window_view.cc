#include "scrape/window_view.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "scrape/window.h"
#include "scrape/window_key.h"

namespace perennial::scrape {
namespace {

// Neither byte occurs in UTF-8, so that keys of different labels differ.
constexpr char kNameEnd = '\xFF';
constexpr char kValueEnd = '\xFE';
constexpr std::size_t kMaxProblems = 8;

void AddProblem(std::vector<std::string>& problems, std::string text) {
  if (problems.size() < kMaxProblems && std::ranges::find(problems, text) == problems.end()) {
    problems.push_back(std::move(text));
  }
}

std::string Times(std::size_t count, std::size_t all, const char* what) {
  return std::to_string(count) + " of " + std::to_string(all) + what;
}

}  // namespace

struct VariantWindow::Counted {
  std::vector<double> bounds;
  std::vector<double> numbers;  // per bucket, then sum

  Counted Coarsened(const std::vector<double>& common) const;
  bool Merge(const Counted& other);
  void Fill(SeriesWindow& window) const;
};

// Exact, because `common` is a subset of the bounds: buckets are only put together.
VariantWindow::Counted VariantWindow::Counted::Coarsened(const std::vector<double>& common) const {
  Counted coarse{common, std::vector<double>(common.size() + 1, 0)};
  std::size_t to = 0;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    while (common[to] < bounds[i]) ++to;
    coarse.numbers[to] += numbers[i];
  }
  coarse.numbers.back() = numbers.back();
  return coarse;
}

// Adds `other` if one layout contains the other and two bounds are left; false: it cannot be added.
bool VariantWindow::Counted::Merge(const Counted& other) {
  const bool contains = std::ranges::includes(bounds, other.bounds);
  if (!contains && !std::ranges::includes(other.bounds, bounds)) return false;
  const std::vector<double> common = contains ? other.bounds : bounds;
  if (common.size() < 2) return false;
  *this = Coarsened(common);
  const Counted addend = other.Coarsened(common);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] += addend.numbers[i];
  return true;
}

void VariantWindow::Counted::Fill(SeriesWindow& window) const {
  const std::vector<double>& n = numbers;
  switch (window.kind) {
    case SeriesKind::kHistogram:
      window.bounds = bounds;
      window.counts.assign(n.begin(), n.end() - 1);
      for (const double count : window.counts) window.count += count;
      window.sum = n.back();
      break;
    case SeriesKind::kSummary:
      window.count = n[0];
      window.sum = n[1];
      break;
    case SeriesKind::kCounter:
      window.increase = n[0];
      break;
    case SeriesKind::kGauge:
      window.sum = n[0];
      window.count = n[1];
      break;
    case SeriesKind::kUnknown:
      window.increase = n[0];
      window.sum = n[1];
      window.count = n[2];
      break;
  }
}

std::string MakeKey(std::string_view metric, const Labels& labels, SeriesKind kind) {
  std::string key(metric);
  key.push_back(kValueEnd);
  for (const auto& [name, value] : labels) {
    key.append(name).push_back(kNameEnd);
    key.append(value).push_back(kValueEnd);
  }
  key.push_back(static_cast<char>('0' + static_cast<int>(kind)));
  key.shrink_to_fit();
  return key;
}

std::string_view NameOfKey(std::string_view key) {
  return key.substr(0, key.size() - 1);
}

std::pair<std::string_view, Labels> SplitKey(std::string_view key) {
  key = NameOfKey(key);
  const std::size_t metric = key.find(kValueEnd);
  std::pair<std::string_view, Labels> parts{key.substr(0, metric), {}};
  key.remove_prefix(metric + 1);
  while (!key.empty()) {
    const std::size_t name = key.find(kNameEnd);
    const std::size_t value = key.find(kValueEnd, name);
    parts.second.emplace_back(key.substr(0, name), key.substr(name + 1, value - name - 1));
    key.remove_prefix(value + 1);
  }
  return parts;
}

WindowView VariantWindow::View(Millis window, Millis offset, Millis now) const {
  const Millis end = now - offset;
  const Millis begin = end - window;
  // A past window ends before the slot in which the next one begins, so that none counts twice.
  const std::int64_t last = offset > Millis{0} ? SlotOf(end) - 1 : SlotOf(end);
  WindowView view = Build(SlotOf(begin), last, false, now);
  if (first_ != kNever) {
    view.covered = std::max(Millis{0}, std::min(newest_, end) - std::max(first_, begin));
  }
  return view;
}

WindowView VariantWindow::Totals(Millis now) const {
  if (!options_.totals_since) return Header(now);
  WindowView view = Build(0, 0, true, now);
  if (first_ != kNever) {
    view.covered = std::max(Millis{0}, newest_ - *options_.totals_since);
  }
  return view;
}

WindowView VariantWindow::Header(Millis now) const {
  WindowView view;
  std::map<std::string_view, std::size_t> failures;
  const Millis patience = std::max(options_.interval * 3, options_.interval + Millis{30'000});
  for (const TargetState& target : targets_) {
    if (target.removed != kNever) continue;
    ++view.targets;
    if (!target.failing && target.scraped != kNever && now - target.scraped <= patience) {
      ++view.targets_up;
    }
    if (target.failing) {
      ++failures[target.problems.empty() ? std::string_view() : target.problems.front()];
    }
  }
  if (newest_ != kNever) view.newest_age = std::max(Millis{0}, now - newest_);
  for (const auto& [why, count] : failures) {
    AddProblem(view.problems,
               Times(count, static_cast<std::size_t>(view.targets), " targets failed: ") +
                   std::string(why));
  }
  for (const TargetState& target : targets_) {
    if (target.removed != kNever || target.failing) continue;
    for (const std::string& problem : target.problems) AddProblem(view.problems, problem);
  }
  if (too_many_series_) {
    AddProblem(view.problems, "more than " + std::to_string(options_.max_series) +
                                  " series; the others were left out");
  }
  if (too_many_layouts_) {
    AddProblem(view.problems, "too many different bucket bounds; some were left out");
  }
  if (too_large_ || (forgotten_ != kNever && forgotten_ > now - options_.retention)) {
    AddProblem(view.problems, "the series take more than " +
                                  std::to_string(options_.max_bytes >> 10) +
                                  " KiB: the window is shorter, or series were left out");
  }
  return view;
}

// Per place of series_: sum and number of the newest values on targets that are up.
void VariantWindow::Gauges(std::vector<std::pair<double, int>>& sums) const {
  const auto is_gauge = [this](std::uint32_t place) {
    const SeriesKind kind = series_[place].kind;
    return kind == SeriesKind::kGauge || kind == SeriesKind::kUnknown;
  };
  if (!std::ranges::any_of(order_, is_gauge)) return;
  for (const TargetState& target : targets_) {
    if (target.removed != kNever || target.failing) continue;
    for (const Baseline& baseline : UnpackBaselines(target.counters, target.scraped)) {
      if (!is_gauge(baseline.series) || baseline.seen != target.scraped) continue;
      const double value = baseline.numbers.front();
      if (std::isnan(value)) continue;
      sums[baseline.series].first += value;
      ++sums[baseline.series].second;
    }
  }
}

// Is there the same series with another type that was seen later? Keys that differ by kind only
// stand side by side.
bool VariantWindow::IsReplaced(std::size_t i) const {
  const SeriesState& state = series_[order_[i]];
  const auto same = [&](std::size_t k) {
    return NameOfKey(series_[order_[k]].key) == NameOfKey(state.key);
  };
  std::size_t first = i;
  while (first > 0 && same(first - 1)) --first;
  for (std::size_t k = first; k < order_.size() && same(k); ++k) {
    if (series_[order_[k]].seen > state.seen) return true;
  }
  return false;
}

// Newest layout first; the newer of two that are both being reported is the one to keep.
std::vector<const VariantWindow::Lane*> VariantWindow::LanesInOrder(
    const SeriesState& state) const {
  std::vector<const Lane*> lanes;
  for (const Lane& lane : state.lanes) lanes.push_back(&lane);
  std::ranges::sort(lanes, [&](const Lane* a, const Lane* b) {
    const bool current_a = a->newest + options_.interval * 2 >= state.seen;
    const bool current_b = b->newest + options_.interval * 2 >= state.seen;
    return current_a != current_b ? current_a : a->id > b->id;
  });
  return lanes;
}

// What the series counted in the slots first..last, or its totals; nullopt if it has no layout.
std::optional<VariantWindow::Counted> VariantWindow::SumLanes(const SeriesState& state,
                                                              std::int64_t first, std::int64_t last,
                                                              bool totals, WindowView& view) const {
  std::optional<Counted> sum;
  for (const Lane* lane : LanesInOrder(state)) {
    Counted counted{lane->bounds, std::vector<double>(lane->log.width(), 0)};
    bool any = false;
    if (totals) {
      any = !lane->totals.empty();
      if (any) counted.numbers = lane->totals;
    } else {
      any = lane->log.Sum(first, last, counted.numbers);
    }
    if (!sum) {
      sum = std::move(counted);
    } else if (any) {
      const bool merged = sum->Merge(counted);
      AddProblem(view.problems, "bucket bounds of " + std::string(SplitKey(state.key).first) +
                                    (merged ? " differ; counted at the common bounds"
                                            : " changed; its window restarted"));
    }
  }
  return sum;
}

WindowView VariantWindow::Build(std::int64_t first, std::int64_t last, bool totals,
                                Millis now) const {
  WindowView view = Header(now);
  std::vector<std::pair<double, int>> gauges(series_.size());
  Gauges(gauges);
  view.series.reserve(order_.size());
  for (std::size_t i = 0; i < order_.size(); ++i) {
    const SeriesState& state = series_[order_[i]];
    auto [metric, labels] = SplitKey(state.key);
    if (IsReplaced(i)) {
      AddProblem(view.problems,
                 "type of " + std::string(metric) + " changed; its window restarted");
      continue;
    }
    SeriesWindow window;
    window.metric = metric;
    window.labels = std::move(labels);
    window.kind = state.kind;
    const std::optional<Counted> sum = SumLanes(state, first, last, totals, view);
    if (!sum) continue;
    sum->Fill(window);
    if (state.kind == SeriesKind::kGauge || state.kind == SeriesKind::kUnknown) {
      const auto& [value, count] = gauges[order_[i]];
      window.last = count > 0 ? value / count : std::numeric_limits<double>::quiet_NaN();
    }
    view.series.push_back(std::move(window));
  }
  std::ranges::sort(view.series, [](const SeriesWindow& a, const SeriesWindow& b) {
    return std::tie(a.metric, a.labels) < std::tie(b.metric, b.labels);
  });
  return view;
}

std::size_t VariantWindow::series_count() const {
  return order_.size();
}

namespace {

std::size_t Heap(const std::string& text) {
  return text.capacity() > 15 ? text.capacity() + 17 : 0;
}

}  // namespace

std::size_t VariantWindow::SeriesBytes() const {
  std::size_t bytes = series_.capacity() * sizeof(SeriesState) +
                      (order_.capacity() + free_.capacity()) * sizeof(std::uint32_t);
  for (const SeriesState& state : series_) {
    bytes += Heap(state.key) + state.lanes.capacity() * sizeof(Lane);
    for (const Lane& lane : state.lanes) {
      bytes += (lane.bounds.capacity() + lane.totals.capacity()) * sizeof(double) +
               lane.log.bytes() - sizeof(DeltaLog) + 48;
    }
  }
  return bytes;
}

std::size_t VariantWindow::bytes() const {
  std::size_t bytes = sizeof(*this) + SeriesBytes() + targets_.capacity() * sizeof(TargetState) +
                      departed_.capacity() * sizeof(Departed);
  for (const TargetState& target : targets_) {
    bytes += Heap(target.id) + target.counters.capacity() + 16;
    for (const std::string& problem : target.problems) bytes += sizeof(std::string) + Heap(problem);
  }
  return bytes;
}

}  // namespace perennial::scrape
