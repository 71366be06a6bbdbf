"""Rows that are read parent by parent: what the whole list of a parent lacks is gone.

A parent that vanished while it was read tells nothing of its children. Those of a parent that is gone from a whole list
of parents are gone with it, which a sweep finds; parents that are listed by time (chats) may be out of reach only, so
the children of one that is not listed any more stay as they are.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cargo_source.catalog.entity import Entity, Gated
from cargo_source.pull.deletes import (
    FEW,
    MARKED,
    TOGETHER,
    absent,
    beside,
    files,
    follows_deletes,
    key_table,
    keys_of,
    lacking,
    live_keys,
    names_of,
    paths_of,
    tombstones,
)
from cargo_source.pull.landed import quoted
from cargo_source.pull.pages import Row
from cargo_source.pull.session import Session
from cargo_source.pull.spool import Chunk, Spooled
from cargo_source.pull.typed import arrow_schema
from cargo_source.pull.unfolding import how_unfolded


def latest_inside(entity: Entity, spooled: Spooled, origin: Entity, read: Spooled) -> Spooled:
    """Leave out what lay inside of earlier versions of rows of ``origin`` that came twice, and does no more."""
    how = how_unfolded(entity)
    shown = origin.name_of(how.fields[0])
    if not read.outdone or not spooled.rows or shown not in read.schema.names:
        return spooled
    ((ours, theirs),) = how.carry.items()
    place, by, own = (
        names_of([n]) for n in (entity.name_of(how.position), entity.name_of(ours), origin.name_of(theirs))
    )
    counted = f"SELECT {own}, json_array_length({shown}) AS held FROM {files(paths_of(read))}"  # noqa: S608 - our own names
    chunks = []
    with spooled.spool.database() as db:
        db.execute(f"CREATE TEMP TABLE counted AS {counted}")
        for chunk in spooled.chunks:
            path = spooled.spool.new_file()
            source = f"{files([chunk.path])} AS a ANTI JOIN counted AS b ON a.{by} = b.{own} AND a.{place} >= b.held"
            db.execute(f"COPY (FROM {source}) TO {quoted([str(path)])} (FORMAT parquet)")
            path.chmod(0o600)
            rows = int(pq.read_metadata(path).num_rows)
            chunks.append(chunk if rows == chunk.rows else Chunk(path, rows))
    return replace(spooled, chunks=[chunk for chunk in chunks if chunk.rows])


def gone_inside(session: Session, entity: Entity, spooled: Spooled, origin: Entity, read: Spooled) -> Spooled:
    """Add tombstones of what lay inside of rows of ``origin`` that were read again and does no more.

    A row that shows nothing of the kind, not even an empty list, tells nothing: the field may have been left out of
    the answer.
    """
    if entity.table not in session.tables or not read.rows or not follows_deletes(session, entity.table):
        return spooled
    if session.evidence(entity.table).doubted:
        return spooled
    how = how_unfolded(entity)
    ((ours, theirs),) = how.carry.items()
    by, own, shown = entity.name_of(ours), origin.name_of(theirs), origin.name_of(how.fields[0])
    parents = f"SELECT {by} FROM {files(paths_of(spooled))}"  # noqa: S608 - our own names
    if shown in read.schema.names:
        parents += f" UNION SELECT {own} AS {by} FROM {files(paths_of(read))} WHERE {shown} IS NOT NULL"  # noqa: S608 - as above
    with session.spool.database() as db:
        some = db.execute(f"SELECT DISTINCT {by} FROM ({parents}) LIMIT {FEW + 1}").fetchall()  # noqa: S608 - as above
    if not some:
        return spooled
    where = f"{by} IN ({quoted(parent for (parent,) in some)})" if len(some) <= FEW else "1 = 1"
    here = live_keys(session, entity.table, entity.key, where)
    of_these = session.spool.new_file()
    with session.spool.database() as db:
        query = f"FROM {files([here])} AS a SEMI JOIN ({parents}) AS b USING ({names_of([by])})"
        db.execute(f"COPY ({query}) TO {quoted([str(of_these)])} (FORMAT parquet)")
    gone, count = lacking(session, entity.key, [of_these], paths_of(spooled))
    marks = tombstones(session, entity.table, entity.key, gone, count) if count else []
    return beside(session, spooled, entity.key, marks)


def gone_along(session: Session, entity: Entity, spooled: Spooled, origin: Entity, read: Spooled) -> Spooled:
    """Add tombstones of rows that are made out of those of ``origin``, one of each, and went with them."""
    if not session.gone[origin.table] or not read.rows or not follows_deletes(session, entity.table):
        return spooled
    (own,), (of,) = entity.key, origin.key
    path = session.spool.new_file()
    with session.spool.database() as db:
        query = f"SELECT {of} AS {own} FROM {files(paths_of(read))} WHERE {MARKED}"  # noqa: S608 - our own names
        db.execute(f"COPY ({query}) TO {quoted([str(path)])} (FORMAT parquet)")
    count = pq.read_metadata(path).num_rows
    marks = tombstones(session, entity.table, entity.key, path, count) if count else []
    return beside(session, spooled, entity.key, marks)


@dataclass(frozen=True)
class Again:
    """How lists are read once more: that of one parent (None: of no parent, or of all), and that of parents."""

    children: Callable[[Any], Iterable[list[Row]]]
    parents: Callable[[], Sequence[Row]]


class Children:
    """Keys that whole lists gave, and which lists these were; safe to fill from several threads."""

    def __init__(self, session: Session, entity: Entity, how: Gated) -> None:
        self._session, self._entity = session, entity
        # Others may read these rows for a table of their own; only this entity's own table has marks.
        self._wanted = how.whole_lists and entity.table in session.tables and follows_deletes(session, entity.table)
        self._column = entity.name_of(next(iter(entity.listed_by.send))) if self._wanted else ""
        keys = [column for column in entity.columns if column.name in entity.key]
        self.sheet = session.spool.sheet(pa.schema(list(arrow_schema(keys))[: len(keys)]), entity.key, self._typed)
        """Their keys."""
        self._parents: set[Any] = set()
        self._whole = False

    def _typed(self, rows: list[Row]) -> pa.Table:
        return key_table(self._session, self._entity, rows)

    def take(self, rows: Sequence[Row]) -> None:
        """Take a page of a list, before anything is left out of it."""
        if self._wanted:
            self.sheet.add([{name: row.get(name) for name in self._entity.key_fields} for row in rows])

    def read(self, parent: Any) -> None:
        """Note that the list of a parent (None: of what belongs to none) was read to its end."""
        if (self._entity.table, parent) not in self._session.vanished:
            self._parents.add(parent)

    def read_whole(self) -> None:
        """Note that the list of all parents together was read to its end."""
        self._whole = True

    def gone(self, again: Again, parents: Sequence[Row] | None) -> list[Chunk]:
        """Give tombstones of what these lists lack; each list that lacks something is read once more first.

        ``parents`` are all that there are, where that is known: the children of any other are gone with it.
        """
        if not self._wanted or self._session.evidence(self._entity.table).doubted:
            return []
        present, found = paths_of(self.sheet.finish()), []
        table, key = self._entity.table, self._entity.key
        for where in self._scopes(parents, again):

            def look(gone: Path, where: str = where) -> list[Path]:
                return [self._look(gone, again, where)]

            found += absent(self._session, table, key, present, look, where)
        return found

    def _scopes(self, parents: Sequence[Row] | None, again: Again) -> Iterator[str]:
        """Write the conditions for the rows here of which the lists speak; no row is in two of them."""
        if self._whole:
            yield "1 = 1"
            return
        if None in self._parents:
            yield f"{self._column} IS NULL"
        speaking = self._parents - {None}
        if parents is not None:
            landed = self._session.destination.select(self._entity.table, [self._column], "1 = 1")
            orphaned = {parent for (parent,) in landed} - {row["uuid"] for row in parents} - {None}
            speaking |= orphaned - {row["uuid"] for row in again.parents()} if orphaned else set()
        some = sorted(speaking)
        for start in range(0, len(some), TOGETHER):
            yield f"{self._column} IN ({quoted(some[start : start + TOGETHER])})"

    def _look(self, gone: Path, again: Again, where: str) -> Path:
        """Read the lists that lack something once more."""
        parents = {None} if self._whole else self._parents & self._parents_of(gone, where)
        rows = [row for parent in sorted(parents, key=str) for page in again.children(parent) for row in page]
        return keys_of(self._session, self._entity, rows)

    def _parents_of(self, gone: Path, where: str) -> set[Any]:
        key = self._entity.key
        landed = live_keys(self._session, self._entity.table, (*key, self._column), where)
        with self._session.spool.database() as db:
            shared = f"{files([landed])} AS a SEMI JOIN {files([gone])} AS b USING ({names_of(key)})"
            query = f"SELECT DISTINCT {self._column} FROM {shared}"  # noqa: S608 - our own names
            return {parent for (parent,) in db.execute(query).fetchall()}
