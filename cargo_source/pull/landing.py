"""Where the rows of one entity go while it is read: into its sheets, and into what others need to know of them."""

from collections.abc import Iterable
from typing import Any

from cargo_source.catalog import ENTITIES, POINTERS
from cargo_source.catalog.entity import Entity, Gated, Snapshot, Unfolded, Window
from cargo_source.pull.pages import Row
from cargo_source.pull.session import Read, Session
from cargo_source.pull.times import Span, time_at


class Landing:
    """Takes the rows of an entity, from several threads at once."""

    def __init__(self, session: Session, entity: Entity, span: Span) -> None:
        self._session, self._entity = session, entity
        self._sheet = session.sheet(entity)
        self._children = [(child, session.sheet(child)) for child in children_of(entity.table)]
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

    def take(self, pages: Iterable[list[Row]]) -> None:
        """Take pages of rows."""
        for found in pages:
            page = [row for row in found if self._span.holds(time_at(row, self._cut))] if self._cut else found
            self._sheet.add(page)
            for child, sheet in self._children:
                sheet.add([inside for row in page for inside in unfolded(row, child)])
            for row in page:
                self._remember(row)
            self._rows += len(page)
            self._session.watch(self._entity.table, self._rows, None)

    def _remember(self, row: Row) -> None:
        if (some := self._entity.kept(row)) is not None:
            self._kept[tuple(row.get(name) for name in self._entity.key_fields)] = some
        for field, values in self._values.items():
            if row.get(field) is not None:
                values.add(row[field])
        if self._follows_itself:
            self.covered.add(row[self._entity.key_fields[0]])

    def finish(self, listed: dict[Any, Any] | None = None) -> Read:
        """Close the sheets. ``listed`` is when each row of a list last moved, of those too that did not land."""
        sheets = {child.table: sheet.finish() for child, sheet in self._children}
        return Read(
            {self._entity.table: self._sheet.finish(), **sheets}, list(self._kept.values()), self._values, listed
        )


def _cut_by(entity: Entity) -> str:
    """Give the time by which rows belong to a window that was given from outside; nothing where their parents tell."""
    match entity.reading:
        case Window(cursor=cursor):
            return cursor
        case Gated(parent=parent, cursor=cursor) if isinstance(ENTITIES[parent].reading, Snapshot):
            return cursor
    return ""


def children_of(table: str) -> list[Entity]:
    """Give the entities that are unfolded from the rows of ``table``."""
    return [e for e in ENTITIES.values() if isinstance(e.reading, Unfolded) and e.reading.parent == table]


def unfolded(parent: Row, entity: Entity) -> list[Row]:
    """Give the rows of ``entity`` that lie inside a row of its parent, in a list or in a map."""
    how = entity.reading
    if not isinstance(how, Unfolded):
        raise TypeError(f"{entity.table} is not unfolded")
    carried = {ours: parent.get(theirs) for ours, theirs in how.carry.items()}
    inside: list[tuple[object, Row]] = []
    for name in how.fields:
        held = parent.get(name) or []
        inside += held.items() if isinstance(held, dict) else enumerate(held, start=len(inside))
    return [{**item, **carried, how.position: place} for place, item in inside]
