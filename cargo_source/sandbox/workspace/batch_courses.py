"""Batches that do not follow from a play's runs: those that found nothing, those that wait, and those of tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import DAY, HOUR, MINUTE, SECOND, iso
from cargo_source.sandbox.workspace.batch_data import TOOL_KINDS, BatchData
from cargo_source.sandbox.workspace.history import record_at
from cargo_source.sandbox.workspace.timeline import Timeline

if TYPE_CHECKING:
    from cargo_source.sandbox.workspace.passing import Step
    from cargo_source.sandbox.workspace.workflows import Plan
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

_WAY = ("pending", "syncing", "querying")
"""How a batch comes to its runs; what waits in one of these has none."""
_EMPTY_ENDS = ("skipped", "error", "cancelled")
_WAITS_EVERY = 3
_FAILS_EVERY = 6
"""Every so many plays, one waits, and one has just failed."""
_FATES = (("success", 88.0), ("error", 8.0), ("cancelled", 4.0))
_TOOL_RUNS = 3
_LEFT_OPEN = {0: "running", 4: "running", 7: "cancelling"}
"""Places of tools with a long batch that is under way at the start, and how it stands."""
_CUSTOM = 10
"""The place of a tool whose batches run nodes of their own, of no release."""


class BatchCourses:
    """Sets off batches and lays down what becomes of them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._data = BatchData(world)

    def write_history(self) -> None:
        """Give plays batches without runs, and tools batches with some; a few are under way."""
        for name, plan in self._world.named_plans.items():
            if not plan.ready:
                continue
            stream = Stream(self._world.seed, "batches", name)
            place = int(name.split("-")[1])
            if plan.spec:
                self._of_play(plan, place, stream)
            elif place % _WAITS_EVERY != 2:
                self._of_tool(plan, place, stream)

    def live(self, step: Step) -> None:
        """Let batches begin, and let those of tools that are under way go on."""
        stream = Stream(self._world.seed, "batches", step.number)
        under_way = [uuid for uuid in self._world.batches.planned if self._is_of_tool(uuid)]
        for uuid in under_way:
            ends = self._world.batches.planned[uuid][-1][0]
            if ends > step.after and stream.chance(min(0.9, 2 * step.share)):
                self._go_on(self._world.tables["batches"][uuid], step, stream)
        ready = [(name, plan) for name, plan in self._world.named_plans.items() if plan.ready]
        for _ in range(stream.rounded(3 * step.share)):
            moment = stream.whole(step.before + 1, step.after)
            self._wait(stream.pick([plan for _, plan in ready if plan.spec]), 0, moment, moment, stream)
        for _ in range(stream.rounded(3 * step.share)):
            name, plan = stream.pick([each for each in ready if each[1].spec is None])
            begin = stream.whole(step.before + 1, step.part(0.9))
            batch = self._open_tool(plan, int(name.split("-")[1]), stream.pick(TOOL_KINDS), begin, stream)
            self._run(plan, batch, Timeline(begin, step.after, stream), _fates(batch, stream), stream)
            if batch["data"]["kind"] == "file":
                self._world.batches.planned[batch["uuid"]] = [(begin + stream.whole(DAY, 3 * DAY), "success")]

    def _is_of_tool(self, uuid: str) -> bool:
        return bool(self._world.tables["batches"][uuid]["data"]["kind"] in TOOL_KINDS)

    def _go_on(self, batch: Wire, step: Step, stream: Stream) -> None:
        plan = self._world.plans[batch["workflowUuid"]]
        begin = stream.whole(step.before + 1, step.part(0.9))
        self._run(plan, batch, Timeline(begin, step.after, stream), [stream.weighted(_FATES)], stream)

    def _of_play(self, plan: Plan, place: int, stream: Stream) -> None:
        world = self._world
        begin, end = world.team.created + 25 * DAY, world.moment - DAY
        for turn, moment in enumerate(stream.moments(2, begin, end)):
            status = _EMPTY_ENDS[(place + turn) % len(_EMPTY_ENDS)]
            batch = self._open_empty(plan, moment, stream, None if turn else plan.first_batch)
            self._plan(batch, [(moment + stream.whole(MINUTE, HOUR), status)])
        if place % _FAILS_EVERY == _FAILS_EVERY - 1:
            begun = world.moment - stream.whole(20 * MINUTE, 50 * MINUTE)
            self._plan(self._open_empty(plan, begun, stream), [(begun + stream.whole(SECOND, MINUTE), "error")])
        if place % _WAITS_EVERY == 1:
            begun = world.moment - stream.whole(2 * MINUTE, 2 * DAY)
            self._wait(plan, place // _WAITS_EVERY % len(_WAY), begun, world.moment, stream)

    def _wait(self, plan: Plan, reached: int, begun: int, now: int, stream: Stream) -> None:
        """Open a batch that has come as far as `reached`; the rest of its way takes it some days."""
        batch = self._open_empty(plan, begun, stream)
        batch["status"] = _WAY[reached]
        course, moment = [], now
        for status in (*_WAY[reached + 1 :], stream.pick(_EMPTY_ENDS)):
            moment += stream.whole(2 * HOUR, 30 * HOUR)
            course.append((moment, status))
        self._plan(batch, course)

    def _open_empty(self, plan: Plan, moment: int, stream: Stream, uuid: str | None = None) -> Wire:
        return self._world.batches.open(plan, uuid or stream.uuid(), iso(moment), status="pending")

    def _plan(self, batch: Wire, course: list[tuple[int, str]]) -> None:
        self._world.batches.planned[batch["uuid"]] = course

    def _of_tool(self, plan: Plan, place: int, stream: Stream) -> None:
        world = self._world
        begin, end = world.team.created + 40 * DAY, world.moment - 6 * DAY
        for turn, moment in enumerate(stream.moments(2, begin, end)):
            batch = self._open_tool(plan, place, TOOL_KINDS[(place + turn) % len(TOOL_KINDS)], moment, stream)
            fates = ["error", "error", "success"] if place % 4 == 1 and turn else _fates(batch, stream)
            self._run(plan, batch, Timeline(moment, world.moment - MINUTE, stream), fates, stream)
        if place in _LEFT_OPEN:
            moment = world.moment - stream.whole(4 * DAY, 5 * DAY)
            batch = self._open_tool(plan, place, "file", moment, stream)
            self._run(plan, batch, Timeline(moment, world.moment - MINUTE, stream), _fates(batch, stream), stream)
            batch["status"] = _LEFT_OPEN[place]
            end_of = "success" if batch["status"] == "running" else "cancelled"
            self._plan(batch, [(world.moment + stream.whole(30 * HOUR, 4 * DAY), end_of)])

    def _open_tool(self, plan: Plan, place: int, kind: str, moment: int, stream: Stream) -> Wire:
        uuid = stream.uuid()
        own = {"releaseUuid": None, "nodes": plan.graph.nodes} if place == _CUSTOM else {}
        user = stream.pick(self._world.team.users)
        data = self._data.of_tool(kind, uuid)
        return self._world.batches.open(plan, uuid, iso(moment), data=data, userUuid=user, **own)

    def _run(self, plan: Plan, batch: Wire, timeline: Timeline, fates: list[str], stream: Stream) -> None:
        for fate in fates:
            timeline.wait(20, 2000)
            self._world.runs.start(plan, record_at([], 0, stream), timeline, fate, batch=batch)


def _fates(batch: Wire, stream: Stream) -> list[str]:
    """A form sets off one run, records and files one for each of theirs."""
    count = 1 if batch["data"]["kind"] == "form" else _TOOL_RUNS
    return [stream.weighted(_FATES) for _ in range(count)]
