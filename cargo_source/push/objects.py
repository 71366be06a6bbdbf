"""Python objects in columns and in nested values, as JSON text: each value as it is, or a word on why it cannot be."""

import math
from collections.abc import Callable, Mapping
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


class Unfit(ValueError):
    """A value that JSON cannot hold as it is; the text says which kind it is, never the value."""


def array_of_objects(values: Any, is_null: Callable[[Any], Any]) -> pa.Array:
    """Write each value as JSON text; one that cannot be is a text that begins with UNFIT and says why."""
    return pa.array([_text_of(value, is_null) for value in values], pa.string())


def array_of_nested(values: pa.Array) -> pa.Array:
    """Write each value of a nested Arrow array as JSON text, as :func:`array_of_objects` does."""
    return pa.array([_text_of(value, _is_none) for value in values.to_pylist(maps_as_pydicts="strict")], pa.string())


def _is_none(value: Any) -> bool:
    return value is None


def _text_of(value: Any, is_null: Callable[[Any], Any]) -> str | None:
    if value is None or (not isinstance(value, str | list | tuple | dict) and is_null(value) is True):
        return None
    try:
        return to_json(_plain(value))
    except Unfit as unfit:
        return UNFIT + str(unfit)
    except (TypeError, ValueError, RecursionError):
        return UNFIT + f"is a {type(value).__name__}, which JSON has no form for"


def _plain(value: Any) -> Any:  # noqa: C901, PLR0911 - a branch for each kind
    match value:
        case None | bool() | int():
            return value
        case str():
            return _whole(value)
        case float():
            # NaN is no number: it stands for a value that is not there.
            if math.isinf(value):
                raise Unfit("holds an infinite number")
            return None if math.isnan(value) else value
        case Decimal():
            return _decimal(value)
        case datetime() | date():
            return _time(value)
        case Mapping():
            return {_key(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case bytes():
            raise Unfit("holds bytes; write them as text, such as base64")
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return _plain(value.item())
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    raise Unfit(f"is a {type(value).__name__}, which JSON has no form for")


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unfit("holds half a character (a lone surrogate)") from None
    return text


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise Unfit("has a key that is no text")
    return str(_plain(key))


def _decimal(value: Decimal) -> int | float:
    if not value.is_finite():
        raise Unfit("holds a decimal that is no number")
    if value == value.to_integral_value():
        return int(value)
    if Decimal(repr(float(value))) != value:
        raise Unfit("holds a decimal with more digits than a number keeps")
    return float(value)


def _time(value: date) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.microsecond % 1000:
        raise Unfit("holds a time with more than milliseconds")
    return format_time(value if value.tzinfo else value.replace(tzinfo=UTC))
