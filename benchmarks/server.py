"""A local server that answers from finished bytes, so that it is not what a benchmark measures.

    python benchmarks/server.py FOLDER [--rows N] [--runs N] [--latency S] [--rate N] [--no-sql]

It serves what a sync of the rows of one model needs (and of runs), by every lane: pages of any offset and length, SQL
and parquet files behind links, csv files. A page is one slice of a file that lies in memory, sent without a copy. The
first line that it prints is its address. ``--rate`` is a hidden limit: a token bucket of so many requests per second
and as many at once, that answers 429 without saying when to come back.

    GET  /_bench/counts     what was asked since the last reset
    POST /_bench/reset      forget the counts
    POST /_bench/advance    an hour passes, and every tenth row is written anew (from the folder delta-parquet)
"""

import argparse
import contextlib
import json
import socket
import sys
import threading
import time
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
from served import Body, Workspace, as_json


class Meter:
    """Counts requests, lets each take its time, and refuses those that a hidden limit does not allow."""

    def __init__(self, latency: float, rate: float | None) -> None:
        self._latency, self._rate = latency, rate
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Begin anew, with a full bucket."""
        with self._lock:
            self._tokens, self._filled_at = self._rate or 0.0, time.monotonic()
            self.paths: dict[str, int] = {}
            self.moments: list[tuple[float, bool, str]] = []
            self.bytes = 0

    def admits(self, path: str) -> bool:
        """Count one request; False where it is refused."""
        with self._lock:
            now = time.monotonic()
            self.paths[path] = self.paths.get(path, 0) + 1
            allowed = True
            if self._rate is not None:
                self._tokens = min(self._rate, self._tokens + (now - self._filled_at) * self._rate)
                self._filled_at = now
                allowed = self._tokens >= 1
                self._tokens -= allowed
            self.moments.append((now, allowed, path))
        if allowed and self._latency:
            time.sleep(self._latency)
        return allowed

    def counts(self) -> dict[str, Any]:
        """Say what was asked: by path, the bytes of all answers, and when, in seconds since the first request."""
        with self._lock:
            first = self.moments[0][0] if self.moments else 0.0
            moments = [(round(moment - first, 4), allowed, path) for moment, allowed, path in self.moments]
            return {"paths": dict(self.paths), "bytes": self.bytes, "moments": moments}


class Conversation:
    """One connection: requests in, answers out, until the other side hangs up."""

    def __init__(self, sock: socket.socket, workspace: Workspace, meter: Meter) -> None:
        self._sock, self._workspace, self._meter = sock, workspace, meter
        self._received = b""

    def run(self) -> None:
        """Answer all requests."""
        with contextlib.suppress(ConnectionError), self._sock:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (head := self._head()) is not None:
                method, target, _ = head.split(b" ", 2)
                length = _length(head)
                while len(self._received) < length:
                    self._receive()
                content, self._received = self._received[:length], self._received[length:]
                root = f"http://{_header(head, 'host')}"
                self._answer(method.decode(), target.decode().partition("?")[0], content, root)

    def _head(self) -> bytes | None:
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            try:
                self._receive()
            except ConnectionError:
                return None
        head, self._received = self._received[:end], self._received[end + 4 :]
        return head

    def _receive(self) -> None:
        piece = self._sock.recv(65536)
        if not piece:
            raise ConnectionResetError
        self._received += piece

    def _answer(self, method: str, path: str, content: bytes, root: str) -> None:
        if path.startswith("/files/"):
            self._send_file(path)
        elif path.startswith("/_bench/"):
            self._send(200, self._control(path))
        elif self._meter.admits(path):
            try:
                body = msgspec.json.decode(content) if content else {}
                status, answer = self._workspace.answer(method, path.removeprefix("/v1/"), body, root)
            except (duckdb.Error, KeyError, ValueError) as error:
                status, answer = 400, [json.dumps({"reason": "unknown", "errorMessage": str(error)}).encode()]
            self._meter.bytes += self._send(status, answer)
        else:
            self._send(429, [b'{"errorMessage":"Too Many Requests"}'])

    def _control(self, path: str) -> Body:
        if path == "/_bench/reset":
            self._meter.reset()
            self._workspace.forget()
        elif path == "/_bench/advance":
            self._workspace.advance()
        return as_json({**self._meter.counts(), "written": self._workspace.written})[1]

    def _head_of(self, status: int, length: int, kind: str) -> bytes:
        date = format_datetime(self._workspace.now.replace(microsecond=0), usegmt=True)
        return (
            f"HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        ).encode()

    def _send(self, status: int, body: Body) -> int:
        length = sum(len(part) for part in body)
        parts: Body = [self._head_of(status, length, "application/json"), *body]
        left = sum(len(part) for part in parts)
        while left:
            sent = self._sock.sendmsg(parts)
            left -= sent
            while parts and sent >= len(parts[0]):
                sent -= len(parts.pop(0))
            if parts and sent:
                parts[0] = memoryview(parts[0])[sent:]
        return length

    def _send_file(self, path: str) -> None:
        file = self._workspace.file(path.removeprefix("/files/"))
        if file is None:
            self._send(404, [b"gone"])
            return
        self._meter.bytes += file.stat().st_size
        self._sock.sendall(self._head_of(200, file.stat().st_size, "application/octet-stream"))
        with file.open("rb") as opened:
            self._sock.sendfile(opened)


def _length(head: bytes) -> int:
    return int(_header(head, "content-length") or 0)


def _header(head: bytes, name: str) -> str:
    place = head.lower().find(f"\r\n{name}:".encode())
    if place < 0:
        return ""
    start = place + len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip().decode()


def main() -> None:
    """Serve until the process that started this one closes its standard input, or it is terminated."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--no-sql", action="store_true")
    options = parser.parse_args()
    workspace, meter = (
        Workspace(options.folder, options.rows, options.runs, sql=not options.no_sql),
        Meter(options.latency, options.rate),
    )
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        threading.Thread(target=_accept, args=(listening, workspace, meter), daemon=True).start()
        sys.stdin.read()


def _accept(listening: socket.socket, workspace: Workspace, meter: Meter) -> None:
    while True:
        try:
            sock, _ = listening.accept()
        except OSError:
            # The server is closing.
            return
        threading.Thread(target=Conversation(sock, workspace, meter).run, daemon=True).start()


if __name__ == "__main__":
    main()
