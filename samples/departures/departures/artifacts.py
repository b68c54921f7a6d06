"""Reads and stores content by URI: http(s)://, file:// or a plain path. Checks digests."""

import hashlib
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request

# A model is a few dozen KB, a data file a few MB.
MAX_MODEL_BYTES = 4 << 20
MAX_DATA_BYTES = 64 << 20

_TIMEOUT_S = 15.0
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
# Inside a cluster a proxy from the environment would be wrong.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ArtifactError(Exception):
    """Content could not be read or stored, or isn't what its digest says."""


def hex_digest(content):
    """Returns the sha256 of bytes as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def read(uri, limit, *, patience_s=0.0):
    """Returns the bytes at a URI, at most `limit` of them.

    A server that can't be reached or answers 5xx is asked again for `patience_s` seconds: in a
    cluster everything starts at once. Raises ArtifactError.
    """
    scheme = urllib.parse.urlsplit(uri).scheme
    if scheme in ("http", "https"):
        return _patiently(lambda: _get(uri, limit), uri, patience_s)
    if scheme not in ("", "file"):
        raise ArtifactError(f"{uri}: {scheme}:// is not supported; use http(s)://, file:// or a path")
    path = _path(uri)
    try:
        with open(path, "rb") as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise ArtifactError(f"{uri}: {error.strerror}") from None
    return _within(content, limit, uri)


def read_verified(uri, digest, limit, *, patience_s=0.0):
    """Like `read`, and refuses content whose sha256 isn't `digest`; an empty digest trusts all."""
    content = read(uri, limit, patience_s=patience_s)
    if not digest:
        return content
    match = _DIGEST.fullmatch(digest)
    if not match:
        raise ArtifactError(f"digest {digest!r}: must be sha256: and 64 lower-case hex digits")
    found = hex_digest(content)
    if found != match[1]:
        raise ArtifactError(f"{uri}: digest mismatch: expected sha256:{match[1]}, got sha256:{found}")
    return content


def store(base, content, *, patience_s=0.0):
    """Puts content under its sha256 below `base`: a URL (of a host alone: its /models) or a folder.

    Returns the URI to read it from. Storing the same content again is no error.
    """
    name = hex_digest(content)
    parts = urllib.parse.urlsplit(base)
    if parts.scheme in ("http", "https"):
        uri = f"{base.rstrip('/')}{'' if parts.path.strip('/') else '/models'}/{name}"
        request = urllib.request.Request(uri, data=content, method="PUT")
        request.add_header("Content-Type", "application/octet-stream")
        _patiently(lambda: _send(request), uri, patience_s)
        return uri
    try:
        folder = _path(base)
        os.makedirs(folder, exist_ok=True)
        write_atomically(os.path.join(folder, name), content)
    except OSError as error:
        raise ArtifactError(f"{base}: {error.strerror}") from None
    return "file://" + os.path.join(os.path.abspath(folder), name)


def write_atomically(path, content):
    """Writes a file so that a reader sees all of it or nothing."""
    part = f"{path}.{os.getpid()}.{time.monotonic_ns()}.part"
    try:
        with open(part, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except OSError:
        if os.path.exists(part):
            os.unlink(part)
        raise


def send(url, method="GET", body=None, timeout_s=_TIMEOUT_S):
    """One request with a JSON body, if any; returns the answer's bytes or raises ArtifactError."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    return _patiently(lambda: _get(request, MAX_DATA_BYTES, timeout_s), url, 0.0)


def get(url, timeout_s=_TIMEOUT_S, limit=MAX_MODEL_BYTES):
    """One GET without patience; raises ArtifactError."""
    return _patiently(lambda: _get(url, limit, timeout_s), url, 0.0)


def _patiently(attempt, uri, patience_s):
    deadline = time.monotonic() + patience_s
    pause = 0.2
    while True:
        try:
            return attempt()
        except urllib.error.HTTPError as error:
            why = f"{error.code} {error.reason}: {error.read(500).decode(errors='replace').strip()}"
            final = error.code < 500
        except (OSError, urllib.error.URLError, ValueError) as error:
            why, final = str(getattr(error, "reason", error)), False
        except Exception as error:  # http.client has a family of its own for broken answers
            why, final = repr(error), False
        if final or time.monotonic() + pause > deadline:
            raise ArtifactError(f"{uri}: {why}")
        time.sleep(pause)
        pause = min(2.0, pause * 2)


def _get(uri, limit, timeout_s=_TIMEOUT_S):
    with _opener.open(uri, timeout=timeout_s) as response:
        content = response.read(limit + 1)
    return _within(content, limit, uri)


def _send(request):
    with _opener.open(request, timeout=_TIMEOUT_S) as response:
        response.read(1 << 16)


def _within(content, limit, uri):
    if len(content) > limit:
        raise ArtifactError(f"{uri}: more than {limit} bytes")
    return content


def _path(uri):
    parts = urllib.parse.urlsplit(uri)
    return urllib.parse.unquote(parts.path) if parts.scheme == "file" else uri
