"""A plan, what came of it, and what was rejected, as people see them in a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from cargo_source.push.plan import Plan
from cargo_source.push.report import PushReport
from cargo_source.render import console, table_of

SAMPLE = 10
"""Changed rows that are shown."""
MOST = 50
"""Rejected rows that are shown."""


def plan(made: Plan, rows: int = SAMPLE) -> None:
    """Show what a plan would do: in one line, then a sample of ``rows``, then what stands against it."""
    out = console()
    out.print(f"[bold]{escape(made.line)}[/bold]")
    if made.counts.changes:
        grid = made.grid(rows)
        table = table_of("", *grid.headers)
        for row in grid.rows:
            table.add_row(*(escape(str(cell)) for cell in row))
        out.print(table)
        if grid.note:
            out.print(escape(grid.note))
    for line in made.told:
        out.print(escape(line))
    for brake in made.brakes:
        out.print(f"[red]It would not be applied[/red]: {escape(brake)}")


def report(done: PushReport) -> None:
    """Show what a push did, and the first rows that were rejected."""
    out = console()
    out.print(f"[bold]{escape(str(done))}[/bold]")
    if done.rejects:
        table = table_of("Rejected", ">row", "column", "reason")
        for each in done.rejects[:MOST]:
            table.add_row("" if each.row is None else str(each.row), escape(each.column or ""), escape(each.reason))
        out.print(table)
    for note in done.notes:
        out.print(escape(note))


def rejects(found: Sequence[dict[str, Any]]) -> None:
    """Show rows that were rejected."""
    out = console()
    if not found:
        out.print("No row is rejected.")
        return
    table = table_of("", "model", ">row", "column", "reason", "pushed")
    for each in found[:MOST]:
        cells = [each["model"], each["row"], each["column"], each["reason"], each["at"]]
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in cells))
    out.print(table)
    if len(found) > MOST:
        out.print(f"and {len(found) - MOST:,} more: see _cargo_push_rows")
