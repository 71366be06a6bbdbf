"""A segment's filter, checked before it is sent: what the platform does not understand it drops without a word.

A misspelt key, a kind that does not fit the type of its column, ``value`` where ``values`` is due: each gives an empty
or an unfiltered answer with status 200 (contract sheet, section 9). Conditions are named by their place, never by
what they compare with.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cargo_source.errors import StopAndLook, suggest

Types = Mapping[str, str]
"""Columns of a model, by their name in rows and by slug, and their types."""

META = {"_id": "string", "_title": "string", "_time": "date", "_emitted_at": "date", "_ingest_id": "string"}
_STATE = frozenset({"isNull", "isNotNull"})
_EMPTY = frozenset({"isEmpty", "isNotEmpty"})
_MATCH = frozenset({"is", "isNot", "contains", "doesNotContain", "startsWith", "endsWith"})
_ORDER = frozenset({"is", "isNot", "greaterThan", "lowerThan"})
_SIGNS = frozenset({"moreThan", "lessThan", "exactly"})

OPERATORS: dict[str, frozenset[str]] = {
    "string": _MATCH | _STATE | _EMPTY,
    "number": _ORDER | _STATE | {"between"},
    "date": _ORDER | _STATE | {"between"},
    "boolean": _STATE | {"isTrue", "isFalse"},
    "object": _STATE | {"matchConditions"},
    "array": _STATE | {"matchConditions"},
    "vector": _STATE,
    "any": _STATE,
    "objectProperty": _MATCH | _STATE | _EMPTY | {"greaterThan", "lowerThan", "between"},
}
"""What each kind of condition on a column understands."""


@dataclass(frozen=True)
class Filters:
    """Checks filters over one model. ``types_of`` gives the columns of another, None for one that is not there."""

    types: Types
    types_of: Callable[[str], Types | None] = lambda _uuid: None

    def check(self, what: str, tree: Any) -> None:
        """Raise StopAndLook, which names the first condition that would be dropped."""
        if problem := self._filter(tree):
            raise StopAndLook(f"{what}: its filter would give wrong rows: {problem}; correct the segment in Cargo")

    def _filter(self, tree: Any) -> str | None:
        if not isinstance(tree, Mapping):
            return "it is no object"
        if problem := _keys(tree, {"conjonction", "groups"}) or _join(tree):
            return problem
        if not isinstance(tree.get("groups"), list):
            return "it has no list 'groups'"
        return _first(
            f"group {place}: {problem}" for place, each in _numbered(tree["groups"]) if (problem := self._group(each))
        )

    def _group(self, group: Any) -> str | None:
        if not isinstance(group, Mapping):
            return "it is no object"
        if problem := _keys(group, {"conjonction", "conditions"}) or _join(group):
            return problem
        if not isinstance(group.get("conditions"), list) or not group["conditions"]:
            return "it has no conditions"
        return self._conditions(group["conditions"])

    def _conditions(self, conditions: list[Any]) -> str | None:
        return _first(
            f"condition {place}: {problem}"
            for place, each in _numbered(conditions)
            if (problem := self._condition(each) if isinstance(each, Mapping) else "it is no object")
        )

    def _condition(self, condition: Mapping[str, Any]) -> str | None:
        kind = condition.get("kind")
        match kind:
            case "segment":
                known = isinstance(condition.get("segmentUuid"), str) and condition.get("operator") in {"in", "notIn"}
                return None if known else "a segment condition needs 'segmentUuid' and the operator in or notIn"
            case "occurrence":
                return self._occurrence(condition)
            case "enrollment":
                named = all(isinstance(condition.get(name), str) for name in ("workflowUuid", "activityKind"))
                return _frequency(condition) if named else "it needs 'workflowUuid' and 'activityKind'"
            case "sql":
                return None if isinstance(condition.get("clause"), str) else "it needs a text 'clause'"
        if kind not in OPERATORS:
            return f"its kind {_told(kind)} is not known{suggest(str(kind), OPERATORS)}"
        return self._column(condition, str(kind))

    def _occurrence(self, condition: Mapping[str, Any]) -> str | None:
        types = self.types_of(str(condition.get("relatedModelUuid")))
        if types is None:
            return "the model of 'relatedModelUuid' is not there"
        if not isinstance(condition.get("conditions"), list):
            return "it has no list 'conditions'"
        inner = Filters(types, self.types_of)
        return _frequency(condition) or inner._conditions(condition["conditions"])

    def _column(self, condition: Mapping[str, Any], kind: str) -> str | None:
        related = condition.get("relatedModelUuid")
        types = self.types if related is None else self.types_of(str(related))
        if types is None:
            return "the model of 'relatedModelUuid' is not there"
        slug = condition.get("columnSlug")
        if not isinstance(slug, str):
            return "it has no 'columnSlug'"
        if slug not in types:
            return f"there is no column {slug!r}{suggest(slug, types)}"
        fits = types[slug] in {"object", "array"} if kind == "objectProperty" else types[slug] == kind
        if not fits:
            return f"column {slug!r} is of type {types[slug]}, the condition of kind {kind}"
        problem = _property(condition) if kind == "objectProperty" else _operand(condition, kind)
        return f"column {slug!r}: {problem}" if problem else None


def _operand(condition: Mapping[str, Any], kind: str) -> str | None:
    operator = condition.get("operator")
    if operator not in OPERATORS[kind]:
        return f"the operator {_told(operator)} is not known for {kind}{suggest(str(operator), OPERATORS[kind])}"
    if operator == "matchConditions":
        properties = condition.get("propertyConditions")
        if not isinstance(properties, list) or not properties:
            return "it needs a list 'propertyConditions'"
        return _join(condition) or _first(
            f"property {place}: {problem}"
            for place, each in _numbered(properties)
            if (problem := _property(each) if isinstance(each, Mapping) else "it is no object")
        )
    if operator in _MATCH and kind == "string":
        values = condition.get("values")
        texts = [values] if isinstance(values, str) else values
        known = isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts)
        return None if known else f"{operator} needs 'values', a text or a list of texts"
    if operator == "between":
        return _first(_scalar(condition, name, kind) for name in ("firstValue", "lastValue"))
    return _scalar(condition, "value", kind) if operator in _ORDER else None


def _scalar(condition: Mapping[str, Any], name: str, kind: str) -> str | None:
    value = condition.get(name)
    if kind == "date":
        return None if isinstance(value, str) else f"it needs '{name}', a time as text"
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return None if known else f"it needs '{name}', a number"


def _property(condition: Mapping[str, Any]) -> str | None:
    operator = condition.get("operator")
    if condition.get("kind") != "objectProperty" or not isinstance(condition.get("propertyName"), str):
        return "it needs the kind objectProperty and a text 'propertyName'"
    if operator not in OPERATORS["objectProperty"]:
        return f"the operator {_told(operator)} is not known{suggest(str(operator), OPERATORS['objectProperty'])}"
    needed = () if operator in _STATE | _EMPTY else ("value", "otherValue") if operator == "between" else ("value",)
    return _first(f"it needs '{name}', a text" for name in needed if not isinstance(condition.get(name), str))


def _frequency(condition: Mapping[str, Any]) -> str | None:
    frequency = condition.get("frequency")
    operator = frequency.get("operator") if isinstance(frequency, Mapping) else None
    counted = isinstance(frequency, Mapping) and isinstance(frequency.get("value"), int | float)
    return None if operator == "not" or (operator in _SIGNS and counted) else "its 'frequency' is not known"


def _join(tree: Mapping[str, Any]) -> str | None:
    return None if tree.get("conjonction") in {"and", "or"} else "'conjonction' has to be 'and' or 'or'"


def _keys(tree: Mapping[str, Any], known: set[str]) -> str | None:
    return _first(f"the key {_told(key)} is not known{suggest(str(key), known)}" for key in tree if key not in known)


def _told(word: object) -> str:
    """Quote a word of the filter's language; anything longer may be a value."""
    return repr(word) if isinstance(word, str) and len(word) <= 40 else "that it has"


def _numbered(items: list[Any]) -> Iterable[tuple[int, Any]]:
    return enumerate(items, 1)


def _first(problems: Iterable[str | None]) -> str | None:
    return next((problem for problem in problems if problem), None)
