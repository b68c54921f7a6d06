// What the real API server makes of the generated CRDs.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "api/codec.h"
#include "api/drift_monitor_schema.h"
#include "api/model_approval_schema.h"
#include "api/model_deployment_schema.h"
#include "api/retrain_policy_schema.h"
#include "support/arbitrary.h"
#include "support/cluster_access.h"
#include "support/spec_cases.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

std::string Join(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

json InNamespace(const std::string& ns, const std::string& kind, const std::string& name,
                 const json& spec) {
  return {{"apiVersion", "perennial.dev/v1alpha1"},
          {"kind", kind},
          {"metadata", {{"name", name}, {"namespace", ns}}},
          {"spec", spec}};
}

// What the API server says to a spec, without keeping anything.
Answer Try(const std::string& kind, const json& spec) {
  const json object = InNamespace("default", kind, "tried", spec);
  return Admin().Create(RefOf(object), object, "dryRun=All");
}

TEST(Crd, RefusesWhatValidateRefusesAndNamesFieldAndRemedy) {
  for (const SpecCase& c : SpecCases()) {
    SCOPED_TRACE(c.kind + ": " + c.name);
    const Answer answer = Try(c.kind, c.spec);
    if (c.field.empty()) {
      EXPECT_EQ(answer.status, 201) << answer.message();
      continue;
    }
    EXPECT_EQ(answer.status, 422) << answer.message();
    EXPECT_NE(answer.message().find(c.field), std::string::npos) << answer.message();
    EXPECT_NE(answer.message().find(c.message), std::string::npos) << answer.message();
  }
}

// A random spec of that verdict, in the opinion of C++.
template <class Spec>
std::optional<json> RandomSpec(Arbitrary& any, const std::string& kind, bool valid) {
  for (int i = 0; i < 20'000; ++i) {
    const json spec = json::parse(api::EncodeSpec(any.Make<Spec>()));
    if (Problems(kind, spec).empty() == valid) return spec;
  }
  return std::nullopt;
}

// Half of the specs are valid and half are not.
template <class Spec>
void CompareVerdicts(const std::string& kind, std::uint64_t seed) {
  Arbitrary any(seed, Arbitrary::Texts::kTame);
  for (int i = 0; i < 200 && !::testing::Test::HasFailure(); ++i) {
    const bool valid = i % 2 == 0;
    const auto spec = RandomSpec<Spec>(any, kind, valid);
    ASSERT_TRUE(spec.has_value()) << kind << ": no spec of this verdict";
    const Answer answer = Try(kind, *spec);
    // The schema is asked before the policies: what they forbid has passed it.
    EXPECT_EQ(valid, answer.status == 201 || answer.status == 403)
        << kind << " " << i << ": " << spec->dump() << "\nC++: " << Join(Problems(kind, *spec))
        << "API server: " << answer.message();
  }
}

TEST(Crd, JudgesRandomSpecsAsValidateDoes) {
  CompareVerdicts<api::ModelDeploymentSpec>("ModelDeployment", 11);
  CompareVerdicts<api::DriftMonitorSpec>("DriftMonitor", 12);
  CompareVerdicts<api::RetrainPolicySpec>("RetrainPolicy", 13);
  CompareVerdicts<api::ModelVersionSpec>("ModelVersion", 14);
  CompareVerdicts<api::ModelApprovalSpec>("ModelApproval", 15);
}

TEST(Crd, KeepsEveryFieldThatTheControllerWrites) {
  // Strict field validation refuses a field that the CRD doesn't know; values may be refused for
  // other reasons, which is not the point here.
  Arbitrary any(16, Arbitrary::Texts::kTame);
  TestNamespace ns;
  const auto try_status = [&](const std::string& kind, const std::string& status) {
    const json object = InNamespace(ns.name(), kind, "x", ValidSpec(kind));
    const Answer created = Admin().Create(RefOf(object), object);
    EXPECT_TRUE(created.ok() || created.status == 409) << created.message();
    const Answer patched =
        Admin().MergePatch(RefOf(object), {{"status", json::parse(status)}}, "status");
    EXPECT_EQ(patched.message().find("unknown field"), std::string::npos) << patched.message();
    return patched.ok();
  };
  int accepted = 0;
  for (int i = 0; i < 30; ++i) {
    accepted +=
        try_status("ModelDeployment", api::EncodeStatus(any.Make<api::ModelDeploymentStatus>()));
    accepted += try_status("DriftMonitor", api::EncodeStatus(any.Make<api::DriftMonitorStatus>()));
    accepted +=
        try_status("RetrainPolicy", api::EncodeStatus(any.Make<api::RetrainPolicyStatus>()));
    accepted += try_status("ModelVersion", api::EncodeStatus(any.Make<api::ModelVersionStatus>()));
  }
  EXPECT_GT(accepted, 20);
}

TEST(Crd, GivesBackWhatWasWritten) {
  // Nothing is pruned, and no default creeps into a spec that Git owns.
  TestNamespace ns;
  Arbitrary any(17, Arbitrary::Texts::kTame);
  for (int i = 0; i < 20; ++i) {
    const auto spec = RandomSpec<api::DriftMonitorSpec>(any, "DriftMonitor", true);
    ASSERT_TRUE(spec.has_value());
    const json object = InNamespace(ns.name(), "DriftMonitor", "x" + std::to_string(i), *spec);
    const Answer created = Admin().Create(RefOf(object), object);
    ASSERT_TRUE(created.ok()) << created.message();
    const Answer answer = Admin().Get(RefOf(object));
    EXPECT_EQ(answer.body["spec"], *spec);
    EXPECT_EQ(answer.body["status"], json({{"observedGeneration", -1}}));
  }
}

TEST(Crd, RecordsNeverChange) {
  TestNamespace ns;
  for (const char* kind : {"ModelVersion", "ModelApproval"}) {
    SCOPED_TRACE(kind);
    const json object = InNamespace(ns.name(), kind, "x", ValidSpec(kind));
    ASSERT_TRUE(Admin().Create(RefOf(object), object).ok());
    const bool version = std::string(kind) == "ModelVersion";
    const json edit = version ? json{{"revision", 2}} : json{{"decision", "Reject"}};
    const Answer refused = Admin().MergePatch(RefOf(object), {{"spec", edit}});
    EXPECT_EQ(refused.status, 422);
    EXPECT_NE(refused.message().find(version ? "create a new one with a higher spec.revision"
                                             : "create another one"),
              std::string::npos)
        << refused.message();
    const Answer annotated = Admin().MergePatch(
        RefOf(object), {{"metadata", {{"annotations", {{"perennial.dev/promoted-at", "now"}}}}}});
    EXPECT_TRUE(annotated.ok()) << annotated.message();
  }
}

// Services keep what they have; the objects that say so have to as well.
TEST(Crd, ClusterAddressesNeitherComeNorGo) {
  TestNamespace ns;
  for (const bool headless : {false, true}) {
    json object = InNamespace(ns.name(), "ModelDeployment", headless ? "without" : "with",
                              ValidSpec("ModelDeployment"));
    if (headless) object["spec"]["traffic"]["headless"] = true;
    ASSERT_TRUE(Admin().Create(RefOf(object), object).ok());
    const auto patched = [&](const json& traffic) {
      return Admin().MergePatch(RefOf(object), {{"spec", {{"traffic", traffic}}}});
    };
    const json other = headless ? json() : json(true);
    const Answer refused = patched({{"headless", other}});
    EXPECT_EQ(refused.status, 422);
    EXPECT_NE(refused.message().find("make another ModelDeployment"), std::string::npos)
        << refused.message();
    EXPECT_EQ(patched(json()).ok(), !headless) << "without traffic there are addresses";
    EXPECT_TRUE(patched({{"headless", headless}, {"port", "http"}}).ok());
  }
}

TEST(Crd, RefusesNamesThatNoLabelOrServiceCanHave) {
  for (const char* kind : {"ModelDeployment", "DriftMonitor", "RetrainPolicy", "ModelVersion"}) {
    for (const std::string& name : {std::string(64, 'a'), std::string("1st"), std::string("a.b")}) {
      SCOPED_TRACE(std::string(kind) + " " + name);
      const json object = InNamespace("default", kind, name, ValidSpec(kind));
      const Answer answer = Admin().Create(RefOf(object), object, "dryRun=All");
      EXPECT_EQ(answer.status, 422);
      EXPECT_NE(answer.message().find("metadata.name"), std::string::npos) << answer.message();
      EXPECT_NE(answer.message().find("63"), std::string::npos) << answer.message();
    }
    const json object = InNamespace("default", kind, std::string(63, 'a'), ValidSpec(kind));
    const Answer answer = Admin().Create(RefOf(object), object, "dryRun=All");
    EXPECT_EQ(answer.status, 201) << answer.message();
  }
}

TEST(Crd, ScalesADeploymentOfModels) {
  TestNamespace ns;
  const json object = InNamespace(ns.name(), "ModelDeployment", "x", ValidSpec("ModelDeployment"));
  const kube::Ref ref = RefOf(object);
  ASSERT_TRUE(Admin().Create(ref, object).ok());
  ASSERT_TRUE(Admin()
                  .MergePatch(ref,
                              {{"status",
                                {{"observedGeneration", 1},
                                 {"replicas", 4},
                                 {"readyReplicas", 4},
                                 {"selector", "a=b"}}}},
                              "status")
                  .ok());
  ASSERT_TRUE(Admin().MergePatch(ref, {{"spec", {{"replicas", 7}}}}, "scale").ok());
  const Answer scale = Admin().Get(ref, "/scale");
  EXPECT_EQ(scale.body["spec"]["replicas"], 7);
  EXPECT_EQ(scale.body["status"]["replicas"], 4);
  EXPECT_EQ(scale.body["status"]["selector"], "a=b");
  EXPECT_EQ(Admin().Get(ref).body["spec"]["replicas"], 7);
}

TEST(Crd, SelectsByTheFieldsThatLinkTheKinds) {
  TestNamespace ns;
  for (int i = 0; i < 3; ++i) {
    json spec = ValidSpec("ModelVersion");
    spec["modelDeployment"] = i == 0 ? "other" : "departures";
    const json object = InNamespace(ns.name(), "ModelVersion", "v" + std::to_string(i), spec);
    ASSERT_TRUE(Admin().Create(RefOf(object), object).ok());
  }
  const Answer answer = Admin().List(api::kModelVersions, ns.name(),
                                     "fieldSelector=spec.modelDeployment%3Ddepartures");
  ASSERT_TRUE(answer.ok()) << answer.message();
  EXPECT_EQ(answer.body["items"].size(), 2u);
}

// Rows of a table that kubectl prints, as words.
std::vector<std::string> Words(const std::string& text, std::size_t line) {
  std::istringstream lines(text);
  std::string row;
  for (std::size_t i = 0; i <= line; ++i) {
    if (!std::getline(lines, row)) return {text};
  }
  std::istringstream words(row);
  return {std::istream_iterator<std::string>(words), {}};
}

TEST(Crd, TellsTheStateInColumns) {
  TestNamespace ns;
  const json object =
      InNamespace(ns.name(), "ModelDeployment", "departures", ValidSpec("ModelDeployment"));
  ASSERT_TRUE(Admin().Create(RefOf(object), object).ok());
  api::ModelDeploymentStatus status;
  status.observed_generation = 1;
  status.champion = "departures-v1";
  status.challenger = "departures-v2";
  status.variants = {{.name = "champion", .weight_wanted = 50, .weight = 80},
                     {.name = "challenger", .weight_wanted = 50, .weight = 20}};
  status.rollout.emplace().version = "departures-v2";
  status.rollout->step = 1;
  status.rollout->progress = "2/4";
  status.rollout->until = api::Time{*ParseTime("2026-11-24T16:20:00Z")};
  api::ExperimentStatus& experiment = status.rollout->experiment.emplace();
  experiment.effect = "-0.4";
  experiment.lower = "-0.9";
  experiment.upper = "0.1";
  experiment.challenger_samples = 420;
  status.conditions = {{"Ready", "True", "Serving", "", 1, "2026-11-24T16:13:47Z"}};
  const json patch = {{"status", json::parse(api::EncodeStatus(status))}};
  const Answer patched = Admin().MergePatch(RefOf(object), patch, "status");
  ASSERT_TRUE(patched.ok()) << patched.message();
  const std::string table = Output("kubectl get md -n " + ns.name());
  EXPECT_EQ(Words(table, 0), (std::vector<std::string>{"NAME", "READY", "REASON", "CHAMPION",
                                                       "CHALLENGER", "WEIGHT", "STEP", "AGE"}));
  std::vector<std::string> row = Words(table, 1);
  ASSERT_FALSE(row.empty());
  row.pop_back();  // the age
  EXPECT_EQ(row, (std::vector<std::string>{"departures", "True", "Serving", "departures-v1",
                                           "departures-v2", "20", "2/4"}));
  const std::string wide = Output("kubectl get md -o wide -n " + ns.name());
  row = Words(wide, 1);
  ASSERT_GT(row.size(), 15u) << wide;
  EXPECT_EQ(std::vector<std::string>(row.begin() + 6, row.begin() + 15),
            (std::vector<std::string>{"2/4", "Starting", "50", "2026-11-24T16:20:00Z", "-0.4",
                                      "-0.9", "0.1", "420", "NoData"}))
      << wide;
}

TEST(Crd, AnswersToShortNamesAndOneCategory) {
  TestNamespace ns;
  for (const char* kind :
       {"ModelDeployment", "DriftMonitor", "RetrainPolicy", "ModelVersion", "ModelApproval"}) {
    const json object = InNamespace(ns.name(), kind, "x", ValidSpec(kind));
    ASSERT_TRUE(Admin().Create(RefOf(object), object).ok());
  }
  const std::string all = Output("kubectl get perennial -o name -n " + ns.name());
  for (const char* name :
       {"modeldeployment", "driftmonitor", "retrainpolicy", "modelversion", "modelapproval"}) {
    EXPECT_NE(all.find(std::string(name) + ".perennial.dev/x"), std::string::npos) << all;
  }
  EXPECT_EQ(Output("kubectl get md,dm,rp,mv,ma -o name -n " + ns.name()).find("rror"),
            std::string::npos);
}

}  // namespace
}  // namespace perennial::testing
