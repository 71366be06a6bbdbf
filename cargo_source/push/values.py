"""Cells that SQL cannot judge, made before DuckDB sees them: the value that a model's column takes, or why none is.

Decimals, times, JSON, nested values and Python objects come here. What is made of an array is an array of the type that
the column has in DuckDB, and one of reasons, null where there is none.
"""

import json
from collections.abc import Callable, Iterable
from decimal import Context, Decimal, InvalidOperation
from functools import partial
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from cargo_source.catalog.columns import Type
from cargo_source.pull.typed import ARROW
from cargo_source.pull.wire import to_json
from cargo_source.push.nested import AT_ONCE, SHAPES, are_all, checked, python_values, written
from cargo_source.push.objects import CALENDAR, FINER, TIME, UNFIT, Unfit, plain

Kind = Literal["nothing", "text", "integer", "float", "decimal", "boolean", "time", "json", "nested", "value"]
"""What a source's column holds: ``json`` is JSON already, ``nested`` lists and structs, ``value`` the JSON text of any
Python object (see :mod:`cargo_source.push.objects`)."""
Made = tuple[pa.Array, pa.Array]
Make = Callable[[pa.Array], Made]

BEYOND = "has more digits than the column's numbers keep"
FRACTION = "is no whole number, which the column takes"
LARGE = "is an integer that does not fit 64 bits"


def maker(kind: Kind, target: Type, cargo: str) -> Make | None:
    """Say what makes the cells of a model's column out of a kind; None where DuckDB does or where nothing can."""
    match kind, target:
        case "time", "timestamp":
            return _times
        case "decimal", "integer" | "number" | "decimal":
            return partial(_decimals, target=target)
        case "decimal", "json" if cargo not in SHAPES:
            return partial(_each, make=lambda value: to_json(plain(value)), form=pa.string())
        case "text" | "json", "json":
            return partial(_json, cargo=cargo)
        case "nested", "json":
            return lambda array: _made(python_values(array), partial(written, cargo=cargo), pa.string())
        case "value", _:
            return partial(_each, make=partial(_VALUES[target], cargo=cargo), form=form_of(target, kind))
    return None


def form_of(target: Type, kind: Kind) -> pa.DataType:
    """Give the type of what is made of a kind; times that are spelled in any way stay texts, which DuckDB reads."""
    if target == "timestamp":
        return pa.string() if kind == "value" else _UTC
    return ARROW[target]


def _each(array: pa.Array, make: Callable[[Any], Any], form: pa.DataType) -> Made:
    return _made(array.to_pylist(), make, form)


def _made(values: Iterable[Any], make: Callable[[Any], Any], form: pa.DataType) -> Made:
    cells: list[Any] = []
    reasons: list[str | None] = []
    for value in values:
        cell = reason = None
        if value is not None:
            try:
                cell = make(value)
            except Unfit as unfit:
                reason = str(unfit)
        cells.append(cell)
        reasons.append(reason)
    return pa.array(cells, form), pa.array(reasons, pa.string())


def _json(array: pa.Array, cargo: str) -> Made:
    texts = array.to_pylist()
    if all(are_all(texts[start : start + AT_ONCE], cargo) for start in range(0, len(texts), AT_ONCE)):
        # Nothing but spaces can lie around JSON.
        return pc.ascii_trim_whitespace(array.cast(pa.string())), pa.nulls(len(array), pa.string())
    return _made(texts, partial(checked, cargo=cargo), pa.string())


# Numbers -----------------------------------------------------------------------------------------------------------


def integer(value: int | Decimal) -> int:
    """Give a number as an integer of 64 bits. Raises Unfit."""
    whole = int(value)
    if whole != value:
        raise Unfit(FRACTION)
    if not -(2**63) <= whole < 2**63:
        raise Unfit(LARGE)
    return whole


def number(value: int | Decimal) -> float:
    """Give the double that is this number, or whose shortest text is. Raises Unfit."""
    try:
        nearest = float(value)
    except OverflowError:
        raise Unfit(BEYOND) from None
    if nearest != value and (isinstance(value, int) or Decimal(repr(nearest)) != value):
        raise Unfit(BEYOND)
    return nearest


_NINE = Decimal("1E-9")
_WIDE = Context(prec=38)


def decimal(value: int | Decimal) -> Decimal:
    """Give a number as a decimal of 38 digits, of which nine are behind the point. Raises Unfit."""
    try:
        kept = Decimal(value).quantize(_NINE, context=_WIDE)
    except InvalidOperation:
        raise Unfit(BEYOND) from None
    if kept != value:
        raise Unfit(BEYOND)
    return kept


_NUMBERS: dict[Type, Callable[[int | Decimal], Any]] = {"integer": integer, "number": number, "decimal": decimal}


def _decimals(array: pa.Array, target: Type) -> Made:
    quick = _quick(array, target)
    if quick is not None:
        return quick, pa.nulls(len(array), pa.string())
    return _each(array, _NUMBERS[target], ARROW[target])


_SURE = 15
"""Every decimal of so many digits is the shortest text of a double."""


def _quick(array: pa.Array, target: Type) -> pa.Array | None:
    """Give all cells at once; None where one may not fit."""
    try:
        if target != "number":
            return array.cast(ARROW[target])
        wide = array.cast(pa.decimal256(76, array.type.scale))
        ends = [end.as_py() for end in pc.min_max(wide).values()]
        if all(end is None or abs(end.scaleb(array.type.scale)) < 10**_SURE for end in ends):
            return array.cast(pa.string()).cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return None


# Times -------------------------------------------------------------------------------------------------------------

_UTC = pa.timestamp("ms", tz="UTC")
_YEARS = (-62_135_596_800_000, 253_402_300_800_000)
"""The years 1 to 9999, in milliseconds."""
_IN_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def _times(array: pa.Array) -> Made:
    """Give times in milliseconds: a time without a zone is one in UTC."""
    kind = pa.timestamp("s") if pa.types.is_date32(array.type) else pa.timestamp("ms")
    if pa.types.is_date(array.type):
        array = array.cast(kind)
    ticks, each = array.cast(pa.int64()), _IN_A_SECOND[array.type.unit]
    # Seconds that lie outside of the calendar may have no milliseconds of 64 bits.
    first, last = (_YEARS[0] * each // 1000, _YEARS[1] * each // 1000)
    inside = pc.and_(pc.greater_equal(ticks, max(first, -(2**63))), pc.less_equal(ticks, min(last - 1, 2**63 - 1)))
    kept = pc.if_else(inside, ticks, pa.scalar(None, pa.int64())).cast(pa.timestamp(array.type.unit))
    whole = kept.cast(pa.timestamp("ms"), safe=False)
    exact = pc.equal(whole.cast(kept.type, safe=False), kept)
    finer = pc.if_else(exact, pa.scalar(None, pa.string()), pa.scalar(FINER))
    return whole.cast(pa.int64()).cast(_UTC), pc.if_else(pc.invert(inside), pa.scalar(CALENDAR), finer)


# Python objects ----------------------------------------------------------------------------------------------------


def _read(text: str) -> Any:
    """Read the text of an object: its numbers as they are written, times as they begin."""
    if text.startswith(UNFIT):
        raise Unfit(text.removeprefix(UNFIT))
    return text if text.startswith(TIME) else json.loads(text, parse_float=Decimal)


def _other(called: str) -> Unfit:
    return Unfit(f"is of another type than {called}, which the column takes")


def _text_of(text: str, cargo: str) -> str | None:  # noqa: ARG001 - all are called alike
    value = _read(text)
    if text.startswith(TIME) or not isinstance(value, str):
        raise _other("text")
    return value


def _time_of(text: str, cargo: str) -> str | None:  # noqa: ARG001 - all are called alike
    value = _read(text)
    if not isinstance(value, str):
        raise _other("time")
    return text.removeprefix(TIME) if text.startswith(TIME) else value


def _boolean_of(text: str, cargo: str) -> bool:  # noqa: ARG001 - all are called alike
    value = _read(text)
    if not isinstance(value, bool):
        raise _other("boolean")
    return value


def _number_of(text: str, cargo: str, target: Type) -> Any:  # noqa: ARG001 - all are called alike
    value = _read(text)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _other("whole number" if target == "integer" else "number")
    return _NUMBERS[target](value)


def _json_of(text: str, cargo: str) -> str | None:
    if text.startswith(TIME):
        raise Unfit("is a time, which JSON has no form for; write it as a text in quotes")
    value = _read(text)
    if isinstance(value, Decimal) and value != value.to_integral_value():
        number(value)
    # A text stands for the JSON that it is, as in all other sources.
    return checked(value if isinstance(value, str) else text, cargo)


_VALUES: dict[Type, Callable[..., Any]] = {
    "text": _text_of,
    "timestamp": _time_of,
    "boolean": _boolean_of,
    "integer": partial(_number_of, target="integer"),
    "number": partial(_number_of, target="number"),
    "decimal": partial(_number_of, target="decimal"),
    "json": _json_of,
}
