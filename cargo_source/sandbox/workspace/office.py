"""The workspace around its data: members, connections, content, votes, memories and bills; how they begin and move."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.entities import ENTITIES
from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import iso
from cargo_source.sandbox.workspace import (
    billing,
    connectors,
    content,
    folders,
    integrations,
    mcp_servers,
    members,
    memories,
    queries,
    votes,
)
from cargo_source.sandbox.workspace.happening import Stretch

if TYPE_CHECKING:
    from collections.abc import Callable

    from cargo_source.sandbox.world import World

Wire = dict[str, Any]


def settle(world: World) -> None:
    """Fill the office's tables; chats and models are there already."""
    tables, team = world.tables, world.team
    tables["roles"] = members.roles(team, world.user["role"])
    tables["users"] = members.users(team, world.user, tables["roles"])
    tables["folders"] = folders.folders(team)
    tables["integrations"] = integrations.integrations()
    tables["custom_integrations"] = integrations.custom_integrations(team)
    tables["connectors"] = connectors.connectors(team)
    tables["libraries"] = content.libraries(team, world.moment)
    tables["files"] = content.files(team, tables["libraries"], world.moment)
    tables["mcp_servers"] = mcp_servers.mcp_servers(team)
    tables["memories"] = memories.memories(team, list(tables["agents"]), world.moment)
    votes.cast_history(world)
    billing.invoice_history(world)
    queries.log_history(world)
    connectors.count_uses(world)


@dataclass(frozen=True)
class Upkeep:
    """How the rows of a table come, change and go, in times per day.

    Only rows to which nothing refers go: every second one is deleted softly and stays in its list, if it can.
    """

    table: str
    add: Callable[[World, Stream, int], Wire]
    change: Callable[[Wire, Stream, int], None]
    may_go: Callable[[World, Wire], bool]
    added: float = 1
    changed: float = 2
    removed: float = 1


def _always(_world: World, _row: Wire) -> bool:
    return True


def _is_guest(world: World, user: Wire) -> bool:
    return user["uuid"] not in world.team.users


def _holds_nothing(world: World, folder: Wire) -> bool:
    if any(model["folderUuid"] == folder["uuid"] for model in world.tables["models"].values()):
        return False
    return all(folder["uuid"] not in known for known in world.team.folders.values())


UPKEEP = (
    Upkeep("users", members.join, members.sign_in, _is_guest, changed=4),
    Upkeep("folders", folders.add, folders.tidy, _holds_nothing),
    Upkeep("connectors", connectors.add, connectors.retune, connectors.is_loose),
    Upkeep("libraries", content.add_library, content.sync_library, content.is_loose, changed=8),
    Upkeep("files", content.add_file, content.rewrite_file, content.is_spare, added=6, changed=5, removed=4),
    Upkeep("mcp_servers", mcp_servers.add, mcp_servers.describe, _always),
    Upkeep("memories", memories.add, memories.revise, _always, added=5, changed=3, removed=3),
)


def live(world: World, before: int, after: int, number: int) -> Counter[str]:
    """Let a stretch of time pass in the office; return how many things of each kind happened."""
    counts: Counter[str] = Counter()
    for upkeep in UPKEEP:
        within = Stretch(before, after, Stream(world.seed, "office", upkeep.table, number), counts)
        _keep_up(world, upkeep, within, number)
    for name, act in (("votes", votes.keep_voting), ("bills", billing.keep_billing), ("log", queries.keep_logging)):
        act(world, Stretch(before, after, Stream(world.seed, "office", name, number), counts))
    connectors.count_uses(world)
    return counts


def _keep_up(world: World, upkeep: Upkeep, within: Stretch, number: int) -> None:
    table, key_of = world.tables[upkeep.table], ENTITIES[upkeep.table].key_of
    name = _camel(upkeep.table)
    alive = [row for row in table.values() if not row.get("deletedAt") and row is not world.user]
    for row in within.stream.some(alive, within.often(upkeep.changed)):
        moment = within.moment()
        upkeep.change(row, within.stream, moment)
        row["updatedAt"] = iso(moment)
        within.counts[f"{name}Changed"] += 1
    loose = [row for row in alive if upkeep.may_go(world, row)]
    for turn, row in enumerate(within.stream.some(loose, within.often(upkeep.removed)), start=number):
        if "deletedAt" in row and turn % 2:
            row["deletedAt"] = row["updatedAt"] = iso(within.moment())
        else:
            del table[key_of(row)]
        within.counts[f"{name}Removed"] += 1
    for _ in range(within.often(upkeep.added)):
        row = upkeep.add(world, within.stream, within.moment())
        table[key_of(row)] = row
        within.counts[f"{name}Added"] += 1


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)
