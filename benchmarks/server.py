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
import mmap
import re
import socket
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import duckdb
from rows import COLUMNS, WORKFLOWS, WORKSPACE, workflow_uuid

DATASET, MODEL = "crm", "companies"
DATASET_UUID = "00000000-0000-4000-9000-0000000000d5"
MODEL_UUID = "00000000-0000-4000-9000-0000000000e5"
CLOCK = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""The server's time when it starts: its rows were written long before, those of the delta an hour later."""
WHOSE = {
    "uuid": WORKSPACE,
    "name": "Benchmark",
    "createdAt": "2025-11-02T09:00:00.000Z",
    "updatedAt": "2025-12-02T09:00:00.000Z",
}
DDL = (
    f"CREATE TABLE `bench.datasets_{DATASET}__models_{MODEL}`"
    f" ({', '.join(f'`{column.name}` {column.physical}' for column in COLUMNS)})"
)
LARGEST_PAGE = 100
Body = list[bytes | memoryview]
Answer = Callable[[], tuple[int, Body]]


class Lines:
    """Rows of one list: a file of lines in memory, and where each begins."""

    def __init__(self, folder: Path) -> None:
        with (folder / "lines").open("rb") as lines:
            # An empty file cannot be mapped.
            size = (folder / "lines").stat().st_size
            self._view = memoryview(mmap.mmap(lines.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")
        self._bounds = array("Q", (folder / "offsets").read_bytes())

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def page(self, offset: int, limit: int) -> memoryview:
        """Give rows as the inside of a JSON list."""
        first, last = min(offset, len(self)), min(offset + limit, len(self))
        # Without the comma and the line break after the last row.
        return self._view[self._bounds[first] : max(self._bounds[last] - 2, self._bounds[first])]


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
            self.moments: list[tuple[float, bool]] = []
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
            self.moments.append((now, allowed))
        if allowed and self._latency:
            time.sleep(self._latency)
        return allowed

    def counts(self) -> dict[str, Any]:
        """Say what was asked: by path, the bytes of all answers, and when, in seconds since the first request."""
        with self._lock:
            first = self.moments[0][0] if self.moments else 0.0
            moments = [(round(moment - first, 4), allowed) for moment, allowed in self.moments]
            return {"paths": dict(self.paths), "bytes": self.bytes, "moments": moments}


class Workspace:
    """What the server knows, ready to be sent."""

    def __init__(self, home: Path, options: argparse.Namespace) -> None:
        self.sql = not options.no_sql
        self._folder = home / f"companies-{options.rows}"
        self._lines = Lines(self._folder / "lines") if (self._folder / "lines").exists() else None
        self._runs = {
            workflow_uuid(number): Lines(home / f"runs-{options.runs}" / str(number))
            for number in range(WORKFLOWS if options.runs else 0)
        }
        self._files: dict[str, Path] = {}
        self._made: dict[str, list[str]] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="cargo-bench-")
        self._lock = threading.Lock()
        self._started, self._ahead = time.monotonic(), timedelta(0)
        self._db = duckdb.connect(config={"threads": 1, "memory_limit": "1GB"})
        self._db.execute(f"SET TimeZone = 'UTC'; CREATE SCHEMA {DATASET}")
        base = f"read_parquet('{self._folder}/parquet/*')"
        if (self._folder / "parquet").exists():
            self._look_at(f"SELECT * FROM {base}")

    def _look_at(self, query: str) -> None:
        self._db.execute(f"CREATE OR REPLACE VIEW {DATASET}.{MODEL} AS {query}")
        self._made.clear()

    @property
    def now(self) -> datetime:
        """The server's time."""
        return CLOCK + self._ahead + timedelta(seconds=time.monotonic() - self._started)

    def advance(self) -> None:
        """Let an hour pass in which every tenth row was written anew."""
        self._ahead += timedelta(hours=1)
        base, delta = (f"read_parquet('{self._folder}/{name}/*')" for name in ("parquet", "delta-parquet"))
        self._look_at(
            f"SELECT * FROM {base} WHERE _id NOT IN (SELECT _id FROM {delta}) UNION ALL SELECT * FROM {delta}"
        )

    # Answers ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, body: dict[str, Any], root: str) -> tuple[int, Body]:
        """Answer one request of the API."""
        table = f"{DATASET}.{MODEL}"
        answers: dict[str, Answer] = {
            "GET workspaceManagement/workspaces/current": lambda: _json({"workspace": WHOSE}),
            "GET storage/datasets/list": lambda: _json(
                {"datasets": [{"uuid": DATASET_UUID, "slug": DATASET, "kind": "native"}]}
            ),
            "GET storage/models/list": lambda: _json({"models": [self._model()]}),
            f"GET storage/models/{MODEL_UUID}/ddl": lambda: _json({"ddl": DDL, "language": "bigQuery"}),
            "GET orchestration/workflows/list": lambda: _json(
                {"workflows": [{"uuid": uuid, "nodes": []} for uuid in self._runs]}
            ),
            "POST orchestration/runs/list": lambda: self._some_runs(body),
            "POST segmentation/segments/fetch": lambda: _json(
                {"records": [], "count": self._ask(f"SELECT count(*) AS n FROM {table}{_where(body)}")[0]["n"]}
            ),
            "POST segmentation/segments/download": lambda: self._links(
                f"SELECT * FROM {table}{_where(body)}", "csv", root
            ),
        }
        if self._lines is not None and not self._ahead:
            lines = self._lines
            answers["POST storage/records/list"] = lambda: _page("records", lines, body, ',"isRefreshing":false')
        if self.sql:
            answers["POST storage/query"] = lambda: _json({"rows": self._ask(body["query"]), "isRefreshing": False})
            answers["POST storage/query/download"] = lambda: self._links(body["query"], body.get("format", "csv"), root)
        return answers.get(f"{method} {path}", _unknown)()

    def _some_runs(self, body: dict[str, Any]) -> tuple[int, Body]:
        runs = self._runs[body["workflowUuid"]]
        return _page("runs", runs, body, f',"count":{len(runs)}')

    def _model(self) -> dict[str, Any]:
        return {
            "uuid": MODEL_UUID,
            "datasetUuid": DATASET_UUID,
            "slug": MODEL,
            "name": "Companies",
            "kind": "native",
            "idColumnSlug": "id",
            "titleColumnSlug": "name",
            "columns": [
                {"slug": c.name, "type": c.type, "label": c.name, "kind": "original"}
                for c in COLUMNS
                if not c.name.startswith("_")
            ],
            "additionalColumns": [],
            "lastEmittedAt": _iso(CLOCK + timedelta(minutes=45) if self._ahead else CLOCK - timedelta(hours=4)),
            "createdAt": "2025-11-02T09:51:09.496Z",
            "updatedAt": "2025-12-19T08:58:19.025Z",
        }

    def _ask(self, query: str) -> list[dict[str, Any]]:
        with self._db.cursor() as cursor:
            found = cursor.execute(query)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _links(self, query: str, kind: str, root: str) -> tuple[int, Body]:
        key = f"{kind} {self._standard(query)}"
        with self._lock:
            if key not in self._made:
                self._made[key] = [self._link(path) for path in self._export(key, query, kind)]
        return _json({"urls": [f"{root}/files/{name}" for name in self._made[key]], "isRefreshing": False})

    def _link(self, path: Path) -> str:
        name = f"{len(self._files):06d}"
        self._files[name] = path
        return name

    def _standard(self, query: str) -> str:
        """Recognise the exports whose files are finished, whatever the time in them."""
        if re.fullmatch(rf"SELECT \* FROM {DATASET}\.{MODEL}", query) and not self._ahead:
            return "all"
        since = re.fullmatch(rf"SELECT \* FROM {DATASET}\.{MODEL} WHERE _emitted_at >=? TIMESTAMP '(.*)'", query)
        lately = since and self._ahead and "2026-02" < since[1] <= "2026-03-01 12:30"
        return "lately" if lately else query

    def _export(self, key: str, query: str, kind: str) -> list[Path]:
        finished = {"parquet all": "parquet", "csv all": "csv", "parquet lately": "delta-parquet"}.get(key)
        if finished is not None and (self._folder / finished).exists():
            return sorted((self._folder / finished).iterdir())
        path = Path(self._scratch.name) / f"{len(self._made)}.{kind}"
        times = ", ".join(
            f"strftime({c.name}, '%Y-%m-%dT%H:%M:%S.%gZ') AS {c.name}" for c in COLUMNS if c.type == "date"
        )
        if kind == "csv" and query.startswith("SELECT *"):
            query = query.replace("SELECT *", f"SELECT * REPLACE ({times})", 1)
        how = "FORMAT parquet" if kind == "parquet" else "FORMAT csv, FORCE_QUOTE *"
        with self._db.cursor() as cursor:
            cursor.execute(f"COPY ({query}) TO '{path}' ({how})")
        return [path]

    def file(self, name: str) -> Path | None:
        """Give the file of a link."""
        return self._files.get(name)


def _unknown() -> tuple[int, Body]:
    return 404, [b'{"reason":"clientNotFound","errorMessage":"not served here"}']


def _json(value: Any) -> tuple[int, Body]:
    return 200, [json.dumps(value, default=str).encode()]


def _page(envelope: str, lines: Lines, body: dict[str, Any], rest: str) -> tuple[int, Body]:
    limit = min(int(body.get("limit") or LARGEST_PAGE), LARGEST_PAGE)
    return 200, [f'{{"{envelope}":['.encode(), lines.page(int(body.get("offset") or 0), limit), f"]{rest}}}".encode()]


def _where(body: dict[str, Any]) -> str:
    """Write the filter of a segment; only what a sync sends: nothing, or rows written since."""
    conditions = [each for group in body["filter"]["groups"] for each in group["conditions"]]
    parts = []
    for each in conditions:
        if (each["columnSlug"], each["operator"]) != ("_emitted_at", "greaterThan"):
            raise ValueError("a filter that this server does not know")
        parts.append(f"_emitted_at > TIMESTAMP '{each['value'].replace('T', ' ').replace('Z', '')}'")
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
                body = json.loads(content) if content else {}
                status, answer = self._workspace.answer(method, path.removeprefix("/v1/"), body, root)
            except (duckdb.Error, KeyError, ValueError) as error:
                status, answer = 400, [json.dumps({"reason": "unknown", "errorMessage": str(error)}).encode()]
            self._meter.bytes += self._send(status, answer)
        else:
            self._send(429, [b'{"errorMessage":"Too Many Requests"}'])

    def _control(self, path: str) -> Body:
        if path == "/_bench/reset":
            self._meter.reset()
        elif path == "/_bench/advance":
            self._workspace.advance()
        return _json(self._meter.counts())[1]

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
    workspace, meter = Workspace(options.folder, options), Meter(options.latency, options.rate)
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
