"""Exports of runs, records and batches: status boards as csv, and inputs with outputs as csv or json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from cargo_source.sandbox.answers import Answer, Call, Refusal
from cargo_source.sandbox.exports import text_part
from cargo_source.sandbox.listings import Listing, among
from cargo_source.sandbox.operations import post
from cargo_source.sandbox.routes.batches import BATCH
from cargo_source.sandbox.routes.orchestration import RUN_FIELDS, RUNS
from cargo_source.sandbox.routes.work_records import FILTERS, RECORDS, UPDATED
from cargo_source.sandbox.shapes import Fields, integer, one_of, several, text, uuid

if TYPE_CHECKING:
    from collections.abc import Callable

    Answering = Callable[[Call], Answer]

Wire = dict[str, Any]

MOST_OUTPUTS = 10_000
"""How many runs or records an export of outputs may hold."""
NOT_EXPORTED = frozenset({"group"})
"""Kinds of batches whose runs are parts of other runs."""
_NAMES = {
    "uuid": "_uuid",
    "workspaceUuid": "_workspace_uuid",
    "workflowUuid": "_workflow_uuid",
    "recordId": "_record_id",
    "recordTitle": "_record_title",
    "createdAt": "_created_at",
    "finishedAt": "_finished_at",
    "status": "_status",
    "errorMessage": "_error_message",
}
_OPTIONS = ("outputNodeSlug", "format", "limit", "offset")


def _as_run(row: Wire) -> Wire:
    """Give a record the names of its run."""
    if "runUuid" not in row:
        return row
    return row | {"uuid": row["runUuid"], "recordId": row["id"], "recordTitle": row["title"]}


def _matching(call: Call, listing: Listing) -> list[Wire]:
    filters = {name: value for name, value in call.params.items() if name not in _OPTIONS}
    return [_as_run(row) for row in call.store.lists.matching(listing, filters)]


def _meta(run: Wire) -> Wire:
    return {name: run[field] for field, name in _NAMES.items()}


def _board(listing: Listing) -> Answering:
    def answer(call: Call) -> Answer:
        """Give one row for each run, and a column for each node slug that holds the execution's title."""
        slugs = _node_slugs(call)
        rows = [_meta(run) | _titles(run) for run in _matching(call, listing)]
        return Answer({"url": call.link(text_part(rows, [*_NAMES.values(), *slugs]), "csv")})

    return answer


def _node_slugs(call: Call) -> list[str]:
    """Give the slugs of a workflow's active nodes, each once; a workflow without any makes the server fail."""
    workflow = call.store.world.tables["workflows"].get(call.params["workflowUuid"])
    if workflow is None:
        raise Refusal(404, {"errorMessage": "workflow not found"})
    if workflow["deployedRelease"] is None:
        raise Refusal(500, {"errorMessage": "Internal Server Error"})
    return list(dict.fromkeys(node["slug"] for node in workflow["deployedRelease"]["nodes"]))


def _titles(run: Wire) -> Wire:
    return {each["nodeSlug"]: each["title"] for each in run["executions"]}


def _outputs(listing: Listing, reasons: tuple[str, str]) -> Answering:
    none_found, too_many = reasons

    def answer(call: Call) -> Answer:
        """Give one row for each run with what went in and what its last node, or the named one, gave."""
        start, limit = call.params.get("offset", 0), call.params.get("limit")
        runs = _matching(call, listing)[start:]
        runs = runs if limit is None else runs[:limit]
        if not runs:
            raise Refusal(400, {"reason": none_found})
        if len(runs) > MOST_OUTPUTS:
            raise Refusal(400, {"reason": too_many})
        return Answer({"url": _output_link(call, runs, call.params.get("format", "csv"))})

    return answer


def _output_link(call: Call, runs: list[Wire], file_format: str) -> str:
    rows = [_meta(run) | _in_and_out(run, call.params.get("outputNodeSlug")) for run in runs]
    if file_format == "json":
        return call.link_to(orjson.dumps(rows), len(rows))
    return call.link(text_part(rows, [*_NAMES.values(), "input", "output"]), "csv")


def _in_and_out(run: Wire, slug: str | None) -> Wire:
    """Give a tool's input, or the record of a play, and what a node answered: its last one if none is named."""
    done = [each for each in reversed(run["executions"]) if each["status"] != "pending"]
    chosen = next((each for each in done if slug in {None, each["nodeSlug"]}), None)
    output = {"status": chosen["status"], "title": chosen["title"]} if chosen else None
    return {"input": _input(run), "output": output}


def _input(run: Wire) -> Any:
    try:
        return orjson.loads(run["recordTitle"])
    except orjson.JSONDecodeError:
        return {"id": run["recordId"], "title": run["recordTitle"]}


def _batch(call: Call) -> Answer:
    batch = BATCH.found(call)
    if batch["finishedAt"] is None:
        raise Refusal(400, {"reason": "batchNotFinished"})
    if batch["data"]["kind"] in NOT_EXPORTED:
        raise Refusal(400, {"reason": "batchNotSupported"})
    filters = {"workflowUuid": batch["workflowUuid"], "batchUuid": batch["uuid"]}
    return Answer({"url": _output_link(call, call.store.lists.matching(RUNS, filters), "csv")})


_RUNS: Fields = {name: field for name, field in RUN_FIELDS.items() if name != "userUuid"}
_RUNS_CREATED: Fields = {name: field for name, field in _RUNS.items() if name not in UPDATED}
_UUIDS: Fields = {"uuids": several(uuid())}
_RUN_UUIDS: Fields = {"runUuids": several(uuid())}
_OUTPUT: Fields = {"outputNodeSlug": text(), "format": one_of("csv", "json"), "limit": integer(1), "offset": integer(0)}
BOARD = Listing(RUNS.table, RUNS.envelope, parent=RUNS.parent, tests={**RUNS.tests, "uuids": among("uuid")})

OPERATIONS = (
    post("/orchestration/runs/download", _board(BOARD), {**_RUNS, **_UUIDS}),
    post(
        "/orchestration/runs/download-outputs",
        _outputs(RUNS, ("noRunsFound", "tooManyRuns")),
        {**_RUNS_CREATED, **_OUTPUT},
    ),
    post("/orchestration/records/download", _board(RECORDS), {**FILTERS, **UPDATED, **_RUN_UUIDS}),
    post(
        "/orchestration/records/download-outputs",
        _outputs(RECORDS, ("noRecordsFound", "tooManyRecords")),
        {**FILTERS, **_RUN_UUIDS, **_OUTPUT},
    ),
    post("/orchestration/batches/{uuid}/download", _batch, {"outputNodeSlug": text()}),
)
