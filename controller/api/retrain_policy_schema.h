#pragma once

#include "api/condition_schema.h"
#include "api/drift_monitor_schema.h"
#include "api/model_version_schema.h"
#include "api/retrain_policy.h"
#include "api/source_schema.h"

namespace perennial::api {

template <>
struct EnumNames<RunPhase> {
  static constexpr std::array<std::string_view, 5> kNames{"Pending", "Running", "Succeeded",
                                                          "Failed", "Waiting"};
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
      Field{"minSeverity", &T::min_severity,
            "The least severity of the drift that starts a run: Minor, Major or Critical.",
            Rules{}},
  };
};

inline constexpr Rules kCron{.required = true,
                             .pattern =
                                 "^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|"
                                 "[0-9A-Za-z*/,-]+( +[0-9A-Za-z*/,-]+){4})$",
                             .wants = "five fields such as \"0 3 * * 1\", or @daily",
                             .max_length = 128};
inline constexpr Rules kTimeZone{.pattern = "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$",
                                 .wants = "an IANA time zone such as \"Europe/Berlin\"",
                                 .max_length = 64};

template <>
struct Schema<ScheduleTrigger> {
  using T = ScheduleTrigger;
  static constexpr std::tuple kFields{
      Field{"cron", &T::cron, "Five fields: minute, hour, day of month, month, day of week.",
            kCron},
      Field{"timeZone", &T::time_zone, "IANA name of the zone that cron means.", kTimeZone},
      Field{"startingDeadline", &T::starting_deadline,
            "How late a missed time may still start its run; absent: however late.", Rules{}},
      Field{"jitter", &T::jitter,
            "Start later by up to this much, always the same for one policy, so that many policies "
            "with one schedule don't start together.",
            Rules{}},
  };
};

template <>
struct Schema<NewDataTrigger> {
  using T = NewDataTrigger;
  static constexpr std::tuple kFields{
      Field{"expression", &T::expression,
            "A number made of metrics of the model's pods, all versions together, in the "
            "expressions of a DriftMonitor's signals: sum(increase(labelled_rows_total[24h])).",
            Rules{.required = true, .min_length = 1, .max_length = 2048}},
      Field{"threshold", &T::threshold,
            "A run starts when the expression reaches it, and again when it reaches it after it "
            "was below.",
            Rules{.required = true}},
      Field{"window", &T::window, "What rate(x) and increase(x) without brackets read.", Rules{}},
      Field{"interval", &T::interval, "Time between two looks.", Rules{}},
      Field{"source", &T::source, "Where the metrics are; without it, the pods themselves.",
            Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.interval) || duration(self.interval) >= duration('1s')",
             "interval must be at least 1s", "interval",
             [](const T& v) { return v.interval.value >= Seconds(1); }},
      Cel<T>{"!has(self.window) || duration(self.window) >= duration('1s')",
             "window must be at least 1s", "window",
             [](const T& v) { return v.window.value >= Seconds(1); }},
  };
};

template <>
struct Schema<EventTrigger> {
  using T = EventTrigger;
  static constexpr std::tuple kFields{
      Field{"type", &T::type, "The event's type, such as org.example.rows.loaded.",
            Rules{.required = true, .min_length = 1, .max_length = 256}},
      Field{"source", &T::source, "The event's source; without it, any.",
            Rules{.max_length = 1024}},
      Field{"bearerTokenSecretRef", &T::bearer_token,
            "What the sender must give as bearer token. The Secret has the label "
            "perennial.dev/use: events.",
            Rules{}},
      Field{"signatureSecretRef", &T::signature,
            "The key with which the sender must sign the request's body: HMAC with SHA-256, in the "
            "header X-Hub-Signature-256. In structured mode only, where the body is the event. The "
            "Secret has the label perennial.dev/use: events.",
            Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"has(self.bearerTokenSecretRef) != has(self.signatureSecretRef)",
             "a sender must show who it is: set either bearerTokenSecretRef or signatureSecretRef",
             "", [](const T& v) { return v.bearer_token.has_value() != v.signature.has_value(); }},
  };
};

template <>
struct Schema<Trigger> {
  using T = Trigger;
  static constexpr std::tuple kFields{
      Field{"drift", &T::drift, "A drift: at most one run for each episode.", Rules{}},
      Field{"schedule", &T::schedule, "A time: at most one run for each.", Rules{}},
      Field{"newData", &T::new_data,
            "Enough new data: at most one run each time that a number reaches a threshold.",
            Rules{}},
      Field{"event", &T::event, "A CloudEvent that is posted: at most one run for each.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"[has(self.drift), has(self.schedule), has(self.newData), has(self.event)]"
             ".filter(x, x).size() == 1",
             "a trigger is one thing: set drift, schedule, newData or event", "",
             [](const T& v) {
               return (v.drift ? 1 : 0) + (v.schedule ? 1 : 0) + (v.new_data ? 1 : 0) +
                          (v.event ? 1 : 0) ==
                      1;
             }},
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

inline constexpr Rules kExpression{.required = true, .min_length = 1, .max_length = 1024};

template <>
struct Schema<Workload> {
  using T = Workload;
  static constexpr std::tuple kFields{
      Field{"apiVersion", &T::api_version, "The kind's group and version.",
            Rules{.required = true,
                  .pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/v[0-9][a-z0-9]*$",
                  .wants = "group and version, such as \"trainer.kubeflow.org/v1alpha1\"",
                  .max_length = 253}},
      Field{"kind", &T::kind, "A kind that the administrator allows.",
            Rules{.required = true,
                  .pattern = "^[A-Z][A-Za-z0-9]*$",
                  .wants = "a kind, such as \"TrainJob\"",
                  .max_length = 63}},
      Field{"template", &T::object_template,
            "The object without apiVersion and kind. $(PERENNIAL_RUN) and the other variables are "
            "replaced in all its texts.",
            Rules{.required = true}},
      Field{"success", &T::success,
            "True once it has succeeded, such as "
            "status.conditions.exists(c, c.type == \"Complete\" && c.status == \"True\").",
            kExpression},
      Field{"failure", &T::failure, "True once it has failed.", kExpression},
  };
};

template <>
struct EnumNames<ResultFrom> {
  static constexpr std::array<std::string_view, 3> kNames{"TerminationMessage", "ConfigMap",
                                                          "Object"};
};

template <>
struct Schema<ResultSource> {
  using T = ResultSource;
  static constexpr std::tuple kFields{
      Field{
          "from", &T::from,
          "TerminationMessage of a pod with the run's label; a ConfigMap of the run; or a text in "
          "the workload's own Object.",
          Rules{}},
      Field{"path", &T::path,
            "Object: an expression, such as metadata.annotations[\"example.org/result\"].",
            Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"(has(self.from) && self.from == 'Object') == (has(self.path) && self.path != '')",
             "path goes with from: Object, and that needs it", "path",
             [](const T& v) { return (v.from == ResultFrom::kObject) == !v.path.empty(); }},
  };
};

template <>
struct Schema<RetryRule> {
  using T = RetryRule;
  static constexpr std::tuple kFields{
      Field{"initial", &T::initial, "Wait before the second attempt; doubles with each.", Rules{}},
      Field{"longest", &T::longest, "The longest wait.", Rules{}},
      Field{"badResults", &T::bad_results,
            "Further attempts after a result that is missing or unusable.",
            Rules{.min = 0, .max = 10}},
      Field{"imagePull", &T::image_pull,
            "How long an image may fail to be pulled before the run fails.", Rules{}},
  };
};

template <>
struct Schema<MaintenanceWindow> {
  using T = MaintenanceWindow;
  static constexpr std::tuple kFields{
      Field{"cron", &T::cron, "When it opens: five fields, as for a schedule.", kCron},
      Field{"duration", &T::duration, "How long it stays open.", Rules{.required = true}},
      Field{"timeZone", &T::time_zone, "IANA name of the zone that cron means.", kTimeZone},
  };
  static constexpr std::array kCel{
      Cel<T>{"duration(self.duration) >= duration('1m')", "duration must be at least 1m",
             "duration", [](const T& v) { return v.duration.value >= Seconds(60); }},
  };
};

template <>
struct Schema<RunGroup> {
  using T = RunGroup;
  static constexpr std::tuple kFields{
      Field{"name", &T::name,
            "The group: RetrainPolicies of this namespace that name it and have the same job or "
            "workload, and result.",
            Required(kObjectName)},
      Field{"window", &T::window, "How long the first run waits for others.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.window) || (duration(self.window) >= duration('1s') && "
             "duration(self.window) <= duration('24h'))",
             "window must be from 1s to 24h", "window",
             [](const T& v) {
               return v.window.value >= Seconds(1) && v.window.value <= std::chrono::hours(24);
             }},
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
      Field{"backoff", &T::backoff, "How failed attempts are tried again.", Rules{}},
      Field{"suspend", &T::suspend, "Start no run.", Rules{}},
      Field{"maintenanceWindows", &T::maintenance_windows,
            "Times in which runs may start, those by hand excepted; none: always.",
            Rules{.max_items = 16}},
      Field{"maxPerDay", &T::max_per_day,
            "Runs that may start within 24 hours, those by hand excepted; 0: any number.",
            Rules{.min = 0, .max = 48}},
      Field{"priority", &T::priority,
            "Where runs wait for their turn: each point goes ahead of runs of the same namespace "
            "that were recorded up to 10 minutes earlier.",
            Rules{.min = -100, .max = 100}},
      Field{"job", &T::job, "What trains: a Job.", Rules{}},
      Field{"workload", &T::workload, "What trains, in place of a Job: any object.", Rules{}},
      Field{"group", &T::group,
            "Train in one run with the policies that share the cause and what trains.", Rules{}},
      Field{"result", &T::result, "Where the result is found.", Rules{}},
      Field{"gates", &T::gates, "Bounds on the evaluation metrics that the result must keep.",
            kGates},
      Field{"mode", &T::mode, "DryRun: gates are reported, and stop nothing.", Rules{}},
      Field{"approval", &T::approval, "Who must agree to the new version.", Rules{}},
      Field{"historyLimit", &T::history_limit, "Finished runs that status keeps.",
            Rules{.min = 1, .max = 50}},
      Field{"jobHistoryLimit", &T::job_history_limit,
            "Finished Jobs or workloads that are kept; older ones are deleted, the ModelVersions "
            "that they made never are.",
            Rules{.min = 0, .max = 50}},
  };
  static constexpr std::array kCel{
      Cel<T>{"has(self.job) != has(self.workload)", "one thing trains: set either job or workload",
             "job", [](const T& v) { return v.job.has_value() != v.workload.has_value(); }},
      Cel<T>{"!(has(self.job) && has(self.result) && has(self.result.from) && self.result.from == "
             "'Object')",
             "from: Object goes with workload; a Job has no result of its own", "result.from",
             [](const T& v) { return !v.job || v.result.from != ResultFrom::kObject; }},
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
      Field{"triggerType", &T::trigger_type, "Drift, Schedule, NewData, Event or Manual.", Rules{}},
      Field{"trigger", &T::trigger, "The trigger's identity: one trigger, at most one run.",
            Rules{}},
      Field{"evidence", &T::evidence, "What was seen when the trigger fired, as JSON text.",
            kMessage},
      Field{"byHand", &T::by_hand,
            "The request by hand that came while it waited, as JSON text: it goes at once.",
            kMessage},
      Field{"phase", &T::phase, "Waiting (for its turn), Pending, Running, Succeeded or Failed.",
            Rules{.always = true}},
      Field{"attempt", &T::attempt, "Index of the current Job.", Rules{.min = 0}},
      Field{"badResults", &T::bad_results, "Attempts that ended with an unusable result.",
            Rules{.min = 0}},
      Field{"modelDeployment", &T::model_deployment, "The ModelDeployment that it trains for.",
            Rules{}},
      Field{"job", &T::job, "The current Job or workload.", Rules{}},
      Field{"jobUID", &T::job_uid, "Its UID.", Rules{}},
      Field{"jobAPIVersion", &T::job_api_version, "Its group and version.", Rules{}},
      Field{"jobKind", &T::job_kind, "Its kind.", Rules{}},
      Field{"modelVersion", &T::model_version, "The ModelVersion that came out.", Rules{}},
      Field{"parent", &T::parent, "The champion when it began.", Rules{}},
      Field{"enqueued", &T::enqueued, "When it was recorded, and began to wait for its turn.",
            Rules{}},
      Field{"position", &T::position,
            "Waiting: its place in the namespace's queue when last told. Told again at 1000, 100 "
            "and 10.",
            Rules{.min = 0}},
      Field{"heldUntil", &T::held_until,
            "Waiting: when the next maintenance window opens, before which it has no turn.",
            Rules{}},
      Field{"gatherUntil", &T::gather_until, "Waiting: how long it waits for others of its group.",
            Rules{}},
      Field{"follows", &T::follows,
            "The Job or workload of another run of the group, which trains for this one too.",
            Rules{}},
      Field{"started", &T::started, "When it began: when it got its turn.", Rules{}},
      Field{"dataSince", &T::data_since, "Where the data of the last run that succeeded end.",
            Rules{}},
      Field{"dataUntil", &T::data_until, "Where its own data end, as its Job was told.", Rules{}},
      Field{"attemptEnded", &T::attempt_ended,
            "When the current attempt was first seen to have failed.", Rules{}},
      Field{"missingSince", &T::missing_since, "When the current Job was first not found.",
            Rules{}},
      Field{"imageSince", &T::image_since,
            "Since when an image of the current Job's pod fails to be pulled.", Rules{}},
      Field{"finished", &T::finished, "When it ended.", Rules{}},
      Field{"message", &T::message, "What it waits for, or how it ended.", kMessage},
  };
};

template <>
struct EnumNames<DataState> {
  static constexpr std::array<std::string_view, 3> kNames{"NoData", "Below", "Reached"};
};

template <>
struct Schema<NewDataStatus> {
  using T = NewDataStatus;
  static constexpr std::tuple kFields{
      Field{"trigger", &T::trigger, "A name made of the trigger's fields.",
            Rules{.required = true}},
      Field{"state", &T::state, "NoData, Below or Reached.", Rules{.always = true}},
      Field{"since", &T::since, "When it came to this state.", Rules{}},
      Field{"value", &T::value, "The expression's value then.", Rules{}},
      Field{"reached", &T::reached,
            "When it reached the threshold; gone once it is seen below again.", Rules{}},
      Field{"message", &T::message, "Why there is no data.", kMessage},
  };
};

template <>
struct Schema<ScheduleStatus> {
  using T = ScheduleStatus;
  static constexpr std::tuple kFields{
      Field{"trigger", &T::trigger, "A name made of the trigger's fields.",
            Rules{.required = true}},
      Field{"since", &T::since,
            "Only times after this one start a run: it was first seen then, or that time had its "
            "run.",
            Rules{}},
  };
};

template <>
struct Schema<TakenEvent> {
  using T = TakenEvent;
  static constexpr std::tuple kFields{
      Field{"id", &T::id, "The event's id.", Rules{.required = true}},
      Field{"source", &T::source, "Its source.", Rules{.required = true}},
      Field{"type", &T::type, "Its type.", Rules{.required = true}},
      Field{"received", &T::received, "When it came.", Rules{}},
  };
};

template <>
struct Schema<RecentEvent> {
  using T = RecentEvent;
  static constexpr std::tuple kFields{
      Field{"trigger", &T::trigger, "The event's identity.", Rules{.required = true}},
      Field{"time", &T::time, "The event's own time.", Rules{}},
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
      Field{"schedules", &T::schedules, "From when on each schedule starts runs.",
            Rules{.max_items = 16}},
      Field{"newData", &T::new_data, "How each newData trigger stands.", Rules{.max_items = 16}},
      Field{"events", &T::events, "Events that were taken and have no run yet, oldest first.",
            Rules{.max_items = 16}},
      Field{"recentEvents", &T::recent_events,
            "Events that are young enough to be sent again, so that none is taken twice.",
            Rules{.max_items = 100}},
      Field{"why", &T::why, "What it does or waits for, in one sentence.", kMessage},
      Field{"conditions", &T::conditions, kConditionsDoc, kConditions},
  };
};

}  // namespace perennial::api
