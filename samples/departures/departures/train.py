"""Training: reads finished trips, fits the model, evaluates it, stores it, reports the result."""

import csv
import io
import os
import sys
import time

import numpy as np

import perennial_result as result

from . import artifacts, exposed, model, trips

MIN_ROWS = 500
HOLD_OUT = 0.2  # share of the rows that the model is evaluated on and never fitted to
STORE_PATIENCE_S = 90.0


class TrainingError(Exception):
    """The run can't produce a model; the message says what to change."""


def main(arguments):
    """Runs one training. Returns the exit code; failures are left as the termination message."""
    try:
        run(arguments)
        return 0
    except (TrainingError, artifacts.ArtifactError, result.ResultError, OSError) as error:
        message = f"training failed: {error}"
        print(message, file=sys.stderr)
        result.fail(message)
        return 1


def run(arguments):
    """Trains as `arguments` (data, store, seed, l2) says and writes the result document."""
    if not arguments.data:
        raise TrainingError("no data: give --data or DATA_URL")
    if not arguments.store:
        raise TrainingError("no store: give --store or MODEL_STORE")
    started = time.monotonic()
    content = artifacts.read(
        arguments.data, artifacts.MAX_DATA_BYTES, patience_s=STORE_PATIENCE_S
    )
    records, delays = parse(content)
    kept, held = split(len(records), arguments.seed)
    kept_records = [records[i] for i in kept]
    terms = fit(kept_records, delays[kept], arguments.l2)
    artifact = model.encode(terms)
    # Everything below judges the artifact itself, as serving will load it.
    trained = model.decode(artifact)
    predictions = np.array([trained.predict(trip) for trip in records])
    metrics = evaluate([records[i] for i in held], predictions[held], delays[held])
    metrics += compare_parent([records[i] for i in held], delays[held])
    digest = result.digest_of(artifact)
    uri = artifacts.store(arguments.store, artifact, patience_s=STORE_PATIENCE_S)
    document = result.write(
        uri,
        digest,
        metrics,
        profile=build_profile(records, predictions, np.abs(predictions - delays)[held]),
        data=[{"uri": arguments.data, "digest": result.digest_of(content), "rows": len(records)}],
        code=code_from(os.environ),
        parameters={"l2": arguments.l2, "seed": arguments.seed, "holdOut": HOLD_OUT},
    )
    mean_only = np.abs(delays[held] - delays[kept].mean()).mean()
    print(f"rows {len(records)}, hold-out {len(held)}, {time.monotonic() - started:.1f} s")
    for entry in metrics:
        print(f"{entry['name']} {entry.get('group', 'all')}: {entry['value']}")
    print(f"mae of predicting the mean: {mean_only:.4f}")
    print(f"artifact {uri} {digest} ({len(artifact)} bytes)")
    print(f"result of {len(document)} bytes written", flush=True)


def parse(content):
    """Returns (list of trips, array of delays) from the bytes of a CSV file."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise TrainingError(f"the data is not UTF-8 text: {error}") from None
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in trips.COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise TrainingError(f"the data has no column {', '.join(missing)}")
    records, delays = [], []
    try:
        for row in reader:
            records.append(trips.parse(row))
            delays.append(trips.parse_outcome(row))
    except (trips.InvalidTrip, csv.Error) as error:
        raise TrainingError(f"line {reader.line_num} of the data: {error}") from None
    if len(records) < MIN_ROWS:
        raise TrainingError(f"{len(records)} rows are too few to train on; {MIN_ROWS} are needed")
    return records, np.array(delays)


def split(rows, seed):
    """Returns (indices to fit on, indices to hold out), a random division that the seed fixes."""
    order = np.random.default_rng(seed).permutation(rows)
    held = int(rows * HOLD_OUT)
    return np.sort(order[held:]), np.sort(order[:held])


def fit(records, delays, l2):
    """Fits every term's weights by ridge regression; returns terms for model.encode.

    Each row has one weight per term, so the normal equations are summed up from pairs of terms
    (a few thousand additions a row) and no wide matrix is ever built. Weights are rounded, so that
    the artifact's bytes do not depend on the last bits of a processor's arithmetic.
    """
    if not l2 > 0:
        raise TrainingError("l2 must be greater than 0: the one-hot terms are collinear without it")
    keys, columns, values = [], [], []
    width = 0
    for factors, numeric in model.TERMS:
        names = [model.key([model.factor(trip, f) for f in factors]) for trip in records]
        known = {name: i for i, name in enumerate(sorted(set(names)))}
        keys.append(list(known))
        columns.append(np.array([known[name] for name in names]) + width)
        values.append(
            np.ones(len(records))
            if numeric is None
            else np.array([trip[numeric] for trip in records])
        )
        width += len(known)
    gram = np.zeros(width * width)
    target = np.zeros(width)
    for i, column in enumerate(columns):
        target += np.bincount(column, values[i] * delays, width)
        for j, other in enumerate(columns):
            gram += np.bincount(column * width + other, values[i] * values[j], width * width)
    gram = gram.reshape(width, width)
    gram[np.diag_indices(width)] += l2
    try:
        weights = np.linalg.solve(gram, target)
    except np.linalg.LinAlgError as error:
        raise TrainingError(f"the regression has no solution: {error}") from None
    if not np.all(np.isfinite(weights)):
        raise TrainingError("the regression gave weights that are not finite")
    terms, start = [], 0
    for (factors, numeric), names in zip(model.TERMS, keys):
        part = weights[start : start + len(names)]
        terms.append((factors, numeric, {n: round(float(w), 4) for n, w in zip(names, part)}))
        start += len(names)
    return terms


def evaluate(records, predictions, delays):
    """Returns mae and rmse of everything, mae of groups that a gate may look at, and their gap."""
    errors = np.abs(predictions - delays)
    metrics = [
        _metric("mae", errors.mean(), len(errors)),
        _metric("rmse", np.sqrt((errors**2).mean()), len(errors)),
    ]
    weekend = np.array([trips.is_weekend(trip["weekday"]) for trip in records])
    near = np.array([trip["distance_km"] < trips.NEAR_KM for trip in records])
    for group, chosen in (
        ("weekday", ~weekend), ("weekend", weekend), ("near", near), ("far", ~near)
    ):
        if chosen.any():
            metrics.append(_metric("mae", errors[chosen].mean(), int(chosen.sum()), group))
    of_groups = [entry["value"] for entry in metrics if entry.get("group")]
    # How much worse off the worst group is than the best: what a fairness gate bounds.
    metrics.append(_metric("mae_gap", max(of_groups) - min(of_groups), len(errors)))
    return metrics


def compare_parent(records, delays):
    """Returns what the parent version's error is on the same hold-out, if there is a parent.

    The recorded mae of the parent belongs to the world that it was trained in. This one tells what
    the new model replaces. A parent that can't be read is no reason to fail the run.
    """
    uri = os.environ.get("PERENNIAL_PARENT_URI", "")
    if not uri:
        return []
    digest = os.environ.get("PERENNIAL_PARENT_DIGEST", "")
    try:
        content = artifacts.read_verified(uri, digest, artifacts.MAX_MODEL_BYTES, patience_s=10.0)
        parent = model.decode(content)
    except (artifacts.ArtifactError, model.InvalidModel) as error:
        print(f"the parent was not compared: {error}", file=sys.stderr)
        return []
    errors = np.abs(np.array([parent.predict(trip) for trip in records]) - delays)
    return [_metric("parent_mae", errors.mean(), len(errors))]


def build_profile(records, predictions, held_errors):
    """Returns the training profile under the names and bounds that serving exposes."""
    return result.profile(
        len(records),
        [
            result.numeric_profile(
                exposed.DISTANCE, [trip["distance_km"] for trip in records], exposed.DISTANCE_BOUNDS
            ),
            result.numeric_profile(
                exposed.PREDICTED, predictions.tolist(), exposed.PREDICTED_BOUNDS
            ),
            # Only the hold-out: errors on rows that were fitted would be too small.
            result.numeric_profile(exposed.ERROR, held_errors.tolist(), exposed.ERROR_BOUNDS),
            result.categorical_profile(
                exposed.WEATHER,
                exposed.WEATHER_LABEL,
                [
                    t["weather"] if t["weather"] in trips.WEATHERS else exposed.WEATHER_OTHER
                    for t in records
                ],
            ),
        ],
    )


def code_from(environment):
    """Returns where this code came from, as far as the environment says."""
    code = {
        "repository": environment.get("CODE_REPOSITORY", ""),
        "commit": environment.get("CODE_COMMIT", ""),
    }
    return {name: value for name, value in code.items() if value}


def _metric(name, value, samples, group=None):
    return result.metric(name, round(float(value), 4), samples, group)
