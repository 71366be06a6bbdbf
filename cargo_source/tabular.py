"""Small tables for people: as aligned text, and as HTML for a notebook."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDEST = 60
"""Characters of a cell that are shown; the rest is an ellipsis."""


@dataclass(frozen=True)
class Grid:
    """Headers, rows of cells, and a line below that says what is not shown."""

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""

    def text(self) -> str:
        """Align the columns: numbers to the right, the rest to the left."""
        cells = [list(self.headers), *([_shown(cell) for cell in row] for row in self.rows)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(self.headers))]
        right = [_is_number(row[place] for row in self.rows) for place in range(len(self.headers))]
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
        head = "".join(f'<th style="text-align:left">{escape(header)}</th>' for header in self.headers)
        body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in self.rows)
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"


def _cell(cell: object) -> str:
    side = "right" if isinstance(cell, int | float) and not isinstance(cell, bool) else "left"
    return f'<td style="text-align:{side}">{escape(_shown(cell))}</td>'


def _is_number(cells: Iterable[object]) -> bool:
    found = [cell for cell in cells if cell is not None]
    return bool(found) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in found)


def _shown(cell: object) -> str:
    text = "" if cell is None else str(cell)
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
