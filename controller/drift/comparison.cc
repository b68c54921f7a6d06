#include "drift/comparison.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "drift/explain.h"
#include "drift/gather.h"
#include "drift/preset.h"
#include "stats/false_discovery.h"
#include "stats/judgement.h"

namespace perennial::drift {
namespace {

using api::SignalState;

// Counters may be named with or without "_total" (OpenMetrics declares them without).
std::string_view Family(std::string_view metric) {
  constexpr std::string_view kSuffix = "_total";
  if (metric.ends_with(kSuffix)) metric.remove_suffix(kSuffix.size());
  return metric;
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

bool IsPValue(const MeasuredTest& test) {
  return test.measure &&
         stats::InfoOf(*test.measure).direction == stats::Direction::kSmallerIsWorse;
}

// One judged test, for the choice of what to show.
struct Judged {
  api::TestStatus status;
  std::string reason;
  bool critical = false;
};

// What would let the test be judged.
std::string Needs(const MeasuredTest& test, const Comparison& comparison) {
  const auto enough = stats::ObservationsNeeded(*test.measure, comparison.baseline, test.result,
                                                test.test.threshold.value);
  if (enough) return "; needs about " + CountText(*enough) + " observations";
  if (!test.result.value && !test.result.too_few_samples) return "";
  if (*test.measure == stats::Measure::kChiSquaredEquivalenceTest) {
    return "; no window decides while the difference lies at the tolerated one or the baseline has "
           "so few samples";
  }
  return test.test.threshold.value > 0 ? "; no window is enough for a baseline of " +
                                             CountText(test.result.baseline_samples) + " samples"
                                       : "; chance alone is above 0 in every window";
}

Judged JudgeTest(const api::DriftMonitorSpec& spec, const MeasuredTest& test,
                 const Comparison& comparison) {
  Judged judged;
  judged.status.measure = test.test.measure;
  judged.status.threshold = test.test.threshold.text;
  if (!test.measure) {
    judged.status.state = SignalState::kError;
    judged.reason = "there is no measure " + test.test.measure;
    return judged;
  }
  const std::optional<double> min_effect =
      test.test.min_effect ? std::optional(test.test.min_effect->value) : std::nullopt;
  const auto judge = [&](const api::Decimal& threshold) {
    return stats::Judge(*test.measure, test.result, threshold.value, min_effect);
  };
  const stats::Judgement verdict = judge(test.test.threshold);
  const std::optional<double> p = verdict.p_value ? verdict.p_value : test.result.p_value;
  const stats::MeasureResult& result = test.result;
  if (result.value) judged.status.value = NumberText(*result.value);
  if (p) judged.status.p_value = NumberText(*p);
  if (test.adjusted_p_value) judged.status.adjusted_p_value = NumberText(*test.adjusted_p_value);
  if (result.effect) judged.status.effect = NumberText(*result.effect);
  if (result.noise_floor) judged.status.noise_floor = NumberText(*result.noise_floor);
  judged.reason = verdict.reason.empty() ? result.note : verdict.reason;
  if (verdict.breach == stats::Breach::kUnknown) {
    judged.status.state = SignalState::kNoData;
    judged.reason += Needs(test, comparison);
    return judged;
  }
  judged.status.state = SignalState::kOk;
  const auto beyond = [&](const std::optional<api::Decimal>& threshold) {
    return threshold && judge(*threshold).breach == stats::Breach::kYes;
  };
  const bool breach = verdict.breach == stats::Breach::kYes;
  if (test.adjusted_p_value && *test.adjusted_p_value > spec.false_discovery_rate->value) {
    if (breach) {
      judged.reason = "adjusted for the number of tests in this look it is " +
                      judged.status.adjusted_p_value + ", above falseDiscoveryRate " +
                      spec.false_discovery_rate->text;
    }
    return judged;
  }
  if (breach) {
    judged.status.state = SignalState::kDrifted;
    judged.critical = beyond(test.test.critical);
  } else if (beyond(test.test.warn)) {
    judged.status.state = SignalState::kWarning;
  }
  return judged;
}

// Which test's state is the signal's: a breach counts whatever the others say, but a test that
// can't be judged leaves open what a calm one says.
int Rank(const Judged& judged) {
  switch (judged.status.state) {
    case SignalState::kDrifted:
      return judged.critical ? 5 : 4;
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

std::string MessageOf(const Judged& judged, bool p_value) {
  std::string message = judged.status.measure;
  if (!judged.status.value.empty()) {
    message += " is " + judged.status.value + ", threshold " + judged.status.threshold;
    if (p_value && !judged.status.effect.empty()) message += ", effect " + judged.status.effect;
  }
  if (!judged.reason.empty()) message += ": " + judged.reason;
  return message;
}

}  // namespace

const api::MetricProfile* FindMetric(const api::Profile& profile, const std::string& metric,
                                     const std::string& label) {
  const auto found = std::find_if(
      profile.metrics.begin(), profile.metrics.end(), [&](const api::MetricProfile& candidate) {
        return Family(candidate.metric) == Family(metric) &&
               (label.empty() || candidate.label.empty() || candidate.label == label);
      });
  return found == profile.metrics.end() ? nullptr : &*found;
}

Compared Compare(const api::DriftMonitorSpec& spec, const api::Signal& signal,
                 const scrape::WindowView& window, const api::Profile* profile,
                 const api::MetricProfile* live) {
  if (profile == nullptr) {
    return NoData(
        "there is no baseline: let training record a profile, or set "
        "spec.baseline.profile");
  }
  const api::MetricProfile* metric =
      live != nullptr ? live : FindMetric(*profile, signal.metric, signal.label);
  if (metric == nullptr) {
    return NoData("the baseline has no metric " + signal.metric +
                  " (it has: " + MetricsOf(*profile) +
                  "): let training record it under the name that the "
                  "serving pods expose");
  }
  auto baseline = DistributionOf(*metric);
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
  Comparison comparison;
  comparison.current = std::get<stats::Distribution>(std::move(gathered));
  comparison.samples =
      std::visit([](const auto& value) { return stats::Total(value); }, comparison.current);
  if (comparison.samples < static_cast<double>(spec.min_samples)) {
    return NoData(TooFewSamples(comparison.samples, spec.min_samples), comparison.samples);
  }
  const api::Signal judged = WithPreset(spec, signal, categories != nullptr);
  if (judged.tests.empty()) return Wrong("the signal has no tests: set tests or preset");
  comparison.baseline = *std::move(baseline);
  for (const api::DriftTest& test : judged.tests) {
    MeasuredTest measured{test, stats::ParseMeasure(test.measure), {}, std::nullopt};
    if (measured.measure) {
      measured.result = stats::Evaluate(*measured.measure, comparison.baseline, comparison.current);
    }
    comparison.tests.push_back(std::move(measured));
  }
  return comparison;
}

void AdjustTogether(std::span<Compared> compared) {
  std::vector<MeasuredTest*> family;
  std::vector<double> p_values;
  for (Compared& one : compared) {
    auto* comparison = std::get_if<Comparison>(&one);
    if (comparison == nullptr) continue;
    for (MeasuredTest& test : comparison->tests) {
      if (!IsPValue(test) || !test.result.value) continue;
      family.push_back(&test);
      p_values.push_back(*test.result.value);
    }
  }
  const std::vector<double> adjusted = stats::AdjustForFalseDiscoveries(p_values);
  for (std::size_t i = 0; i < family.size(); ++i) family[i]->adjusted_p_value = adjusted[i];
}

Evaluation JudgeComparison(const api::DriftMonitorSpec& spec, const Compared& compared) {
  if (const auto* failed = std::get_if<Evaluation>(&compared)) return *failed;
  const auto& comparison = std::get<Comparison>(compared);
  Evaluation evaluation;
  evaluation.samples = static_cast<std::int64_t>(comparison.samples);
  std::optional<Judged> deciding;
  bool p_value = false;
  for (const MeasuredTest& test : comparison.tests) {
    Judged judged = JudgeTest(spec, test, comparison);
    evaluation.tests.push_back(judged.status);
    if (deciding && Rank(judged) <= Rank(*deciding)) continue;
    deciding = std::move(judged);
    p_value = IsPValue(test);
  }
  PERENNIAL_CHECK(deciding.has_value());
  evaluation.outcome = deciding->status.state;
  evaluation.value = deciding->status.value;
  evaluation.threshold = deciding->status.threshold;
  evaluation.critical = deciding->critical;
  evaluation.message = MessageOf(*deciding, p_value);
  // What moves in a calm look is chance, and not worth its memory.
  if (evaluation.outcome == SignalState::kDrifted || evaluation.outcome == SignalState::kWarning) {
    evaluation.moved = MostMoved(comparison.baseline, comparison.current);
  }
  return evaluation;
}

}  // namespace perennial::drift
