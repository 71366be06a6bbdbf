"""A published sync: readers keep the file that they have open, and whatever happens the file is one whole sync."""

import hashlib
import subprocess
import sys

import duckdb
import pytest

from cargo_source.catalog import ENTITIES
from cargo_source.errors import BadSettings, DestinationRefused, PermissionDenied
from cargo_source.pull.publish import Publication
from tests.small import small_box
from tests.target import differences

ONLY = ["agents", "folders", "chats"]


@pytest.fixture(scope="module")
def own_box():
    with small_box(61, companies=20) as box:
        yield box


def compared(target, box):
    return differences(target, box, skip=set(ENTITIES) - set(ONLY) | {"records"})


def digest(target):
    return hashlib.sha256(target.database.read_bytes()).hexdigest()


def left(target):
    return [path.name for path in target.folder.iterdir() if path.name not in {"state", target.database.name}]


def test_readers_never_wait_and_see_whole_syncs(own_box, target):
    """Who has the file open goes on reading what was there, and whoever opens it next sees what is new."""
    target.sync(own_box, only=ONLY, publish=True)
    before = target.query("SELECT count(*) FROM cargo.chats")
    with duckdb.connect(str(target.database), read_only=True) as reader:
        own_box.advance(days=1)
        target.sync(own_box, only=ONLY, publish=True)
        assert reader.execute("SELECT count(*) FROM cargo.chats").fetchall() == before
    assert target.query("SELECT count(*) FROM cargo.chats") > before
    assert compared(target, own_box) == []
    assert len({row["run_id"] for row in target.rows("_cargo_syncs")}) == 2
    assert left(target) == []


def test_a_sync_that_fails_leaves_the_file_as_it_was(own_box, target):
    """Not a byte differs, nothing is left beside it, and the next sync tells of the failure."""
    target.sync(own_box, only=ONLY, publish=True)
    before = digest(target)
    with pytest.raises(PermissionDenied):
        target.sync(own_box, token=own_box.token_without("ai"), only=ONLY, publish=True)
    assert (digest(target), left(target)) == (before, [])
    own_box.advance(days=1)
    target.sync(own_box, only=ONLY, publish=True)
    assert compared(target, own_box) == []
    assert {row["status"] for row in target.rows("_cargo_syncs")} == {"complete", "failed"}


KILLED = """
import os, signal, sys
from pathlib import Path
from dlt.pipeline.pipeline import Pipeline
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.pull.publish import Publication
from cargo_source.pull.source import cargo
from cargo_source.pull.sync import sync
def die(*_args, **_more):
    os.kill(os.getpid(), signal.SIGKILL)
folder, url, where = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if where == "before the load":
    Pipeline.load = die
elif where == "before the rename":
    Publication.publish = die
else:
    rename = Publication._rename
    Publication._rename = lambda self: (rename(self), die())
pipeline = duckdb_pipeline(folder / "warehouse.duckdb", "cargo", folder / "state")
source = cargo(token=os.environ["CARGO_API_TOKEN"], url=url, only=["agents", "folders", "chats"])
sync(pipeline, source, publish=True)
"""


@pytest.mark.parametrize("where", ["before the load", "before the rename", "after the rename"])
@pytest.mark.parametrize("later", [True, False])
def test_a_kill_leaves_state_and_file_fit_for_each_other(own_box, target, where, later, caplog):
    """The file is whole after a kill, and the next sync, published or not, makes it equal to the workspace."""
    target.sync(own_box, only=ONLY, publish=True)
    own_box.advance(days=1)
    before = digest(target)
    command = [sys.executable, "-c", KILLED, str(target.folder), own_box.url, where]
    done = subprocess.run(command, env={"CARGO_API_TOKEN": own_box.token, "HOME": str(target.folder)}, timeout=120)
    assert done.returncode == -9
    assert (digest(target) == before) == (where != "after the rename")
    report = target.sync(own_box, only=ONLY, publish=later)
    assert compared(target, own_box) == []
    assert report.rows < len(own_box.truth("chats"))
    assert "from the start" not in caplog.text
    assert left(target) == []


def test_who_writes_into_the_file_meanwhile_loses_nothing(own_box, target, monkeypatch):
    """A table that somebody makes while the sync works on its copy is not renamed away: the sync is refused."""
    target.sync(own_box, only=ONLY, publish=True)
    publish = Publication.publish

    def after_somebody(self):
        with duckdb.connect(str(target.database)) as db:
            db.execute("CREATE TABLE mine AS SELECT 1 AS one")
        publish(self)

    monkeypatch.setattr(Publication, "publish", after_somebody)
    own_box.advance(days=1)
    with pytest.raises(DestinationRefused, match="written to"):
        target.sync(own_box, only=ONLY, publish=True)
    assert target.query("SELECT one FROM mine") == [(1,)]
    monkeypatch.undo()
    target.sync(own_box, only=ONLY, publish=True)
    assert target.query("SELECT one FROM mine") == [(1,)]
    assert compared(target, own_box) == []
    assert {row["status"] for row in target.rows("_cargo_syncs")} == {"complete", "failed"}


def test_half_a_copy_is_removed_at_once(own_box, target, monkeypatch):
    """A disk that is full while the file is copied is not kept so until the next sync."""
    target.sync(own_box, only=ONLY, publish=True)
    before = digest(target)

    def full(_original, copy):
        copy.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cargo_source.pull.publish.shutil.copyfile", full)
    with pytest.raises(DestinationRefused, match="No space left"):
        target.sync(own_box, only=ONLY, publish=True)
    assert (digest(target), left(target)) == (before, [])


def test_what_was_written_last_is_in_the_copy(own_box, target):
    """Rows that lie in the log beside the file, as after a crash, are copied with it."""
    target.sync(own_box, only=ONLY)
    code = (
        "import duckdb, os, sys\ndb = duckdb.connect(sys.argv[1])\ndb.execute('CREATE TABLE mine AS SELECT 1 AS one')"
    )
    subprocess.run([sys.executable, "-c", code + "\nos._exit(0)", str(target.database)], check=True, timeout=60)
    assert target.database.with_name("warehouse.duckdb.wal").exists()
    target.sync(own_box, only=ONLY, publish=True)
    assert target.query("SELECT one FROM mine") == [(1,)]
    assert compared(target, own_box) == []


def test_publishing_needs_a_file(own_box, tmp_path):
    """A database in memory cannot be renamed."""
    import dlt

    from cargo_source import cargo, sync

    pipeline = dlt.pipeline("p", pipelines_dir=str(tmp_path), destination=dlt.destinations.duckdb(":memory:"))
    with pytest.raises(BadSettings, match="DuckDB file"):
        sync(pipeline, cargo(token=own_box.token, url=own_box.url, only=ONLY), publish=True)


KILLED_WINDOW = """
import os, sys
from pathlib import Path
from dlt.common.storages.load_package import PackageStorage
from cargo_source import backfill, cargo
from cargo_source.pull.destination import duckdb_pipeline

done = PackageStorage.complete_job

def killed(self, *about):
    done(self, *about)
    os._exit(9)

PackageStorage.complete_job = killed
folder, url, token = sys.argv[1:]
pipeline = duckdb_pipeline(Path(folder) / "warehouse.duckdb", "cargo", Path(folder) / "state")
backfill(pipeline, cargo(token=token, url=url, only=["workflows", "runs"], window=("2026-01-01", None)), publish=True)
"""


def test_half_a_window_is_never_published(own_box, target):
    """A backfill that is killed while it loads leaves a copy that holds the last sync, and half of what is new."""
    only = ["workflows", "runs", "agents"]
    target.sync(own_box, only=only, publish=True)
    own_box.advance(days=1)
    before = digest(target)
    command = [sys.executable, "-c", KILLED_WINDOW, str(target.folder), own_box.url, own_box.token]
    assert subprocess.run(command, capture_output=True).returncode == 9
    with pytest.raises(PermissionDenied):
        target.sync(own_box, token=own_box.token_without("ai"), only=only, publish=True)
    assert (digest(target), left(target)) == (before, [])
