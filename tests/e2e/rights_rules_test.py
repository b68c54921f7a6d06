#!/usr/bin/env python3
"""rights.py on small recorded inputs: what would make the story of rights fail does."""

import json
import pathlib
import unittest

import rights
from rights import Right

TESTS = pathlib.Path(__file__).resolve().parent.parent
USER = "system:serviceaccount:perennial-system:perennial-controller"
DEFAULTS = {"rbac": {"secretNamespaces": []}, "monitors": {"configMapBaselines": False},
            "workloads": {"kinds": [], "configMapResults": False}}


def line(verb, resource, group="", code=200, user=USER, decision="allow", at="2026-11-26T12:00:00.000000Z",
         message="", **target):
    """A line of an audit log at the level Metadata, as kube-apiserver 1.37 writes it."""
    return json.dumps({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete",
        "requestURI": f"/apis/{group}/{resource}", "verb": verb,
        "user": {"username": user, "groups": ["system:serviceaccounts", "system:authenticated"]},
        "objectRef": {"resource": resource, "apiGroup": group, "apiVersion": "v1", **target},
        "responseStatus": {"metadata": {}, "code": code, "message": message},
        "requestReceivedTimestamp": at, "annotations": {"authorization.k8s.io/decision": decision},
    })


def found(*lines):
    return rights.requests(lines, USER)


def bound(name, kind="ClusterRole", namespace=None, subject=None):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"metadata": metadata, "roleRef": {"kind": kind, "name": name},
            "subjects": [subject or {"kind": "ServiceAccount", "name": "perennial-controller",
                                     "namespace": "perennial-system"}]}


class Requests(unittest.TestCase):
    def test_are_those_of_the_user_and_of_objects(self):
        self.assertEqual(found(line("get", "pods", user="somebody"), line("get", "pods", user=USER + "-2")), [])
        version = json.loads(line("get", "pods"))
        del version["objectRef"]
        self.assertEqual(found(json.dumps(version)), [])
        one, = found(line("patch", "deployments", "apps", namespace="transit", name="x", subresource="status"))
        self.assertEqual(one.right, Right("patch", "apps", "deployments/status", "x", "transit"))

    def test_of_an_apply_that_made_its_object_needed_create_too(self):
        made, changed = found(line("patch", "services", code=201, namespace="t", name="a"),
                              line("patch", "services", code=200, namespace="t", name="b"))
        self.assertEqual(rights.uses([made]), {Right("patch", "", "services", "a", "t"),
                                               Right("create", "", "services", "a", "t")})
        self.assertEqual(rights.uses([changed]), {Right("patch", "", "services", "b", "t")})

    def test_are_refused_by_rbac_and_not_by_admission(self):
        rbac, token, late, admission, conflict = found(
            line("list", "pods", code=403, decision="forbid"),
            line("list", "pods", code=401, decision=""),
            line("patch", "services", code=403, message=f'services "x" is forbidden: User "{USER}" cannot create '
                 'resource "services" in API group "" in the namespace "t"'),
            line("patch", "services", code=403, message='services "x" is forbidden: unable to create new content '
                 'in namespace t because it is being terminated'),
            line("patch", "services", code=409))
        self.assertTrue(rbac.refused and token.refused and late.refused)
        self.assertFalse(admission.refused or conflict.refused)


class Granted(unittest.TestCase):
    RULES = {
        ("ClusterRole", "controller"): [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
                                        {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}],
        ("ClusterRole", "secrets"): [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
        ("Role", "lease"): [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["patch"],
                             "resourceNames": ["a", "b"]}],
    }

    def granted(self, *bindings):
        return rights.granted(bindings, lambda kind, _, name: self.RULES[kind, name], "perennial-controller",
                              "perennial-system")

    def test_are_the_rights_of_every_binding_where_it_is(self):
        self.assertEqual(
            self.granted(bound("controller"), bound("secrets", namespace="transit"),
                         bound("lease", "Role", "perennial-system")),
            {Right("get", "apps", "deployments", "", ""), Right("get", "", "secrets", "", "transit"),
             Right("patch", "coordination.k8s.io", "leases", "a", "perennial-system"),
             Right("patch", "coordination.k8s.io", "leases", "b", "perennial-system")})

    def test_by_whatever_name_of_the_account(self):
        everywhere = {Right("get", "", "secrets", "", "")}
        for subject in ({"kind": "User", "name": USER}, {"kind": "Group", "name": "system:serviceaccounts"},
                        {"kind": "Group", "name": "system:serviceaccounts:perennial-system"}):
            self.assertEqual(self.granted(bound("secrets", subject=subject)), everywhere, subject)
        for subject in ({"kind": "User", "name": "perennial-controller"},
                        {"kind": "Group", "name": "system:serviceaccounts:other"},
                        {"kind": "ServiceAccount", "name": "perennial-controller", "namespace": "other"}):
            self.assertEqual(self.granted(bound("secrets", subject=subject)), set(), subject)


class Compared(unittest.TestCase):
    def test_a_right_that_nobody_used_is_found(self):
        right = Right("delete", "apps", "deployments", "", "")
        self.assertEqual(rights.unused({right}, found()), {right})
        used = line("delete", "deployments", "apps", namespace="t", name="x")
        self.assertEqual(rights.unused({right}, found(used)), set())
        refused = line("delete", "deployments", "apps", code=403, decision="forbid", namespace="t", name="x")
        self.assertEqual(rights.unused({right}, found(refused)), {right})

    def test_a_use_elsewhere_or_of_another_object_is_none(self):
        lease = Right("patch", "coordination.k8s.io", "leases", "shard-0", "perennial-system")
        secret = Right("get", "", "secrets", "", "transit")
        self.assertEqual(
            rights.unused({lease, secret}, found(
                line("patch", "leases", "coordination.k8s.io", namespace="perennial-system", name="shard-1"),
                line("get", "secrets", namespace="rides", name="x"))),
            {lease, secret})

    def test_create_is_used_by_an_apply_that_made_something(self):
        right = Right("create", "policy", "poddisruptionbudgets", "", "")
        apply = dict(namespace="t", name="x", group="policy")
        self.assertEqual(rights.unused({right}, found(line("patch", "poddisruptionbudgets", **apply))), {right})
        self.assertEqual(rights.unused({right}, found(line("patch", "poddisruptionbudgets", code=201, **apply))),
                         set())

    def test_what_is_never_asked_for_must_not_be(self):
        self.assertEqual(rights.asked_after_all(found(line("get", "jobs", "batch"))), set())
        asked = line("update", "modeldeployments", "perennial.dev", subresource="finalizers", name="x")
        self.assertEqual(rights.asked_after_all(found(asked)),
                         {("update", "perennial.dev", "modeldeployments/finalizers")})

    def test_whoever_asks_seldom_has_a_test(self):
        for right, (path, name) in rights.SELDOM_ASKED.items():
            self.assertIn(name, (TESTS / path).read_text(encoding="utf-8"), right)

    def test_refusals_are_told_by_namespace_and_since_the_installation(self):
        refused = found(
            line("get", "secrets", code=403, decision="forbid", namespace="transit", name="m"),
            line("list", "configmaps", code=403, decision="forbid"),
            line("list", "pods", code=403, decision="forbid", at="2026-11-26T11:00:00.000000Z"))
        since = "2026-11-26T11:59:59Z"
        self.assertEqual(rights.refusals(refused, since),
                         {"transit": {("get", "", "secrets")}, "": {("list", "", "configmaps")}})
        self.assertEqual(rights.refusals(refused, since, {("list", "", "configmaps")}),
                         {"transit": {("get", "", "secrets")}})


class Options(unittest.TestCase):
    def test_of_the_chart_allow_what_they_grant_and_no_more(self):
        secret = Right("get", "", "secrets", "", "transit")
        listed = Right("list", "", "configmaps", "", "")
        self.assertEqual(rights.too_far({secret, listed}, DEFAULTS), {secret, listed})
        values = {**DEFAULTS, "rbac": {"secretNamespaces": ["transit"]}, "monitors": {"configMapBaselines": True}}
        self.assertEqual(rights.too_far({secret, listed}, values), set())
        elsewhere = {secret._replace(namespace=""), secret._replace(namespace="rides"),
                     secret._replace(verb="list"), listed._replace(verb="get")}
        self.assertEqual(rights.too_far(elsewhere, values), elsewhere)

    def test_that_are_on_grant_something(self):
        values = {**DEFAULTS, "workloads": {"configMapResults": False, "kinds": [
            {"group": "trainer.kubeflow.org", "version": "v1alpha1", "kind": "TrainJob"}]}}
        self.assertEqual(len(rights.missing(set(), values)), len(rights.CHANGES))
        have = {Right(verb, "trainer.kubeflow.org", "trainjobs", "", "") for verb in rights.CHANGES}
        self.assertEqual(rights.missing(have, values), set())

    def test_no_right_is_for_everything_or_over_others(self):
        for right in (Right("*", "apps", "deployments", "", ""), Right("get", "", "pods/exec", "", ""),
                      Right("impersonate", "", "users", "", ""), Right("get", "apps", "*", "", ""),
                      Right("get", "rbac.authorization.k8s.io", "roles", "", ""),
                      Right("get", "", "serviceaccounts/token", "", "")):
            self.assertEqual(rights.too_far({right}, DEFAULTS), {right})
        fine = Right("list", "", "pods", "", "")
        self.assertEqual(rights.too_far({fine}, DEFAULTS), set())


if __name__ == "__main__":
    unittest.main()
