"""Runs and spans by SQL: the same rows as by lists, and lists wherever SQL cannot be relied upon."""

import pytest

from cargo_source.catalog import ENTITIES
from cargo_source.pull import query
from tests.proxy import proxied
from tests.small import small_box
from tests.target import Target, differences

TABLES = {"runs", "executions", "spans", "traces"}


def lanes(report):
    return {outcome.table: outcome.lane for outcome in report.outcomes if outcome.table in {"runs", "spans"}}


@pytest.mark.parametrize("cap", [10_000, 300], ids=["whole", "split"])
def test_rows_by_sql_are_those_of_the_lists(tmp_path, monkeypatch, cap):
    """With every column there, both lanes fill tables that are equal to the cell, on the first and on later days."""
    monkeypatch.setattr(query, "CAP", cap)
    with small_box(29, companies=20, sql_columns="all") as box:
        by_sql, by_lists = Target(tmp_path / "sql"), Target(tmp_path / "lists")
        for target in (by_sql, by_lists):
            target.folder.mkdir()
        for _day in range(2):
            assert lanes(by_sql.sync(box, only=list(TABLES))) == {"runs": "query", "spans": "query"}
            assert lanes(by_lists.sync(box, only=list(TABLES), query_lane=False)) == {
                "runs": "window",
                "spans": "window",
            }
            box.advance(hours=9)
        for target in (by_sql, by_lists):
            target.sync(box, only=list(TABLES), query_lane=target is by_sql)
            assert differences(target, box, skip=set(ENTITIES) - TABLES) == []
        for table in TABLES:
            rows = [
                sorted(str({**row, "_cargo_run_id": ""}) for row in target.rows(table)) for target in (by_sql, by_lists)
            ]
            assert rows[0] == rows[1]


def test_sql_is_cheaper_where_it_is_chosen(tmp_path):
    """It costs a handful of requests where the lists cost one for each workflow and each hundred rows."""
    with small_box(29, companies=40, sql_columns="all") as box:
        target = Target(tmp_path)
        report = target.sync(box, only=["runs", "spans"])
        assert sum(outcome.requests for outcome in report.outcomes) < 15
        assert len(box.truth("workflows")) > 40


def test_lists_serve_where_a_column_is_missing(tmp_path):
    """With the confirmed columns only, nothing comes by SQL, and it is not asked again before the next day."""
    with small_box(29, companies=20) as box:
        target = Target(tmp_path)
        assert set(lanes(target.sync(box, only=["runs", "spans"])).values()) == {"window"}
        box.journal.clear()
        target.sync(box, only=["runs", "spans"])
        assert "orchestration/query" not in box.journal.rows_by_path()


@pytest.mark.parametrize("kind", ["forbidden", "5xx", "html_200"])
def test_lists_serve_where_sql_fails(tmp_path, kind):
    """A token that may not, a server that fails, a page in place of JSON: the rows come by lists."""
    with small_box(29, companies=20, sql_columns="all") as box:
        box.faults.add({"path": "orchestration/query", "kind": kind, "count": None})
        target = Target(tmp_path)
        assert set(lanes(target.sync(box, only=["runs", "spans"])).values()) == {"window"}
        assert differences(target, box, skip=set(ENTITIES) - {"runs", "spans"}) == []


def test_a_broken_connection_says_nothing_of_sql(tmp_path):
    """It costs neither the sync nor the lane: the question is asked again."""
    with small_box(29, companies=20, sql_columns="all") as box:
        box.faults.add({"path": "orchestration/query", "kind": "reset", "count": 1})
        assert lanes(Target(tmp_path).sync(box, only=["runs"])) == {"runs": "query"}
        assert box.journal.faults() == 1


def test_late_rows_of_sql_arrive_within_the_lookback(tmp_path):
    """SQL that is half an hour behind loses nothing: the next window reaches back."""
    with small_box(29, companies=20, sql_columns="all", sql_lag=1800) as box:
        target = Target(tmp_path)
        for _ in range(4):
            target.sync(box, only=["runs", "spans"])
            box.advance(hours=2)
        box.world.tick(3_600_000)
        report = target.sync(box, only=["runs", "spans"])
        assert lanes(report)["runs"] == "query"
        assert differences(target, box, skip=set(ENTITIES) - {"runs", "spans"}) == []


def test_a_query_that_fails_later_gives_way_to_lists(tmp_path):
    """Its caps may be met any day: the rows come by lists then, and the query is left alone for a day."""
    with small_box(29, companies=20, sql_columns="all") as box:
        target = Target(tmp_path)
        target.sync(box, only=["runs", "spans"])
        box.faults.add({"path": "orchestration/query", "kind": "forbidden", "count": None})
        box.advance(hours=5)
        assert set(lanes(target.sync(box, only=["runs", "spans"])).values()) == {"window"}
        box.journal.clear()
        target.sync(box, only=["runs", "spans"])
        assert "orchestration/query" not in box.journal.rows_by_path()


def test_more_rows_in_a_second_than_a_query_gives(tmp_path, monkeypatch):
    """Where no window is short enough, lists give the rows."""
    monkeypatch.setattr(query, "CAP", 50)
    with small_box(29, companies=20, sql_columns="all") as box:
        moment = box.world.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for run in list(box.world.tables["runs"].values())[:80]:
            run["updatedAt"] = moment
        box.world.revision += 1
        target = Target(tmp_path)
        report = target.sync(box, only=["runs"])
        assert lanes(report) == {"runs": "window"}
        assert differences(target, box, skip=set(ENTITIES) - {"runs"}) == []


@pytest.mark.parametrize("fails", [False, True], ids=["lags", "lags, then fails"])
def test_sql_that_lags_for_long_is_made_up_for_by_the_next_sweep(tmp_path, fails):
    """Rows that SQL shows hours late are found by lists, which read a day's sweep, also when SQL has failed since."""
    with small_box(29, companies=20, sql_columns="all", sql_lag=5400) as box:
        target = Target(tmp_path)
        for turn in range(5):
            if fails and turn == 4:
                box.faults.add({"path": "orchestration/query", "kind": "forbidden", "count": None})
            target.sync(box, only=["runs", "spans"])
            box.advance(hours=4)
        target.sync(box, only=["runs", "spans"])
        assert differences(target, box, skip=set(ENTITIES) - {"runs", "spans"}) == []


def test_a_row_that_comes_twice_does_not_stand_for_another(tmp_path):
    """As many rows as were counted, of which two are one: lists serve."""

    def twice(_method, path, body):
        rows = body.get("rows", [])
        if path == "orchestration/query" and len(rows) > 5 and "uuid" in rows[0]:
            body["rows"] = [*rows[:-1], rows[0]]
        return body

    with small_box(7, companies=20, sql_columns="all") as box, proxied(box, after=twice) as odd:
        target = Target(tmp_path)
        report = target.sync(odd, only=["workflows", "runs"], models=[])
        assert len(target.rows("runs")) == len(box.truth("runs"))
    assert {o.lane for o in report.outcomes if o.table == "runs"} == {"window"}
