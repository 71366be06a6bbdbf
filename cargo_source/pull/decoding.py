"""Pages of a model's rows, typed from the very bytes that came: no row becomes a dict.

Each page is held against a struct that is made from the model's own columns and that takes nothing else. Where it
fits, its rows stay the text that they are, and DuckDB makes columns of many of them at once, beside whatever Python
does. What does not fit (a field that nobody declared, a value of another type) is read value by value by
:mod:`cargo_source.pull.typed`, which keeps it beside the cells. Both ways give the same cells.
"""

import logging
import re
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Annotated, Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from cargo_source.api import Reply
from cargo_source.catalog.columns import Column, Type
from cargo_source.errors import UnexpectedShape
from cargo_source.pull import sql
from cargo_source.pull.shapes import Shape
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.spool import Spool
from cargo_source.pull.surprises import Surprises
from cargo_source.pull.typed import ARROW, arrow_table, finished, times_of

Row = dict[str, Any]

log = logging.getLogger("cargo_source")

MISFITS = 8
"""After so many pages in a row that do not fit, no further one is tried."""
FEW = 200
"""Fewer rows are typed value by value as soon as DuckDB is asked."""


class Unset(msgspec.Struct, forbid_unknown_fields=True):
    """A native date that some paths wrote: it reads back as ``{}`` and is null."""


UNSET = "{}"
_INT64 = msgspec.Meta(ge=-(2**63), le=2**63 - 1)
_EXACT = msgspec.Meta(ge=-(2**53), le=2**53)
_LONGER = msgspec.Meta(min_length=len(UNSET) + 1)

WIRE: dict[Type, Any] = {
    "text": str | None,
    "integer": Annotated[int, _INT64] | None,
    "decimal": int | float | None,
    "number": Annotated[int, _EXACT] | float | None,
    "boolean": bool | None,
    "timestamp": Annotated[str, _LONGER] | Unset | None,
    "json": msgspec.Raw,
}
"""What a cell of each type is on the wire, where DuckDB reads it as :mod:`cargo_source.pull.typed` does.

Integers that a double would round are not among them, nor a text that could be taken for an unset date.
"""

READ_AS: dict[Type, str] = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "json": "JSON"}
"""What DuckDB reads them as; all others as text, of which Arrow makes times and decimals."""

_EXACT_DECIMAL = "^-?[0-9]{1,29}([.][0-9]{1,9})?$"
_UNNAMEABLE = re.compile(r'[\x00-\x1f"\\]')
"""In the name of a field: msgspec takes none of it."""
_NULL = msgspec.Raw(b"null")


class Decoder:
    """Decodes the pages of ``storage/records/list`` for one model, and types their rows; many at once by the spool."""

    def __init__(
        self, shape: Shape, run_id: str, pseudonym: Pseudonym, surprises: Surprises, spool: Spool | None = None
    ) -> None:
        self._shape, self._run_id, self._pseudonym, self._surprises = shape, run_id, pseudonym, surprises
        # DuckDB does not tell names apart that differ by their case alone.
        apart = len({column.field.casefold() for column in shape.columns}) == len(shape.columns)
        self._spool = spool if apart else None
        nameable = all(field and not _UNNAMEABLE.search(field) for field in shape.fields)
        self._fitting = _pages_of(_row_of(shape) if nameable else dict)
        self._lines = _pages_of(msgspec.Raw)
        self._identified = msgspec.json.Decoder(
            msgspec.defstruct("Identified", [("f0", str | None, None)], rename={"f0": "_id"})
        )
        self._misfits = 0 if nameable else MISFITS

    def page(self, reply: Reply) -> tuple[list[Any], bool]:
        """Give the rows of a page, as the text that came or as dicts, and whether the workspace was still writing."""
        if self._misfits < MISFITS:
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
            [row if isinstance(row, dict) else _opened(row) for row in rows],
            self._shape.columns,
            known=self._shape.fields,
            run_id=self._run_id,
            pseudonym=self._pseudonym,
            surprises=self._surprises,
            shy=self._shape.hides,
        )

    def _by_duckdb(self, rows: list[msgspec.Raw]) -> pa.Table | None:
        """Type rows that fit; None where one of them is for the other way after all."""
        if self._spool is None or len(rows) < FEW:
            return None
        lines = b"\n".join(rows)
        # Nobody has promised that there are no line breaks inside of rows.
        found = self._read(self._spool, lines) if lines.count(b"\n") == len(rows) - 1 else None
        if found is None or found.num_rows != len(rows):
            return None
        arrays = []
        for index, column in enumerate(self._shape.columns):
            array = self._array(column, found.column(index))
            if array is None:
                return None
            arrays.append(array)
        return finished([*arrays, pa.nulls(len(rows), pa.string())], self._shape.columns, self._run_id)

    def _read(self, spool: Spool, lines: bytes) -> pa.Table | None:
        columns = self._shape.columns
        kinds = ", ".join(f"{sql.text(column.field)}: '{READ_AS.get(column.type, 'VARCHAR')}'" for column in columns)
        cells = ", ".join(sql.name(column.field) + ("::VARCHAR" if column.type == "json" else "") for column in columns)
        options = "format = 'newline_delimited', auto_detect = false, compression = 'uncompressed'"
        with spool.scratch(".ndjson", lines) as path, spool.database() as db:
            try:
                source = f"read_json({sql.text(str(path))}, columns = {{{kinds}}}, {options})"
                return db.execute(f"SELECT {cells} FROM {source}").to_arrow_table()  # noqa: S608 - our own file
            except (duckdb.InvalidInputException, duckdb.ConversionException):
                # Its text may quote a cell, and what is wrong is found out value by value.
                return None
            except duckdb.Error as error:
                log.warning("%s: rows are read value by value: %s", self._shape.table, type(error).__name__)
                return None

    def _array(self, column: Column, cells: pa.ChunkedArray) -> pa.ChunkedArray | None:
        if column.pii == "null":
            return pa.nulls(len(cells), ARROW[column.type])
        if column.pii == "hash":
            return pa.array(
                [None if cell is None else self._pseudonym(cell) for cell in cells.to_pylist()], pa.string()
            )
        try:
            if column.type == "timestamp":
                return times_of(pc.if_else(pc.equal(cells, UNSET), None, cells))
            if (
                column.type == "decimal"
                and not pc.all(pc.match_substring_regex(cells, _EXACT_DECIMAL), min_count=0).as_py()
            ):
                # Arrow does not say what it rounds.
                return None
            return cells.cast(ARROW[column.type])
        except pa.ArrowInvalid:
            return None


_ID = attrgetter("f0")


def _row_of(shape: Shape) -> type:
    """Make the struct that takes the rows of a model, and nothing else; ``f0`` is the identifier."""
    first = sorted(shape.columns, key=lambda column: column.field != "_id")
    fields = {column.field: (_wire(column), _absent(column)) for column in first}
    fields |= {field: (msgspec.Raw, _NULL) for field in shape.left_out if field not in fields}
    return msgspec.defstruct(
        "Row",
        [(f"f{index}", *kind) for index, kind in enumerate(fields.values())],
        rename={f"f{index}": field for index, field in enumerate(fields)},
        forbid_unknown_fields=True,
        gc=False,
    )


def _opened(row: msgspec.Raw) -> Row:
    try:
        opened: Row = msgspec.json.decode(row)
    except msgspec.DecodeError:
        # It is JSON, or it would not be here.
        raise UnexpectedShape("a row holds a number that no double can hold") from None
    return opened


def _pages_of(row: type) -> msgspec.json.Decoder[Any]:
    page = msgspec.defstruct("Page", [("records", list[row]), ("isRefreshing", bool | None, None)])  # type: ignore[valid-type] # made above
    return msgspec.json.Decoder(page)


def _wire(column: Column) -> Any:
    return msgspec.Raw if column.pii == "null" else WIRE[column.type]


def _absent(column: Column) -> Any:
    return _NULL if _wire(column) is msgspec.Raw else None
