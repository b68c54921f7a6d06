// The guide "Retrain on drift, with human approval" says what works: its manifests are applied by
// the users that it speaks of, with the rights that it gives them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/cluster_access.h"
#include "support/manifest.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

// The documents of all YAML blocks, in order, in `ns` instead of the guide's own namespace.
std::vector<json> Manifests(const std::string& page, const std::string& ns) {
  std::vector<json> out;
  const std::string text = ReadSource(page);
  const std::string fence = "```yaml\n";
  for (std::size_t at = text.find(fence); at != std::string::npos; at = text.find(fence, at)) {
    at += fence.size();
    const std::size_t end = text.find("\n```", at);
    for (json& object : ParseManifests(text.substr(at, end + 1 - at))) {
      if (object["metadata"].contains("namespace")) object["metadata"]["namespace"] = ns;
      out.push_back(std::move(object));
    }
  }
  return out;
}

TEST(Guide, RetrainWithApprovalGivesEachTheirRights) {
  InstallManifests("crds/admission.yaml");
  // As the chart has it.
  const json approver = json::parse(R"({"apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole", "metadata": {"name": "perennial-approver"}, "rules": [
      {"apiGroups": ["perennial.dev"], "resources": ["modelversions"],
       "verbs": ["get", "list", "watch", "approve"]},
      {"apiGroups": ["perennial.dev"], "resources": ["modelapprovals"],
       "verbs": ["get", "list", "watch", "create"]}]})");
  ASSERT_TRUE(Admin().Apply(RefOf(approver), approver).ok());
  const TestNamespace ns;
  const auto gitops = User("gitops");
  const auto ada = User("ada");
  int declared = 0;
  int approvals = 0;
  for (const json& object : Manifests("docs/guide/retrain-with-approval.md", ns.name())) {
    const std::string kind = object.at("kind");
    SCOPED_TRACE(kind);
    if (kind == "Kustomization") continue;  // a file of the repository, and no object
    if (object.at("apiVersion") != "perennial.dev/v1alpha1") {
      const Answer made = Admin().Apply(RefOf(object), object);
      EXPECT_TRUE(made.ok()) << made.message();
      continue;
    }
    Answer last;
    const auto refused = [&](ApiUser& user, const json& other) {
      return Eventually([&] {
        last = user.Create(RefOf(other), other, "dryRun=All");
        return last.status == 403;
      });
    };
    if (kind == "ModelApproval") {
      ++approvals;
      EXPECT_TRUE(refused(*gitops, object)) << last.message();
      EXPECT_TRUE(Eventually([&] {
        last = ada->Create(RefOf(object), object);
        return last.ok();
      })) << last.message();
      continue;
    }
    ++declared;
    EXPECT_TRUE(Eventually([&] {
      last = gitops->Create(RefOf(object), object);
      return last.ok();
    })) << last.message();
    EXPECT_TRUE(refused(*ada, object)) << last.message();
    if (kind == "RetrainPolicy") {
      json other = object;
      other["metadata"]["name"] = "other";
      other["spec"]["job"]["template"]["spec"]["template"]["spec"]["serviceAccountName"] = "admin";
      EXPECT_TRUE(refused(*gitops, other)) << last.message();
      EXPECT_NE(last.message().find("service account admin"), std::string::npos);
    }
  }
  EXPECT_EQ(declared, 3);
  EXPECT_EQ(approvals, 1);
}

}  // namespace
}  // namespace perennial::testing
