"""An export is believed when as many rows came as there are: a file that is lacking looks like a smaller table."""

import pytest

from cargo_source.catalog import ENTITIES
from cargo_source.errors import IncompleteRead
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
