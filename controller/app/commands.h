#pragma once

#include <iosfwd>
#include <string>

#include "api/model_approval.h"
#include "base/clock.h"
#include "base/result.h"
#include "kube/client.h"
#include "kube/transport.h"

namespace perennial::app {

// What the commands of kubectl-perennial work with. Each command is ordinary requests under the
// user's own rights.
struct CommandContext {
  kube::Transport& transport;
  kube::Client& client;
  const Clock& clock;
  std::string ns;
  std::ostream& out;
};

// Prints what DescribeStatus() says of a ModelDeployment.
Status PrintStatus(const CommandContext& context, const std::string& deployment);

// Prints why its model serves (app/why.h): as text, or as JSON.
Status PrintWhy(const CommandContext& context, const std::string& deployment, bool as_json);

// Creates the user's ModelApproval of the version's digest as it is now. The same decision again is
// told and changes nothing. `step`: of its rollout, that is approved; 0: that it may serve.
Status Judge(const CommandContext& context, const std::string& version,
             api::ApprovalDecision decision, const std::string& reason, int step = 0);

// Annotates the policy with a token that was never used, and with the user's name: one run starts.
Status Retrain(const CommandContext& context, const std::string& policy);

// Answers the rollout under way: end its step, give all traffic to its version now, pause, go on
// from a pause, or roll back; or try the version that was rolled back last again. Refused where
// there is none (or no pause): the answer would be about nothing.
enum class RolloutAnswer { kPromote, kPromoteFull, kPause, kResume, kAbort, kRetry };
Status AnswerRollout(const CommandContext& context, const std::string& deployment,
                     RolloutAnswer answer);

// Brings a version back that served before; `to` empty: the one before the champion.
Status Undo(const CommandContext& context, const std::string& deployment, const std::string& to);

}  // namespace perennial::app
