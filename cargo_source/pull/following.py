"""Rows that have not come to their end: which of them to read again, and how.

State holds cursors only, so the destination is asked what it holds as open. Between sweeps an open row is read again
only where something shows that it moved; at a sweep, all of them are.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from cargo_source.catalog.entity import Entity, Follow, Gated, Window
from cargo_source.pull.landed import quoted
from cargo_source.pull.landing import Landing
from cargo_source.pull.pages import Row
from cargo_source.pull.session import ReadEntity, Session
from cargo_source.pull.times import Span, format_time, time_at

_SECOND = timedelta(seconds=1)


def take_open_rows(session: Session, entity: Entity, span: Span, landing: Landing, read: ReadEntity) -> None:
    """Read again what the destination holds as open and what other entities point to, as far as it may have moved.

    A window from outside follows nothing: what moves on moves into a later window, or comes with the next sync.
    """
    how = entity.follow
    if how is None or span.start is None or span.bounded:
        return
    quiet = _never if span.sweep else _quiet(session, entity, how, span, landing, read)
    started = {by: moment for (by, own), moment in _open(session, entity, how).items() if not quiet(by, own)}
    if isinstance(entity.reading, Window) and entity.reading.touched_by:
        table, field = entity.reading.touched_by
        started |= dict.fromkeys(read(session, table, span).values.get(field, ()))

    def again(value: Any) -> None:
        landing.take([_again(session, entity, how, span, value, started[value])])

    session.each(again, sorted(started.keys() - landing.covered))


def _open(session: Session, entity: Entity, how: Follow) -> dict[tuple[Any, Any], Any]:
    """Ask the destination for open rows: what they are followed by and their key, with when the oldest started."""
    if not session.memory.table_state(entity.table):
        return {}
    cursor = entity.reading.cursor if isinstance(entity.reading, Window) else how.by
    names = [entity.name_of(field) for field in (how.by, entity.key_fields[0], cursor)]
    # A status that nobody knows may be final: a row that has ended is not followed for ever.
    where = f"{entity.name_of(how.status)} NOT IN ({quoted(how.final)}) AND {entity.name_of(how.ended)} IS NULL"
    found: dict[tuple[Any, Any], Any] = {}
    for by, own, started in session.destination.select(entity.table, names, where):
        known = found.get((by, own))
        found[by, own] = started if known is None else min(known, started)
    return found


Quiet = Callable[[Any, Any], bool]
"""Says of an open row, by what it is followed by and its key, that it did not move."""


def _never(_by: Any, _own: Any) -> bool:
    return False


def _quiet(session: Session, entity: Entity, how: Follow, span: Span, landing: Landing, read: ReadEntity) -> Quiet:
    if how.still_open:
        still = _still_open(session, entity, how, span, landing)
        return lambda _by, own: own in still
    if how.moves_with and how.moves_with[0] in session.tables and session.memory.table_state(how.moves_with[0]):
        table, field = how.moves_with
        signal = read(session, table, span)
        moved, listed = signal.values.get(field, set()), signal.listed
        return lambda by, _own: by not in moved and (listed is None or by in listed)
    return _never


def _still_open(session: Session, entity: Entity, how: Follow, span: Span, landing: Landing) -> set[Any]:
    """Read one page of what the API lists as open, and land what moved of it.

    One page is enough: what it does not show is read by itself.
    """
    rows = session.lists.first_page(entity, how.still_open)
    landing.take([moved_rows(entity, rows, span)])
    return {row[entity.key_fields[0]] for row in rows}


def moved_rows(entity: Entity, rows: list[Row], span: Span) -> list[Row]:
    """Give the rows that moved themselves, by the cursor of an entity that is read by its parents."""
    how = entity.reading
    if not isinstance(how, Gated) or not how.cursor or span.start is None:
        return rows
    # What a sweep brings may have moved without a signal at any time since the last one.
    reached = span.reached_since_sweep if span.sweep and how.swept else span.reached_by
    return [row for row in rows if (moment := time_at(row, how.cursor)) is None or reached(moment)]


def _again(session: Session, entity: Entity, how: Follow, span: Span, value: Any, started: Any) -> list[Row]:
    params: dict[str, Any] = {}
    if isinstance(entity.reading, Window) and how.call.method == "POST":
        params = {entity.reading.after: format_time(started - _SECOND), entity.reading.before: span.before}
    pages: Iterator[list[Row]] = session.lists.rows(entity, how.call, params, {how.by: value})
    return [row for page in pages for row in page]
