"""What people see in a terminal. Results go to standard output, progress to standard error."""

import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from cargo_source import __version__
from cargo_source.explore import CheckResult, Discovery, Preview
from cargo_source.logs import LogFormat
from cargo_source.pull.backfill import BackfillReport
from cargo_source.pull.outcome import Outcome
from cargo_source.pull.session import Watch
from cargo_source.pull.sync import SyncReport
from cargo_source.views import Views

log = logging.getLogger("cargo_source")

PLAIN_EVERY = 5.0
"""Seconds between lines of progress of one table where there is no terminal."""
OTHERS_WIDTH = 83
"""What the other columns of the summary take."""
WIDE = 120
"""Columns to write where there is no terminal to measure."""

STYLES = {"complete": "green", "unproven": "yellow", "refreshing": "yellow", "skipped": "yellow", "failed": "red"}


def console() -> Console:
    """Give the console for results."""
    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)


def table_of(title: str, *headers: str) -> Table:
    """Start a table in the house style; a header that begins with > is aligned to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        table.add_column(header.lstrip(">"), justify="right" if header.startswith(">") else "left", overflow="fold")
    return table


def check(found: CheckResult) -> None:
    """Show what the token opens."""
    out = console()
    name = escape(found.name or "workspace")
    out.print(f"[bold]{name}[/bold] {escape(found.workspace)}, server time {found.server_time}")
    table = table_of("", "entity", "needs", "may read", ">ms", "note")
    for access in found.entities:
        verdict = "[green]yes[/green]" if access.allowed else "[red]no[/red]"
        table.add_row(access.entity, access.permission, verdict, f"{access.ms:.0f}" if access.ms else "", access.note)
    out.print(table)
    if found.assumptions:
        out.print(_assumptions(found))
    if found.missing:
        out.print(
            f"The token lacks {', '.join(found.missing)}: a sync skips these entities. Add them in Settings > API."
        )
    else:
        out.print("The token may read every entity.")


def _assumptions(found: CheckResult) -> Table:
    table = table_of("What the documentation leaves open", "topic", "assumed", "seen here", "holds")
    for finding in found.assumptions.values():
        verdict = {True: "[green]yes[/green]", False: "[red]no[/red]", None: "[dim]?[/dim]"}[finding.holds]
        table.add_row(finding.topic, finding.assumed, finding.found, verdict)
    return table


def report_text(found: CheckResult) -> str:
    """Write what a check found as Markdown for a bug report: which workspace it was, it does not say."""
    entities = [(each.entity, each.permission, _yes(each.allowed), f"{each.ms:.0f}") for each in found.entities]
    findings = [(each.topic, each.assumed, each.found, _yes(each.holds)) for each in found.assumptions.values()]
    lines = [f"# cargo_source {__version__}: check of a workspace", ""]
    lines += _markdown(("entity", "needs", "may read", "ms"), entities)
    lines += ["", *_markdown(("left open by the documentation", "assumed", "seen here", "holds"), findings)]
    return "\n".join(lines) + "\n"


def _markdown(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---"] * len(headers)
    return [f"| {' | '.join(cells)} |" for cells in (headers, rule, *rows)]


def _yes(verdict: bool | None) -> str:
    return {True: "yes", False: "no", None: "?"}[verdict]


def discovery(found: Discovery) -> None:
    """Show entities and models."""
    out = console()
    entities = table_of("Entities", "table", "key", "cursor", "needs", "what it holds")
    for row in found.entities:
        entities.add_row(row["table"], row["key"], row["cursor"], row["permission"], row["about"])
    models = table_of("Models", "model", "table", "kind", ">columns", ">rows", "lane", "cursor", "last emitted")
    for model in found.models:
        rows = "?" if model.rows is None else f"{model.rows:,}"
        models.add_row(
            f"{model.dataset}.{model.model}",
            model.table,
            model.kind,
            str(model.columns),
            rows,
            model.lane,
            model.cursor,
            (model.last_emitted_at or "never")[:19],
        )
    out.print(entities, models)


def preview(found: Preview) -> None:
    """Show rows, one block each, since models are wide."""
    out = console()
    for index, row in enumerate(found.rows.to_pylist(), start=1):
        table = table_of(f"{found.table}: row {index}", "column", "value")
        for name, value in row.items():
            table.add_row(name, "[dim]null[/dim]" if value is None else _plain(value))
        out.print(table)
    if not found.rows.num_rows:
        out.print(f"{found.table} has no rows; its columns: {', '.join(found.rows.column_names)}")


def _plain(value: Any) -> str:
    text = str(value)
    return escape(text if len(text) <= 200 else text[:200] + "…")


def report(done: SyncReport, database: Path | str | None) -> None:
    """Show what a sync did: the tables that have news, and how many have none."""
    out = console()
    news = done.news
    if news:
        out.print(outcomes_table(news, evidence=max(17, out.width - OTHERS_WIDTH)))
    if quiet := len(done.outcomes) - len(news):
        out.print("1 table has nothing new." if quiet == 1 else f"{quiet} tables have nothing new.")
    where = escape(f" into {database}, schema {done.dataset}") if database else ""
    out.print(f"{done.rows:,} rows{where} in {done.seconds:.1f} s with {_asked(done)}: {done.status}")
    for outcome in done.outcomes:
        if outcome.status == "unproven":
            out.print(f"[yellow]{escape(outcome.table)}[/yellow]: not shown to be complete: {escape(outcome.evidence)}")
        if outcome.note:
            out.print(f"[yellow]{escape(outcome.table)}[/yellow]: {escape(outcome.note)}")


def views(made: Views) -> None:
    """Show what became of the ready-made views, and what each is for."""
    table = table_of("", "view", "status", "what it shows")
    for each in made:
        style = "red" if each.refused else "yellow" if each.lacks else "green"
        table.add_row(each.view.name, f"[{style}]{escape(each.status)}[/]", escape(each.view.description))
    console().print(table)


def backfill(done: BackfillReport, database: Path | str | None) -> None:
    """Show the windows of a backfill, each on a line, and the tables in sum."""
    if len(done.windows) > 1:
        table = table_of("", "from", "to", ">rows", ">requests", ">seconds", "status")
        for each in done.windows:
            facts = each.as_json()
            numbers = (f"{facts['rows']:,}", f"{facts['requests']:,}", f"{facts['seconds']:.1f}")
            table.add_row(facts["from"], facts["to"], *numbers, f"[{STYLES[facts['status']]}]{facts['status']}[/]")
        console().print(table)
    report(done.total, database)


def _asked(done: SyncReport) -> str:
    """Say what was asked of the API, and what of it went wrong at first."""
    retries, limited = (sum(getattr(each, name) for each in done.outcomes) for name in ("retries", "rate_limited"))
    odd = [f"{number:,} {what}" for number, what in ((retries, "repeated"), (limited, "answered with 429")) if number]
    return f"{done.requests:,} requests" + (f" ({', '.join(odd)})" if odd else "")


def _shortened(outcome: Outcome) -> str:
    """Give the first thing that the evidence says; the JSON has all of it."""
    if outcome.status != "unproven" and outcome.expected is not None and outcome.expected == outcome.got:
        return f"counted {outcome.expected:,}"
    return outcome.evidence.partition(", ")[0]


def outcomes_table(outcomes: Sequence[Outcome], *, evidence: int = 0) -> Table:
    """Show each table of a sync on a line, with the evidence cut to so many letters; the JSON has all of it."""
    table = table_of(
        "", "table", ">rows", "lane", *(["evidence"] if evidence else []), ">requests", ">seconds", "status"
    )
    if evidence:
        table.collapse_padding = True
        for column in table.columns:
            column.no_wrap, column.overflow = True, "ellipsis"
            column.max_width = evidence if column.header == "evidence" else None
    for outcome in outcomes:
        status = f"[{STYLES[outcome.status]}]{outcome.status}[/]"
        table.add_row(
            outcome.table,
            f"{outcome.rows:,}",
            outcome.shown_lane,
            *([escape(_shortened(outcome))] if evidence else []),
            f"{outcome.requests:,}",
            f"{outcome.seconds:.1f}",
            status,
        )
    return table


def sandbox(where: dict[str, str]) -> None:
    """Say where the sandbox listens, as lines for a shell."""
    out = console()
    out.print(f"export CARGO_API_URL={where['url']}\nexport CARGO_API_TOKEN={where['token']}", soft_wrap=True)
    out.print(
        f"[dim]# control door: {where['url']}/_sandbox with token {where['control_token']}; Ctrl-C stops[/dim]",
        soft_wrap=True,
    )


@contextmanager
def progress(form: LogFormat = LogFormat.text) -> Iterator[Watch]:
    """Give a watcher: a live display on a terminal, a line now and then elsewhere and in logs for machines."""
    err = Console(stderr=True, highlight=False)
    if form is LogFormat.json:
        yield _now_and_then(_logged)
        return
    if not err.is_terminal:
        yield _now_and_then(lambda table, rows, total: err.print(f"{table}: {_of(rows, total)}"))
        return
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )
    tasks: dict[str, TaskID] = {}
    lock = threading.Lock()

    def watch(table: str, rows: int, total: int | None) -> None:
        # Several threads read for one table.
        with lock:
            if table not in tasks:
                tasks[table] = bars.add_task(escape(table), total=total, told="")
        bars.update(tasks[table], completed=rows, total=total, told=_of(rows, total))

    with bars:
        yield watch


def _of(rows: int, total: int | None) -> str:
    return f"{rows:,} rows" if total is None else f"{rows:,} of {total:,} rows"


def _logged(table: str, rows: int, total: int | None) -> None:
    log.info("%s: reading", table, extra={"rows": rows, "total": total})


def _now_and_then(tell: Watch) -> Watch:
    told: dict[str, float] = {}

    def watch(table: str, rows: int, total: int | None) -> None:
        now = time.monotonic()
        if now - told.setdefault(table, now) >= PLAIN_EVERY:
            told[table] = now
            tell(table, rows, total)

    return watch
