#include <gtest/gtest.h>

#include "api/names.h"
#include "kube/plan.h"

namespace perennial::kube {
namespace {

Plan Whole() {
  const Ref child{api::kDeployments, {"transit", "departures-v3"}};
  const Ref job{api::kJobs, {"transit", "departures-r1"}};
  Plan plan;
  plan.actions = {ApplyObject{child, R"({"a":1})", true},
                  ApplyObject{{api::kModelVersions, {"transit", "v3"}}, "{}", false},
                  CreateObject{job, R"({"b":2})"}, DeleteObject{child, "uid-1"},
                  EmitEvent{EmitEvent::Type::kWarning, "RolledBack", "Rollback", "it failed"}};
  plan.status = R"({"c":3})";
  plan.wake_at = ParseTime("2026-11-24T12:00:00Z");
  plan.why = "the challenger failed";
  return plan;
}

TEST(PlanText, SaysWhyThenEveryActionInOrder) {
  EXPECT_EQ(ToString(Whole()),
            "why: the challenger failed\n"
            "apply Deployment transit/departures-v3 {\"a\":1}\n"
            "annotate ModelVersion transit/v3 {}\n"
            "create Job transit/departures-r1 {\"b\":2}\n"
            "delete Deployment transit/departures-v3 uid uid-1\n"
            "event Warning RolledBack Rollback: it failed\n"
            "status {\"c\":3}\n"
            "wake at 2026-11-24T12:00:00Z\n");
}

TEST(PlanText, IsShortForAPlanThatDoesNothing) {
  Plan plan;
  plan.why = "nothing to do";
  EXPECT_EQ(ToString(plan), "why: nothing to do\n");
}

TEST(PlanValue, DiffersInEveryPart) {
  EXPECT_EQ(Whole(), Whole());
  Plan other = Whole();
  other.status.reset();
  EXPECT_FALSE(other == Whole());
  other = Whole();
  other.wake_at = *other.wake_at + Millis(1);
  EXPECT_FALSE(other == Whole());
  other = Whole();
  std::get<DeleteObject>(other.actions[3]).uid = "uid-2";
  EXPECT_FALSE(other == Whole());
}

TEST(PlanLabels, AreSpeltAsTheApiSpellsThem) {
  EXPECT_EQ(kIdentityLabel, api::kLabelIdentity);
}

}  // namespace
}  // namespace perennial::kube
