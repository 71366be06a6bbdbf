"""What agents remember of members and for themselves: personal data, each with a made-up name to look for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import DAY, iso

if TYPE_CHECKING:
    from cargo_source.sandbox.workspace.team import Team
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

_NOTES = (
    "{} prefers mail over calls.", "{} speaks French and German.", "{} signs off on budgets above 50k.",
    "Never call {} before ten.", "{} left the buying committee in May.", "Leads from {} go to the Lyon team.",
)  # fmt: skip
_OF_USER, _OF_AGENT = 7, 3


def memories(team: Team, agents: list[str], start: int) -> dict[str, Wire]:
    """Return every memory by its id: several of each colleague, a few of each agent."""
    stream = Stream(team.seed, "memories")
    owners = [{"scope": "user", "userUuid": user} for user in team.users for _ in range(_OF_USER)]
    owners += [_agent(team, agent) for agent in agents for _ in range(stream.whole(0, 2 * _OF_AGENT))]
    made = [_memory(team, owner, stream.whole(team.created + DAY, start - DAY), stream) for owner in owners]
    return {memory["mem0Id"]: memory for memory in made}


def _agent(team: Team, uuid: str) -> Wire:
    """Name an agent as the owner; unlike members, agents belong to one workspace."""
    return {"scope": "agent", "agentUuid": uuid, "workspaceUuid": team.workspace_uuid}


def _memory(team: Team, owner: Wire, moment: int, stream: Stream) -> Wire:
    uuid = stream.uuid()
    return {
        "mem0Id": uuid,
        "content": stream.pick(_NOTES).format(team.personal("memory", uuid)),
        **owner,
        "createdAt": iso(moment),
        "updatedAt": iso(moment),
    }


def add(world: World, stream: Stream, moment: int) -> Wire:
    """Remember something of a colleague or for an agent."""
    of_user = {"scope": "user", "userUuid": stream.pick(world.team.users)}
    of_agent = _agent(world.team, stream.pick(list(world.tables["agents"])))
    return _memory(world.team, of_user if stream.chance(0.4) else of_agent, moment, stream)


def revise(memory: Wire, stream: Stream, _moment: int) -> None:
    """Learn more about what is remembered."""
    memory["content"] = f"{memory['content'].split(' (since')[0]} (since {stream.whole(2020, 2025)})"
