"""The load driver: takes trips from the feed, asks for predictions, compares them with outcomes."""

import collections
import http.client
import http.cookies
import json
import queue
import random
import ssl
import sys
import threading
import time
import urllib.parse

from . import artifacts, httpd, outcomes

MAX_PENDING = 20_000
MAX_VERSIONS = 64  # a confused server must not fill the memory with names
TIMEOUT_S = 5.0


class Tally:
    """Counts by version, in total and since the last line. Safe for any thread."""

    def __init__(self):
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._predicted = collections.OrderedDict()  # trip id -> (version, minutes)
        self._sent = self._failed = self._retried = self._late = 0
        self._total, self._recent = {}, {}  # version -> [answers, outcomes, sum of errors]
        self._last_error = ""

    def answered(self, identity, version, minutes):
        with self._lock:
            self._sent += 1
            if version not in self._total and len(self._total) >= MAX_VERSIONS:
                version = "other"
            for counts in (self._total, self._recent):
                counts.setdefault(version, [0, 0, 0.0])[0] += 1
            self._predicted[identity] = (version, minutes)
            if len(self._predicted) > MAX_PENDING:
                self._predicted.popitem(last=False)

    def failed(self, why):
        with self._lock:
            self._sent += 1
            self._failed += 1
            self._last_error = str(why)[:200]

    def retried(self):
        with self._lock:
            self._retried += 1

    def late(self):
        with self._lock:
            self._late += 1

    def outcome(self, identity, delay):
        with self._lock:
            version, minutes = self._predicted.pop(identity, (None, 0.0))
            if version is None:
                return
            for counts in (self._total, self._recent):
                entry = counts.setdefault(version, [0, 0, 0.0])
                entry[1] += 1
                entry[2] += abs(minutes - delay)

    def line(self, final=False):
        """Returns the numbers so far, and starts a new "recent" part.

        recent_mae is the error of all versions together, None without outcomes.
        """
        with self._lock:
            recent, self._recent = self._recent, {}
            outcomes = sum(entry[1] for entry in recent.values())
            line = {
                "seconds": round(time.monotonic() - self._started, 1),
                "final": final,
                "sent": self._sent,
                "failed": self._failed,
                "retried": self._retried,
                "late": self._late,
                **_by_version(self._total),
                "recent": _by_version(recent),
                "recent_mae": None,
            }
            if outcomes:
                total = sum(entry[2] for entry in recent.values())
                line["recent_mae"] = round(total / outcomes, 4)
            if self._last_error:
                line["last_error"] = self._last_error
            return line


class Driver:
    """Sends trips to `target` at `rate` per second over `connections` keep-alive connections.

    With `users` > 0 each trip is asked for by one of that many simulated users, who keep the
    cookies that they are given, as browsers do.
    """

    def __init__(self, feed_url, target, host="", rate=40.0, connections=4, users=0):
        self._feed_url = feed_url.rstrip("/")
        self._target = urllib.parse.urlsplit(target)
        if self._target.scheme not in ("http", "https") or not self._target.hostname:
            raise ValueError(f"the target {target!r} is not an http(s) URL")
        self._host = host
        self._rate = rate
        self._connections = connections
        self._jars = [{} for _ in range(users)]
        self._queue = queue.Queue(maxsize=max(connections, int(rate)))
        self.tally = Tally()

    def await_target(self, stop):
        """Asks until there is a first answer: until then there is nobody whose failures count."""
        connection = self._connect()
        batch = collections.deque()
        while not stop.is_set():
            try:
                if batch or self._fetch(batch, stop):
                    self._request(connection, batch.popleft())
                    break
            except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
                connection.close()
            stop.wait(0.5)
        connection.close()

    def run(self, stop, duration_s=None, report=print, report_every_s=5.0, settle_s=3.0):
        """Drives until `stop` is set or the time is over; returns the final numbers.

        Every few seconds, and at the end, `report` gets a JSON line. After the last request,
        `settle_s` is waited for outcomes.
        """
        finished = threading.Event()
        follower = threading.Thread(
            target=outcomes.follow, args=(self._feed_url, self.tally.outcome, finished), daemon=True
        )
        workers = [
            threading.Thread(target=self._work, daemon=True) for _ in range(self._connections)
        ]
        for thread in (follower, *workers):
            thread.start()
        self._pace(stop, duration_s, report, report_every_s)
        self._finish(workers)
        time.sleep(settle_s)
        finished.set()
        follower.join(6.0)
        line = self.tally.line(final=True)
        report(json.dumps(line))
        return line

    def _pace(self, stop, duration_s, report, report_every_s):
        started = time.monotonic()
        begun, due, batch = started, 0, collections.deque()
        next_report = started + report_every_s
        while not stop.is_set():
            now = time.monotonic()
            if duration_s is not None and now - started >= duration_s:
                return
            if now >= next_report:
                report(json.dumps(self.tally.line()))
                next_report = now + report_every_s
            target = int((now - begun) * self._rate)
            if target - due > self._rate * 2:  # after a pause of the feed: no flood to catch up
                begun, due, target = now, 0, 0
            while due < target and not stop.is_set():
                if not batch and not self._fetch(batch, stop):
                    break
                due += 1
                try:
                    self._queue.put_nowait(batch.popleft())
                except queue.Full:
                    self.tally.late()
            stop.wait(min(0.05, 1.0 / self._rate))

    def _finish(self, workers):
        """Lets the workers answer for what is queued, but not for longer than a timeout."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self._queue.empty() and time.monotonic() < deadline:
            time.sleep(0.02)
        while not self._queue.empty():
            try:
                self._queue.get_nowait()
                self.tally.late()
            except queue.Empty:
                break
        for _ in workers:
            self._queue.put(None)
        for worker in workers:
            worker.join(TIMEOUT_S * 2)

    def _fetch(self, batch, stop):
        """Gets trips for a quarter of a second: they must be asked about before they depart."""
        count = min(500, max(1, int(self._rate / 4)))
        try:
            answer = json.loads(artifacts.get(f"{self._feed_url}/trips?n={count}", TIMEOUT_S))
            batch.extend(answer["trips"])
            return bool(batch)
        except (artifacts.ArtifactError, ValueError, KeyError, TypeError) as error:
            print(f"no trips: {error}", file=sys.stderr, flush=True)
            stop.wait(1.0)
            return False

    def _work(self):
        chance = random.Random()
        connection = self._connect()
        while True:
            trip = self._queue.get()
            if trip is None:
                connection.close()
                return
            jar = chance.choice(self._jars) if self._jars else None
            try:
                self._ask(connection, trip, jar)
            except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
                connection.close()
                self.tally.failed(error if str(error) else repr(error))

    def _ask(self, connection, trip, jar):
        answer = self._request(connection, trip, jar)
        self.tally.answered(trip.get("id", ""), str(answer["version"]), float(answer["minutes"]))

    def _request(self, connection, trip, jar=None):
        """Returns the decoded answer to one trip; raises on every other status than 200."""
        headers = {"Content-Type": "application/json"}
        if self._host:
            headers["Host"] = self._host
        if jar:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in list(jar.items()))
        content = json.dumps(trip).encode()
        response = self._send(connection, content, headers)
        body = response.read(1 << 16)
        if jar is not None:
            _keep_cookies(jar, response.headers.get_all("Set-Cookie") or ())
        if response.status != 200:
            raise ValueError(f"{response.status}: {body[:150].decode(errors='replace')}")
        return json.loads(body)

    def _send(self, connection, content, headers):
        """Posts once; once more only if a kept connection proves to have been closed meanwhile."""
        reused = connection.sock is not None
        path = self._target.path or "/"
        try:
            connection.request("POST", path, content, headers)
            return connection.getresponse()
        except (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected):
            connection.close()
            if not reused:
                raise
        self.tally.retried()
        connection.request("POST", path, content, headers)
        return connection.getresponse()

    def _connect(self):
        target = self._target
        if target.scheme == "https":
            return http.client.HTTPSConnection(
                target.hostname, target.port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(target.hostname, target.port, timeout=TIMEOUT_S)


def main(arguments):
    """Drives until the time is over or SIGTERM. Returns the exit code."""
    stop = httpd.stop_event()
    try:
        driver = Driver(
            arguments.feed, arguments.target, arguments.host, arguments.rate,
            arguments.connections, arguments.users,
        )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.await_target:
        driver.await_target(stop)
    driver.run(
        stop, arguments.duration, lambda line: print(line, flush=True), arguments.report_every,
    )
    return 0


def _by_version(counts):
    return {
        "by_version": {version: entry[0] for version, entry in sorted(counts.items())},
        "outcomes_by_version": {version: entry[1] for version, entry in sorted(counts.items())},
        "mae_by_version": {
            version: round(entry[2] / entry[1], 4)
            for version, entry in sorted(counts.items())
            if entry[1]
        },
    }


def _keep_cookies(jar, lines):
    for line in lines:
        try:
            cookies = http.cookies.SimpleCookie(line)
        except http.cookies.CookieError:
            continue
        for name, morsel in cookies.items():
            if morsel["max-age"] == "0":
                jar.pop(name, None)
            else:
                jar[name] = morsel.value
