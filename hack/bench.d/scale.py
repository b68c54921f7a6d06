"""One controller process and N models on a real API server and etcd, without nodes.

Models have replicas: 0, so that no Pod has to come up: what is measured is the controller and what
the API server makes of its requests. The objects are there before the controller starts.
"""
import base64
import collections
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import tempfile
import threading
import time

import drift

NAMESPACES = 10
LOADERS = 8
TICKS = os.sysconf("SC_CLK_TCK")
GROUP = "/apis/perennial.dev/v1alpha1"


def model(namespace, name):
    return {
        "apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"uri": f"http://models/{name}", "digest": "sha256:" + "a" * 64},
            "replicas": 0,
            "template": {"spec": {"containers": [{
                "name": "model", "image": "example.org/model:1",
                "ports": [{"name": "http", "containerPort": 8080}]}]}},
            "metrics": {"port": "http", "path": "/metrics"},
        },
    }


def monitor(namespace, name):
    return {
        "apiVersion": "perennial.dev/v1alpha1", "kind": "DriftMonitor",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "target": {"modelDeployment": name}, "interval": "1m", "window": "1h",
            "baseline": {"from": "ModelVersion"},
            "signals": [{"name": f"feature-{i}", "type": "DataDrift",
                         "metric": f"feature_{i}_value",
                         "tests": [{"measure": "population_stability_index",
                                    "threshold": "0.25"}]} for i in range(10)]
            + [{"name": "error", "type": "ModelPerformance", "metric": "prediction_error",
                "max": "4.5"}],
        },
    }


def policy(namespace, name):
    return {
        "apiVersion": "perennial.dev/v1alpha1", "kind": "RetrainPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "modelDeployment": name,
            "triggers": [{"drift": {"monitor": name}}],
            "job": {"template": {"spec": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "train", "image": "example.org/train:1"}]}}}}},
            "gates": [{"metric": "mae", "max": "4.0"}],
        },
    }


def rollout(namespace, name):
    return {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": name}},
            "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {"duration": "1m"}}]}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{
                    "name": "model", "image": "example.org/model:1",
                    "ports": [{"name": "http", "containerPort": 8080}]}]}},
        },
    }


class Api:
    """The API server as the administrator, one connection a thread."""

    def __init__(self, kubeconfig):
        text = pathlib.Path(kubeconfig).read_text(encoding="utf-8")
        self.host = re.search(r"server:\s*https://(\S+)", text)[1]
        self.context = ssl.create_default_context(cadata=self.pem(text, "certificate-authority"))
        with tempfile.TemporaryDirectory() as folder:
            names = []
            for field in ("client-certificate", "client-key"):
                names.append(os.path.join(folder, field))
                pathlib.Path(names[-1]).write_text(self.pem(text, field), encoding="ascii")
            self.context.load_cert_chain(*names)
        self.local = threading.local()

    @staticmethod
    def pem(kubeconfig, field):
        data = re.search(rf"{field}-data:\s*(\S+)", kubeconfig)
        if data:
            return base64.b64decode(data[1]).decode()
        path = re.search(rf"{field}:\s*(\S+)", kubeconfig)[1]
        return pathlib.Path(path).read_text(encoding="ascii")

    def send(self, method, path, body=None):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPSConnection(self.host, context=self.context)
        text = None if body is None else json.dumps(body)
        self.local.connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = self.local.connection.getresponse()
        data = answer.read()
        if answer.status >= 300 and answer.status != 409:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:500]!r}")
        return data

    def list(self, path):
        items, rest = [], ""
        while True:
            page = json.loads(self.send("GET", f"{path}?limit=1000&continue={rest}"))
            items += page["items"]
            rest = page["metadata"].get("continue", "")
            if not rest:
                return items


def namespace_of(i):
    return f"scale-{i % NAMESPACES}"


def load(api, kind, make, count, group=GROUP):
    """Creates them, and tells how many a second the API server took."""
    start = time.monotonic()

    def one(i):
        namespace = namespace_of(i)
        path = f"{group}/namespaces/{namespace}/{kind}"
        api.send("POST", path, make(namespace, f"model-{i}"))

    with concurrent.futures.ThreadPoolExecutor(LOADERS) as pool:
        collections.deque(pool.map(one, range(count)), maxlen=0)
    return count / (time.monotonic() - start)


class Process:
    """A controller, and what the kernel says about it."""

    def __init__(self, command, environment, log, health_port):
        self.health_port = health_port
        self.log = open(log, "ab")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(command, env=environment, stdout=self.log,
                                        stderr=self.log)
        self.started = time.monotonic()

    def cpu(self):
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, field):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024

    def ready(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.health_port, timeout=2)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()


class Audit:
    """Requests of the controller that the API server's audit log shows since the last look."""

    def __init__(self, path):
        self.path = path
        self.offset = os.path.getsize(path)

    def requests(self):
        counts = collections.Counter()
        with open(self.path, "rb") as log:
            if os.path.getsize(self.path) < self.offset:
                self.offset = 0  # rotated; what the old file held is not counted
            log.seek(self.offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self.offset += len(line)
                if b"perennial-controller" not in line:
                    continue
                event = json.loads(line)
                target = event.get("objectRef", {})
                sub = "/" + target["subresource"] if target.get("subresource") else ""
                counts[event["verb"], target.get("resource", "") + sub] += 1
        return counts


READS = ("get", "list", "watch")


def writes(counts):
    return sum(number for (verb, _), number in counts.items() if verb not in READS)


def healthy_rollouts(api):
    return sum(1 for item in api.list("/apis/argoproj.io/v1alpha1/rollouts")
               if item.get("status", {}).get("phase") == "Healthy")


def converged(api, args):
    """How many models are as they should be, and monitors and policies have been judged."""
    done = sum(1 for item in api.list(f"{GROUP}/modeldeployments")
               if item.get("status", {}).get("rollout")
               and drift.condition(item, "Ready") == "True")
    for kind, wanted in (("driftmonitors", args.monitors), ("retrainpolicies", args.policies)):
        if wanted:
            done = min(done, sum(1 for item in api.list(f"{GROUP}/{kind}")
                                 if item.get("status", {}).get("conditions")))
    return done


def wait_until_all(count, process, wanted, limit=120):
    """Waits until count() is `wanted`, for as long as it grows at all within `limit` seconds.

    Looking costs the API server a list of everything, so it is done seldom when there is much.
    """
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < limit:
        if not process.alive():
            raise RuntimeError("the controller ended")
        began = time.monotonic()
        now = count()
        if now >= wanted:
            return
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(max(1.0, 5 * (time.monotonic() - began)))
    raise RuntimeError(f"{seen} of {wanted} converged, and no more for {limit} s")


def start(args, log):
    return Process([args.binary, "run", "--metrics-port", "18080", "--health-port", "18081",
                    "--log-level", "warn"], dict(os.environ), log, 18081)


def start_peer(args, log):
    """Argo Rollouts with limits that are no limits, as ours has none."""
    return Process([args.peer, "--kubeconfig", os.environ["KUBECONFIG"], "--leader-elect=false",
                    "--qps", "2000", "--burst", "4000", "--metricsPort", "18090",
                    "--healthzPort", "18091", "--loglevel", "error"], dict(os.environ), log, 18091)


def wait_ready(process):
    while not process.ready():
        if not process.alive():
            raise RuntimeError("the controller ended before it was ready")
        time.sleep(0.05)
    return time.monotonic() - process.started


def measure_peer(api, args, folder):
    load(api, "rollouts", rollout, args.models, group="/apis/argoproj.io/v1alpha1")
    process = start_peer(args, folder / "peer.log")
    try:
        wait_until_all(lambda: healthy_rollouts(api), process, args.models)
        rows = [("peer: seconds to all healthy", f"{time.monotonic() - process.started:.1f}"),
                ("peer: CPU seconds to converge", f"{process.cpu():.1f}"),
                ("peer: CPU milliseconds a model", f"{process.cpu() * 1000 / args.models:.2f}"),
                ("peer: peak RSS, MB", f"{process.memory('VmHWM'):.0f}")]
        time.sleep(5)
        before = process.cpu()
        time.sleep(args.idle)
        rows += [(f"peer: idle: % of a core over {args.idle} s",
                  f"{100 * (process.cpu() - before) / args.idle:.2f}"),
                 ("peer: idle: RSS, MB", f"{process.memory('VmRSS'):.0f}")]
        return rows
    finally:
        if process.alive():
            process.stop()


def measure(args, folder):
    api = Api(os.environ["KUBECONFIG"])
    rate = {"ModelDeployments": load(api, "modeldeployments", model, args.models)}
    if args.monitors:
        rate["DriftMonitors"] = load(api, "driftmonitors", monitor, args.models)
    if args.policies:
        rate["RetrainPolicies"] = load(api, "retrainpolicies", policy, args.models)
    rows = [(f"{kind} created a second by the loader ({LOADERS} connections)", f"{value:.0f}")
            for kind, value in rate.items()]
    audit = Audit(args.audit_log)
    process = start(args, folder / "controller.log")
    try:
        rows.append(("seconds to ready", f"{wait_ready(process):.1f}"))
        wait_until_all(lambda: converged(api, args), process, args.models)
        rows += [("seconds to all converged", f"{time.monotonic() - process.started:.1f}"),
                 ("CPU seconds to converge", f"{process.cpu():.1f}"),
                 ("CPU milliseconds a model", f"{process.cpu() * 1000 / args.models:.2f}"),
                 ("peak RSS, MB", f"{process.memory('VmHWM'):.0f}")]
        time.sleep(5)
        counts = audit.requests()
        rows.append(("writes a model", f"{writes(counts) / args.models:.2f}"))
        rows += [(f"... {verb} {what}", f"{number / args.models:.2f}")
                 for (verb, what), number in counts.most_common() if verb not in READS]
        before = process.cpu()
        time.sleep(args.idle)
        idle = audit.requests()
        rows += [(f"idle: % of a core over {args.idle} s",
                  f"{100 * (process.cpu() - before) / args.idle:.2f}"),
                 ("idle: writes", writes(idle)), ("idle: RSS, MB", f"{process.memory('VmRSS'):.0f}")]
        if args.drift:
            rows += drift.measure(api, GROUP, process, audit, args.drift)
        process.stop()
        audit.requests()
        process = start(args, folder / "controller.log")
        rows.append(("restart: seconds to ready", f"{wait_ready(process):.1f}"))
        time.sleep(15)
        counts = audit.requests()
        rows += [("restart: CPU seconds, 15 s later", f"{process.cpu():.1f}"),
                 ("restart: requests", sum(counts.values())), ("restart: writes", writes(counts)),
                 ("restart: peak RSS, MB", f"{process.memory('VmHWM'):.0f}")]
    finally:
        if process.alive():
            process.stop()
    if args.peer:
        rows += measure_peer(api, args, folder)
    return rows


def inside():
    """In the cluster's network; what to do comes from the environment."""
    import argparse
    args = argparse.Namespace(**json.loads(os.environ["PERENNIAL_BENCH_SCALE"]))
    for row in measure(args, pathlib.Path(args.folder)):
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)


def run(root, args):
    """Needs args.binary, and args.peer with args.peer_crds if the peer is to be measured."""
    cluster = str(root / "hack" / "cluster")
    environment = dict(os.environ)
    environment["PERENNIAL_CLUSTER"] = os.environ.get("PERENNIAL_CLUSTER", f"bench-{os.getpid()}")

    def call(*command, **options):
        return subprocess.run([cluster, *command], env=environment, check=True, text=True,
                              **options)

    try:
        call("up", "--control-plane-only")
        call("exec", "kubectl", "apply", "-k", str(root / "crds"), stdout=subprocess.DEVNULL)
        if args.peer:
            call("exec", "kubectl", "apply", "--server-side", "-k", args.peer_crds,
                 stdout=subprocess.DEVNULL)
        for i in range(NAMESPACES):
            call("exec", "kubectl", "create", "namespace", namespace_of(i),
                 stdout=subprocess.DEVNULL)
        call("exec", "kubectl", "wait", "--for=condition=Established", "crd", "--all",
             stdout=subprocess.DEVNULL)
        audit_log = call("audit-log", capture_output=True).stdout.strip()
        with tempfile.TemporaryDirectory() as folder:
            environment["PERENNIAL_BENCH_SCALE"] = json.dumps(
                {**vars(args), "audit_log": audit_log, "folder": folder})
            print("| what | figure |\n|---|---:|", flush=True)
            try:
                call("exec", "python3", "-c", "import scale; scale.inside()",
                     cwd=str(root / "hack" / "bench.d"))
            except subprocess.CalledProcessError:
                log = pathlib.Path(folder) / "controller.log"
                if log.exists():
                    print(log.read_text(encoding="utf-8", errors="replace")[-3000:])
                raise
    finally:
        call("down")
