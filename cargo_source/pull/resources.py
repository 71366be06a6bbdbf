"""What dlt is given: the files of each table that were read, with the hints that make their table."""

import functools
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import dlt
from dlt.common.normalizers.naming.snake_case import NamingConvention
from dlt.common.schema.typing import TWriteDispositionConfig
from dlt.extract.items import DataItemWithMeta

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.columns import Column
from cargo_source.errors import (
    BadSettings,
)
from cargo_source.pull.connection import Pull, begun
from cargo_source.pull.deletes import beside, columns_of, every_row, marked_before, told
from cargo_source.pull.dlt_tables import MERGE, REPLACE, dlt_columns, drift_of, known_columns, start_anew
from cargo_source.pull.listings import Refused
from cargo_source.pull.outcome import Outcome
from cargo_source.pull.reading import second_look
from cargo_source.pull.records import RECORDS, Model, ModelRead, choose, list_models, read_model, sweeps_of
from cargo_source.pull.session import Session
from cargo_source.pull.shapes import Normalise
from cargo_source.pull.spool import Chunk, Spooled
from cargo_source.pull.storable import WithoutNul
from cargo_source.pull.sweeps import Sweeps
from cargo_source.pull.tables import TableRead, outcome_of, read_table, skip_or_raise
from cargo_source.pull.typed import DELETED_AT, OURS

Sheet = Iterator[DataItemWithMeta]
log = logging.getLogger("cargo_source")


def entity_rows(pull: Pull, table: str) -> Sheet:
    """Yield the files of one entity table."""
    read = pull.told(outcome_of(table), lambda session, outcome: table_of(session, table, outcome))
    if read is None or read.spooled is None:
        return
    session = pull.session()
    new = not session.memory.table_state(table) or _lacks_mark(session, table)
    if session.windowed:
        new = _begin(session, table)
    elif table in session.memory.anew:
        start_anew(table)
    if new or read.spooled.chunks:
        # A variant of its own hints: dlt empties the state of a resource that replaces its table.
        disposition = _disposition(session, table)
        hints = dlt.mark.make_hints(
            table_name=table,
            write_disposition=disposition,
            columns=_marks_of(disposition),
            file_format=session.destination.written_as,
        )
        yield dlt.mark.with_hints([], hints, create_table_variant=True)
    entity = ENTITIES[table]
    held = _as_held(session, read.spooled, table, session.columns(entity), entity.key, pull.outcomes[table])
    yield from _files(held, table, new=new)
    if not session.windowed:
        session.memory.keep_state(table, **read.state)


def _marks_of(disposition: TWriteDispositionConfig) -> dict[str, Any] | None:
    """Say that marks remove nothing where a table is written anew: there is nothing to remove, and dlt warns of it."""
    return {DELETED_AT: {"name": DELETED_AT, "hard_delete": False}} if disposition == REPLACE else None


def _disposition(session: Session, table: str) -> TWriteDispositionConfig:
    """Say how rows get into a table; said each time, since a source may run more than once."""
    if session.windowed or not session.starts_over:
        return MERGE
    return REPLACE if table in session.memory.anew or session.destination.lacks(table) else MERGE


def read_table_ahead(session: Session, table: str) -> None:
    """Read an entity table ahead of who will ask for it."""
    table_of(session, table, begun(session, outcome_of(table)))


def table_of(session: Session, table: str, outcome: Outcome) -> TableRead:
    """Give what is read of an entity table, which is read once."""
    return session.handed.get(table, lambda: read_table(session, table, _fold(session), outcome))


def _fold(session: Session) -> Normalise:
    """Give what makes names as the destination takes them, which may be short ones."""
    limit = session.options.longest_name
    return (NamingConvention(limit) if limit else NamingConvention()).normalize_path


def _begin(session: Session, table: str, model: str | None = None) -> bool:
    """Say whether a window has to make its table; one that dlt knows and the destination has lost is made anew.

    All that a window leaves in the state is whose workspace it is, and whose rows a model's table has begun with.
    """
    state = dlt.current.source_state()
    if workspace := session.state.get("workspace"):
        state.setdefault("workspace", workspace)
    if model is not None and table not in state.get("writers", {}):
        state.setdefault("begun", {}).setdefault(table, model)
    new = not session.destination.has(table)
    if new:
        start_anew(table)
    return new


def _lacks_mark(session: Session, table: str) -> bool:
    """Say whether a table was made before rows were marked as deleted, and has yet to get the column."""
    columns = columns_of(session, table)
    return bool(columns) and DELETED_AT not in columns


def record_rows(pull: Pull) -> Sheet:
    """Yield the files of the rows of all chosen models, each for a table of its own."""
    found = pull.told(Outcome(RECORDS, RECORDS, lane="none"), _models)
    if found is None:
        return
    # Each model has an outcome of its own.
    del pull.outcomes[RECORDS]
    (everything, models), session = found, pull.session()
    session.options.shaping.check_tables(model.table for model in everything)
    if not session.windowed:
        yield from _gone_models(pull, session, everything)
    shaped = 0
    for model in models:
        read = pull.told(_of_model(model), functools.partial(rows_of, model))
        outcome = pull.outcomes[model.table]
        if read is not None:
            shaped += read.shape is not None
            before = session.memory.record_state(model.uuid, model.table)
            new = not before or _lacks_mark(session, model.table)
            yield from _model_files(session, read, before, outcome, new=new)
            if not session.windowed:
                session.memory.keep_records(model.uuid, model.table, read.state)
    if shaped == len(models) and (unmet := session.options.shaping.unmet):
        log.warning("exclude or pii: no column of what was loaded fits %s", ", ".join(unmet))


def chosen_models(session: Session) -> tuple[list[Model], list[Model]]:
    """Give all models of the workspace, and those whose rows are to load."""
    everything = list_models(session, _fold(session))
    return everything, choose(everything, session.options.models)


def _models(session: Session, outcome: Outcome) -> tuple[list[Model], list[Model]] | None:
    """List all models, and those that are chosen; None where they are skipped."""
    try:
        return chosen_models(session)
    except Refused as refused:
        outcome.status, outcome.note = "skipped", skip_or_raise(session, RECORDS, refused)
        return None


def read_rows_ahead(session: Session, model: Model) -> None:
    """Read the rows of a model ahead of who will ask for them."""
    rows_of(model, session, begun(session, _of_model(model)))


def rows_of(model: Model, session: Session, outcome: Outcome) -> ModelRead | None:
    """Give what is read of the rows of a model (None: it is skipped), which is read once."""

    def read() -> ModelRead | None:
        return _read(session, model, session.memory.record_state(model.uuid, model.table), outcome)

    return session.handed.get(("rows", model.uuid), read)


def _of_model(model: Model) -> Outcome:
    return Outcome(RECORDS, model.table, lane="none")


def _sweeps(session: Session) -> Sweeps:
    """Give what tells of all chosen models at once which of them have other rows than are here."""
    models = chosen_models(session)[1]
    kept = {model.uuid: session.memory.record_state(model.uuid, model.table) for model in models}
    return session.once("sweeps", lambda: sweeps_of(session, kept))


def _gone_models(pull: Pull, session: Session, everything: Sequence[Model]) -> Sheet:
    """Mark the rows of models that are gone, once two looks at the list of models agree on it."""
    gone = session.memory.known_models.keys() - {model.uuid for model in everything}
    if not gone or session.evidence("models").doubted:
        return
    seen = {row["uuid"] for row in second_look(session, "models")}
    taken = {model.table for model in everything}
    for uuid in sorted(gone - seen):
        table = str(session.memory.known_models[uuid].get("table"))
        session.memory.forget_records(uuid)
        outcome = pull.outcomes[table] = Outcome(RECORDS, table, lane="none")
        outcome.note = "the model is gone in Cargo: its table stays as it is"
        if table not in taken and session.options.deletes != "ignore" and "_id" in columns_of(session, table):
            chunks = every_row(session, table, ["_id"])
            chunks += marked_before(session, table, ["_id"], session.memory.known_models[uuid])
            outcome.rows = sum(chunk.rows for chunk in chunks)
            outcome.note = f"the model is gone in Cargo; {told(session, table) or 'it had no rows'}"
            yield from _marks(session, table, chunks)


def _marks(session: Session, table: str, chunks: list[Chunk]) -> Sheet:
    """Hand tombstones of a table whose model is gone to dlt, which knows its columns."""
    if not chunks:
        return
    hints = dlt.mark.make_hints(
        table_name=table,
        columns=known_columns(table, hard=session.options.deletes == "hard"),
        primary_key="_id",
        write_disposition=MERGE,
        file_format=session.destination.written_as,
    )
    yield dlt.mark.with_hints([], hints, create_table_variant=True)
    for chunk in chunks:
        yield _file(chunk, table)


def _read(session: Session, model: Model, before: dict[str, Any], outcome: Outcome) -> ModelRead | None:
    """Read one model; None where it is skipped."""
    started = time.monotonic()
    with session.client.stats.scope() as asked:
        try:
            return read_model(session, model, before, _sweeps(session), _fold(session))
        except Refused as refused:
            vanished = refused.error.reason == "modelNotFound"
            outcome.note = "deleted in Cargo meanwhile" if vanished else skip_or_raise(session, RECORDS, refused)
            outcome.status = "skipped"
            return None
        finally:
            outcome.seconds = time.monotonic() - started
            outcome.charge(asked)


def _model_files(session: Session, read: ModelRead, before: dict[str, Any], outcome: Outcome, *, new: bool) -> Sheet:
    outcome.watermark = read.state.get("watermark")
    if read.shape is None or read.spooled is None or read.landing is None:
        return
    table = read.shape.table
    outcome.status = "refreshing" if read.landing.refreshing else "complete"
    outcome.state(session.evidence(table))
    drift = drift_of(table, read.shape.columns)
    named = str(session.memory.known_models.get(read.model.uuid, {}).get("table") or table)
    renamed = f"was {named}, which stays as it is" if named != table else ""
    outcome.note = "; ".join(part for part in (renamed, str(drift), read.note) if part)
    if session.windowed:
        new = _begin(session, table, read.model.uuid)
        if drift.retyped and not new:
            raise BadSettings(
                f"{table}: {drift.retyped[0]} has another type now: run a sync without a window, which loads all rows"
                " anew"
            )
    elif drift.retyped and read.landing.refreshing:
        # The table would be made anew of what there is so far: it stays as it is until all rows can come.
        outcome.lane = read.landing.lane
        outcome.note = f"a column has another type ({drift.retyped[0]}): stays as it is while Cargo is writing it"
        return
    elif drift.retyped or table in session.memory.anew:
        session.memory.anew.add(table)
        start_anew(table)
    key = next(column.name for column in read.shape.columns if column.field == "_id")
    marked = [] if drift.retyped else marked_before(session, table, [key], before)
    spooled = beside(session, read.spooled, [key], marked)
    outcome.lane, outcome.rows = read.landing.lane, spooled.rows
    disposition = _disposition(session, table)
    hints = dlt.mark.make_hints(
        table_name=table,
        columns=dlt_columns(
            read.shape.columns, (key,), hard=session.options.deletes == "hard" and disposition != REPLACE
        ),
        primary_key=key,
        write_disposition=disposition,
        file_format=session.destination.written_as,
        additional_table_hints={"description": read.shape.description},
    )
    # The resource fills a table for each model: the hints of this one come first, as a variant of the resource.
    yield dlt.mark.with_hints([], hints, create_table_variant=True)
    yield from _files(_as_held(session, spooled, table, read.shape.columns, (key,), outcome), table, new=new)


def _as_held(
    session: Session,
    spooled: Spooled,
    table: str,
    columns: Sequence[Column],
    key: tuple[str, ...],
    outcome: Outcome,
) -> Spooled:
    """Give rows as the destination can hold them, and note what is otherwise than in Cargo."""
    if session.destination.holds_nul:
        return spooled
    write = WithoutNul(table, {column.name: column.type for column in (*columns, *OURS)}, key, spooled.spool)
    chunks = [write(chunk) for chunk in spooled.chunks]
    outcome.note = "; ".join(part for part in (outcome.note, write.note()) if part)
    return replace(spooled, chunks=chunks)


def _files(spooled: Spooled, table: str, *, new: bool) -> Sheet:
    """Hand finished files to dlt as they are; a table without rows gets an empty one, which makes it."""
    chunks = spooled.chunks or ([spooled.empty()] if new else [])
    for chunk in chunks:
        yield _file(chunk, table)


def _file(chunk: Chunk, table: str) -> DataItemWithMeta:
    item = dlt.mark.with_file_import(str(chunk.path), "parquet", chunk.rows)
    # dlt passes the data, here none, to the function that names the table.
    item.data = table
    return item


def table_named(item: str) -> str:
    """Name the table of an item, which says it itself."""
    return item
