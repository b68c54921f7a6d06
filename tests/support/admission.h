#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/cluster_access.h"
#include "support/spec_cases.h"

// The admission policies in force at the real API server, and questions to them.
namespace perennial::testing {

inline nlohmann::json Rule(const char* group, nlohmann::json resources, nlohmann::json verbs,
                           nlohmann::json names = nlohmann::json::array()) {
  nlohmann::json rule = {{"apiGroups", {group}}, {"resources", resources}, {"verbs", verbs}};
  if (!names.empty()) rule["resourceNames"] = names;
  return rule;
}

class Admission : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    InstallManifests("crds/admission.yaml");
    // A policy is in force some time after it was written: when each refuses what it should.
    auto nobody = User("nobody");
    TestNamespace ns;
    Grant(ns.name(), "nobody", nlohmann::json::array({Rule("perennial.dev", {"*"}, {"create"})}));
    for (const char* kind : {"ModelApproval", "ModelDeployment", "RetrainPolicy"}) {
      const nlohmann::json object = Object(ns.name(), kind);
      const bool refused = Eventually([&] {
        const Answer answer = nobody->Create(RefOf(object), object, "dryRun=All");
        return answer.message().find("ValidatingAdmissionPolicy") != std::string::npos;
      });
      ASSERT_TRUE(refused) << kind;
    }
  }

  static nlohmann::json Object(const std::string& ns, const std::string& kind,
                               const nlohmann::json& spec_patch = nlohmann::json::object()) {
    nlohmann::json spec = ValidSpec(kind);
    spec.merge_patch(spec_patch);
    return {{"apiVersion", "perennial.dev/v1alpha1"},
            {"kind", kind},
            {"metadata", {{"name", "x"}, {"namespace", ns}}},
            {"spec", spec}};
  }

  nlohmann::json Make(const std::string& kind,
                      const nlohmann::json& spec_patch = nlohmann::json::object()) {
    return Object(ns_.name(), kind, spec_patch);
  }

  // A right takes effect some time after it was granted.
  void ExpectAllowed(const std::function<Answer()>& ask) {
    Answer last;
    EXPECT_TRUE(Eventually([&] {
      last = ask();
      return last.ok();
    })) << last.message();
  }

  // Refused by our policy with these words, not by RBAC.
  void ExpectDenied(const std::function<Answer()>& ask, const std::vector<std::string>& words) {
    Answer last;
    EXPECT_TRUE(Eventually([&] {
      last = ask();
      return last.status == 403 &&
             last.message().find("ValidatingAdmissionPolicy") != std::string::npos;
    })) << last.message();
    for (const std::string& word : words) {
      EXPECT_NE(last.message().find(word), std::string::npos) << last.message();
    }
  }

  Answer DryCreate(ApiUser& user, const nlohmann::json& object) {
    return user.Create(RefOf(object), object, "dryRun=All");
  }

  TestNamespace ns_;
};

}  // namespace perennial::testing
