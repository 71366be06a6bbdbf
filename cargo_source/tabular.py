"""Small tables for people: as aligned text, and as HTML for a notebook."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

WIDEST = 60
"""Characters of a cell that are shown; the rest is an ellipsis."""


@dataclass(frozen=True)
class Grid:
    """Headers, rows of cells, and a line below that says what is not shown."""

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""
    widest: int = WIDEST
    """Characters of a cell that are shown."""

    def text(self) -> str:
        """Align the columns: numbers to the right, the rest to the left."""
        cells = [list(self.headers), *([self._shown(cell) for cell in row] for row in self.rows)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(self.headers))]
        right = self._right
        lines = [
            "  ".join(
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(row, widths, right, strict=True)
            ).rstrip()
            for row in cells
        ]
        return "\n".join([*lines, *([self.note] if self.note else [])])

    def html(self) -> str:
        """Give a table whose cells are escaped: a value is never markup."""
        sides = ["right" if each else "left" for each in self._right]
        head = _row("th", sides, self.headers)
        body = "".join(_row("td", sides, [self._shown(cell) for cell in row]) for row in self.rows)
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>{note}"

    @property
    def _right(self) -> list[bool]:
        """Which columns are numbers, and go to the right."""
        return [_is_number(row[place] for row in self.rows) for place in range(len(self.headers))]

    def _shown(self, cell: object) -> str:
        if isinstance(cell, datetime):
            cell = cell.isoformat(" ", "seconds")
        text = "" if cell is None else str(cell)
        text = "".join(character if character.isprintable() else " " for character in text)
        return text if len(text) <= self.widest else text[: self.widest - 1] + "…"


def _row(tag: str, sides: Sequence[str], cells: Sequence[str]) -> str:
    each = (f'<{tag} style="text-align:{side}">{escape(cell)}</{tag}>' for side, cell in zip(sides, cells, strict=True))
    return f"<tr>{''.join(each)}</tr>"


def _is_number(cells: Iterable[object]) -> bool:
    found = [cell for cell in cells if cell is not None]
    return bool(found) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in found)
