"""Conditions on one column as DuckDB SQL.

Where the contract is silent a condition is read as a warehouse would: texts are compared with case, and an empty cell
passes no test but the one for emptiness. Operands of properties are always sent as texts: one that is a number is
compared as such. What is told here is whether a cell passes; NULL stands for no.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from cargo_source.pull import sql
from cargo_source.pull.times import parse_time

Condition = Mapping[str, Any]
Test = str | None
"""SQL, or None where it cannot be said what the condition asks."""

_SIGNS = {"is": "=", "isNot": "<>", "greaterThan": ">", "lowerThan": "<"}
_FUNCTIONS = {
    "contains": "contains",
    "doesNotContain": "contains",
    "startsWith": "starts_with",
    "endsWith": "suffix",
}
_STATES = {"isNull": "{0} IS NULL", "isNotNull": "{0} IS NOT NULL", "isEmpty": "{0} = ''", "isNotEmpty": "{0} <> ''"}
_NESTED = frozenset({"object", "array", "vector", "any"})


def column_test(condition: Condition, cell: str, of_type: str) -> Test:
    """Give the test of a condition, which fits the type of its column, on the SQL of a cell."""
    if of_type in _NESTED:
        # A pull gives nested cells as JSON texts.
        cell = f"nullif({cell}, 'null')"
    kind, operator = condition["kind"], condition["operator"]
    if kind == "objectProperty":
        return _properties([condition], "and", cell, of_type)
    if operator in _STATES:
        return f"({_STATES[operator].format(cell)})"
    match kind:
        case "string":
            values = condition["values"]
            return _texts(operator, cell, [values] if isinstance(values, str) else values)
        case "boolean":
            return f"({cell} = {'TRUE' if operator == 'isTrue' else 'FALSE'})"
        case "number":
            return _ordered(condition, cell, _number)
        case "date":
            return _ordered(condition, cell, _moment)
        case "object" | "array":
            return _properties(condition["propertyConditions"], condition["conjonction"], cell, of_type)
    return None


def moments(condition: Condition) -> list[datetime | None]:
    """Give the times that a condition on a date compares with; None is one that cannot be read."""
    return [_read(condition[name]) for name in ("value", "firstValue", "lastValue") if condition.get(name) is not None]


def joined(tests: list[Test], conjonction: object) -> Test:
    """Join tests by a filter's own word; None where one of them cannot be told."""
    kept = [test for test in tests if test is not None]
    return f"({(' OR ' if conjonction == 'or' else ' AND ').join(kept)})" if kept and len(kept) == len(tests) else None


def _texts(operator: str, cell: str, values: list[str]) -> Test:
    texts = [_text(value) for value in values]
    known = [text for text in texts if text is not None]
    if len(known) < len(texts):
        return None
    if operator in {"is", "isNot"}:
        return f"({cell} {'NOT ' if operator == 'isNot' else ''}IN ({', '.join(known)}))"
    anyone = " OR ".join(f"{_FUNCTIONS[operator]}({cell}, {text})" for text in known)
    return f"(NOT ({anyone}))" if operator == "doesNotContain" else f"({anyone})"


def _ordered(condition: Condition, cell: str, literal: Callable[[Any], str | None]) -> Test:
    if condition["operator"] == "between":
        first, last = literal(condition["firstValue"]), literal(condition["lastValue"])
        return f"({cell} BETWEEN {first} AND {last})" if first and last else None
    value = literal(condition["value"])
    return f"({cell} {_SIGNS[condition['operator']]} {value})" if value else None


def _properties(conditions: list[Any], conjonction: object, cell: str, of_type: str) -> Test:
    """Test the properties of an object, or those of any one item of an array."""
    item = f"TRY_CAST({cell} AS JSON)" if of_type == "object" else "item"
    tests = joined([_property(each, item) for each in conditions], conjonction)
    if tests is None or of_type == "object":
        return tests
    items = f"TRY_CAST(TRY_CAST({cell} AS JSON) AS JSON[])"
    return f"list_bool_or(list_transform({items}, lambda item: coalesce({tests}, FALSE)))"


def _property(condition: Condition, item: str) -> Test:
    operator, pointer = condition["operator"], condition["propertyName"].replace("~", "~0").replace("/", "~1")
    path = _text(f"/{pointer}")
    if path is None:
        return None
    cell = f"json_extract_string({item}, {path})"
    if operator in _STATES:
        return f"({_STATES[operator].format(cell)})"
    if operator == "between":
        return joined([_beside(cell, ">=", condition["value"]), _beside(cell, "<=", condition["otherValue"])], "and")
    if operator in {"greaterThan", "lowerThan"}:
        return _beside(cell, _SIGNS[operator], condition["value"])
    return _texts(operator, cell, [condition["value"]])


def _beside(cell: str, sign: str, value: str) -> Test:
    try:
        return f"(TRY_CAST({cell} AS DOUBLE) {sign} {_number(float(value))})"
    except ValueError:
        text = _text(value)
        return f"({cell} {sign} {text})" if text else None


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"CAST('{value!r}' AS DOUBLE)"


def _moment(value: str) -> str | None:
    moment = _read(value)
    return f"TIMESTAMPTZ '{moment.isoformat()}'" if moment else None


def _read(value: object) -> datetime | None:
    try:
        return parse_time(str(value))
    except ValueError:
        return None


def _text(value: str) -> str | None:
    """Quote a text; None is one that DuckDB cannot be asked about."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return None if "\0" in value else sql.text(value)
