"""What one sync has to write into one entity table, and what it has to remember for the next."""

import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.entity import Derived, Entity, Gated, Recent, Snapshot, Unfolded, Window
from cargo_source.pull.agent_runs import read_agent_runs
from cargo_source.pull.digest import differing, digest_of
from cargo_source.pull.outcome import Outcome
from cargo_source.pull.pages import Row
from cargo_source.pull.reading import read_entity, unfolded
from cargo_source.pull.records import list_models
from cargo_source.pull.session import Refused, Session
from cargo_source.pull.shapes import Normalise
from cargo_source.pull.spool import Spooled
from cargo_source.pull.times import Span, format_time, parse_time

log = logging.getLogger("cargo_source")

LANES: dict[type, str] = {
    Snapshot: "list",
    Window: "window",
    Recent: "window",
    Gated: "by parent",
    Unfolded: "in parent",
    Derived: "derived",
}
"""How the summary names each way of reading."""


@dataclass(frozen=True)
class TableRead:
    """The rows of one table that have news (None: the entity was skipped), the outcome, and the state to keep."""

    spooled: Spooled | None
    outcome: Outcome
    state: dict[str, Any]


def read_table(session: Session, table: str, fold: Normalise) -> TableRead:
    """Read what is new for ``table``. What the token may not see is skipped, or fails where it was asked for."""
    entity = ENTITIES[table]
    outcome = Outcome(entity=table, table=table, lane=LANES[type(entity.reading)])
    started = time.monotonic()
    with session.client.stats.scope() as asked:
        try:
            spooled, state = _read(session, entity, fold)
        except Refused as refused:
            outcome.status, outcome.note = "skipped", skip_or_raise(session, table, refused)
            spooled, state = None, {}
    outcome.requests, outcome.seconds = asked.requests, time.monotonic() - started
    outcome.rows = spooled.rows if spooled else 0
    return TableRead(spooled, outcome, state)


def skip_or_raise(session: Session, name: str, refused: Refused) -> str:
    """Give the reason for skipping ``name``, or raise the refusal where a skip would hide something that was wanted."""
    if session.options.strict or name in session.options.named or session.synced_before(name):
        raise refused.error
    log.warning("%s: skipped: %s", name, refused.error)
    return str(refused.error) if refused.table == name else f"needs {refused.table}: {refused.error}"


def _read(session: Session, entity: Entity, fold: Normalise) -> tuple[Spooled, dict[str, Any]]:
    shape = digest_of([[c.name, c.type] for c in session.columns(entity)])
    kept = session.table_state(entity.table)
    if kept.get("columns") != shape:
        # The table has other columns than last time, so every row has to come again.
        kept = {}
    state: dict[str, Any] = {"columns": shape, "watermark": format_time(session.now)}
    if _is_listed(entity):
        rows, digest = differing(_listed(session, entity, fold), _key(entity), kept.get("digest"))
        sheet = session.sheet(entity)
        sheet.add(rows)
        return sheet.finish(), {**state, "digest": digest}
    span = session.span(entity.table) if kept else Span(session.options.since, session.now)
    full, state["full_at"] = _whole_list_due(session, entity, kept, span)
    if isinstance(entity.reading, Derived):
        return read_agent_runs(session, span, full=full, with_runs="runs" in session.tables), state
    return read_entity(session, entity.table, span, full=full).sheets[entity.table], state


def _is_listed(entity: Entity) -> bool:
    """Say whether the entity comes as a whole list, by itself or inside its parent's."""
    reading = ENTITIES[entity.reading.parent].reading if isinstance(entity.reading, Unfolded) else entity.reading
    return isinstance(reading, Snapshot)


def _listed(session: Session, entity: Entity, fold: Normalise) -> list[Row]:
    rows = read_entity(session, entity.table, Span(None, session.now)).rows
    if isinstance(entity.reading, Unfolded):
        return [child for row in rows for child in unfolded(row, entity)]
    if entity.table == "models":
        tables = {model.uuid: model.table for model in list_models(session, fold)}
        return [{**row, "table": tables[row["uuid"]]} for row in rows]
    return rows


def _whole_list_due(session: Session, entity: Entity, kept: dict[str, Any], span: Span) -> tuple[bool, str | None]:
    """Say whether a list that the server filters by creation only has to come whole, and when it last did."""
    recent = _recent_behind(entity)
    if recent is None:
        return True, None
    last = kept.get("full_at")
    due = (
        span.start is None or last is None or session.now - parse_time(last) >= timedelta(hours=recent.full_every_hours)
    )
    return due, format_time(session.now) if due else last


def _recent_behind(entity: Entity) -> Recent | None:
    match entity.reading:
        case Recent() as recent:
            return recent
        case Gated(parent=parent):
            return _recent_behind(ENTITIES[parent])
        case Derived(parents=parents):
            return next((found for parent in parents if (found := _recent_behind(ENTITIES[parent]))), None)
        case _:
            return None


def _key(entity: Entity) -> Any:
    return lambda row: tuple(row.get(name) for name in entity.key_fields)
