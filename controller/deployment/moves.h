#pragma once

#include <string>

#include "deployment/rollout.h"

namespace perennial::deployment {

// The moves that a rollout consists of. Each records what was decided, with its event, and does
// nothing else.

const api::ModelDeploymentSpec& Spec(const Turn& turn);
// Of a status that has one.
api::RolloutStatus& Rollout(Turn& turn);
// "5 %".
std::string Percent(int weight);

// Another phase, from now on.
void Enter(Turn& turn, api::RolloutPhase phase, std::string message);
// Waiting is no decision: only the words change, and Progressing may become Paused.
void Wait(Turn& turn, api::RolloutPhase phase, std::string message);
// The wait ends by itself at that time. Absolute, so that time that passes rewrites no status; the
// earliest of several is told.
void EndsAt(Turn& turn, WallTime at, std::string then);
// Each look tells anew what the wait ends by.
void ForgetEnd(api::RolloutStatus& rollout);

// The version becomes the challenger.
void Begin(Turn& turn, const api::ModelVersion& version);
// The challenger gets the weight of this step.
void EnterStep(Turn& turn, int step);
void Promote(Turn& turn, const std::string& reason);
void RollBack(Turn& turn, const std::string& reason);
// Ends a rollout that nobody is to blame for; the version stays as approved as it was.
void Supersede(Turn& turn, const std::string& reason);

// How the rollout ended, into the history ring: newest first.
void Record(Turn& turn, const char* outcome, const std::string& message);
void Remember(api::ModelDeploymentStatus& status, api::HistoryEntry entry);

}  // namespace perennial::deployment
