"""SQL for one filter condition on one column (contract: filter syntax, the table of kinds).

Nothing here knows of tables or of the workspace. A condition that does not fit gives None, because Cargo
drops it without a word: a kind that is not the column's type, `value` where `values` is due, an operand of
the wrong type.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Condition = dict[str, Any]

PROPERTY_KINDS = frozenset({"object", "array"})


def text_literal(value: str) -> str:
    """Quote a text for SQL; DuckDB's parser ends a literal at a NUL, so that one is spelled out."""
    literal = "'" + value.replace("'", "''") + "'"
    return "(" + literal.replace("\0", "' || chr(0) || '") + ")" if "\0" in value else literal


def column_condition(condition: Condition, sql: str, column_type: str) -> str | None:
    """Give the boolean SQL of a condition on the column expression `sql`, or None if Cargo would drop it."""
    kind = condition.get("kind")
    if kind == "objectProperty":
        return _on_properties([condition], "and", sql, column_type)
    if kind != column_type or kind not in _BY_KIND:
        return None
    operator = condition.get("operator")
    if operator == "isNull":
        return f"({sql} IS NULL)"
    if operator == "isNotNull":
        return f"({sql} IS NOT NULL)"
    return _BY_KIND[kind](condition, sql)


def joined(parts: list[str | None], conjonction: object) -> str | None:
    """Join what is left of the parts; without the documented key Cargo falls back to `and`."""
    kept = [part for part in parts if part]
    if not kept:
        return None
    return "(" + (" OR " if conjonction == "or" else " AND ").join(kept) + ")"


def _string(condition: Condition, sql: str) -> str | None:
    operator = condition.get("operator")
    if operator == "isEmpty":
        return f"({sql} = '')"
    if operator == "isNotEmpty":
        return f"({sql} <> '')"
    values = condition.get("values")
    values = [values] if isinstance(values, str) else values
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return None
    return _texts(operator, sql, values)


def _texts(operator: object, sql: str, values: list[str]) -> str | None:
    """Match any of the values, or none of them for the negative operators; a null matches neither way."""
    if operator in _NEGATIVE:
        anyone = _texts(_NEGATIVE[str(operator)], sql, values)
        return f"(NOT {anyone})"
    if operator not in _TEXT_TEST:
        return None
    test = _TEXT_TEST[str(operator)]
    tests = [test.format(sql=sql, value=text_literal(value)) for value in values]
    nothing = f"({sql} IS NULL AND NULL)"  # false, but unknown for a null, so that its negation keeps nulls out
    return f"({' OR '.join(tests)})" if tests else nothing


_NEGATIVE = {"isNot": "is", "doesNotContain": "contains"}
_TEXT_TEST = {
    "is": "{sql} = {value}",
    "contains": "contains({sql}, {value})",
    "startsWith": "starts_with({sql}, {value})",
    "endsWith": "ends_with({sql}, {value})",
}
_COMPARISON = {"is": "=", "isNot": "<>", "greaterThan": ">", "lowerThan": "<"}


def _compared(condition: Condition, sql: str, literal: Callable[[object], str | None]) -> str | None:
    operator = condition.get("operator")
    if operator == "between":
        first, last = literal(condition.get("firstValue")), literal(condition.get("lastValue"))
        return f"({sql} BETWEEN {first} AND {last})" if first and last else None
    value = literal(condition.get("value"))
    if value is None or operator not in _COMPARISON:
        return None
    return f"({sql} {_COMPARISON[str(operator)]} {value})"


def _number_literal(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(value) if isinstance(value, int) else f"CAST('{value!r}' AS DOUBLE)"


def _date_literal(value: object) -> str | None:
    moment = moment_from(value)
    return None if moment is None else f"TIMESTAMPTZ '{moment.astimezone(UTC).isoformat()}'"


def moment_from(value: object) -> datetime | None:
    """Read an ISO 8601 text; one without a zone is UTC. None if it is no date."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _number(condition: Condition, sql: str) -> str | None:
    return _compared(condition, sql, _number_literal)


def _date(condition: Condition, sql: str) -> str | None:
    return _compared(condition, sql, _date_literal)


def _boolean(condition: Condition, sql: str) -> str | None:
    wanted = {"isTrue": "TRUE", "isFalse": "FALSE"}.get(str(condition.get("operator")))
    return f"({sql} = {wanted})" if wanted else None


def _matching(condition: Condition, sql: str) -> str | None:
    properties = condition.get("propertyConditions")
    if condition.get("operator") != "matchConditions" or not isinstance(properties, list):
        return None
    return _on_properties(properties, condition.get("conjonction"), sql, str(condition["kind"]))


def _nothing(_condition: Condition, _sql: str) -> str | None:
    return None


def _on_properties(properties: list[Any], conjonction: object, sql: str, column_type: str) -> str | None:
    """Test properties of an object, or of any one element of an array."""
    if column_type not in PROPERTY_KINDS:
        return None
    item = sql if column_type == "object" else "item"
    tests = joined([_property(each, item) for each in properties if isinstance(each, dict)], conjonction)
    if tests is None or column_type == "object":
        return tests
    return f"(list_bool_or(list_transform(TRY_CAST({sql} AS JSON[]), lambda item: {tests})))"


def _property(condition: Condition, sql: str) -> str | None:
    name, operator = condition.get("propertyName"), condition.get("operator")
    if not isinstance(name, str) or condition.get("kind") != "objectProperty":
        return None
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    text = f"json_extract_string({sql}, {text_literal(pointer)})"
    if operator in _PROPERTY_STATE:
        return _PROPERTY_STATE[str(operator)].format(text=text)
    value, other = condition.get("value"), condition.get("otherValue")
    if not isinstance(value, str):
        return None
    if operator == "between":
        return _property_between(text, value, other) if isinstance(other, str) else None
    if operator in {"greaterThan", "lowerThan"}:
        return _property_order(text, ">" if operator == "greaterThan" else "<", value)
    return _texts(operator, text, [value])


_PROPERTY_STATE = {
    "isNull": "({text} IS NULL)",
    "isNotNull": "({text} IS NOT NULL)",
    "isEmpty": "({text} = '')",
    "isNotEmpty": "({text} <> '')",
}


def _property_order(text: str, sign: str, value: str) -> str:
    """Compare as numbers if the operand is one, else as texts: property operands are always sent as texts."""
    try:
        number = float(value)
    except ValueError:
        return f"({text} {sign} {text_literal(value)})"
    return f"(TRY_CAST({text} AS DOUBLE) {sign} CAST('{number!r}' AS DOUBLE))"


def _property_between(text: str, value: str, other: str) -> str:
    return f"({_property_order(text, '>=', value)} AND {_property_order(text, '<=', other)})"


_BY_KIND: dict[str, Callable[[Condition, str], str | None]] = {
    "string": _string,
    "number": _number,
    "date": _date,
    "boolean": _boolean,
    "object": _matching,
    "array": _matching,
    "vector": _nothing,
    "any": _nothing,
}
