"""Releases of workflows, and the batches that set off their runs."""

from __future__ import annotations

from typing import Any

from cargo_source.sandbox.answers import Answer, Call, not_found
from cargo_source.sandbox.listings import PAGING, Getting, Listing, Test, among
from cargo_source.sandbox.operations import get
from cargo_source.sandbox.shapes import Fields, boolean, one_of, required, several, uuid

Wire = dict[str, Any]

RELEASE_STATUSES = ("draft", "deployed", "archived")
STATUSES = ("pending", "syncing", "skipped", "querying", "running", "success", "cancelling", "error", "cancelled")
DATA_KINDS = (
    "segment", "change", "filter", "recordIds", "watchedRecords", "records", "file", "runs", "group", "schedule",
    "form",
)  # fmt: skip
BATCH = Getting("batches", "batch", "batchNotFound")


def _parent(name: str) -> Test:
    """Test what started a batch: only a group's batch says so."""
    return lambda batch, value: batch["data"].get(name) == value


def _is_skipped(batch: Wire, wanted: bool) -> bool:
    return bool(batch["status"] == "skipped") == wanted


def _has_runs(batch: Wire, wanted: bool) -> bool:
    return bool(batch["runsCount"] > 0) == wanted


def _is_finished(batch: Wire, wanted: bool) -> bool:
    return (batch["finishedAt"] is not None) == wanted


def _kind_in(batch: Wire, kinds: list[str]) -> bool:
    return not kinds or batch["data"]["kind"] in kinds


def _kind_not_in(batch: Wire, kinds: list[str]) -> bool:
    return batch["data"]["kind"] not in kinds


def _deployed(call: Call) -> Answer:
    return _newest(call, "deployed", "releaseNotFound")


def _draft(call: Call) -> Answer:
    """Give the draft that every workflow has; so only the workflow can be missing."""
    return _newest(call, "draft", "workflowNotFound")


def _newest(call: Call, status: str, reason: str) -> Answer:
    found = call.store.lists.matching(RELEASES, {**call.params, "statuses": [status]})
    if not found:
        raise not_found(reason)
    return Answer({"release": found[0]})


RELEASES = Listing(
    "workflow_releases", "releases", paged=True, parent="workflowUuid", tests={"statuses": among("status")}
)
BATCHES = Listing(
    "batches",
    "batches",
    paged=True,
    tests={
        "uuids": among("uuid"),
        "workflowUuids": among("workflowUuid"),
        "statuses": among("status"),
        **{name: _parent(name) for name in ("parentBatchUuid", "parentRunUuid", "parentNodeUuid")},
        "hasRuns": _has_runs,
        "isSkipped": _is_skipped,
        "isFinished": _is_finished,
        "includedDataKinds": _kind_in,
        "excludedDataKinds": _kind_not_in,
    },
)

_BATCHES: Fields = {
    **PAGING,
    **dict.fromkeys(("uuids", "workflowUuids"), several(uuid())),
    **dict.fromkeys(("releaseUuid", "parentBatchUuid", "parentRunUuid", "parentNodeUuid"), uuid()),
    "statuses": several(one_of(*STATUSES)),
    **dict.fromkeys(("hasRuns", "isSkipped", "isFinished"), boolean()),
    **dict.fromkeys(("includedDataKinds", "excludedDataKinds"), several(one_of(*DATA_KINDS))),
}
_RELEASES: Fields = {
    **PAGING,
    **dict.fromkeys(("workflowUuid", "userUuid"), uuid()),
    "statuses": several(one_of(*RELEASE_STATUSES)),
}
_OF_WORKFLOW: Fields = {"workflowUuid": required(uuid())}

OPERATIONS = (
    get("/orchestration/releases/list", RELEASES, _RELEASES),
    get("/orchestration/releases/deployed", _deployed, _OF_WORKFLOW),
    get("/orchestration/releases/draft", _draft, _OF_WORKFLOW),
    get("/orchestration/releases/{uuid}", Getting("workflow_releases", "release", "releaseNotFound")),
    get("/orchestration/batches/list", BATCHES, _BATCHES),
    get("/orchestration/batches/{uuid}", BATCH),
)
