"""The main job: a workspace over real HTTP into DuckDB, held against what the sandbox itself knows."""

import random
import time
from datetime import timedelta

import pytest

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.entity import Snapshot
from cargo_source.pull.destination import duckdb_pipeline
from tests.small import small_box
from tests.target import Target, differences

WHOLE_LISTS = {e.table for e in ENTITIES.values() if isinstance(e.reading, Snapshot) and not e.on_request}
"""Entities that the API gives as whole lists only."""
ONE_ROW = {"workspaces", "subscriptions"}


def test_every_table_equals_the_workspace_today_and_tomorrow(target):
    """On an unseen seed: all rows after the first sync, all inserted and changed ones on the day after."""
    seed = random.SystemRandom().randrange(10**6)
    with small_box(seed, companies=30) as box:
        target.sync(box)
        assert differences(target, box) == [], f"seed {seed}"
        box.advance(days=1)
        target.sync(box)
        assert differences(target, box) == [], f"seed {seed}, the day after"


@pytest.fixture(scope="module")
def synced(full_box, tmp_path_factory):
    """A database after a first sync, with the report of it."""
    target = Target(tmp_path_factory.mktemp("synced"))
    return target, target.sync(full_box)


def test_the_sandbox_is_not_sparse(synced):
    """Twenty rows in every table, three pages of what pages: a comparison with little would show little."""
    _, report = synced
    rows = {outcome.table: outcome.rows for outcome in report.outcomes}
    assert {table for table in rows.keys() & ENTITIES.keys() if rows[table] < 20} == ONE_ROW
    paged = [e.table for e in ENTITIES.values() if e.call is not None and e.call.page and not e.on_request]
    assert {table: rows[table] for table in paged if rows[table] <= 200} == {}
    assert {outcome.status for outcome in report.outcomes} == {"complete"}


def test_a_first_sync_writes_each_table_once(full_box, target):
    """New tables need no merging, whichever of them are read at the same time: none is staged."""
    target.sync(full_box, only=["workflows", "batches", "runs", "executions", "spans"], models=[])
    staged = target.query("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'cargo_staging'")
    assert {table for (table,) in staged} <= {"_dlt_version", "_cargo_syncs"}


def test_what_is_large_is_not_written_to_the_databases_log_first(box, target):
    """A load of more than 16 MB goes to its place when it is committed, whatever dlt sets: that is said after it."""
    target.sync(box, only=["agents"], models=[])
    pipeline = duckdb_pipeline(target.database, "cargo", target.folder / "state")
    with pipeline.destination_client("cargo").sql_client as client:
        (setting,) = client.execute_sql("SELECT current_setting('checkpoint_threshold')")
    assert setting == ("15.2 MiB",)


def test_a_second_sync_with_nothing_new_moves_next_to_nothing(synced, full_box):
    """What is read again lies in the lookback; whole lists are compared and not written."""
    target, first = synced
    second = target.sync(full_box)
    written = {outcome.table: outcome.rows for outcome in second.outcomes if outcome.rows}
    assert not WHOLE_LISTS & written.keys()
    assert second.rows < first.rows * 0.2
    assert differences(target, full_box) == []


def test_only_what_moved_and_the_lookback_is_served_on_later_days(target):
    """Counted at the sandbox: rows served are no more than what changed since the watermark less the lookback."""
    with small_box(11, companies=20) as box:
        target.sync(box)
        watermark = box.world.now
        followed = {row["runUuid"] for row in box.truth("spans") if row["executionStatus"] == "pending"}
        box.advance(days=1)
        box.journal.clear()
        # Sweeps of identifiers are counted where deletes are tested.
        target.sync(box, deletes="ignore")
        served = box.journal.rows_by_path()
        since = (watermark - timedelta(hours=1, seconds=2)).isoformat(timespec="milliseconds").replace("+00:00", "Z")

        def moved(table, field):
            return sum(1 for row in box.truth(table) if row[field] >= since)

        assert served["orchestration/runs/list"] <= moved("runs", "updatedAt")
        of_followed = sum(1 for row in box.truth("spans") if row["runUuid"] in followed)
        assert served["orchestration/spans/list"] <= moved("spans", "executionStartedAt") + of_followed
        assert served["orchestration/traces/list"] <= moved("traces", "startedAt")
        assert served["orchestration/records/list"] <= moved("orchestration_records", "updatedAt")
        changes = {row["uuid"] for row in box.truth("changes") if row["createdAt"] >= since}
        fetched = sum(1 for row in box.truth("change_rows") if row["changeUuid"] in changes)
        assert (
            sum(
                count
                for path, count in served.items()
                if path.startswith("segmentation/changes/") and path.endswith("/fetch")
            )
            <= fetched
        )
        rows = sum(count for path, count in served.items() if path.startswith("exports/") or path == "exports")
        emitted = 0
        for model in box.truth("models"):
            records = box.truth_rows(model["uuid"])
            dated = records and "_emitted_at" in records[0]
            moved_rows = [r for r in records if not dated or r["_emitted_at"] >= since]
            emitted += len(moved_rows) if dated or (model["lastEmittedAt"] or since) >= since else 0
        assert rows <= emitted


def test_the_machines_clock_does_not_matter(target, monkeypatch):
    """With this machine's clock a year ahead and then a year behind, only the server's time counts."""
    real = time.time
    timed = {e.table for e in ENTITIES.values() if not isinstance(e.reading, Snapshot)} - {"votes"}
    with small_box(23, companies=30) as box:
        models = {"models": ["default.companies", "segment.tracks"]}
        for years in (1, -1):
            monkeypatch.setattr(time, "time", lambda off=years * 365 * 86_400: real() + off)
            target.sync(box, only=[*timed, "models"], **models)
            assert differences(target, box, skip=set(ENTITIES) - timed) == []
            box.advance(days=1)


def test_faults_that_pass_do_not_show_in_the_tables(target):
    """With 5 % of all requests failing in every way that may be retried, each table equals the truth."""
    with small_box(31, companies=20) as box:
        for kind, more in RETRYABLE.items():
            box.faults.add({"path": "*", "kind": kind, "probability": 0.05 / len(RETRYABLE), "count": None, **more})
        report = target.sync(box)
        assert box.journal.faults() > 20
        box.faults.clear()
        assert differences(target, box) == []
        assert report.status == "complete"


RETRYABLE = {
    "429": {"retry_after": "seconds", "seconds": 0},
    "5xx": {},
    "reset": {},
    "cut": {},
    "invalid_json": {},
}


@pytest.mark.parametrize("lane", ["csv", "pages"])
def test_what_stands_in_for_exports_gives_the_same_tables(target, lane):
    """Where the workspace has no SQL, rows come as csv or by pages, with the same schema, and equal the truth."""
    others = set(ENTITIES) - {"models", "datasets"}
    with small_box(41, companies=130) as box:
        models = {"only": ["models", "datasets"], "models": [model["uuid"] for model in box.truth("models")]}
        box.faults.add({"path": "storage/query*", "kind": "forbidden", "count": None})
        if lane == "pages":
            box.faults.add({"path": "segmentation/segments/download", "kind": "forbidden", "count": None})
        report = target.sync(box, **models)
        # A model that keeps no table yet has pages only.
        assert {o.lane for o in report.outcomes if o.entity == "records"} == {lane, "pages"}
        assert differences(target, box, skip=others) == []
        pages = {table: target.types(table) for table in target.tables()}
        box.faults.clear()
        box.advance(days=1)
        report = target.sync(box, **models)
        assert "export" in {o.lane for o in report.outcomes if o.entity == "records"}
        assert differences(target, box, skip=others) == []
        assert {table: target.types(table) for table in target.tables()} == pages


def test_a_quiet_sync_costs_a_request_an_entity_and_one_a_workflow(target):
    """Where nothing moved, no row is written and nothing is asked for each chat, segment, agent, model or vote."""
    with small_box(13, companies=20) as box:
        target.sync(box)
        box.world.tick(2 * 3_600_000)
        target.sync(box)
        report = target.sync(box)
        pages = len(box.truth("chats")) // 100 + 2
        asked = {outcome.table: outcome.requests for outcome in report.outcomes if outcome.requests > 1}
        open_pages = 2
        assert asked.pop("runs") == len(box.truth("workflows"))
        assert asked.pop("chats") <= pages + open_pages + 2
        assert asked == {}
        assert {outcome.table for outcome in report.outcomes if outcome.rows} == set()
        assert sum(outcome.requests for outcome in report.outcomes if outcome.entity == "records") == 1


def test_the_log_of_queries_loads_only_when_it_is_asked_for(box, target):
    """It may be long, and hold data: it is left out until it is named."""
    target.sync(box, only=["roles"])
    assert "warehouse_queries" not in target.tables()
    target.sync(box, only=["roles", "warehouse_queries"])
    assert differences(target, box, skip=set(ENTITIES) - {"warehouse_queries"}) == []


def test_an_old_chat_that_moved_is_found_by_the_next_sweep(target):
    """A chat from long ago that moves between two sweeps comes with the next one, however many syncs lie between."""
    with small_box(17, companies=20) as box:
        tables = {"only": ["chats", "messages", "agent_runs"]}
        target.sync(box, **tables)
        for _ in range(7):
            box.advance(hours=3)
            target.sync(box, **tables)
        skip = set(ENTITIES) - {"chats", "messages", "agent_runs"}
        assert differences(target, box, skip=skip) == []


@pytest.mark.parametrize("order", [("runs", None), (None, "runs", "runs", None)], ids=["later", "apart"])
def test_agent_runs_count_their_runs_whatever_was_synced_before(target, order):
    """Runs that landed in earlier syncs, without agent runs, count all the same."""
    with small_box(19, companies=20) as box:
        for only in order:
            target.sync(box, only=[only] if only else ["runs", "agent_runs"])
            box.advance(days=1)
        target.sync(box, only=["runs", "agent_runs"])
        assert differences(target, box, skip=set(ENTITIES) - {"agent_runs"}) == []


def test_a_refresh_starts_from_nothing(target):
    """dlt's refresh drops tables and with them what was remembered of them, so all rows come again."""
    with small_box(7, companies=20) as box:
        target.sync(box, only=["runs", "segments"])
        target.sync(box, only=["runs", "segments"], refresh="drop_resources")
        assert differences(target, box, skip=set(ENTITIES) - {"runs", "segments"}) == []


@pytest.mark.parametrize("refresh", ["drop_sources", "drop_resources", "drop_data"])
def test_a_refresh_of_nothing_is_a_first_sync(target, refresh):
    """What such a sync learns is remembered: the next one moves next to nothing."""
    with small_box(7, companies=20) as box:
        first = target.sync(box, only=["chats", "segments"], refresh=refresh)
        second = target.sync(box, only=["chats", "segments"])
        assert second.rows < first.rows * 0.3
        assert differences(target, box, skip=set(ENTITIES) - {"chats", "segments"}) == []
        assert len(target.rows("_cargo_syncs")) == 4
