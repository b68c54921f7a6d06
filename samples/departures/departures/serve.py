"""Serving: answers predictions, exposes what it saw, and learns how wrong it was."""

import collections
import json
import os
import sys
import threading
import time

import prometheus_client as prometheus
from prometheus_client import exposition

import perennial_result

from . import artifacts, exposed, httpd, model, outcomes, trips

MAX_PENDING = 20_000  # predictions whose outcome is not known yet
MAX_BODY = 16 << 10
LOAD_PATIENCE_S = 60.0


class Metrics:
    """The exposed metrics, in a registry of their own."""

    def __init__(self):
        self.registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self.registry)
        self.distance = prometheus.Histogram(
            exposed.DISTANCE, "Distance of the requested trip's stop from the terminus, km.",
            buckets=exposed.DISTANCE_BOUNDS, registry=self.registry,
        )
        self.predicted = prometheus.Histogram(
            exposed.PREDICTED, "Predicted minutes of delay.",
            buckets=exposed.PREDICTED_BOUNDS, registry=self.registry,
        )
        self.error = prometheus.Histogram(
            exposed.ERROR, "Absolute error in minutes, once the bus has departed.",
            buckets=exposed.ERROR_BOUNDS, registry=self.registry,
        )
        self.error_squares = self._counter(
            exposed.ERROR_SQUARES, "Sum of the squares of what prediction_error observed."
        )
        self.predictions = self._counter(
            exposed.PREDICTIONS, "Requests for a prediction, answered or not."
        )
        self.failures = self._counter(
            exposed.FAILURES, "Requests for a prediction that got none."
        )
        weather = self._counter(
            exposed.WEATHER, "Requests by the trip's weather.", [exposed.WEATHER_LABEL]
        )
        # Every category is there from the first scrape, so that its first increase is seen.
        self.weather = {
            name: weather.labels(name) for name in (*trips.WEATHERS, exposed.WEATHER_OTHER)
        }

    def _counter(self, name, text, labels=()):
        return prometheus.Counter(name, text, labels, registry=self.registry)


class Service:
    """The HTTP service of one model version."""

    def __init__(self, address, version=""):
        self.version = version
        self.metrics = Metrics()
        self._model = None
        self._lock = threading.Lock()
        self._pending = collections.OrderedDict()  # trip id -> predicted minutes, oldest first
        self.server = httpd.Server(
            address,
            {
                ("POST", "/predict"): self._predict,
                ("GET", "/v2/health/live"): lambda request: request.reply(200, {"live": True}),
                ("GET", "/v2/health/ready"): self._ready,
                ("GET", "/metrics"): self._metrics,
            },
        )

    def load(self, artifact):
        """Starts to answer with a model; raises model.InvalidModel."""
        self._model = model.decode(artifact)

    def observe(self, identity, delay):
        """Compares a departed trip with its prediction, if this process made one."""
        with self._lock:
            predicted = self._pending.pop(identity, None)
        if predicted is None:
            return
        error = abs(predicted - delay)
        self.metrics.error.observe(error)
        self.metrics.error_squares.inc(error * error)

    def _predict(self, request):
        self.metrics.predictions.inc()
        try:
            loaded = self._model
            if loaded is None:
                raise httpd.Refused(503, "the model is not loaded yet")
            try:
                trip = trips.parse(json.loads(request.body(MAX_BODY)))
            except (ValueError, RecursionError) as error:
                raise httpd.Refused(400, str(error)) from None
            minutes = loaded.predict(trip)
        except BaseException:
            self.metrics.failures.inc()
            raise
        self.metrics.distance.observe(trip["distance_km"])
        self.metrics.predicted.observe(minutes)
        weather = self.metrics.weather
        weather.get(trip["weather"], weather[exposed.WEATHER_OTHER]).inc()
        if "id" in trip:
            self._remember(trip["id"], minutes)
        request.reply(200, {"minutes": round(minutes, 3), "version": self.version})

    def _remember(self, identity, minutes):
        with self._lock:
            self._pending[identity] = minutes
            if len(self._pending) > MAX_PENDING:
                self._pending.popitem(last=False)

    def _ready(self, request):
        if self.server.draining:
            raise httpd.Refused(503, "draining")
        if self._model is None:
            raise httpd.Refused(503, "the model is not loaded yet")
        request.reply(200, {"ready": True, "version": self.version})

    def _metrics(self, request):
        encode, content_type = exposition.choose_encoder(request.headers.get("Accept", ""))
        request.reply(200, encode(self.metrics.registry), content_type)


def main(arguments):
    """Serves until SIGTERM, then drains. Returns the exit code."""
    service = Service(("", arguments.port), os.environ.get("MODEL_VERSION", ""))
    service.server.start()
    try:
        service.load(_load_artifact(arguments))
    except (artifacts.ArtifactError, model.InvalidModel) as error:
        message = f"the model was not loaded: {error}"
        print(message, file=sys.stderr, flush=True)
        perennial_result.fail(message)
        return 1
    # Only now: until here SIGTERM just ends the process, for nothing is served yet.
    stop = httpd.stop_event()
    if arguments.feed:
        threading.Thread(
            target=outcomes.follow, args=(arguments.feed, service.observe, stop), daemon=True
        ).start()
    print(
        json.dumps(
            {"event": "ready", "port": service.server.port, "version": service.version,
             "model": arguments.model}
        ),
        flush=True,
    )
    stop.wait()
    drain(service.server, arguments.drain)
    return 0


def drain(server, seconds):
    """Keeps answering for a while, but is not ready and closes each connection after its answer.

    Whoever routes here learns in that time that the pod goes away, so that no request meets a
    closed port.
    """
    server.draining = True
    time.sleep(seconds)
    server.stop()


def _load_artifact(arguments):
    if not arguments.model:
        raise artifacts.ArtifactError("no model: give --model or MODEL_URI")
    if not arguments.digest:
        print("MODEL_DIGEST is empty: the model is not verified", file=sys.stderr, flush=True)
    return artifacts.read_verified(
        arguments.model, arguments.digest, artifacts.MAX_MODEL_BYTES, patience_s=LOAD_PATIENCE_S
    )
