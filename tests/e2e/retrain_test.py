#!/usr/bin/env python3
"""Training on a cluster, side by side: two models in one real Job, begun by hand and by a signed event through the
chart's Service; Jobs that crash, hang, leave garbage, lose a label, and are evicted; a controller that is killed on
the way; and what is left of it all when every status is lost.

Needs a cluster with the controller in it, and the folder of the project's programs in $PERENNIAL_BIN.
"""

import datetime
import hashlib
import hmac
import http.client
import json
import secrets
import threading
import unittest

import served
import story
import trained

KEY = secrets.token_hex(16)

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


def event(name, about):
    """A CloudEvent in structured mode."""
    return json.dumps({"specversion": "1.0", "type": "org.example.rows.loaded", "source": "/warehouse", "id": about,
                       "time": datetime.datetime.now(datetime.UTC).isoformat(), "subject": name}).encode()


def post(name, body, key=KEY):
    """Posts to the Service that the chart made; returns status and text of the answer."""
    address = story.get("services", "perennial-events", story.SYSTEM)["spec"]["clusterIP"]
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    connection = http.client.HTTPConnection(address, 8082, timeout=60)
    try:
        connection.request("POST", f"/events/{Retrain.space}/{name}", body, {
            "Content-Type": "application/cloudevents+json", "X-Hub-Signature-256": "sha256=" + signature})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError as error:
        return 0, str(error)  # a replica that comes or goes
    finally:
        connection.close()


class Retrain(trained.Scenes):
    space = "training"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        story.apply({"apiVersion": "v1", "kind": "Secret", "stringData": {"key": KEY}, "metadata": {
            "name": "warehouse", "namespace": cls.space, "labels": {"perennial.dev/use": "events"}}})
        story.chart_with("events.enabled=true", f'rbac.secretNamespaces=["{cls.space}"]')
        # The killing waits for it: nobody answers meanwhile.
        cls.posted = threading.Event()

    @classmethod
    def tearDownClass(cls):
        story.chart_with("events.enabled=false", "rbac.secretNamespaces=[]")
        super().tearDownClass()

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
            self.declare_model(name, rollout={"steps": [{"weight": 50, "hold": "1s"}]})
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
            self.change(*models, suspend=False)
            for name in models:
                self.wait(f"the run of {name} is recorded", lambda: self.last_run(name).get("name"))
        finally:
            self.posted.set()
        for name in models:
            self.assertEqual(self.wait_for_run(name)["phase"], "Succeeded")
        made = [job for name in models for job in self.jobs(name)]
        self.assertEqual(len(made), 1, made)
        self.judge_group(models, made[0])

    def take_event(self, name):
        body = event(name, "load-17")
        # The controller may not have heard of the policy yet.
        story.wait_for("the event is taken", story.PATIENCE, lambda: post(name, body)[0] in (200, 202),
                       lambda: post(name, body))
        self.assertEqual(post(name, body)[0], 200, "a replay is no second event")
        self.assertEqual(post(name, body, key="x" * 32)[0], 401)
        taken = story.get("retrainpolicies.perennial.dev", name, self.space)["status"]["events"]
        self.assertEqual([(one["source"], one["id"]) for one in taken], [("/warehouse", "load-17")])

    def judge_group(self, models, job):
        leads = job["metadata"]["labels"]["perennial.dev/retrain-policy"]
        follows = next(name for name in models if name != leads)
        self.assertEqual(job["metadata"]["annotations"]["perennial.dev/members"], self.last_run(follows)["name"])
        for name in models:
            made = self.versions(name)
            self.assertEqual(len(made), 1, made)
            version, origin = made[0], made[0]["spec"]["origin"]
            self.assertEqual(version["spec"]["modelDeployment"], name)
            self.assertEqual(version["spec"]["model"]["uri"], f"oci://models/{name}:2")
            self.assertEqual(origin["jobUID"], job["metadata"]["uid"])
            self.assertEqual(origin.get("sharedJob"), None if name == leads else job["metadata"]["name"])
            champion = version["metadata"]["name"]
            self.wait(f"{champion} serves", lambda: self.board.status("ModelDeployment", name)["champion"] == champion,
                      show=lambda: self.board.status("ModelDeployment", name))
        self.assertIn(f"trained by Job {job['metadata']['name']} for several, UID {job['metadata']['uid']}",
                      self.why(follows))
        self.assertNotIn("for several", self.why(leads))
        self.assertRegex(self.why("north"), "trigger +Manual manual/now")
        self.assertRegex(self.why("south"), "trigger +Event .*load-17.*/warehouse")

    def crash(self):
        """Tried again as often as `retries` says, and told with what it said."""
        self.declare("crash", 'result.fail("no rows in the warehouse")\nsys.exit(3)', retries=1)
        run = self.wait_for_run("crash")
        self.assertEqual((run["phase"], run.get("attempt", 0), run.get("badResults", 0)), ("Failed", 1, 0))
        self.assertIn("container exited with 3 (Error): no rows in the warehouse", run["message"])
        self.failed_after("crash", attempts=2)

    def hang(self):
        """Ended at the deadline, and not tried again; no pod of it goes on."""
        self.declare("hang", "time.sleep(600)", deadline="60s", retries=2)
        self.assertTrue(self.running_pod("hang"))
        run = self.wait_for_run("hang")
        self.assertEqual((run["phase"], run.get("attempt", 0)), ("Failed", 0))
        self.assertIn("deadline of 1m passed", run["message"])
        self.assertEqual(self.versions("hang"), [])
        self.wait("nothing of it is left", lambda: not (
            self.board.labelled("Job", "retrain-policy", "hang") or self.board.labelled("Pod", "run", run["name"])))

    def garbage(self):
        """Not what `retries` are for."""
        self.declare("garbage", 'result.fail("{\\x00 not a result")', retries=2)
        run = self.wait_for_run("garbage")
        self.assertEqual((run["phase"], run.get("attempt", 0)), ("Failed", 0))
        self.assertRegex(run["message"], "result of pod garbage-.* is unusable: .*JSON")
        self.failed_after("garbage", attempts=1)

    def failed_after(self, name, attempts):
        self.assertEqual(len(self.jobs(name)), attempts)
        self.assertEqual(self.versions(name), [])
        retraining = next(c for c in self.policy(name)["conditions"] if c["type"] == "Retraining")
        self.assertEqual((retraining["status"], retraining["reason"]), ("False", "RunFailed"))
        # An event is written after the status.
        told = self.wait("its failure is told", lambda: self.told("RunFailed", name))
        self.assertEqual(len(told), 1, told)

    def incomplete(self):
        """A result that misses a field, and a policy that tries such again."""
        self.declare("incomplete", """
if os.environ["PERENNIAL_ATTEMPT"] == "0":
    result.fail('{"schemaVersion": 1, "artifact": {"uri": "https://models.example.org/1"}, "metrics": []}')
else:
    leave()
""", retries=0, backoff={"badResults": 1})
        run = self.wait_for_run("incomplete")
        self.assertEqual((run["phase"], run.get("attempt", 0), run["badResults"]), ("Succeeded", 1, 1), run)
        self.assertEqual(len(self.jobs("incomplete")), 2)
        self.assertEqual([v["metadata"]["name"] for v in self.versions("incomplete")], [run["modelVersion"]])

    def evicted(self):
        """The Job makes another pod, and no attempt is counted: there would be none left."""
        self.declare("evicted", AFTER_THE_WORD, retries=0)
        pod = self.running_pod("evicted")
        self.labelled_again("evicted")
        name = pod["metadata"]["name"]
        answer = story.kubectl("create", "--raw", f"/api/v1/namespaces/{self.space}/pods/{name}/eviction", "-f", "-",
                               text=json.dumps({"apiVersion": "policy/v1", "kind": "Eviction",
                                                "metadata": {"name": name, "namespace": self.space}}))
        self.assertIn("Success", answer)
        story.kubectl("-n", self.space, "create", "configmap", "word", "--from-literal=go=now")
        run = self.wait_for_run("evicted")
        self.assertEqual((run["phase"], run.get("attempt", 0)), ("Succeeded", 0), run)
        self.assertEqual(len(self.jobs("evicted")), 1)
        uids = {one["metadata"]["uid"] for one in self.pods(run["name"]) if one["status"]["phase"] == "Succeeded"}
        self.assertEqual(len(uids), 1)
        self.assertNotIn(pod["metadata"]["uid"], uids, "another pod did the work")
        self.assertEqual(len(self.versions("evicted")), 1)

    def labelled_again(self, name):
        """A running Job whose label somebody takes away, by which it is found, gets it back and is not made again."""
        label = "app.kubernetes.io/managed-by"
        self.wait("it is known to run", lambda: self.last_run(name).get("phase") == "Running")
        job, = self.jobs(name)
        story.kubectl("-n", self.space, "label", "job", job["metadata"]["name"], label + "-")

        def labels():
            return story.get("jobs", job["metadata"]["name"], self.space)["metadata"]["labels"]

        self.wait("it has its label again", lambda: labels() == job["metadata"]["labels"], show=labels)
        self.assertEqual([one["metadata"]["uid"] for one in self.jobs(name)], [job["metadata"]["uid"]])

    def killed(self):
        """Whatever the controller was about to do, and for all others of this story too."""
        self.posted.wait(story.PATIENCE)
        # What the controller was about to tell is gone with it.
        for name in ("crash", "garbage"):
            self.wait(f"the failure of {name} is told", lambda: self.told("RunFailed", name))
        self.declare("killed", "time.sleep(15)\nleave()", retries=0)
        self.running_pod("killed")
        self.assertEqual(self.last_run("killed").get("finished"), None)
        story.kill_controller()
        run = self.wait_for_run("killed")
        self.assertEqual((run["phase"], run.get("attempt", 0)), ("Succeeded", 0), run)
        self.assertEqual([job["metadata"]["uid"] for job in self.jobs("killed")], [run["jobUID"]])
        self.assertEqual(len(self.pods(run["name"])), 1)
        self.assertEqual([v["metadata"]["name"] for v in self.versions("killed")], [run["modelVersion"]])

    def restored(self, *models):
        """A backup brings objects back, and no status: why each serves is told as before, and nothing begins anew."""
        def told():
            return {name: self.why(name) for name in models}

        def there():
            return {one["metadata"]["uid"] for kind in ("jobs", "modelversions.perennial.dev")
                    for one in story.get(kind, namespace=self.space)}

        # Neither a Job nor a version is left of its run: that one is only in status.
        story.kubectl("-n", self.space, "delete", "retrainpolicy", "hang")
        champions = {name: self.board.status("ModelDeployment", name)["champion"] for name in models}
        before, known = told(), there()
        story.kubectl("-n", story.SYSTEM, "scale", "deployment", "perennial-controller", "--replicas=0")
        self.wait("the controller is gone", lambda: not story.get(
            "pods", namespace=story.SYSTEM, selector="app.kubernetes.io/component=controller"))
        for kind in ("modeldeployments", "retrainpolicies", "modelversions"):
            names = [one["metadata"]["name"] for one in story.get(f"{kind}.perennial.dev", namespace=self.space)]
            story.kubectl("-n", self.space, "patch", f"{kind}.perennial.dev", *names, "--subresource=status",
                          "--type=merge", "-p", '{"status": null}')
        self.assertEqual(told(), before, "without any status")
        story.kubectl("-n", story.SYSTEM, "scale", "deployment", "perennial-controller", "--replicas=1")
        for name in models:
            self.wait(f"{name} has its champion again", lambda: self.board.status("ModelDeployment", name).get(
                "champion") == champions[name], show=lambda: self.board.status("ModelDeployment", name))
        for name in (*models, "crash", "evicted"):
            self.wait(f"{name} was looked at", lambda: self.policy(name).get("conditions"))
        self.wait("all is told as before", lambda: told() == before, show=told)
        self.assertEqual(there(), known)

    def from_outside(self):
        """A pipeline of somebody's makes versions: they pass the same gates, or don't."""
        def version(name, revision, mae):
            story.apply({
                "apiVersion": "perennial.dev/v1alpha1", "kind": "ModelVersion",
                "metadata": {"name": name, "namespace": self.space},
                "spec": {"modelDeployment": "north", "revision": revision,
                         "model": {"uri": f"oci://models/north:{revision}", "digest": "sha256:" + f"{revision}" * 64},
                         "origin": {"type": "External", "requestedBy": "nightly pipeline"},
                         "metrics": [{"name": "mae", "value": mae}],
                         "requirements": {"gates": [{"metric": "mae", "max": "4.0"}]}}})

        version("north-bad", 8, 9.5)
        self.wait("a gate fails", lambda: self.board.status("ModelVersion", "north-bad").get("phase") == "GatesFailed")
        version("north-good", 9, 3.5)
        self.wait("what passed its gates serves", lambda: self.board.status("ModelDeployment", "north").get(
            "champion") == "north-good", show=lambda: self.board.status("ModelDeployment", "north"))
        self.assertIn("from outside: nightly pipeline", self.why("north"))

    def rejected_late(self):
        """What serves already is rejected: the version before it comes back."""
        champion = story.get("modelversions.perennial.dev", self.board.status("ModelDeployment", "south")["champion"],
                             self.space)
        self.plugin("reject", champion["metadata"]["name"], "--reason", "it was trained on the wrong year")
        self.wait("the version before serves", lambda: self.board.status("ModelDeployment", "south").get(
            "champion") == champion["spec"]["parent"], show=lambda: self.board.status("ModelDeployment", "south"))
        rejected = story.get("modelversions.perennial.dev", champion["metadata"]["name"], self.space)
        self.assertEqual(rejected["status"]["phase"], "Rejected")


if __name__ == "__main__":
    unittest.main(verbosity=2)
