#!/usr/bin/env python3
"""What clients get from the gateway while versions come, go and return: the share that was asked for, one
version for a client that stays, and no failed request.

All the time clients ask, while the controller is killed, the API server is restarted (in a step, in a rollback
and in a promotion), status is lost, pods come and go by number and by template, and pods that serve are killed.
Needs a cluster with the controller in it. The model server is an Envoy that answers with its version, and counts.
"""

import collections
import http.client
import json
import threading
import time
import unittest
import urllib.request

import story

SPACE = "split"
NAME = "split"
HOST = "split.example.org"
IMAGE = "perennial.dev/envoy-proxy:dev"
CLIENTS = 4
# Written out as the API server fills it in, so that what it has is what was said.
SCALING = {
    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {
        "type": "Utilization", "averageUtilization": 65}}}],
    "behavior": {direction: {"selectPolicy": "Min", "stabilizationWindowSeconds": seconds,
                             "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}]}
                 for direction, seconds in (("scaleUp", 5), ("scaleDown", 120))},
}
# As many answers in a row show that a client isn't sent to one pod of a few any more.
IN_A_ROW = 50
# The cluster's own controllers and the gateway's follow late after a restart of the API server: a client of Kubernetes'
# own library lets up to 60 s pass between two attempts, and who loses its lease begins anew.
AFTER_RESTART_SECONDS = 360


def server_config():
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = "envoy.extensions.filters.http.router.v3.Router"
    route = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": "ok"}},
        "response_headers_to_add": [
            {"header": {"key": "x-version", "value": "%ENVIRONMENT(MODEL_VERSION)%"}}
        ],
    }
    admin = {"address": {"socket_address": {"address": "0.0.0.0", "port_value": 9901}}}
    return json.dumps({"admin": admin, "static_resources": {"listeners": [{
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 8080}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": f"type.googleapis.com/{manager}",
                "stat_prefix": "model",
                "route_config": {"virtual_hosts": [
                    {"name": "model", "domains": ["*"], "routes": [route]}]},
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"type.googleapis.com/{router}"},
                }],
            },
        }]}],
    }]}})


def deployment(model, more_pods=0, annotations=None):
    container = {
        "name": "model", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
        "args": ["--config-yaml", server_config(), "--concurrency", "1"],
        "ports": [{"name": "http", "containerPort": 8080}],
        # On the other port, so that only what clients ask is counted.
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 9901}, "periodSeconds": 1, "timeoutSeconds": 10},
    }
    return {
        "apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": NAME, "namespace": SPACE},
        "spec": {
            "model": {"uri": model},
            "autoscaling": {"minReplicas": 2, "maxReplicas": 3 + more_pods, **SCALING},
            "disruptionBudget": {"maxUnavailable": 1},
            "batch": {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": {
                "spec": {"containers": [{"name": "score", "image": IMAGE}]}}}}},
            "template": {"metadata": {"annotations": annotations or {}},
                         "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}},
            "traffic": {
                "gateway": {"parentRefs": [{"name": "edge"}], "hostnames": [HOST]},
                "sticky": {"cookie": "variant", "ttl": "10m"},
                "timeouts": {"request": "10s"},
                # A gateway hears late of a pod that ends, on a busy machine and after the API server was away.
                "drain": "20s",
                "rules": [{"cookie": {"name": "tester", "value": "yes"}, "variant": "challenger"}],
            },
            "rollout": {
                "steps": [{"weight": 0, "mirror": 50, "pause": True}, {"weight": 20, "pause": True},
                          {"weight": 60, "pause": True}],
                "challengerReplicas": "Proportional",
                "keepPrevious": "5m",
            },
        },
    }


class Client:
    """Asks the gateway over one connection."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, 80, timeout=10)

    def __del__(self):
        self.connection.close()

    def ask(self, cookie=None):
        """Returns the version that answered and the cookie that it set."""
        headers = {"Host": HOST}
        if cookie:
            headers["Cookie"] = cookie
        self.connection.request("GET", "/", headers=headers)
        response = self.connection.getresponse()
        response.read()
        if response.status != 200:
            raise AssertionError(f"status {response.status}")
        return response.getheader("x-version"), response.getheader("set-cookie")


class Steady(threading.Thread):
    """Asks all the time, and remembers what failed."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.failures = []
        self.answered = 0
        self.last = collections.deque(maxlen=IN_A_ROW)  # whether they were answered
        self.over = threading.Event()

    def run(self):
        client = Client(self.address)
        while not self.over.wait(0.01):
            try:
                client.ask()
                self.answered += 1
                self.last.append(True)
            except (OSError, AssertionError, http.client.HTTPException) as error:
                self.failures.append((time.time(), f"{type(error).__name__}: {error}"))
                self.last.append(False)
                client = Client(self.address)

    def failed_outside(self, since, until):
        """Returns the failures that the killed pod doesn't explain, to which clients were sent in that time."""
        return [f"{time.strftime('%X', time.localtime(at))} {what}" for at, what in self.failures
                if not since <= at <= until]


def status():
    return story.model_deployment(NAME, SPACE).get("status", {})


def why():
    """Returns what the controller waits for, and what the gateway has said about the route."""
    route = story.get("httproutes.gateway.networking.k8s.io", NAME, SPACE)
    seen = [condition.get("observedGeneration") for parent in route.get("status", {}).get("parents", [])
            for condition in parent["conditions"]]
    return f"{status().get('why')} (generation {route['metadata']['generation']} of the route, {seen} seen)"


def pods_of(version):
    """Returns the ready pods of a version."""
    return [
        pod for pod in story.get("pods", namespace=SPACE,
                                 selector=f"perennial.dev/model-version={version}")
        if story.condition(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
    ]


def requests_of(addresses):
    """Returns how many requests pods have counted themselves."""
    total = 0
    for address in addresses:
        url = f"http://{address}:9901/stats?filter=http.model.downstream_rq_total&format=json"
        with urllib.request.urlopen(url, timeout=60) as answer:
            total += sum(stat["value"] for stat in json.load(answer)["stats"] if "name" in stat)
    return total


def kill_controller():
    story.kubectl("-n", story.SYSTEM, "delete", "pods", "--grace-period=0", "--force", "--wait=false",
                  "-l", "app.kubernetes.io/name=perennial")


def child_of(version):
    """Returns the name of a version's Deployment, Service and autoscaler."""
    return next(row["service"] for row in status()["variants"] if row["version"] == version)


def annotate(command, value):
    story.kubectl("-n", SPACE, "annotate", "modeldeployment", NAME, "--overwrite",
                  f"perennial.dev/{command}={value}")


class Traffic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        story.namespace(SPACE)
        story.gateway(SPACE)
        story.apply(deployment("oci://models/split:1"))
        story.wait_until_promoted(NAME, SPACE)
        cls.address = story.gateway_address(SPACE)
        story.wait_for("the gateway answers", story.PATIENCE, lambda: story.answers(cls.address, host=HOST))
        cls.steady = [Steady(cls.address) for _ in range(CLIENTS)]
        for client in cls.steady:
            client.start()

    @classmethod
    def tearDownClass(cls):
        for client in cls.steady:
            client.over.set()
            client.join()
        story.kubectl("delete", "namespace", SPACE, "--wait=false")

    def wait_for_step(self, step, seconds=story.PATIENCE):
        def in_effect():
            rollout = status().get("rollout", {})
            # Of the rollout before, too, a step is in effect, but its phase is another.
            return (rollout.get("step") == step and rollout.get("inEffect")
                    and rollout["phase"] in ("Progressing", "Paused"))

        story.wait_for(f"step {step} is in effect", seconds, in_effect, why)
        time.sleep(1)  # the proxy follows the accepted route

    def wait_for_champion(self, version, seconds=story.PATIENCE):
        def promoted():
            now = status()
            return now.get("champion") == version and now["rollout"]["phase"] == "Promoted"

        story.wait_for(f"{version} is the champion", seconds, promoted, why)
        self.wait_for_alone(version)

    def wait_for_alone(self, version):
        """Waits until the proxy has followed: nobody else answers."""
        story.wait_for(f"{version} alone answers", story.PATIENCE, lambda: set(self.split(100)) == {version})

    def wait_for_phase(self, *phases):
        """Returns the first of them that is seen."""
        def seen():
            phase = status()["rollout"]["phase"]
            return phase if phase in phases else None

        return story.wait_for(f"it is {' or '.join(phases)}", AFTER_RESTART_SECONDS, seen, why)

    def split(self, requests=1000):
        client = Client(self.address)
        return collections.Counter(client.ask()[0] for _ in range(requests))

    def test_story(self):
        champion = status()["champion"]
        story.apply(deployment("oci://models/split:2"))
        self.shadow(champion)
        jar = self.assigned(champion)
        self.moved(champion, jar)
        self.held()
        self.lost(champion)
        self.rolled_back(champion, jar)
        self.promoted_and_undone(champion)
        self.scaled(champion)
        since, until = self.killed(champion)
        self.assertEqual([line for client in self.steady for line in client.failed_outside(since, until)], [])
        for client in self.steady:
            self.assertGreater(client.answered, 500)
        print(f"{sum(client.answered for client in self.steady)} steady requests of {CLIENTS} clients, "
              f"{sum(len(client.failures) for client in self.steady)} failed, all of them within the "
              f"{until - since:.0f} s from the end of a killed pod until the gateway had followed", flush=True)

    def shadow(self, champion):
        """Copies, and answers to nobody but testers."""
        self.wait_for_step(0)
        challenger = status()["challenger"]
        self.assertEqual(set(self.split(50)), {champion})
        story.wait_for("testers are answered by it", story.PATIENCE,
                       lambda: Client(self.address).ask("a=b; tester=yes")[0] == challenger)
        self.mirrored(champion, challenger)
        annotate("promote", f"{challenger}/1")

    def mirrored(self, champion, challenger):
        """Half of what the champion answers really arrives at the challenger."""
        addresses = [[pod["status"]["podIP"] for pod in pods_of(version)] for version in (champion, challenger)]
        # Clients ask all the time: both are read in one moment.
        before = [requests_of(pods) for pods in addresses]
        self.split(1000)
        time.sleep(1)
        answered, copied = (requests_of(pods) - then for pods, then in zip(addresses, before))
        self.assertGreaterEqual(answered, 1000)
        # Five standard deviations of a coin.
        self.assertLess(abs(copied - answered / 2), 2.5 * answered**0.5, f"{copied} of {answered}")
        print(f"{copied} of {answered} requests arrived as copies, half were to", flush=True)

    def assigned(self, champion):
        """Returns the cookies of clients that were assigned at 20 %."""
        self.wait_for_step(1)
        challenger = status()["challenger"]
        story.wait_for_split(self.split, {champion: 0.8, challenger: 0.2})
        client = Client(self.address)
        jar = [client.ask() for _ in range(300)]
        self.assertTrue(all(cookie for _, cookie in jar), "no cookie is set")
        return [(version, cookie.split(";")[0]) for version, cookie in jar]

    def replay(self, jar):
        client = Client(self.address)
        return collections.Counter((version, client.ask(cookie)[0]) for version, cookie in jar)

    def moved(self, champion, jar):
        """New weights are for new clients; the controller and the API server die meanwhile."""
        challenger = status()["challenger"]
        annotate("promote", f"{challenger}/2")
        kill_controller()
        story.restart_api_server()
        self.wait_for_step(2, AFTER_RESTART_SECONDS)
        for version in (champion, challenger):
            name = child_of(version)
            scaler = story.get("horizontalpodautoscalers.autoscaling", name, SPACE)["spec"]
            self.assertEqual(scaler["scaleTargetRef"]["name"], name)
            self.assertEqual({field: scaler[field] for field in SCALING}, SCALING, "as they are written")
            self.assertTrue(story.get("poddisruptionbudgets.policy", name, SPACE))
        rules = story.get("httproutes.gateway.networking.k8s.io", NAME, SPACE)["spec"]["rules"]
        self.assertEqual({rule["timeouts"]["request"] for rule in rules}, {"10s"})
        self.assertEqual({a == b for a, b in self.replay(jar)}, {True}, "a client lost its variant")
        story.wait_for_split(self.split, {champion: 0.4, challenger: 0.6})

    def held(self):
        """A pause of a person's own is over when he says so, and ends no step."""
        challenger = status()["challenger"]
        for command, paused in (("pause", True), ("resume", False)):
            annotate(command, f"{challenger}:held")
            story.wait_for(f"the answer to {command}", story.PATIENCE,
                           lambda wanted=paused: status()["rollout"].get("paused", False) == wanted,
                           lambda: status().get("commands"))
        self.assertEqual(status()["rollout"]["step"], 2)

    def lost(self, champion):
        """Without its status the same version serves, and the challenger begins at the first step again."""
        challenger = status()["challenger"]
        self.assertEqual(story.lose_status(NAME, SPACE), {})
        story.wait_for("the rollout begins again", story.PATIENCE,
                       lambda: status().get("challenger") == challenger and "rollout" in status(),
                       lambda: status().get("why"))
        self.assertEqual(status()["champion"], champion)
        self.wait_for_step(0)
        self.wait_for_alone(champion)

    def rolled_back(self, champion, jar):
        """Nobody gets the bad version any more, whatever cookie he brings."""
        annotate("abort", status()["challenger"])
        # It is RollingBack for some seconds, which a look on a busy machine may miss.
        print(f"the API server is restarted while {self.wait_for_phase('RollingBack', 'RolledBack')}", flush=True)
        story.restart_api_server()
        story.wait_for("it is rolled back", AFTER_RESTART_SECONDS,
                       lambda: status()["rollout"]["phase"] == "RolledBack", why)
        self.wait_for_alone(champion)
        self.assertEqual({answer for _, answer in self.replay(jar)}, {champion})
        self.assertEqual(Client(self.address).ask("tester=yes")[0], champion)

    def promoted_and_undone(self, champion):
        bad = status()["rollout"]["version"]
        annotate("retry", f"{bad}:1")
        again = story.wait_for("the retry is a new version", story.PATIENCE, lambda: status().get("challenger"))
        self.assertNotEqual(again, bad)
        annotate("promote", f"{again}:1")
        print(f"the API server is restarted while {self.wait_for_phase('Promoting', 'Promoted')}", flush=True)
        story.restart_api_server()
        self.wait_for_champion(again, AFTER_RESTART_SECONDS)
        self.handed_over(again)
        kept = {pod["metadata"]["uid"] for pod in pods_of(champion)}
        self.assertEqual(len(kept), 2, "keepPrevious keeps all the pods of the version before")
        kill_controller()
        annotate("undo", f"{champion}:1")
        self.wait_for_champion(champion)
        self.handed_over(champion)
        self.assertLessEqual(kept, {pod["metadata"]["uid"] for pod in pods_of(champion)},
                             "a way back inside of keepPrevious starts no pod")

    def handed_over(self, champion):
        """Whoever serves scores the batches, and nobody else."""
        def jobs():
            return {job["metadata"]["name"] for job in story.get("cronjobs.batch", namespace=SPACE)}

        story.wait_for("only the champion has a CronJob", story.PATIENCE, lambda: jobs() == {child_of(champion)}, jobs)

    def scaled(self, champion):
        """The number that an autoscaler gave stays; its limits are no release; nobody notices pods that go."""
        name = child_of(champion)

        def settled(pods, annotations):
            found = story.get("pods", namespace=SPACE, selector=f"perennial.dev/model-version={champion}")
            return len(found) == pods and len(pods_of(champion)) == pods and all(
                pod["metadata"].get("annotations", {}).items() >= annotations.items() for pod in found)

        # As an autoscaler does it, which has no numbers here to do it by.
        story.kubectl("-n", SPACE, "scale", "deployment", name, "--replicas=3")
        story.wait_for("three pods serve", story.PATIENCE, lambda: settled(3, {}))
        rollout = status()["rollout"]
        story.apply(deployment("oci://models/split:2", annotations={"example.org/changed": "yes"}))
        story.wait_for("all have the new template", story.PATIENCE, lambda: settled(3, {"example.org/changed": "yes"}))
        story.apply(deployment("oci://models/split:2", 1, {"example.org/changed": "yes"}))
        story.wait_for("the autoscaler may go further", story.PATIENCE, lambda: story.get(
            "horizontalpodautoscalers.autoscaling", name, SPACE)["spec"]["maxReplicas"] == 4)
        story.kubectl("-n", SPACE, "scale", "deployment", name, "--replicas=2")
        story.wait_for("two pods are left", story.PATIENCE, lambda: settled(2, {}))
        self.assertEqual([status()["rollout"][field] for field in ("version", "phase", "started")],
                         [rollout[field] for field in ("version", "phase", "started")])
        self.assertFalse(status().get("challenger"))

    def killed(self, champion):
        """One of two pods dies at once: others answer. Returns since when and until when clients were sent to it."""
        pods = story.wait_for("two pods serve", story.PATIENCE,
                              lambda: (lambda found: found if len(found) > 1 else None)(pods_of(champion)))
        since = time.time()
        story.kubectl("-n", SPACE, "delete", "pod", pods[0]["metadata"]["name"], "--grace-period=0", "--force",
                      "--wait=false")
        # A kubelet that only hears that it is gone would let it drain.
        story.kill(pods[0])
        story.wait_for("another pod has taken its place", story.PATIENCE, lambda: len(pods_of(champion)) >= len(pods))
        address = pods[0]["status"]["podIP"]
        story.wait_for("its server has ended", story.PATIENCE, lambda: not story.answers(address, port=8080))
        for client in self.steady:
            client.last.clear()
        story.wait_for("nobody is sent to it", story.PATIENCE, lambda: all(
            len(client.last) == IN_A_ROW and False not in client.last for client in self.steady))
        until = time.time()
        self.assertEqual(set(self.split(100)), {champion})
        self.assertEqual(story.condition(story.model_deployment(NAME, SPACE), "Ready"), "True")
        return since, until


if __name__ == "__main__":
    unittest.main(verbosity=2)
