"""A long window in steps: several are read at once, each into files, and they are loaded one after another.

The API's pace is the workspace's, so more threads add nothing to it; they fill the pauses in which one window waits for
its slowest answer. What is read ahead lies in the spool and not in memory. dlt reads while it loads, so each load is
handed the session that has read its window already: the same resources ask it, and find everything there.
"""

import copy
import itertools
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from dlt.extract import DltSource
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.pipeline import Pipeline

from cargo_source.catalog import ENTITIES
from cargo_source.errors import BadSettings
from cargo_source.pull.connection import OF_ITS_OWN, Pull, pull_of
from cargo_source.pull.listings import Refused
from cargo_source.pull.lock import held
from cargo_source.pull.once import Onces
from cargo_source.pull.outcome import together
from cargo_source.pull.records import RECORDS
from cargo_source.pull.resources import chosen_models, read_rows_ahead, read_table_ahead
from cargo_source.pull.session import Session, Watch
from cargo_source.pull.sync import SyncReport, remedy_of, sync
from cargo_source.pull.windows import Interval, brief
from cargo_source.tabular import Grid

log = logging.getLogger("cargo_source")

MOST_PARALLEL = 16
"""Windows that are read at once, at most: each has threads and connections of its own."""


@dataclass
class WindowReport:
    """One window of a backfill: what was loaded, and the id that its rows carry in ``_cargo_run_id``."""

    window: Interval
    run_id: str
    sync: SyncReport

    def as_json(self) -> dict[str, Any]:
        """Give it as JSON, without the tables."""
        whole = self.sync.as_json()
        facts = {name: whole[name] for name in ("status", "rows", "requests", "seconds")}
        return {**_bounds(self.window), "run_id": self.run_id, **facts}


@dataclass(repr=False)
class BackfillReport:
    """What a backfill did: its windows in order, those that were loaded. ``failed`` is the one that was not."""

    pipeline: str
    dataset: str
    window: Interval | None = None
    windows: list[WindowReport] = field(default_factory=list)
    failed: Interval | None = None
    seconds: float = 0.0

    @property
    def status(self) -> str:
        """The worst of the windows."""
        return self.total.status

    @property
    def total(self) -> SyncReport:
        """All windows in sum, table by table."""
        outcomes = together(itertools.chain.from_iterable(window.sync.outcomes for window in self.windows), "table")
        views = self.windows[-1].sync.views if self.windows else None
        return SyncReport(self.pipeline, self.dataset, list(outcomes.values()), self.seconds, views=views)

    def grid(self) -> Grid:
        """Show the windows, each on a line."""
        facts = [each.as_json() for each in self.windows]
        names = ("from", "to", "rows", "requests", "seconds", "status")
        return Grid(names, [[each[name] for name in names] for each in facts])

    def __str__(self) -> str:
        return f"{self.grid().text()}\n{self.total}"

    def __repr__(self) -> str:
        return f"<BackfillReport of {len(self.windows)} windows: {self.total.line}>"

    def _repr_html_(self) -> str:
        return self.grid().html() + self.total._repr_html_()

    def as_json(self) -> dict[str, Any]:
        """Give the report as JSON: the windows, and the tables in sum."""
        return {
            **self.total.as_json(),
            **(_bounds(self.window) if self.window else {}),
            "windows": [window.as_json() for window in self.windows],
            "failed_window": _bounds(self.failed) if self.failed else None,
        }


def _bounds(window: Interval) -> dict[str, str | None]:
    return {"from": brief(window.start), "to": brief(window.end) if window.end else None}


def backfill(  # noqa: PLR0913 - each is a setting of the backfill, by keyword
    pipeline: Pipeline,
    source: DltSource,
    *,
    step: timedelta | None = None,
    parallel: int = 1,
    watch: Watch | None = None,
    report: BackfillReport | None = None,
    publish: bool = False,
    views: bool = False,
    max_minutes: float | None = None,
) -> BackfillReport:
    """Load the window of ``source``, which :func:`cargo_source.cargo` made with one, in windows of ``step``.

    ``parallel`` of them are read at once; they are loaded in order, each by a :func:`~cargo_source.sync` of its own. A
    window that fails stops the backfill: those before it are loaded, ``report.failed`` says where to go on, and the
    error is raised as a sync raises it. ``publish`` publishes each window by itself, ``views`` makes the ready-made
    views with each, and ``max_minutes`` is the time for reading all of them.
    """
    if not 1 <= parallel <= MOST_PARALLEL:
        raise BadSettings(f"--parallel {parallel}: between 1 and {MOST_PARALLEL} windows can be read at once")
    if step and pipeline.refresh:
        raise BadSettings(f"refresh={pipeline.refresh!r} would drop with each window what the one before it loaded")
    report = report or BackfillReport(pipeline.pipeline_name, pipeline.dataset_name or "")
    pull, started = pull_of(source), time.monotonic()
    steps: list[Interval] = []
    with held(Path(pipeline.pipelines_dir), pipeline.pipeline_name), pull.within(max_minutes):
        ahead = ReadAhead(pipeline, pull, frozenset(source.selected_resources), watch)
        try:
            report.window = ahead.whole()
            steps = list(report.window.steps(step)) if step else [report.window]
            for window, session, run_id in ahead.read(steps, parallel):
                done = WindowReport(window, run_id, SyncReport(report.pipeline, report.dataset))
                pull.read_ahead(session)
                sync(pipeline, source, report=done.sync, publish=publish, views=views)
                report.windows.append(done)
        except BaseException:
            if len(report.windows) < len(steps):
                report.failed = steps[len(report.windows)]
                if step is not None:
                    log.warning("%s", _where_to_go_on(report, report.failed, steps[-1]))
            raise
        finally:
            pull.read_ahead(None)
            report.seconds = time.monotonic() - started
    return report


def _where_to_go_on(report: BackfillReport, failed: Interval, last: Interval) -> str:
    loaded = f"the {len(report.windows)} before it are loaded" if report.windows else "none was loaded before it"
    again = f"--from {brief(failed.start)}" + (f" --to {brief(last.end)}" if last.end else "")
    return f"the backfill stopped at the window {failed}; {loaded}: go on with {again} and the same --step"


class ReadAhead:
    """Reads windows in threads, each with a session that a load takes over later."""

    def __init__(self, pipeline: Pipeline, pull: Pull, tables: frozenset[str], watch: Watch | None) -> None:
        self._pipeline, self._pull, self._tables, self._watch = pipeline, pull, tables, watch
        self._shared = Onces()
        self._id = f"backfill-{uuid.uuid4().hex[:12]}"
        try:
            # dlt may empty its folder, where the spool lies, when it first looks at the destination.
            if pipeline.config.restore_from_destination:
                pipeline.sync_destination()
        except PipelineStepFailed as failure:
            raise remedy_of(failure) from None
        # The windows read the state, and none of them moves it.
        self._state: dict[str, Any] = copy.deepcopy(dict(pipeline.state.get("sources", {}).get(pull.schema, {})))

    def whole(self) -> Interval:
        """Give the window to be loaded, which ends with the server's present at the latest."""
        self._pull.find_window()
        window = self._pull.options.window
        if window is None:
            raise BadSettings("a backfill needs a window: make the source with window=(start, end)")
        with self._opened(window, self._id) as session:
            return replace(window, end=session.span(RECORDS).end)

    def read(self, steps: list[Interval], parallel: int) -> Iterator[tuple[Interval, Future[Session], str]]:
        """Give the windows in order, each when it has been read, while ``parallel`` later ones are being read."""
        waiting: deque[Future[Session]] = deque()
        pool = ThreadPoolExecutor(parallel, thread_name_prefix="cargo-window")
        stopped = threading.Event()
        ids = [f"{self._id}-{number:05d}" for number in range(1, len(steps) + 1)]
        rest = iter(list(zip(steps, ids, strict=True)))

        def submit(most: int) -> None:
            for window, run_id in itertools.islice(rest, most - len(waiting)):
                waiting.append(pool.submit(self._read, window, run_id, stopped))

        try:
            for window, run_id in zip(steps, ids, strict=True):
                submit(parallel)
                session = waiting.popleft()
                wait([session])
                # What comes next is read while this one is loaded.
                submit(parallel)
                try:
                    yield window, session, run_id
                finally:
                    _close(session)
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for left in waiting:
                left.add_done_callback(_close)

    def _read(self, window: Interval, run_id: str, stopped: threading.Event) -> Session:
        """Read all that the load of a window will ask for; its rows are then in files and in no memory."""
        session = self._session(window, run_id)
        try:
            for table in ENTITIES:
                if table in self._tables and not stopped.is_set():
                    with self._left_to_the_load():
                        read_table_ahead(session, table)
            if RECORDS in self._tables and not stopped.is_set():
                self._read_models(session, stopped)
        except BaseException:
            session.close()
            raise
        session.forget_rows()
        return session

    def _read_models(self, session: Session, stopped: threading.Event) -> None:
        try:
            _, models = chosen_models(session)
        except Refused:
            # The load meets it again, and decides whether that may be.
            return
        for model in models:
            if not stopped.is_set():
                with self._left_to_the_load():
                    read_rows_ahead(session, model)

    def _left_to_the_load(self) -> AbstractContextManager[None]:
        # The load meets the same failure, and may do without this table.
        return suppress(*OF_ITS_OWN) if self._pull.options.partial else nullcontext()

    @contextmanager
    def _opened(self, window: Interval, run_id: str) -> Iterator[Session]:
        session = self._session(window, run_id)
        try:
            yield session
        finally:
            session.close()

    def _session(self, window: Interval, run_id: str) -> Session:
        options = replace(self._pull.options, window=window)
        session = self._pull.new_session(self._pipeline, options, run_id, self._state, self._tables, self._shared)
        if self._watch is not None:
            session.watch = _in_sum(self._watch, str(window))
        return session


def _in_sum(watch: Watch, window: str) -> Watch:
    """Tell of the rows of all tables of a window as one."""
    rows: dict[str, int] = {}

    def told(table: str, so_far: int, _total: int | None) -> None:
        rows[table] = so_far
        watch(window, sum(list(rows.values())), None)

    return told


def _close(read: Future[Session]) -> None:
    if not read.cancelled() and read.exception() is None:
        read.result().close()
