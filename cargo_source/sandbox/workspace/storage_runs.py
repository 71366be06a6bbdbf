"""Storage runs: each time that a connector's model was filled, or was meant to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import HOUR, MINUTE, SECOND, iso, parse

if TYPE_CHECKING:
    from cargo_source.sandbox.models import ModelSpec
    from cargo_source.sandbox.workspace.passing import Step
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

PAST_EACH = 12
ENDED = frozenset({"success", "error", "cancelled"})
LEAD = 20 * SECOND
"""How long before its last row a run begins."""
_TAIL = 9 * SECOND
_PAST = (("success", 84.0), ("error", 10.0), ("cancelled", 6.0))
_SHOWN = ("uuid", "status", "errorMessage", "createdAt", "finishedAt")
_ERROR = "The connector answered 503."
_ONWARD = {"pending": "running", "running": "success", "cancelling": "cancelled"}


class StorageRuns:
    """Keeps the runs of every model that has any: they do not overlap, and one of them emitted its newest row."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._table = world.tables["storage_runs"]
        self._newest: dict[str, Wire] = {}
        self._emitted: dict[str, str | None] = {}

    def write_history(self) -> None:
        """Write the runs that led to each model's last one."""
        for uuid, model in self._world.tables["models"].items():
            self._emitted[uuid] = model["lastEmittedAt"]
            if model["lastRun"] is None:
                continue
            spec = self._world.spec_of(uuid)
            stream = Stream(self._world.seed, "storage runs", spec.key)
            last = _placed(model["lastRun"], model["lastEmittedAt"], self._world.moment)
            first = parse(last["createdAt"])
            if model["lastEmittedAt"] < last["createdAt"]:
                first = parse(model["lastEmittedAt"]) - LEAD
                self._add(uuid, first, "success", min(first + LEAD + _TAIL, parse(last["createdAt"])), stream)
            self._write_past(uuid, spec, first, stream)
            self._add_last(uuid, last, stream)

    def _write_past(self, uuid: str, spec: ModelSpec, before: int, stream: Stream) -> None:
        every = (spec.sync_hours or 9) * HOUR
        made = parse(self._world.tables["models"][uuid]["createdAt"])
        for turn in range(1, PAST_EACH):
            begun = before - turn * every
            if begun > made:
                self._add(uuid, begun, stream.weighted(_PAST), begun + stream.whole(SECOND, MINUTE), stream)

    def _add_last(self, uuid: str, last: Wire, stream: Stream) -> None:
        ended = parse(last["finishedAt"]) if last["finishedAt"] else None
        self._add(uuid, parse(last["createdAt"]), last["status"], ended, stream, last["uuid"])

    def is_under_way(self, model: str) -> bool:
        """Say whether a model's newest run has not ended."""
        return model in self._newest and self._newest[model]["status"] not in ENDED

    def newest(self, model: str) -> Wire | None:
        """Return the newest run of a model that has any."""
        return self._newest.get(model)

    def ask(self, model: str, moment: int, stream: Stream) -> Wire:
        """Begin a run because somebody asked for it; it waits at first."""
        uuid = stream.uuid()
        self._add(model, moment, "pending", None, stream, uuid)
        return self._table[uuid]

    def end(self, run: Wire, status: str, moment: int) -> None:
        """End a run because somebody said so, or because all that it had to fetch is there."""
        self._end(run, status, moment, Stream(self._world.seed, "storage runs", run["uuid"], status))
        self._emitted[run["modelUuid"]] = self._world.tables["models"][run["modelUuid"]]["lastEmittedAt"]

    def _add(
        self, model: str, begun: int, status: str, ended: int | None, stream: Stream, uuid: str | None = None
    ) -> None:
        uuid = uuid or stream.uuid()
        run: Wire = {
            "uuid": uuid,
            "workspaceUuid": self._world.team.workspace_uuid,
            "modelUuid": model,
            "status": status,
            "temporalWorkflowId": f"storage-run-{uuid}",
            "errorMessage": _ERROR if status == "error" else None,
            "s3Filenames": _files(uuid, status, stream),
            "finishedAt": iso(ended) if ended is not None else None,
            "createdAt": iso(begun),
            "updatedAt": iso(begun if ended is None else ended),
        }
        self._table[uuid] = run
        if model not in self._newest or run["createdAt"] >= self._newest[model]["createdAt"]:
            self._newest[model] = run
            self._show(model)

    def _show(self, model: str) -> None:
        self._world.tables["models"][model]["lastRun"] = {key: self._newest[model][key] for key in _SHOWN}

    def live(self, step: Step) -> None:
        """Let runs go on, and fill the models whose rows moved; now and then one more begins or finds nothing."""
        for uuid, model in self._world.tables["models"].items():
            if uuid not in self._newest:
                continue
            stream = Stream(self._world.seed, "storage runs", self._world.spec_of(uuid).key, step.number)
            moved = self.follow(uuid, step.before, step.after, stream)
            if not moved and self._newest[uuid]["status"] not in ENDED and stream.chance(0.45 * step.share):
                self._go_on(uuid, stream.whole(step.before + 1, step.after), stream)
            if not model["isPaused"] and not model["deletedAt"] and stream.chance(0.4 * step.share):
                self._begin(uuid, step, stream)

    def follow(self, uuid: str, before: int, after: int, stream: Stream) -> bool:
        """Cover a model's newest row by a run, if its rows moved since the last time; tell whether they did."""
        emitted = self._world.tables["models"][uuid]["lastEmittedAt"]
        if uuid not in self._newest or emitted == self._emitted.get(uuid):
            return False
        self._emitted[uuid] = emitted
        moment, last = parse(emitted), self._newest[uuid]
        ended = max(min(moment + _TAIL, after), min(before + 1, after))
        if last["status"] in {"pending", "running"} and emitted >= last["createdAt"]:
            self._end(last, "success", ended, stream)
            return True
        if last["status"] not in ENDED:
            self._end(last, "cancelled", max(min(moment - LEAD, after), min(before + 1, after)), stream)
        # Rows that come late were emitted before the step: so their run began before it, and shows only now.
        free = min(parse(last["finishedAt"]), after)
        begun = max(min(moment - LEAD, after), free)
        self._add(uuid, begun, "success", max(ended, begun), stream)
        return True

    def _go_on(self, uuid: str, moment: int, stream: Stream) -> None:
        run = self._newest[uuid]
        status = _ONWARD[run["status"]]
        if status in ENDED:
            self._end(run, status, moment, stream)
            return
        run |= {"status": status, "updatedAt": iso(moment)}
        self._show(uuid)

    def _end(self, run: Wire, status: str, moment: int, stream: Stream) -> None:
        ended = iso(moment)
        run |= {"status": status, "updatedAt": ended, "finishedAt": ended}
        run["s3Filenames"] = _files(run["uuid"], status, stream)
        self._show(run["modelUuid"])

    def _begin(self, uuid: str, step: Step, stream: Stream) -> None:
        """Begin a run late in the step, if none is under way: it waits, works, fails, or has found nothing."""
        begun = max(step.part(0.97), parse(self._newest[uuid]["updatedAt"]) + 1)
        if self._newest[uuid]["status"] not in ENDED or begun > step.after:
            return
        status = stream.pick(("pending", "running", "running", "cancelling", "error", "success"))
        self._add(uuid, begun, status, step.after if status in ENDED else None, stream)


def _placed(last: Wire, emitted: str, now: int) -> Wire:
    """Move a last run, if it must: what emitted rows after its end, or before it had begun to work, was no other."""
    if emitted <= last["createdAt"] or (last["status"] != "pending" and emitted <= (last["finishedAt"] or iso(now))):
        return last
    moment = parse(emitted)
    if last["status"] == "pending":
        return last | {"createdAt": iso(min(moment + LEAD, now))}
    ended = iso(min(moment + _TAIL, now)) if last["finishedAt"] else None
    return last | {"createdAt": iso(moment - LEAD), "finishedAt": ended}


def _files(uuid: str, status: str, stream: Stream) -> list[str]:
    count = stream.whole(1, 3) if status in {"success", "running"} else 0
    return [f"storage-runs/{uuid}/part-{number}.ndjson" for number in range(count)]
