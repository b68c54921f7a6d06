"""Scenes of rollouts that numbers decide, for a story that has models side by side."""

import http.client
import re
import time

import served
import story
from served import ERROR, FAILURES, analysis

# Nothing that could fail: its interval is how often an experiment is looked at.
OFTEN = analysis({"name": "error", **ERROR, "max": "99"})


def experiment(primary, **more):
    return {"steps": [{"weight": 50}], "analysis": OFTEN, "experiment": {
        "primary": {"goal": "Decrease", **primary}, "minSamples": 100, "expectedSamples": 400, **more}}


MEAN_ERROR = {"name": "error", **ERROR, "squares": "prediction_error_squares_total"}
SECONDS_AN_ITEM = {
    "name": "item", "kind": "Ratio", "numerator": "item_seconds_total", "denominator": "items_total",
    "units": "predictions_total", "squares": "item_seconds_squares_total",
    "denominatorSquares": "items_squares_total", "products": "item_products_total"}


class Verdicts(served.Scenes):
    def silent(self):
        """Nobody asks, which is neither good nor bad: it waits, and goes on when somebody does."""
        model = served.Model(self.board, "silent", {"rollout": {
            "steps": [{"weight": 50}], "analysis": analysis({"name": "error", **ERROR, "max": "3"})}},
            {"timeouts": {"request": "1s"}})
        first = model.release("1")
        model.wait_for_end(first, "Promoted")
        story.wait_for("it answers", story.PATIENCE, lambda: story.answers(self.address, "/ready", model.host))
        self.times_out(model.host)
        del model.spec["traffic"]["timeouts"]
        second = model.release("2")
        model.wait("it waits", lambda: model.rollout().get("version") == second
                   and model.rollout()["phase"] == "Paused"
                   and "challenger: prediction_error has counted nothing yet" in model.status()["why"])
        check = model.rollout()["checks"][0]
        self.assertEqual([check["verdict"], check.get("samples", 0)], ["NoData", 0])
        self.assertEqual([model.condition("Ready"), model.status()["champion"]], ["True", first])
        crowd = self.crowd(model.host)
        self.assertNotIn("by the annotation", model.wait_for_end(second, "Promoted"))
        crowd.meets(second)

    def times_out(self, host):
        """The gateway waits no longer than the spec says: the model would take a minute."""
        connection = http.client.HTTPConnection(self.address, 80, timeout=60)
        began = time.monotonic()
        connection.request("GET", "/slow", headers={"Host": host})
        status = connection.getresponse().status
        self.assertEqual(status, 504)
        self.assertLess(time.monotonic() - began, 30)
        connection.close()

    def held_back(self):
        """Better by a proportion; then worse where it was to be no worse, and worse than the champion."""
        failures = {"name": "failures", **FAILURES}
        model, _, crowd = self.begin("judged", {"rollout": experiment(failures)}, first="1-failing", pause=0.01)
        second = model.release("2")
        self.assertIn("experiment passed: failures changes by -0.", model.wait_for_end(second, "Promoted"))
        model.spec["rollout"] = experiment(MEAN_ERROR, guardrails=[{**failures, "maxIncrease": "0.1"}])
        third = model.release("3-failing")
        self.assertIn("failed experiment: guardrail failures: ", model.wait_for_end(third, "RolledBack"))
        crowd.meets(second)
        model.spec["rollout"] = {"steps": [{"weight": 50}], "analysis": analysis(
            {"name": "error", **ERROR, "maxIncrease": "2"})}
        fourth = model.release("4-worse")
        self.assertRegex(model.wait_for_end(fourth, "RolledBack"), r"failed check error.* is above maxIncrease 2")
        check = model.rollout()["checks"][0]
        self.assertGreater(float(check["challenger"]) - float(check["champion"]), 2)
        crowd.meets(second)

    def by_ratio(self):
        """Better by what an item takes of requests for several; it may not win before its least duration."""
        # So small that the interval always has the truth in it.
        model, first, crowd = self.begin("items", {"rollout": experiment(
            SECONDS_AN_ITEM, alpha="0.0001", minDuration="1h")}, first="1-worse", pause=0.01)
        second = model.release("2")
        model.wait("it has won, and waits", lambda: model.rollout().get("version") == second
                   and model.rollout().get("experiment", {}).get("verdict") == "Pass"
                   and "passes so far and runs until" in model.status()["why"])
        look = model.rollout()["experiment"]
        # Five to one, within five times the noise of a hundred requests.
        self.assertTrue(-4.8 < float(look["effect"]) < -3.2, look)
        self.assertTrue(float(look["lower"]) < -4 < float(look["upper"]) < 0, look)
        self.assertEqual(model.status()["champion"], first)
        model.spec["rollout"]["experiment"]["minDuration"] = "1s"
        model.release("2")
        self.assertIn("experiment passed: item changes by -", model.wait_for_end(second, "Promoted"))
        crowd.meets(second)

    def undecided(self):
        """Two equal models: what is told of them meanwhile, and each rule for the end of the time."""
        # So small that chance never decides.
        model, first, crowd = self.begin("equal", {"rollout": experiment(
            MEAN_ERROR, alpha="0.0001", maxDuration="1h")}, pause=0.01)
        second = model.release("2")
        # While a check has no data, which ends by itself, it is the check that is told of.
        model.wait("it is undecided", lambda: model.rollout().get("version") == second
                   and model.rollout().get("experiment", {}).get("verdict") == "Inconclusive"
                   and "the experiment is undecided" in model.status()["why"])
        self.told(model, second)
        model.spec["rollout"]["experiment"]["maxDuration"] = "1s"
        model.release("2")
        self.assertIn("inconclusive after maxDuration (onInconclusive: KeepChampion)",
                      model.wait_for_end(second, "RolledBack"))
        crowd.meets(first)
        model.spec["rollout"]["experiment"].update(maxDuration="20s", onInconclusive="Promote")
        third = model.release("3")
        self.assertIn("inconclusive after maxDuration (onInconclusive: Promote)",
                      model.wait_for_end(third, "Promoted"))
        crowd.meets(third)

    def told(self, model, version):
        """The interval, the odds and the time left, in status and in one line."""
        rollout = model.rollout()
        look = rollout["experiment"]
        self.assertTrue(float(look["lower"]) < float(look["effect"]) < float(look["upper"]), look)
        self.assertTrue(0 < float(look["probabilityBetter"]) < 1, look)
        self.assertGreaterEqual(min(look["championSamples"], look["challengerSamples"]), 100)
        self.assertEqual([rollout["until"], rollout["then"]], [rollout["experimentEnds"], "the champion stays"])
        # The list's columns lie where its heads do.
        head, line = story.kubectl("get", "modeldeployments", model.name, "-n", self.space, "-o", "wide").splitlines()
        starts = [(match.group(), match.start()) for match in re.finditer(r"\S+", head)]
        ends = [start for _, start in starts[1:]] + [None]
        shown = {name: line[start:end].strip() for (name, start), end in zip(starts, ends)}
        self.assertEqual(
            [shown[name] for name in ("NAME", "READY", "CHALLENGER", "WEIGHT", "STEP", "PHASE", "WANTED", "UNTIL",
                                      "VERDICT", "REPLICAS")],
            [model.name, "True", version, "50", "1/1", "Progressing", "50", rollout["until"], "Inconclusive", "2"], line)
        self.assertEqual(shown["CHAMPION"], rollout["champion"])
        self.assertTrue(float(shown["LOWER"]) < float(shown["EFFECT"]) < float(shown["UPPER"]), line)
        self.assertGreaterEqual(int(shown["N"]), 100)
        self.assertIn("the experiment is undecided", shown["WHY"])

    def watched(self):
        """A DriftMonitor computes a number of the challenger's own, and the probe asks for it."""
        self.muzzle()
        story.apply({"apiVersion": "perennial.dev/v1alpha1", "kind": "DriftMonitor",
                     "metadata": {"name": "watched", "namespace": self.space}, "spec": {
                         "target": {"modelDeployment": "watched"}, "interval": "2s", "window": "10s",
                         "minSamples": 20, "signals": [{
                             "name": "mean-error", "type": "Custom", "max": "3",
                             "expression": "sum(rate(prediction_error_sum)) / sum(rate(prediction_error_count))"}]}})
        model, first, crowd = self.begin("watched", {"rollout": {"steps": [{"weight": 50}], "analysis": analysis(
            probes=[{"name": "errors", "driftMonitor": {"name": "watched"}}])}})
        second = model.release("2")
        model.wait_for_end(second, "Promoted")
        self.assertEqual(model.rollout()["checks"][0]["verdict"], "Pass")
        worse = model.release("3-worse")
        self.assertIn("failed check errors: ", model.wait_for_end(worse, "RolledBack"))
        look = model.rollout()["checks"][0]
        self.assertIn("signal mean-error", look["message"])
        # With the champion's it were 3 or less, and twenty requests are enough.
        self.assertTrue(3.5 < float(look["challenger"]) < 6.5, look)
        crowd.meets(second)
        self.assertLess(crowd.answers[first], crowd.answers.total())
        self.muzzled()

    def muzzle(self):
        """Lets a policy of the cluster's own refuse what one monitor is going to say."""
        name = f"{self.space}-muzzle"
        for kind in ("validatingadmissionpolicy", "validatingadmissionpolicybinding"):
            self.addCleanup(story.kubectl, "delete", kind, name, "--ignore-not-found")
        story.apply({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name}, "spec": {
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.space}},
                    "resourceRules": [{"apiGroups": ["perennial.dev"], "apiVersions": ["*"], "operations": ["UPDATE"],
                                       "resources": ["driftmonitors/status"]}]},
                "validations": [{
                    "expression": "object.metadata.name != 'muzzled' || !has(object.status.signals) || "
                                  "object.status.signals.all(s, !has(s.state) || s.state != 'Drifted')",
                    "message": "nothing drifts here"}]}})
        story.apply({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}})

    def muzzled(self):
        """Where a status is refused, its conditions tell of it all the same; what was refused is written later on."""
        story.apply({"apiVersion": "perennial.dev/v1alpha1", "kind": "DriftMonitor",
                     "metadata": {"name": "muzzled", "namespace": self.space}, "spec": {
                         "target": {"modelDeployment": "watched"}, "interval": "2s", "window": "10s",
                         "minSamples": 20, "for": 1, "of": 1, "signals": [{
                             "name": "error", "type": "ModelPerformance", "metric": "prediction_error",
                             "max": "0.1"}]}})

        def monitor():
            return story.get("driftmonitors.perennial.dev", "muzzled", self.space)

        def states():
            return {signal["state"] for signal in monitor().get("status", {}).get("signals", ())}

        story.wait_for("its condition says it", story.PATIENCE,
                       lambda: story.condition(monitor(), "Drifted") == "True", monitor)
        self.assertNotIn("Drifted", states())
        story.kubectl("delete", "validatingadmissionpolicybinding", f"{self.space}-muzzle")
        story.wait_for("its signal says it", story.PATIENCE, lambda: "Drifted" in states(), monitor)
