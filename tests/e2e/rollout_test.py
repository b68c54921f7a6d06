#!/usr/bin/env python3
"""Ways of a rollout on a cluster, side by side, while clients ask: blue/green with a preview, a Job that fails and a
step that people approve, one version that takes another's place, versions whose pods never become ready, each kind of
look of an analysis, outcomes that are known late, and a Gateway that refuses the route. No request fails, and none is
answered by a version that should not answer yet.

Needs a cluster with the controller in it, and the folder of the project's programs in $PERENNIAL_BIN.
"""

import json
import unittest

import served
import story
from served import ERROR, FAILURES, analysis

# Asks the challenger by its own address, which is in MODEL_SERVICE, and bears no prediction that failed.
SMOKE = """
import os, urllib.request
URL = "http://" + os.environ["MODEL_SERVICE"]
for _ in range(60):
    with urllib.request.urlopen(URL + "/predict", timeout=30) as answer:
        assert answer.headers["x-version"] == os.environ["MODEL_VERSION"], answer.headers
with urllib.request.urlopen(URL + "/metrics", timeout=30) as answer:
    page = answer.read().decode().splitlines()
assert "prediction_failures_total 0.0" in page, "predictions have failed"
"""


class Rollout(served.Scenes):
    space = "ways"

    def test_ways(self):
        served.side_by_side(self.blue_green, self.superseded, self.never_ready, self.looks, self.late_outcomes,
                            self.refused)
        self.judge_crowds()
        self.assertEqual(dict(self.board.not_ready), {}, "Ready is True while the champion serves")

    def version(self, name):
        return story.get("modelversions.perennial.dev", name, self.space)

    def blue_green(self):
        """All at once, after a preview that probes and testers see, and nobody else."""
        model, first, crowd = self.begin("green", {"rollout": {
            "steps": [{"weight": 0, "hold": "2s"}, {"weight": 100, "approval": True}],
            "keepPrevious": "5m",
            "analysis": analysis({"name": "error", **ERROR, "max": "3"},
                                 probes=[{"name": "smoke", "step": 1, "job": {"template": served.once(SMOKE)}}]),
        }}, traffic={"headless": True,
                     "rules": [{"header": {"name": "x-tester", "value": "yes"}, "variant": "challenger"}]})
        # From before, since the probe's requests alone may be enough to judge it.
        tester = self.crowd(model.host, headers={"x-tester": "yes"})
        worse = model.release("2-worse")
        self.assertIn("failed check error", model.wait_for_end(worse, "RolledBack"))
        self.assertGreater(tester.answers[worse], 0, tester.answers)
        self.assertEqual(set(crowd.answers), {first}, "nobody but testers met it")
        tester.meets(first)
        pods = model.pods(first)
        better = model.release("3")
        model.wait_for_step(better, 1)
        crowd.meets(better)
        self.assertEqual(model.pods(first), pods, "the way back stays open")
        model.resume(better)
        model.wait("a person is asked",
                   lambda: f"kubectl perennial approve {better} --step 2" in model.status()["why"])
        self.assertNotEqual(model.status()["champion"], better, "whoever may edit the object approves nothing by that")
        # A look may find no data for a moment, which a step that was resumed doesn't wait for.
        model.wait("both passed", lambda: {check["name"]: check["verdict"] for check in model.rollout()["checks"]} == {
            "error": "Pass", "smoke": "Pass"})
        self.assertIn("step 2 approved by", self.plugin("approve", better, "--step", 2))
        model.wait_for_end(better, "Promoted")
        self.assertEqual(self.version(better)["status"]["approvedSteps"], [2])
        self.assertEqual(model.pods(first), pods, "and after the promotion, as keepPrevious says")
        self.fails_its_job(model, better, crowd)
        self.assertNotIn(worse, crowd.answers)

    def fails_its_job(self, model, champion, crowd):
        """A Job's verdict on a version that nobody but testers has met; why it left is told wherever people look."""
        unfit = model.release("4-failing")
        message = model.wait_for_end(unfit, "RolledBack")
        look = next(check for check in model.rollout()["checks"] if check["name"] == "smoke")
        self.assertEqual([look["verdict"], look["failures"]], ["Fail", 1], "once is enough, whatever failureLimit says")
        said = f"failed check smoke: Job {look['job']} failed: BackoffLimitExceeded"
        self.assertIn(said, message)
        self.assertIn(f"{unfit} was rolled back: {said}", model.status()["why"])
        stalled = next(c for c in model.status()["conditions"] if c["type"] == "Stalled")
        self.assertEqual(stalled["reason"], "RolloutAborted")
        self.assertIn(said, stalled["message"])
        record = self.version(unfit)["status"]
        self.assertEqual(record["phase"], "Rejected")
        self.assertIn(said, record["why"])
        self.assertIn("predictions have failed", story.kubectl("-n", self.space, "logs", f"job/{look['job']}"))
        self.assertEqual(model.status()["champion"], champion)
        model.wait("its pods go", lambda: not model.pods(unfit), lambda: model.pods(unfit))
        crowd.meets(champion)
        self.assertNotIn(unfit, crowd.answers)

    def superseded(self):
        """A newer version takes the challenger's place; then it is promoted past the steps that are left."""
        model, first, crowd = self.begin("chain", {"rollout": {
            "steps": [{"weight": 20, "pause": True}, {"weight": 60, "pause": True}]}}, pause=0.01)
        second = model.release("2")
        model.wait_for_step(second, 0)
        crowd.meets(first, second)
        crowd.wait_for_split(300, {first: 0.8, second: 0.2}, "the first challenger")
        model.annotate("promote", f"{second}/1")
        model.wait_for_step(second, 1)
        third = model.release("3")
        model.wait_for_step(third, 0)
        last = model.status()["history"][0]
        self.assertEqual([last["version"], last["outcome"]], [second, "Superseded"])
        crowd.meets(first, third)
        self.assertEqual(self.version(second)["status"]["phase"], "Approved", "nothing was wrong with it")
        model.annotate("promote", third)
        self.assertIn("promoted by the annotation", model.wait_for_end(third, "Promoted"))
        self.assertEqual(model.rollout()["step"], 0, "the other step was skipped")
        crowd.meets(third)
        model.wait("the pods of both are gone", lambda: not model.pods(first) and not model.pods(second))
        self.undone(model, crowd, first)

    def undone(self, model, crowd, first):
        """Back to a version from before the last one: its artifact again, in steps as any other."""
        fourth = model.release("4")
        model.annotate("promote", fourth)
        model.wait_for_end(fourth, "Promoted")
        model.annotate("undo", first)
        again = model.wait("there is a copy", lambda: model.status().get("challenger"))
        model.wait_for_step(again, 0)
        row = next(row for row in model.status()["variants"] if row["version"] == again)
        self.assertEqual(row["model"]["uri"], "oci://models/chain:1")
        crowd.meets(fourth, again)
        model.annotate("promote", again)
        model.wait_for_end(again, "Promoted")

    def never_ready(self):
        """Twice in a row, and then a good one."""
        model, first, crowd = self.begin("late", {"rollout": {
            "steps": [{"weight": 50, "hold": "1s"}]}})
        # Pods of a good one start as fast as the machine lets them, and so do commands of a story.
        for tag in ("2-broken", "3-broken"):
            broken = model.release(tag)
            if tag == "2-broken":
                name = self.take_name(broken)
                model.spec["rollout"]["progressDeadline"] = "10s"
                model.release(tag)
                self.name_is_taken(model, broken, name)
            message = model.wait_for_end(broken, "RolledBack")
            self.assertIn("not ready within progressDeadline 10s: 0 of 1 pods ready", message)
            self.assertEqual(model.condition("Stalled"), "True")
            # The Deployment is gone; its pods follow.
            model.wait("its pods go", lambda: not model.pods(broken), lambda: model.pods(broken))
        self.assertEqual(set(crowd.answers), {first})
        del model.spec["rollout"]["progressDeadline"]
        good = model.release("4")
        model.wait_for_end(good, "Promoted")
        model.wait("it is not stalled any more", lambda: model.condition("Stalled") is None)
        self.only_status_is_ours(model)

    def take_name(self, version):
        """Gives somebody's approval the name of the record of a rollback; returns the name."""
        name = f"{version}-rolled-back"
        who = json.loads(story.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
        story.apply({"apiVersion": "perennial.dev/v1alpha1", "kind": "ModelApproval",
                     "metadata": {"name": name, "namespace": self.space},
                     "spec": {"modelVersion": version, "decision": "Approve", "approver": who}})
        return name

    def name_is_taken(self, model, version, name):
        """A rollback waits for the name of its record, and says so."""
        def told():
            return any(c["type"] == "Stalled" and c["reason"] == "NameConflict" and name in c["message"]
                       for c in model.status()["conditions"])

        model.wait("the name is told", told, model.status)
        self.assertEqual(model.rollout()["phase"], "RollingBack")
        self.assertEqual(self.version(version)["status"]["phase"], "Approved", "nobody has rejected it yet")
        story.kubectl("-n", self.space, "delete", "modelapproval", name)

    def only_status_is_ours(self, model):
        """What people and GitOps tools wrote is theirs alone, after rollouts too."""
        shown = json.loads(story.kubectl("get", served.KIND, model.name, "-n", self.space, "-o", "json",
                                         "--show-managed-fields"))
        managers = {(entry["manager"].split("-")[0], entry.get("subresource"))
                    for entry in shown["metadata"]["managedFields"]}
        self.assertEqual(managers, {("kubectl", None), ("perennial", "status")})

    def looks(self):
        """What is only told, what has had its looks, and what is neither good nor bad."""
        model, _, crowd = self.begin("looks", {"rollout": {"steps": [{"weight": 50}], "analysis": analysis(
            {"name": "told", **ERROR, "max": "0.01", "dryRun": True},
            {"name": "thrice", **FAILURES, "max": "0.5", "count": 3},
            {"name": "ruled", **ERROR, "success": "challenger < 1.5", "failure": "challenger > 3"},
        )}})
        good = model.release("2")
        model.wait_for_end(good, "Promoted")
        checks = {check["name"]: check for check in model.rollout()["checks"]}
        self.assertEqual({name: check["verdict"] for name, check in checks.items()},
                         {"told": "Fail", "thrice": "Pass", "ruled": "Pass"})
        self.assertEqual(checks["thrice"]["looks"], 3)
        self.assertGreaterEqual(checks["told"]["failures"], 1, "above its limit, and not heeded")
        vague = model.release("3-vague")
        model.wait("it waits for a person", lambda: (
            model.rollout().get("version") == vague and model.rollout()["phase"] == "Paused"
            and "inconclusive check ruled" in model.status()["why"]))
        model.resume(vague)
        model.wait_for_end(vague, "Promoted")
        worse = model.release("4-worse")
        message = model.wait_for_end(worse, "RolledBack")
        self.assertIn("failed check ruled", message)
        self.assertIn("2 of 2 looks in a row", message)
        crowd.meets(vague)

    def late_outcomes(self):
        """Errors are known seconds after the prediction, and belong to the version that made it."""
        model, first, crowd = self.begin("outcomes", {"rollout": {
            "steps": [{"weight": 50}],
            "experiment": {
                "primary": {"name": "error", "goal": "Decrease", **ERROR, "squares": "prediction_error_squares_total"},
                "guardrails": [{"name": "failures", "maxIncrease": "0.5", **FAILURES}],
                "minSamples": 100, "expectedSamples": 400},
            "analysis": analysis({"name": "failures", **FAILURES, "max": "0.5"})}}, first="1-late")
        worse = model.release("2-late-worse")

        def counted():
            rollout = model.rollout()
            passes = any(row["name"] == "failures" and row["verdict"] == "Pass"
                         for row in rollout.get("checks", ()))
            return rollout if passes and rollout.get("version") == worse else None

        early = model.wait("requests are counted before errors", counted)
        self.assertEqual(early["experiment"]["verdict"], "NoData", "no outcome is known yet")
        message = model.wait_for_end(worse, "RolledBack")
        self.assertIn("failed experiment: error changes by", message)
        # 5 against 1: of what each predicted itself.
        effect = float(model.rollout()["experiment"]["effect"])
        self.assertTrue(3 < effect < 5, effect)
        crowd.meets(first)

    def inner(self, host):
        """Makes a second Gateway, whose one listener takes this host name."""
        story.gateway(self.space, "inner", host)

    def refused(self):
        """Nothing moves while one of two Gateways refuses the route; the other's clients don't notice."""
        self.inner("refused.example.org")
        parents = {"gateway": {"parentRefs": [{"name": "edge"}, {"name": "inner"}],
                               "hostnames": ["refused.example.org"]}}
        model, first, crowd = self.begin("refused", {"rollout": {"steps": [{"weight": 30, "pause": True}]}}, parents)
        self.inner("elsewhere.example.org")

        def told(kind):
            return any(c["type"] == kind and c["reason"] == "RouteNotAccepted" and why in c["message"]
                       for c in model.status()["conditions"])

        def weights():
            return {name: weight for name, weight in self.backends("refused").items() if weight > 0}

        why = "Gateway inner: NoMatchingListenerHostname: "
        model.wait("it is told", lambda: told("Reconciling"))
        second = model.release("2")
        begin = "ready, but no step is taken: " + why
        model.wait("no step is taken", lambda: model.status()["why"].startswith(begin))
        self.assertTrue(model.status()["why"].endswith("; correct the Gateway's listeners or spec.traffic.gateway"))
        self.assertEqual(len(model.pods(second)), 1)
        self.assertEqual([model.rollout()["phase"], model.status()["champion"]], ["Starting", first])
        self.assertEqual(len(weights()), 1)
        crowd.meets(first)
        self.assertEqual(set(crowd.answers), {first})
        self.inner("refused.example.org")
        model.wait_for_step(second, 0)
        # In a step too: its weights stay, and it does not end.
        model.spec["rollout"]["progressDeadline"] = "1s"
        model.release("2")
        shares = weights()
        self.assertEqual(sorted(shares.values()), [30, 70])
        self.inner("elsewhere.example.org")
        model.wait("it is stalled", lambda: told("Stalled"))
        model.annotate("resume", second)
        model.wait("the annotation is heeded", lambda: any(
            row["name"] == "resume" for row in model.status().get("commands", ())))
        crowd.meets(first, second)
        self.assertEqual([model.rollout()["phase"], model.status()["champion"]], ["Progressing", first])
        self.assertEqual([model.condition("Ready"), weights()], ["True", shares])
        self.inner("refused.example.org")
        model.wait("it waits for a person again", lambda: model.rollout()["phase"] == "Paused")
        self.assertIsNone(model.condition("Stalled"))
        model.resume(second, ":again")
        model.wait_for_end(second, "Promoted")
        crowd.meets(second)


if __name__ == "__main__":
    unittest.main(verbosity=2)
