"""What agents and MCP servers can reach: actions they may call, models and files they may read."""

from typing import Any

from cargo_source.sandbox.identity import uuid_for
from cargo_source.sandbox.models import MODELS
from cargo_source.sandbox.workspace.team import FOLDERS_EACH, Team
from cargo_source.sandbox.workspace.warehouse import model_uuid

Wire = dict[str, Any]

_BIG = {"kind": "number", "columnSlug": "employeesCount", "operator": "greaterThan", "value": 100}
_ONLY_BIG = {"conjonction": "and", "groups": [{"conjonction": "and", "conditions": [_BIG]}]}
_RESOURCE: Wire = dict.fromkeys(
    ("name", "description", "prompt", "integrationSlug", "modelUuid", "filter", "selectedColumnSlugs", "limit")
)


def action(team: Team, tools: list[str], agents: list[str], place: int, kind: str) -> Wire:
    """Return an action of a kind: a tool, another agent, or something that a connector can do."""
    made: Wire = {
        "kind": kind,
        "name": "Find an email" if place % 2 else None,
        "slug": "find_email" if kind == "tool" else f"{kind}_call",
        "description": "Looks for a person's email." if place % 3 else None,
        "isBulkAllowed": kind == "tool",
        "config": {"timeout": 30},
        "toolUuid": tools[place % len(tools)] if kind == "tool" else None,
        "agentUuid": agents[(place + 1) % 20] if kind == "agent" else None,
        "connectorUuid": team.connectors["apollo"] if kind == "connector" else None,
        "templateSlug": "researcher" if kind == "agent" and place % 2 else None,
    }
    if kind == "connector":
        return made | {"integrationSlug": "apollo", "actionSlug": "searchPeople"}
    return made | {"waitUntilFinished": kind == "tool"}


def resources(team: Team, place: int) -> list[Wire]:
    """Return a model, and files with a folder of files."""
    spec = MODELS[place % 3]
    model = _RESOURCE | {
        "kind": "model",
        "name": spec.name,
        "slug": spec.slug,
        "description": "The accounts we sell to" if place % 2 else None,
        "integrationSlug": "native" if place % 2 else None,
        "modelUuid": model_uuid(team.seed, spec),
        "filter": _ONLY_BIG if place % 3 == 0 else None,
        "selectedColumnSlugs": [spec.id] if place % 2 else None,
        "limit": 50 if place % 2 else None,
        "isReadOnly": True,
    }
    file = {"kind": "file", "fileUuid": uuid_for(team.seed, "file", place)}
    folder = {"kind": "folder", "folderUuid": team.folders["file"][place % FOLDERS_EACH]}
    files = _RESOURCE | {
        "kind": "file",
        "slug": "playbook",
        "prompt": "Use for objections",
        "items": [file, folder],
    }
    return [files, model] if place % 4 == 1 else [model, files]
