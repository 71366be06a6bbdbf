"""The table of syncs: what each sync did to each table, whether it went well or not."""

import errno
import json
import stat
import subprocess
import sys

import duckdb
import pytest

from cargo_source.catalog import ENTITIES
from cargo_source.errors import DestinationRefused, PermissionDenied
from cargo_source.pull import syncs
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.pull.source import cargo
from cargo_source.pull.sync import SyncReport
from tests.small import small_box
from tests.target import differences

ONLY = ["agents", "folders", "chats"]


@pytest.fixture(scope="module")
def own_box():
    with small_box(59, companies=20) as box:
        yield box


def told(target):
    """The rows of the table, oldest sync first."""
    return sorted(target.rows("_cargo_syncs"), key=lambda row: (row["started_at"], row["table"]))


def compared(target, box, tables=ONLY):
    return differences(target, box, skip=set(ENTITIES) - set(tables) | {"records"})


def test_each_sync_adds_a_row_for_each_table(own_box, target):
    """Rows say what the report says, and whose they are; every column is there and typed from the start."""
    first, second = target.sync(own_box, only=ONLY), target.sync(own_box, only=ONLY)
    rows = told(target)
    assert [row["run_id"] for row in rows] == [first.run_id] * 3 + [second.run_id] * 3
    for report, mine in ((first, rows[:3]), (second, rows[3:])):
        for outcome, row in zip(sorted(report.outcomes, key=lambda each: each.table), mine, strict=True):
            said = {name: value for name, value in outcome.as_json().items() if name != "watermark"}
            assert {name: row[name] for name in said} == said
            assert (row["pipeline"], row["dataset"], row["version"]) == ("cargo", "cargo", "0.1.0")
            assert row["workspace"] == own_box.truth("workspaces")[0]["uuid"]
            assert row["started_at"] <= row["finished_at"]
            assert row["watermark"].isoformat().startswith(outcome.watermark[:19])
    types = target.types("_cargo_syncs")
    assert {types[name] for name in ("watermark", "started_at", "finished_at")} == {"TIMESTAMP WITH TIME ZONE"}
    assert {types[name] for name in ("rows", "expected", "bytes", "error", "note")} == {"BIGINT", "VARCHAR"}


def test_a_sync_that_failed_is_told_too(own_box, target):
    """What stopped it is named by kind, and nothing counts as loaded."""
    report = SyncReport("cargo", "cargo")
    with pytest.raises(PermissionDenied):
        target.sync(own_box, token=own_box.token_without("ai"), only=ONLY, report=report)
    rows = {row["table"]: row for row in told(target)}
    assert target.tables() == set()
    assert rows.keys() == {outcome.table for outcome in report.outcomes}
    assert {(row["status"], row["error"], row["rows"]) for row in rows.values()} == {("failed", "PermissionDenied", 0)}
    target.sync(own_box, only=ONLY)
    assert compared(target, own_box) == []
    assert {row["status"] for row in told(target)[-3:]} == {"complete"}


def test_what_cannot_be_written_goes_with_the_next_sync(own_box, target):
    """A destination that refuses everything loses no row of the story; meanwhile it waits in a private file."""
    with duckdb.connect(str(target.database)) as db:
        db.execute("CREATE SCHEMA cargo; CREATE VIEW cargo._dlt_loads AS SELECT 1 AS nothing")
    with pytest.raises(DestinationRefused):
        target.sync(own_box, only=ONLY)
    (waiting,) = (target.folder / "state").glob("*.jsonl")
    assert stat.S_IMODE(waiting.stat().st_mode) == 0o600
    assert {json.loads(line)["error"] for line in waiting.read_text().splitlines()} == {"DestinationRefused"}
    with duckdb.connect(str(target.database)) as db:
        db.execute("DROP VIEW cargo._dlt_loads")
    target.sync(own_box, only=ONLY)
    assert not waiting.exists()
    assert [row["status"] for row in told(target)] == ["failed"] * 3 + ["complete"] * 3
    assert compared(target, own_box) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.pull.source import cargo
from cargo_source.pull.sync import sync
folder, url, point = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
execute, commit, seen = DuckDbSqlClient.execute_sql, DuckDbSqlClient.commit_transaction, []
def killed_before(point_reached):
    if point_reached == point:
        os.kill(os.getpid(), signal.SIGKILL)
def execute_sql(self, statement, *args, **more):
    word = statement.split()[0]
    if "_cargo_syncs" in statement and "/syncs/" in statement and word in {"DELETE", "INSERT"}:
        seen.append(word)
        killed_before(word)
    return execute(self, statement, *args, **more)
def commit_transaction(self):
    killed_before("commit" if "DELETE" in seen else "")
    commit(self)
    killed_before("after" if "DELETE" in seen else "")
DuckDbSqlClient.execute_sql, DuckDbSqlClient.commit_transaction = execute_sql, commit_transaction
pipeline = duckdb_pipeline(folder / "warehouse.duckdb", "cargo", folder / "state")
sync(pipeline, cargo(token=os.environ["CARGO_API_TOKEN"], url=url, only=["agents", "folders", "chats"]))
"""


@pytest.mark.parametrize("point", ["DELETE", "INSERT", "commit", "after"])
def test_a_kill_while_it_is_written_costs_nothing(own_box, target, point):
    """The sync before it had been loaded: the next one reads only what is new, and tells of both, once."""
    command = [sys.executable, "-c", KILLED, str(target.folder), own_box.url, point]
    done = subprocess.run(command, env={"CARGO_API_TOKEN": own_box.token, "HOME": str(target.folder)}, timeout=120)
    assert done.returncode == -9
    assert compared(target, own_box) == []
    report = target.sync(own_box, only=ONLY)
    assert report.rows < len(own_box.truth("agents"))
    assert compared(target, own_box) == []
    rows = told(target)
    assert len(rows) == 6
    assert len({row["run_id"] for row in rows}) == 2


def test_a_table_of_an_older_version_gets_the_columns_that_it_lacks(own_box, target, monkeypatch):
    """Rows that cannot be added as they are come by a load, which makes the column."""
    with monkeypatch.context() as older:
        older.setattr(syncs, "COLUMNS", [column for column in syncs.COLUMNS if column.name != "note"])
        target.sync(own_box, only=["folders"])
    assert "note" not in target.types("_cargo_syncs")
    for rows in (2, 3):
        target.sync(own_box, only=["folders"])
        assert "note" in target.types("_cargo_syncs")
        assert len(told(target)) == rows


def test_a_disk_that_refuses_it_stops_no_sync(own_box, target, monkeypatch):
    """Its rows go with the next sync."""
    written = syncs._written

    def refused(rows, spool):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(syncs, "_written", refused)
    assert target.sync(own_box, only=["folders"]).status == "complete"
    monkeypatch.setattr(syncs, "_written", written)
    target.sync(own_box, only=["folders"])
    assert len(told(target)) == 2


def test_a_plain_run_of_the_pipeline_does_not_write_it(own_box, target):
    """Without the hand around it there is nobody who could."""
    pipeline = duckdb_pipeline(target.database, "cargo", target.folder / "state")
    pipeline.run(cargo(token=own_box.token, url=own_box.url, only=["folders"]))
    names = target.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'cargo'")
    assert ("_cargo_syncs",) not in names
