#!/usr/bin/env python3
"""docs/guide/detect-drift.md, executed: its manifests and commands as they stand on the page, on a Service that
Perennial doesn't manage, and its sample output compared with what the commands print.

Needs a cluster with the controller in it, and the folder of the project's programs in $PERENNIAL_BIN.
"""

import csv
import http.client
import pathlib
import random
import re
import tempfile
import threading
import unittest

import page
import story

PAGE = story.ROOT / "docs/guide/detect-drift.md"
SPACE = "rides"
IMAGE = "perennial.dev/departures:dev"
ZONES = ("centre", "harbour", "hills")

# The model that somebody serves: it observes what it is asked for.
SERVER = story.model_server("""
DISTANCE = prometheus_client.Histogram(
    "feature_distance_km", "Distance of the requested ride.", buckets=[1, 2, 3, 5, 8, 13, 21])
PREDICTIONS = prometheus_client.Counter("predictions", "Predictions by zone.", ["zone"])
""", """
    for ride in urllib.parse.parse_qs(url.query).get("ride", ()):
        distance, zone = ride.split(",")
        DISTANCE.observe(float(distance))
        PREDICTIONS.labels(zone).inc()
""")


def shape(line):
    """Returns a pattern for a line of sample output: numbers and times differ, "..." is anything."""
    pattern = ""
    for word in line.split():
        if word.startswith("..."):
            pattern += r".*"
            continue
        pattern += re.sub(r"\d+(\\\.\d+)?(e-?\d+)?", r"[0-9.e-]+", re.escape(word)) + r"\s*"
    # kubectl's ages: 30s, 2m10s.
    return re.sub(r"\[0-9\.e-\]\+s\\s", r"[0-9ms]+\\s", pattern)


def deployment():
    labels = {"app": "eta"}
    container = {
        "name": "model", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", SERVER],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 10},
    }
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "eta", "namespace": SPACE},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        },
    }


def service():
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "eta", "namespace": SPACE},
        "spec": {
            "selector": {"app": "eta"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }


def ride(chance, far=False):
    """Returns a distance and a zone as they were in training, or as they are later on."""
    distance = chance.gammavariate(2, 2) + (8 if far else 0)
    return round(distance, 2), chance.choices(ZONES, (6, 3, 1))[0]


class Riders(threading.Thread):
    """Asks for rides all the time; from some moment on for farther ones."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.far = False
        self.over = threading.Event()
        self.chance = random.Random(7)

    def run(self):
        while not self.over.wait(0.5):
            self.ask(30)

    def ask_all(self):
        for _ in range(100):
            self.ask(30)

    def ask(self, rides):
        """One request, so that each pod gets its part of them."""
        query = "&".join("ride=%s,%s" % ride(self.chance, self.far) for _ in range(rides))
        connection = http.client.HTTPConnection(self.address, 80, timeout=60)
        try:
            connection.request("GET", "/predict?" + query)
            if connection.getresponse().status != 200:
                raise AssertionError("the model server doesn't answer")
        except OSError:
            pass  # a connection more or less
        finally:
            connection.close()


class Guide(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        (cls.folder / "charts").symlink_to(story.ROOT / "charts")
        chance = random.Random(1)
        with open(cls.folder / "training.csv", "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("distance_km", "zone"))
            writer.writerows(ride(chance) for _ in range(20_000))
        story.namespace(SPACE)
        story.apply(deployment())
        story.apply(service())
        story.kubectl("-n", SPACE, "rollout", "status", "deployment/eta", f"--timeout={story.PATIENCE}s")
        address = story.get("services", "eta", SPACE)["spec"]["clusterIP"]
        # Pods are ready a moment before the node's proxy leads to them.
        story.wait_for("the Service answers", story.PATIENCE, lambda: story.answers(address))
        cls.riders = Riders(address)
        # The node's proxy may lead to one pod before it leads to the other.
        story.wait_for("both pods have seen what the page needs", story.PATIENCE,
                       lambda: cls.riders.ask_all() or cls.rides() >= 1_000)
        cls.riders.start()

    @classmethod
    def rides(cls):
        """How many rides the pod has seen that has seen the fewest."""
        pods = story.get("pods", namespace=SPACE)
        pages = [story.kubectl("get", "--raw", f"/api/v1/namespaces/{SPACE}/pods/"
                               f"{pod['metadata']['name']}:8080/proxy/metrics") for pod in pods]
        counts = [re.search(r"^feature_distance_km_count\S* (\S+)$", page, re.MULTILINE)
                  for page in pages]
        return min(float(count[1]) if count else 0 for count in counts)

    @classmethod
    def tearDownClass(cls):
        cls.riders.over.set()
        cls.riders.join()
        story.kubectl("delete", "namespace", SPACE, "--wait=false")
        story.run("helm", "upgrade", "perennial", story.ROOT / "charts/perennial",
                  "--namespace", story.SYSTEM, "--reuse-values",
                  "--set", "monitors.configMapBaselines=false")
        cls.scratch.cleanup()

    def monitor(self):
        return story.get("driftmonitors.perennial.dev", "eta", SPACE)

    def wait_for_drifted(self, wanted):
        story.wait_for(f"Drifted is {wanted}", story.PATIENCE,
                       lambda: story.condition(self.monitor(), "Drifted") == wanted,
                       lambda: self.monitor().get("status"))

    @staticmethod
    def reasons():
        """Returns those of the events about the monitor."""
        return [event["reason"] for event in story.get("events.events.k8s.io", namespace=SPACE)
                if event.get("regarding", {}).get("name") == "eta"]

    def wait_for_event(self, reason):
        """An event is written after the status that it is about."""
        story.wait_for(f"{reason} is told", story.PATIENCE, lambda: reason in self.reasons(), self.reasons)

    def before(self, text):
        """What the reader's world does meanwhile."""
        if "get driftmonitors" in text:
            self.wait_for_drifted("False")
            self.assertEqual(story.condition(self.monitor(), "Blind"), "False")
        elif "describe" in text:
            self.riders.far = True
            self.wait_for_drifted("True")
            self.wait_for_event("DriftDetected")

    def test_page(self):
        printed = ""
        commands = 0
        for language, text, prose in page.blocks(PAGE):
            if language == "yaml":
                name = page.file_of(prose)
                self.assertTrue(name, f"the page doesn't say where this goes:\n{text}")
                (self.folder / name).write_text(text, encoding="utf-8")
            elif language == "sh":
                self.before(text)
                printed = page.command(text, self.folder)
                commands += 1
            elif language == "text":
                for line in text.splitlines():
                    self.assertRegex(printed, shape(line), f"the page shows: {line}")
        self.assertGreater(commands, 6, "the page has lost its commands")
        self.assertEqual(printed.strip(), '["distance"]', "zones didn't change")
        self.recovery()

    def recovery(self):
        """What the page's end promises."""
        self.riders.far = False
        self.wait_for_drifted("False")
        self.wait_for_event("DriftEnded")
        reasons = self.reasons()
        self.assertEqual(reasons.count("DriftDetected"), 1, reasons)
        self.assertEqual(reasons.count("DriftEnded"), 1, reasons)


if __name__ == "__main__":
    unittest.main(verbosity=2)
