#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/drift_monitor.h"
#include "api/model_version.h"
#include "api/scalars.h"
#include "api/source.h"
#include "kube/kept.h"
#include "kube/meta.h"

namespace perennial::api {

struct DriftTrigger {
  std::string monitor;
  std::vector<std::string> signals;  // empty: any
  Severity min_severity = Severity::kMinor;
  bool operator==(const DriftTrigger&) const = default;
};

struct ScheduleTrigger {
  std::string cron;                             // five fields
  std::string time_zone = "UTC";                // IANA name
  std::optional<Duration> starting_deadline{};  // a time missed by more is skipped; absent: never
  Duration jitter{Millis(0)};                   // of up to this much, fixed by the policy's UID
  bool operator==(const ScheduleTrigger&) const = default;
};

// A number made of metrics that reaches a bound.
struct NewDataTrigger {
  std::string expression;
  Decimal threshold;
  Duration window{Millis(3'600'000)};  // what rate(x) without brackets reads
  Duration interval{Millis(60'000)};   // between two looks
  std::optional<Source> source;
  bool operator==(const NewDataTrigger&) const = default;
};

// A CloudEvent that somebody posts. Exactly one of the secrets is set: it tells whether the sender
// is who it says.
struct EventTrigger {
  std::string type;
  std::string source;  // empty: any
  std::optional<SecretKey> bearer_token{};
  std::optional<SecretKey> signature{};
  bool operator==(const EventTrigger&) const = default;
};

// Exactly one member is set.
struct Trigger {
  std::optional<DriftTrigger> drift;
  std::optional<ScheduleTrigger> schedule;
  std::optional<NewDataTrigger> new_data{};
  std::optional<EventTrigger> event{};
  bool operator==(const Trigger&) const = default;
};

// A batch/v1 JobTemplateSpec.
struct JobTemplate {
  RawJson job_template;  // "template"
  bool operator==(const JobTemplate&) const = default;
};

// Any object that trains, in place of a Job.
struct Workload {
  std::string api_version;
  std::string kind;
  RawJson object_template;  // "template": metadata and whatever the kind has beside it
  std::string success;      // expressions over the object (api/object_expression.h)
  std::string failure;
  bool operator==(const Workload&) const = default;
};

// Where a finished run left its result.
enum class ResultFrom { kTerminationMessage, kConfigMap, kObject };
struct ResultSource {
  ResultFrom from = ResultFrom::kTerminationMessage;
  std::string path;  // kObject: an expression
  bool operator==(const ResultSource&) const = default;
};

// How failures are tried again.
struct RetryRule {
  Duration initial{Millis(10'000)};      // before the second attempt; doubles
  Duration longest{Millis(600'000)};     // at most
  int bad_results = 0;                   // further attempts after an unusable result
  Duration image_pull{Millis(900'000)};  // how long an image may fail to be pulled
  bool operator==(const RetryRule&) const = default;
};

// A time in which runs may start.
struct MaintenanceWindow {
  std::string cron;
  Duration duration{Millis(0)};
  std::string time_zone = "UTC";
  bool operator==(const MaintenanceWindow&) const = default;
};

// Policies of a namespace whose runs train together.
struct RunGroup {
  std::string name;
  Duration window{Millis(120'000)};  // how long the first run waits for others
  bool operator==(const RunGroup&) const = default;
};

struct RetrainPolicySpec {
  std::string model_deployment;
  std::vector<Trigger> triggers;
  Duration cooldown{Millis(0)};
  Duration deadline{Millis(86'400'000)};  // of one run, retries included
  int retries = 2;                        // further Jobs after the first that failed
  RetryRule backoff;
  bool suspend = false;
  std::vector<MaintenanceWindow> maintenance_windows;  // empty: always
  int max_per_day = 0;                                 // 0: any number
  int priority = 0;                                    // within the namespace's queue of runs
  std::optional<JobTemplate> job;                      // exactly one of job and workload
  std::optional<Workload> workload;
  std::optional<RunGroup> group;
  ResultSource result;
  std::vector<Gate> gates;
  GateMode mode = GateMode::kEnforce;
  ApprovalRule approval;
  int history_limit = 10;
  int job_history_limit = 2;
  bool operator==(const RetrainPolicySpec&) const = default;
};

enum class RunPhase { kPending, kRunning, kSucceeded, kFailed, kWaiting };

// A run's identity is in status before its Job exists; Job and ModelVersion are named after the
// run.
struct Run {
  std::string name;
  std::string trigger_type;  // Drift, Schedule, NewData, Event, Manual
  std::string trigger;       // identity: one trigger, at most one run
  std::string evidence;      // JSON
  std::string by_hand;       // JSON: of a request by hand that came while it waited
  RunPhase phase = RunPhase::kPending;
  int attempt = 0;               // index of the current Job
  int bad_results = 0;           // how many of the attempts ended with an unusable result
  std::string model_deployment;  // that it trains for; empty: as the spec says (older controllers)
  std::string job;
  std::string job_uid;
  std::string job_api_version;  // what trains, on record before it is made; empty: as the spec says
  std::string job_kind;
  std::string model_version;
  std::string parent;                // the champion when it began
  std::optional<Time> enqueued;      // when it was recorded; it waits for its turn from then on
  int position = 0;                  // Waiting: its place in the namespace's queue, as last told
  std::optional<Time> held_until;    // Waiting: its turn is not asked for before
  std::optional<Time> gather_until;  // Waiting: others of its group may join until then
  std::string follows;               // the Job of another run of the group, which trains for it
  Time started;
  std::optional<Time> data_since;     // where the data of the last run that succeeded end
  std::optional<Time> data_until;     // where its own data end, as its Job was told
  std::optional<Time> attempt_ended;  // when the current attempt was first seen to have failed
  std::optional<Time> missing_since;  // when the current Job was first not found
  std::optional<Time> image_since;    // when its image was first seen not to be pulled
  std::optional<Time> finished;
  std::string message;
  bool operator==(const Run&) const = default;
};

// How the expression of a newData trigger stands to its threshold.
enum class DataState { kNoData, kBelow, kReached };
struct NewDataStatus {
  std::string trigger;  // names expression, threshold and window: an edited trigger is another one
  DataState state = DataState::kNoData;
  Time since;
  std::string value;              // when it came to this state
  std::optional<Time> reached{};  // when it crossed the threshold, until it is seen below again
  std::string message;            // why there is no data
  bool operator==(const NewDataStatus&) const = default;
};

// From when on the times of a schedule start runs.
struct ScheduleStatus {
  std::string trigger;  // names cron and time zone: an edited schedule is another one
  Time since;           // when it was first seen, or the last of its times that had its run
  bool operator==(const ScheduleStatus&) const = default;
};

// An event that was taken and whose run has not been recorded yet.
struct TakenEvent {
  std::string id;
  std::string source;
  std::string type;
  Time received;
  bool operator==(const TakenEvent&) const = default;
};

// An event that was taken and that could still be sent again.
struct RecentEvent {
  std::string trigger;  // its identity
  Time time;            // the event's own
  bool operator==(const RecentEvent&) const = default;
};

struct RetrainPolicyStatus {
  std::int64_t observed_generation = -1;
  std::vector<Run> runs;                      // newest first
  std::vector<std::string> handled_triggers;  // identities, newest first, at most 50
  std::optional<Time> last_schedule;          // the last scheduled time that was handled
  std::optional<Time> next_schedule;
  std::vector<ScheduleStatus> schedules;  // one for each schedule trigger
  std::vector<NewDataStatus> new_data;    // one for each newData trigger
  std::vector<TakenEvent> events;         // oldest first
  std::vector<RecentEvent> recent_events;
  std::string why;
  std::vector<kube::Condition> conditions;
  bool operator==(const RetrainPolicyStatus&) const = default;
};

struct RetrainPolicy {
  kube::Meta meta;
  RetrainPolicySpec spec;
  RetrainPolicyStatus status;
  bool operator==(const RetrainPolicy&) const = default;
};

}  // namespace perennial::api

namespace perennial::kube {

// Looked at when its monitor or one of its runs changes.
template <>
struct Kept<api::RetrainPolicy> : Packed<api::RetrainPolicy> {};

}  // namespace perennial::kube
