"""State and what it speaks of: the right database, one sync at a time, and nothing left behind."""

import shutil
import subprocess
import sys
from datetime import timedelta

import dlt
import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from cargo_source import cargo, sync
from cargo_source.catalog import ENTITIES
from cargo_source.errors import BadSettings, Busy, PermissionDenied
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.pull.lock import held
from tests.proxy import proxied
from tests.small import small_box
from tests.target import differences

ONLY = ["runs", "segments"]


def compared(target, box):
    return differences(target, box, skip=set(ENTITIES) - set(ONLY))


@pytest.fixture
def own_box():
    with small_box(43, companies=20) as box:
        yield box


def test_a_database_that_was_restored_from_yesterday_has_no_gap(own_box, target, caplog):
    """Cursors that are ahead of the rows are not believed: everything is read again, and it is said."""
    target.sync(own_box, only=ONLY)
    shutil.copy(target.database, target.folder / "backup.duckdb")
    own_box.advance(days=1)
    target.sync(own_box, only=ONLY)
    shutil.copy(target.folder / "backup.duckdb", target.database)
    own_box.advance(hours=5)
    target.sync(own_box, only=ONLY)
    assert "does not hold the last sync" in caplog.text
    assert compared(target, own_box) == []


def test_one_state_folder_may_meet_two_databases(own_box, target):
    """A trial run into another database leaves no gap in either."""
    first = target.database
    for database in (first, target.folder / "dev.duckdb", first):
        target.database = database
        target.sync(own_box, only=ONLY)
        own_box.advance(hours=7)
    target.sync(own_box, only=ONLY)
    assert compared(target, own_box) == []


def test_one_sync_at_a_time_in_one_folder(own_box, target):
    """The second is told which process has the first, and the folder is free again when that one is dead."""
    code = "import sys, time; from pathlib import Path; from cargo_source.pull.lock import held\n"
    code += "with held(Path(sys.argv[1]), 'cargo'):\n    print('held', flush=True)\n    time.sleep(60)"
    folder = target.folder / "state"
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Busy, match=str(other.pid)):
            target.sync(own_box, only=ONLY)
        other.kill()
    target.sync(own_box, only=ONLY)
    with held(folder, "cargo"):
        pass


def test_no_row_is_left_on_disk_after_a_sync(own_box, target):
    """Packages hold rows: whether a load went well or not, none of them stays, and nothing grows."""
    target.sync(own_box, only=ONLY)
    sizes = []
    for _ in range(3):
        own_box.advance(minutes=1)
        target.sync(own_box, only=ONLY)
        files = [path for path in (target.folder / "state").rglob("*") if path.is_file()]
        assert [path for path in files if path.suffix == ".parquet"] == []
        sizes.append(len(files))
    assert sizes[0] == sizes[-1]


def test_packages_are_kept_where_that_is_asked_for(own_box, target, monkeypatch):
    """dlt's own setting is heard: somebody may want to look at what was loaded."""
    monkeypatch.setenv("LOAD__DELETE_COMPLETED_JOBS", "false")
    target.sync(own_box, only=ONLY)
    assert list((target.folder / "state" / "cargo" / "load" / "loaded").iterdir())


def test_a_limit_on_rows_is_refused(own_box, target):
    """add_limit would move cursors past rows that never landed."""
    source = cargo(own_box.token, own_box.url, only=ONLY)
    source.resources["runs"].add_limit(1)
    with pytest.raises(BadSettings, match="add_limit"):
        sync(duckdb_pipeline(target.database, "cargo", target.folder / "state"), source)


def test_a_destination_that_cannot_merge_is_refused(own_box, tmp_path):
    """Rows would come again with each sync: that is said before anything is read."""
    pipeline = dlt.pipeline(
        "cargo",
        pipelines_dir=str(tmp_path / "state"),
        destination=dlt.destination(lambda items, table: None, name="nowhere"),
        dataset_name="cargo",
    )
    with pytest.raises(BadSettings, match="cannot merge"):
        sync(pipeline, cargo(own_box.token, own_box.url, only=ONLY))


@pytest.mark.parametrize("name", ["cargo", "Cargo", "cargo_staging", "cargo.v2"])
def test_a_plain_pipeline_whose_file_is_called_as_its_schema_is_refused(own_box, tmp_path, monkeypatch, name):
    """DuckDB cannot tell the two apart: that is said before anything is asked, each time; another file takes rows."""
    monkeypatch.chdir(tmp_path)

    def load(database):
        to = dlt.destinations.duckdb(database)
        pipeline = dlt.pipeline("cargo", str(tmp_path / "state"), destination=to, dataset_name="cargo")
        return pipeline.run(cargo(own_box.token, own_box.url, only=ONLY))

    before = own_box.journal.requests()
    for _ in range(2):
        with pytest.raises(PipelineStepFailed, match="rename one of them") as refused:
            load(f"{name}.duckdb")
        causes = list(chain_of(refused.value))
        assert any(isinstance(cause, BadSettings) and f"{name}.duckdb" in str(cause) for cause in causes)
    assert own_box.journal.requests() == before
    load("elsewhere.duckdb").raise_on_failed_jobs()
    with duckdb.connect("elsewhere.duckdb") as db:
        assert db.execute("SELECT count(*) FROM cargo.runs").fetchone() == (len(own_box.truth("runs")),)


def test_a_sync_is_refused_the_same_in_one_error(own_box, tmp_path, monkeypatch):
    """dlt's own name for the file, which is the pipeline's, and sync() raises BadSettings by itself."""
    monkeypatch.chdir(tmp_path)
    pipeline = dlt.pipeline("cargo", str(tmp_path / "state"), destination="duckdb", dataset_name="cargo")
    with pytest.raises(
        BadSettings, match=r"the database cargo\.duckdb and the dataset cargo of pipeline cargo: DuckDB"
    ):
        sync(pipeline, cargo(own_box.token, own_box.url, only=ONLY))
    for database in ("cargo.duckdb", "cargo.of.today.duckdb"):
        with pytest.raises(BadSettings, match=r"--database .* and --dataset cargo: DuckDB calls"):
            duckdb_pipeline(tmp_path / database, "cargo", tmp_path / "state")


def chain_of(error):
    """An error and what it comes from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_a_token_for_one_group_is_enough_for_that_group(own_box, target):
    """Whoever may read agents alone can load agents: the server's time comes with any list."""
    token = own_box.token_without("storage", "segmentation", "orchestration", "workspaceManagement", "connection")
    report = target.sync(own_box, only=["agents", "agent_releases"], token=token)
    assert report.status == "complete"
    assert len(target.rows("agents")) == len(own_box.truth("agents"))


def test_a_workspace_that_may_not_be_seen_is_skipped_and_told(own_box, target):
    """The table is not said to be complete when the token may not see the one row that it would have."""
    token = own_box.token_without("workspaceManagement")
    report = target.sync(own_box, token=token, models=[])
    skipped = {outcome.table for outcome in report.outcomes if outcome.status == "skipped"}
    assert skipped == {"workspaces", "users", "roles", "folders"}
    with pytest.raises(PermissionDenied):
        target.sync(own_box, token=token, only=["workspaces"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"only": []}, "nothing to load"),
        ({"since": "yesterday"}, "since"),
        ({"only": "agnets"}, "agents"),
    ],
    ids=["nothing", "no time", "slip"],
)
def test_settings_of_the_source_are_told_when_it_is_made(options, words):
    """A name may come by itself, a time as text; what makes no sense is said at once."""
    with pytest.raises(BadSettings, match=words):
        cargo(token="t", **options)


def test_times_without_a_zone_are_utc(own_box, target):
    """since is the same moment on every machine."""
    source = cargo(own_box.token, own_box.url, only="runs", since="2026-02-25")
    sync(duckdb_pipeline(target.database, "cargo", target.folder / "state"), source)
    oldest = min(row["updated_at"] for row in target.rows("runs"))
    assert oldest.isoformat()[:10] == "2026-02-25"


def test_a_table_that_another_pipeline_made_keeps_its_rows(target):
    """A first sync of one pipeline into a dataset of another adds to its tables: it does not write them anew."""
    with small_box(19, companies=20) as box:
        target.sync(box, only=["runs"])
        before = target.query("SELECT count(*) FROM cargo.runs")
        destination = dlt.destinations.duckdb(str(target.database))
        other = dlt.pipeline(
            "other", pipelines_dir=str(target.folder / "others"), destination=destination, dataset_name="cargo"
        )
        late = box.world.now - timedelta(days=1)
        sync(other, cargo(token=box.token, url=box.url, only=["runs"], since=late))
        assert before[0][0] > 100
        assert target.query("SELECT count(*) FROM cargo.runs") == before
        assert target.query("SELECT count(DISTINCT uuid) FROM cargo.runs") == before


@pytest.mark.parametrize("where", [":memory:", "file.duckdb"])
def test_a_connection_of_ones_own_is_left_as_it_was(tmp_path, where):
    """A database that somebody has open, in memory or not, is loaded into, and goes on with its own settings."""
    ours = ("max_vacuum_tasks", "write_buffer_row_group_count", "memory_limit")
    with small_box(7, companies=20) as box, duckdb.connect(where if where[0] == ":" else str(tmp_path / where)) as db:
        settings = [db.execute(f"SELECT current_setting('{name}')").fetchall() for name in ours]
        pipeline = dlt.pipeline(
            "own",
            destination=dlt.destinations.duckdb(db),
            dataset_name="cargo",
            pipelines_dir=str(tmp_path / "state"),
        )
        for _ in range(2):
            assert sync(pipeline, cargo(token=box.token, url=box.url, only=["folders"])).status == "complete"
        assert [db.execute(f"SELECT current_setting('{name}')").fetchall() for name in ours] == settings
        assert db.execute("SELECT count(*) FROM cargo.folders").fetchall() == [(len(box.truth("folders")),)]
        assert db.execute("SELECT count(*) FROM cargo._cargo_syncs").fetchall() == [(2,)]


@pytest.mark.parametrize("name", ["env=prod", "it's", "what?"])
def test_a_state_folder_that_duckdb_misreads_is_refused(tmp_path, name):
    """Its files are read by their paths, in which such names mean something."""
    with pytest.raises(BadSettings, match="take another folder"):
        duckdb_pipeline(tmp_path / "warehouse.duckdb", "cargo", tmp_path / name / "state")
    assert not (tmp_path / name).exists()


def test_another_pipeline_finds_what_is_gone_by_its_second_sync(own_box, tmp_path):
    """It cannot compare what it has no schema of: the next sync knows that nobody has looked yet."""
    gone = own_box.truth("agents")[0]["uuid"]

    def without(_method, path, body):
        if path.endswith("agents/list"):
            body["agents"] = [agent for agent in body["agents"] if agent["uuid"] != gone]
        return body

    def load(name, url):
        destination = dlt.destinations.duckdb(str(tmp_path / "shared.duckdb"))
        pipeline = dlt.pipeline(name, str(tmp_path / "state"), destination=destination, dataset_name="cargo")
        sync(pipeline, cargo(token=own_box.token, url=url, only=["agents"]))

    load("one", own_box.url)
    with proxied(own_box, after=without) as odd:
        load("two", odd.url)
        load("two", odd.url)
    with duckdb.connect(str(tmp_path / "shared.duckdb")) as db:
        marked = db.execute("SELECT uuid FROM cargo.agents WHERE _cargo_deleted_at IS NOT NULL").fetchall()
    assert marked == [(gone,)]
