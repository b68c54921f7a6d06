#!/usr/bin/env python3
"""Perennial is installed by Helm and by kubectl into a restricted namespace, works, and goes again
without leaving anything behind but its CRDs and what users declared."""

import json
import os
import tempfile
import unittest

import story

CHART = story.ROOT / "charts/perennial"
PLAYGROUND = "playground"
LIMIT = f"{story.PATIENCE}s"
# Everything that the API server makes in each namespace.
FEW_MODELS = 40
EVERYWHERE = {
    ("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default"),
}


def make_namespaces():
    for name in (story.SYSTEM, PLAYGROUND):
        story.apply({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        })


def remove_namespaces():
    for name in (PLAYGROUND, story.SYSTEM):
        story.kubectl("delete", "namespace", name, "--ignore-not-found", f"--timeout={LIMIT}")


def model(name):
    """A ModelDeployment that needs no image to be served: the pods may never start."""
    return {
        "apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": PLAYGROUND},
        "spec": {
            "model": {"uri": "https://models.example.org/a", "digest": "sha256:" + "0" * 64},
            "template": {"spec": {
                "securityContext": {
                    "runAsNonRoot": True, "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "model", "image": "models.example.org/none:1",
                    "imagePullPolicy": "Never",
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "securityContext": {
                        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
                    },
                }],
            }},
        },
    }


def left_in(namespace):
    """Returns (kind, name) of all that a namespace holds beside what every namespace has."""
    kinds = story.kubectl(
        "api-resources", "--namespaced", "--verbs=list", "-o", "name"
    ).split()
    kinds = [k for k in kinds if not k.startswith("events")]
    found = json.loads(story.kubectl("get", ",".join(kinds), "-n", namespace, "-o", "json"))
    return {(o["kind"], o["metadata"]["name"]) for o in found["items"]} - EVERYWHERE


def left_in_cluster():
    """Returns (kind, name) of the cluster's own objects that are Perennial's by label."""
    kinds = story.kubectl(
        "api-resources", "--namespaced=false", "--verbs=list", "-o", "name"
    ).split()
    found = set()
    for label in ("app.kubernetes.io/part-of=perennial", "app.kubernetes.io/name=perennial"):
        objects = json.loads(story.kubectl("get", ",".join(kinds), "-l", label, "-o", "json"))
        found |= {(o["kind"], o["metadata"]["name"]) for o in objects["items"]}
    return found


class Install(unittest.TestCase):
    def setUp(self):
        make_namespaces()

    def tearDown(self):
        remove_namespaces()

    def check_controller_works(self, name):
        """It answers to a new object, makes its children and removes them with it."""
        story.apply(model(name))
        story.wait_for(
            f"a status of {name} at its generation", story.PATIENCE,
            lambda: story.model_deployment(name, PLAYGROUND).get("status", {})
            .get("observedGeneration") == 1,
            lambda: story.model_deployment(name, PLAYGROUND).get("status"),
        )
        story.wait_for(
            f"a Deployment for {name}", story.PATIENCE,
            lambda: story.get("deployments", namespace=PLAYGROUND,
                              selector=f"perennial.dev/model-deployment={name}"),
        )
        # Nothing can start, so nobody may say that it is ready.
        self.assertEqual(
            story.condition(story.model_deployment(name, PLAYGROUND), "Ready"), "False"
        )

    def check_children_go_with(self, name):
        story.kubectl("delete", "modeldeployment", name, "-n", PLAYGROUND, f"--timeout={LIMIT}")

        def children():
            return {thing for thing in left_in(PLAYGROUND) if thing[1].startswith(name)}

        story.wait_for(f"{name}'s children are gone", story.PATIENCE, lambda: not children(), children)

    def controller_pods(self):
        return story.get("pods", namespace=story.SYSTEM,
                         selector="app.kubernetes.io/component=controller")

    def test_helm_installs_upgrades_and_uninstalls(self):
        helm = ["helm", "--namespace", story.SYSTEM]
        story.run(*helm, "install", "perennial", CHART, "--set", "image.tag=dev",
                  "--wait", "--timeout", LIMIT)
        self.assertEqual(len(self.controller_pods()), 1)
        self.check_controller_works("first")

        story.run(*helm, "upgrade", "perennial", CHART, "--set", "image.tag=dev",
                  "--set", "replicaCount=2", "--set", "controller.logLevel=debug",
                  "--wait", "--timeout", LIMIT)
        pods = story.wait_for(
            "two new replicas", story.PATIENCE,
            lambda: (lambda pods: pods if len(pods) == 2 else None)(self.controller_pods()))
        for pod in pods:
            self.assertIn("--log-level=debug", pod["spec"]["containers"][0]["args"])
            self.assertEqual(pod["status"]["containerStatuses"][0]["restartCount"], 0)
        names = [pod["metadata"]["name"] for pod in pods]

        def holder():
            return story.get("lease", "perennial-controller", story.SYSTEM)["spec"].get("holderIdentity")

        story.wait_for("one of the new replicas leads", story.PATIENCE,
                       lambda: any((holder() or "").startswith(name) for name in names), holder)
        self.assertTrue(story.model_deployment("first", PLAYGROUND), "an upgrade lost a resource")
        self.check_controller_works("second")
        self.check_children_go_with("second")

        story.run(*helm, "uninstall", "perennial", "--wait", "--timeout", LIMIT)
        story.wait_for("nothing is left in the namespace", story.PATIENCE,
                       lambda: not left_in(story.SYSTEM), lambda: left_in(story.SYSTEM))
        left = left_in_cluster()
        self.assertEqual({kind for kind, _ in left}, {"CustomResourceDefinition"}, left)
        self.assertEqual(len(left), 5)
        self.assertTrue(story.model_deployment("first", PLAYGROUND), "an uninstall lost a resource")

    def throttled(self, pod):
        """Returns in how many periods the kernel kept a pod's container from the processor."""
        node = pod["spec"]["nodeName"]
        for line in story.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/cadvisor").splitlines():
            if line.startswith("container_cpu_cfs_throttled_periods_total{") and \
                    f'pod="{pod["metadata"]["name"]}"' in line and 'container="controller"' in line:
                return float(line.split("} ")[1].split()[0])
        return None

    def test_works_with_a_twentieth_of_a_processor_and_64_mebibytes(self):
        """What it can't do at once it does later: it keeps its Lease, and nobody ends it for being slow or large."""
        story.run("helm", "--namespace", story.SYSTEM, "install", "perennial", CHART, "--set", "image.tag=dev",
                  "--set", "resources.limits.cpu=50m", "--set", "resources.limits.memory=64Mi",
                  "--wait", "--timeout", LIMIT)
        names = [f"slow-{number}" for number in range(FEW_MODELS)]
        models = [model(name) for name in names]
        for one in models:
            one["spec"]["replicas"] = 0
        story.apply({"apiVersion": "v1", "kind": "List", "items": models})

        def without_deployment():
            made = {deployment["metadata"]["labels"]["perennial.dev/model-deployment"]
                    for deployment in story.get("deployments", namespace=PLAYGROUND)}
            return set(names) - made

        story.wait_for("a Deployment for each model", story.PATIENCE, lambda: not without_deployment(),
                       without_deployment)
        self.check_controller_works("last")
        [pod] = self.controller_pods()
        self.assertGreater(self.throttled(pod), 0, "the limit was never felt")
        self.assertEqual(pod["status"]["containerStatuses"][0]["restartCount"], 0,
                         pod["status"]["containerStatuses"][0])
        story.run("helm", "--namespace", story.SYSTEM, "uninstall", "perennial", "--wait", "--timeout", LIMIT)

    def test_kubectl_installs_the_manifests(self):
        with tempfile.TemporaryDirectory() as folder:
            install = os.path.relpath(story.ROOT / "install", folder)
            with open(os.path.join(folder, "kustomization.yaml"), "w", encoding="utf-8") as stream:
                json.dump({
                    "resources": [install],
                    "images": [{"name": "perennial.dev/controller", "newTag": "dev"}],
                }, stream)
            manifests = story.kubectl("kustomize", folder)
        story.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=manifests)
        story.kubectl("-n", story.SYSTEM, "rollout", "status", "deploy/perennial-controller",
                      f"--timeout={LIMIT}")
        self.check_controller_works("third")
        self.check_children_go_with("third")
        story.kubectl("delete", "--wait", "-f", "-", text=manifests)
        self.assertEqual(left_in_cluster(), set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
