"""Rows of models that are gone: found by counts, then by a sweep of the identifiers alone.

A row that is deleted tells nobody: neither ``_emitted_at`` nor ``lastEmittedAt`` moves. So the workspace counts the
rows of all models in one question, and where a count differs from the rows here, the identifiers come as an export of
their own. Where a workspace has no SQL, records that left a segment are the hint to read a model again.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pyarrow.parquet as pq

from cargo_source.catalog.entity import SWEEP_HOURS
from cargo_source.errors import CargoError, IncompleteRead, NotFound, PermissionDenied, RequestRefused, ServerFailed
from cargo_source.pull.conform import UnusableExport
from cargo_source.pull.decoding import Decoder
from cargo_source.pull.deletes import (
    FEW,
    TOGETHER,
    brake_empty,
    columns_of,
    count_live,
    follows_deletes,
    is_live,
    lacking,
    live_keys,
    paths_of,
    tombstones,
)
from cargo_source.pull.landed import quoted
from cargo_source.pull.lanes import EXPORT, PAGES, Landing, Part, export_rows, has_no_sql
from cargo_source.pull.listings import Refused
from cargo_source.pull.reading import read_entity
from cargo_source.pull.record_pages import RecordPages
from cargo_source.pull.session import Session
from cargo_source.pull.shapes import Shape
from cargo_source.pull.spool import Chunk, Spooled
from cargo_source.pull.times import Span, format_time, parse_time
from cargo_source.pull.typed import arrow_schema

log = logging.getLogger("cargo_source")

AT_ONCE = 100
"""Models whose rows are counted in one question."""
ASKED = 3
"""How often they are, until the count of each one comes."""
_NO_COUNT = (PermissionDenied, NotFound, RequestRefused, ServerFailed)


@dataclass(frozen=True)
class Known:
    """What the last sync kept of a model's rows: their table, what SQL calls it, and how and when they were read."""

    table: str
    reference: str
    lane: str
    watermark: str


class Sweeps:
    """What Cargo and the destination count of each model's rows; asked for once, when the first model wants to know."""

    def __init__(self, session: Session, known: Mapping[str, Known]) -> None:
        self._session = session
        self._known = {uuid: each for uuid, each in known.items() if follows_deletes(session, each.table)}
        self.refreshing = False
        """Whether Cargo was writing some model while it counted them: what it wrote may not show in its times yet."""

    def differs(self, uuid: str) -> bool | None:
        """Say whether Cargo has other rows of a model than are here; None where nobody counts."""
        there = self.there(uuid)
        return None if there is None else there != self.here(uuid)

    def there(self, uuid: str) -> int | None:
        """Give how many rows of a model Cargo has; None where it cannot be asked."""
        return self._session.once("rows in Cargo", self._count_there).get(uuid)

    def here(self, uuid: str) -> int:
        """Give how many rows of a model are here and not marked."""
        return self._session.once("rows here", self._count_here)[self._known[uuid].table]

    def _count_here(self) -> dict[str, int]:
        tables = [each.table for each in self._known.values()]
        return self._session.destination.counts({table: is_live(self._session, table) for table in tables})

    def _count_there(self) -> dict[str, int]:
        """Count all models in one question, or one by one where it is refused: one table may be at fault for all."""
        uncounted = self._session.state.setdefault("uncounted", {})
        for uuid in [uuid for uuid, at in uncounted.items() if self._is_long_ago(at)]:
            del uncounted[uuid]
        wanted = [uuid for uuid, each in self._known.items() if each.reference and uuid not in uncounted]
        found: dict[str, int] = {}
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            try:
                found |= self._asked(some)
            except _NO_COUNT as error:
                if has_no_sql(error):
                    break
                found |= self._one_by_one(some)
        return found

    def _one_by_one(self, uuids: list[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for uuid in uuids:
            try:
                found |= self._asked([uuid])
            except _NO_COUNT:
                log.info("%s: its rows cannot be counted", self._known[uuid].table)
                self._session.state["uncounted"][uuid] = format_time(self._session.now)
        return found

    def _asked(self, uuids: list[str]) -> dict[str, int]:
        """Count models in one question. Raises IncompleteRead where it is answered, and not for all of them."""
        parts = [f"SELECT '{uuid}' AS m, count(*) AS n FROM {self._known[uuid].reference}" for uuid in uuids]  # noqa: S608 - names of models, quoted where needed
        found: dict[str, int] = {}
        for _ in range(ASKED):
            reply = self._session.client.post("storage/query", {"query": " UNION ALL ".join(parts)}, repeatable=True)
            if reply.json().get("isRefreshing"):
                self.refreshing = True
                return {}
            # Warehouses differ in the case of an alias.
            rows = [{name.casefold(): value for name, value in row.items()} for row in reply.take("rows")]
            found = {str(row["m"]): int(row["n"]) for row in rows}
            if found.keys() == {*uuids}:
                return found
        raise IncompleteRead(
            f"the rows of {len(uuids)} models were to be counted, and {len(found)} counts came",
            expected=len(uuids),
            got=len(found),
        )

    def _is_long_ago(self, at: str) -> bool:
        return self._session.now - parse_time(at) >= timedelta(hours=SWEEP_HOURS)

    def has_hint(self, uuid: str) -> bool:
        """Say whether records left a segment of the model since it was read; they may have left the model."""
        known = self._known.get(uuid)
        if known is None or known.lane == EXPORT or not known.reference:
            return False
        return uuid in self._session.once("records left", self._left)

    def _left(self) -> set[str]:
        session = self._session
        watermarks = [parse_time(each.watermark) for each in self._known.values()]
        since = min(watermarks) - session.options.lookback
        try:
            segments = read_entity(session, "segments", Span(None, session.now)).rows
            models = {row["uuid"]: row.get("modelUuid") for row in segments}
            changes = read_entity(session, "changes", self._window(since)).rows
        except Refused as refused:
            log.info("which records left a segment is not known (%s)", refused)
            return set()
        return {str(models.get(row["segmentUuid"])) for row in changes if row.get("removedRecordsCount")}

    def _window(self, since: datetime) -> Span:
        """Give the span of changes that is read anyway, where it reaches as far back."""
        usual = self._session.span("changes")
        reaches = "changes" in self._session.tables and (usual.start is None or usual.start <= since)
        return usual if reaches else Span(since, self._session.now, sweep=False)


@dataclass(frozen=True)
class Swept:
    """What a sweep found: tombstones, and whether Cargo has rows that are not here, so that all have to come."""

    gone: list[Chunk]
    lacks: bool = False


def gone_of_whole(session: Session, shape: Shape, spooled: Spooled, landing: Landing) -> Swept | None:
    """Give tombstones of the rows that a whole read of a model lacks; None where it cannot tell this time."""
    table, key = shape.table, _key(shape)
    if not landing.proven:
        return Swept([])
    if not spooled.rows and columns_of(session, table) and table not in session.memory.anew:
        brake_empty(session, table, 0, count_live(session, table))
    if not _comparable(session, shape):
        return Swept([])
    gone, count = lacking(session, key, [live_keys(session, table, key)], paths_of(spooled))
    if not count:
        return Swept([])
    if landing.lane == PAGES and RecordPages(session.client, shape, _decoder(session, shape)).holds(spooled.rows):
        # Pages have no count, and there are rows behind what was taken for the last one.
        return None
    return Swept(tombstones(session, table, key, gone, count))


def sweep(session: Session, shape: Shape, spooled: Spooled) -> Swept | None:
    """Compare the identifiers of all rows of a model with those here and those just read.

    None where they do not come: then the rows themselves have to. Raises IncompleteRead where they do not hold still.
    """
    if not _comparable(session, shape):
        return Swept([])
    (name,), table = _key(shape), shape.table
    column = next(column for column in shape.columns if column.name == name)
    narrow = replace(shape, columns=(column,), left_out=shape.fields)

    sheet = session.spool.sheet(arrow_schema(narrow.columns), [name], _decoder(session, narrow).typed)
    try:
        landing = export_rows(session, narrow, sheet, Part(columns=shape.id_name))
    except (PermissionDenied, NotFound, RequestRefused, UnusableExport) as error:
        why = error.reason or error.status if isinstance(error, CargoError) else error
        log.warning("%s: no export of identifiers (%s): reading whole rows instead", table, why)
        return None
    if not landing.proven:
        return Swept([])
    there = sheet.finish()
    if not there.rows:
        brake_empty(session, table, 0, count_live(session, table))
    here, read = live_keys(session, table, (name,)), paths_of(spooled)
    _, missing = lacking(session, (name,), paths_of(there), [here, *read])
    if missing:
        return Swept([], lacks=True)
    gone, count = lacking(session, (name,), [here], [*paths_of(there), *read])
    return Swept(tombstones(session, table, (name,), gone, count) if count else [])


def new_rows(session: Session, shape: Shape, spooled: Spooled) -> int:
    """Count the rows that were read and are not here yet, or are marked here."""
    (name,), table = _key(shape), shape.table
    if not spooled.rows:
        return 0
    if spooled.rows > FEW:
        return lacking(session, (name,), paths_of(spooled), [live_keys(session, table, (name,))])[1]
    keys = sorted(
        {str(key) for path in paths_of(spooled) for key in pq.read_table(path, columns=[name]).column(0).to_pylist()}
    )
    known = 0
    for start in range(0, len(keys), TOGETHER):
        where = f"{is_live(session, table)} AND {name} IN ({quoted(keys[start : start + TOGETHER])})"
        known += len(session.destination.select(table, [name], where))
    return len(keys) - known


def _comparable(session: Session, shape: Shape) -> bool:
    """Say whether rows here can be told gone; in a table that is made anew for its columns' types there are none."""
    types = session.destination.types(shape.table) if session.destination.readable else {}
    retyped = any(types.get(column.name, column.type) != column.type for column in shape.columns)
    return follows_deletes(session, shape.table) and not retyped


def _decoder(session: Session, shape: Shape) -> Decoder:
    return Decoder(shape, session.run_id, session.pseudonym, session.surprises[shape.table], session.spool)


def _key(shape: Shape) -> tuple[str, ...]:
    return (next(column.name for column in shape.columns if column.field == "_id"),)
