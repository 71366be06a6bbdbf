"""Agents, each with the releases that led to what it is today."""

from typing import Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.moments import DAY, HOUR, iso
from cargo_source.sandbox.workspace.releases import Releases, shown
from cargo_source.sandbox.workspace.team import Team

Wire = dict[str, Any]

AGENT_NAMES = (
    "Account researcher", "Inbound qualifier", "Meeting preparer", "Churn watcher", "Outbound writer", "Data janitor",
    "Competitor scout", "Call summarizer", "Pricing desk", "Renewal coach", "Territory planner", "Lead router",
    "Support triager", "News reader", "Persona matcher", "Sequence tuner", "CRM librarian", "Deal reviewer",
    "Event follower", "Partner finder", "Onboarding guide", "Forecast analyst", "Rédacteur français", "Empty draft",
)  # fmt: skip
RELEASES_EACH = 12
_COLORS = ("grey", "green", "purple", "yellow", "blue", "red")


class Agents:
    """Makes the agents, and new releases for them."""

    def __init__(self, team: Team, tools: list[str]) -> None:
        self._team = team
        self._stream = Stream(team.seed, "agents")
        self._uuids = [uuid_for(team.seed, "agent", place) for place in range(len(AGENT_NAMES))]
        self._releases = Releases(team, tools, self._uuids, AGENT_NAMES)

    def releases(self, start: int) -> dict[str, Wire]:
        """Return every release by uuid: of an agent the last is deployed, or the one before a draft."""
        found: dict[str, Wire] = {}
        for place in range(len(AGENT_NAMES)):
            parent = None
            for number, made in enumerate(self._releases.moments(RELEASES_EACH, self._team.created + DAY, start - DAY)):
                parent = self._releases.make(place, parent, made, _status(place, number))
                found[parent["uuid"]] = parent
        return found

    def deploy(self, agent: Wire, releases: dict[str, Wire], moment: int) -> None:
        """Give an agent a new deployed release; the one before is archived."""
        old = releases[agent["deployedRelease"]["uuid"]]
        new = self._releases.make(self._uuids.index(agent["uuid"]), old, moment, "deployed")
        new["createdAt"] = iso(moment)
        old |= {"status": "archived", "updatedAt": iso(moment)}
        releases[new["uuid"]] = new
        agent |= {"deployedRelease": shown(new), "updatedAt": iso(moment)}

    def agents(self, releases: dict[str, Wire], start: int) -> dict[str, Wire]:
        """Return every agent by uuid, each with its deployed release."""
        deployed = {each["agentUuid"]: each for each in releases.values() if each["status"] == "deployed"}
        return {uuid: self._agent(place, deployed.get(uuid), start) for place, uuid in enumerate(self._uuids)}

    def _agent(self, place: int, release: Wire | None, start: int) -> Wire:
        moved = start - self._stream.whole(HOUR, DAY)
        return {
            "uuid": self._uuids[place],
            "workspaceUuid": self._team.workspace_uuid,
            "userUuid": self._team.users[place % len(self._team.users)] if place % 5 else None,
            "name": AGENT_NAMES[place],
            "icon": {"color": _COLORS[place % len(_COLORS)], "face": f"face-{place % 9}"},
            "description": f"{AGENT_NAMES[place]} for the revenue team" if place % 4 else None,
            "triggers": self._triggers(place),
            "deployedRelease": shown(release) if release else None,
            "folderUuid": self._team.folder(self._stream, "agent"),
            "template": _template(place) if place % 5 == 0 else None,
            "isReadOnly": place % 5 == 0,
            "createdAt": iso(self._team.created + place * HOUR),
            "updatedAt": iso(moved),
            "deletedAt": iso(moved) if place == len(AGENT_NAMES) - 2 else None,
        }

    def _triggers(self, place: int) -> list[Wire]:
        cron: Wire = {
            "name": "Every morning",
            "description": None,
            "type": "cron",
            "connectorUuid": None,
            "cron": "0 8 * * *",
            "temporalScheduleWorkflowId": f"agent-schedule-{place}",
            "text": "Look for news.",
        }
        connector: Wire = {
            "name": "Mentions",
            "description": "When someone mentions the agent",
            "type": "connector",
            "connectorUuid": self._team.connectors["slack"],
            "integrationSlug": "slack",
            "config": {"channel": "#revenue"},
        }
        return [cron, connector][: place % 3]


def _status(place: int, number: int) -> str:
    last = number == RELEASES_EACH - 1
    if place == len(AGENT_NAMES) - 1:
        return "draft" if last else "archived"
    if place % 3 == 0:
        return "draft" if last else "deployed" if number == RELEASES_EACH - 2 else "archived"
    return "deployed" if last else "archived"


def _template(place: int) -> Wire:
    return {"slug": "researcher", "isAvailable": place % 2 == 0, "scope": "private" if place % 10 else "public"}
