"""Spark on a standalone master with two workers: many rows, and a worker that is lost."""

import threading
import time
import zlib
from collections import Counter

import duckdb
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F  # noqa: N812 - so Spark's own documentation calls it

from cargo_source import Workspace
from cargo_source.sandbox import Sandbox
from cargo_source.spark import register
from tests.spark.cluster import session, standalone

pytestmark = [
    pytest.mark.spark,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:PySpark does not yet"),
]
COMPANIES = 1_000_000
CONTACTS = 2 * COMPANIES
CHANGES = CONTACTS // 100


@pytest.fixture(scope="module")
def box():
    with Sandbox(seed=51, companies=COMPANIES) as made:
        yield made


@pytest.fixture
def cluster(tmp_path):
    with standalone(tmp_path) as made:
        yield made


@pytest.fixture
def spark(cluster, box):
    made = session(cluster.url, **{"spark.executor.memory": "1g", "spark.executor.cores": "1"})
    register(made, box.token, box.url)
    yield made
    made.stop()


def in_sandbox(box, query):
    """Ask the sandbox's own database."""
    with box._desk.store.lock:
        return box.world.warehouse.db.execute(query).fetchall()


def test_a_million_rows_are_read_as_they_are(spark, box):
    """Seven columns: five by the hashes of their rows, two by their sums; two executors were there to read."""
    frame = spark.read.format("cargo").option("model", "default.companies").load()
    parts = frame.rdd.getNumPartitions()
    assert parts >= 8
    cells = ("_id", "domain", "industry", "employees_count", "annual_revenue", "is_customer")
    texts = [F.coalesce(F.col(name).cast("string"), F.lit("-")) for name in cells if name != "annual_revenue"]
    digest = F.crc32(F.concat_ws("|", *texts))
    found = frame.agg(
        F.count("*").alias("rows"),
        F.sum(digest).alias("digest"),
        F.sum(F.col("annual_revenue").cast("decimal(38, 2)")).alias("revenue"),
        F.sum(F.unix_millis("_emitted_at")).alias("emitted"),
    ).first()
    rows = in_sandbox(
        box,
        "SELECT concat_ws('|', coalesce(_id, '-'), coalesce(domain, '-'), coalesce(industry, '-'),"
        " coalesce(employeesCount::VARCHAR, '-'), coalesce(isCustomer::VARCHAR, '-')) FROM \"default\".companies",
    )
    ((revenue, emitted),) = in_sandbox(
        box, 'SELECT sum(annualRevenue::DECIMAL(38, 2)), sum(epoch_ms(_emitted_at)) FROM "default".companies'
    )
    assert found["rows"] == COMPANIES
    assert found["digest"] == sum(zlib.crc32(text.encode()) for (text,) in rows)
    assert (found["revenue"], found["emitted"]) == (revenue, emitted)
    assert spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() == 3


def written(box, path):
    """Write all contacts to a file, a hundredth of them with another title; gives what these are to be."""
    with box._desk.store.lock:
        table = box.world.warehouse.db.execute(
            "SELECT id, CASE WHEN row_number() OVER (ORDER BY id) % 100 = 0 THEN 'moved by spark ' || id"
            ' ELSE jobTitle END AS jobTitle, seniority FROM "default".contacts'
        ).to_arrow_table()
    pq.write_table(table, path, row_group_size=CONTACTS // 16)
    with duckdb.connect() as db:
        db.register("rows", table)
        return dict(db.execute("SELECT id, jobTitle FROM rows WHERE starts_with(jobTitle, 'moved by')").fetchall())


def test_a_worker_that_is_lost_costs_no_row_and_sends_none_twice(spark, box, cluster, tmp_path):
    """Two million rows of which twenty thousand differ, and one of two workers killed in the middle of comparing."""
    wanted = written(box, tmp_path / "contacts.parquet")
    assert len(wanted) == CHANGES
    tracker, killed = spark.sparkContext.statusTracker(), []

    def kill():
        # Not before tasks have ended, and not after all have.
        while not killed:
            stages = [tracker.getStageInfo(each) for each in tracker.getActiveStageIds()]
            if any(stage and 0 < stage.numCompletedTasks < stage.numTasks for stage in stages):
                cluster.kill(0)
                killed.append(time.monotonic())
            time.sleep(0.05)

    killer = threading.Thread(target=kill, daemon=True)
    frame = spark.read.parquet(str(tmp_path / "contacts.parquet"))
    with Workspace(box.token, box.url) as ws:
        killer.start()
        plan = ws.push(frame, "default.contacts", key="id", mode="update", ledger=tmp_path / "pushes.duckdb")
        assert killed
        assert (plan.counts.source, plan.counts.target) == (CONTACTS, CONTACTS)
        assert (plan.counts.updates, plan.counts.unchanged) == (CHANGES, CONTACTS - CHANGES)
        assert plan._store.count("source") == CHANGES
        report = plan.apply()
    assert report.updated == CHANGES
    rows = in_sandbox(box, "SELECT id, jobTitle FROM \"default\".contacts WHERE starts_with(jobTitle, 'moved by')")
    assert dict(rows) == wanted
    assert len(rows) == CHANGES
    ((there,),) = in_sandbox(box, 'SELECT count(*) FROM "default".contacts')
    assert there == CONTACTS
    # What the sandbox has noted of each row that was written to it.
    fates = Counter((each.kind, each.id) for each in box.world.writing.journal)
    assert fates == Counter({("update", row): 1 for row in wanted})
