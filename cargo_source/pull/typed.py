"""From the API's rows to typed Arrow tables: every column declared, nothing dropped, nothing silently changed.

A value that does not fit its column, and a field that the catalogue does not know, are kept as JSON in the column
``_cargo_extra``, so that a surprise in the API costs neither the row nor the run.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from cargo_source.catalog.columns import Column, Type
from cargo_source.errors import UnexpectedShape
from cargo_source.pull.secrets import MAY_HOLD, masked, unsuspicious, without
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.surprises import Surprises
from cargo_source.pull.times import parse_time
from cargo_source.pull.wire import to_json

EXTRA = "_cargo_extra"
RUN_ID = "_cargo_run_id"
DELETED_AT = "_cargo_deleted_at"
OURS = (
    Column(
        EXTRA,
        EXTRA,
        "json",
        "fields that the catalogue does not know, and values that did not fit their column",
    ),
    Column(RUN_ID, RUN_ID, "text", "the sync that wrote the row"),
    Column(DELETED_AT, DELETED_AT, "timestamp", "when a sync found the row gone in Cargo; null while it is there"),
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

_WIDE = Context(prec=38)
"""As many digits as a decimal column has; more do not fit."""
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


def arrow_table(  # noqa: PLR0913 - rows, and all that says what becomes of them
    rows: Sequence[dict[str, Any]],
    columns: Sequence[Column],
    *,
    known: frozenset[str],
    run_id: str,
    dropped: Iterable[str] | None = None,
    pseudonym: Pseudonym | None = None,
    surprises: Surprises | None = None,
    shy: Callable[[str], bool] | None = None,
) -> pa.Table:
    """Type ``rows`` as the API sent them. Raises UnexpectedShape where a key is missing.

    ``known`` are the fields that do not count as unknown, ``dropped`` the paths of secrets that must not land; None
    says that the rows are people's own, in which nothing is a secret of the platform's. What is new is told to
    ``surprises``; ``shy`` says of which unknown fields nothing may be kept.
    """
    guarded = dropped is not None
    cleaned = [without(row, dropped) for row in rows] if dropped else rows
    extras = _unknown(cleaned, known, guarded=guarded, shy=shy or _never)
    surprises = surprises or Surprises()
    surprises.fields({field for fields in extras.values() for field in fields})
    convert = {**CONVERT, "json": _guarded_json} if guarded else CONVERT
    cells = [
        _cells(cleaned, _Cell(column, convert[column.type], pseudonym, guarded), extras, surprises)
        for column in columns
    ]
    cells.append([_extra(extras[i]) if i in extras else None for i in range(len(rows))])
    cells.append([run_id] * len(rows))
    cells.append([None] * len(rows))
    schema = arrow_schema(columns)
    return pa.Table.from_arrays(
        [pa.array(values, type=field.type) for values, field in zip(cells, schema, strict=True)],
        schema=schema,
    )


def _never(_field: str) -> bool:
    return False


def _unknown(
    rows: Sequence[dict[str, Any]], known: frozenset[str], *, guarded: bool, shy: Callable[[str], bool]
) -> dict[int, dict[str, Any]]:
    extras: dict[int, dict[str, Any]] = {}
    for index, row in enumerate(rows):
        if not row.keys() <= known:
            fields = {field: row[field] for field in row.keys() - known if not shy(field)}
            # A field that nobody has declared may be a new secret.
            if kept := unsuspicious(fields) if guarded else fields:
                extras[index] = kept
    return extras


@dataclass(frozen=True)
class _Cell:
    """How the cells of one column are made."""

    column: Column
    convert: Callable[[Any], Any]
    pseudonym: Pseudonym | None
    guarded: bool

    def of(self, value: Any) -> Any:
        """Give the cell of a value. Raises Misfit."""
        if self.column.pii == "null":
            return None
        if self.column.pii == "hash" and self.pseudonym:
            return self.pseudonym(value if isinstance(value, str) else to_json(value, ordered=True))
        return self.convert(value)


def _cells(
    rows: Sequence[dict[str, Any]], cell: _Cell, extras: dict[int, dict[str, Any]], surprises: Surprises
) -> list[Any]:
    column = cell.column
    cells: list[Any] = []
    for index, row in enumerate(rows):
        value = row.get(column.field)
        if value is not None:
            try:
                value = cell.of(value)
            except Misfit as misfit:
                kept = unsuspicious({column.field: value}) if cell.guarded else {column.field: value}
                extras.setdefault(index, {}).update(kept)
                surprises.misfit(column.field)
                value = misfit.nearest
        if value is None and column.required:
            raise UnexpectedShape(f"a row has no usable {column.field!r}, which is part of its key")
        cells.append(value)
    if column.values and not column.pii and (new := set(cells).difference(column.values, (None,))):
        surprises.values(column.name, new)
    return cells


def _extra(fields: dict[str, Any]) -> str:
    return to_json(dict(sorted(fields.items())))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        # As an export writes it: nothing is lost.
        return str(value).lower() if isinstance(value, bool) else str(value)
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
        try:
            nearest = float(value)
        except OverflowError:
            raise Misfit from None
        if abs(value) <= _EXACT or int(nearest) == value:
            return nearest
        raise Misfit(nearest)
    raise Misfit


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or "_" in str(value):
        raise Misfit
    try:
        exact = Decimal(str(value))
        rounded = exact.quantize(Decimal("1e-9"), context=_WIDE)
    except InvalidOperation:
        raise Misfit from None
    if not rounded.is_finite():
        raise Misfit
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


def _guarded_json(value: Any) -> str:
    text = to_json(value)
    # Only the few cells that may hold a secret pay for the walk.
    return to_json(masked(value)) if MAY_HOLD.search(text) else text


CONVERT: dict[Type, Callable[[Any], Any]] = {
    "text": _text,
    "integer": _integer,
    "decimal": _decimal,
    "number": _number,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "json": to_json,
}
