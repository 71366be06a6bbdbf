"""The rows of models as JSON, encoded by DuckDB once and sliced for each page.

Wire forms: dates are ISO 8601 UTC with milliseconds and Z, 64-bit integers stay integers, nested values are JSON.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from cargo_source.sandbox.filters import order_by, quoted, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from duckdb import DuckDBPyConnection

    from cargo_source.sandbox.world import World

KEPT_BYTES = 150_000_000
"""Encoded rows that are kept at once; past it the model that was read longest ago is forgotten."""

CHUNK_ROWS = 24 * 2048
"""Rows that leave DuckDB at once, so that no result is held twice: a whole number of its vectors."""

Typed = list[tuple[str, str]]
"""Names and DuckDB types of columns."""

_WHOLE = frozenset({"HUGEINT", "UHUGEINT", "UBIGINT", "UINTEGER"})


def typed(db: DuckDBPyConnection, query: str) -> Typed:
    """Give names and types of a query's columns without running it."""
    described = db.execute(f"DESCRIBE {query}").fetchall()
    return [(str(row[0]), str(row[1])) for row in described]


def as_json(name: str, kind: str) -> str:
    """Give the SQL of one column in its wire form."""
    column = quoted(name)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"strftime({column} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%gZ')"
    if kind.startswith("TIMESTAMP"):
        return f"strftime({column}, '%Y-%m-%dT%H:%M:%S.%g')"
    if kind == "DOUBLE":
        return f"CASE WHEN isfinite({column}) THEN {column} END"  # JSON has no other numbers
    return f"CAST({column} AS BIGINT)" if kind in _WHOLE else column


def json_select(columns: Typed, source: str) -> str:
    """Give a SELECT whose only column is each row of `source` as JSON text."""
    pairs = ", ".join(f"{quoted(name)} := {as_json(name, kind)}" for name, kind in columns)
    return f"SELECT CAST(to_json(struct_pack({pairs})) AS VARCHAR) FROM {source}"


def read_rows(db: DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    """Run a query and give its rows in their wire form."""
    encoded = db.execute(json_select(typed(db, query), f"({query})")).fetchall()
    rows: list[dict[str, Any]] = orjson.loads(b"[" + ",".join(row[0] for row in encoded).encode() + b"]")
    return rows


@dataclass(frozen=True)
class Chunk:
    """Encoded rows that follow each other: one run of bytes with a comma after each row, and where rows end."""

    data: memoryview
    ends: memoryview

    def page(self, start: int, stop: int) -> bytes:
        """Give rows that follow each other, a comma after each."""
        return bytes(self.data[self.ends[start] : self.ends[stop]])


class Encoded:
    """All rows of a model in the order of `_id`, in chunks."""

    def __init__(self, chunks: list[Chunk]) -> None:
        self._chunks = chunks
        self._starts = [0, *accumulate(len(chunk.ends) - 1 for chunk in chunks)]
        self.size = sum(len(chunk.data) for chunk in chunks)

    def __len__(self) -> int:
        return self._starts[-1]

    def page(self, start: int, stop: int) -> bytes:
        """Give rows that follow each other, joined by commas."""
        found = b""
        while start < stop:
            place = bisect_right(self._starts, start) - 1
            first, after = self._starts[place : place + 2]
            found += self._chunks[place].page(start - first, min(stop, after) - first)
            start = after
        return found[:-1]

    def picked(self, places: Iterable[int]) -> bytes:
        """Give rows at the places, joined by commas."""
        return b",".join(self.page(at, at + 1) for at in places)


class RecordPages:
    """Pages of `storage/records/list`, by model and sort, for one revision of the world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._revision = world.revision
        self._encoded: OrderedDict[str, Encoded] = OrderedDict()
        self._places: dict[tuple[str, str, bool], Any] = {}

    def page(self, model_uuid: str, sort: tuple[str, bool], start: int, stop: int) -> tuple[bytes, int]:
        """Give the encoded rows of a page and their number; `sort` is a column and whether it falls."""
        self._forget_what_changed()
        encoded = self._rows(model_uuid)
        total = len(encoded)
        start, stop = min(start, total), min(stop, total)
        if sort == ("_id", False):
            return encoded.page(start, stop), stop - start
        places = self._order(model_uuid, *sort)[start:stop]
        return encoded.picked(places.tolist()), len(places)

    def _forget_what_changed(self) -> None:
        if self._revision != self._world.revision:
            self._revision = self._world.revision
            self._encoded.clear()
            self._places.clear()

    def _rows(self, model_uuid: str) -> Encoded:
        if model_uuid not in self._encoded:
            self._encoded[model_uuid] = encode(self._world, model_uuid)
            while len(self._encoded) > 1 and sum(each.size for each in self._encoded.values()) > KEPT_BYTES:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(model_uuid)
        return self._encoded[model_uuid]

    def _order(self, model_uuid: str, column: str, falling: bool) -> Any:
        key = (model_uuid, column, falling)
        if key not in self._places:
            sort = [{"columnSlug": column, "kind": "desc" if falling else "asc"}]
            numbered = (
                f"SELECT *, row_number() OVER (ORDER BY _id) - 1 AS place FROM {table_of(model_uuid, self._world)}"
            )
            ordered = f"SELECT place FROM ({numbered}) AS t {order_by(sort, model_uuid, self._world)}"
            self._places[key] = self._world.db.execute(ordered).fetchnumpy()["place"]
        return self._places[key]


def encode(world: World, model_uuid: str) -> Encoded:
    """Encode all rows of a model."""
    table = table_of(model_uuid, world)
    query = json_select(typed(world.db, f"FROM {table}"), f"(FROM {table} ORDER BY _id)")
    found = world.db.execute(f"SELECT json || ',' FROM ({query}) AS r(json)")
    return Encoded([_chunk(batch.column(0)) for batch in found.to_arrow_reader(CHUNK_ROWS)])


def _chunk(texts: pa.Array) -> Chunk:
    _, ends, data = texts.cast(pa.large_string()).buffers()
    return Chunk(memoryview(data or b""), memoryview(ends).cast("q"))
