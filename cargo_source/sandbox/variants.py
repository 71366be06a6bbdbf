"""Shapes of values that come in several kinds: objects that say of which kind they are, and values that may be null."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.shapes import Field, one_of, required, structure

if TYPE_CHECKING:
    from cargo_source.sandbox.shapes import Fields, Issue, Path


def nullable(field: Field) -> Field:
    """Take null, or else what another field takes."""

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        return None if value is None else field.check(value, path, issues)

    return Field(check)


def tagged(tag: str, kinds: dict[str, Fields]) -> Field:
    """Take an object whose key `tag` says of which kind it is, with the fields of that kind and no others."""
    shapes = {kind: structure({tag: required(one_of(kind)), **fields}) for kind, fields in kinds.items()}
    untold = structure({tag: required(one_of(*kinds))})

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        kind = value.get(tag) if isinstance(value, dict) else None
        return shapes.get(kind if isinstance(kind, str) else "", untold).check(value, path, issues)

    return Field(check)


def number() -> Field:
    """Take any number."""

    def check(value: Any, path: Path, issues: list[Issue]) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            issues.append({"code": "invalid_type", "expected": "number", "path": list(path), "message": "Not a number"})
        return value

    return Field(check)
