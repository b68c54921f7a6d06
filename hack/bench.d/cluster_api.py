"""The API server as the administrator, and its audit log."""
import base64
import collections
import concurrent.futures
import datetime
import http.client
import json
import os
import pathlib
import re
import ssl
import tempfile
import threading
import time

from objects import GROUP, name_of, namespace_of

LOADERS = 16


class Api:
    """One connection a thread."""

    def __init__(self, kubeconfig):
        text = pathlib.Path(kubeconfig).read_text(encoding="utf-8")
        self.host = re.search(r"server:\s*https://(\S+)", text)[1]
        self.context = ssl.create_default_context(cadata=self.pem(text, "certificate-authority"))
        with tempfile.TemporaryDirectory() as folder:
            names = []
            for field in ("client-certificate", "client-key"):
                names.append(os.path.join(folder, field))
                pathlib.Path(names[-1]).write_text(self.pem(text, field), encoding="ascii")
            self.context.load_cert_chain(*names)
        self.local = threading.local()

    @staticmethod
    def pem(kubeconfig, field):
        data = re.search(rf"{field}-data:\s*(\S+)", kubeconfig)
        if data:
            return base64.b64decode(data[1]).decode()
        path = re.search(rf"{field}:\s*(\S+)", kubeconfig)[1]
        return pathlib.Path(path).read_text(encoding="ascii")

    def send(self, method, path, body=None, content="application/json", accept=()):
        text = None if body is None else json.dumps(body)
        while True:
            fresh = not hasattr(self.local, "connection")
            if fresh:
                self.local.connection = http.client.HTTPSConnection(
                    self.host, context=self.context, timeout=120)
            try:
                self.local.connection.request(method, path, text, {"Content-Type": content})
                answer = self.local.connection.getresponse()
                data = answer.read()
                break
            except (OSError, http.client.HTTPException):
                del self.local.connection
                if fresh or method != "GET":  # an old one may have been closed meanwhile
                    raise
        if answer.status >= 300 and answer.status not in (409, *accept):
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:500]!r}")
        return data

    def pages(self, path):
        rest = ""
        while True:
            page = json.loads(self.send("GET", f"{path}?limit=1000&continue={rest}"))
            yield from page["items"]
            rest = page["metadata"].get("continue", "")
            if not rest:
                return

    def count(self, path, wanted=lambda item: True):
        return sum(1 for item in self.pages(path) if wanted(item))


def each(work, numbers):
    """work(i) for all of them, on several connections; how many a second that were."""
    start = time.monotonic()
    numbers = list(numbers)
    with concurrent.futures.ThreadPoolExecutor(LOADERS) as pool:
        collections.deque(pool.map(work, numbers), maxlen=0)
    return len(numbers) / (time.monotonic() - start)


def load(api, kind, make, count, group=GROUP):
    def one(i):
        namespace = namespace_of(i)
        api.send("POST", f"{group}/namespaces/{namespace}/{kind}", make(namespace, name_of(i)))

    return each(one, range(count))


READS = ("get", "list", "watch", "review")


class Requests(collections.Counter):
    """(verb, resource, answer's code) -> how many."""

    def of(self, *verbs):
        return sum(number for (verb, _, _), number in self.items() if verb in verbs)

    def of_resource(self, wanted, resource):
        return sum(number for (verb, what, _), number in self.items()
                   if verb == wanted and what == resource)

    def writes(self):
        return sum(number for (verb, _, _), number in self.items() if verb not in READS)

    def refused(self):
        return sum(number for (verb, _, code), number in self.items()
                   if code >= 400 and verb not in READS)

    def by_kind(self):
        """What was written, most first: ("patch modeldeployments/status", number)."""
        out = collections.Counter()
        for (verb, what, _), number in self.items():
            if verb not in READS:
                out[f"{verb} {what}"] += number
        return out.most_common()

    def refused_by_kind(self):
        """What was refused, most first: ("409 patch modeldeployments/status", number)."""
        out = collections.Counter()
        for (verb, what, code), number in self.items():
            if code >= 400 and verb not in READS:
                out[f"{code} {verb} {what}"] += number
        return out.most_common()


class Audit:
    """Follows the audit log for the requests of one program, through rotations."""

    def __init__(self, path, agent):
        self.path = path
        self.agent = f'"userAgent":"{agent}'.encode()
        self.log = open(path, "rb")  # pylint: disable=consider-using-with
        self.log.seek(0, os.SEEK_END)
        self.lock = threading.Lock()
        self.counts = Requests()
        self.last_write = 0.0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def close(self):
        self.done.set()
        self.thread.join()
        self.log.close()

    def follow(self):
        while not self.done.wait(0.5):
            self.read()

    def read(self):
        with self.lock:
            while True:
                self.read_lines()
                # Renamed away by a rotation? What was still written to it has been read now.
                if os.stat(self.path).st_ino == os.fstat(self.log.fileno()).st_ino:
                    return
                self.read_lines()
                self.log.close()
                self.log = open(self.path, "rb")  # pylint: disable=consider-using-with

    def read_lines(self):
        while line := self.log.readline():
            if not line.endswith(b"\n"):
                self.log.seek(-len(line), os.SEEK_CUR)
                return
            if self.agent in line:
                self.take(json.loads(line))

    def take(self, event):
        # A watch is told of when it begins and when it ends.
        if event["stage"] != ("ResponseStarted" if event["verb"] == "watch"
                              else "ResponseComplete"):
            return
        target = event.get("objectRef", {})
        sub = "/" + target["subresource"] if target.get("subresource") else ""
        what = target.get("resource", "")
        verb = "review" if what.endswith("reviews") else event["verb"]  # asks, and stores nothing
        code = event.get("responseStatus", {}).get("code", 0)
        self.counts[verb, what + sub, code] += 1
        if verb not in READS and what != "leases":  # those are renewed for ever
            moment = datetime.datetime.fromisoformat(event["stageTimestamp"].replace("Z", "+00:00"))
            self.last_write = max(self.last_write, moment.timestamp())

    def take_counts(self):
        """What has been asked since the last call."""
        self.read()
        with self.lock:
            counts, self.counts = self.counts, Requests()
        return counts
