"""Pages of a model's rows, typed from the very bytes that came: no row becomes a dict.

Each page is held against a struct that is made from the model's own columns and that takes nothing else. Where it
fits, its rows stay the text that they are, and DuckDB makes columns of many of them at once, beside whatever Python
does. What does not fit (a field that nobody declared, a value of another type) is read value by value by
:mod:`cargo_source.pull.typed`, which keeps it beside the cells. Both ways give the same cells.
"""

import re
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from cargo_source.api import Reply
from cargo_source.catalog.columns import Column
from cargo_source.errors import UnexpectedShape
from cargo_source.pull import lines
from cargo_source.pull.shapes import Shape
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.spool import Spool
from cargo_source.pull.surprises import Surprises
from cargo_source.pull.typed import arrow_table, finished

Row = dict[str, Any]

_UNNAMEABLE = re.compile(r'[\x00-\x1f"\\]')
"""In the name of a field: msgspec takes none of it."""


class Decoder:
    """Decodes the pages of ``storage/records/list`` for one model, and types their rows; many at once by the spool."""

    def __init__(
        self, shape: Shape, run_id: str, pseudonym: Pseudonym, surprises: Surprises, spool: Spool | None = None
    ) -> None:
        self._shape, self._run_id, self._pseudonym, self._surprises = shape, run_id, pseudonym, surprises
        self._spool = spool if lines.are_apart([column.field for column in shape.columns]) else None
        nameable = all(field and not _UNNAMEABLE.search(field) for field in shape.fields)
        self._fitting = _pages_of(_row_of(shape) if nameable else dict)
        self._lines = _pages_of(msgspec.Raw)
        self._identified = msgspec.json.Decoder(
            msgspec.defstruct("Identified", [("f0", str | None, None)], rename={"f0": "_id"})
        )
        self._misfits = 0 if nameable else lines.MISFITS

    def page(self, reply: Reply) -> tuple[list[Any], bool]:
        """Give the rows of a page, as the text that came or as dicts, and whether the workspace was still writing."""
        if self._misfits < lines.MISFITS:
            try:
                page = reply.decode(self._fitting)
            except UnexpectedShape:
                self._misfits += 1
            else:
                if all(map(_ID, page.records)):
                    self._misfits = 0
                    return reply.decode(self._lines).records, bool(page.isRefreshing)
        rows: list[Row] = reply.take("records")
        return [self._named(row) for row in rows], bool(reply.json().get("isRefreshing"))

    def identity(self, row: Any) -> object:
        """Give the identifier of a row of a page."""
        return row.get("_id") if isinstance(row, dict) else _ID(self._identified.decode(row))

    def _named(self, row: Row) -> Row:
        if row.get("_id") is None:
            identity = row.get(self._shape.id_slug)
            row["_id"] = identity if identity is None or isinstance(identity, str) else str(identity)
        return row

    def typed(self, rows: Sequence[Any]) -> pa.Table:
        """Type rows of pages, in their order."""
        tables = []
        for as_dicts, group in groupby(rows, key=lambda row: isinstance(row, dict)):
            some = list(group)
            table = None if as_dicts else self._by_duckdb(some)
            tables.append(table if table is not None else self._one_by_one(some))
        return pa.concat_tables(tables) if tables else self._one_by_one([])

    def _one_by_one(self, rows: list[Any]) -> pa.Table:
        return arrow_table(
            [row if isinstance(row, dict) else lines.opened(row) for row in rows],
            self._shape.columns,
            known=self._shape.fields,
            run_id=self._run_id,
            pseudonym=self._pseudonym,
            surprises=self._surprises,
            shy=self._shape.hides,
        )

    def _by_duckdb(self, rows: list[msgspec.Raw]) -> pa.Table | None:
        """Type rows that fit; None where one of them is for the other way after all."""
        columns = self._shape.columns
        cells = None
        if self._spool is not None and len(rows) >= lines.FEW:
            cells = lines.read(self._spool, self._shape.table, rows, columns, {})
        if cells is None:
            return None
        arrays = []
        for column in columns:
            array = lines.array_of(column, cells.column(column.field), self._pseudonym)
            if array is None:
                return None
            arrays.append(array)
        return finished([*arrays, pa.nulls(len(rows), pa.string())], columns, self._run_id)


_ID = attrgetter("f0")


def _row_of(shape: Shape) -> type:
    """Make the struct that takes the rows of a model, and nothing else; ``f0`` is the identifier."""
    first = sorted(shape.columns, key=lambda column: column.field != "_id")
    fields = {column.field: (_wire(column), _absent(column)) for column in first}
    fields |= {field: (msgspec.Raw, lines.NULL) for field in shape.left_out if field not in fields}
    return msgspec.defstruct(
        "Row",
        [(f"f{index}", *kind) for index, kind in enumerate(fields.values())],
        rename={f"f{index}": field for index, field in enumerate(fields)},
        forbid_unknown_fields=True,
        gc=False,
    )


def _pages_of(row: type) -> msgspec.json.Decoder[Any]:
    page = msgspec.defstruct("Page", [("records", list[row]), ("isRefreshing", bool | None, None)])  # type: ignore[valid-type] # made above
    return msgspec.json.Decoder(page)


def _wire(column: Column) -> Any:
    return msgspec.Raw if column.pii == "null" else lines.WIRE[column.type]


def _absent(column: Column) -> Any:
    return lines.NULL if _wire(column) is msgspec.Raw else None
