"""What a request may carry: strict shapes for bodies and query strings, and the issues they give when broken.

An issue has a `code`, a `path` and a `message`; a refused request gets the serialised list of its issues.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cargo_source.sandbox.moments import DATE_TIME, iso

Path = tuple[str | int, ...]
Issue = dict[str, Any]
Check = Callable[[Any, Path, list[Issue]], Any]

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
LARGEST_INTEGER = 9_007_199_254_740_991
"""The largest integer that a JSON client is sure to keep; the documented bound of `offset`."""


def _as_sent(text: str) -> Any:
    return text


@dataclass(frozen=True)
class Field:
    """One key of a body or query: how to check its value, and how to read it from a query string."""

    check: Check
    required: bool = False
    from_text: Callable[[str], Any] = _as_sent
    many: bool = False


Fields = dict[str, Field]


def required(field: Field) -> Field:
    """Give the same field as one that must be sent."""
    return Field(field.check, required=True, from_text=field.from_text, many=field.many)


def read_body(value: Any, fields: Fields) -> tuple[dict[str, Any], list[Issue]]:
    """Check a JSON body; unknown keys are refused."""
    issues: list[Issue] = []
    return _object(value, fields, (), issues), issues


def read_query(pairs: list[tuple[str, str]], fields: Fields) -> tuple[dict[str, Any], list[Issue]]:
    """Check a query string; lists come as `name[]=a&name[]=b`, a scalar may come once."""
    names = {f"{name}[]" if field.many else name: name for name, field in fields.items()}
    sent: dict[str, Any] = {}
    for key, text in pairs:
        field = fields.get(names.get(key, ""))
        if field is None:
            sent[key] = text
        elif field.many:
            sent.setdefault(names[key], []).append(text)
        else:
            sent[key] = [sent[key], text] if key in sent else field.from_text(text)
    return read_body(sent, fields)


def _object(value: Any, fields: Fields, path: Path, issues: list[Issue]) -> dict[str, Any]:
    if not isinstance(value, dict):
        issues.append(_wrong_type("object", value, path))
        return {}
    unknown = [key for key in value if key not in fields]
    if unknown:
        listed = ", ".join(f"'{key}'" for key in unknown)
        message = f"Unrecognized key(s) in object: {listed}"
        issues.append({"code": "unrecognized_keys", "keys": unknown, "path": list(path), "message": message})
    return {
        name: field.check(value.get(name), (*path, name), issues)
        for name, field in fields.items()
        if name in value or _is_missing(name, field, path, issues)
    }


def _is_missing(name: str, field: Field, path: Path, issues: list[Issue]) -> bool:
    if field.required:
        missing = {"code": "invalid_type", "received": "undefined", "message": "Required"}
        issues.append({**missing, "path": [*path, name]})
    return False


def _wrong_type(expected: str, value: Any, path: Path) -> Issue:
    received = _type_name(value)
    message = f"Expected {expected}, received {received}"
    code = "invalid_type"
    return {"code": code, "expected": expected, "received": received, "path": list(path), "message": message}


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", str: "string", dict: "object", list: "array"}
    return names.get(type(value), "number")


def text(*, pattern: re.Pattern[str] | None = None, called: str = "", least: int = 0) -> Field:
    """Take a text, of a pattern if one is given, and of so many characters at least."""

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        if not isinstance(value, str):
            issues.append(_wrong_type("string", value, path))
        elif pattern and not pattern.fullmatch(value):
            broken = {"code": "invalid_string", "validation": called, "message": f"Invalid {called}"}
            issues.append({**broken, "path": list(path)})
        elif len(value) < least:
            message = f"String must contain at least {least} character(s)"
            issues.append({"code": "too_small", "minimum": least, "path": list(path), "message": message})
        return value

    return Field(check)


def uuid() -> Field:
    """Take a version 4 uuid, the only one that the reference allows in requests."""
    inner = text(pattern=UUID4, called="uuid").check

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        inner(value, path, issues)
        return value.lower() if isinstance(value, str) else value

    return Field(check)


def moment() -> Field:
    """Take an ISO 8601 time with a zone; gives the wire's own form, rounded up to the next millisecond.

    With one fixed form, times compare as texts; rounded up, `>=` and `<` on milliseconds hold for finer times.
    """

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        found = _moment(value) if isinstance(value, str) and DATE_TIME.fullmatch(value) else None
        if found is None:
            broken = {"code": "invalid_string", "validation": "datetime", "message": "Invalid datetime"}
            issues.append({**broken, "path": list(path)})
        return found

    return Field(check)


def _moment(value: str) -> str | None:
    try:
        found = datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return iso(-((datetime(1970, 1, 1, tzinfo=UTC) - found) // timedelta(milliseconds=1)))


def day() -> Field:
    """Take a day as YYYY-MM-DD."""

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        if not isinstance(value, str) or not _is_day(value):
            broken = {"code": "invalid_string", "validation": "date", "message": "Invalid date"}
            issues.append({**broken, "path": list(path)})
        return value

    return Field(check)


def _is_day(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def integer(least: int, most: int | None = None) -> Field:
    """Take an integer within bounds, both included; where no upper one is documented, larger ones are cut."""

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            issues.append(_wrong_type("integer", value, path))
        elif value < least:
            message = f"Number must be greater than or equal to {least}"
            issues.append({"code": "too_small", "minimum": least, "path": list(path), "message": message})
        elif most is not None and value > most:
            message = f"Number must be less than or equal to {most}"
            issues.append({"code": "too_big", "maximum": most, "path": list(path), "message": message})
        else:
            return min(int(value), LARGEST_INTEGER)
        return value

    return Field(check, from_text=lambda text: int(text) if re.fullmatch(r"-?[0-9]{1,400}", text) else text)


def boolean() -> Field:
    """Take true or false."""

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        if not isinstance(value, bool):
            issues.append(_wrong_type("boolean", value, path))
        return value

    return Field(check, from_text=lambda text: {"true": True, "false": False}.get(text, text))


def one_of(*values: str) -> Field:
    """Take one of the values."""

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        if value not in values:
            listed = " | ".join(f"'{each}'" for each in values)
            message = f"Invalid enum value. Expected {listed}"
            issues.append({"code": "invalid_enum_value", "options": values, "path": list(path), "message": message})
        return value

    return Field(check)


def several(item: Field, *, least: int = 0, most: int | None = None) -> Field:
    """Take a list whose items each pass."""

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        if not isinstance(value, list):
            issues.append(_wrong_type("array", value, path))
            return value
        if len(value) < least:
            message = f"Array must contain at least {least} element(s)"
            issues.append({"code": "too_small", "minimum": least, "path": list(path), "message": message})
        if most is not None and len(value) > most:
            message = f"Array must contain at most {most} element(s)"
            issues.append({"code": "too_big", "maximum": most, "path": list(path), "message": message})
        return [item.check(each, (*path, place), issues) for place, each in enumerate(value)]

    return Field(check, many=True)


def one_or_several(item: Field, *, least: int, most: int) -> Field:
    """Take one item, or a list of some."""
    many = several(item, least=least, most=most)

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        return (many if isinstance(value, list) else item).check(value, path, issues)

    return Field(check)


def structure(fields: Fields) -> Field:
    """Take an object with these fields and no others."""

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        return _object(value, fields, path, issues)

    return Field(check)


def loose_object() -> Field:
    """Take any object: what is inside is read later, and leniently."""

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        if not isinstance(value, dict):
            issues.append(_wrong_type("object", value, path))
        return value

    return Field(check)
