#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "app/preflight.h"
#include "support/manifest.h"

namespace perennial::app {
namespace {

using nlohmann::json;

// Has objects, by their paths; others are not found, or whatever `otherwise` is.
class Objects final : public kube::Transport {
 public:
  Result<kube::Response> Send(const kube::Request& request, Millis) override {
    ++asked;
    return kube::Response{present.contains(request.path) ? 200 : otherwise, "{}", {}};
  }
  Status Stream(const kube::Request&, Millis, const std::function<void(std::string_view)>&,
                std::stop_token) override {
    return Error{Errc::kUnavailable, "not here"};
  }

  std::set<std::string> present;
  int otherwise = 404;
  int asked = 0;
};

std::string PathOf(const std::string& resource, const std::string& name) {
  return "/apis/admissionregistration.k8s.io/v1/" + resource + "/" + name;
}

TEST(Admission, IsThatOfTheManifest) {
  std::map<std::string, std::set<std::string>> names;
  for (const json& object : testing::ParseManifests(testing::ReadSource("crds/admission.yaml"))) {
    if (object.is_object()) names[object["kind"]].insert(object["metadata"]["name"]);
  }
  const std::set<std::string> known(kAdmissionPolicies.begin(), kAdmissionPolicies.end());
  EXPECT_EQ(names["ValidatingAdmissionPolicy"], known);
  EXPECT_EQ(names["ValidatingAdmissionPolicyBinding"], known);
  const std::string chart = testing::ReadSource("charts/perennial/templates/rbac.yaml");
  for (const std::string& name : known) {
    EXPECT_NE(chart.find("\n  - " + name + "\n"), std::string::npos)
        << name << ": the controller may not look whether it is there";
  }
}

TEST(Admission, IsMissingWithoutAPolicyOrItsBinding) {
  Objects server;
  for (const std::string_view name : kAdmissionPolicies) {
    server.present.insert(PathOf("validatingadmissionpolicies", std::string(name)));
    server.present.insert(PathOf("validatingadmissionpolicybindings", std::string(name)));
  }
  EXPECT_TRUE(MissingAdmission(server)->empty());
  server.present.erase(PathOf("validatingadmissionpolicies", "perennial-authors"));
  server.present.erase(PathOf("validatingadmissionpolicybindings", "perennial-modelapprovals"));
  const auto missing = MissingAdmission(server);
  ASSERT_TRUE(missing.ok());
  EXPECT_EQ(*missing, (std::vector<std::string>{"perennial-modelapprovals", "perennial-authors"}));
}

TEST(Admission, IsNotKnownWhereItMayNotBeRead) {
  Objects server;
  server.otherwise = 403;
  EXPECT_EQ(MissingAdmission(server).error().code, Errc::kForbidden);
  EXPECT_EQ(server.asked, 1) << "and asked for no further";
}

}  // namespace
}  // namespace perennial::app
