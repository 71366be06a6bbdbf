"""Spans, unfolded from the executions of runs, and traces, summed up from spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cargo_source.sandbox.world import World

Wire = dict[str, Any]


class Traces:
    """Keeps spans and traces in step with the runs that were noted."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._runs: dict[str, dict[str, None]] = {}
        self._chats: dict[str, Wire] = {}
        self._moved: dict[str, None] = {}

    def note(self, run: Wire) -> None:
        """Remember that a run began or moved."""
        trace = run["traceUuid"]
        self._runs.setdefault(trace, {})[run["uuid"]] = None
        self._moved[trace] = None
        self._unfold(run)

    def root_in(self, chat: Wire) -> None:
        """Remember that a trace grows from a chat and not from a run."""
        self._chats[chat["traceUuid"]] = chat

    def settle(self) -> None:
        """Sum up every trace whose runs moved."""
        for uuid in self._moved:
            self._world.tables["traces"][uuid] = self._summed(uuid)
        self._moved = {}

    def _unfold(self, run: Wire) -> None:
        spans = self._world.tables["spans"]
        for index, execution in enumerate(run["executions"]):
            if execution["startedAt"] is not None:
                spans[f"{run['uuid']}:{index}"] = _span(run, index, execution)

    def _spans(self, trace: str) -> Iterator[Wire]:
        spans = self._world.tables["spans"]
        for uuid in self._runs[trace]:
            for index in range(len(self._world.tables["runs"][uuid]["executions"])):
                span = spans.get(f"{uuid}:{index}")
                if span:
                    yield span

    def _summed(self, uuid: str) -> Wire:
        spans = list(self._spans(uuid))
        pending = sum(span["executionStatus"] == "pending" for span in spans)
        failed = sum(span["executionStatus"] == "error" for span in spans)
        return {
            "uuid": uuid,
            "workspaceUuid": self._world.team.workspace_uuid,
            **self._root(uuid, spans),
            "spansCount": len(spans),
            "failedSpansCount": failed,
            "pendingSpansCount": pending,
            "succeededSpansCount": len(spans) - pending - failed,
            "creditsUsedCount": sum(span["executionCreditsUsedCount"] for span in spans),
            "startedAt": min(span["executionStartedAt"] for span in spans),
            "finishedAt": None if pending else max(span["executionFinishedAt"] for span in spans),
            "updatedAt": max(span["executionUpdatedAt"] for span in spans),
            "status": _status(spans),
        }

    def _root(self, uuid: str, spans: list[Wire]) -> Wire:
        """Name the root: the run without parents, or the chat in which everything began."""
        runs = [self._world.tables["runs"][run] for run in self._runs[uuid]]
        first = min(spans, key=lambda span: str(span["executionStartedAt"]))
        chat = self._chats.get(uuid)
        root = (
            None if chat else next(run for run in runs if run["parentUuid"] is None and run["parentChatUuid"] is None)
        )
        asked = next((span["nodeAgentUuid"] for span in spans if span["nodeAgentUuid"]), None)
        return {
            "workflowUuid": root["workflowUuid"] if root else first["workflowUuid"],
            "rootRunUuid": root["uuid"] if root else None,
            "rootRecordId": root["recordId"] if root else None,
            "rootRecordTitle": root["recordTitle"] if root else None,
            "rootUserUuid": root["userUuid"] if root else None,
            "chatUuid": chat["uuid"] if chat else None,
            "agentUuid": chat["agentUuid"] if chat else asked,
        }


def _status(spans: list[Wire]) -> str:
    """Pending while a span is; degraded when every failed node had a fallback that ran."""
    if any(span["executionStatus"] == "pending" for span in spans):
        return "pending"
    failed = [span for span in spans if span["executionStatus"] == "error"]
    if not failed:
        return "success"
    return "degraded" if all(span["nodeNextUuid"] for span in failed) else "error"


def _span(run: Wire, index: int, execution: Wire) -> Wire:
    node = execution.get
    return {
        "workspaceUuid": run["workspaceUuid"],
        "workflowUuid": run["workflowUuid"],
        "userUuid": run["userUuid"],
        # The one uuid of a span that may not be null: runs outside a batch have an empty text here.
        "batchUuid": run["batchUuid"] or "",
        "traceUuid": run["traceUuid"],
        "recordId": run["recordId"],
        "recordTitle": run["recordTitle"],
        "runUuid": run["uuid"],
        "runContextS3Filename": run["contextS3Filename"],
        "runComputedConfigsS3Filename": run["computedConfigsS3Filename"],
        "parentRunUuid": run["parentUuid"],
        "parentNodeUuid": run["parentNodeUuid"],
        "parentBatchUuid": run["parentBatchUuid"],
        "parentAgentUuid": run["parentAgentUuid"],
        "parentChatUuid": run["parentChatUuid"],
        "parentMessageUuid": run["parentMessageUuid"],
        "isGroupParent": run["isGroupParent"],
        "nodeUuid": execution["nodeUuid"],
        "nodeKind": execution["nodeKind"],
        "nodeSlug": execution["nodeSlug"],
        "nodeActionSlug": node("nodeActionSlug", ""),
        "nodeConnectorUuid": node("nodeConnectorUuid"),
        "nodeIntegrationSlug": node("nodeIntegrationSlug"),
        "nodeToolUuid": node("nodeToolUuid"),
        "nodeAgentUuid": node("nodeAgentUuid"),
        "nodeReleaseUuid": execution["nodeReleaseUuid"],
        "nodeBatchUuid": execution["nodeBatchUuid"],
        "nodeRunUuid": execution["nodeRunUuid"],
        "nodeMessageUuid": execution["nodeMessageUuid"],
        "nodeChildIndex": execution["nodeChildIndex"],
        "nodeWaitUntilFinished": node("nodeWaitUntilFinished", False),
        "nodeNextUuid": execution["nextNodeUuid"],
        "executionIndex": index,
        "executionStatus": execution["status"],
        "executionErrorMessage": execution["errorMessage"],
        "executionTitle": execution["title"],
        "executionIconUrl": execution["iconUrl"],
        "executionCreditsUsedCount": execution["creditsUsedCount"],
        "executionStartedAt": execution["startedAt"],
        "executionUpdatedAt": execution["updatedAt"],
        "executionFinishedAt": execution["finishedAt"],
    }
