"""An export is believed when as many rows came as there are: a file that is lacking looks like a smaller table."""

import gzip
import io

import httpx
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from cargo_source.catalog import ENTITIES
from cargo_source.errors import IncompleteRead
from cargo_source.sandbox import exports
from tests.proxy import proxied
from tests.small import small_box
from tests.target import differences, model_differences

COMPANIES = {"only": ["models", "datasets"], "models": ["default.companies"]}


@pytest.fixture
def box():
    with small_box(47, companies=40) as own:
        yield own


def companies(box):
    return next(m for m in box.truth("models") if m["slug"] == "companies" and m["kind"] == "native")


def without_files(times):
    """Answer the first exports without any of their files."""
    left = [times]

    def after(_method, path, body):
        if path == "storage/query/download" and left[0]:
            left[0] -= 1
            body["urls"] = []
        return body

    return after


def test_an_export_that_lacks_a_file_is_asked_for_again(box, target):
    """One answer without its files heals by itself."""
    with proxied(box, after=without_files(1)) as odd:
        report = target.sync(odd, **COMPANIES)
    assert {o.lane for o in report.outcomes if o.entity == "records"} == {"export"}
    assert model_differences(target, box, companies(box)) == []


def test_an_export_that_stays_short_stops_the_sync_and_leaves_the_tables(box, target):
    """Both numbers are told, the exit is 3, and every table is as after its last load."""
    target.sync(box, **COMPANIES)
    before = sorted(map(str, target.rows("default__companies")))
    box.advance(days=1)
    with proxied(box, after=without_files(99)) as odd, pytest.raises(IncompleteRead, match=r"0 rows of \d+") as caught:
        target.sync(odd, **COMPANIES)
    assert caught.value.exit_code == 3
    assert caught.value.got == 0
    assert caught.value.expected > 0
    assert sorted(map(str, target.rows("default__companies"))) == before
    target.sync(box, **COMPANIES)
    assert model_differences(target, box, companies(box)) == []


def files_twice(_method, path, body):
    """Answer exports with the first of their files in place of each."""
    if path in {"storage/query/download", "segmentation/segments/download"} and len(body.get("urls", [])) > 1:
        body["urls"] = body["urls"][:1] * len(body["urls"])
    return body


@pytest.fixture
def short_files(monkeypatch):
    """Exports of several files, however few rows there are."""
    monkeypatch.setattr(exports, "ROWS_PER_FILE", 20)


@pytest.mark.usefixtures("short_files")
def test_a_file_that_comes_twice_does_not_stand_for_another(box, target):
    """As many rows as there are, of which half are the same: the sync stops, and the tables are as before."""
    target.sync(box, **COMPANIES)
    box.advance(days=8)
    before = sorted(map(str, target.rows("default__companies")))
    with proxied(box, after=files_twice) as odd, pytest.raises(IncompleteRead, match="export gave 20 rows"):
        target.sync(odd, **COMPANIES)
    assert sorted(map(str, target.rows("default__companies"))) == before


@pytest.mark.usefixtures("short_files")
def test_of_a_csv_it_is_found_too(box, target):
    """Pages do then."""
    with proxied(box, after=files_twice) as odd:
        report = target.sync(odd, lane="csv", **COMPANIES)
    assert {o.lane for o in report.outcomes if o.entity == "records"} == {"pages"}
    assert model_differences(target, box, companies(box)) == []


def test_a_sweep_of_identifiers_is_not_misled(box, target, monkeypatch):
    """Identifiers that come twice in place of others mark nobody."""
    target.sync(box, **COMPANIES)
    box.poke.remove("default.companies", box.poke.ids("default.companies")[:1])
    monkeypatch.setattr(exports, "ROWS_PER_FILE", 13)
    with proxied(box, after=files_twice) as odd, pytest.raises(IncompleteRead, match="export gave 13 rows of 39"):
        target.sync(odd, **COMPANIES)
    assert {row["_cargo_deleted_at"] for row in target.rows("default__companies")} == {None}
    target.sync(box, **COMPANIES)
    assert model_differences(target, box, companies(box)) == []


def test_a_table_that_has_rows_of_one_identifier_is_no_alarm(box, target):
    """A warehouse's own table may: then the identifiers are counted, and the row that came last stays."""
    spec = box.world.spec_of(companies(box)["uuid"])
    table = box.world.warehouse.table(spec)
    box.world.db.execute(f"INSERT INTO {table} FROM {table} LIMIT 3")
    report = target.sync(box, **COMPANIES)
    (found,) = [o for o in report.outcomes if o.entity == "records"]
    assert (found.status, found.rows, found.expected, found.got) == ("complete", 40, 40, 40)


def test_a_file_without_a_column_of_the_table_is_not_believed(box, target):
    """Its cells would look empty; pages have them."""

    def instead(_asked, found, _again):
        if found.content[:4] != b"PAR1":
            return found
        rows, out = pq.read_table(io.BytesIO(found.content)), io.BytesIO()
        pq.write_table(rows.drop_columns(["name"]) if "name" in rows.column_names else rows, out)
        return httpx.Response(200, content=out.getvalue())

    target.sync(box, **COMPANIES)
    box.advance(days=8)
    with proxied(box, instead=instead) as odd:
        report = target.sync(odd, **COMPANIES)
    assert {o.lane for o in report.outcomes if o.entity == "records"} == {"csv"}
    assert model_differences(target, box, companies(box)) == []


def test_nor_is_a_csv_without_one(box, target):
    """Pages do then."""

    def instead(asked, found, _again):
        if not asked[1].startswith("exports/"):
            return found
        rows, out = pa.csv.read_csv(io.BytesIO(gzip.decompress(found.content))), io.BytesIO()
        pa.csv.write_csv(rows.drop_columns(["name"]), out)
        return httpx.Response(200, content=out.getvalue(), headers={"Content-Type": "text/csv"})

    with proxied(box, instead=instead) as odd:
        report = target.sync(odd, lane="csv", **COMPANIES)
    assert {o.lane for o in report.outcomes if o.entity == "records"} == {"pages"}
    assert model_differences(target, box, companies(box)) == []


def test_rows_that_are_written_meanwhile_are_no_alarm(box, target):
    """A table that grows between its count and its export is not taken for an incomplete one."""
    box.faults.add({"path": "storage/query/download", "kind": "write_between", "rows": 3, "count": 3})
    report = target.sync(box, **COMPANIES)
    assert report.status == "complete"
    target.sync(box, **COMPANIES)
    assert model_differences(target, box, companies(box)) == []


def test_a_workspace_that_cannot_count_still_exports(box, target):
    """Where only the count is refused, the rows come all the same, unproven by it."""
    with proxied(
        box, before=lambda _m, path, _p: (400, {"reason": "unknown"}) if path == "storage/query" else None
    ) as odd:
        report = target.sync(odd, **COMPANIES)
    assert {o.lane for o in report.outcomes if o.entity == "records"} == {"export"}
    assert differences(target, box, skip=set(ENTITIES) - {"models", "datasets"} | {"records"}) == []
