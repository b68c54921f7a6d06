"""Churn for some time: models are created, changed and deleted while the controller runs.

The cluster has the controller manager, which deletes what belongs to deleted models: without it
the controller would see ever more objects, and grow for that.
"""
import random
import statistics
import time

from cluster_api import Audit, each
from objects import GROUP, model, monitor, name_of, namespace_of, policy

KINDS = (("modeldeployments", model), ("driftmonitors", monitor), ("retrainpolicies", policy))
MERGE = "application/merge-patch+json"


def path_of(kind, i):
    return f"{GROUP}/namespaces/{namespace_of(i)}/{kind}"


class Churn:
    def __init__(self, api, models):
        self.api = api
        self.alive = list(range(models))
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
    churn = Churn(api, args.models)
    audit.take_counts()
    begin, cpu = time.time(), process.cpu()
    report.row("churn begins: RSS, MB", process.memory("VmRSS"), "{:.1f}")
    end = begin + 60 * args.minutes
    while time.time() < end:
        if not process.alive():
            raise RuntimeError("the controller ended")
        began = time.time()
        churn.turn(args.rate)
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
    counts = audit.take_counts()
    report.row("writes of the controller", counts.writes())
    report.row("... of them refused", counts.refused())
    for what, number in counts.refused_by_kind()[:4]:
        report.row(f"... ... {what}", number)
    report.row("% of a core", 100 * (process.cpu() - cpu) / passed, "{:.1f}")
