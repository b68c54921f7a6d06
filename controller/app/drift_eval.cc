#include "app/drift_eval.h"

#include <algorithm>
#include <fstream>
#include <iomanip>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <utility>

#include "api/codec.h"
#include "api/enum_names.h"
#include "api/names.h"
#include "app/yaml_json.h"
#include "base/clock.h"
#include "drift/baseline.h"
#include "drift/evaluation.h"
#include "drift/explain.h"
#include "scrape/exposition.h"
#include "scrape/window.h"

namespace perennial::app {
namespace {

using api::SignalState;
using nlohmann::json;

constexpr int kNoDrift = 0;
constexpr int kWrong = 1;
constexpr int kDrift = 2;

// A file is the one or the other.
struct Input {
  std::optional<api::Profile> profile;
  std::string page;
};

Error InFile(const std::string& file, const std::string& why) {
  return {Errc::kInvalid, file + ": " + why};
}

Result<std::string> ReadFile(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return Error{Errc::kNotFound, file + " cannot be read"};
  return std::string(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
}

bool EndsIn(const std::string& name, std::initializer_list<std::string_view> suffixes) {
  return std::any_of(suffixes.begin(), suffixes.end(),
                     [&](std::string_view suffix) { return name.ends_with(suffix); });
}

// A profile stands alone, in a training result, a ModelVersion, a ConfigMap or a DriftMonitor.
Result<json> FindProfile(const json& document) {
  if (document.is_object()) {
    const bool profile = document.contains("metrics") || document.contains("featureAttribution");
    if (profile && !document.contains("artifact")) return document;
    for (const char* pointer : {"/profile", "/spec/profile", "/spec/baseline/profile"}) {
      const json::json_pointer path(pointer);
      if (document.contains(path)) return document[path];
    }
    const json::json_pointer data("/data/profile.json");
    if (document.contains(data) && document[data].is_string()) {
      json parsed = json::parse(document[data].get_ref<const std::string&>(), nullptr, false);
      if (!parsed.is_discarded()) return parsed;
    }
  }
  return Error{Errc::kInvalid,
               "holds no profile: expected one, or a training result, ModelVersion or ConfigMap "
               "with one"};
}

Result<Input> Load(const std::string& file) {
  PERENNIAL_TRY(std::string text, ReadFile(file));
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool structured = EndsIn(file, {".json", ".yaml", ".yml"}) ||
                          (first != std::string::npos && text[first] == '{');
  if (!structured) return Input{std::nullopt, std::move(text)};
  const auto documents = ParseYaml(text);
  if (!documents.ok()) return InFile(file, documents.error().message);
  if (documents->empty()) return InFile(file, "is empty");
  const auto found = FindProfile(documents->front());
  if (!found.ok()) return InFile(file, found.error().message);
  auto profile = api::DecodeProfile(*found);
  if (!profile.ok()) return InFile(file, profile.error().message);
  return Input{*std::move(profile), ""};
}

Result<api::DriftMonitorSpec> FromMonitor(const std::string& file) {
  PERENNIAL_TRY(const std::string text, ReadFile(file));
  const auto documents = ParseYaml(text);
  if (!documents.ok()) return InFile(file, documents.error().message);
  for (json document : *documents) {
    if (!document.is_object() || !document.contains("kind")) continue;
    if (document["kind"] != api::kDriftMonitors.kind) continue;
    // The codec reads what an API server hands out.
    document["metadata"] = {{"name", "monitor"}, {"namespace", "default"}, {"uid", "none"}};
    const auto monitor = api::DecodeDriftMonitor(document);
    if (!monitor.ok()) return InFile(file, monitor.error().message);
    const auto problems = api::Validate(monitor->spec);
    if (!problems.empty()) return InFile(file, problems.front());
    return monitor->spec;
  }
  return InFile(file, "holds no DriftMonitor");
}

Result<api::DriftMonitorSpec> FromFlags(const DriftEvalOptions& options, const Input& baseline,
                                        const Input& current) {
  if (options.threshold.empty()) {
    return Error{Errc::kInvalid, "give --monitor FILE, or --threshold (and --measure)"};
  }
  json tests = {{{"measure", options.measure}, {"threshold", options.threshold}}};
  if (!options.warn.empty()) tests[0]["warn"] = options.warn;
  json signals = json::array();
  const auto add = [&](const std::string& metric, const std::string& label) {
    json signal = {{"name", "signal-" + std::to_string(signals.size() + 1)},
                   {"type", "DataDrift"},
                   {"metric", metric},
                   {"tests", tests}};
    if (!label.empty()) signal["label"] = label;
    signals.push_back(std::move(signal));
  };
  for (const std::string& metric : options.metrics) add(metric, options.label);
  const auto& profile = baseline.profile ? baseline.profile : current.profile;
  if (options.metrics.empty() && profile) {
    for (const api::MetricProfile& metric : profile->metrics) add(metric.metric, metric.label);
  }
  if (signals.empty()) return Error{Errc::kInvalid, "name the metrics to compare: --metric NAME"};
  const auto monitor = api::DecodeDriftMonitor(
      {{"metadata", {{"name", "monitor"}, {"namespace", "default"}, {"uid", "none"}}},
       {"spec", {{"target", {{"modelDeployment", "none"}}}, {"signals", signals}}}});
  if (!monitor.ok()) return monitor.error();
  api::DriftMonitorSpec question = monitor->spec;
  question.min_samples = 1;
  const auto problems = api::Validate(monitor->spec);
  if (!problems.empty()) return Error{Errc::kInvalid, problems.front()};
  for (api::Signal& signal : question.signals) signal.name = signal.metric;
  return question;
}

Result<scrape::Scrape> Parse(const std::string& page, const scrape::WantedMetrics& wanted) {
  const bool open_metrics = page.find("\n# EOF") != std::string::npos || page.starts_with("# EOF");
  return scrape::ParseExposition(
      page, wanted, open_metrics ? scrape::Format::kOpenMetrics : scrape::Format::kText);
}

// What the page's counters counted since `previous`, or since they began: the window of one pod
// that was scraped twice.
Result<scrape::WindowView> WindowOfPage(const std::string& page, const std::string& previous,
                                        const std::vector<std::string>& metrics) {
  constexpr Millis kHour{3'600'000};
  constexpr Millis kMinute{60'000};
  const scrape::WantedMetrics wanted(metrics);
  PERENNIAL_TRY(const scrape::Scrape last, Parse(page, wanted));
  scrape::Scrape first;
  if (!previous.empty()) {
    PERENNIAL_TRY(first, Parse(previous, wanted));
  }
  scrape::VariantWindow window({.interval = kMinute, .retention = kHour, .slot = kMinute},
                               scrape::WantedSince::Always(metrics), Millis{0});
  window.AddTarget("file");
  const WallTime wall{};
  window.Ingest("file", first, kHour, wall);
  window.Ingest("file", last, kHour + kMinute, wall + kMinute);
  return window.View(kHour, Millis{0}, kHour + kMinute);
}

scrape::WindowView WindowOfProfile(const api::Profile& profile, const api::DriftMonitorSpec& spec) {
  scrape::WindowView view;
  view.targets = view.targets_up = 1;
  view.newest_age = Millis{0};
  for (const api::MetricProfile& metric : profile.metrics) {
    scrape::SeriesWindow series;
    series.metric = metric.metric;
    if (metric.type == api::MetricType::kCategorical) {
      series.kind = scrape::SeriesKind::kCounter;
      for (const api::Category& category : metric.categories) {
        series.labels = {{metric.label, category.name}};
        series.increase = category.count;
        view.series.push_back(series);
      }
      continue;
    }
    series.kind = scrape::SeriesKind::kHistogram;
    series.bounds = metric.bounds;
    series.bounds.push_back(std::numeric_limits<double>::infinity());
    series.counts = metric.counts;
    series.sum = metric.sum.value_or(std::numeric_limits<double>::quiet_NaN());
    for (const double count : metric.counts) series.count += count;
    view.series.push_back(std::move(series));
  }
  for (const api::Signal& signal : spec.signals) {
    if (signal.type != api::SignalType::kAttributionDrift) continue;
    for (const api::FeatureImportance& feature : profile.feature_attribution) {
      scrape::SeriesWindow series;
      series.metric = signal.metric;
      series.kind = scrape::SeriesKind::kGauge;
      series.labels = {{signal.label.empty() ? "feature" : signal.label, feature.feature}};
      series.sum = feature.importance;
      series.count = 1;
      view.series.push_back(std::move(series));
    }
  }
  return view;
}

Result<scrape::WindowView> WindowOf(const std::string& file, const Input& input,
                                    const api::DriftMonitorSpec& spec, const std::string& previous,
                                    const std::vector<std::string>& metrics) {
  if (input.profile) return WindowOfProfile(*input.profile, spec);
  auto window = WindowOfPage(input.page, previous, metrics);
  if (!window.ok()) return InFile(file, window.error().message);
  return window;
}

Result<drift::Reference> ReferenceOf(const DriftEvalOptions& options, const Input& input,
                                     const api::DriftMonitorSpec& spec,
                                     const std::vector<std::string>& metrics) {
  drift::Reference reference;
  reference.source = options.baseline;
  if (input.profile) {
    reference.profile = std::make_shared<const api::Profile>(*input.profile);
    return reference;
  }
  PERENNIAL_TRY(const scrape::WindowView window,
                WindowOf(options.baseline, input, spec, "", metrics));
  std::map<std::string, std::string> gaps;
  reference.profile = std::make_shared<const api::Profile>(drift::ProfileOf(
      spec, [&](const api::Signal&) -> const auto& { return window; }, gaps));
  for (const auto& [signal, why] : gaps) reference.gaps.emplace(signal, "the baseline: " + why);
  return reference;
}

struct Answer {
  std::string signal;
  drift::Evaluation evaluation;
};

Result<std::vector<Answer>> Answers(const DriftEvalOptions& options) {
  PERENNIAL_TRY(const Input baseline, Load(options.baseline));
  PERENNIAL_TRY(const Input current, Load(options.current));
  std::string previous;
  if (!options.previous.empty()) {
    if (current.profile) return Error{Errc::kInvalid, "--previous goes with exposition pages"};
    PERENNIAL_TRY(previous, ReadFile(options.previous));
  }
  PERENNIAL_TRY(api::DriftMonitorSpec spec, options.monitor.empty()
                                                ? FromFlags(options, baseline, current)
                                                : FromMonitor(options.monitor));
  if (options.min_samples > 0) spec.min_samples = options.min_samples;
  const drift::Expressions expressions = drift::ParseExpressions(spec);
  const std::vector<std::string> metrics = drift::WantedMetrics(spec, expressions);
  PERENNIAL_TRY(const drift::Reference reference, ReferenceOf(options, baseline, spec, metrics));
  PERENNIAL_TRY(const scrape::WindowView window,
                WindowOf(options.current, current, spec, previous, metrics));
  // A file is one window, whatever stretch of time a signal asks for.
  std::vector<drift::Evaluation> found = drift::EvaluateAgainst(
      reference, spec,
      {[&](const scrape::Range&) -> const scrape::WindowView& { return window; }, expressions});
  std::vector<Answer> answers;
  for (std::size_t i = 0; i < found.size(); ++i) {
    answers.push_back({spec.signals[i].name, std::move(found[i])});
  }
  return answers;
}

void PrintTable(const std::vector<Answer>& answers, std::ostream& out) {
  std::size_t width = 6;
  for (const Answer& answer : answers) width = std::max(width, answer.signal.size());
  const auto row = [&](const auto& signal, const auto& state, const auto& measure,
                       const auto& value, const auto& threshold, const auto& samples) {
    out << std::left << std::setw(static_cast<int>(width) + 2) << signal << std::setw(9) << state
        << std::setw(36) << measure << std::setw(12) << value << std::setw(11) << threshold
        << samples << "\n";
  };
  row("SIGNAL", "STATE", "MEASURE", "VALUE", "THRESHOLD", "SAMPLES");
  for (const Answer& answer : answers) {
    const drift::Evaluation& found = answer.evaluation;
    if (found.tests.empty()) {
      row(answer.signal, NameOf(found.outcome), "", found.value, found.threshold, found.samples);
    }
    for (const api::TestStatus& test : found.tests) {
      row(answer.signal, NameOf(test.state), test.measure, test.value, test.threshold,
          found.samples);
    }
    if (!found.message.empty()) out << "  " << found.message << "\n";
    if (!found.moved.empty()) {
      out << "  most moved: " << drift::DescribeMoves(found.moved) << "\n";
    }
  }
}

void PrintJson(const std::vector<Answer>& answers, std::ostream& out) {
  nlohmann::ordered_json signals = nlohmann::ordered_json::array();
  for (const Answer& answer : answers) {
    const drift::Evaluation& found = answer.evaluation;
    nlohmann::ordered_json signal = {{"name", answer.signal},    {"state", NameOf(found.outcome)},
                                     {"value", found.value},     {"threshold", found.threshold},
                                     {"samples", found.samples}, {"message", found.message},
                                     {"tests", json::array()},   {"moved", json::array()}};
    for (const api::TestStatus& test : found.tests) {
      signal["tests"].push_back({{"measure", test.measure},
                                 {"state", NameOf(test.state)},
                                 {"value", test.value},
                                 {"threshold", test.threshold},
                                 {"pValue", test.p_value},
                                 {"adjustedPValue", test.adjusted_p_value},
                                 {"effect", test.effect},
                                 {"noiseFloor", test.noise_floor}});
    }
    for (const api::BinShift& shift : found.moved) {
      signal["moved"].push_back(
          {{"bin", shift.bin}, {"baseline", shift.baseline}, {"current", shift.current}});
    }
    signals.push_back(std::move(signal));
  }
  out << nlohmann::ordered_json{{"signals", std::move(signals)}}.dump(
             2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
      << "\n";
}

}  // namespace

int DriftEval(const DriftEvalOptions& options, std::ostream& out, std::ostream& err) {
  const auto answers = Answers(options);
  if (!answers.ok()) {
    err << "error: " << answers.error().message << "\n";
    return kWrong;
  }
  if (options.json) {
    PrintJson(*answers, out);
  } else {
    PrintTable(*answers, out);
  }
  int code = kNoDrift;
  for (const Answer& answer : *answers) {
    const SignalState state = answer.evaluation.outcome;
    if (state == SignalState::kDrifted) return kDrift;
    if (state == SignalState::kNoData || state == SignalState::kError) code = kWrong;
  }
  return code;
}

}  // namespace perennial::app
