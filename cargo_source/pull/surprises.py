"""What came that the catalogue does not know: fields, values of enums, and values that did not fit their column.

Names are told, values of rows are not; a new value of an enum is told where it looks like one.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Iterable

_WORD = re.compile(r"[A-Za-z][\w.-]{0,39}")
_TOLD = 5
"""Names that are told of each kind; the others are counted."""


class Surprises:
    """Gathers what is new in one table; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fields: set[str] = set()
        self._values: dict[str, set[str]] = defaultdict(set)
        self._misfits: set[str] = set()

    def fields(self, names: Iterable[str]) -> None:
        """Take fields that the catalogue does not know."""
        with self._lock:
            self._fields.update(names)

    def values(self, column: str, values: Iterable[str]) -> None:
        """Take values of an enum that the catalogue does not know."""
        with self._lock:
            self._values[column].update(values)

    def misfit(self, column: str) -> None:
        """Take a column of which a value did not fit."""
        with self._lock:
            self._misfits.add(column)

    def note(self) -> str:
        """Say in words what was new; nothing where nothing was."""
        parts = []
        if self._fields:
            parts.append(f"unknown fields, kept in _cargo_extra: {_told(self._fields)}")
        parts += [f"unknown values of {column}: {_told(values)}" for column, values in sorted(self._values.items())]
        if self._misfits:
            parts.append(f"values that did not fit, kept in _cargo_extra: {_told(self._misfits)}")
        return "; ".join(parts)


def _told(names: set[str]) -> str:
    shown = sorted({name if _WORD.fullmatch(name) else "…" for name in names})
    more = len(shown) - _TOLD
    return ", ".join(shown[:_TOLD]) + (f" and {more} more" if more > 0 else "")
