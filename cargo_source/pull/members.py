"""Who was in which segment from when to when, put together from the records that changes name.

All intervals of a record in a segment are made anew whenever one of its change rows is new, so that the order in which
these arrive does not matter. Where the change rows themselves are loaded along, the older ones are those here; else the
intervals of earlier syncs stand for them, which hold every entry and exit that there was.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.columns import Type
from cargo_source.pull.deletes import FEW, TOGETHER, files, paths_of
from cargo_source.pull.landed import quoted
from cargo_source.pull.pages import Row
from cargo_source.pull.reading import read_entity
from cargo_source.pull.session import Session
from cargo_source.pull.spool import Spooled
from cargo_source.pull.times import Span

MEMBERS = ENTITIES["segment_members"]
CHANGE_ROWS = "change_rows"
_BATCH = 20_000

_EVENTS: dict[str, Type] = {
    "segment_uuid": "text",
    "record_id": "text",
    "created_at": "timestamp",
    "kind": "text",
    "change_uuid": "text",
}
_INTERVALS: dict[str, Type] = {
    "segment_uuid": "text",
    "record_id": "text",
    "entered_at": "timestamp",
    "left_at": "timestamp",
    "entered_change_uuid": "text",
    "left_change_uuid": "text",
}


class Event(NamedTuple):
    """A record that entered a segment, left it, or was seen inside of it."""

    segment: str
    record: str
    at: str
    kind: str
    change: str


@dataclass(frozen=True)
class Interval:
    """A stay in a segment. Who was there before the first that is known entered at no known time."""

    entered: Event | None
    left: Event | None = None


def intervals(events: Iterable[Event]) -> list[Interval]:
    """Put together the stays of one record in one segment from its events, in their order."""
    found: list[Interval] = []
    inside: Interval | None = None
    for event in events:
        if event.kind == "removed":
            if inside or not found:
                found.append(replace(inside or Interval(None), left=event))
            inside = None
        elif inside is None:
            # An update shows that the record is inside; that it entered was not seen.
            inside = Interval(event if event.kind == "added" or found else None)
    return [*found, inside] if inside else found


def read_members(session: Session, span: Span) -> Spooled:
    """Give all intervals of the records that have new change rows in ``span``, or have them for the first time here.

    A window that is given from outside leaves them as they are.
    """
    sheet = session.sheet(MEMBERS)
    if session.windowed:
        # Who was inside follows from all changes, not from those of a while.
        return sheet.finish()
    along = CHANGE_ROWS in session.tables
    landed = along and bool(session.memory.table_state(CHANGE_ROWS))
    window = session.span(CHANGE_ROWS) if along else span
    read = read_entity(session, CHANGE_ROWS, window).sheets[CHANGE_ROWS]
    # Change rows may have come in syncs that made no intervals of them.
    behind = landed and (span.start is None or (window.start is not None and window.start > span.start))
    if not (read.rows or behind):
        return sheet.finish()
    models = _models(session)
    source = _changes_here(session, read, whole=behind) if landed else _stays_here(session, read)
    waiting: list[Row] = []
    for _, events in groupby(_events(read, source, whole=behind), key=lambda event: (event.segment, event.record)):
        stays = list(events)
        waiting += [_row(stays[0], stay, models) for stay in intervals(stays)]
        if len(waiting) >= _BATCH:
            sheet.add(waiting)
            waiting = []
    sheet.add(waiting)
    return sheet.finish()


def _models(session: Session) -> dict[str, Any]:
    """Give the model of each segment, of those that are gone too where they are here."""
    listed = read_entity(session, "segments", Span(None, session.now)).rows
    here = {}
    if {"uuid", "model_uuid"} <= session.destination.types("segments").keys():
        here = dict(session.destination.select("segments", ["uuid", "model_uuid"], "1 = 1"))
    return here | {row["uuid"]: row.get("modelUuid") for row in listed}


def _row(of: Event, stay: Interval, models: dict[str, Any]) -> Row:
    return {
        "segmentUuid": of.segment,
        "recordId": of.record,
        "enteredAt": stay.entered and stay.entered.at,
        "leftAt": stay.left and stay.left.at,
        "modelUuid": models.get(of.segment),
        "enteredChangeUuid": stay.entered and stay.entered.change,
        "leftChangeUuid": stay.left and stay.left.change,
    }


def _changes_here(session: Session, read: Spooled, *, whole: bool) -> str:
    """Copy older change rows of the records that were read out of the destination; ``whole`` says of all."""
    found = _copied(session, CHANGE_ROWS, _EVENTS, ["1 = 1"] if whole else _conditions(read))
    return f"SELECT {', '.join(_EVENTS)} FROM {files(found)}"  # noqa: S608 - our own names


def _stays_here(session: Session, read: Spooled) -> str:
    """Copy the intervals of earlier syncs out of the destination, and write each as an entry and an exit."""
    found = files(_copied(session, MEMBERS.table, _INTERVALS, _conditions(read)))
    ends = {"added": "entered", "removed": "left"}
    return " UNION ALL ".join(
        f"SELECT segment_uuid, record_id, {end}_at AS created_at, '{kind}' AS kind, {end}_change_uuid AS change_uuid"  # noqa: S608 - our own names
        f" FROM {found} WHERE {end}_at IS NOT NULL"
        for kind, end in ends.items()
    )


def _conditions(read: Spooled) -> list[str]:
    """Write what limits older rows to those of the records that were read: by record, or of very many by segment."""
    with read.spool.database() as db:
        source = files(paths_of(read))
        for name, most in (("record_id", FEW), ("segment_uuid", None)):
            query = f"SELECT DISTINCT {name} FROM {source} ORDER BY ALL" + (f" LIMIT {most + 1}" if most else "")  # noqa: S608 - our own names
            values = [value for (value,) in db.execute(query).fetchall()]
            if most is None or len(values) <= most:
                break
    batches = (values[start : start + TOGETHER] for start in range(0, len(values), TOGETHER))
    return [f"{name} IN ({quoted(batch)})" for batch in batches]


def _copied(session: Session, table: str, columns: dict[str, Type], conditions: list[str]) -> list[Path]:
    paths = []
    for where in conditions or ["1 = 0"]:
        paths.append(session.spool.new_file())
        session.destination.copy(table, columns, where, paths[-1])
        paths[-1].chmod(0o600)
    return paths


def _events(read: Spooled, source: str, *, whole: bool) -> Iterator[Event]:
    """Give new and older events together, in the order of each record's history, each once."""
    new = f"SELECT {', '.join(_EVENTS)} FROM {files(paths_of(read))}"  # noqa: S608 - our own names
    of_these = "" if whole else "WHERE (segment_uuid, record_id) IN (SELECT (segment_uuid, record_id) FROM new)"
    cells = "segment_uuid, record_id, strftime(created_at, '%Y-%m-%dT%H:%M:%S.%fZ') AS at, kind, change_uuid"
    every = f"SELECT * FROM new UNION SELECT * FROM ({source}) {of_these}"  # noqa: S608 - as above
    with read.spool.database() as db:
        found = db.execute(f"WITH new AS ({new}) SELECT {cells} FROM ({every}) ORDER BY 1, 2, 3, 5, 4")  # noqa: S608 - as above
        while batch := found.fetchmany(_BATCH):
            yield from (Event(*row) for row in batch)
