// Who may read /metrics, decided by a real API server on tokens of real service accounts.
#include "app/metrics_access.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/cluster_access.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

const kube::Resource kServiceAccounts{"", "v1", "serviceaccounts", "ServiceAccount"};

class MetricsAccessIntegration : public ::testing::Test {
 protected:
  // "Bearer ..." of a new service account.
  std::string Account(const std::string& name) {
    const kube::Ref ref{kServiceAccounts, {ns_.name(), name}};
    const Answer made = Admin().Create(
        ref, {{"apiVersion", "v1"}, {"kind", "ServiceAccount"}, {"metadata", {{"name", name}}}});
    EXPECT_TRUE(made.ok()) << made.message();
    std::string token = Output("kubectl create token " + name + " --namespace " + ns_.name());
    while (!token.empty() && token.back() == '\n') token.pop_back();
    return "Bearer " + token;
  }
  // A controller that has just started, and so remembers nothing.
  static int Check(const std::string& authorization) {
    return app::MetricsAccess(Admin().transport(), SystemClock()).Check(authorization, "/metrics");
  }

  TestNamespace ns_;
};

TEST_F(MetricsAccessIntegration, FollowsTheRightsOfWhoAsks) {
  const std::string scraper = Account("scraper");
  const std::string stranger = Account("stranger");
  EXPECT_EQ(Check(scraper), 403);
  EXPECT_EQ(Check(stranger), 403);
  EXPECT_EQ(Check("Bearer forged"), 401);
  std::string broken = stranger;
  broken[broken.size() - 3] = broken[broken.size() - 3] == 'A' ? 'B' : 'A';
  EXPECT_EQ(Check(broken), 401) << "another signature";

  const std::string role = ns_.name() + "-metrics-reader";
  Output("kubectl create clusterrole " + role + " --verb=get --non-resource-url=/metrics");
  Output("kubectl create clusterrolebinding " + role + " --clusterrole=" + role +
         " --serviceaccount=" + ns_.name() + ":scraper");
  EXPECT_TRUE(Eventually([&] { return Check(scraper) == 200; }));
  EXPECT_EQ(Check(stranger), 403);
  Output("kubectl delete clusterrolebinding " + role);
  EXPECT_TRUE(Eventually([&] { return Check(scraper) == 403; }));
  Output("kubectl delete clusterrole " + role);
}

}  // namespace
}  // namespace perennial::testing
