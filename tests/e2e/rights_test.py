#!/usr/bin/env python3
"""The controller has the rights that it needs and no others.

Reads the API server's audit log of all the stories, after the last of them: nothing was refused, and each
right that is granted was used, or a test says who needs it. What is compared how is rights.py's.
"""

import json
import os
import pathlib
import unittest

import rights
import story

ACCOUNT = "perennial-controller"
USER = f"system:serviceaccount:{story.SYSTEM}:{ACCOUNT}"


def requests():
    log = pathlib.Path(os.environ["PERENNIAL_AUDIT_LOG"])
    found = []
    # A log that grew too long lies beside it, with the time in its name.
    for path in sorted(log.parent.glob(log.stem + "*" + log.suffix)):
        with open(path, encoding="utf-8") as stream:
            found += rights.requests(stream, USER)
    return found


def granted():
    # What Kubernetes itself grants to every service account is not ours to take away.
    bindings = [
        binding for kind in ("clusterrolebindings", "rolebindings")
        for binding in json.loads(story.kubectl("get", kind, "-A", "-o", "json",
                                                "-l", "kubernetes.io/bootstrapping!=rbac-defaults"))["items"]
    ]

    def rules_of(kind, namespace, name):
        return story.get(kind.lower(), name, namespace or "default").get("rules") or ()

    return rights.granted(bindings, rules_of, ACCOUNT, story.SYSTEM)


def values():
    """Returns the values of the release that is there, those of the chart among them."""
    return json.loads(story.run("helm", "--namespace", story.SYSTEM, "get", "values", "perennial", "--all",
                                "--output", "json"))


class Rights(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.requests = requests()
        cls.granted = granted()
        cls.values = values()

    def test_nothing_was_refused(self):
        self.assertGreater(len(self.requests), 100, "the audit log misses the controller")
        # An earlier release's last words, after an uninstall took its rights, don't count.
        bound = story.get("clusterrolebindings", "perennial-controller")
        # The story of the guide to drift turns this off again while its monitor may still be there.
        withdrawn = {("list", "", "configmaps"), ("watch", "", "configmaps")}
        if self.values["workloads"]["configMapResults"] or self.values["monitors"]["configMapBaselines"]:
            withdrawn = set()
        refused = rights.refusals(self.requests, bound["metadata"]["creationTimestamp"], withdrawn)
        self.assertEqual(refused, {})

    def test_every_right_was_used(self):
        self.assertGreater(len(self.granted), 20)
        self.assertEqual(rights.unused(self.granted, self.requests), set())

    def test_what_is_said_never_to_be_asked_for_was_not(self):
        self.assertEqual(rights.asked_after_all(self.requests), set())

    def test_no_right_reaches_further(self):
        self.assertEqual(rights.too_far(self.granted, self.values), set())

    def test_the_charts_options_grant_what_they_say(self):
        self.assertEqual(rights.missing(self.granted, self.values), set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
