"""One controller process and N models on a real API server and etcd, without nodes.

The objects are there before the controller starts. When it wrote what is read from the API server's
audit log: the time of its last write, once nothing more comes and all objects are as they should
be, is when it had converged.
"""
import json
import os
import pathlib
import subprocess
import tempfile
import time

import drift
import replicas
import soak
from cluster_api import LOADERS, Api, Audit, load
from objects import (GROUP, NAMESPACES, PEER_GROUP, judged, model, model_done, monitor,
                     namespace_of, policy, rollout, rollout_done)
from processes import Load, Process, metric

QUIET = 4.0  # so many seconds without a write count as the end of them
METRICS_PORT = 18080


class Report:
    """Prints a figure as soon as it is there, and keeps it for the plot."""

    def __init__(self):
        self.figures = {}
        print("| what | figure |\n|---|---:|", flush=True)

    def row(self, what, value, form="{:,.0f}", key=None):
        print(f"| {what} | {form.format(value)} |", flush=True)
        if key:
            self.figures[key] = value

    def writes(self, counts, objects):
        self.row("... writes a model", counts.writes() / objects, "{:.2f}")
        for what, number in counts.by_kind():
            self.row(f"...... {what}", number / objects, "{:.2f}")
        if counts.refused():
            self.row("... writes that were refused", counts.refused())
        self.row("... reads a model", counts.of("get") / objects, "{:.2f}")


def wait_converged(audit, process, check, limit=180):
    """When the last write was, once no more come and check() finds nothing that is not done."""
    since = time.time()
    while True:
        if not process.alive():
            raise RuntimeError("the controller ended")
        last = max(audit.last_write, since)
        if time.time() - last < QUIET:
            time.sleep(0.25)
            continue
        missing = check()
        if not missing and audit.last_write <= last:
            return audit.last_write
        if time.time() - last > limit:
            raise RuntimeError(f"{missing}, and no write for {limit} s")
        time.sleep(2)


def not_done(api, args):
    """What is not as it should be yet, or an empty text."""
    kinds = [("modeldeployments", model_done)]
    if args.monitors:
        kinds.append(("driftmonitors", judged))
    if args.policies:
        kinds.append(("retrainpolicies", judged))
    for kind, done in kinds:
        now = api.count(f"{GROUP}/{kind}", done)
        if now < args.models:
            return f"{now} of {args.models} {kind} done"
    return ""


def start(args, folder):
    command = [args.binary, "run", "--metrics-port", str(METRICS_PORT), "--health-port", "18081",
               "--log-level", "warn"]
    if args.drift:
        command += ["--max-runs", "0"]  # all at once
    return Process(command, folder / "controller.log", 18081)


def start_peer(args, folder):
    """Argo Rollouts with limits that are no limits, as ours has none."""
    return Process([args.peer, "--kubeconfig", os.environ["KUBECONFIG"], "--leader-elect=false",
                    "--qps", "2000", "--burst", "4000", "--metricsPort", "18090",
                    "--healthzPort", "18091", "--loglevel", "error"], folder / "peer.log", 18091)


def report_converged(report, who, process, audit, machine, at, objects):
    others = machine.since()
    cpu = process.cpu_at(at)
    report.row(f"{who}: seconds to all converged", at - process.started, "{:.1f}", "converged")
    report.row("... CPU seconds", cpu, "{:.1f}")
    report.row("... CPU milliseconds a model", cpu * 1000 / objects, "{:.2f}", "cpu")
    for name, seconds in others[0].items():
        report.row(f"... CPU seconds of {name} meanwhile", seconds, "{:.1f}")
    report.row("... processors that other work on the machine kept busy", others[1], "{:.2f}",
               "others")
    report.row("... peak RSS, MB", process.memory("VmHWM"), key="peak")
    counts = audit.take_counts()
    report.row("... CPU milliseconds a request", cpu * 1000 / sum(counts.values()), "{:.2f}",
               "request")
    report.writes(counts, objects)


def report_idle(report, who, process, audit, seconds):
    audit.take_counts()
    before = process.cpu()
    time.sleep(seconds)
    used = process.cpu() - before
    report.row(f"{who}: idle for {seconds} s: % of a core", 100 * used / seconds, "{:.2f}", "idle")
    counts = audit.take_counts()
    report.row("... writes", counts.writes())
    for what, number in counts.by_kind():
        report.row(f"...... {what}", number)
    report.row("... RSS, MB", process.memory("VmRSS"), key="rss")


def report_requests(report, counts):
    for what, number in (("lists", counts.of("list")), ("watches", counts.of("watch")),
                         ("gets", counts.of("get")), ("writes", counts.writes())):
        report.row(f"... {what}", number)


def settle(process, limit=300):
    """Until nothing is due in any queue; the time of that."""
    end = time.time() + limit
    while time.time() < end:
        if metric(METRICS_PORT, "workqueue_depth") == 0:
            return time.time()
        time.sleep(1)
    raise RuntimeError(f"the queues are not empty after {limit} s; {process.cpu():.0f} CPU seconds")


def report_restart(report, args, folder, process, audit):
    report.row("restart: seconds that the old process took to end", process.stop(), "{:.1f}")
    audit.take_counts()
    process = start(args, folder)
    report.row("... seconds to ready", process.wait_ready(), "{:.1f}", "ready")
    at = settle(process)
    report.row("... seconds until all was looked at", at - process.started, "{:.1f}", "settled")
    report.row("... CPU seconds until then", process.cpu(), "{:.1f}")
    time.sleep(5)
    report_requests(report, audit.take_counts())
    report.row("... peak RSS, MB", process.memory("VmHWM"))
    return process


def report_api_restart(report, args, process, audit):
    """The API server goes away and comes back."""
    audit.take_counts()
    cpu = process.cpu()
    begin = time.monotonic()
    restart = [args.cluster, "restart", "kube-apiserver"]
    starts = 1
    # Its own first check of all Services has a limit; a kubelet would start it again too.
    while subprocess.run(restart, check=False, stdout=subprocess.DEVNULL).returncode != 0:
        starts += 1
        if starts > 5:
            raise RuntimeError("the API server does not come up any more")
    report.row("API server restart: seconds until it was ready", time.monotonic() - begin, "{:.1f}")
    report.row("... starts that this took", starts, "{}")
    time.sleep(60)
    if not process.alive():
        raise RuntimeError("the controller ended")
    report_requests(report, audit.take_counts())
    report.row("... CPU seconds of the controller, over 60 s", process.cpu() - cpu, "{:.1f}")
    report.row("... peak RSS since the controller's start, MB", process.memory("VmHWM"))


def load_objects(api, args, report):
    kinds = [("modeldeployments", model)]
    if args.monitors:
        kinds.append(("driftmonitors", monitor))
    if args.policies:
        kinds.append(("retrainpolicies", policy))
    for kind, make in kinds:
        rate = load(api, kind, make, args.models)
        report.row(f"{kind} created a second by the harness ({LOADERS} connections)", rate)


def measure_ours(api, args, folder, report):
    load_objects(api, args, report)
    audit = Audit(args.audit_log, "perennial-controller")
    process = start(args, folder)
    machine = Load(args.cluster_folder, process)
    try:
        report.row("seconds to ready", process.wait_ready(), "{:.1f}")
        at = wait_converged(audit, process, lambda: not_done(api, args))
        report_converged(report, "Perennial", process, audit, machine, at, args.models)
        report_idle(report, "Perennial", process, audit, args.idle)
        if args.drift:
            drift.measure(api, report, process, audit, args.drift)
        process = report_restart(report, args, folder, process, audit)
        report_api_restart(report, args, process, audit)
    finally:
        process.stop()
        audit.close()


def measure_soak(api, args, folder, report):
    load_objects(api, args, report)
    audit = Audit(args.audit_log, "perennial-controller")
    process = start(args, folder)
    try:
        process.wait_ready()
        wait_converged(audit, process, lambda: not_done(api, args))
        soak.measure(api, args, report, process, audit)
        wait_converged(audit, process, lambda: not_done(api, args))
        report.row("all converged again: RSS, MB", process.memory("VmRSS"), "{:.1f}")
    finally:
        process.stop()
        audit.close()


def measure_peer(api, args, folder, report):
    rate = load(api, "rollouts", rollout, args.models, group=PEER_GROUP)
    report.row(f"rollouts created a second by the harness ({LOADERS} connections)", rate)
    audit = Audit(args.audit_log, "rollouts-controller")
    process = start_peer(args, folder)
    machine = Load(args.cluster_folder, process)

    def missing():
        done = api.count(f"{PEER_GROUP}/rollouts", rollout_done)
        return "" if done == args.models else f"{done} of {args.models} Rollouts healthy"

    try:
        at = wait_converged(audit, process, missing)
        report_converged(report, "Argo Rollouts", process, audit, machine, at, args.models)
        report_idle(report, "Argo Rollouts", process, audit, args.idle)
    finally:
        process.stop()
        audit.close()


def inside():
    """In the cluster's network; what to do comes from the environment."""
    import argparse
    args = argparse.Namespace(**json.loads(os.environ["PERENNIAL_BENCH_SCALE"]))
    folder = pathlib.Path(args.folder)
    api = Api(os.environ["KUBECONFIG"])
    if args.replicas:
        report = Report()
        load_objects(api, args, report)
        return replicas.measure(args, folder, report, wait_converged, lambda: not_done(api, args))
    if args.minutes:
        return measure_soak(api, args, folder, Report())
    if not args.peer_only:
        report = Report()
        try:
            measure_ours(api, args, folder, report)
        finally:
            if args.record:
                record(pathlib.Path(args.record), args, report.figures)
    if args.peer:
        measure_peer(api, args, folder, Report())
    return None


def record(path, args, figures):
    """Adds to the file that `hack/bench plot` draws from."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    kind = {"models": args.models, "monitors": args.monitors, "policies": args.policies}
    known = [one for one in known if {key: one.get(key) for key in kind} != kind]
    known.append({**kind, **{key: round(value, 3) for key, value in figures.items()}})
    known.sort(key=lambda one: (one["monitors"], one["models"]))
    text = ",\n ".join(json.dumps(one) for one in known)
    path.write_text(f"[{text}]\n", encoding="utf-8")


def run(root, args):
    """Needs args.binary, and args.peer with args.peer_crds if the peer is to be measured."""
    cluster = str(root / "hack" / "cluster")
    environment = dict(os.environ)
    environment["PERENNIAL_BENCH_NAMESPACES"] = str(NAMESPACES)
    environment["PERENNIAL_CLUSTER"] = os.environ.get("PERENNIAL_CLUSTER", f"bench-{os.getpid()}")

    def call(*command, **options):
        return subprocess.run([cluster, *command], env=environment, check=True, text=True,
                              **options)

    try:
        more = ["--controller-manager"] if args.minutes else []
        call("up", "--control-plane-only", *more, stdout=subprocess.DEVNULL)
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
                {**vars(args), "audit_log": audit_log, "folder": folder, "cluster": cluster,
                 "cluster_folder": str(pathlib.Path(audit_log).parent.parent)})
            try:
                call("exec", "python3", "-c", "import scale; scale.inside()",
                     cwd=str(root / "hack" / "bench.d"))
            except subprocess.CalledProcessError:
                for log in pathlib.Path(folder).glob("*.log"):
                    print(log.read_text(encoding="utf-8", errors="replace")[-3000:])
                raise
    finally:
        call("down", stdout=subprocess.DEVNULL)
