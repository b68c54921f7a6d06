#include <algorithm>

#include "scrape/window.h"

// What bounds the memory of windows.
namespace perennial::scrape {

void VariantWindow::Collect(Millis now) {
  const Millis pause = std::max(options_.retention / 8, options_.interval);
  if (now < collected_ + pause) return;
  collected_ = now;
  too_many_series_ = too_many_layouts_ = too_large_ = false;
  const Millis oldest = now - options_.retention;
  std::erase_if(targets_,
                [&](const TargetState& t) { return t.removed != kNever && t.removed < oldest; });
  std::erase_if(departed_, [&](const Departed& gone) { return gone.scraped < oldest; });
  departed_.shrink_to_fit();
  std::vector<bool> dead(series_.size(), false);
  for (std::uint32_t place : order_) {
    SeriesState& state = series_[place];
    for (Lane& lane : state.lanes) lane.log.DropBefore(SlotOf(oldest));
    std::erase_if(state.lanes, [&](const Lane& lane) {
      return lane.log.empty() && lane.totals.empty() && lane.newest < oldest;
    });
    dead[place] = state.lanes.empty();
  }
  Forget(dead);
}

// Whoever exposes many series with many buckets gets a shorter window: all series alike forget what
// is older, so that shares and quotients stay right. Where one slot is too much, new series are
// left out.
void VariantWindow::Shorten(Millis now) {
  held_ = SeriesBytes();
  if (held_ <= options_.max_bytes) return;
  too_large_ = true;
  Millis kept = std::min(options_.retention, now - std::max(first_, forgotten_));
  do {
    kept = kept * 3 / 4;
    const std::int64_t oldest = SlotOf(now - kept);
    for (const std::uint32_t place : order_) {
      for (Lane& lane : series_[place].lanes) lane.log.DropBefore(oldest);
    }
    forgotten_ = std::max(forgotten_, Millis(oldest * options_.slot.count()));
    held_ = SeriesBytes();
  } while (held_ > options_.max_bytes && kept >= options_.slot);
  first_ = std::max(first_, forgotten_);
}

void VariantWindow::Forget(const std::vector<bool>& dead) {
  if (std::ranges::find(dead, true) == dead.end()) return;
  for (TargetState& target : targets_) {
    PackedNumbers kept;
    for (const Baseline& baseline : UnpackBaselines(target.counters, target.scraped)) {
      if (!dead[baseline.series]) PackBaseline(baseline, target.scraped, kept);
    }
    kept.shrink_to_fit();
    target.counters = std::move(kept);
  }
  std::erase_if(order_, [&](std::uint32_t place) { return dead[place]; });
  for (std::uint32_t place = 0; place < dead.size(); ++place) {
    if (!dead[place]) continue;
    series_[place] = SeriesState{};
    free_.push_back(place);
  }
}

}  // namespace perennial::scrape
