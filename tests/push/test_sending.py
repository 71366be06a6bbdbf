"""What becomes of rows on their way: refused ones are found, lost ones are looked up, credits end, writes differ."""

import math
import time

import duckdb
import pyarrow as pa
import pytest

from cargo_source import Workspace
from cargo_source.errors import Busy, NetworkFailed, RequestRefused, RowsLeft, TryLater, WriteDiffers
from cargo_source.pull import shapes
from cargo_source.push.brakes import Limits
from cargo_source.push.journal import Journal
from cargo_source.push.ledger_places import ledger_in
from cargo_source.push.report import PushReport
from tests.proxy import proxied
from tests.push.playing import UNLIMITED, as_it_was, model_of, opened, stored, written

CALLED = "default.companies"


def pushed(box, table, ledger, pace=0.01, **wish):
    """Push, and give the report."""
    with opened(box, pace) as ws:
        return ws.push(table, CALLED, key="domain", ledger=ledger, **{"limits": UNLIMITED, **wish}).apply()


def table_of(rows, **columns):
    """Make rows with a key of their own."""
    return pa.table({"domain": [f"row-{n}.example" for n in range(rows)], **columns})


def asked(ledger, query):
    with duckdb.connect(str(ledger), read_only=True) as db:
        return db.execute(query).fetchall()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("rows", "wrong"), [(10_000, 37), (1_000, 7)])
def test_bad_rows_are_found_and_the_others_go_through(own, ledger, rows, wrong):
    """Of 10,000 rows 37 are refused by the server alone: 9,963 go in, with few calls more than without them."""
    bad = [271 * n % rows for n in range(wrong)]
    own.world.writing.refused["name"] = {f"bad {n}" for n in bad}
    names = [f"bad {n}" if n in bad else f"fine {n}" for n in range(rows)]
    with proxied(own) as door, opened(door) as ws:
        report = ws.push(table_of(rows, name=names), CALLED, key="domain", ledger=ledger, limits=UNLIMITED).apply()
        writes = sum(path == "storage/records/createBulk" for _, path, _ in door.asked)
        looks = sum(path == "storage/query/download" for _, path, _ in door.asked) - 2
    assert (report.created, report.rejected, report.unsent, report.unknown) == (rows - wrong, wrong, 0, 0)
    assert writes <= rows // 100 + wrong * 2 * math.ceil(math.log2(100))
    assert looks <= writes - rows // 100
    found = asked(ledger, "SELECT source_row, reason FROM cargo._cargo_push_rows WHERE status = 'rejected' ORDER BY 1")
    assert [row for row, _ in found] == sorted(bad)
    assert {reason for _, reason in found} == {"refused: Value of column name was rejected"}
    assert sorted(each.row for each in report.rejects) == sorted(bad)


def test_a_push_with_rejected_rows_can_be_made_a_failure(own, ledger):
    """require_whole says how many and where their reasons are, in a line; what is unknown alone is worth a retry."""
    own.world.writing.refused["name"] = {"bad"}
    report = pushed(own, table_of(5, name=["fine"] * 4 + ["bad"]), ledger)
    assert (report.created, report.rejected) == (4, 1)
    with pytest.raises(RowsLeft, match=r"default\.companies: .* applied, .*: 1 rejected; .*_cargo_push_rows") as told:
        report.require_whole()
    assert (told.value.exit_code, told.value.retry_helps) == (3, False)
    assert "\n" not in str(told.value)
    where = f"run_id = '{report.run_id}' AND status = 'rejected'"
    assert asked(ledger, f"SELECT count(*) FROM cargo._cargo_push_rows WHERE {where}") == [(1,)]
    del own.world.writing.refused["name"]
    pushed(own, table_of(5, name=["fine"] * 5), ledger).require_whole()
    with pytest.raises(TryLater, match="2 unknown"):
        PushReport("1", CALLED, "update", unknown=2).require_whole()


def test_a_server_that_stored_half_of_a_refused_call_gets_no_row_twice(own, ledger):
    """Whether a refused creation stored some of its rows is not documented, so they are looked for."""
    own.faults.add(path="storage/records/createBulk", kind="half_done", status=400, count=3)
    report = pushed(own, table_of(30), ledger)
    assert (report.created, report.rejected) == (30, 0)
    keys = [row["domain"] for row in stored(own, model_of(own, "default", "companies")).values()]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("kind", ["lost_answer", "reset", "cut", "invalid_json", "html_200"])
def test_a_creation_whose_answer_was_lost_is_looked_up(own, ledger, kind):
    """Each row is there once, whether the server had stored it or not, though it shows only after the first look."""
    rows = len(stored(own, model_of(own, "default", "companies")))
    own.world.writing.delay = 0.05
    own.faults.add(path="storage/records/createBulk", kind=kind, count=2)
    report = pushed(own, table_of(25), ledger)
    own.world.writing.settle(at_once=True)
    keys = [row["domain"] for row in stored(own, model_of(own, "default", "companies")).values()]
    assert len(keys) == len(set(keys)) == rows + 25
    assert (report.created, report.unknown, report.unsent) == (25, 0, 0)


def test_a_creation_that_is_done_after_its_answer_was_lost_is_awaited(own, ledger):
    """A server may still be at it when the connection is gone: rows are looked for once more before they are sent."""
    rows = len(stored(own, model_of(own, "default", "companies")))
    own.faults.add(path="storage/records/createBulk", kind="late_commit", seconds=0.1, count=1)
    report = pushed(own, table_of(25), ledger, 0.05)
    # Rows that had been sent again at once would have come by now for the second time.
    time.sleep(0.3)
    keys = [row["domain"] for row in stored(own, model_of(own, "default", "companies")).values()]
    assert len(keys) == len(set(keys)) == rows + 25
    assert (report.created, report.unknown) == (25, 0)


def test_calls_that_are_too_large_get_smaller(own, ledger, monkeypatch):
    """413 says nothing about rows: all of them go in, and later calls have the size that was taken."""
    monkeypatch.setenv("CARGO_IN_FLIGHT", "1")
    own.faults.add(path="storage/records/createBulk", kind="too_large", rows=25)
    with proxied(own) as door, opened(door) as ws:
        report = ws.push(table_of(2000), CALLED, key="domain", ledger=ledger, limits=UNLIMITED).apply()
        sizes = [len(body["records"]) for _, path, body in door.asked if path == "storage/records/createBulk"]
    assert (report.created, report.rejected) == (2000, 0)
    # Each of twenty hundreds would take three that are too large; those alone do that waited at first.
    assert sum(size > 25 for size in sizes) <= 12


def test_no_more_credits_stop_everything_cleanly(own, ledger):
    """What was stored stays and is told; the rest is not sent, and comes with the next push."""
    own.world.writing.left = 130
    with pytest.raises(RequestRefused, match="notEnoughCredits") as caught:
        pushed(own, table_of(400), ledger)
    report = caught.value.report
    assert report.status == "stopped"
    assert report.created + report.unsent == 400
    assert (report.created, report.rejected, report.unknown) == (100, 0, 0)
    assert asked(ledger, "SELECT status, created, unsent, error FROM cargo._cargo_push_runs") == [
        ("stopped", 100, 300, "RequestRefused")
    ]
    own.world.writing.left = None
    assert pushed(own, table_of(400), ledger).created == 300


def first_company(box):
    return min(stored(box, model_of(box, "default", "companies")).values(), key=lambda row: row["_id"])


def test_an_update_that_clears_other_columns_is_noticed_on_one_row(own, ledger):
    """Nothing else is sent, and that row is as it was, but for what was to be changed."""
    own.world.writing.clears = True
    before = stored(own, model_of(own, "default", "companies"))
    domains = sorted(row["domain"] for row in before.values())
    since = len(own.world.writing.journal)
    with pytest.raises(WriteDiffers, match="cleared columns that it did not name"):
        pushed(own, pa.table({"domain": domains, "industry": ["x"] * len(domains)}), ledger, mode="update")
    after = stored(own, model_of(own, "default", "companies"))
    (key,) = {key for _, key, _ in written(own, since)}
    spec = own.world.spec_of(model_of(own, "default", "companies"))
    own_columns = {column.slug for column in spec.cols if column.kind == "original"}
    dates = {"foundedAt", "createdAt", "updatedAt"}
    kept = {name: value for name, value in before[key].items() if name in own_columns - dates - {"industry"}}
    assert {name: after[key][name] for name in kept} == kept
    assert after[key]["industry"] == "x"
    assert {other: row for other, row in after.items() if other != key} == {
        other: row for other, row in before.items() if other != key
    }


def test_dates_of_native_models_are_tried_on_one_row(own, ledger):
    """They are refused unless they are to be tried; where they get lost, one row has shown it, else all go in."""
    import datetime as dt

    moments = [dt.datetime(2026, 3, 1, 9, n, tzinfo=dt.UTC) for n in range(8)]
    table = table_of(8, foundedAt=moments)
    with pytest.raises(Exception, match="try_dates"):
        pushed(own, table, ledger)
    with pytest.raises(WriteDiffers, match="foundedAt"):
        pushed(own, table, ledger, try_dates=True)
    model = model_of(own, "default", "companies")
    assert sum(str(row["domain"]).startswith("row-") for row in stored(own, model).values()) == 1
    own.world.writing.keeps_dates = True
    report = pushed(own, table, ledger, try_dates=True)
    assert (report.created, report.updated) == (7, 1)
    found = {row["domain"]: row["foundedAt"] for row in stored(own, model).values()}
    assert found["row-3.example"] == "2026-03-01T09:03:00.000Z"
    assert pushed(own, table, ledger, try_dates=True).unchanged == 8


def test_a_record_that_goes_meanwhile_is_told(own, ledger):
    """An update passes over an identifier that nobody has: the row is rejected, not taken for done."""
    model = model_of(own, "default", "companies")
    rows = sorted(stored(own, model).values(), key=lambda row: row["_id"])
    table = pa.table({"domain": [row["domain"] for row in rows], "industry": ["y"] * len(rows)})

    def vanish(method, path, _body):
        if path == "storage/records/updateBulk" and not gone:
            gone.append(rows[-1]["_id"])
            own.world.writing.remove(model, gone)

    gone = []
    with proxied(own, before=vanish) as door, Workspace(own.token, door.url) as ws:
        report = ws.push(table, CALLED, key="domain", mode="update", ledger=ledger, limits=Limits(5, 100)).apply()
    assert (report.updated, report.rejected) == (len(rows) - 1, 1)
    assert asked(ledger, "SELECT record_id FROM cargo._cargo_push_rows WHERE status = 'rejected'") == [(gone[0],)]


def test_the_second_of_two_pushes_to_one_model_is_refused(own, ledger):
    """It names the first one's number; a lock of a dead process is none."""
    from cargo_source.push.ledger import _locks

    model = model_of(own, "default", "companies")
    with ledger_in(ledger).held(own.url, model, "first-run"), pytest.raises(Busy, match="push first-run"):
        pushed(own, table_of(1), ledger)
    # The right is the model's, whatever ledger somebody brings along.
    with ledger_in(ledger).held(own.url, model, "first-run"), pytest.raises(Busy, match="push first-run"):
        pushed(own, table_of(1), ledger.with_name("other.duckdb"))
    for owner in _locks().glob(f"{model}-*.lock"):
        owner.with_suffix(".running").write_text("push of-the-dead (process 1)\n")
    assert pushed(own, table_of(1), ledger).created == 1


def test_a_ledger_that_somebody_has_open_is_written_later(own, ledger, monkeypatch):
    """The push is done all the same; what it did goes into the ledger with the next one."""
    import subprocess
    import sys

    from cargo_source.push.ledger_places import DuckDbFile

    monkeypatch.setattr(DuckDbFile, "patience", 0.2)
    held = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", held, str(ledger)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    report = pushed(own, table_of(3), ledger)
    assert report.created == 3
    assert "with the next push" in report.notes[0]
    child.communicate()
    assert pushed(own, table_of(4), ledger).created == 1
    assert asked(ledger, "SELECT created FROM cargo._cargo_push_runs ORDER BY started_at") == [(3,), (1,)]


def test_keys_are_remembered_as_they_are_where_that_is_wanted(own, ledger):
    """By default they are digests; a retry finds its rows either way."""
    own.world.writing.refused["name"] = {"bad"}
    table = pa.table({"domain": ["one.example", "two.example"], "name": ["bad", "fine"]})
    for keys, found in (("hash", False), ("clear", True)):
        pushed(own, table, ledger, ledger_keys=keys)
        rows = asked(ledger, "SELECT key FROM cargo._cargo_push_rows WHERE status = 'rejected'")
        assert (("one.example",) in rows) == found
        with opened(own) as ws:
            assert ws.retry(table, ledger=ledger).counts.source == 1


def test_an_interrupted_push_tells_what_was_done(own, ledger):
    """Ctrl-C in the middle: the ledger has what is truly there, and the next push brings the rest."""

    def interrupt(what, rows, _total):
        if what == "rows" and rows:
            raise KeyboardInterrupt

    rows = len(stored(own, model_of(own, "default", "companies")))
    with opened(own) as ws:
        plan = ws.push(table_of(1500), CALLED, key="domain", ledger=ledger, limits=UNLIMITED).watched(interrupt)
        with pytest.raises(KeyboardInterrupt):
            plan.apply()
    there = len(stored(own, model_of(own, "default", "companies"))) - rows
    assert 0 < there < 1500
    ((created, unsent, unknown),) = asked(ledger, "SELECT created, unsent, unknown FROM cargo._cargo_push_runs")
    assert (created, unsent, unknown) == (there, 1500 - there, 0)
    assert pushed(own, table_of(1500), ledger).created == 1500 - there


@pytest.mark.parametrize("kind", ["lost_answer", "half_done"])
def test_keys_that_a_warehouse_keeps_as_decimals_are_found_again(shared, ledger, monkeypatch, kind):
    """A request says them as numbers; a row whose answer was lost is there once all the same."""
    asked_for = shapes._type_of
    monkeypatch.setattr(shapes, "_type_of", lambda kind: "decimal" if asked_for(kind) == "number" else asked_for(kind))
    shapes._physical_columns.cache_clear()
    model, keys = model_of(shared, "default", "deals"), [1000.1, 2000.25, 7.0]
    shared.faults.add(path="storage/records/createBulk", kind=kind, status=400, count=1)
    try:
        with as_it_was(shared, model), opened(shared) as ws:
            rows = pa.table({"amount": keys, "name": ["a", "b", "c"]})
            plan = ws.push(rows, "default.deals", key="amount", mode="insert", ledger=ledger, limits=UNLIMITED)
            assert next(each for each in plan._store.columns()[0] if each.slug == "amount").column.type == "decimal"
            assert plan.apply().created == 3
            found = [row["amount"] for row in stored(shared, model).values() if row["amount"] in keys]
            assert sorted(found) == sorted(keys)
    finally:
        shared.faults.clear()
        shapes._physical_columns.cache_clear()


def test_a_model_that_is_still_written_is_waited_for(own, ledger):
    """What another writer has just created is not there yet, and is not created once more."""
    model = model_of(own, "default", "companies")
    own.world.writing.delay = 0.1
    own.world.writing.create(model, [{"domain": "row-0.example"}])
    with opened(own) as ws:
        plan = ws.push(table_of(2), CALLED, key="domain", ledger=ledger)
    assert (plan.counts.creates, plan.counts.unchanged) == (1, 1)


def test_a_model_that_is_written_for_ever_is_not_pushed_to(own, ledger):
    """After a minute there is nothing to compare with: it is to be tried again later."""
    own.faults.add(path="storage/query*", kind="refreshing")
    with opened(own, 0.0) as ws, pytest.raises(Busy, match="push again later"):
        ws.push(table_of(2), CALLED, key="domain", ledger=ledger)


def test_what_a_killed_push_has_sent_last_is_waited_for(own, ledger):
    """A server may still be at it when the process that asked is gone, and the same command runs again at once."""
    model = model_of(own, "default", "companies")
    with opened(own, 0.03) as ws:
        ws.push(table_of(1), CALLED, key="domain", ledger=ledger)
        folder = ledger_in(ledger).folder
        folder.mkdir()
        cut_off = Journal(folder / f"{model}.killed.journal")
        cut_off.begin({"run_id": "killed", "workspace": "w", "model_uuid": model, "model": CALLED} | _HOW)
        cut_off.send("create", [{"seq": 1, "row": 0, "key": "k", "id": None}])
        cut_off.close()
        own.faults.add(path="storage/records/createBulk", kind="late_commit", seconds=0.1, count=1)
        body = {"modelUuid": model, "records": [{"data": {"domain": "row-0.example"}}]}
        with pytest.raises(NetworkFailed), ws._asking() as session:
            session.client.post("storage/records/createBulk", body)
        plan = ws.push(table_of(1), CALLED, key="domain", ledger=ledger)
        assert (plan.counts.creates, plan.counts.unchanged) == (0, 1)
        plan.apply()
    assert asked(ledger, "SELECT run_id, status, unknown FROM cargo._cargo_push_runs WHERE run_id = 'killed'") == [
        ("killed", "killed", 1)
    ]


_HOW = {"mode": "upsert", "key_column": "domain", "nulls": "write", "started_at": "2026-03-01T00:00:00+00:00"}


def test_what_a_push_that_was_cut_off_has_done_is_found_and_written_down(own, ledger, monkeypatch):
    """Its rows are the ledger's own then: nothing lists them as lost, and a mirror may remove them."""
    tell = Journal.tell

    def cut_off(journal, told):
        raise KeyboardInterrupt

    rows = pa.table({"domain": ["u1.example", "u2.example"], "name": ["a", "b"]})
    wish = {"key": "domain", "mode": "mirror", "ledger": ledger, "limits": UNLIMITED}
    with opened(own) as ws:
        monkeypatch.setattr(Journal, "tell", cut_off)
        with pytest.raises(KeyboardInterrupt):
            ws.push(rows, CALLED, **wish).apply()
        monkeypatch.setattr(Journal, "tell", tell)
        assert [each["status"] for each in ledger_in(ledger).rejects()] == ["unknown"] * 2
        report = ws.push(rows, CALLED, **wish).apply()
        assert (report.created, report.unchanged, len(report.notes)) == (0, 2, 1)
        assert ledger_in(ledger).rejects() == []
        monkeypatch.setattr(Journal, "tell", cut_off)
        with pytest.raises(KeyboardInterrupt):
            ws.push(rows.slice(1), CALLED, **wish).apply()
        monkeypatch.setattr(Journal, "tell", tell)
        assert len(ledger_in(ledger).rejects()) == 1
        assert ws.push(rows.slice(1), CALLED, **wish).apply().removed == 0
        assert ledger_in(ledger).rejects() == []
    kinds = "SELECT kind, status, count(*) FROM cargo._cargo_push_rows GROUP BY ALL ORDER BY ALL"
    assert asked(ledger, kinds) == [
        ("create", "created", 2),
        ("create", "unknown", 2),
        ("remove", "removed", 1),
        ("remove", "unknown", 1),
    ]
    assert {row["domain"] for row in stored(own, model_of(own, "default", "companies")).values()} >= {"u2.example"}
