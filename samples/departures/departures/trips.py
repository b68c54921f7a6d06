"""The trip: the record that the generator writes, training reads and the model predicts on."""

import math

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEATHERS = ("clear", "cloud", "rain", "fog", "snow")
FIRST_HOUR, LAST_HOUR = 5, 23

# What is known when the trip is announced, in the order of the CSV's columns.
FEATURES = ("route", "stop", "hour", "weekday", "weather", "distance_km", "scheduled")
# What is known only once the bus has left the stop: minutes after the scheduled time.
OUTCOME = "delay_minutes"
COLUMNS = FEATURES + (OUTCOME,)

# Trips to stops nearer than this (km from the terminus) are the group "near", others "far".
NEAR_KM = 4.0
# No line is longer (km); a greater distance is a broken record, not a trip.
MAX_DISTANCE_KM = 200.0


class InvalidTrip(ValueError):
    """The record is not a trip; the message names the field and what it should be."""


def is_weekend(weekday):
    return weekday in ("Sat", "Sun")


def parse(record):
    """Returns the trip's features from a mapping of decoded JSON or of CSV text.

    Unknown routes, stops and weathers are let through (the model has learnt nothing about them and
    says so by using no weight); a missing or impossible value raises InvalidTrip. The key "id" is
    kept when it is there.
    """
    if not isinstance(record, dict):
        raise InvalidTrip("a trip is a JSON object")
    trip = {}
    for name in ("route", "stop", "weather", "scheduled"):
        value = record.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= 64:
            raise InvalidTrip(f"{name}: a text of 1 to 64 characters is required")
        trip[name] = value
    weekday = record.get("weekday")
    if weekday not in WEEKDAYS:
        raise InvalidTrip(f"weekday: one of {', '.join(WEEKDAYS)} is required")
    trip["weekday"] = weekday
    trip["hour"] = int(_number(record, "hour", 0, 23))
    trip["distance_km"] = _number(record, "distance_km", 0, MAX_DISTANCE_KM)
    identity = record.get("id")
    if identity is not None:
        if not isinstance(identity, str) or len(identity) > 64:
            raise InvalidTrip("id: a text of at most 64 characters")
        trip["id"] = identity
    return trip


def parse_outcome(record):
    """Returns the minutes of delay of a finished trip's record."""
    return _number(record, OUTCOME, -60, 24 * 60)


def _number(record, name, low, high):
    value = record.get(name)
    try:
        number = float("" if isinstance(value, bool) or value is None else value)
    except (TypeError, ValueError):
        raise InvalidTrip(f"{name}: {value!r} is not a number") from None
    if not math.isfinite(number) or not low <= number <= high:
        raise InvalidTrip(f"{name}: {value!r} is not between {low} and {high}")
    return number
