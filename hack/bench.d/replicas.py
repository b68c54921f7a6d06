"""Several replicas that share the work by shards, on one machine; then one is killed."""
import time

from cluster_api import Audit
from processes import Load, Process, metric

METRICS = 18080
HEALTH = 18180
MODELS = r'perennial_informer_objects\{resource="modeldeployments"[^}]*\}'


class Replicas:
    """Of one controller."""

    def __init__(self, args, folder):
        self.args = args
        self.all = []
        for i in range(args.replicas):
            command = [args.binary, "run", "--metrics-port", str(METRICS + i), "--health-port",
                       str(HEALTH + i), "--log-level", "warn", "--leader-elect",
                       "--lease-namespace", "default", "--shards", str(args.shards)]
            self.all.append(Process(command, folder / f"controller-{i}.log", HEALTH + i))
        self.started = self.all[0].started

    def cpu(self):
        return sum(process.cpu() for process in self.all if process.alive())

    def alive(self):
        return all(process.alive() for process in self.all)

    def held(self, i):
        if self.args.shards == 1:
            return metric(METRICS + i, "leader_election_master_status")
        return metric(METRICS + i, "perennial_shard_held")

    def idle(self, indices):
        """All shards are held by these, their stores are filled, and nothing is left to look at."""
        try:
            return (sum(self.held(i) for i in indices) == self.args.shards
                    and sum(metric(METRICS + i, MODELS) for i in indices) == self.args.models
                    and sum(metric(METRICS + i, "workqueue_depth") for i in indices) == 0)
        except OSError:
            return False

    def stop(self):
        for process in self.all:
            process.stop()


def writes(counts):
    """Without those of Leases."""
    return [(what, number) for what, number in counts.by_kind() if not what.endswith(" leases")]


def report_takeover(report, replicas, audit):
    audit.take_counts()
    numbers = range(len(replicas.all))
    victim = max(numbers, key=replicas.held)
    others = [i for i in numbers if i != victim]
    report.row("killed: the shards that it held", replicas.held(victim))
    killed = time.time()
    replicas.all[victim].process.kill()
    while sum(replicas.held(i) for i in others) < replicas.args.shards:
        time.sleep(0.1)
    report.row("... seconds until others hold them", time.time() - killed, "{:.1f}")
    while not replicas.idle(others):
        time.sleep(0.1)
    report.row("... seconds until all of it was looked at", time.time() - killed, "{:.1f}")
    time.sleep(5)
    counts = writes(audit.take_counts())
    report.row("... writes until then", sum(number for _, number in counts))
    for what, number in counts:
        report.row(f"...... {what}", number)


def measure(args, folder, report, wait_converged, check):
    audit = Audit(args.audit_log, "perennial-controller")
    replicas = Replicas(args, folder)
    machine = Load(args.cluster_folder, replicas)
    try:
        at = wait_converged(audit, replicas, check)
        report.row("seconds to all converged", at - replicas.started, "{:.1f}")
        others = machine.since()
        for name, seconds in others[0].items():
            report.row(f"... CPU seconds of {name} meanwhile", seconds, "{:.1f}")
        report.row("... processors that other work on the machine kept busy", others[1], "{:.2f}")
        used = [process.cpu_at(at) for process in replicas.all]
        report.row("... CPU seconds of all replicas", sum(used), "{:.1f}")
        report.row("... CPU seconds of the busiest", max(used), "{:.1f}")
        peaks = [process.memory("VmHWM") for process in replicas.all]
        report.row("... peak RSS of all replicas, MB", sum(peaks))
        report.row("... peak RSS of the largest, MB", max(peaks))
        counts = audit.take_counts()
        written = sum(number for _, number in writes(counts))
        report.row("... writes a model", written / args.models, "{:.2f}")
        report.row("... reads a model", (counts.of("get") - counts.of_resource("get", "leases"))
                   / args.models, "{:.2f}")
        while not replicas.idle(range(args.replicas)):
            time.sleep(0.5)
        if args.replicas > 1:
            report_takeover(report, replicas, audit)
    finally:
        replicas.stop()
        audit.close()
