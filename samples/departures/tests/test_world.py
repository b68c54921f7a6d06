import contextlib
import io
import tempfile
import unittest

import numpy as np

from departures import __main__, exposed, trips, train, world


def shares(values, bounds):
    counts = np.bincount(np.searchsorted(bounds, values, side="left"), minlength=len(bounds) + 1)
    return (counts + 0.5) / (counts.sum() + 0.5 * len(counts))


def stability_index(expected, actual):
    return float(((actual - expected) * np.log(actual / expected)).sum())


class Generator(unittest.TestCase):
    def test_the_same_seed_gives_the_same_bytes(self):
        for change in world.CHANGES:
            self.assertEqual(world.history(change, 300, 5), world.history(change, 300, 5))

    def test_another_seed_gives_other_trips(self):
        self.assertNotEqual(world.history("none", 300, 5), world.history("none", 300, 6))

    def test_every_row_is_a_valid_trip_with_an_outcome(self):
        for change in world.CHANGES:
            records, delays = train.parse(world.history(change, 2000, 1).encode())
            self.assertEqual(len(records), 2000)
            self.assertTrue((delays >= 0).all())
            self.assertEqual({trip["weekday"] for trip in records}, set(trips.WEEKDAYS))

    def test_live_trips_are_not_the_history_again(self):
        live = world.sample(world.build("none"), 50, world.generator_for(1, "live", "x"))
        past = world.sample(world.build("none"), 50, world.generator_for(1, "history", "none"))
        self.assertFalse(np.array_equal(live["distance_km"], past["distance_km"]))

    def test_an_unknown_change_is_refused_by_name(self):
        with self.assertRaisesRegex(ValueError, "flood"):
            world.build("flood")

    def test_the_command_writes_the_history(self):
        with tempfile.NamedTemporaryFile() as file:
            self.assertEqual(
                __main__.main(
                    ["generate", "--rows", "20", "--seed", "3", "--change", "snow", "--out", file.name]
                ),
                0,
            )
            self.assertEqual(file.read().decode(), world.history("snow", 20, 3))

    def test_the_command_refuses_a_bad_option(self):
        with contextlib.redirect_stderr(io.StringIO()) as errors, self.assertRaises(SystemExit):
            __main__.main(["generate", "--change", "flood"])
        self.assertIn("snow", errors.getvalue())


class Change(unittest.TestCase):
    def columns(self, change, seed=1, rows=20_000):
        return world.sample(world.build(change), rows, world.generator_for(seed, "test", change))

    def distances(self, *arguments):
        return shares(self.columns(*arguments)["distance_km"], exposed.DISTANCE_BOUNDS)

    def test_distances_shift_clearly_under_each_change(self):
        before = self.distances("none")
        for change in ("timetable", "snow"):
            self.assertGreater(stability_index(before, self.distances(change)), 0.5, change)

    def test_distances_do_not_shift_without_a_change(self):
        before = self.distances("none")
        self.assertLess(stability_index(before, self.distances("none", 2)), 0.01)
        self.assertLess(stability_index(before, self.distances("none", 3, 500)), 0.1)

    def test_snow_changes_the_weather(self):
        before, after = (self.columns(change)["weather"] for change in ("none", "snow"))
        self.assertLess(before.count("snow") / len(before), 0.1)
        self.assertGreater(after.count("snow") / len(after), 0.5)

    def test_the_same_distance_costs_another_delay(self):
        def delay_of_middle_distances(change):
            columns = self.columns(change)
            middle = (columns["distance_km"] > 5) & (columns["distance_km"] < 7)
            return columns[trips.OUTCOME][middle].mean()

        before = delay_of_middle_distances("none")
        for change in ("timetable", "snow"):
            self.assertGreater(delay_of_middle_distances(change), before * 1.5, change)

    def test_no_bucket_of_the_baseline_is_empty(self):
        for change in world.CHANGES:
            distances = self.columns(change)["distance_km"]
            counts, _ = np.histogram(distances, [-1, *exposed.DISTANCE_BOUNDS, 1e9])
            self.assertTrue((counts > 0).all(), change)
