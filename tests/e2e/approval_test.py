#!/usr/bin/env python3
"""The world changes once more, but now a person has to agree, and the controller is killed on the way.

Starts from what rollback_test.py leaves: a champion that was trained in the snow, traffic, and a
spec.model that names a rejected artifact.
"""

import json
import os
import subprocess
import time
import unittest

import story

PLUGIN = os.environ["PERENNIAL_PLUGIN"]


def approve(kubeconfig, version):
    """Runs the plugin as somebody; returns (exit code, what it said)."""
    done = subprocess.run(
        [PLUGIN, "--kubeconfig", kubeconfig, "-n", story.TRANSIT, "approve", version,
         "--reason", "the timetable changed"],
        capture_output=True, text=True, timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def may(kubeconfig, verb, *arguments):
    """Returns what the API server has against it, if somebody does this to the ModelDeployment."""
    dry = [] if verb == "get" else ["--dry-run=server"]
    done = subprocess.run(
        ["kubectl", "--kubeconfig", kubeconfig, "-n", story.TRANSIT, verb, "modeldeployment", "departures", *dry,
         *arguments], capture_output=True, text=True, timeout=60)
    if done.returncode == 0:
        return ""
    return done.stderr or f"exit code {done.returncode}"


def version_in(phase, known):
    for version in story.get("modelversions.perennial.dev"):
        if version["metadata"]["name"] not in known and version.get("status", {}).get("phase") == phase:
            return version
    return None


class Approval(unittest.TestCase):
    def setUp(self):
        self.champion = story.model_deployment()["status"]["champion"]
        self.known = {v["metadata"]["name"] for v in story.get("modelversions.perennial.dev")}
        self.failed_before = story.next_load_driver_line()["failed"]
        self.approvals_before = story.get("modelapprovals.perennial.dev")
        self.jobs_before = {job["metadata"]["name"] for job in story.get(
            "jobs", selector="perennial.dev/retrain-policy=departures")}

    def require_approval(self):
        story.kubectl(
            "-n", story.TRANSIT, "patch", "modeldeployment", "departures", "--type=merge",
            "-p", json.dumps({"spec": {"approval": {"required": True, "approvers": 1}}}),
        )

    def change_the_world(self):
        story.kubectl("-n", story.TRANSIT, "exec", "deploy/feed", "--", "python3", "-m", "departures",
                      "call", "POST", "/world", json.dumps({"change": "timetable"}))

    def check_unapproved_gets_nothing(self, version):
        until = time.monotonic() + 5
        while time.monotonic() < until:
            self.assertEqual(list(story.route_weights().values()), [100])
            self.assertEqual(
                story.get("pods", selector=f"perennial.dev/model-version={version}"), [])
            time.sleep(1)

    def check_who_may_what(self, version):
        """Commands are annotations, for those who may edit; what was seen, and approvals, are not theirs."""
        viewer, editor = story.user("vic", "perennial-view"), story.user("bob", "perennial-edit")
        # Asked of the API server, and not carried out.
        annotate = ("annotate", "--overwrite", f"perennial.dev/abort={version}")
        status = ("patch", "--subresource=status", "--type=merge", "-p", '{"status": {"champion": "another"}}')
        self.assertEqual(may(viewer, "get"), "")
        self.assertIn("forbidden", may(viewer, *annotate))
        self.assertIn("forbidden", may(viewer, *status))
        self.assertEqual(may(editor, *annotate), "")
        self.assertIn("forbidden", may(editor, *status))
        for kubeconfig, name in ((viewer, "vic"), (editor, "bob")):
            code, said = approve(kubeconfig, version)
            self.assertNotEqual(code, 0, said)
            self.assertIn(name, said)
        self.assertEqual(story.get("modelapprovals.perennial.dev"), self.approvals_before)

    def test_a_person_agrees_and_a_crash_changes_nothing(self):
        self.require_approval()
        self.change_the_world()
        made = story.wait_for(
            "a retrained version awaits approval", story.PATIENCE,
            lambda: version_in("AwaitingApproval", self.known),
            lambda: [v.get("status") for v in story.get("modelversions.perennial.dev")],
        )
        name = made["metadata"]["name"]
        self.assertEqual(made["spec"]["origin"]["triggerType"], "Drift")
        self.check_unapproved_gets_nothing(name)

        self.check_who_may_what(name)
        self.check_unapproved_gets_nothing(name)
        code, said = approve(story.user("ann", "perennial-approver"), name)
        self.assertEqual(code, 0, said)

        story.wait_for("the rollout begins", story.PATIENCE, lambda: len(story.route_weights()) == 2,
                       lambda: story.model_deployment()["status"].get("why"))
        story.kill_controller()

        def halfway():
            rollout = story.model_deployment()["status"].get("rollout") or {}
            return rollout.get("step") == 1 or rollout.get("phase") == "Promoted"

        story.wait_for("the second step", story.PATIENCE, halfway,
                       lambda: story.model_deployment()["status"].get("why"))
        story.kill_controller()
        story.wait_for(
            "the promotion", story.PATIENCE,
            lambda: story.condition(story.model_deployment(), "Promoted") == "True",
            lambda: story.model_deployment()["status"].get("why"),
        )
        self.check_outcome(name)

    def check_outcome(self, name):
        status = story.model_deployment()["status"]
        self.assertEqual(status["champion"], name)
        promotions = [entry for entry in status["history"]
                      if entry["version"] == name and entry["outcome"] == "Promoted"]
        self.assertEqual(len(promotions), 1, status["history"])
        version = story.get("modelversions.perennial.dev", name)
        self.assertEqual(version["status"]["approvedBy"], ["ann"])
        self.assertEqual(version["spec"]["parent"], self.champion)
        story.wait_for("only the new champion is in the route", story.PATIENCE,
                       lambda: list(story.route_weights().values()) == [100], story.route_weights)
        # One drift, one run, one Job: whatever was killed in between.
        jobs = {job["metadata"]["name"] for job in story.get(
            "jobs", selector="perennial.dev/retrain-policy=departures")}
        self.assertEqual(len(jobs - self.jobs_before), 1, jobs)
        last = story.next_load_driver_line()
        self.assertEqual(last["failed"], self.failed_before, last.get("last_error"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
