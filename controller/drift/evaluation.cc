#include "drift/evaluation.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "drift/gather.h"
#include "stats/measure.h"

namespace perennial::drift {
namespace {

using api::SignalState;

std::string Text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string Count(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f", value);
  return text;
}

std::string TooFew(double samples, std::int64_t min_samples) {
  return Count(samples) + " samples in the window, fewer than minSamples " +
         std::to_string(min_samples) + ": widen the window or lower minSamples";
}

// Counters may be named with or without "_total" (OpenMetrics declares them without).
std::string_view Family(std::string_view metric) {
  constexpr std::string_view kSuffix = "_total";
  if (metric.ends_with(kSuffix)) metric.remove_suffix(kSuffix.size());
  return metric;
}

const api::MetricProfile* FindMetric(const api::Profile& profile, const api::Signal& signal) {
  const auto found =
      std::find_if(profile.metrics.begin(), profile.metrics.end(), [&](const auto& metric) {
        return Family(metric.metric) == Family(signal.metric) &&
               (signal.label.empty() || metric.label.empty() || metric.label == signal.label);
      });
  return found == profile.metrics.end() ? nullptr : &*found;
}

std::string MetricsOf(const api::Profile& profile) {
  std::string names;
  for (const api::MetricProfile& metric : profile.metrics) {
    names += (names.empty() ? "" : ", ") + metric.metric;
  }
  return names.empty() ? "none" : names;
}

Result<stats::Distribution> DistributionOf(const api::MetricProfile& metric) {
  if (metric.type == api::MetricType::kCategorical) {
    stats::Categories categories;
    for (const api::Category& category : metric.categories) {
      categories.push_back({category.name, category.count});
    }
    return stats::Distribution(std::move(categories));
  }
  PERENNIAL_TRY(stats::Histogram histogram, stats::MakeHistogram(metric.bounds, metric.counts));
  histogram.sum = metric.sum;
  histogram.sum_squares = metric.sum_squares;
  histogram.min = metric.min;
  histogram.max = metric.max;
  return stats::Distribution(std::move(histogram));
}

// One test and how far it is beyond its threshold, for the choice of what to show.
struct Judged {
  api::TestStatus status;
  std::string reason;
};

Judged JudgeTest(const api::DriftTest& test, const stats::Distribution& baseline,
                 const stats::Distribution& current) {
  Judged judged;
  judged.status.measure = test.measure;
  judged.status.threshold = test.threshold.text;
  const auto measure = stats::ParseMeasure(test.measure);
  if (!measure) {
    judged.status.state = SignalState::kError;
    judged.reason = "there is no measure " + test.measure;
    return judged;
  }
  const stats::MeasureResult result = stats::Evaluate(*measure, baseline, current);
  if (result.value) judged.status.value = Text(*result.value);
  if (result.p_value) judged.status.p_value = Text(*result.p_value);
  if (result.noise_floor) judged.status.noise_floor = Text(*result.noise_floor);
  const stats::Judgement verdict = stats::Judge(*measure, result, test.threshold.value);
  judged.reason = verdict.reason.empty() ? result.note : verdict.reason;
  switch (verdict.breach) {
    case stats::Breach::kYes:
      judged.status.state = SignalState::kDrifted;
      break;
    case stats::Breach::kUnknown:
      judged.status.state = SignalState::kNoData;
      break;
    case stats::Breach::kNo: {
      const bool warned = test.warn && stats::Judge(*measure, result, test.warn->value).breach ==
                                           stats::Breach::kYes;
      judged.status.state = warned ? SignalState::kWarning : SignalState::kOk;
      break;
    }
  }
  return judged;
}

// Which test's state is the signal's: a breach counts whatever the others say, but a test that
// can't be judged leaves open what a calm one says.
int Rank(SignalState state) {
  switch (state) {
    case SignalState::kDrifted:
      return 4;
    case SignalState::kError:
      return 3;
    case SignalState::kWarning:
      return 2;
    case SignalState::kNoData:
      return 1;
    case SignalState::kOk:
      return 0;
  }
  return 0;
}

Evaluation JudgeTests(const api::Signal& signal, const stats::Distribution& baseline,
                      const stats::Distribution& current, double samples) {
  Evaluation evaluation;
  evaluation.samples = static_cast<std::int64_t>(samples);
  std::optional<Judged> deciding;
  for (const api::DriftTest& test : signal.tests) {
    Judged judged = JudgeTest(test, baseline, current);
    evaluation.tests.push_back(judged.status);
    if (!deciding || Rank(judged.status.state) > Rank(deciding->status.state)) {
      deciding = std::move(judged);
    }
  }
  if (!deciding) return Wrong("the signal has no tests: set tests");
  evaluation.outcome = deciding->status.state;
  evaluation.value = deciding->status.value;
  evaluation.threshold = deciding->status.threshold;
  evaluation.message = deciding->status.measure;
  if (!deciding->status.value.empty()) {
    evaluation.message +=
        " is " + deciding->status.value + ", threshold " + deciding->status.threshold;
  }
  if (!deciding->reason.empty()) evaluation.message += ": " + deciding->reason;
  return evaluation;
}

Evaluation EvaluateDrift(const api::Signal& signal, const scrape::WindowView& window,
                         const api::Profile* profile, std::int64_t min_samples) {
  if (profile == nullptr) {
    return NoData(
        "there is no baseline: let training record a profile, or set "
        "spec.baseline.profile");
  }
  const api::MetricProfile* metric = FindMetric(*profile, signal);
  if (metric == nullptr) {
    return NoData("the baseline has no metric " + signal.metric +
                  " (it has: " + MetricsOf(*profile) +
                  "): let training record it under the name that the "
                  "serving pods expose");
  }
  const auto baseline = DistributionOf(*metric);
  if (!baseline.ok())
    return Wrong("the baseline of " + signal.metric + ": " + baseline.error().message);
  const std::string& label = signal.label.empty() ? metric->label : signal.label;
  const auto* categories = std::get_if<stats::Categories>(&*baseline);
  if (categories == nullptr && !signal.label.empty()) {
    return Wrong("the signal has a label, but the baseline of " + signal.metric +
                 " is numeric: remove the label or record categories");
  }
  Gathered gathered = categories != nullptr
                          ? GatherCategories(signal.metric, label, window, *categories)
                          : GatherHistogram(signal.metric, window);
  if (auto* failed = std::get_if<Evaluation>(&gathered)) return std::move(*failed);
  const auto& current = std::get<stats::Distribution>(gathered);
  const double samples = std::visit([](const auto& value) { return stats::Total(value); }, current);
  if (samples < static_cast<double>(min_samples)) {
    return NoData(TooFew(samples, min_samples), samples);
  }
  return JudgeTests(signal, *baseline, current, samples);
}

Evaluation EvaluateBound(const api::Signal& signal, const scrape::WindowView& window,
                         std::int64_t min_samples) {
  if (!signal.max && !signal.min) return Wrong("the signal has no bound: set max or min");
  auto gathered = signal.metric.empty() ? GatherRatio(signal, window) : GatherMean(signal, window);
  if (auto* failed = std::get_if<Evaluation>(&gathered)) return std::move(*failed);
  const auto& quantity = std::get<Quantity>(gathered);
  if (quantity.observations && quantity.samples < static_cast<double>(min_samples)) {
    return NoData(TooFew(quantity.samples, min_samples), quantity.samples);
  }
  Evaluation evaluation;
  evaluation.value = Text(quantity.value);
  evaluation.samples = static_cast<std::int64_t>(quantity.samples);
  const bool above = signal.max && quantity.value > signal.max->value;
  const bool below = signal.min && quantity.value < signal.min->value;
  evaluation.outcome = above || below ? SignalState::kDrifted : SignalState::kOk;
  const bool show_max = signal.max && !below;
  evaluation.threshold = show_max ? signal.max->text : signal.min->text;
  const char* relation = above ? ", above max " : below ? ", below min " : ", within ";
  evaluation.message = (signal.metric.empty() ? signal.numerator + " / " + signal.denominator
                                              : "mean of " + signal.metric) +
                       " is " + evaluation.value + relation +
                       (above || below ? ""
                        : show_max     ? "max "
                                       : "min ") +
                       evaluation.threshold;
  if (!quantity.note.empty()) evaluation.message += " (" + quantity.note + ")";
  return evaluation;
}

}  // namespace

bool NeedsBaseline(const api::Signal& signal) {
  return signal.type == api::SignalType::kDataDrift ||
         signal.type == api::SignalType::kPredictionDrift;
}

Evaluation Evaluate(const api::Signal& signal, const scrape::WindowView& window,
                    const api::Profile* baseline, std::int64_t min_samples) {
  return NeedsBaseline(signal) ? EvaluateDrift(signal, window, baseline, min_samples)
                               : EvaluateBound(signal, window, min_samples);
}

std::vector<std::string> WantedMetrics(const api::DriftMonitorSpec& spec) {
  std::set<std::string> names;
  for (const api::Signal& signal : spec.signals) {
    for (const std::string* name : {&signal.metric, &signal.numerator, &signal.denominator}) {
      if (!name->empty()) names.insert(*name);
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace perennial::drift
