#include "drift/attribution.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "drift/explain.h"
#include "stats/ranking.h"

namespace perennial::drift {
namespace {

using scrape::SeriesKind;
using scrape::SeriesWindow;

std::string FeatureLabel(const api::Signal& signal) {
  return signal.label.empty() ? "feature" : signal.label;
}

// What was seen of one feature.
struct Seen {
  double increase = 0;
  double sum = 0;
  double count = 0;

  double importance() const { return std::abs(count > 0 ? sum / count : increase); }
};

std::string NamesOf(const stats::Categories& features) {
  constexpr std::size_t kShown = 8;
  std::string out;
  for (std::size_t i = 0; i < features.size() && i < kShown; ++i) {
    out += (out.empty() ? "" : ", ") + features[i].name;
  }
  return out + (features.size() > kShown ? ", ..." : "");
}

std::size_t CountMissing(const stats::Categories& from, const stats::Categories& in) {
  std::set<std::string_view> known;
  for (const stats::CategoryCount& feature : in) known.insert(feature.name);
  return static_cast<std::size_t>(std::count_if(
      from.begin(), from.end(),
      [&](const stats::CategoryCount& feature) { return !known.contains(feature.name); }));
}

std::string NoteOf(const stats::Categories& baseline, const stats::Categories& current) {
  std::string note;
  if (const std::size_t gone = CountMissing(baseline, current)) {
    note = std::to_string(gone) + " of the baseline's features are not exposed: counted as 0";
  }
  if (const std::size_t fresh = CountMissing(current, baseline)) {
    note += (note.empty() ? "" : "; ") + std::to_string(fresh) +
            " features are not in the baseline: counted as 0 there";
  }
  return note;
}

}  // namespace

GatheredImportances GatherImportances(const api::Signal& signal, const scrape::WindowView& window) {
  const std::string label = FeatureLabel(signal);
  const std::string what = "metric " + signal.metric + " with label " + label;
  std::map<std::string, Seen> features;
  Importances out;
  bool exposed = false;
  for (const SeriesWindow& series : window.series) {
    if (series.metric != signal.metric) continue;
    exposed = true;
    const std::string* feature = LabelOf(series, label);
    if (feature == nullptr) continue;
    Seen& seen = features[*feature];
    if (series.kind == SeriesKind::kCounter) {
      seen.increase += series.increase;
      continue;
    }
    // One of unknown kind, such as a Prometheus has, counts as a gauge: of that, what rises is how
    // often it wobbles.
    out.observations = series.kind == SeriesKind::kHistogram || series.kind == SeriesKind::kSummary;
    seen.sum += series.sum;
    seen.count += series.count;
    out.samples = std::max(out.samples, seen.count);
  }
  if (!exposed) return NoData(Missing("the " + what, window));
  if (features.empty()) {
    return Wrong(signal.metric + " has no label " + label + ": set the signal's label");
  }
  double total = 0;
  for (const auto& [name, seen] : features) {
    total += seen.importance();
    out.features.push_back({name, seen.importance()});
  }
  if (!std::isfinite(total)) return NoData(what + " is not a number: a pod shows NaN", out.samples);
  if (!(total > 0)) return NoData(what + " shows no importance in the window", out.samples);
  return out;
}

GatheredQuantity GatherAttribution(const api::Signal& signal, const scrape::WindowView& window,
                                   const api::Profile* profile) {
  stats::Categories baseline;
  if (profile != nullptr) {
    for (const api::FeatureImportance& feature : profile->feature_attribution) {
      baseline.push_back({feature.feature, std::abs(feature.importance)});
    }
  }
  if (!(stats::Total(baseline) > 0)) {
    return NoData(
        "the baseline tells no importance of features: let training record featureAttribution in "
        "its profile");
  }
  auto gathered = GatherImportances(signal, window);
  if (auto* failed = std::get_if<Evaluation>(&gathered)) return std::move(*failed);
  const auto& importances = std::get<Importances>(gathered);
  if (CountMissing(baseline, importances.features) == baseline.size()) {
    return Wrong(signal.metric + " shows other features (" + NamesOf(importances.features) +
                 ") than the baseline (" + NamesOf(baseline) + "): give them the same names");
  }
  const stats::AlignedCategories aligned = stats::Align(baseline, importances.features);
  Quantity quantity;
  quantity.value = stats::NormalizedDiscountedCumulativeGain(aligned.baseline, aligned.current);
  quantity.samples = importances.samples;
  quantity.observations = importances.observations;
  quantity.note = NoteOf(baseline, importances.features);
  quantity.moved = MostMoved(baseline, importances.features);
  return quantity;
}

}  // namespace perennial::drift
