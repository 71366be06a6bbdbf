"""Materialises assets of the story as it is told, a line of JSON each on standard input and output."""

import json
import sys

import dagster as dg
import dagster_assets as story
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG


def play(instance, *, partition=None, days=None, only=None, query=story.QUALIFIED, apply=True):
    """Run the assets for a partition, or for a range of days in one run, and tell what Dagster has recorded."""
    # So is a backfill of several days started from Dagster's page.
    tags = dict(zip((ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG), days or (), strict=False))
    story.QUALIFIED, story.APPLY = query, apply
    selection = [dg.AssetKey(["cargo", name]) for name in only] if only else None
    assets = [story.entities, story.qualified_leads]
    result = dg.materialize(
        assets, partition_key=partition, selection=selection, instance=instance, tags=tags, raise_on_error=False
    )
    records = {name: [] for name in ("made", "failed", "retried")}
    for event in result.all_events:
        if event.event_type_value == "ASSET_MATERIALIZATION":
            made = event.step_materialization_data.materialization
            facts = {name: shown(value) for name, value in made.metadata.items()}
            records["made"].append([made.asset_key.path[-1], made.partition, facts])
        elif event.is_step_failure:
            records["failed"].append([event.step_key, event.step_failure_data.user_failure_data.description])
        elif event.is_step_up_for_retry:
            records["retried"].append(event.step_key)
    return {"success": result.success, **records}


def shown(value):
    """Give a value of metadata as plain JSON."""
    if isinstance(value, dg.TableMetadataValue):
        return [dict(record.data) for record in value.records]
    return value.value


if __name__ == "__main__":
    # The story waits minutes between two tries.
    for each in (story.entities, story.qualified_leads):
        each.op._retry_policy = each.op.retry_policy._replace(delay=0)
    with dg.DagsterInstance.local_temp(overrides={"telemetry": {"enabled": False}}) as instance:
        for line in sys.stdin:
            sys.stdout.write(json.dumps(play(instance, **json.loads(line))) + "\n")
            sys.stdout.flush()
