"""What a push did."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cargo_source.errors import RowsLeft, TryLater
from cargo_source.push.journal import Fate
from cargo_source.tabular import Grid

MOST_SHOWN = 1_000
"""Rejected rows that a report holds; the ledger has all of them."""


@dataclass
class Rejected:
    """A row that was not pushed: its place in the source, the column that it is about, and the reason."""

    row: int | None
    column: str | None
    reason: str
    key: str | None = field(default=None, repr=False)


@dataclass
class PushReport:
    """What a push did. ``status`` is done, or stopped where rows were left unsent.

    ``unknown`` rows were sent, and nobody knows what became of them: the next push finds out. ``altered`` ones are
    stored otherwise than they were sent.
    """

    run_id: str
    model: str
    mode: str
    status: str = "done"
    created: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    rejected: int = 0
    unknown: int = 0
    unsent: int = 0
    altered: int = 0
    requests: int = 0
    seconds: float = 0.0
    error: str | None = None
    rejects: list[Rejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, fates: Sequence[Fate]) -> None:
        """Count what became of rows."""
        for status, rows in Counter(fate.status for fate in fates).items():
            setattr(self, status, getattr(self, status) + rows)
        self.altered += sum(fate.reason is not None for fate in fates if fate.status in {"created", "updated"})

    def reject(self, row: int | None, column: str | None, reason: str, key: str | None) -> None:
        """Keep a row that was rejected, so that it can be shown."""
        if len(self.rejects) < MOST_SHOWN:
            self.rejects.append(Rejected(row, column, reason, key))

    @property
    def applied(self) -> int:
        """How many rows of the model were changed."""
        return self.created + self.updated + self.removed

    @property
    def lacking(self) -> str:
        """How many rows are not as they should be, in words; nothing where all are."""
        left = [(self.rejected, "rejected"), (self.unknown, "unknown"), (self.altered, "stored otherwise")]
        return ", ".join(f"{rows:,} {what}" for rows, what in left if rows)

    def require_whole(self) -> None:
        """Stop whoever goes on with all rows only, as a scheduler does: a push with rejected rows raises nothing.

        Raises TryLater where rows are unknown alone, which the next push finds out about, else RowsLeft. Both say how
        many, and where each is told with its reason.
        """
        if not self.lacking:
            return
        kind = RowsLeft if self.rejected or self.altered else TryLater
        raise kind(
            f"{self.model}: the push was applied, and not every row is as it should be: {self.lacking}; their reasons"
            f" are in the ledger, in _cargo_push_rows (run_id {self.run_id}), and the next push tries them again"
        )

    def as_json(self) -> dict[str, Any]:
        """Give it as plain data, without keys: they are people's own."""
        found = asdict(self)
        found["rejects"] = [{k: v for k, v in each.items() if k != "key"} for each in found["rejects"]]
        return found

    def __str__(self) -> str:
        done = [f"{getattr(self, name):,} {name}" for name in ("created", "updated", "removed") if getattr(self, name)]
        other = [
            f"{getattr(self, name):,} {name}"
            for name in ("unchanged", "rejected", "unknown", "unsent", "altered")
            if getattr(self, name)
        ]
        told = f"{self.model}: {', '.join([*done, *other]) or 'nothing to do'}"
        return f"{told} ({self.requests:,} requests, {self.seconds:.1f} s)"

    def __repr__(self) -> str:
        return f"<PushReport {self}>"

    def grid(self) -> Grid:
        """Show the rows that were rejected."""
        rows = [(each.row, each.column or "", each.reason) for each in self.rejects]
        more = self.rejected - len(rows)
        note = f"and {more:,} more: see _cargo_push_rows" if more > 0 else ""
        return Grid(("row", "column", "reason"), rows, note)

    def _repr_html_(self) -> str:
        from html import escape

        told = "".join(f"<br>{escape(note)}" for note in self.notes)
        return f"<p><b>{escape(str(self))}</b>{told}</p>" + (self.grid().html() if self.rejects else "")
