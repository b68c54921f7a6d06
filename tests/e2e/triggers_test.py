#!/usr/bin/env python3
"""What makes a policy train on a cluster, and what holds it back, side by side: a time in a zone, rows that pods
have counted, a window, a limit of runs a day, a queue for Jobs; and approvals of real users, in time and too late.

Needs a cluster with the controller in it, and the folder of the project's programs in $PERENNIAL_BIN.
"""

import datetime
import json
import time
import unittest
import zoneinfo

import served
import story
import trained

# A quarter of an hour from whole hours, and no summer time.
ZONE = "Asia/Kathmandu"
LABELS = {"kueue.x-k8s.io/queue-name": "nightly", "kueue.x-k8s.io/priority-class": "low"}

# Trains only for what it should.
FOR = """
if json.loads(os.environ["PERENNIAL_TRIGGER"])["type"] != "TYPE":
    result.fail("trained because of " + os.environ["PERENNIAL_TRIGGER"])
    sys.exit(1)
leave()
"""
ALWAYS = "sum(process_start_time_seconds)"

# A model server that is told how many rows have got their labels, all in all.
FED = story.model_server("""
ROWS = prometheus_client.Counter("labelled_rows", "Rows that have a label.")
TOLD = [0]
""", """
    total = float(urllib.parse.parse_qs(url.query)["rows"][0])
    ROWS.inc(total - TOLD[0])
    TOLD[0] = total
""")


def now():
    return datetime.datetime.now(datetime.UTC)


def minute_after(seconds):
    """Returns the first full minute that is at least so far away."""
    later = now() + datetime.timedelta(seconds=seconds + 59.999)
    return later.replace(second=0, microsecond=0)


def text(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(moment):
    return datetime.datetime.fromisoformat(moment)


def daily(moment):
    """Returns the cron expression of that minute in ZONE, of every day."""
    local = moment.astimezone(zoneinfo.ZoneInfo(ZONE))
    return f"{local.minute} {local.hour} * * *"


def new_data(expression, threshold):
    return {"newData": {"expression": expression, "threshold": threshold, "interval": "5s"}}


class Triggers(trained.Scenes):
    space = "triggers"

    def test_triggers(self):
        self.declare_model("fed", updates="Manual", replicas=2, template=served.server(program=FED),
                           metrics={"port": "http", "path": "/metrics"})
        served.side_by_side(self.schedule, self.new_data, self.window, self.once_a_day, self.queue, self.approvals)

    def wait_until_it_says(self, policy, why):
        self.wait(f"{policy} says {why}", lambda: self.policy(policy).get("why") == why,
                  show=lambda: self.policy(policy).get("why"))

    def condition(self, kind, name, condition):
        return next((c for c in self.board.status(kind, name).get("conditions", ()) if c["type"] == condition), {})

    def waits_and_is_ready(self, policy, why):
        """What holds it back is told, and is nothing wrong."""
        self.wait_until_it_says(policy, why)
        ready = self.condition("RetrainPolicy", policy, "Ready")
        self.assertEqual((ready["status"], ready["reason"], ready["message"]), ("True", "Watching", why))

    def only_run(self, name, kind):
        """Waits for the only run that a policy has had; returns it and its version."""
        run = self.wait_for_run(name)
        self.assertEqual((run["phase"], run["triggerType"]), ("Succeeded", kind), run)
        self.assertEqual([job["metadata"]["uid"] for job in self.jobs(name)], [run["jobUID"]])
        made = self.versions(name)
        self.assertEqual([version["metadata"]["name"] for version in made], [run["modelVersion"]])
        return run, made[0]

    def schedule(self):
        """At a time of another zone: one Job, one version, and it is known when and why."""
        self.declare_served_model("timed", rollout={"steps": [{"weight": 100}]})
        due = minute_after(20)
        self.declare("timed", FOR.replace("TYPE", "Schedule"), "timed", by_hand=False, triggers=[
            {"schedule": {"cron": daily(due), "timeZone": ZONE}}])
        run, version = self.only_run("timed", "Schedule")
        self.assertEqual(run["trigger"], f"schedule/{text(due)}")
        self.assertGreaterEqual(parsed(run["started"]), due)
        self.assertEqual(json.loads(run["evidence"]), {
            "cron": daily(due), "timeZone": ZONE, "scheduledTime": text(due)})
        self.assertEqual(self.policy("timed")["nextSchedule"], text(due + datetime.timedelta(days=1)))
        champion = version["metadata"]["name"]
        self.wait("what was trained serves", lambda: self.board.status("ModelDeployment", "timed").get(
            "champion") == champion, show=lambda: self.board.status("ModelDeployment", "timed"))
        self.assertRegex(self.why("timed"), f"trigger +Schedule schedule/{text(due)}: .*{ZONE}")

    def new_data(self):
        """What both pods have counted, together; once, until there was less."""
        expression = "sum(increase(labelled_rows_total[30s]))"
        self.declare("fresh", FOR.replace("TYPE", "NewData"), "fed", by_hand=False,
                     triggers=[new_data(expression, "200")])

        def is_now(state):
            self.wait(f"it is {state}", lambda: self.policy("fresh").get("newData", [{}])[0].get("state") == state,
                      show=lambda: self.policy("fresh"))

        is_now("Below")
        self.label(120, 90)
        run, version = self.only_run("fresh", "NewData")
        evidence = json.loads(run["evidence"])
        self.assertEqual((evidence["expression"], evidence["threshold"]), (expression, "200"))
        self.assertEqual(float(evidence["value"]), 210)
        self.assertEqual(json.loads(version["spec"]["origin"]["evidence"]), evidence)
        is_now("Below")
        self.assertEqual(len(self.policy("fresh")["runs"]), 1, "as long as it was the same data")
        # What one pod had counted may be out of the window of 30 s before what the other had.
        out = parsed(run["started"]) + datetime.timedelta(seconds=40)
        time.sleep(max(0, (out - now()).total_seconds()))
        self.label(370, 90)
        again = self.wait_for_run("fresh", number=2)
        self.assertEqual(again["phase"], "Succeeded")
        self.assertEqual(float(json.loads(again["evidence"])["value"]), 250)
        self.assertEqual(len(self.jobs("fresh")), 2)
        self.assertEqual(len(self.versions("fresh")), 2)

    def label(self, *rows):
        """Tells each pod of the model its number of rows, for the story."""
        def addresses():
            pods = self.board.labelled("Pod", "model-deployment", "fed")
            ready = [pod["status"]["podIP"] for pod in pods if story.condition(pod, "Ready") == "True"]
            return sorted(ready) if len(ready) == len(rows) else None

        for address, number in zip(self.wait("its pods are ready", addresses), rows):
            self.wait("a pod answers", lambda: story.answers(address, f"/predict?rows={number}", port=8080))

    def crowd_of(self, name, **how):
        address = story.get("services", name, self.space)["spec"]["clusterIP"]
        return self.crowd(name, address, **how)

    def window(self):
        """Due at once, and started when the window opens."""
        far = minute_after(6 * 3600)
        self.declare("nightly", FOR.replace("TYPE", "NewData"), "fed", by_hand=False,
                     triggers=[new_data(ALWAYS, "1")],
                     maintenanceWindows=[{"cron": daily(far), "duration": "10m", "timeZone": ZONE}])
        opens = f"the maintenance window that opens at {text(far)}"
        self.waits_and_is_ready("nightly", f"NewData trigger waits for {opens}")
        self.assertEqual(self.jobs("nightly"), [])
        soon = minute_after(8)
        self.change("nightly", maintenanceWindows=[{"cron": daily(soon), "duration": "10m", "timeZone": ZONE}])
        run, _ = self.only_run("nightly", "NewData")
        self.assertGreaterEqual(parsed(run["started"]), soon)
        self.assertGreaterEqual(parsed(self.jobs("nightly")[0]["metadata"]["creationTimestamp"]), soon)
        self.assertLess(parsed(run["started"]), soon + datetime.timedelta(minutes=10))

    def once_a_day(self):
        """Two reasons, and one run: the other waits for a day, but not for a person."""
        self.declare("daily", "leave()", "fed", by_hand=False, maxPerDay=1,
                     triggers=[new_data(ALWAYS, "1"), new_data(ALWAYS, "2")])
        run, _ = self.only_run("daily", "NewData")
        until = text(parsed(run["started"]) + datetime.timedelta(days=1))
        why = f"NewData trigger waits for 1 run has begun within a day (maxPerDay), until {until}"
        self.waits_and_is_ready("daily", why)
        story.kubectl("-n", self.space, "annotate", "retrainpolicy", "daily", "perennial.dev/retrain=now")
        by_hand = self.wait_for_run("daily", number=2)
        self.assertEqual((by_hand["phase"], by_hand["triggerType"]), ("Succeeded", "Manual"))
        self.waits_and_is_ready("daily", why)
        self.assertEqual(len(self.jobs("daily")), 2)

    def queue(self):
        """A Job that somebody else's queue admits, as Kueue does; one run for a token, none while suspended."""
        self.declare("queued", FOR.replace("TYPE", "Manual"), suspend=True, job=trained.training(
            FOR.replace("TYPE", "Manual"), labels=LABELS, suspend=True))
        self.wait_until_it_says("queued", "suspended: no run starts until spec.suspend is false")
        self.assertEqual(self.condition("RetrainPolicy", "queued", "Ready")["reason"], "Suspended")
        self.assertEqual(self.jobs("queued"), [])
        self.change("queued", suspend=False)
        self.wait("its Job is there", lambda: self.jobs("queued"))
        job = self.jobs("queued")[0]
        labels = job["metadata"]["labels"]
        self.assertEqual({label: labels.get(label) for label in LABELS}, LABELS)
        self.assertEqual(labels["perennial.dev/retrain-policy"], "queued")
        self.wait("it is told that the queue has it", lambda: "is suspended" in self.policy("queued")["why"],
                  show=lambda: self.policy("queued"))
        self.assertTrue(story.get("jobs", job["metadata"]["name"], self.space)["spec"]["suspend"])
        self.assertEqual(self.pods(self.last_run("queued")["name"]), [])
        self.admit(job)
        self.only_run("queued", "Manual")
        # The same token again is no other reason.
        story.kubectl("-n", self.space, "annotate", "retrainpolicy", "queued", "perennial.dev/retrain-")
        story.kubectl("-n", self.space, "annotate", "retrainpolicy", "queued", "perennial.dev/retrain=now")
        story.kubectl("-n", self.space, "annotate", "retrainpolicy", "queued", "--overwrite",
                      "perennial.dev/retrain=again")
        self.wait("another Job is there", lambda: len(self.jobs("queued")) == 2)
        self.admit(self.jobs("queued")[1])
        self.assertEqual(self.wait_for_run("queued", number=2)["trigger"], "manual/again")

    def admit(self, job):
        story.kubectl("-n", self.space, "patch", "job", job["metadata"]["name"], "--type=merge", "-p",
                      '{"spec": {"suspend": false}}')

    def approvals(self):
        """Nobody in time; then two, and not one of them twice. Unapproved answers nobody."""
        first = self.declare_served_model("guarded", rollout={"steps": [{"weight": 100}]})["champion"]
        self.make_users()
        crowd = self.crowd_of("guarded")
        crowd.meets(first)
        late = self.approved_too_late()
        offered = self.offer()
        self.two_have_to("guarded-offer", offered)
        crowd.meets("guarded-offer")
        self.assertEqual(set(crowd.answers), {first, "guarded-offer"}, crowd.answers)
        self.assertEqual(self.board.status("ModelVersion", late)["phase"], "Expired")
        told = self.why("guarded")
        for line in ("made +from outside: nightly pipeline", "2 required", "Approve +ann", "Approve +cleo"):
            self.assertRegex(told, line)

    def make_users(self):
        """Two who may approve; one who may only write approvals down, and one who makes versions."""
        for role, kind in (("scribe", "modelapprovals"), ("pipeline", "modelversions")):
            story.kubectl("-n", self.space, "create", "role", role, "--verb=create", f"--resource={kind}.perennial.dev")
            story.kubectl("-n", self.space, "create", "rolebinding", f"is-{role}", f"--role={role}", f"--user={role}")
        self.users = {name: story.user(name, f"perennial-{role}", self.space) for name, role in (
            ("ann", "approver"), ("cleo", "approver"), ("scribe", "view"), ("pipeline", "view"))}

    def make(self, user, kind, name, spec):
        story.kubectl("--kubeconfig", self.users[user], "create", "-f", "-", text=json.dumps({
            "apiVersion": "perennial.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": self.space}, "spec": spec}))

    def approve(self, user, version):
        said = self.plugin("--kubeconfig", self.users[user], "approve", version, "--reason", "it looks right")
        self.assertIn(f"approved by {user}", said)

    def wait_for_phase(self, version, phase, why=""):
        self.wait(f"{version} is {phase}", lambda: self.board.status("ModelVersion", version).get("phase") == phase
                  and why in self.board.status("ModelVersion", version)["why"],
                  show=lambda: self.board.status("ModelVersion", version))

    def approved_too_late(self):
        """Returns the version whose time to be approved has passed."""
        self.declare("guarded", "leave()", "guarded", approval={
            "required": True, "approvers": 2, "expiresAfter": "90s"})
        _, version = self.only_run("guarded", "Manual")
        name = version["metadata"]["name"]
        self.wait_for_phase(name, "AwaitingApproval", "0 of 2 approvals")
        self.approve("ann", name)
        deadline = parsed(version["metadata"]["creationTimestamp"]) + datetime.timedelta(seconds=90)
        self.wait_for_phase(name, "Expired", f"1 of 2 approvals by {text(deadline)}, so the request has expired")
        self.assertGreaterEqual(now(), deadline)
        approved = self.condition("ModelVersion", name, "Approved")
        self.assertEqual((approved["status"], approved["reason"]), ("False", "ApprovalExpired"))
        told = self.wait("it is told", lambda: self.told("ApprovalExpired", name))
        self.assertEqual(len(told), 1, told)
        self.approve("cleo", name)
        self.wait_for_phase(name, "Expired", "1 approval(s) came too late and are void")
        self.not_served(name)
        return name

    def not_served(self, version):
        self.assertEqual(self.board.labelled("Pod", "model-version", version), [])
        self.assertNotIn(version, [row["version"] for row in
                                   self.board.status("ModelDeployment", "guarded")["variants"]])

    def offer(self):
        """The same artifact again, by a pipeline of somebody's; returns the version's spec."""
        expired = self.versions("guarded")[0]["spec"]
        spec = {"modelDeployment": "guarded", "revision": expired["revision"] + 1, "model": expired["model"],
                "origin": {"type": "External", "requestedBy": "nightly pipeline"},
                "requirements": {"approval": {"required": True, "approvers": 2}}}
        self.make("pipeline", "ModelVersion", "guarded-offer", spec)
        self.wait_for_phase("guarded-offer", "AwaitingApproval", "0 of 2 approvals; create a ModelApproval for this "
                            f"version with digest {expired['model']['digest']}")
        return spec

    def two_have_to(self, version, spec):
        def approval(approver):
            return {"modelVersion": version, "digest": spec["model"]["digest"], "decision": "Approve",
                    "approver": approver}

        with self.assertRaisesRegex(AssertionError, f"scribe may not decide about ModelVersion {version}"):
            self.make("scribe", "ModelApproval", "not-allowed", approval("scribe"))
        with self.assertRaisesRegex(AssertionError, 'spec.approver is "ann", but you are "cleo"'):
            self.make("cleo", "ModelApproval", "for-another", approval("ann"))
        self.approve("ann", version)
        self.make("ann", "ModelApproval", "twice", {**approval("ann"), "reason": "it still does"})
        self.make("cleo", "ModelApproval", "of-another", {**approval("cleo"), "digest": "sha256:" + "8" * 64})
        # They are heard of in this order.
        self.wait_for_phase(version, "AwaitingApproval", "1 approval(s) of another digest are void")
        self.assertIn("1 of 2 approvals", self.board.status("ModelVersion", version)["why"])
        self.not_served(version)
        self.approve("cleo", version)
        self.wait("it serves", lambda: self.board.status("ModelDeployment", "guarded").get("champion") == version,
                  show=lambda: self.board.status("ModelVersion", version))
        self.assertEqual(self.board.status("ModelVersion", version)["approvedBy"], ["ann", "cleo"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
