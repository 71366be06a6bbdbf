"""The push as a dlt destination: a pipeline of its own loads into a model, twice without doing anything twice."""

import dlt
import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from cargo_source import Limits, cargo_destination
from cargo_source.errors import BadSettings
from cargo_source.push.plan import Plan
from tests.push.playing import model_of, stored, written


@pytest.fixture
def pipeline_to(own, tmp_path):
    """What makes a pipeline that loads into companies."""

    def make(**wishes):
        given = {"ledger": tmp_path / "ledger.duckdb", "limits": Limits(max_change_pct=100), **wishes}
        destination = cargo_destination("default.companies", "domain", token=own.token, url=own.url, **given)
        return dlt.pipeline("scores", destination=destination, pipelines_dir=str(tmp_path / "dlt"))

    return make


def scores(own, rows=3):
    found = sorted(stored(own, model_of(own, "default", "companies")).values(), key=lambda row: row["_id"])[:rows]
    return [{"domain": row["domain"], "employeesCount": 41} for row in found] + [
        {"domain": "dlt.example", "employeesCount": 42}
    ]


def test_a_pipeline_loads_into_a_model(own, pipeline_to, tmp_path):
    """Known rows are updated, new ones made, dlt's own columns and tables stay out; once more changes nothing."""
    rows, pipeline = scores(own), pipeline_to()
    pipeline.run(rows, table_name="scores")
    found = {
        row["domain"]: row["employeesCount"] for row in stored(own, model_of(own, "default", "companies")).values()
    }
    assert {row["domain"]: found[row["domain"]] for row in rows} == {
        row["domain"]: row["employeesCount"] for row in rows
    }
    since = len(own.world.writing.journal)
    pipeline.run(rows, table_name="scores")
    assert not written(own, since)
    with duckdb.connect(str(tmp_path / "ledger.duckdb"), read_only=True) as db:
        told = db.execute("SELECT created, updated FROM cargo._cargo_push_runs ORDER BY started_at").fetchall()
    assert told == [(1, 3), (0, 0)]


def test_rows_that_are_rejected_fail_the_load_after_the_others(own, pipeline_to):
    """Unless that is allowed: then the ledger has them, and the load is done."""
    own.world.writing.refused["employeesCount"] = {42}
    with pytest.raises(PipelineStepFailed, match="1 rows were rejected"):
        pipeline_to().run(scores(own), table_name="scores")
    counts = [row["employeesCount"] for row in stored(own, model_of(own, "default", "companies")).values()]
    assert counts.count(41) == 3
    pipeline = pipeline_to(allow_rejected=True)
    pipeline.abort_packages()
    pipeline.run(scores(own), table_name="scores")


def test_brakes_stop_a_load(own, pipeline_to):
    """There is no plan to look at, so the load fails, and nothing is sent."""
    since = len(own.world.writing.journal)
    with pytest.raises(PipelineStepFailed, match="max_change_pct"):
        pipeline_to(limits=Limits()).run(scores(own, 20), table_name="scores")
    assert not written(own, since)


def test_what_may_pass_is_told_to_dlt_as_transient(own, pipeline_to):
    """A server that fails for a while is what dlt retries: in the end every row is there once."""
    own.faults.add(path="storage/records/updateBulk", kind="5xx", status=503, count=1)
    pipeline_to().run(scores(own), table_name="scores")
    domains = [row["domain"] for row in stored(own, model_of(own, "default", "companies")).values()]
    assert domains.count("dlt.example") == 1


def test_other_tables_and_mirrors_are_refused(own, pipeline_to):
    """A table that is not for the model fails the load; a mirror needs all rows at once."""
    with pytest.raises(PipelineStepFailed, match="is not for default"):
        pipeline_to(table="scores").run([{"domain": "x.example"}], table_name="others")
    with pytest.raises(BadSettings, match="file by file"):
        cargo_destination("companies", "domain", "mirror")


def test_a_model_that_somebody_else_writes_to_is_planned_anew(own, pipeline_to, monkeypatch):
    """dlt tries the file again, and it goes through."""
    rows, apply, times = scores(own), Plan.apply, []
    model = model_of(own, "default", "companies")
    first = min(stored(own, model).values(), key=lambda row: row["_id"])

    def meddled(plan):
        times.append(plan)
        if len(times) == 1:
            own.world.writing.update(model, [(first["_id"], {"employeesCount": 7})])
        return apply(plan)

    monkeypatch.setattr(Plan, "apply", meddled)
    pipeline_to().run(rows, table_name="scores")
    assert len(times) == 2
    assert stored(own, model)[first["_id"]]["employeesCount"] == 41


def test_a_table_without_rows_is_no_failure(pipeline_to):
    """A resource that is declared and has nothing to load does nothing."""

    @dlt.resource(name="scores", columns={"domain": {"data_type": "text"}})
    def nothing():
        yield dlt.mark.materialize_table_schema()

    pipeline_to().run(nothing())


@pytest.mark.parametrize("wrong", [{"mode": "upsrt"}, {"nulls": "no"}, {"ledger": 7}, {"ledger_keys": "x"}])
def test_what_cannot_be_wished_is_refused_when_it_is_wished(pipeline_to, wrong):
    """Not when a load is under way."""
    with pytest.raises(BadSettings):
        pipeline_to(**wrong)
