"""Libraries, and the files in and beside them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.moments import DAY, HOUR, MINUTE, iso, parse
from cargo_source.sandbox.workspace.agents import AGENT_NAMES
from cargo_source.sandbox.workspace.connectors import SOURCES, source_uuid

if TYPE_CHECKING:
    from cargo_source.sandbox.workspace.team import Team
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

LARGEST_RAW = 10_000_000
"""Bytes of the largest file that `raw` gives; the real bound is not documented."""
NAMED = len(AGENT_NAMES)
"""The releases of agents name some of the first so many files, so these stay."""
FILES = 240
_LIBRARIES = (
    "Playbooks", "Case studies", "Battlecards", "Security answers", "Pricing", "Brand voice", "Product docs",
    "Onboarding", "Verträge", "Call scripts", "RFP answers", "Release notes", "Personas", "Partner kit", "Templates",
    "Research", "Competitors", "Webinars", "Legal", "FAQ", "Objections", "Roadmap", "Old wiki", "Scratchpad",
)  # fmt: skip
_UPLOADS = 0
"""The place of the native library where uploads lie; it stays, because files that agents name do."""
_EMPTY = 4
"""How many of the last libraries hold no file."""
_FORMATS = (
    ("pdf", "application/pdf"), ("md", "text/markdown"), ("csv", "text/csv"), ("txt", "text/plain"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"), ("json", "application/json"),
)  # fmt: skip
_TOPICS = ("Quarterly review", "Discovery call", "Pricing notes", "Étude de cas", "Competitor brief", "ICP workshop")


def file_uuid(seed: int, place: int) -> str:
    """Return the uuid of a file by its place."""
    return uuid_for(seed, "file", place)


def libraries(team: Team, start: int) -> dict[str, Wire]:
    """Return every library by uuid."""
    stream = Stream(team.seed, "libraries")
    found = {}
    for place, name in enumerate(_LIBRARIES):
        uuid = uuid_for(team.seed, "library", place)
        source = ("", *SOURCES)[place % (1 + len(SOURCES))]
        found[uuid] = _library(team, (uuid, name, source), team.created + DAY + place * HOUR, stream)
        if source and place % 5:
            synced = iso(start - stream.whole(MINUTE, DAY))
            found[uuid] |= {"lastSyncedAt": synced, "updatedAt": synced}
    gone = found[uuid_for(team.seed, "library", len(_LIBRARIES) - 2)]
    gone["deletedAt"] = gone["updatedAt"] = iso(start - 2 * DAY)
    return found


def _library(team: Team, head: tuple[str, str, str], moment: int, stream: Stream) -> Wire:
    uuid, name, source = head
    return {
        "uuid": uuid,
        "workspaceUuid": team.workspace_uuid,
        "name": name,
        "kind": "connector" if source else "native",
        "connectorUuid": source_uuid(team, source) if source else None,
        "extractorSlug": _extractor(source),
        "config": _config(team, uuid, source),
        "folderUuid": team.folder(stream, "file"),
        "lastSyncedAt": None,
        "createdAt": iso(moment),
        "updatedAt": iso(moment),
        "deletedAt": None,
    }


def _extractor(source: str) -> str:
    if not source:
        return "uploadFiles"
    return "fetchPages" if source in {"notion", "confluence"} else "fetchFiles"


def _config(team: Team, uuid: str, source: str) -> Wire:
    """Return the extractor's settings; a native library has a key too, with which it can be shared."""
    key = team.encrypted("library", uuid)
    if not source:
        return {"sharing": {"isEnabled": False, "key": key}}
    return {"root": f"/{uuid[:8]}", "recursive": True, "webhook": {"url": "https://api.getcargo.io/hook", "key": key}}


def add_library(world: World, stream: Stream, moment: int) -> Wire:
    """Make a library that holds no file yet."""
    head = (stream.uuid(), f"Shelf {stream.whole(100, 999)}", stream.pick(("", *SOURCES)))
    return _library(world.team, head, moment, stream)


def sync_library(library: Wire, stream: Stream, moment: int) -> None:
    """Sync a library, or rename it if there is nothing to sync."""
    if library["kind"] == "connector":
        library["lastSyncedAt"] = iso(moment)
    else:
        library["name"] = f"{library['name'].split(' (')[0]} ({stream.whole(2, 99)})"


def is_loose(world: World, library: Wire) -> bool:
    """Tell whether a library holds no file."""
    return all(file["libraryUuid"] != library["uuid"] for file in world.tables["files"].values())


def files(team: Team, libraries: dict[str, Wire], start: int) -> dict[str, Wire]:
    """Return every file by uuid: those of libraries, and among them what was uploaded to an agent or a chat."""
    stream = Stream(team.seed, "files")
    shelves = list(libraries.values())[:-_EMPTY]
    found = {}
    for place in range(FILES):
        uuid = file_uuid(team.seed, place)
        shelf = shelves[place % len(shelves) if place % 4 else _UPLOADS]
        found[uuid] = _file(team, uuid, shelf, stream.whole(team.created + 3 * DAY, start - DAY), stream)
        if place >= NAMED and place % 29 == 0:
            found[uuid]["deletedAt"] = found[uuid]["updatedAt"] = iso(start - stream.whole(HOUR, DAY))
    return found


def _file(team: Team, uuid: str, shelf: Wire, moment: int, stream: Stream) -> Wire:
    suffix, content_type = stream.pick(_FORMATS)
    synced = shelf["kind"] == "connector"
    # One file in sixteen is a recording, and larger than `raw` gives.
    size = stream.whole(LARGEST_RAW + 1, 90_000_000) if stream.chance(1 / 16) else stream.whole(200, 300_000)
    return {
        "uuid": uuid,
        "workspaceUuid": team.workspace_uuid,
        "libraryUuid": shelf["uuid"],
        "kind": shelf["kind"],
        "userUuid": None if synced else stream.pick(team.users),
        "connectorUuid": shelf["connectorUuid"],
        "name": f"{stream.pick(_TOPICS)} {stream.whole(1, 999)}.{suffix}",
        "isTemporary": not synced and stream.chance(0.3),
        "folderUuid": team.folder(stream, "file"),
        "s3Filename": f"files/{uuid}.{suffix}",
        "openAiFileId": f"file-{uuid[:8]}",
        "contentType": content_type,
        "size": size,
        "isIndexedInOpenAiVectorStore": stream.chance(0.7),
        "externalId": f"ext_{uuid[-12:]}" if synced else None,
        "createdAt": iso(moment),
        "updatedAt": iso(moment),
        "deletedAt": None,
    }


def add_file(world: World, stream: Stream, moment: int) -> Wire:
    """Upload a file, or find one in a library that was there before."""
    made = iso(moment)
    shelves = [
        each for each in world.tables["libraries"].values() if not each["deletedAt"] and each["createdAt"] < made
    ]
    shelf = stream.pick(shelves) if stream.chance(0.7) else shelves[_UPLOADS]
    return _file(world.team, stream.uuid(), shelf, moment, stream)


def rewrite_file(file: Wire, stream: Stream, _moment: int) -> None:
    """Put other content into a file; it has to be indexed again."""
    file["size"] = file["size"] + stream.whole(1, 5000)
    file["isIndexedInOpenAiVectorStore"] = not file["isIndexedInOpenAiVectorStore"]


def is_spare(world: World, file: Wire) -> bool:
    """Tell whether no release of an agent can name a file."""
    return all(file["uuid"] != file_uuid(world.seed, place) for place in range(NAMED))


def content_of(file: Wire) -> bytes:
    """Make the bytes of a file, as many as it says; they change when it does."""
    line = f"{file['name']}, as of {file['updatedAt']}: {_digest(file)}\n".encode()
    size = int(file["size"])
    return (line * (size // len(line) + 1))[:size]


def _digest(file: Wire) -> str:
    return hashlib.sha256(f"{file['uuid']}/{parse(file['updatedAt'])}".encode()).hexdigest()
