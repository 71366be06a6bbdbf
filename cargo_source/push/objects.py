"""Python objects in columns and in nested values, as JSON text: each value as it is, or a word on why it cannot be."""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from cargo_source.pull.times import format_time
from cargo_source.pull.wire import to_json

JSON = {b"cargo_source": b"json"}
"""Metadata of a column whose cells are JSON texts that stand for values."""

UNFIT = "!"
"""Begins a text that says why a value has none: no JSON begins so."""
TIME = "@"
"""Begins the text of a time, which is no text."""

FINER = "has more than milliseconds, which Cargo keeps; round it first"
CALENDAR = "is a time before the year 1 or after the year 9999"


class Unfit(ValueError):
    """A value that cannot be written as it is; the text says which kind it is, never the value."""


def array_of_objects(values: Iterable[Any]) -> pa.Array:
    """Write each value as JSON text, or after TIME or UNFIT as what it is or why it is none."""
    return pa.array([_text_of(value) for value in values], pa.string())


def _text_of(value: Any) -> str | None:
    if is_null(value):
        return None
    try:
        if isinstance(value, Decimal):
            return format(_finite(value), "f")
        moment = _moment(value)
        return to_json(plain(value)) if moment is None else TIME + _time(moment)
    except Unfit as unfit:
        return UNFIT + str(unfit)
    except (TypeError, ValueError, ArithmeticError, RecursionError):
        return UNFIT + _no_form(value)


def _no_form(value: Any) -> str:
    return f"is a {type(value).__name__}, which JSON has no form for"


def is_null(value: Any) -> bool:
    """Say whether a value stands for none: None, what is no number, pandas' NA and NaT, numpy's NaT."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    if _numpy_kind(value) in {"f", "m", "M"} and getattr(value, "shape", None) == ():
        return bool(value != value)  # noqa: PLR0124 - what is no number or no time differs from itself
    return isinstance(value, float) and math.isnan(value)


def _numpy_kind(value: Any) -> str | None:
    return getattr(getattr(value, "dtype", None), "kind", None)


def plain(value: Any) -> Any:
    """Give a value as JSON has it. Raises Unfit where it has nothing like it."""
    if is_null(value):
        return None
    match value:
        case bool() | int():
            return value
        case str():
            return _whole(value)
        case float():
            if math.isinf(value):
                raise Unfit("holds an infinite number")
            return value
        case Decimal():
            return _number(_finite(value))
        case Mapping():
            return {_key(key): plain(each) for key, each in value.items()}
        case list() | tuple() if isinstance(value, list) or type(value) is tuple:
            # Tuples with names would lose them.
            return [plain(each) for each in value]
        case bytes() | bytearray() | memoryview():
            raise Unfit("holds bytes; write them as text, such as base64")
    moment = _moment(value)
    return _of_numpy(value) if moment is None else _time(moment)


def _of_numpy(value: Any) -> Any:
    kind, shape = _numpy_kind(value), getattr(value, "shape", None)
    if shape == () and kind in _SCALARS and not isinstance(item := value.item(), type(value)):
        return plain(item)
    if shape and kind in _ARRAYS and hasattr(value, "__array_interface__"):
        # As a list, times would become integers.
        return [plain(each) for each in (value if kind == "M" else value.tolist())]
    raise Unfit(_no_form(value))


_SCALARS = frozenset("biuf")
_ARRAYS = frozenset("biufUOM")


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unfit("holds half a character (a lone surrogate)") from None
    return text


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise Unfit("has a key that is no text")
    return _whole(key)


_LARGEST = 400
"""Most digits before the point: a number of 64 bits has 309."""


def _finite(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise Unfit("holds an infinite number")
    if abs(value.adjusted()) > _LARGEST:
        raise Unfit("holds a decimal with more digits than a number keeps")
    return value


def _number(value: Decimal) -> int | float:
    if value == value.to_integral_value():
        return int(value)
    nearest = float(value)
    if Decimal(repr(nearest)) != value:
        raise Unfit("holds a decimal with more digits than a number keeps")
    return nearest


def _moment(value: Any) -> date | None:
    """Give a time as Python has it; None where it is none. Raises Unfit where it has more than milliseconds."""
    if isinstance(value, date):
        return value
    if _numpy_kind(value) == "M" and value.shape == ():
        if not 1 <= int(value.astype("M8[Y]").astype(int)) + 1970 <= 9999:
            raise Unfit(CALENDAR)
        moment = value.astype("M8[ms]")
        if moment != value:
            raise Unfit(FINER)
        found: datetime = moment.item()
        return found
    return None


def _time(value: date) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.microsecond % 1000 or getattr(value, "nanosecond", 0):
        raise Unfit(FINER)
    try:
        moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except (OverflowError, ValueError):
        raise Unfit(CALENDAR) from None
    if not 1 <= moment.year <= 9999:
        # The calendar of pandas goes on where Python's ends.
        raise Unfit(CALENDAR)
    return format_time(moment)
