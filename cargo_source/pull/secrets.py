"""What must not land: secrets by declared path and by name, and settings that the platform itself encrypts."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

NAMES = frozenset({"captchaSecret", "secretValue", "webExtensionData", "webhookSecret"})
"""Fields that hold secrets wherever they stand, for objects are copied into one another."""
MAY_HOLD = re.compile(f'"(encryption|{"|".join(sorted(NAMES))})"')
"""Finds in JSON whether it is worth a walk."""

_SUSPECT = re.compile(
    r"secret|passw(or)?d|credential|authentication|authorization|cookie|api_?key|private_?key"
    r"|(access|refresh|auth|bearer|session)_?token|^token$",
    re.IGNORECASE,
)


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
    """Give ``value`` without NAMES and without the content of ``{"type": "encryption", ...}``, at any depth."""
    if isinstance(value, list):
        return [masked(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    hidden = NAMES | {"value"} if value.get("type") == "encryption" else NAMES
    return {key: masked(item) for key, item in value.items() if key not in hidden}


def unsuspicious(value: Any) -> Any:
    """Give ``value``, of a field that nobody has declared, without what is named like a secret, at any depth."""
    if isinstance(value, list):
        return [unsuspicious(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {key: unsuspicious(item) for key, item in masked(value).items() if not _SUSPECT.search(key)}
