"""Batches, releases of workflows, records and storage runs: they agree with runs, workflows and models, always."""

import json
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from cargo_source.sandbox.world import World
from tests.sandbox.workspaces import lived, model_named, settled

UNFINISHED = {"idle", "pending", "running", "cancelling"}
ENDED = {"success", "error", "cancelled", "skipped"}


def worlds():
    return [settled(), settled(8), lived().world]


@pytest.fixture(params=range(3), ids=["seed 7", "seed 8", "after two days"])
def world(request):
    return worlds()[request.param]


@pytest.fixture(scope="module")
def hourly():
    """A world over which a day and a half has passed in uneven steps, and its tables after each step."""
    world, seen = World(seed=21, companies=40), []
    for hours in (0.02, 3, 7, 0.3, 12, 1, 13):
        world.advance(hours=hours)
        seen.append((f"{world.now:%Y-%m-%dT%H:%M:%S}", json.loads(json.dumps(world.tables["batches"]))))
    return world, seen


def by(rows, field):
    groups = defaultdict(list)
    for row in rows:
        groups[row[field]].append(row)
    return groups


def check_batches(world):
    runs = by(world.tables["runs"].values(), "batchUuid")
    batches = world.tables["batches"]
    assert runs.keys() - {None} <= batches.keys()
    for uuid, batch in batches.items():
        own = runs.get(uuid, [])
        assert {run["workflowUuid"] for run in own} <= {batch["workflowUuid"]}
        assert {(run["releaseUuid"], run["nodes"] is None) for run in own} <= {
            (batch["releaseUuid"], batch["nodes"] is None)
        }
        assert batch["runsCount"] == len(own)
        assert batch["executedRunsCount"] == sum(run["finishedAt"] is not None for run in own)
        assert batch["failedRunsCount"] == sum(run["status"] == "error" for run in own)
        assert batch["creditsUsedCount"] == sum(e["creditsUsedCount"] for run in own for e in run["executions"])
        assert all(batch["createdAt"] <= run["createdAt"] for run in own)
        assert all(run["finishedAt"] <= batch["updatedAt"] for run in own if run["finishedAt"])
        assert (batch["finishedAt"] is not None) == (batch["status"] in ENDED)
        assert batch["status"] not in ENDED or not any(run["status"] in UNFINISHED for run in own)
        assert (batch["errorMessage"] is not None) == (batch["status"] == "error")


def test_a_batch_counts_its_runs(world):
    """Each run's batch exists, is older, and of its workflow and release; counters, credits and end are its runs'."""
    check_batches(world)


def test_a_workflow_shows_its_newest_batch(world):
    """lastBatch is the newest batch of the workflow as it is now; a workflow that has none shows none."""
    batches = by(world.tables["batches"].values(), "workflowUuid")
    for uuid, workflow in world.tables["workflows"].items():
        newest = max(batches[uuid], key=lambda batch: batch["createdAt"]) if uuid in batches else None
        shown = workflow["lastBatch"]
        assert shown == (newest and {key: newest[key] for key in shown})


def test_batches_name_what_exists(world):
    """Segments, changes, records, runs and parents in a batch's data exist, and were there before it."""
    tables, kinds = world.tables, Counter()
    for batch in tables["batches"].values():
        data = batch["data"]
        kinds[data["kind"]] += 1
        assert data.get("segmentUuid") in {None, *tables["segments"]}
        assert data.get("modelUuid") in {None, *tables["models"]}
        if "changeUuid" in data:
            change = tables["changes"][data["changeUuid"]]
            assert change["segmentUuid"] == data["segmentUuid"]
            assert change["createdAt"] <= batch["createdAt"]
            if data["kind"] == "schedule":
                assert {key: change[key] for key in change if key.endswith("RecordsCount")}.items() <= data.items()
        if data["kind"] == "runs":
            assert data["filter"]["uuids"]
            for run in data["filter"]["uuids"]:
                assert tables["runs"][run]["createdAt"] < batch["createdAt"]
        if data["kind"] == "group":
            parent = tables["runs"][data["parentRunUuid"]]
            assert any(each["nodeBatchUuid"] == batch["uuid"] for each in parent["executions"])
            assert (parent["batchUuid"], parent["traceUuid"]) == (data["parentBatchUuid"], batch["traceUuid"])
        assert (batch["releaseUuid"] is None) != (batch["nodes"] is None)
    assert len(kinds) == 11


def test_releases_are_tried_with_records_or_inputs():
    """What a play is tried with are rows of its model, by their ids; what a tool is tried with are inputs."""
    world, kinds = settled(), Counter()
    for release in world.tables["workflow_releases"].values():
        spec = world.plans[release["workflowUuid"]].spec
        for record in release["testRecords"]:
            kinds[record["kind"]] += 1
            assert record["kind"] == ("id" if spec else "data")
            if spec:
                found = world.db.execute(f"SELECT 1 FROM {world.warehouse.table(spec)} WHERE _id = ?", [record["id"]])
                assert found.fetchone()
    assert min(kinds.values()) > 10


def test_forms_sign_with_a_secret_that_is_easy_to_recognise():
    """Every form's webhook has a made-up secret of its own."""
    forms = [b["data"] for b in settled().tables["batches"].values() if b["data"]["kind"] == "form"]
    secrets = {form["webhookSecret"] for form in forms}
    assert len(secrets) == len(forms) >= 3
    assert all(secret.startswith("sandbox-secret-") for secret in secrets)


def test_batches_only_move_forward(hourly):
    """A batch that ended stays as it was; one that moved says so, is not always its workflow's newest, and may wait."""
    world, seen = hourly
    check_batches(world)
    moved_behind = 0
    for (_, before), (now, after) in pairwise(seen):
        newest = {}
        for batch in after.values():
            if batch["createdAt"] > newest.get(batch["workflowUuid"], ("",))[0]:
                newest[batch["workflowUuid"]] = (batch["createdAt"], batch["uuid"])
        for uuid, batch in before.items():
            if batch["status"] in ENDED:
                assert after[uuid] == batch
            if after[uuid] != batch:
                assert batch["updatedAt"] < after[uuid]["updatedAt"] <= f"{now}.999Z"
                assert batch["createdAt"] == after[uuid]["createdAt"]
                moved_behind += newest[batch["workflowUuid"]][1] != uuid
    first, last = seen[0][1], seen[-1][1]
    waited = {uuid for uuid, batch in first.items() if batch["finishedAt"] is None and not last[uuid]["finishedAt"]}
    assert moved_behind
    assert waited
    assert any(batch["finishedAt"] is None and last[uuid]["finishedAt"] for uuid, batch in first.items())


def test_releases_lead_to_what_is_deployed(world):
    """A workflow has one draft, and shows its deployed release field by field; runs and batches name releases."""
    tables = world.tables
    releases = by(tables["workflow_releases"].values(), "workflowUuid")
    for uuid, workflow in tables["workflows"].items():
        statuses = Counter(release["status"] for release in releases[uuid])
        shown = workflow["deployedRelease"]
        assert statuses["draft"] == 1
        assert statuses["deployed"] == (shown is not None)
        if shown:
            deployed = tables["workflow_releases"][shown["uuid"]]
            assert (deployed["status"], shown) == ("deployed", {key: deployed[key] for key in shown})
        for release in releases[uuid]:
            parent = release["parentUuid"]
            assert parent is None or tables["workflow_releases"][parent]["workflowUuid"] == uuid
    for entity in ("runs", "batches"):
        for row in tables[entity].values():
            if row["releaseUuid"]:
                assert tables["workflow_releases"][row["releaseUuid"]]["workflowUuid"] == row["workflowUuid"]


def test_scripts_in_releases_hold_secrets_that_are_easy_to_recognise():
    """The environment of a script's node has a made-up secret, in drafts and in what was archived."""
    releases = [r for r in settled().tables["workflow_releases"].values() if "secretValue" in json.dumps(r)]
    assert {release["status"] for release in releases} == {"draft", "archived"}
    for release in releases:
        secrets = [entry["secretValue"] for node in release["nodes"] for entry in node["config"].get("env", ())]
        assert secrets
        assert all(secret.startswith("sandbox-secret-") for secret in secrets)


@pytest.mark.parametrize("day", [0, 1])
def test_drafts_are_edited_where_they_are_and_deployed_now_and_then(day):
    """An edit moves the draft and no workflow; a deployment archives the old release and moves the workflow."""
    day = lived().days[day]
    before, after = day.before.tables, day.after.tables
    edited = deployed = 0
    for uuid, release in before["workflow_releases"].items():
        now = after["workflow_releases"][uuid]
        if now == release:
            continue
        workflow = release["workflowUuid"]
        touched = before["workflows"][workflow]["updatedAt"] != after["workflows"][workflow]["updatedAt"]
        if release["status"] == now["status"] == "draft":
            edited += 1
            assert release["nodes"] != now["nodes"]
            assert not touched
        elif release["status"] == "draft":
            deployed += 1
            assert now["status"] == "deployed"
            assert touched
            assert after["workflows"][workflow]["deployedRelease"]["uuid"] == uuid
        else:
            assert (release["status"], now["status"]) == ("deployed", "archived")
    assert 0 < edited <= day.counts["draftsEdited"]
    assert deployed == day.counts["workflowReleases"] > 0


def test_runs_name_the_release_that_is_deployed_when_they_start():
    """After a deployment new runs of the workflow name the new release, old runs keep theirs."""
    first = lived().days[0]
    after = lived().world.tables
    new = {uuid: run for uuid, run in after["runs"].items() if uuid not in first.after.tables["runs"]}
    deployed = {w["uuid"]: (w["deployedRelease"] or {}).get("uuid") for w in first.after.tables["workflows"].values()}
    for uuid, run in first.after.tables["runs"].items():
        assert after["runs"][uuid]["releaseUuid"] == run["releaseUuid"]
    assert any(run["releaseUuid"] == deployed[run["workflowUuid"]] for run in new.values())


def test_a_record_is_the_latest_run_of_its_kind(world):
    """Each (workflow, record) shows its newest run that touched it, with that run's status, executions and parents."""
    latest = {}
    for run in world.tables["runs"].values():
        key = (run["workflowUuid"], run["recordId"])
        if run["status"] not in {"idle", "skipped"} and run["createdAt"] >= latest.get(key, run)["createdAt"]:
            latest[key] = run
    records = {(r["workflowUuid"], r["id"]): r for r in world.tables["orchestration_records"].values()}
    assert records.keys() == latest.keys()
    renamed = {"runUuid": "uuid", "id": "recordId", "title": "recordTitle", "parentRunUuid": "parentUuid"}
    for key, record in records.items():
        assert record == {field: latest[key][renamed.get(field, field)] for field in record}


def test_a_model_shows_its_newest_storage_run(world):
    """lastRun is the model's newest run as it is now; runs do not overlap; one of them emitted the newest row."""
    runs = by(world.tables["storage_runs"].values(), "modelUuid")
    assert runs.keys() <= world.tables["models"].keys()
    for uuid, model in world.tables["models"].items():
        own = sorted(runs.get(uuid, []), key=lambda run: run["createdAt"])
        shown = model["lastRun"]
        assert (shown is None) == (own == []) == (model["kind"] == "native")
        if not own:
            continue
        assert shown == {key: own[-1][key] for key in shown}
        for earlier, later in pairwise(own):
            assert earlier["finishedAt"] is not None
            assert earlier["finishedAt"] <= later["createdAt"]
        emitted = [run for run in own if run["createdAt"] <= model["lastEmittedAt"] <= (run["finishedAt"] or "9")]
        assert emitted, world.spec_of(uuid).key
        assert emitted[-1]["status"] != "pending"


def test_storage_runs_start_and_end_with_the_rows():
    """Rows that moved came with a run of that day; runs that were under way end, and others begin."""
    for day in lived().days:
        before, after = day.before.tables, day.after.tables
        low = f"{day.before.now:%Y-%m-%dT%H:%M:%S.000Z}"
        for uuid, model in after["models"].items():
            if model["lastRun"] and model["lastEmittedAt"] != before["models"][uuid]["lastEmittedAt"]:
                own = [run for run in after["storage_runs"].values() if run["modelUuid"] == uuid]
                assert any(run["status"] == "success" and run["finishedAt"] > low for run in own)
        under_way = {uuid for uuid, run in before["storage_runs"].items() if run["finishedAt"] is None}
        assert any(after["storage_runs"][uuid]["finishedAt"] for uuid in under_way)
        assert any(run["finishedAt"] is None for run in after["storage_runs"].values())


def test_a_touch_is_a_storage_run():
    """Rows that are written into a connector's model right now came with a run of right now."""
    world = World(seed=3, companies=30)
    for key in ("hubspot.contacts", "stripe.invoices", "apollo.people"):
        model = model_named(world, key)
        world.touch(model["uuid"], 2)
        now = f"{world.now:%Y-%m-%dT%H:%M:%S}.000Z"
        assert model["lastRun"]["finishedAt"] == now
        assert model["lastRun"]["createdAt"] <= model["lastEmittedAt"] == now
