"""What a batch was made from: a segment, a change, records, a file, a form and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream

if TYPE_CHECKING:
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

PLAY_KINDS = (
    ("change", 55.0), ("segment", 12.0), ("filter", 9.0), ("recordIds", 9.0), ("watchedRecords", 8.0), ("runs", 7.0),
)  # fmt: skip
TOOL_KINDS = ("form", "file", "schedule", "records")
ATTENDED = frozenset({"segment", "filter", "recordIds", "runs", "records", "file", "form"})
"""Kinds that a person sets off."""
_MATCH_ALL: Wire = {"conjonction": "and", "groups": []}


class BatchData:
    """Works out the data of batches; what they name exists, and existed before them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._plays: dict[str, Wire] = {}

    def of(self, batch: Wire, runs: list[Wire]) -> Wire:
        """Return the data of a play's batch, and whose it is."""
        stream = Stream(batch["uuid"], "data")
        kind = stream.weighted(PLAY_KINDS)
        change = self._change_before(batch) if kind == "change" else None
        if kind == "change" and change is None:
            kind = "segment"
        user = stream.pick(self._world.team.users) if kind in ATTENDED else None
        return {"data": {"kind": kind, **self._named(kind, batch, runs, change)}, "userUuid": user}

    def _named(self, kind: str, batch: Wire, runs: list[Wire], change: Wire | None) -> Wire:
        play = self._play(batch)
        if change:
            kinds = list(play["changeKinds"])
            return {"segmentUuid": change["segmentUuid"], "changeUuid": change["uuid"], "changeKinds": kinds}
        match kind:
            case "segment":
                return {"segmentUuid": play["segmentUuid"]}
            case "filter":
                return {"modelUuid": play["modelUuid"], "filter": _MATCH_ALL, "limit": max(1, len(runs))}
            case "runs":
                return {"runUuids": self._runs_before(batch)}
        return {"modelUuid": play["modelUuid"], "recordIds": sorted({run["recordId"] for run in runs})}

    def of_tool(self, kind: str, uuid: str, records: list[Wire]) -> Wire:
        """Return the data of a tool's batch; a form's webhook is signed with a secret."""
        match kind:
            case "form":
                secret = self._world.team.secret("batch", uuid)
                hook = {"webhookUrl": f"https://hooks.marsh.example/{uuid[:8]}", "webhookSecret": secret}
                return {"kind": kind, "data": records[0], **hook}
            case "file":
                return {"kind": kind, "s3Filename": f"batches/{uuid}/input.csv", "name": "Übersicht, Q1.csv"}
            case "schedule":
                return {"kind": kind, "cron": "0 2 * * *", "data": records[0]}
        return {"kind": kind, "records": records}

    def _play(self, batch: Wire) -> Wire:
        if not self._plays:
            self._plays = {play["workflowUuid"]: play for play in self._world.tables["plays"].values()}
        return self._plays[batch["workflowUuid"]]

    def _change_before(self, batch: Wire) -> Wire | None:
        """Find the last change of the play's segment before the batch."""
        segment = self._play(batch)["segmentUuid"]
        changes = self._world.tables["changes"].values()
        earlier = [each for each in changes if each["segmentUuid"] == segment]
        earlier = [each for each in earlier if each["createdAt"] <= batch["createdAt"]]
        return max(earlier, key=lambda each: str(each["createdAt"]), default=None)

    def _runs_before(self, batch: Wire) -> list[str]:
        """Name up to three runs that are run again."""
        runs = self._world.tables["runs"].values()
        own = [run for run in runs if run["workflowUuid"] == batch["workflowUuid"]]
        earlier = [run["uuid"] for run in own if run["createdAt"] < batch["createdAt"]]
        return earlier[-3:]
