"""How the cells of a source become cells of a model: SQL that gives the value, and why there is none.

A value is the same in Cargo as it is here, or its row is refused: no number is rounded, no text is cut, nothing is
guessed. Only what says the same in another form is taken: an integer for a number, a day for its midnight, a time
without a zone for one in UTC, and text in ISO 8601 for a time or in JSON for a nested value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from cargo_source.catalog.columns import Type
from cargo_source.pull.conform import SQL
from cargo_source.push.objects import JSON, UNFIT

Kind = Literal["nothing", "text", "integer", "float", "decimal", "boolean", "time", "json", "nested", "value"]
"""What a source's column holds. The last three are JSON texts when DuckDB sees them: ``json`` is JSON already,
``nested`` stands for lists and structs, ``value`` for any Python object, a text included."""

BEYOND = "has more digits than a number of 64 bits keeps"
FRACTION = "is no whole number, which the column takes"
LARGE = "is an integer that does not fit 64 bits"
INFINITE = "is infinite"
NO_JSON = "is no JSON; write a text in quotes, as '\"text\"'"
NO_TIME = "is no time in ISO 8601, such as 2026-03-01T09:00:00Z"
CALENDAR = "is a time before the year 1 or after the year 9999"
FINER = "has more than milliseconds, which Cargo keeps; round it first"


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
    for test, found in _KINDS:
        if test(kind):
            return found
    return None


_KINDS: tuple[tuple[Callable[[pa.DataType], bool], Kind], ...] = (
    (pa.types.is_null, "nothing"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_string_view, "text"),
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "float"),
    (pa.types.is_decimal128, "decimal"),
    (pa.types.is_decimal64, "decimal"),
    (pa.types.is_decimal32, "decimal"),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_timestamp, "time"),
    (pa.types.is_date, "time"),
    (pa.types.is_nested, "nested"),
)


def cell(kind: Kind, target: Type, cargo: str, column: str) -> Cell | None:
    """Give the SQL for a column, named as SQL spells it, of a kind, for a model's column; None where it never fits.

    ``target`` is how a pull types the model's column, ``cargo`` what Cargo calls its type.
    """
    if kind == "nothing":
        return Cell(f"NULL::{SQL[target]}")
    make = _CELLS.get((kind, target))
    return make(column, cargo) if make else None


def _first(*cases: tuple[str, str]) -> str:
    """Write the first reason that applies."""
    return (
        "CASE "
        + " ".join(f"WHEN {test} THEN '{reason.replace(chr(39), chr(39) * 2)}'" for test, reason in cases)
        + " END"
    )


def _same(column: str, _cargo: str) -> Cell:
    return Cell(column)


def _whole(column: str, _cargo: str) -> Cell:
    return Cell(
        f"TRY_CAST({column} AS BIGINT)",
        _first((f"TRY_CAST({column} AS BIGINT) IS NULL AND {column} IS NOT NULL", LARGE)),
    )


def _whole_float(column: str, _cargo: str) -> Cell:
    number = f"CASE WHEN isnan({column}) THEN NULL ELSE {column}::DOUBLE END"
    value = f"TRY_CAST({number} AS BIGINT)"
    return Cell(value, _first(
        (f"isinf({column})", INFINITE),
        (f"{number} <> trunc({number})", FRACTION),
        (f"{value} IS NULL AND {number} IS NOT NULL", LARGE),
    ))  # fmt: skip


def _whole_decimal(column: str, _cargo: str) -> Cell:
    value = f"TRY_CAST({column} AS BIGINT)"
    return Cell(value, _first(
        (f"{column} <> trunc({column})", FRACTION),
        (f"{value} IS NULL AND {column} IS NOT NULL", LARGE),
    ))  # fmt: skip


def _number(column: str, _cargo: str) -> Cell:
    return Cell(f"{column}::DOUBLE", _first((f"{column}::DOUBLE::DECIMAL(38, 0) <> {column}::DECIMAL(38, 0)", BEYOND)))


def _number_float(column: str, _cargo: str) -> Cell:
    return Cell(
        f"CASE WHEN isnan({column}) THEN NULL ELSE {column}::DOUBLE END", _first((f"isinf({column})", INFINITE))
    )


def _number_decimal(column: str, _cargo: str) -> Cell:
    # The shortest text of the nearest double is the decimal itself, or it had more digits.
    back = f"TRY_CAST(({column}::DOUBLE)::VARCHAR AS DECIMAL(38, 18))"
    exact = f"{back} = TRY_CAST({column} AS DECIMAL(38, 18))"
    whole = f"TRY_CAST(({column}::DOUBLE)::VARCHAR AS DECIMAL(38, 0)) = {column}::DECIMAL(38, 0)"
    large = f"{whole} AND {column} = trunc({column})"
    return Cell(f"{column}::DOUBLE", _first((f"NOT (coalesce({exact}, false) OR coalesce({large}, false))", BEYOND)))


def _decimal(column: str, _cargo: str) -> Cell:
    value = f"TRY_CAST({column} AS DECIMAL(38, 9))"
    return Cell(value, _first((f"{column} IS NOT NULL AND ({value} IS NULL OR {value} <> {column})", BEYOND)))


def _decimal_float(column: str, _cargo: str) -> Cell:
    number = f"CASE WHEN isnan({column}) THEN NULL ELSE {column}::DOUBLE END"
    value = f"TRY_CAST(({number})::VARCHAR AS DECIMAL(38, 9))"
    return Cell(value, _first(
        (f"isinf({column})", INFINITE),
        (f"{number} IS NOT NULL AND ({value} IS NULL OR {value}::DOUBLE <> {number})", BEYOND),
    ))  # fmt: skip


_ISO = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?)?"


def _time_text(column: str, _cargo: str) -> Cell:
    value = f"TRY_CAST({column} AS TIMESTAMPTZ)"
    return Cell(value, _first(
        (f"NOT regexp_full_match({column}, '{_ISO}') OR ({column} IS NOT NULL AND {value} IS NULL)", NO_TIME),
        (f"regexp_matches({column}, '\\.\\d{{3}}0*[1-9]')", FINER),
        (f"year({value} AT TIME ZONE 'UTC') NOT BETWEEN 1 AND 9999", CALENDAR),
    ))  # fmt: skip


_JSON_KINDS = {"object": "OBJECT", "array": "ARRAY", "vector": "ARRAY"}
_NUMBERS = r"\[(-?[0-9][0-9.eE+-]*(,-?[0-9][0-9.eE+-]*)*)?\]"


def _json(column: str, cargo: str) -> Cell:
    valid = f"json_valid({column})"
    plain = f"CASE WHEN {valid} THEN json({column})::VARCHAR END"
    value = f"nullif({plain}, 'null')"
    cases = [(f"NOT {valid}", NO_JSON)]
    if wanted := _JSON_KINDS.get(cargo):
        cases.append(
            (
                f"{value} IS NOT NULL AND json_type({value}) <> '{wanted}'",
                f"is no {wanted.lower()}, which the column takes",
            )
        )
    if cargo == "vector":
        cases.append((f"NOT regexp_full_match({value}, '{_NUMBERS}')", "is no list of numbers, which the column takes"))
    return Cell(value, _first(*cases))


def _json_scalar(column: str, cargo: str) -> Cell | None:
    if cargo in _JSON_KINDS:
        return None
    return Cell(f"to_json({column})::VARCHAR")


def _json_float(column: str, cargo: str) -> Cell | None:
    if cargo in _JSON_KINDS:
        return None
    number = f"CASE WHEN isnan({column}) THEN NULL ELSE {column}::DOUBLE END"
    return Cell(f"to_json({number})::VARCHAR", _first((f"isinf({column})", INFINITE)))


def _of_value(target: Type) -> Callable[[str, str], Cell | None]:
    """Give what takes cells of Python objects: those of one kind go where that kind goes, others say what they are."""

    def make(column: str, cargo: str) -> Cell | None:
        unfit = f"starts_with({column}, '{UNFIT}')"
        known = f"CASE WHEN {unfit} THEN NULL ELSE {column} END"
        kind = f"json_type({known})"
        text = f"CASE WHEN {kind} = 'VARCHAR' THEN json_extract_string({known}, '$') END"
        number = f"CASE WHEN {kind} IN ('BIGINT', 'UBIGINT', 'DOUBLE', 'HUGEINT') THEN {known} END"
        match target:
            case "text":
                inner, wrong = Cell(text), f"{kind} <> 'VARCHAR'"
            case "timestamp":
                inner, wrong = _time_text(f"({text})", cargo), f"{kind} <> 'VARCHAR'"
            case "boolean":
                inner, wrong = (
                    Cell(f"CASE {known} WHEN 'true' THEN true WHEN 'false' THEN false END"),
                    f"{kind} <> 'BOOLEAN'",
                )
            case "json":
                inner, wrong = _json(f"(CASE WHEN {kind} = 'VARCHAR' THEN {text} ELSE {known} END)", cargo), "false"
            case _:
                inner, wrong = _number_text(f"({number})", target), f"({number}) IS NULL"
        problem = (
            f"CASE WHEN {unfit} THEN substr({column}, 2)"
            f" WHEN {known} IS NOT NULL AND {kind} <> 'NULL' AND ({wrong})"
            f" THEN 'is of another type than ' || '{_CALLED.get(target, target)}, which the column takes'"
            f" ELSE {inner.problem} END"
        )
        return Cell(inner.value, problem)

    return make


_CALLED = {"timestamp": "time", "integer": "whole number"}


def _number_text(text: str, target: Type) -> Cell:
    """Take the text of a number in JSON, whose integers may have any number of digits."""
    whole = f"regexp_full_match({text}, '-?\\d+')"
    if target == "number":
        value = f"TRY_CAST({text} AS DOUBLE)"
        big = f"TRY_CAST({text} AS DECIMAL(38, 0))"
        return Cell(value, _first((f"{whole} AND ({big} IS NULL OR {value}::DECIMAL(38, 0) <> {big})", BEYOND)))
    if target == "decimal":
        value = f"TRY_CAST({text} AS DECIMAL(38, 9))"
        return Cell(
            value,
            _first(
                (f"{text} IS NOT NULL AND ({value} IS NULL OR {value}::DOUBLE <> TRY_CAST({text} AS DOUBLE))", BEYOND)
            ),
        )
    value = f"CASE WHEN {whole} THEN TRY_CAST({text} AS BIGINT) ELSE TRY_CAST(TRY_CAST({text} AS DOUBLE) AS BIGINT) END"
    return Cell(value, _first(
        (f"NOT {whole} AND TRY_CAST({text} AS DOUBLE) <> trunc(TRY_CAST({text} AS DOUBLE))", FRACTION),
        (f"{text} IS NOT NULL AND ({value}) IS NULL", LARGE),
    ))  # fmt: skip


_CELLS: dict[tuple[Kind, Type], Callable[[str, str], Cell | None]] = {
    ("text", "text"): _same,
    ("boolean", "boolean"): _same,
    ("integer", "integer"): _whole,
    ("float", "integer"): _whole_float,
    ("decimal", "integer"): _whole_decimal,
    ("integer", "number"): _number,
    ("float", "number"): _number_float,
    ("decimal", "number"): _number_decimal,
    ("integer", "decimal"): _decimal,
    ("float", "decimal"): _decimal_float,
    ("decimal", "decimal"): _decimal,
    ("time", "timestamp"): _same,
    ("text", "timestamp"): _time_text,
    ("text", "json"): _json,
    ("json", "json"): _json,
    ("integer", "json"): _json_scalar,
    ("boolean", "json"): _json_scalar,
    ("float", "json"): _json_float,
    ("nested", "json"): _of_value("json"),
    **{("value", target): _of_value(target) for target in SQL},
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
