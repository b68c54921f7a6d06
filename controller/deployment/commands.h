#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "deployment/rollout.h"

namespace perennial::deployment {

// What people ask for by annotation (docs/concepts/rollout.md, "By hand"), under their own rights
// on the ModelDeployment. Each request is answered in status, and not carried out again: the same
// answer to another question carries another token.
struct Request {
  std::string version;
  int step = 0;  // 1 is the first; 0: none named
  std::string value;
};

// The request of that annotation which has no answer yet.
std::optional<Request> Asked(const Turn& turn, std::string_view annotation);

// The same, if it is about `version` and names no step.
std::optional<Request> AskedOf(const Turn& turn, std::string_view annotation,
                               const std::string& version);

void Answer(Turn& turn, std::string_view annotation, const Request& request,
            const std::string& outcome);

// Pause, resume and the end of a step. True if one was carried out: nothing else moves in this
// look.
bool HeedPauses(Turn& turn);

// Retry and undo make records (a copy of a version, or the rejection of the champion) that
// selection then follows like any other.
void HeedRestorations(Turn& turn);

// ---- what a rollout that waits tells people to do ----

std::string HowToResume(const api::RolloutStatus& rollout);
// From a step that is a pause.
std::string HowToGoOn(const api::RolloutStatus& rollout);
// `step`: the first is 1.
std::string HowToApproveStep(const api::ModelDeployment& deployment,
                             const api::ModelVersion& version, int step);

}  // namespace perennial::deployment
