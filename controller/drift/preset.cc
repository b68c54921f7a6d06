#include "drift/preset.h"

#include "drift/evaluation.h"

namespace perennial::drift {

api::Signal WithPreset(const api::DriftMonitorSpec& spec, const api::Signal& signal,
                       bool categorical) {
  api::Signal out = signal;
  if (!signal.preset && !spec.preset) return out;
  if (ComparesDistributions(signal)) {
    if (!out.tests.empty()) return out;
    api::DriftTest test;
    test.measure = categorical ? "jensen_shannon_distance" : "normalized_wasserstein_distance";
    test.threshold = {0.1, "0.1"};
    out.tests.push_back(std::move(test));
  } else if (signal.type == api::SignalType::kDataQuality && !out.max && !out.min) {
    out.max = api::Decimal{0, "0"};
  } else if (signal.type == api::SignalType::kAttributionDrift && !out.min) {
    out.min = api::Decimal{0.9, "0.9"};
  }
  return out;
}

}  // namespace perennial::drift
