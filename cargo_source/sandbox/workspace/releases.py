"""Releases of agents: what an agent can reach, and how it thinks."""

from typing import Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.models import MODELS
from cargo_source.sandbox.moments import HOUR, MINUTE, iso
from cargo_source.sandbox.workspace.team import LANGUAGE_MODELS, Team
from cargo_source.sandbox.workspace.warehouse import model_uuid

Wire = dict[str, Any]

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
_BIG = {"kind": "number", "columnSlug": "employeesCount", "operator": "greaterThan", "value": 100}
_ONLY_BIG = {"conjonction": "and", "groups": [{"conjonction": "and", "conditions": [_BIG]}]}
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
            "actions": [self._action(place, kind) for kind in ("tool", "connector", "agent")[: 1 + number % 3]],
            "resources": self._resources(place)[: 1 + place % 2] if number % 4 else [],
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
        secret = {"name": "CRM_TOKEN", "secretValue": self._team.secret("code", place, number)}
        return {**config, "env": [{"name": "REGION", "value": "eu"}, secret]}

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

    def _action(self, place: int, kind: str) -> Wire:
        action: Wire = {
            "kind": kind,
            "name": "Find an email" if place % 2 else None,
            "slug": "find_email" if kind == "tool" else f"{kind}_call",
            "description": "Looks for a person's email." if place % 3 else None,
            "isBulkAllowed": kind == "tool",
            "config": {"timeout": 30},
            "toolUuid": self._tools[place % len(self._tools)] if kind == "tool" else None,
            "agentUuid": self._agents[(place + 1) % 20] if kind == "agent" else None,
            "connectorUuid": self._team.connectors["apollo"] if kind == "connector" else None,
            "templateSlug": "people" if kind == "agent" else None,
        }
        if kind == "connector":
            return action | {"integrationSlug": "apollo", "actionSlug": "searchPeople"}
        return action | {"waitUntilFinished": kind == "tool"}

    def _resources(self, place: int) -> list[Wire]:
        spec = MODELS[place % 3]
        model = _RESOURCE | {
            "kind": "model",
            "name": spec.name,
            "slug": spec.slug,
            "description": "The accounts we sell to" if place % 2 else None,
            "integrationSlug": "native" if place % 2 else None,
            "modelUuid": model_uuid(self._team.seed, spec),
            "filter": _ONLY_BIG if place % 3 == 0 else None,
            "selectedColumnSlugs": [spec.id] if place % 2 else None,
            "limit": 50 if place % 2 else None,
            "isReadOnly": True,
        }
        file = {"kind": "file", "fileUuid": uuid_for(self._team.seed, "file", place)}
        folder = {"kind": "folder", "folderUuid": self._team.folders[place % 5]}
        files = _RESOURCE | {
            "kind": "file",
            "slug": "playbook",
            "prompt": "Use for objections",
            "items": [file, folder],
        }
        return [files, model] if place % 4 == 1 else [model, files]

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


_RESOURCE: Wire = dict.fromkeys(
    ("name", "description", "prompt", "integrationSlug", "modelUuid", "filter", "selectedColumnSlugs", "limit")
)
