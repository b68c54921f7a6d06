#include "drift/baseline.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "api/names.h"
#include "drift/attribution.h"
#include "drift/gather.h"

namespace perennial::drift {
namespace {

api::MetricProfile MetricOf(const api::Signal& signal, const stats::Distribution& counted) {
  api::MetricProfile metric;
  metric.metric = signal.metric;
  if (const auto* categories = std::get_if<stats::Categories>(&counted)) {
    metric.type = api::MetricType::kCategorical;
    metric.label = signal.label;
    for (const stats::CategoryCount& category : *categories) {
      metric.categories.push_back({category.name, category.count});
    }
    return metric;
  }
  const auto& histogram = std::get<stats::Histogram>(counted);
  metric.bounds = histogram.bounds;
  metric.counts = histogram.counts;
  metric.sum = histogram.sum;
  return metric;
}

std::string TooFew(double samples, const api::DriftMonitorSpec& spec) {
  return CountText(samples) + " samples, fewer than minSamples " + std::to_string(spec.min_samples);
}

// Or why there is none.
std::optional<std::string> AddAttribution(const api::DriftMonitorSpec& spec,
                                          const api::Signal& signal,
                                          const scrape::WindowView& window, api::Profile& profile) {
  const GatheredImportances gathered = GatherImportances(signal, window);
  if (const auto* failed = std::get_if<Evaluation>(&gathered)) return failed->message;
  const auto& importances = std::get<Importances>(gathered);
  if (importances.observations && importances.samples < static_cast<double>(spec.min_samples)) {
    return TooFew(importances.samples, spec);
  }
  for (const stats::CategoryCount& feature : importances.features) {
    profile.feature_attribution.push_back({feature.name, feature.count});
  }
  return std::nullopt;
}

using WindowOfSignal = std::function<const scrape::WindowView&(const api::Signal&)>;

Reference LiveReference(const api::DriftMonitorSpec& spec, const WindowOfSignal& window,
                        std::string source, const std::string& what) {
  Reference reference;
  std::map<std::string, std::string> gaps;
  reference.profile = std::make_shared<const api::Profile>(ProfileOf(spec, window, gaps));
  auto metric = reference.profile->metrics.begin();
  for (const api::Signal& signal : spec.signals) {
    const auto gap = gaps.find(signal.name);
    if (gap != gaps.end()) {
      reference.gaps.emplace(signal.name, what + gap->second);
    } else if (ComparesDistributions(signal)) {
      reference.live.emplace(signal.name, &*metric++);
    }
  }
  reference.source = std::move(source);
  return reference;
}

}  // namespace

Reference NoReference(std::string problem) {
  Reference reference;
  reference.problem = std::move(problem);
  return reference;
}

Reference InlineReference(const std::shared_ptr<const api::DriftMonitor>& monitor) {
  const auto& profile = monitor->spec.baseline.profile;
  if (!profile) return NoReference("set spec.baseline.profile");
  return {std::shared_ptr<const api::Profile>(monitor, &*profile), "inline", "", std::nullopt};
}

Reference VersionReference(const std::string& name,
                           const std::shared_ptr<const api::ModelVersion>& version) {
  if (version == nullptr || !version->spec.profile) {
    return NoReference("ModelVersion " + name +
                       " records no training profile: let the training result carry one, or set "
                       "spec.baseline to another source");
  }
  return {std::shared_ptr<const api::Profile>(version, &*version->spec.profile), name, "",
          version->meta.created};
}

Reference ConfigMapReference(const api::BaselineConfigMap& where,
                             const std::shared_ptr<const api::ProfileMapView>& map) {
  if (map == nullptr) {
    return NoReference("ConfigMap " + where.name +
                       " does not exist or lacks the label: kubectl label configmap " + where.name +
                       " " + std::string(api::kLabelUse) + "=" + std::string(api::kUseBaseline));
  }
  const std::string path = "ConfigMap " + where.name + ", key " + where.key;
  const auto entry = map->keys.find(where.key);
  if (entry == map->keys.end()) return NoReference(path + ": there is no such key");
  if (entry->second.profile == nullptr) return NoReference(path + ": " + entry->second.error);
  return {entry->second.profile, "configmap " + where.name + "/" + where.key, "",
          map->meta.created};
}

Reference ChampionReference(const api::DriftMonitorSpec& spec, const WindowOf& champion) {
  const WindowOfSignal window = [&](const api::Signal& signal) -> const scrape::WindowView& {
    return champion(RangeOf(spec, signal));
  };
  return LiveReference(spec, window, "the champion's window", "the champion as baseline: ");
}

Reference WindowReference(const api::DriftMonitorSpec& spec, const WindowOf& variant) {
  const api::BaselineWindow& earlier = *spec.baseline.window;
  const std::string length = FormatDuration(earlier.length.value);
  const std::string offset = FormatDuration(earlier.offset.value);
  const WindowOfSignal window = [&](const api::Signal& signal) -> const scrape::WindowView& {
    return variant(EarlierRangeOf(spec, signal));
  };
  return LiveReference(spec, window, length + " that ended " + offset + " ago",
                       "the earlier window (" + length + ", ended " + offset +
                           " ago; it fills anew when the controller restarts): ");
}

scrape::Range EarlierRangeOf(const api::DriftMonitorSpec& spec, const api::Signal& signal) {
  const api::BaselineWindow& earlier = *spec.baseline.window;
  return RangeOf(spec, signal, {earlier.length.value, earlier.offset.value});
}

api::Profile ProfileOf(const api::DriftMonitorSpec& spec, const WindowOfSignal& window_of,
                       std::map<std::string, std::string>& gaps) {
  api::Profile profile;
  for (const api::Signal& signal : spec.signals) {
    if (!NeedsBaseline(signal)) continue;
    const scrape::WindowView& window = window_of(signal);
    if (signal.type == api::SignalType::kAttributionDrift) {
      if (auto why = AddAttribution(spec, signal, window, profile)) {
        gaps.emplace(signal.name, *std::move(why));
      }
      continue;
    }
    const Gathered gathered = signal.label.empty()
                                  ? GatherHistogram(signal.metric, window)
                                  : GatherCategories(signal.metric, signal.label, window, {});
    if (const auto* failed = std::get_if<Evaluation>(&gathered)) {
      gaps.emplace(signal.name, failed->message);
      continue;
    }
    const auto& counted = std::get<stats::Distribution>(gathered);
    const double samples = std::visit([](const auto& all) { return stats::Total(all); }, counted);
    if (samples < static_cast<double>(spec.min_samples)) {
      gaps.emplace(signal.name, TooFew(samples, spec));
      continue;
    }
    profile.rows = std::max(profile.rows, static_cast<std::int64_t>(samples));
    profile.metrics.push_back(MetricOf(signal, counted));
  }
  return profile;
}

std::vector<Evaluation> EvaluateAgainst(const Reference& reference,
                                        const api::DriftMonitorSpec& spec, Reading reading) {
  reading.baseline = reference.profile.get();
  if (!reference.live.empty()) reading.live = &reference.live;
  std::vector<Evaluation> evaluations = EvaluateSignals(spec, reading);
  for (std::size_t i = 0; i < evaluations.size(); ++i) {
    if (!NeedsBaseline(spec.signals[i])) continue;
    const auto gap = reference.gaps.find(spec.signals[i].name);
    if (reference.profile == nullptr) {
      evaluations[i] = NoData("there is no baseline: " + reference.problem);
    } else if (gap != reference.gaps.end()) {
      evaluations[i] = NoData(gap->second);
    }
  }
  return evaluations;
}

}  // namespace perennial::drift
