"""What must not land: secrets by declared path, and settings that the platform itself encrypts."""

from collections.abc import Iterable, Mapping
from typing import Any


def without(row: dict[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """Give a copy of ``row`` that lacks what lies under ``paths``, such as ``mcpClients[].authentication``."""
    for path in paths:
        row = _without(row, path.replace("[]", ".[]").split("."))
    return row


def _without(value: Any, steps: list[str]) -> Any:
    step, rest = steps[0], steps[1:]
    if step == "[]":
        return [_without(item, rest) for item in value] if isinstance(value, list) else value
    if not isinstance(value, Mapping) or step not in value:
        return value
    if not rest:
        return {key: item for key, item in value.items() if key != step}
    return {key: _without(item, rest) if key == step else item for key, item in value.items()}


def masked(value: Any) -> Any:
    """Give ``value`` with the content of every ``{"type": "encryption", ...}`` in it left out, at any depth."""
    if isinstance(value, list):
        return [masked(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("type") == "encryption":
        return {key: item for key, item in value.items() if key != "value"}
    return {key: masked(item) for key, item in value.items()}
