"""How each way of reading in the catalogue is carried out, for one entity and one window at a time."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.entity import Call, Entity, Gated, Recent, Snapshot, Unfolded, Window
from cargo_source.pull.children import Again, Children, gone_inside
from cargo_source.pull.deletes import beside
from cargo_source.pull.following import moved_rows, take_open_rows
from cargo_source.pull.landing import Landing, children_of
from cargo_source.pull.pages import Row
from cargo_source.pull.query import swept_by_lists, take_queried
from cargo_source.pull.session import Read, Session
from cargo_source.pull.times import Span, format_time, time_at

_SECOND = timedelta(seconds=1)


def read_entity(session: Session, table: str, span: Span) -> Read:
    """Read what ``table`` is made of in ``span``; what is read once serves everybody who asks for the same."""
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
    rows = [row for page in session.listing(entity, entity.listed_by, {}) for row in page]
    if snapshot.dated:
        rows = [{**row, snapshot.dated: session.now.date().isoformat()} for row in rows]
    session.watch(entity.table, len(rows), len(rows))
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
    if not take_queried(session, entity, window, span, landing, read_entity):
        filters = _filters(session, window, swept_by_lists(session, entity, span))
        call = entity.listed_by
        if window.per:
            parents = _parents_in_motion(session, window, span)
            session.each(lambda row: landing.take(session.listing(entity, call, filters, row)), parents)
        else:
            landing.take(session.listing(entity, call, filters, parallel=True))
    take_open_rows(session, entity, span, landing, read_entity)
    read = landing.finish()
    for child in children_of(entity.table):
        if isinstance(child.reading, Unfolded):
            read.sheets[child.table] = gone_inside(session, child, child.reading, read.sheets[child.table])
    return read


def _filters(session: Session, window: Window, span: Span) -> dict[str, Any]:
    after = span.after
    if after is None and window.required:
        after = format_time(session.since - _SECOND)
    return {window.after: after, window.before: span.before}


def _parents_in_motion(session: Session, window: Window, span: Span) -> list[Row]:
    parents = read_entity(session, str(window.per), span).rows
    if window.moves_with is None or span.start is None or span.sweep:
        return parents
    table, field = window.moves_with
    moved = read_entity(session, table, span).values[field]
    return [row for row in parents if row["uuid"] in moved]


def _recent(session: Session, entity: Entity, recent: Recent, span: Span) -> Read:
    call = entity.listed_by
    horizon = session.now - timedelta(days=recent.days)
    readings: list[dict[str, Any]] = [{}]
    if span.start is not None and not span.sweep:
        readings = [{recent.after: format_time(horizon), recent.before: span.before}, dict(recent.open_filter)]
    landing = Landing(session, entity, span)
    listed: dict[Any, datetime | None] = {}
    for params in readings:
        for page in session.listing(entity, call, params):
            for row in page:
                times = [moment for signal in recent.signals if (moment := time_at(row, signal))]
                listed[row["uuid"]] = max(times, default=None)
            landing.take([[row for row in page if _has_news(row, listed[row["uuid"]], recent, horizon, span)]])
    return landing.finish(listed)


def _has_news(row: Row, moved: datetime | None, recent: Recent, horizon: datetime, span: Span) -> bool:
    if moved is None or span.reached_by(moved):
        return True
    # What was created before the horizon is listed by sweeps only, so it may have moved since the last of them.
    created = time_at(row, recent.after.removesuffix("After") + "At")
    return span.sweep and (created is None or created <= horizon) and span.reached_since_sweep(moved)


def _gated(session: Session, entity: Entity, gated: Gated, span: Span) -> Read:
    landing, call = Landing(session, entity, span), entity.listed_by
    shape, children = SHAPERS.get(entity.table, _as_it_is), Children(session, entity, gated)
    whole = gated.swept == "whole" and (span.start is None or span.sweep)

    def of_parent(parent: Row) -> None:
        for page in session.listing(entity, call, {}, parent):
            children.take(page)
            landing.take([moved_rows(entity, [shape(session, parent, row) for row in page], span)])
        landing.covered.add(parent["uuid"])
        children.read(parent["uuid"])

    def without_parent(how: Call) -> Iterator[list[Row]]:
        for page in session.listing(entity, how, {}, parallel=whole):
            children.take(page)
            yield moved_rows(entity, page, span)

    def again(parent: Any) -> Iterator[list[Row]]:
        if parent is not None:
            return session.listing(entity, call, {}, {"uuid": parent})
        return session.listing(entity, replace(call, send={}) if whole else gated.also or call, {})

    if gated.also:
        landing.take(without_parent(gated.also))
        children.read(None)
    if whole:
        landing.take(without_parent(replace(call, send={})))
        children.read_whole()
    else:
        session.each(of_parent, _moved_parents(session, entity, gated, span))
    take_open_rows(session, entity, span, landing, read_entity)
    read = landing.finish()
    gone = children.gone(Again(again, lambda: second_look(session, gated.parent)), _all_parents(session, gated, span))
    read.sheets[entity.table] = beside(session, read.sheets[entity.table], entity.key, gone)
    return read


def _all_parents(session: Session, gated: Gated, span: Span) -> list[Row] | None:
    """Give all parents where a sweep asks each of them for its children, and where it is known which there are."""
    swept = gated.swept == "parents" and span.sweep
    return read_entity(session, gated.parent, span).rows if swept and _is_listed_whole(gated) else None


def _is_listed_whole(gated: Gated) -> bool:
    return isinstance(ENTITIES[gated.parent].reading, Snapshot)


def _moved_parents(session: Session, entity: Entity, gated: Gated, span: Span) -> list[Row]:
    """Give the parents whose children may have news, whether a signal, another entity or a sweep says so."""
    read = read_entity(session, gated.parent, span)
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
