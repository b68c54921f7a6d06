// What the admission policies let through, asked as real users with certificates of their own.
#include "support/admission.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

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

constexpr const char* kAuthor = "perennial.dev/author";
constexpr const char* kRetrain = "perennial.dev/retrain";

json WithAnnotations(json object, const json& annotations) {
  object["metadata"]["annotations"] = annotations;
  return object;
}

class Authors : public Admission {
 protected:
  Authors() {
    for (const char* user : {"fay", "gus"}) {
      Grant(ns_.name(), user,
            json::array(
                {Rule("perennial.dev", {"modeldeployments", "retrainpolicies", "modelversions"},
                      {"create", "patch"}),
                 Rule("apps", {"deployments"}, {"create"}), Rule("", {"services"}, {"create"}),
                 Rule("batch", {"jobs"}, {"create"})}));
    }
  }

  std::unique_ptr<ApiUser> fay_ = User("fay");
  std::unique_ptr<ApiUser> gus_ = User("gus");
};

TEST_F(Authors, OfAModelVersionAreWhoCreatesIt) {
  const auto made = [&](const json& origin) { return Make("ModelVersion", {{"origin", origin}}); };
  ExpectAllowed([&] { return DryCreate(*fay_, Make("ModelVersion")); });
  ExpectAllowed([&] { return DryCreate(*fay_, made({{"author", "fay"}})); });
  ExpectDenied(
      [&] {
        return DryCreate(*fay_, made({{"author", "gus"}}));
      },
      {"spec.origin.author is \"gus\"", "you are \"fay\""});
  ExpectDenied(
      [&] {
        return DryCreate(*fay_, made({{"type", "Run"}}));
      },
      {"spec.origin.type Run is for versions that the controller makes"});
  // Who writes statuses is the controller, and records what others did.
  Grant(ns_.name(), "gus",
        json::array({Rule("perennial.dev", {"modelversions/status"}, {"patch"})}));
  ExpectAllowed([&] { return DryCreate(*gus_, made({{"type", "Run"}, {"author", "fay"}})); });
}

TEST_F(Authors, OfAChangedModelPutTheirOwnNameToIt) {
  const json separate =
      Make("ModelDeployment", {{"approval", {{"required", true}, {"separationOfDuties", true}}}});
  ExpectDenied([&] { return DryCreate(*fay_, separate); },
               {"separationOfDuties needs to know who asks", "perennial.dev/author to fay"});
  ExpectDenied(
      [&] {
        return DryCreate(*fay_, WithAnnotations(separate, {{kAuthor, "gus"}}));
      },
      {"the annotation perennial.dev/author is \"gus\"", "you are \"fay\""});
  const json object = WithAnnotations(separate, {{kAuthor, "fay"}});
  ExpectAllowed([&] { return fay_->Create(RefOf(object), object); });
  const auto edit = [&](const json& patch) { return gus_->MergePatch(RefOf(object), patch); };
  const json model = {{"model", {{"uri", "oci://models/other:1"}}}};
  // What is there already doesn't stand for somebody else's change.
  ExpectDenied([&] { return edit({{"spec", model}}); }, {"is \"fay\"", "you are \"gus\""});
  ExpectDenied(
      [&] {
        return edit({{"metadata", {{"annotations", {{kAuthor, nullptr}}}}}, {"spec", model}});
      },
      {"separationOfDuties needs to know"});
  ExpectDenied(
      [&] {
        return edit({{"metadata", {{"annotations", {{kAuthor, "eve"}}}}}});
      },
      {"is \"eve\""});
  // All else is nobody's authorship.
  ExpectAllowed([&] { return edit({{"spec", {{"replicas", 2}}}}); });
  ExpectAllowed([&] { return edit({{"metadata", {{"labels", {{"a", "b"}}}}}}); });
  ExpectAllowed([&] {
    return edit({{"metadata", {{"annotations", {{kAuthor, "gus"}}}}}, {"spec", model}});
  });
}

TEST_F(Authors, OfARunPutTheirOwnNameToIt) {
  const json object = WithAnnotations(Make("RetrainPolicy"), {{kAuthor, "fay"}, {kRetrain, "1"}});
  ExpectAllowed([&] { return fay_->Create(RefOf(object), object); });
  const auto ask = [&](const json& annotations) {
    return gus_->MergePatch(RefOf(object), {{"metadata", {{"annotations", annotations}}}});
  };
  ExpectDenied([&] { return ask({{kRetrain, "2"}}); }, {"is \"fay\"", "you are \"gus\""});
  ExpectAllowed([&] { return ask({{kRetrain, "2"}, {kAuthor, "gus"}}); });
  // Without a name nobody is named, unless the policy has to know.
  ExpectAllowed([&] { return ask({{kRetrain, "3"}, {kAuthor, nullptr}}); });
  ASSERT_TRUE(
      Admin()
          .MergePatch(
              RefOf(object),
              {{"spec", {{"approval", {{"required", true}, {"separationOfDuties", true}}}}}})
          .ok());
  ExpectDenied([&] { return ask({{kRetrain, "4"}}); }, {"separationOfDuties needs to know"});
  ExpectAllowed([&] { return ask({{kRetrain, "4"}, {kAuthor, "gus"}}); });
}

}  // namespace
}  // namespace perennial::testing
