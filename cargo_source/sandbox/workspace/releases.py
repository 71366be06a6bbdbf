"""Releases of agents: what an agent can reach, and how it thinks."""

from typing import Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import HOUR, MINUTE, iso
from cargo_source.sandbox.workspace.skills import action, resources
from cargo_source.sandbox.workspace.team import LANGUAGE_MODELS, Team

Wire = dict[str, Any]

KINDS = ("tool", "connector", "agent")
_CAPABILITIES = (
    "sandbox", "context", "app", "code", "document", "webSearch", "fileSearch", "documentationSearch",
    "codeInterpreter", "memory", "suggestedActions",
)  # fmt: skip
_LIMITS: dict[str, Wire] = {
    "sandbox": {"scope": "chat"},
    "context": {"isReadOnly": True},
    "app": {"canPromote": False},
    "code": {"defaultBranch": "main"},
}
"""Settings of the capabilities that have some of their own; the others take anything."""
_SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
_DEPLOYED = (
    "uuid", "userUuid", "description", "templateSlug", "version", "actions", "resources", "capabilities",
    "suggestedActions", "systemPrompt", "withReasoning", "temperature", "maxSteps", "integrationSlug",
    "connectorUuid", "languageModelSlug", "mcpClients", "output", "heartbeat", "evaluator", "deployedAt", "createdAt",
)  # fmt: skip


def shown(release: Wire) -> Wire:
    """Return the part of a release that its agent shows."""
    return {key: release[key] for key in _DEPLOYED}


class Releases:
    """Makes releases; an agent is known by its place among the agents."""

    def __init__(self, team: Team, tools: list[str], agents: list[str], names: tuple[str, ...]) -> None:
        self._team = team
        self._tools = tools
        self._agents = agents
        self._names = names
        self._stream = Stream(team.seed, "releases")

    def moments(self, count: int, begin: int, end: int) -> list[int]:
        """Draw when an agent's releases were made."""
        return self._stream.moments(count, begin, end)

    def make(self, place: int, parent: Wire | None, made: int, status: str) -> Wire:
        """Make one release, after its parent."""
        stream = self._stream
        number = parent["maxSteps"] - 7 if parent else stream.whole(0, 3)
        deployed = None if status == "draft" else iso(made)
        return {
            "uuid": stream.uuid(),
            "parentUuid": parent["uuid"] if parent else None,
            "workspaceUuid": self._team.workspace_uuid,
            "userUuid": stream.pick(self._team.users),
            "agentUuid": self._agents[place],
            "description": f"Sharper prompt, try {number}" if stream.chance(0.6) else None,
            "templateSlug": "researcher" if place % 5 == 0 else None,
            # One agent predates versions, one predates the time of deployment.
            "version": None if status == "draft" or place == 7 else f"1.{number}",
            "status": status,
            **self._skills(place, number),
            **self._behaviour(place, number),
            "deployedAt": None if place == 8 else deployed,
            "createdAt": iso(made - stream.whole(MINUTE, HOUR)) if deployed else iso(made),
            "updatedAt": iso(made),
        }

    def _skills(self, place: int, number: int) -> Wire:
        """Return what a release can reach: actions, resources, capabilities, MCP servers."""
        capability = _CAPABILITIES[(place + number) % len(_CAPABILITIES)]
        return {
            "actions": [action(self._team, self._tools, self._agents, place, kind) for kind in KINDS[: 1 + number % 3]],
            "resources": resources(self._team, place)[: 1 + place % 2] if number % 4 else [],
            "capabilities": [
                {"slug": "memory", "config": {}},
                {"slug": capability, "config": self._config(capability, place, number)},
            ],
            "suggestedActions": [
                {"text": "Research this account", "actions": [{"slug": "find_email"}]},
                {"text": "Stop"},
            ],
            "mcpClients": self._mcp_clients(number) if (place + number) % 3 == 0 else [],
        }

    def _config(self, capability: str, place: int, number: int) -> Wire:
        """Return the settings of a capability; code runs in an environment that may hold a secret."""
        config = _LIMITS.get(capability, {"maxUses": 5})
        if capability != "code":
            return config
        secret = {"key": "CRM_TOKEN", "type": "secret", "secretValue": self._team.encrypted("code", place, number)}
        return {**config, "env": [{"key": "REGION", "type": "public", "value": "eu"}, secret]}

    def _behaviour(self, place: int, number: int) -> Wire:
        """Return how a release thinks: prompt, language model, output, evaluator."""
        integration, model = LANGUAGE_MODELS[(place + number) % len(LANGUAGE_MODELS)]
        output = (None, {"type": "text"}, {"type": "jsonSchema", "jsonSchema": _SCHEMA})[(place + number) % 3]
        heartbeat = {
            "intervalMinutes": 30,
            "maxMessages": 5,
            "prompt": "Anything new?" if place % 4 == 1 else None,
        }
        return {
            "systemPrompt": f"You are the {self._names[place]}.\nBe brief, cite sources. Revision {number}.",
            "withReasoning": number % 2 == 0,
            "temperature": round(0.1 * (number % 8), 1),
            "maxSteps": 8 + number,
            "integrationSlug": integration,
            "connectorUuid": self._team.connectors[integration] if place % 4 else None,
            "languageModelSlug": model,
            "output": output,
            "heartbeat": heartbeat if place % 6 == 1 else None,
            "evaluator": {"rubric": "Is the answer sourced?", "threshold": 0.7} if place % 3 == 0 else None,
        }

    def _mcp_clients(self, number: int) -> list[Wire]:
        custom: Wire = {
            "kind": "custom",
            "name": "warehouse",
            "url": "https://mcp.marsh.example/sse",
            "authentication": {"issuedAt": iso(self._team.created), "accessToken": self._team.secret()},
            "disabledToolSlugs": ["drop_table"],
        }
        connector: Wire = {
            "kind": "connector",
            "name": "notion",
            "authentication": None,
            "connectorUuid": self._team.connectors["slack"],
            "integrationSlug": "slack",
            "disabledToolSlugs": [],
        }
        return [custom, connector][: 1 + number % 2]
