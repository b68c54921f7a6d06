#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/drift_monitor_schema.h"
#include "api/model_approval_schema.h"
#include "api/model_deployment_schema.h"
#include "api/retrain_policy_schema.h"
#include "support/arbitrary.h"
#include "support/spec_cases.h"

namespace perennial::api {
namespace {

using nlohmann::json;
using testing::Arbitrary;
using testing::ObjectOf;
using testing::ValidSpec;

constexpr int kRounds = 300;

template <class Spec>
json Around(const Spec& spec, const std::string& status = "") {
  json object = {{"metadata", {{"name", "x"}, {"namespace", "ns"}, {"uid", "u"}}},
                 {"spec", json::parse(EncodeSpec(spec))}};
  if (!status.empty()) object["status"] = json::parse(status);
  return object;
}

TEST(Codec, DecodesWhatItEncodesForAnySpecAndStatus) {
  Arbitrary any(1, Arbitrary::Texts::kWild);
  for (int i = 0; i < kRounds; ++i) {
    SCOPED_TRACE(i);
    const auto md = any.Make<ModelDeploymentSpec>();
    const auto md_status = any.Make<ModelDeploymentStatus>();
    const auto md_back = DecodeModelDeployment(Around(md, EncodeStatus(md_status)));
    ASSERT_TRUE(md_back.ok()) << md_back.error().message;
    ASSERT_EQ(md_back->spec, md);
    ASSERT_EQ(md_back->status, md_status);

    const auto dm = any.Make<DriftMonitorSpec>();
    const auto dm_status = any.Make<DriftMonitorStatus>();
    const auto dm_back = DecodeDriftMonitor(Around(dm, EncodeStatus(dm_status)));
    ASSERT_TRUE(dm_back.ok()) << dm_back.error().message;
    ASSERT_EQ(dm_back->spec, dm);
    ASSERT_EQ(dm_back->status, dm_status);

    const auto rp = any.Make<RetrainPolicySpec>();
    const auto rp_status = any.Make<RetrainPolicyStatus>();
    const auto rp_back = DecodeRetrainPolicy(Around(rp, EncodeStatus(rp_status)));
    ASSERT_TRUE(rp_back.ok()) << rp_back.error().message;
    ASSERT_EQ(rp_back->spec, rp);
    ASSERT_EQ(rp_back->status, rp_status);

    const auto mv = any.Make<ModelVersionSpec>();
    const auto mv_status = any.Make<ModelVersionStatus>();
    const auto mv_back = DecodeModelVersion(Around(mv, EncodeStatus(mv_status)));
    ASSERT_TRUE(mv_back.ok()) << mv_back.error().message;
    ASSERT_EQ(mv_back->spec, mv);
    ASSERT_EQ(mv_back->status, mv_status);

    const auto ma = any.Make<ModelApprovalSpec>();
    const auto ma_back = DecodeModelApproval(Around(ma));
    ASSERT_TRUE(ma_back.ok()) << ma_back.error().message;
    ASSERT_EQ(ma_back->spec, ma);
  }
}

TEST(Codec, IsCanonical) {
  Arbitrary any(2, Arbitrary::Texts::kWild);
  for (int i = 0; i < kRounds; ++i) {
    const std::string text = EncodeStatus(any.Make<ModelDeploymentStatus>());
    // nlohmann's default object is sorted by key, too.
    ASSERT_EQ(json::parse(text).dump(), text);
  }
}

TEST(Codec, LeavesDefaultsOut) {
  EXPECT_EQ(EncodeStatus(RetrainPolicyStatus{}), R"({"observedGeneration":-1})");
  DriftMonitorSpec spec;
  spec.target.model_deployment = "m";
  EXPECT_EQ(EncodeSpec(spec), R"({"signals":[],"target":{"modelDeployment":"m"}})");
  spec.for_evaluations = 1;
  spec.of_evaluations = 2;
  EXPECT_EQ(EncodeSpec(spec), R"({"for":1,"of":2,"signals":[],"target":{"modelDeployment":"m"}})");
}

TEST(Codec, PutsAQuantityBesideWhatIsSaidAboutIt) {
  json spec = ValidSpec("ModelDeployment");
  spec["rollout"]["experiment"] = json::parse(R"({
    "primary": {"name": "error", "kind": "Mean", "metric": "e", "goal": "Increase"},
    "guardrails": [{"name": "failures", "kind": "Proportion", "numerator": "n",
                    "denominator": "d", "maxIncrease": "0.005"}]})");
  const auto decoded = DecodeModelDeployment(ObjectOf("ModelDeployment", "x", spec));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  const Experiment& experiment = *decoded->spec.rollout.experiment;
  EXPECT_EQ(experiment.primary.quantity.metric, "e");
  EXPECT_EQ(experiment.primary.goal, Goal::kIncrease);
  EXPECT_EQ(experiment.guardrails.at(0).quantity.denominator, "d");
  EXPECT_EQ(experiment.guardrails.at(0).max_increase, (Decimal{0.005, "0.005"}));
  EXPECT_EQ(json::parse(EncodeSpec(decoded->spec)), spec);
}

struct Wrong {
  const char* pointer;
  const char* value;
  const char* error;
};

TEST(Codec, NamesTheFieldAndWhatItExpected) {
  const Wrong cases[] = {
      {"/rollout/steps/2/weight", R"("x")",
       R"(spec.rollout.steps[2].weight: expected integer 0..100, got "x")"},
      {"/rollout/steps/2/weight", "101",
       "spec.rollout.steps[2].weight: expected integer 0..100, got 101"},
      {"/rollout/steps/2/weight", "5.5",
       "spec.rollout.steps[2].weight: expected integer 0..100, got 5.5"},
      {"/rollout/steps/2/weight", "18446744073709551615",
       "spec.rollout.steps[2].weight: expected integer 0..100, got 18446744073709551615"},
      {"/rollout/steps/2/hold", R"("10 minutes")",
       R"(spec.rollout.steps[2].hold: expected duration such as "90s" or "1h30m", )"
       R"(got "10 minutes")"},
      {"/rollout/steps/2/pause", R"("yes")",
       R"(spec.rollout.steps[2].pause: expected true or false, got "yes")"},
      {"/rollout/steps", "{}", "spec.rollout.steps: expected list, got an object"},
      {"/rollout", "[]", "spec.rollout: expected object, got a list"},
      {"/updates", R"("manual")",
       R"(spec.updates: expected one of Automatic, Manual, got "manual")"},
      {"/model/uri", "5", "spec.model.uri: expected string, got 5"},
      {"/model", "{}",
       "spec.model.uri: required. Where the artifact is. The serving container gets it as "
       "MODEL_URI and loads it."},
      {"/template", "[]", "spec.template: expected object, got a list"},
      {"/rollout/analysis/minSamples", "0",
       "spec.rollout.analysis.minSamples: expected integer of at least 1, got 0"},
      {"/rollout/analysis/checks/0/max", "0.5",
       R"(spec.rollout.analysis.checks[0].max: expected decimal number in quotes, such as )"
       R"("0.25", got 0.5)"},
      {"/rollout/analysis/checks/0/max", R"("1.")",
       R"(spec.rollout.analysis.checks[0].max: expected decimal number in quotes, such as )"
       R"("0.25", got "1.")"},
      {"/rollout/analysis/checks/0/max", R"("nan")",
       R"(spec.rollout.analysis.checks[0].max: expected decimal number in quotes, such as )"
       R"("0.25", got "nan")"},
  };
  json base = ValidSpec("ModelDeployment");
  base["rollout"] = json::parse(R"({"steps": [{"weight": 1}, {"weight": 2}, {"weight": 3}],
    "analysis": {"checks": [{"name": "c", "kind": "Mean", "metric": "m", "max": "1"}]}})");
  ASSERT_TRUE(DecodeModelDeployment(ObjectOf("ModelDeployment", "x", base)).ok());
  for (const Wrong& c : cases) {
    SCOPED_TRACE(c.error);
    json spec = base;
    spec[json::json_pointer(c.pointer)] = json::parse(c.value);
    const auto decoded = DecodeModelDeployment(ObjectOf("ModelDeployment", "x", spec));
    ASSERT_FALSE(decoded.ok());
    EXPECT_EQ(decoded.error().code, Errc::kInvalid);
    EXPECT_EQ(decoded.error().message, c.error);
  }
}

TEST(Codec, IgnoresFieldsOfANewerVersionAndNulls) {
  json spec = ValidSpec("ModelDeployment");
  spec["fromTheFuture"] = {{"a", 1}};
  spec["rollout"] = {{"steps", nullptr}, {"later", true}};
  const auto decoded = DecodeModelDeployment(ObjectOf("ModelDeployment", "x", spec));
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_TRUE(decoded->spec.rollout.steps.empty());
}

TEST(Codec, ReadsAWholeNumberWrittenAsAFraction) {
  json spec = ValidSpec("ModelDeployment");
  spec["replicas"] = 5.0;
  const auto decoded = DecodeModelDeployment(ObjectOf("ModelDeployment", "x", spec));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->spec.replicas, 5);
}

TEST(Codec, ReadsAMissingStatusAsTheDefaultOneAndNoOtherAsThat) {
  json object = ObjectOf("ModelDeployment", "x", ValidSpec("ModelDeployment"));
  EXPECT_EQ(DecodeModelDeployment(object)->status, ModelDeploymentStatus{});
  object["status"] = {{"champion", "v1"},
                      {"rollout", {{"version", "v2"}, {"phase", "OfTomorrow"}}}};
  const auto newer = DecodeModelDeployment(object);
  ASSERT_FALSE(newer.ok());
  EXPECT_NE(newer.error().message.find("status.rollout.phase"), std::string::npos);
  EXPECT_NE(newer.error().message.find("newer controller"), std::string::npos);
  object["status"] = {{"champion", "v1"}, {"replicas", 2}};
  EXPECT_EQ(DecodeModelDeployment(object)->status.champion, "v1");
}

TEST(Codec, RefusesAnObjectWithoutSpecOrIdentity) {
  json object = ObjectOf("ModelDeployment", "x", ValidSpec("ModelDeployment"));
  object.erase("spec");
  EXPECT_EQ(DecodeModelDeployment(object).error().message, "spec: required");
  EXPECT_EQ(DecodeModelDeployment(json::array()).error().code, Errc::kInvalid);
  EXPECT_EQ(DecodeModelDeployment(json{{"spec", json::object()}}).error().code, Errc::kInvalid);
}

TEST(Codec, RefusesATemplateThatIsNestedWithoutEnd) {
  json spec = ValidSpec("ModelDeployment");
  json deep = json::object();
  for (int i = 0; i < 100; ++i) deep = json{{"a", std::move(deep)}};
  spec["template"] = deep;
  const auto decoded = DecodeModelDeployment(ObjectOf("ModelDeployment", "x", spec));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().message, "spec.template: nested deeper than 64 levels");
}

TEST(Codec, CutsALongMessageOfAStatusBetweenCharacters) {
  ModelVersionStatus status;
  status.why = std::string(32767, 'a') + "\xC3\xA9";  // the last character has two bytes
  const json text = json::parse(EncodeStatus(status));
  EXPECT_EQ(text["why"].get<std::string>(), std::string(32767, 'a'));
}

TEST(Codec, WritesInvalidUtf8AsReplacementCharacters) {
  ModelVersionStatus status;
  status.why = "cut in the middle: \xC3";
  EXPECT_EQ(json::parse(EncodeStatus(status))["why"], "cut in the middle: \xEF\xBF\xBD");
}

TEST(Codec, WritesEveryCharacterSoThatItReadsBack) {
  for (int c = 0; c < 0x80; ++c) {
    RetrainPolicyStatus status;
    status.why = "plain " + std::string(1, static_cast<char>(c)) + "\u00fc" + static_cast<char>(c);
    EXPECT_EQ(json::parse(EncodeStatus(status))["why"], status.why) << c;
    status.why = std::string(1, static_cast<char>(c));
    const std::string text = EncodeStatus(status);
    EXPECT_EQ(json::parse(text)["why"], status.why) << c;
    EXPECT_EQ(json::parse(text).dump(), text) << "as the library writes it: " << c;
  }
}

TEST(Codec, KeepsNumbersOfAProfileExactly) {
  Profile profile;
  profile.rows = 3;
  MetricProfile metric;
  metric.metric = "m";
  metric.bounds = {0.1, 1.0 / 3.0, 1e21};
  metric.counts = {1, 2, 3, 4.5};
  metric.sum = -0.0;
  profile.metrics = {metric};
  const std::string text = EncodeProfile(profile);
  const auto back = DecodeProfile(json::parse(text));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(*back, profile);
  EXPECT_EQ(DecodeProfile(json::parse(R"({"rows": "3"})")).error().message,
            R"(profile.rows: expected integer of at least 0, got "3")");
}

}  // namespace
}  // namespace perennial::api
