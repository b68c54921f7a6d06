"""The outside world of the demo: announces trips, tells when they departed, keeps models."""

import collections
import itertools
import json
import os
import re
import secrets
import threading
import time
import urllib.parse

from . import artifacts, httpd, trips, world

MAX_PENDING = 20_000  # announced, not departed
MAX_DEPARTED = 20_000  # kept for those who ask
MAX_TRIPS = 500  # per request
MAX_PAGE = 2_000
MAX_HISTORY_ROWS = 100_000
MAX_MODELS = 256

_MODEL_PATH = re.compile(r"/models/([0-9a-f]{64})")


class Overloaded(Exception):
    """More trips are under way than the feed keeps."""


class Trips:
    """Live trips under the current world. All methods may be called from any thread.

    A departed trip has a sequence number; a cursor "<epoch>:<number>" says how far a reader got.
    The epoch is new with each start, so that a cursor from before a restart is recognised.
    """

    def __init__(self, seed, departs_after_s, change="none", clock=time.monotonic):
        self._lock = threading.Lock()
        self._clock = clock
        self._departs_after_s = departs_after_s
        self._epoch = secrets.token_hex(4)
        self._generator = world.generator_for(seed, "live", self._epoch)
        self._world = world.build(change)
        self._announced = 0
        self._pending = collections.deque()  # (departs at, id, delay)
        self._departed = collections.deque(maxlen=MAX_DEPARTED)  # (id, delay)
        self._next = 0  # sequence number of the next departure

    @property
    def change(self):
        return self._world.name

    def switch(self, change):
        """Lets later trips live in another world; raises ValueError for an unknown change."""
        changed = world.build(change)
        with self._lock:
            self._world = changed

    def announce(self, count):
        """Returns `count` new trips with their features; they depart in a moment."""
        with self._lock:
            self._depart()
            if len(self._pending) + count > MAX_PENDING:
                raise Overloaded(f"{len(self._pending)} trips have not departed yet")
            columns = world.sample(self._world, count, self._generator)
            due = self._clock() + self._departs_after_s
            announced = []
            for features, delay in world.records(columns):
                identity = f"{self._epoch}-{self._announced}"
                self._announced += 1
                self._pending.append((due, identity, delay))
                announced.append({"id": identity, **features})
            return announced

    def departed(self, cursor, limit):
        """Returns (departures after the cursor, next cursor, how many were lost in between).

        "now" starts with what departs from now on. No cursor, or one from before the feed was
        restarted, starts with the oldest that is kept.
        """
        with self._lock:
            self._depart()
            oldest = self._next - len(self._departed)
            epoch, _, number = cursor.partition(":")
            start, lost = oldest, 0
            if cursor == "now":
                start = self._next
            elif epoch == self._epoch and number.isascii() and number.isdigit():
                start = min(max(int(number), oldest), self._next)
                lost = max(0, oldest - int(number))
            page = list(itertools.islice(self._departed, start - oldest, start - oldest + limit))
            return page, f"{self._epoch}:{start + len(page)}", lost

    def _depart(self):
        now = self._clock()
        while self._pending and self._pending[0][0] <= now:
            _, identity, delay = self._pending.popleft()
            self._departed.append((identity, delay))
            self._next += 1


class Feed:
    """The HTTP service. `folder` holds the models and must be writable."""

    def __init__(self, address, folder, seed=1, departs_after_s=2.0, change="none"):
        self.trips = Trips(seed, departs_after_s, change)
        self._seed = seed
        self._models = os.path.join(folder, "models")
        os.makedirs(self._models, exist_ok=True)
        self._storing = threading.Lock()
        self._history = threading.BoundedSemaphore(2)  # each one holds megabytes
        self.server = httpd.Server(
            address,
            {
                ("GET", "/healthz"): lambda request: request.reply(200, {"ok": True}),
                ("GET", "/world"): self._get_world,
                ("POST", "/world"): self._post_world,
                ("GET", "/trips"): self._get_trips,
                ("GET", "/departed"): self._get_departed,
                ("GET", "/history"): self._get_history,
                ("GET", "/models/"): self._get_model,
                ("HEAD", "/models/"): self._get_model,
                ("PUT", "/models/"): self._put_model,
            },
        )

    def _get_world(self, request):
        request.reply(200, {"change": self.trips.change, "changes": world.CHANGES})

    def _post_world(self, request):
        try:
            document = json.loads(request.body(4096))
            self.trips.switch(document["change"])
        except (ValueError, TypeError, KeyError) as error:
            raise httpd.Refused(
                400, f'{{"change": one of {", ".join(world.CHANGES)}}} is required: {error}'
            ) from None
        print(json.dumps({"event": "world", "change": self.trips.change}), flush=True)
        self._get_world(request)

    def _get_trips(self, request):
        count = _integer(_query(request), "n", 10, 1, MAX_TRIPS)
        try:
            request.reply(200, {"trips": self.trips.announce(count)})
        except Overloaded as error:
            raise httpd.Refused(503, str(error)) from None

    def _get_departed(self, request):
        query = _query(request)
        limit = _integer(query, "limit", 1000, 1, MAX_PAGE)
        page, cursor, lost = self.trips.departed(query.get("since", ""), limit)
        departed = [{"id": identity, trips.OUTCOME: delay} for identity, delay in page]
        request.reply(200, {"departed": departed, "next": cursor, "lost": lost})

    def _get_history(self, request):
        query = _query(request)
        rows = _integer(query, "rows", 40_000, 1, MAX_HISTORY_ROWS)
        seed = _integer(query, "seed", self._seed, 0, 2**32 - 1)
        change = query.get("change", self.trips.change)
        if change not in world.CHANGES:
            raise httpd.Refused(400, f"change: one of {', '.join(world.CHANGES)} is required")
        with self._history:
            content = world.history(change, rows, seed).encode()
            request.reply(200, content, "text/csv")

    def _get_model(self, request):
        name = _model_name(request)
        try:
            with open(os.path.join(self._models, name), "rb") as stream:
                content = stream.read()
        except FileNotFoundError:
            raise httpd.Refused(404, f"there is no model {name}") from None
        request.reply(200, content, "application/octet-stream")

    def _put_model(self, request):
        name = _model_name(request)
        content = request.body(artifacts.MAX_MODEL_BYTES)
        found = artifacts.hex_digest(content)
        if found != name:
            raise httpd.Refused(400, f"the content's sha256 is {found}, not {name}")
        path = os.path.join(self._models, name)
        with self._storing:
            existed = os.path.exists(path)
            if not existed:
                if len(os.listdir(self._models)) >= MAX_MODELS:
                    raise httpd.Refused(507, f"the store is full: it keeps {MAX_MODELS} models")
                try:
                    artifacts.write_atomically(path, content)
                except OSError as error:
                    raise httpd.Refused(507, f"not stored: {error.strerror}") from None
                print(json.dumps({"event": "model", "digest": f"sha256:{name}"}), flush=True)
        request.reply(200 if existed else 201, {"digest": f"sha256:{name}"})


def main(arguments):
    """Runs the feed until SIGTERM."""
    stop = httpd.stop_event()
    feed = Feed(
        ("", arguments.port), arguments.folder, arguments.seed, arguments.departs_after,
        arguments.change,
    )
    feed.server.start()
    print(json.dumps({"event": "listening", "port": feed.server.port}), flush=True)
    stop.wait()
    feed.server.stop()
    return 0


def _query(request):
    return dict(urllib.parse.parse_qsl(request.path.partition("?")[2]))


def _integer(query, name, default, low, high):
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and low <= int(text) <= high):
        raise httpd.Refused(400, f"{name}: a number from {low} to {high} is required")
    return int(text)


def _model_name(request):
    match = _MODEL_PATH.fullmatch(request.path)
    if not match:
        raise httpd.Refused(400, "a model's path is /models/<sha256 as 64 hex digits>")
    return match[1]
