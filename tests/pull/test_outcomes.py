"""What a sync says of each table: what shows that it is complete, and what became of it where nothing does."""

import pytest

from cargo_source.catalog import ENTITIES
from cargo_source.errors import BadSettings, IncompleteRead, OutOfTime, PermissionDenied, TryLater
from cargo_source.pull.connection import pull_of
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.pull.source import cargo
from cargo_source.pull.sync import SyncReport, sync
from tests.proxy import proxied
from tests.small import small_box
from tests.target import differences

CHANGES = ["segments", "changes", "change_rows"]
CHATS = ["chats", "messages"]
COMPANIES = {"only": ["models", "datasets"], "models": ["default.companies"]}


@pytest.fixture
def own_box():
    with small_box(53, companies=20) as own:
        yield own


def compared(target, box, tables):
    return differences(target, box, skip=set(ENTITIES) - set(tables) | {"records"})


def by_table(report):
    return {outcome.table: outcome for outcome in report.outcomes}


# Evidence ----------------------------------------------------------------------------------------------------------


def test_every_table_of_an_ordinary_workspace_is_shown_to_be_complete(own_box, target):
    """Something speaks for each table that was read, and the numbers agree where something counts."""
    report = target.sync(own_box)
    assert report.status == "complete"
    told = by_table(report)
    assert [table for table, outcome in told.items() if not outcome.evidence] == []
    counted = {table: outcome for table, outcome in told.items() if outcome.expected is not None}
    assert {"runs", "spans", "traces", "change_rows", "default__companies"} <= counted.keys()
    assert all(outcome.expected == outcome.got for outcome in counted.values())
    assert told["spans"].got == len(own_box.truth("spans"))
    assert told["spans"].evidence == f"counted {told['spans'].got:,} = {told['spans'].got:,}"
    assert "whole answer" in told["agents"].evidence
    assert "empty page confirmed" in told["chats"].evidence
    assert "sorted" in told["default__account_plans"].evidence
    assert all(outcome.bytes for outcome in told.values() if outcome.requests)
    assert told["spans"].watermark == own_box.world.now.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def test_progress_has_the_totals_that_the_api_counts(own_box, target):
    """Who watches is told how many rows are to come, where the server or the workspace counts them."""
    seen = {}
    pipeline = duckdb_pipeline(target.database, "cargo", target.folder / "state")
    source = cargo(token=own_box.token, url=own_box.url, **COMPANIES | {"only": ["spans"]})
    sync(pipeline, source, watch=lambda table, rows, total: seen.update({table: (rows, total)}))
    spans, companies = len(own_box.truth("spans")), len(own_box.truth_rows(model_of(own_box)["uuid"]))
    assert seen["spans"] == (spans, spans)
    assert seen["default__companies"] == (companies, companies)


def without_one_added(times):
    """Leave one added record out of the first answers for one change, and out of the server's own count."""
    chosen, left = [], [times]

    def after(_method, path, body):
        added = [row for row in body.get("records", ()) if row.get("_kind") == "added"]
        if added and not chosen:
            chosen.append(path)
        if chosen == [path] and left[0]:
            left[0] -= 1
            body["records"] = [row for row in body["records"] if row not in added[:1]]
            body["count"] -= 1
        return body

    return after, chosen


def test_a_counter_that_contradicts_is_read_again_and_heals(own_box, target):
    """A record that was lacking once comes with the second reading."""
    # A page of rows, and the empty one that ends it.
    after, chosen = without_one_added(2)
    with proxied(own_box, after=after) as odd:
        report = target.sync(odd, only=CHANGES)
    assert chosen
    assert report.status == "complete"
    assert compared(target, own_box, CHANGES) == []


def test_a_counter_that_stands_against_the_rows_stops_the_sync(own_box, target):
    """A change says so many added, and one fewer came however often it was read: both numbers, and no table touched."""
    target.sync(own_box, only=CHANGES)
    before = sorted(map(str, target.rows("change_rows")))
    own_box.advance(days=1)
    after, chosen = without_one_added(99)
    report = SyncReport("cargo", "cargo")
    with proxied(own_box, after=after) as odd, pytest.raises(IncompleteRead, match=r"\d+ added") as caught:
        target.sync(odd, only=CHANGES, report=report)
    assert caught.value.got == caught.value.expected - 1
    assert sum(path == chosen[0] for _, path, _ in odd.asked) >= 3
    assert sorted(map(str, target.rows("change_rows"))) == before
    assert by_table(report)["change_rows"].error == "IncompleteRead"
    assert {outcome.status for outcome in report.outcomes} == {"failed"}
    target.sync(own_box, only=CHANGES)
    assert compared(target, own_box, CHANGES) == []


def test_changes_whose_rows_are_kept_no_longer_are_unproven(own_box, target):
    """How long Cargo keeps them is open: of an old change nothing comes, and the others load."""
    change = next(change for change in own_box.truth("changes") if change["addedRecordsCount"])

    def after(_method, path, body):
        return {**body, "records": [], "count": 0} if path == f"segmentation/changes/{change['uuid']}/fetch" else body

    with proxied(own_box, after=after) as odd:
        outcome = by_table(target.sync(odd, only=CHANGES))["change_rows"]
    assert (outcome.status, outcome.rows) == ("unproven", len(target.rows("change_rows")))
    assert all(change["uuid"] in each for each in compared(target, own_box, CHANGES))


def without_the_last_message(box, *, gone):
    """Leave the newest message of one chat out of its list; ``gone`` says that it is nowhere else either."""
    chat = next(chat for chat in box.truth("chats") if chat.get("lastMessage"))
    last = chat["lastMessage"]["uuid"]

    def before(_method, path, _params):
        return (404, {"reason": "messageNotFound"}) if gone and path == f"ai/messages/{last}" else None

    def after(_method, path, body):
        if path == "ai/messages/list":
            body["messages"] = [row for row in body["messages"] if row["uuid"] != last]
        return body

    return before, after, last


def test_a_list_that_lacks_what_its_parent_names_stops_the_sync(own_box, target):
    """The newest message of a chat is not in the list, and exists: rows are missing."""
    before, after, last = without_the_last_message(own_box, gone=False)
    with proxied(own_box, before=before, after=after) as odd, pytest.raises(IncompleteRead, match=last):
        target.sync(odd, only=CHATS)
    assert target.tables() == set()


def test_a_message_that_was_deleted_meanwhile_is_no_alarm(own_box, target):
    """What the parent named is gone by now: nothing is missing."""
    before, after, last = without_the_last_message(own_box, gone=True)
    with proxied(own_box, before=before, after=after) as odd:
        report = target.sync(odd, only=CHATS)
    assert report.status == "complete"
    assert compared(target, own_box, CHATS) == [f"messages: ('{last}',) is missing"]


def test_rows_that_nothing_counts_load_as_unproven(own_box, target):
    """An export without a count loads, says so, and is no failure."""
    refused = lambda _m, path, _p: (400, {"reason": "unknown"}) if path == "storage/query" else None  # noqa: E731
    with proxied(own_box, before=refused) as odd:
        report = target.sync(odd, **COMPANIES)
    outcome = by_table(report)["default__companies"]
    assert (report.status, outcome.status, outcome.expected) == ("unproven", "unproven", None)
    assert outcome.rows == len(target.rows("default__companies")) > 0


# Refreshing --------------------------------------------------------------------------------------------------------


def sync_slept(target, box, **options):
    """Sync, and give the report with the seconds that were slept, without sleeping."""
    slept = []
    source = cargo(token=box.token, url=box.url, **options)
    pull_of(source).sleep = slept.append
    return sync(duckdb_pipeline(target.database, "cargo", target.folder / "state"), source), slept


def test_a_model_that_is_ready_within_a_minute_is_complete(own_box, target):
    """It is looked at again now and then, and read again when Cargo has done writing."""
    own_box.faults.add(path="storage/query/download", kind="refreshing", count=1)
    own_box.faults.add(path="storage/query", kind="refreshing", count=3)
    report, slept = sync_slept(target, own_box, **COMPANIES)
    assert by_table(report)["default__companies"].status == "complete"
    assert 0 < sum(slept) <= 60


def test_a_model_that_is_always_written_loads_three_times_and_then_stops(own_box, target):
    """Rows are merged, none is dropped, the watermark stays; the fourth sync in a row is one too many."""
    first, slept = sync_slept(target, own_box, **COMPANIES)
    fault = own_box.faults.add(path="storage/query*", kind="refreshing")
    rows = len(target.rows("default__companies"))
    for _ in range(3):
        own_box.advance(hours=5)
        own_box.world.touch(model_of(own_box)["uuid"], 3)
        report, slept = sync_slept(target, own_box, **COMPANIES)
        outcome = by_table(report)["default__companies"]
        assert (report.status, outcome.status) == ("refreshing", "refreshing")
        assert outcome.watermark == by_table(first)["default__companies"].watermark
        assert 30 <= sum(slept) <= 60
        assert len(target.rows("default__companies")) >= rows
    own_box.advance(hours=5)
    own_box.world.touch(model_of(own_box)["uuid"], 3)
    with pytest.raises(IncompleteRead, match="3 syncs in a row"):
        sync_slept(target, own_box, **COMPANIES)
    own_box.faults.clear()
    assert fault.fired
    report, _ = sync_slept(target, own_box, **COMPANIES)
    assert by_table(report)["default__companies"].status == "complete"


def test_syncs_in_a_row_are_those_between_which_there_is_no_other(own_box, target):
    """A sync that finds the model as it was, and written by nobody, ends the row."""
    sync_slept(target, own_box, **COMPANIES)
    (key,) = own_box.poke.ids("default.companies")[:1]
    for _ in range(5):
        own_box.poke.remove("default.companies", [key])
        own_box.faults.add(path="storage/query/download", kind="refreshing")
        report, _ = sync_slept(target, own_box, **COMPANIES)
        assert by_table(report)["default__companies"].status == "refreshing"
        own_box.faults.clear()
        own_box.poke.restore("default.companies", [key], anew=False)
        own_box.world.tick(20 * 3_600_000)
        report, _ = sync_slept(target, own_box, **COMPANIES)
        assert by_table(report)["default__companies"].status == "complete"


def test_what_does_not_show_yet_is_not_passed_over(own_box, target):
    """Rows that were written hours ago may show in no time of the model: while Cargo is writing, no watermark moves."""
    first, _ = sync_slept(target, own_box, **COMPANIES)
    model, writing = model_of(own_box)["uuid"], own_box.world.writing
    writing.delay = 3600
    writing.update(model, [(own_box.poke.ids("default.companies")[0], {"name": "Written long ago"})])
    own_box.world.tick(6 * 3_600_000)
    report, _ = sync_slept(target, own_box, **COMPANIES)
    assert by_table(report)["default__companies"].watermark == by_table(first)["default__companies"].watermark
    writing.settle(at_once=True)
    sync_slept(target, own_box, **COMPANIES)
    assert "Written long ago" in {row["name"] for row in target.rows("default__companies")}


def model_of(box):
    return next(m for m in box.truth("models") if m["slug"] == "companies" and m["kind"] == "native")


# Partial -----------------------------------------------------------------------------------------------------------


def test_partial_loads_what_does_not_need_what_failed(own_box, target):
    """Chats fail, and so do messages, votes and agent runs, which stay as they were until they can be read again."""
    needy = {"chats", "messages", "votes", "agent_runs"}
    tables = {*needy, "agents", "runs", "segments", "workspaces"}
    target.sync(own_box, only=list(tables))
    before = {table: sorted(map(str, target.rows(table))) for table in needy}
    own_box.advance(days=1)
    own_box.faults.add(path="ai/chats/*", kind="forbidden")
    report = target.sync(own_box, only=list(tables), partial=True)
    assert report.status == "failed"
    assert {outcome.table for outcome in report.outcomes if outcome.status == "failed"} == needy
    assert {table: sorted(map(str, target.rows(table))) for table in needy} == before
    assert compared(target, own_box, tables - needy) == []
    own_box.faults.clear()
    own_box.advance(days=1)
    assert target.sync(own_box, only=list(tables), partial=True).status == "complete"
    assert compared(target, own_box, tables) == []


def test_a_model_that_fails_does_not_stop_the_others(own_box, target):
    """With partial, one model's rows may fail by themselves."""

    def after(_method, path, body):
        hit = path == "storage/query/download" and "default.companies" in odd.asked[-1][2]["query"]
        return {**body, "urls": []} if hit else body

    with proxied(own_box, after=after) as odd:
        both = ["default.companies", "default.deals"]
        report = target.sync(odd, only=["models", "datasets"], models=both, partial=True)
    outcomes = by_table(report)
    assert (outcomes["default__companies"].status, outcomes["default__companies"].error) == ("failed", "IncompleteRead")
    assert (outcomes["default__deals"].status, "default__companies" in target.tables()) == ("complete", False)


def test_without_partial_a_failure_leaves_everything_as_it_was(own_box, target):
    """All or nothing: nothing is said to be loaded that was only read."""
    target.sync(own_box, only=["agents", "chats"])
    before = sorted(map(str, target.rows("agents")))
    own_box.advance(days=1)
    own_box.faults.add(path="ai/chats/*", kind="forbidden")
    report = SyncReport("cargo", "cargo")
    with pytest.raises(PermissionDenied) as caught:
        target.sync(own_box, only=["agents", "chats"], report=report)
    # A scheduler writes the frames of an error into its log: those of threads are left out.
    assert len(caught.traceback) < 10
    assert sorted(map(str, target.rows("agents"))) == before
    assert (report.status, report.rows) == ("failed", 0)


def test_partial_and_a_refresh_are_refused_together(own_box, target):
    """A refresh drops tables first, and what then fails would be gone."""
    with pytest.raises(BadSettings, match="partial"):
        target.sync(own_box, only=["agents"], partial=True, refresh="drop_sources")


# For schedulers ----------------------------------------------------------------------------------------------------


def test_a_report_sums_what_a_scheduler_has_an_asset_for(own_box, target):
    """One outcome for each entity that was read, all models in one, with their counts and worst status."""
    options = {"only": ["datasets", "invoices"], "models": ["default.companies", "default.accountPlans"]}
    source = cargo(token=own_box.token_without("billing"), url=own_box.url, **options).with_resources("records")
    report = sync(duckdb_pipeline(target.database, "cargo", target.folder / "state"), source)
    (records,) = report.entities.values()
    companies, plans = (len(target.rows(f"default__{name}")) for name in ("companies", "account_plans"))
    assert (records.entity, records.rows, records.status) == ("records", companies + plans, "complete")
    assert (records.expected, records.got) == (companies, companies)
    assert records.lane == "pages, export"
    assert records.evidence.startswith(f"counted {companies:,} = {companies:,}, ")
    assert records.shown().keys() >= {"rows", "expected", "lane", "status", "evidence", "requests"}
    assert not {"entity", "table", "note", "error", "retries"} & records.shown().keys()
    assert sorted(line["table"] for line in report.lines("records")) == ["default__account_plans", "default__companies"]
    report.require_whole()


def test_what_was_skipped_is_no_entity_of_the_report(own_box, target):
    """Nobody shows as loaded what the token may not read, and nothing stands against the rest."""
    pipeline = duckdb_pipeline(target.database, "cargo", target.folder / "state")
    source = cargo(token=own_box.token_without("billing"), url=own_box.url).with_resources("agents", "invoices")
    report = sync(pipeline, source)
    assert {outcome.table for outcome in report.outcomes} == {"agents", "invoices"}
    assert report.entities.keys() == {"agents"}
    report.require_whole()


def test_a_partial_sync_says_whether_a_retry_may_bring_the_rest(own_box, target, monkeypatch):
    """It may where the server failed, and not where the token is too small; tables and reasons are named."""
    monkeypatch.setenv("CARGO_WAIT_BUDGET", "0.01")
    own_box.faults.add(path="ai/agents/list", kind="5xx")
    report = target.sync(own_box, only=["agents", "segments"], partial=True)
    with pytest.raises(TryLater, match=r"^1 of 2 tables are not whole: agents: GET .*503"):
        report.require_whole()
    own_box.faults.add(path="segmentation/segments/list", kind="forbidden")
    report = target.sync(own_box, only=["agents", "segments"], partial=True)
    with pytest.raises(IncompleteRead, match=r"segments: .*403.*; agents: .*503"):
        report.require_whole()


# Time --------------------------------------------------------------------------------------------------------------


def test_a_sync_stops_when_its_time_is_up(own_box, target):
    """No request is sent any more, no table is touched, and the next run without a limit is complete."""
    before = own_box.journal.requests()
    with pytest.raises(OutOfTime, match="run the same command again") as caught:
        target.sync(own_box, only=CHATS, max_minutes=0, partial=True)
    assert caught.value.exit_code == 3
    assert own_box.journal.requests() == before
    assert target.tables() == set()
    target.sync(own_box, only=CHATS, max_minutes=5)
    assert compared(target, own_box, CHATS) == []
