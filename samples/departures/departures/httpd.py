"""A small HTTP/1.1 server on the standard library: bounded, keep-alive, and able to drain."""

import http.server
import json
import signal
import socket
import sys
import threading
import time
import traceback

MAX_CONNECTIONS = 256
IDLE_S = 120.0


class Refused(Exception):
    """Ends a request with a status and a message for the client."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Server(http.server.ThreadingHTTPServer):
    """Serves `routes`: {(method, path or prefix ending in "/"): function(request)}.

    A route function gets the Handler and answers through its `reply`. At most MAX_CONNECTIONS are
    open at once; further ones are closed at once, so that neither threads nor memory grow.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address, routes):
        self.routes = routes
        self.draining = False
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._active = 0
        self._idle = threading.Condition()
        super().__init__(address, Handler)

    @property
    def port(self):
        return self.server_address[1]

    def start(self):
        """Serves in a thread of its own."""
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self, patience_s=5.0):
        """Accepts nothing more and waits for the requests that are being answered."""
        self.shutdown()
        self.server_close()
        deadline = time.monotonic() + patience_s
        with self._idle:
            while self._active and time.monotonic() < deadline:
                self._idle.wait(0.1)

    def enter(self):
        with self._idle:
            self._active += 1

    def leave(self):
        with self._idle:
            self._active -= 1
            self._idle.notify_all()

    def process_request(self, request, client_address):
        if not self._slots.acquire(timeout=0.5):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError, socket.timeout)):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "departures"
    sys_version = ""
    timeout = IDLE_S
    wbufsize = -1  # one write per answer
    disable_nagle_algorithm = True

    def body(self, limit):
        """Returns the request's body; refuses one that is too long or of unknown length."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            self.close_connection = True
            raise Refused(411, "a Content-Length is required")
        if int(length) > limit:
            self.close_connection = True
            raise Refused(413, f"the body has more than {limit} bytes")
        content = self.rfile.read(int(length))
        if len(content) != int(length):
            self.close_connection = True
            raise Refused(400, "the body ended early")
        self._body_read = True
        return content

    def reply(self, status, content, content_type="application/json", headers=()):
        """Answers with bytes, or with a value as JSON."""
        if not isinstance(content, bytes):
            content = json.dumps(content, separators=(",", ":")).encode()
        if "Transfer-Encoding" in self.headers or (
            not self._body_read and self.headers.get("Content-Length", "0") != "0"
        ):
            self.close_connection = True  # what was not read must not be taken for a request
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers:
            self.send_header(name, value)
        if self.server.draining or self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _dispatch(self):
        self._body_read = False
        path = self.path.partition("?")[0]
        routes = self.server.routes
        route = routes.get((self.command, path))
        if route is None:
            route = routes.get((self.command, path[: path.rfind("/") + 1]))
        self.server.enter()
        try:
            if route is None:
                raise Refused(404, f"no {self.command} {path} here")
            route(self)
        except Refused as refused:
            self.reply(refused.status, {"error": str(refused)})
        except (ConnectionError, TimeoutError):
            raise
        except Exception:  # a mistake of ours: the client gets an answer, the log the trace
            traceback.print_exc()
            self.close_connection = True
            self.reply(500, {"error": "internal error"})
        finally:
            try:
                self.wfile.flush()
            finally:
                self.server.leave()

    do_GET = do_HEAD = do_POST = do_PUT = _dispatch

    def log_message(self, *_):
        """A line per request would be the costliest part of it."""


def stop_event():
    """Returns an Event that SIGTERM and SIGINT set. Call it from the main thread, early.

    As a container's first process Python has no default handler: without this, SIGTERM is ignored.
    The event is set by a thread that waits for Python's wake-up byte: a handler that set it itself
    would run on the main thread in the middle of event.wait() and could wait for its own lock.
    """
    event = threading.Event()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer.fileno())

    def wait(wakeups=(reader, writer)):  # keeps both sockets open
        wakeups[0].recv(1)
        event.set()

    threading.Thread(target=wait, daemon=True).start()
    return event
