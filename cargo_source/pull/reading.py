"""How each way of reading in the catalogue is carried out, for one entity and one window at a time."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.entity import Call, Entity, Gated, Recent, Snapshot, Unfolded, Window
from cargo_source.pull.landed import quoted
from cargo_source.pull.pages import Row
from cargo_source.pull.session import Read, Session
from cargo_source.pull.times import Span, format_time, time_at

_SECOND = timedelta(seconds=1)


def read_entity(session: Session, table: str, span: Span, *, full: bool = True) -> Read:
    """Read what ``table`` is made of in ``span``; what is read once serves everybody who asks for the same.

    ``full`` matters to entities that the server filters by creation only: whether to list them whole.
    """
    entity = ENTITIES[table]
    match entity.reading:
        case Unfolded(parent=parent):
            return read_entity(session, parent, span, full=full)
        case Snapshot():
            return session.reading(table, (), lambda: _snapshot(session, entity))
        case Window() as window:
            return session.reading(table, (span.start,), lambda: _window(session, entity, window, span))
        case Recent() as recent:
            return session.reading(table, (span.start, full), lambda: _recent(session, entity, recent, span, full=full))
        case Gated() as gated:
            return session.reading(table, (span.start, full), lambda: _gated(session, entity, gated, span, full=full))
        case _:
            raise TypeError(f"{table} has no reading of its own")


def unfolded(parent: Row, entity: Entity) -> list[Row]:
    """Give the rows of ``entity`` that lie inside a row of its parent."""
    how = entity.reading
    if not isinstance(how, Unfolded):
        raise TypeError(f"{entity.table} is not unfolded")
    carried = {ours: parent.get(theirs) for ours, theirs in how.carry.items()}
    inside = [item for name in how.fields for item in (parent.get(name) or [])]
    return [{**item, **carried, how.position: index} for index, item in enumerate(inside)]


def children_of(table: str) -> list[Entity]:
    """Give the entities that are unfolded from the rows of ``table``."""
    return [e for e in ENTITIES.values() if isinstance(e.reading, Unfolded) and e.reading.parent == table]


def _snapshot(session: Session, entity: Entity) -> Read:
    if entity.table == "workspaces":
        return Read(rows=[session.workspace] if session.workspace else [])
    rows = [row for page in session.listing(entity, _call(entity), {}) for row in page]
    session.watch(entity.table, len(rows), len(rows))
    return Read(rows=rows)


def _window(session: Session, entity: Entity, window: Window, span: Span) -> Read:
    filters = _filters(session, window, span)
    landing = _Landing(session, entity)
    if window.per:
        parents = read_entity(session, window.per, span).rows
        list(session.many(lambda row: landing.take(session.listing(entity, _call(entity), filters, row)), parents))
    else:
        landing.take(session.listing(entity, _call(entity), filters, parallel=True))
    if entity.follow and span.start is not None:
        landing.take(_followed(session, entity, window, span, landing.keys))
    return landing.finish()


class _Landing:
    """Where the rows of one entity go: its own sheet, those of what is unfolded from it, and what others need."""

    def __init__(self, session: Session, entity: Entity) -> None:
        self._entity = entity
        self._children = [(child, session.sheet(child)) for child in children_of(entity.table)]
        self._sheet = session.sheet(entity)
        self._count = _Counter(session, entity.table)
        self._kept: dict[tuple[Any, ...], Row] = {}
        self.keys: set[Any] = set()
        """What the rows are followed by, where that is their whole key."""

    def take(self, pages: Iterator[list[Row]]) -> None:
        """Take pages; several threads may at once."""
        for page in pages:
            self._sheet.add(page)
            for child, sheet in self._children:
                sheet.add([inside for row in page for inside in unfolded(row, child)])
            self._kept.update({tuple(some.values()): some for row in page if (some := self._entity.kept(row))})
            if self._entity.follow and self._entity.key_fields == (self._entity.follow.by,):
                self.keys.update(row[self._entity.follow.by] for row in page)
            self._count.add(len(page))

    def finish(self) -> Read:
        """Close the sheets."""
        sheets = {child.table: sheet.finish() for child, sheet in self._children}
        return Read({self._entity.table: self._sheet.finish(), **sheets}, list(self._kept.values()))


def _filters(session: Session, window: Window, span: Span) -> dict[str, Any]:
    after = span.after
    if after is None and window.required:
        after = format_time(session.since - _SECOND)
    return {window.after: after, window.before: span.before}


def _followed(session: Session, entity: Entity, window: Window, span: Span, there: set[Any]) -> Iterator[list[Row]]:
    """Read again what began before the window and moved: what the destination holds as open, and what was touched."""
    follow = entity.follow
    if follow is None:
        return
    oldest: dict[str, Any] = {}
    for value, started in open_rows(session, entity, (_name(entity, follow.by), _name(entity, window.cursor))):
        oldest[value] = min(started, oldest.get(value, started))
    if window.touched_by:
        table, field = window.touched_by
        oldest.update(dict.fromkeys(row[field] for row in read_entity(session, table, span).rows))

    def again(value: str) -> list[Row]:
        params = {}
        if follow.call.method == "POST":
            params = {window.after: format_time(oldest[value] - _SECOND), window.before: span.before}
        pages = session.listing(entity, follow.call, params, {follow.by: value})
        return [row for page in pages for row in page]

    yield from session.many(again, sorted(oldest.keys() - there))


def open_rows(session: Session, entity: Entity, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Ask the destination for the rows of ``entity`` that have not come to their end."""
    follow = entity.follow
    if follow is None or not session.table_state(entity.table):
        return []
    where = f"{_name(entity, follow.status)} NOT IN ({quoted(follow.final)})"
    return session.destination.select(entity.table, columns, where)


def _recent(session: Session, entity: Entity, recent: Recent, span: Span, *, full: bool) -> Read:
    call = _call(entity)
    readings: list[dict[str, Any]] = [{}]
    if span.start is not None and not full:
        readings = [
            {
                recent.after: format_time(session.now - timedelta(days=recent.days)),
                recent.before: span.before,
            },
            dict(recent.open_filter),
        ]
    sheet, counted, rows = session.sheet(entity), _Counter(session, entity.table), []
    for params in readings:
        for page in session.listing(entity, call, params):
            moved = [row for row in page if _moved(row, recent.signals, span)]
            sheet.add(moved)
            rows += [some for row in moved if (some := entity.kept(row))]
            counted.add(len(page))
    unique = {row["uuid"]: row for row in rows}
    return Read({entity.table: sheet.finish()}, list(unique.values()))


def _moved(row: Row, signals: tuple[str, ...], span: Span) -> bool:
    if span.start is None:
        return True
    times = [moment for moment in (time_at(row, signal) for signal in signals) if moment]
    return not times or span.reached_by(max(times))


def _gated(session: Session, entity: Entity, gated: Gated, span: Span, *, full: bool) -> Read:
    parents = [
        row
        for row in read_entity(session, gated.parent, span, full=full).rows
        if span.start is None or any(span.reached_by(time_at(row, signal)) for signal in gated.signals)
    ]
    parents += _open_parents(session, entity, gated, parents, span)
    sheet, counted = session.sheet(entity), _Counter(session, entity.table)
    shape = SHAPERS.get(entity.table, _as_it_is)

    def of_parent(parent: Row) -> list[Row]:
        kept = []
        for page in session.listing(entity, _call(entity), {}, parent):
            rows = [row for row in (shape(parent, row) for row in page) if _in_span(row, entity, span)]
            sheet.add(rows)
            kept += [some for row in rows if (some := entity.kept(row))]
            counted.add(len(page))
        return kept

    rows = [row for some in session.many(of_parent, parents) for row in some]
    return Read({entity.table: sheet.finish()}, rows)


def _open_parents(session: Session, entity: Entity, gated: Gated, known: list[Row], span: Span) -> list[Row]:
    """Read the parents of rows that the destination still holds as open and that the gate did not let through."""
    follow = entity.follow
    if span.start is None or follow is None:
        return []
    there = {row["uuid"] for row in known}
    missing = sorted({value for (value,) in open_rows(session, entity, (_name(entity, follow.by),))} - there)
    parent = ENTITIES[gated.parent]

    def again(uuid: str) -> list[Row]:
        return [row for page in session.listing(parent, follow.call, {}, {follow.by: uuid}) for row in page]

    return [some for rows in session.many(again, missing) for row in rows if (some := parent.kept(row))]


def _in_span(row: Row, entity: Entity, span: Span) -> bool:
    """Say whether a row is new: changes never change, so those from before the window have landed."""
    return entity.table != "changes" or span.start is None or span.reached_by(time_at(row, "createdAt"))


def _change_row(change: Row, row: Row) -> Row:
    """Shape a record of a change: what the platform adds stands apart, the record's own columns are JSON."""
    return {
        "changeUuid": change["uuid"],
        "segmentUuid": change.get("segmentUuid"),
        "createdAt": change.get("createdAt"),
        "kind": row.get("_kind"),
        "recordId": row.get("_id"),
        "title": row.get("_title"),
        "time": row.get("_time"),
        "record": {name: value for name, value in row.items() if name not in _OF_CHANGES},
    }


_OF_CHANGES = frozenset({"_kind", "_id", "_title", "_time"})


def _as_it_is(_parent: Row, row: Row) -> Row:
    return row


SHAPERS: dict[str, Callable[[Row, Row], Row]] = {"change_rows": _change_row}
"""Entities whose rows are made out of the answer and the parent."""


class _Counter:
    """Adds up the rows of one entity over its threads, for whoever watches."""

    def __init__(self, session: Session, table: str) -> None:
        self._session, self._table, self._rows = session, table, 0

    def add(self, rows: int) -> None:
        self._rows += rows
        self._session.watch(self._table, self._rows, None)


def _call(entity: Entity) -> Call:
    if entity.call is None:
        raise TypeError(f"{entity.table} has no list operation")
    return entity.call


def _name(entity: Entity, field: str) -> str:
    return next(column.name for column in entity.columns if column.field == field)
