"""The main job without an account: a made-up workspace, two syncs, questions in SQL, and an answer pushed back."""

import re
import tempfile
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console

from cargo_source import render
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.pull.outcome import Outcome
from cargo_source.pull.records import RECORDS
from cargo_source.pull.source import cargo
from cargo_source.pull.sync import SyncReport, sync
from cargo_source.push import shown
from cargo_source.sandbox import Sandbox
from cargo_source.workspace import Workspace

CREDITS_PER_SUCCESS = """
SELECT a.name AS agent,
       count(*) AS answers,
       count(*) FILTER (r.status = 'success') AS successes,
       round(sum(r.credits_used_count), 2) AS credits,
       round(sum(r.credits_used_count) / nullif(count(*) FILTER (r.status = 'success'), 0), 3) AS credits_per_success
FROM cargo.agent_runs r JOIN cargo.agents a ON a.uuid = r.agent_uuid
GROUP BY a.name ORDER BY credits_per_success DESC NULLS LAST, agent LIMIT 5
"""

PLAYS_THAT_FAIL = """
SELECT p.name AS play,
       count(*) AS runs,
       count(*) FILTER (r.status = 'error') AS failed,
       round(100.0 * count(*) FILTER (r.status = 'error') / count(*), 1) AS failed_pct
FROM cargo.runs r JOIN cargo.plays p ON p.workflow_uuid = r.workflow_uuid
GROUP BY p.name HAVING count(*) >= 10 ORDER BY failed_pct DESC, play LIMIT 5
"""

WHO_MOVED = """
SELECT s.name AS segment, c.kind, count(*) AS records, min(c.record_id) AS for_example
FROM cargo.change_rows c JOIN cargo.segments s ON s.uuid = c.segment_uuid
WHERE c.created_at > (SELECT max(created_at) - INTERVAL 1 DAY FROM cargo.change_rows) AND NOT s.from_play
GROUP BY ALL ORDER BY records DESC, segment, kind LIMIT 5
"""

QUALIFIED = """
SELECT domain, 'qualified' AS stage FROM cargo.default__companies
WHERE stage = 'lead' AND employees_count > 2500 AND _cargo_deleted_at IS NULL
"""

PUSHED_BACK = """
SELECT domain, stage, employees_count AS employees FROM cargo.default__companies
WHERE stage = 'qualified' ORDER BY _emitted_at DESC, domain LIMIT 5
"""

ENTITIES_SHOWN, MODELS_SHOWN = 14, 4
HAPPENINGS_SHOWN = 10

QUESTIONS = {
    "Which agents spend the most credits for a success?": CREDITS_PER_SUCCESS,
    "Which plays fail most often?": PLAYS_THAT_FAIL,
    "Who entered or left which segment in the last day?": WHO_MOVED,
}


def run(*, companies: int, database: Path | None) -> None:
    """Tell the story on standard output; ``database`` keeps the DuckDB file."""
    out = render.console()
    with tempfile.TemporaryDirectory(prefix="cargo-source-demo-") as folder:
        file = database or Path(folder) / "warehouse.duckdb"
        with Sandbox(companies=companies) as box:
            out.print(f"A made-up Cargo workspace with {companies:,} companies listens on {box.url}.\n")
            out.print("[bold]First sync[/bold]: everything.")
            first = _sync(box, file, Path(folder))
            out.print(render.outcomes_table(_gathered(first.outcomes)))
            out.print(_told(first))
            moved = box.advance(days=1)
            out.print(f"\n[bold]A day passes in Cargo[/bold]: {_listed(moved)}.\n")
            out.print("[bold]Second sync[/bold]: only what moved.")
            second = _sync(box, file, Path(folder))
            out.print(render.outcomes_table([each for each in _gathered(second.outcomes) if each.rows]))
            out.print(_told(second))
            out.print(f"That is {second.rows / max(first.rows, 1):.0%} of the first sync's rows.\n")
            for question, query in QUESTIONS.items():
                _answer(out, file, question, query)
            _push_back(out, box, file, Path(folder))
        if database:
            out.print(f"The tables are in {database}, schema cargo.")


def _push_back(out: Console, box: Sandbox, file: Path, folder: Path) -> None:
    """Push what a query finds, and have the next sync bring it back."""
    out.print("[bold]Scores go back to Cargo[/bold]: SQL in DuckDB finds leads worth a closer look.\n")
    ledger = folder / "pushes.duckdb"
    with Workspace(box.token, box.url) as ws:
        made = ws.push(QUALIFIED, "default.companies", key="domain", mode="update", database=file, ledger=ledger)
        shown.plan(made, rows=5)
        shown.report(made.apply())
    box.advance(minutes=5)
    out.print("\n[bold]Third sync[/bold]: what was pushed comes back.")
    third = _sync(box, file, folder)
    out.print(_told(third))
    _answer(out, file, "Which companies were changed last?", PUSHED_BACK)


def _sync(box: Sandbox, file: Path, folder: Path) -> SyncReport:
    with render.progress() as watch:
        return sync(duckdb_pipeline(file, "cargo", folder / "state"), cargo(token=box.token, url=box.url), watch=watch)


def _gathered(outcomes: list[Outcome]) -> list[Outcome]:
    """Show the largest tables, and gather the others on two lines: there are dozens."""
    records = [each for each in outcomes if each.entity == RECORDS]
    entities = [each for each in outcomes if each.entity != RECORDS]
    return [
        *_largest(entities, ENTITIES_SHOWN, "tables of entities"),
        *_largest(records, MODELS_SHOWN, "tables of models"),
    ]


def _largest(outcomes: list[Outcome], shown: int, called: str) -> list[Outcome]:
    largest = {each.table for each in sorted(outcomes, key=lambda each: -each.rows)[:shown]}
    rest = [each for each in outcomes if each.table not in largest]
    line = Outcome(
        called,
        f"and {len(rest)} more {called}",
        lane=", ".join(sorted({each.lane for each in rest} - {"none"})),
        rows=sum(each.rows for each in rest),
        requests=sum(each.requests for each in rest),
        seconds=sum(each.seconds for each in rest),
    )
    return [each for each in outcomes if each.table in largest] + [line]


def _told(report: SyncReport) -> str:
    tables = sum(1 for outcome in report.outcomes if outcome.status != "skipped")
    return f"{report.rows:,} rows in {tables} tables, {report.requests:,} requests, {report.seconds:.1f} s."


def _listed(moved: dict[str, Any]) -> str:
    """Name what happened most often, and count the rest together."""
    often = sorted(moved, key=lambda what: -moved[what])[:HAPPENINGS_SHOWN]
    # Rows added and chats opened: the sandbox counts them as rowsAdded and chatsOpened.
    words = {what: re.sub(r"([a-z])([A-Z])", r"\1 \2", what).lower() for what in often}
    rest = sum(moved.values()) - sum(moved[what] for what in often)
    return ", ".join(f"{moved[what]:,} {words[what]}" for what in often) + f" and {rest:,} smaller things"


def _answer(out: Console, file: Path, question: str, query: str) -> None:
    with duckdb.connect(str(file), read_only=True) as db:
        found = db.execute(query)
        names = [column[0] for column in found.description or []]
        rows = found.fetchall()
    table = render.table_of(
        question,
        *(name if rows and isinstance(rows[0][i], str) else f">{name}" for i, name in enumerate(names)),
    )
    for row in rows:
        table.add_row(*(str(cell) if cell is not None else "" for cell in row))
    out.print(table)
