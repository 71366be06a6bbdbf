"""Windows that are given from outside: together they give what one sync gives, and they leave the cursors alone."""

import copy
import itertools
import json
import logging
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cargo_source import backfill, cargo
from cargo_source.catalog import ENTITIES
from cargo_source.errors import BadSettings, PermissionDenied, SettingsError
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.pull.windows import Interval, interval_of, step_of
from cargo_source.sandbox import Sandbox
from tests.proxy import proxied
from tests.small import short_past, small_box
from tests.target import Target, differences, model_differences

TIMED = (
    "runs",
    "executions",
    "spans",
    "traces",
    "batches",
    "changes",
    "change_rows",
    "chats",
    "messages",
    "agent_runs",
)
MODELS = ("default.companies", "segment.tracks", "snowflake.usage_daily")
SOME = {"only": [*TIMED, "models", "datasets", "usage_metrics"], "models": list(MODELS)}
START = "2025-11-01"
"""Before any sandbox's workspace was made."""


def load(target: Target, box, window, *, step=None, parallel=1, report=None, **options):
    """Load a window, or a backfill of several."""
    pipeline = duckdb_pipeline(target.database, "cargo", target.folder / "state")
    source = cargo(box.token, box.url, window=window, **options)
    return backfill(pipeline, source, step=step, parallel=parallel, report=report)


def compared(target: Target, box) -> list[str]:
    """What differs in the tables of SOME."""
    found = differences(target, box, skip=set(ENTITIES) - set(SOME["only"]) | {"records"})
    with target.opened():
        for model in chosen_models(box):
            found += model_differences(target, box, model)
    return found


def chosen_models(box):
    datasets = {row["uuid"]: row["slug"] for row in box.truth("datasets")}
    return [row for row in box.truth("models") if f"{datasets[row['datasetUuid']]}.{row['slug']}" in MODELS]


def contents(target: Target) -> dict[str, list]:
    """Every cell that came from Cargo, table by table."""
    return {
        table: sorted(repr({k: v for k, v in row.items() if k != "_cargo_run_id"}) for row in target.rows(table))
        for table in sorted(target.tables())
    }


def state_of(target: Target) -> dict:
    pipeline = duckdb_pipeline(target.database, "cargo", target.folder / "state")
    return copy.deepcopy(pipeline.state.get("sources", {}).get("cargo", {}))


@pytest.fixture(scope="module")
def own_box():
    with short_past(evaluations=40):
        box = Sandbox(seed=61, companies=20)
    with box:
        yield box


def test_windows_one_after_another_give_what_one_sync_gives(target):
    """On an unseen seed, from an empty database: all tables after the last window, and after a usual sync."""
    seed = random.SystemRandom().randrange(10**6)
    with small_box(seed, companies=20) as box:
        report = load(target, box, (START, None), step=timedelta(days=random.Random(seed).randint(45, 55)), parallel=3)
        assert len(report.windows) > 2
        # Who was inside follows from all changes, so windows leave it to usual syncs.
        assert differences(target, box, skip={"segment_members"}) == [], f"seed {seed}"
        assert state_of(target).keys() == {"workspace", "begun"}
        box.advance(days=1)
        target.sync(box)
        assert differences(target, box) == [], f"seed {seed}"


def test_parallel_serial_and_one_window_are_the_same(tmp_path, own_box):
    """Cell by cell, whatever the steps and however many windows are read at once."""
    found = []
    for name, step, parallel in (("one", None, 1), ("serial", "13w", 1), ("parallel", "9w", 3)):
        (folder := tmp_path / name).mkdir()
        load(
            target := Target(folder),
            own_box,
            (START, None),
            step=step_of(step) if step else None,
            parallel=parallel,
            **SOME,
        )
        assert compared(target, own_box) == []
        found.append(contents(target))
    assert found[0] == found[1] == found[2]


CURSORS = {
    "runs": "updated_at",
    "batches": "updated_at",
    "spans": "execution_started_at",
    "traces": "started_at",
    "changes": "created_at",
    "default__companies": "_emitted_at",
    "segment__tracks": "_emitted_at",
}


@pytest.mark.parametrize("lane", ["export", "csv", "pages"])
def test_a_window_has_its_rows_and_no_other(target, own_box, lane):
    """Half-open, to the millisecond: what moved at the start is in it, what moved at the end is not."""
    moments = sorted(datetime.fromisoformat(row["updatedAt"]) for row in own_box.truth("runs"))
    start, end = moments[len(moments) // 3], moments[2 * len(moments) // 3]
    report = load(target, own_box, (start, end), lane=lane, **SOME)
    assert lane in {o.lane for o in report.total.outcomes if o.entity == "records"}
    models = {f"{t}": row["uuid"] for row in chosen_models(own_box) for t in CURSORS if t.endswith(f"__{row['slug']}")}
    for table, cursor in CURSORS.items():
        landed = sorted(row[cursor].astimezone(UTC) for row in target.rows(table)) if table in target.tables() else []
        truth = own_box.truth_rows(models[table]) if table in models else own_box.truth(table)
        times = [datetime.fromisoformat(row[cursor if table in models else camel(cursor)]) for row in truth]
        assert landed == sorted(moment for moment in times if start <= moment < end), table
        assert table in {"default__companies", "segment__tracks"} or landed


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def test_a_window_that_is_loaded_twice_changes_nothing_and_moves_no_cursor(target):
    """After usual syncs: tables and state are the same after a window, and after the same window again."""
    with small_box(62, companies=20) as box:
        target.sync(box, **SOME)
        box.advance(days=1)
        target.sync(box, **SOME)
        before, state = contents(target), state_of(target)
        window = (box.world.now - timedelta(days=20), box.world.now - timedelta(days=3))
        load(target, box, window, step=timedelta(days=9), **SOME)
        assert contents(target) == before
        assert state_of(target) == state
        box.advance(days=1)
        load(target, box, window, **SOME)
        assert state_of(target) == state
        target.sync(box, **SOME)
        assert compared(target, box) == []


def test_the_present_belongs_to_a_window_that_reaches_it(target, own_box, caplog):
    """One that ends later than Cargo's present is loaded until then, and says so; one that begins later is refused."""
    with caplog.at_level(logging.WARNING, logger="cargo_source"):
        load(target, own_box, (START, "2100-01-01"), **SOME)
    assert "ends after Cargo's present" in caplog.text
    assert compared(target, own_box) == []
    with pytest.raises(BadSettings, match="has not begun"):
        load(target, own_box, ("2100-01-01", "2100-01-02"), **SOME)


def test_a_schedulers_interval_is_taken_when_it_is_asked_for_and_not_else(tmp_path, own_box, monkeypatch):
    """A usual sync under a scheduler loads everything; external_window loads its interval and leaves the cursors."""
    middle = own_box.world.now - timedelta(days=10)
    monkeypatch.setenv("DLT_INTERVAL_START", (middle - timedelta(days=5)).isoformat())
    monkeypatch.setenv("DLT_INTERVAL_END", middle.isoformat())
    for name, external in (("usual", False), ("window", True)):
        (folder := tmp_path / name).mkdir()
        target = Target(folder)
        target.sync(own_box, only=["runs"], external_window=external)
        landed = [row["updated_at"] for row in target.rows("runs")]
        within = [moment for moment in landed if middle - timedelta(days=5) <= moment < middle]
        assert len(within) > 0
        assert (len(landed) == len(within)) is external
        assert ("resources" in state_of(target)) is not external


def test_a_scheduler_without_an_interval_is_refused(target, own_box, monkeypatch):
    """Zero width, which Airflow's @daily gives, would load nothing and be green; so would no interval at all."""
    monkeypatch.setenv("DLT_INTERVAL_START", "2026-01-01T00:00:00Z")
    monkeypatch.setenv("DLT_INTERVAL_END", "2026-01-01T00:00:00Z")
    with pytest.raises(BadSettings, match="CronDataIntervalTimetable"):
        target.sync(own_box, only=["runs"], external_window=True)
    monkeypatch.delenv("DLT_INTERVAL_END")
    with pytest.raises(BadSettings, match="there is no interval"):
        target.sync(own_box, only=["runs"], external_window=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": ("2026-03-01", "2026-03-01")}, "is empty"),
        ({"window": ("2026-03-02", "2026-03-01")}, "ends before it begins"),
        ({"window": ("soon", None)}, "is no time"),
        ({"window": ("2026-03-01", None), "since": "2026-01-01"}, "since"),
        ({"window": ("2026-03-01", None), "external_window": True}, "take one"),
    ],
    ids=["empty", "backwards", "no time", "since", "both"],
)
def test_a_window_that_makes_no_sense_is_refused(options, words):
    """It would load nothing, or not what was meant: that is said when the source is made."""
    with pytest.raises(BadSettings, match=words):
        cargo(token="t", **options)


def test_a_window_that_fails_stops_the_backfill_and_says_where_to_go_on(target, own_box, caplog):
    """Those before it are loaded, nothing of it or after it is; from there on the tables become whole."""
    from cargo_source import BackfillReport

    start = own_box.world.now - timedelta(days=40)
    poisoned = start + timedelta(days=20)

    def refuse(_method, path, params):
        after = params.get("updatedAfter")
        if (
            path == "orchestration/runs/list"
            and after
            and datetime.fromisoformat(after) >= poisoned - timedelta(days=1)
        ):
            return 403, {"reason": "forbidden", "message": "no"}
        return None

    report = BackfillReport("cargo", "cargo")
    only = {"only": ["runs", "executions", "changes"]}
    with (
        proxied(own_box, before=refuse) as other,
        caplog.at_level(logging.WARNING, logger="cargo_source"),
        pytest.raises(PermissionDenied),
    ):
        load(target, other, (start, None), step=timedelta(days=10), parallel=4, report=report, **only)
    assert [len(report.windows), report.failed.start] == [2, poisoned]
    assert f"--from {poisoned:%Y-%m-%dT%H:%M:%SZ}" in caplog.text
    assert max(row["updated_at"] for row in target.rows("runs")) < poisoned
    assert max(row["created_at"] for row in target.rows("changes")) < poisoned
    load(target, own_box, (START, None), step=timedelta(days=60), **only)
    skip = set(ENTITIES) - {"runs", "executions", "changes"}
    assert differences(target, own_box, skip=skip) == []


def test_windows_by_sql_are_the_same(target):
    """Old windows of runs and spans come by SQL where it has all columns, the present by lists."""
    only = ["runs", "executions", "spans"]
    with small_box(63, companies=20, sql_columns="all", sql_lag=3600) as box:
        report = load(target, box, (START, None), step=timedelta(days=40), parallel=2, only=only)
        lanes = [{o.table: o.lane for o in window.sync.outcomes}["spans"] for window in report.windows]
        assert "query" in lanes
        assert lanes[-1] == "window"
        assert differences(target, box, skip=set(ENTITIES) - set(only)) == []


def test_pseudonyms_are_those_of_a_usual_sync(tmp_path, own_box):
    """The same person is the same in rows of windows, of several at once, and of a sync."""
    found = []
    for name in ("sync", "windows"):
        (folder := tmp_path / name).mkdir()
        target = Target(folder)
        options = {"only": ["users"], "models": ["default.contacts"], "pii": {"email": "hash"}}
        if name == "sync":
            target.sync(own_box, **options)
        else:
            load(target, own_box, (START, None), step=timedelta(days=60), parallel=3, **options)
        found.append([sorted(str(r["email"]) for r in target.rows(table)) for table in ("users", "default__contacts")])
    assert found[0] == found[1]


def test_a_token_of_another_workspace_is_refused_in_a_window_too(target, own_box):
    """Windows belong to the workspace of the state, and a first window says whose it is."""
    load(target, own_box, (START, None), only=["roles"])
    with small_box(64, companies=20) as other, pytest.raises(SettingsError, match="belongs to workspace"):
        load(target, other, (START, None), only=["roles"])


def test_a_table_that_was_dropped_by_hand_is_made_again(target, own_box):
    """A window does not rest on what the destination held."""
    load(target, own_box, (START, None), only=["runs"])
    with target.opened() as db:
        db.execute("DROP TABLE cargo.runs")
    load(target, own_box, (START, None), only=["runs"])
    assert differences(target, own_box, skip=set(ENTITIES) - {"runs"}) == []


def test_rows_of_a_model_that_is_gone_are_not_among_those_of_its_namesake(target):
    """A window refuses a table that another model began, and the next usual sync makes it anew."""
    deals = {"only": ["models", "datasets"], "models": ["hubspot.deals"]}
    with small_box(65, companies=20) as box:
        load(target, box, (START, None), **deals)
        box.reshape.remove_model("hubspot.deals")
        box.reshape.add_model("hubspot.deals", [("name", "string")], rows=3)
        with pytest.raises(BadSettings, match="without a window"):
            load(target, box, (START, None), **deals)
        target.sync(box, **deals)
        assert target.query("SELECT count(*) FROM cargo.hubspot__deals") == [(3,)]
        load(target, box, (START, None), **deals)
        target.sync(box, **deals)
        assert target.query("SELECT count(*) FROM cargo.hubspot__deals") == [(3,)]


def test_a_retyped_column_stops_a_window_and_not_the_next_sync(target):
    """A window has but a part of the rows, so that it must not make the table anew; a usual sync does."""
    companies = {"only": ["models", "datasets"], "models": ["default.companies"]}
    with small_box(66, companies=20) as box:
        load(target, box, (START, None), **companies)
        before = len(target.rows("default__companies"))
        box.reshape.retype_column("default.companies", "industry", "object", "json_object('of', \"industry\")")
        with pytest.raises(BadSettings, match="industry has another type"):
            load(target, box, (START, None), **companies)
        assert target.types("default__companies")["industry"] == "VARCHAR"
        assert len(target.rows("default__companies")) == before
        target.sync(box, **companies)
        (model,) = [row for row in chosen_models(box) if row["slug"] == "companies"]
        assert model_differences(target, box, model) == []


def test_a_backfill_that_would_drop_its_own_windows_is_refused(target, own_box):
    """dlt's refresh drops tables at each load, and a backfill is several."""
    pipeline = duckdb_pipeline(target.database, "cargo", target.folder / "state")
    pipeline.refresh = "drop_sources"
    with pytest.raises(BadSettings, match="would drop"):
        backfill(pipeline, cargo(own_box.token, own_box.url, window=(START, None)), step=timedelta(days=30))


def test_lists_are_read_once_for_all_windows(target, own_box):
    """They are as they are now, whatever the window: one request each, and rows with the first window alone."""
    own_box.journal.clear()
    report = load(target, own_box, (START, None), step=timedelta(days=30), parallel=2, only=["agents", "workflows"])
    rows = [window.sync.rows for window in report.windows]
    assert rows == [len(own_box.truth("agents")) + len(own_box.truth("workflows")), *[0] * (len(rows) - 1)]
    assert report.total.requests == 2


moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - made aware right there


@given(start=moments, length=st.timedeltas(timedelta(milliseconds=1), timedelta(days=4000)), parts=st.integers(1, 500))
def test_steps_are_the_window_without_gap_or_overlap(start, length, parts):
    """Each begins where the one before it ended; all but the last are as long as the step; one brings the lists."""
    window = Interval(start, start + length)
    step = max(length / parts, timedelta(seconds=30))
    steps = list(window.steps(step))
    assert (steps[0].start, steps[-1].end) == (window.start, window.end)
    assert all(left.end == right.start for left, right in itertools.pairwise(steps))
    assert all(each.end - each.start == step for each in steps[:-1])
    assert timedelta(0) < steps[-1].end - steps[-1].start <= step + timedelta(seconds=1)
    assert [each.lists for each in steps] == [True, *[False] * (len(steps) - 1)]


@given(start=moments, end=moments, rows=st.lists(moments, max_size=20), parts=st.integers(1, 50))
def test_every_row_falls_into_one_step(start, end, rows, parts):
    """Whatever its time, a row of the window lands with one of its steps, and no other row does."""
    if end <= start:
        with pytest.raises(BadSettings):
            interval_of(start, end)
        return
    step = max((end - start) / parts, timedelta(milliseconds=1))
    spans = [each.span(end) for each in interval_of(start, end).steps(step)]
    for moment in [*rows, start, end]:
        assert sum(span.holds(moment) for span in spans) == (start <= moment < end)


@pytest.mark.parametrize("text", ["", "1", "d", "0d", "1y", "-1d", "1.5h", "1d1h"])
def test_a_step_that_cannot_be_read_is_refused(text):
    """A slip in --step is told with what can be written."""
    with pytest.raises(BadSettings, match="6h, 1d or 1w"):
        step_of(text)


def test_steps_are_read_as_they_are_written():
    """Minutes, hours, days and weeks."""
    days = [step_of(text) / timedelta(days=1) for text in ("36h", "1d", "2w", "720m")]
    assert days == [1.5, 1, 14, 0.5]


def test_a_slip_in_the_step_does_not_make_a_million_windows():
    """A year in minutes is refused before anything is read."""
    with pytest.raises(BadSettings, match="longer --step"):
        next(interval_of("2025-01-01", "2026-01-01").steps(timedelta(minutes=1)))


def test_the_report_names_each_window_and_sums_the_tables(target, own_box):
    """What scripts read: windows with their bounds and the id that their rows carry, and tables in sum."""
    start = own_box.world.now.replace(hour=0, minute=0) - timedelta(days=6)
    report = load(target, own_box, (start, start + timedelta(days=4)), step=timedelta(days=2), only=["runs", "spans"])
    told = json.loads(json.dumps(report.as_json()))
    assert [window["from"] for window in told["windows"]] == [
        f"{start:%Y-%m-%d}",
        f"{start + timedelta(days=2):%Y-%m-%d}",
    ]
    assert told["rows"] == sum(window["rows"] for window in told["windows"]) == sum(e["rows"] for e in told["entities"])
    assert {row["_cargo_run_id"] for row in target.rows("runs")} == {window["run_id"] for window in told["windows"]}
    assert told["failed_window"] is None
