#include "scrape/window_baseline.h"

#include <cstddef>

namespace perennial::scrape {
namespace {

enum : std::uint8_t { kVanished = 1, kHasCreated = 2 };

}  // namespace

std::vector<double> NumbersOf(const Series& series) {
  switch (series.kind) {
    case SeriesKind::kHistogram: {
      std::vector<double> numbers(series.cumulative.size() + 1);
      double before = 0;
      for (std::size_t i = 0; i < series.cumulative.size(); ++i) {
        numbers[i] = series.cumulative[i] - before;
        before = series.cumulative[i];
      }
      numbers.back() = series.sum;
      return numbers;
    }
    case SeriesKind::kSummary:
      return {series.count, series.sum};
    case SeriesKind::kCounter:
    case SeriesKind::kGauge:
    case SeriesKind::kUnknown:
      return {series.value};
  }
  return {};
}

bool AnyCountFell(SeriesKind kind, const Baseline& before, const Baseline& after) {
  const bool has_sum = kind == SeriesKind::kHistogram || kind == SeriesKind::kSummary;
  const std::size_t counts = after.numbers.size() - (has_sum ? 1 : 0);
  for (std::size_t i = 0; i < counts; ++i) {
    if (after.numbers[i] < before.numbers[i]) return true;
  }
  return false;
}

void PackBaseline(const Baseline& baseline, Millis scraped, PackedNumbers& out) {
  const bool vanished = baseline.seen != scraped;
  AppendInteger(out, baseline.series);
  AppendInteger(out, baseline.lane);
  out.push_back(
      static_cast<std::uint8_t>((vanished ? kVanished : 0) | (baseline.created ? kHasCreated : 0)));
  if (vanished) AppendInteger(out, static_cast<std::uint64_t>(baseline.seen.count()));
  if (baseline.created) AppendNumber(out, *baseline.created);
  AppendInteger(out, baseline.numbers.size());
  for (const double number : baseline.numbers) AppendNumber(out, number);
}

std::vector<Baseline> UnpackBaselines(const PackedNumbers& packed, Millis scraped) {
  std::vector<Baseline> baselines;
  const std::uint8_t* at = packed.data();
  const std::uint8_t* end = at + packed.size();
  while (at != end) {
    Baseline& baseline = baselines.emplace_back();
    baseline.series = static_cast<std::uint32_t>(ReadInteger(at));
    baseline.lane = static_cast<std::uint32_t>(ReadInteger(at));
    const std::uint8_t flags = *at++;
    baseline.seen = (flags & kVanished) != 0 ? Millis(ReadInteger(at)) : scraped;
    if ((flags & kHasCreated) != 0) baseline.created = ReadNumber(at);
    baseline.numbers.resize(ReadInteger(at));
    for (double& number : baseline.numbers) number = ReadNumber(at);
  }
  return baselines;
}

}  // namespace perennial::scrape
