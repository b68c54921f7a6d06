// What children look like.
#include <gtest/gtest.h>

#include <array>

#include "deployment/render.h"
#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

using nlohmann::json;

TEST(Render, GivesEveryContainerItsModelAndRefusesToBeOverruled) {
  ServingWorld world;
  world.spec["template"]["spec"]["initContainers"] = json::parse(R"([{"name": "fetch"}])");
  const json body =
      json::parse(RenderDeployment(world.Deployment(), {"v7", {"oci://m:7", "sha256:77"}, 3}).body);
  const json& pod = body["spec"]["template"];
  for (const char* list : {"containers", "initContainers"}) {
    std::map<std::string, std::string> env;
    for (const json& entry : pod["spec"][list][0]["env"]) {
      EXPECT_TRUE(env.emplace(entry["name"], entry["value"]).second) << "name given twice";
    }
    EXPECT_EQ(env["MODEL_URI"], "oci://m:7");
    EXPECT_EQ(env["MODEL_DIGEST"], "sha256:77");
    EXPECT_EQ(env["MODEL_VERSION"], "v7");
    EXPECT_EQ(env.contains("KEEP"), std::string(list) == "containers");
  }
  EXPECT_EQ(pod["metadata"]["labels"]["team"], "eta");
  EXPECT_EQ(pod["metadata"]["labels"][std::string(api::kLabelVersion)], "v7");
  EXPECT_EQ(body["spec"]["replicas"], 3);
  EXPECT_EQ(body["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
  for (const auto& [label, value] : body["spec"]["selector"]["matchLabels"].items()) {
    EXPECT_EQ(pod["metadata"]["labels"][label], value) << "the selector must find its own pods";
  }
  EXPECT_EQ(body["metadata"]["ownerReferences"][0]["uid"], "md-uid");
}

json PodOf(const ServingWorld& world, const WantedVariant& variant) {
  return json::parse(
      RenderDeployment(world.Deployment(), variant).body)["spec"]["template"]["spec"];
}

TEST(Render, DownloadsTheModelBeforeAnyContainerStarts) {
  ServingWorld world;
  world.spec["storage"] = {{"image", "fetch:1"}, {"credentialsSecretRef", "store"}};
  json& server = world.spec["template"]["spec"]["containers"][0];
  server["securityContext"] = {{"runAsNonRoot", true}};
  server["env"].push_back({{"name", "MODEL_PATH"}, {"value", "mine"}});
  const json pod = PodOf(world, {"v7", {"s3://m/7", "sha256:77"}, 3});
  const json& fetch = pod["initContainers"][0];
  EXPECT_EQ(fetch["image"], "fetch:1");
  EXPECT_EQ(fetch["envFrom"][0]["secretRef"]["name"], "store");
  EXPECT_EQ(fetch["securityContext"]["runAsNonRoot"], true);
  EXPECT_EQ(fetch["volumeMounts"][0]["mountPath"], "/models");
  EXPECT_FALSE(fetch["volumeMounts"][0].contains("readOnly"));
  std::map<std::string, std::string> env;
  for (const json& entry : fetch["env"]) env[entry["name"]] = entry["value"];
  EXPECT_EQ(env, (std::map<std::string, std::string>{{"MODEL_URI", "s3://m/7"},
                                                     {"MODEL_DIGEST", "sha256:77"},
                                                     {"MODEL_VERSION", "v7"},
                                                     {"MODEL_PATH", "/models"}}));
  EXPECT_EQ(pod["containers"][0]["volumeMounts"][0]["readOnly"], true);
  EXPECT_FALSE(pod["containers"][0].contains("envFrom")) << "credentials are not the server's";
  EXPECT_EQ(pod["volumes"][0], (json{{"name", "perennial-model"}, {"emptyDir", json::object()}}));
}

TEST(Render, MountsAnOciArtifactByItsDigest) {
  ServingWorld world;
  world.spec["storage"] = {{"type", "ImageVolume"}, {"path", "/m"}};
  const json pod = PodOf(world, {"v7", {"oci://reg.example.org/m:7", "sha256:77"}, 3});
  EXPECT_EQ(pod["volumes"][0]["image"]["reference"], "reg.example.org/m:7@sha256:77");
  EXPECT_EQ(pod["containers"][0]["volumeMounts"][0]["mountPath"], "/m");
  EXPECT_FALSE(pod.contains("initContainers"));
}

TEST(Render, ProbesByOpenInferenceWhatHasNoProbes) {
  ServingWorld world;
  world.spec["protocol"] = "OpenInference";
  world.spec["rollout"]["progressDeadline"] = "2m";
  json server = PodOf(world, {"v7", {}, 1})["containers"][0];
  EXPECT_EQ(server["readinessProbe"]["httpGet"]["path"], "/v2/health/ready");
  EXPECT_EQ(server["livenessProbe"]["httpGet"]["path"], "/v2/health/live");
  EXPECT_EQ(server["startupProbe"]["failureThreshold"], 24) << "as long as the deadline";
  world.spec["template"]["spec"]["containers"][0]["readinessProbe"] = {
      {"tcpSocket", {{"port", 1}}}};
  server = PodOf(world, {"v7", {}, 1})["containers"][0];
  EXPECT_TRUE(server["readinessProbe"].contains("tcpSocket")) << "the template's own";
  world.spec.erase("protocol");
  EXPECT_FALSE(PodOf(world, {"v7", {}, 1})["containers"][0].contains("livenessProbe"));
}

TEST(Render, LetsPodsServeOnUntilGatewaysHaveHeardOfTheirEnd) {
  ServingWorld world;
  const auto sleep_of = [](const json& container) {
    return container.value("/lifecycle/preStop/sleep/seconds"_json_pointer, -1);
  };
  json& spec = world.spec["template"]["spec"];
  json pod = PodOf(world, {"v7", {}, 1});
  EXPECT_EQ(sleep_of(pod["containers"][0]), 5);
  EXPECT_EQ(pod["terminationGracePeriodSeconds"], 35) << "Kubernetes' 30, and the sleep";

  const json own = {{"postStart", {{"tcpSocket", {{"port", 1}}}}}};
  spec["containers"][0]["lifecycle"] = own;
  spec["containers"].push_back({{"name", "proxy"}});
  spec["terminationGracePeriodSeconds"] = 0;  // Kubernetes makes it 1
  world.spec["traffic"]["drain"] = "1500ms";
  pod = PodOf(world, {"v7", {}, 1});
  EXPECT_EQ(sleep_of(pod["containers"][0]), 2);
  EXPECT_EQ(pod["containers"][0]["lifecycle"]["postStart"], own["postStart"]);
  EXPECT_EQ(sleep_of(pod["containers"][1]), 2) << "what the server needs stays as long";
  EXPECT_EQ(pod["terminationGracePeriodSeconds"], 3);

  spec["containers"][0]["lifecycle"]["preStop"] = {{"exec", {{"command", {"drain"}}}}};
  pod = PodOf(world, {"v7", {}, 1});
  EXPECT_EQ(pod["containers"][0]["lifecycle"], spec["containers"][0]["lifecycle"]) << "its own";

  spec["containers"].erase(1);
  pod = PodOf(world, {"v7", {}, 1});
  EXPECT_EQ(pod["terminationGracePeriodSeconds"], 0) << "nothing of ours, nothing longer";

  spec["containers"][0].erase("lifecycle");
  world.spec["traffic"]["drain"] = "0s";
  pod = PodOf(world, {"v7", {}, 1});
  EXPECT_FALSE(pod["containers"][0].contains("lifecycle"));
  EXPECT_EQ(pod["terminationGracePeriodSeconds"], 0);
}

TEST(Render, WritesTheRoutesDefaultsOut) {
  ServingWorld world;
  const json body = json::parse(RenderRoute(world.Deployment(), {{"v1", 90}, {"v2", 10}}).body);
  EXPECT_EQ(body["spec"]["parentRefs"],
            json::parse(R"([{"group": "gateway.networking.k8s.io", "kind": "Gateway",
                             "name": "edge"}])"));
  EXPECT_EQ(body["spec"]["hostnames"], json::parse(R"(["m.example.org"])"));
  const json& backend = body["spec"]["rules"][0]["backendRefs"][1];
  EXPECT_EQ(backend, (json{{"group", ""},
                           {"kind", "Service"},
                           {"name", world.Child("v2")},
                           {"port", 8080},
                           {"weight", 10}}));
}

TEST(Render, NamesServingAndMetricsPorts) {
  ServingWorld world;
  world.spec["metrics"] = {{"port", "admin"}};
  world.spec["template"]["spec"]["containers"][0]["ports"].push_back(
      {{"name", "admin"}, {"containerPort", 9000}});
  const json ports = json::parse(RenderService(world.Deployment(), "v1").body)["spec"]["ports"];
  ASSERT_EQ(ports.size(), 2u);
  EXPECT_EQ(ports[0]["name"], "http");
  EXPECT_EQ(ports[0]["port"], 8080);
  EXPECT_EQ(ports[1]["name"], "admin");
  EXPECT_EQ(ports[1]["targetPort"], "admin");
}

TEST(Render, GivesNoClusterAddressWhereNoneIsWanted) {
  ServingWorld world;
  const auto services = [&] {
    const auto spec = [](const Rendered& rendered) { return json::parse(rendered.body)["spec"]; };
    return std::array{spec(RenderService(world.Deployment(), "v1")),
                      spec(RenderMainService(world.Deployment(), "v1"))};
  };
  for (const json& spec : services()) EXPECT_FALSE(spec.contains("clusterIP")) << spec;
  EXPECT_EQ(services()[1]["ports"][0]["port"], 80);
  world.spec["traffic"]["headless"] = true;
  for (const json& spec : services()) {
    EXPECT_EQ(spec.value("clusterIP", ""), "None");
    EXPECT_EQ(spec["ports"][0]["port"], 8080) << "nobody translates it";
  }
}

TEST(Render, HashesWhatItRenders) {
  ServingWorld world;
  const auto deployment = world.Deployment();
  const Rendered a = RenderRoute(deployment, {{"v1", 100}});
  EXPECT_EQ(a.hash, RenderRoute(deployment, {{"v1", 100}}).hash);
  EXPECT_NE(a.hash, RenderRoute(deployment, {{"v1", 99}, {"v2", 1}}).hash);
  EXPECT_EQ(json::parse(a.body)["metadata"]["annotations"]["perennial.dev/spec-hash"], a.hash);
}

TEST(Render, NamesFitHoweverLongTheyAre) {
  api::ModelDeployment deployment;
  deployment.meta.key.name = std::string(200, 'd');
  EXPECT_LE(ChildName(deployment, std::string(200, 'v')).size(), 63u);
  deployment.meta.key.name = "d";
  EXPECT_NE(ChildName(deployment, "v1"), ChildName(deployment, "v2"));
}

TEST(Render, SaysWhatIsWrongWithATemplate) {
  const struct {
    const char* pod_template;
    const char* says;
  } kCases[] = {
      {R"([])", "must be a pod template"},
      {R"({"spec": 5})", "spec.template.spec must be a pod spec"},
      {R"({"spec": {}})", "at least one container"},
      {R"({"spec": {"containers": []}})", "at least one container"},
      {R"({"spec": {"containers": ["x"]}})", "each an object"},
      {R"({"spec": {"containers": [{"name": "m", "env": {}}]}})", "env as a list"},
      {R"({"spec": {"containers": [{"name": "m"}]}, "metadata": {"labels": []}})", "labels"},
      {R"({"spec": {"containers": [{"name": "m"}]}, "metadata": 1})", "labels"},
      {R"({"spec": {"containers": [{"name": "m"}]}})", "no container in spec.template has a port"},
      {R"({"spec": {"containers": [{"name": "m", "ports": [1, {"name": 2}]}]}})", "no container"},
  };
  for (const auto& [pod_template, says] : kCases) {
    SCOPED_TRACE(pod_template);
    api::ModelDeployment deployment;
    deployment.spec.pod_template.text = pod_template;
    const auto problem = TemplateProblem(deployment);
    ASSERT_TRUE(problem.has_value());
    EXPECT_NE(problem->find(says), std::string::npos) << *problem;
  }
}

TEST(Render, AnInvalidSpecChangesNothingThatRuns) {
  ServingWorld world;
  world.Settle();
  const auto before = world.objects;
  world.spec["template"]["spec"]["containers"] = json::array();
  ++world.generation;
  world.Settle();
  EXPECT_EQ(world.objects, before);
  EXPECT_EQ(world.Condition("Ready"), "False/InvalidSpec");
  EXPECT_EQ(world.Condition("Stalled"), "True/InvalidSpec");
  EXPECT_EQ(world.Condition("Reconciling"), "-");
  EXPECT_EQ(world.Status().observed_generation, world.generation);
  EXPECT_NE(world.Message("Stalled").find("at least one container"), std::string::npos);
}

}  // namespace
}  // namespace perennial::deployment
