import argparse
import contextlib
import io
import json
import os
import tempfile
import unittest
from unittest import mock

import numpy as np

import perennial_result
from departures import artifacts, exposed, model, train, world


@contextlib.contextmanager
def workplace(**environment):
    """Yields a folder; results go to the file "result" in it, PERENNIAL_* come from the caller."""
    with tempfile.TemporaryDirectory() as folder:
        environment[perennial_result.PATH_VARIABLE] = os.path.join(folder, "result")
        cleared = {k: v for k, v in os.environ.items() if not k.startswith(("PERENNIAL_", "CODE_"))}
        with mock.patch.dict(os.environ, {**cleared, **environment}, clear=True):
            yield folder


def run(folder, content, seed=7, l2=1.0):
    """Trains on CSV text. Returns (exit code, standard output and error, the result's text)."""
    data = os.path.join(folder, "data.csv")
    with open(data, "w", encoding="utf-8") as stream:
        stream.write(content)
    arguments = argparse.Namespace(data=data, store=os.path.join(folder, "s"), seed=seed, l2=l2)
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = train.main(arguments)
    with open(os.path.join(folder, "result"), encoding="utf-8") as stream:
        return code, output.getvalue(), stream.read()


def errors(artifact, change, seed=99, rows=4000):
    """Returns a model's absolute errors on trips that no training has seen."""
    trained = model.decode(artifact)
    records, delays = train.parse(world.history(change, rows, seed).encode())
    return np.abs(np.array([trained.predict(trip) for trip in records]) - delays)


def artifact_of(result):
    document = json.loads(result)["artifact"]
    return artifacts.read_verified(document["uri"], document["digest"], artifacts.MAX_MODEL_BYTES)


class Training(unittest.TestCase):
    def test_the_model_is_better_than_the_mean(self):
        with workplace() as folder:
            code, _, result = run(folder, world.history("none", 10_000, 1))
            self.assertEqual(code, 0)
            _, delays = train.parse(world.history("none", 4000, 99).encode())
            mean_only = np.abs(delays - delays.mean()).mean()
            self.assertLess(errors(artifact_of(result), "none").mean(), 0.7 * mean_only)

    def test_the_old_model_is_worse_in_a_changed_world_and_a_new_one_repairs_it(self):
        with workplace() as folder:
            _, _, result = run(folder, world.history("none", 10_000, 1))
            old = artifact_of(result)
            before = errors(old, "none").mean()
            for change in ("timetable", "snow"):
                _, _, result = run(folder, world.history(change, 10_000, 1))
                stale, renewed = errors(old, change).mean(), errors(artifact_of(result), change).mean()
                self.assertGreater(stale, 1.5 * before, change)
                self.assertLess(renewed, 0.5 * stale, change)
                self.assertLess(renewed, before, change)

    def test_the_reported_error_is_that_of_the_artifact_on_unseen_trips(self):
        with workplace() as folder:
            _, _, result = run(folder, world.history("none", 10_000, 1))
            reported = json.loads(result)["metrics"][0]
            self.assertEqual((reported["name"], reported["samples"]), ("mae", 2000))
            self.assertAlmostEqual(
                reported["value"], errors(artifact_of(result), "none").mean(), delta=0.05
            )

    def test_the_same_data_and_seed_give_the_same_digest(self):
        content = world.history("none", 2000, 1)
        digests = []
        for seed in (7, 7, 8):
            with workplace() as folder:
                digests.append(json.loads(run(folder, content, seed)[2])["artifact"]["digest"])
        self.assertEqual(digests[0], digests[1])
        self.assertNotEqual(digests[0], digests[2])

    def test_the_result_fits_and_has_every_part(self):
        environment = {"CODE_REPOSITORY": "https://code/" + "x" * 80, "CODE_COMMIT": "c" * 40}
        with workplace(**environment) as folder:
            code, output, result = run(folder, world.history("none", 40_000, 1))
        self.assertEqual(code, 0, output)
        self.assertLess(len(result.encode()), perennial_result.MAX_BYTES - 800)  # room to grow
        document = json.loads(result)
        self.assertEqual(document["schemaVersion"], 1)
        self.assertRegex(document["artifact"]["digest"], "^sha256:[0-9a-f]{64}$")
        self.assertEqual(document["data"][0]["rows"], 40_000)
        self.assertEqual(document["code"]["commit"], "c" * 40)
        self.assertEqual(document["parameters"]["l2"], "1.0")
        groups = {(m["name"], m.get("group")) for m in document["metrics"]}
        self.assertEqual(
            groups,
            {("mae", None), ("rmse", None), ("mae_gap", None), ("mae", "weekday"),
             ("mae", "weekend"), ("mae", "near"), ("mae", "far")},
        )
        of_groups = [m["value"] for m in document["metrics"] if m.get("group")]
        gap = next(m["value"] for m in document["metrics"] if m["name"] == "mae_gap")
        self.assertAlmostEqual(gap, max(of_groups) - min(of_groups), places=3)
        self.assertGreater(gap, 0)
        self.assertIn(document["artifact"]["digest"], output)

    def test_the_profile_counts_what_was_trained_on_under_the_exposed_bounds(self):
        with workplace() as folder:
            content = world.history("none", 5000, 1)
            profile = json.loads(run(folder, content)[2])["profile"]
        by_name = {entry["metric"]: entry for entry in profile["metrics"]}
        self.assertEqual(profile["rows"], 5000)
        for name, bounds, total in (
            (exposed.DISTANCE, exposed.DISTANCE_BOUNDS, 5000),
            (exposed.PREDICTED, exposed.PREDICTED_BOUNDS, 5000),
            (exposed.ERROR, exposed.ERROR_BOUNDS, 1000),
        ):
            self.assertEqual(tuple(by_name[name]["bounds"]), bounds)
            self.assertEqual(len(by_name[name]["counts"]), len(bounds) + 1)
            self.assertEqual(sum(by_name[name]["counts"]), total)
        distances = [t["distance_km"] for t in train.parse(content.encode())[0]]
        self.assertAlmostEqual(by_name[exposed.DISTANCE]["sum"], sum(distances), places=2)
        self.assertEqual(
            by_name[exposed.DISTANCE]["counts"][1], sum(1 < distance <= 2 for distance in distances)
        )
        weather = by_name[exposed.WEATHER]
        self.assertEqual(weather["label"], exposed.WEATHER_LABEL)
        self.assertEqual(sum(c["count"] for c in weather["categories"]), 5000)

    def test_the_parent_is_judged_on_the_same_trips(self):
        with workplace() as folder:
            parent = json.loads(run(folder, world.history("none", 10_000, 1))[2])["artifact"]
            os.environ["PERENNIAL_PARENT_URI"] = parent["uri"]
            os.environ["PERENNIAL_PARENT_DIGEST"] = parent["digest"]
            metrics = json.loads(run(folder, world.history("snow", 10_000, 1))[2])["metrics"]
        values = {entry["name"]: entry["value"] for entry in metrics if "group" not in entry}
        self.assertGreater(values["parent_mae"], 2 * values["mae"])

    def test_a_parent_that_is_gone_does_not_fail_the_run(self):
        with workplace(PERENNIAL_PARENT_URI="/nowhere/model") as folder:
            code, output, result = run(folder, world.history("none", 2000, 1))
        self.assertEqual(code, 0)
        self.assertIn("parent was not compared", output)
        self.assertNotIn("parent_mae", result)

    def test_bad_data_fails_with_the_reason_as_message(self):
        good = world.history("none", 600, 1)
        lines = good.splitlines(keepends=True)
        broken = lines[3].split(",")
        broken[5] = "far"
        for content, reason in (
            ("", "no column route"),
            ("".join(lines[:50]), "49 rows are too few"),
            (good.replace("delay_minutes", "delay", 1), "no column delay_minutes"),
            ("".join([*lines[:3], ",".join(broken), *lines[4:]]), "line 4 .*distance_km: 'far'"),
            (good + "1,1-01,8,Mon,clear,nan,08:00,1.0\n", "distance_km"),
        ):
            with workplace() as folder:
                code, output, message = run(folder, content)
            self.assertEqual(code, 1)
            self.assertRegex(message, f"^training failed: .*{reason}")
            self.assertRegex(output, reason)

    def test_missing_data_fails_with_the_reason_as_message(self):
        with workplace() as folder, contextlib.redirect_stderr(io.StringIO()):
            arguments = argparse.Namespace(data="/nowhere/data", store=folder, seed=1, l2=1.0)
            self.assertEqual(train.main(arguments), 1)
            with open(os.path.join(folder, "result"), encoding="utf-8") as stream:
                self.assertIn("/nowhere/data", stream.read())


class Result(unittest.TestCase):
    digest = perennial_result.digest_of(b"model")
    mae = [perennial_result.metric("mae", 1.0)]

    def test_three_lines_are_enough(self):
        with workplace() as folder:
            perennial_result.write("https://store/m", self.digest, self.mae)
            with open(os.path.join(folder, "result"), encoding="utf-8") as stream:
                self.assertEqual(json.load(stream)["artifact"]["digest"], self.digest)

    def test_what_would_be_refused_raises_and_names_the_field(self):
        for arguments, reason in (
            (("model.json", self.digest, self.mae), "uri"),
            (("https://m", "sha256:ABC", self.mae), "artifact digest"),
            (("https://m", self.digest.upper(), self.mae), "artifact digest"),
            (("https://m", self.digest, []), "metrics"),
            (("https://m", self.digest, [{"name": "mae", "value": float("nan")}]), "mae"),
            (("https://m", self.digest, [{"name": "mae", "value": "3"}]), "mae"),
        ):
            with self.assertRaisesRegex(perennial_result.ResultError, reason):
                perennial_result.build(*arguments)

    def test_a_result_that_is_too_long_raises_instead_of_being_cut(self):
        many = [perennial_result.metric("mae", 1.0, 10, f"group-{i}") for i in range(100)]
        with self.assertRaisesRegex(perennial_result.ResultError, "4096"):
            perennial_result.build("https://m", self.digest, many)

    def test_buckets_include_their_upper_bound(self):
        profile = perennial_result.numeric_profile(
            "x", [0.5, 1.0, 1.1, 2.0, 2.1, None, float("nan")], [1, 2]
        )
        self.assertEqual(profile["counts"], [2, 2, 1])
        self.assertEqual((profile["nulls"], profile["min"], profile["max"]), (2, 0.5, 2.1))

    def test_importances_are_part_of_the_profile(self):
        profile = perennial_result.profile(10, [], {"distance": np.float32(0.5), "hour": 2})
        self.assertEqual(profile["featureAttribution"], [
            {"feature": "distance", "importance": 0.5}, {"feature": "hour", "importance": 2.0}])
        self.assertNotIn("featureAttribution", perennial_result.profile(10, []))
        with self.assertRaisesRegex(perennial_result.ResultError, "hour"):
            perennial_result.profile(10, [], {"hour": float("nan")})

    def test_bounds_must_ascend(self):
        for bounds in ([], [1, 1], [2, 1], [1, float("inf")]):
            with self.assertRaises(perennial_result.ResultError):
                perennial_result.numeric_profile("x", [1.0], bounds)

    def test_numbers_of_numpy_are_numbers(self):
        self.assertEqual(perennial_result.metric("mae", np.float32(1.5))["value"], 1.5)

    def test_a_confusion_matrix_counts_all_rows_and_each_group(self):
        matrix = perennial_result.confusion_matrix([1, 0, 1], [1, 1, 1], ["a", "a", "b"])
        self.assertEqual(sum(cell["count"] for cell in matrix if "group" not in cell), 3)
        self.assertIn({"group": "b", "actual": "1", "predicted": "1", "count": 1}, matrix)
        self.assertIn({"actual": "0", "predicted": "1", "count": 1}, matrix)
        for arguments in (([1], [1, 2]), ([1], [1], ["a", "b"])):
            with self.assertRaisesRegex(perennial_result.ResultError, "confusion matrix"):
                perennial_result.confusion_matrix(*arguments)

    def test_evaluation_data_needs_its_digest(self):
        with self.assertRaisesRegex(perennial_result.ResultError, "digest"):
            perennial_result.dataset("s3://holdout", "latest")
        with self.assertRaisesRegex(perennial_result.ResultError, "evaluation_data digest"):
            perennial_result.build(
                "https://m", self.digest, self.mae, evaluation_data={"uri": "s3://holdout"}
            )
