"""JSON for nested columns: texts that are JSON already, and the lists, structs and maps of Arrow."""

from typing import Any

import msgspec
import pyarrow as pa

from cargo_source.pull.wire import to_json
from cargo_source.push.objects import Unfit, plain

NO_JSON = "is no JSON; write a text in quotes, as '\"text\"'"
DEEP = "is nested too deeply"
DEEPEST = 200
"""How many lists and objects may lie in one another: what reads JSON gives up at some depth."""
SHAPES: dict[str, tuple[type, str]] = {"object": (dict, "object"), "array": (list, "array"), "vector": (list, "array")}
"""What columns of these types take of JSON, and what it is called."""


def checked(text: str, cargo: str) -> str | None:
    """Check a JSON text and give it as it stands: read and written again, its numbers might be others."""
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        raise Unfit(DEEP) from None
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise Unfit(NO_JSON) from None
    if value is None:
        return None
    # With so few brackets it cannot be deep, and no walk has to show it.
    _check(value, cargo, is_shallow=text.count("{") + text.count("[") <= DEEPEST)
    return text.strip()


def _check(value: Any, cargo: str, *, is_shallow: bool = False) -> None:
    if not (is_shallow or _is_shallow(value, DEEPEST)):
        raise Unfit(DEEP)
    if cargo in SHAPES and not isinstance(value, SHAPES[cargo][0]):
        raise Unfit(f"is no {SHAPES[cargo][1]}, which the column takes")
    if cargo == "vector" and not all(type(each) in {int, float} for each in value):
        raise Unfit("is no list of numbers, which the column takes")


def _is_shallow(value: Any, left: int) -> bool:
    if isinstance(value, dict):
        return left > 0 and all(_is_shallow(each, left - 1) for each in value.values())
    if isinstance(value, list):
        return left > 0 and all(_is_shallow(each, left - 1) for each in value)
    return True


def written(value: Any, cargo: str) -> str:
    """Write a value that :func:`python_values` gave as JSON text. Raises Unfit."""
    if isinstance(value, Unfit):
        raise value
    found = plain(value)
    _check(found, cargo)
    return to_json(found)


def python_values(array: pa.Array) -> list[Any]:
    """Give Python's values, and Unfit for one that Python has nothing like: a time of the year 10000, say."""
    failures = (ValueError, KeyError, ArithmeticError)
    try:
        found: list[Any] = array.to_pylist(maps_as_pydicts="strict")
    except failures:
        found = []
        for scalar in array:
            try:
                found.append(scalar.as_py(maps_as_pydicts="strict"))
            except failures:
                found.append(Unfit("holds a key twice, or a time that is finer or further than Python has"))
    return found
