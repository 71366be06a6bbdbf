"""Which values a column takes, by its type."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.moments import DATE_TIME

if TYPE_CHECKING:
    from collections.abc import Callable

    from cargo_source.sandbox.models.spec import Col

LARGEST_INTEGER = 2**63 - 1
LONGEST_TEXT = 1_000_000


def fits(column: Col, cell: Any) -> bool:
    """Say whether a cell that is not null is of its column's type."""
    return _FITS[column.type](cell) and not (column.big and not _is_whole(cell))


def fitted(column: Col, cell: Any) -> Any:
    """Return a cell that was posted as its column takes it: null where it does not fit."""
    if column.type == "string" and cell is not None and not isinstance(cell, str):
        return json.dumps(cell)
    return cell if cell is None or fits(column, cell) else None


def _is_text(cell: Any) -> bool:
    return isinstance(cell, str) and "\0" not in cell and len(cell) <= LONGEST_TEXT


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool) and math.isfinite(cell)


def _is_whole(cell: Any) -> bool:
    return isinstance(cell, int) and abs(cell) <= LARGEST_INTEGER


def _is_date(cell: Any) -> bool:
    return isinstance(cell, str) and DATE_TIME.fullmatch(cell) is not None


def _is_vector(cell: Any) -> bool:
    return isinstance(cell, list) and all(map(_is_number, cell))


_FITS: dict[str, Callable[[Any], bool]] = {
    "string": _is_text,
    "number": _is_number,
    "date": _is_date,
    "boolean": lambda cell: isinstance(cell, bool),
    "object": lambda cell: isinstance(cell, dict),
    "array": lambda cell: isinstance(cell, list),
    "vector": _is_vector,
    "any": lambda _: True,
}
