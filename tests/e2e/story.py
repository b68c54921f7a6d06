"""What the end-to-end tests share: kubectl, waiting, and what the load driver counted.

The tests run inside of the cluster's network with kubectl and helm in PATH; see tests.cmake.
"""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import textwrap
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SYSTEM = "perennial-system"
TRANSIT = "transit"
# Only what never comes takes that long: on a busy machine a pod starts in minutes.
PATIENCE = 240
# How late a proxy on such a machine may follow the route that its gateway has accepted.
PROXY_PATIENCE = 60


def run(*command, text=None, check=True):
    """Returns what a command printed; a failure raises with what it said on stderr."""
    done = subprocess.run(
        [str(word) for word in command], input=text, capture_output=True, text=True, timeout=300
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr.strip()}{done.stdout}")
    return done.stdout


def kubectl(*arguments, **options):
    return run("kubectl", *arguments, **options)


def apply(manifest):
    """Applies an object, given as a dict."""
    return kubectl("apply", "-f", "-", text=json.dumps(manifest))


def get(kind, name=None, namespace=TRANSIT, selector=None):
    """Returns an object, {} when there is none; without a name, a list of objects."""
    command = ["get", kind, "-n", namespace, "-o", "json", "--ignore-not-found"]
    if name is not None:
        return json.loads(kubectl(*command, name) or "{}")
    if selector is not None:
        command += ["-l", selector]
    return json.loads(kubectl(*command) or '{"items": []}')["items"]


def condition(thing, kind):
    """Returns the status of a condition, None when it isn't there."""
    for entry in thing.get("status", {}).get("conditions", ()):
        if entry["type"] == kind:
            return entry["status"]
    return None


def wait_for(what, seconds, probe, show=None):
    """Returns probe()'s first truthy result; raises with `show()` when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > deadline:
            detail = f": {show()}" if show else ""
            raise AssertionError(f"not within {seconds} s: {what}{detail}")
        time.sleep(0.5)


def model_deployment(name="departures", namespace=TRANSIT):
    return get("modeldeployments.perennial.dev", name, namespace)


def namespace(name, restricted=False):
    """Makes a namespace, perhaps one that Pod Security restricts.

    One of that name from another story may still be on its way out.
    """
    def free():
        return not get("namespaces", name).get("metadata", {}).get("deletionTimestamp")

    wait_for(f"the namespace {name} is free", PATIENCE, free)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"} if restricted else {}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})


def user(name, role, namespace=TRANSIT):
    """Returns the kubeconfig of a user who has a ClusterRole in a namespace."""
    kubectl("-n", namespace, "delete", "rolebinding", name, "--ignore-not-found")
    kubectl("-n", namespace, "create", "rolebinding", name, f"--clusterrole={role}", f"--user={name}")
    return run(ROOT / "hack/cluster", "user", name).strip()


def gateway(namespace, name="edge", host=None):
    """Makes a Gateway of a namespace, for all host names unless one is given."""
    listener = {"name": "http", "protocol": "HTTP", "port": 80, **({"hostname": host} if host else {})}
    apply({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"gatewayClassName": "perennial", "listeners": [listener]},
    })


def gateway_address(namespace):
    """Returns the address of the Gateway "edge", as soon as it has one."""
    def address():
        addresses = get("gateways.gateway.networking.k8s.io", "edge", namespace).get(
            "status", {}).get("addresses")
        return addresses[0]["value"] if addresses else None

    return wait_for("the Gateway has an address", PATIENCE, address)


def wait_until_promoted(name, namespace):
    kubectl("-n", namespace, "wait", "--for=condition=Promoted", f"modeldeployment/{name}", f"--timeout={PATIENCE}s")


def kill(pod):
    """Ends a pod's container without a word, as the kernel does when memory runs out; returns how many processes."""
    container = pod["status"]["containerStatuses"][0]["containerID"].partition("://")[2]
    killed = 0
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            # The cluster's processes are seen from here, and their cgroups name the container.
            if container in (process / "cgroup").read_text():
                os.kill(int(process.name), signal.SIGKILL)
                killed += 1
        except OSError:
            pass  # it ended by itself meanwhile
    return killed


def kill_controller():
    pods = get("pods", namespace=SYSTEM, selector="app.kubernetes.io/component=controller")
    killed = sum(kill(pod) for pod in pods)
    if killed != len(pods):
        raise AssertionError(f"killed {killed} processes of {len(pods)} controllers")


def restart_api_server():
    run(ROOT / "hack" / "cluster", "restart", "kube-apiserver")
    wait_for("the API server answers", PATIENCE, lambda: kubectl("get", "--raw", "/readyz", check=False) == "ok")


def chart_with(*values):
    """Changes the values of the release that is there."""
    run("helm", "upgrade", "perennial", ROOT / "charts/perennial", "--namespace", SYSTEM, "--reuse-values", "--wait",
        "--timeout", f"{PATIENCE}s", *(f"--set-json={value}" for value in values))


def lose_status(name, namespace):
    """Stops the controller, takes a ModelDeployment's status away and starts it again; returns what was left."""
    label = "app.kubernetes.io/component=controller"

    def controllers():
        return get("pods", namespace=SYSTEM, selector=label)

    def scale(replicas):
        kubectl("-n", SYSTEM, "scale", "deployment", "-l", label, f"--replicas={replicas}")

    before = len(controllers())
    scale(0)
    try:
        wait_for("the controller is gone", PATIENCE, lambda: not controllers())
        kubectl("-n", namespace, "patch", "modeldeployment", name, "--subresource=status", "--type=json", "-p",
                json.dumps([{"op": "replace", "path": "/status", "value": {}}]))
        return model_deployment(name, namespace).get("status", {})
    finally:
        scale(before)


# At 0.1 %, by the number of versions: a right split fails one run in a thousand.
CHI_SQUARE_LIMITS = {2: 10.83, 3: 13.82}


def assert_split(counts, wanted, what="split"):
    """Fails where {version: answers} is not the wanted {version: share} of them all."""
    total = sum(counts.values())
    if set(counts) != set(wanted):
        raise AssertionError(f"{what}: {dict(counts)} is not {wanted}")
    chi_square = sum((counts[v] - total * w) ** 2 / (total * w) for v, w in wanted.items())
    print(f"{what} {dict(counts)}, wanted {wanted}: chi-square {chi_square:.2f}", flush=True)
    if chi_square >= CHI_SQUARE_LIMITS[len(wanted)]:
        raise AssertionError(f"{what}: chi-square {chi_square:.2f}")


def wait_for_split(sample, wanted, what="split"):
    """Takes samples until one has the wanted split: a proxy follows the accepted route late on a busy machine."""
    deadline = time.monotonic() + PROXY_PATIENCE
    taken = 0
    while True:
        counts = sample()  # a request that fails is no matter of splits
        taken += 1
        try:
            return assert_split(counts, wanted, what)
        except AssertionError:
            # One in a thousand is wrong by chance, three in a row are not; and a sample may take long.
            if taken >= 3 and time.monotonic() > deadline:
                raise


def answers(address, path="/", host=None, port=80):
    """Whether an HTTP server, or the gateway for that host name, answers with success."""
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


# A model server in Python: `DEFINE` makes its metrics, `OBSERVE` is what it does for the request `url`.
SERVER = """
import http.server, os, random, urllib.parse
import prometheus_client
DEFINE
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        body = b"ok"
        if url.path == "/metrics":
            body = prometheus_client.generate_latest()
        elif url.path == "/predict":
OBSERVE
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


def model_server(define, observe):
    """Returns the program of a model server that has /predict and /metrics."""
    return SERVER.strip().replace("DEFINE", define.strip()).replace(
        "OBSERVE", textwrap.indent(textwrap.dedent(observe).strip(), " " * 12))


def load_driver():
    """Returns the newest line of numbers of the load driver."""
    lines = kubectl("-n", TRANSIT, "logs", "deploy/load-driver", "--tail=3").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")][-1]


def next_load_driver_line():
    """Returns a line of numbers that was written after the call."""
    before = load_driver()["seconds"]

    def newer():
        line = load_driver()
        return line if line["seconds"] > before else None

    return wait_for("another line of the load driver", PATIENCE, newer)


def route_weights(namespace=TRANSIT):
    """Returns {service: weight} of all routes' backends."""
    return {
        backend["name"]: backend.get("weight", 1)
        for route in get("httproutes.gateway.networking.k8s.io", namespace=namespace)
        for rule in route["spec"]["rules"]
        for backend in rule.get("backendRefs", ())
    }
