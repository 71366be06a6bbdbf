"""A plan: what a push would change, to be looked at, saved, and applied. Nothing has been sent."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cargo_source.errors import BadSettings
from cargo_source.pull.session import Watch
from cargo_source.push.brakes import Limits, check, reasons
from cargo_source.push.facts import Counts, Facts
from cargo_source.push.report import PushReport
from cargo_source.push.store import PlanStore
from cargo_source.tabular import Grid

SAMPLE = 10
"""Rows that are shown of a plan."""

Apply = Callable[[PlanStore, Facts, Watch], PushReport]


class Plan:
    """What a push would change in a model. It is shown, saved and applied; making it has sent nothing.

    It holds the values that it would write, in a private file that goes with it, or with :meth:`close`.
    """

    def __init__(self, store: PlanStore, facts: Facts, limits: Limits, apply: Apply) -> None:
        self._store, self._facts, self._limits, self._apply = store, facts, limits, apply
        self._watch: Watch = lambda _what, _rows, _total: None
        self._applied: PushReport | None = None

    # What it says --------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """How many rows it would create, update, remove, leave, or refuses."""
        return self._facts.counts

    @property
    def facts(self) -> Facts:
        """All that it says about itself."""
        return self._facts

    @property
    def brakes(self) -> list[str]:
        """Why :meth:`apply` would refuse it; nothing where it would not."""
        return reasons(self._facts, self._limits)

    @property
    def line(self) -> str:
        """What it would do, in one line."""
        counts, model = self.counts, self._facts.model.partition(".")[2]
        done = [
            f"{word} {number:,}"
            for word, number in (("updates", counts.updates), ("removes", counts.removes))
            if number
        ]
        told = [f"{' and '.join(done)} of {counts.target:,} {model}"] if done else []
        if counts.creates:
            told.append(f"creates {counts.creates:,}" if done else f"creates {rows_of(counts.creates)} in {model}")
        if not told:
            return f"changes nothing in {counts.target:,} {model}"
        radius = self._facts.radius.line
        return ", ".join(told) + (f"; {radius}" if radius else "")

    def sample(self, rows: int = SAMPLE) -> list[dict[str, Any]]:
        """Give the first changes: what each does, its key, and for each cell what it is and what it would be."""
        query = (
            "SELECT kind, id, row, key, data, before FROM (SELECT *, row_number() OVER (PARTITION BY kind ORDER BY seq)"
            " AS place FROM changes) ORDER BY place, kind DESC LIMIT ?"
        )
        found = self._store.db.execute(query, [rows]).fetchall()
        return [
            {
                "kind": kind,
                "id": id_,
                "row": row,
                "key": key,
                "cells": {
                    name: {"before": json.loads(before or "{}").get(name), "after": value}
                    for name, value in json.loads(data or "{}").items()
                },
            }
            for kind, id_, row, key, data, before in found
        ]

    def refused(self, rows: int = SAMPLE) -> list[dict[str, Any]]:
        """Give the first rows of the source that cannot be pushed, with their column and the reason."""
        found = self._store.db.execute(
            "SELECT row, column_name, reason FROM refused ORDER BY row LIMIT ?", [rows]
        ).fetchall()
        return [{"row": row, "column": column, "reason": reason} for row, column, reason in found]

    def as_json(self, *, sample: int = 0) -> dict[str, Any]:
        """Give it as plain data; values of cells are in it only where a sample is asked for."""
        shown = {"sample": self.sample(sample)} if sample else {}
        return {**self._facts.as_json(), "line": self.line, "brakes": self.brakes, "rejects": self.refused(), **shown}

    # What is done with it ------------------------------------------------------------------------------------------

    def limited(self, limits: Limits) -> "Plan":
        """Give the same plan under other limits."""
        self._limits = limits
        return self

    def watched(self, watch: Watch) -> "Plan":
        """Have somebody told how many rows have been sent while it is applied."""
        self._watch = watch
        return self

    def apply(self) -> PushReport:
        """Send it, and give what became of it.

        Raises Braked where it would change more than it may, StalePlan where the model has changed since it was made,
        SettingsError where the token is of another workspace, and what stops the sending; an error has what was done
        until then in its ``report``.
        """
        if self._applied is not None:
            raise BadSettings("this plan was applied: plan anew, and only what still differs is left")
        check(self._facts, self._limits)
        self._applied = self._apply(self._store, self._facts, self._watch)
        return self._applied

    def save(self, path: str | Path) -> Path:
        """Write it to a file that only its owner may read: it holds the values that it would write."""
        file = Path(path)
        try:
            self._store.save(file)
        except OSError as error:
            raise BadSettings(f"{file} cannot be written: {error.strerror}") from None
        return file

    def close(self) -> None:
        """Remove the file that holds its rows."""
        self._store.close()

    # How it looks --------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<Plan for {self._facts.model}: {self.line}>"

    def __str__(self) -> str:
        return "\n".join([self.line, *self.told, *(f"NOT APPLIED: {brake}" for brake in self.brakes)])

    @property
    def told(self) -> list[str]:
        """What else is to be said of it, line by line."""
        counts = self.counts
        lines = []
        if counts.unchanged:
            lines.append(f"as they should be: {rows_of(counts.unchanged)}")
        if counts.unmatched:
            lines.append(f"without a record: {rows_of(counts.unmatched)} of the source")
        if counts.refused:
            lines.append(f"refused: {rows_of(counts.refused)} of the source:")
            lines += [f"  {rows:,} x {reason}" for reason, rows in self._facts.reasons.items()]
        return [*lines, *self._facts.radius.told, *self._facts.notes]

    def grid(self, rows: int = SAMPLE) -> Grid:
        """Show the first changes, a cell in each line."""
        lines = []
        for each in self.sample(rows):
            cells: Mapping[str, Any] = each["cells"] or {"": {"before": None, "after": None}}
            for name, cell in cells.items():
                lines.append((each["kind"], each["key"], name, _shown(cell["before"]), _shown(cell["after"])))
        more = self.counts.changes - rows
        return Grid(
            ("", self._facts.key, "column", "is", "would be"), lines, f"and {more:,} more rows" if more > 0 else ""
        )

    def _repr_html_(self) -> str:
        from html import escape

        told = "".join(f"<br>{escape(line)}" for line in self.told)
        brakes = "".join(f'<br><b style="color:#b3261e">NOT APPLIED: {escape(brake)}</b>' for brake in self.brakes)
        return f"<p><b>{escape(self.line)}</b>{told}{brakes}</p>" + (self.grid().html() if self.counts.changes else "")


def rows_of(number: int) -> str:
    """Say how many rows."""
    return "1 row" if number == 1 else f"{number:,} rows"


def _shown(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
