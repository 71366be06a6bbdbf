"""The records that went through workflows, and the counters of nodes, by run and by record."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.answers import Answer, Call
from cargo_source.sandbox.listings import CAPPED_PAGING, Listing, among, contains
from cargo_source.sandbox.operations import post
from cargo_source.sandbox.routes.orchestration import EXECUTIONS, RUNS, executions_match
from cargo_source.sandbox.shapes import Fields, boolean, moment, one_of, required, several, text, uuid

if TYPE_CHECKING:
    from collections.abc import Iterable

Wire = dict[str, Any]

STATUSES = ("pending", "running", "success", "error", "cancelled", "cancelling")
RUN_STATES = ("idle", "pending", "running", "success", "error", "cancelled", "cancelling", "skipped")
_STOPPED = frozenset({"cancelled", "skipped"})

RECORDS = Listing(
    "orchestration_records",
    "records",
    paged=True,
    counted=True,
    parent="workflowUuid",
    tests={
        "ids": among("id"),
        "title": contains("title"),
        "titleOrId": contains("title", "id"),
        "statuses": among("status"),
        "runUuids": among("runUuid"),
        "executionsFilter": executions_match,
    },
)


def _run_metrics(call: Call) -> Answer:
    found = _metrics(call, RUNS, RUN_STATES)
    return Answer({"runMetrics": found}, "runMetrics", len(found))


def _record_metrics(call: Call) -> Answer:
    found = _metrics(call, RECORDS, STATUSES)
    return Answer({"recordMetrics": found}, "recordMetrics", len(found))


def _metrics(call: Call, listing: Listing, states: tuple[str, ...]) -> list[Wire]:
    """Count executions by node, in the order of the graph; a node that never ran has zeros."""
    counts: dict[str, Counter[str]] = {}
    used: dict[str, float] = {}
    for node, state, credits_used in _states(call.store.lists.matching(listing, call.params)):
        counts.setdefault(node, Counter())[state] += 1
        used[node] = used.get(node, 0) + credits_used
    plan = call.store.world.plans.get(call.params["workflowUuid"])
    nodes = [node["uuid"] for node in plan.graph.nodes] if plan else []
    return [
        _metric(node, counts.get(node, Counter()), states) | {"creditsUsedCount": used.get(node, 0)} for node in nodes
    ]


def _metric(node: str, counts: Counter[str], states: tuple[str, ...]) -> Wire:
    return {
        "nodeUuid": node,
        "totalExecutionsCount": counts.total(),
        **{f"{state}ExecutionsCount": counts[state] for state in states},
    }


def _states(rows: Iterable[Wire]) -> Iterable[tuple[str, str, float]]:
    """Name what became of each execution; one that hangs, or at which its run was stopped, stands as its run does."""
    for row in rows:
        last = len(row["executions"]) - 1
        for place, execution in enumerate(row["executions"]):
            stopped = place == last and row["status"] in _STOPPED
            state = row["status"] if stopped or execution["status"] == "pending" else execution["status"]
            yield execution["nodeUuid"], state, execution["creditsUsedCount"]


FILTERS: Fields = {
    # As for runs: optional in the vendor's client, required by the server.
    "workflowUuid": required(uuid()),
    **dict.fromkeys(("releaseUuid", "batchUuid", "parentBatchUuid", "parentRunUuid", "parentNodeUuid"), uuid()),
    "ids": several(text()),
    **dict.fromkeys(("title", "titleOrId"), text()),
    "statuses": several(one_of(*STATUSES)),
    "isGroupParent": boolean(),
    "executionsFilter": EXECUTIONS,
    **dict.fromkeys(("createdAfter", "createdBefore"), moment()),
}
UPDATED: Fields = dict.fromkeys(("updatedAfter", "updatedBefore"), moment())
_LIST: Fields = {**FILTERS, **UPDATED, "userUuid": uuid()}
_METRICS: Fields = {
    "workflowUuid": required(uuid()),
    **dict.fromkeys(("releaseUuid", "batchUuid"), uuid()),
    **dict.fromkeys(("createdAfter", "createdBefore"), moment()),
}

OPERATIONS = (
    post("/orchestration/records/list", RECORDS, {**_LIST, **CAPPED_PAGING}),
    post("/orchestration/records/count", RECORDS.count, _LIST),
    post("/orchestration/records/metrics", _record_metrics, _METRICS),
    post("/orchestration/runs/metrics", _run_metrics, _METRICS),
)
