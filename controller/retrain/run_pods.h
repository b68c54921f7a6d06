#pragma once

#include <optional>
#include <string>

#include "retrain/decide.h"

namespace perennial::retrain {

// The pod of `job` that says most about how it ended: a succeeded one with a message, else a
// succeeded one, else the last that finished. nullptr where it has none.
const api::PodView* TellingPod(const Observed& seen, const api::JobView& job);

// "Job x", or the workload's kind and name.
std::string Called(const Observed& seen, const std::string& name);

std::string WhyJobFailed(const Observed& seen, const api::JobView& job, const api::PodView* pod);

// What keeps a Job that neither succeeded nor failed from getting on. Nobody else tells a person
// that its pod can't be made (quota, admission), can't start (a Secret that is missing) or can't
// load its image.
struct Hindrance {
  std::string why;     // empty: nothing
  bool image = false;  // it is an image that can't be pulled
  std::optional<WallTime> look_again;
};
// `said` is what was told before: messages that alternate while their cause stays are not news.
Hindrance HindranceOf(const Observed& seen, const api::JobView& job, const std::string& said,
                      WallTime now);

}  // namespace perennial::retrain
