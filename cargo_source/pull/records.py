"""The rows inside models: which models there are, which of them moved, and by which lane each is read."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.entity import SWEEP_HOURS
from cargo_source.errors import BadSettings, CargoError, NotFound, PermissionDenied, RequestRefused, suggest
from cargo_source.pull.conform import UnusableExport
from cargo_source.pull.cut import cut
from cargo_source.pull.decoding import Decoder
from cargo_source.pull.deletes import beside, told
from cargo_source.pull.digest import digest_of
from cargo_source.pull.lanes import (
    CSV,
    EXPORT,
    PAGES,
    WHOLE,
    Landing,
    Part,
    Way,
    download_rows,
    export_rows,
    has_no_sql,
    is_refreshing,
    page_rows,
)
from cargo_source.pull.pages import Row
from cargo_source.pull.patience import looks, note_refreshing
from cargo_source.pull.reading import read_entity
from cargo_source.pull.record_pages import RecordPages
from cargo_source.pull.session import Session
from cargo_source.pull.shapes import Normalise, Shape, shape_of, table_names
from cargo_source.pull.spool import Sheet, Spooled
from cargo_source.pull.sweeps import Known, Sweeps, Swept, gone_of_whole, new_rows, sweep
from cargo_source.pull.times import Span, format_time, parse_time, time_at
from cargo_source.pull.typed import arrow_schema

log = logging.getLogger("cargo_source")

RECORDS = "records"
"""The name under which model rows stand in state and summary: the API calls them records."""


@dataclass(frozen=True)
class Model:
    """A model, with the slug of its dataset and the name of the table for its rows."""

    row: Row
    dataset: str
    table: str

    @property
    def uuid(self) -> str:
        """The model's uuid."""
        return str(self.row["uuid"])

    @property
    def slug(self) -> str:
        """The model's slug; unique in its dataset only."""
        return str(self.row["slug"])

    @property
    def names(self) -> tuple[str, ...]:
        """What a person may call it."""
        return (self.uuid, self.slug, f"{self.dataset}.{self.slug}", self.table)


def list_models(session: Session, fold: Normalise) -> list[Model]:
    """Give all models of the workspace with the names of their tables; two requests, shared with the entity tables."""
    return session.once("models", lambda: _list_models(session, fold))


def _list_models(session: Session, fold: Normalise) -> list[Model]:
    span = Span(None, session.now)
    rows = read_entity(session, "models", span).rows
    slugs = {row["uuid"]: str(row["slug"]) for row in read_entity(session, "datasets", span).rows}
    tables = table_names(rows, slugs, ENTITIES, fold)
    return [Model(row, slugs.get(row["datasetUuid"]) or str(row["datasetUuid"]), tables[row["uuid"]]) for row in rows]


def choose(models: Sequence[Model], wanted: Sequence[str] | None) -> list[Model]:
    """Pick models by name. Raises BadSettings for a name that fits none (with a suggestion) or more than one."""
    if wanted is None:
        return list(models)
    chosen: dict[str, Model] = {}
    for name in wanted:
        found = [model for model in models if name in model.names]
        if not found:
            known = [name for model in models for name in model.names[1:3]]
            raise BadSettings(f"no model is called {name!r}{suggest(name, known)}; 'cargo-source discover' lists them")
        if len(found) > 1:
            options = ", ".join(f"{model.dataset}.{model.slug}" for model in found)
            raise BadSettings(f"{len(found)} models are called {name!r}: say which of {options}")
        chosen[found[0].uuid] = found[0]
    return list(chosen.values())


@dataclass(frozen=True)
class ModelRead:
    """The rows of one model that have news, spooled; None where nothing moved."""

    model: Model
    shape: Shape | None
    spooled: Spooled | None
    landing: Landing | None
    state: dict[str, Any]
    note: str = ""


def shape_model(session: Session, model: Model, fold: Normalise) -> Shape:
    """Find out what a model's table looks like; the warehouse's DDL has the last word on names and types."""
    ddl: Row | None = None
    try:
        ddl = session.client.get(f"storage/models/{model.uuid}/ddl").json()
    except (NotFound, PermissionDenied, RequestRefused) as error:
        log.info("%s: no DDL (%s)", model.table, error.reason or error.status)
        # So it is told of a model that was never filled: its definition will do.
        ddl = {} if error.reason == "failedToGetDdl" else None
    shape = shape_of(model.row, model.dataset, model.table, ddl, fold)
    needed = frozenset(column.name for column in shape.columns if column.field in {"_id", "_emitted_at"})
    landing = session.options.shaping.shaped(shape.table, shape.columns, needed)
    left_out = shape.fields - {column.field for column in landing}
    hides = partial(session.options.shaping.hides, shape.table)
    return replace(shape, columns=landing, left_out=left_out, hides=lambda field: hides(fold(field)))


def sweeps_of(session: Session, kept: Mapping[str, dict[str, Any]]) -> Sweeps:
    """Give what tells which models have other rows than the last sync left here, by what that one kept."""
    known = {
        uuid: Known(state["table"], state.get("reference", ""), state.get("lane", ""), state["watermark"])
        for uuid, state in kept.items()
        # Of a model that has only been read while Cargo was writing it, no more is known than its table.
        if state.get("watermark")
    }
    return Sweeps(session, known)


def read_model(session: Session, model: Model, kept: dict[str, Any], sweeps: Sweeps, fold: Normalise) -> ModelRead:
    """Read the rows of one model that moved since ``kept``, the state of its last sync, and find what is gone."""
    if session.windowed:
        return window_rows(session, model, fold)
    now = format_time(session.now)
    definition = definition_of(session, model)
    same = kept.get("definition") == definition
    span = Span(parse_time(kept["watermark"]) - session.options.lookback if same else None, session.now)
    whole = not same or _is_due(session, kept)
    differs = None if whole else sweeps.differs(model.uuid)
    if differs is None and not whole:
        whole = sweeps.has_hint(model.uuid)
    if not whole and not differs and _is_unmoved(session, model, kept, span):
        if sweeps.refreshing:
            return ModelRead(model, None, None, None, dict(kept))
        note_refreshing(session, model.uuid, model.table, refreshing=False)
        return ModelRead(model, None, None, None, {**kept, "watermark": now})
    shape = shape_model(session, model, fold)
    columns = digest_of([[column.name, column.type] for column in shape.columns])
    # Where a column is of another type than before, the table is made anew, and every row has to come.
    whole = whole or columns != kept.get("columns") or not shape.has_emitted_at
    landing, spooled = _read_rows(session, shape, None if whole else span.start)
    whole = whole or landing.lane != EXPORT
    swept: Swept | None = Swept([])
    if not landing.refreshing and not whole and not _adds_up(session, shape, sweeps, spooled):
        swept = sweep(session, shape, spooled)
        whole = swept is None or swept.lacks
        if whole:
            landing, spooled = _read_rows(session, shape, None)
    if whole:
        swept = gone_of_whole(session, shape, spooled, landing)
    spooled = beside(session, spooled, [_key(shape)], swept.gone if swept else [])
    state = {
        "watermark": now,
        "definition": definition,
        "table": model.table,
        "read_at": now,
        "columns": columns,
        "reference": shape.reference if shape.stored else "",
        "lane": landing.lane,
        "full_at": (now if whole else kept.get("full_at")) if swept else None,
        "deletes": session.options.deletes,
    }
    if landing.refreshing:
        # What the workspace was still writing may be missing: the next sync reads from the same place.
        state = dict(kept) or {"table": model.table}
    session.shown(shape.table).add(landing.proof)
    note_refreshing(session, model.uuid, shape.table, refreshing=landing.refreshing)
    notes = (told(session, shape.table), session.surprises[shape.table].note())
    return ModelRead(model, shape, spooled, landing, state, "; ".join(filter(None, notes)))


def _read_rows(session: Session, shape: Shape, since: datetime | None) -> tuple[Landing, Spooled]:
    way = way_of(session, shape, f"{shape.uuid} {shape.columns}", Part(since=since))
    before = way.progress.found
    landing = Landing(**before.notes[-1]) if before.finished else _patiently(session, shape, way)
    if not landing.refreshing:
        way.progress.save(lambda: asdict(landing), finished=True)
    return landing, way.sheet.finish()


def _patiently(session: Session, shape: Shape, way: Way) -> Landing:
    """Read by the best lane, and anew where Cargo was writing the model and stops while there is patience."""
    landing = by_lane(session, shape, way)
    if landing.refreshing:
        for _ in looks(session, partial(is_refreshing, session, shape, landing.lane)):
            way.progress.restart()
            landing = by_lane(session, shape, way)
            if not landing.refreshing:
                break
    return landing


def _adds_up(session: Session, shape: Shape, sweeps: Sweeps, spooled: Spooled) -> bool:
    """Say whether the rows here and those just read are as many as Cargo counted, or nobody counts."""
    there = sweeps.there(shape.uuid)
    return there is None or there == sweeps.here(shape.uuid) + new_rows(session, shape, spooled)


def _is_due(session: Session, kept: dict[str, Any]) -> bool:
    """Say whether all rows of a model are to come, whatever moved: some columns are computed without a sign of it."""
    full_at, was, now = kept.get("full_at"), kept.get("deletes"), session.options.deletes
    # What was left as it is has to be looked for, and what was marked has to be removed.
    other = (was == "ignore" and now != "ignore") or (was != "hard" and now == "hard")
    return not full_at or other or session.now - parse_time(full_at) >= session.options.full_refresh_every


def window_rows(session: Session, model: Model, fold: Normalise) -> ModelRead:
    """Read the rows of one model that were written in a window from outside; what is kept stays as it is.

    A table that does not say when its rows were written is read whole, with the first window of several.
    """
    span = session.span(RECORDS)
    emitted = time_at(model.row, "lastEmittedAt")
    if emitted is not None and not span.reached_by(emitted + session.options.lookback):
        return ModelRead(model, None, None, None, {})
    shape = shape_model(session, model, fold)
    if not shape.has_emitted_at and not (session.options.window and session.options.window.lists):
        return ModelRead(model, None, None, None, {})
    timed = shape.has_emitted_at
    way = way_of(session, shape, model.uuid, Part(since=span.start, until=span.end) if timed else WHOLE)
    landing = _patiently(session, shape, way)
    session.shown(shape.table).add(landing.proof)
    spooled = cut(way.sheet.finish(), shape, span) if timed and landing.lane != EXPORT else way.sheet.finish()
    notes = [session.surprises[shape.table].note()]
    if not timed:
        notes.append("its rows do not say when they were written, so all of them came")
    return ModelRead(model, shape, spooled, landing, {}, "; ".join(note for note in notes if note))


def _is_unmoved(session: Session, model: Model, kept: dict[str, Any], span: Span) -> bool:
    """Say whether a model has received nothing since it was read; one that never did is looked at once a day."""
    emitted = time_at(model.row, "lastEmittedAt")
    if emitted is None:
        return session.now - parse_time(kept["read_at"]) < timedelta(hours=SWEEP_HOURS)
    return not span.reached_by(emitted)


def definition_of(session: Session, model: Model) -> str:
    """A digest of a model's columns and of what lands of them: when it moves, old rows lack what new ones have."""
    row = model.row
    definition = [row.get("columns"), row.get("additionalColumns"), row.get("idColumnSlug"), row.get("slug")]
    return digest_of([*definition, repr(session.options.shaping)])


def _key(shape: Shape) -> str:
    return next(column.name for column in shape.columns if column.field == "_id")


def decoder_of(session: Session, shape: Shape) -> Decoder:
    """Give what decodes and types the rows of a model."""
    return Decoder(shape, session.run_id, session.pseudonym, session.surprises[shape.table], session.spool)


def sheet_of(session: Session, shape: Shape, key: Sequence[str] = ()) -> Sheet:
    """Start a sheet of a model's rows, or of rows like them with another key."""
    return session.spool.sheet(arrow_schema(shape.columns), key or [_key(shape)], decoder_of(session, shape).typed)


def way_of(session: Session, shape: Shape, reading: str, part: Part = WHOLE) -> Way:
    """Prepare the reading of a model's rows; ``reading`` is what it is called while it is not finished."""
    sheet = sheet_of(session, shape)
    return Way(sheet, session.progress(f"{reading} {part}", {shape.table: sheet}), decoder_of(session, shape), part)


def by_lane(session: Session, shape: Shape, way: Way) -> Landing:
    """Read by the best lane that this workspace can use, or by the one that was asked for."""
    pages = RecordPages(session.client, shape, way.decoder)
    # Pages that came before an earlier sync was cut off are gone on with.
    pinned = PAGES if way.progress.found.notes else session.options.lane
    if pinned in {None, EXPORT} and session.can_export and shape.stored:
        try:
            return export_rows(session, shape, way.sheet, way.part)
        except (PermissionDenied, NotFound, RequestRefused, UnusableExport) as error:
            # Without the permission or without a warehouse no other model can be exported either.
            session.can_export = isinstance(error, UnusableExport) or not has_no_sql(error)
            log.warning("%s: no export (%s): reading otherwise", shape.table, _why(error))
    # A csv has no parts: where a few rows are enough, pages have them sooner.
    if pinned in {None, CSV} and session.can_download and shape.stored and way.part.enough is None:
        try:
            return download_rows(session, shape, way.sheet, pages)
        except (PermissionDenied, NotFound, RequestRefused, UnusableExport) as error:
            session.can_download = isinstance(error, UnusableExport | RequestRefused)
            log.warning("%s: no csv (%s): reading pages instead", shape.table, _why(error))
    if not way.progress.found.notes:
        way.sheet.clear()
    return page_rows(session, shape, way, pages)


def _why(error: Exception) -> str:
    if isinstance(error, CargoError):
        return str(error.reason or error.status or type(error).__name__)
    return f"it came {error}"
