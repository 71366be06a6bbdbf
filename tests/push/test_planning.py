"""Source and model come side by side: what fails on one side ends the other, and leaves nothing behind."""

import threading
from itertools import count

import pyarrow as pa
import pytest

from cargo_source.errors import CargoError, FixTheData
from cargo_source.pull import record_pages
from cargo_source.push.sizes import Sizes
from tests.proxy import proxied
from tests.push.playing import opened

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
        watch = ws._session.watch
        with pytest.raises(expected):
            ws.push(pa.RecordBatchReader.from_batches(SCHEMA, broken()), CALLED, key="domain", ledger=ledger)
        assert spooled(ws) == []
        assert ws._session.watch is watch
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
