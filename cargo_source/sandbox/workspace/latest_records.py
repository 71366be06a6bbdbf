"""Orchestration records: the latest run of each record that went through a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

Wire = dict[str, Any]

UNRECORDED = frozenset({"idle", "skipped"})
"""Run statuses that a record cannot have: such runs have not touched it."""
_KEPT = (
    "traceUuid", "releaseUuid", "nodes", "batchUuid", "temporalWorkflowId", "contextS3Filename",
    "computedConfigsS3Filename",
)  # fmt: skip
_PARENTS = (
    "parentNodeUuid", "parentBatchUuid", "parentAgentUuid", "parentChatUuid", "parentMessageUuid", "isGroupParent",
)  # fmt: skip
_STATE = ("status", "errorMessage", "executions", "createdAt", "updatedAt", "finishedAt")


def latest_records(runs: Iterable[Wire]) -> dict[str, Wire]:
    """Return every record by `<workflowUuid>:<id>`, as its newest run left it."""
    latest: dict[str, Wire] = {}
    for run in runs:
        if run["status"] in UNRECORDED:
            continue
        key = f"{run['workflowUuid']}:{run['recordId']}"
        if key not in latest or run["createdAt"] >= latest[key]["createdAt"]:
            latest[key] = run
    return {key: _record(run) for key, run in latest.items()}


def _record(run: Wire) -> Wire:
    return {
        "workspaceUuid": run["workspaceUuid"],
        "workflowUuid": run["workflowUuid"],
        "userUuid": run["userUuid"],
        "id": run["recordId"],
        "title": run["recordTitle"],
        "runUuid": run["uuid"],
        **{key: run[key] for key in _KEPT},
        "parentRunUuid": run["parentUuid"],
        **{key: run[key] for key in (*_PARENTS, *_STATE)},
    }
