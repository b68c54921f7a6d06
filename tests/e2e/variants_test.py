#!/usr/bin/env python3
"""Splits and verdicts on a cluster, side by side: three variants behind a gateway and what they are told apart by,
weights that follow the data but for a guardrail, one model that becomes two variants, numbers of requests that don't
come from the split, a split by numbers of pods where there is no gateway, and rollouts that numbers decide, or don't.

Needs a cluster with the controller in it.
"""

import time
import unittest

import served
import story
import verdicts

TESTERS = {"x-tester": "yes"}
EXPERIMENT = {
    # What differs here differs by far, and what doesn't is found to differ by chance in no run.
    "alpha": "0.0001",
    "primary": {"name": "error", "goal": "Decrease", "kind": "Mean", "metric": "prediction_error",
                "squares": "prediction_error_squares_total"},
    "guardrails": [{"name": "failures", "kind": "Proportion", "numerator": "prediction_failures_total",
                    "denominator": "predictions_total", "maxIncrease": "0.5"}],
    "minSamples": 100, "expectedSamples": 1000,
}
# Nothing that could fail: its interval is how often the experiment is looked at.
OFTEN = {"interval": "2s", "window": "10s", "minSamples": 20, "checks": [
    {"name": "error", "kind": "Mean", "metric": "prediction_error", "max": "99"}]}


def testers_get(variant):
    return {"rules": [{"header": {"name": "x-tester", "value": "yes"}, "variant": variant}]}


class Variants(verdicts.Verdicts):
    space = "variants"

    def test_splits(self):
        served.side_by_side(self.three_ways, self.mismatch, self.by_pods, self.silent, self.held_back, self.undecided,
                            self.watched, self.by_ratio, self.guarded, self.divided)
        self.judge_crowds()

    def events(self, reason):
        return [event["message"] for event in story.get("events", namespace=self.space) if event["reason"] == reason]

    def wait_for_event(self, model, reason, words):
        """Events are written after the status that they are about."""
        model.wait(f"{reason} is told", lambda: any(words in message for message in self.events(reason)),
                   lambda: self.events(reason))

    def three_ways(self):
        """The second is worse, the third is not, until testers bend its numbers."""
        model = served.Model(self.board, "three", {
            "variants": [{"name": name, "weight": weight, "model": {"uri": f"oci://models/three:{tag}"}}
                         for name, weight, tag in (("plain", 50, "1"), ("deep", 30, "1-worse"), ("small", 20, "2"))],
            "rollout": {"experiment": EXPERIMENT, "analysis": OFTEN}}, testers_get("small"))
        model.declare()
        model.wait("all three serve", lambda: len(model.status().get("variants", ())) == 3
                   and model.condition("Ready") == "True"
                   and all(row["weight"] > 0 for row in model.status()["variants"]))
        versions = {row["name"]: row["version"] for row in model.status()["variants"]}
        crowd = self.crowd(model.host, pause=0.01)
        wanted = {versions["plain"]: 0.5, versions["deep"]: 0.3, versions["small"]: 0.2}
        crowd.wait_for_split(500, wanted, "three variants")

        def looks():
            return {row["variant"]: row["experiment"] for row in model.status().get("comparisons", ())}

        model.wait("the worse one is known", lambda: looks().get("deep", {}).get("verdict") == "Fail", show=looks)
        self.assertNotIn(looks()["small"]["verdict"], ("Pass", "Fail"))
        self.assertFalse(looks()["small"].get("sampleRatioMismatch", False))
        testers = self.crowd(model.host, headers=TESTERS, pause=0.01)
        testers.meets(versions["small"])
        model.wait("the ratio is known to be wrong", lambda: looks()["small"].get("sampleRatioMismatch"), show=looks)
        self.assertEqual(looks()["small"]["verdict"], "Inconclusive")
        self.assertIn("sample-ratio mismatch", looks()["small"]["message"])
        self.assertEqual(looks()["deep"]["verdict"], "Fail", "the others' ratio is right")
        self.assertEqual(len([message for message in self.events("VariantWorse") if "variant deep" in message]), 1)
        self.wait_for_event(model, "SampleRatioMismatch", "variant small")
        crowd.wait_for_split(300, wanted, "nothing moves by itself")
        testers.end()
        self.edited(model, versions, crowd, looks)

    def edited(self, model, versions, crowd, looks):
        """Other weights in the spec are in the route as they are written, and nothing of before counts any more."""
        before = looks()["deep"]
        weights = {"plain": 20, "deep": 30, "small": 50}
        for variant in model.spec["variants"]:
            variant["weight"] = weights[variant["name"]]
        model.declare()
        services = {row["service"]: weights[row["name"]] for row in model.status()["variants"]}
        model.wait("the route has them", lambda: self.backends("three") == services, lambda: self.backends("three"))
        model.wait("they are in effect", lambda: model.weights() == {
            version: weights[name] for name, version in versions.items()}, model.weights)
        time.sleep(served.PROXY_SECONDS)
        fresh = model.wait("they are compared anew", lambda: (lambda deep: deep if (
            deep.get("challengerSamples", 0) < before["challengerSamples"]) else None)(looks()["deep"]), looks)
        self.assertFalse(looks()["small"].get("sampleRatioMismatch", False), looks())
        crowd.wait_for_split(500, {versions[name]: weight / 100 for name, weight in weights.items()}, "other weights")
        self.assertLess(fresh.get("championSamples", 0), before["championSamples"])
        model.wait("the worse one is known again", lambda: looks()["deep"]["verdict"] == "Fail", show=looks)
        self.assertFalse(looks()["small"].get("sampleRatioMismatch", False), looks())

    def guarded(self):
        """The one that errs less would have nearly everything, but it breaks a guardrail, and so it has the floor."""
        model = served.Model(self.board, "guarded", {
            "variants": [{"name": name, "weight": 50, "model": {"uri": f"oci://models/guarded:{tag}"}}
                         for name, tag in (("steady", "1-worse"), ("hasty", "2-failing"))],
            "rollout": {"analysis": OFTEN, "experiment": {
                **EXPERIMENT, "weights": "Thompson", "floor": 10, "expectedSamples": 400,
                "guardrails": [{**EXPERIMENT["guardrails"][0], "maxIncrease": "0.1"}]}}})
        model.declare()
        model.wait("both serve", lambda: [(row["weight"], row["readyReplicas"]) for row in model.status().get(
            "variants", ())] == [(50, 1), (50, 1)])
        versions = {row["name"]: row["version"] for row in model.status()["variants"]}
        crowd = self.crowd(model.host, pause=0.01)
        model.wait("it has the floor", lambda: model.weights() == {versions["steady"]: 90, versions["hasty"]: 10},
                   model.status)
        row = model.status()["comparisons"][0]
        self.assertEqual([row["variant"], row["experiment"]["verdict"]], ["hasty", "Fail"])
        self.assertIn("guardrail failures: increase of at least", row["experiment"]["message"])
        self.assertLess(float(row["experiment"]["effect"]), 0, "the primary alone speaks for it")
        self.wait_for_event(model, "VariantWorse", "variant hasty against steady: guardrail failures")
        time.sleep(served.PROXY_SECONDS)
        crowd.wait_for_split(300, {versions["steady"]: 0.9, versions["hasty"]: 0.1}, "a broken guardrail")
        self.assertEqual([variant["weight"] for variant in model.object()["spec"]["variants"]], [50, 50],
                         "the spec is the user's")
        crowd.end()

    def divided(self):
        """One model becomes two variants while it serves: it stands in for the one that doesn't get ready."""
        model, first, crowd = self.begin("divided", {}, pause=0.01)
        child, pods = model.status()["variants"][0]["service"], model.pods(first)
        same = {"name": "same", "weight": 70, "model": {"uri": "oci://models/divided:1"}}

        def declare(tag):
            model.spec["variants"] = [same, {"name": "other", "weight": 30,
                                             "model": {"uri": f"oci://models/divided:{tag}"}}]
            model.declare()

        def rows():
            return {row["name"]: row for row in model.status().get("variants", ())}

        declare("2-broken")
        model.wait("both have a version", lambda: {"same", "other"} <= rows().keys(), model.status)
        model.wait("it stands in for the other", lambda: self.backends("divided") == {
            rows()["same"]["service"]: 70, child: 30}, model.status)
        self.assertIn(f"{first} stands in for variants whose pods are not ready", model.status()["why"])
        time.sleep(served.PROXY_SECONDS)
        crowd.wait_for_split(200, {rows()["same"]["version"]: 0.7, first: 0.3}, "one stands in")
        self.assertEqual(model.pods(first), pods, "they serve on as they are")
        declare("2")
        model.wait("both variants serve", lambda: [row["weight"] for row in model.status()["variants"]] == [70, 30],
                   model.status)
        versions = {name: row["version"] for name, row in rows().items()}
        self.assertEqual(model.status()["champion"], versions["same"])
        crowd.meets(*versions.values())
        crowd.wait_for_split(200, {versions["same"]: 0.7, versions["other"]: 0.3}, "two variants")
        model.wait("the pods of before go", lambda: not model.pods(first), lambda: model.pods(first))
        self.assertEqual(set(crowd.answers), {first, *versions.values()}, "nobody met the broken one")
        self.assertEqual(self.board.not_ready[model.name], 0)
        crowd.end()

    def mismatch(self):
        """A rollout on such traffic decides nothing, and ends without a promotion."""
        model = served.Model(self.board, "pinned", {"rollout": {
            "steps": [{"weight": 50}], "analysis": OFTEN,
            "experiment": {**EXPERIMENT, "maxDuration": "1h", "onInconclusive": "Promote"}}},
            testers_get("challenger"))
        first = model.release("1")
        model.wait_for_end(first, "Promoted")
        crowd = self.crowd(model.host)
        testers = self.crowd(model.host, headers=TESTERS, pause=0.01)
        second = model.release("2")
        model.wait("it is paused", lambda: model.rollout().get("version") == second
                   and model.rollout()["phase"] == "Paused" and "sample-ratio mismatch" in model.status()["why"])
        self.assertTrue(model.rollout()["experiment"]["sampleRatioMismatch"])
        self.assertEqual(model.condition("Ready"), "True")
        # Its time is over at once.
        model.spec["rollout"]["experiment"]["maxDuration"] = "1s"
        model.release("2")
        self.assertIn("sample-ratio mismatch", model.wait_for_end(second, "RolledBack"))
        self.wait_for_event(model, "SampleRatioMismatch", second)
        crowd.meets(first)
        testers.meets(first)

    def by_pods(self):
        """Three pods and one: a quarter of the connections, about."""
        model = served.Model(self.board, "ratio", {"replicas": 3, "rollout": {
            "steps": [{"weight": 25, "pause": True}]}}, traffic={"gateway": None})
        first = model.release("1")
        model.wait_for_end(first, "Promoted")
        self.assertFalse(model.status().get("approximateSplit", False), "one version has it all")
        service = story.get("services", "ratio", self.space)
        crowd = self.crowd(model.host, service["spec"]["clusterIP"], every=True)
        second = model.release("2")
        model.wait_for_step(second, 0)
        self.assertTrue(model.status()["approximateSplit"])
        self.assertEqual(model.weights(), {first: 75, second: 25})
        self.assertEqual([len(model.pods(version)) for version in (first, second)], [3, 1])
        self.assertFalse(story.get("httproutes.gateway.networking.k8s.io", "ratio", self.space))
        crowd.wait_for_split(400, {first: 0.75, second: 0.25}, "by numbers of pods")
        model.resume(second)
        model.wait_for_end(second, "Promoted")
        crowd.meets(second)
        model.wait("only one version has pods", lambda: not model.pods(first))
        self.assertEqual(len(model.pods(second)), 3)
        model.wait("one version has it all again", lambda: not model.status().get("approximateSplit", False))


if __name__ == "__main__":
    unittest.main(verbosity=2)
