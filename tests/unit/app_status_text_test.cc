#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "app/status_text.h"

namespace perennial::app {
namespace {

using nlohmann::json;

const WallTime kNow = *ParseTime("2026-11-24T12:00:00Z");

// Made by the codec, so that a field that is renamed there is missed here.
json Deployment() {
  api::ModelDeploymentStatus status;
  status.champion = "departures-v1";
  status.challenger = "departures-v2";
  status.why = "holding 20 % for 6 more seconds";
  api::VariantStatus champion;
  champion.name = "champion";
  champion.version = "departures-v1";
  champion.model.uri = "oci://models/departures:1";
  champion.replicas = 3;
  champion.ready_replicas = 2;
  champion.weight_wanted = 80;
  champion.weight = 100;
  status.variants = {champion};
  api::RolloutStatus rollout;
  rollout.version = "departures-v2";
  rollout.phase = api::RolloutPhase::kProgressing;
  rollout.step = 1;
  api::ExperimentStatus experiment;
  experiment.effect = "-0.4";
  experiment.lower = "-0.9";
  experiment.upper = "0.1";
  experiment.p_value = "0.07";
  experiment.champion_samples = 400;
  experiment.challenger_samples = 120;
  experiment.verdict = api::Verdict::kInconclusive;
  rollout.experiment = experiment;
  status.rollout = rollout;
  status.conditions = {{"Promoted", "False", "InProgress", "", 1, ""},
                       {"Ready", "True", "Serving", "", 1, ""}};
  return {{"metadata", {{"name", "departures"}, {"namespace", "transit"}}},
          {"spec",
           {{"rollout",
             {{"steps", {{{"weight", 5}}, {{"weight", 20}}}},
              {"experiment", {{"primary", {{"name", "abs-error"}}}}}}}}},
          {"status", json::parse(api::EncodeStatus(status))}};
}

json Version(const char* name, int revision, api::VersionPhase phase, const char* why) {
  api::ModelVersionStatus status;
  status.phase = phase;
  status.why = why;
  return {
      {"metadata", {{"name", name}, {"creationTimestamp", "2026-11-24T11:00:00Z"}}},
      {"spec", {{"revision", revision}, {"origin", {{"type", "Run"}, {"triggerType", "Drift"}}}}},
      {"status", json::parse(api::EncodeStatus(status))}};
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(StatusText, SaysHowItStandsWhyAndWhatToDo) {
  const json versions = {
      Version("departures-v2", 2, api::VersionPhase::kApproved, "gates passed"),
      Version("departures-v3", 3, api::VersionPhase::kAwaitingApproval, "0 of 1 approvals")};
  const std::string text =
      DescribeStatus({Deployment(), versions, json::array(), json::array()}, kNow);
  EXPECT_TRUE(Has(text,
                  "departures  namespace transit  rollout Progressing (step 2 of 2)"
                  "  Ready=True  Promoted=False(InProgress)\n"))
      << text;
  EXPECT_TRUE(Has(text, "WHY  holding 20 % for 6 more seconds\n")) << text;
  EXPECT_TRUE(Has(
      text,
      "DO   kubectl perennial promote departures | pause departures | abort departures | approve "
      "departures-v3 | reject departures-v3\n"))
      << text;
  EXPECT_TRUE(Has(text, "80%   100%  2/3    departures-v1")) << text;
  EXPECT_TRUE(Has(text, "abs-error: effect -0.4 (-0.9 to 0.1), p 0.07, n 400 + 120: Inconclusive"))
      << text;
  EXPECT_LT(text.find("departures-v3  "), text.find("departures-v2  3")) << "newest first\n"
                                                                         << text;
}

TEST(StatusText, CountsTheTimeThatIsLeft) {
  json deployment = Deployment();
  json& rollout = deployment["status"]["rollout"];
  rollout["until"] = "2026-11-24T12:05:00Z";
  rollout["then"] = "step 3 begins";
  rollout["experimentEnds"] = "2026-11-26T13:00:00Z";
  const auto text = [&](WallTime now) {
    return DescribeStatus({deployment, json::array(), json::array(), json::array()}, now);
  };
  EXPECT_TRUE(Has(text(kNow), "LEFT 5m (until 2026-11-24T12:05:00Z), then step 3 begins\n"))
      << text(kNow);
  EXPECT_TRUE(Has(text(kNow), "at most 2d more\n")) << text(kNow);
  EXPECT_TRUE(Has(text(kNow + Seconds(290)), "LEFT 10s (")) << "of the time of the command";
  EXPECT_TRUE(Has(text(kNow + std::chrono::hours(1)), "LEFT 0s (")) << "nothing below zero";
  rollout.erase("until");
  EXPECT_FALSE(Has(text(kNow), "LEFT"));
}

TEST(StatusText, PutsWhatBlocksFirst) {
  json deployment = Deployment();
  deployment["status"]["conditions"] = {
      {{"type", "Stalled"}, {"status", "True"}, {"reason", "NameTaken"}, {"message", "taken"}}};
  const std::string text =
      DescribeStatus({deployment, json::array(), json::array(), json::array()}, kNow);
  EXPECT_TRUE(Has(text, "WHY  taken\n")) << text;
}

TEST(StatusText, ShowsDriftAndRetraining) {
  api::DriftMonitorStatus monitor;
  api::SignalStatus signal;
  signal.name = "distance";
  signal.variant = "departures-v1";
  signal.state = api::SignalState::kDrifted;
  signal.value = "0.41";
  signal.threshold = "0.25";
  signal.samples = 900;
  signal.since = api::Time{kNow - std::chrono::minutes(5)};
  monitor.signals = {signal};
  monitor.episode =
      api::Episode{"e", api::Time{kNow - std::chrono::minutes(5)}, "departures-v1", {"distance"}};
  api::RetrainPolicyStatus policy;
  policy.why = "run r is running";
  api::Run run;
  run.name = "r";
  run.trigger_type = "Drift";
  run.phase = api::RunPhase::kRunning;
  run.started = api::Time{kNow - Seconds(90)};
  run.message = "Job r is running";
  policy.runs = {run};
  policy.conditions = {{"Retraining", "True", "RunActive", "", 1, ""}};
  const json monitors = {
      {{"metadata", {{"name", "m"}}}, {"status", json::parse(api::EncodeStatus(monitor))}}};
  const json policies = {
      {{"metadata", {{"name", "p"}}}, {"status", json::parse(api::EncodeStatus(policy))}}};
  json idle = Deployment();
  idle["status"].erase("rollout");
  const std::string text = DescribeStatus({idle, json::array(), monitors, policies}, kNow);
  EXPECT_TRUE(Has(text, " distance  Drifted  0.41   0.25       900  5m   departures-v1\n")) << text;
  EXPECT_TRUE(Has(text, "drifting for 5m")) << text;
  EXPECT_TRUE(Has(text, " run r  Running  Drift  90s ago  Job r is running\n")) << text;
  EXPECT_TRUE(Has(text, "DO   nothing\n")) << "a run is under way already\n" << text;
}

TEST(StatusText, LetsNoTextSteerTheTerminal) {
  json deployment = Deployment();
  deployment["status"]["why"] = "\x1b[2J\x1b]0;owned\x07 gone\nDO   kubectl delete";
  const std::string text =
      DescribeStatus({deployment, json::array(), json::array(), json::array()}, kNow);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
  EXPECT_EQ(text.find("\nDO   kubectl delete"), std::string::npos);
}

}  // namespace
}  // namespace perennial::app
