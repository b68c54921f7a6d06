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

// Creates the user's ModelApproval of the version's digest as it is now. The same decision again is
// told and changes nothing.
Status Judge(const CommandContext& context, const std::string& version,
             api::ApprovalDecision decision, const std::string& reason);

// Annotates the policy with a token that was never used: one run starts.
Status Retrain(const CommandContext& context, const std::string& policy);

// Answers the rollout under way: give all traffic to its version now, go on from a pause, or roll
// back. Refused where there is none (or no pause): the answer would be about nothing.
enum class RolloutAnswer { kPromote, kResume, kAbort };
Status AnswerRollout(const CommandContext& context, const std::string& deployment,
                     RolloutAnswer answer);

}  // namespace perennial::app
