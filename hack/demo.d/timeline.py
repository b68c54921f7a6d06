#!/usr/bin/env python3
"""Follows one ModelDeployment and prints what changes, as it changes.

Ends when the state that was asked for is reached (exit 0), when a run fails for good (1) or when
the time is up (2). Reads only what `kubectl get` shows.
"""

import argparse
import json
import os
import subprocess
import sys
import time

KINDS = ",".join(
    f"{kind}.perennial.dev"
    for kind in ("modeldeployments", "driftmonitors", "retrainpolicies", "modelversions")
)


class Timeline:
    """Remembers what was said, so that only news is printed.

    `memory` is a file that carries it from one call of the script to the next, or empty.
    """

    def __init__(self, namespace, name, elapsed, memory):
        self.namespace, self.name = namespace, name
        self.start = time.monotonic() - elapsed
        self.memory = memory
        self.said = {}
        if memory and os.path.exists(memory):
            with open(memory, encoding="utf-8") as stream:
                self.said = json.load(stream)

    def say(self, topic, text):
        minutes, seconds = divmod(int(time.monotonic() - self.start), 60)
        print(f"{minutes:02d}:{seconds:02d}  {topic:<9} {text}", flush=True)

    def once(self, key, value, topic, text):
        """Says something when `value` is another one than the last time."""
        key = " ".join(key) if isinstance(key, tuple) else key
        if not value or self.said.get(key) == value:
            return
        self.said[key] = value
        self.say(topic, text)
        if self.memory:
            with open(self.memory, "w", encoding="utf-8") as stream:
                json.dump(self.said, stream)

    def look(self):
        """Prints the news; returns (status of the ModelDeployment, its policies, its monitors)."""
        found = subprocess.run(
            ["kubectl", "-n", self.namespace, "get", KINDS, "-o", "json"],
            capture_output=True, text=True, timeout=30,
        )
        items = json.loads(found.stdout)["items"] if found.returncode == 0 else []
        kinds = {}
        for item in items:
            kinds.setdefault(item["kind"], []).append(item)
        deployments = [
            d for d in kinds.get("ModelDeployment", ()) if d["metadata"]["name"] == self.name
        ]
        for monitor in kinds.get("DriftMonitor", ()):
            self.monitor(monitor.get("status", {}))
        for policy in kinds.get("RetrainPolicy", ()):
            self.policy(policy.get("status", {}))
        for version in sorted(kinds.get("ModelVersion", ()), key=lambda v: v["spec"]["revision"]):
            self.version(version)
        for deployment in deployments:
            self.deployment(deployment.get("status", {}))
        return (
            deployments[0].get("status", {}) if deployments else {},
            kinds.get("RetrainPolicy", []),
            kinds.get("DriftMonitor", []),
        )

    def monitor(self, status):
        champion = status.get("champion", "")
        for signal in status.get("signals", ()):
            if signal.get("variant") != champion:
                continue
            self.once(
                ("signal", signal["name"], champion), signal.get("state"), "drift",
                f"signal {signal['name']} of {champion}: {signal.get('state')}, "
                f"value {signal.get('value') or '-'}, threshold {signal.get('threshold') or '-'}, "
                f"{signal.get('samples', 0)} samples",
            )

    def policy(self, status):
        for run in reversed(status.get("runs", ())):
            self.once(
                ("job", run["name"]), run.get("job"), "retrain",
                f"Job {run.get('job')} because of {run.get('triggerType')}: {_evidence(run)}",
            )
            self.once(
                ("run", run["name"]), run.get("phase"), "retrain",
                f"run {run['name']}: {run.get('phase')}: {run.get('message', '')}",
            )

    def version(self, version):
        name, status = version["metadata"]["name"], version.get("status", {})
        for gate in status.get("gates", ()):
            reference = f" (champion {gate['reference']})" if gate.get("reference") else ""
            self.once(
                ("gate", name, gate["gate"]), gate.get("verdict"), "gate",
                f"{gate['gate']} {gate.get('threshold', '')}: {gate.get('verdict')}, "
                f"value {gate.get('value', '-')}{reference}",
            )
        self.once(
            ("phase", name), status.get("phase"), "version",
            f"{name} ({version['spec']['origin']['type']}, "
            f"{version['spec']['model'].get('digest', '')[:19]}): {status.get('phase')}: "
            f"{status.get('why', '')}",
        )

    def deployment(self, status):
        shares = [
            f"{v.get('version')} {v.get('weight', 0)} %" for v in status.get("variants", ())
        ]
        self.once("weights", ", ".join(shares), "traffic", ", ".join(shares))
        rollout = status.get("rollout") or {}
        version = rollout.get("version", "")
        self.once(
            ("rollout", version), f"{rollout.get('phase')} {rollout.get('step')}" if version else "",
            "rollout",
            f"{version}: {rollout.get('phase')}, step {rollout.get('step')}: {rollout.get('message', '')}",
        )
        experiment = rollout.get("experiment") or {}
        self.once(
            ("verdict", version), experiment.get("verdict"), "verdict",
            f"{experiment.get('verdict')}: effect {experiment.get('effect', '-')} "
            f"[{experiment.get('lower', '-')}, {experiment.get('upper', '-')}], "
            f"p {experiment.get('pValue', '-')}, "
            f"n {experiment.get('championSamples', 0)} + {experiment.get('challengerSamples', 0)}. "
            f"{experiment.get('message', '')}",
        )
        self.once("champion", status.get("champion"), "champion", f"{status.get('champion')}")


def _evidence(run):
    """One line about why the run started."""
    try:
        evidence = json.loads(run.get("evidence") or "{}")
    except ValueError:
        return run["evidence"]
    signals = [
        f"{s['name']} {s['value']} > {s['threshold']} ({s['samples']} samples)"
        for s in evidence.get("signals", ())
    ]
    return "; ".join(signals) or json.dumps(evidence)


def _reached(until, status, monitors, not_champion):
    conditions = {c["type"]: c["status"] for c in status.get("conditions", ())}
    champion = status.get("champion", "")
    if conditions.get("Ready") != "True" or not champion:
        return False
    if until == "serving":
        return True
    if until == "promoted":
        return champion != not_champion and conditions.get("Promoted") == "True"
    signals = [
        signal.get("state")
        for monitor in monitors
        for signal in monitor.get("status", {}).get("signals", ())
        if signal.get("variant") == champion
    ]
    return bool(signals) and all(state == "Ok" for state in signals)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", default="transit")
    parser.add_argument("--name", default="departures")
    parser.add_argument("--until", choices=["serving", "stable", "promoted"], required=True)
    parser.add_argument("--not-champion", default="", help="with promoted: any champion but this one")
    parser.add_argument("--timeout", type=float, default=180)
    parser.add_argument("--memory", default="", help="file that remembers what was said")
    parser.add_argument("--elapsed", type=float, default=0, help="seconds that the story already took")
    args = parser.parse_args()
    timeline = Timeline(args.namespace, args.name, args.elapsed, args.memory)
    end = time.monotonic() + args.timeout
    status = {}
    while time.monotonic() < end:
        status, policies, monitors = timeline.look()
        if _reached(args.until, status, monitors, args.not_champion):
            return 0
        for policy in policies:
            for run in policy.get("status", {}).get("runs", ()):
                if run.get("phase") == "Failed":
                    timeline.say("failed", run.get("message", ""))
                    return 1
        time.sleep(1)
    timeline.say("timeout", f"not {args.until} after {args.timeout:.0f} s: {status.get('why', '')}")
    return 2


if __name__ == "__main__":
    sys.exit(main())
