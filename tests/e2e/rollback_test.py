#!/usr/bin/env python3
"""A challenger that is worse on live traffic never stays: it is rolled back, and no rider notices.

Starts from what hack/demo leaves: a champion that was trained in the snow, and traffic.
"""

import json
import time
import unittest

import story


def train_for_another_world():
    """Trains a model on trips that look nothing like today's; returns its reference."""
    job = json.loads(
        story.kubectl(
            "create", "--dry-run=client", "-o", "json", "-f",
            story.ROOT / "samples/departures/manifests/bootstrap-job.yaml",
        )
    )
    job["metadata"]["name"] = "another-world"
    for part in (job["metadata"], job["spec"]["template"]["metadata"]):
        part["labels"] = {"app.kubernetes.io/name": "another-world"}
    for variable in job["spec"]["template"]["spec"]["containers"][0]["env"]:
        if variable["name"] == "DATA_URL":
            variable["value"] = variable["value"].replace("change=none", "change=timetable")
    story.kubectl("-n", story.TRANSIT, "delete", "job", "another-world", "--ignore-not-found")
    story.apply(job)
    story.kubectl(
        "-n", story.TRANSIT, "wait", "--for=condition=Complete", "job/another-world", f"--timeout={story.PATIENCE}s"
    )
    # A busy feed may have failed one before it.
    pods = [pod for pod in story.get("pods", selector="app.kubernetes.io/name=another-world")
            if pod["status"]["phase"] == "Succeeded"]
    result = pods[0]["status"]["containerStatuses"][0]["state"]["terminated"]["message"]
    return json.loads(result)["artifact"]


class Rollback(unittest.TestCase):
    def test_a_worse_challenger_is_rolled_back_and_no_request_fails(self):
        before = story.model_deployment()["status"]
        champion = before["champion"]
        weights_before = story.route_weights()
        self.assertEqual(list(weights_before.values()), [100], "one version should have all traffic")
        failed_before = story.next_load_driver_line()["failed"]

        worse = train_for_another_world()
        story.kubectl(
            "-n", story.TRANSIT, "patch", "modeldeployment", "departures", "--type=merge",
            "-p", json.dumps({"spec": {"model": worse}}),
        )
        versions = story.wait_for("a ModelVersion of the new spec.model", story.PATIENCE, lambda: [
            v for v in story.get("modelversions.perennial.dev")
            if v["spec"]["model"]["digest"] == worse["digest"]
        ])
        self.assertEqual(len(versions), 1)
        challenger = versions[0]["metadata"]["name"]
        self.assertEqual(versions[0]["spec"]["origin"]["type"], "Spec")

        story.wait_for(
            "the challenger gets a share of the traffic", story.PATIENCE,
            lambda: sorted(story.route_weights().values()) in ([20, 80], [50, 50]), story.route_weights,
        )

        def rolled_back():
            rollout = story.model_deployment()["status"].get("rollout") or {}
            return rollout if rollout.get("phase") in ("RolledBack", "Promoted") else None

        rollout = story.wait_for("the rollout ends", story.PATIENCE, rolled_back,
                                 lambda: story.model_deployment()["status"].get("rollout"))
        self.assertEqual(rollout["phase"], "RolledBack", rollout)
        self.assertEqual(rollout["version"], challenger)
        self.check_verdict(rollout)

        # The backend is removed, not weighted 0: a sticky session would outlive a 0.
        story.wait_for("only the champion is in the route", story.PATIENCE,
                       lambda: story.route_weights() == weights_before, story.route_weights)
        version = story.wait_for(
            "the version is rejected", story.PATIENCE,
            lambda: next((v for v in story.get("modelversions.perennial.dev")
                          if v["metadata"]["name"] == challenger
                          and v.get("status", {}).get("phase") == "Rejected"), None),
        )
        self.assertTrue(version["status"]["rejectedBy"], version["status"])
        story.wait_for(
            "the challenger's pods go", story.PATIENCE,
            lambda: not story.get("pods", selector=f"perennial.dev/model-version={challenger}"),
        )
        self.check_it_stays_so(champion, challenger, weights_before, failed_before)

    def check_verdict(self, rollout):
        experiment = rollout["experiment"]
        self.assertEqual(experiment["verdict"], "Fail", experiment)
        self.assertGreater(float(experiment["effect"]), 0, experiment)
        self.assertGreaterEqual(experiment["challengerSamples"], 100)

    def check_it_stays_so(self, champion, challenger, weights, failed_before):
        """spec.model still names the bad artifact; that must not bring it back."""
        story.next_load_driver_line()
        answered = story.next_load_driver_line()["by_version"]
        self.assertGreater(answered.get(challenger, 0), 0, "the challenger never answered anybody")
        until = time.monotonic() + 8
        while time.monotonic() < until:
            self.assertEqual(story.route_weights(), weights)
            time.sleep(1)
        status = story.model_deployment()["status"]
        self.assertEqual(status["champion"], champion)
        self.assertEqual(status["history"][0]["version"], challenger)
        self.assertEqual(status["history"][0]["outcome"], "RolledBack")
        last = story.next_load_driver_line()
        self.assertEqual(last["by_version"][challenger], answered[challenger],
                         "a version that was rolled back got traffic again")
        self.assertEqual(last["failed"], failed_before, last.get("last_error"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
