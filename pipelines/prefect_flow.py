"""Prefect: load what is new in a Cargo workspace, show what that did, and push what SQL found back into Cargo.

CARGO_API_TOKEN=... python pipelines/prefect_flow.py
CARGO_API_TOKEN=... prefect flow serve pipelines/prefect_flow.py:refresh --name nightly --cron "0 2 * * *"
"""

from datetime import datetime
from typing import Any

import dlt
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from cargo_source import Limits, SyncReport, Workspace, cargo, sync

APPLY = True
"""Runs write to Cargo what their plan says. With False they only show the plan: begin so if the query is a new one."""
MODEL = "default.companies"
QUALIFIED = """
SELECT domain, 'qualified' AS stage
FROM cargo.default__companies
WHERE stage = 'lead' AND employees_count > 2500 AND NOT coalesce(is_customer, false)
"""

pipeline = dlt.pipeline("warehouse", destination="duckdb", dataset_name="cargo")


def may_help(_task: Any, _run: Any, state: State) -> bool:
    """Retry what a retry may mend: errors of cargo_source say so themselves."""
    return getattr(state.data, "retry_helps", True)


patient = {"retries": 3, "retry_delay_seconds": exponential_backoff(60), "retry_condition_fn": may_help}


@task(**patient)
def load(start: datetime | None, end: datetime | None) -> str:
    """Load what is new, or a stretch of the past once more: all of it, or nothing."""
    report = SyncReport("warehouse", "cargo")
    try:
        sync(pipeline, cargo(window=(start, end) if start else None), report=report)
        report.require_whole()
    finally:
        get_run_logger().info("what was loaded:\n%s", report)
        create_table_artifact(key="cargo-sync", table=report.lines(), description=report.line)
    return report.line


@task(**patient)
def push() -> str:
    """Write leads that are worth a closer look to their companies in Cargo."""
    with Workspace() as workspace:
        # Days on which SQL finds nobody are no mistake.
        limits = Limits(allow_empty=True)
        plan = workspace.push(QUALIFIED, MODEL, key="domain", mode="update", database=pipeline, limits=limits)
        get_run_logger().info("%s", plan)
        if not APPLY:
            return "not applied: APPLY is False"
        report = plan.apply()
        get_run_logger().info("%s", report)
        # The good rows are written by now. Without this line, rows that were rejected are no failure.
        report.require_whole()
        return str(report)


@flow(name="cargo")
def refresh(start: datetime | None = None, end: datetime | None = None) -> State:
    """Load, then push. With ``start`` a window is loaded, ``end`` not included, and cursors stay where they are."""
    return Completed(message=f"{load(start, end)}; {push()}")


if __name__ == "__main__":
    refresh()
