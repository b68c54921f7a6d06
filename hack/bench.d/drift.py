"""Many models drift at the same moment.

There are no pods: statuses of Deployments say that there are, and EndpointSlices that look like those
of the models' Services lead to one server here, whose page turns bad when it is told so.
"""
import http.server
import json
import subprocess
import threading
import time

from cluster_api import each
from objects import BOUNDS, COUNTS, FEATURES, GROUP, condition

SERVER = "172.30.0.200"  # beside the node's own address, which may not be scraped
PORT = 8080
LABEL = "perennial.dev/model-deployment"


def histogram(name, bounds, counts):
    lines, total = [f"# TYPE {name} histogram"], 0
    for bound, count in zip([*bounds, "+Inf"], counts):
        total += count
        lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
    middle = [bound - 0.5 for bound in bounds] + [bounds[-1] + 0.5]
    mass = sum(value * count for value, count in zip(middle, counts))
    return "\n".join([*lines, f"{name}_sum {mass}", f"{name}_count {total}", ""])


class Page:
    """Features and errors of predictions as histograms that grow at every look."""

    def __init__(self):
        self.lock = threading.Lock()
        self.good = self.bad = 0
        self.drifted = False

    def text(self):
        with self.lock:
            if self.drifted:
                self.bad += 5
            else:
                self.good += 1
            good, bad = self.good, self.bad
        # Drifted, every feature is mostly in its highest buckets, and errors are large.
        skewed = sorted(COUNTS)
        features = [good * count + bad * shifted for count, shifted in zip(COUNTS, skewed)]
        page = "".join(histogram(f"feature_{i}_value", BOUNDS, features) for i in range(FEATURES))
        rows = sum(COUNTS)
        return page + histogram("prediction_error", [2, 10, 20], [good * rows, 0, bad * rows, 0])


def serve(page):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):  # pylint: disable=invalid-name
            body = page.text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):  # pylint: disable=arguments-differ
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 1024
        daemon_threads = True

    route = subprocess.run(["ip", "-4", "-o", "addr", "show", "to", "172.30.0.1"], check=True,
                           capture_output=True, text=True).stdout
    subprocess.run(["ip", "addr", "add", f"{SERVER}/24", "dev", route.split()[1]], check=True)
    server = Server((SERVER, PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def endpoints(service):
    """An EndpointSlice of this Service, with one ready endpoint."""
    meta = service["metadata"]
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": meta["name"] + "-bench", "namespace": meta["namespace"],
            "labels": {**meta.get("labels", {}), "kubernetes.io/service-name": meta["name"]},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "controller": True,
                                 "name": meta["name"], "uid": meta["uid"]}],
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
        "endpoints": [{
            "addresses": [SERVER], "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "name": meta["name"] + "-0", "uid": meta["uid"],
                          "namespace": meta["namespace"]}}],
    }


def wait(what, count, wanted, limit):
    """Looking costs the API server a list of them, so it is done seldom when there are many."""
    start = time.monotonic()
    while True:
        began = time.monotonic()
        now = count()
        if now >= wanted:
            return time.monotonic() - start
        if time.monotonic() - start > limit:
            raise RuntimeError(f"{now} of {wanted} {what} after {limit} s")
        time.sleep(max(1.0, 4 * (time.monotonic() - began)))


def choose(api, models):
    """Deployments of so many models, from as few namespaces as hold them: looking stays cheap."""
    found = [one for one in api.pages("/apis/apps/v1/deployments")
             if LABEL in one["metadata"].get("labels", {})]
    found.sort(key=lambda one: one["metadata"]["namespace"])
    return found[:models]


def bring_up(api, deployment):
    """The model gets a pod, as far as its controller can see: no node has to run one."""
    meta = deployment["metadata"]
    namespace, name = meta["namespace"], meta["name"]
    ready = {"status": {"observedGeneration": meta["generation"] + 10, "replicas": 1,
                        "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}}
    merge = "application/merge-patch+json"
    model = f"{GROUP}/namespaces/{namespace}/modeldeployments/{meta['labels'][LABEL]}"
    api.send("PATCH", model, {"spec": {"replicas": 1}}, merge)
    api.send("PATCH", f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/status", ready,
             merge)
    service = json.loads(api.send("GET", f"/api/v1/namespaces/{namespace}/services/{name}"))
    api.send("POST", f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
             endpoints(service))


def measure(api, report, process, audit, models):
    """Lets `models` monitors judge their models well, then badly."""
    page = Page()
    serve(page)
    chosen = choose(api, models)
    namespaces = sorted({one["metadata"]["namespace"] for one in chosen})
    audit.take_counts()
    cpu = process.cpu()
    begin = time.monotonic()
    each(lambda one: bring_up(api, one), chosen)

    def serving():
        return sum(api.count(f"{GROUP}/namespaces/{namespace}/modeldeployments",
                             lambda item: bool(item["status"].get("champion")))
                   for namespace in namespaces)

    def monitors(status):
        return sum(api.count(f"{GROUP}/namespaces/{namespace}/driftmonitors",
                             lambda item: condition(item, "Drifted") == status)
                   for namespace in namespaces)

    def runs():
        return api.count("/apis/batch/v1/jobs")

    wait("models serving", serving, models, 600)
    served = time.monotonic() - begin
    report.row(f"{models} models get a pod each: seconds until they serve", served)
    report.row("... CPU milliseconds a model", (process.cpu() - cpu) * 1000 / models, "{:.2f}")
    report.writes(audit.take_counts(), models)
    judged = wait("monitors judged", lambda: monitors("False"), models, 600)
    report.row("... until their monitors have judged", served + judged)
    audit.take_counts()
    cpu = process.cpu()
    page.drifted = True
    told = wait("monitors drifted", lambda: monitors("True"), models, 600)
    report.row(f"{models} drift at once: seconds until all monitors say so (interval 60 s, 3 looks)",
               told)
    report.row("... until every training Job exists",
               told + wait("runs started", runs, models, 600))
    time.sleep(10)
    counts = audit.take_counts()
    report.row("... CPU milliseconds a drifting model, all scrapes and looks included",
               (process.cpu() - cpu) * 1000 / models, "{:.2f}")
    report.writes(counts, models)
    report.row("... RSS, MB", process.memory("VmRSS"))
