"""Policies for stories about training: what trains is a real Job, and what came of it is told."""

import json

import served
import story

# What all of them begin with: `leave` writes a result that holds.
BEGIN = """
import json, os, sys, time
import perennial_result as result

def part(uri):
    return result.build(uri, "sha256:" + "7" * 64, [result.metric("mae", 3.1, samples=500)])

def leave():
    content = part("https://models.example.org/" + os.environ["PERENNIAL_JOB"])
    with open("/dev/termination-log", "wb") as stream:
        stream.write(content)
"""


def training(program, labels=None, suspend=False):
    """Returns the template of a Job. Its pods see the ConfigMap "word" as soon as there is one."""
    word = {"name": "word", "configMap": {"name": "word", "optional": True}}
    container = served.container(BEGIN + program, volumeMounts=[{"name": "word", "mountPath": "/word"}])
    return {"template": {
        "metadata": {"labels": labels or {}},
        "spec": {"backoffLimit": 0, "suspend": suspend, "template": {"spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container],
            "volumes": [word]}}}}}


class Scenes(served.Scenes):
    """What policies do in one namespace."""

    kinds = (served.KIND, "retrainpolicies.perennial.dev", "modelversions.perennial.dev", "jobs", "pods")
    has_gateway = False

    def declare_model(self, name, **spec):
        """A model that nobody serves, unless its spec says so."""
        story.apply({
            "apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": self.space},
            "spec": {"model": {"uri": f"oci://models/{name}:1"}, "template": served.server(), **spec}})

    def declare_served_model(self, name, **spec):
        """Returns it as soon as it serves."""
        self.declare_model(name, **spec)
        self.wait(f"{name} serves", lambda: self.board.status("ModelDeployment", name).get("champion")
                  and story.condition(self.board.object("ModelDeployment", name), "Ready") == "True",
                  show=lambda: self.board.status("ModelDeployment", name))
        return self.board.status("ModelDeployment", name)

    def declare(self, name, program, deployment=None, by_hand=True, **spec):
        """A policy, for a model of its own that nobody serves unless there is one."""
        if deployment is None:
            deployment = name
            self.declare_model(name, updates="Manual", replicas=0)
        metadata = {"name": name, "namespace": self.space}
        if by_hand:
            metadata["annotations"] = {"perennial.dev/retrain": "now"}
        story.apply({"apiVersion": "perennial.dev/v1alpha1", "kind": "RetrainPolicy", "metadata": metadata,
                     "spec": {"modelDeployment": deployment, "backoff": {"initial": "1s", **spec.pop("backoff", {})},
                              "job": training(program), **spec}})

    def change(self, *policies, **spec):
        story.kubectl("-n", self.space, "patch", "retrainpolicy", *policies, "--type=merge", "-p",
                      json.dumps({"spec": spec}))

    def policy(self, name):
        return self.board.status("RetrainPolicy", name)

    def last_run(self, policy):
        return self.policy(policy).get("runs", [{}])[0]

    def wait(self, what, probe, seconds=story.PATIENCE, show=None):
        return story.wait_for(what, seconds, probe, show or (lambda: sorted(self.board.seen)))

    def wait_for_run(self, name, number=1, seconds=300):
        """Waits for the end of a policy's n-th run, and that there is no other; returns it."""
        def ended():
            runs = self.policy(name).get("runs", ())
            return len(runs) >= number and runs[0].get("finished") and runs[0]

        run = self.wait(f"run {number} of {name} ends", ended, seconds, lambda: self.policy(name))
        self.assertEqual(len(self.policy(name)["runs"]), number, self.policy(name))
        return run

    def running_pod(self, name):
        """Waits until a policy's training runs; returns its pod."""
        def one():
            return next((pod for pod in self.board.labelled("Pod", "retrain-policy", name)
                         if pod["status"].get("phase") == "Running"), None)

        return self.wait(f"the training of {name} runs", one, show=lambda: self.policy(name))

    def jobs(self, name):
        """Returns the Jobs that a policy made, the first one first."""
        return sorted(story.get("jobs", namespace=self.space, selector=f"perennial.dev/retrain-policy={name}"),
                      key=lambda job: job["metadata"]["creationTimestamp"] + job["metadata"]["name"])

    def pods(self, run):
        return story.get("pods", namespace=self.space, selector=f"perennial.dev/run={run}")

    def versions(self, name):
        """Returns the ModelVersions that a policy's runs made."""
        return [version for version in story.get("modelversions.perennial.dev", namespace=self.space)
                if version["spec"]["origin"].get("policy") == name]

    def told(self, reason, about):
        """Returns the notes of the events of a kind about an object."""
        return [one["note"] for one in story.get("events.events.k8s.io", namespace=self.space)
                if one["reason"] == reason and one["regarding"]["name"] == about]

    def why(self, name):
        return self.plugin("why", name)
