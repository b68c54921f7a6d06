#include "retrain/gates.h"

#include <algorithm>
#include <cstdio>

namespace perennial::retrain {
namespace {

const api::EvaluationMetric* FindMetric(const api::ModelVersion& version, const api::Gate& gate) {
  for (const api::EvaluationMetric& metric : version.spec.metrics) {
    if (metric.name == gate.metric && metric.group == gate.group) return &metric;
  }
  return nullptr;
}

std::string Subject(const api::Gate& gate) {
  return gate.group.empty() ? gate.metric : gate.metric + "{" + gate.group + "}";
}

// The bound, its name and on which side of it the value must lie.
struct Bound {
  const char* name;
  const api::Decimal* limit;
  bool upper;
};

Bound BoundOf(const api::Gate& gate) {
  if (gate.max) return {"max", &*gate.max, true};
  if (gate.min) return {"min", &*gate.min, false};
  if (gate.max_increase) return {"maxIncrease", &*gate.max_increase, true};
  return {"maxDecrease", gate.max_decrease ? &*gate.max_decrease : nullptr, true};
}

void Judge(double measured, const Bound& bound, api::GateStatus& status) {
  const bool pass = bound.upper ? measured <= bound.limit->value : measured >= bound.limit->value;
  status.verdict = pass ? api::Verdict::kPass : api::Verdict::kFail;
  if (!pass) {
    status.message =
        FormatNumber(measured) + (bound.upper ? " is above " : " is below ") + bound.limit->text;
  }
}

void JudgeAgainstChampion(const api::Gate& gate, const Bound& bound, double value,
                          const api::ModelVersion& version, const api::ModelVersion* champion,
                          api::GateStatus& status) {
  if (version.spec.parent.empty()) {
    status.verdict = api::Verdict::kPass;
    status.message = "no champion served when this version was made: nothing to compare with";
    return;
  }
  const api::EvaluationMetric* reference = champion ? FindMetric(*champion, gate) : nullptr;
  if (reference == nullptr) {
    // A first version written by hand has no evaluation: with nothing to compare, the absolute
    // gates and the A/B test on live traffic still stand between this version and all traffic.
    status.verdict = champion == nullptr ? api::Verdict::kFail : api::Verdict::kPass;
    status.message = champion == nullptr
                         ? "ModelVersion " + version.spec.parent + " to compare with does not exist"
                         : "champion " + version.spec.parent + " records no " + Subject(gate) +
                               ": nothing to compare with";
    return;
  }
  status.reference = FormatNumber(reference->value);
  const double change = gate.max_increase ? value - reference->value : reference->value - value;
  Judge(change, bound, status);
}

api::GateStatus EvaluateGate(const api::Gate& gate, const api::ModelVersion& version,
                             const api::ModelVersion* champion) {
  const Bound bound = BoundOf(gate);
  api::GateStatus status;
  status.gate = Subject(gate) +
                (gate.versus == api::GateComparison::kChampion ? " versus Champion " : " ") +
                bound.name;
  if (bound.limit == nullptr) {
    status.verdict = api::Verdict::kFail;
    status.message = "gate has no bound: set max, min, maxIncrease or maxDecrease";
    return status;
  }
  status.threshold = bound.limit->text;
  const api::EvaluationMetric* metric = FindMetric(version, gate);
  if (metric == nullptr) {
    status.verdict = api::Verdict::kFail;
    status.message = "the training result has no metric " + Subject(gate);
    return status;
  }
  status.value = FormatNumber(metric->value);
  if (gate.versus == api::GateComparison::kChampion) {
    JudgeAgainstChampion(gate, bound, metric->value, version, champion, status);
  } else {
    Judge(metric->value, bound, status);
  }
  return status;
}

}  // namespace

std::vector<api::GateStatus> EvaluateGates(const api::ModelVersion& version,
                                           const api::ModelVersion* champion) {
  std::vector<api::GateStatus> out;
  for (const api::Gate& gate : version.spec.requirements.gates) {
    out.push_back(EvaluateGate(gate, version, champion));
  }
  return out;
}

bool GatesPass(const std::vector<api::GateStatus>& gates, api::GateMode mode) {
  if (mode == api::GateMode::kDryRun) return true;
  return std::all_of(gates.begin(), gates.end(), [](const api::GateStatus& gate) {
    return gate.verdict == api::Verdict::kPass;
  });
}

std::string FormatNumber(double value) {
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%.6g", value);
  return buffer;
}

}  // namespace perennial::retrain
