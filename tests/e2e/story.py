"""What the end-to-end tests share: kubectl, waiting, and what the load driver counted.

The tests run inside of the cluster's network with kubectl and helm in PATH; see tests.cmake.
"""

import json
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SYSTEM = "perennial-system"
TRANSIT = "transit"


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

    return wait_for("another line of the load driver", 30, newer)


def route_weights(namespace=TRANSIT):
    """Returns {service: weight} of all routes' backends."""
    return {
        backend["name"]: backend.get("weight", 1)
        for route in get("httproutes.gateway.networking.k8s.io", namespace=namespace)
        for rule in route["spec"]["rules"]
        for backend in rule.get("backendRefs", ())
    }
