"""Runs the sample's services on loopback, and asks them, for tests."""

import contextlib
import http.client
import json
import tempfile
import threading

from departures import feed, model, serve, train, world

LOCAL = ("127.0.0.1", 0)


@contextlib.contextmanager
def running_feed(**options):
    """Yields (feed, its URL)."""
    with tempfile.TemporaryDirectory() as folder:
        service = feed.Feed(LOCAL, folder, **options)
        service.server.start()
        try:
            yield service, f"http://127.0.0.1:{service.server.port}"
        finally:
            service.server.stop()


@contextlib.contextmanager
def running_serve(artifact, version="v1", feed_url=""):
    """Yields (service, its URL); it learns outcomes when it is given a feed.

    Without an artifact its model is not loaded yet.
    """
    service = serve.Service(LOCAL, version)
    if artifact is not None:
        service.load(artifact)
    service.server.start()
    stop = threading.Event()
    if feed_url:
        threading.Thread(
            target=serve.outcomes.follow,
            args=(feed_url, service.observe, stop, 0.05),
            daemon=True,
        ).start()
    try:
        yield service, f"http://127.0.0.1:{service.server.port}"
    finally:
        stop.set()
        service.server.stop()


def ask(url, method="GET", body=None, headers=None):
    """Returns (status, headers, body as text) of one request on a connection of its own."""
    address, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection.request(method, "/" + path, body, headers or {})
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read().decode()
    finally:
        connection.close()


_artifacts = {}


def trained(change="none", rows=8000):
    """Returns the artifact of a model that was trained under a change; fitted once a process."""
    if (change, rows) not in _artifacts:
        records, delays = train.parse(world.history(change, rows, 1).encode())
        _artifacts[change, rows] = model.encode(train.fit(records, delays, 1.0))
    return _artifacts[change, rows]


def samples(text):
    """Returns {series: value} of a metrics page."""
    values = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            values[series] = float(value)
    return values
