"""From the API's rows to typed Arrow tables: every column declared, nothing dropped, nothing silently changed.

A value that does not fit its column, and a field that the catalogue does not know, are kept as JSON in the column
``_cargo_extra``, so that a surprise in the API costs neither the row nor the run.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal, InvalidOperation
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

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
    return pa.schema([pa.field(c.name, ARROW[c.type]) for c in (*columns, *OURS)])


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
    arrays = []
    for column in columns:
        values = _values(cleaned, column.field)
        arrays.append(_array(values, _Cell(column, convert[column.type], pseudonym, guarded), extras, surprises))
    arrays.append(pa.array([_extra(extras[i]) if i in extras else None for i in range(len(rows))], pa.string()))
    return finished(arrays, columns, run_id)


def _values(rows: Sequence[dict[str, Any]], field: str) -> list[Any]:
    try:
        # The quicker way, and mostly no field is absent.
        return [*map(itemgetter(field), rows)]
    except KeyError:
        return [row.get(field) for row in rows]


def finished(arrays: Sequence[pa.Array], columns: Sequence[Column], run_id: str) -> pa.Table:
    """Make a table of the arrays of ``columns`` and of ``_cargo_extra``."""
    rows = len(arrays[-1])
    ours = [pa.repeat(pa.scalar(run_id), rows), pa.nulls(rows, ARROW["timestamp"])]
    return pa.Table.from_arrays([*arrays, *ours], schema=arrow_schema(columns))


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


def _array(values: list[Any], cell: _Cell, extras: dict[int, dict[str, Any]], surprises: Surprises) -> pa.Array:
    column = cell.column
    if column.values and not column.pii and (new := _told(values).difference(column.values)):
        surprises.values(column.name, new)
    array = None if column.pii else quick_array(values, column.type)
    if array is None:
        array = pa.array(_cells(values, cell, extras, surprises), ARROW[column.type])
    if column.required and array.null_count:
        raise UnexpectedShape(f"a row has no usable {column.field!r}, which is part of its key")
    return array


def _told(values: list[Any]) -> set[str]:
    """Give the values of an enum as they land."""
    return {value for value in values if isinstance(value, str)}


_PLAIN: dict[Type, frozenset[type]] = {
    "text": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "timestamp": frozenset({str}),
}


def quick_array(values: list[Any], kind: Type) -> pa.Array | None:
    """Give the array of values that are all of the kind that their column declares; None where one is not.

    Arrow refuses what it would round or cut, and times that it does not read as Python does: one by one, they are
    looked at more closely.
    """
    plain = _PLAIN.get(kind)
    if plain is None or not set(map(type, values)) - {type(None)} <= plain:
        return None
    try:
        if kind == "timestamp":
            return times_of(pa.array(values, pa.string()))
        return pa.array(values, ARROW[kind])
    except (pa.ArrowInvalid, OverflowError):
        return None


def times_of(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray | None:
    """Read texts as times; None where one lies outside the calendar. Raises ArrowInvalid where one is no time."""
    times = texts.cast(ARROW["timestamp"])
    return times if _in_calendar(times) else None


_CALENDAR = tuple(
    int((datetime(year, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 10**6
    for year in (1, 9999)
)


def _in_calendar(times: pa.Array | pa.ChunkedArray) -> bool:
    """Say whether all times lie between the years 1 and 9999: zones can take one out that was written inside."""
    found = pc.min_max(times.cast(pa.int64())).as_py()
    return found["min"] is None or (found["min"] >= _CALENDAR[0] and found["max"] < _CALENDAR[1])


def _cells(values: list[Any], cell: _Cell, extras: dict[int, dict[str, Any]], surprises: Surprises) -> list[Any]:
    column = cell.column
    cells: list[Any] = []
    for index, value in enumerate(values):
        landed = None
        if value is not None:
            try:
                landed = cell.of(value)
            except Misfit as misfit:
                kept = unsuspicious({column.field: value}) if cell.guarded else {column.field: value}
                extras.setdefault(index, {}).update(kept)
                surprises.misfit(column.field)
                landed = misfit.nearest
        cells.append(landed)
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
