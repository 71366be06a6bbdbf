"""One whole sync around dlt's own run: what was left pending is dropped, then everything is read, loaded and told."""

import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.common.destination.exceptions import DestinationException
from dlt.extract import DltSource
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.pipeline import Pipeline

from cargo_source.catalog import ENTITIES
from cargo_source.errors import CargoError, DestinationRefused, ReportBug
from cargo_source.pull.lock import held
from cargo_source.pull.outcome import Outcome
from cargo_source.pull.session import Watch
from cargo_source.pull.source import Pull, pull_of

log = logging.getLogger("cargo_source")


@dataclass
class SyncReport:
    """What a sync did. ``status`` is ``complete``, or ``refreshing`` where Cargo was still writing what was read."""

    pipeline: str
    dataset: str
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    run_id: str | None = None

    @property
    def status(self) -> str:
        """The worst of the outcomes; a skip that nobody minds is complete."""
        return "refreshing" if any(outcome.status == "refreshing" for outcome in self.outcomes) else "complete"

    @property
    def rows(self) -> int:
        """Rows written in all."""
        return sum(outcome.rows for outcome in self.outcomes)

    @property
    def requests(self) -> int:
        """Requests made in all."""
        return sum(outcome.requests for outcome in self.outcomes)

    def as_json(self) -> dict[str, Any]:
        """Give the report as JSON; ``entities`` is the only list at its top."""
        return {
            "status": self.status,
            "run_id": self.run_id,
            "pipeline": self.pipeline,
            "dataset": self.dataset,
            "rows": self.rows,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
            "entities": [outcome.as_json() for outcome in self.outcomes],
        }


def sync(
    pipeline: Pipeline, source: DltSource, *, watch: Watch | None = None, report: SyncReport | None = None
) -> SyncReport:
    """Load ``source``, which :func:`cargo_source.cargo` made, and report on every table.

    A package that an earlier run left behind is aborted first, and its rows are read again: resuming it would load it
    alone and leave what is new for another time. ``watch`` is told of progress. A ``report`` that is given is filled
    even where the sync fails. Raises CargoError by remedy; the destination is then as after its last load.
    """
    pull = pull_of(source)
    pull.find_window()
    pull.starts_over = True
    if watch is not None:
        pull.watch = watch
    report = report or SyncReport(pipeline.pipeline_name, pipeline.dataset_name or "")
    started = time.monotonic()
    with held(Path(pipeline.pipelines_dir), pipeline.pipeline_name):
        try:
            _once(pipeline, source, pull, report)
            if pull.resumed and pull.options.window is None:
                # What was read before belongs to the time when it was begun: what is new since comes now.
                _once(pipeline, source, pull, report)
        finally:
            report.seconds = time.monotonic() - started
            _forget_packages(pipeline)
    return report


def _once(pipeline: Pipeline, source: DltSource, pull: Pull, report: SyncReport) -> None:
    """Run one load. What was read for one that fails stays on disk, for the next to go on."""
    before = {outcome.table: outcome for outcome in report.outcomes}
    done = False
    try:
        _run(pipeline, source, report)
        done = True
    finally:
        pull.close(keep=not done)
        for table, outcome in pull.outcomes.items():
            before[table] = outcome.after(before[table]) if table in before else outcome
        report.outcomes = sorted(before.values(), key=_place)


def _run(pipeline: Pipeline, source: DltSource, report: SyncReport) -> None:
    try:
        if pipeline.has_pending_data:
            log.warning("an earlier sync was cut off: its package is dropped and its rows are read again")
            pipeline.abort_packages()
        info = pipeline.run(source)
        report.run_id = info.loads_ids[-1] if info.loads_ids else None
    except PipelineStepFailed as failure:
        for error in _chain(failure):
            if isinstance(error, KeyboardInterrupt | SystemExit):
                # dlt takes these for failures of its step; they are somebody's wish to stop.
                raise error from None
        remedy = remedy_of(failure)
        # Only a bug needs the whole chain, which is long, and quotes what dlt quotes.
        raise remedy from failure if type(remedy) is ReportBug else None


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
