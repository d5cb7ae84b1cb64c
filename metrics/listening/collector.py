"""A small web server for one study: the public files, and a door for answers. Loopback by default, HTTPS is a proxy's
work."""

from __future__ import annotations

import json
import re
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema

from metrics.listening.store import Refused, Store
from speechbase.files import UserError, read_json

LARGEST_BODY = 64 * 1024
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
TYPES |= {".json": "application/json", ".flac": "audio/flac"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self' {endpoint}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
LENGTH = re.compile("[0-9]{1,18}")
# Our page never sends these: it takes them out of a remark before it sends it.
HARMFUL = re.compile(r"^\s*[=+@\t\r-]|[<>]")

_ID = {"type": "string", "pattern": r"^[A-Za-z0-9_-]{1,64}$"}
_COMMON = {"participant": _ID, "session": _ID, "study": _ID, "list": _ID, "version": _ID}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 1_000_000}
_NUMBER = {"type": "number", "minimum": 0, "maximum": 1e9}
SCHEMAS = {
    "start": {"properties": _COMMON, "required": ["participant", "session", "study", "version"]},
    "complete": {"properties": _COMMON, "required": ["session", "version"]},
    "answer": {
        "properties": _COMMON
        | {
            "kind": {"enum": ["consent", "answer", "remark"]},
            "trial": {"type": "integer", "minimum": -1, "maximum": 1000},
            "sample": {"type": "string", "pattern": r"^audio/[a-z0-9]+\.flac$"},
            "ratings": {
                "type": "object",
                "maxProperties": 10,
                "propertyNames": {"pattern": "^[a-z_]{1,40}$"},
                "additionalProperties": {"type": "integer", "minimum": 1, "maximum": 5},
            },
            "unintelligible": {"type": "boolean"},
            "plays": {"type": "object", "maxProperties": 2, "additionalProperties": _COUNT},
            "milliseconds": _NUMBER,
            "hidden_milliseconds": _NUMBER,
            "time": {"type": "string", "pattern": r"^[0-9TZ:.-]{1,30}$"},
            "headphones": {"enum": ["headphones", "earphones", "loudspeakers"]},
            "comment": {"type": "string", "maxLength": 2000},
        },
        "required": ["session", "version", "kind"],
        "if": {"properties": {"kind": {"const": "answer"}}},
        "then": {"required": ["trial", "sample", "ratings", "unintelligible"]},
    },
}


def make_server(
    out: Path, host: str = "127.0.0.1", port: int = 8765, origins: tuple[str, ...] = ()
) -> ThreadingHTTPServer:
    """A server of the prepared study in `out`; `origins` are the sites that may send answers besides its own.

    Raises:
        UserError: not prepared, or the port is taken.
    """
    public = out / "public"
    if not (public / "index.html").is_file():
        raise UserError(f"{public} holds no study; run `python -m metrics.listening prepare` first.")
    # Only what lies here now can be asked for, by exactly this name: no path is ever resolved.
    files = {"/" + path.relative_to(public).as_posix(): path for path in public.rglob("*") if path.is_file()}
    files["/"] = files["/index.html"]
    endpoint = urlsplit(read_json(public / "study.json")["endpoint"].get("url") or "")
    policy = POLICY.format(endpoint=f"{endpoint.scheme}://{endpoint.netloc}" if endpoint.netloc else "")
    facts = {"store": Store(out), "files": files, "origins": frozenset(origins), "policy": policy}
    handler = type("StudyHandler", (Handler,), facts)
    try:
        server = Server((host, port), handler)
    except OSError as error:
        raise UserError(
            f"Port {port} on {host} cannot be used ({error.strerror}); choose another with --port."
        ) from None
    return server


class Server(ThreadingHTTPServer):
    """A thread a connection; nothing about clients is printed."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is no news; nothing about clients is printed."""


class Handler(BaseHTTPRequestHandler):
    """Serves the files of a study and takes its answers."""

    protocol_version = "HTTP/1.1"
    server_version = "listening"
    sys_version = ""
    timeout = 20  # seconds; a client that stalls gives its thread back

    store: Store
    files: dict[str, Path]
    origins: frozenset[str]
    policy: str
    _unread = 0

    def log_message(self, *_) -> None:
        """No access log: addresses and browsers of participants are nobody's business."""

    def do_GET(self) -> None:
        """A file of the public tree, or the part of it that a range asks for."""
        path = self.files.get(urlsplit(self.path).path)
        if path is None:
            return self._refuse(404, "no such file")
        body = path.read_bytes()
        cached = "public, max-age=86400" if path.suffix == ".flac" else "no-store"
        extra = {"Accept-Ranges": "bytes", "Cache-Control": cached}
        span = _span(self.headers.get("Range", ""), len(body))
        if span:
            extra["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{len(body)}"
            body = body[slice(*span)]
        self._send(206 if span else 200, body, TYPES.get(path.suffix, "application/octet-stream"), extra)

    do_HEAD = do_GET

    def do_OPTIONS(self) -> None:
        """A browser's question whether another site may send answers."""
        if not self._origin_allowed():
            return self._refuse(403, "foreign origin")
        self._send(
            204, b"", "text/plain", {"Access-Control-Allow-Headers": "content-type", "Access-Control-Max-Age": "600"}
        )

    def do_POST(self) -> None:
        """One answer: checked, stored, acknowledged; or refused with a reason."""
        route = self.path.removeprefix("/api/")
        length = self.headers.get("Content-Length", "")
        self._unread = int(length) if LENGTH.fullmatch(length) else 0
        try:
            if not self._origin_allowed():
                raise Refused(403, "foreign origin")
            if route not in SCHEMAS or not self.path.startswith("/api/"):
                raise Refused(404, "no such address")
            body = self._body()
            _check(route, body)
            reply = getattr(self.store, route)(body)
        except Refused as refusal:
            return self._refuse(refusal.status, refusal.reason)
        self._send(200, json.dumps(reply).encode(), "application/json")

    def _body(self) -> dict:
        length = self.headers.get("Content-Length", "")
        if not LENGTH.fullmatch(length):
            raise Refused(411, "no length given")
        if int(length) > LARGEST_BODY:
            raise Refused(413, f"a body of {int(length)} bytes")
        try:
            self._unread = 0
            body = json.loads(self.rfile.read(int(length)), parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise Refused(400, "not JSON") from None
        if not isinstance(body, dict) or not writable(body):
            raise Refused(400, "not a JSON object of whole characters")
        return body

    def _origin_allowed(self) -> bool:
        origin = self.headers.get("Origin")
        return origin is None or origin in self.origins or urlsplit(origin).netloc == self.headers.get("Host")

    def _refuse(self, status: int, reason: str) -> None:
        self.store.refused(f"{self.command} {self.path}", status, reason)
        self.close_connection = True
        self._send(status, json.dumps({"error": reason}).encode(), "application/json", {"Connection": "close"})
        self._drain()

    def _drain(self) -> None:
        """Take in some of an unwanted body, so that the client reads the answer before the connection ends."""
        deadline = time.monotonic() + 2
        left = min(self._unread, 32 * 2**20)
        while left > 0 and time.monotonic() < deadline:
            chunk = self.rfile.read(min(left, 65536))
            if not chunk:
                return
            left -= len(chunk)

    def _send(self, status: int, body: bytes, kind: str, extra: dict | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", self.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        origin = self.headers.get("Origin")
        if origin in self.origins:
            self.send_header("Access-Control-Allow-Origin", origin)
            self.send_header("Vary", "Origin")
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@cache
def _validator(route: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"type": "object", "additionalProperties": False} | SCHEMAS[route])


def _check(route: str, body: dict) -> None:
    error = next(_validator(route).iter_errors(body), None)
    if error is not None:
        where = ".".join(str(part) for part in error.path) or "body"
        raise Refused(422, f"{where}: refused by {error.validator}")
    if HARMFUL.search(body.get("comment", "")):
        raise Refused(422, "comment: formula or markup")


def _span(header: str, size: int) -> tuple[int, int] | None:
    """The first range of a Range header as (start, end), which Safari asks for; None where all of the file is meant."""
    match = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.split(",")[0].strip())
    if not match or not any(match.groups()):
        return None
    first, last = match.groups()
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    return (start, end) if start < end else None


def writable(row: dict) -> bool:
    """Whether all texts of a row can be stored: JSON may hold halves of characters, which no file can."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_constant(name: str):
    raise ValueError(f"{name} is not JSON")
