#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "scrape/delta_log.h"
#include "scrape/exposition.h"

// Internal to the windows: what a target's counters stood at, kept in few bytes.
namespace perennial::scrape {

// Counters of one series on one target as of some scrape.
struct Baseline {
  std::uint32_t series = 0;
  std::uint32_t lane = 0;
  Millis seen{0};
  std::optional<double> created;
  std::vector<double> numbers;  // histogram: per bucket, then sum
};

// The numbers of a series that a later scrape is compared with.
std::vector<double> NumbersOf(const Series& series);
// Did a count fall? A sum may, with negative observations; counts never do. A cumulative count that
// falls makes one of the buckets fall.
bool AnyCountFell(SeriesKind kind, const Baseline& before, const Baseline& after);

// `scraped`: when the target was scraped last; what was seen then takes fewer bytes.
void PackBaseline(const Baseline& baseline, Millis scraped, PackedNumbers& out);
std::vector<Baseline> UnpackBaselines(const PackedNumbers& packed, Millis scraped);

}  // namespace perennial::scrape
