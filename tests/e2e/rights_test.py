#!/usr/bin/env python3
"""The controller has the rights that it needs and no others.

Reads the API server's audit log of all the stories before: nothing was ever refused, and each right
that the chart grants was used.
"""

import json
import os
import unittest

import story

CONTROLLER = f"system:serviceaccount:{story.SYSTEM}:perennial-controller"
# Rights that no good day needs, and why they are granted.
NEEDED_OTHERWISE = {
    # Where OwnerReferencesPermissionEnforcement is on, which it isn't in this cluster.
    ("update", "perennial.dev", "modeldeployments/finalizers"),
    ("update", "perennial.dev", "retrainpolicies/finalizers"),
    # What admission asks about the author of a ModelApproval; nobody sends it as a request.
    ("approve", "perennial.dev", "modelversions"),
    # The audit log calls a server-side apply that creates an object a patch.
    ("create", "apps", "deployments"),
    ("create", "", "services"),
    ("create", "gateway.networking.k8s.io", "httproutes"),
    ("create", "gateway.networking.k8s.io", "grpcroutes"),
    ("create", "autoscaling", "horizontalpodautoscalers"),
    ("create", "policy", "poddisruptionbudgets"),
    ("create", "batch", "cronjobs"),
    # A running Job whose label somebody took away gets it back (tests/integration/workload_test.cc).
    ("patch", "batch", "jobs"),
    # What a status says is read before a failure is told in it.
    ("get", "perennial.dev", "modeldeployments"),
    ("get", "perennial.dev", "driftmonitors"),
    ("get", "perennial.dev", "retrainpolicies"),
    ("get", "perennial.dev", "modelversions"),
    # What changes is read first; what is new is not.
    ("get", "autoscaling", "horizontalpodautoscalers"),
    ("get", "policy", "poddisruptionbudgets"),
    ("get", "batch", "cronjobs"),
    ("get", "gateway.networking.k8s.io", "grpcroutes"),
    # Is what already has the name of a new object that very object?
    ("get", "perennial.dev", "modelapprovals"),
    ("get", "batch", "jobs"),
    # Nobody scrapes the controller in these stories; tests/integration/metrics_access_test.cc asks
    # with real users.
    ("create", "authentication.k8s.io", "tokenreviews"),
    ("create", "authorization.k8s.io", "subjectaccessreviews"),
    # A run that is over its deadline; a gateway that is taken out of a spec; an event again.
    ("delete", "batch", "jobs"),
    ("delete", "gateway.networking.k8s.io", "httproutes"),
    ("patch", "events.k8s.io", "events"),
}


def requests():
    """Returns [((verb, group, resource), refused, uri, time)] of all requests of the controller."""
    found = []
    with open(os.environ["PERENNIAL_AUDIT_LOG"], encoding="utf-8") as stream:
        for line in stream:
            if CONTROLLER not in line:
                continue
            event = json.loads(line)
            target = event.get("objectRef")
            if event["user"]["username"] != CONTROLLER or not target:
                continue
            resource = target.get("resource", "")
            if target.get("subresource"):
                resource += "/" + target["subresource"]
            right = (event["verb"], target.get("apiGroup", ""), resource)
            # A 403 alone says too little: admission answers with it too, when a namespace that is being
            # deleted gets a new object.
            decision = event.get("annotations", {}).get("authorization.k8s.io/decision")
            refused = decision == "forbid" or event.get("responseStatus", {}).get("code") == 401
            found.append((
                right, refused, event["requestURI"], event["requestReceivedTimestamp"],
            ))
    return found


def granted():
    """Returns the rights of the roles that are bound to the controller."""
    rights = set()
    for kind in ("role", "clusterrole"):
        bindings = story.get(f"{kind}bindings", namespace=story.SYSTEM)
        names = {
            binding["roleRef"]["name"] for binding in bindings
            if any(s["kind"] == "ServiceAccount" and s["name"] == "perennial-controller"
                   and s.get("namespace") == story.SYSTEM for s in binding.get("subjects", ()))
        }
        for name in names:
            for rule in story.get(kind, name, story.SYSTEM)["rules"]:
                rights |= {
                    (verb, group, resource)
                    for verb in rule["verbs"]
                    for group in rule["apiGroups"]
                    for resource in rule["resources"]
                }
    return rights


class Rights(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.requests = requests()
        cls.granted = granted()

    def test_nothing_was_refused(self):
        self.assertGreater(len(self.requests), 100, "the audit log misses the controller")
        # An earlier release's last words, after an uninstall took its rights, don't count.
        bound = story.get("clusterrolebindings", "perennial-controller")
        since = bound["metadata"]["creationTimestamp"]
        refused = {
            (right, uri) for right, refused, uri, at in self.requests if refused and at > since
        }
        self.assertEqual(refused, set())

    def test_every_right_was_used(self):
        self.assertGreater(len(self.granted), 20)
        used = {right for right, _, _, _ in self.requests}
        self.assertEqual(self.granted - used - NEEDED_OTHERWISE, set())

    def test_no_right_reaches_further(self):
        for verb, group, resource in self.granted:
            self.assertNotIn("*", verb + group + resource)
            self.assertNotIn(resource.split("/")[0], ("secrets", "configmaps", "serviceaccounts"))
            self.assertNotIn(verb, ("bind", "escalate", "impersonate"))
            self.assertNotIn(resource, ("pods/exec", "pods/attach", "pods/portforward"))
            self.assertNotEqual(group, "rbac.authorization.k8s.io")


if __name__ == "__main__":
    unittest.main(verbosity=2)
