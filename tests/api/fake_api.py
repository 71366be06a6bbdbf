"""A host that answers over a real port what a test tells it to, and remembers what it was asked."""

import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    number: int


@dataclass(frozen=True)
class Out:
    """An answer, or a fault: ``reset`` before any byte, ``cut`` in the middle of the body."""

    status: int = 200
    json: object = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    fault: Literal["", "reset", "cut"] = ""
    wait: float = 0.0

    @property
    def content(self) -> bytes:
        return self.body if self.body is not None else json.dumps(self.json).encode()


Respond = Callable[[Seen], Out]


def script(*outs: Out) -> Respond:
    """Answer with one after the other; the last one is repeated."""
    return lambda seen: outs[min(seen.number, len(outs)) - 1]


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that hang up, as those do that time out or are cancelled."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class FakeApi:
    """Serves until it is closed. ``most_at_once`` is how many requests were being answered at the same time."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.seen: list[Seen] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        parts = urlsplit(handler.path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            seen = Seen(handler.command, parts.path, parts.query, headers, body, len(self.seen) + 1)
            self.seen.append(seen)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            out = self.respond(seen)
            time.sleep(out.wait)
        finally:
            with self._lock:
                self._now -= 1
        self._send(handler, out)

    def _send(self, handler: BaseHTTPRequestHandler, out: Out) -> None:
        if out.fault == "reset":
            # Closing with a linger of zero seconds sends a reset.
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RD)
            return
        content = out.content
        handler.send_response(out.status)
        headers = {"content-type": "application/json", "content-length": str(len(content))} | out.headers
        for name, value in headers.items():
            if value:
                handler.send_header(name, value)
        handler.end_headers()
        if out.fault == "cut":
            handler.close_connection = True
            content = content[: len(content) // 2]
        handler.wfile.write(content)
        handler.wfile.flush()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def _answer(self) -> None:
                fake.answer(self)

            # The names are those that http.server calls.
            do_GET = do_POST = do_PUT = do_DELETE = _answer

            def send_response(self, code: int, message: str | None = None) -> None:
                self.send_response_only(code, message)

            def log_message(self, *args: object) -> None:
                pass

        return Handler


class FakeTime:
    """A clock that stands still but for those who sleep."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def async_sleep(self, seconds: float) -> None:
        self.sleep(seconds)


class Bucket:
    """A token bucket: so many requests per second, so many at once."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float], retry_after: str = "") -> None:
        self.rate, self.burst, self.clock, self.retry_after = rate, burst, clock, retry_after
        self.tokens, self.at, self.refused = burst, clock(), 0
        self._lock = threading.Lock()

    def take(self) -> bool:
        with self._lock:
            now = self.clock()
            self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
            self.at = now
            if self.tokens < 1:
                self.refused += 1
                return False
            self.tokens -= 1
            return True

    def respond(self, _seen: Seen) -> Out:
        if self.take():
            return Out(json={"models": []})
        return Out(429, json={"errorMessage": "slow down"}, headers={"retry-after": self.retry_after})
