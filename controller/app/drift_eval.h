#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace perennial::app {

// `perennial-controller drift eval`: what a DriftMonitor would say, from files.
struct DriftEvalOptions {
  std::string baseline;  // a profile (JSON or YAML), or an exposition page
  std::string current;   // the same
  std::string previous;  // an earlier page of what `current` is: only the increase counts
  std::string monitor;   // a manifest whose signals are judged; or:
  std::vector<std::string> metrics;  // empty: those of the profile
  std::string label;                 // their label, where categories are counted
  std::string measure = "population_stability_index";
  std::string threshold;
  std::string warn;
  std::int64_t min_samples = 0;  // 0: the monitor's, or 1 without one
  bool json = false;
};

// Judges by the code that the controller runs and prints each signal: state, value, threshold,
// samples, what moved most. 0: no drift; 2: a signal breaches; 1: a signal could not be judged, or
// the input is wrong (told on `err`).
int DriftEval(const DriftEvalOptions& options, std::ostream& out, std::ostream& err);

}  // namespace perennial::app
