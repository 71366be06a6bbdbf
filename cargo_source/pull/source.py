"""The dlt source: a resource for each entity table, and one that yields the rows of all models.

dlt is met here and in :mod:`cargo_source.pull.sync` only. Nothing speaks to the network before rows are asked for.
"""

import copy
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast, get_args

import dlt
from dlt.common.destination.capabilities import DestinationCapabilitiesContext
from dlt.common.normalizers.naming.snake_case import NamingConvention
from dlt.common.schema.typing import TWriteDispositionConfig
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
from dlt.extract import DltResource, DltSource
from dlt.extract.items import DataItemWithMeta
from dlt.pipeline.exceptions import PipelineNotActive
from dlt.pipeline.pipeline import Pipeline

from cargo_source.api import CargoClient
from cargo_source.catalog import ENTITIES
from cargo_source.errors import BadSettings, suggest
from cargo_source.pull.deletes import beside, columns_of, every_row, marked_before, told
from cargo_source.pull.digest import digest_of
from cargo_source.pull.dlt_tables import MERGE, REPLACE, dlt_columns, drift_of, known_columns, references, start_anew
from cargo_source.pull.lanes import LANES
from cargo_source.pull.once import Onces
from cargo_source.pull.options import FULL_REFRESH, Deletes, Options
from cargo_source.pull.outcome import Outcome
from cargo_source.pull.pipeline_destination import PipelineDestination
from cargo_source.pull.reading import second_look
from cargo_source.pull.records import RECORDS, Model, ModelRead, choose, list_models, read_model, sweeps_of
from cargo_source.pull.session import Refused, Session, Watch
from cargo_source.pull.shaping import Shaping, Treatment
from cargo_source.pull.spool import Chunk, Spooled
from cargo_source.pull.sweeps import Sweeps
from cargo_source.pull.tables import TableRead, read_table, skip_or_raise
from cargo_source.pull.times import LOOKBACK, parse_time
from cargo_source.pull.typed import DELETED_AT
from cargo_source.pull.windows import Interval, Moment, interval_of, scheduled
from cargo_source.settings import Secret, Settings, resolve

log = logging.getLogger("cargo_source")

Sheet = Iterator[DataItemWithMeta]


def cargo(  # noqa: PLR0913 - each is a setting of the source, by keyword
    token: str | Secret | None = None,
    url: str | None = None,
    *,
    only: str | Sequence[str] | None = None,
    models: str | Sequence[str] | None = None,
    include_personal: bool = False,
    since: datetime | str | None = None,
    lookback: timedelta = LOOKBACK,
    columns: Mapping[str, Sequence[str]] | None = None,
    exclude: Sequence[str] = (),
    pii: Mapping[str, Treatment] | None = None,
    query_lane: bool = True,
    lane: str | None = None,
    strict: bool = False,
    window: tuple[Moment, Moment | None] | None = None,
    external_window: bool = False,
    deletes: Deletes = "soft",
    full_refresh_every: timedelta | float = FULL_REFRESH,
    allow_empty: bool = False,
) -> DltSource:
    """Give a dlt source with every entity of a Cargo workspace and the rows of its models.

    ``only`` names entity tables and ``models`` models (slug, ``dataset.slug`` or uuid); with ``only``, model rows load
    for ``models`` alone, with neither, everything loads but the log of warehouse queries.

    Message parts, record titles, memories and texts of queries land with ``include_personal``. ``columns`` names those
    to keep, by table; ``exclude`` leaves out what its patterns name (``default__contacts.phone``, ``*.notes``,
    ``email``); ``pii`` maps such patterns to ``hash`` or ``null``. Names are those of the destination.
    ``since`` is where the first sync starts (UTC unless it
    has a zone; default: the workspace's creation), ``lookback``
    how far later ones reach back for rows that arrive late. ``query_lane`` lets runs and spans come by SQL where that
    is cheaper; ``lane`` pins how rows of models come (``export``, ``csv``, ``pages``), else the best that the workspace
    can use is taken. ``strict`` makes every skipped entity a failure.

    ``window=(start, end)`` loads that stretch of the server's time (``start`` included, ``end`` not, None: until now;
    UTC unless they have a zone) whatever was loaded before, and leaves the stored cursors alone: windows that follow
    one another give the tables that one over all of them gives, and one that is loaded twice changes nothing.
    ``external_window`` takes the window from whoever schedules the run: DLT_INTERVAL_START and _END, else Airflow's
    data interval. Without it a scheduler's interval is not looked at, and a sync goes on where the last one ended.

    ``deletes`` says what becomes of a row that is gone in Cargo: ``soft`` marks it in ``_cargo_deleted_at``, ``hard``
    removes it, ``ignore`` leaves it as it is. ``full_refresh_every`` (a timedelta, or days) is how often rows of a
    model are read whole at least. A table that had many rows and has none is a stop, unless ``allow_empty``.

    Settings that are not given come from the environment (``CARGO_API_TOKEN``, ``CARGO_API_URL``), then from dlt's
    configuration (``[sources.cargo]``). Raises BadSettings for a table that does not exist and a window that is empty.
    Speaks to nobody until rows are asked for.
    """
    hidden = Secret(token) if isinstance(token, str) else token
    # A traceback may show the variables of this frame.
    del token
    only, models = _listed(only), _listed(models)
    if only == [] and not models:
        raise BadSettings("there is nothing to load: name a table, or leave out 'only' for everything")
    for name in only or ():
        if name not in ENTITIES:
            raise BadSettings(f"there is no entity {name!r}{suggest(name, ENTITIES)}; known are {', '.join(ENTITIES)}")
    options = Options(
        include_personal=include_personal,
        lookback=lookback,
        since=_moment(since),
        models=tuple(models) if models is not None else None,
        named=frozenset(only or ()) | (frozenset({RECORDS}) if models else frozenset()),
        strict=strict,
        query_lane=query_lane,
        lane=_known_lane(lane),
        deletes=_checked_deletes(deletes),
        full_refresh_every=_interval(full_refresh_every),
        allow_empty=allow_empty,
        shaping=Shaping(columns or {}, tuple(exclude), pii or {}),
        window=_window(window, since, external=external_window),
    )
    for entity in ENTITIES.values():
        options.columns(entity)
    # Patterns that name the table of a model are met when its columns are known; records of changes follow them too.
    unmet = [name for name in options.shaping.unmet if "." not in name or name.partition(".")[0] in {*ENTITIES, "*"}]
    if unmet and only is not None and models is None and "change_rows" not in only:
        raise BadSettings(f"exclude or pii: no table has a column that fits {', '.join(unmet)}")
    usual = (entity.table for entity in ENTITIES.values() if not entity.on_request)
    tables = tuple(usual if only is None else dict.fromkeys(only))
    with_records = models is not None or only is None
    pull = Pull(hidden, url, options, external_window=external_window)
    return _resources(pull, tables, with_records=with_records)


def _known_lane(lane: str | None) -> str | None:
    if lane is not None and lane not in LANES:
        raise BadSettings(f"lane: there is no {lane!r}{suggest(lane, LANES)}; known are {', '.join(LANES)}")
    return lane


def _listed(names: str | Sequence[str] | None) -> list[str] | None:
    """Give names as a list; one name may come by itself."""
    return [names] if isinstance(names, str) else None if names is None else list(names)


def _window(window: tuple[Moment, Moment | None] | None, since: object, *, external: bool) -> Interval | None:
    """Read the window, or find the scheduler's. Raises BadSettings where settings contradict one another."""
    if window is None and not external:
        return None
    if since is not None:
        raise BadSettings("since is where a first sync starts: a window has a start of its own")
    if window is None:
        # A source may be made before its run has an interval: then it is looked for once more.
        return scheduled()
    if external:
        raise BadSettings("window and external_window: take one of them")
    return interval_of(*window)


def _checked_deletes(deletes: str) -> Deletes:
    """Give what becomes of rows that are gone. Raises BadSettings for a word that is not known."""
    for known in get_args(Deletes):
        if deletes == known:
            return cast("Deletes", deletes)
    raise BadSettings(f"deletes: {deletes!r} can be soft, hard or ignore{suggest(deletes, get_args(Deletes))}")


def _interval(every: timedelta | float) -> timedelta:
    """Read an interval; a number counts days. Raises BadSettings where it is not positive."""
    try:
        interval = every if isinstance(every, timedelta) else timedelta(days=every)
    except (OverflowError, ValueError):
        interval = timedelta(0)
    if interval <= timedelta(0):
        raise BadSettings(f"full_refresh_every: {every} has to be a number of days above 0")
    return interval


def _moment(since: datetime | str | None) -> datetime | None:
    """Read where history starts; a time without a zone is UTC. Raises BadSettings for a text that is no time."""
    try:
        return parse_time(since if isinstance(since, str) else since.isoformat()) if since is not None else None
    except ValueError:
        raise BadSettings(f"since: {since!r} is no time; write it as 2026-03-01 or 2026-03-01T09:00:00Z") from None


@dlt.source(name="cargo", section="cargo", max_table_nesting=0)
def _resources(pull: "Pull", tables: tuple[str, ...], *, with_records: bool) -> Iterator[DltResource]:
    for table in tables:
        entity = ENTITIES[table]
        resource = dlt.resource(
            entity_rows,
            name=table,
            columns=dlt_columns(
                pull.options.columns(entity),
                entity.key,
                hard=pull.options.deletes == "hard",
                merge_key=entity.merge_key,
            ),
            primary_key=list(entity.key),
            write_disposition=MERGE,
            references=references(pull.options.columns(entity)),
            parallelized=True,
        )(pull, table)
        yield resource.apply_hints(additional_table_hints={"description": entity.description})
    if with_records:
        yield dlt.resource(record_rows, name=RECORDS, table_name=_table_named, parallelized=True)(pull)


class Pull:
    """A source's connection to its workspace: settings now, a client and a session when the first row is asked for."""

    def __init__(
        self, token: Secret | None, url: str | None, options: Options, *, external_window: bool = False
    ) -> None:
        self._token, self._url, self.options = token, url, options
        self._external_window = external_window
        self._ahead: Future[Session] | None = None
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._load_id: str | None = None
        self.outcomes: dict[str, Outcome] = {}
        self.resumed = False
        """Whether the session that was closed last went on with what an earlier one had read."""
        self.run_id: str | None = None
        self.starts_over = False
        """Whether a load that is cut off is not gone on with but dropped, and its rows brought again."""
        self.watch: Watch = lambda _table, _rows, _total: None

    def __repr__(self) -> str:
        """Say what it is, never with what token."""
        return f"<Pull of {sorted(self.options.named) or 'everything'}>"

    def session(self) -> Session:
        """Give the session of the extract that is running: a new one for each load package."""
        try:
            load_id = dlt.current.load_package_state()["load_id"]
        except CurrentLoadPackageStateNotAvailable:
            load_id = f"iteration-{id(dlt.current.source())}"
        with self._lock:
            if self._session is None or self._load_id != load_id:
                self.close()
                self._session, self._load_id = self._open(load_id), load_id
            return self._session

    def _open(self, load_id: str) -> Session:
        self.outcomes.clear()
        pipeline = _pipeline()
        _check_fit(pipeline)
        self.find_window()
        state = dlt.current.source_state()
        tables = frozenset(dlt.current.source().selected_resources)
        if self._ahead is not None:
            session = self._ahead.result()
        else:
            # A window leaves the state as it is, so it gets one of its own.
            state = state if self.options.window is None else copy.deepcopy(dict(state))
            session = self.new_session(pipeline, self.options, load_id, state, tables)
        if session.windowed and pipeline:
            session.destination = PipelineDestination(pipeline)
        session.watch, session.starts_over = self.watch, self.starts_over
        if (
            pipeline
            and not session.windowed
            and session.options.deletes != "ignore"
            and not session.destination.readable
        ):
            session.close()
            raise BadSettings(
                "the destination cannot be asked in SQL which rows it holds, which rows that are gone are found by; say"
                " deletes='ignore' (--deletes ignore), or take a destination that can, such as duckdb or postgres"
            )
        return session

    def find_window(self) -> None:
        """Find the scheduler's interval where it was asked for. Raises BadSettings where there is none.

        Best called in the thread of the task: a scheduler's context need not reach others.
        """
        if not self._external_window:
            return
        if (window := scheduled() or self.options.window) is None:
            raise BadSettings(
                "external_window: there is no interval; set DLT_INTERVAL_START and DLT_INTERVAL_END, or run it in a"
                " task of Airflow that has a data interval (a manual trigger without a logical date has none)"
            )
        self.options = replace(self.options, window=window)

    def read_ahead(self, session: Future[Session] | None) -> None:
        """Have the next load take what ``session`` has read, or its failure; None: let it read for itself."""
        self._ahead = session

    def new_session(
        self,
        pipeline: Pipeline | None,
        options: Options,
        run_id: str,
        state: dict[str, Any],
        tables: frozenset[str],
        shared: Onces | None = None,
    ) -> Session:
        """Make a session. Several that have ``shared`` between them, and ``state``, read once what is in there."""
        settings = self.settings()
        spool_dir = Path(pipeline.working_dir) / "spool" if pipeline else None
        key = settings.pii_key
        salted = replace(options.shaping, salted=digest_of(key.reveal()) if key else "")
        options = replace(options, in_flight=settings.in_flight, spool_dir=spool_dir, shaping=salted)
        destination = PipelineDestination(pipeline) if pipeline and options.window is None else None
        return Session(CargoClient(settings), options, run_id, state, destination, tables, shared)

    def settings(self) -> Settings:
        """Find the settings of this source."""
        return find_settings(self._token, self._url)

    def close(self, *, keep: bool = False) -> None:
        """End the session that is open, if any, and remove its spool; ``keep`` leaves that to the next sync."""
        if self._session is not None:
            self.resumed, self.run_id = self._session.manifest.resumed, self._session.run_id
            for table, requests in self._session.requests.items():
                if table in self.outcomes:
                    self.outcomes[table].requests += requests
            self._session.close(keep=keep)
            self._session = None


def _check_fit(pipeline: Pipeline | None) -> None:
    """Refuse what would lose rows or double them. Raises BadSettings."""
    for name, resource in dlt.current.source().selected_resources.items():
        if any(type(step).__name__ == "LimitItem" for step in resource._pipe.steps):  # noqa: SLF001 - dlt tells nowhere else
            raise BadSettings(f"{name}: add_limit would leave out rows for ever; narrow with only, models or since")
    if pipeline is not None and "delete-insert" not in (_capabilities(pipeline).supported_merge_strategies or ()):
        raise BadSettings(
            f"the destination {pipeline.destination.destination_name} cannot merge rows on their key, so that each sync"
            " would add rows that are there already; take one that can, such as duckdb or postgres"
        )


def _capabilities(pipeline: Pipeline) -> DestinationCapabilitiesContext:
    with pipeline.destination_client() as client:
        return client.capabilities


def pull_of(source: DltSource) -> Pull:
    """Give the Pull behind a source that :func:`cargo` made, however it was narrowed since."""
    for resource in getattr(source, "resources", {}).values():
        pull = resource.explicit_args.get("pull")
        if isinstance(pull, Pull):
            return pull
    raise BadSettings("this is no source of cargo_source: make one with cargo_source.cargo()")


def entity_rows(pull: Pull, table: str) -> Sheet:
    """Yield the files of one entity table."""
    session = pull.session()
    read = table_of(session, table)
    pull.outcomes[table] = read.outcome
    if read.spooled is None:
        return
    new = not session.memory.table_state(table) or _lacks_mark(session, table)
    if session.windowed:
        new = _begin(session, table)
    elif table in session.memory.anew:
        start_anew(table)
    if new or read.spooled.chunks:
        # A variant of its own hints: dlt empties the state of a resource that replaces its table.
        hints = dlt.mark.make_hints(table_name=table, write_disposition=_disposition(session, table))
        yield dlt.mark.with_hints([], hints, create_table_variant=True)
    yield from _files(read.spooled, new=new)
    if not session.windowed:
        session.memory.keep_state(table, **read.state)


def _disposition(session: Session, table: str) -> TWriteDispositionConfig:
    """Say how rows get into a table; said each time, since a source may run more than once."""
    if session.windowed or not session.starts_over:
        return MERGE
    return REPLACE if table in session.memory.anew or session.destination.lacks(table) else MERGE


def table_of(session: Session, table: str) -> TableRead:
    """Give what is read of an entity table, which is read once."""
    return session.handed.get(table, lambda: read_table(session, table, NamingConvention().normalize_path))


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
    session = pull.session()
    try:
        everything, models = chosen_models(session)
    except Refused as refused:
        note = skip_or_raise(session, RECORDS, refused)
        pull.outcomes[RECORDS] = Outcome(RECORDS, RECORDS, lane="none", status="skipped", note=note)
        return
    session.options.shaping.check_tables(model.table for model in everything)
    if not session.windowed:
        yield from _gone_models(pull, session, everything)
    shaped = 0
    for model in models:
        pull.outcomes[model.table] = Outcome(RECORDS, model.table, lane="none")
        read, outcome = rows_of(session, model)
        pull.outcomes[model.table] = outcome
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
    everything = list_models(session, NamingConvention().normalize_path)
    return everything, choose(everything, session.options.models)


def rows_of(session: Session, model: Model) -> tuple[ModelRead | None, Outcome]:
    """Give what is read of the rows of a model (None: it is skipped), which is read once, and how that went."""
    return session.handed.get(("rows", model.uuid), lambda: _rows_of(session, model))


def _rows_of(session: Session, model: Model) -> tuple[ModelRead | None, Outcome]:
    outcome = Outcome(RECORDS, model.table, lane="none")
    return _read(session, model, session.memory.record_state(model.uuid, model.table), outcome), outcome


def _sweeps(session: Session) -> Sweeps:
    """Give what tells of all chosen models at once which of them have other rows than are here."""
    models = chosen_models(session)[1]
    kept = {model.uuid: session.memory.record_state(model.uuid, model.table) for model in models}
    return session.once("sweeps", lambda: sweeps_of(session, kept))


def _gone_models(pull: Pull, session: Session, everything: Sequence[Model]) -> Sheet:
    """Mark the rows of models that are gone, once two looks at the list of models agree on it."""
    gone = session.memory.known_models.keys() - {model.uuid for model in everything}
    if not gone:
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
    )
    yield dlt.mark.with_hints([], hints, create_table_variant=True)
    for chunk in chunks:
        yield _file(chunk, table)


def _read(session: Session, model: Model, before: dict[str, Any], outcome: Outcome) -> ModelRead | None:
    """Read one model; None where it is skipped."""
    started = time.monotonic()
    with session.client.stats.scope() as asked:
        try:
            return read_model(session, model, before, _sweeps(session), NamingConvention().normalize_path)
        except Refused as refused:
            vanished = refused.error.reason == "modelNotFound"
            outcome.note = "deleted in Cargo meanwhile" if vanished else skip_or_raise(session, RECORDS, refused)
            outcome.status = "skipped"
            return None
        finally:
            outcome.requests, outcome.seconds = asked.requests, time.monotonic() - started


def _model_files(session: Session, read: ModelRead, before: dict[str, Any], outcome: Outcome, *, new: bool) -> Sheet:
    if read.shape is None or read.spooled is None or read.landing is None:
        return
    table = read.shape.table
    outcome.status = "refreshing" if read.landing.refreshing else "complete"
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
    elif drift.retyped or table in session.memory.anew:
        session.memory.anew.add(table)
        start_anew(table)
    key = next(column.name for column in read.shape.columns if column.field == "_id")
    marked = [] if drift.retyped else marked_before(session, table, [key], before)
    spooled = beside(session, read.spooled, [key], marked)
    outcome.lane, outcome.rows = read.landing.lane, spooled.rows
    hints = dlt.mark.make_hints(
        table_name=table,
        columns=dlt_columns(read.shape.columns, (key,), hard=session.options.deletes == "hard"),
        primary_key=key,
        write_disposition=_disposition(session, table),
        additional_table_hints={"description": read.shape.description},
    )
    # The resource fills a table for each model: the hints of this one come first, as a variant of the resource.
    yield dlt.mark.with_hints([], hints, create_table_variant=True)
    yield from _files(spooled, new=new, table=table)


def _files(spooled: Spooled, *, new: bool, table: str | None = None) -> Sheet:
    """Hand finished files to dlt as they are; a table without rows gets an empty one, which makes it."""
    chunks = spooled.chunks or ([spooled.empty()] if new else [])
    for chunk in chunks:
        yield _file(chunk, table)


def _file(chunk: Chunk, table: str | None = None) -> DataItemWithMeta:
    item = dlt.mark.with_file_import(str(chunk.path), "parquet", chunk.rows)
    if table is not None:
        # dlt passes the data, here none, to the function that names the table.
        item.data = table
    return item


def _table_named(item: str) -> str:
    return item


def _pipeline() -> Pipeline | None:
    try:
        return dlt.current.pipeline()
    except PipelineNotActive:
        return None


def find_settings(token: Secret | None = None, url: str | None = None) -> Settings:
    """Find the settings: arguments, then the environment, then dlt's configuration. Raises BadSettings."""
    return resolve(token, url, fallback=_from_dlt)


def _from_dlt(name: str) -> str | None:
    # Without a type dlt takes the value for a secret; any other it would write into its trace on disk.
    value: object = dlt.secrets.get(f"sources.cargo.{name}")
    return None if value is None else str(value)
