#!/usr/bin/env python3
"""Two monitors of the same real pods: one scrapes them, one asks Debian's Prometheus, which scrapes them in a pod of
its own. What both have counted while neither saw a change must be the same to the last observation. Then rollouts
whose checks ask that Prometheus for outcomes that a pod of its own knows of, late: each belongs to the version that
predicted. And who reads what the controller counts itself.

Needs a cluster with the controller in it.
"""

import collections
import http.client
import json
import random
import threading
import time
import unittest

import drift_guide_test as rides
import story

SPACE = "agreement"
OBSERVATIONS = 3_000
# The model says who answered; what was true, it never learns.
SERVER = story.model_server("""
DISTANCE = prometheus_client.Histogram(
    "feature_distance_km", "Distance of the requested ride.", buckets=[1, 2, 3, 5, 8, 13, 21])
""", """
    for ride in urllib.parse.parse_qs(url.query).get("ride", ()):
        DISTANCE.observe(float(ride.split(",")[0]))
    body = (os.environ["MODEL_VERSION"] + " " + os.environ["MODEL_URI"]).encode()
""")
# Joins them.
JOINER = story.model_server("""
ERROR = prometheus_client.Histogram(
    "prediction_error", "Absolute error.", ["model_version"], buckets=[1, 2, 4, 8, 16])
""", """
    outcome = urllib.parse.parse_qs(url.query)
    ERROR.labels(outcome["version"][0]).observe(float(outcome["error"][0]))
""")
LATE_SECONDS = 3
MONITORS = {"scraped": None, "asked": {"prometheus": {"url": f"http://prometheus.{SPACE}:9090"}}}


# How outcomes that arrive late decide: a bound, or a comparison.
CHECKS = {"analysis": {"interval": "2s", "window": "20s", "minSamples": 60, "failureLimit": 2, "checks": [
    {"name": "error", "kind": "Mean", "metric": "prediction_error", "max": "3"}]}}
EXPERIMENT = {
    # Nothing that could fail: its interval is how often the experiment is looked at.
    "analysis": {"interval": "2s", "window": "20s", "minSamples": 20, "checks": [
        {"name": "error", "kind": "Mean", "metric": "prediction_error", "max": "99"}]},
    "experiment": {"primary": {"name": "error", "goal": "Decrease", "kind": "Mean", "metric": "prediction_error"},
                   "minSamples": 100, "expectedSamples": 400}}
# A query of one's own: what no pod counts of itself.
QUERY = {"analysis": {"interval": "2s", "window": "20s", "failureLimit": 2, "probes": [{
    "name": "wrong", "success": "result < 3",
    "prometheus": {**MONITORS["asked"]["prometheus"], "query": """
        sum(increase(prediction_error_sum{model_version="${version}"}[20s]))
        / sum(increase(prediction_error_count{model_version="${version}"}[20s]) > 60)"""}}]}}


def model_deployment(tag="1", decided_by=None):
    container = {
        "name": "model", "image": rides.IMAGE, "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", SERVER],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 10},
    }
    return {
        "apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": "eta", "namespace": SPACE},
        "spec": {
            "model": {"uri": f"http://models/eta:{tag}"},
            "replicas": 2,
            "template": {"spec": {"containers": [container], "terminationGracePeriodSeconds": 1}},
            "metrics": {"port": "http", "path": "/metrics"},
            "rollout": {
                "steps": [{"weight": 50}],
                "source": {"prometheus": {**MONITORS["asked"]["prometheus"], "versionLabel": "model_version"}},
                **(decided_by or CHECKS),
            },
        },
    }


def pods():
    """Returns {name: address} of the model's pods, and of the joiner."""
    return {pod["metadata"]["name"]: pod["status"]["podIP"]
            for pod in story.get("pods", namespace=SPACE, selector="perennial.dev/model-deployment=eta")
            + story.get("pods", namespace=SPACE, selector="app=joiner")}


def prometheus(targets):
    """Returns the objects of a Prometheus that scrapes `targets` as a cluster's own would name them."""
    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s"},
        "scrape_configs": [{
            "job_name": "pods",
            "static_configs": [{"targets": [f"{address}:8080"], "labels": {"namespace": SPACE, "pod": name}}
                               for name, address in targets.items()],
        }],
    }
    labels = {"app": "prometheus"}
    meta = {"name": "prometheus", "namespace": SPACE, "labels": labels}
    container = {
        "name": "prometheus", "image": rides.IMAGE, "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/prometheus", "--config.file=/config/prometheus.yml", "--storage.tsdb.path=/data"],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1, "timeoutSeconds": 10},
        "volumeMounts": [
            {"name": "binary", "mountPath": "/opt/prometheus", "readOnly": True},
            {"name": "config", "mountPath": "/config"},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    volumes = [
        # The package's binary: the machine and the image are the same Debian.
        {"name": "binary", "hostPath": {"path": "/usr/bin/prometheus", "type": "File"}},
        {"name": "config", "configMap": {"name": "prometheus"}},
        {"name": "data", "emptyDir": {}},
    ]
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"prometheus.yml": json.dumps(config)}},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta,
         "spec": {"selector": labels, "ports": [{"port": 9090}]}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta,
         "spec": {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1}},
    ]


def joiner():
    container = {"name": "joiner", "image": rides.IMAGE, "imagePullPolicy": "IfNotPresent",
                 "command": ["python3", "-c", JOINER], "ports": [{"name": "http", "containerPort": 8080}],
                 "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1}}
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "joiner", "namespace": SPACE, "labels": {"app": "joiner"}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}


def ask(address, path, port=80):
    connection = http.client.HTTPConnection(address, port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


class Outcomes(threading.Thread):
    """Asks the model all the time, and tells the joiner later by how much the prediction was wrong."""

    def __init__(self, model, joins):
        super().__init__(daemon=True)
        self.addresses = model, joins
        self.over = threading.Event()

    def run(self):
        known = collections.deque()
        while not self.over.wait(0.02):
            try:
                version, uri = ask(self.addresses[0], "/predict?ride=1,centre").split()
            except (OSError, ValueError):
                continue  # a pod that goes takes its connections along
            error = random.expovariate(1 / (8 if uri.endswith("-worse") else 1))
            known.append((time.monotonic() + LATE_SECONDS, f"/predict?version={version}&error={error}"))
            while known and known[0][0] < time.monotonic():
                ask(self.addresses[1], known.popleft()[1], 8080)


def monitor(name, source):
    profile = {"rows": 100, "metrics": [{
        "metric": "feature_distance_km", "type": "Numeric",
        "bounds": [1, 2, 3, 5, 8, 13, 21], "counts": [9, 17, 18, 27, 20, 8, 1, 0],
    }]}
    spec = {
        "target": {"modelDeployment": "eta"},
        "baseline": {"from": "Inline", "profile": profile},
        # The first look that is judged has seen all.
        "interval": "5s", "window": "5m", "minSamples": OBSERVATIONS,
        "signals": [{
            "name": "distance", "type": "DataDrift", "metric": "feature_distance_km",
            "tests": [{"measure": measure, "threshold": "0.25"} for measure in (
                "population_stability_index", "jensen_shannon_distance", "normalized_wasserstein_distance")],
        }],
    }
    if source:
        spec["source"] = source
    return {"apiVersion": "perennial.dev/v1alpha1", "kind": "DriftMonitor",
            "metadata": {"name": name, "namespace": SPACE}, "spec": spec}


def status(name):
    return story.get("driftmonitors.perennial.dev", name, SPACE).get("status", {})


def judged(name):
    """Returns the monitor's only signal once it was judged."""
    signals = status(name).get("signals", [{}])
    return signals[0] if signals and signals[0].get("value") else None


def page_of_the_controller(token=None):
    """Returns status and text of the controller's own metrics, asked for with a token."""
    address = story.get("services", "perennial-metrics", story.SYSTEM)["spec"]["clusterIP"]
    connection = http.client.HTTPConnection(address, 8080, timeout=30)
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def model():
    return story.model_deployment("eta", SPACE).get("status", {})


class Agreement(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        story.namespace(SPACE)
        story.apply(model_deployment())
        story.wait_until_promoted("eta", SPACE)
        story.apply(joiner())
        story.kubectl("-n", SPACE, "wait", "--for=condition=Ready", "pod/joiner", f"--timeout={story.PATIENCE}s")
        for thing in prometheus(pods()):
            story.apply(thing)
        story.kubectl("-n", SPACE, "wait", "--for=condition=Ready", "pod/prometheus", f"--timeout={story.PATIENCE}s")

    @classmethod
    def tearDownClass(cls):
        story.kubectl("delete", "namespace", SPACE, "--wait=false")
        story.chart_with("controller.anonymousQueries=false")

    def test_both_sources_count_the_same(self):
        for name, source in MONITORS.items():
            story.apply(monitor(name, source))
        for name in MONITORS:
            # A first scrape counts nothing: it must be over before anything happens.
            story.wait_for(f"monitor {name} reads both pods", story.PATIENCE,
                           lambda: status(name).get("targetsUp") == 2, lambda: status(name))
        address = story.get("services", "eta", SPACE)["spec"]["clusterIP"]
        story.wait_for("the Service answers", story.PATIENCE, lambda: story.answers(address))
        riders = rides.Riders(address)
        riders.chance = random.Random(11)
        for _ in range(OBSERVATIONS // 30):
            riders.ask(30)
        seen = {name: story.wait_for(f"monitor {name} has a verdict", story.PATIENCE, lambda: judged(name),
                                     lambda: status(name)) for name in MONITORS}
        scraped, asked = seen["scraped"], seen["asked"]
        self.assertEqual(scraped["samples"], OBSERVATIONS, "none was lost, none counted twice")
        self.assertEqual(asked["samples"], OBSERVATIONS)
        for ours, theirs in zip(scraped["tests"], asked["tests"], strict=True):
            self.assertEqual(ours, theirs)

    def test_rollouts_ask_it(self):
        riders = Outcomes(story.get("services", "eta", SPACE)["spec"]["clusterIP"],
                          story.get("pods", "joiner", SPACE)["status"]["podIP"])
        riders.start()
        try:
            self.assertEqual(self.released("2")["phase"], "Promoted")
            good = model()["champion"]
            worse = self.released("3-worse")
            self.assertEqual(worse["phase"], "RolledBack")
            self.assertIn("failed check error", model()["history"][0]["message"])
            self.assertEqual(model()["champion"], good)
            self.compared(good)
            self.queried(good)
        finally:
            riders.over.set()

    def test_the_controllers_own_page_is_for_those_who_may_read_it(self):
        """Nobody without a token; of two service accounts the one that has the chart's role."""
        tokens = {}
        for name in ("reader", "stranger"):
            story.kubectl("-n", SPACE, "create", "serviceaccount", name)
            tokens[name] = story.kubectl("-n", SPACE, "create", "token", name).strip()
        self.addCleanup(story.kubectl, "delete", "clusterrolebinding", f"{SPACE}-reader", "--ignore-not-found")
        story.apply({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": f"{SPACE}-reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                        "name": "perennial-metrics-reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": SPACE}]})
        self.assertEqual(page_of_the_controller()[0], 401)
        self.assertEqual(page_of_the_controller("a.made-up.token")[0], 401)
        self.assertEqual(page_of_the_controller(tokens["stranger"])[0], 403)

        def read():
            status, text = page_of_the_controller(tokens["reader"])
            return text if status == 200 else None

        # The API server may hear of the binding late, and a refusal is remembered for 10 s.
        page = story.wait_for("it may read", story.PATIENCE, read)
        self.assertRegex(page, r"(?m)^perennial_writes_total\{.+\} [0-9]")
        self.assertEqual(page_of_the_controller(tokens["stranger"])[0], 403, "nobody reads by another's leave")

    def compared(self, good):
        """Each version is told apart from the other by the outcomes of its own predictions."""
        rollout = self.ended("4-worse", EXPERIMENT)
        look = rollout["experiment"]
        print(f"4-worse: {rollout['phase']}, {look}", flush=True)
        self.assertEqual([rollout["phase"], look["verdict"], model()["champion"]], ["RolledBack", "Fail", good])
        self.assertIn("failed experiment: error changes by", model()["history"][0]["message"])
        # 8 against 1, each as its own buckets show it, within five times the noise of a hundred.
        self.assertTrue(3 < float(look["effect"]) < 12, look)
        self.assertGreaterEqual(min(look["championSamples"], look["challengerSamples"]), 100)

    def queried(self, good):
        """Any query decides; a server that answers anybody is asked where the chart allows it."""
        worse, better = "5-worse", "6"
        before = model()["rollout"]["version"]
        story.apply(model_deployment(worse, QUERY))
        story.wait_for("nobody asks without a Secret", story.PATIENCE,
                       lambda: "a query is asked with a Secret of this namespace alone" in model().get("why", ""), model)
        story.chart_with("controller.anonymousQueries=true")
        rollout = self.over(worse, before)
        print(f"{worse}: {rollout['phase']}, {rollout['checks']}", flush=True)
        self.assertEqual([rollout["phase"], model()["champion"]], ["RolledBack", good])
        self.assertIn("failed check wrong: result is", model()["history"][0]["message"])
        rollout = self.ended(better, QUERY)
        print(f"{better}: {rollout['phase']}, {rollout['checks']}", flush=True)
        self.assertEqual([rollout["phase"], rollout["checks"][0]["verdict"]], ["Promoted", "Pass"])
        self.assertTrue(0 < float(rollout["checks"][0]["challenger"]) < 3)

    def ended(self, tag, decided_by):
        """Returns the ended rollout of a model."""
        before = model()["rollout"]["version"]
        story.apply(model_deployment(tag, decided_by))
        return self.over(tag, before)

    @staticmethod
    def over(tag, before):
        """Returns the rollout after that of version `before`, once it has ended."""

        def ended():
            rollout = model()["rollout"]
            return rollout if rollout["version"] != before and rollout["phase"] in ("Promoted", "RolledBack") else None

        return story.wait_for(f"the rollout of {tag} ends", story.PATIENCE, ended,
                              lambda: (model().get("why"), model().get("rollout")))

    def released(self, tag):
        """Returns the ended rollout of a model, whose check had a verdict of enough samples."""
        rollout = self.ended(tag, CHECKS)
        check = rollout["checks"][0]
        print(f"{tag}: {rollout['phase']}, {check}", flush=True)
        self.assertEqual(check["verdict"], "Pass" if rollout["phase"] == "Promoted" else "Fail")
        self.assertGreaterEqual(check["samples"], 60)
        return rollout


if __name__ == "__main__":
    unittest.main(verbosity=2)
