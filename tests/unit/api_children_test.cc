// The documents are shortened ones that a real cluster (Kubernetes 1.37, Envoy Gateway 1.9) served.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/children.h"

namespace perennial::api {
namespace {

using nlohmann::json;

json Object(const char* rest) {
  json object = json::parse(rest);
  json& metadata = object["metadata"];
  metadata["name"] = "x";
  metadata["namespace"] = "transit";
  metadata["uid"] = "uid-1";
  metadata["resourceVersion"] = "42";
  return object;
}

TEST(Children, ReadADeployment) {
  const auto view = DecodeDeploymentView(Object(R"({
    "metadata": {"generation": 3, "annotations": {"a": "b"}},
    "spec": {"replicas": 3},
    "status": {"observedGeneration": 2, "replicas": 4, "updatedReplicas": 2, "readyReplicas": 3,
      "availableReplicas": 1, "unavailableReplicas": 1, "conditions": [
        {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
        {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}]}})"));
  ASSERT_TRUE(view.ok()) << view.error().message;
  EXPECT_EQ(view->meta.generation, 3);
  EXPECT_EQ(view->meta.annotations.at("a"), "b");
  EXPECT_EQ(view->replicas, 3);
  EXPECT_EQ(view->updated_replicas, 2);
  EXPECT_EQ(view->ready_replicas, 3);
  EXPECT_EQ(view->available_replicas, 1);
  EXPECT_EQ(view->observed_generation, 2);
  EXPECT_FALSE(view->progress_deadline_exceeded);
  EXPECT_EQ(view->message, "");
}

TEST(Children, TellWhyADeploymentDoesNotProgress) {
  json object = Object(R"({"spec": {}, "status": {"conditions": [
    {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
     "message": "ReplicaSet \"x-1\" has timed out progressing."}]}})");
  auto view = DecodeDeploymentView(object);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->replicas, 1) << "the API's default";
  EXPECT_TRUE(view->progress_deadline_exceeded);
  EXPECT_EQ(view->message,
            "ProgressDeadlineExceeded: ReplicaSet \"x-1\" has timed out progressing.");
  object["status"]["conditions"].push_back(json::parse(
      R"({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
          "message": "pods \"x\" is forbidden: exceeded quota"})"));
  view = DecodeDeploymentView(object);
  EXPECT_EQ(view->message, "FailedCreate: pods \"x\" is forbidden: exceeded quota")
      << "the cause, not the symptom";
}

constexpr const char* kRoute = R"({
  "metadata": {"generation": 2},
  "spec": {"hostnames": ["departures.example.org"],
    "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}],
    "rules": [{"backendRefs": [
      {"group": "", "kind": "Service", "name": "departures-v1", "port": 8080, "weight": 80},
      {"group": "", "kind": "Service", "name": "departures-v2", "port": 8080, "weight": 20}],
      "matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}]},
  "status": {"parents": [{
    "controllerName": "gateway.envoyproxy.io/gatewayclass-controller",
    "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"},
    "conditions": [
      {"type": "Accepted", "status": "True", "reason": "Accepted", "observedGeneration": 2,
       "lastTransitionTime": "2026-11-24T16:13:47Z", "message": "Route is accepted"},
      {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs",
       "observedGeneration": 2, "lastTransitionTime": "2026-11-24T16:13:47Z",
       "message": "Resolved all the Object references for the Route"}]}]}})";

TEST(Children, ReadARouteThatItsGatewayAccepts) {
  const auto view = DecodeHttpRouteView(Object(kRoute));
  ASSERT_TRUE(view.ok()) << view.error().message;
  EXPECT_EQ(view->backends,
            (std::vector<BackendWeight>{{"departures-v1", 80}, {"departures-v2", 20}}));
  EXPECT_TRUE(view->accepted);
  EXPECT_EQ(view->message, "");
}

TEST(Children, TellTheSplitFromTheRulesAfterIt) {
  json object = Object(kRoute);
  json& rules = object["spec"]["rules"];
  json after = rules[0];
  after["backendRefs"].erase(0);
  rules[0]["sessionPersistence"] = {{"type", "Cookie"}};
  rules[0]["filters"] = json::parse(R"([{"type": "RequestMirror", "requestMirror":
      {"percent": 20, "backendRef": {"name": "departures-v3"}}}])");
  rules.push_back(after);
  const auto view = DecodeHttpRouteView(object);
  EXPECT_EQ(view->backends.size(), 2u);
  EXPECT_EQ(view->others, (std::vector<std::string>{"departures-v3", "departures-v2"}));
  EXPECT_EQ(view->features,
            (std::vector<std::string>{"requestMirror.percent", "sessionPersistence"}));
}

TEST(Children, TakeAPartiallyInvalidRouteForRefused) {
  json object = Object(kRoute);
  object["status"]["parents"][0]["conditions"].push_back({{"type", "PartiallyInvalid"},
                                                          {"status", "True"},
                                                          {"reason", "UnsupportedValue"},
                                                          {"message", "a rule is left out"}});
  EXPECT_FALSE(DecodeHttpRouteView(object)->accepted);
  EXPECT_NE(DecodeHttpRouteView(object)->message.find("a rule is left out"), std::string::npos);
}

TEST(Children, TakeAParentWithoutNamespaceForOneInTheRoutesOwn) {
  json object = Object(kRoute);
  object["status"]["parents"][0]["parentRef"]["namespace"] = "transit";
  EXPECT_TRUE(DecodeHttpRouteView(object)->accepted);
  object["status"]["parents"][0]["parentRef"]["namespace"] = "elsewhere";
  EXPECT_FALSE(DecodeHttpRouteView(object)->accepted);
}

TEST(Children, CountAWeightThatIsNotGivenAsOneAndKeepZero) {
  json object = Object(kRoute);
  object["spec"]["rules"][0]["backendRefs"][0].erase("weight");
  object["spec"]["rules"][0]["backendRefs"][1]["weight"] = 0;
  EXPECT_EQ(DecodeHttpRouteView(object)->backends,
            (std::vector<BackendWeight>{{"departures-v1", 1}, {"departures-v2", 0}}));
}

struct Refusal {
  const char* name;
  const char* pointer;
  const char* value;
  const char* message;
};

TEST(Children, DoNotTakeARouteForAcceptedBeforeEachParentSaysSo) {
  const Refusal cases[] = {
      {"no status", "/status", "{}", "Gateway edge has not accepted the route"},
      {"another parent's status", "/status/parents/0/parentRef/name", R"("other")",
       "Gateway edge has not accepted the route"},
      {"of one listener only", "/status/parents/0/parentRef/sectionName", R"("http")",
       "Gateway edge has not accepted the route"},
      {"of an older generation", "/metadata/generation", "3",
       "Gateway edge has not looked at this generation of the route"},
      {"no conditions", "/status/parents/0/conditions", "[]",
       "Gateway edge has not said whether it is Accepted"},
      {"not accepted", "/status/parents/0/conditions/0",
       R"({"type": "Accepted", "status": "False", "reason": "NoMatchingListenerHostname",
           "observedGeneration": 2, "message": "no listener has this host name"})",
       "Gateway edge: NoMatchingListenerHostname: no listener has this host name; correct the "
       "Gateway's listeners or spec.traffic.gateway"},
      {"backend is missing", "/status/parents/0/conditions/1",
       R"({"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound",
           "observedGeneration": 2, "message": "Service departures-v2 not found"})",
       "Gateway edge: BackendNotFound: Service departures-v2 not found"},
      {"a second gateway", "/spec/parentRefs/1", R"({"name": "inner"})",
       "Gateway inner has not accepted the route"},
      {"no gateway", "/spec/parentRefs", "[]", "the route names no Gateway"},
  };
  for (const Refusal& c : cases) {
    SCOPED_TRACE(c.name);
    json object = Object(kRoute);
    object[json::json_pointer(c.pointer)] = json::parse(c.value);
    const auto view = DecodeHttpRouteView(object);
    ASSERT_TRUE(view.ok());
    EXPECT_FALSE(view->accepted);
    EXPECT_EQ(view->message, c.message);
  }
}

TEST(Children, ReadEndpoints) {
  const auto view = DecodeEndpointSliceView(Object(R"({
    "metadata": {"labels": {"kubernetes.io/service-name": "departures-v1"}},
    "addressType": "IPv4",
    "endpoints": [
      {"addresses": ["10.244.0.7"], "conditions": {"ready": true, "serving": true,
       "terminating": false}, "targetRef": {"kind": "Pod", "name": "p-1", "uid": "u-1"}},
      {"addresses": ["10.244.0.8"], "conditions": {"ready": false, "serving": true,
       "terminating": true}, "targetRef": {"kind": "Pod", "name": "p-2", "uid": "u-2"}},
      {"addresses": ["10.244.0.9"], "conditions": {}}],
    "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]})"));
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->service, "departures-v1");
  EXPECT_EQ(view->endpoints, (std::vector<Endpoint>{{"10.244.0.7", "p-1", "u-1", true},
                                                    {"10.244.0.8", "p-2", "u-2", false},
                                                    {"10.244.0.9", "", "", true}}));
  EXPECT_EQ(view->ports, (std::vector<EndpointPort>{{"http", 8080}}));
}

TEST(Children, ReadHowAJobStands) {
  json object = Object(R"({"status": {"active": 1}})");
  EXPECT_EQ(DecodeJobView(object)->state, JobState::kRunning);
  object["status"]["conditions"] =
      json::parse(R"([{"type": "SuccessCriteriaMet", "status": "True"}])");
  EXPECT_EQ(DecodeJobView(object)->state, JobState::kRunning) << "its pods may still run";
  object["status"]["conditions"].push_back(json::parse(
      R"({"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-24T16:13:47Z"})"));
  EXPECT_EQ(DecodeJobView(object)->state, JobState::kSucceeded);
  EXPECT_EQ(DecodeJobView(object)->finished, ParseTime("2026-11-24T16:13:47Z"));
  object["status"]["conditions"] = json::parse(
      R"([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded",
           "message": "Job was active longer than specified deadline",
           "lastTransitionTime": "2026-11-24T16:13:48Z"}])");
  const auto failed = DecodeJobView(object);
  EXPECT_EQ(failed->state, JobState::kFailed);
  EXPECT_EQ(failed->reason, "DeadlineExceeded");
  EXPECT_EQ(failed->message, "Job was active longer than specified deadline");
  EXPECT_EQ(failed->finished, ParseTime("2026-11-24T16:13:48Z"));
  object["status"]["conditions"][0]["status"] = "False";
  EXPECT_EQ(DecodeJobView(object)->state, JobState::kRunning);
}

TEST(Children, ReadWhetherAJobIsSuspendedAndSinceWhenItIsNot) {
  json object = Object(R"({"spec": {"suspend": true}, "status": {}})");
  EXPECT_TRUE(DecodeJobView(object)->suspended);
  EXPECT_FALSE(DecodeJobView(object)->started);
  object["spec"]["suspend"] = false;
  object["status"]["conditions"] = json::parse(R"([{"type": "Suspended", "status": "True"}])");
  EXPECT_TRUE(DecodeJobView(object)->suspended) << "its controller has not seen it yet";
  object["status"] = json::parse(R"({"startTime": "2026-11-24T16:13:40Z",
      "conditions": [{"type": "Suspended", "status": "False"}]})");
  EXPECT_FALSE(DecodeJobView(object)->suspended);
  EXPECT_EQ(DecodeJobView(object)->started, ParseTime("2026-11-24T16:13:40Z"));
}

// Each as its own CRD says it.
TEST(Children, ReadWhetherAWorkloadIsSuspended) {
  const auto suspended = [](const char* text) {
    return DecodeRunObjectView(Object(text))->suspended;
  };
  // trainer.kubeflow.org/v1alpha1 TrainJob, jobset.x-k8s.io/v1alpha2 JobSet.
  EXPECT_TRUE(suspended(R"({"spec": {"suspend": true}})"));
  EXPECT_TRUE(suspended(R"({"spec": {"suspend": false}, "status": {"conditions": [
      {"type": "Suspended", "status": "True", "reason": "Suspended"}]}})"));
  EXPECT_FALSE(suspended(R"({"spec": {"suspend": false}, "status": {"conditions": [
      {"type": "Suspended", "status": "False", "reason": "Resumed"}]}})"));
  // ray.io/v1 RayJob.
  EXPECT_TRUE(suspended(R"({"status": {"jobDeploymentStatus": "Suspended"}})"));
  EXPECT_TRUE(suspended(R"({"status": {"jobDeploymentStatus": "Suspending"}})"));
  EXPECT_FALSE(suspended(R"({"spec": {"suspend": false},
      "status": {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}})"));
  // kubeflow.org/v1 PyTorchJob, kubeflow.org/v2beta1 MPIJob.
  EXPECT_TRUE(suspended(R"({"spec": {"runPolicy": {"suspend": true}}})"));
  EXPECT_FALSE(suspended(R"({"spec": {"runPolicy": {"suspend": false}}})"));
  EXPECT_FALSE(suspended("{}"));
}

TEST(Children, ReadForWhomAWorkloadTrainsAndUntilWhen) {
  json object = Object(R"({"metadata": {"annotations": {"perennial.dev/members": "a,b",
      "perennial.dev/data-end": "2026-11-24T16:13:40Z", "other": "x"}}})");
  const auto small = DecodeRunObjectView(object);
  EXPECT_EQ(small->meta.annotations.size(), 2u);
  EXPECT_EQ(small->meta.annotations.at("perennial.dev/members"), "a,b");
  EXPECT_EQ(small->meta.annotations.at("perennial.dev/data-end"), "2026-11-24T16:13:40Z");
  object["status"]["text"] = std::string(kLongestRunObject, 'x');
  const auto large = DecodeRunObjectView(object);
  EXPECT_TRUE(large->oversized);
  EXPECT_EQ(large->meta.annotations, small->meta.annotations);
}

constexpr const char* kPod = R"({
  "metadata": {"ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "train",
    "uid": "job-1", "controller": true, "blockOwnerDeletion": true}],
    "annotations": {"large": "text"}},
  "spec": {"containers": [{"name": "train"}, {"name": "sidecar"}]},
  "status": {"phase": "Succeeded", "containerStatuses": [
    {"name": "sidecar", "state": {"terminated": {"exitCode": 137, "reason": "Error",
      "message": "not this one"}}},
    {"name": "train", "state": {"terminated": {"exitCode": 0, "reason": "Completed",
      "message": "{\"schemaVersion\":1}", "startedAt": "2026-11-24T16:13:40Z",
      "finishedAt": "2026-11-24T16:13:47Z"}}}]}})";

TEST(Children, ReadWhatATrainingPodLeft) {
  const auto view = DecodePodView(Object(kPod));
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->job_uid, "job-1");
  EXPECT_EQ(view->phase, "Succeeded");
  EXPECT_EQ(view->container, "train");
  EXPECT_TRUE(view->terminated);
  EXPECT_EQ(view->exit_code, 0);
  EXPECT_EQ(view->termination_reason, "Completed");
  EXPECT_EQ(view->termination_message, R"({"schemaVersion":1})");
  EXPECT_EQ(view->finished, ParseTime("2026-11-24T16:13:47Z"));
  EXPECT_TRUE(view->meta.annotations.empty()) << "nobody reads them, and there are many pods";
}

TEST(Children, TellWhatAGatewayCanDo) {
  json object = json::parse(R"({"metadata": {"name": "edge", "namespace": "transit", "uid": "1"},
    "spec": {"gatewayClassName": "envoy"}})");
  EXPECT_EQ(DecodeGatewayView(object)->gateway_class, "envoy");
  EXPECT_TRUE(DecodeGatewayClassView(object)->features.empty());
  object["status"] = json::parse(R"({"supportedFeatures": [{"name": "HTTPRoute"}, "Gateway"]})");
  EXPECT_EQ(DecodeGatewayClassView(object)->features,
            (std::vector<std::string>{"HTTPRoute", "Gateway"}));
}

TEST(Children, TellWhatAPodWaitsFor) {
  json object = Object(kPod);
  object["status"] = json::parse(R"({"phase": "Pending", "containerStatuses": [
    {"name": "train", "state": {"waiting": {"reason": "ImagePullBackOff",
      "message": "Back-off pulling image \"trainer:1\""}}}]})");
  const auto view = DecodePodView(object);
  EXPECT_FALSE(view->terminated);
  EXPECT_EQ(view->waiting_reason, "ImagePullBackOff");
  EXPECT_EQ(view->waiting_message, "Back-off pulling image \"trainer:1\"");
}

TEST(Children, TellHowAContainerThatWaitsEndedTheLastTime) {
  json object = Object(kPod);
  object["status"] = json::parse(R"({"phase": "Pending",
    "initContainerStatuses": [{"name": "fetch", "state": {"waiting": {"reason": "CrashLoopBackOff"}},
      "lastState": {"terminated": {"exitCode": 3, "reason": "Error", "message": "wrong digest"}}}],
    "containerStatuses": [{"name": "train", "state": {"waiting": {"reason": "PodInitializing"}}}]})");
  const auto view = DecodePodView(object);
  EXPECT_EQ(view->waiting_reason, "CrashLoopBackOff");
  EXPECT_EQ(view->waiting_exit, "exited with 3 (Error): wrong digest");
  EXPECT_EQ(view->unscheduled, "");
}

TEST(Children, TellWhyNoNodeTakesAPod) {
  json object = Object(kPod);
  object["status"] = json::parse(R"({"phase": "Pending", "conditions": [{"type": "PodScheduled",
    "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}]})");
  EXPECT_EQ(DecodePodView(object)->unscheduled, "0/3 nodes are available");
}

TEST(Children, OwePodsOnlyToTheJobThatControlsThem) {
  json object = Object(kPod);
  object["metadata"]["ownerReferences"][0]["controller"] = false;
  EXPECT_EQ(DecodePodView(object)->job_uid, "");
  object["metadata"]["ownerReferences"][0]["controller"] = true;
  object["metadata"]["ownerReferences"][0]["apiVersion"] = "example.org/v1";
  EXPECT_EQ(DecodePodView(object)->job_uid, "");
}

TEST(Children, SurviveObjectsOfUnexpectedShape) {
  for (const char* text : {R"({"spec": 5, "status": [1]})", R"({"status": {"conditions": 7}})",
                           R"({"status": {"conditions": [null, 3, {"type": 1}]}})",
                           R"({"spec": {"rules": [1, {"backendRefs": {}}], "parentRefs": [2]},
                               "status": {"parents": [3]}})",
                           R"({"spec": {"containers": [[]]},
                               "status": {"containerStatuses": [{"state": []}]}})",
                           R"({"endpoints": [4, {"addresses": [5]}], "ports": ["x"]})"}) {
    SCOPED_TRACE(text);
    const json object = Object(text);
    EXPECT_TRUE(DecodeDeploymentView(object).ok());
    EXPECT_TRUE(DecodeServiceView(object).ok());
    EXPECT_TRUE(DecodeHttpRouteView(object).ok());
    EXPECT_TRUE(DecodeEndpointSliceView(object).ok());
    EXPECT_TRUE(DecodeJobView(object).ok());
    EXPECT_TRUE(DecodePodView(object).ok());
  }
  EXPECT_FALSE(DecodePodView(json::parse(R"({"metadata": {"name": "no-uid"}})")).ok());
}

}  // namespace
}  // namespace perennial::api
