#!/usr/bin/env python3
"""docs/guide/retrain-with-approval.md, executed: its manifests, its training and its commands as they stand on the
page, each as the user whom the page means.

Needs a cluster with the controller in it, and the folder of the project's programs in $PERENNIAL_BIN. Images that
the page names are replaced by one that the cluster has, and its minutes and hours by seconds.
"""

import os
import pathlib
import re
import tempfile
import unittest

import page
import story

PAGE = story.ROOT / "docs/guide/retrain-with-approval.md"
SPACE = "churn"

# A model whose customers have all been there for longer than those of the baseline.
SERVER = """
import http.server, random, threading, time
import prometheus_client
TENURE = prometheus_client.Histogram("feature_tenure_months", "Months.", buckets=[6, 12, 24, 48])

def customers():
    while True:
        for _ in range(50):
            TENURE.observe(random.uniform(20, 70))
        time.sleep(0.5)

threading.Thread(target=customers, daemon=True).start()
prometheus_client.start_http_server(8080)
while True:
    time.sleep(60)
"""

# What the page's lines of the training rest on.
TRAINING = """
import os
os.chdir("/tmp")
with open("model.json", "w") as stream:
    stream.write(os.environ["PERENNIAL_TRIGGER"])
uri = "https://models.example.org/churn/2.json"
actual = ["leaves", "stays"] * 200
predicted = ["leaves"] * 4 + actual[4:]
region = [("north", "south")[row // 2 % 2] for row in range(400)]
accuracy = 0.995
data_uri, data_digest = "s3://churn/holdout.parquet", "sha256:" + "5" * 64
"""


def with_program(manifest, image, program):
    """The manifest with a program in an image that is there."""
    place = re.search(rf"^( +)(?:- )?image: {re.escape(image)}$", manifest, re.MULTILINE)
    if not place:
        raise AssertionError(f"the page lost its {image}")
    indent = place.group(1)
    lines = "".join(f"{indent}  {line}\n" for line in program.strip().splitlines())
    return (manifest[:place.start()] +
            f"{indent}image: perennial.dev/departures:dev\n{indent}imagePullPolicy: IfNotPresent\n"
            f"{indent}command: [python3, -c]\n{indent}args:\n{indent}- |\n{lines.rstrip()}" +
            manifest[place.end():])


def with_times(manifest, times):
    for before, after in times.items():
        if before not in manifest:
            raise AssertionError(f"the page lost its {before}")
        manifest = manifest.replace(before, after)
    return manifest


class Guide(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        cls.blocks = page.blocks(PAGE)
        cls.training = "".join(text for language, text, _ in cls.blocks if language == "python")
        cls.users = {name: story.run(story.ROOT / "hack/cluster", "user", name).strip()
                     for name in ("gitops", "ada", "bob")}
        cls.administrator = os.environ["KUBECONFIG"]
        story.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})

    @classmethod
    def tearDownClass(cls):
        story.kubectl("delete", "namespace", SPACE, "--wait=false")
        cls.scratch.cleanup()

    def versions(self, trigger=None):
        return [version for version in story.get("modelversions.perennial.dev", namespace=SPACE)
                if trigger is None or version["spec"]["origin"].get("triggerType") == trigger]

    def waiting(self, trigger):
        """Waits until the version that this trigger had made waits for people; returns it."""
        def one():
            return next((version for version in self.versions(trigger)
                         if version.get("status", {}).get("phase") == "AwaitingApproval"), None)

        return story.wait_for(f"a version by {trigger} waits for approval", story.PATIENCE, one, lambda: [
            story.get(f"{kind}.perennial.dev", SPACE, SPACE).get("status", {}).get("conditions")
            for kind in ("modeldeployments", "driftmonitors", "retrainpolicies")])

    def champion(self):
        return story.model_deployment(SPACE, SPACE).get("status", {}).get("champion")

    def adapted(self, name, text):
        if name == "model.yaml":
            text = with_times(text, {"hold: 10m": "hold: 3s", "hold: 30m": "hold: 3s"})
            return with_program(text, "example.org/churn-server:1", SERVER)
        if name == "watch.yaml":
            return with_times(text, {"interval: 1m": "interval: 5s", "window: 1h": "window: 30s"})
        if name == "retrain.yaml":
            self.assertTrue(self.training, "the page has lost its training")
            return with_program(text, "example.org/churn-training:1", TRAINING + self.training)
        if name == "approval.yaml":
            version = self.waiting("Drift")
            text = re.sub(r"modelVersion: .*", f"modelVersion: {version['metadata']['name']}", text)
            return re.sub(r"digest: .*", f"digest: {version['spec']['model']['digest']}", text)
        return text

    def run_as(self, user, text):
        os.environ["KUBECONFIG"] = self.users.get(user, self.administrator)
        try:
            return page.command(text, self.folder)
        finally:
            os.environ["KUBECONFIG"] = self.administrator

    def follow(self, text):
        """One block of commands, by whom the page means it."""
        if "status churn" in text:
            name = self.waiting("Drift")["metadata"]["name"]
            self.assertRegex(self.run_as("administrator", text), f"{name}.*AwaitingApproval")
        elif " approve VERSION" in text:
            version = self.waiting("Drift")
            said = self.run_as("bob", text.replace("VERSION", version["metadata"]["name"]))
            self.assertIn("approved by bob", said)
            self.assertEqual(self.waiting("Drift")["metadata"]["name"], version["metadata"]["name"],
                             "one of two approvals")
        elif " reject VERSION" in text:
            name = self.waiting("Manual")["metadata"]["name"]
            self.assertIn("rejected by ada", self.run_as("ada", text.replace("VERSION", name)))
        elif "why churn" in text:
            self.look_back(text)
        elif "rights.yaml" in text:
            self.run_as("administrator", text)
        else:
            self.run_as("ada" if "approval.yaml" in text else "gitops", text)

    def look_back(self, text):
        name = self.versions("Drift")[0]["metadata"]["name"]
        story.wait_for("the approved version serves", story.PATIENCE, lambda: self.champion() == name,
                       lambda: story.model_deployment(SPACE, SPACE).get("status"))
        told = self.run_as("administrator", text)
        for line in (name, "2 required, not by the author", "Approve +ada", "Approve +bob",
                     "Pass +accuracy min 0.8", "Pass +recall", "Pass +demographic_parity_difference",
                     "trigger +Drift drift/", "parent +churn-"):
            self.assertRegex(told, line)

    def test_page(self):
        commands = 0
        for language, text, prose in self.blocks:
            if language == "yaml":
                name = page.file_of(prose)
                self.assertTrue(name, f"the page doesn't say where this goes:\n{text}")
                (self.folder / name).write_text(self.adapted(name, text), encoding="utf-8")
            elif language == "sh":
                self.follow(text)
                commands += 1
        self.assertEqual(commands, 9, "commands on the page")
        self.assertEqual(self.versions("Manual")[0]["status"]["phase"], "Rejected")
        self.repository_undoes_nothing()

    def repository_undoes_nothing(self):
        """What the page's end promises."""
        champion = self.champion()
        known = len(self.versions())
        self.run_as("gitops", "kubectl apply -k .\nsleep 3")
        self.assertEqual(self.champion(), champion)
        self.assertEqual(len(self.versions()), known)


if __name__ == "__main__":
    unittest.main(verbosity=2)
