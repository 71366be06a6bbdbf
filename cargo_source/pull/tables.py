"""What one sync has to write into one entity table, and what it has to remember for the next."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.entity import Derived, Entity, Gated, Metered, Recent, Snapshot, Unfolded, Window
from cargo_source.pull.agent_runs import read_agent_runs
from cargo_source.pull.deletes import beside, followed, gone_of_list, marked_before, told
from cargo_source.pull.digest import differing
from cargo_source.pull.listings import Refused
from cargo_source.pull.members import read_members
from cargo_source.pull.outcome import Outcome
from cargo_source.pull.pages import Row
from cargo_source.pull.reading import read_entity, second_look
from cargo_source.pull.records import list_models
from cargo_source.pull.session import Session
from cargo_source.pull.shapes import Normalise
from cargo_source.pull.spool import Spooled
from cargo_source.pull.times import Span, format_time, parse_time
from cargo_source.pull.unfolding import unfolded
from cargo_source.pull.usage import read_usage

log = logging.getLogger("cargo_source")

DERIVED: dict[str, Callable[[Session, Span], Spooled]] = {
    "agent_runs": lambda session, span: read_agent_runs(session, span, with_runs="runs" in session.tables),
    "segment_members": read_members,
}
"""What makes the rows of entities that the API does not have."""

LANES: dict[type, str] = {
    Snapshot: "list",
    Window: "window",
    Recent: "window",
    Gated: "by parent",
    Unfolded: "in parent",
    Metered: "window",
    Derived: "derived",
}
"""How the summary names each way of reading."""


@dataclass(frozen=True)
class TableRead:
    """The rows of one table that have news (None: the entity was skipped), and the state to keep."""

    spooled: Spooled | None
    state: dict[str, Any]


def outcome_of(table: str) -> Outcome:
    """Give the outcome of an entity's table before it is read."""
    return Outcome(entity=table, table=table, lane=LANES[type(ENTITIES[table].reading)])


def read_table(session: Session, table: str, fold: Normalise, outcome: Outcome) -> TableRead:
    """Read what is new for ``table``. What the token may not see is skipped, or fails where it was asked for."""
    entity = ENTITIES[table]
    started = time.monotonic()
    with session.client.stats.scope() as asked:
        try:
            spooled, state = _read(session, entity, fold)
            marked = marked_before(session, table, entity.key, session.memory.table_state(table))
            spooled = beside(session, spooled, entity.key, marked)
        except Refused as refused:
            outcome.status, outcome.note = "skipped", skip_or_raise(session, table, refused)
            spooled, state = None, {}
        finally:
            outcome.seconds = time.monotonic() - started
            outcome.charge(asked)
    outcome.rows = spooled.rows if spooled else 0
    outcome.lane = session.lanes.get(table, outcome.lane)
    # A window leaves the cursors where they are.
    outcome.watermark = None if session.windowed else state.get("watermark")
    outcome.state(session.evidence(table))
    outcome.note = outcome.note or "; ".join(filter(None, (told(session, table), session.surprises[table].note())))
    return TableRead(spooled, state)


def skip_or_raise(session: Session, name: str, refused: Refused) -> str:
    """Give the reason for skipping ``name``, or raise the refusal where a skip would hide something that was wanted."""
    if session.options.strict or name in session.options.named or session.memory.synced_before(name):
        raise refused.error
    log.warning("%s: skipped: %s", name, refused.error)
    return str(refused.error) if refused.table == name else f"needs {refused.table}: {refused.error}"


def _read(session: Session, entity: Entity, fold: Normalise) -> tuple[Spooled, dict[str, Any]]:
    kept, span = session.memory.table_state(entity.table), session.span(entity.table)
    state: dict[str, Any] = {
        "columns": session.memory.fingerprint(entity),
        "watermark": format_time(session.now),
        "swept_at": format_time(session.now) if span.sweep else kept["swept_at"],
        "deletes": followed(session, entity.table),
    }
    if (snapshot := _snapshot_behind(entity)) is not None:
        return _read_list(session, entity, snapshot, kept, state, fold)
    match entity.reading:
        case Derived():
            return DERIVED[entity.table](session, span), state
        case Metered() as metered:
            spooled, digest = read_usage(session, entity, metered, span, kept.get("digest"))
            return spooled, {**state, "digest": digest}
    return read_entity(session, entity.table, span).sheets[entity.table], state


def _read_list(
    session: Session,
    entity: Entity,
    snapshot: Snapshot,
    kept: dict[str, Any],
    state: dict[str, Any],
    fold: Normalise,
) -> tuple[Spooled, dict[str, Any]]:
    """Read a whole list, and spool what differs from the last time."""
    sheet = session.sheet(entity)
    if session.options.window is not None and not session.options.window.lists:
        return sheet.finish(), state
    if kept and session.now - parse_time(kept["watermark"]) < timedelta(hours=snapshot.every_hours):
        return sheet.finish(), kept
    listed = _listed(session, entity, fold)
    rows, digest = differing(listed, _key(entity), kept.get("digest"))
    sheet.add(rows)
    spooled = sheet.finish()
    if not snapshot.dated:
        # What is dated has a row for each day, of which a list gives today's.
        gone = gone_of_list(session, entity, listed, lambda: _listed_again(session, entity), kept, digest)
        spooled = beside(session, spooled, entity.key, gone)
    return spooled, {**state, "digest": digest}


def _snapshot_behind(entity: Entity) -> Snapshot | None:
    """Give how an entity comes that is listed whole, by itself or inside its parent."""
    reading = ENTITIES[entity.reading.parent].reading if isinstance(entity.reading, Unfolded) else entity.reading
    return reading if isinstance(reading, Snapshot) else None


def _listed(session: Session, entity: Entity, fold: Normalise) -> list[Row]:
    rows = read_entity(session, entity.table, Span(None, session.now)).rows
    if isinstance(entity.reading, Unfolded):
        return [child for row in [*rows, *_beside(session, entity, entity.reading)] for child in unfolded(row, entity)]
    if entity.table == "models":
        tables = {model.uuid: model.table for model in list_models(session, fold)}
        return [{**row, "table": tables[row["uuid"]]} for row in rows]
    return rows


def _listed_again(session: Session, entity: Entity) -> list[Row]:
    """List an entity once more; of the rows, only the keys are as they land."""
    if not isinstance(entity.reading, Unfolded):
        return second_look(session, entity.table)
    parents = second_look(session, entity.reading.parent)
    found = [*parents, *_beside(session, entity, entity.reading, "second look")]
    return [child for row in found for child in unfolded(row, entity)]


def _beside(session: Session, entity: Entity, how: Unfolded, look: str = "first look") -> list[Row]:
    """Give the parent that the parents' own list lacks, if there is one."""
    call = how.beside
    if call is None:
        return []
    found = session.once(
        (call.path, look), lambda: [row for page in session.lists.rows(entity, call, {}) for row in page]
    )
    return [{**row, **how.beside_as} for row in found]


def _key(entity: Entity) -> Any:
    return lambda row: tuple(row.get(name) for name in entity.key_fields)
