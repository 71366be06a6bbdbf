"""Exports whose files others bring: counted by their ends before anybody reads them."""

from contextlib import closing
from dataclasses import replace

import pyarrow as pa
import pytest

from cargo_source.api import CargoClient
from cargo_source.errors import Busy, IncompleteRead, LinkExpired
from cargo_source.explore import FOLD
from cargo_source.pull import export_files
from cargo_source.pull.conform import UnusableExport
from cargo_source.pull.export_files import list_files, read_file
from cargo_source.pull.lanes import WHOLE
from cargo_source.pull.options import Options
from cargo_source.pull.records import choose, list_models, shape_model
from cargo_source.pull.session import Session
from cargo_source.sandbox import exports
from cargo_source.settings import Secret, Settings
from tests.proxy import proxied
from tests.small import small_box

COMPANIES = 45


@pytest.fixture(autouse=True)
def files_of_20(monkeypatch):
    """Exports of several files, however few rows there are."""
    monkeypatch.setattr(exports, "ROWS_PER_FILE", 20)


@pytest.fixture
def box():
    with small_box(48, companies=COMPANIES) as own:
        yield own


def session_on(where):
    return closing(Session(CargoClient(Settings(Secret(where.token), where.url)), Options(), "run", {}, None))


def shape_in(session):
    return shape_model(session, choose(list_models(session, FOLD), ["default.companies"])[0], FOLD)


@pytest.fixture
def session(box):
    with session_on(box) as made:
        yield made


@pytest.fixture
def shape(session):
    return shape_in(session)


def test_files_are_counted_before_they_are_read(box, session, shape):
    """Each says how many rows it holds, in a request for its end alone, and holds them."""
    found = list_files(session, shape, WHOLE)
    assert [file.rows for file in found] == [20, 20, 5]
    assert [each.status for each in box.journal.entries() if each.route == "exports"] == [206, 206, 206]
    rows = [row for file in found for batch in read_file(session, file, shape) for row in batch.to_pylist()]
    truth = box.truth_rows(shape.uuid)
    assert sorted(row["_id"] for row in rows) == sorted(row["_id"] for row in truth)
    assert not list(session.spool.folder.glob("*.parquet"))


def test_no_token_is_needed_to_read_them(box, session, shape):
    """Whoever brings a file has its link and nothing else."""
    found = list_files(session, shape, WHOLE)
    box.faults.add(path="*", kind="forbidden", method="POST")
    client = CargoClient(Settings(Secret("none"), box.url))
    with closing(Session(client, Options(), "run", {"workspace": ""}, None)) as other:
        assert sum(batch.num_rows for file in found for batch in read_file(other, file, shape)) == COMPANIES


@pytest.mark.parametrize("end", [16, 200])
def test_an_end_that_is_longer_is_asked_for_once_more(session, shape, monkeypatch, end):
    """However many columns a file tells of."""
    monkeypatch.setattr(export_files, "END", end)
    assert [file.rows for file in list_files(session, shape, WHOLE)] == [20, 20, 5]


def test_a_store_that_gives_no_parts_sends_all(box, session, shape):
    """It costs the bytes, and gives the same numbers."""
    box.faults.add(path="exports/*", kind="no_ranges")
    assert [file.rows for file in list_files(session, shape, WHOLE)] == [20, 20, 5]


def without_a_file(_method, path, body):
    if path == "storage/query/download":
        body["urls"] = body["urls"][1:]
    return body


def with_a_file_twice(_method, path, body):
    if path == "storage/query/download":
        body["urls"] = [body["urls"][0], *body["urls"][:-1]]
    return body


def test_a_file_that_lacks_is_told_before_a_row_is_read(box):
    """Both numbers are told, after asking three times."""
    with (
        proxied(box, after=without_a_file) as odd,
        session_on(odd) as session,
        pytest.raises(IncompleteRead, match="25 rows of 45") as caught,
    ):
        list_files(session, shape_in(session), WHOLE)
    assert (caught.value.got, caught.value.expected) == (25, 45)


def test_an_export_that_nothing_counts_is_not_believed(box, session, shape):
    """Without a count a file that lacks would not show."""
    box.faults.add(path="storage/query", kind="forbidden")
    with pytest.raises(UnusableExport, match="nothing counts"):
        list_files(session, shape, WHOLE)


def test_a_file_that_comes_twice_is_not_believed(box):
    """Though the rows are as many as they should be."""
    with (
        proxied(box, after=with_a_file_twice) as odd,
        session_on(odd) as session,
        pytest.raises(UnusableExport, match="a file twice"),
    ):
        list_files(session, shape_in(session), WHOLE)


def test_rows_that_share_an_identifier_are_left_to_who_can_tell_them_apart(box, session, shape):
    """A sync keeps the last of them, which nobody knows who reads one file."""
    with box._desk.store.lock:
        box.world.warehouse.db.execute('INSERT INTO "default".companies SELECT * FROM "default".companies LIMIT 4')
    with pytest.raises(UnusableExport, match="share an identifier"):
        list_files(session, shape, WHOLE)


def test_what_is_no_parquet_is_not_believed(box, session, shape):
    """As a page of HTML, or another format."""
    box.faults.add(path="exports/*", kind="html_200", count=1)
    with pytest.raises(UnusableExport, match="else than parquet"):
        list_files(session, shape, WHOLE)


def test_a_table_without_rows_has_no_file(box, session, shape):
    """An export of nothing is whole."""
    nothing = replace(WHOLE, where="1 = 0")
    assert list_files(session, shape, nothing) == []


def test_a_model_that_is_written_is_waited_for_and_then_refused(box, session, shape):
    """Rows may be missing while it is: a minute of patience, and then it is said."""
    waits = []
    session.sleep = waits.append
    box.faults.add(path="storage/query*", kind="refreshing")
    with pytest.raises(Busy, match="still writing"):
        list_files(session, shape, WHOLE)
    assert 30 < sum(waits) <= 60
    box.faults.clear()
    box.faults.add(path="storage/query*", kind="refreshing", count=3)
    session.waited = 0
    assert sum(file.rows for file in list_files(session, shape, WHOLE)) == COMPANIES


def test_a_link_that_has_expired_is_told(box, session, shape):
    """Who is late reads nothing, and is told what to do."""
    first, *_ = list_files(session, shape, WHOLE)
    box.advance(minutes=20)
    with pytest.raises(LinkExpired, match="ask for the export again"):
        next(read_file(session, first, shape))


def test_a_file_has_to_hold_what_it_said(session, shape):
    """A row more or less than its end said stops whoever reads it."""
    first, *_ = list_files(session, shape, WHOLE)
    with pytest.raises(IncompleteRead, match="holds 20 rows and said 21"):
        next(read_file(session, replace(first, rows=21), shape))


def test_links_are_secret(session, shape):
    """They show in no repr."""
    for file in list_files(session, shape, WHOLE):
        assert "signature" not in repr(file)
        assert isinstance(file.link, Secret)


def test_rows_keep_their_types(session, shape):
    """What comes is what a sync would land."""
    first, *_ = list_files(session, shape, WHOLE)
    schema = next(read_file(session, first, shape)).schema
    assert schema.field("employees_count").type == pa.int64()
    assert schema.field("_emitted_at").type == pa.timestamp("us", tz="UTC")
