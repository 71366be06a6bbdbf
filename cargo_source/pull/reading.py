"""How each way of reading in the catalogue is carried out, for one entity and one window at a time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.entity import Call, Entity, Gated, Recent, Snapshot, Unfolded, Window
from cargo_source.pull.children import Again, Children, gone_inside, latest_inside
from cargo_source.pull.deletes import beside
from cargo_source.pull.following import moved_rows, take_open_rows
from cargo_source.pull.landing import Landing
from cargo_source.pull.pages import Row, TooLong
from cargo_source.pull.query import swept_by_lists, take_queried
from cargo_source.pull.session import Read, Session
from cargo_source.pull.spool import CHUNK_ROWS
from cargo_source.pull.times import Span, format_time, time_at
from cargo_source.pull.unfolding import children_of

_SECOND = timedelta(seconds=1)


def read_entity(session: Session, table: str, span: Span) -> Read:
    """Read what ``table`` is made of in ``span``; what is read once serves everybody who asks for the same.

    To a span that is bounded, a window from outside, a row belongs by one time of its own, so that windows that
    follow one another share nothing and leave nothing out: by the cursor of a Window and of the children of whole
    lists (``updatedAt`` of runs, ``createdAt`` of changes), by when a Recent row last moved (chats). Other rows belong
    with their parent (messages and votes with their chat). Whole lists and rows that tell no time belong to each.
    """
    entity = ENTITIES[table]
    match entity.reading:
        case Unfolded(parent=parent):
            return read_entity(session, parent, span)
        case Snapshot() as snapshot:
            return session.reading(table, (), lambda: _snapshot(session, entity, snapshot))
        case Window() as window:
            return session.reading(table, (span,), lambda: _window(session, entity, window, span))
        case Recent() as recent:
            return session.reading(table, (span,), lambda: _recent(session, entity, recent, span))
        case Gated() as gated:
            return session.reading(table, (span,), lambda: _gated(session, entity, gated, span))
        case _:
            raise TypeError(f"{table} has no reading of its own")


def _snapshot(session: Session, entity: Entity, snapshot: Snapshot) -> Read:
    if entity.table == "workspaces" and session.workspace:
        return Read(rows=[session.workspace])
    rows = [row for page in session.lists.rows(entity, entity.listed_by, {}) for row in page]
    if snapshot.dated:
        rows = [{**row, snapshot.dated: session.now.date().isoformat()} for row in rows]
    session.told(entity.table, len(rows), len(rows))
    return Read(rows=rows)


def second_look(session: Session, table: str) -> list[Row]:
    """Give a whole list once more: what both looks lack is gone."""
    entity = ENTITIES[table]
    if not isinstance(entity.reading, Snapshot):
        raise TypeError(f"{table} is not read as a whole list")
    snapshot = entity.reading
    return session.reading(table, ("second look",), lambda: _snapshot(session, entity, snapshot)).rows


def _window(session: Session, entity: Entity, window: Window, span: Span) -> Read:
    landing = Landing(session, entity, span)
    if not landing.is_finished:
        if not take_queried(session, entity, window, span, landing, read_entity):
            _take_lists(session, entity, window, span, landing)
        take_open_rows(session, entity, span, landing, read_entity)
    read = landing.finish()
    for child in children_of(entity.table):
        inside = latest_inside(child, read.sheets[child.table], entity, read.sheets[entity.table])
        read.sheets[child.table] = gone_inside(session, child, inside, entity, read.sheets[entity.table])
    return read


def _take_lists(session: Session, entity: Entity, window: Window, span: Span, landing: Landing) -> None:
    """Take the window by lists, in pieces where they are long: what came whole need not come again."""
    listed = swept_by_lists(session, entity, span)
    parents: list[Row | None] = [*_parents_in_motion(session, window, span)] if window.per else [None]
    work = [Piece(parent, _start(session, window, listed), listed.end) for parent in parents]
    # Either lists run side by side, or the pages of one.
    several = session.many if window.per else map

    def take(piece: Piece) -> list[Piece]:
        return _take_piece(session, entity, window, landing, piece)

    while work:
        work = [half for halves in several(take, work) for half in halves]


@dataclass(frozen=True)
class Piece:
    """A part of a window: rows of one parent, if there is one, from ``start`` (None: from the first) to ``end``."""

    parent: Row | None
    start: datetime | None
    end: datetime

    @property
    def name(self) -> str:
        """What it is called among units of work."""
        return f"{(self.parent or {}).get('uuid', '')} {self.start} {self.end}"

    def halves(self, since: datetime) -> "list[Piece]":
        """Split it in two."""
        middle = (self.start or since) + (self.end - (self.start or since)) / 2
        return [replace(self, end=middle), replace(self, start=middle)]


LONGEST = 2 * CHUNK_ROWS
"""Rows of one list that are read in one piece, where the server counts them."""
SHORTEST = timedelta(minutes=1)


def _take_piece(session: Session, entity: Entity, window: Window, landing: Landing, piece: Piece) -> list[Piece]:
    """Take the rows of a piece, or give the pieces that it has to be read in."""
    if landing.has(piece.name):
        return []
    span = Span(piece.start, piece.end)
    filters = {window.after: span.after, window.before: span.before}
    first = piece.start or session.since
    most = LONGEST if piece.end - first > SHORTEST else None
    pages = session.lists.rows(
        entity, entity.listed_by, filters, piece.parent, parallel=piece.parent is None, most=most, lines=True
    )
    try:
        landing.take(pages, piece.name)
    except TooLong:
        return piece.halves(first)
    return []


def _start(session: Session, window: Window, span: Span) -> datetime | None:
    return session.since if span.start is None and window.required else span.start


def _parents_in_motion(session: Session, window: Window, span: Span) -> list[Row]:
    parents = read_entity(session, str(window.per), span).rows
    if window.moves_with is None or span.start is None or span.sweep or span.bounded:
        return parents
    table, field = window.moves_with
    moved = read_entity(session, table, span).values[field]
    return [row for row in parents if row["uuid"] in moved]


def _recent(session: Session, entity: Entity, recent: Recent, span: Span) -> Read:
    call = entity.listed_by
    horizon = session.now - timedelta(days=recent.days)
    readings: list[dict[str, Any]] = [{}]
    if span.bounded:
        # What was created later cannot have moved in here, but what was created long ago may have.
        readings = [{recent.before: span.before}]
    elif span.start is not None and not span.sweep:
        readings = [{recent.after: format_time(horizon), recent.before: span.before}, dict(recent.open_filter)]
    landing = Landing(session, entity, span)
    if landing.is_finished:
        return landing.finish()
    listed: dict[Any, datetime | None] = {}
    for params in readings:
        for page in session.lists.rows(entity, call, params):
            for row in page:
                times = [moment for signal in recent.signals if (moment := time_at(row, signal))]
                listed[row["uuid"]] = max(times, default=None)
            landing.take([[row for row in page if _has_news(row, listed[row["uuid"]], recent, horizon, span)]])
    return landing.finish(listed)


def _has_news(row: Row, moved: datetime | None, recent: Recent, horizon: datetime, span: Span) -> bool:
    if span.bounded:
        return span.holds(moved)
    if moved is None or span.reached_by(moved):
        return True
    # What was created before the horizon is listed by sweeps only, so it may have moved since the last of them.
    created = time_at(row, recent.after.removesuffix("After") + "At")
    return span.sweep and (created is None or created <= horizon) and span.reached_since_sweep(moved)


def _gated(session: Session, entity: Entity, gated: Gated, span: Span) -> Read:
    children = Children(session, entity, gated)
    landing = Landing(session, entity, span, {f"{entity.table} keys": children.sheet})
    family = _Family(session, entity, gated, span, landing, children)
    if gated.also:
        family.take_list(gated.also)
        children.read(None)
    if family.whole:
        family.take_list(replace(entity.listed_by, send={}))
        children.read_whole()
    else:
        session.each(family.take_children, _moved_parents(session, entity, gated, span))
    if not landing.is_finished:
        take_open_rows(session, entity, span, landing, read_entity)
    read = landing.finish()
    again = Again(family.again, lambda: second_look(session, gated.parent))
    gone = children.gone(again, _all_parents(session, gated, span))
    read.sheets[entity.table] = beside(session, read.sheets[entity.table], entity.key, gone)
    return read


@dataclass(frozen=True)
class _Family:
    """Children on their way: the rows that moved into ``landing``, the keys of all into ``children``."""

    session: Session
    entity: Entity
    gated: Gated
    span: Span
    landing: Landing
    children: Children

    @property
    def whole(self) -> bool:
        """Whether one list gives the children of all parents."""
        return self.gated.swept == "whole" and (self.span.start is None or self.span.sweep)

    def take_children(self, parent: Row) -> None:
        """Take the children of one parent, unless they came before this sync was cut off."""
        table, uuid = self.entity.table, parent["uuid"]
        if not self.landing.has(uuid):
            shape = SHAPERS.get(table, _as_it_is)
            pages = self.session.lists.rows(self.entity, self.entity.listed_by, {}, parent)
            self.landing.take(self._moved(pages, lambda row: shape(self.session, parent, row)), covers=uuid)
            if (table, uuid) not in self.session.vanished:
                self.landing.done(uuid)
        self.children.read(uuid)

    def take_list(self, call: Call) -> None:
        """Take a list of children that names no parent."""
        if not self.landing.has(ALL):
            pages = self.session.lists.rows(self.entity, call, {}, parallel=self.whole)
            self.landing.take(self._moved(pages, lambda row: row), ALL)

    def _moved(self, pages: Iterable[list[Row]], shape: Callable[[Row], Row]) -> Iterator[list[Row]]:
        for page in pages:
            self.children.take(page)
            yield moved_rows(self.entity, [shape(row) for row in page], self.span)

    def again(self, parent: Any) -> Iterator[list[Row]]:
        """Read a list once more: that of a parent, or that of all or of none."""
        call = self.entity.listed_by
        if parent is not None:
            return self.session.lists.rows(self.entity, call, {}, {"uuid": parent})
        return self.session.lists.rows(
            self.entity, replace(call, send={}) if self.whole else self.gated.also or call, {}
        )


ALL = "all"
"""The unit of work that is one list of the children of all parents, or of none."""


def _all_parents(session: Session, gated: Gated, span: Span) -> list[Row] | None:
    """Give all parents where a sweep asks each of them for its children, and where it is known which there are."""
    swept = gated.swept == "parents" and span.sweep
    return read_entity(session, gated.parent, span).rows if swept and _is_listed_whole(gated) else None


def _is_listed_whole(gated: Gated) -> bool:
    return isinstance(ENTITIES[gated.parent].reading, Snapshot)


def _moved_parents(session: Session, entity: Entity, gated: Gated, span: Span) -> list[Row]:
    """Give the parents whose children may have news, whether a signal, another entity or a sweep says so."""
    read = read_entity(session, gated.parent, span)
    if span.bounded:
        return [row for row in read.rows if gated.swept or _may_hold(row, gated, span)]
    if span.start is None or (gated.swept == "parents" and span.sweep and read.listed is None):
        return read.rows
    moved = {row["uuid"]: row for row in read.rows if _signalled(row, gated, span)}
    if gated.swept == "parents" and span.sweep:
        since = session.now - _days_of(gated.parent)
        recent = {uuid for uuid, at in (read.listed or {}).items() if at is None or at >= since}
        moved |= {uuid: {"uuid": uuid} for uuid in (recent | _parents_landed(session, entity)) - moved.keys()}
    if gated.touched_by:
        table, field = gated.touched_by
        touched = read_entity(session, table, span).values[field]
        moved |= {row["uuid"]: row for row in read.rows if row["uuid"] in touched}
    return list(moved.values())


def _parents_landed(session: Session, entity: Entity) -> set[Any]:
    """Give the parents that have children in the destination: those may change however old they are."""
    (field,) = entity.listed_by.send
    return {uuid for (uuid,) in session.destination.select(entity.table, [entity.name_of(field)], "1 = 1")}


def _signalled(row: Row, gated: Gated, span: Span) -> bool:
    if not _is_listed_whole(gated):
        # Only parents that moved are among the rows of the others.
        return True
    return any(span.reached_by(moment) for signal in gated.signals if (moment := time_at(row, signal)))


def _may_hold(row: Row, gated: Gated, span: Span) -> bool:
    """Say whether a parent may have children in a window: not where all that it tells is older."""
    return _signalled(row, gated, span) or not any(time_at(row, signal) for signal in gated.signals)


def _days_of(parent: str) -> timedelta:
    reading = ENTITIES[parent].reading
    return timedelta(days=reading.days if isinstance(reading, Recent) else 0)


def _change_row(session: Session, change: Row, row: Row) -> Row:
    """Shape a record of a change: what the platform adds stands apart, the record's own columns are JSON."""
    return {
        "changeUuid": change["uuid"],
        "segmentUuid": change.get("segmentUuid"),
        "createdAt": change.get("createdAt"),
        "kind": row.get("_kind"),
        "recordId": row.get("_id"),
        "title": row.get("_title"),
        "time": row.get("_time"),
        "record": session.options.shaping.record(
            {name: value for name, value in row.items() if name not in _OF_CHANGES}, session.pseudonym
        ),
    }


_OF_CHANGES = frozenset({"_kind", "_id", "_title", "_time"})


def _as_it_is(_session: Session, _parent: Row, row: Row) -> Row:
    return row


SHAPERS: dict[str, Callable[[Session, Row, Row], Row]] = {"change_rows": _change_row}
"""Entities whose rows are made out of the answer and the parent."""
