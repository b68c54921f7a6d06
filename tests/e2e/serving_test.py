#!/usr/bin/env python3
"""Pods on a cluster, side by side: a server that speaks the Open Inference Protocol warms up, is spread and
protected; models that are images come into their pods; pods come ahead of traffic and go after it, however many, and
a rollout rests while there are none; and what status says of pods that can't start, so that nobody has to look for it.

Needs a cluster with the controller in it.
"""

import collections
import datetime
import http.client
import json
import unittest

import capacity
import served
import story

SPREAD = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
          "labelSelector": {"matchLabels": {"perennial.dev/model-deployment": "oip"}},
          "matchLabelKeys": ["perennial.dev/model-version"]}
MODELS = {"1": "learned from one week", "2": "learned from two weeks"}
# Nothing listens there: a pull fails at once.
NO_REGISTRY = "127.0.0.1:1/models"


def since(begin, end):
    return (datetime.datetime.fromisoformat(end) - datetime.datetime.fromisoformat(begin)).total_seconds()


class Serving(capacity.Capacity):
    space = "parts"

    def test_pods(self):
        served.side_by_side(self.open_inference, self.delivered, self.not_delivered, self.can_not_start,
                            self.refused, self.not_supported, self.scaled_down, self.ahead, self.falls_ill)
        self.judge_crowds()

    def open_inference(self):
        """Probed where the protocol says, not asked before it has loaded, and not restarted meanwhile."""
        # With a share of the processor: the probes that it gets wait for a second, and restart it.
        template = served.server(probed=False, resources={"requests": {"cpu": "50m"}})
        template["spec"]["topologySpreadConstraints"] = [SPREAD]
        model = served.Model(self.board, "oip", {
            "protocol": "OpenInference", "replicas": 2, "template": template,
            "disruptionBudget": {"maxUnavailable": 1}})
        version = model.release("1-slow")
        model.wait_for_end(version, "Promoted")
        name = model.status()["variants"][0]["service"]
        spec = story.get("deployments.apps", name, self.space)["spec"]["template"]["spec"]
        server = spec["containers"][0]
        self.assertEqual({probe: server[probe]["httpGet"]["path"] for probe in server if probe.endswith("Probe")}, {
            "startupProbe": "/v2/health/ready", "readinessProbe": "/v2/health/ready",
            "livenessProbe": "/v2/health/live"})
        self.assertEqual(spec["topologySpreadConstraints"], [SPREAD])
        pods = story.get("pods", namespace=self.space, selector=f"perennial.dev/model-version={version}")
        self.assertEqual(len(pods), 2)
        for pod in pods:
            ready = next(c for c in pod["status"]["conditions"] if c["type"] == "Ready")
            state = pod["status"]["containerStatuses"][0]
            self.assertGreaterEqual(since(state["state"]["running"]["startedAt"], ready["lastTransitionTime"]), 3)
            self.assertEqual(state["restartCount"], 0)
        story.wait_for("it answers", story.PATIENCE, lambda: story.answers(self.address, "/predict", model.host))
        self.evicted(name, [pod["metadata"]["name"] for pod in pods])
        self.changed(model, name)

    def evicted(self, budget, pods):
        """One pod may be drained away, and not both."""
        story.wait_for("the budget is counted", story.PATIENCE, lambda: story.get(
            "poddisruptionbudgets.policy", budget, self.space).get("status", {}).get("disruptionsAllowed") == 1)

        def evict(pod):
            return story.run(
                "sh", "-c", f"kubectl create --raw /api/v1/namespaces/{self.space}/pods/{pod}/eviction -f - 2>&1",
                check=False, text=json.dumps({"apiVersion": "policy/v1", "kind": "Eviction",
                                              "metadata": {"name": pod, "namespace": self.space}}))

        self.assertIn("Success", evict(pods[0]))
        self.assertIn("disruption budget", evict(pods[1]))

    def changed(self, model, budget):
        """Another budget, and no gateway any more: the one object changes, the other goes, and no pod does."""
        route = ("httproutes.gateway.networking.k8s.io", model.name, self.space)
        self.assertTrue(story.get(*route))
        pods = model.pods(model.status()["champion"])
        model.spec["disruptionBudget"] = {"minAvailable": 1}
        del model.spec["traffic"]["gateway"]
        model.release("1-slow")

        def kept():
            spec = story.get("poddisruptionbudgets.policy", budget, self.space)["spec"]
            return {field: spec[field] for field in ("minAvailable", "maxUnavailable") if field in spec}

        model.wait("the budget is the other one", lambda: kept() == {"minAvailable": 1}, kept)
        model.wait("the route is gone", lambda: not story.get(*route), lambda: story.get(*route))
        address = story.get("services", model.name, self.space)["spec"]["clusterIP"]
        model.wait("its Service answers", lambda: story.answers(address, "/predict"))
        self.assertLessEqual(pods.items(), model.pods(model.status()["champion"]).items())

    def delivered(self):
        """Models that are images: the kubelet mounts each version's own, and servers answer from its file."""
        model = served.Model(self.board, "weights", {
            "storage": {"type": "ImageVolume"}, "rollout": {"steps": [{"weight": 50, "pause": True}]}})
        first = model.release("1", "perennial.dev/weights")
        model.wait_for_end(first, "Promoted")
        story.wait_for("it answers", story.PATIENCE, lambda: story.answers(self.address, "/predict", model.host))
        self.assertEqual(self.read(model.host), {first: {MODELS["1"]}})
        self.assertIn("ro", self.mount(first)[3].split(","))
        crowd = self.crowd(model.host)
        second = model.release("2", "perennial.dev/weights")
        model.wait_for_step(second, 0)
        crowd.meets(first, second)
        self.assertEqual(self.read(model.host), {first: {MODELS["1"]}, second: {MODELS["2"]}})
        model.resume(second)
        model.wait_for_end(second, "Promoted")
        crowd.meets(second)
        self.assertEqual(self.read(model.host), {second: {MODELS["2"]}})
        self.not_pulled(model, second, crowd)

    def not_pulled(self, model, champion, crowd):
        """Challengers that are nowhere, twice in a row."""
        for tag in ("3", "4"):
            # A kubelet that is busy tries it late.
            model.spec["rollout"]["progressDeadline"] = "10m"
            version = model.release(tag, NO_REGISTRY)
            model.wait("it is told", lambda: all(words in model.status()["why"] for words in (
                f"the pods of {version} are ready", "waits: ImagePullBackOff: ")))
            model.spec["rollout"]["progressDeadline"] = "20s"
            model.release(tag, NO_REGISTRY)
            message = model.wait_for_end(version, "RolledBack")
            self.assertIn("not ready within progressDeadline 20s: 0 of 1 pods ready", message)
            self.assertIn("waits: ImagePullBackOff: ", message)
            self.assertEqual([model.condition("Ready"), model.status()["champion"]], ["True", champion])
        crowd.meets(champion)

    def read(self, host):
        """Returns {version: what its model's file says} of 40 answers."""
        found = collections.defaultdict(set)
        connection = http.client.HTTPConnection(self.address, 80, timeout=30)
        for _ in range(40):
            connection.request("GET", "/model", headers={"Host": host})
            answer = connection.getresponse()
            found[answer.getheader("x-version")].add(answer.read().decode().strip())
        connection.close()
        return dict(found)

    def mount(self, version):
        """Returns how the model is mounted in a server of this version: device, folder, type, options."""
        pod = story.get("pods", namespace=self.space, selector=f"perennial.dev/model-version={version}")[0]
        return story.kubectl("-n", self.space, "exec", pod["metadata"]["name"], "--", "grep", " /models ",
                             "/proc/mounts").split()

    def not_delivered(self):
        """A champion whose new pods can't start goes on with those that it has."""
        model = served.Model(self.board, "volume", {"rollout": {"progressDeadline": "5s"}})
        first = model.release("1", NO_REGISTRY)
        model.wait_for_end(first, "Promoted")
        crowd = self.crowd(model.host)
        model.spec["storage"] = {"type": "ImageVolume"}
        model.release("1", NO_REGISTRY)
        model.wait("it is told", lambda: any(
            c["type"] == "Stalled" and c["reason"] == "ProgressDeadlineExceeded"
            and "waits: ImagePullBackOff: " in c["message"] and NO_REGISTRY in c["message"]
            for c in model.status().get("conditions", ())))
        self.assertEqual(model.condition("Ready"), "True")
        model.spec["storage"] = None
        model.release("1", NO_REGISTRY)
        model.wait("it is well again", lambda: model.condition("Stalled") is None
                   and model.condition("Reconciling") is None)
        crowd.meets(first)

    def can_not_start(self):
        """First versions that wait for what never comes, and say for what."""
        refused = served.server(resources={"requests": {"cpu": "1000"}})
        cases = {
            "mounted": ({"storage": {"type": "ImageVolume"}}, f"oci://{NO_REGISTRY}/mounted:1",
                        "waits: ImagePullBackOff: "),
            # The image's program knows no such task, and says so with its exit code.
            "fetched": ({"storage": {"image": served.IMAGE}}, "oci://models/fetched:1",
                        "waits: CrashLoopBackOff: exited with 2 (Error)"),
            "huge": ({"template": refused}, "oci://models/huge:1", "waits: Unschedulable: 0/1 nodes are available"),
        }
        models = {name: served.Model(self.board, name, {"rollout": {"progressDeadline": "8s"}, **spec})
                  for name, (spec, _, _) in cases.items()}
        for name, (_, uri, _) in cases.items():
            models[name].declare(model={"uri": uri})
        for name, (_, _, why) in cases.items():
            model = models[name]
            model.wait(f"status says {why}", lambda model=model, why=why: why in model.status().get("why", ""))
        for name, (_, _, why) in cases.items():
            model = models[name]
            model.wait("it is stalled", lambda model=model: model.condition("Stalled") == "True")
            self.assertIn(why, next(c["message"] for c in model.status()["conditions"] if c["type"] == "Stalled"))
            self.assertEqual(model.condition("Ready"), "False")
        self.write_nothing(models["fetched"])

    def refused(self):
        """A template that the API server doesn't take is told of in its words, and serves once it is corrected."""
        model = served.Model(self.board, "refused", {"template": served.server(
            resources={"requests": {"cpu": "200m"}, "limits": {"cpu": "100m"}})})
        version = model.release("1")

        def told():
            return any(c["type"] == "Stalled" and c["reason"] == "WriteRefused"
                       and "must be less than or equal to cpu limit" in c["message"]
                       for c in model.status().get("conditions", ()))

        model.wait("it is told", told, model.status)
        self.assertEqual(model.condition("Ready"), "False")
        model.spec["template"] = served.server()
        model.release("1")
        model.wait_for_end(version, "Promoted")
        self.assertIsNone(model.condition("Stalled"))

    def not_supported(self):
        """What a Gateway's implementation says that it can't do is not tried, and who serves goes on."""
        model = served.Model(self.board, "mirrored", {"rollout": {
            "steps": [{"weight": 0, "mirror": 20, "pause": True}]}})
        first = model.release("1")
        model.wait_for_end(first, "Promoted")
        features = ["Gateway", "HTTPRoute", "HTTPRouteRequestMirror"]
        self.tell(features)
        try:
            model.wait("it is told", lambda: any(
                c["type"] == "Stalled" and c["reason"] == "FeatureNotSupported"
                and "HTTPRouteRequestPercentageMirror" in c["message"] for c in model.status()["conditions"]))
            second = model.release("2")
            model.wait("its pods are ready", lambda: any(
                row["version"] == second and row["readyReplicas"] == 1 for row in model.status()["variants"]))
            model.wait("no step is taken", lambda: "no step is taken" in model.status()["why"])
            self.assertEqual(model.condition("Ready"), "True")
            rules = story.get("httproutes.gateway.networking.k8s.io", "mirrored", self.space)["spec"]["rules"]
            self.assertFalse(any("filters" in rule for rule in rules))
            self.tell([*features, "HTTPRouteRequestPercentageMirror"])
            model.wait_for_step(second, 0)
            self.assertIsNone(model.condition("Stalled"))
        finally:
            self.tell([])

    @staticmethod
    def tell(features):
        """Envoy Gateway tells nothing there; others tell this."""
        story.kubectl("patch", "gatewayclass", "perennial", "--subresource=status", "--type=merge", "-p",
                      json.dumps({"status": {"supportedFeatures": [{"name": name} for name in features]}}))

    def write_nothing(self, model):
        """A pod that is tried again and again is no news."""
        before = story.model_deployment("fetched", self.space)["metadata"]["resourceVersion"]
        pods = story.get("pods", namespace=self.space, selector="perennial.dev/model-deployment=fetched")
        restarts = pods[0]["status"]["initContainerStatuses"][0]["restartCount"]
        model.wait("it was tried again", lambda: story.get(
            "pods", pods[0]["metadata"]["name"], self.space)["status"]["initContainerStatuses"][0]["restartCount"]
            > restarts)
        self.assertEqual(story.model_deployment("fetched", self.space)["metadata"]["resourceVersion"], before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
