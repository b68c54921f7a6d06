"""Hands the result of a training run to Perennial. Python 3.9 or later, standard library only.

    import perennial_result as result
    digest = result.digest_of_file("model.json")
    result.write("https://store/model.json", digest, [result.metric("mae", 3.1, samples=5000)])

`write` puts the run's result, a JSON document of at most 4096 bytes, where Kubernetes reads a
container's termination message. Whatever Perennial would refuse raises ResultError here, where the
training's log shows it. `fail` leaves one line about what went wrong in the same place.
"""

import bisect
import hashlib
import json
import math
import numbers
import os
import re

# Kubernetes keeps no more of a termination message.
MAX_BYTES = 4096
# Where a container's termination message goes unless its spec says otherwise.
DEFAULT_PATH = "/dev/termination-log"
# Set this in tests, or when the container has another terminationMessagePath.
PATH_VARIABLE = "PERENNIAL_RESULT_PATH"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ResultError(ValueError):
    """The result is not one that Perennial accepts; the message names the field."""


def digest_of(content):
    """Returns "sha256:<hex>" of bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def digest_of_file(path):
    """Returns "sha256:<hex>" of a file's content."""
    sha = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            sha.update(block)
    return "sha256:" + sha.hexdigest()


def metric(name, value, samples=None, group=None):
    """Returns one evaluation metric: of everything, or of a group of the evaluated rows."""
    entry = {"name": name, "value": _number(f"metric {name}", value)}
    if group is not None:
        entry["group"] = group
    if samples is not None:
        entry["samples"] = int(samples)
    return entry


def dataset(uri, digest, rows=None):
    """Returns a reference to data: where it is, what it hashes to, and how many rows it has."""
    _check_digest(f"dataset {uri}", digest)
    entry = {"uri": uri, "digest": digest}
    if rows is not None:
        entry["rows"] = int(rows)
    return entry


def confusion_matrix(actual, predicted, groups=None):
    """Returns the confusion matrix of two sequences of classes, in the order of the rows.

    With `groups`, the name of each row's group, also the matrix of each group: Perennial computes
    precision, recall, fairness measures and others from it.
    """
    actual, predicted = list(actual), list(predicted)
    if len(actual) != len(predicted):
        raise ResultError(
            f"confusion matrix: {len(actual)} actual and {len(predicted)} predicted classes"
        )
    groups = None if groups is None else list(groups)
    if groups is not None and len(groups) != len(actual):
        raise ResultError(f"confusion matrix: {len(actual)} rows and {len(groups)} groups")
    counts = {}
    for i, (was, said) in enumerate(zip(actual, predicted)):
        for group in ("",) if groups is None else ("", str(groups[i])):
            cell = (group, str(was), str(said))
            counts[cell] = counts.get(cell, 0) + 1
    cells = []
    for group, was, said in sorted(counts):
        cell = {"actual": was, "predicted": said, "count": counts[group, was, said]}
        if group:
            cell["group"] = group
        cells.append(cell)
    return cells


def numeric_profile(name, values, bounds):
    """Returns the profile of numbers under the bounds (inclusive, ascending) of a histogram.

    `name` and `bounds` must be those of the histogram that the serving pods expose; +Inf is
    implied. None and NaN count as nulls.
    """
    bounds = [float(bound) for bound in bounds]
    if not bounds or any(low >= high for low, high in zip(bounds, bounds[1:])):
        raise ResultError(f"profile {name}: bounds must be ascending")
    if not all(map(math.isfinite, bounds)):
        raise ResultError(f"profile {name}: bounds must be finite; +Inf is implied")
    counts = [0] * (len(bounds) + 1)
    nulls, total, squares, low, high = 0, 0.0, 0.0, math.inf, -math.inf
    for value in values:
        if value is None or math.isnan(value):
            nulls += 1
            continue
        value = float(value)
        counts[bisect.bisect_left(bounds, value)] += 1
        total += value
        squares += value * value
        low, high = min(low, value), max(high, value)
    profile = {
        "metric": name,
        "type": "Numeric",
        "bounds": [int(bound) if bound.is_integer() else bound for bound in bounds],
        "counts": counts,
        "sum": round(total, 4),
        "sumSquares": round(squares, 4),
        "nulls": nulls,
    }
    if any(counts):
        profile["min"], profile["max"] = round(low, 4), round(high, 4)
    return profile


def categorical_profile(name, label, values):
    """Returns the profile of texts, for a counter that has the text as the value of `label`."""
    counts = {}
    for value in values:
        counts[str(value)] = counts.get(str(value), 0) + 1
    return {
        "metric": name,
        "type": "Categorical",
        "label": label,
        "categories": [{"name": key, "count": counts[key]} for key in sorted(counts)],
    }


def profile(rows, metrics, importances=None):
    """Returns the training profile: how many rows were trained on, and how their values lay.

    `importances` maps features to how much they count for the predictions, such as their mean
    absolute SHAP value, under the names that serving pods give them.
    """
    made = {"rows": int(rows), "metrics": list(metrics)}
    if importances:
        made["featureAttribution"] = [
            {"feature": str(name), "importance": _number(f"importance of {name}", value)}
            for name, value in importances.items()
        ]
    return made


def build(
    uri,
    digest,
    metrics,
    *,
    profile=None,
    data=(),
    evaluation_data=None,
    confusion_matrix=None,
    code=None,
    parameters=None,
    image=None,
    trained_from=None,
    report=None,
    explanation=None,
):
    """Returns the result document as bytes; raises ResultError on what would be refused.

    `evaluation_data` (a `dataset`) is what the metrics were computed from: gates that compare two
    versions look whether it was the same. `trained_from` is the ModelVersion whose training was
    continued. `report` and `explanation` are addresses of pages about the training and about what
    the predictions follow from.
    """
    if not uri or "://" not in uri:
        raise ResultError(f"artifact uri {uri!r}: must be an absolute URI")
    _check_digest("artifact", digest)
    metrics = list(metrics)
    if not metrics:
        raise ResultError("metrics: at least one is needed, or no gate can pass")
    for entry in metrics:
        _number(f"metric {entry.get('name')}", entry.get("value"))
    for entry in data:
        _check_digest("data", entry.get("digest"))
    document = {
        "schemaVersion": 1,
        "artifact": {"uri": uri, "digest": digest},
        "metrics": metrics,
    }
    if data:
        document["data"] = list(data)
    if evaluation_data:
        _check_digest("evaluation_data", evaluation_data.get("digest"))
        document["evaluationData"] = dict(evaluation_data)
    if confusion_matrix:
        document["confusionMatrix"] = list(confusion_matrix)
    if code:
        document["code"] = dict(code)
    if parameters:
        document["parameters"] = {str(k): str(v) for k, v in parameters.items()}
    for key, value in (
        ("image", image),
        ("trainedFrom", trained_from),
        ("report", report),
        ("explanation", explanation),
    ):
        if value:
            document[key] = str(value)
    if profile:
        document["profile"] = profile
    try:
        content = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ResultError(f"the result is not JSON: {error}") from None
    if len(content) > MAX_BYTES:
        raise ResultError(
            f"the result has {len(content)} bytes, but a termination message holds {MAX_BYTES}:"
            " drop metrics or groups, or use fewer buckets and categories"
        )
    return content


def models():
    """Returns what is to be trained: one entry, or one for each policy of a group.

    Each has modelDeployment, run, trigger, dataStart, parentVersion, parentUri and parentDigest.
    """
    return json.loads(os.environ.get("PERENNIAL_MODEL_DEPLOYMENTS") or "[]")


def build_all(parts, limit=MAX_BYTES):
    """Returns one document as bytes of what `build` returned for each ModelDeployment.

    A termination message has room for few; a ConfigMap for 256 KiB (`limit`).
    """
    results = {}
    for name, content in parts.items():
        results[name] = json.loads(content)
        del results[name]["schemaVersion"]
    document = {"schemaVersion": 1, "results": results}
    content = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    if len(content) > limit:
        raise ResultError(f"the results have {len(content)} bytes, but there is room for {limit}")
    return content


def write_all(parts):
    """Leaves the results of several models as the container's termination message."""
    content = build_all(parts)
    _leave(content)
    return content


def write(uri, digest, metrics, **optional):
    """Checks the result and leaves it as the container's termination message. See `build`."""
    content = build(uri, digest, metrics, **optional)
    _leave(content)
    return content


def fail(message):
    """Leaves one line about a failure, so that `kubectl describe` shows it; never raises."""
    try:
        _leave(str(message).encode(errors="replace")[:MAX_BYTES])
    except OSError:
        pass  # The log has the message too.


def _leave(content):
    # The file is a bind mount that already exists: write in place, a rename would miss it.
    with open(os.environ.get(PATH_VARIABLE) or DEFAULT_PATH, "wb") as stream:
        stream.write(content)


def _check_digest(what, digest):
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ResultError(f"{what} digest {digest!r}: must be sha256: and 64 lower-case hex digits")


def _number(what, value):
    # numbers.Real takes in numpy's numbers too.
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ResultError(f"{what}: {value!r} is not a finite number")
    return float(value)
