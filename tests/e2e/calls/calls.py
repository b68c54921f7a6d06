#!/usr/bin/env python3
"""A model that speaks gRPC by the Open Inference Protocol, and its clients.

    calls.py                                          the downloader: $MODEL_URI to $MODEL_PATH
    calls.py serve                                    the server: gRPC on 8081, metrics on 9090
    calls.py call ADDRESS AUTHORITY CALLS [TESTER]    prints {version: answers} of that many calls
    calls.py smoke                                    fails unless $MODEL_SERVICE serves $MODEL_VERSION
    calls.py score                                    a batch: says with which model it would score

The few messages are written in protobuf's wire format by hand
(https://protobuf.dev/programming-guides/encoding/), so no compiler of theirs is needed.
"""

import collections
import json
import os
import pathlib
import random
import signal
import sys
import threading
from concurrent import futures

import grpc
import prometheus_client

# https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md
INFERENCE = "/inference.GRPCInferenceService/"
# https://github.com/grpc/grpc/blob/master/doc/health-checking.md: what the kubelet asks.
HEALTH = "/grpc.health.v1.Health/Check"
# Field 1 is 1: ready and live are true, and a health's status is SERVING.
YES = b"\x08\x01"
# Field 2 of a ModelInferResponse is a string, model_version; fewer than 128 bytes have one of length.
VERSION = b"\x12"
# Mean error by the last word of the model's URI: what its artifact holds.
ERRORS = {"good": 2.0, "fine": 2.0, "bad": 6.0}


def artifact():
    return pathlib.Path(os.environ["MODEL_PATH"]) / "error"


def download():
    if os.environ["STORE_TOKEN"] != "open":
        raise ValueError("the store is closed")
    artifact().write_text(str(ERRORS[os.environ["MODEL_URI"].rsplit("-", 1)[1]]), encoding="utf-8")


class Model(grpc.GenericRpcHandler):
    def __init__(self):
        version = os.environ["MODEL_VERSION"].encode()
        self.answer = VERSION + bytes([len(version)]) + version
        self.mean = float(artifact().read_text(encoding="utf-8"))
        if "STORE_TOKEN" in os.environ:
            raise ValueError("the server knows the store's credentials")
        self.error = prometheus_client.Histogram(
            "prediction_error", "Absolute error, minutes.", buckets=[1, 2, 4, 8, 16])
        self.squares = prometheus_client.Counter("prediction_error_squares", "Squares of the same.")
        self.methods = {
            HEALTH: self.ready, INFERENCE + "ServerLive": self.ready, INFERENCE + "ServerReady": self.ready,
            INFERENCE + "ModelInfer": self.infer,
        }

    def service(self, handler_call_details):
        method = self.methods.get(handler_call_details.method)
        return method and grpc.unary_unary_rpc_method_handler(method)

    @staticmethod
    def ready(_request, _context):
        return YES

    def infer(self, _request, _context):
        error = self.mean * random.uniform(0.5, 1.5)
        self.error.observe(error)
        self.squares.inc(error * error)
        return self.answer


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Model()])
    server.add_insecure_port("0.0.0.0:8081")
    prometheus_client.start_http_server(9090)
    server.start()
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    over.wait()
    server.stop(grace=5).wait()


class Client:
    """Calls over one connection. What fails raises."""

    def __init__(self, address, authority=None):
        options = [("grpc.default_authority", authority)] if authority else []
        self.channel = grpc.insecure_channel(address, options)

    def ask(self, method, metadata=()):
        return self.channel.unary_unary(method)(b"", timeout=60, metadata=metadata)

    def version(self, metadata=()):
        answer = self.ask(INFERENCE + "ModelInfer", metadata)
        if answer[:1] != VERSION:
            raise ValueError(f"no model_version: {answer}")
        return answer[2:].decode()


def call(address, authority, calls, tester=None):
    client = Client(address, authority)
    metadata = [("x-tester", tester)] if tester else []
    print(json.dumps(collections.Counter(client.version(metadata) for _ in range(int(calls)))))


def smoke():
    client = Client(os.environ["MODEL_SERVICE"])
    if client.ask(INFERENCE + "ServerReady") != YES:
        raise ValueError("not ready")
    answers = {client.version() for _ in range(20)}
    if answers != {os.environ["MODEL_VERSION"]}:
        raise ValueError(f"other versions answer: {answers}")


def score():
    print(json.dumps([os.environ["MODEL_URI"], os.environ["MODEL_VERSION"], float(artifact().read_text("utf-8"))]))


if __name__ == "__main__":
    commands = {"download": download, "serve": serve, "call": call, "smoke": smoke, "score": score}
    commands[sys.argv[1] if len(sys.argv) > 1 else "download"](*sys.argv[2:])
