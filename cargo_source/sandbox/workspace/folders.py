"""Folders: five of each kind that hold things, and some that are empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import DAY, HOUR, iso
from cargo_source.sandbox.workspace.team import FOLDER_KINDS, Team

if TYPE_CHECKING:
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

_NAMES = ("Inbound", "Outbound", "Kundenpflege", "Experiments", "Archive")
_EMOJIS = ("inbox_tray", "rocket", "seedling", "test_tube", "file_cabinet", "open_file_folder")
EMPTY = 6
DEPTH = 3
"""From which place on a folder lies in another one."""


def folders(team: Team) -> dict[str, Wire]:
    """Return every folder by uuid."""
    stream = Stream(team.seed, "folders")
    made: list[Wire] = []
    for kind in FOLDER_KINDS:
        uuids = team.folders[kind]
        for place, uuid in enumerate(uuids):
            parent = uuids[place - DEPTH] if place >= DEPTH else None
            name = f"{_NAMES[place]} ({kind}s)" if place % 2 else _NAMES[place]
            made.append(_folder(team, (uuid, kind, name), parent, team.created + len(made) * HOUR, stream))
    made += [_empty(team, team.created + place * DAY, stream) for place in range(EMPTY)]
    gone = made[-1]
    gone["deletedAt"] = gone["updatedAt"] = iso(team.created + 60 * DAY)
    return {folder["uuid"]: folder for folder in made}


def _folder(team: Team, head: tuple[str, str, str], parent: str | None, moment: int, stream: Stream) -> Wire:
    uuid, kind, name = head
    return {
        "uuid": uuid,
        "parentUuid": parent,
        "kind": kind,
        "workspaceUuid": team.workspace_uuid,
        "name": name,
        "emojiSlug": stream.pick(_EMOJIS),
        "isReadOnly": stream.chance(0.2),
        "createdAt": iso(moment),
        "updatedAt": iso(moment),
        "deletedAt": None,
    }


def _empty(team: Team, moment: int, stream: Stream) -> Wire:
    kind = stream.pick(FOLDER_KINDS)
    name = f"Ideas {stream.whole(1, 99)}"
    return _folder(team, (stream.uuid(), kind, name), stream.pick(team.folders[kind]), moment, stream)


def add(world: World, stream: Stream, moment: int) -> Wire:
    """Make an empty folder inside another."""
    return _empty(world.team, moment, stream)


def tidy(folder: Wire, stream: Stream, _moment: int) -> None:
    """Give a folder another face."""
    folder["emojiSlug"] = _EMOJIS[(_EMOJIS.index(folder["emojiSlug"]) + stream.whole(1, 3)) % len(_EMOJIS)]
