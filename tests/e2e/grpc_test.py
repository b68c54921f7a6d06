#!/usr/bin/env python3
"""A model that speaks gRPC, in a namespace that is restricted by Pod Security: a GRPCRoute that the gateway
accepts copies and splits its calls, a Job and a DriftMonitor judge each new version, batches run, and the weights of
a fixed split follow the data.

Needs a cluster with the controller in it. Server and clients are gRPC's own: calls/calls.py.
"""

import collections
import json
import time
import unittest
import urllib.request

import story

SPACE = "calls"
NAME = "calls"
HOST = "calls.example.org"
BANDIT = "bandit"
BANDIT_HOST = "bandit.example.org"
# A proxy follows the accepted route with a delay.
PROXY_SECONDS = 1
ROUTES = "grpcroutes.gateway.networking.k8s.io"
SHADOW = {"weight": 0, "mirror": 50, "pause": True}


def pod(argument, **container):
    """What Pod Security asks of every pod is in the template: the controller adds none of it."""
    return {
        "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 5,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "model", "image": "perennial.dev/calls:dev", "imagePullPolicy": "IfNotPresent",
            "args": [argument],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            **container,
        }],
    }


def served(name, host, spec):
    probe = {"grpc": {"port": 8081}, "periodSeconds": 1, "timeoutSeconds": 10}
    server = pod("serve", readinessProbe=probe, ports=[
        {"name": "grpc", "containerPort": 8081}, {"name": "metrics", "containerPort": 9090}])
    traffic = {"protocol": "GRPC", "port": "grpc",
               "gateway": {"parentRefs": [{"name": "edge"}], "hostnames": [host]}}
    return {
        "apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {
            "template": {"spec": server}, "metrics": {"port": "metrics"}, "traffic": traffic,
            "storage": {"image": "perennial.dev/calls:dev", "credentialsSecretRef": "store"}, **spec,
        },
    }


def once(command):
    """A Job's template that runs the command once."""
    return {"spec": {"backoffLimit": 0, "template": {"spec": pod(command)}}}


def deployment(model, *before):
    """`before`: steps before the one with a share of the calls."""
    manifest = served(NAME, HOST, {
        "model": {"uri": model},
        "batch": {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": once("score")},
        "rollout": {
            "steps": [*before, {"weight": 30, "pause": True}],
            "analysis": {"interval": "1s", "window": "30s", "probes": [
                {"name": "smoke", "step": 1, "job": {"template": once("smoke")}},
                {"name": "drift", "driftMonitor": {"name": "watch", "signals": ["error"]}},
            ]},
        },
    })
    manifest["spec"]["traffic"]["rules"] = [
        {"header": {"name": "x-tester", "value": "yes"}, "variant": "challenger"}]
    return manifest


def monitor():
    return {
        "apiVersion": "perennial.dev/v1alpha1", "kind": "DriftMonitor",
        "metadata": {"name": "watch", "namespace": SPACE},
        "spec": {
            "target": {"modelDeployment": NAME}, "interval": "1s", "window": "1m", "minSamples": 50,
            "for": 2, "of": 2,
            "signals": [{"name": "error", "type": "ModelPerformance", "metric": "prediction_error", "max": "4"}],
        },
    }


def bandit():
    return served(BANDIT, BANDIT_HOST, {
        "variants": [{"name": name, "weight": 50, "model": {"uri": f"oci://models/{name}-{how}"}}
                     for name, how in (("plain", "bad"), ("deep", "good"))],
        "rollout": {"experiment": {
            "primary": {"name": "error", "kind": "Mean", "goal": "Decrease", "metric": "prediction_error",
                        "squares": "prediction_error_squares_total"},
            # More than the story asks for before it looks at the weights of the beginning.
            "weights": "Thompson", "floor": 10, "minSamples": 400, "expectedSamples": 1600,
        }},
    })


def status(name=NAME):
    return story.model_deployment(name, SPACE).get("status", {})


def verdicts():
    return {check["name"]: check["verdict"] for check in status().get("rollout", {}).get("checks", ())}


class Grpc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        story.namespace(SPACE, restricted=True)
        story.gateway(SPACE)
        story.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store", "namespace": SPACE},
                     "stringData": {"STORE_TOKEN": "open"}})
        story.apply(deployment("oci://models/calls-good"))
        story.apply(bandit())
        story.apply(monitor())
        story.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client", "namespace": SPACE},
                     "spec": pod("infinity", command=["sleep"])})
        story.wait_until_promoted(NAME, SPACE)
        story.kubectl("-n", SPACE, "wait", "--for=condition=Ready", f"modeldeployment/{BANDIT}", "pod/client",
                      f"--timeout={story.PATIENCE}s")
        cls.address = story.gateway_address(SPACE)
        for host in (HOST, BANDIT_HOST):
            story.wait_for("the gateway answers", story.PATIENCE, lambda host=host: cls.ask(host, 1, check=False))

    @classmethod
    def tearDownClass(cls):
        story.kubectl("delete", "namespace", SPACE, "--wait=false")

    @classmethod
    def ask(cls, host, calls, *tester, check=True):
        """Returns {version: answers} of that many calls over one connection; one that fails raises."""
        printed = story.kubectl("-n", SPACE, "exec", "client", "--", "python3", "calls.py", "call",
                                f"{cls.address}:80", host, calls, *tester, check=check)
        return collections.Counter(json.loads(printed or "{}"))

    def call(self, calls, *tester):
        return self.ask(HOST, calls, *tester)

    def wait_for(self, what, probe):
        return story.wait_for(what, story.PATIENCE, probe, lambda: (status().get("why"), verdicts()))

    def test_batches_run_with_the_model_that_serves(self):
        variant = status()["variants"][0]
        self.rescheduled(variant)
        story.kubectl("-n", SPACE, "create", "job", "batch", f"--from=cronjob/{variant['service']}")
        story.kubectl("-n", SPACE, "wait", "--for=condition=Complete", "job/batch",
                      f"--timeout={story.PATIENCE}s")
        printed = json.loads(story.kubectl("-n", SPACE, "logs", "job/batch"))
        self.assertEqual(printed, [variant["model"]["uri"], variant["version"], 2.0])

    def rescheduled(self, variant):
        """Another schedule is no release: the CronJob of who serves has it at once."""
        story.kubectl("-n", SPACE, "patch", "modeldeployment", NAME, "--type=merge", "--patch",
                      '{"spec": {"batch": {"schedule": "0 0 1 2 *"}}}')
        self.wait_for("the CronJob has it", lambda: story.get(
            "cronjobs.batch", variant["service"], SPACE)["spec"]["schedule"] == "0 0 1 2 *")
        self.assertEqual([row["version"] for row in status()["variants"]], [variant["version"]])

    def test_story(self):
        champion = status()["champion"]
        conditions = {
            condition["type"]: condition["status"]
            for condition in story.get(ROUTES, NAME, SPACE)["status"]["parents"][0]["conditions"]
        }
        self.assertEqual(conditions["Accepted"], "True", conditions)
        self.assertEqual(conditions["ResolvedRefs"], "True", conditions)
        self.assertFalse(story.get("httproutes.gateway.networking.k8s.io", NAME, SPACE))
        self.assertEqual(set(self.call(50)), {champion})
        champion = self.probed_and_promoted(champion)
        self.rolled_back_by_drift(champion)
        self.without_gateway()
        self.at_rest(champion)

    def roll_out(self, model, *before):
        """Returns the challenger as soon as its first step is in effect."""
        story.apply(deployment(model, *before))

        def in_effect():  # of one look: the last step of the rollout before is in effect, too
            now = status()
            return now["challenger"] if now.get("challenger") and now["rollout"].get("inEffect") else None

        challenger = self.wait_for("the step is in effect", in_effect)
        time.sleep(PROXY_SECONDS)
        return challenger

    def probed_and_promoted(self, champion):
        challenger = self.roll_out("oci://models/calls-fine", SHADOW)
        self.wait_for("its Job has passed", lambda: verdicts().get("smoke") == "Pass")
        self.assertEqual(verdicts()["drift"], "NoData", "nobody has called it but its Job")
        self.shadowed(champion, challenger)
        story.wait_for_split(lambda: self.call(400), {champion: 0.7, challenger: 0.3}, "gRPC split")
        self.assertEqual(set(self.call(20, "yes")), {challenger})
        # Its monitor knows nothing of silence.
        self.wait_for("all are content, and it waits for a person alone", lambda: self.call(20) and verdicts() == {
            "smoke": "Pass", "drift": "Pass"} and "is a pause" in status()["why"])
        pods = self.pods(challenger)
        rollout = status()["rollout"]
        job = next(check["job"] for check in rollout["checks"] if check["name"] == "smoke")
        self.assertEqual([j["metadata"]["name"] for j in self.probe_jobs()], [job])
        story.kubectl("-n", SPACE, "annotate", "modeldeployment", NAME, "perennial.dev/resume=" + challenger)
        self.wait_for("it is promoted", lambda: status().get("champion") == challenger)
        self.wait_for("it alone answers", lambda: set(self.call(50)) == {challenger})
        self.assertEqual(self.pods(challenger), pods, "a promotion restarts nothing")
        return challenger

    def shadowed(self, champion, challenger):
        """Half of what the champion answers really arrives at the challenger, which answers testers alone."""
        known = self.counted(challenger)
        # The proxy follows late on a busy machine.
        self.wait_for("copies arrive", lambda: self.call(20) and self.counted(challenger) > known)
        self.assertEqual(set(self.call(20, "yes")), {challenger})
        answered, copied = self.counted(champion), self.counted_at_last(challenger)
        self.assertEqual(set(self.call(400)), {champion})
        answered, copied = self.counted(champion) - answered, self.counted_at_last(challenger) - copied
        self.assertEqual(answered, 400)
        # Five standard deviations of a coin.
        self.assertLess(abs(copied - answered / 2), 2.5 * answered**0.5, f"{copied} of {answered}")
        print(f"{copied} of {answered} calls arrived as copies, half were to", flush=True)
        story.kubectl("-n", SPACE, "annotate", "modeldeployment", NAME, f"perennial.dev/promote={challenger}/1")
        self.wait_for("the next step is in effect", lambda: status()["rollout"]["step"] == 1
                      and status()["rollout"].get("inEffect"))
        time.sleep(PROXY_SECONDS)

    @staticmethod
    def servers(version):
        """Returns a version's pods."""
        return story.get("pods", namespace=SPACE, selector=f"perennial.dev/model-version={version}"
                                                           ",app.kubernetes.io/component=model-server")

    def pods(self, version):
        """Returns {UID: restarts} of a version's pods."""
        def restarts(pod):  # one that was made this moment has no containers yet
            return sum(one["restartCount"] for one in pod["status"].get("containerStatuses", ()))

        return {pod["metadata"]["uid"]: restarts(pod) for pod in self.servers(version)}

    def counted(self, version):
        """Returns how many calls the pods of a version have counted themselves."""
        total = 0
        for pod in self.servers(version):
            with urllib.request.urlopen(f"http://{pod['status']['podIP']}:9090/metrics", timeout=60) as answer:
                page = answer.read().decode().splitlines()
            total += sum(int(float(line.split()[1])) for line in page if line.startswith("prediction_error_count "))
        return total

    def counted_at_last(self, version):
        """The same when no more arrive: nobody waits for copies, so that they may lag behind."""
        def same():
            before = self.counted(version)
            time.sleep(PROXY_SECONDS)
            return before if self.counted(version) == before else None

        return self.wait_for("no more copies arrive", same)

    def probe_jobs(self):
        return [job for job in story.get("jobs", namespace=SPACE)
                if job["metadata"].get("ownerReferences", [{}])[0].get("kind") == "ModelDeployment"]

    def rolled_back_by_drift(self, champion):
        challenger = self.roll_out("oci://models/calls-bad")
        answered = collections.Counter()
        # The proxy follows late on a busy machine.
        self.wait_for("both answer", lambda: answered.update(self.call(400)) or len(answered) == 2)
        self.assertEqual(set(answered), {champion, challenger})
        self.wait_for("it is rolled back", lambda: status()["rollout"]["phase"] == "RolledBack")
        last = status()["history"][0]
        self.assertEqual([last["version"], last["outcome"]], [challenger, "RolledBack"])
        self.assertIn("failed check drift: signal error", last["message"])
        self.wait_for("the champion alone answers", lambda: set(self.call(50)) == {champion})

    def without_gateway(self):
        story.kubectl("-n", SPACE, "patch", "modeldeployment", NAME, "--type=json", "--patch",
                      '[{"op": "remove", "path": "/spec/traffic/rules"},'
                      ' {"op": "remove", "path": "/spec/traffic/gateway"},'
                      ' {"op": "remove", "path": "/spec/rollout"}]')
        self.wait_for("the route is gone", lambda: not story.get(ROUTES, NAME, SPACE))

    def at_rest(self, champion):
        """Scaled to zero, and back, as any workload is."""
        for replicas in (0, 1):
            story.kubectl("-n", SPACE, "scale", "modeldeployment", NAME, f"--replicas={replicas}")
            self.wait_for(f"{replicas} pods", lambda wanted=replicas: len(self.pods(champion)) == wanted)
        self.wait_for("it serves",
                      lambda: story.condition(story.model_deployment(NAME, SPACE), "Ready") == "True")

    def test_weights_follow_the_data(self):
        def weights():
            return {variant["name"]: variant["weight"] for variant in status(BANDIT)["variants"]}

        versions = {variant["name"]: variant["version"] for variant in status(BANDIT)["variants"]}
        self.assertEqual(weights(), {"plain": 50, "deep": 50})
        story.wait_for_split(lambda: self.ask(BANDIT_HOST, 200), {versions["plain"]: 0.5, versions["deep"]: 0.5},
                             "before any data")
        story.wait_for("the better one has what one may have", story.PATIENCE, lambda: self.ask(BANDIT_HOST, 200)
                       and weights() == {"plain": 10, "deep": 90}, lambda: status(BANDIT))
        time.sleep(PROXY_SECONDS)
        self.assertEqual(status(BANDIT)["comparisons"][0]["variant"], "deep")
        story.wait_for_split(lambda: self.ask(BANDIT_HOST, 600), {versions["plain"]: 0.1, versions["deep"]: 0.9},
                             "Thompson's weights")
        self.assertEqual([v["weight"] for v in story.model_deployment(BANDIT, SPACE)["spec"]["variants"]],
                         [50, 50], "the spec is the user's")


if __name__ == "__main__":
    unittest.main(verbosity=2)
