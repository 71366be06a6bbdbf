"""Airflow 3: a Cargo workspace into a warehouse every day, and what SQL finds there back into Cargo.

Four tasks load a part of the workspace each, and a last one pushes. docs/orchestrators.md says how to install it, and
what to do when a task fails. The environment of the workers says the rest:

CARGO_API_TOKEN or CARGO_API_TOKEN_FILE   the token
CARGO_FOLDER        where work in progress waits (default: ~/cargo-warehouse)
CARGO_DESTINATION   a DuckDB file (default: warehouse.duckdb in that folder), or a destination of dlt's, as in postgres
CARGO_POOL          a pool of Airflow's for all tasks; of one slot where backfills share a DuckDB file with the schedule
CARGO_START         the first day that catch-up and backfills may load
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Param, dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

# dlt and cargo_source are imported in tasks: this file is read twice a minute, and says no more than what there is.

FOLDER = Path(os.environ.get("CARGO_FOLDER", "~/cargo-warehouse")).expanduser()
DESTINATION = os.environ.get("CARGO_DESTINATION", str(FOLDER / "warehouse.duckdb"))

APPLY = True
"""Runs write to Cargo what their plan says. With False they only show the plan: begin so if the query is a new one.

The param `apply` says otherwise for a run.
"""
MODEL = "default.companies"
QUALIFIED = """
SELECT domain, 'qualified' AS stage
FROM cargo.default__companies
WHERE stage = 'lead' AND employees_count > 2500 AND NOT coalesce(is_customer, false)
"""


@contextmanager
def remedies() -> Iterator[None]:
    """Fail in one line, at once where a retry cannot help: a token stays wrong, a plan too large, a row bad."""
    from cargo_source.errors import CargoError

    try:
        yield
    except CargoError as error:
        raise (AirflowException if error.retry_helps else AirflowFailException)(str(error)) from None


@dag(
    # With "@daily" in its place an interval would have no width: every task would refuse it.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime.fromisoformat(os.environ.get("CARGO_START", "2026-01-01")).replace(tzinfo=UTC),
    max_active_runs=1,
    # DuckDB takes one process at a time, others as many as there are. All share one rate limit, that of the workspace.
    max_active_tasks=1 if DESTINATION.endswith(".duckdb") else 4,
    default_args={
        "retries": 3,
        "retry_delay": timedelta(minutes=2),
        "retry_exponential_backoff": 3,
        "pool": os.environ.get("CARGO_POOL", "default_pool"),
    },
    params={
        "apply": Param(APPLY, type="boolean", description="Send what the plan says, or only show it."),
        "max_change_pct": Param(20, type="number", description="The most of the model that a push may change, in %."),
    },
    tags=["cargo"],
)
def cargo_workspace() -> None:
    """Load what moved in a Cargo workspace, and mark leads there that are worth a closer look."""

    @task
    def sync(group: str, **context: Any) -> bool:
        """Load a part of the workspace, and say whether it is up to date now."""
        from cargo_source import SyncReport, cargo, group_pipeline, window_of_run
        from cargo_source import sync as load

        with remedies():
            interval = context.get("data_interval_start"), context.get("data_interval_end")
            window = window_of_run(*interval, datetime.now(UTC), again=context["dag_run"].run_type == "backfill")
            print(f"loading {window[0]} to {window[1]}" if window else "going on where the last run ended")
            pipeline = group_pipeline(group, DESTINATION, FOLDER)
            report = SyncReport(pipeline.pipeline_name, pipeline.dataset_name or "")
            try:
                load(pipeline, cargo(group=group, window=window), report=report)
            finally:
                print(report)
            report.require_whole()
        return window is None

    @task
    def push(up_to_date: list[bool], **context: Any) -> None:
        """Write what SQL finds into Cargo, unless that is more than it may."""
        from cargo_source import Limits, Workspace, group_pipeline

        if not all(up_to_date):
            raise AirflowSkipException("this run loaded a day of the past: what to push is found by the newest run")
        params = context["params"]
        with remedies(), Workspace() as workspace:
            pipeline = group_pipeline("models", DESTINATION, FOLDER)
            limits = Limits(max_change_pct=params["max_change_pct"], allow_empty=True)
            plan = workspace.push(QUALIFIED, MODEL, key="domain", mode="update", database=pipeline, limits=limits)
            print(plan)
            if not params["apply"]:
                print("not applied: the param apply is false")
                return
            report = plan.apply()
            print(report)
            # The good rows are written by now. Without this line, rows that were rejected are no failure.
            report.require_whole()

    # The first finds out whether the token is good, and makes the dataset; then no two of the others make it at once.
    first = sync.override(task_id="sync_workspace")("workspace")
    others = [sync.override(task_id=f"sync_{group}")(group) for group in ("models", "segments", "work")]
    first >> others
    push([first, *others])


cargo_workspace()
