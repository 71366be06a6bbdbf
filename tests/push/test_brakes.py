"""What must not happen by accident: each disaster is refused in the modes that it threatens, with its numbers."""

import stat
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import dlt
import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from cargo_source import Workspace, cargo_destination
from cargo_source.catalog.columns import Column
from cargo_source.errors import BadSettings, Braked, SettingsError, StalePlan
from cargo_source.push.brakes import Limits
from cargo_source.push.ledger_places import PipelineTables
from cargo_source.push.present import Present
from cargo_source.push.target import Target
from tests.proxy import proxied
from tests.push.playing import UNLIMITED, model_of, opened, stored, written
from tests.small import small_box

CALLED = "default.companies"


def companies(own):
    return stored(own, model_of(own, "default", "companies"))


def as_table(own, **columns):
    """Give the companies' domains, and columns made of them."""
    rows = list(companies(own).values())
    return pa.table(
        {"domain": [row["domain"] for row in rows], **{n: [f(row) for row in rows] for n, f in columns.items()}}
    )


def refused(own, plan, *words):
    """Hold that a plan says why it is not applied, and that applying it sends nothing."""
    since = len(own.world.writing.journal)
    assert plan.brakes
    with pytest.raises(Braked) as caught:
        plan.apply()
    assert caught.value.exit_code == 3
    for word in words:
        assert word in str(caught.value)
        assert word in str(plan)
    assert not written(own, since)


@pytest.mark.parametrize("mode", ["insert", "update", "upsert", "mirror", "fill_empty"])
def test_an_empty_source_is_refused(own, ws, ledger, mode):
    """A query that found nothing is hardly meant; a switch says that it is."""
    empty = pa.table({"domain": pa.array([], pa.string()), "name": pa.array([], pa.string())})
    plan = ws.push(empty, CALLED, key="domain", mode=mode, ledger=ledger)
    refused(own, plan, "the source has no rows", "--allow-empty")
    assert plan.limited(Limits(allow_empty=True)).apply().applied == 0


@pytest.mark.parametrize("mode", ["update", "mirror", "fill_empty"])
def test_a_source_of_which_no_row_is_known_is_refused(own, ws, ledger, mode):
    """The wrong key, or the wrong model."""
    other = pa.table({"domain": ["nobody.example", "noone.example"], "name": ["a", "b"]})
    refused(own, ws.push(other, CALLED, key="domain", mode=mode, ledger=ledger), "none of the source's 2 rows")


def test_new_rows_alone_are_fine_where_rows_are_created(ws, ledger):
    """Inserting is for what nobody knows yet, and so is upserting, unless a limit is set."""
    other = pa.table({"domain": ["nobody.example"], "name": ["a"]})
    for mode in ("insert", "upsert"):
        assert not ws.push(other, CALLED, key="domain", mode=mode, ledger=ledger).brakes
    limits = Limits(max_create_pct=1)
    assert ws.push(other, CALLED, key="domain", ledger=ledger, limits=limits).brakes


def test_changing_more_than_half_of_a_model_is_refused(own, ws, ledger):
    """The refusal names the numbers and the switch; what it says is enough."""
    plan = ws.push(as_table(own, name=lambda _: "x"), CALLED, key="domain", mode="update", ledger=ledger)
    rows = plan.counts.target
    refused(own, plan, f"update or remove {rows} of {rows} rows (100.0 %)", "--max-change-pct 100")
    assert plan.limited(Limits(max_change_pct=100)).apply().updated == rows


def test_a_mirror_that_lost_half_of_its_rows_is_refused(own, ws, ledger):
    """Rows that are gone from the source are removed, but not that many at once."""
    rows = [{"domain": f"mine-{n}.example", "name": "m"} for n in range(20)]
    ws.push(pa.Table.from_pylist(rows), CALLED, key="domain", ledger=ledger, limits=UNLIMITED).apply()
    plan = ws.push(pa.Table.from_pylist(rows[:10]), CALLED, key="domain", mode="mirror", ledger=ledger)
    assert plan.counts.removes == 10
    refused(own, plan, "remove 10 of", "--max-delete-pct")
    before = companies(own)
    assert plan.limited(Limits(max_delete_pct=100)).apply().removed == 10
    gone = {row["domain"] for row in before.values()} - {row["domain"] for row in companies(own).values()}
    assert gone == {row["domain"] for row in rows[10:]}


def test_a_mirror_leaves_what_others_have_written(own, ws, ledger):
    """It removes only what this ledger has pushed, says how many others there are, and more only by a switch."""
    rows = pa.table({"domain": ["mine.example"], "name": ["m"]})
    ws.push(rows, CALLED, key="domain", mode="upsert", ledger=ledger).apply()
    others = len(companies(own)) - 1
    plan = ws.push(rows, CALLED, key="domain", mode="mirror", ledger=ledger, limits=UNLIMITED)
    assert (plan.counts.removes, plan.counts.untracked) == (0, others)
    assert f"{others} records are not in the source, and stay" in str(plan)
    plan = ws.push(rows, CALLED, key="domain", mode="mirror", ledger=ledger, limits=UNLIMITED, remove_untracked=True)
    assert plan.counts.removes == others


def test_a_mirror_without_its_ledger_removes_nothing(own, ws, ledger):
    """A ledger that is lost costs a read of the model: no row is made twice, and none is removed."""
    rows = [{"domain": f"mine-{n}.example", "name": "m"} for n in range(4)]
    ws.push(pa.Table.from_pylist(rows), CALLED, key="domain", ledger=ledger).apply()
    ledger.unlink()
    plan = ws.push(pa.Table.from_pylist(rows[:2]), CALLED, key="domain", mode="mirror", ledger=ledger, limits=UNLIMITED)
    assert (plan.counts.creates, plan.counts.updates, plan.counts.removes, plan.counts.unchanged) == (0, 0, 0, 2)
    assert plan.apply().applied == 0


def test_a_mirror_does_not_remove_what_it_cannot_read(ws, ledger):
    """A row of the source whose key is gone may be any record; one that is refused is in the source all the same."""
    rows = [{"domain": f"mine-{n}.example", "name": "m"} for n in range(3)]
    ws.push(pa.Table.from_pylist(rows), CALLED, key="domain", ledger=ledger).apply()
    broken = pa.Table.from_pylist([rows[0], {"domain": None, "name": "m"}])
    plan = ws.push(broken, CALLED, key="domain", mode="mirror", ledger=ledger, limits=UNLIMITED)
    assert plan.counts.removes == 0
    assert "whose key cannot be read" in str(plan)
    twice = pa.Table.from_pylist([rows[0], rows[1], rows[1]])
    plan = ws.push(twice, CALLED, key="domain", mode="mirror", ledger=ledger, limits=UNLIMITED)
    assert (plan.counts.removes, plan.counts.refused) == (1, 2)


def test_a_mirror_whose_source_lost_a_column_is_refused(ws, ledger):
    """It was pushed the last time; naming the columns says that it is meant."""
    ws.push(
        pa.table({"domain": ["m.example"], "name": ["m"], "industry": ["i"]}), CALLED, key="domain", ledger=ledger
    ).apply()
    less = pa.table({"domain": ["m.example"], "name": ["m"]})
    with pytest.raises(BadSettings, match="no column for industry any more"):
        ws.push(less, CALLED, key="domain", mode="mirror", ledger=ledger)
    ws.push(less, CALLED, key="domain", mode="mirror", columns=["domain", "name"], ledger=ledger)
    with pytest.raises(BadSettings, match="columns: the source has no column 'industry'"):
        ws.push(less, CALLED, key="domain", columns=["domain", "industry"], ledger=ledger)


def test_a_plan_is_stale_when_what_it_changes_has_changed(own, ws, ledger):
    """It says how much would be otherwise now; what does not concern it may move."""
    model = model_of(own, "default", "companies")
    first, second, *_ = sorted(companies(own).values(), key=lambda row: row["_id"])
    rows = pa.table({"domain": [first["domain"]], "name": ["renamed"]})
    plan = ws.push(rows, CALLED, key="domain", ledger=ledger)
    own.world.writing.update(model, [(second["_id"], {"name": "somebody else's"})])
    assert plan.apply().updated == 1
    plan = ws.push(pa.table({"domain": [first["domain"]], "name": ["again"]}), CALLED, key="domain", ledger=ledger)
    own.world.writing.update(model, [(first["_id"], {"name": "meddled"})])
    since = len(own.world.writing.journal)
    with pytest.raises(StalePlan, match=r"2 of 1 changes|changed since this plan was made"):
        plan.apply()
    assert not written(own, since)


def test_a_plan_is_saved_for_its_owner_and_applied_later(own, ws, ledger, tmp_path):
    """The file holds the values, so nobody else may read it; another workspace's token cannot apply it."""
    first = min(companies(own).values(), key=lambda row: row["_id"])
    rows = pa.table({"domain": [first["domain"], "new.example"], "name": ["renamed", "n"]})
    made = ws.push(rows, CALLED, key="domain", ledger=ledger)
    path = made.save(tmp_path / "scores.plan")
    made.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with small_box(14) as other, opened(other) as elsewhere, pytest.raises(SettingsError):
        elsewhere.load_plan(path, ledger=tmp_path / "other.duckdb").apply()
    with opened(own) as later:
        plan = later.load_plan(path, ledger=ledger)
        assert (plan.counts.creates, plan.counts.updates) == (1, 1)
        assert plan.sample()[0]["cells"]["name"] == {"before": first["name"], "after": "renamed"}
        assert plan.apply().applied == 2
        with pytest.raises(BadSettings, match="was applied"):
            plan.apply()
    with opened(own) as later, pytest.raises(StalePlan):
        later.load_plan(path, ledger=ledger).apply()


@pytest.mark.parametrize("content", [b"", b"no plan at all", None])
def test_what_is_no_plan_is_said_to_be_none(ws, tmp_path, content):
    """An empty file, another file, none at all, and a database that holds something else."""
    path = tmp_path / "x.plan"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadSettings, match=r"no plan|there is no plan"):
        ws.load_plan(path)
    duckdb.connect(str(tmp_path / "other.duckdb")).close()
    with pytest.raises(BadSettings, match="holds no plan"):
        ws.load_plan(tmp_path / "other.duckdb")


def test_models_of_connectors_are_written_only_by_a_switch(ws, ledger):
    """What is written there may go on to its source; models that take no rows say so when they are asked."""
    rows = pa.table({"domain": ["x.example"]})
    with pytest.raises(BadSettings, match="--allow-connector-models"):
        ws.push(rows, "hubspot.companies", key="domain", ledger=ledger)
    plan = ws.push(rows, "hubspot.companies", key="domain", allow_connector_models=True, ledger=ledger)
    assert plan.apply().created == 1


def test_limits_are_checked():
    """A share below nothing is none."""
    with pytest.raises(BadSettings, match="max_delete_pct"):
        Limits(max_delete_pct=-1)
    assert replace(Limits(), max_delete_pct=None).max_delete_pct is None


def test_an_unknown_mode_is_refused(own):
    """It says which there are."""
    with Workspace(own.token, own.url) as ws, pytest.raises(BadSettings, match="insert, update, upsert, mirror"):
        ws.push(pa.table({"domain": ["x"]}), CALLED, key="domain", mode="replace")


def test_plans_of_killed_processes_are_removed(ws, ledger, monkeypatch, tmp_path):
    """They hold values; those of processes that live stay."""
    import os
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = ("999999999-x", f"{os.getpid()}-x", "x-y")
    dead, alive, foreign = (tmp_path / f"cargo-source-plan-{name}" for name in names)
    for folder in (dead, alive, foreign):
        folder.mkdir()
    ws.push(pa.table({"domain": ["x.example"]}), CALLED, key="domain", ledger=ledger).close()
    assert [folder.exists() for folder in (dead, alive, foreign)] == [False, True, True]


def test_the_ledger_may_be_where_a_pipeline_loads(own, ws, tmp_path):
    """Its tables lie beside those of syncs, and are asked in SQL like them."""
    import dlt

    from cargo_source import cargo, sync

    destination = dlt.destinations.duckdb(str(tmp_path / "w.duckdb"))
    pipeline = dlt.pipeline(
        "ledgers", destination=destination, dataset_name="cargo", pipelines_dir=str(tmp_path / "dlt")
    )
    sync(pipeline, cargo(only=["models"], models=[CALLED], token=own.token, url=own.url))
    query = "SELECT domain, 'pushed' AS industry FROM cargo.default__companies ORDER BY domain LIMIT 2"
    for created in (2, 0):
        report = ws.push(query, CALLED, key="domain", mode="update", database=pipeline).apply()
        assert report.updated == created
    one = "SELECT domain FROM cargo.default__companies ORDER BY domain LIMIT 1"
    wish = {"mode": "mirror", "columns": ["domain"], "limits": UNLIMITED}
    mirrored = ws.push(one, CALLED, key="domain", database=pipeline, **wish)
    # What was only updated was there before, and stays.
    assert (mirrored.counts.removes, mirrored.counts.untracked) == (0, len(companies(own)) - 1)
    with pipeline.sql_client() as client:
        runs = client.execute_sql("SELECT status, updated FROM _cargo_push_runs ORDER BY started_at")
        rows = client.execute_sql("SELECT count(*), count(record_id) FROM _cargo_push_rows WHERE status = 'updated'")
    assert [tuple(run) for run in runs] == [("done", 2), ("done", 0)]
    assert tuple(rows[0]) == (2, 2)


def test_the_key_goes_along_where_only_other_columns_are_named(own, ws, ledger):
    """Nobody has to name it twice, in a list or in a mapping."""
    first = min(companies(own).values(), key=lambda row: row["_id"])
    rows = pa.table({"domain": [first["domain"]], "sector": ["Mining"], "industry": ["Energy"]})
    plan = ws.push(rows, CALLED, key="domain", columns=["industry"], ledger=ledger)
    assert plan.facts.columns == {"domain": "domain", "industry": "industry"}
    plan = ws.push(rows, CALLED, key="domain", columns={"sector": "industry"}, ledger=ledger)
    assert plan.sample()[0]["cells"]["industry"]["after"] == "Mining"


def mirrored(ws, ledger, rows, **wish):
    """Plan a mirror of rows by their domain."""
    table = pa.Table.from_pylist(rows)
    return ws.push(table, CALLED, key="domain", mode="mirror", ledger=ledger, **{"limits": UNLIMITED, **wish})


def test_a_mirror_is_stale_when_a_record_that_it_would_remove_was_changed(own, ws, ledger):
    """Somebody has taken it up since: it is looked at once more before it goes."""
    rows = [{"domain": f"mine-{n}.example", "name": "m"} for n in range(2)]
    ws.push(pa.Table.from_pylist(rows), CALLED, key="domain", ledger=ledger).apply()
    plan = mirrored(ws, ledger, rows[:1])
    model = model_of(own, "default", "companies")
    gone = next(key for key, row in companies(own).items() if row["domain"] == rows[1]["domain"])
    own.world.writing.update(model, [(gone, {"name": "somebody's now"})])
    with pytest.raises(StalePlan):
        plan.apply()
    assert gone in companies(own)


def test_a_mirror_by_another_key_leaves_what_this_one_made(own, ws, ledger):
    """Two sources with one ledger do not remove each other's records."""
    rows = pa.table({"domain": ["mine.example"], "name": ["only mine"]})
    ws.push(rows, CALLED, key="domain", ledger=ledger).apply()
    other = pa.table({"name": ["another"], "industry": ["x"]})
    plan = ws.push(
        other, CALLED, key="name", mode="mirror", columns=["name", "industry"], ledger=ledger, limits=UNLIMITED
    )
    assert plan.counts.removes == 0


@pytest.mark.parametrize("key", ["", None])
def test_a_mirror_removes_nothing_where_a_key_says_nothing(ws, ledger, key):
    """Whether it is null or empty, and whatever else is wrong with its row."""
    rows = [{"domain": f"mine-{n}.example", "employeesCount": n} for n in range(2)]
    ws.push(pa.Table.from_pylist(rows), CALLED, key="domain", ledger=ledger).apply()
    frame = pd.DataFrame({"employeesCount": [0, "bad"], "domain": [rows[0]["domain"], key]}, dtype=object)
    plan = ws.push(frame, CALLED, key="domain", mode="mirror", ledger=ledger, limits=UNLIMITED)
    assert (plan.counts.removes, plan.counts.refused) == (0, 1)


def test_a_key_that_no_query_can_name_is_refused(own, ws, ledger):
    """A NUL character costs its row, and no other; nothing that was pushed shows in an error."""
    rows = pa.table({"domain": ["good.example", "z\0z"]})
    report = ws.push(rows, CALLED, key="domain", ledger=ledger).apply()
    assert (report.created, report.rejected) == (1, 1)
    assert "NUL" in report.rejects[0].reason


@pytest.mark.parametrize("change", ["connector", "computed", "retyped", "gone"])
def test_a_plan_is_not_applied_to_a_model_that_takes_it_no_longer(own, ledger, tmp_path, change):
    """It was saved, and the model is another by now."""
    first = min(companies(own).values(), key=lambda row: row["_id"])
    rows = pa.table({"domain": [first["domain"]], "industry": ["renamed"]})
    with opened(own) as ws:
        path = ws.push(rows, CALLED, key="domain", ledger=ledger).save(tmp_path / "x.plan")

    def otherwise(_method, path, answer):
        if not path.startswith("storage/models/list"):
            return answer
        for model in answer["models"]:
            if model["extractorSlug"] != "defineAccount":
                continue
            column = next(each for each in model["columns"] if each["slug"] == "industry")
            match change:
                case "connector":
                    model["extractorSlug"] = "fetchObject"
                case "computed":
                    column["kind"] = "computed"
                case "retyped":
                    column["type"] = "object"
                case _:
                    model["columns"].remove(column)
        return answer

    since = len(own.world.writing.journal)
    with proxied(own, after=otherwise) as door, opened(door) as ws, pytest.raises((StalePlan, BadSettings)):
        ws.load_plan(path, ledger=ledger).apply()
    assert not written(own, since)


def test_a_plan_that_was_tampered_with_is_counted_anew(own, ws, ledger, tmp_path):
    """What it says of itself does not get past a brake."""
    table = as_table(own, name=lambda _: "x")
    path = ws.push(table, CALLED, key="domain", mode="update", ledger=ledger).save(tmp_path / "x.plan")
    rows = len(companies(own))
    with duckdb.connect(str(path)) as db:
        db.execute(f"UPDATE plan SET facts = replace(facts, '\"updates\": {rows}', '\"updates\": 1')")
    plan = ws.load_plan(path, ledger=ledger)
    assert plan.counts.updates == rows
    assert plan.brakes
    with duckdb.connect(str(path)) as db:
        db.execute("UPDATE plan SET facts = '{}'")
    with pytest.raises(BadSettings, match="no plan that can be read"):
        ws.load_plan(path, ledger=ledger)


@pytest.mark.parametrize("value", [float("nan"), "5", -1])
def test_a_share_that_is_none_is_refused(value):
    """A limit that compares with nothing would be none."""
    with pytest.raises(BadSettings, match="a share in percent"):
        Limits(max_change_pct=value)


@pytest.mark.parametrize("name", ["l.parquet", "file/l.duckdb"])
def test_a_ledger_that_can_hold_nothing_is_refused(ws, tmp_path, name):
    """Before anything is sent, in a line."""
    (tmp_path / "file").write_text("a file")
    table = pa.table({"domain": ["new.example"]})
    with pytest.raises(BadSettings, match="ledger:"):
        ws.push(table, CALLED, key="domain", ledger=tmp_path / name).apply()


def test_rows_without_a_key_are_listed_each_and_go_with_the_next_push(ws, ledger):
    """Nobody can tell them from others, so those of the last push are all that count."""
    from cargo_source.push.ledger_places import ledger_in

    broken = pa.table({"domain": pa.array([None, None, "a.example", "a.example"], pa.string())})
    ws.push(broken, CALLED, key="domain", ledger=ledger).apply()
    assert sorted(each["row"] for each in ledger_in(ledger).rejects()) == [0, 1, 2, 3]
    ws.push(pa.table({"domain": ["a.example"]}), CALLED, key="domain", ledger=ledger).apply()
    assert ledger_in(ledger).rejects() == []


def test_columns_that_differ_by_case_alone_are_refused():
    """DuckDB would take one for the other, and a cell that is filled for one that is empty."""
    columns = tuple(Column(name, name, "text", "") for name in ("_id", "Name", "name"))
    model = SimpleNamespace(dataset="default", slug="odd")
    target = Target(model, SimpleNamespace(columns=columns))
    present = Present(None, target)
    with pytest.raises(BadSettings, match="'Name' and 'name' differ by case alone"), present.view(None, "x", columns):
        pass


def test_a_plan_that_was_closed_says_so(ws, ledger, tmp_path):
    """Whatever is asked of it."""
    plan = ws.push(pa.table({"domain": ["new.example"]}), CALLED, key="domain", ledger=ledger)
    plan.close()
    plan.close()
    for ask in (plan.apply, plan.sample, plan.refused, lambda: plan.save(tmp_path / "x.plan")):
        with pytest.raises(BadSettings, match="was closed"):
            ask()


def test_a_retry_of_nothing_does_nothing(ws, ledger):
    """All that was rejected has gone through by now: that is no source without rows."""
    rows = pa.table({"domain": ["new.example"]})
    ws.push(rows, CALLED, key="domain", mode="update", ledger=ledger, limits=UNLIMITED).apply()
    assert ws.retry(rows, ledger=ledger).apply().applied == 0


def test_a_key_that_several_records_share_names_none_of_them(own, ws, ledger):
    """Which of them is meant nobody can know: the row is refused, and a mirror leaves them where they are."""
    model = model_of(own, "default", "companies")
    own.world.writing.create(model, [{"domain": "twin.example", "name": name} for name in ("one", "other")])
    rows = pa.table({"domain": ["twin.example", "new.example"], "name": ["changed", "n"]})
    for mode in ("upsert", "update", "mirror", "fill_empty", "insert"):
        plan = ws.push(rows, CALLED, key="domain", mode=mode, ledger=ledger, limits=UNLIMITED, remove_untracked=True)
        assert (plan.counts.updates, plan.counts.refused) == (0, 1)
        assert "several records" in plan.refused()[0]["reason"]
        assert not {row["id"] for row in plan.sample(100)} & {
            key for key, row in companies(own).items() if row["domain"] == "twin.example"
        }


@pytest.mark.parametrize("kind", ["none", "filesystem", "cargo"])
def test_a_pipeline_that_keeps_no_tables_is_no_ledger(own, ws, tmp_path, kind):
    """It would forget what was pushed: that is refused before anything is planned."""
    destination = {
        "none": None,
        "filesystem": dlt.destinations.filesystem(str(tmp_path / "bucket")),
        "cargo": cargo_destination(CALLED, "domain", token=own.token, url=own.url),
    }[kind]
    pipeline = dlt.pipeline("led", destination=destination, dataset_name="x", pipelines_dir=str(tmp_path / "dlt"))
    since = len(own.world.writing.journal)
    with pytest.raises(BadSettings, match="ledger:"):
        ws.push(pa.table({"domain": ["new.example"]}), CALLED, key="domain", ledger=pipeline).apply()
    assert not written(own, since)


def test_a_ledger_that_another_program_has_open_takes_the_push_later(ws, tmp_path, monkeypatch):
    """What was pushed waits beside it, and goes in with the next push; no row is pushed twice."""
    monkeypatch.setattr(PipelineTables, "patience", 0.2)
    duckdb_file = tmp_path / "w.duckdb"
    pipeline = dlt.pipeline(
        "led",
        destination=dlt.destinations.duckdb(str(duckdb_file)),
        dataset_name="x",
        pipelines_dir=str(tmp_path / "dlt"),
    )
    table = pa.table({"domain": ["new.example"]})
    hold = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    command = [sys.executable, "-c", hold, str(duckdb_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        report = ws.push(table, CALLED, key="domain", mode="insert", ledger=pipeline, limits=UNLIMITED).apply()
        other.communicate("\n")
    assert (report.created, len(report.notes)) == (1, 1)
    again = ws.push(table, CALLED, key="domain", mode="insert", ledger=pipeline, limits=UNLIMITED).apply()
    assert again.created == 0
    with pipeline.sql_client() as client:
        assert client.execute_sql("SELECT created FROM _cargo_push_runs ORDER BY started_at") == [(1,), (0,)]


def test_a_ledger_of_an_earlier_version_gets_the_columns_that_are_new(ws, ledger):
    """Its rows stay, without a value there."""
    ws.push(pa.table({"domain": ["new.example"]}), CALLED, key="domain", ledger=ledger).apply()
    with duckdb.connect(str(ledger)) as db:
        db.execute("ALTER TABLE cargo._cargo_push_runs DROP COLUMN radius")
    ws.push(pa.table({"domain": ["other.example"]}), CALLED, key="domain", ledger=ledger).apply()
    with duckdb.connect(str(ledger), read_only=True) as db:
        found = db.execute("SELECT radius IS NULL FROM cargo._cargo_push_runs ORDER BY started_at").fetchall()
    assert found == [(True,), (False,)]
