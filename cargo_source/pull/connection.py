"""A source's connection to its workspace: one session for each load, made when the first row is asked for."""

import copy
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import dlt
from dlt.common.destination.capabilities import DestinationCapabilitiesContext
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
from dlt.extract import DltSource
from dlt.pipeline.exceptions import PipelineNotActive
from dlt.pipeline.pipeline import Pipeline

from cargo_source.api import CargoClient
from cargo_source.errors import (
    BadSettings,
    CargoError,
    FixTheData,
    IncompleteRead,
    NotFound,
    PermissionDenied,
    ReportBug,
    TryLater,
)
from cargo_source.pull.deadline import Deadline, TimedClient
from cargo_source.pull.destination import check_names
from cargo_source.pull.digest import digest_of
from cargo_source.pull.once import Onces
from cargo_source.pull.options import Options
from cargo_source.pull.outcome import Outcome
from cargo_source.pull.pipeline_destination import SCHEMA, PipelineDestination
from cargo_source.pull.session import Session, Watch
from cargo_source.pull.versions import check_versions, keeps_versions
from cargo_source.pull.windows import scheduled
from cargo_source.settings import Secret, Settings, resolve

log = logging.getLogger("cargo_source")
T = TypeVar("T")

OF_ITS_OWN = (PermissionDenied, NotFound, TryLater, FixTheData, IncompleteRead, ReportBug)
"""Failures that one table may have for itself; any other stops every table."""


class Pull:
    """A source's connection to its workspace: settings now, a client and a session when the first row is asked for."""

    def __init__(
        self,
        token: Secret | None,
        url: str | None,
        options: Options,
        *,
        external_window: bool = False,
        schema: str = SCHEMA,
    ) -> None:
        self._token, self._url, self.options = token, url, options
        self.schema = schema
        """The name of the source, and so of its schema and of its part of the state."""
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
        self.sleep: Callable[[float], None] = time.sleep
        self.deadline: Deadline | None = None
        self.workspace: str | None = None

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
                if self._load_id != load_id:
                    self.outcomes.clear()
                self._load_id = load_id
                self._session = self._open(load_id)
            return self._session

    def _open(self, load_id: str) -> Session:
        pipeline = _pipeline()
        _check_fit(pipeline, self.options)
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
            session.destination = PipelineDestination(pipeline, self.schema)
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
        longest = _longest_name(pipeline) if pipeline else None
        options = replace(
            options, in_flight=settings.in_flight, spool_dir=spool_dir, shaping=salted, longest_name=longest
        )
        destination = PipelineDestination(pipeline, self.schema) if pipeline and options.window is None else None
        client = TimedClient(settings, self.deadline) if self.deadline else CargoClient(settings)
        session = Session(client, options, run_id, state, destination, tables, shared)
        session.sleep = self.sleep
        return session

    def told(self, outcome: Outcome, read: Callable[[Session, Outcome], T]) -> T | None:
        """Read a table, and tell of it by ``outcome`` whatever becomes of it.

        A failure goes on, unless the others may load without this one: then its rows and its state stay as they were,
        and this gives None.
        """
        try:
            # A new session forgets what was told of the last one.
            session = self.session()
            outcome = begun(session, outcome)
            self.outcomes[outcome.table] = outcome
            found = read(session, outcome)
        except CargoError as error:
            outcome.fail(error)
            self.outcomes[outcome.table] = outcome
            if not self.options.partial or not isinstance(error, OF_ITS_OWN):
                raise
            log.warning("%s: failed, and what does not need it loads without it: %s", outcome.table, error)
        except Exception as error:
            outcome.status, outcome.error, outcome.rows = "failed", type(error).__name__, 0
            raise
        else:
            log.info("%s: read", outcome.table, extra={"lane": outcome.lane, "status": outcome.status})
            return found
        return None

    def forget(self) -> None:
        """Forget what is known of earlier loads."""
        self.outcomes.clear()
        self.resumed, self.run_id, self.workspace = False, None, None

    @contextmanager
    def within(self, minutes: float | None) -> Iterator[None]:
        """Have sessions that are opened meanwhile stop reading after so many minutes; None sets no end."""
        if minutes is None:
            yield
            return
        self.deadline = Deadline(minutes)
        try:
            yield
        finally:
            self.deadline = None

    def settings(self) -> Settings:
        """Find the settings of this source."""
        return find_settings(self._token, self._url)

    def close(self, *, keep: bool = False) -> None:
        """End the session that is open, if any, and remove its spool; ``keep`` leaves that to the next sync."""
        if self._session is not None:
            self.resumed, self.run_id = self._session.manifest.resumed, self._session.run_id
            self.workspace = self._session.state.get("workspace")
            for table, asked in self._session.asked.items():
                for counts in asked if table in self.outcomes else ():
                    self.outcomes[table].charge(counts)
            self._session.close(keep=keep)
            self._session = None


def _check_fit(pipeline: Pipeline | None, options: Options) -> None:
    """Refuse what would lose rows or double them. Raises BadSettings."""
    for name, resource in dlt.current.source().selected_resources.items():
        if any(type(step).__name__ == "LimitItem" for step in resource._pipe.steps):  # noqa: SLF001 - dlt tells nowhere else
            raise BadSettings(f"{name}: add_limit would leave out rows for ever; narrow with only, models or since")
    if pipeline is None:
        return
    check_names(pipeline)
    if pipeline.refresh and options.partial:
        raise BadSettings("refresh and partial: what fails would be dropped and not come again; take one of them")
    if keeps_versions(pipeline):
        check_versions(pipeline, options.deletes)
    elif "delete-insert" not in (_capabilities(pipeline).supported_merge_strategies or ()):
        raise BadSettings(
            f"the destination {pipeline.destination.destination_name} cannot merge rows on their key, so that each sync"
            " would add rows that are there already; take one that can, such as duckdb or postgres"
        )


def _capabilities(pipeline: Pipeline) -> DestinationCapabilitiesContext:
    with pipeline.destination_client() as client:
        return client.capabilities


def _longest_name(pipeline: Pipeline) -> int | None:
    able = pipeline.destination.capabilities()
    return min((n for n in (able.max_identifier_length, able.max_column_identifier_length) if n), default=None)


def begun(session: Session, outcome: Outcome) -> Outcome:
    """Give the outcome of a table that may have been read ahead, or else take this one for it."""
    return session.handed.get(("outcome", outcome.table), lambda: outcome)


def pull_of(source: DltSource) -> Pull:
    """Give the Pull behind a source that :func:`cargo` made, however it was narrowed since."""
    for resource in getattr(source, "resources", {}).values():
        pull = resource.explicit_args.get("pull")
        if isinstance(pull, Pull):
            return pull
    raise BadSettings("this is no source of cargo_source: make one with cargo_source.cargo()")


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
