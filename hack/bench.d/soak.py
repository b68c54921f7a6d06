"""Churn for some time: models are created, changed and deleted, and some drift and recover, while
the controller runs.

The cluster has the controller manager, which deletes what belongs to deleted models: without it
the controller would see ever more objects, and grow for that. It makes pods for models that have
some, too; no node runs them, so they are declared running here, at an address that answers.
"""
import json
import random
import statistics
import time

import drift
from cluster_api import Audit, each
from objects import GROUP, condition, model, monitor, name_of, namespace_of, policy

KINDS = (("modeldeployments", model), ("driftmonitors", monitor), ("retrainpolicies", policy))
MERGE = "application/merge-patch+json"


def path_of(kind, i):
    return f"{GROUP}/namespaces/{namespace_of(i)}/{kind}"


class Drifting:
    """Models with a pod whose predictions are bad for some minutes, and then good for as many."""

    MINUTES = 5

    def __init__(self, api, models):
        self.api = api
        self.models = range(models)
        self.page = drift.Page()
        self.turns_at = None
        self.found = self.ended = 0
        if models:
            drift.serve(self.page)
            each(self.bring_up, self.models)

    def bring_up(self, i):
        """The window is so short that what was bad is forgotten before the next time."""
        where = f"{path_of('modeldeployments', i)}/{name_of(i)}"
        self.api.send("PATCH", where, {"spec": {"replicas": 1}}, MERGE)
        self.api.send("PATCH", f"{path_of('driftmonitors', i)}/{name_of(i)}",
                      {"spec": {"window": "2m", "interval": "20s"}}, MERGE)
        pods = f"/api/v1/namespaces/{namespace_of(i)}/pods"
        pod = self.wait_for_pod(f"{pods}?labelSelector={drift.LABEL}%3D{name_of(i)}")
        address = drift.SERVER
        self.api.send("PATCH", f"{pods}/{pod}/status", {"status": {
            "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
            "conditions": [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")],
        }}, MERGE)
        # Pods that are on no node get no endpoint.
        name = pod.rsplit("-", 2)[0]
        space = namespace_of(i)
        service = json.loads(self.api.send("GET", f"/api/v1/namespaces/{space}/services/{name}"))
        self.api.send("POST", f"/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices",
                      drift.endpoints(service))

    def wait_for_pod(self, query):
        for _ in range(300):
            found = json.loads(self.api.send("GET", query))["items"]
            if found:
                return found[0]["metadata"]["name"]
            time.sleep(1)
        raise RuntimeError(f"no pod: {query}")

    def count(self, status):
        names = {(namespace_of(i), name_of(i)) for i in self.models}
        return self.api.count(f"{GROUP}/driftmonitors", lambda item: condition(item, "Drifted") == status and
                              (item["metadata"]["namespace"], item["metadata"]["name"]) in names)

    def turn(self):
        now = time.monotonic()
        if not self.models or (self.turns_at is not None and now < self.turns_at):
            return
        if self.turns_at is not None:
            if self.page.drifted:
                self.found += self.count("True")
            else:
                self.ended += self.count("False")
            self.page.drifted = not self.page.drifted
        self.turns_at = now + 60 * self.MINUTES


class Churn:
    def __init__(self, api, models, steady):
        self.api = api
        self.alive = list(range(steady, models))
        self.next = models
        self.random = random.Random(1)
        self.done = {"created": 0, "changed": 0, "deleted": 0}

    def create(self, i):
        for kind, make in KINDS:
            self.api.send("POST", path_of(kind, i), make(namespace_of(i), name_of(i)))

    def change(self, i):
        where = f"/metrics-{self.random.randrange(1000)}"
        self.api.send("PATCH", f"{path_of('modeldeployments', i)}/{name_of(i)}",
                      {"spec": {"metrics": {"path": where}}}, MERGE)
        self.api.send("PATCH", f"{path_of('driftmonitors', i)}/{name_of(i)}",
                      {"spec": {"minSamples": self.random.randrange(500, 1000)}}, MERGE)

    def delete(self, i):
        for kind, _ in KINDS:
            self.api.send("DELETE", f"{path_of(kind, i)}/{name_of(i)}", accept=(404,))

    def turn(self, each_kind):
        """Deletes as many as it creates, and changes twice as many."""
        self.random.shuffle(self.alive)
        gone = [self.alive.pop() for _ in range(each_kind)]
        new = list(range(self.next, self.next + each_kind))
        self.next += each_kind
        changed = self.alive[:2 * each_kind]
        for work, which, what in ((self.delete, gone, "deleted"), (self.create, new, "created"),
                                  (self.change, changed, "changed")):
            each(work, which)
            self.done[what] += len(which)
        self.alive += new


def slope(samples):
    """MB an hour, by least squares."""
    times = [moment for moment, _, _ in samples]
    return 3600 * statistics.linear_regression(times, [rss for _, _, rss in samples]).slope


def measure(api, args, report, process, audit: Audit):
    drifting = Drifting(api, args.drift)
    churn = Churn(api, args.models, args.drift)
    audit.take_counts()
    begin, cpu, opened = time.time(), process.cpu(), process.opened()
    report.row("churn begins: RSS, MB", process.memory("VmRSS"), "{:.1f}")
    end = begin + 60 * args.minutes
    while time.time() < end:
        if not process.alive():
            raise RuntimeError("the controller ended")
        began = time.time()
        churn.turn(args.rate)
        drifting.turn()
        time.sleep(max(0.0, began + 1 - time.time()))
    passed = time.time() - begin
    samples = [one for one in process.samples if begin <= one[0]]
    for part in range(4):
        some = samples[part * len(samples) // 4:(part + 1) * len(samples) // 4]
        report.row(f"RSS in quarter {part + 1}, mean MB",
                   statistics.mean(rss for _, _, rss in some), "{:.1f}")
    report.row("slope of RSS over all, MB an hour", slope(samples), "{:.1f}")
    report.row("slope of RSS over the second half, MB an hour",
               slope(samples[len(samples) // 2:]), "{:.1f}")
    report.row("minutes of churn", passed / 60, "{:.1f}")
    for what, number in churn.done.items():
        report.row(f"models {what}", number)
    if args.drift:
        report.row(f"drifts of {args.drift} models that were found", drifting.found)
        report.row("... that were seen to end", drifting.ended)
    for what, (before, after) in zip(("threads", "open files"), zip(opened, process.opened())):
        report.row(f"{what} before", before)
        report.row(f"{what} after", after)
    counts = audit.take_counts()
    report.row("writes of the controller", counts.writes())
    report.row("... of them refused", counts.refused())
    for what, number in counts.refused_by_kind()[:4]:
        report.row(f"... ... {what}", number)
    report.row("% of a core", 100 * (process.cpu() - cpu) / passed, "{:.1f}")
