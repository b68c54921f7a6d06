// Which service accounts pods may act as that the controller makes for somebody: asked as real
// users.
#include "support/admission.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

json WithPod(const json& pod) {
  return {{"job", {{"template", {{"spec", {{"template", {{"spec", pod}}}}}}}}}};
}

json WithWorkload(const char* version, const char* kind, const json& spec) {
  return {{"job", nullptr},
          {"workload",
           {{"apiVersion", version},
            {"kind", kind},
            {"success", "a"},
            {"failure", "b"},
            {"template", {{"spec", spec}}}}}};
}

class ServiceAccounts : public Admission {
 protected:
  ServiceAccounts() {
    Grant(ns_.name(), "erin",
          json::array({Rule("perennial.dev", {"retrainpolicies"}, {"create"}),
                       Rule("batch", {"jobs"}, {"create"}),
                       Rule("trainer.kubeflow.org", {"*"}, {"create"}),
                       Rule("ray.io", {"*"}, {"create"}), Rule("argoproj.io", {"*"}, {"create"}),
                       Rule("tekton.dev", {"*"}, {"create"}),
                       Rule("", {"serviceaccounts"}, {"use"}, {"trainer"})}));
  }

  void ExpectRefused(const json& spec, const std::string& account) {
    SCOPED_TRACE(spec.dump());
    ExpectDenied([&] { return DryCreate(*erin_, Make("RetrainPolicy", spec)); },
                 {"training would act as the service account " + account + ", and erin may not",
                  "grant the verb \"use\" on serviceaccounts"});
  }
  void ExpectTaken(const json& spec) {
    SCOPED_TRACE(spec.dump());
    ExpectAllowed([&] { return DryCreate(*erin_, Make("RetrainPolicy", spec)); });
  }

  std::unique_ptr<ApiUser> erin_ = User("erin");
};

TEST_F(ServiceAccounts, OfAJobMustBeOnesThatItsAuthorMayUse) {
  ExpectTaken(WithPod({{"containers", json::array()}}));
  ExpectTaken(WithPod({{"serviceAccountName", "default"}}));
  ExpectTaken(WithPod({{"serviceAccountName", "trainer"}}));
  ExpectRefused(WithPod({{"serviceAccountName", "admin"}}), "admin");
  // The old name of the same field still works in a pod.
  ExpectRefused(WithPod({{"serviceAccount", "admin"}}), "admin");
  ExpectRefused(WithPod({{"serviceAccountName", "trainer"}, {"serviceAccount", "admin"}}), "admin");
  // Who may impersonate an account may act as it anyway.
  Grant(ns_.name(), "erin",
        json::array({Rule("", {"serviceaccounts"}, {"impersonate"}, {"admin"})}));
  ExpectTaken(WithPod({{"serviceAccountName", "admin"}}));
}

TEST_F(ServiceAccounts, OfAWorkloadMustBeToo) {
  const json pod = {{"spec", {{"serviceAccountName", "admin"}}}};
  const auto train = [](const json& spec) {
    return WithWorkload("trainer.kubeflow.org/v1alpha1", "TrainJob", spec);
  };
  ExpectRefused(train({{"podTemplateOverrides", {pod}}}), "admin");
  ExpectRefused(train({{"podSpecOverrides", {{{"serviceAccountName", "admin"}}}}}), "admin");
  ExpectTaken(train({{"podSpecOverrides", {{{"serviceAccountName", "trainer"}}}}}));
  const auto ray = [](const json& spec) { return WithWorkload("ray.io/v1", "RayJob", spec); };
  ExpectRefused(ray({{"rayClusterSpec", {{"headGroupSpec", {{"template", pod}}}}}}), "admin");
  ExpectRefused(ray({{"rayClusterSpec", {{"workerGroupSpecs", {{{"template", pod}}}}}}}), "admin");
  ExpectRefused(ray({{"submitterPodTemplate", pod}}), "admin");
  ExpectTaken(
      ray({{"rayClusterSpec", {{"headGroupSpec", {{"template", {{"spec", json::object()}}}}}}}}));
  const auto tekton = [](const json& spec) {
    return WithWorkload("tekton.dev/v1", "PipelineRun", spec);
  };
  ExpectRefused(tekton({{"taskRunTemplate", {{"serviceAccountName", "admin"}}}}), "admin");
  ExpectRefused(tekton({{"taskRunSpecs", {{{"serviceAccountName", "admin"}}}}}), "admin");
  ExpectTaken(tekton({{"taskRunTemplate", {{"serviceAccountName", "trainer"}}}}));
  // What is replaced when the object is made is no name.
  ExpectRefused(
      tekton({{"taskRunTemplate", {{"serviceAccountName", "$(PERENNIAL_MODEL_DEPLOYMENT)"}}}}),
      "$(PERENNIAL_MODEL_DEPLOYMENT)");
}

TEST_F(ServiceAccounts, AreAllAskedAboutWhereThereAreSeveral) {
  const auto argo = [](const json& spec) {
    return WithWorkload("argoproj.io/v1alpha1", "Workflow", spec);
  };
  const auto named = [](const char* name) { return json{{"serviceAccountName", name}}; };
  ExpectTaken(argo({{"serviceAccountName", "trainer"}, {"templates", {named("trainer")}}}));
  ExpectRefused(argo({{"serviceAccountName", "trainer"}, {"templates", {named("b")}}}), "b");
  ExpectRefused(argo({{"templates", {{{"executor", named("b")}}}}}), "b");
  ExpectRefused(argo({{"templates", {{{"podSpecPatch", "{}"}}}}}), "*");
  Grant(ns_.name(), "erin", json::array({Rule("", {"serviceaccounts"}, {"use"}, {"b"})}));
  ExpectTaken(argo({{"serviceAccountName", "trainer"}, {"templates", {named("b")}}}));
  ExpectRefused(argo({{"serviceAccountName", "trainer"}, {"templates", {named("b"), named("c")}}}),
                "c");
  Grant(ns_.name(), "erin", json::array({Rule("", {"serviceaccounts"}, {"use"})}));
  ExpectTaken(argo({{"templates", {{{"podSpecPatch", "{}"}}}}}));
  ExpectTaken(argo({{"templates", {named("a"), named("b"), named("c")}}}));
  ExpectDenied(
      [&] {
        return DryCreate(
            *erin_, Make("RetrainPolicy",
                         argo({{"templates", {named("a"), named("b"), named("c"), named("d")}}})));
      },
      {"may name three service accounts"});
}

class ServingAccounts : public Admission {
 protected:
  ServingAccounts() {
    Grant(
        ns_.name(), "hal",
        json::array({Rule("perennial.dev", {"modeldeployments"}, {"create", "patch"}),
                     Rule("apps", {"deployments"}, {"create"}), Rule("", {"services"}, {"create"}),
                     Rule("batch", {"jobs", "cronjobs"}, {"create"}),
                     Rule("", {"serviceaccounts"}, {"use"}, {"server"})}));
  }

  static json Pod(const json& spec) {
    json pod = spec;
    pod["containers"] = {{{"name", "model"}, {"image", "model:1"}}};
    return pod;
  }
  static json Serving(const json& pod) { return {{"template", {{"spec", Pod(pod)}}}}; }
  static json Batch(const json& pod) {
    return {{"batch",
             {{"schedule", "0 3 * * *"},
              {"jobTemplate", {{"spec", {{"template", {{"spec", Pod(pod)}}}}}}}}}};
  }
  static json Probe(const std::string& name, const json& pod) {
    return {{"name", name},
            {"job", {{"template", {{"spec", {{"template", {{"spec", Pod(pod)}}}}}}}}}};
  }
  static json Probes(const json& probes) {
    return {{"rollout", {{"analysis", {{"probes", probes}}}}}};
  }
  static json Named(const char* account) { return {{"serviceAccountName", account}}; }

  void ExpectRefused(const json& spec, const std::string& account) {
    SCOPED_TRACE(spec.dump());
    ExpectDenied([&] { return DryCreate(*hal_, Make("ModelDeployment", spec)); },
                 {"would act as the service account " + account + ", and hal may not",
                  "grant the verb \"use\" on serviceaccounts with the resourceName " + account});
  }
  void ExpectTaken(const json& spec) {
    SCOPED_TRACE(spec.dump());
    ExpectAllowed([&] { return DryCreate(*hal_, Make("ModelDeployment", spec)); });
  }

  std::unique_ptr<ApiUser> hal_ = User("hal");
};

TEST_F(ServingAccounts, MustBeOnesThatTheAuthorMayUse) {
  ExpectTaken(Serving(json::object()));
  ExpectTaken(Serving(Named("default")));
  ExpectTaken(Serving(Named("server")));
  ExpectRefused(Serving(Named("admin")), "admin");
  ExpectRefused(Serving({{"serviceAccount", "admin"}}), "admin");
  ExpectTaken(Batch(Named("server")));
  ExpectRefused(Batch(Named("admin")), "admin");
  ExpectTaken(Probes(json::array({Probe("smoke", Named("server"))})));
  ExpectRefused(
      Probes(json::array({Probe("smoke", Named("server")), Probe("load", Named("admin"))})),
      "admin");
  // Who may impersonate an account may act as it anyway.
  Grant(ns_.name(), "hal",
        json::array({Rule("", {"serviceaccounts"}, {"impersonate"}, {"admin"})}));
  ExpectTaken(Serving(Named("admin")));
  // Nor may one get in by an edit.
  const json object = Make("ModelDeployment");
  ASSERT_TRUE(Admin().Create(RefOf(object), object).ok());
  const auto edit = [&](const json& spec) {
    return hal_->MergePatch(RefOf(object), {{"spec", spec}});
  };
  ExpectDenied([&] { return edit(Serving(Named("root"))); }, {"the service account root"});
  ExpectAllowed([&] { return edit(Serving(Named("server"))); });
}

TEST_F(ServingAccounts, AreAllAskedAboutWhereThereAreSeveral) {
  const auto all = [](std::vector<const char*> accounts) {
    json spec = Serving(Named(accounts[0]));
    spec.update(Batch(Named(accounts[1])));
    json probes = json::array();
    for (size_t i = 2; i < accounts.size(); ++i) {
      probes.push_back(Probe("p" + std::to_string(i), Named(accounts[i])));
    }
    spec.update(Probes(probes));
    return spec;
  };
  ExpectTaken(all({"server", "server", "server"}));
  ExpectRefused(all({"server", "b", "server"}), "b");
  Grant(ns_.name(), "hal", json::array({Rule("", {"serviceaccounts"}, {"use"}, {"b"})}));
  ExpectTaken(all({"server", "b", "server", "b"}));
  ExpectRefused(all({"server", "b", "c"}), "c");
  Grant(ns_.name(), "hal", json::array({Rule("", {"serviceaccounts"}, {"use"})}));
  ExpectTaken(all({"server", "b", "c"}));
  const json four = Make("ModelDeployment", all({"server", "b", "c", "d"}));
  ExpectDenied([&] { return DryCreate(*hal_, four); }, {"may name three service accounts"});
}

}  // namespace
}  // namespace perennial::testing
