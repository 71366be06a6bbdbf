"""What rows that were written set off: segments are evaluated, and plays run on the records that moved in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.workspace.plays import PLAY_KINDS
from cargo_source.sandbox.workspace.runs import UNFINISHED, Record
from cargo_source.sandbox.workspace.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from cargo_source.sandbox.world import World

Wire = dict[str, Any]


@dataclass(frozen=True)
class Started:
    """A run that a change of a record started."""

    play: str
    run: str
    record: str
    kind: str


def react(world: World, models: AbstractSet[str], turn: str) -> list[Started]:
    """Evaluate every segment that is alive on some models, and run the enabled plays behind them.

    Each record that a play wants gives a run, unless the play's rule says that one is enough, or one at a time.
    """
    world.tick()
    due = {
        uuid: world.moment
        for uuid, segment in world.tables["segments"].items()
        if segment["modelUuid"] in models and segment["syncedAt"] and not segment["deletedAt"]
    }
    found = world.changes.evaluate(due, Stream(world.seed, "react", turn))
    started = []
    for play in world.tables["plays"].values():
        if play["isEnabled"] and not play["deletedAt"] and world.plans[play["workflowUuid"]].ready:
            rows = found.get(play["segmentUuid"], [])
            wanted = PLAY_KINDS.intersection(play["changeKinds"])
            started += _played(world, play, [each for each in rows if each[0] in wanted])
    world.settle()
    world.revision += 1
    return started


def _played(world: World, play: Wire, rows: list[tuple[str, Wire]]) -> list[Started]:
    stream = Stream(world.seed, "play", play["uuid"], world.moment)
    before: dict[str, list[str]] = {}
    for run in world.tables["runs"].values():
        if run["workflowUuid"] == play["workflowUuid"]:
            before.setdefault(run["recordId"], []).append(run["status"])
    started = []
    for kind, row in rows:
        if _may_run(play["runCreationRule"], before.get(row["_id"], [])):
            record = Record(row["_id"], row["_title"] or row["_id"])
            timeline = Timeline(world.moment, world.moment, stream)
            run = world.runs.start(world.plans[play["workflowUuid"]], record, timeline, "success")
            started.append(Started(play["uuid"], run["uuid"], row["_id"], kind))
    return started


def _may_run(rule: str, before: list[str]) -> bool:
    """Say whether a record may run once more, by the states of its runs so far."""
    if rule == "once":
        return not before
    return rule != "noConcurrency" or not any(status in UNFINISHED for status in before)
