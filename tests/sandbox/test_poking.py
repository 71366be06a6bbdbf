"""Single things that are let happen: each does what it says, and the rest of the workspace follows."""

import inspect

import jsonschema_rs
import pytest
import yaml

from cargo_source.sandbox import moments
from cargo_source.sandbox.entities import ENTITIES
from cargo_source.sandbox.truth import truth
from cargo_source.sandbox.world import World
from tests.sandbox import test_usage, test_world, test_world_runs
from tests.sandbox.test_world_contract import CONTRACT, SCHEMAS
from tests.sandbox.workspaces import digest, model_named

MINUTE = 60_000
MODEL = "default.companies"

ALWAYS = [
    test_world.test_spans_are_the_started_executions,
    test_world.test_traces_sum_up_their_spans,
    test_world.test_a_trace_has_one_root,
    test_world.test_runs_refer_to_what_exists,
    test_world.test_nodes_lead_to_the_runs_and_messages_they_started,
    test_world.test_chats_add_up_and_show_their_last_message,
    test_world.test_changes_count_their_rows,
    test_world.test_a_segments_changes_follow_each_other,
    test_world.test_plays_models_and_segments_agree,
    test_world.test_times_are_in_order_and_past,
    test_world_runs.test_a_batch_counts_its_runs,
    test_world_runs.test_a_workflow_shows_its_newest_batch,
    test_world_runs.test_a_record_is_the_latest_run_of_its_kind,
    test_world_runs.test_a_model_shows_its_newest_storage_run,
    test_usage.test_credits_are_those_of_spans_and_messages,
    test_usage.test_executions_are_those_that_ended,
    test_usage.test_inserted_records_are_those_that_were_made,
]
"""What has to hold of a workspace at any time, in the words of the tests of worlds that were left alone."""


@pytest.fixture(scope="module")
def world():
    """A small world that all these tests poke, one after the other."""
    return World(seed=29, companies=20)


@pytest.fixture(autouse=True)
def passing(world):
    """A minute lies between two tests."""
    world.tick(MINUTE)


def rows(world, model=MODEL):
    return {row["_id"]: row for row in world.warehouse.wire_rows(world.spec_of(model_named(world, model)["uuid"]))}


def iso(world, late=0):
    return moments.iso(world.moment - late)


def poked(seed):
    """A world in which everything that can be let happen has happened."""
    world = World(seed=seed, companies=20)
    poke, work = world.poke, world.poke.work
    for model in (MODEL, "snowflake.usage_daily", "hubspot.contacts"):
        world.tick(MINUTE)
        poke.add(model, 3)
        poke.add(model, 2, late=30 * MINUTE)
        ids = poke.ids(model)
        poke.change(model, ids[:3])
        poke.remove(model, ids[2:6])
        world.tick(MINUTE)
        poke.restore(model, ids[2:4])
        poke.restore(model, ids[4:5], anew=False)
    for segment in list(world.tables["segments"].values())[:12]:
        if not segment["deletedAt"]:
            world.tick()
            poke.evaluate(segment["uuid"])
    poke.rename("tools", next(iter(world.tables["tools"])), "Another name")
    for fate in ("success", "error", "running", "pending", "fallback"):
        for late in (0, 30 * MINUTE):
            world.tick(MINUTE)
            work.start_run(fate, late=late)
    for run, status in zip(work.open_runs(), ("success", "error", "cancelled", "running", "cancelling"), strict=False):
        world.tick()
        work.set_run_status(run, status)
    work.delete_run(next(uuid for uuid, run in world.tables["runs"].items() if run["status"] == "success"))
    for batch, status in zip(work.open_batches(), ("skipped", "error", "querying", "cancelled"), strict=False):
        world.tick()
        work.set_batch_status(batch, status)
    for status in ("success", "error", "generating"):
        world.tick(MINUTE)
        work.say(work.open_chat(late=30 * MINUTE), status)
        work.open_chat(status)
    for answer in work.open_answers():
        world.tick()
        work.end_answer(answer, "cancelled")
    world.tick(1000 - world.moment % 1000)
    return world


@pytest.fixture(scope="module", params=[3, 17])
def full(request):
    return poked(request.param)


@pytest.mark.parametrize("holds", ALWAYS, ids=lambda test: test.__name__)
def test_what_always_holds_still_does(full, holds):
    """References, counters, times and sums agree after each thing that was let happen."""
    named = {"world": full, "tables": full.tables}
    holds(**{name: named[name] for name in inspect.signature(holds).parameters})


def test_models_know_their_newest_row(full):
    """lastEmittedAt is the newest `_emitted_at`, whatever was added, changed, removed or put back."""
    for uuid, model in full.tables["models"].items():
        emitted = [row["_emitted_at"] for row in rows(full, full.spec_of(uuid).key).values() if "_emitted_at" in row]
        assert not emitted or model["lastEmittedAt"] == max(emitted)


def test_rows_still_fit_the_contract(full):
    """No object is of another shape than the API's."""
    components = yaml.load(CONTRACT.read_text(), Loader=yaml.CSafeLoader)["components"]
    for entity, name in SCHEMAS.items():
        check = jsonschema_rs.Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": components}, validate_formats=True
        )
        for row in truth(full, entity):
            assert [str(error) for error in check.iter_errors(row)] == [], entity
            assert not ENTITIES[entity].key or ENTITIES[entity].key_of(row)


def test_time_goes_on_after_it(full):
    """What was poked lives on: a day later everything agrees again."""
    later = poked(full.seed)
    later.advance(days=1)
    # A deployment leaves older runs with the release that they ran.
    for holds in set(ALWAYS) - {test_world.test_runs_refer_to_what_exists}:
        named = {"world": later, "tables": later.tables}
        holds(**{name: named[name] for name in inspect.signature(holds).parameters})


def test_the_same_pokes_give_the_same_bytes():
    """Nothing in it is left to chance."""
    assert digest(poked(5)) == digest(poked(5))


def test_rows_tie_on_one_moment(world):
    """Rows that are added or changed together are emitted in the same millisecond."""
    new = world.poke.add(MODEL, 4)
    world.tick(MINUTE)
    world.poke.change(MODEL, new[:2])
    now = rows(world)
    assert len(new) == 4
    assert {now[key]["_emitted_at"] for key in new[:2]} == {iso(world)}
    assert {now[key]["_emitted_at"] for key in new[2:]} == {iso(world, MINUTE)}


def test_late_rows_show_only_now(world):
    """A row that is late was emitted before, and the model may say that it moved no later than it did."""
    world.poke.add(MODEL)
    moved = model_named(world, MODEL)["lastEmittedAt"]
    (key,) = world.poke.add(MODEL, late=30 * MINUTE)
    assert rows(world)[key]["_emitted_at"] == iso(world, 30 * MINUTE)
    assert model_named(world, MODEL)["lastEmittedAt"] == moved == iso(world)


def test_rows_come_back_anew_or_as_they_were(world):
    """A row that returns has its `_id`, and unless it is emitted anew every cell that it had."""
    one, other = world.poke.ids(MODEL)[:2]
    before = rows(world)
    world.poke.remove(MODEL, [one, other])
    assert not {one, other} & rows(world).keys()
    assert {one, other} <= set(world.poke.removed_ids(MODEL))
    world.tick(MINUTE)
    world.poke.restore(MODEL, [one], anew=False)
    world.poke.restore(MODEL, [other])
    assert rows(world)[one] == before[one]
    assert rows(world)[other]["_emitted_at"] == iso(world)


def test_a_segment_is_evaluated_now_or_late(world):
    """A late evaluation lies before now, but never before the segment's last one."""
    uuid = next(uuid for uuid, segment in world.tables["segments"].items() if segment["lastChange"])
    found = []
    for late in (0, MINUTE // 2):
        world.tick(MINUTE)
        world.poke.evaluate(uuid, late=late)
        found.append(world.tables["segments"][uuid]["lastChange"]["createdAt"])
    assert found == [iso(world, MINUTE), iso(world, MINUTE // 2)]


def test_late_runs_and_chats_lie_in_the_past(world):
    """They show only now, and nothing of them happened after the moment that was asked for."""
    run = world.tables["runs"][world.poke.work.start_run(late=30 * MINUTE)]
    chat = world.tables["chats"][world.poke.work.open_chat(late=30 * MINUTE)]
    for row in (run, chat):
        assert iso(world, 34 * MINUTE) < row["createdAt"] <= row["updatedAt"] <= iso(world, 30 * MINUTE)


def test_what_moves_says_that_it_moved_now(world):
    """A status that changes moves the row's own time."""
    work = world.poke.work
    run, batch, chat = work.start_run("running"), work.open_batches()[0], work.quiet_chats()[0]
    world.tick(MINUTE)
    work.set_run_status(run, "error")
    work.set_batch_status(batch, "error")
    work.end_answer(work.say(chat, "generating"))
    for entity, uuid in (("runs", run), ("batches", batch), ("chats", chat)):
        assert world.tables[entity][uuid]["updatedAt"] == iso(world), entity


def test_the_revision_moves_with_each_poke(world):
    """Answers that were kept ready are made anew."""
    before = world.revision
    world.poke.add(MODEL)
    world.poke.work.start_run()
    world.poke.rename("tools", next(iter(world.tables["tools"])), "New")
    assert world.revision == before + 3


@pytest.mark.parametrize(
    "act",
    [
        lambda poke: poke.add("default.nothing"),
        lambda poke: poke.remove(MODEL, ["nothing"]),
        lambda poke: poke.restore(MODEL, poke.ids(MODEL)[:1]),
        lambda poke: poke.evaluate("nothing"),
        lambda poke: poke.rename("runs", "nothing", "name"),
        lambda poke: poke.work.set_run_status("nothing", "success"),
        lambda poke: poke.work.delete_run(poke.work.start_run("running")),
        lambda poke: poke.work.set_batch_status("nothing", "success"),
        lambda poke: poke.work.say("nothing"),
        lambda poke: poke.work.end_answer("nothing"),
    ],
)
def test_what_cannot_happen_is_refused(world, act):
    """A slip of a test shows, instead of doing nothing."""
    with pytest.raises(ValueError, match=r"there (is|are) no"):
        act(world.poke)
