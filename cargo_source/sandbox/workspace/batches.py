"""Batches: what sets off many runs at once, with counters that are those of its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.moments import DAY, iso
from cargo_source.sandbox.workspace.batch_data import BatchData, stored

if TYPE_CHECKING:
    from cargo_source.sandbox.workspace.timeline import Timeline
    from cargo_source.sandbox.workspace.workflows import Plan
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

ENDED = frozenset({"skipped", "success", "error", "cancelled"})
"""Batch statuses that are the last word."""
HEALTHY = 0.9
"""The share of finished runs that did not fail, from which a batch's runs are healthy."""
_SHOWN = ("uuid", "status", "runsStatus", "errorMessage", "createdAt", "finishedAt")
_NO_RECORDS = "No record could be queried."


class Batches:
    """Opens batches, lets runs join them, and keeps what they say in step with their runs.

    What is written while time passes shows from the next `settle` on. `planned` batches go by a course of their own:
    moments at which they take a status, whatever their runs do.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._table = world.tables["batches"]
        self._data = BatchData(world)
        self._fresh: dict[str, None] = {}
        self.planned: dict[str, list[tuple[int, str]]] = {}

    def join(self, plan: Plan, moment: int) -> str:
        """Give the batch of a play's day: the first one that is still open to a run of this release at this moment."""
        day, number = moment // DAY, 0
        uuid = uuid_for(plan.workflow, "batch", day)
        while uuid in self._table and not self._is_open(self._table[uuid], plan, moment):
            number += 1
            uuid = uuid_for(plan.workflow, "batch", day, number)
        made = iso(moment - Stream(uuid).whole(1, 900))
        if uuid in self._fresh:
            self._table[uuid]["createdAt"] = min(self._table[uuid]["createdAt"], made)
        elif uuid not in self._table:
            self.open(plan, uuid, made)
        return uuid

    def _is_open(self, batch: Wire, plan: Plan, moment: int) -> bool:
        if batch["releaseUuid"] != plan.release:
            return False
        return batch["uuid"] in self._fresh or (batch["status"] == "running" and batch["createdAt"] < iso(moment))

    def open(self, plan: Plan, uuid: str, made: str, **more: Any) -> Wire:
        """Add a batch that has no run yet; what it was made from is worked out when things settle, unless given."""
        self._fresh[uuid] = None
        batch: Wire = {
            "uuid": uuid,
            "workspaceUuid": self._world.team.workspace_uuid,
            "workflowUuid": plan.workflow,
            "userUuid": None,
            "releaseUuid": plan.release,
            "nodes": None,
            "temporalWorkflowId": f"batch-{uuid}",
            "traceUuid": None,
            "data": None,
            "errorMessage": None,
            "status": "running",
            "runsStatus": None,
            "runsCount": 0,
            "executedRunsCount": 0,
            "failedRunsCount": 0,
            "creditsUsedCount": 0,
            "createdAt": made,
            "updatedAt": made,
            "finishedAt": None,
        }
        self._table[uuid] = batch | more
        return self._table[uuid]

    def fan_out(self, run: Wire, plan: Plan, execution: Wire, timeline: Timeline) -> str:
        """Open the batch of a group's child runs."""
        parents = {
            "parentRunUuid": run["uuid"],
            "parentNodeUuid": execution["nodeUuid"],
            "parentBatchUuid": run["batchUuid"],
        }
        uuid = timeline.stream.uuid()
        data = {"kind": "group", "s3Filename": stored(uuid), **parents}
        self.open(
            plan, uuid, iso(timeline.moment), data=data, traceUuid=run["traceUuid"], releaseUuid=run["releaseUuid"]
        )
        return uuid

    def settle(self) -> None:
        """Bring every batch in step with its runs and its course, and every workflow with its newest batch."""
        runs: dict[str, list[Wire]] = {}
        for run in self._world.tables["runs"].values():
            if run["batchUuid"]:
                runs.setdefault(run["batchUuid"], []).append(run)
        self._follow_courses()
        for uuid, batch in self._table.items():
            if batch["data"] is None:
                batch.update(self._data.of(batch, runs.get(uuid, [])))
            if runs.get(uuid):
                self._count(batch, runs[uuid])
        self._fresh.clear()
        self._show_newest()

    def _follow_courses(self) -> None:
        for uuid in list(self.planned):
            while self.planned[uuid] and self.planned[uuid][0][0] <= self._world.moment:
                moment, status = self.planned[uuid].pop(0)
                self._turn(self._table[uuid], status, iso(moment))
            if not self.planned[uuid]:
                del self.planned[uuid]

    def _turn(self, batch: Wire, status: str, moment: str) -> None:
        batch |= {"status": status, "updatedAt": moment, "finishedAt": moment if status in ENDED else None}
        batch["errorMessage"] = _NO_RECORDS if status == "error" else None

    def _count(self, batch: Wire, runs: list[Wire]) -> None:
        finished = [run for run in runs if run["finishedAt"]]
        failed = sum(run["status"] == "error" for run in runs)
        used = sum(each["creditsUsedCount"] for run in runs for each in run["executions"])
        batch |= {
            "runsCount": len(runs),
            "executedRunsCount": len(finished),
            "failedRunsCount": failed,
            "creditsUsedCount": used,
            "runsStatus": _health(runs, failed),
            # A deletion moves a run, but not its batch.
            "updatedAt": max([batch["updatedAt"], *(run["finishedAt"] or run["updatedAt"] for run in runs)]),
        }
        if batch["uuid"] not in self.planned and batch["status"] not in ENDED:
            batch["status"] = _status(runs)
            batch["finishedAt"] = batch["updatedAt"] if batch["status"] in ENDED else None

    def _show_newest(self) -> None:
        newest: dict[str, Wire] = {}
        for batch in self._table.values():
            shown = newest.setdefault(batch["workflowUuid"], batch)
            if batch["createdAt"] > shown["createdAt"]:
                newest[batch["workflowUuid"]] = batch
        for uuid, workflow in self._world.tables["workflows"].items():
            workflow["lastBatch"] = {key: newest[uuid][key] for key in _SHOWN} if uuid in newest else None


def _health(runs: list[Wire], failed: int) -> str | None:
    tried = failed + sum(run["status"] == "success" for run in runs)
    if not tried:
        return None
    return "healthy" if 1 - failed / tried >= HEALTHY else "unhealthy"


def _status(runs: list[Wire]) -> str:
    """Under way while a run is; success may still contain failed runs."""
    under_way = {run["status"] for run in runs if run["finishedAt"] is None}
    if under_way:
        return "cancelling" if under_way == {"cancelling"} else "running"
    ends = {run["status"] for run in runs}
    return ends.pop() if ends in ({"skipped"}, {"cancelled"}) else "success"
