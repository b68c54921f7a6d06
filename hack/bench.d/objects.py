"""The objects that a measured cluster is filled with.

Models have replicas: 0, so that no Pod has to come up: what is measured is the controller and what
the API server makes of its requests.
"""
import os

NAMESPACES = int(os.environ.get("PERENNIAL_BENCH_NAMESPACES", "10"))
GROUP = "/apis/perennial.dev/v1alpha1"
PEER_GROUP = "/apis/argoproj.io/v1alpha1"

# Each model has so many features, all of this distribution: bounds of buckets, observations in each.
FEATURES = 10
BOUNDS = [1, 2, 3, 4, 5, 6, 7, 8, 9]
COUNTS = [20, 40, 80, 140, 220, 220, 140, 80, 40, 20]


def namespace_of(i):
    return f"scale-{i % NAMESPACES}"


def name_of(i):
    return f"model-{i}"


def pod_spec():
    return {"containers": [{"name": "model", "image": "example.org/model:1",
                            "ports": [{"name": "http", "containerPort": 8080}]}]}


def model(namespace, name, digest="a"):
    """Without a cluster address: see docs/concepts/model-deployment.md."""
    return {
        "apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"uri": f"http://models/{name}", "digest": "sha256:" + digest * 64},
            "replicas": 0,
            "template": {"spec": pod_spec()},
            "metrics": {"port": "http", "path": "/metrics"},
            "traffic": {"headless": True},
        },
    }


def monitor(namespace, name):
    return {
        "apiVersion": "perennial.dev/v1alpha1", "kind": "DriftMonitor",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "target": {"modelDeployment": name}, "interval": "1m", "window": "1h",
            "baseline": {"from": "Inline", "profile": {"rows": sum(COUNTS), "metrics": [
                {"metric": f"feature_{i}_value", "type": "Numeric", "bounds": BOUNDS,
                 "counts": COUNTS} for i in range(FEATURES)]}},
            "signals": [{"name": f"feature-{i}", "type": "DataDrift",
                         "metric": f"feature_{i}_value",
                         "tests": [{"measure": "population_stability_index",
                                    "threshold": "0.25"}]} for i in range(FEATURES)]
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
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod_spec()},
        },
    }


def condition(item, kind):
    conditions = item.get("status", {}).get("conditions", [])
    return next((one["status"] for one in conditions if one["type"] == kind), None)


def current(item):
    """The controller has judged the spec as it is now."""
    return item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"]


def model_done(item):
    """At replicas: 0 a first rollout has made all it makes, and waits before its first step."""
    return (current(item) and condition(item, "Ready") == "True"
            and any(variant.get("service") for variant in item["status"].get("variants", [])))


def judged(item):
    return current(item) and bool(item["status"].get("conditions"))


def rollout_done(item):
    # Argo Rollouts writes the generation as text.
    status = item.get("status", {})
    return (status.get("phase") == "Healthy"
            and str(status.get("observedGeneration")) == str(item["metadata"]["generation"]))
