"""What happened in the workspace before the sandbox's start: runs and chats of four months."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import DAY, HOUR, MINUTE, iso
from cargo_source.sandbox.workspace.runs import Record
from cargo_source.sandbox.workspace.timeline import Timeline

if TYPE_CHECKING:
    from cargo_source.sandbox.workspace.workflows import Plan
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

BUSY = ("play-0", "play-4", "play-5")
"""The plays that run most; each has several pages of runs."""
BUSY_RUNS = 262
RUNS = (6, 14)
"""How often each of the others has run: at least, and at most."""
FATES = (
    ("success", 84.0), ("fallback", 6.0), ("error", 5.0), ("cancelled", 2.0), ("skipped", 3.0),
)  # fmt: skip
UNDER_WAY = ("running", "pending", "idle", "cancelling", "running")
TRIGGERS = (
    ("app", 30.0), ("chat", 14.0), ("connector", 16.0), ("web_extension", 12.0), ("schedule", 18.0), ("draft", 10.0),
)  # fmt: skip
CHATS = 380
LONG_CHAT = 131
"""Exchanges in the longest chat."""


def write_runs(world: World) -> None:
    """Run every workflow through the past; the busiest have runs that are still under way."""
    extra = min(world.companies // 50, 3000) // len(BUSY)
    for name, plan in world.named_plans.items():
        if not plan.ready:
            continue
        stream = Stream(world.seed, "runs", name)
        busy = name in BUSY
        count = BUSY_RUNS + extra if busy else stream.whole(*RUNS)
        _write_runs_of(world, plan, count, stream)
        if busy:
            _leave_under_way(world, plan, stream)


def _write_runs_of(world: World, plan: Plan, count: int, stream: Stream) -> None:
    begin, end = world.team.created + 25 * DAY, world.moment - HOUR
    records = world.records_of(plan, count, stream.uuid())
    for turn, moment in enumerate(stream.moments(count, begin, end)):
        timeline = Timeline(moment, world.moment - MINUTE, stream)
        run = world.runs.start(plan, record_at(records, turn, stream), timeline, stream.weighted(FATES))
        if stream.chance(0.01):
            run["deletedAt"] = run["updatedAt"] = iso(timeline.wait(MINUTE, HOUR))


def _leave_under_way(world: World, plan: Plan, stream: Stream) -> None:
    """Some runs are not at their end; one has waited for days."""
    records = world.records_of(plan, len(UNDER_WAY), stream.uuid())
    for turn, fate in enumerate(UNDER_WAY):
        age = 3 * DAY if turn == len(UNDER_WAY) - 1 else stream.whole(2 * MINUTE, HOUR)
        timeline = Timeline(world.moment - age, world.moment - MINUTE, stream)
        world.runs.start(plan, record_at(records, turn, stream), timeline, fate)


def record_at(records: list[Record], turn: int, stream: Stream) -> Record:
    """Return a play's record in turn; a tool has none and runs on an input."""
    if records:
        return records[turn % len(records)]
    return Record(stream.uuid(), f'{{"domain": "acme-{stream.whole(1, 999)}.example", "limit": {stream.whole(1, 5)}}}')


def write_chats(world: World) -> None:
    """Hold the chats of the past; the newest are not answered yet."""
    stream = Stream(world.seed, "chats")
    agents = [agent for agent in world.tables["agents"].values() if agent["deployedRelease"]]
    count = CHATS + min(world.companies // 200, 1000)
    for turn, moment in enumerate(stream.moments(count, world.team.created + 30 * DAY, world.moment - HOUR)):
        agent = None if turn % 37 == 5 else stream.pick(agents)
        hold(world, agent, Timeline(moment, world.moment - MINUTE, stream))
    _hold_long(world, agents[0], stream)
    for status in ("pending", "generating", "cancelling"):
        timeline = Timeline(world.moment - stream.whole(3 * MINUTE, 20 * MINUTE), world.moment - MINUTE, stream)
        chat = world.chats.open(stream.pick(agents), {"type": "app"}, timeline)
        world.chats.exchange(chat, timeline, status, calls=1)


def hold(world: World, agent: Wire | None, timeline: Timeline) -> None:
    """Hold one chat of a few exchanges; a draft may stay empty."""
    stream = timeline.stream
    kind = stream.weighted(TRIGGERS) if agent else "draft"
    chat = world.chats.open(agent, world.chats.trigger(kind, stream), timeline)
    if kind == "draft" and stream.chance(0.3):
        return
    for _ in range(stream.whole(1, 4)):
        status = stream.weighted((("success", 92.0), ("error", 5.0), ("cancelled", 3.0)))
        answer = world.chats.exchange(chat, timeline, status, calls=stream.chance(0.35))
        if stream.chance(0.02):
            world.chats.drop(chat, answer)
        timeline.wait(MINUTE, 3 * HOUR)
    if stream.chance(0.05):
        world.chats.ask(chat, timeline)
    if stream.chance(0.02):
        chat["deletedAt"] = chat["updatedAt"] = iso(timeline.moment)


def _hold_long(world: World, agent: Wire, stream: Stream) -> None:
    timeline = Timeline(world.moment - 60 * DAY, world.moment - HOUR, stream)
    chat = world.chats.open(agent, {"type": "app"}, timeline)
    for _ in range(LONG_CHAT):
        world.chats.exchange(chat, timeline, "success", calls=stream.chance(0.2))
        timeline.wait(MINUTE, 10 * HOUR)
