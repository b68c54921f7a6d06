#include "deployment/commands.h"

#include <algorithm>
#include <charconv>

#include "api/author.h"
#include "api/names.h"
#include "base/text.h"
#include "deployment/fleet.h"
#include "deployment/moves.h"
#include "deployment/records.h"

namespace perennial::deployment {
namespace {

using api::RolloutPhase;
using api::RolloutStatus;
using Type = kube::EmitEvent::Type;

std::string NameOf(std::string_view annotation) {
  return std::string(annotation.substr(annotation.find('/') + 1));
}

// "VERSION", "VERSION/STEP", either with ":TOKEN".
Request Parse(const std::string& value) {
  Request request;
  request.value = value;
  const std::string about = value.substr(0, value.find(':'));
  const size_t slash = about.find('/');
  request.version = about.substr(0, slash);
  if (slash == std::string::npos) return request;
  const char* end = about.data() + about.size();
  const auto [stopped, error] = std::from_chars(about.data() + slash + 1, end, request.step);
  // A step that can't be read is none of ours.
  if (error != std::errc{} || stopped != end || request.step <= 0) request.version.clear();
  return request;
}

bool Moves(const RolloutStatus& rollout) {
  return rollout.phase == RolloutPhase::kStarting || rollout.phase == RolloutPhase::kProgressing ||
         rollout.phase == RolloutPhase::kPaused;
}

void Resume(Turn& turn) {
  RolloutStatus& rollout = Rollout(turn);
  // Deadlines don't run while nothing may move.
  if (rollout.paused && !rollout.in_effect) rollout.step_started = api::Time{turn.now};
  rollout.paused = false;
}

bool HeedPause(Turn& turn) {
  RolloutStatus& rollout = Rollout(turn);
  const auto asked = AskedOf(turn, api::kAnnotationPause, rollout.version);
  if (!asked) return false;
  rollout.paused = true;
  Answer(turn, api::kAnnotationPause, *asked, "paused");
  // In a step the phase tells it (see Wait).
  if (rollout.phase == RolloutPhase::kStarting) {
    turn.Emit(Type::kNormal, "RolloutPaused", rollout.version + ": paused by annotation");
  }
  return true;
}

bool HeedResume(Turn& turn) {
  RolloutStatus& rollout = Rollout(turn);
  const auto asked = AskedOf(turn, api::kAnnotationResume, rollout.version);
  if (!asked) return false;
  const bool waits = rollout.phase == RolloutPhase::kPaused;
  if (!rollout.paused && !waits) {
    Answer(turn, api::kAnnotationResume, *asked, "it was not paused");
    return true;
  }
  // A pause of its own ends only what it began; without one, it is the step's that ends.
  if (!rollout.paused) rollout.released = rollout.step + 1;
  Resume(turn);
  Answer(turn, api::kAnnotationResume, *asked, "resumed");
  turn.Emit(Type::kNormal, "RolloutResumed", rollout.version + ": resumed by annotation");
  return true;
}

bool HeedStepEnd(Turn& turn) {
  RolloutStatus& rollout = Rollout(turn);
  const auto asked = Asked(turn, api::kAnnotationPromote);
  if (!asked || asked->version != rollout.version) return false;
  if (asked->step == 0) {
    // All traffic is given by whoever judges the step; a pause must not be in its way.
    if (!rollout.paused) return false;
    Resume(turn);
    turn.decided = true;
    return true;
  }
  const bool now = rollout.in_effect && asked->step == rollout.step + 1;
  if (!now && asked->step > rollout.step) return false;  // its time may come
  if (now) {
    rollout.released = asked->step;
    Resume(turn);
  }
  Answer(turn, api::kAnnotationPromote, *asked,
         now ? "step " + std::to_string(asked->step) + " ended" : "that step was over");
  return true;
}

void Refuse(Turn& turn, std::string_view annotation, const Request& request,
            const std::string& why) {
  Answer(turn, annotation, request, "refused: " + why);
  turn.Emit(Type::kWarning, "CommandRefused",
            NameOf(annotation) + " " + request.version + ": " + why);
}

void Restore(Turn& turn, std::string_view annotation, const Request& request,
             const api::ModelVersion& version) {
  const api::ModelDeployment& md = *turn.seen.deployment;
  turn.records.push_back(RenderCopy(md, version, request.value, NextRevision(turn.seen)));
  const std::string copy = turn.records.back().target.key.name;
  Answer(turn, annotation, request, "made ModelVersion " + copy);
  turn.Emit(Type::kNormal, "VersionRestored",
            NameOf(annotation) + " " + request.version + ": made ModelVersion " + copy +
                " of the same artifact");
}

bool WasRolledBack(const Turn& turn, const std::string& version) {
  const auto& history = turn.status.history;
  return std::any_of(history.begin(), history.end(), [&](const api::HistoryEntry& entry) {
    return entry.version == version && entry.outcome == "RolledBack";
  });
}

void HeedRetry(Turn& turn) {
  const auto asked = Asked(turn, api::kAnnotationRetry);
  if (!asked || asked->step != 0) return;
  const RolloutStatus* active = ActiveRollout(turn.status);
  if (active != nullptr && active->version == asked->version) return;  // not over yet
  const api::ModelVersion* version = FindVersion(turn.seen, asked->version);
  if (version == nullptr) {
    return Refuse(turn, api::kAnnotationRetry, *asked, "there is no such ModelVersion");
  }
  if (!WasRolledBack(turn, asked->version)) {
    return Refuse(turn, api::kAnnotationRetry, *asked,
                  "it was not rolled back lately; use perennial.dev/undo to bring back a version "
                  "that served");
  }
  Restore(turn, api::kAnnotationRetry, *asked, *version);
}

void HeedUndo(Turn& turn) {
  const auto asked = Asked(turn, api::kAnnotationUndo);
  if (!asked || asked->step != 0) return;
  const auto refuse = [&](const std::string& why) {
    Refuse(turn, api::kAnnotationUndo, *asked, why);
  };
  const api::ModelVersion* version = FindVersion(turn.seen, asked->version);
  if (version == nullptr) return refuse("there is no such ModelVersion");
  if (asked->version == turn.status.champion) {
    return refuse("it serves already; perennial.dev/abort ends the rollout of another");
  }
  if (!Approved(*version)) return refuse("it is not approved: " + version->status.why);
  const api::ModelVersion* champion = FindVersion(turn.seen, turn.status.champion);
  const api::ModelVersion* previous = Previous(turn.seen, turn.status.champion);
  // Back by one: the champion is what is wrong, and on the record it stays so. No steps are taken,
  // and with rollout.keepPrevious no pod has to start.
  if (champion != nullptr && version == previous) {
    turn.records.push_back(RenderRejection(*champion, turn.seen.own_identity,
                                           "undone in favour of " + asked->version));
    return Answer(turn, api::kAnnotationUndo, *asked, "rejected " + turn.status.champion);
  }
  if (Spec(turn).updates == api::Updates::kManual) {
    return refuse("updates: Manual serves spec.model only: change spec.model");
  }
  Restore(turn, api::kAnnotationUndo, *asked, *version);
}

}  // namespace

std::optional<Request> Asked(const Turn& turn, std::string_view annotation) {
  const std::string* value = kube::Find(turn.seen.deployment->meta.annotations, annotation);
  if (value == nullptr || value->empty()) return std::nullopt;
  for (const api::CommandStatus& command : turn.status.commands) {
    if (command.name == NameOf(annotation) && command.value == CutText(*value, 1000)) {
      return std::nullopt;
    }
  }
  return Parse(*value);
}

std::optional<Request> AskedOf(const Turn& turn, std::string_view annotation,
                               const std::string& version) {
  auto request = Asked(turn, annotation);
  if (!request || request->version != version || request->step != 0) return std::nullopt;
  return request;
}

void Answer(Turn& turn, std::string_view annotation, const Request& request,
            const std::string& outcome) {
  const api::CommandStatus answer{NameOf(annotation), CutText(request.value, 1000),
                                  api::Time{turn.now}, outcome};
  auto& commands = turn.status.commands;
  const auto same = std::find_if(commands.begin(), commands.end(),
                                 [&](const auto& one) { return one.name == answer.name; });
  if (same == commands.end()) {
    commands.push_back(answer);
  } else {
    *same = answer;
  }
  turn.decided = true;
}

bool HeedPauses(Turn& turn) {
  if (!Moves(Rollout(turn))) return false;
  // In this order: where status was lost and all are there again, none is left paused.
  const bool heeded = HeedPause(turn) || HeedResume(turn) || HeedStepEnd(turn);
  if (heeded) turn.why = "heeding a request about the rollout of " + Rollout(turn).version;
  return heeded;
}

void HeedRestorations(Turn& turn) {
  HeedRetry(turn);
  HeedUndo(turn);
}

std::string HowToResume(const api::RolloutStatus& rollout) {
  return "kubectl perennial resume, or annotate perennial.dev/resume=" + rollout.version;
}

std::string HowToGoOn(const api::RolloutStatus& rollout) {
  const std::string step = rollout.version + "/" + std::to_string(rollout.step + 1);
  return "kubectl perennial resume goes on (or annotate perennial.dev/promote=" + step +
         "), abort rolls back";
}

std::string HowToApproveStep(const api::ModelDeployment& deployment,
                             const api::ModelVersion& version, int step) {
  const std::string number = std::to_string(step);
  const auto& rule = deployment.spec.approval;
  const bool separate = (rule && rule->separation_of_duties) ||
                        version.spec.requirements.approval.separation_of_duties;
  std::string how = "step " + number + " waits for approval: kubectl perennial approve " +
                    version.meta.key.name + " --step " + number +
                    " (a ModelApproval with this step), reject rolls back";
  if (separate && api::LacksAuthor(version.spec.origin)) {
    how += "; " + api::NoApprovalCounts(version.spec.origin);
  }
  return how;
}

}  // namespace perennial::deployment
