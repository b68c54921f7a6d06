"""Models for stories that serve some: a server that behaves as its model is called, a crowd that asks it all the
time, what status says of all that is in a namespace, and the namespace.
"""

import collections
import concurrent.futures
import http.client
import json
import os
import threading
import time
import unittest

import story

KIND = "modeldeployments.perennial.dev"
# A proxy follows the accepted route with a delay.
PROXY_SECONDS = 1

# Words in the tag of its model decide: broken (never ready), slow (loads for a while), worse and vague (its
# predictions err by more), failing (it counts every other prediction as failed), late (what was true is known seconds
# after the prediction). Asked for /ill and /well, it is no longer ready, and again.
PROGRAM = '''
import http.server, os, queue, random, signal, threading, time
import prometheus_client as metrics
# At once, whoever waits for an answer.
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
WORDS = os.environ["MODEL_URI"].rsplit(":", 1)[1].split("-")
MEAN = 5 if "worse" in WORDS else 2 if "vague" in WORDS else 1
LOADED = time.monotonic() + (4 if "slow" in WORDS else 0)
ERROR = metrics.Histogram("prediction_error", "Absolute error.", buckets=[1, 2, 4, 8, 16])
SQUARES = metrics.Counter("prediction_error_squares", "Squares of the same.")
PREDICTIONS = metrics.Counter("predictions", "Requests for a prediction.")
FAILURES = metrics.Counter("prediction_failures", "Requests that got none.")
# A request asks for some items at once: what an item takes is a ratio of two numbers of each request.
SECONDS = metrics.Counter("item_seconds", "Of all items of a request.")
SECONDS_SQUARES = metrics.Counter("item_seconds_squares", "Squares of the same.")
ITEMS = metrics.Counter("items", "Of a request.")
ITEMS_SQUARES = metrics.Counter("items_squares", "Squares of the same.")
PRODUCTS = metrics.Counter("item_products", "Seconds times items of a request.")
ILL = threading.Event()

def learn(error):
    ERROR.observe(error)
    SQUARES.inc(error * error)

LATER = queue.SimpleQueue()

def learn_later():
    while True:
        due, error = LATER.get()
        time.sleep(max(0, due - time.monotonic()))
        learn(error)

threading.Thread(target=learn_later, daemon=True).start()

def predict():
    PREDICTIONS.inc()
    if "failing" in WORDS and random.random() < 0.5:
        FAILURES.inc()
    items = random.randint(1, 5)
    seconds = items * MEAN * random.uniform(0.5, 1.5)
    SECONDS.inc(seconds)
    SECONDS_SQUARES.inc(seconds * seconds)
    ITEMS.inc(items)
    ITEMS_SQUARES.inc(items * items)
    PRODUCTS.inc(seconds * items)
    # Narrow: twenty of them tell one mean from another, and no story ends by chance.
    error = MEAN * random.uniform(0.5, 1.5)
    if "late" in WORDS:
        LATER.put((time.monotonic() + 20, error))
    else:
        learn(error)

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        ready = "broken" not in WORDS and time.monotonic() >= LOADED and not ILL.is_set()
        status, body = 200, b"ok"
        if self.path == "/metrics":
            body = metrics.generate_latest()
        elif self.path == "/predict":
            predict()
        elif self.path == "/slow":
            time.sleep(60)
        elif self.path in ("/ill", "/well"):
            (ILL.set if self.path == "/ill" else ILL.clear)()
        elif self.path == "/model":
            with open(os.environ["MODEL_PATH"] + "/model.txt", "rb") as file:
                body = file.read()
        elif self.path in ("/ready", "/v2/health/ready"):
            status = 200 if ready else 503
        elif self.path != "/v2/health/live":
            status = 404
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-version", os.environ["MODEL_VERSION"])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
'''.strip()
IMAGE = "perennial.dev/departures:dev"


# What checks and experiments of its numbers look at.
ERROR = {"kind": "Mean", "metric": "prediction_error"}
FAILURES = {"kind": "Proportion", "numerator": "prediction_failures_total", "denominator": "predictions_total"}


def analysis(*checks, probes=()):
    return {"interval": "2s", "window": "10s", "minSamples": 20, "failureLimit": 2, "inconclusiveLimit": 1,
            "checks": list(checks), "probes": list(probes)}


def container(program=PROGRAM, **more):
    return {"name": "model", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-c", program], **more}


def server(probed=True, **more):
    """Returns a pod template."""
    if probed:
        more["readinessProbe"] = {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 10}
    ports = [{"name": "http", "containerPort": 8080}]
    return {"spec": {"containers": [container(ports=ports, **more)], "terminationGracePeriodSeconds": 1}}


def once(program):
    """Returns the template of a Job that runs a program once."""
    return {"spec": {"backoffLimit": 0, "template": {"spec": {"containers": [container(program)]}}}}


class Model:
    """A ModelDeployment behind the Gateway "edge" of its namespace, or behind its Service alone."""

    def __init__(self, board, name, spec, traffic=None):
        self.board = board
        self.name = name
        self.host = f"{name}.example.org"
        gateway = {"gateway": {"parentRefs": [{"name": "edge"}], "hostnames": [self.host]}}
        self.spec = {"template": server(), "traffic": {**gateway, **(traffic or {})}, **spec}

    def declare(self, **more):
        story.apply({"apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment",
                     "metadata": {"name": self.name, "namespace": self.board.space}, "spec": {**self.spec, **more}})

    def release(self, tag, repository=None):
        """Declares a model; returns its version as soon as there is one."""
        uri = f"oci://{repository or 'models/' + self.name}:{tag}"
        self.declare(model={"uri": uri})

        def version():
            return next((row["version"] for row in self.status().get("variants", ())
                         if row.get("model", {}).get("uri") == uri), None)

        return self.wait(f"{tag} is a variant", version)

    def annotate(self, command, value):
        story.kubectl("-n", self.board.space, "annotate", "modeldeployment", self.name, "--overwrite",
                      f"perennial.dev/{command}={value}")

    def resume(self, version, nonce=""):
        """Resumes the version's rollout as soon as it is paused: before that there is nothing to resume."""
        self.wait(f"{version} is paused", lambda: (
            self.rollout().get("version") == version and self.rollout()["phase"] == "Paused"))
        self.annotate("resume", version + nonce)

    def object(self):
        return self.board.object("ModelDeployment", self.name)

    def status(self):
        return self.object().get("status", {})

    def rollout(self):
        return self.status().get("rollout", {})

    def condition(self, kind):
        return story.condition(self.object(), kind)

    def wait(self, what, probe, show=None):
        return story.wait_for(f"{self.name}: {what}", story.PATIENCE, probe,
                              show or (lambda: (self.status().get("why"), self.rollout().get("checks"))))

    def wait_for_step(self, version, step):
        self.wait(f"step {step} of {version} is in effect", lambda: (
            self.rollout().get("version") == version and self.rollout().get("step") == step
            and self.rollout().get("inEffect") and self.rollout()["phase"] in ("Progressing", "Paused")))
        time.sleep(PROXY_SECONDS)

    def wait_for_end(self, version, phase):
        """Returns what history says of it."""
        self.wait(f"{version} is {phase}", lambda: (
            self.rollout().get("version") == version and self.rollout()["phase"] == phase))
        last = self.status()["history"][0]
        if [last["version"], last["outcome"]] != [version, phase]:
            raise AssertionError(f"{self.name}: history says {last} of {version}")
        return last["message"]

    def weights(self):
        """Returns {version: weight} in effect."""
        return {row["version"]: row["weight"] for row in self.status()["variants"]}

    def pods(self, version):
        """Returns {UID: restarts} of a version's pods that stay."""
        found = story.get("pods", namespace=self.board.space,
                          selector=f"perennial.dev/model-version={version}"
                                   ",app.kubernetes.io/component=model-server")
        return {pod["metadata"]["uid"]: sum(one["restartCount"] for one in pod["status"].get("containerStatuses", ()))
                for pod in found if "deletionTimestamp" not in pod["metadata"]}


class Board(threading.Thread):
    """What a namespace's objects of some kinds look like, half a second old: one look for all who wait."""

    def __init__(self, space, kinds=(KIND,)):
        super().__init__(daemon=True)
        self.space = space
        self.kinds = kinds
        self.seen = {}  # by (kind, name)
        self.not_ready = collections.Counter()
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.5):
            listed = story.kubectl("get", ",".join(self.kinds), "-n", self.space, "-o", "json", check=False)
            if not listed:
                continue
            self.seen = {(one["kind"], one["metadata"]["name"]): one for one in json.loads(listed)["items"]}
            for (kind, name), one in self.seen.items():
                if (kind == "ModelDeployment" and one.get("status", {}).get("champion")
                        and story.condition(one, "Ready") != "True"):
                    self.not_ready[name] += 1

    def object(self, kind, name):
        return self.seen.get((kind, name), {})

    def status(self, kind, name):
        return self.object(kind, name).get("status", {})

    def labelled(self, kind, label, value):
        return [one for (its, _), one in self.seen.items()
                if its == kind and one["metadata"].get("labels", {}).get("perennial.dev/" + label) == value]


class Crowd(threading.Thread):
    """Asks one model all the time, and remembers who answered and what failed."""

    def __init__(self, address, host, pause=0.02, headers=None, every=False):
        super().__init__(daemon=True)
        self.address = address
        self.headers = {"Host": host, **(headers or {})}
        self.pause = pause
        self.every = every  # a connection each, where it is connections that are split
        self.connection = None
        self.answers = collections.Counter()
        self.last = collections.deque(maxlen=20)
        self.failures = []
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(self.pause):
            try:
                self.ask()
            except (OSError, AssertionError, http.client.HTTPException) as error:
                self.failures.append(f"{time.strftime('%X')} {type(error).__name__}: {error}")
                self.last.clear()
                self.hang_up()

    def ask(self):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, 80, timeout=30)
        self.connection.request("GET", "/predict", headers=self.headers)
        answer = self.connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise AssertionError(f"status {answer.status}")
        self.answers[answer.getheader("x-version")] += 1
        self.last.append(answer.getheader("x-version"))
        if self.every:
            self.hang_up()

    def hang_up(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def meets(self, *versions, requests=20):
        """Waits until the proxy has followed: these versions have answered so many requests in a row, and no other."""
        self.last = collections.deque(maxlen=requests)
        story.wait_for(f"only {versions} answer", story.PATIENCE, lambda: len(self.last) == requests
                       and set(self.last) == set(versions), lambda: list(self.last))

    def forgive(self):
        """Returns what has failed until now, for a reason that the story knows: it is not judged any more."""
        forgiven, self.failures = self.failures, []
        return forgiven

    def next(self, requests):
        """Returns who answered the next requests."""
        before = self.answers.copy()
        story.wait_for(f"{requests} answers", story.PATIENCE,
                       lambda: (self.answers - before).total() >= requests)
        return self.answers - before

    def wait_for_split(self, requests, wanted, what):
        """Waits until so many requests are answered by {version: share}."""
        story.wait_for_split(lambda: self.next(requests), wanted, what)

    def end(self):
        self.over.set()
        self.join()
        self.hang_up()


class Scenes(unittest.TestCase):
    """What happens in one namespace, with a Gateway unless the story says otherwise, and who asks its models."""

    space = None
    kinds = (KIND,)
    has_gateway = True

    @classmethod
    def setUpClass(cls):
        story.namespace(cls.space)
        if cls.has_gateway:
            story.gateway(cls.space)
        cls.board = Board(cls.space, cls.kinds)
        cls.crowds = []
        cls.address = story.gateway_address(cls.space) if cls.has_gateway else None

    @classmethod
    def tearDownClass(cls):
        for crowd in cls.crowds:
            crowd.end()
        cls.board.over.set()
        story.kubectl("delete", "namespace", cls.space, "--wait=false")

    def crowd(self, host, address=None, **how):
        """Returns a crowd that asks a model as soon as it answers, at the gateway unless there is an address."""
        address = address or self.address
        story.wait_for(f"{host} answers", story.PATIENCE, lambda: story.answers(address, "/ready", host))
        crowd = Crowd(address, host, **how)
        crowd.start()
        self.crowds.append(crowd)
        return crowd

    def begin(self, name, spec, traffic=None, first="1", **crowd):
        """Returns a model that serves its first version, the version, and a crowd that asks it."""
        model = Model(self.board, name, spec, traffic)
        version = model.release(first)
        model.wait_for_end(version, "Promoted")
        return model, version, self.crowd(model.host, **crowd)

    def backends(self, name):
        """Returns {service: weight} of a model's split, as its route has it now."""
        route = story.get("httproutes.gateway.networking.k8s.io", name, self.space)
        return {backend["name"]: backend["weight"] for backend in route["spec"]["rules"][0]["backendRefs"]}

    def plugin(self, *words):
        """Runs the plugin as whoever the tests are; returns what it says."""
        return story.run(os.path.join(os.environ["PERENNIAL_BIN"], "kubectl-perennial"), "-n", self.space, *words)

    def judge_crowds(self):
        for crowd in self.crowds:
            self.assertEqual(crowd.failures, [], crowd.headers)
            self.assertGreater(crowd.answers.total(), 100, crowd.headers)
        print(f"{sum(crowd.answers.total() for crowd in self.crowds)} requests, none failed", flush=True)


def side_by_side(*scenes):
    """Runs functions at once; raises what went wrong in the first that failed, after all have ended."""
    with concurrent.futures.ThreadPoolExecutor(len(scenes)) as pool:
        began = time.monotonic()

        def timed(scene):
            scene()
            print(f"{scene.__name__}: {time.monotonic() - began:.0f} s", flush=True)

        done = [pool.submit(timed, scene) for scene in scenes]
    failed = {scene.__name__: future.exception() for scene, future in zip(scenes, done) if future.exception()}
    for name, error in failed.items():
        print(f"{name}: {error}", flush=True)
    for error in failed.values():
        raise error
