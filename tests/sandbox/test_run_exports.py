"""Exports of runs, records and batches, and the counters of nodes."""

import csv
import gzip
import io
import json
from collections import Counter

import httpx
import pytest

from cargo_source.sandbox.routes import run_exports

META = [
    "_uuid", "_workspace_uuid", "_workflow_uuid", "_record_id", "_record_title", "_created_at", "_finished_at",
    "_status", "_error_message",
]  # fmt: skip
UNKNOWN = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


def fetched(answer):
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["url"]
    return httpx.get(answer.json()["url"]).raise_for_status().content


def rows_of(answer):
    content = fetched(answer)
    assert content[:2] == b"\x1f\x8b"
    return list(csv.DictReader(io.StringIO(gzip.decompress(content).decode())))


@pytest.fixture(scope="module")
def busiest(box):
    """The workflow with most runs, and its runs."""
    truth = box.truth("runs")
    workflow = Counter(run["workflowUuid"] for run in truth).most_common(1)[0][0]
    return workflow, [run for run in truth if run["workflowUuid"] == workflow]


def test_a_board_of_runs_has_their_state_and_titles(api, busiest):
    """One row for each run, the columns with an underscore, then a column for each node slug, once."""
    workflow, runs = busiest
    rows = rows_of(api.post("/orchestration/runs/download", json={"workflowUuid": workflow}))
    assert len(rows) == len(runs)
    by_uuid = {run["uuid"]: run for run in runs}
    assert list(rows[0])[: len(META)] == META
    assert list(rows[0])[len(META) :] == ["start", "enrich", "enrich_backup", "filter", "save", "end"]
    for row in rows:
        run = by_uuid.pop(row["_uuid"])
        assert row["_status"] == run["status"]
        assert row["_finished_at"] == (run["finishedAt"] or "")
        assert row["_record_title"] == run["recordTitle"]
        titles = {each["nodeSlug"]: each["title"] or "" for each in run["executions"]}
        assert titles.items() <= row.items()
    some = [run["uuid"] for run in runs[:3]]
    picked = rows_of(api.post("/orchestration/runs/download", json={"workflowUuid": workflow, "uuids": some}))
    assert {row["_uuid"] for row in picked} == set(some)


def test_a_board_without_runs_is_an_empty_file(api, busiest):
    """A filter that nothing passes gives the header alone."""
    sent = {"workflowUuid": busiest[0], "createdAfter": "2030-01-01T00:00:00Z"}
    content = gzip.decompress(fetched(api.post("/orchestration/runs/download", json=sent))).decode()
    assert content.splitlines()[0].startswith('"_uuid","_workspace_uuid"')
    assert len(content.splitlines()) == 1


def test_a_workflow_without_active_nodes_makes_the_board_fail(box, api):
    """The real server answers 500 there; a workflow that is not there is a 404."""
    idle = next(w["uuid"] for w in box.truth("workflows") if w["deployedRelease"] is None)
    for kind in ("runs", "records"):
        assert api.post(f"/orchestration/{kind}/download", json={"workflowUuid": idle}).status_code == 500
        assert api.post(f"/orchestration/{kind}/download", json={"workflowUuid": UNKNOWN}).status_code == 404


@pytest.mark.parametrize("file_format", ["csv", "json"])
def test_outputs_come_with_their_inputs(api, busiest, file_format):
    """csv or a JSON array: metadata, what went in, and what the last node, or a named one, gave."""
    workflow, runs = busiest
    by_uuid = {run["uuid"]: run for run in runs}
    sent = {"workflowUuid": workflow, "format": file_format}
    answers = [
        api.post("/orchestration/runs/download-outputs", json={**sent, **more})
        for more in ({}, {"outputNodeSlug": "save"})
    ]
    last, named = [json.loads(fetched(a)) if file_format == "json" else rows_of(a) for a in answers]
    assert len(last) == len(named) == len(runs)
    assert list(last[0]) == [*META, "input", "output"]
    for row, other in zip(last, named, strict=True):
        run = by_uuid[row["_uuid"]]
        given, got = (json.loads(row[k]) if isinstance(row[k], str) and row[k] else row[k] for k in ("input", "output"))
        assert given == {"id": run["recordId"], "title": run["recordTitle"]}
        done = [each for each in run["executions"] if each["status"] != "pending"]
        assert (got or None) == ({"status": done[-1]["status"], "title": done[-1]["title"]} if done else None)
        assert bool(other["output"]) == any(each["nodeSlug"] == "save" for each in done)


def test_outputs_are_paged_and_capped(api, busiest, monkeypatch):
    """limit and offset cut the export; more than fit, or none at all, is refused with its reason."""
    sent = {"workflowUuid": busiest[0]}
    whole = rows_of(api.post("/orchestration/runs/download-outputs", json=sent))
    part = rows_of(api.post("/orchestration/runs/download-outputs", json={**sent, "limit": 7, "offset": 5}))
    assert [row["_uuid"] for row in part] == [row["_uuid"] for row in whole][5:12]
    assert run_exports.MOST_OUTPUTS == 10_000
    monkeypatch.setattr(run_exports, "MOST_OUTPUTS", 5)
    for kind, reasons in (("runs", ("tooManyRuns", "noRunsFound")), ("records", ("tooManyRecords", "noRecordsFound"))):
        answer = api.post(f"/orchestration/{kind}/download-outputs", json=sent)
        assert (answer.status_code, answer.json()) == (400, {"reason": reasons[0]})
        assert api.post(f"/orchestration/{kind}/download-outputs", json={**sent, "limit": 5}).status_code == 200
        answer = api.post(f"/orchestration/{kind}/download-outputs", json={**sent, "batchUuid": UNKNOWN})
        assert (answer.status_code, answer.json()) == (400, {"reason": reasons[1]})


def test_records_are_exported_as_their_latest_run(box, api, busiest):
    """The board and the outputs of records have one row for each record, with its run."""
    workflow, _ = busiest
    records = [r for r in box.truth("orchestration_records") if r["workflowUuid"] == workflow]
    for path in ("download", "download-outputs"):
        rows = rows_of(api.post(f"/orchestration/records/{path}", json={"workflowUuid": workflow}))
        assert {(row["_record_id"], row["_uuid"], row["_status"]) for row in rows} == {
            (r["id"], r["runUuid"], r["status"]) for r in records
        }


def test_a_batch_is_exported_when_it_has_ended(box, api):
    """Its runs with their outputs; one under way is batchNotFinished, a group batchNotSupported, none batchNotFound."""
    batches, runs = box.truth("batches"), box.truth("runs")

    def export(batch):
        return api.post(f"/orchestration/batches/{batch['uuid']}/download", json={})

    ended = [b for b in batches if b["finishedAt"] and b["data"]["kind"] != "group"]
    for batch in (next(b for b in ended if b["runsCount"] > 1), next(b for b in ended if not b["runsCount"])):
        rows = rows_of(export(batch))
        assert {row["_uuid"] for row in rows} == {run["uuid"] for run in runs if run["batchUuid"] == batch["uuid"]}
    under_way = next(b for b in batches if not b["finishedAt"])
    group = next(b for b in batches if b["data"]["kind"] == "group")
    for batch, reason in ((under_way, "batchNotFinished"), (group, "batchNotSupported")):
        assert (export(batch).status_code, export(batch).json()) == (400, {"reason": reason})
    assert (export({"uuid": UNKNOWN}).status_code, export({"uuid": UNKNOWN}).json()) == (
        404,
        {"reason": "batchNotFound"},
    )


def test_links_expire_as_others_do(own):
    """A link of these exports is signed, holds for a while of the sandbox's time, and no longer."""
    workflow = own.box.truth("runs")[0]["workflowUuid"]
    url = own.api.post("/orchestration/runs/download", json={"workflowUuid": workflow}).json()["url"]
    assert httpx.get(url).status_code == 200
    own.box.world.tick(16 * 60 * 1000)
    assert httpx.get(url).status_code == 403


@pytest.mark.parametrize("kind", ["run", "record"])
def test_metrics_count_the_executions_of_each_node(box, api, busiest, kind):
    """Per node of the graph: executions by what became of them, and credits, over the runs that pass the filters."""
    workflow, runs = busiest
    records = [r for r in box.truth("orchestration_records") if r["workflowUuid"] == workflow]
    rows = runs if kind == "run" else records
    middle = sorted(row["createdAt"] for row in rows)[len(rows) // 2]
    for more, own in (({}, rows), ({"createdAfter": middle}, [r for r in rows if r["createdAt"] >= middle])):
        answer = api.post(f"/orchestration/{kind}s/metrics", json={"workflowUuid": workflow, **more}).json()
        found = {metric["nodeUuid"]: metric for metric in answer[f"{kind}Metrics"]}
        executions = [each for row in own for each in row["executions"]]
        assert found.keys() >= {each["nodeUuid"] for each in executions}
        for node, metric in found.items():
            of_node = [each for each in executions if each["nodeUuid"] == node]
            assert metric["totalExecutionsCount"] == len(of_node)
            assert metric["creditsUsedCount"] == sum(each["creditsUsedCount"] for each in of_node)
            assert metric["errorExecutionsCount"] == sum(each["status"] == "error" for each in of_node)
            states = [value for name, value in metric.items() if name.endswith("ExecutionsCount")]
            assert sum(states) == 2 * metric["totalExecutionsCount"]
    stopped = sum(metric["cancelledExecutionsCount"] for metric in found.values())
    assert stopped == sum(row["status"] == "cancelled" for row in own)
    assert api.post(f"/orchestration/{kind}s/metrics", json={"workflowUuid": UNKNOWN}).json() == {f"{kind}Metrics": []}
