#include <gtest/gtest.h>

#include <memory>

#include "deployment/decide.h"

namespace perennial::deployment {
namespace {

kube::Plan PlanFor(const std::string& name) {
  api::ModelDeployment md;
  md.meta.key = {"transit", name};
  md.meta.uid = "md-uid";
  md.spec.model = api::ModelReference{"oci://m:1", "sha256:" + std::string(64, '0')};
  md.spec.pod_template.text =
      R"({"spec":{"containers":[{"name":"m","ports":[{"name":"http","containerPort":8080}]}]}})";
  Observed seen;
  seen.deployment = std::make_shared<api::ModelDeployment>(md);
  return Decide(seen, WallTime(std::chrono::hours(500'000)));
}

TEST(DeploymentName, MustNameAServiceToo) {
  EXPECT_FALSE(PlanFor("departures").actions.empty());
  for (const std::string& name :
       {std::string("departures.v2"), std::string("2departures"), std::string(64, 'd')}) {
    const kube::Plan plan = PlanFor(name);
    EXPECT_TRUE(plan.actions.empty()) << name;
    ASSERT_TRUE(plan.status.has_value());
    EXPECT_NE(plan.status->find("InvalidSpec"), std::string::npos);
    EXPECT_NE(plan.status->find("begins with a letter"), std::string::npos);
  }
}

}  // namespace
}  // namespace perennial::deployment
