"""What a push has to make of a cell, said once more in plain Python: the value that is sent, or a refusal.

Values are as somebody would say them: None, numbers, texts, moments, lists, dicts, and Bad for what Cargo has nothing
like.
"""

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache

import duckdb

from cargo_source.catalog.columns import Column
from cargo_source.errors import BadSettings, FixTheData
from cargo_source.push.cells import JSON_TEXT
from cargo_source.push.door import incoming
from cargo_source.push.staging import stage, taken
from cargo_source.push.target import Mapped

TARGETS = [
    ("text", "string"),
    ("integer", "number"),
    ("number", "number"),
    ("decimal", "number"),
    ("boolean", "boolean"),
    ("timestamp", "date"),
    ("json", "object"),
    ("json", "array"),
    ("json", "vector"),
    ("json", "any"),
]
"""How a pull types a model's column, and what Cargo calls its type."""


@dataclass(frozen=True)
class Moment:
    """A moment, in ticks of a part of a second since 1970."""

    ticks: int
    per_second: int


@dataclass(frozen=True)
class Bad:
    """What Cargo has nothing like; it is called so that an error that quotes it can be told."""

    name: str = ""


@dataclass(frozen=True)
class Refused:
    """A row that is refused; ``whole`` says that its column is, whatever it holds."""

    reason: str = ""
    whole: bool = False

    def __eq__(self, other):
        return isinstance(other, Refused)

    __hash__ = None


REFUSED = Refused()


def pushed(data, target, cargo, *, nulls="write", database=None):
    """Bring a source in as a push does, and give what would be sent of its column ``c``, row by row."""
    mapped = Mapped("slug", cargo, Column("slug", "slug", target, "a column"))
    db = database_of_ours()
    try:
        came = incoming(data, database)
        columns = taken(came, {"c": mapped})
        stage(db, came, columns, nulls, lambda rows: None)
    except (FixTheData, BadSettings) as error:
        text = str(error)
        assert "\n" not in text
        assert len(text) > 30
        return Refused(text, whole=True)
    cell = JSON_TEXT[target].format("v0")
    rows = db.execute(f"SELECT row, {cell}, bad_column, bad_reason FROM source ORDER BY row").fetchall()
    assert [place for place, *_ in rows] == [*range(len(rows))]
    assert all((column is None) == (reason is None) and column in {None, "slug"} for *_, column, reason in rows)
    return [text if reason is None else Refused(reason) for _, text, _, reason in rows]


@cache
def _database():
    db = duckdb.connect(config={"threads": 1})
    db.execute("SET TimeZone = 'UTC'")
    return db


def database_of_ours():
    """Give a database without the rows of before."""
    db = _database()
    db.execute("DROP TABLE IF EXISTS source")
    return db


def said(cell):
    """Give a cell that is sent as Python reads it."""
    if cell is None or isinstance(cell, Refused):
        return cell
    return json.loads(cell, parse_constant=no_json)


def no_json(word):
    raise AssertionError(f"{word} is no JSON")


def same(one, other):
    """Say whether two values are the same and of the same kind; a double may be spelled as an integer."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def wanted(value, target, cargo):
    """Say what is to be sent for a value: the value as JSON has it, None, or REFUSED."""
    if _is_null(value):
        return None
    if target in _NUMBERS and isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _NUMBERS[target](value)
    match target, value:
        case ("text", str()) if _is_text(value):
            return value
        case "boolean", bool():
            return value
        case "timestamp", Moment():
            return _iso(value)
        case "timestamp", str():
            return _read_time(value)
        case "json", _:
            return _json(value, cargo)
    return REFUSED


def _is_null(value):
    return value is None or (isinstance(value, float | Decimal) and math.isnan(value))


def _is_text(text):
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _integer(value):
    if not math.isfinite(value) or Fraction(value).denominator != 1:
        return REFUSED
    return int(value) if -(2**63) <= int(value) < 2**63 else REFUSED


def _number(value):
    if not math.isfinite(value) or abs(value) > 1.8e308:
        return REFUSED
    near = float(value)
    exact = Fraction(near) == Fraction(value) or (isinstance(value, Decimal) and Decimal(repr(near)) == value)
    return near if exact else REFUSED


def _decimal(value):
    if not math.isfinite(value):
        return REFUSED
    parts = Fraction(Decimal(repr(value))) if isinstance(value, float) else Fraction(value)
    fits = (parts * 10**9).denominator == 1 and abs(parts) < 10**29
    return float(parts) if fits else REFUSED


_NUMBERS = {"integer": _integer, "number": _number, "decimal": _decimal}
FIRST, LAST = (
    int((datetime(year, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) for year in (1, 9999)
)
AFTER = LAST + 365 * 86_400
"""The seconds of the years 1 and 9999, and of the year that no calendar has."""


def _iso(moment):
    seconds = Fraction(moment.ticks, moment.per_second)
    if not FIRST <= seconds < AFTER or (seconds * 1000).denominator != 1:
        return REFUSED
    found = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(seconds * 1000))
    return found.strftime("%Y").zfill(4) + found.strftime("-%m-%dT%H:%M:%S.") + f"{found.microsecond // 1000:03}Z"


TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:(Z)|([+-])(\d\d)(?::?(\d\d))?)?)?",
    re.ASCII,
)


def _read_time(text):
    found = TIME.fullmatch(text)
    if not found:
        return REFUSED
    year, month, day, hour, minute, second, part, _, sign, away, more = found.groups()
    away, more = int(away or 0), int(more or 0)
    try:
        moment = datetime(*(int(each or 0) for each in (year, month, day, hour, minute, second)), tzinfo=UTC)
    except ValueError:
        return REFUSED
    if away > 23 or more > 59:
        return REFUSED
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    seconds -= (-1 if sign == "-" else 1) * (away * 3600 + more * 60)
    return _iso(Moment(seconds * 10**9 + int((part or "").ljust(9, "0")), 10**9))


class _Never(Exception):
    """A nested value that JSON has nothing like."""


def _json(value, cargo):
    if isinstance(value, Moment):
        return REFUSED
    try:
        found = _strict(value) if isinstance(value, str) else nested(value)
    except (_Never, ValueError):
        return REFUSED
    if found is None:
        return None
    shape = {"object": dict, "array": list, "vector": list}.get(cargo, object)
    if not isinstance(found, shape):
        return REFUSED
    numbers = cargo != "vector" or all(isinstance(each, int | float) and not isinstance(each, bool) for each in found)
    return found if numbers else REFUSED


def _strict(text):
    def never(_word):
        raise _Never

    def number(text):
        found = float(text)
        return found if math.isfinite(found) else never(text)

    if not _is_text(text) or text.startswith("[" * 201):
        raise _Never
    found = json.loads(text, parse_constant=never, parse_float=number)
    if not _is_text(json.dumps(found, ensure_ascii=False)):
        raise _Never
    return found


def nested(value):
    """Give a nested value as JSON has it."""
    if _is_null(value):
        return None
    match value:
        case dict():
            if not all(isinstance(name, str) and _is_text(name) for name in value):
                raise _Never
            return {name: nested(each) for name, each in value.items()}
        case list():
            return [nested(each) for each in value]
        case Moment():
            found = _iso(value)
        case bool() | int():
            found = value
        case str():
            found = value if _is_text(value) else REFUSED
        case Decimal() if math.isfinite(value) and Fraction(value).denominator == 1:
            found = int(value)
        case float() | Decimal():
            found = _number(value)
        case _:
            found = REFUSED
    if isinstance(found, Refused):
        raise _Never
    return found


def check(rows, values, target, cargo, *, column=None):
    """Hold what would be sent against what is wanted. ``column`` says whether the column has to be refused (or not)."""
    due = [wanted(value, target, cargo) for value in values]
    if isinstance(rows, Refused):
        # A column may be refused where none of its cells could be sent.
        assert column or (column is None and all(each is None or isinstance(each, Refused) for each in due)), (
            rows.reason
        )
        return
    assert not column, "a column that Cargo has nothing like was taken"
    found = [said(row) for row in rows]
    assert len(found) == len(due)
    wrong = [
        (place, one, other) for place, (one, other) in enumerate(zip(found, due, strict=True)) if not _alike(one, other)
    ]
    assert not wrong, wrong


def _alike(found, due):
    if isinstance(found, Refused) or isinstance(due, Refused):
        return isinstance(found, Refused) and isinstance(due, Refused)
    return same(found, due)


def quoted_in(rows, secret):
    """Say whether a value shows in a reason."""
    every = [rows] if isinstance(rows, Refused) else [row for row in rows if isinstance(row, Refused)]
    return any(secret in each.reason for each in every)
