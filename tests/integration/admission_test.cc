// What the admission policies let through, asked as real users with certificates of their own.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/cluster_access.h"
#include "support/spec_cases.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

json Rule(const char* group, json resources, json verbs, json names = json::array()) {
  json rule = {{"apiGroups", {group}}, {"resources", resources}, {"verbs", verbs}};
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
    Grant(ns.name(), "nobody", json::array({Rule("perennial.dev", {"*"}, {"create"})}));
    for (const char* kind : {"ModelApproval", "ModelDeployment", "RetrainPolicy"}) {
      const json object = Object(ns.name(), kind);
      const bool refused = Eventually([&] {
        const Answer answer = nobody->Create(RefOf(object), object, "dryRun=All");
        return answer.message().find("ValidatingAdmissionPolicy") != std::string::npos;
      });
      ASSERT_TRUE(refused) << kind;
    }
  }

  static json Object(const std::string& ns, const std::string& kind,
                     const json& spec_patch = json::object()) {
    json spec = ValidSpec(kind);
    spec.merge_patch(spec_patch);
    return {{"apiVersion", "perennial.dev/v1alpha1"},
            {"kind", kind},
            {"metadata", {{"name", "x"}, {"namespace", ns}}},
            {"spec", spec}};
  }

  json Make(const std::string& kind, const json& spec_patch = json::object()) {
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

  Answer DryCreate(ApiUser& user, const json& object) {
    return user.Create(RefOf(object), object, "dryRun=All");
  }

  TestNamespace ns_;
};

TEST_F(Admission, ApprovesOnlyWithTheVerbOnThatVersion) {
  auto ada = User("ada");
  Grant(ns_.name(), "ada", json::array({Rule("perennial.dev", {"modelapprovals"}, {"create"})}));
  const json first = Make("ModelApproval", {{"modelVersion", "v1"}, {"approver", "ada"}});
  const json second = Make("ModelApproval", {{"modelVersion", "v2"}, {"approver", "ada"}});
  ExpectDenied([&] { return DryCreate(*ada, first); },
               {"ada may not decide about ModelVersion v1", "grant the verb \"approve\"",
                "modelversions.perennial.dev", ns_.name()});
  Grant(ns_.name(), "ada",
        json::array({Rule("perennial.dev", {"modelversions"}, {"approve"}, {"v1"})}));
  ExpectAllowed([&] { return DryCreate(*ada, first); });
  ExpectDenied([&] { return DryCreate(*ada, second); }, {"may not decide about ModelVersion v2"});
}

TEST_F(Admission, LetsNobodyApproveInAnothersName) {
  auto mallory = User("mallory");
  Grant(ns_.name(), "mallory",
        json::array({Rule("perennial.dev", {"modelapprovals"}, {"create"}),
                     Rule("perennial.dev", {"modelversions"}, {"approve"})}));
  ExpectAllowed([&] {
    return DryCreate(*mallory, Make("ModelApproval", {{"approver", "mallory"}}));
  });
  ExpectDenied(
      [&] {
        return DryCreate(*mallory, Make("ModelApproval", {{"approver", "ada"}}));
      },
      {"spec.approver is \"ada\"", "you are \"mallory\"", "kubectl auth whoami"});
  // Nor may the name be changed afterwards, by anybody.
  const json approval = Make("ModelApproval", {{"approver", "mallory"}});
  ASSERT_TRUE(mallory->Create(RefOf(approval), approval).ok());
  const Answer edited = Admin().MergePatch(RefOf(approval), {{"spec", {{"approver", "ada"}}}});
  EXPECT_EQ(edited.status, 422) << edited.message();
}

TEST_F(Admission, MakesNoDeploymentForWhoMayMakeNone) {
  auto bob = User("bob");
  const auto own = [&](const char* group, const char* resource) {
    Grant(ns_.name(), "bob", json::array({Rule(group, {resource}, {"create"})}));
  };
  own("perennial.dev", "modeldeployments");
  const json plain = Make("ModelDeployment");
  const json routed =
      Make("ModelDeployment", {{"traffic", {{"gateway", {{"parentRefs", {{{"name", "edge"}}}}}}}}});
  ExpectDenied([&] { return DryCreate(*bob, plain); },
               {"bob may not create them: grant the verb \"create\" on deployments.apps"});
  own("apps", "deployments");
  const auto services = [&] {
    Answer answer = DryCreate(*bob, plain);
    // Until the new right is in force it is still Deployments that are missing.
    if (answer.message().find("deployments.apps") != std::string::npos) answer.status = 0;
    return answer;
  };
  ExpectDenied(services, {"bob may not create them: grant the verb \"create\" on services"});
  own("", "services");
  ExpectAllowed([&] { return DryCreate(*bob, plain); });
  ExpectDenied([&] { return DryCreate(*bob, routed); },
               {"spec.traffic.gateway makes an HTTPRoute",
                "grant the verb \"create\" on httproutes.gateway.networking.k8s.io"});
  own("gateway.networking.k8s.io", "httproutes");
  ExpectAllowed([&] { return DryCreate(*bob, routed); });
  const json scaled = Make("ModelDeployment", {{"autoscaling", {{"maxReplicas", 2}}}});
  ExpectDenied([&] { return DryCreate(*bob, scaled); },
               {"spec.autoscaling makes HorizontalPodAutoscalers",
                "grant the verb \"create\" on horizontalpodautoscalers.autoscaling"});
  own("autoscaling", "horizontalpodautoscalers");
  ExpectAllowed([&] { return DryCreate(*bob, scaled); });
  const json guarded = Make("ModelDeployment", {{"disruptionBudget", {{"minAvailable", 1}}}});
  ExpectDenied([&] { return DryCreate(*bob, guarded); },
               {"spec.disruptionBudget makes PodDisruptionBudgets",
                "grant the verb \"create\" on poddisruptionbudgets.policy"});
  own("policy", "poddisruptionbudgets");
  ExpectAllowed([&] { return DryCreate(*bob, guarded); });
}

TEST_F(Admission, AsksAgainWhenASpecChangesAndOnlyThen) {
  auto carol = User("carol");
  Grant(ns_.name(), "carol",
        json::array({Rule("perennial.dev", {"modeldeployments"}, {"get", "patch", "update"})}));
  const json object = Make("ModelDeployment");
  ASSERT_TRUE(Admin().Create(RefOf(object), object).ok());
  ExpectAllowed([&] {
    return carol->MergePatch(RefOf(object),
                             {{"metadata", {{"annotations", {{"perennial.dev/promote", "v1"}}}}}});
  });
  ExpectDenied(
      [&] {
        return carol->MergePatch(RefOf(object),
                                 {{"spec", {{"model", {{"uri", "oci://models/evil:1"}}}}}});
      },
      {"grant the verb \"create\" on deployments.apps"});
}

TEST_F(Admission, LetsControllersWriteStatusAndScale) {
  // Neither may create anything.
  auto controller = User("controller");
  auto autoscaler = User("autoscaler");
  Grant(ns_.name(), "controller",
        json::array({Rule("perennial.dev", {"modeldeployments/status", "retrainpolicies/status"},
                          {"patch"})}));
  Grant(ns_.name(), "autoscaler",
        json::array({Rule("perennial.dev", {"modeldeployments/scale"}, {"patch"})}));
  const json status = {{"status", {{"observedGeneration", 1}, {"why", "serving"}}}};
  for (const char* kind : {"ModelDeployment", "RetrainPolicy"}) {
    const json object = Make(kind);
    ASSERT_TRUE(Admin().Create(RefOf(object), object).ok());
    ExpectAllowed([&] { return controller->MergePatch(RefOf(object), status, "status"); });
  }
  ExpectAllowed([&] {
    return autoscaler->MergePatch(RefOf(Make("ModelDeployment")), {{"spec", {{"replicas", 3}}}},
                                  "scale");
  });
}

TEST_F(Admission, StartsNoJobForWhoMayStartNone) {
  auto dave = User("dave");
  Grant(ns_.name(), "dave",
        json::array({Rule("perennial.dev", {"retrainpolicies"}, {"create", "patch"})}));
  const json object = Make("RetrainPolicy");
  const std::string words = "dave may not create them: grant the verb \"create\" on jobs.batch";
  ExpectDenied([&] { return DryCreate(*dave, object); }, {words});
  ASSERT_TRUE(Admin().Create(RefOf(object), object).ok());
  const json edit = {{"spec", {{"suspend", true}}}};
  ExpectDenied([&] { return dave->MergePatch(RefOf(object), edit); }, {words});
  // The annotation that starts a run by hand is the policy author's Job, and no edit of it.
  ExpectAllowed([&] {
    return dave->MergePatch(RefOf(object),
                            {{"metadata", {{"annotations", {{"perennial.dev/retrain", "1"}}}}}});
  });
  Grant(ns_.name(), "dave", json::array({Rule("batch", {"jobs"}, {"create"})}));
  ExpectAllowed([&] { return dave->MergePatch(RefOf(object), edit); });
}

}  // namespace
}  // namespace perennial::testing
