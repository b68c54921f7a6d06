#!/usr/bin/env python3
"""Splits on a cluster, side by side: three variants behind a gateway and what they are told apart by, numbers of
requests that don't come from the split, and a split by numbers of pods where there is no gateway.

Needs a cluster with the controller in it.
"""

import unittest

import served
import story

TESTERS = {"x-tester": "yes"}
EXPERIMENT = {
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


class Variants(served.Scenes):
    space = "variants"

    def test_splits(self):
        served.side_by_side(self.three_ways, self.mismatch, self.by_pods)
        self.judge_crowds()

    def events(self, reason):
        return [event["message"] for event in story.get("events", namespace=self.space) if event["reason"] == reason]

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
        story.assert_split(crowd.next(500), wanted, "three variants")

        def verdicts():
            return {row["variant"]: row["experiment"] for row in model.status().get("comparisons", ())}

        model.wait("the worse one is known", lambda: verdicts().get("deep", {}).get("verdict") == "Fail",
                   show=verdicts)
        self.assertNotIn(verdicts()["small"]["verdict"], ("Pass", "Fail"))
        self.assertFalse(verdicts()["small"].get("sampleRatioMismatch", False))
        testers = self.crowd(model.host, headers=TESTERS, pause=0.01)
        testers.meets(versions["small"])
        model.wait("the ratio is known to be wrong", lambda: verdicts()["small"].get("sampleRatioMismatch"),
                   show=verdicts)
        self.assertEqual(verdicts()["small"]["verdict"], "Inconclusive")
        self.assertIn("sample-ratio mismatch", verdicts()["small"]["message"])
        self.assertEqual(verdicts()["deep"]["verdict"], "Fail", "the others' ratio is right")
        self.assertEqual(len(self.events("VariantWorse")), 1)
        self.assertTrue(any("variant small" in message for message in self.events("SampleRatioMismatch")))
        story.assert_split(crowd.next(300), wanted, "nothing moves by itself")

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
        self.assertTrue(any(second in message for message in self.events("SampleRatioMismatch")))
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
        story.assert_split(crowd.next(400), {first: 0.75, second: 0.25}, "by numbers of pods")
        model.annotate("resume", second)
        model.wait_for_end(second, "Promoted")
        crowd.meets(second)
        model.wait("only one version has pods", lambda: not model.pods(first))
        self.assertEqual(len(model.pods(second)), 3)
        self.assertFalse(model.status().get("approximateSplit", False))


if __name__ == "__main__":
    unittest.main(verbosity=2)
