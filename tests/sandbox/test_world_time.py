"""Time in the workspace: the same for the same seed, always forward, and only what happened moves."""

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from cargo_source.sandbox.world import World
from tests.sandbox.workspaces import digest, lived, model_named, rows_of, settled

LATE = timedelta(minutes=40)
SCRIPT = """
from tests.sandbox.workspaces import digest
from cargo_source.sandbox.world import World
world = World(seed=5, companies=30)
world.advance(days=1.2)
print(digest(world))
"""


@pytest.fixture(scope="module")
def stepped():
    """A world after a day and a bit more, one by one, and what it counted."""
    world = World(seed=5, companies=30)
    steps = [world.advance(days=1), world.advance(days=0.2)]
    return digest(world), steps


@pytest.fixture(scope="module")
def spare():
    """A world that tests may change one after the other."""
    return World(seed=3, companies=30)


@pytest.fixture(params=[0, 1], ids=["first day", "second day"])
def day(request):
    return lived().days[request.param]


def iso(moment):
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def moved(day, entity):
    """Rows of an entity that are new, and pairs of those that are different."""
    before, after = day.before.tables[entity], day.after.tables[entity]
    new = {key: row for key, row in after.items() if key not in before}
    changed = {key: (before[key], row) for key, row in after.items() if key in before and before[key] != row}
    return new, changed


def test_the_same_seed_gives_the_same_bytes_in_any_process(stepped):
    """Neither the process, nor its hash seed, nor its clock's zone shows in the workspace."""
    environment = os.environ | {"PYTHONHASHSEED": "4711", "TZ": "Pacific/Auckland"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == stepped[0]


def test_days_at_once_are_days_one_by_one(stepped):
    """A stretch of time leaves the same workspace, whether it passes in one step or day by day."""
    world = World(seed=5, companies=30)
    counts = world.advance(days=1.2)
    assert digest(world) == stepped[0]
    assert counts == {key: sum(step.get(key, 0) for step in stepped[1]) for key in counts}


def test_another_seed_is_another_workspace():
    """Uuids and names differ between seeds, and the start can be chosen."""
    start = datetime(2025, 5, 5, 5, 5, 5, 123000, tzinfo=UTC)
    one, other = World(seed=1, companies=20, start=start), settled()
    assert one.now == one.start == start
    assert other.now == datetime(2026, 3, 2, 9, tzinfo=UTC)
    for entity in one.tables.keys() - {"integrations"}:  # the vendor's catalogue is the same everywhere
        assert one.tables[entity].keys().isdisjoint(other.tables[entity].keys())
    names = [
        {row["name"] for row in rows_of(w)[model_named(w, "default.companies")["uuid"]].values()} for w in (one, other)
    ]
    assert names[0] != names[1]


def test_a_day_moves_rows_of_every_lively_model(day):
    """Rows are added, changed and removed in all lively models; on a later day some return under the same `_id`."""
    world = lived().world
    for uuid, before in day.before.rows.items():
        after, spec = day.after.rows[uuid], world.spec_of(uuid)
        model = day.after.tables["models"][uuid]
        if model["isPaused"] or model["deletedAt"]:
            assert after == before
            continue
        new, gone = after.keys() - before.keys(), before.keys() - after.keys()
        changed = {key for key in after.keys() & before.keys() if after[key] != before[key]}
        assert bool(new) == bool(spec.pace.adds), spec.key
        assert bool(gone) == bool(spec.pace.removes), spec.key
        assert bool(changed) == bool(spec.pace.changes), spec.key
    for kind in ("rowsAdded", "rowsChanged", "rowsRemoved", "rowsLate", "changes", "runsStarted", "chatsOpened"):
        assert day.counts[kind] > 0


def test_some_rows_return():
    """A row that went on the first day is back after the second, emitted anew."""
    first, second = lived().days
    back = 0
    for uuid, start in first.before.rows.items():
        gone = start.keys() - first.after.rows[uuid].keys()
        for key in gone & second.after.rows[uuid].keys():
            back += 1
            row = second.after.rows[uuid][key]
            assert "_emitted_at" not in row or row["_emitted_at"] > iso(first.after.now)
    assert back == second.counts["rowsReturned"] > 0


def test_rows_that_move_are_emitted_inside_the_day(day):
    """A changed or new row has its `_emitted_at` inside the day; a late one at most 40 minutes before it."""
    world, late = lived().world, 0
    low, high = iso(day.before.now), iso(day.after.now)
    for uuid, after in day.after.rows.items():
        for key, row in after.items() if world.spec_of(uuid).emits else ():
            old = day.before.rows[uuid].get(key)
            if row == old:
                continue
            assert row["_emitted_at"] <= high
            if row["_emitted_at"] <= low:
                assert old is None
                assert row["_emitted_at"] >= iso(day.before.now - LATE)
                late += 1
    assert late == day.counts["rowsLate"] > 0


def test_last_emitted_moves_with_the_rows_only(day):
    """A model says that its rows moved exactly when they did."""
    world = lived().world
    for uuid, before in day.before.tables["models"].items():
        after = day.after.tables["models"][uuid]
        same = day.before.rows[uuid] == day.after.rows[uuid]
        assert (before["lastEmittedAt"] == after["lastEmittedAt"]) == same, world.spec_of(uuid).key
        if world.spec_of(uuid).emits and day.after.rows[uuid]:
            assert after["lastEmittedAt"] == max(row["_emitted_at"] for row in day.after.rows[uuid].values())


@pytest.mark.parametrize(
    "entity",
    [
        *("runs", "chats", "messages", "segments", "agents", "agent_releases", "plays", "tools"),
        *("workflow_releases", "batches", "orchestration_records", "storage_runs"),
        *("users", "folders", "connectors", "libraries", "files", "mcp_servers", "memories", "votes"),
    ],
)
def test_what_changes_says_when(day, entity):
    """A row that is new or different was updated inside the day."""
    new, changed = moved(day, entity)
    assert new or changed
    low, high = iso(day.before.now), iso(day.after.now)
    for row in [*new.values(), *(row for _, row in changed.values())]:
        assert low < row["updatedAt"] <= high


def test_models_change_their_definition_without_their_rows(day):
    """A model that was only described anew moves updatedAt; its rows move lastEmittedAt, and its runs lastRun."""
    _, changed = moved(day, "models")
    for before, after in changed.values():
        differing = {key for key in after if after[key] != before[key]}
        assert differing <= {"lastEmittedAt", "lastRun", "description", "updatedAt"}
        assert ("description" in differing) == ("updatedAt" in differing)


def test_spans_and_traces_move_inside_the_day(day):
    """New spans start in the day or at most 40 minutes before it; older ones only finish."""
    low, high, earliest = iso(day.before.now), iso(day.after.now), iso(day.before.now - LATE)
    new, changed = moved(day, "spans")
    starts = [span["executionStartedAt"] for span in new.values()]
    assert earliest <= min(starts) < low
    assert max(starts) <= high
    for before, after in changed.values():
        assert (before["executionStatus"], after["executionStatus"]) == ("pending", "success")
        assert low < after["executionUpdatedAt"] == after["executionFinishedAt"] <= high
    new, changed = moved(day, "traces")
    assert new
    assert changed
    for trace in [*new.values(), *(row for _, row in changed.values())]:
        assert low < trace["updatedAt"] <= high
        assert trace["startedAt"] >= earliest or trace["uuid"] in changed


def test_unfinished_things_finish_and_others_begin(day):
    """Runs and messages that were under way end, and new ones are under way."""
    for entity in ("runs", "messages"):
        before = {key for key, row in day.before.tables[entity].items() if row["finishedAt"] is None}
        after = {key for key, row in day.after.tables[entity].items() if row["finishedAt"] is None}
        assert before - after, entity
        assert after - before, entity


def test_changes_are_appended(day):
    """A change once written stays as it is; new ones are of the day, and some bring rows in or out."""
    new, changed = moved(day, "changes")
    assert changed == {}
    assert all(iso(day.before.now) < change["createdAt"] <= iso(day.after.now) for change in new.values())
    for field in ("addedRecordsCount", "updatedRecordsCount", "removedRecordsCount"):
        assert any(change[field] for change in new.values())
    world = lived().world
    assert all(change["totalRecordsCount"] == len(world.change_rows[uuid]) for uuid, change in new.items())


def test_plays_run_on_what_entered_their_segment(day):
    """New runs of plays work on records that a change of the day brought."""
    world = lived().world
    changes, _ = moved(day, "changes")
    runs, _ = moved(day, "runs")
    brought = {row["_id"] for uuid in changes for row in world.change_rows[uuid] if row["_kind"] != "unchanged"}
    plays = {play["workflowUuid"] for play in world.tables["plays"].values()}
    played = [run for run in runs.values() if run["workflowUuid"] in plays and run["recordId"] in brought]
    assert len(played) >= 5


def test_agents_go_on_working(day):
    """Old chats get new messages, new chats begin, an agent gets a release, and agents call tools."""
    messages, _ = moved(day, "messages")
    old = day.before.tables["chats"]
    assert any(message["chatUuid"] in old for message in messages.values())
    assert any(message["chatUuid"] not in old for message in messages.values())
    releases, archived = moved(day, "agent_releases")
    assert len(releases) == len(archived) == day.counts["releases"]
    runs, _ = moved(day, "runs")
    assert any(run["parentMessageUuid"] for run in runs.values())


def test_what_held_at_the_start_holds_after_days():
    """Spans match executions, chats add up, traces sum up and counters count, also later."""
    world = lived().world
    tables = world.tables
    expected = {
        f"{run['uuid']}:{index}": execution["status"]
        for run in tables["runs"].values()
        for index, execution in enumerate(run["executions"])
        if execution["startedAt"]
    }
    assert expected == {key: span["executionStatus"] for key, span in tables["spans"].items()}
    spans = dict.fromkeys(tables["traces"], 0)
    for span in tables["spans"].values():
        spans[span["traceUuid"]] += span["executionCreditsUsedCount"]
    assert spans == {uuid: trace["creditsUsedCount"] for uuid, trace in tables["traces"].items()}
    used, last = dict.fromkeys(tables["chats"], 0), {}
    for message in tables["messages"].values():
        used[message["chatUuid"]] += message["usage"]["creditsUsedCount"] if message["usage"] else 0
        last[message["chatUuid"]] = max(last.get(message["chatUuid"], ""), message["createdAt"])
    assert used == {uuid: chat["creditsUsedCount"] for uuid, chat in tables["chats"].items()}
    assert last == {uuid: c["lastMessage"]["createdAt"] for uuid, c in tables["chats"].items() if c["lastMessage"]}


def test_minutes_pass_as_days_do(spare):
    """Short advances move the time exactly, stay inside it, and change little; none at all changes nothing."""
    world = spare
    for step in ({"minutes": 1}, {"minutes": 0.5}, {"hours": 1.25}, {"hours": 6}):
        before = world.now
        world.advance(**step)
        assert world.now - before == timedelta(**step)
        for entity in ("runs", "messages", "chats"):
            times = [row["updatedAt"] for row in world.tables[entity].values()]
            assert max(times) <= iso(world.now)
    state = digest(world)
    world.advance()
    assert digest(world) == state
    with pytest.raises(ValueError, match="forward"):
        world.advance(days=-1)


def test_touch_writes_right_now(spare):
    """A touch adds and changes the asked number of rows at this very moment, and moves the revision."""
    world = spare
    uuid = model_named(world, "default.companies")["uuid"]
    before, revision = rows_of(world)[uuid], world.revision
    world.touch(uuid, 4)
    after = rows_of(world)[uuid]
    assert len(after) == len(before) + 4
    fresh = [row for row in after.values() if row["_emitted_at"] == iso(world.now)]
    assert len(fresh) == 8
    assert world.tables["models"][uuid]["lastEmittedAt"] == iso(world.now)
    assert world.revision > revision


def test_a_tick_only_moves_the_time(spare):
    """Between two requests a moment may pass in which nothing happens."""
    world = spare
    tables = hashlib.sha256(str(world.tables).encode()).digest()
    before = world.now
    world.tick(5)
    assert world.now - before == timedelta(milliseconds=5)
    assert hashlib.sha256(str(world.tables).encode()).digest() == tables
