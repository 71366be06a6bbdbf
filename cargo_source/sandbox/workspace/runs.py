"""Runs of workflows, with the executions of their nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.moments import SECOND, iso
from cargo_source.sandbox.workspace.executions import execution_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cargo_source.sandbox.workspace.timeline import Timeline
    from cargo_source.sandbox.workspace.workflows import Plan
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

UNFINISHED = frozenset({"idle", "pending", "running", "cancelling"})
"""Run statuses that are not the last word."""
ERRORS = ("The connector answered 429.", "No match found.", "Timed out after 30 s", "Invalid email «x@»")
GROUP_SIZE = 2


@dataclass(frozen=True)
class Record:
    """What a run works on."""

    id: str
    title: str


@dataclass(frozen=True)
class Origin:
    """What started a run, when it was not started by itself: a run's node, or an agent's message."""

    trace: str
    run: str | None = None
    node: str | None = None
    batch: str | None = None
    agent: str | None = None
    chat: str | None = None
    message: str | None = None


class Runs:
    """Starts runs, walks them over their graph, and takes unfinished ones up again."""

    def __init__(self, world: World) -> None:
        self._world = world

    def start(
        self,
        plan: Plan,
        record: Record,
        timeline: Timeline,
        fate: str,
        origin: Origin | None = None,
        batch: Wire | None = None,
    ) -> Wire:
        """Run a workflow on a record; the fate is a run status, or `fallback` for a success by way of one.

        A run of a play finds its batch by itself; one of a tool has none unless it is given.
        """
        run = self._new(plan, record, timeline, origin)
        if batch:
            run |= {key: batch[key] for key in ("userUuid", "releaseUuid", "nodes")} | {"batchUuid": batch["uuid"]}
        self._world.tables["runs"][run["uuid"]] = run
        self._walk(run, plan, plan.graph.outer(), timeline, fate)
        return run

    def _new(self, plan: Plan, record: Record, timeline: Timeline, origin: Origin | None) -> Wire:
        stream = timeline.stream
        uuid = stream.uuid()
        drafted = origin is None and plan.spec is None and stream.chance(0.05)
        batched = origin is None and plan.spec is not None and stream.chance(0.7)
        return {
            "uuid": uuid,
            "workspaceUuid": self._world.team.workspace_uuid,
            "workflowUuid": plan.workflow,
            "userUuid": stream.pick(self._world.team.users) if origin is None and plan.spec is None else None,
            "releaseUuid": None if drafted else plan.release,
            "nodes": plan.graph.nodes if drafted else None,
            "batchUuid": self._world.batches.join(plan, timeline.moment) if batched else None,
            "traceUuid": origin.trace if origin else stream.uuid(),
            "temporalWorkflowId": f"run-{uuid}",
            "recordId": record.id,
            "recordTitle": record.title,
            "contextS3Filename": f"runs/{uuid}/context.json",
            "computedConfigsS3Filename": f"runs/{uuid}/configs.json",
            **_parents(origin),
            "isGroupParent": None,
            "status": "idle",
            "errorMessage": None,
            "executions": [],
            "createdAt": iso(timeline.moment),
            "updatedAt": iso(timeline.moment),
            "finishedAt": None,
            "deletedAt": None,
        }

    def resume(self, run: Wire, timeline: Timeline) -> None:
        """Finish what was pending in an unfinished run and walk it to its end."""
        plan = self._world.plans[run["workflowUuid"]]
        last = run["executions"][-1]
        place = plan.graph.place_of(last["nodeUuid"])
        ended = timeline.wait(SECOND, 20 * SECOND)
        if last["startedAt"] is None:
            run["executions"].pop()
            last = run["executions"][-1]
        last |= {"status": "success", "updatedAt": iso(ended), "finishedAt": iso(ended)}
        if run["status"] == "cancelling":
            self._finish(run, "cancelled", timeline)
            return
        following = plan.graph.outer(place + 1)
        last["nextNodeUuid"] = plan.graph.nodes[following[0]]["uuid"] if following else None
        self._walk(run, plan, following, timeline, "success")

    def _walk(self, run: Wire, plan: Plan, places: Sequence[int], timeline: Timeline, fate: str) -> None:
        stop = _stop(plan, places, fate, timeline)
        for turn, place in enumerate(places):
            following = places[turn + 1] if turn + 1 < len(places) else None
            if turn != stop:
                self._execute(run, plan, place, following, timeline)
            elif fate == "fallback":
                self._fail(run, plan, place, place + 1, timeline)
                self._execute(run, plan, place + 1, following, timeline)
            else:
                self._stop(run, plan, place, timeline, fate)
                return
        self._finish(run, "success", timeline)

    def _stop(self, run: Wire, plan: Plan, place: int, timeline: Timeline, fate: str) -> None:
        if fate in UNFINISHED:
            self._hang(run, plan, place, timeline, fate)
        elif fate == "error":
            self._fail(run, plan, place, None, timeline)
            self._finish(run, "error", timeline)
        else:
            self._execute(run, plan, place, None, timeline)
            self._finish(run, fate, timeline)

    def _finish(self, run: Wire, status: str, timeline: Timeline) -> None:
        ended = iso(timeline.wait(5, 900))
        run |= {"status": status, "updatedAt": ended, "finishedAt": ended}
        if status == "error":
            run["errorMessage"] = run["executions"][-1]["errorMessage"]
        self._world.traces.note(run)

    def _hang(self, run: Wire, plan: Plan, place: int, timeline: Timeline, fate: str) -> None:
        """Leave a run waiting in a node; a running one has the next node queued already."""
        following = plan.graph.outer(place + 1)
        execution = self._begun(plan, place, None, timeline)
        run["executions"].append(execution)
        run |= {"status": fate, "updatedAt": execution["startedAt"]}
        if fate == "running" and following:
            queued = execution_of(plan.graph.nodes[following[0]], None) | {"startedAt": None, "updatedAt": None}
            run["executions"].append(queued)
        self._world.traces.note(run)

    def _fail(self, run: Wire, plan: Plan, place: int, following: int | None, timeline: Timeline) -> None:
        execution = self._begun(plan, place, following, timeline)
        ended = iso(timeline.wait(300, 30 * SECOND))
        reason = timeline.stream.pick(ERRORS)
        execution |= {"status": "error", "errorMessage": reason, "updatedAt": ended, "finishedAt": ended}
        run["executions"].append(execution)

    def _execute(self, run: Wire, plan: Plan, place: int, following: int | None, timeline: Timeline) -> None:
        """Run one node to its success, with the child runs or the chat that it starts."""
        step = plan.graph.steps[place]
        execution = self._begun(plan, place, following, timeline)
        run["executions"].append(execution)
        match step.kind, step.action:
            case "tool", _:
                self._call_tool(run, plan, execution, timeline)
            case "agent", _:
                self._ask_agent(run, execution, timeline)
            case _, "group":
                self._fan_out(run, plan, execution, timeline)
            case _:
                execution["creditsUsedCount"] = timeline.stream.credits(*step.cost)
        ended = iso(timeline.wait(40, 6 * SECOND))
        execution |= {"status": "success", "updatedAt": ended, "finishedAt": ended}
        if step.action == "branch":
            execution["nodeChildIndex"] = 0 if following is not None else 1

    def _begun(self, plan: Plan, place: int, following: int | None, timeline: Timeline) -> Wire:
        node = plan.graph.nodes[place]
        began = iso(timeline.wait(20, 1500))
        execution = execution_of(node, None if following is None else plan.graph.nodes[following]["uuid"])
        title = f"{node['slug']} of record" if place % 3 else None
        return execution | {"title": title, "startedAt": began, "updatedAt": began}

    def _call_tool(self, run: Wire, plan: Plan, execution: Wire, timeline: Timeline) -> None:
        origin = Origin(run["traceUuid"], run["uuid"], execution["nodeUuid"])
        record = Record(timeline.stream.uuid(), f'{{"record": "{run["recordId"]}"}}')
        child = self.start(self._world.plans[plan.calls], record, timeline, "success", origin)
        execution["nodeRunUuid"] = child["uuid"]

    def _ask_agent(self, run: Wire, execution: Wire, timeline: Timeline) -> None:
        message = self._world.chats.ask_from(run, execution, timeline)
        execution |= {"nodeMessageUuid": message["uuid"], "creditsUsedCount": message["usage"]["creditsUsedCount"]}

    def _fan_out(self, run: Wire, plan: Plan, execution: Wire, timeline: Timeline) -> None:
        """Start one child run of the same workflow per item of the group."""
        batch = self._world.batches.fan_out(run, plan, execution, timeline)
        run["isGroupParent"] = True
        execution["nodeBatchUuid"] = batch
        for item in range(GROUP_SIZE):
            origin = Origin(run["traceUuid"], run["uuid"], execution["nodeUuid"], batch)
            record = Record(f"{run['recordId']}:{item}", f"{run['recordTitle']} / {item + 1}")
            child = self._new(plan, record, timeline, origin) | {"isGroupParent": False, "batchUuid": batch}
            child["releaseUuid"] = run["releaseUuid"]
            self._world.tables["runs"][child["uuid"]] = child
            self._walk(child, plan, plan.graph.inner(), timeline, "success")


def _parents(origin: Origin | None) -> Wire:
    return {
        "parentUuid": origin.run if origin else None,
        "parentNodeUuid": origin.node if origin else None,
        "parentBatchUuid": origin.batch if origin else None,
        "parentAgentUuid": origin.agent if origin else None,
        "parentChatUuid": origin.chat if origin else None,
        "parentMessageUuid": origin.message if origin else None,
    }


def _stop(plan: Plan, places: Sequence[int], fate: str, timeline: Timeline) -> int | None:
    """At which turn a run does not simply go on; None when it does to the end."""
    steps = [plan.graph.steps[place] for place in places]
    match fate:
        case "pending" | "idle" | "skipped":
            return 0
        case "running" | "cancelling":
            return next(turn for turn, step in enumerate(steps) if step.waits)
        case "fallback":
            return next((turn for turn, place in enumerate(places) if _has_fallback(plan, place)), None)
        case "error" | "cancelled":
            plain = [turn for turn, step in enumerate(steps) if turn and step.kind in {"native", "connector"}]
            return timeline.stream.pick(plain)
    return None


def _has_fallback(plan: Plan, place: int) -> bool:
    return bool(plan.graph.nodes[place]["fallbackOnFailure"])
