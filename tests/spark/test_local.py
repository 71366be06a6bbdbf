"""Spark, with its workers on this machine: what is read is what is there, and what is pushed is what differs."""

import pickle
import random
import re
from contextlib import closing

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import functions as F  # noqa: N812 - so Spark's own documentation calls it

from cargo_source import Workspace
from cargo_source.errors import BadSettings, FixTheData, IncompleteRead, StalePlan
from cargo_source.push.brakes import Limits
from cargo_source.push.ledger import Ledger
from cargo_source.sandbox import exports
from cargo_source.spark import CargoDataSource, register
from cargo_source.spark.narrowing import _reader
from cargo_source.spark.source import Access, Carried, FilePartition, WholePartition
from tests.small import small_box
from tests.spark.cluster import session

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore:PySpark does not yet")]
COMPANIES = 130
FREE = Limits(None, None, None, allow_empty=True, allow_no_known_key=True)


@pytest.fixture(scope="module")
def spark():
    with closing_session(session("local[2]")) as made:
        yield made


def closing_session(made):
    made.close = made.stop
    return closing(made)


@pytest.fixture(autouse=True)
def files_of_50(monkeypatch):
    """Exports of several files."""
    monkeypatch.setattr(exports, "ROWS_PER_FILE", 50)


@pytest.fixture
def box(spark):
    with small_box(49, companies=COMPANIES) as own:
        register(spark, own.token, own.url)
        yield own


@pytest.fixture
def ws(box):
    with Workspace(box.token, box.url) as opened:
        yield opened


def load(spark, model="default.companies", **options):
    return spark.read.format("cargo").option("model", model).options(**options).load()


def rows_of(frame):
    return sorted(frame.toArrow().to_pylist(), key=lambda row: row["_id"])


def test_a_model_is_read_as_it_is(spark, box, ws):
    """Each file of the export is a partition; rows, columns and types are those that a notebook gets."""
    frame = load(spark)
    assert frame.rdd.getNumPartitions() == 3
    truth = ws.read("default.companies").arrow().sort_by("_id")
    assert frame.columns == [*truth.schema.names, "_cargo_extra"]
    found = frame.drop("_cargo_extra").toArrow().sort_by("_id")
    assert found.to_pylist() == truth.to_pylist()
    assert [found.schema.field(name).type for name in truth.schema.names] == truth.schema.types


@pytest.mark.parametrize("columns", ["domain, employees_count", '["domain", "employeesCount"]'])
def test_columns_are_picked_by_any_of_their_names(spark, box, ws, columns):
    """With commas, or as a list in JSON; nothing else travels."""
    frame = load(spark, columns=columns)
    assert frame.columns == ["domain", "employees_count"]
    truth = ws.read("default.companies", columns=["domain", "employees_count"]).df()
    assert sorted(map(str, frame.toArrow().to_pylist())) == sorted(map(str, pa.Table.from_pandas(truth).to_pylist()))


def test_what_the_columns_do_not_take_is_kept(spark, box, ws):
    """A value of another type than declared is not lost, as in a sync."""
    kept = ws.read("hubspot.contacts")
    extras = kept.extras
    frame = load(spark, "hubspot.contacts")
    assert frame.where(F.col("_cargo_extra").isNotNull()).count() == extras


@pytest.mark.parametrize(
    ("path", "kind"), [("storage/query*", "forbidden"), ("exports/*", "html_200")], ids=["no export", "no ends"]
)
def test_one_task_reads_what_cannot_be_shared(spark, box, ws, path, kind):
    """Without an export, or one that cannot be counted ahead, all rows come all the same."""
    truth = ws.read("default.companies").arrow().sort_by("_id").to_pylist()
    box.faults.add(path=path, kind=kind, count=1 if kind == "html_200" else None)
    frame = load(spark)
    assert frame.rdd.getNumPartitions() == 1
    box.faults.clear()
    if kind == "forbidden":
        box.faults.add(path=path, kind=kind)
    assert frame.drop("_cargo_extra").toArrow().sort_by("_id").to_pylist() == truth


def test_rows_that_nothing_shows_to_be_all_are_not_given(spark, box):
    """A frame has no status beside it, as a sync's table has: it fails."""
    frame = load(spark)
    box.faults.add(path="storage/query", kind="forbidden")
    with pytest.raises(PySparkException, match="nothing shows that all its rows were read"):
        frame.count()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"model": "default.compnies"}, "did you mean 'default.companies'"),
        ({"columns": "domian"}, "has no column 'domian' .did you mean 'domain'"),
        ({"columns": "[1]"}, "names with commas"),
        ({"token": "x"}, "token: no such option"),
        ({"model": ""}, "say which model"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(spark, box, options, told):
    """With a suggestion, and before a row is asked for."""
    with pytest.raises(AnalysisException, match=told):
        load(spark, **{"model": "default.companies", **options})


def test_a_workspace_has_to_be_named(spark, box):
    """Who did not register the source is told how."""
    spark.dataSource.register(CargoDataSource)
    with pytest.raises(AnalysisException, match=r"call cargo_source.spark.register"):
        load(spark)


def test_tasks_have_no_token(box):
    """What goes to them holds the link of one file; the token only where a task reads a whole model."""
    access = Access(Carried(box.token), box.url)
    source = type("Cargo", (CargoDataSource,), {"access": access})({"model": "default.companies"})
    reader = source.reader(source.schema())
    assert type(source).access is None
    token = box.token.encode()
    assert token not in pickle.dumps(reader)
    parts = reader.partitions()
    assert {type(part) for part in parts} == {FilePartition}
    for part in parts:
        assert token not in pickle.dumps(part)
        assert "signature" not in repr(vars(part))
    box.faults.add(path="storage/query*", kind="forbidden")
    (whole,) = reader.partitions()
    assert isinstance(whole, WholePartition)
    assert box.token not in repr(vars(whole))


def test_plans_show_no_token(spark, box, capsys):
    """Spark explains what it does, and shows options."""
    frame = load(spark)
    frame.explain(extended=True)
    assert box.token not in capsys.readouterr().out + repr(frame)


def changed(rows, dice):
    """A frame of known and new rows, of which some differ, with keys that are shared, empty or lacking."""
    frame = rows.sample(frac=0.8, random_state=dice.randrange(1 << 30)).reset_index(drop=True)
    for name, draw in (
        ("employees_count", lambda: dice.choice([None, 7, 2**53, 2**53 + 2, 0])),
        ("industry", lambda: dice.choice([None, "Media", "", "a\0b", "Ünïcode"])),
        ("growth_rate", lambda: dice.choice([None, 0.1, float("nan"), float("inf"), -0.0])),
        ("is_customer", lambda: dice.choice([None, True, False])),
        ("founded_at", lambda: dice.choice([None, *TIMES])),
    ):
        for place in dice.sample(range(len(frame)), 8):
            frame.loc[place, name] = draw()
    new = frame.head(5).assign(domain=[f"new-{dice.random()}.example" for _ in range(4)] + [None])
    twice = frame.sample(3, random_state=1)
    odd = frame.head(2).assign(domain=["", "b\0d"])
    return pd.concat([frame, new, twice, odd], ignore_index=True)


SCHEMA = """domain string, employees_count bigint, industry string, growth_rate double, is_customer boolean,
    founded_at timestamp"""
TIMES = [pd.Timestamp("1850-01-02", tz="UTC"), pd.Timestamp("2020-01-02 03:04:05.678912", tz="UTC")]


def told(plan):
    """What a plan would do, apart from the order and places of rows."""
    with closing(plan):
        changes = plan._store.db.execute("SELECT kind, id, key, data, before FROM changes").fetchall()
        return plan.counts, plan.facts.reasons, sorted(map(repr, changes))


@pytest.mark.parametrize("mode", ["insert", "update", "upsert", "fill_empty", "mirror"])
@pytest.mark.parametrize("nulls", ["write", "skip", "error"])
def test_a_plan_is_the_same_whoever_compares(spark, box, ws, mode, nulls):
    """What Spark leaves out changes nothing: the plan is that of the same rows in one frame on one machine."""
    columns = ["domain", "employees_count", "industry", "growth_rate", "is_customer", "founded_at"]
    frame = changed(ws.read("default.companies", columns=columns).df(), random.Random(f"{mode} {nulls}"))
    wish = {"key": "domain", "mode": mode, "nulls": nulls, "limits": FREE, "try_dates": True}
    table = pa.table({name: pa.array(frame[name], from_pandas=name != "growth_rate") for name in columns})
    alone = told(ws.push(table, "default.companies", **wish))
    cells = [tuple(row.values()) for row in table.to_pylist()]
    shared = told(ws.push(spark.createDataFrame(cells, SCHEMA), "default.companies", **wish))
    assert shared == alone


def test_only_what_differs_comes_to_the_driver_and_is_sent(spark, box, ws, tmp_path):
    """A frame of all rows of which three differ: three updates, and nothing when it is pushed again."""
    some = [row["domain"] for row in rows_of(load(spark))[:3]]
    frame = load(spark).select(
        "domain", F.when(F.col("domain").isin(some), "spark").otherwise(F.col("stage")).alias("stage")
    )
    ledger = tmp_path / "pushes.duckdb"
    plan = ws.push(frame, "default.companies", key="domain", mode="update", ledger=ledger)
    assert plan._store.count("source") == 3
    assert (plan.counts.source, plan.counts.known, plan.counts.updates) == (COMPANIES, COMPANIES, 3)
    assert plan.line.startswith("updates 3 of 130 companies")
    assert plan.apply().updated == 3
    assert sorted(row["domain"] for row in box.truth_rows(plan.facts.model_uuid) if row["stage"] == "spark") == sorted(
        some
    )
    again = ws.push(frame, "default.companies", key="domain", mode="update", ledger=ledger)
    assert (again.counts.changes, again._store.count("source")) == (0, 0)
    assert not again.brakes


@pytest.mark.parametrize("what", ["changed", "removed"])
def test_a_row_that_was_left_out_makes_a_plan_stale_where_it_moves(spark, box, ws, tmp_path, what):
    """Somebody changes or removes a record that needed nothing: the plan would leave it so, and is refused."""
    frame = load(spark).select(
        "domain", F.when(F.col("sequence") % 40 == 1, "spark").otherwise(F.col("stage")).alias("stage")
    )
    plan = ws.push(frame, "default.companies", key="domain", ledger=tmp_path / "pushes.duckdb", limits=FREE)
    assert 0 < plan.counts.updates < COMPANIES / 2
    staged = {key for (key,) in plan._store.db.execute("SELECT key FROM changes").fetchall()}
    left = next(row["domain"] for row in rows_of(load(spark)) if row["domain"] and row["domain"] not in staged)
    query = "SET stage = 'other'" if what == "changed" else None
    with box._desk.store.lock:
        table = '"default".companies'
        told = f"UPDATE {table} {query} WHERE domain = ?" if query else f"DELETE FROM {table} WHERE domain = ?"
        box.world.warehouse.db.execute(told, [left])
        box.world.revision += 1
    since = len(box.world.writing.journal)
    with pytest.raises(StalePlan, match="needed no change"):
        plan.apply()
    assert len(box.world.writing.journal) == since


@pytest.mark.parametrize("mode", ["update", "mirror"])
def test_a_frame_that_fails_is_told_in_one_line_without_a_cell(spark, box, ws, mode):
    """Spark's own words are many, and quote what was in the row."""
    failing = F.when(F.col("sequence") % 40 == 1, F.raise_error(F.concat(F.lit("cell "), "domain"))).otherwise("x")
    frame = load(spark).select("domain", failing.alias("stage"))
    with pytest.raises(FixTheData) as caught:
        ws.push(frame, "default.companies", key="domain", mode=mode, remove_untracked=True)
    assert "cell " not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rejected_rows_alone_are_tried_again(spark, box, ws, tmp_path):
    """As from any other source that is read again."""
    stage = F.when(F.col("sequence") % 40 == 1, "bad").otherwise(F.col("stage"))
    frame = load(spark).select("domain", stage.alias("stage"))
    box.world.writing.refused["stage"] = {"bad"}
    ledger = tmp_path / "pushes.duckdb"
    rejected = ws.push(frame, "default.companies", key="domain", mode="update", ledger=ledger).apply().rejected
    assert rejected > 0
    box.world.writing.refused.clear()
    plan = ws.retry(frame, ledger=ledger)
    assert (plan.counts.source, plan.counts.updates) == (rejected, rejected)
    assert plan.apply().updated == rejected


def test_rows_without_an_answer_are_looked_for_among_all(spark, box, ws, tmp_path, monkeypatch):
    """What became of what an earlier push sent is found out though Spark has nothing to do with it."""
    frame = load(spark).select("domain", "stage")
    ledger = tmp_path / "pushes.duckdb"
    (first, *_) = rows_of(load(spark))
    lost = [{"key": first["domain"], "kind": "update", "record_id": first["_id"], "status": "unknown"}]
    monkeypatch.setattr(Ledger, "unknown", lambda *_: lost)
    plan = ws.push(frame, "default.companies", key="domain", mode="update", ledger=ledger)
    assert plan._store.count("source") == COMPANIES
    assert [row[1] for row in plan._store.settled()] == [first["_id"]]


def test_rows_that_are_not_as_many_as_were_counted_stop_a_push(spark):
    """A frame that is computed once more, after its machine was lost, may be another one."""
    frame = spark.range(3).toDF("s0")
    assert _reader(frame, {"s0": "id"}, 3).read_all().num_rows == 3
    with pytest.raises(IncompleteRead, match="3 rows came from Spark of 4"):
        _reader(frame, {"s0": "id"}, 4).read_all()


def test_a_stream_is_refused(spark, box, ws):
    """It has no end, and is told how it is pushed."""
    stream = spark.readStream.format("rate").load().selectExpr("CAST(value AS STRING) AS domain", "'x' AS stage")
    with pytest.raises(BadSettings, match="foreachBatch"):
        ws.push(stream, "default.companies", key="domain")


def test_brakes_count_all_rows(spark, box, ws):
    """What was left out counts as known, so that no share is of the rest alone; what is empty is refused."""
    frame = load(spark).select("domain", F.lit("spark").alias("stage"))
    plan = ws.push(frame, "default.companies", key="domain", mode="update")
    assert "update or remove 130 of 130 rows" in plan.brakes[0]
    nothing = ws.push(frame.limit(0), "default.companies", key="domain", mode="update")
    assert "the source has no rows" in nothing.brakes[0]


def test_columns_that_spark_cannot_compare_are_compared_all_the_same(spark, box, ws):
    """Nested values go to the driver with every row that has a record."""
    table = ws.read("default.companies", columns=["domain", "technologies"]).arrow()
    frame = spark.createDataFrame(
        [tuple(row.values()) for row in table.to_pylist()], "domain string, technologies string"
    )
    frame = frame.withColumn("technologies", F.from_json("technologies", "array<string>"))
    plan = ws.push(frame, "default.companies", key="domain", mode="update")
    assert plan.counts.known == COMPANIES
    assert plan._store.count("source") == COMPANIES
    assert plan.counts.updates == 0


@pytest.mark.parametrize(
    ("column", "kind", "value"),
    [
        ("stage", "string COLLATE UTF8_LCASE", "LEAD"),
        ("annual_revenue", "float", 0.10000000149011612),
        ("growth_rate", "decimal(30, 20)", 0.1),
        ("employees_count", "double", 7.0),
    ],
    ids=["without case", "float", "decimal", "double"],
)
def test_cells_are_equal_where_they_are_to_cargo(spark, box, ws, column, kind, value):
    """Texts without case differ; numbers of other types do not, where they are equal as Cargo has them."""
    (first, *_) = rows_of(load(spark))
    is_in = "lead" if column == "stage" else value
    with box._desk.store.lock:
        field = re.sub("_(.)", lambda found: found[1].upper(), column)
        query = f'UPDATE "default".companies SET "{field}" = ? WHERE domain = ?'
        box.world.warehouse.db.execute(query, [is_in, first["domain"]])
        box.world.revision += 1
    shown = spark.createDataFrame([(first["domain"], str(value))], "domain string, cell string")
    frame = shown.select("domain", F.expr(f"cast(cell AS {kind})").alias(column))
    cell = pa.array([0.1], pa.float32()) if kind == "float" else pa.array(frame.toArrow()[column].to_pylist())
    table = pa.table({"domain": [first["domain"]], column: cell})
    wish = {"key": "domain", "mode": "update", "limits": FREE}
    alone = told(ws.push(table, "default.companies", **wish))
    assert told(ws.push(frame, "default.companies", **wish)) == alone
    assert alone[0].updates == (kind == "string COLLATE UTF8_LCASE")


def test_nothing_is_kept_where_a_plan_fails(spark, box, ws):
    """What was computed for it is let go of."""
    frame = load(spark).select("domain", "founded_at")
    with pytest.raises(BadSettings, match="may not keep dates"):
        ws.push(frame, "default.companies", key="domain")
    ws.push(frame.select("domain"), "default.companies", key="domain")
    assert spark.sparkContext._jsc.getPersistentRDDs().isEmpty()


def test_wrong_wishes_are_refused_before_spark_does_anything(spark, box, ws):
    """An unknown column, with a suggestion; a frame that would be costly is not even looked at."""
    frame = spark.range(3).withColumn("x", F.raise_error(F.lit("somebody looked")))
    with pytest.raises(BadSettings, match="'id' is Cargo's own"):
        ws.push(frame, "default.companies", key="domain")


def test_a_model_that_takes_rows_by_a_hook_takes_them_all(spark, box, ws, tmp_path):
    """Spark knows nothing of digests: the driver compares, and the second push sends nothing."""
    frame = spark.range(130).select(F.concat(F.lit("key "), F.col("id")).alias("formKey"), F.lit("demo").alias("form"))
    wish = {"key": "formKey", "mode": "insert", "ledger": tmp_path / "pushes.duckdb"}
    assert ws.push(frame, "http.website_forms", **wish).apply().created == 130
    assert ws.push(frame, "http.website_forms", **wish).counts.changes == 0


def test_a_connectors_model_is_refused_before_spark_does_anything(spark, box, ws):
    """As for any other table, with the switch."""
    frame = spark.range(3).select(F.raise_error(F.lit("somebody looked")).cast("string").alias("email"))
    with pytest.raises(BadSettings, match="allow_connector_models"):
        ws.push(frame, "hubspot.contacts", key="email")
