"""Dagster: an asset for each entity of a Cargo workspace, by day, and one that pushes what SQL found back into Cargo.

CARGO_API_TOKEN=... dagster dev -f pipelines/dagster_assets.py
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import dlt
from dagster_dlt import DagsterDltTranslator, build_dlt_asset_specs
from dagster_dlt.translator import DltResourceTranslatorData

from cargo_source import Limits, Workspace, cargo, sync
from cargo_source.catalog import ENTITIES
from cargo_source.errors import CargoError

DAYS = dg.DailyPartitionsDefinition(start_date="2025-11-01")
RETRY = dg.RetryPolicy(max_retries=3, delay=60, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
POOL = "cargo"

APPLY = True
"""Runs write to Cargo what their plan says. With False they only show the plan: begin so if the query is a new one."""
MODEL = "default.companies"
QUALIFIED = """
SELECT domain, 'qualified' AS stage
FROM cargo.default__companies
WHERE stage = 'lead' AND employees_count > 2500 AND NOT coalesce(is_customer, false)
"""

pipeline = dlt.pipeline("warehouse", destination="duckdb", dataset_name="cargo")


class Entity(DagsterDltTranslator):
    """What Dagster shows of an entity: its name, group and description in the catalogue."""

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        """Describe one dlt resource."""
        name = data.resource.name
        known = ENTITIES.get(name)
        return dg.AssetSpec(
            ["cargo", name],
            group_name=known.group if known else "storage",
            description=known.description if known else "The rows of all models, each in a table of its own.",
            kinds={"dlt", "duckdb"},
        )


@contextmanager
def told() -> Iterator[None]:
    """Fail in one line, and retry only what a retry may mend."""
    try:
        yield
    except CargoError as error:
        raise dg.Failure(str(error), allow_retries=error.retry_helps) from None


@dg.multi_asset(
    specs=build_dlt_asset_specs(cargo(), pipeline, Entity()),
    can_subset=True,
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    retry_policy=RETRY,
    pool=POOL,
)
def entities(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    """Load a day, or several in a row; what is whole is materialised, and what is not fails."""
    chosen = [key.path[-1] for key in context.selected_asset_keys]
    source = cargo(window=context.partition_time_window, partial=True).with_resources(*chosen)
    with told():
        report = sync(pipeline, source)
        for name, outcome in report.entities.items():
            if not outcome.lacking:
                tables = [dg.TableRecord(line) for line in report.lines(name)]
                facts = {**outcome.shown(), "tables": dg.MetadataValue.table(tables)}
                yield dg.MaterializeResult(asset_key=["cargo", name], metadata=facts)
        report.require_whole()


@dg.asset(key_prefix="cargo", group_name="pushed", deps=[["cargo", "records"]], retry_policy=RETRY, pool=POOL)
def qualified_leads(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Leads that are worth a closer look, written to their companies in Cargo."""
    with told(), Workspace() as workspace:
        # Days on which SQL finds nobody are no mistake.
        limits = Limits(allow_empty=True)
        plan = workspace.push(QUALIFIED, MODEL, key="domain", mode="update", database=pipeline, limits=limits)
        context.log.info(str(plan))
        if not APPLY:
            return dg.MaterializeResult(metadata={"plan": plan.line, "done": "not applied: APPLY is False"})
        report = plan.apply()
        context.log.info(str(report))
        # The good rows are written by now. Without this line, rows that were rejected are no failure.
        report.require_whole()
    return dg.MaterializeResult(metadata={"plan": plan.line, "done": str(report), "updated": report.updated})


daily = dg.define_asset_job("daily")
defs = dg.Definitions(
    assets=[entities, qualified_leads],
    jobs=[daily],
    # Rows of a day may arrive an hour late.
    schedules=[dg.build_schedule_from_partitioned_job(daily, hour_of_day=2)],
)
