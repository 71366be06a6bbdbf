"""How the cells of a source become cells of a model: SQL that gives the value, and why there is none.

A value is the same in Cargo as it is here, or its row is refused: no number is rounded, no text is cut, nothing is
guessed. Only what says the same in another form is taken: an integer for a number, a day for its midnight, a time
without a zone for one in UTC, and text in ISO 8601 for a time or in JSON for a nested value. What SQL cannot judge was
made before (see :mod:`cargo_source.push.values`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from cargo_source.catalog.columns import Type
from cargo_source.pull import sql
from cargo_source.pull.conform import SQL
from cargo_source.push.nested import SHAPES
from cargo_source.push.objects import CALENDAR, FINER, JSON
from cargo_source.push.values import BEYOND, FRACTION, LARGE, Kind, maker

INFINITE = "is infinite"
NO_TIME = "is no time in ISO 8601, such as 2026-03-01T09:00:00Z"


@dataclass(frozen=True)
class Cell:
    """SQL over a column of the source: the value as the model's column takes it, and why a cell has none."""

    value: str
    problem: str = "NULL"


def kind_of(field: pa.Field) -> Kind | None:
    """Say what a column of Arrow holds; None where Cargo has nothing like it."""
    if field.metadata and field.metadata.get(b"cargo_source") == JSON[b"cargo_source"]:
        return "value"
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if isinstance(kind, pa.BaseExtensionType):
        return "json" if kind.extension_name == "arrow.json" else None
    if pa.types.is_nested(kind):
        return "nested" if _is_json(kind) else None
    return next((found for test, found in _KINDS if test(kind)), None)


_KINDS: tuple[tuple[Callable[[pa.DataType], bool], Kind], ...] = (
    (pa.types.is_null, "nothing"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_string_view, "text"),
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "float"),
    (pa.types.is_decimal, "decimal"),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_timestamp, "time"),
    (pa.types.is_date, "time"),
)


def _is_json(kind: pa.DataType) -> bool:
    """Say whether JSON has something like a type, and like all that it is made of."""
    if pa.types.is_dictionary(kind):
        return _is_json(kind.value_type)
    if pa.types.is_map(kind):
        return _is_text(kind.key_type) and _is_json(kind.item_type)
    if pa.types.is_struct(kind):
        names = [field.name for field in kind.fields]
        return len(set(names)) == len(names) and all(_is_json(field.type) for field in kind.fields)
    if pa.types.is_nested(kind):
        # Of unions nobody can tell afterwards which of its types a value had.
        return hasattr(kind, "value_field") and _is_json(kind.value_type)
    return not isinstance(kind, pa.BaseExtensionType) and any(test(kind) for test, _ in _KINDS)


def _is_text(kind: pa.DataType) -> bool:
    return any(test(kind) for test, found in _KINDS if found == "text")


def cell(kind: Kind, target: Type, cargo: str, column: str) -> Cell | None:
    """Give the SQL for a column, named as SQL spells it, of a kind, for a model's column; None where it never fits.

    ``target`` is how a pull types the model's column, ``cargo`` what Cargo calls its type.
    """
    if kind == "nothing":
        return Cell(f"NULL::{SQL[target]}")
    if maker(kind, target, cargo):
        return _time_text(column) if kind == "value" and target == "timestamp" else Cell(column)
    if target == "json" and cargo in SHAPES:
        return None
    make = _CELLS.get((kind, target))
    return make(column) if make else None


def _first(*cases: tuple[str, str]) -> str:
    """Write the first reason that applies."""
    return "CASE " + " ".join(f"WHEN {test} THEN {sql.text(reason)}" for test, reason in cases) + " END"


def _whole(column: str) -> Cell:
    value = f"TRY_CAST({column} AS BIGINT)"
    return Cell(value, _first((f"{value} IS NULL AND {column} IS NOT NULL", LARGE)))


def _double(column: str) -> str:
    return f"CASE WHEN isnan({column}) THEN NULL ELSE {column}::DOUBLE END"


def _whole_float(column: str) -> Cell:
    number = _double(column)
    value = f"TRY_CAST({number} AS BIGINT)"
    return Cell(value, _first(
        (f"isinf({column})", INFINITE),
        (f"{number} <> trunc({number})", FRACTION),
        (f"{value} IS NULL AND {number} IS NOT NULL", LARGE),
    ))  # fmt: skip


def _number(column: str) -> Cell:
    value = f"{column}::DOUBLE"
    return Cell(value, _first((f"{value}::DECIMAL(38, 0) <> {column}::DECIMAL(38, 0)", BEYOND)))


def _number_float(column: str) -> Cell:
    return Cell(_double(column), _first((f"isinf({column})", INFINITE)))


def _decimal(column: str) -> Cell:
    return Cell(f"{column}::DECIMAL(38, 9)")


def _decimal_float(column: str) -> Cell:
    number = _double(column)
    value = f"TRY_CAST(({number})::VARCHAR AS DECIMAL(38, 9))"
    # The text is read as a double exactly, which a decimal is not.
    back = f"{value}::VARCHAR::DOUBLE"
    return Cell(value, _first(
        (f"isinf({column})", INFINITE),
        (f"{number} IS NOT NULL AND ({value} IS NULL OR {back} <> {number})", BEYOND),
    ))  # fmt: skip


_HOUR = r"([01]\d|2[0-3])"
_ISO = rf"\d{{4}}-\d\d-\d\d([T ]{_HOUR}:\d\d(:\d\d(\.\d{{1,9}})?)?(Z|[+-]{_HOUR}(:?[0-5]\d)?)?)?"


def _time_text(column: str) -> Cell:
    # DuckDB reads no zone behind minutes.
    whole = f"regexp_replace({column}, '([T ]\\d\\d:\\d\\d)(Z|[+-]|$)', '\\1:00\\2')"
    value = f"TRY_CAST({whole} AS TIMESTAMPTZ)"
    return Cell(value, _first(
        (f"NOT regexp_full_match({column}, '{_ISO}') OR ({column} IS NOT NULL AND {value} IS NULL)", NO_TIME),
        (f"regexp_matches({column}, '\\.\\d{{3}}0*[1-9]')", FINER),
        (f"year({value} AT TIME ZONE 'UTC') NOT BETWEEN 1 AND 9999", CALENDAR),
    ))  # fmt: skip


def _json_scalar(column: str) -> Cell:
    return Cell(f"to_json({column})::VARCHAR")


def _json_float(column: str) -> Cell:
    return Cell(f"to_json({_double(column)})::VARCHAR", _first((f"isinf({column})", INFINITE)))


_CELLS: dict[tuple[Kind, Type], Callable[[str], Cell]] = {
    ("text", "text"): Cell,
    ("boolean", "boolean"): Cell,
    ("integer", "integer"): _whole,
    ("float", "integer"): _whole_float,
    ("integer", "number"): _number,
    ("float", "number"): _number_float,
    ("integer", "decimal"): _decimal,
    ("float", "decimal"): _decimal_float,
    ("text", "timestamp"): _time_text,
    ("integer", "json"): _json_scalar,
    ("boolean", "json"): _json_scalar,
    ("float", "json"): _json_float,
}


JSON_TEXT: dict[Type, str] = {
    "text": "to_json({})::VARCHAR",
    "integer": "{}::VARCHAR",
    "decimal": "{}::VARCHAR",
    "number": "to_json({})::VARCHAR",
    "boolean": "{}::VARCHAR",
    "timestamp": "strftime({} AT TIME ZONE 'UTC', '\"%Y-%m-%dT%H:%M:%S.%gZ\"')",
    "json": "{}",
}
"""How a value is written into a request: SQL with a place for the column."""
