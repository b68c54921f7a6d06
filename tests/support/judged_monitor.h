#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "api/codec.h"
#include "drift/decide.h"
#include "drift/definition.h"

namespace perennial::drift {

// One monitor of one signal, driven look by look as the reconciler does it, with status written and
// read back between the looks.
class DriftDecide : public ::testing::Test {
 protected:
  DriftDecide() {
    monitor_.meta.key = {"ns", "m"};
    monitor_.meta.uid = "uid-1";
    monitor_.meta.generation = 3;
    monitor_.spec.target.model_deployment = "d";
    api::Signal signal;
    signal.name = "distance";
    signal.metric = "x";
    signal.tests = {{"population_stability_index", {}, {0.25, "0.25"}}};
    monitor_.spec.signals = {signal};
    deployment_.status.champion = "v1";
    versions_ = {"v1"};
  }

  static Evaluation Of(char mark, const std::string& value = "") {
    Evaluation evaluation;
    switch (mark) {
      case 'B':
        evaluation = {api::SignalState::kDrifted, "0.5", "0.25", 1000, "breach", {}};
        break;
      case 'C':
        evaluation = {api::SignalState::kDrifted, "0.9", "0.25", 1000, "breach", {}, true};
        break;
      case 'w':
        evaluation = {api::SignalState::kWarning, "0.2", "0.25", 1000, "warning", {}};
        break;
      case '-':
        evaluation = {api::SignalState::kOk, "0.01", "0.25", 1000, "fine", {}};
        break;
      case 'E':
        evaluation = {api::SignalState::kError, "", "", 0, "x is a Gauge", {}};
        break;
      default:
        evaluation = {api::SignalState::kNoData, "", "", 10, "10 samples in the window", {}};
    }
    if (!value.empty()) evaluation.value = value;
    return evaluation;
  }

  kube::Plan Decide() {
    Observed seen;
    seen.monitor = std::make_shared<api::DriftMonitor>(monitor_);
    if (has_deployment_) seen.deployment = std::make_shared<api::ModelDeployment>(deployment_);
    if (has_deployment_) seen.versions = versions_;
    seen.baseline = baseline_;
    seen.history = history_;
    seen.targets = seen.targets_up = 3;
    seen.problem = problem_;
    seen.next_evaluation = now_ + Seconds{60};
    const kube::Plan plan = drift::Decide(seen, now_);
    EXPECT_EQ(plan.wake_at, seen.next_evaluation);
    // What is worth no write need not be remembered.
    Observed brief = seen;
    brief.history.Settle([&](const History::Id& id) { return TellsMore(seen, id, now_); });
    EXPECT_TRUE(drift::Decide(brief, now_) == plan) << plan.why;
    if (plan.status) {
      ++writes_;
      nlohmann::json object = {{"apiVersion", "perennial.dev/v1alpha1"},
                               {"kind", "DriftMonitor"},
                               {"metadata", {{"name", "m"}, {"namespace", "ns"}, {"uid", "u"}}},
                               {"spec", nlohmann::json::parse(api::EncodeSpec(monitor_.spec))},
                               {"status", nlohmann::json::parse(*plan.status)}};
      // The signals here have no tests; their spec need not pass validation.
      const auto decoded = api::DecodeDriftMonitor(object);
      EXPECT_TRUE(decoded.ok()) << decoded.error().message;
      if (decoded.ok()) monitor_.status = decoded->status;
    }
    return plan;
  }

  void Add(std::size_t signal, const std::string& version, Evaluation evaluation) {
    const api::Signal& looked = monitor_.spec.signals.at(signal);
    history_.Add({looked.name, version},
                 DefinitionOf(monitor_.spec, looked, version, deployment_.status.champion),
                 std::move(evaluation), monitor_.spec.of_evaluations);
  }
  // The spec has another generation now, and what was seen is no look by its rules.
  void Edit() {
    ++monitor_.meta.generation;
    history_.BeginAnew();
  }
  // One look at each of s0, s1, ...
  kube::Plan LookAtAll(const std::string& marks) {
    now_ += Seconds{60};
    for (std::size_t i = 0; i < marks.size(); ++i) {
      Add(i, versions_.front(), Of(marks[i]));
    }
    return Decide();
  }
  void WatchSignals(int count) {
    monitor_.spec.signals.clear();
    for (int i = 0; i < count; ++i) {
      api::Signal signal;
      signal.name = "s" + std::to_string(i);
      signal.metric = "x";
      monitor_.spec.signals.push_back(signal);
    }
  }
  kube::Plan Look(char mark, const std::string& value = "") {
    now_ += Seconds{60};
    Add(0, versions_.front(), Of(mark, value));
    return Decide();
  }
  void Looks(const std::string& marks) {
    for (const char mark : marks) Look(mark);
  }

  const api::SignalStatus& Signal() const { return monitor_.status.signals.at(0); }
  std::string Condition(const char* type) const {
    const auto* condition = kube::FindCondition(monitor_.status.conditions, type);
    return condition == nullptr ? "" : condition->status + "/" + condition->reason;
  }

  api::DriftMonitor monitor_;
  api::ModelDeployment deployment_;
  std::vector<std::string> versions_;
  History history_;
  std::string baseline_ = "v1";
  std::string problem_;
  bool has_deployment_ = true;
  WallTime now_ = *ParseTime("2026-11-24T16:00:00Z");
  int writes_ = 0;
};

}  // namespace perennial::drift
