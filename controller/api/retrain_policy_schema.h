#pragma once

#include "api/condition_schema.h"
#include "api/model_version_schema.h"
#include "api/retrain_policy.h"

namespace perennial::api {

template <>
struct EnumNames<RunPhase> {
  static constexpr std::array<std::string_view, 4> kNames{"Pending", "Running", "Succeeded",
                                                          "Failed"};
};

template <>
struct Schema<DriftTrigger> {
  using T = DriftTrigger;
  static constexpr std::tuple kFields{
      Field{"monitor", &T::monitor, "The DriftMonitor.", Required(kObjectName)},
      Field{"signals", &T::signals, "Its signals that count; empty: any.",
            Rules{.pattern = kItemName.pattern,
                  .wants = kItemName.wants,
                  .max_length = kItemName.max_length,
                  .set = true}},
  };
};

template <>
struct Schema<ScheduleTrigger> {
  using T = ScheduleTrigger;
  static constexpr std::tuple kFields{
      Field{"cron", &T::cron, "Five fields: minute, hour, day of month, month, day of week.",
            Rules{.required = true,
                  .pattern = "^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|"
                             "[0-9A-Za-z*/,-]+( +[0-9A-Za-z*/,-]+){4})$",
                  .wants = "five fields such as \"0 3 * * 1\", or @daily",
                  .max_length = 128}},
      Field{"timeZone", &T::time_zone, "IANA name of the zone that cron means.",
            Rules{.pattern = "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$",
                  .wants = "an IANA time zone such as \"Europe/Berlin\"",
                  .max_length = 64}},
  };
};

template <>
struct Schema<Trigger> {
  using T = Trigger;
  static constexpr std::tuple kFields{
      Field{"drift", &T::drift, "A drift: at most one run for each episode.", Rules{}},
      Field{"schedule", &T::schedule, "A time: at most one run for each.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"has(self.drift) != has(self.schedule)",
             "a trigger is one thing: set either drift or schedule", "",
             [](const T& v) { return v.drift.has_value() != v.schedule.has_value(); }},
  };
};

template <>
struct Schema<JobTemplate> {
  using T = JobTemplate;
  static constexpr std::tuple kFields{
      Field{"template", &T::job_template,
            "A batch/v1 JobTemplateSpec. Its containers get PERENNIAL_* variables that tell why "
            "they run.",
            Rules{.required = true}},
  };
};

template <>
struct Schema<RetrainPolicySpec> {
  using T = RetrainPolicySpec;
  static constexpr std::tuple kFields{
      Field{"modelDeployment", &T::model_deployment, "The ModelDeployment to retrain for.",
            Required(kObjectName)},
      Field{"triggers", &T::triggers,
            "What starts a run. Without any, only the annotation perennial.dev/retrain does.",
            Rules{.max_items = 16}},
      Field{"cooldown", &T::cooldown,
            "Time after a run's end in which no trigger starts another; by hand one can.", Rules{}},
      Field{"deadline", &T::deadline, "Time that a run may take, retries included.", Rules{}},
      Field{"retries", &T::retries, "Further Jobs after the first that failed.",
            Rules{.min = 0, .max = 10}},
      Field{"suspend", &T::suspend, "Start no run.", Rules{}},
      Field{"job", &T::job, "What trains.", Rules{.required = true}},
      Field{"gates", &T::gates, "Bounds on the evaluation metrics that the result must keep.",
            kGates},
      Field{"mode", &T::mode, "DryRun: gates are reported, and stop nothing.", Rules{}},
      Field{"approval", &T::approval, "Who must agree to the new version.", Rules{}},
      Field{"historyLimit", &T::history_limit, "Finished runs that status keeps.",
            Rules{.min = 1, .max = 50}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.deadline) || duration(self.deadline) >= duration('1s')",
             "deadline must be at least 1s", "deadline",
             [](const T& v) { return v.deadline.value >= Seconds(1); }},
  };
};

template <>
struct Schema<Run> {
  using T = Run;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "Its name; Job and ModelVersion are named after it.",
            Rules{.required = true}},
      Field{"triggerType", &T::trigger_type, "Drift, Schedule or Manual.", Rules{}},
      Field{"trigger", &T::trigger, "The trigger's identity: one trigger, at most one run.",
            Rules{}},
      Field{"evidence", &T::evidence, "What was seen when the trigger fired, as JSON text.",
            kMessage},
      Field{"phase", &T::phase, "Pending, Running, Succeeded or Failed.", Rules{.always = true}},
      Field{"attempt", &T::attempt, "Index of the current Job.", Rules{.min = 0}},
      Field{"job", &T::job, "The current Job.", Rules{}},
      Field{"jobUID", &T::job_uid, "Its UID.", Rules{}},
      Field{"modelVersion", &T::model_version, "The ModelVersion that came out.", Rules{}},
      Field{"parent", &T::parent, "The champion when it began.", Rules{}},
      Field{"started", &T::started, "When it began.", Rules{}},
      Field{"finished", &T::finished, "When it ended.", Rules{}},
      Field{"message", &T::message, "What it waits for, or how it ended.", kMessage},
  };
};

template <>
struct Schema<RetrainPolicyStatus> {
  using T = RetrainPolicyStatus;
  static constexpr std::tuple kFields{
      Field{"observedGeneration", &T::observed_generation, kObservedGenerationDoc,
            Rules{.always = true, .min = -1}},
      Field{"runs", &T::runs, "Runs, newest first.", Rules{.max_items = 64}},
      Field{"handledTriggers", &T::handled_triggers,
            "Identities of triggers that are done with, newest first.", Rules{}},
      Field{"lastSchedule", &T::last_schedule, "The last scheduled time that was handled.",
            Rules{}},
      Field{"nextSchedule", &T::next_schedule, "The next scheduled time.", Rules{}},
      Field{"why", &T::why, "What it does or waits for, in one sentence.", kMessage},
      Field{"conditions", &T::conditions, kConditionsDoc, kConditions},
  };
};

}  // namespace perennial::api
