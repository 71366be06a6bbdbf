"""What the API leaves open or its sources disagree on: whichever way the platform turns out, the tables are right."""

from pathlib import Path

import pytest

from cargo_source.catalog import ENTITIES
from cargo_source.errors import PermissionDenied
from tests.proxy import proxied
from tests.small import small_box
from tests.target import differences

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def box():
    """A sandbox that these tests leave as it is."""
    with small_box(37, companies=30) as own:
        yield own


def compared(target, box, *tables):
    return differences(target, box, skip=set(ENTITIES) - set(tables))


# Sources that disagree ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 405])
def test_records_are_listed_by_the_other_method_where_post_is_refused(box, target, status):
    """A docs page shows GET for orchestration records, the client posts: the second is tried, then kept to."""

    def before(method, path, _params):
        refused = path == "orchestration/records/list" and method == "POST"
        return (status, {"errorMessage": "no"}) if refused else None

    def after(_method, _path, body):
        return body

    with proxied(box, before=lambda *asked: before(*asked) or as_get(box, *asked), after=after) as odd:
        target.sync(odd, only=["orchestration_records"])
        posted = [asked for asked in odd.asked if asked[:2] == ("POST", "orchestration/records/list")]
    assert compared(target, box, "orchestration_records") == []
    assert len(posted) < len(box.truth("workflows"))


def as_get(box, method, path, params):
    """Answer GET orchestration/records/list, which the sandbox does not have."""
    if (method, path) != ("GET", "orchestration/records/list"):
        return None
    rows = [row for row in box.truth("orchestration_records") if row["workflowUuid"] == params["workflowUuid"]]
    start = int(params["offset"])
    return 200, {"records": rows[start : start + int(params["limit"])], "count": len(rows)}


def test_files_come_from_the_older_path_where_the_newer_is_missing(box, target):
    """ai/files serves where content/files does not exist."""

    def before(_method, path, _params):
        return (404, {"errorMessage": "Not Found"}) if path == "content/files/list" else None

    with proxied(box, before=before) as odd:
        target.sync(odd, only=["files"])
    assert compared(target, box, "files") == []


def test_a_missing_permission_is_no_reason_to_try_the_other_path(box, target):
    """403 means what it says: nothing else is asked."""
    with proxied(box, before=lambda _m, path, _p: (403, {}) if path.startswith("content/") else None) as odd:
        with pytest.raises(PermissionDenied):
            target.sync(odd, only=["files"])
        assert "ai/files/list" not in {path for _, path, _ in odd.asked}


def test_the_older_name_of_actions_is_read(box, target):
    """Releases and messages call them tools in older pages."""

    def after(_method, path, body):
        for row in body.get("releases", []) + body.get("messages", []) if path.startswith("ai/") else []:
            row["tools"] = row.pop("actions")
        return body

    with proxied(box, after=after) as odd:
        target.sync(odd, only=["agent_releases"])
    assert compared(target, box, "agent_releases") == []


def test_the_older_unit_of_credits_is_asked_for_where_the_newer_is_refused(box, target):
    """credits stands in for billing.credits, and lands under the newer name."""

    def before(_method, path, params):
        refused = path == "billing/usage/metrics" and params.get("unit") == "billing.credits"
        return (400, {"errorMessage": "invalid unit"}) if refused else as_older_unit(box, path, params)

    with proxied(box, before=before) as odd:
        target.sync(odd, only=["usage_metrics"])
    assert compared(target, box, "usage_metrics") == []


def as_older_unit(box, path, params):
    if path != "billing/usage/metrics" or params.get("unit") != "credits":
        return None
    wanted = ("billing.credits", params.get("groupBy", "none"))
    days = {}
    for row in box.truth("usage_metrics"):
        if (row["unit"], row["dimension"]) == wanted:
            days.setdefault(row["date"], []).append({n: row[n] for n in ("slug", "count", "groupBy")})
    return 200, {"metrics": [{"date": date, "items": items} for date, items in days.items()]}


def test_usage_needs_no_answer_without_a_unit(box, target):
    """A platform that wants a unit named is asked for each unit and dimension right away."""

    def before(_method, path, params):
        return (
            (400, {"errorMessage": "unit is required"}) if path.endswith("metrics") and "unit" not in params else None
        )

    with proxied(box, before=before) as odd:
        target.sync(odd, only=["usage_metrics"])
    assert compared(target, box, "usage_metrics") == []


@pytest.mark.parametrize("shape", ["url", "one url in urls"])
def test_an_export_answers_with_one_link_or_several(box, target, shape):
    """url and urls are both read."""

    def after(_method, path, body):
        if path == "storage/query/download":
            (link,) = body.pop("urls")
            body |= {"url": link} if shape == "url" else {"urls": [link]}
        return body

    with proxied(box, after=after) as odd:
        report = target.sync(odd, only=["models", "datasets"], models=["default.companies"])
    assert {o.lane for o in report.outcomes if o.entity == "records"} == {"export"}
    assert len(target.rows("default__companies")) == 30


def test_runs_are_always_asked_for_by_workflow(box, target):
    """The client calls it optional, the vendor's guidance required."""
    with proxied(box) as odd:
        target.sync(odd, only=["runs"])
        sent = [params for _, path, params in odd.asked if path == "orchestration/runs/list"]
    assert sent
    assert all(params["workflowUuid"] for params in sent)


def test_changes_are_fetched_by_the_three_kinds_that_all_sources_have(box, target):
    """unchanged is in the client only, and would bring every row of a segment."""
    with proxied(box) as odd:
        target.sync(odd, only=["change_rows"])
        sent = [params["kinds"] for _, path, params in odd.asked if path.endswith("/fetch")]
    assert sent
    assert all(kinds == ["added", "updated", "removed"] for kinds in sent)


# Sources that are silent -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reorder_page", "short_page"])
def test_neither_order_nor_size_of_pages_matters(box, target, kind):
    """Pages in any order, and shorter than asked, give the same tables."""
    tables = ["runs", "chats", "messages", "workflow_releases", "batches", "storage_runs", "spans"]
    paged = "^(orchestration/(runs|spans|batches|releases)|ai/(chats|messages)|storage/runs)/list"
    box.faults.add({"path": paged, "kind": kind, "every": 2, "count": None})
    try:
        target.sync(box, only=tables)
    finally:
        box.faults.clear()
    assert compared(target, box, *tables) == []


@pytest.mark.parametrize("inclusive", [True, False])
def test_filters_may_include_their_bounds_or_not(target, inclusive):
    """A row that moved in the very millisecond of the watermark, or of now, is neither lost nor doubled."""
    with small_box(37, companies=20) as own:
        start = own.world.now

        def before(_method, path, params):
            if path == "orchestration/runs/list" and not inclusive:
                runs = [r for r in own.truth("runs") if r["workflowUuid"] == params["workflowUuid"]]
                low, high = params.get("updatedAfter", ""), params["updatedBefore"]
                rows = [r for r in runs if low < r["updatedAt"] < high]
                return 200, {"runs": rows[params["offset"] : params["offset"] + params["limit"]], "count": len(rows)}
            return None

        for _ in range(3):
            with proxied(own, before=before) as odd:
                target.sync(odd, only=["runs"])
            run = next(iter(own.world.tables["runs"].values()))
            run["updatedAt"] = own.world.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            run["errorMessage"] = f"moved at {run['updatedAt']}"
            own.world.revision += 1
            own.world.tick(1000)
        assert own.world.now > start
        with proxied(own, before=before) as odd:
            target.sync(odd, only=["runs"])
        assert compared(target, own, "runs") == []


def test_soft_deleted_rows_land_with_their_time_and_hidden_ones_stay(target):
    """Whether a list shows what is deleted is open: what is shown has its time, what is gone keeps its row."""
    with small_box(37, companies=20) as own:
        target.sync(own, only=["agents", "tools"])
        shown = {row["uuid"] for row in own.truth("agents") if row["deletedAt"]}
        assert shown <= {row["uuid"] for row in target.rows("agents") if row["deleted_at"]}
        assert shown
        gone = own.world.tables["tools"].popitem()[0]
        own.world.revision += 1
        target.sync(own, only=["agents", "tools"])
        assert gone in {row["uuid"] for row in target.rows("tools")}


@pytest.mark.parametrize("status", [400, 410])
def test_a_parent_that_vanished_is_known_by_the_reason_not_the_status(box, target, status):
    """Which status goes with a reason is open: modelNotFound and its kin skip the parent's rows alone."""
    gone = box.truth("chats")[3]["uuid"]

    def before(_method, path, params):
        return (
            (status, {"reason": "chatNotFound"}) if path.endswith("list") and params.get("chatUuid") == gone else None
        )

    with proxied(box, before=before) as odd:
        report = target.sync(odd, only=["messages"])
    assert {outcome.status for outcome in report.outcomes} == {"complete"}
    wanted = {row["uuid"] for row in box.truth("messages") if row["chatUuid"] != gone}
    assert {row["uuid"] for row in target.rows("messages")} == wanted


def test_links_that_expire_are_asked_for_anew(box, target):
    """How long links live is open: a used-up one costs another export, not the sync."""
    box.faults.add({"path": "storage/query/download", "kind": "expired_link", "count": 2})
    try:
        report = target.sync(box, only=["models", "datasets"], models=["default.companies"])
    finally:
        box.faults.clear()
    assert {o.lane for o in report.outcomes if o.entity == "records"} == {"export"}
    assert len(target.rows("default__companies")) == 30


def test_rows_never_come_through_a_query_that_may_be_capped(box, target):
    """The cap of storage/query is open, so rows of models come by export or by pages, and it only counts them."""
    with proxied(box) as odd:
        target.sync(odd, only=["models", "datasets"], models=["default.companies"])
        queries = [params["query"] for _, path, params in odd.asked if path == "storage/query"]
    assert queries
    assert all(query.startswith("SELECT count(*)") for query in queries)


def test_what_the_platform_keeps_no_longer_stays_here(target):
    """Retention is open: runs that Cargo forgets keep their rows."""
    with small_box(37, companies=20) as own:
        target.sync(own, only=["runs"])
        before = len(target.rows("runs"))
        runs = own.world.tables["runs"]
        for uuid in list(runs)[:50]:
            del runs[uuid]
        own.world.revision += 1
        target.sync(own, only=["runs"])
        assert len(target.rows("runs")) == before


def test_segments_that_were_never_evaluated_are_not_asked_for_changes(box, target):
    """When segments are evaluated is open: lastChange says whether there is anything to read."""
    target.sync(box, only=["segments", "changes"])
    never = {row["uuid"] for row in box.truth("segments") if row.get("lastChange") is None}
    assert never
    with proxied(box) as odd:
        target.sync(odd, only=["segments", "changes"])
        asked = {params["segmentUuid"] for _, path, params in odd.asked if path == "segmentation/changes/list"}
    assert compared(target, box, "segments", "changes") == []
    assert not asked & never


ELSEWHERE = {
    "list order": "tests/pull/test_careful.py::test_neither_order_nor_size_of_pages_matters",
    "default and maximum limit": "tests/pull/test_pages.py::test_every_row_comes_once_whatever_size_of_page",
    "inclusive filters": "tests/pull/test_careful.py::test_filters_may_include_their_bounds_or_not",
    "soft-deleted rows": "tests/pull/test_careful.py::test_soft_deleted_rows_land_with_their_time",
    "status of a reason": "tests/pull/test_careful.py::test_a_parent_that_vanished_is_known_by_the_reason",
    "rate numbers, Retry-After": "tests/api/test_api_pacing.py::",
    "link lifetime": "tests/pull/test_careful.py::test_links_that_expire_are_asked_for_anew",
    "compression of exports": "tests/api/test_api_links.py::",
    "row cap of storage/query": "tests/pull/test_careful.py::test_rows_never_come_through_a_query",
    "prefixes of added columns": "tests/pull/test_shapes.py::",
    "_emitted_at": "tests/pull/test_sync.py::test_only_what_moved_and_the_lookback_is_served",
    "lag": "tests/pull/test_query.py::test_late_rows_of_sql_arrive_within_the_lookback",
    "retention": "tests/pull/test_careful.py::test_what_the_platform_keeps_no_longer_stays_here",
    "SQL columns": "tests/pull/test_query.py::test_lists_serve_where_a_column_is_missing",
    "evaluation of segments": "tests/pull/test_careful.py::test_segments_that_were_never_evaluated",
    "other warehouses": "tests/pull/test_conform.py::test_names_in_capitals_are_found",
    "versions of the API": "tests/pull/test_tolerance.py::test_everything_loads_whatever_the_contract_allows",
}
"""Where each thing that sources are silent about, and that reading touches, is tested."""


@pytest.mark.parametrize("topic", ELSEWHERE)
def test_every_open_question_has_a_test(topic):
    """The list above is no promise on paper: each test is there."""
    file, _, name = ELSEWHERE[topic].partition("::")
    assert f"def {name}" in (ROOT / file).read_text()
