"""The figures of a page: what the last syncs did, what was spent, who moved, what failed, what was pushed.

Days are UTC. The last days are those before the newest of which there is anything, so that a page of an old database
shows something too.
"""

from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cargo_source.report.asking import Place, Row

DAYS = 30
"""Days that charts show."""
TOP = 8
"""Lines of a table."""
FRESH = timedelta(days=2)
"""A table whose last complete sync is longer before the newest one than this is called old."""

SYNCS = 'SELECT * FROM sync_health ORDER BY "table"'
NAME = "SELECT name FROM workspaces"
SPENT = """
SELECT day, kind, sum(credits) AS credits, sum(execution_credits) AS of_executions
FROM credit_spend_daily GROUP BY day, kind
"""
AGENTS = "SELECT day, agent_uuid, agent, answers, successes, errors, credits FROM agent_performance_daily"
FLOWS = "SELECT day, segment_uuid, segment, kind, entered, departed, members FROM segment_flow_daily"
PLAYS = "SELECT play_uuid, play, runs, succeeded, failed, credits FROM play_funnel WHERE runs > 0"
FAILURES = "SELECT kind, name, error_message, count(*) AS runs FROM run_failures GROUP BY kind, name, error_message"
PUSHES = "SELECT * FROM _cargo_push_runs ORDER BY started_at DESC LIMIT 1"
REJECTED = """
SELECT reason, column_name, count(*) AS rows FROM _cargo_push_rows
WHERE status = 'rejected' AND run_id = '{run}' GROUP BY reason, column_name ORDER BY rows DESC, reason
"""


@dataclass
class Figures:
    """All that a page shows, as plain data."""

    made_at: datetime
    workspace: str | None = None
    health: dict[str, Any] = field(default_factory=dict)
    credits: dict[str, Any] = field(default_factory=dict)
    agents: list[Row] = field(default_factory=list)
    plays: list[Row] = field(default_factory=list)
    segments: dict[str, Any] = field(default_factory=dict)
    failures: list[Row] = field(default_factory=list)
    push: dict[str, Any] = field(default_factory=dict)
    lacking: dict[str, list[str]] = field(default_factory=dict)
    """Tables that parts of the page need and that were never loaded."""

    def as_json(self) -> dict[str, Any]:
        """Give them as JSON has them."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


def figures(place: Place, ledger: Place | None = None, now: datetime | None = None) -> Figures:
    """Ask a place, and the ledger of pushes where there is one, for all that a page shows."""
    found = Figures(now or datetime.now(UTC))
    names = place.ask(NAME)
    found.workspace = str(names[0]["name"]) if len(names) == 1 else None
    found.health = _health(place.ask(SYNCS))
    found.credits = _credits(place.ask(SPENT))
    found.agents = _agents(place.ask(AGENTS))
    found.plays = sorted(place.ask(PLAYS), key=lambda row: (-row["credits"], row["play"]))[:TOP]
    found.segments = _segments(place.ask(FLOWS))
    found.failures = _failures(place.ask(FAILURES))
    for part, view in PARTS.items():
        if lacking := place.lacking({view}):
            found.lacking[part] = lacking
    if ledger is not None and (pushes := ledger.ask(PUSHES)):
        found.push = {**pushes[0], "reasons": ledger.ask(REJECTED.format(run=pushes[0]["run_id"]))[:TOP]}
    return found


PARTS = {
    "health": "sync_health",
    "credits": "credit_spend_daily",
    "agents": "agent_performance_daily",
    "plays": "play_funnel",
    "segments": "segment_flow_daily",
    "failures": "run_failures",
}
"""The view that each part of a page is made of."""


def _health(rows: list[Row]) -> dict[str, Any]:
    if not rows:
        return {}
    newest = max(row["last_sync_at"] for row in rows)
    problems = [
        row
        for row in rows
        if row["last_status"] not in {"complete", "skipped"}
        or (row["last_complete_at"] is not None and newest - row["last_complete_at"] > FRESH)
    ]
    return {
        "tables": len(rows),
        "complete": sum(row["last_status"] == "complete" for row in rows),
        "skipped": sum(row["last_status"] == "skipped" for row in rows),
        "rows": sum(row["rows_in_all"] or 0 for row in rows),
        "last_rows": sum(row["last_rows"] or 0 for row in rows if row["last_sync_at"] == newest),
        "last_sync_at": newest,
        "counted": sum(row["expected"] is not None for row in rows),
        "short": sum(row["expected"] is not None and row["expected"] != row["got"] for row in rows),
        "problems": problems,
        "largest": sorted(rows, key=lambda row: -(row["rows_in_all"] or 0))[:TOP],
    }


def _credits(rows: list[Row]) -> dict[str, Any]:
    last = sorted(_last_days(rows), key=lambda row: (row["day"], row["kind"]))
    by_kind: dict[str, float] = {}
    for row in last:
        by_kind[row["kind"]] = by_kind.get(row["kind"], 0.0) + float(row["credits"])
    return {
        "days": [{"day": row["day"], "kind": row["kind"], "credits": float(row["credits"])} for row in last],
        "by_kind": dict(sorted(by_kind.items())),
        "total": sum(by_kind.values()),
        "of_executions": sum(float(row["of_executions"]) for row in last),
    }


def _agents(rows: list[Row]) -> list[Row]:
    """Sum up the agents of the last days, the dearest first."""
    sums: dict[str, Row] = {}
    for row in _last_days(rows):
        kept = sums.setdefault(
            row["agent_uuid"], {"agent": row["agent"] or "no agent", "answers": 0, "successes": 0, "credits": 0.0}
        )
        kept |= {name: kept[name] + row[name] for name in ("answers", "successes", "credits")}
    for row in sums.values():
        row["credits_per_success"] = row["credits"] / row["successes"] if row["successes"] else None
    return sorted(sums.values(), key=lambda row: (-row["credits"], row["agent"]))[:TOP]


def _segments(rows: list[Row]) -> dict[str, Any]:
    saved = [row for row in rows if row["kind"] == "saved"]
    last = _last_days(saved)
    days: dict[date, Row] = {}
    sums: dict[str, Row] = {}
    for row in last:
        day = days.setdefault(row["day"], {"day": row["day"], "entered": 0, "departed": 0})
        one = sums.setdefault(row["segment_uuid"], {"segment": row["segment"], "entered": 0, "departed": 0})
        for name in ("entered", "departed"):
            day[name] += row[name]
            one[name] += row[name]
    for row in sorted(last, key=lambda row: row["day"]):
        sums[row["segment_uuid"]]["members"] = row["members"]
    busiest = sorted(sums.values(), key=lambda row: (-row["entered"] - row["departed"], row["segment"]))
    return {"days": sorted(days.values(), key=lambda row: row["day"]), "busiest": busiest[:TOP]} if days else {}


def _failures(rows: list[Row]) -> list[Row]:
    """Say of which plays and tools runs fail, and what is told most often of each."""
    sums: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: (-row["runs"], str(row["error_message"]))):
        kept = sums.setdefault(
            (row["kind"], row["name"]),
            {"kind": row["kind"], "name": row["name"], "runs": 0, "mostly": row["error_message"]},
        )
        kept["runs"] += row["runs"]
    return sorted(sums.values(), key=lambda row: (-row["runs"], str(row["name"])))[:TOP]


def _last_days(rows: list[Row]) -> list[Row]:
    """Keep the rows of the last days."""
    if not rows:
        return []
    first = max(row["day"] for row in rows) - timedelta(days=DAYS - 1)
    return sorted((row for row in rows if row["day"] >= first), key=lambda row: row["day"])


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case datetime() | date():
            return value.isoformat()
        case str() | int() | None:
            return value
    # Sums of the same numbers in another order differ in their last digits.
    return round(float(value), 6)
