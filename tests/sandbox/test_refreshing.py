"""Storage runs that a client asks for: how they go, how they end, and which models have none."""

import pytest

from cargo_source.sandbox import Sandbox
from cargo_source.sandbox.moments import MINUTE
from tests.sandbox.asking import NOBODY, client, done, made, refused

RUNS = "/storage/runs"


@pytest.fixture(scope="module")
def shared():
    """One sandbox of this module's tests."""
    with Sandbox(seed=5, companies=20) as box:
        yield box


@pytest.fixture
def box(shared):
    """The same with no run under way that somebody asked for, and runs that take as long as they should."""
    yield shared
    shared.world.refreshing.delay = 0.0
    shared.world.writing.left = None
    shared.world.catch_up(at_once=True)
    shared.advance(minutes=2)


@pytest.fixture
def api(box):
    with client(box) as http:
        yield http


def fetched(box):
    """A model that a connector fills, of which no run is under way."""
    runs, models = box.world.storage_runs, box.world.tables["models"]
    return next(
        uuid
        for uuid, row in models.items()
        if row["kind"] == "connector" and not (row["isPaused"] or row["deletedAt"] or runs.is_under_way(uuid))
        if box.world.modelling.mode(row) == "fetch" and box.world.spec_of(uuid).emits
    )


def runs_of(api, model):
    return {run["uuid"]: run for run in done(api, "GET", f"{RUNS}/list", modelUuid=model)["runs"]}


def test_a_run_waits_and_then_has_ended_well(box, api):
    """It is listed like any other, and the next look finds it done; right after it there is nothing to fetch."""
    model = fetched(box)
    run = done(api, "POST", RUNS, {"modelUuid": model, "isForce": True})["run"]
    assert (run["status"], run["finishedAt"], run["modelUuid"]) == ("pending", None, model)
    found = runs_of(api, model)[run["uuid"]]
    assert found["status"] == "success"
    assert found["createdAt"] < found["finishedAt"] == found["updatedAt"]
    row = done(api, "GET", f"/storage/models/{model}")["model"]
    assert (row["lastRun"]["uuid"], row["lastRun"]["status"]) == (run["uuid"], "success")
    assert refused(api, "POST", RUNS, {"modelUuid": model}) == "upToDate"
    box.world.tick(MINUTE)
    assert done(api, "POST", RUNS, {"modelUuid": model})["run"]["status"] == "pending"


def test_a_run_may_take_its_time(box, api):
    """Meanwhile no second one begins, rows are told to be refreshing, and time that passes ends it."""
    model = fetched(box)
    box.world.refreshing.delay = 60
    answer = done(api, "POST", f"/storage/models/{model}/refresh")
    assert answer["isRefreshing"]
    assert answer["model"]["lastRun"]["status"] == "pending"
    uuid = answer["model"]["lastRun"]["uuid"]
    assert runs_of(api, model)[uuid]["status"] == "pending"
    assert done(api, "POST", "/storage/records/list", {"modelUuid": model})["isRefreshing"]
    assert refused(api, "POST", f"/storage/models/{model}/refresh") == "alreadySyncing"
    assert refused(api, "POST", RUNS, {"modelUuid": model, "isForce": True}) == "alreadyRunning"
    box.advance(minutes=1)
    assert runs_of(api, model)[uuid]["status"] == "success"
    assert not done(api, "POST", "/storage/records/list", {"modelUuid": model})["isRefreshing"]


def test_a_run_is_cancelled(box, api):
    """It ends there and then, once; a run that had not ended when the workspace began can be cancelled as well."""
    model = fetched(box)
    box.world.refreshing.delay = 60
    run = done(api, "POST", RUNS, {"modelUuid": model, "isForce": True})["run"]["uuid"]
    done(api, "POST", f"{RUNS}/{run}/cancel")
    found = runs_of(api, model)[run]
    assert (found["status"], found["finishedAt"]) == ("cancelled", found["updatedAt"])
    assert box.world.tables["models"][model]["lastRun"]["status"] == "cancelled"
    assert refused(api, "POST", f"{RUNS}/{run}/cancel") == "runAlreadyFinished"
    assert refused(api, "POST", f"{RUNS}/{NOBODY}/cancel") == "runNotFound"
    box.world.catch_up(at_once=True)
    assert runs_of(api, model)[run]["status"] == "cancelled"
    begun = next((row["uuid"] for row in box.truth("storage_runs") if row["status"] in {"pending", "running"}), None)
    if begun:
        done(api, "POST", f"{RUNS}/{begun}/cancel")


def test_a_reset_emits_every_row_again(box, api):
    """The rows are what they were, and all of them were emitted within the run."""
    model = fetched(box)
    before = {row["_id"]: row for row in box.truth_rows(model)}
    run = done(api, "POST", RUNS, {"modelUuid": model, "isReset": True})["run"]
    found = runs_of(api, model)[run["uuid"]]
    after = {row["_id"]: row for row in box.truth_rows(model)}
    (emitted,) = {row["_emitted_at"] for row in after.values()}
    assert after == {key: row | {"_emitted_at": emitted} for key, row in before.items()}
    assert found["createdAt"] < emitted <= found["finishedAt"]
    assert box.world.tables["models"][model]["lastEmittedAt"] == emitted


def test_models_that_have_no_runs_say_so(box, api):
    """Those that are filled by hand, those to which rows are posted, those that are paused, and those that are gone."""
    hand = made(api, box, "by_hand")["uuid"]
    models = box.world.tables["models"].values()
    hook = next(row["uuid"] for row in models if row["extractorSlug"] == "listenHook")
    assert refused(api, "POST", RUNS, {"modelUuid": hand}) == "modelNotCompatible"
    assert refused(api, "POST", RUNS, {"modelUuid": hook}) == "modelNotCompatible"
    assert refused(api, "POST", f"/storage/models/{hook}/refresh") == "failedToSyncFromClient"
    answer = done(api, "POST", f"/storage/models/{hand}/refresh")
    assert (answer["isRefreshing"], answer["model"]["lastRun"]) == (False, None)
    done(api, "DELETE", f"/storage/models/{hand}")
    for uuid in (hand, NOBODY):
        assert refused(api, "POST", RUNS, {"modelUuid": uuid}) == "modelNotFound"
        assert refused(api, "POST", f"/storage/models/{uuid}/refresh") == "modelNotFound"


def test_paused_models_and_spent_credits(box, api):
    """A model that is paused has no run, and neither has any once no row can be stored any more."""
    model = fetched(box)
    box.world.writing.left = 0
    assert refused(api, "POST", RUNS, {"modelUuid": model, "isForce": True}) == "notEnoughCredits"
    box.world.tables["models"][model]["isPaused"] = True
    try:
        assert refused(api, "POST", RUNS, {"modelUuid": model, "isForce": True}) == "modelIsPaused"
    finally:
        box.world.tables["models"][model]["isPaused"] = False
