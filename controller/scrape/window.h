#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "scrape/delta_log.h"
#include "scrape/exposition.h"
#include "scrape/window_baseline.h"
#include "scrape/window_view.h"

namespace perennial::scrape {

struct WindowOptions {
  Millis interval{60'000};
  Millis retention{3'600'000};
  Millis slot{60'000};
  std::optional<Millis> totals_since{};  // add up what began later, without an end
  std::size_t max_series = 2'000;
  // About what the series may take: bounds and counts by time slot. Beyond it the window gets
  // shorter.
  std::size_t max_bytes = std::size_t{4} << 20;
  // What the newest counters of one pod may take; series beyond it are left out.
  std::size_t max_counter_bytes = std::size_t{256} << 10;

  bool operator==(const WindowOptions&) const = default;
};

// Wanted metrics, with the steady time since which each has been wanted.
class WantedSince {
 public:
  // `since`: one for each of metrics->names().
  WantedSince(std::shared_ptr<const WantedMetrics> metrics, std::vector<Millis> since)
      : metrics_(std::move(metrics)), since_(std::move(since)) {}

  // All of them since the clock began: for windows that are made for a few pages.
  static std::shared_ptr<const WantedSince> Always(std::vector<std::string> names);

  // nullopt: it isn't wanted.
  std::optional<Millis> Of(std::string_view metric) const;

 private:
  std::shared_ptr<const WantedMetrics> metrics_;
  std::vector<Millis> since_;
};

// Sliding windows of all series of one variant, added up over its pods as scrapes come in. Per pod
// only the newest counters are kept, per series a few bytes for each time slot.
//
// Rules (each has a test):
// - A falling bucket, `_count` or counter means that the whole series was reset: its new values are
//   the increase. So do a later process start and a later `_created`, which also show resets to
//   higher values, unless they lie long before the scrape that was compared with: then somebody's
//   clock was set. A falling `_sum` alone does not: observations may be negative.
// - A delta belongs to the slot in which it began, as PromQL counts what lies between the samples
//   inside a range; so a delta over missed scrapes never brings more than a window into the window.
// - The first scrape of a pod counts all of its series since one time, or none of them: since
//   process_start_time_seconds, or the earliest `_created` of the page where that is missing. Older
//   than the retention, or not known: none; else all of it, in the slot of that time. So do metrics
//   that are wanted since the last scrape. A series that appears later on a pod that was scraped
//   before began at zero in between.
// - Counts of different bucket bounds are merged at their common bounds if one set contains the
//   other; else the window restarts with the newest bounds and a problem says so. At most 4 layouts
//   of a series at a time; counters whose old layout is forgotten say nothing about the increase.
// - Non-finite counters are no samples. A gauge is averaged over pods and scrapes.
// Time is an argument everywhere. Steady time orders everything; wall time only tells the age of a
// process. Not thread-safe.
class VariantWindow {
 public:
  VariantWindow(WindowOptions options, std::shared_ptr<const WantedSince> wanted, Millis now);

  // Another slot width restarts the windows; metrics that are not wanted any more are forgotten.
  void Configure(WindowOptions options, std::shared_ptr<const WantedSince> wanted);

  // A target that was removed and comes back within the retention continues with its counters. Of
  // many that were removed only the latest have them: others count nothing at their next page.
  void AddTarget(std::string_view id);
  void RemoveTarget(std::string_view id, Millis now);
  bool has_targets() const;
  // Nothing to show any more: no target, and nothing within the retention.
  bool Expired(Millis now) const;

  // Was that page of the target taken in, or a later one? Of a Prometheus that is asked again for
  // what it told before.
  bool HasTaken(std::string_view target, WallTime page) const;
  // Unknown targets are ignored.
  void Ingest(std::string_view target, const Scrape& scrape, Millis now, WallTime wall);
  void RecordFailure(std::string_view target, const Error& error);

  // See SampleStore::View and TotalsView.
  WindowView View(Millis window, Millis offset, Millis now) const;
  WindowView Totals(Millis now) const;
  // Who is there and up, and what is wrong; without series.
  WindowView Header(Millis now) const;

  std::size_t series_count() const;
  // Estimate of the memory held.
  std::size_t bytes() const;

 private:
  static constexpr Millis kNever = Millis::min();

  // Windows of one bucket layout; anything but a histogram has one, without bounds.
  struct Lane {
    std::uint32_t id = 0;
    std::vector<double> bounds;
    DeltaLog log;
    std::vector<double> totals;  // empty unless wanted
    Millis newest{0};
  };
  struct SeriesState {
    std::string key;  // metric, labels and kind; empty: the place is free
    SeriesKind kind = SeriesKind::kUnknown;
    std::uint32_t next_lane = 0;
    Millis seen{0};
    std::vector<Lane> lanes;
  };
  struct TargetState {
    std::string id;
    Millis scraped = kNever;          // last success
    WallTime page = WallTime::min();  // when that was, by the clock of whoever scraped
    Millis removed = kNever;          // gone, but may come back
    bool failing = false;
    bool forgotten = false;  // it was counted, but nobody knows any more how far
    bool partial = false;    // not every wanted series of the last page was taken
    std::optional<double> process_start;
    PackedNumbers counters;  // baselines
    std::vector<std::string> problems;
  };
  // Of a target that is gone, beside those that are kept: what it exposes was counted.
  struct Departed {
    std::size_t id = 0;  // hash
    Millis scraped = kNever;
    WallTime page = WallTime::min();
  };
  struct Pass;     // state of one Ingest()
  struct Counted;  // what bucket layouts counted in a range

  TargetState* Find(std::string_view id);
  const TargetState* Find(std::string_view id) const;
  void Evict(std::vector<TargetState>::iterator target);
  std::int64_t SlotOf(Millis time) const;
  std::optional<std::uint32_t> FindSeries(const Series& series, Millis now);
  Lane* FindLane(SeriesState& state, const std::vector<double>& bounds, Millis now);
  std::optional<Millis> CountedFrom(const Series& series, const Pass& pass) const;
  std::optional<Millis> BeganAt(std::optional<double> start, const Pass& pass) const;
  bool IngestSeries(const Series& series, Pass& pass);
  std::optional<Millis> CountedSince(const Series& series, const Baseline& before, Baseline& after,
                                     const Pass& pass) const;
  void AddDelta(Lane& lane, const std::vector<double>& delta, Millis from, Millis now);
  // Frees series that nothing refers to, at most once in a while.
  void Collect(Millis now);
  void Shorten(Millis now);
  std::size_t SeriesBytes() const;
  void Forget(const std::vector<bool>& dead);

  void Gauges(std::vector<std::pair<double, int>>& sums) const;
  WindowView Build(std::int64_t first, std::int64_t last, bool totals, Millis now) const;
  bool IsReplaced(std::size_t i) const;
  std::vector<const Lane*> LanesInOrder(const SeriesState& state) const;
  std::optional<Counted> SumLanes(const SeriesState& state, std::int64_t first, std::int64_t last,
                                  bool totals, WindowView& view) const;

  WindowOptions options_;
  std::shared_ptr<const WantedSince> wanted_;
  std::vector<SeriesState> series_;   // places are stable: baselines refer to them
  std::vector<std::uint32_t> order_;  // places in use, by key
  std::vector<std::uint32_t> free_;
  std::vector<TargetState> targets_;
  std::vector<Departed> departed_;
  Millis first_ = kNever;   // beginning of the oldest delta or sample
  Millis newest_ = kNever;  // newest successful scrape
  // Nothing that began earlier is kept, because there was no room for it.
  Millis forgotten_ = kNever;
  std::size_t held_ = 0;  // by the series, about: exact after Shorten()
  Millis collected_{0};
  // Since the last Collect(): what was left out because of a limit.
  bool too_many_series_ = false;
  bool too_many_layouts_ = false;
  bool too_large_ = false;
};

}  // namespace perennial::scrape
