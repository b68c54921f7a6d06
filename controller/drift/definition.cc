#include "drift/definition.h"

#include <initializer_list>

#include "base/hash.h"
#include "drift/evaluation.h"
#include "drift/quality.h"

namespace perennial::drift {
namespace {

template <class Enum>
std::string NumberOf(Enum value) {
  return std::to_string(static_cast<int>(value));
}

void Add(std::initializer_list<std::string> parts, std::string& text) {
  for (const std::string& part : parts) text += part + '\n';
}

void AddSource(const api::DriftMonitorSpec& spec, std::string& text) {
  if (!spec.source || !spec.source->prometheus) return;
  const api::PrometheusSource& prometheus = *spec.source->prometheus;
  Add({"prometheus", prometheus.server.url}, text);
  for (const api::LabelMatch& match : prometheus.matchers) Add({match.label, match.value}, text);
}

void AddBaseline(const api::Baseline& baseline, const std::string& version,
                 const std::string& champion, std::string& text) {
  // The champion itself is compared with its own profile.
  const bool with_champion = baseline.from == api::BaselineFrom::kChampion && version != champion;
  const bool with_profile = baseline.from == api::BaselineFrom::kChampion && !with_champion;
  Add({NumberOf(with_profile ? api::BaselineFrom::kModelVersion : baseline.from)}, text);
  if (with_champion) Add({champion}, text);
  if (baseline.from == api::BaselineFrom::kConfigMap && baseline.config_map) {
    Add({baseline.config_map->name, baseline.config_map->key}, text);
  }
}

}  // namespace

std::string DefinitionOf(const api::DriftMonitorSpec& spec, const api::Signal& signal,
                         const std::string& version, const std::string& champion) {
  std::string text;
  Add({spec.target.model_deployment, spec.target.service ? spec.target.service->name : ""}, text);
  AddSource(spec, text);
  Add({NumberOf(signal.type), signal.metric, signal.label, signal.numerator, signal.denominator,
       signal.expression},
      text);
  if (signal.fairness) {
    const api::Fairness& of = *signal.fairness;
    Add({"fairness", of.metric, of.measure, of.group_label, of.predicted_label, of.actual_label,
         of.positive},
        text);
  }
  if (signal.quality) {
    const api::Quality& of = *signal.quality;
    Add({"quality", of.measure, of.metric, of.counter, of.rows}, text);
  }
  if (signal.performance) {
    const api::Performance& of = *signal.performance;
    Add({"performance", of.measure, of.metric, of.squares, of.predicted_label, of.actual_label,
         of.positive},
        text);
  }
  if (NeedsBaseline(signal) || (signal.quality && NeedsRange(*signal.quality))) {
    AddBaseline(spec.baseline, version, champion, text);
  }
  return ShortHash(text);
}

bool SameDefinition(const std::string& a, const std::string& b) {
  return a.empty() || b.empty() || a == b;
}

}  // namespace perennial::drift
