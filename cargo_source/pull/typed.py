"""From the API's rows to typed Arrow tables: every column declared, nothing dropped, nothing silently changed.

A value that does not fit its column, and a field that the catalogue does not know, are kept as JSON in the column
``_cargo_extra``, so that a surprise in the API costs neither the row nor the run.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from cargo_source.catalog.columns import Column, Type
from cargo_source.errors import UnexpectedShape
from cargo_source.pull.secrets import masked, without
from cargo_source.pull.times import parse_time
from cargo_source.pull.wire import to_json

EXTRA = "_cargo_extra"
RUN_ID = "_cargo_run_id"
OURS = (
    Column(
        EXTRA,
        EXTRA,
        "json",
        "fields that the catalogue does not know, and values that did not fit their column",
    ),
    Column(RUN_ID, RUN_ID, "text", "the sync that wrote the row"),
)

ARROW: dict[Type, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "decimal": pa.decimal128(38, 9),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}

_EXACT = 2**53
"""Integers up to this size survive in a double."""


class Misfit(ValueError):
    """A value that its column cannot hold; ``nearest`` is what the cell shows instead (None: null)."""

    def __init__(self, nearest: object = None) -> None:
        super().__init__("value does not fit its column")
        self.nearest = nearest


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """Give the Arrow schema of a table with these columns, ours included."""
    return pa.schema([pa.field(c.name, ARROW[c.type], nullable=not c.required) for c in (*columns, *OURS)])


def arrow_table(
    rows: Sequence[dict[str, Any]],
    columns: Sequence[Column],
    *,
    known: frozenset[str],
    run_id: str,
    dropped: Iterable[str] = (),
) -> pa.Table:
    """Type ``rows`` as the API sent them. Raises UnexpectedShape where a key is missing.

    ``known`` are the fields that do not count as unknown, ``dropped`` the paths of secrets that must not land.
    """
    cleaned = [without(row, dropped) for row in rows] if dropped else rows
    extras: dict[int, dict[str, Any]] = {}
    for index, row in enumerate(cleaned):
        if not row.keys() <= known:
            extras[index] = {field: row[field] for field in row.keys() - known}
    cells = [_cells(cleaned, column, extras) for column in columns]
    cells.append(
        [_extra(extras[i]) if i in extras else None for i in range(len(rows))] if extras else [None] * len(rows)
    )
    cells.append([run_id] * len(rows))
    schema = arrow_schema(columns)
    return pa.Table.from_arrays(
        [pa.array(values, type=field.type) for values, field in zip(cells, schema, strict=True)],
        schema=schema,
    )


def _cells(rows: Sequence[dict[str, Any]], column: Column, extras: dict[int, dict[str, Any]]) -> list[Any]:
    convert = CONVERT[column.type]
    cells: list[Any] = []
    for index, row in enumerate(rows):
        value = row.get(column.field)
        if value is not None:
            try:
                value = convert(value)
            except Misfit as misfit:
                extras.setdefault(index, {})[column.field] = value
                value = misfit.nearest
        if value is None and column.required:
            raise UnexpectedShape(f"a row has no usable {column.field!r}, which is part of its key")
        cells.append(value)
    return cells


def _extra(fields: dict[str, Any]) -> str:
    return _json(dict(sorted(fields.items())))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Misfit


def _integer(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    raise Misfit


def _number(value: Any) -> float:
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) <= _EXACT or int(float(value)) == value:
            return float(value)
        raise Misfit(float(value))
    raise Misfit


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Misfit
    try:
        exact = Decimal(str(value))
        rounded = exact.quantize(Decimal("1e-9"))
    except InvalidOperation:
        raise Misfit from None
    if rounded != exact:
        raise Misfit(rounded)
    return rounded


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise Misfit


def _timestamp(value: Any) -> datetime | None:
    # A native date column that some paths wrote reads back as {}.
    if value == {}:
        return None
    if isinstance(value, str):
        try:
            return parse_time(value)
        except ValueError:
            raise Misfit from None
    raise Misfit


def _json(value: Any) -> str:
    text = to_json(value)
    # Settings of connectors and extractors carry encrypted values; only the few cells that have one pay for the walk.
    return to_json(masked(value)) if '"encryption"' in text else text


CONVERT: dict[Type, Callable[[Any], Any]] = {
    "text": _text,
    "integer": _integer,
    "decimal": _decimal,
    "number": _number,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "json": _json,
}
