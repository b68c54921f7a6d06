"""Many models drift at the same moment.

There are no pods: EndpointSlices that look like those of the models' Services lead to one server
here, whose page turns bad when it is told so.
"""
import http.server
import subprocess
import threading
import time

SERVER = "172.30.0.200"  # beside the node's own address, which may not be scraped
PORT = 8080
LABEL = "perennial.dev/model-deployment"


class Page:
    """Errors of predictions as a histogram that grows at every look."""

    def __init__(self):
        self.lock = threading.Lock()
        self.good = self.bad = 0
        self.drifted = False
        self.served = 0

    def text(self):
        with self.lock:
            self.served += 1
            if self.drifted:
                self.bad += 5
            else:
                self.good += 5
            # A page is every model's: it has grown by at least 1,000 between two looks of one model.
            good, bad = 1000 * self.good, 1000 * self.bad
        return ("# TYPE prediction_error histogram\n"
                f'prediction_error_bucket{{le="2"}} {good}\n'
                f'prediction_error_bucket{{le="10"}} {good + bad}\n'
                f'prediction_error_bucket{{le="+Inf"}} {good + bad}\n'
                f"prediction_error_sum {good + 9 * bad}\n"
                f"prediction_error_count {good + bad}\n")


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


def slices(services):
    """EndpointSlices of these Services, with one ready endpoint each."""
    for service in services:
        meta = service["metadata"]
        yield {
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
                "targetRef": {"kind": "Pod", "name": meta["name"] + "-0",
                              "namespace": meta["namespace"]}}],
        }


def condition(item, kind):
    conditions = item.get("status", {}).get("conditions", [])
    return next((one["status"] for one in conditions if one["type"] == kind), None)


def wait(what, count, wanted, limit):
    start = time.monotonic()
    while (now := count()) < wanted:
        if time.monotonic() - start > limit:
            raise RuntimeError(f"{now} of {wanted} {what} after {limit} s")
        time.sleep(1)
    return time.monotonic() - start


def measure(api, group, process, audit, models):
    """Lets `models` monitors judge their models well, then badly, and yields rows of figures."""
    page = Page()
    serve(page)
    services = [service for service in api.list("/api/v1/services")
                if LABEL in service["metadata"].get("labels", {})]
    services.sort(key=lambda service: service["metadata"]["labels"][LABEL])
    chosen = services[:models]
    for one in slices(chosen):
        api.send("POST", "/apis/discovery.k8s.io/v1/namespaces/"
                 f"{one['metadata']['namespace']}/endpointslices", one)

    def monitors(status):
        return sum(1 for item in api.list(f"{group}/driftmonitors")
                   if condition(item, "Drifted") == status)

    def runs():
        return len(api.list("/apis/batch/v1/jobs"))

    wait("monitors judged", lambda: monitors("False"), models, 400)
    audit.requests()
    cpu = process.cpu()
    page.drifted = True
    told = wait("monitors drifted", lambda: monitors("True"), models, 400)
    yield (f"{models} drift at once: seconds until all monitors say so (interval 60 s)",
           f"{told:.0f}")
    started = told + wait("runs started", runs, models, 400)
    yield "... until every training Job exists", f"{started:.0f}"
    time.sleep(10)
    counts = audit.requests()
    yield ("... CPU milliseconds a model, scrapes included",
           f"{(process.cpu() - cpu) * 1000 / models:.2f}")
    for (verb, what), number in counts.most_common():
        if verb not in ("get", "list", "watch"):
            yield f"... {verb} {what} a model", f"{number / models:.2f}"


