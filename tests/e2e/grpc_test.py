#!/usr/bin/env python3
"""A model that speaks gRPC: a GRPCRoute that the gateway accepts splits its calls.

Needs a cluster with the controller in it. The calls are HTTP/2 with gRPC's content type by curl; the model
server is an Envoy that answers with its version.
"""

import collections
import time
import unittest

import story
import traffic_test

SPACE = "calls"
NAME = "calls"
HOST = "calls.example.org"


def deployment(model):
    manifest = traffic_test.deployment(model)
    manifest["metadata"] = {"name": NAME, "namespace": SPACE}
    spec = manifest["spec"]
    spec["replicas"] = 1
    del spec["autoscaling"], spec["disruptionBudget"], spec["batch"]
    spec["traffic"] = {
        "protocol": "GRPC",
        "gateway": {"parentRefs": [{"name": "edge"}], "hostnames": [HOST]},
        "rules": [{"header": {"name": "x-tester", "value": "yes"}, "variant": "challenger"}],
    }
    spec["rollout"] = {"steps": [{"weight": 30, "pause": True}]}
    return manifest


def status():
    return story.model_deployment(NAME, SPACE).get("status", {})


def route():
    return story.get("grpcroutes.gateway.networking.k8s.io", NAME, SPACE)


class Grpc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        story.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
        story.apply({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": SPACE},
            "spec": {"gatewayClassName": "perennial", "listeners": [
                {"name": "http", "protocol": "HTTP", "port": 80}]},
        })
        story.apply(deployment("oci://models/calls:1"))
        story.kubectl("-n", SPACE, "wait", "--for=condition=Promoted", f"modeldeployment/{NAME}",
                      "--timeout=90s")
        gateway = story.get("gateways.gateway.networking.k8s.io", "edge", SPACE)
        cls.address = gateway["status"]["addresses"][0]["value"]
        story.wait_for("the gateway answers", 30, lambda: cls.call(1, check=False))

    @classmethod
    def tearDownClass(cls):
        story.kubectl("delete", "namespace", SPACE, "--wait=false")

    @classmethod
    def call(cls, calls, *headers, check=True):
        """Returns {version: answers} of that many calls, and fails if one of them fails.

        Each has a connection of its own: curl 7.88 can't use one again that began as HTTP/2.
        """
        words = [
            "curl", "--http2-prior-knowledge", "--silent", "--show-error", "--fail", "--request", "POST",
            "--header", "content-type: application/grpc", "--header", f"host: {HOST}",
            "--header", "te: trailers", *headers, "--output", "/dev/null",
            "--write-out", r"%header{x-version}\n", f"http://{cls.address}/models.Model/Predict",
        ]
        # xargs fails where one of them does.
        printed = story.run("xargs", "-P", "4", "-I", "NUMBER", *words,
                            text="".join(f"{n}\n" for n in range(calls)), check=check)
        return collections.Counter(line for line in printed.splitlines() if line)

    def test_story(self):
        champion = status()["champion"]
        conditions = {
            condition["type"]: condition["status"]
            for condition in route()["status"]["parents"][0]["conditions"]
        }
        self.assertEqual(conditions["Accepted"], "True", conditions)
        self.assertEqual(conditions["ResolvedRefs"], "True", conditions)
        self.assertFalse(story.get("httproutes.gateway.networking.k8s.io", NAME, SPACE))
        self.assertEqual(set(self.call(50)), {champion})

        story.apply(deployment("oci://models/calls:2"))
        story.wait_for("the step is in effect", 60,
                       lambda: status().get("rollout", {}).get("inEffect") and status().get("challenger"),
                       lambda: status().get("why"))
        time.sleep(1)
        challenger = status()["challenger"]
        counts = self.call(400)
        self.assertEqual(sum(counts.values()), 400)
        chi_square = sum((counts[v] - 400 * w) ** 2 / (400 * w)
                         for v, w in {champion: 0.7, challenger: 0.3}.items())
        self.assertLess(chi_square, traffic_test.CHI_SQUARE_LIMIT, counts)
        print(f"gRPC split {dict(counts)}, wanted 70/30: chi-square {chi_square:.2f}", flush=True)
        self.assertEqual(set(self.call(20, "--header", "x-tester: yes")), {challenger})

        story.kubectl("-n", SPACE, "annotate", "modeldeployment", NAME, f"perennial.dev/promote={challenger}")
        story.wait_for("it is promoted", 60, lambda: status().get("champion") == challenger,
                       lambda: status().get("why"))
        self.assertEqual(set(self.call(50)), {challenger})
        # Without a gateway there is no route.
        story.kubectl("-n", SPACE, "patch", "modeldeployment", NAME, "--type=json", "--patch",
                      '[{"op": "remove", "path": "/spec/traffic/rules"},'
                      ' {"op": "remove", "path": "/spec/traffic/gateway"},'
                      ' {"op": "remove", "path": "/spec/rollout/steps"}]')
        story.wait_for("the route is gone", 30, lambda: not route())


if __name__ == "__main__":
    unittest.main(verbosity=2)
