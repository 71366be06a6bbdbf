"""What a batch was made from: a segment, a change, records, a file, a form and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream

if TYPE_CHECKING:
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

PLAY_KINDS = (
    ("change", 50.0), ("segment", 12.0), ("filter", 9.0), ("recordIds", 8.0), ("watchedRecords", 7.0), ("runs", 7.0),
    ("schedule", 7.0),
)  # fmt: skip
TOOL_KINDS = ("form", "file", "records")
ATTENDED = frozenset({"segment", "filter", "recordIds", "runs", "records", "file", "form"})
"""Kinds that a person sets off."""
_MATCH_ALL: Wire = {"conjonction": "and", "groups": []}
_RESETS = ("firstNode", "lastNode", "nextNode")
"""Where runs that are run again begin."""
_COUNTS = ("total", "updated", "removed", "added", "unchanged")


def stored(uuid: str) -> str:
    """Return where the records of a batch lie that were sent, uploaded or collected for it."""
    return f"batches/{uuid}/records.json"


class BatchData:
    """Works out the data of batches; what they name exists, and existed before them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._plays: dict[str, Wire] = {}

    def of(self, batch: Wire, runs: list[Wire]) -> Wire:
        """Return the data of a play's batch, and whose it is."""
        stream = Stream(batch["uuid"], "data")
        kind = stream.weighted(PLAY_KINDS)
        change = self._change_before(batch) if kind in {"change", "schedule"} else None
        earlier = self._runs_before(batch) if kind == "runs" else []
        if (kind == "change" and not change) or (kind == "runs" and not earlier):
            kind = "segment"
        user = stream.pick(self._world.team.users) if kind in ATTENDED else None
        play = self._play(batch)
        match kind:
            case "segment":
                named = {"segmentUuid": play["segmentUuid"]}
            case "change" | "schedule":
                named = _evaluated(kind, play, change)
            case "runs":
                again = {"kind": "runs", "uuids": earlier}
                named = {"filter": again, "reset": {"from": stream.pick(_RESETS)}}
            case _:
                named = {"modelUuid": play["modelUuid"], **_chosen(kind, batch, play, runs)}
        return {"data": {"kind": kind, **named}, "userUuid": user}

    def of_tool(self, kind: str, uuid: str) -> Wire:
        """Return the data of a tool's batch; a form's webhook is signed with a secret."""
        data: Wire = {"kind": kind, "s3Filename": stored(uuid)}
        if kind == "form":
            secret = self._world.team.secret("batch", uuid)
            data |= {"webhookUrl": f"https://hooks.marsh.example/{uuid[:8]}", "webhookSecret": secret}
        if kind == "file":
            data |= {"mappings": {"Größe": "limit", "Website": "domain"}}
        return data

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


def _evaluated(kind: str, play: Wire, change: Wire | None) -> Wire:
    """Name the segment that was evaluated, and what that found; a schedule also counts it."""
    named: Wire = {"segmentUuid": play["segmentUuid"], "changeKinds": list(play["changeKinds"])}
    if change:
        named["changeUuid"] = change["uuid"]
    if kind == "schedule":
        named["modelUuid"] = play["modelUuid"]
        named |= {f"{count}RecordsCount": change[f"{count}RecordsCount"] for count in _COUNTS} if change else {}
    return named


def _chosen(kind: str, batch: Wire, play: Wire, runs: list[Wire]) -> Wire:
    """Say which records of a play's model it was: by filter, by id, or those that were seen to change."""
    if kind == "recordIds":
        return {"ids": sorted({run["recordId"] for run in runs})}
    if kind == "watchedRecords":
        return {"changeKinds": list(play["changeKinds"]), "s3Filename": stored(batch["uuid"])}
    return {"filter": _MATCH_ALL, "limit": max(1, len(runs))}
