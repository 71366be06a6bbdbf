"""MCP servers: actions and resources that the workspace offers to assistants elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.moments import DAY, HOUR, iso
from cargo_source.sandbox.workspace.agents import AGENT_NAMES
from cargo_source.sandbox.workspace.releases import KINDS
from cargo_source.sandbox.workspace.skills import action, resources
from cargo_source.sandbox.workspace.tools import TOOLS
from cargo_source.sandbox.workspace.workflows import tool_uuid

if TYPE_CHECKING:
    from cargo_source.sandbox.workspace.team import Team
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

_NAMES = (
    "Sales desk", "Research desk", "Support desk", "CRM writer", "Pricing", "Data room", "Forecasts", "Renewals",
    "Outbound", "Inbound", "Partners", "Finance", "Marketing", "Onboarding", "Territories", "Events", "Hiring",
    "Playground", "Reporting", "Quotes", "Old desk", "Spare desk", "Test desk",
)  # fmt: skip


def mcp_servers(team: Team) -> dict[str, Wire]:
    """Return every MCP server by uuid."""
    stream = Stream(team.seed, "mcp servers")
    found = {}
    for place, name in enumerate(_NAMES):
        uuid = uuid_for(team.seed, "mcp server", place)
        made = team.created + place * HOUR
        found[uuid] = _server(team, (uuid, name), place, made, stream)
        found[uuid]["updatedAt"] = iso(made + stream.whole(0, 80 * DAY))
    gone = found[uuid_for(team.seed, "mcp server", len(_NAMES) - 1)]
    gone["deletedAt"] = gone["updatedAt"]
    return found


def _server(team: Team, head: tuple[str, str], place: int, moment: int, stream: Stream) -> Wire:
    uuid, name = head
    tools = [tool_uuid(team.seed, each) for each in range(len(TOOLS))]
    agents = [uuid_for(team.seed, "agent", each) for each in range(len(AGENT_NAMES))]
    return {
        "uuid": uuid,
        "workspaceUuid": team.workspace_uuid,
        "userUuid": stream.pick(team.users),
        "name": name,
        "description": f"{name}, for assistants outside" if place % 3 else None,
        "actions": [action(team, tools, agents, place, kind) for kind in KINDS[: place % 4]],
        "resources": resources(team, place % len(agents))[: place % 3],
        "folderUuid": team.folder(stream, "mcpServer"),
        "templateSlug": "desk" if place % 5 == 0 else None,
        "isReadOnly": place % 5 == 0,
        "createdAt": iso(moment),
        "updatedAt": iso(moment),
        "deletedAt": None,
    }


def add(world: World, stream: Stream, moment: int) -> Wire:
    """Make another server."""
    place = stream.whole(100, 999)
    return _server(world.team, (stream.uuid(), f"Desk {place}"), place, moment, stream)


def describe(server: Wire, stream: Stream, _moment: int) -> None:
    """Describe a server anew."""
    server["description"] = f"{server['name']}, take {stream.whole(2, 99)}"
