"""What the workspace runs: workflows, plays, tools, and their runs, spans and traces."""

from __future__ import annotations

from typing import Any

from cargo_source.sandbox.answers import Answer, Call
from cargo_source.sandbox.listings import CAPPED_PAGING, PAGE, Getting, Listing, among, contains
from cargo_source.sandbox.operations import get, post
from cargo_source.sandbox.shapes import (
    Fields,
    boolean,
    integer,
    moment,
    one_of,
    required,
    several,
    structure,
    text,
    uuid,
)

Wire = dict[str, Any]

RUN_STATUSES = ("idle", "pending", "running", "success", "error", "cancelling", "cancelled", "skipped")
EXECUTION_STATUSES = ("pending", "success", "error")
TRACE_STATUSES = ("pending", "error", "degraded", "success")
NODE_KINDS = ("native", "connector", "tool", "agent")
SCHEDULES = ("cron", "dbt", "realtime", "dependency", "watch")
MOST_SPANS_OF_A_TRACE = 1000


def _scheduled(play: Wire, kind: str) -> bool:
    return play["schedule"] is not None and play["schedule"]["type"] == kind


def _is_finished(run: Wire, wanted: bool) -> bool:
    return (run["finishedAt"] is not None) == wanted


def executions_match(run: Wire, tree: Wire) -> bool:
    """Evaluate an executionsFilter: two levels, no groups match all."""
    groups = [
        _joined([_node_matches(run, each) for each in group["conditions"]], group["conjonction"])
        for group in tree["groups"]
    ]
    return _joined(groups, tree["conjonction"])


def _joined(results: list[bool], conjonction: str) -> bool:
    return any(results) if conjonction == "or" and results else all(results)


def _node_matches(run: Wire, condition: Wire) -> bool:
    found = [each for each in run["executions"] if each["nodeSlug"] == condition["nodeSlug"]]
    if condition["status"] == "absent":
        return not found
    value = condition.get("value", "").lower()
    return any(each["status"] == condition["status"] and value in (each["title"] or "").lower() for each in found)


def _most_spans(params: Wire) -> int:
    return MOST_SPANS_OF_A_TRACE if "traceUuid" in params else PAGE


def _run_with_context(call: Call) -> Answer:
    """Give a run with what its nodes answered, by node slug: the only call that does."""
    run = RUN.found(call)
    context = {
        each["nodeSlug"]: {"status": each["status"], "title": each["title"]}
        for each in run["executions"]
        if each["status"] != "pending"
    }
    configs = {each["nodeSlug"]: {"actionSlug": each.get("nodeActionSlug")} for each in run["executions"]}
    return Answer({"run": run, "runContext": context, "runComputedConfigs": configs})


RUN = Getting("runs", "run", "runNotFound")
PLAYS = Listing("plays", "plays", tests={"scheduleType": _scheduled})
RUNS = Listing(
    "runs",
    "runs",
    paged=True,
    counted=True,
    parent="workflowUuid",
    tests={
        "statuses": among("status"),
        "recordTitle": contains("recordTitle"),
        "recordTitleOrId": contains("recordTitle", "recordId"),
        "isFinished": _is_finished,
        "executionsFilter": executions_match,
    },
)
SPANS = Listing(
    "spans",
    "spans",
    newest="executionStartedAt",
    paged=True,
    counted=True,
    parent="traceUuid",
    most=_most_spans,
    tests={
        "recordTitle": contains("recordTitle"),
        "recordTitleOrId": contains("recordTitle", "recordId"),
        "executionTitle": contains("executionTitle"),
        "executionTitleOrErrorMessage": contains("executionTitle", "executionErrorMessage"),
        "executionStatuses": among("executionStatus"),
    },
)
TRACES = Listing(
    "traces",
    "traces",
    newest="startedAt",
    paged=True,
    counted=True,
    tests={"statuses": among("status")},
)

EXECUTIONS = structure(
    {
        "conjonction": required(one_of("or", "and")),
        "groups": required(
            several(
                structure(
                    {
                        "conjonction": required(one_of("or", "and")),
                        "conditions": required(
                            several(
                                structure(
                                    {
                                        "kind": required(one_of("node")),
                                        "nodeSlug": required(text()),
                                        "status": required(one_of("absent", *EXECUTION_STATUSES)),
                                        "value": text(),
                                    }
                                )
                            )
                        ),
                    }
                )
            )
        ),
    }
)
RUN_FIELDS: Fields = {
    # Optional in the vendor's client, required by the server (vendor guidance).
    "workflowUuid": required(uuid()),
    **dict.fromkeys(("userUuid", "batchUuid", "releaseUuid", "parentBatchUuid", "parentUuid"), uuid()),
    "parentNodeUuid": uuid(),
    "statuses": several(one_of(*RUN_STATUSES)),
    **dict.fromkeys(("isGroupParent", "isFinished"), boolean()),
    **dict.fromkeys(("recordId", "recordTitle", "recordTitleOrId"), text()),
    "executionsFilter": EXECUTIONS,
    **dict.fromkeys(("createdAfter", "createdBefore", "updatedAfter", "updatedBefore"), moment()),
}
_SPANS: Fields = {
    **dict.fromkeys(("workflowUuid", "userUuid", "batchUuid", "traceUuid", "runUuid", "parentRunUuid"), uuid()),
    **dict.fromkeys(("parentNodeUuid", "parentAgentUuid", "nodeUuid", "nodeConnectorUuid", "nodeToolUuid"), uuid()),
    **dict.fromkeys(("nodeAgentUuid", "nodeReleaseUuid"), uuid()),
    **dict.fromkeys(("recordId", "recordTitle", "recordTitleOrId", "nodeSlug", "nodeIntegrationSlug"), text()),
    **dict.fromkeys(("nodeActionSlug", "executionTitle", "executionTitleOrErrorMessage"), text()),
    "nodeKind": one_of(*NODE_KINDS),
    "executionStatuses": several(one_of(*EXECUTION_STATUSES)),
    "executionStartedAfter": required(moment()),
    "executionStartedBefore": moment(),
}
_TRACES: Fields = {
    **dict.fromkeys(("workflowUuid", "chatUuid", "agentUuid"), uuid()),
    "statuses": several(one_of(*TRACE_STATUSES)),
    "startedAfter": required(moment()),
    "startedBefore": moment(),
}
_PLAYS: Fields = {
    "isEnabled": boolean(),
    "modelUuid": uuid(),
    "segmentUuid": uuid(),
    "scheduleType": one_of(*SCHEDULES),
}

OPERATIONS = (
    get("/orchestration/workflows/list", Listing("workflows", "workflows")),
    get("/orchestration/plays/list", PLAYS, _PLAYS),
    get("/orchestration/plays/{uuid}", Getting("plays", "play", "playNotFound")),
    get("/orchestration/tools/list", Listing("tools", "tools")),
    get("/orchestration/tools/{uuid}", Getting("tools", "tool", "toolNotFound")),
    post("/orchestration/runs/list", RUNS, {**RUN_FIELDS, **CAPPED_PAGING}),
    post("/orchestration/runs/count", RUNS.count, RUN_FIELDS),
    get("/orchestration/runs/{uuid}", _run_with_context),
    post("/orchestration/spans/list", SPANS, {**_SPANS, "limit": integer(1, 1000), "offset": integer(0)}),
    post("/orchestration/spans/count", SPANS.count, _SPANS),
    post("/orchestration/traces/list", TRACES, {**_TRACES, **CAPPED_PAGING}),
    post("/orchestration/traces/count", TRACES.count, _TRACES),
    get("/orchestration/traces/{uuid}", Getting("traces", "trace", "traceNotFound")),
)
