#include "deployment/render.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/names.h"
#include "base/check.h"
#include "deployment/delivery.h"
#include "deployment/fleet.h"
#include "deployment/pod_template.h"

namespace perennial::deployment {
namespace {

using nlohmann::json;

// Where the main Service listens, whatever port the containers use, if it has an address.
constexpr int kMainPort = 80;

json Template(const api::ModelDeployment& deployment) {
  return json::parse(deployment.spec.pod_template.text, nullptr, false);
}

template <class Visit>
void ForEachContainer(json& pod_template, Visit visit) {
  for (const char* list : {"initContainers", "containers"}) {
    json& spec = pod_template["spec"];
    if (!spec.contains(list) || !spec[list].is_array()) continue;
    for (json& container : spec[list]) visit(container);
  }
}

// The number of a named container port, or 0.
int PortOf(const api::ModelDeployment& deployment, const std::string& name) {
  json pod_template = Template(deployment);
  int found = 0;
  ForEachContainer(pod_template, [&](const json& container) {
    if (!container.contains("ports") || !container["ports"].is_array()) return;
    for (const json& port : container["ports"]) {
      if (!port.is_object() || port.value("name", json()) != name) continue;
      const json number = port.value("containerPort", json());
      if (number.is_number_integer()) found = number.get<int>();
    }
  });
  return found;
}

json PodTemplate(const api::ModelDeployment& deployment, const WantedVariant& variant) {
  json pod_template = Template(deployment);
  PERENNIAL_CHECK(pod_template.is_object());
  json metadata = pod_template.value("metadata", json::object());
  json labels = metadata.value("labels", json::object());
  labels.update(LabelsOf(deployment, variant.version));
  json rendered = {{"metadata", {{"labels", std::move(labels)}}}, {"spec", pod_template["spec"]}};
  if (metadata.contains("annotations")) {
    rendered["metadata"]["annotations"] = metadata["annotations"];
  }
  SetModelEnvironment(rendered, variant);
  DeliverModel(rendered, deployment.spec, variant.model);
  AddProbes(rendered, deployment.spec);
  AddDrain(rendered, deployment.spec);
  return rendered;
}

json Port(const std::string& name, int port) {
  return {{"name", name}, {"port", port}, {"targetPort", name}, {"protocol", "TCP"}};
}

bool SpeaksGrpc(const api::ModelDeployment& deployment) {
  return deployment.spec.traffic.protocol == api::TrafficProtocol::kGrpc;
}

json ServingPort(const api::ModelDeployment& deployment, int port) {
  json rendered = Port(deployment.spec.traffic.port, port);
  // HTTP/2 without TLS, for proxies that don't learn it from the route (KEP-3726).
  if (SpeaksGrpc(deployment)) rendered["appProtocol"] = "kubernetes.io/h2c";
  return rendered;
}

json ServiceSpec(const api::ModelDeployment& deployment, const std::string& version, json ports) {
  json spec = {{"type", "ClusterIP"},
               {"selector", PodSelector(deployment, version)},
               {"ports", std::move(ports)}};
  if (deployment.spec.traffic.headless) spec["clusterIP"] = "None";
  return spec;
}

// Defaults that the API server would fill in are written out: fields that nobody owns invite others
// to own them.
json ParentReference(const api::ParentReference& parent) {
  json reference = {{"group", api::kHttpRoutes.group}, {"kind", "Gateway"}, {"name", parent.name}};
  if (!parent.section_name.empty()) reference["sectionName"] = parent.section_name;
  return reference;
}

json Backend(const api::ModelDeployment& deployment, const std::string& version) {
  return {{"group", ""},
          {"kind", "Service"},
          {"name", ChildName(deployment, version)},
          {"port", PortOf(deployment, deployment.spec.traffic.port)}};
}

json Rule(const api::ModelDeployment& deployment, const std::vector<Share>& shares) {
  json backends = json::array();
  for (const Share& share : shares) {
    backends.push_back(Backend(deployment, share.version));
    backends.back()["weight"] = share.weight;
  }
  json rule = {{"backendRefs", std::move(backends)}};
  // A gRPC rule without matches takes every method.
  if (!SpeaksGrpc(deployment)) {
    const json match = {{"path", {{"type", "PathPrefix"}, {"value", "/"}}}};
    rule["matches"] = json::array({match});
  }
  const auto& timeouts = deployment.spec.traffic.timeouts;
  if (timeouts && timeouts->request.value > Millis{0}) {
    rule["timeouts"]["request"] = FormatDuration(timeouts->request.value);
  }
  if (timeouts && timeouts->backend_request.value > Millis{0}) {
    rule["timeouts"]["backendRequest"] = FormatDuration(timeouts->backend_request.value);
  }
  return rule;
}

json Split(const api::ModelDeployment& deployment, const std::vector<Share>& shares,
           const Extras& extras) {
  const api::Traffic& traffic = deployment.spec.traffic;
  json split = Rule(deployment, shares);
  if (extras.mirror.weight > 0) {
    json backend = Backend(deployment, extras.mirror.version);
    split["filters"] =
        json::array({{{"type", "RequestMirror"},
                      {"requestMirror",
                       {{"backendRef", std::move(backend)}, {"percent", extras.mirror.weight}}}}});
  }
  if (traffic.sticky) {
    split["sessionPersistence"] = {{"sessionName", traffic.sticky->cookie},
                                   {"type", "Cookie"},
                                   {"absoluteTimeout", FormatDuration(traffic.sticky->ttl.value)},
                                   {"cookieConfig", {{"lifetimeType", "Permanent"}}}};
  }
  return split;
}

// The Gateway API matches no cookies, but headers by regular expressions; names and values have no
// letters that would mean something else in one.
json HeaderMatch(const api::TrafficRule& rule) {
  if (rule.header) {
    return {{"type", "Exact"}, {"name", rule.header->name}, {"value", rule.header->value}};
  }
  return {{"type", "RegularExpression"},
          {"name", "Cookie"},
          {"value", "(.*; ?)?" + rule.cookie->name + "=" + rule.cookie->value + "(;.*)?"}};
}

std::optional<std::string> ContainersProblem(const json& pod_template) {
  const json::json_pointer containers("/spec/containers");
  if (!pod_template.contains(containers) || !pod_template[containers].is_array() ||
      pod_template[containers].empty()) {
    return "spec.template.spec.containers must list at least one container";
  }
  for (const char* list : {"initContainers", "containers"}) {
    const json all = pod_template["spec"].value(list, json::array());
    const bool good = all.is_array() && std::all_of(all.begin(), all.end(), [](const json& one) {
                        return one.is_object() && one.value("env", json::array()).is_array();
                      });
    if (!good) {
      return std::string("spec.template.spec.") + list +
             " must be a list of containers, each an object with env as a list";
    }
  }
  const json metadata = pod_template.value("metadata", json::object());
  if (!metadata.is_object() || !metadata.value("labels", json::object()).is_object()) {
    return "spec.template.metadata.labels must map names to texts";
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> TemplateProblem(const api::ModelDeployment& deployment) {
  const json pod_template = Template(deployment);
  if (!pod_template.is_object()) return "spec.template must be a pod template (an object)";
  if (!pod_template.contains("spec") || !pod_template["spec"].is_object()) {
    return "spec.template.spec must be a pod spec";
  }
  if (auto problem = ContainersProblem(pod_template)) return problem;
  for (const auto& [field, name] : {std::pair("spec.traffic.port", deployment.spec.traffic.port),
                                    std::pair("spec.metrics.port", deployment.spec.metrics.port)}) {
    if (PortOf(deployment, name) == 0) {
      return std::string(field) + " is \"" + name +
             "\", but no container in spec.template has a port of that name: name one, or change " +
             field;
    }
  }
  return std::nullopt;
}

Rendered RenderDeployment(const api::ModelDeployment& deployment, const WantedVariant& variant) {
  const auto deadline =
      std::chrono::ceil<Seconds>(deployment.spec.rollout.progress_deadline.value).count();
  json spec = {
      {"selector", {{"matchLabels", PodSelector(deployment, variant.version)}}},
      // New pods first: a change of the template never takes capacity away.
      {"strategy",
       {{"type", "RollingUpdate"}, {"rollingUpdate", {{"maxUnavailable", 0}, {"maxSurge", 1}}}}},
      {"progressDeadlineSeconds", std::max<std::int64_t>(1, deadline)},
      {"revisionHistoryLimit", 2},
      {"template", PodTemplate(deployment, variant)}};
  // Who sets it owns it: an autoscaler's number stays as it is.
  if (!deployment.spec.autoscaling) spec["replicas"] = variant.replicas;
  return Seal(deployment, api::kDeployments, ChildName(deployment, variant.version),
              variant.version, std::move(spec));
}

Rendered RenderService(const api::ModelDeployment& deployment, const std::string& version) {
  const std::string& serving = deployment.spec.traffic.port;
  const std::string& metrics = deployment.spec.metrics.port;
  json ports = json::array({ServingPort(deployment, PortOf(deployment, serving))});
  if (metrics != serving) ports.push_back(Port(metrics, PortOf(deployment, metrics)));
  return Seal(deployment, api::kServices, ChildName(deployment, version), version,
              ServiceSpec(deployment, version, std::move(ports)));
}

Rendered RenderMainService(const api::ModelDeployment& deployment, const std::string& version) {
  const api::Traffic& traffic = deployment.spec.traffic;
  // Without a cluster address nobody translates ports.
  const int port = traffic.headless ? PortOf(deployment, traffic.port) : kMainPort;
  json ports = json::array({ServingPort(deployment, port)});
  return Seal(deployment, api::kServices, deployment.meta.key.name, "",
              ServiceSpec(deployment, version, std::move(ports)));
}

Rendered RenderRoute(const api::ModelDeployment& deployment, const std::vector<Share>& shares,
                     const Extras& extras) {
  PERENNIAL_CHECK(deployment.spec.traffic.gateway.has_value());
  const api::Traffic& traffic = deployment.spec.traffic;
  json parents = json::array();
  for (const api::ParentReference& parent : traffic.gateway->parent_refs) {
    parents.push_back(ParentReference(parent));
  }
  // The split first, and a rule for each of the spec's, always, so that none ever comes, goes or
  // moves: gateways name what they know of a rule by its place, and have no endpoints for one that
  // is new there (seen with Envoy Gateway: 503 for a moment). One that nobody special answers now
  // has the split again. Which rule a request takes is not decided by their order, but by the more
  // exact match.
  json rules = json::array({Split(deployment, BackendsOf(shares, extras), extras)});
  for (size_t i = 0; i < traffic.rules.size() && i < extras.matched.size(); ++i) {
    const std::string& version = extras.matched[i];
    rules.push_back(version.empty() ? Split(deployment, shares, extras)
                                    : Rule(deployment, {{version, 1}}));
    rules.back()["matches"][0]["headers"] = json::array({HeaderMatch(traffic.rules[i])});
  }
  json spec = {{"parentRefs", std::move(parents)}, {"rules", std::move(rules)}};
  if (!traffic.gateway->hostnames.empty()) spec["hostnames"] = traffic.gateway->hostnames;
  return Seal(deployment, RouteKind(deployment), deployment.meta.key.name, "", std::move(spec));
}

std::string SelectorOf(const api::ModelDeployment& deployment) {
  return std::string(api::kLabelDeployment) + "=" + deployment.meta.key.name + "," +
         std::string(kLabelComponent) + "=" + std::string(kComponent);
}

}  // namespace perennial::deployment
