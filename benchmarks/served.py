"""The workspace that the server serves: one model of many rows, and runs, ready to be sent. It takes writes, too."""

import json
import mmap
import re
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
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


class Workspace:
    """What the server knows, ready to be sent."""

    def __init__(self, home: Path, rows: int, runs: int, *, sql: bool) -> None:
        self.sql = sql
        self._folder = home / f"companies-{rows}"
        self._lines = Lines(self._folder / "lines") if (self._folder / "lines").exists() else None
        self._runs = {
            workflow_uuid(number): Lines(home / f"runs-{runs}" / str(number))
            for number in range(WORKFLOWS if runs else 0)
        }
        self._files: dict[str, Path] = {}
        self._made: dict[str, list[str]] = {}
        self.written = dict.fromkeys(("create", "update", "remove"), 0)
        """Rows that were sent, by what was to be done with them. None is kept: what is read stays as it was."""
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
            "GET workspaceManagement/workspaces/current": lambda: as_json({"workspace": WHOSE}),
            "GET storage/datasets/list": lambda: as_json(
                {"datasets": [{"uuid": DATASET_UUID, "slug": DATASET, "kind": "native"}]}
            ),
            "GET storage/models/list": lambda: as_json({"models": [self._model()]}),
            f"GET storage/models/{MODEL_UUID}/ddl": lambda: as_json({"ddl": DDL, "language": "bigQuery"}),
            "GET orchestration/workflows/list": lambda: as_json(
                {"workflows": [{"uuid": uuid, "nodes": []} for uuid in self._runs]}
            ),
            "POST orchestration/runs/list": lambda: self._some_runs(body),
            "POST segmentation/segments/fetch": lambda: as_json(
                {"records": [], "count": self._ask(f"SELECT count(*) AS n FROM {table}{_where(body)}")[0]["n"]}
            ),
            "POST segmentation/segments/download": lambda: self._links(
                f"SELECT * FROM {table}{_where(body)}", "csv", root
            ),
            "GET segmentation/segments/list": lambda: as_json({"segments": []}),
            "GET orchestration/plays/list": lambda: as_json({"plays": []}),
            "POST storage/records/createBulk": lambda: self._create(body),
            "PUT storage/records/updateBulk": lambda: self._update(body),
            "DELETE storage/records/removeBulk": lambda: self._remove(body),
        }
        if self._lines is not None and not self._ahead:
            lines = self._lines
            answers["POST storage/records/list"] = lambda: _page("records", lines, body, ',"isRefreshing":false')
        if self.sql:
            answers["POST storage/query"] = lambda: as_json({"rows": self._ask(body["query"]), "isRefreshing": False})
            answers["POST storage/query/download"] = lambda: self._links(body["query"], body.get("format", "csv"), root)
        return answers.get(f"{method} {path}", _unknown)()

    def _create(self, body: dict[str, Any]) -> tuple[int, Body]:
        first = self._note("create", len(body["records"]))
        # In another order than they came in, which nobody promises to keep.
        rows = [_stored(f"new_{first + n:010d}", row["data"]) for n, row in enumerate(body["records"])][::-1]
        return 200, [b'{"records":[', b",".join(rows), b"]}"]

    def _update(self, body: dict[str, Any]) -> tuple[int, Body]:
        self._note("update", len(body["records"]))
        rows = [_stored(row["id"], row["data"]) for row in body["records"]][::-1]
        return 200, [b'{"records":[', b",".join(rows), b"]}"]

    def _remove(self, body: dict[str, Any]) -> tuple[int, Body]:
        self._note("remove", len(body["ids"]))
        return 204, []

    def forget(self) -> None:
        """Count writes anew."""
        self.written = dict.fromkeys(self.written, 0)

    def _note(self, kind: str, rows: int) -> int:
        with self._lock:
            before = self.written[kind]
            self.written[kind] += rows
            return before

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
        return as_json({"urls": [f"{root}/files/{name}" for name in self._made[key]], "isRefreshing": False})

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
        # Names are quoted as the warehouse that the DDL speaks of quotes them.
        query = query.replace("`", '"')
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


def as_json(value: Any) -> tuple[int, Body]:
    """Answer with JSON."""
    return 200, [json.dumps(value, default=str).encode()]


def _stored(id_: str, cells: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"_id": id_, "id": id_, **cells})


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
