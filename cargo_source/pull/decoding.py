"""Pages of a model's rows, decoded straight into the columns of its table: no row becomes a dict.

A page is read into structs that are made from the model's own columns and that take nothing else. What does not fit
them (a field that nobody declared, a value of another type) is read row by row by :mod:`cargo_source.pull.typed`,
which keeps what does not fit beside the cells. Both ways give the same cells.
"""

from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from cargo_source.api import Reply
from cargo_source.catalog.columns import Column, Type
from cargo_source.errors import UnexpectedShape
from cargo_source.pull.shapes import Shape
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.surprises import Surprises
from cargo_source.pull.typed import ARROW, arrow_table, finished, quick_array

Row = dict[str, Any]

MISFITS = 8
"""After so many pages in a row that do not fit, no further one is tried."""


class Unset(msgspec.Struct, forbid_unknown_fields=True):
    """A native date that some paths wrote: it reads back as ``{}`` and is null."""


WIRE: dict[Type, Any] = {
    "text": str | None,
    "integer": int | None,
    "decimal": int | float | None,
    "number": int | float | None,
    "boolean": bool | None,
    "timestamp": str | Unset | None,
    "json": msgspec.Raw,
}
"""What a cell of each type is on the wire. Nested values stay the text that they are."""

_NULL = msgspec.Raw(b"null")


class Decoder:
    """Decodes the pages of ``storage/records/list`` for one model, and types their rows."""

    def __init__(self, shape: Shape, run_id: str, pseudonym: Pseudonym, surprises: Surprises) -> None:
        self._shape, self._run_id, self._pseudonym, self._surprises = shape, run_id, pseudonym, surprises
        self._attributes = {column.field: f"f{index}" for index, column in enumerate(shape.columns)}
        fields = [(self._attributes[c.field], _wire(c), _absent(c)) for c in shape.columns]
        renamed = {self._attributes[column.field]: column.field for column in shape.columns}
        for index, field in enumerate(sorted(shape.left_out - self._attributes.keys())):
            fields.append((f"x{index}", msgspec.Raw, _NULL))
            renamed[f"x{index}"] = field
        self._row = msgspec.defstruct("Row", fields, rename=renamed, forbid_unknown_fields=True, gc=False)
        page = msgspec.defstruct("Page", [("records", list[self._row]), ("isRefreshing", bool | None, None)])  # type: ignore[name-defined] # made above
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(page)
        self._misfits = 0
        self.id_of = attrgetter(self._attributes["_id"])
        """Gives the identifier of a row."""

    def page(self, reply: Reply) -> tuple[list[Any], bool]:
        """Give the rows of a page, structs or dicts, and whether the workspace was still writing."""
        if self._misfits < MISFITS:
            try:
                page = reply.decode(self._decoder)
            except UnexpectedShape:
                self._misfits += 1
            else:
                if all(map(self.id_of, page.records)):
                    self._misfits = 0
                    return page.records, bool(page.isRefreshing)
        rows: list[Row] = reply.take("records")
        return [self._identified(row) for row in rows], bool(reply.json().get("isRefreshing"))

    def identity(self, row: Any) -> object:
        """Give the identifier of a row of a page."""
        return row.get("_id") if isinstance(row, dict) else self.id_of(row)

    def _identified(self, row: Row) -> Row:
        if row.get("_id") is None:
            identity = row.get(self._shape.id_slug)
            row["_id"] = identity if identity is None or isinstance(identity, str) else str(identity)
        return row

    def typed(self, rows: Sequence[Any]) -> pa.Table:
        """Type rows of pages, in their order."""
        tables = []
        for as_dicts, group in groupby(rows, key=lambda row: isinstance(row, dict)):
            some = list(group)
            table = None if as_dicts else self._quickly(some)
            tables.append(table if table is not None else self._one_by_one(some))
        return pa.concat_tables(tables) if tables else self._one_by_one([])

    def _one_by_one(self, rows: list[Any]) -> pa.Table:
        return arrow_table(
            [row if isinstance(row, dict) else self._as_dict(row) for row in rows],
            self._shape.columns,
            known=self._shape.fields,
            run_id=self._run_id,
            pseudonym=self._pseudonym,
            surprises=self._surprises,
            shy=self._shape.hides,
        )

    def _quickly(self, rows: list[Any]) -> pa.Table | None:
        arrays = []
        for column in self._shape.columns:
            array = self._column(column, [*map(attrgetter(self._attributes[column.field]), rows)])
            if array is None:
                return None
            arrays.append(array)
        return finished([*arrays, pa.nulls(len(rows), pa.string())], self._shape.columns, self._run_id)

    def _column(self, column: Column, values: list[Any]) -> pa.Array | None:
        if column.pii == "null":
            return pa.nulls(len(values), ARROW[column.type])
        if column.pii == "hash":
            values = [None if value is None else self._pseudonym(value) for value in values]
        if column.type == "json":
            return _texts(values)
        if column.type == "decimal":
            return _decimals(values)
        if column.type == "timestamp":
            values = [None if isinstance(value, Unset) else value for value in values]
        return quick_array(values, column.type)

    def _as_dict(self, row: Any) -> Row:
        cells = {field: getattr(row, attribute) for field, attribute in self._attributes.items()}
        return {field: _plain(cell) for field, cell in cells.items()}


def _wire(column: Column) -> Any:
    return msgspec.Raw if column.pii == "null" else WIRE[column.type]


def _absent(column: Column) -> Any:
    return _NULL if _wire(column) is msgspec.Raw else None


def _texts(values: list[msgspec.Raw]) -> pa.Array:
    """Give nested values as the JSON text that came."""
    cells = [None if (text := bytes(value)) == b"null" else text for value in values]
    return pa.array(cells, pa.binary()).cast(pa.string())


def _decimals(values: list[int | float | None]) -> pa.Array | None:
    try:
        cells = [None if value is None else Decimal(str(value)) for value in values]
        return pa.array(cells, ARROW["decimal"])
    except (pa.ArrowInvalid, ArithmeticError):
        return None


def _plain(cell: Any) -> Any:
    if isinstance(cell, msgspec.Raw):
        return msgspec.json.decode(cell)
    return {} if isinstance(cell, Unset) else cell
