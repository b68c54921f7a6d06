#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/model_version.h"
#include "api/scalars.h"
#include "kube/meta.h"

namespace perennial::api {

struct DriftTrigger {
  std::string monitor;
  std::vector<std::string> signals;  // empty: any
  bool operator==(const DriftTrigger&) const = default;
};

struct ScheduleTrigger {
  std::string cron;               // five fields
  std::string time_zone = "UTC";  // IANA name
  bool operator==(const ScheduleTrigger&) const = default;
};

// Exactly one member is set.
struct Trigger {
  std::optional<DriftTrigger> drift;
  std::optional<ScheduleTrigger> schedule;
  bool operator==(const Trigger&) const = default;
};

// A batch/v1 JobTemplateSpec.
struct JobTemplate {
  RawJson job_template;  // "template"
  bool operator==(const JobTemplate&) const = default;
};

struct RetrainPolicySpec {
  std::string model_deployment;
  std::vector<Trigger> triggers;
  Duration cooldown{Millis(0)};
  Duration deadline{Millis(86'400'000)};  // of one run, retries included
  int retries = 2;                        // further Jobs after the first that failed
  bool suspend = false;
  JobTemplate job;
  std::vector<Gate> gates;
  GateMode mode = GateMode::kEnforce;
  ApprovalRule approval;
  int history_limit = 10;
  bool operator==(const RetrainPolicySpec&) const = default;
};

enum class RunPhase { kPending, kRunning, kSucceeded, kFailed };

// A run's identity is in status before its Job exists; Job and ModelVersion are named after the
// run.
struct Run {
  std::string name;
  std::string trigger_type;  // Drift, Schedule, Manual
  std::string trigger;       // identity: one trigger, at most one run
  std::string evidence;      // JSON
  RunPhase phase = RunPhase::kPending;
  int attempt = 0;  // index of the current Job
  std::string job;
  std::string job_uid;
  std::string model_version;
  std::string parent;  // the champion when it began
  Time started;
  std::optional<Time> finished;
  std::string message;
  bool operator==(const Run&) const = default;
};

struct RetrainPolicyStatus {
  std::int64_t observed_generation = -1;
  std::vector<Run> runs;                      // newest first
  std::vector<std::string> handled_triggers;  // identities, newest first, at most 50
  std::optional<Time> last_schedule;          // the last scheduled time that was handled or skipped
  std::optional<Time> next_schedule;
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
