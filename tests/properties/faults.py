"""Incomplete answers, drawn over everything that a sync asks: made by a proxy that the connector knows nothing of.

A clean sync through the proxy tells what is asked. Then one of those requests is drawn, and what is wrong with its
answer. Nothing here looks at how the connector reads or what it checks.
"""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tests.proxy import Again, Asked

PAGING = frozenset({"limit", "offset", "fetchingLimit", "fetchingOffset"})
FILTERS = ("After", "Before", "tatuses", "Uuid", "Uuids", "kinds")
"""How parameters end that narrow a list."""
QUERIES = frozenset({"storage/query", "orchestration/query"})


@dataclass(frozen=True)
class Seen:
    """A request with its right answer. `turn` counts those before it on the same path, whatever their parameters."""

    asked: Asked
    status: int
    content: bytes
    turn: int

    @property
    def path(self) -> str:
        """The path without uuids, as it is told."""
        parts = ("{uuid}" if part.count("-") == 4 else part for part in self.asked[1].split("/"))
        return "/".join("{number}" if part.isdigit() else part for part in parts)

    @property
    def told(self) -> str:
        """The request in words."""
        return " ".join([self.asked[0], *_timeless(self.asked)[1:]])

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the answer; nothing where it is none."""
        found = json.loads(self.content) if self.content[:1] == b"{" else {}
        return found if self.status == 200 else {}

    @property
    def envelope(self) -> str | None:
        """The name of the list in the answer that holds rows, or links."""
        return next((name for name, rows in self.body.items() if isinstance(rows, list) and rows), None)

    @property
    def rows(self) -> list[Any]:
        """The rows of a list or a query; none where the answer is something else."""
        return self.body[self.envelope] if self.envelope not in {None, "urls"} else []

    @property
    def offset(self) -> int:
        """Where its page begins."""
        return int(self.asked[2].get("offset", self.asked[2].get("fetchingOffset", 0)))

    @property
    def is_page(self) -> bool:
        """Whether it is a page of a list."""
        return bool(self.rows) and bool(PAGING & self.asked[2].keys())

    @property
    def filters(self) -> list[str]:
        """The parameters that narrow the list, by name."""
        return [name for name in self.asked[2] if name.endswith(FILTERS) and name != "modelUuid"]

    def same(self, asked: Asked) -> bool:
        """Say whether a request asks for the same page, whatever the moment."""
        return _timeless(asked) == _timeless(self.asked)

    def with_rows(self, rows: list[Any], **more: Any) -> bytes:
        """Give the answer with other rows."""
        return json.dumps({**self.body, str(self.envelope): rows, **more}).encode()


def _timeless(asked: Asked) -> tuple[str, str, str]:
    method, path, params = asked
    path = "exports" if path.startswith("exports/") else path
    told = {name: value for name, value in params.items() if not name.endswith(("After", "Before"))}
    # A query names its window.
    told.pop("query", None)
    return method, path, json.dumps(told, sort_keys=True) if path != "exports" else ""


Answer = bytes | tuple[int, bytes]
"""The body of a 200, or a status with its body."""


@dataclass(frozen=True)
class Fault:
    """A kind of incomplete answer: to which requests it can happen, and what they get instead of the right one."""

    name: str
    fits: Callable[[Seen], bool]
    spoil: Callable[[Seen, Again], Answer]
    exits: frozenset[int] = frozenset({3})
    """With what a sync may end that is not made good: a refusal in plain words asks for other settings (2), half a
    file for another time (1)."""

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _previous(seen: Seen, again: Again) -> bytes:
    offset, limit = ("offset", "limit") if "offset" in seen.asked[2] else ("fetchingOffset", "fetchingLimit")
    return again({offset: max(0, seen.offset - int(seen.asked[2][limit]))}).content


def _unfiltered(seen: Seen, again: Again) -> bytes:
    for name in seen.filters:
        found = again({name: None})
        # Some filters have to be there; a server that swallows one of them would answer.
        if found.status_code == 200:
            return found.content
    return seen.content


def _fewer_rows_of_a_file(seen: Seen, _again: Again) -> bytes:
    out = io.BytesIO()
    table = pq.read_table(io.BytesIO(seen.content))
    pq.write_table(table.slice(0, table.num_rows // 2), out)
    return out.getvalue()


def _rows_twice(seen: Seen, _again: Again) -> bytes:
    out = io.BytesIO()
    table = pq.read_table(io.BytesIO(seen.content))
    half = table.slice(0, -(-table.num_rows // 2))
    pq.write_table(pa.concat_tables([half, half]).slice(0, table.num_rows), out)
    return out.getvalue()


def _without_a_column(seen: Seen, _again: Again) -> bytes:
    out = io.BytesIO()
    table = pq.read_table(io.BytesIO(seen.content))
    pq.write_table(table.select(table.column_names[:-1]), out)
    return out.getvalue()


def _as_csv(seen: Seen, _again: Again) -> bytes:
    table = pq.read_table(io.BytesIO(seen.content)).select([0])
    out = io.BytesIO()
    pa.csv.write_csv(table, out)
    return out.getvalue()


def _is_file(seen: Seen) -> bool:
    return seen.content[:4] == b"PAR1"


def _size(seen: Seen) -> tuple[int, int]:
    table = pq.read_metadata(io.BytesIO(seen.content))
    return table.num_rows, table.num_columns


FAULTS = [
    Fault("empty list", lambda seen: bool(seen.rows) and not seen.is_page, lambda seen, _: seen.with_rows([])),
    Fault("empty page with its count", lambda seen: seen.is_page, lambda seen, _: seen.with_rows([])),
    Fault("dropped later page", lambda seen: seen.is_page and seen.offset > 0, lambda seen, _: seen.with_rows([])),
    Fault(
        "empty page, count 0",
        lambda seen: seen.is_page and "count" in seen.body,
        lambda seen, _: seen.with_rows([], count=0),
    ),
    Fault(
        "count of its page",
        lambda seen: seen.is_page and seen.body.get("count", 0) > len(seen.rows),
        lambda seen, _: seen.with_rows(seen.rows, count=len(seen.rows)),
    ),
    Fault("short page", lambda seen: seen.is_page, lambda seen, _: seen.with_rows(seen.rows[: len(seen.rows) // 2])),
    Fault(
        "page without its first row",
        lambda seen: seen.is_page and len(seen.rows) > 1,
        lambda seen, _: seen.with_rows(seen.rows[1:]),
    ),
    Fault("repeated page", lambda seen: seen.is_page and seen.offset > 0, _previous),
    Fault(
        "short query",
        lambda seen: seen.asked[1] in QUERIES and len(seen.rows) > 1,
        lambda seen, _: seen.with_rows(seen.rows[:-1]),
    ),
    Fault(
        "query with a row twice, for another one",
        lambda seen: seen.asked[1] in QUERIES and len(seen.rows) > 1 and seen.rows[0] != seen.rows[-1],
        lambda seen, _: seen.with_rows([*seen.rows[:-1], seen.rows[0]]),
    ),
    Fault(
        "empty query",
        lambda seen: seen.asked[1] in QUERIES and bool(seen.rows),
        lambda seen, _: seen.with_rows([]),
    ),
    Fault("swallowed filter", lambda seen: bool(seen.rows) and bool(seen.filters), _unfiltered),
    Fault(
        "export without a file",
        lambda seen: seen.envelope == "urls",
        lambda seen, _: seen.with_rows(seen.body["urls"][:-1]),
    ),
    Fault("export of fewer rows", _is_file, _fewer_rows_of_a_file),
    Fault("export of half of its rows, twice", lambda seen: _is_file(seen) and _size(seen)[0] > 1, _rows_twice),
    Fault("export without a column", lambda seen: _is_file(seen) and _size(seen)[1] > 1, _without_a_column),
    Fault(
        "export that is cut",
        _is_file,
        lambda seen, _: seen.content[: len(seen.content) * 2 // 3],
        exits=frozenset({1, 3}),
    ),
    Fault("export as csv, cut", _is_file, lambda seen, again: _as_csv(seen, again)[:-5]),
    Fault("export that is empty", _is_file, lambda _seen, _again: b""),
    Fault(
        "web page",
        lambda _seen: True,
        lambda _seen, _again: b"<html><title>Just a moment...</title></html>",
        exits=frozenset({2, 3}),
    ),
    Fault(
        "403 midway",
        lambda seen: bool(seen.rows) and (seen.turn > 0 or seen.offset > 0),
        lambda _seen, _again: (403, b'{"errorMessage": "forbidden"}'),
        exits=frozenset({2, 3}),
    ),
]


@dataclass
class Spoiled:
    """A proxy's way with answers: the first that fits is spoiled, or each one (`always`)."""

    fault: Fault
    seen: Seen
    always: bool
    hits: int = 0

    def instead(self, asked: Asked, found: httpx.Response, again: Again) -> httpx.Response:
        """Give what the sandbox answered, or what the fault makes of it."""
        now = Seen(asked, found.status_code, found.content, self.seen.turn)
        if (self.hits and not self.always) or not self.seen.same(asked) or not self.fault.fits(now):
            return found
        told = self.fault.spoil(now, again)
        if told == now.content:
            return found
        self.hits += 1
        status, body = told if isinstance(told, tuple) else (200, told)
        kind = "text/html" if body[:5] == b"<html" else found.headers.get("Content-Type", "")
        return httpx.Response(
            status, content=body, headers={"Date": found.headers.get("Date", ""), "Content-Type": kind}
        )


@dataclass
class Recorder:
    """A proxy's way with answers: they pass as they are, and are noted."""

    def __post_init__(self) -> None:
        self.seen: list[Seen] = []

    def instead(self, asked: Asked, found: httpx.Response, _again: Again) -> httpx.Response:
        """Give what the sandbox answered."""
        turn = sum(each.asked[1] == asked[1] for each in self.seen)
        self.seen.append(Seen(asked, found.status_code, found.content, turn))
        return found
