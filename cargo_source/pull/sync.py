"""One whole sync around dlt's own run: what was left pending is dropped, then everything is read, loaded and told."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ContainerInjectableContextMangled
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.destination.exceptions import DestinationException
from dlt.extract import DltSource
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.pipeline import Pipeline

from cargo_source.catalog import ENTITIES
from cargo_source.errors import CargoError, DestinationRefused, IncompleteRead, ReportBug, TryLater
from cargo_source.pull import syncs
from cargo_source.pull.connection import Pull, pull_of
from cargo_source.pull.kept_open import kept_open
from cargo_source.pull.lock import held
from cargo_source.pull.outcome import Outcome, together
from cargo_source.pull.publish import Publication, finish_earlier
from cargo_source.pull.session import Watch
from cargo_source.pull.versions import remove_halves
from cargo_source.tabular import Grid
from cargo_source.views import Views, install_views

log = logging.getLogger("cargo_source")


@dataclass(repr=False)
class SyncReport:
    """What a sync did. ``status`` is the worst of its tables'; a skip that nobody minds is complete."""

    pipeline: str
    dataset: str
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    run_id: str | None = None
    views: Views | None = None
    """What became of the ready-made views, where they were asked for."""

    @property
    def status(self) -> str:
        """Give ``failed``, ``refreshing``, ``unproven`` or ``complete``."""
        met = {outcome.status for outcome in self.outcomes}
        return next((status for status in ("failed", "refreshing", "unproven") if status in met), "complete")

    @property
    def rows(self) -> int:
        """Rows written in all."""
        return sum(outcome.rows for outcome in self.outcomes)

    @property
    def requests(self) -> int:
        """Requests made in all."""
        return sum(outcome.requests for outcome in self.outcomes)

    @property
    def entities(self) -> dict[str, Outcome]:
        """Give one outcome for each entity that was not skipped; the tables of models are one, ``records``, in sum."""
        return together((outcome for outcome in self.outcomes if outcome.status != "skipped"), "entity")

    def require_whole(self) -> None:
        """Stop whoever goes on with all rows only: a partial sync raises nothing, nor one of what Cargo is writing.

        Raises TryLater where the same again, a while later, may bring what is lacking, else IncompleteRead. Both name
        the tables and what is wrong with them.
        """
        lacking = [outcome for outcome in self.outcomes if outcome.lacking]
        if not lacking:
            return
        tables: dict[str, list[str]] = {}
        for outcome in lacking:
            tables.setdefault(outcome.note or outcome.error or outcome.status, []).append(outcome.table)
        told = "; ".join(f"{', '.join(names)}: {why}" for why, names in tables.items())
        kind = TryLater if all(outcome.retry_helps for outcome in lacking) else IncompleteRead
        raise kind(f"{len(lacking)} of {len(self.outcomes)} tables are not whole: {told}")

    def lines(self, entity: str | None = None) -> list[dict[str, Any]]:
        """Give a line for each table, or each of an entity: what a page of a scheduler has room for."""
        names = ("rows", "expected", "lane", "status")
        chosen = (each for each in self.outcomes if entity in {None, each.entity})
        return [{"table": each.table, **{name: each.shown().get(name) for name in names}} for each in chosen]

    @property
    def news(self) -> list[Outcome]:
        """The tables in which something moved, or of which something is to be said."""
        return [each for each in self.outcomes if each.rows or each.note or each.status != "complete"]

    @property
    def line(self) -> str:
        """What it did, in a line."""
        tables = sum(each.status != "skipped" for each in self.outcomes)
        asked = f"{self.requests:,} requests, {self.seconds:.1f} s"
        return f"{self.rows:,} rows in {tables} tables ({asked}): {self.status}"

    def grid(self) -> Grid:
        """Show the tables that have news, each on a line."""
        rows = [
            (
                each.table,
                each.rows,
                each.shown_lane,
                each.evidence,
                each.status,
                each.note,
            )
            for each in self.news
        ]
        return Grid(("table", "rows", "lane", "evidence", "status", "note"), rows)

    def __str__(self) -> str:
        return "\n".join([*([self.grid().text()] if self.news else []), self.line])

    def __repr__(self) -> str:
        return f"<SyncReport {self.line}>"

    def _repr_html_(self) -> str:
        line = f"<b>{escape(self.line)}</b>"
        if not self.news:
            return f"<p>{line}</p>"
        # A whole workspace has dozens of tables: they are folded, unless one of them has something to say.
        opened = " open" if self.status != "complete" or any(each.note for each in self.news) else ""
        return f"<details{opened}><summary>{line}</summary>{self.grid().html()}</details>"

    def as_json(self) -> dict[str, Any]:
        """Give the report as JSON; the tables are in ``entities``."""
        return {
            "status": self.status,
            "run_id": self.run_id,
            "pipeline": self.pipeline,
            "dataset": self.dataset,
            "rows": self.rows,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
            "entities": [outcome.as_json() for outcome in self.outcomes],
            **({"views": self.views.as_json()} if self.views is not None else {}),
        }


def sync(
    pipeline: Pipeline,
    source: DltSource,
    *,
    watch: Watch | None = None,
    report: SyncReport | None = None,
    publish: bool = False,
    views: bool = False,
    max_minutes: float | None = None,
) -> SyncReport:
    """Load ``source``, which :func:`cargo_source.cargo` made, and report on every table, here and in ``_cargo_syncs``.

    A package that an earlier run left behind is aborted first, and its rows are read again: resuming it would load it
    alone and leave what is new for another time. What a sync that failed, or was killed, has read waits on disk, and
    this one goes on from there. ``watch`` is told of progress. A ``report`` that is given is filled even where the sync
    fails. ``publish`` works on a copy of the DuckDB file and renames it over the original at the end. ``views`` makes
    the ready-made views afterwards, as :func:`cargo_source.install_views` does. After ``max_minutes`` reading stops
    with OutOfTime. Raises CargoError by remedy; the destination is then as after its last load.
    """
    pull = pull_of(source)
    pull.find_window()
    pull.starts_over = True
    if watch is not None:
        pull.watch = watch
    report = report or SyncReport(pipeline.pipeline_name, pipeline.dataset_name or "")
    publication = Publication(pipeline, pull.schema) if publish else None
    with held(Path(pipeline.pipelines_dir), pipeline.pipeline_name), pull.within(max_minutes):
        finish_earlier(pipeline, pull.schema)
        run = _Run(pipeline, source, pull, report, publication, views=views)
        if run.load():
            # What was read before belongs to the time when it was begun: what is new since comes now.
            run.load()
    return report


class _Run:
    """One sync: a load, or two where the first goes on with what was cut off, and what is told of them."""

    def __init__(
        self,
        pipeline: Pipeline,
        source: DltSource,
        pull: Pull,
        report: SyncReport,
        publication: Publication | None,
        *,
        views: bool,
    ) -> None:
        self._pipeline, self._source, self._pull, self._report = pipeline, source, pull, report
        self._publication, self._views = publication, views
        self._clock, self._started_at = time.monotonic(), datetime.now(UTC)
        self._before: dict[str, Outcome] = {}
        """What became of each table in loads before this one."""
        self._told: list[syncs.Row] = []
        pull.forget()

    def load(self) -> bool:
        """Run a load, publish it, and tell of it unless there has to be another, which this says."""
        publication, pull = self._publication, self._pull
        try:
            if publication is not None:
                publication.begin()
        except CargoError as error:
            self._end(error, untouched=True)
            raise
        with ExitStack() as opened:
            try:
                opened.enter_context(kept_open(self._pipeline))
                self._once()
            except BaseException as error:
                self._end(error, untouched=publication is not None)
                opened.close()
                if publication is not None:
                    publication.drop()
                raise
            again = pull.resumed and not self._before and pull.options.window is None
            if not again:
                self._end(None)
                self._make_views()
        if publication is not None:
            try:
                publication.publish()
            except CargoError as error:
                # What was written to the copy is lost with it.
                self._end(error, untouched=True)
                raise
        if again:
            self._before = dict(pull.outcomes)
        return again

    def _make_views(self) -> None:
        """Make the views. One that cannot be made is told of, and costs no row that was loaded."""
        if self._views:
            try:
                self._report.views = install_views(self._pipeline)
            except CargoError as error:
                self._report.views = Views()
                log.warning("%s", error)
            for each in self._report.views.refused:
                log.warning("the view %s was not made: %s", each.view.name, each.refused)

    def _once(self) -> None:
        # What was read for a load that fails stays on disk, for the next to go on.
        self._pull.outcomes.clear()
        done = False
        try:
            with syncs.begun(self._pipeline) as more:
                _run(self._pipeline, [self._source, *more])
            done = True
        finally:
            self._pull.close(keep=not done)

    def _end(self, failure: BaseException | None, *, untouched: bool = False) -> None:
        """Fill the report, and write it to ``_cargo_syncs``; with the next sync where the destination cannot be had."""
        pull, report, pipeline = self._pull, self._report, self._pipeline
        for outcome in pull.outcomes.values() if failure is not None else ():
            outcome.drop()
        later = {
            table: outcome.after(self._before[table]) if table in self._before else outcome
            for table, outcome in pull.outcomes.items()
        }
        report.outcomes = sorted((self._before | later).values(), key=_place)
        report.run_id, report.seconds = pull.run_id, time.monotonic() - self._clock
        started = self._started_at
        rows = syncs.rows_of(
            report.outcomes,
            failure,
            run_id=report.run_id or f"{started.timestamp():.6f}",
            pipeline=report.pipeline,
            dataset=report.dataset,
            workspace=pull.workspace,
            started_at=started,
            finished_at=datetime.now(UTC),
        )
        syncs.keep(pipeline, [*self._told, *rows])
        # Whoever pressed Ctrl-C wants to be gone, and a destination that just refused will hardly take this.
        if not untouched and (failure is None or isinstance(failure, CargoError)) and not _refused(failure):
            self._told = syncs.load(pipeline)
        _forget_packages(pipeline)


def _refused(failure: BaseException | None) -> bool:
    return isinstance(failure, DestinationRefused)


def _run(pipeline: Pipeline, sources: list[DltSource]) -> None:
    try:
        if pipeline.has_pending_data:
            log.warning("an earlier sync was cut off: its package is dropped and its rows are read again")
            cut_off = pipeline.list_normalized_load_packages()
            pipeline.abort_packages()
            remove_halves(pipeline, cut_off)
        pipeline.run(sources)
    except (PipelineStepFailed, ContainerInjectableContextMangled) as failure:
        if isinstance(failure, ContainerInjectableContextMangled):
            # dlt stumbles over a resource that still reads when another one fails, and leaves its own context behind.
            Container()[ConfigSectionContext] = ConfigSectionContext()
        for error in _chain(failure):
            if isinstance(error, KeyboardInterrupt | SystemExit):
                # dlt takes these for failures of its step; they are somebody's wish to stop.
                raise error from None
        remedy = remedy_of(failure)
        if type(remedy) is ReportBug:
            raise remedy from failure
        # Only a bug needs the whole chain, which quotes what dlt quotes, and the frames of every thread that met it: a
        # scheduler writes a thousand lines of them into its log.
        raise remedy.with_traceback(None) from None


def _forget_packages(pipeline: Pipeline) -> None:
    """Remove packages that are done with, or failed: they hold rows, and dlt keeps them for ever.

    Somebody who wants them says so with dlt's own setting.
    """
    if dlt.config.get("load.delete_completed_jobs", bool) is not False:
        for package in (Path(pipeline.working_dir) / "load" / "loaded").glob("*"):
            shutil.rmtree(package, ignore_errors=True)


def _place(outcome: Outcome) -> tuple[int, str]:
    """Order tables as the catalogue does, then those of models by name."""
    names = list(ENTITIES)
    return (names.index(outcome.entity) if outcome.entity in ENTITIES else len(names), outcome.table)


def remedy_of(failure: BaseException) -> CargoError:
    """Find what is behind dlt's own exception: our error as it was raised, a destination that refused, or a bug."""
    chain = list(_chain(failure))
    for error in chain:
        if isinstance(error, CargoError):
            return error
    root = chain[-1]
    step = str(getattr(failure, "step", None) or "run")
    if step != "extract" or isinstance(root, OSError | duckdb.Error | DestinationException):
        return DestinationRefused.from_cause(root, step=step)
    return ReportBug(f"{type(root).__name__} while reading: please report this as a bug of cargo_source")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
