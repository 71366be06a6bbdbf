"""JSON for nested columns: texts that are JSON already, and the lists, structs and maps of Arrow."""

import secrets
from collections.abc import Sequence
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


AT_ONCE = 4096
"""Texts that are read at once: what is made of them is in memory."""


def are_all(texts: Sequence[str | None], cargo: str) -> bool:
    """Whether texts are surely what :func:`checked` would take, but for the spaces around them.

    They are read as one list, which takes a fifth of the time. Between each two of them stands a word that none of them
    can hold: where all words come out at their places, nothing that is open in one text is closed by another.
    """
    given = [text for text in texts if text is not None]
    if not given:
        return True
    word = secrets.token_hex(16)
    try:
        between = f',"{word}",'
        found = msgspec.json.decode(f"[{between.join(given)}]")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    kind = SHAPES[cargo][0] if cargo in SHAPES else object
    return (
        cargo != "vector"
        and len(found) == 2 * len(given) - 1
        and all(each == word for each in found[1::2])
        and all(value is not None and isinstance(value, kind) for value in found[::2])
        and all(len(text) <= DEEPEST or text.count("{") + text.count("[") <= DEEPEST for text in given)
    )


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
