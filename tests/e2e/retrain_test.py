#!/usr/bin/env python3
"""Training on a cluster, side by side: two models in one real Job, begun by hand and by a signed event through the
chart's Service; Jobs that crash, hang, leave garbage, and are evicted; a controller that is killed on the way; and
what is left of it all when every status is lost.

Needs a cluster with the controller in it, and the folder of the project's programs in $PERENNIAL_BIN.
"""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import secrets
import threading
import unittest

import served
import story

SPACE = "training"
CHART = story.ROOT / "charts/perennial"
KEY = secrets.token_hex(16)

# What all of them begin with: `leave` writes a result that holds.
BEGIN = """
import os, sys, time
import perennial_result as result

def part(uri):
    return result.build(uri, "sha256:" + "7" * 64, [result.metric("mae", 3.1, samples=500)])

def leave():
    content = part("https://models.example.org/" + os.environ["PERENNIAL_JOB"])
    with open("/dev/termination-log", "wb") as stream:
        stream.write(content)
"""

TOGETHER = """
time.sleep(2)
result.write_all({model["modelDeployment"]: part("oci://models/" + model["modelDeployment"] + ":2")
                  for model in result.models()})
"""


# Until the story says so, and for a pod that began before: for a long time.
AFTER_THE_WORD = """
while not os.path.exists("/word/go"):
    time.sleep(1)
leave()
"""


def training(program):
    word = {"name": "word", "configMap": {"name": "word", "optional": True}}
    container = served.container(BEGIN + program, volumeMounts=[{"name": "word", "mountPath": "/word"}])
    return {"template": {"spec": {"backoffLimit": 0, "template": {"spec": {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container], "volumes": [word]}}}}}


def chart_with(*values):
    """Changes the values of the release that is there."""
    story.run("helm", "upgrade", "perennial", CHART, "--namespace", story.SYSTEM, "--reuse-values", "--wait",
              "--timeout", "120s", *(f"--set-json={value}" for value in values))


class Board(threading.Thread):
    """What there is in the namespace, a second old at most: one look for all who wait."""

    KINDS = ("modeldeployments.perennial.dev", "retrainpolicies.perennial.dev", "jobs", "pods")

    def __init__(self):
        super().__init__(daemon=True)
        self.seen = {}
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(1):
            listed = story.kubectl("get", ",".join(self.KINDS), "-n", SPACE, "-o", "json", check=False)
            if listed:
                self.seen = {(one["kind"], one["metadata"]["name"]): one for one in json.loads(listed)["items"]}

    def status(self, kind, name):
        return self.seen.get((kind, name), {}).get("status", {})

    def last_run(self, policy):
        return self.status("RetrainPolicy", policy).get("runs", [{}])[0]

    def labelled(self, kind, label, value):
        return [one for (its, _), one in self.seen.items()
                if its == kind and one["metadata"].get("labels", {}).get("perennial.dev/" + label) == value]


def jobs(name):
    """Returns the Jobs that a policy made, the first one first."""
    return sorted(story.get("jobs", namespace=SPACE, selector=f"perennial.dev/retrain-policy={name}"),
                  key=lambda job: job["metadata"]["creationTimestamp"] + job["metadata"]["name"])


def pods(run):
    return story.get("pods", namespace=SPACE, selector=f"perennial.dev/run={run}")


def versions(name):
    """Returns the ModelVersions that a policy's runs made."""
    return [version for version in story.get("modelversions.perennial.dev", namespace=SPACE)
            if version["spec"]["origin"].get("policy") == name]


def event(name, about):
    """A CloudEvent in structured mode."""
    return json.dumps({"specversion": "1.0", "type": "org.example.rows.loaded", "source": "/warehouse", "id": about,
                       "time": datetime.datetime.now(datetime.UTC).isoformat(), "subject": name}).encode()


def post(name, body, key=KEY):
    """Posts to the Service that the chart made; returns status and text of the answer."""
    address = story.get("services", "perennial-events", story.SYSTEM)["spec"]["clusterIP"]
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    connection = http.client.HTTPConnection(address, 8082, timeout=10)
    try:
        connection.request("POST", f"/events/{SPACE}/{name}", body, {
            "Content-Type": "application/cloudevents+json", "X-Hub-Signature-256": "sha256=" + signature})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError as error:
        return 0, str(error)  # a replica that comes or goes
    finally:
        connection.close()


class Retrain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        story.namespace(SPACE)
        story.apply({"apiVersion": "v1", "kind": "Secret", "stringData": {"key": KEY}, "metadata": {
            "name": "warehouse", "namespace": SPACE, "labels": {"perennial.dev/use": "events"}}})
        chart_with("events.enabled=true", f'rbac.secretNamespaces=["{SPACE}"]')
        cls.board = Board()
        # The killing waits for it: nobody answers meanwhile.
        cls.posted = threading.Event()

    @classmethod
    def tearDownClass(cls):
        cls.board.over.set()
        chart_with("events.enabled=false", "rbac.secretNamespaces=[]")
        story.kubectl("delete", "namespace", SPACE, "--wait=false")

    def declare(self, name, program, deployment=None, by_hand=True, **spec):
        """A policy, for a model of its own that nobody serves unless there is one."""
        if deployment is None:
            deployment = name
            story.apply({
                "apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment",
                "metadata": {"name": name, "namespace": SPACE},
                "spec": {"model": {"uri": f"oci://models/{name}:1"}, "updates": "Manual", "replicas": 0,
                         "template": served.server()}})
        metadata = {"name": name, "namespace": SPACE}
        if by_hand:
            metadata["annotations"] = {"perennial.dev/retrain": "now"}
        story.apply({"apiVersion": "perennial.dev/v1alpha1", "kind": "RetrainPolicy", "metadata": metadata,
                     "spec": {"modelDeployment": deployment, "backoff": {"initial": "1s", **spec.pop("backoff", {})},
                              "job": training(program), **spec}})

    def wait(self, what, probe, seconds=180, show=None):
        return story.wait_for(what, seconds, probe, show or (lambda: sorted(self.board.seen)))

    def ended(self, name, seconds=300):
        """Waits for the end of a policy's only run; returns it."""
        run = self.wait(f"the run of {name} ends", lambda: self.board.last_run(name).get("finished") and
                        self.board.last_run(name), seconds, lambda: self.board.status("RetrainPolicy", name))
        self.assertEqual(len(self.board.status("RetrainPolicy", name)["runs"]), 1)
        return run

    def running_pod(self, name):
        """Waits until a policy's training runs; returns its pod."""
        def one():
            return next((pod for pod in self.board.labelled("Pod", "retrain-policy", name)
                         if pod["status"].get("phase") == "Running"), None)

        return self.wait(f"the training of {name} runs", one, 120, lambda: self.board.status("RetrainPolicy", name))

    def test_training(self):
        served.side_by_side(self.group, self.crash, self.hang, self.garbage, self.incomplete, self.evicted,
                            self.killed)

    def test_what_is_left(self):
        """After the training: what it made."""
        self.restored("north", "south")
        served.side_by_side(self.from_outside, self.rejected_late)

    def group(self):
        """One by hand, one by an event: one Job, two versions, and both say so."""
        models = ("north", "south")
        for name in models:
            story.apply({
                "apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment",
                "metadata": {"name": name, "namespace": SPACE},
                "spec": {"model": {"uri": f"oci://models/{name}:1"}, "template": served.server(),
                         "rollout": {"steps": [{"weight": 50, "hold": "1s"}]}}})
        for name in models:
            self.wait(f"{name} serves", lambda: self.board.status("ModelDeployment", name).get("champion"))
        loaded = {"event": {"type": "org.example.rows.loaded", "source": "/warehouse",
                            "signatureSecretRef": {"name": "warehouse", "key": "key"}}}
        stops = {"name": "stops", "window": "10s"}
        # Until both have a reason to train: a slow machine must not make two causes of it.
        self.declare("north", TOGETHER, "north", group=stops, suspend=True)
        self.declare("south", TOGETHER, "south", by_hand=False, group=stops, suspend=True, triggers=[loaded])
        try:
            self.take_event("south")
            story.kubectl("-n", SPACE, "patch", "retrainpolicy", *models, "--type=merge", "-p",
                          '{"spec": {"suspend": false}}')
            for name in models:
                self.wait(f"the run of {name} is recorded", lambda: self.board.last_run(name).get("name"))
        finally:
            self.posted.set()
        for name in models:
            self.assertEqual(self.ended(name)["phase"], "Succeeded")
        made = [job for name in models for job in jobs(name)]
        self.assertEqual(len(made), 1, made)
        self.judge_group(models, made[0])

    def take_event(self, name):
        body = event(name, "load-17")
        # The controller may not have heard of the policy yet.
        story.wait_for("the event is taken", 30, lambda: post(name, body)[0] in (200, 202), lambda: post(name, body))
        self.assertEqual(post(name, body)[0], 200, "a replay is no second event")
        self.assertEqual(post(name, body, key="x" * 32)[0], 401)
        taken = story.get("retrainpolicies.perennial.dev", name, SPACE)["status"]["events"]
        self.assertEqual([(one["source"], one["id"]) for one in taken], [("/warehouse", "load-17")])

    def judge_group(self, models, job):
        leads = job["metadata"]["labels"]["perennial.dev/retrain-policy"]
        follows = next(name for name in models if name != leads)
        self.assertEqual(job["metadata"]["annotations"]["perennial.dev/members"], self.board.last_run(follows)["name"])
        for name in models:
            made = versions(name)
            self.assertEqual(len(made), 1, made)
            version, origin = made[0], made[0]["spec"]["origin"]
            self.assertEqual(version["spec"]["modelDeployment"], name)
            self.assertEqual(version["spec"]["model"]["uri"], f"oci://models/{name}:2")
            self.assertEqual(origin["jobUID"], job["metadata"]["uid"])
            self.assertEqual(origin.get("sharedJob"), None if name == leads else job["metadata"]["name"])
            champion = version["metadata"]["name"]
            self.wait(f"{champion} serves", lambda: self.board.status("ModelDeployment", name)["champion"] == champion,
                      180, lambda: self.board.status("ModelDeployment", name))
        self.assertIn(f"trained by Job {job['metadata']['name']} for several, UID {job['metadata']['uid']}",
                      self.why(follows))
        self.assertNotIn("for several", self.why(leads))
        self.assertRegex(self.why("north"), "trigger +Manual manual/now")
        self.assertRegex(self.why("south"), "trigger +Event .*load-17.*/warehouse")

    def why(self, name):
        return self.plugin("why", name)

    @staticmethod
    def plugin(*words):
        return story.run(os.path.join(os.environ["PERENNIAL_BIN"], "kubectl-perennial"), "-n", SPACE, *words)

    def crash(self):
        """Tried again as often as `retries` says, and told with what it said."""
        self.declare("crash", 'result.fail("no rows in the warehouse")\nsys.exit(3)', retries=1)
        run = self.ended("crash")
        self.assertEqual((run["phase"], run.get("attempt", 0), run.get("badResults", 0)), ("Failed", 1, 0))
        self.assertIn("container exited with 3 (Error): no rows in the warehouse", run["message"])
        self.failed_after("crash", attempts=2)

    def hang(self):
        """Ended at the deadline, and not tried again; no pod of it goes on."""
        self.declare("hang", "time.sleep(600)", deadline="60s", retries=2)
        self.assertTrue(self.running_pod("hang"))
        run = self.ended("hang")
        self.assertEqual((run["phase"], run.get("attempt", 0)), ("Failed", 0))
        self.assertIn("deadline of 1m passed", run["message"])
        self.assertEqual(versions("hang"), [])
        self.wait("nothing of it is left", lambda: not (
            self.board.labelled("Job", "retrain-policy", "hang") or self.board.labelled("Pod", "run", run["name"])))

    def garbage(self):
        """Not what `retries` are for."""
        self.declare("garbage", 'result.fail("{\\x00 not a result")', retries=2)
        run = self.ended("garbage")
        self.assertEqual((run["phase"], run.get("attempt", 0)), ("Failed", 0))
        self.assertRegex(run["message"], "result of pod garbage-.* is unusable: .*JSON")
        self.failed_after("garbage", attempts=1)

    def failed_after(self, name, attempts):
        self.assertEqual(len(jobs(name)), attempts)
        self.assertEqual(versions(name), [])
        retraining = next(c for c in self.board.status("RetrainPolicy", name)["conditions"]
                          if c["type"] == "Retraining")
        self.assertEqual((retraining["status"], retraining["reason"]), ("False", "RunFailed"))
        told = [one for one in story.get("events.events.k8s.io", namespace=SPACE)
                if one["reason"] == "RunFailed" and one["regarding"]["name"] == name]
        self.assertEqual(len(told), 1, told)

    def incomplete(self):
        """A result that misses a field, and a policy that tries such again."""
        self.declare("incomplete", """
if os.environ["PERENNIAL_ATTEMPT"] == "0":
    result.fail('{"schemaVersion": 1, "artifact": {"uri": "https://models.example.org/1"}, "metrics": []}')
else:
    leave()
""", retries=0, backoff={"badResults": 1})
        run = self.ended("incomplete")
        self.assertEqual((run["phase"], run.get("attempt", 0), run["badResults"]), ("Succeeded", 1, 1), run)
        self.assertEqual(len(jobs("incomplete")), 2)
        self.assertEqual([v["metadata"]["name"] for v in versions("incomplete")], [run["modelVersion"]])

    def evicted(self):
        """The Job makes another pod, and no attempt is counted: there would be none left."""
        self.declare("evicted", AFTER_THE_WORD, retries=0)
        pod = self.running_pod("evicted")
        name = pod["metadata"]["name"]
        answer = story.kubectl("create", "--raw", f"/api/v1/namespaces/{SPACE}/pods/{name}/eviction", "-f", "-",
                               text=json.dumps({"apiVersion": "policy/v1", "kind": "Eviction",
                                                "metadata": {"name": name, "namespace": SPACE}}))
        self.assertIn("Success", answer)
        story.kubectl("-n", SPACE, "create", "configmap", "word", "--from-literal=go=now")
        run = self.ended("evicted")
        self.assertEqual((run["phase"], run.get("attempt", 0)), ("Succeeded", 0), run)
        self.assertEqual(len(jobs("evicted")), 1)
        uids = {one["metadata"]["uid"] for one in pods(run["name"]) if one["status"]["phase"] == "Succeeded"}
        self.assertEqual(len(uids), 1)
        self.assertNotIn(pod["metadata"]["uid"], uids, "another pod did the work")
        self.assertEqual(len(versions("evicted")), 1)

    def killed(self):
        """Whatever the controller was about to do, and for all others of this story too."""
        self.posted.wait(180)
        self.declare("killed", "time.sleep(15)\nleave()", retries=0)
        self.running_pod("killed")
        self.assertEqual(self.board.last_run("killed").get("finished"), None)
        story.kill_controller()
        run = self.ended("killed")
        self.assertEqual((run["phase"], run.get("attempt", 0)), ("Succeeded", 0), run)
        self.assertEqual([job["metadata"]["uid"] for job in jobs("killed")], [run["jobUID"]])
        self.assertEqual(len(pods(run["name"])), 1)
        self.assertEqual([v["metadata"]["name"] for v in versions("killed")], [run["modelVersion"]])

    def restored(self, *models):
        """A backup brings objects back, and no status: why each serves is told as before, and nothing begins anew."""
        def told():
            return {name: self.why(name) for name in models}

        def there():
            return {one["metadata"]["uid"] for kind in ("jobs", "modelversions.perennial.dev")
                    for one in story.get(kind, namespace=SPACE)}

        # Neither a Job nor a version is left of its run: that one is only in status.
        story.kubectl("-n", SPACE, "delete", "retrainpolicy", "hang")
        champions = {name: self.board.status("ModelDeployment", name)["champion"] for name in models}
        before, known = told(), there()
        story.kubectl("-n", story.SYSTEM, "scale", "deployment", "perennial-controller", "--replicas=0")
        story.wait_for("the controller is gone", 60, lambda: not story.get(
            "pods", namespace=story.SYSTEM, selector="app.kubernetes.io/component=controller"))
        for kind in ("modeldeployments", "retrainpolicies", "modelversions"):
            names = [one["metadata"]["name"] for one in story.get(f"{kind}.perennial.dev", namespace=SPACE)]
            story.kubectl("-n", SPACE, "patch", f"{kind}.perennial.dev", *names, "--subresource=status", "--type=merge",
                          "-p", '{"status": null}')
        self.assertEqual(told(), before, "without any status")
        story.kubectl("-n", story.SYSTEM, "scale", "deployment", "perennial-controller", "--replicas=1")
        for name in models:
            self.wait(f"{name} has its champion again", lambda: self.board.status("ModelDeployment", name).get(
                "champion") == champions[name], 120, lambda: self.board.status("ModelDeployment", name))
        for name in (*models, "crash", "evicted"):
            self.wait(f"{name} was looked at", lambda: self.board.status("RetrainPolicy", name).get("conditions"))
        self.assertEqual(told(), before)
        self.assertEqual(there(), known)

    def from_outside(self):
        """A pipeline of somebody's makes versions: they pass the same gates, or don't."""
        def version(name, revision, mae):
            story.apply({
                "apiVersion": "perennial.dev/v1alpha1", "kind": "ModelVersion",
                "metadata": {"name": name, "namespace": SPACE},
                "spec": {"modelDeployment": "north", "revision": revision,
                         "model": {"uri": f"oci://models/north:{revision}", "digest": "sha256:" + f"{revision}" * 64},
                         "origin": {"type": "External", "requestedBy": "nightly pipeline"},
                         "metrics": [{"name": "mae", "value": mae}],
                         "requirements": {"gates": [{"metric": "mae", "max": "4.0"}]}}})

        version("north-bad", 8, 9.5)
        story.wait_for("a gate fails", 60, lambda: story.get("modelversions.perennial.dev", "north-bad", SPACE).get(
            "status", {}).get("phase") == "GatesFailed")
        version("north-good", 9, 3.5)
        self.wait("what passed its gates serves", lambda: self.board.status("ModelDeployment", "north").get(
            "champion") == "north-good", 120, lambda: self.board.status("ModelDeployment", "north"))
        self.assertIn("from outside: nightly pipeline", self.why("north"))

    def rejected_late(self):
        """What serves already is rejected: the version before it comes back."""
        champion = story.get("modelversions.perennial.dev", self.board.status("ModelDeployment", "south")["champion"],
                             SPACE)
        self.plugin("reject", champion["metadata"]["name"], "--reason", "it was trained on the wrong year")
        self.wait("the version before serves", lambda: self.board.status("ModelDeployment", "south").get(
            "champion") == champion["spec"]["parent"], 120, lambda: self.board.status("ModelDeployment", "south"))
        rejected = story.get("modelversions.perennial.dev", champion["metadata"]["name"], SPACE)
        self.assertEqual(rejected["status"]["phase"], "Rejected")


if __name__ == "__main__":
    unittest.main(verbosity=2)
