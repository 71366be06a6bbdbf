"""Source and model come side by side: what fails on one side ends the other, and leaves nothing behind."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from cargo_source.errors import CargoError, FixTheData
from cargo_source.pull import record_pages
from cargo_source.push.sizes import Sizes
from tests.proxy import proxied
from tests.push.playing import UNLIMITED, model_of, opened, stored

CALLED = "default.companies"
SCHEMA = pa.schema([("domain", pa.string())])


def endless():
    """Rows that never end."""
    for number in count():
        yield pa.record_batch([[f"{number}-{row}.example" for row in range(100)]], schema=SCHEMA)


def spooled(ws):
    """The files of rows that a workspace has read."""
    return [*ws._session.spool.folder.rglob("*.parquet")]


@pytest.mark.timeout(60)
def test_a_model_that_cannot_be_read_ends_the_source(own, ws, ledger):
    """What the source has left to give is not waited for."""
    own.faults.add(path="storage/*", kind="forbidden")
    own.faults.add(path="segmentation/*", kind="forbidden")
    with pytest.raises(CargoError):
        ws.push(pa.RecordBatchReader.from_batches(SCHEMA, endless()), CALLED, key="domain", ledger=ledger)


class Interrupted(BaseException):
    """As Ctrl-C is."""


@pytest.mark.parametrize("failure", [pa.ArrowInvalid("no"), Interrupted()])
def test_a_source_that_fails_ends_the_reading_of_the_model(own, ledger, failure):
    """Its own failure is told, no file of the model stays, and the same workspace goes on."""

    def broken():
        yield next(endless())
        raise failure

    expected = FixTheData if isinstance(failure, pa.ArrowInvalid) else Interrupted
    with opened(own) as ws:
        before = ws.push(pa.table({"domain": ["new.example"]}), CALLED, key="domain", ledger=ledger)
        with pytest.raises(expected):
            ws.push(pa.RecordBatchReader.from_batches(SCHEMA, broken()), CALLED, key="domain", ledger=ledger)
        assert spooled(ws) == []
        again = ws.push(pa.table({"domain": ["new.example"]}), CALLED, key="domain", ledger=ledger)
        assert again.counts == before.counts


@pytest.mark.timeout(60)
def test_pages_of_a_model_end_with_a_source_that_fails(own, ledger, monkeypatch):
    """They are not read to their end when nobody wants them any more."""
    monkeypatch.setattr(record_pages, "PAGE", 1)
    monkeypatch.setenv("CARGO_IN_FLIGHT", "1")
    failed = threading.Event()

    def broken():
        yield next(endless())
        failed.set()
        raise pa.ArrowInvalid("no")

    def before(_method, path, _params):
        if path.startswith("storage/records/list"):
            failed.wait(10)

    own.faults.add(path="storage/query*", kind="forbidden")
    own.faults.add(path="segmentation/segments/download", kind="forbidden")
    with proxied(own, before=before) as door, opened(door) as ws:
        with pytest.raises(FixTheData):
            ws.push(pa.RecordBatchReader.from_batches(SCHEMA, broken()), CALLED, key="domain", ledger=ledger)
        assert spooled(ws) == []
    assert 0 < sum(path.startswith("storage/records/list") for _, path, _ in door.asked) < 10


def test_progress_tells_of_both_sides(ws, ledger):
    """Who waits sees the source and the model come."""
    told = []
    rows = pa.table({"domain": ["new.example"]})
    ws.push(rows, CALLED, key="domain", ledger=ledger, watch=lambda what, rows, total: told.append((what, rows, total)))
    assert ("source", 1, None) in told
    (model,) = {(what, rows == total) for what, rows, total in told if what != "source"}
    assert model == (CALLED, True)


def test_parts_of_a_refused_request_make_no_other_smaller():
    """A time-out of a single row that is looked for says nothing of a hundred that are not."""
    sizes = Sizes()
    sizes.went_wrong("create", 1)
    assert sizes.rows("create") == 100
    sizes.went_wrong("create", 100)
    assert sizes.rows("create") == 50
    sizes.went_wrong("create", 10, too_large=True)
    sizes.went_well("create", 5)
    assert sizes.rows("create") == 5


@pytest.mark.timeout(60)
def test_pushes_of_one_workspace_end_each_for_itself(own, ledger):
    """One whose source fails while another is planned beside it takes nothing down but itself."""
    begun, failed = threading.Event(), threading.Event()

    def bad():
        yield next(endless())
        begun.wait(20)
        raise pa.ArrowInvalid("no")

    def good():
        begun.set()
        failed.wait(20)
        yield pa.record_batch([["new.example"]], schema=SCHEMA)

    with opened(own) as ws, ThreadPoolExecutor(2) as pool:

        def push(rows):
            return ws.push(pa.RecordBatchReader.from_batches(SCHEMA, rows), CALLED, key="domain", ledger=ledger)

        broken = pool.submit(push, bad())
        broken.add_done_callback(lambda _: failed.set())
        fine = pool.submit(push, good())
        with pytest.raises(FixTheData):
            broken.result(30)
        assert fine.result(30).counts.creates == 1
        assert len(ws.read(CALLED)) > 0


@pytest.mark.parametrize(
    ("rows", "characters", "batch"),
    [(1000, 20_000, 1000), (2000, 40_000, 100), (2, 40_000_000, 1)],
)
def test_long_texts_are_given_the_room_that_they_need(own, ledger, rows, characters, batch):
    """Rows of which DuckDB takes more megabytes at once than it is given at first."""
    schema = pa.schema([("domain", pa.string()), ("description", pa.string())])

    def batches():
        for first in range(0, rows, batch):
            names = [f"{first + each}.example" for each in range(batch)]
            yield pa.record_batch([names, [f"{name} {'x' * characters}" for name in names]], schema=schema)

    with opened(own) as ws:
        plan = ws.push(pa.RecordBatchReader.from_batches(schema, batches()), CALLED, key="domain", ledger=ledger)
        assert plan.counts.creates == rows
        last = plan.sample(rows)[-1]["cells"]["description"]["after"]
        assert len(last) > characters
        plan.close()


@pytest.mark.parametrize("mode", ["update", "fill_empty"])
def test_a_value_that_hashes_as_a_null_does_is_another(own, ledger, mode):
    """A hash of 64 bits is that of some value or other: here of no value."""
    value = -2_930_909_409_056_394_622
    first = min(stored(own, model_of(own, "default", "companies")).values(), key=lambda row: row["_id"])

    def pushed(ws, sequence, mode):
        table = pa.table({"domain": [first["domain"]], "sequence": pa.array([sequence], pa.int64())})
        return ws.push(table, CALLED, key="domain", mode=mode, ledger=ledger, limits=UNLIMITED)

    with duckdb.connect() as db:
        assert db.execute("SELECT hash(?::BIGINT) = hash(NULL::BIGINT)", [value]).fetchall() == [(True,)]
    with opened(own) as ws:
        pushed(ws, None, "update").apply()
        assert pushed(ws, value, mode).counts.updates == 1


FULL = """
import pyarrow as pa
from cargo_source.errors import CargoError
from tests.push.playing import UNLIMITED
from cargo_source import Workspace

def rows():
    for first in range(0, 400_000, 4_000):
        names = [f"{first + each}.example" for each in range(4_000)]
        yield pa.record_batch([names, [name * 20 for name in names]], schema=schema)

schema = pa.schema([("domain", pa.string()), ("description", pa.string())])
with Workspace() as ws:
    try:
        ws.push(pa.RecordBatchReader.from_batches(schema, rows()), "default.companies", key="domain", ledger="l.duckdb")
    except CargoError as error:
        print(type(error).__name__, error)
    table = pa.table({"domain": ["new.example"]})
    print(ws.push(table, "default.companies", key="domain", ledger="l.duckdb").counts.creates)
"""


def test_a_full_disk_is_told_as_such(own, tmp_path):
    """A source that has no room stops in a line, and the same workspace goes on."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "story.py").write_text(FULL)
    mount = f"mount -t tmpfs -o size=40m tmpfs {tmp_path}/disk && exec {sys.executable} -W ignore {tmp_path}/story.py"
    where = {"TMPDIR": f"{tmp_path}/disk", "CARGO_API_TOKEN": own.token, "CARGO_API_URL": own.url}
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount],
        cwd=tmp_path,
        env={**os.environ, **where, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    told = done.stdout.splitlines()
    assert told[0].startswith("FixTheData there is no room for the source's rows"), done.stderr
    assert told[1] == "1"
