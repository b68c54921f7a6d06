#!/usr/bin/env python3
"""Follows one ModelDeployment and prints what changes, as it changes.

Runs until the model that retraining made is promoted (exit 0), fails for good (exit 1) or the time
is up (exit 2). Reads only what `kubectl get` shows.
"""
import argparse
import json
import subprocess
import sys
import time

START = time.monotonic()


def say(topic, text):
    minutes, seconds = divmod(int(time.monotonic() - START), 60)
    print(f"{minutes:02d}:{seconds:02d}  {topic:<9} {text}", flush=True)


def get(kind, namespace):
    run = subprocess.run(["kubectl", "-n", namespace, "get", kind, "-o", "json"],
                         capture_output=True, text=True, timeout=30)
    return json.loads(run.stdout)["items"] if run.returncode == 0 else []


class Timeline:
    """Remembers what was said, so that only news is printed."""

    def __init__(self, namespace, name):
        self.namespace, self.name = namespace, name
        self.said = {}

    def once(self, key, value, topic, text):
        if value and self.said.get(key) != value:
            self.said[key] = value
            say(topic, text)

    def look(self):
        kinds = "modeldeployments.perennial.dev,driftmonitors.perennial.dev," \
                "retrainpolicies.perennial.dev,modelversions.perennial.dev"
        items = get(kinds, self.namespace)
        by_kind = {}
        for item in items:
            by_kind.setdefault(item["kind"], []).append(item)
        for monitor in by_kind.get("DriftMonitor", []):
            self.monitor(monitor)
        for policy in by_kind.get("RetrainPolicy", []):
            self.policy(policy)
        for version in sorted(by_kind.get("ModelVersion", []), key=lambda v: v["spec"]["revision"]):
            self.version(version)
        deployments = [d for d in by_kind.get("ModelDeployment", [])
                       if d["metadata"]["name"] == self.name]
        for deployment in deployments:
            self.deployment(deployment)
        return (deployments[0].get("status", {}) if deployments else {},
                by_kind.get("RetrainPolicy", []))

    def monitor(self, monitor):
        status = monitor.get("status", {})
        champion = status.get("champion", "")
        for signal in status.get("signals", []):
            if signal.get("variant") != champion:
                continue
            state = signal.get("state")
            text = (f"signal {signal['name']} of {signal['variant']}: {state}, "
                    f"value {signal.get('value') or '-'} (threshold {signal.get('threshold') or '-'}, "
                    f"{signal.get('samples', 0)} samples)")
            self.once(("signal", signal["name"], champion), state, "drift", text)

    def policy(self, policy):
        for run in reversed(policy.get("status", {}).get("runs", [])):
            if run.get("job"):
                self.once(("job", run["name"]), run["job"], "retrain",
                          f"Job {run['job']} because of {run['triggerType']}: {run.get('evidence', '')}")
            self.once(("run", run["name"]), run.get("phase"), "retrain",
                      f"run {run['name']}: {run.get('phase')}: {run.get('message', '')}")

    def version(self, version):
        name, status = version["metadata"]["name"], version.get("status", {})
        for gate in status.get("gates", []):
            self.once(("gate", name, gate["gate"]), gate.get("verdict"), "gate",
                      f"{name}: {gate['gate']} {gate.get('threshold', '')}: "
                      f"value {gate.get('value', '-')}: {gate.get('verdict')}")
        self.once(("phase", name), status.get("phase"), "version",
                  f"{name} ({version['spec']['origin']['type']}, {version['spec']['model']['digest'][:19]}): "
                  f"{status.get('phase')}: {status.get('why', '')}")

    def deployment(self, deployment):
        status = deployment.get("status", {})
        weights = {v["version"]: v.get("weight", 0) for v in status.get("variants", [])}
        self.once("weights", json.dumps(weights, sort_keys=True), "traffic",
                  ", ".join(f"{v} {w} %" for v, w in weights.items()))
        rollout = status.get("rollout") or {}
        if rollout:
            self.once(("rollout", rollout.get("version")), rollout.get("phase"), "rollout",
                      f"{rollout.get('version')}: {rollout.get('phase')}: {rollout.get('message', '')}")
            experiment = rollout.get("experiment") or {}
            self.once(("verdict", rollout.get("version")), experiment.get("verdict"), "verdict",
                      f"{experiment.get('verdict')}: effect {experiment.get('effect')} "
                      f"[{experiment.get('lower')}, {experiment.get('upper')}], "
                      f"p {experiment.get('pValue')}, n {experiment.get('championSamples')} + "
                      f"{experiment.get('challengerSamples')}. {experiment.get('message', '')}")
        self.once("champion", status.get("champion"), "promoted", f"{status.get('champion')} has all traffic next")
        self.once("why", status.get("why"), "why", status.get("why", ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", default="transit")
    parser.add_argument("--name", default="departures")
    parser.add_argument("--until", choices=["serving", "stable", "promoted"], required=True)
    parser.add_argument("--not-champion", default="", help="with promoted: any champion but this one")
    parser.add_argument("--timeout", type=float, default=180)
    parser.add_argument("--elapsed", type=float, default=0, help="seconds that the story already took")
    args = parser.parse_args()
    global START
    START -= args.elapsed
    timeline = Timeline(args.namespace, args.name)
    end = time.monotonic() + args.timeout
    while time.monotonic() < end:
        status, policies = timeline.look()
        conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
        champion = status.get("champion", "")
        serving = conditions.get("Ready") == "True" and champion
        signals = {key: value for key, value in timeline.said.items()
                   if isinstance(key, tuple) and key[0] == "signal" and key[2] == champion}
        if args.until == "serving" and serving:
            return 0
        if args.until == "stable" and serving and signals and all(v == "Ok" for v in signals.values()):
            return 0
        if args.until == "promoted" and serving and champion != args.not_champion \
                and conditions.get("Promoted") == "True":
            return 0
        failed = [r for p in policies for r in p.get("status", {}).get("runs", [])
                  if r.get("phase") == "Failed"]
        if failed:
            say("failed", failed[0].get("message", ""))
            return 1
        time.sleep(1)
    say("timeout", f"not {args.until} after {args.timeout:.0f} s: {status.get('why', '')}")
    return 2


if __name__ == "__main__":
    sys.exit(main())
