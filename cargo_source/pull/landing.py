"""Where the rows of one entity go while it is read: into its sheets, and into what others need to know of them."""

import dataclasses
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from cargo_source.catalog import ENTITIES, POINTERS
from cargo_source.catalog.entity import Entity, Gated, Snapshot, Window
from cargo_source.pull.pages import Row, TooLong
from cargo_source.pull.session import Read, Session
from cargo_source.pull.spool import Sheet
from cargo_source.pull.times import Span, format_time, parse_time, time_at


class Landing:
    """Takes the rows of an entity, from several threads at once, and keeps on disk how far it has come."""

    def __init__(self, session: Session, entity: Entity, span: Span, more: Mapping[str, Sheet] | None = None) -> None:
        self._session, self._entity = session, entity
        self._sheets = session.family(entity)
        self._lock = threading.Lock()
        self._kept: dict[tuple[Any, ...], Row] = {}
        self._rows = 0
        # A first reading is of everything, so nobody asks it what moved.
        pointers = POINTERS.get(entity.table, ()) if span.start is not None else ()
        self._values: dict[str, set[Any]] = {field: set() for field in pointers}
        self._follows_itself = entity.follow is not None and entity.key_fields == (entity.follow.by,)
        self._cut = _cut_by(entity) if span.bounded else ""
        self._span = span
        self.covered: set[Any] = set()
        """Values of the field by which open rows are followed whose rows have all been read."""
        self._news = _News()
        """What was noted since it was last written down."""
        self._progress = session.progress(f"{entity.table} {span}", {**self._sheets, **(more or {})})
        self._listed: dict[Any, Any] | None = None
        self._shown = session.shown(entity.table)
        for note in self._progress.found.notes:
            self._recall(note)

    @property
    def is_finished(self) -> bool:
        """Whether all of it came before this sync was cut off."""
        return self._progress.found.finished

    def has(self, unit: str) -> bool:
        """Say whether a unit came whole before this sync was cut off."""
        return self._progress.has(unit)

    def done(self, unit: str) -> None:
        """Note that a unit came whole."""
        self._progress.done(unit)

    def take(self, pages: Iterable[list[Row]], unit: str = "", covers: Any = None) -> None:
        """Take pages of rows. ``unit`` names work that need not be done again once all of them came.

        ``covers`` is a value of the field by which open rows are followed whose rows these are, all of them.
        """
        try:
            self._take(pages)
        except TooLong:
            raise
        except BaseException:
            # Whatever stopped it, what came whole need not come again.
            self._save()
            raise
        if covers is not None:
            with self._lock:
                self._cover(covers)
        if unit:
            self._progress.done(unit)
        if self._progress.is_due:
            self._save()

    def _take(self, pages: Iterable[list[Row]]) -> None:
        for found in pages:
            page = [row for row in found if self._span.holds(time_at(row, self._cut))] if self._cut else found
            self._sheets[self._entity.table].add(page)
            with self._lock:
                for row in page:
                    self._remember(row)
                self._rows += len(page)
            self._session.told(self._entity.table, self._rows, self._shown.announced)

    def _remember(self, row: Row) -> None:
        if (some := self._entity.kept(row)) is not None:
            key = tuple(row.get(name) for name in self._entity.key_fields)
            self._kept[key] = some
            self._news.kept.append(some if not self._keyless else {**some, _KEY: list(key)})
        for field, values in self._values.items():
            value = row.get(field)
            if value is not None and value not in values:
                values.add(value)
                self._news.values.append((field, value))
        if self._follows_itself:
            self._cover(row[self._entity.key_fields[0]])

    def _cover(self, value: Any) -> None:
        self.covered.add(value)
        self._news.covered.append(value)

    @property
    def _keyless(self) -> bool:
        """Whether what others need of a row leaves out its key."""
        return not set(self._entity.key_fields) <= set(self._entity.keep)

    def _save(self, *, finished: bool = False) -> None:
        self._progress.save(self._note, finished=finished)

    def _note(self) -> Row:
        with self._lock:
            news, self._news = self._news, _News()
        listed = None if self._listed is None else [[uuid, _text(at)] for uuid, at in self._listed.items()]
        return {**asdict(news), "listed": listed, "shown": self._shown.news()}

    def _recall(self, note: Mapping[str, Any]) -> None:
        """Take up what an earlier sync had noted."""
        for some in note["kept"]:
            key = some.pop(_KEY, None) or [some.get(name) for name in self._entity.key_fields]
            self._kept[tuple(key)] = some
        for field, value in note["values"]:
            self._values[field].add(value)
        self.covered.update(note["covered"])
        self._shown.recall(note["shown"])
        if note["listed"] is not None:
            self._listed = {uuid: parse_time(at) if at else None for uuid, at in note["listed"]}

    def finish(self, listed: dict[Any, Any] | None = None) -> Read:
        """Close the sheets. ``listed`` is when each row of a list last moved, of those too that did not land."""
        if not self.is_finished:
            self._listed = listed
            self._save(finished=True)
        sheets = {table: sheet.finish() for table, sheet in self._sheets.items()}
        return Read(sheets, list(self._kept.values()), self._values, self._listed)


_KEY = "_key"


@dataclass
class _News:
    kept: list[Row] = dataclasses.field(default_factory=list)
    values: list[tuple[str, Any]] = dataclasses.field(default_factory=list)
    covered: list[Any] = dataclasses.field(default_factory=list)


def _text(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def _cut_by(entity: Entity) -> str:
    """Give the time by which rows belong to a window that was given from outside; nothing where their parents tell."""
    match entity.reading:
        case Window(cursor=cursor):
            return cursor
        case Gated(parent=parent, cursor=cursor) if isinstance(ENTITIES[parent].reading, Snapshot):
            return cursor
    return ""
