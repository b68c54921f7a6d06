"""The world that the demo's buses live in: plausible trips, and changes that can be switched on.

A trip's delay is what happened at the terminus, plus what every kilometre added, plus chance:

    delay = terminus[route] + km * (drag[route] + congestion[day, hour] * slowness + weather) + noise

and never negative, because buses do not leave before their time. Each trip draws its own weekday
and hour: the demo shows a whole week at once instead of waiting for it.
"""

import dataclasses
import zlib

import numpy as np

from . import trips

CHANGES = ("none", "timetable", "snow")
HOURS = tuple(range(trips.FIRST_HOUR, trips.LAST_HOUR + 1))

# route: length (km), stops, share of all trips, minutes late at the terminus, minutes lost per km
_ROUTES = {
    "1": (7.5, 11, 0.13, 0.5, 0.08),
    "2": (9.0, 13, 0.12, 0.9, 0.16),
    "3": (5.5, 8, 0.10, 0.3, 0.05),
    "4": (12.0, 16, 0.09, 1.4, 0.22),
    "5": (8.0, 11, 0.09, 0.7, 0.28),
    "6": (14.5, 18, 0.07, 1.8, 0.12),
    "7": (4.5, 7, 0.08, 0.4, 0.20),
    "8": (10.5, 14, 0.08, 1.1, 0.06),
    "9": (6.5, 9, 0.07, 0.6, 0.32),
    "10": (17.0, 20, 0.05, 2.2, 0.10),
    "11": (11.0, 14, 0.07, 0.8, 0.18),
    "12": (22.0, 22, 0.05, 1.6, 0.09),
}
# Minutes lost per km by the hour's traffic, from 05:00 to 23:00.
_WEEKDAY_TRAFFIC = (
    0.02, 0.08, 0.24, 0.38, 0.26, 0.14, 0.12, 0.16, 0.15, 0.14,
    0.22, 0.34, 0.42, 0.30, 0.16, 0.10, 0.06, 0.04, 0.02,
)
_WEEKEND_TRAFFIC = (
    0.00, 0.01, 0.03, 0.06, 0.10, 0.16, 0.20, 0.22, 0.20, 0.18,
    0.18, 0.16, 0.14, 0.12, 0.10, 0.08, 0.06, 0.06, 0.04,
)
# How many trips start in each hour, in any unit.
_WEEKDAY_SERVICE = (2, 5, 9, 10, 8, 6, 5, 6, 6, 6, 8, 10, 10, 8, 6, 4, 3, 2, 1)
_WEEKEND_SERVICE = (1, 1, 2, 3, 5, 6, 7, 7, 7, 7, 7, 6, 6, 5, 4, 3, 3, 2, 2)
# Mon to Sun: fewer buses run at the weekend.
_DAYS = (1.0, 1.0, 1.0, 1.0, 1.05, 0.6, 0.45)


@dataclasses.dataclass(frozen=True)
class World:
    """Everything that decides how trips look. All tables are indexed as their names say."""

    name: str
    stop_names: tuple
    stop_route: np.ndarray  # [stop] -> index of the route
    stop_km: np.ndarray  # [stop] distance from the terminus
    stop_weight: np.ndarray  # [stop] chance of a trip being asked for there
    route_names: tuple
    terminus: np.ndarray  # [route] minutes
    drag: np.ndarray  # [route] minutes per km
    day_weight: np.ndarray  # [weekday]
    hour_weight: np.ndarray  # [weekend?, hour]
    traffic: np.ndarray  # [weekend?, hour] minutes per km
    weather_weight: np.ndarray  # [weather]
    weather_drag: np.ndarray  # [weather] minutes per km
    slowness: np.ndarray  # [weather] factor on the traffic's minutes
    noise: tuple  # scale of what chance adds: minutes, and minutes per km


def build(change="none"):
    """Returns the world under a change; raises ValueError when there is no such change."""
    if change == "none":
        return _initial()
    if change == "timetable":
        return _timetable()
    if change == "snow":
        return _snow()
    raise ValueError(f"change: {change!r} is not one of {', '.join(CHANGES)}")


def sample(world, rows, generator):
    """Draws `rows` trips as a dict of columns: numpy arrays, or lists of text."""
    stop = _draw(world.stop_weight, rows, generator)
    weekday = _draw(world.day_weight, rows, generator)
    weekend = (weekday >= 5).astype(int)
    hour = np.where(
        weekend == 1,
        _draw(world.hour_weight[1], rows, generator),
        _draw(world.hour_weight[0], rows, generator),
    )
    weather = _draw(world.weather_weight, rows, generator)
    minute = generator.integers(0, 60, rows)
    # Drivers vary their way and odometers their truth: two in a hundred.
    km = np.maximum(0.1, world.stop_km[stop] * (1 + 0.02 * generator.standard_normal(rows)))
    km = np.round(km, 2)

    route = world.stop_route[stop]
    per_km = (
        world.drag[route]
        + world.traffic[weekend, hour] * world.slowness[weather]
        + world.weather_drag[weather]
    )
    scale = world.noise[0] + world.noise[1] * km
    noise = scale * (generator.standard_gamma(2.0, rows) - 2.0)  # lateness has a long tail
    delay = np.maximum(0.0, world.terminus[route] + km * per_km + noise)
    clock = [f"{HOURS[h]:02d}:{m:02d}" for h, m in zip(hour, minute)]
    return {
        "route": [world.route_names[i] for i in route],
        "stop": [world.stop_names[i] for i in stop],
        "hour": hour + trips.FIRST_HOUR,
        "weekday": [trips.WEEKDAYS[i] for i in weekday],
        "weather": [trips.WEATHERS[i] for i in weather],
        "distance_km": km,
        "scheduled": clock,
        trips.OUTCOME: np.round(delay, 2),
    }


def generator_for(seed, *purpose):
    """Returns a random generator; each purpose (texts) has a stream of its own under a seed."""
    return np.random.default_rng([int(seed), *(zlib.crc32(p.encode()) for p in purpose)])


def history(change, rows, seed):
    """Returns `rows` finished trips as CSV text. The same arguments give the same bytes."""
    columns = sample(build(change), rows, generator_for(seed, "history", change))
    formats = [
        "%s" if isinstance(columns[name], list) else "%d" if name == "hour" else "%.2f"
        for name in trips.COLUMNS
    ]
    line = ",".join(formats) + "\n"
    lists = [
        columns[name] if isinstance(columns[name], list) else columns[name].tolist()
        for name in trips.COLUMNS
    ]
    return ",".join(trips.COLUMNS) + "\n" + "".join(line % row for row in zip(*lists))


def records(columns):
    """Turns columns into a list of (features, delay in minutes)."""
    lists = [
        columns[name] if isinstance(columns[name], list) else columns[name].tolist()
        for name in trips.COLUMNS
    ]
    return [(dict(zip(trips.FEATURES, row[:-1])), row[-1]) for row in zip(*lists)]


def _initial():
    return _with_routes(
        "none",
        {name: (*row, 0.35) for name, row in _ROUTES.items()},
        day_weight=np.array(_DAYS),
        hour_weight=np.array((_WEEKDAY_SERVICE, _WEEKEND_SERVICE), dtype=float),
        traffic=np.array((_WEEKDAY_TRAFFIC, _WEEKEND_TRAFFIC)),
        weather_weight=np.array((0.40, 0.30, 0.20, 0.07, 0.03)),
        weather_drag=np.array((0.00, 0.00, 0.08, 0.05, 0.15)),
        slowness=np.array((1.0, 1.0, 1.2, 1.1, 1.3)),
        noise=(0.70, 0.03),
    )


def _timetable():
    """The new timetable: longer lines that skip inner stops, earlier service, other allowances.

    Lines that ran late were given time, and it was taken from the punctual ones; the allowance for
    the rush hours went, so that the hours count for more. Buses wait at timing points, which takes
    out some of the chance.
    """
    lateness = [row[3] for row in _ROUTES.values()]
    routes = {}
    for i, (name, (length, stops, share, _, drag)) in enumerate(_ROUTES.items()):
        extension = 2.0 if length < 10 else 1.35
        routes[name] = (
            length * extension, stops + 3, share, lateness[-1 - i], 0.60 - 1.6 * drag, -0.6
        )
    return _with_routes(
        "timetable",
        routes,
        day_weight=np.array((1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.8)),
        hour_weight=np.array(
            (np.roll(_WEEKDAY_SERVICE, -1), np.roll(_WEEKEND_SERVICE, -2)), dtype=float
        ),
        traffic=np.array((_WEEKDAY_TRAFFIC, _WEEKEND_TRAFFIC)) * 1.5,
        weather_weight=np.array((0.40, 0.30, 0.20, 0.07, 0.03)),
        weather_drag=np.array((0.00, 0.00, 0.08, 0.05, 0.15)),
        slowness=np.array((1.0, 1.0, 1.2, 1.1, 1.3)),
        noise=(0.55, 0.01),
    )


def _snow():
    """A snow week: diversions lengthen every way, hill stops near the centre are closed, all crawl.

    Few cars are out, so the rush hours matter less; each kilometre costs more, most of all where
    it snows at the time. Buses are slow but steady.
    """
    routes = {
        name: (length * 1.4, stops, share * (0.3 if length < 7 else 1.0), late + 1.0, drag, -0.5)
        for name, (length, stops, share, late, drag) in _ROUTES.items()
    }
    return _with_routes(
        "snow",
        routes,
        day_weight=np.array(_DAYS),
        hour_weight=np.array((_WEEKDAY_SERVICE, _WEEKEND_SERVICE), dtype=float),
        traffic=np.array((_WEEKDAY_TRAFFIC, _WEEKEND_TRAFFIC)) * 0.5,
        weather_weight=np.array((0.08, 0.12, 0.05, 0.10, 0.65)),
        weather_drag=np.array((0.30, 0.35, 0.45, 0.45, 0.80)),
        slowness=np.array((1.0, 1.0, 1.2, 1.1, 1.3)),
        noise=(0.55, 0.01),
    )


def _with_routes(name, routes, **tables):
    """Lays the stops out. A route's last number tilts demand: > 0 to near stops, < 0 to far ones."""
    stop_names, stop_route, stop_km, stop_weight = [], [], [], []
    for index, (route, (length, stops, share, _, _, tilt)) in enumerate(routes.items()):
        place = (np.arange(stops) + 1.0) / stops
        demand = place ** -tilt
        stop_names += [f"{route}-{n:02d}" for n in range(1, stops + 1)]
        stop_route += [index] * stops
        stop_km += list(length * place)
        stop_weight += list(share * demand / demand.sum())
    return World(
        name=name,
        stop_names=tuple(stop_names),
        stop_route=np.array(stop_route),
        stop_km=np.array(stop_km),
        stop_weight=np.array(stop_weight),
        route_names=tuple(routes),
        terminus=np.array([row[3] for row in routes.values()]),
        drag=np.array([row[4] for row in routes.values()]),
        **tables,
    )


def _draw(weights, rows, generator):
    """Draws indices with chances proportional to the weights."""
    cumulative = np.cumsum(weights)
    return np.searchsorted(cumulative, generator.random(rows) * cumulative[-1], side="right")
