"""Executions: one node of a run's graph, being run."""

from typing import Any

Wire = dict[str, Any]


def execution_of(node: Wire, following: str | None) -> Wire:
    """Return an execution of a node that is pending; what its kind does not have is absent."""
    calls = {
        "nodeActionSlug": node.get("actionSlug"),
        "nodeConnectorUuid": node.get("connectorUuid"),
        "nodeIntegrationSlug": node.get("integrationSlug"),
        "nodeToolUuid": node.get("toolUuid"),
        "nodeAgentUuid": node.get("agentUuid"),
    }
    integration = node.get("integrationSlug")
    return {
        "nodeUuid": node["uuid"],
        "nodeSlug": node["slug"],
        "nodeKind": node["kind"],
        **{key: value for key, value in calls.items() if value is not None},
        "nodeReleaseUuid": node.get("releaseUuid"),
        "nodeWaitUntilFinished": node.get("waitUntilFinished", False),
        "nodeBatchUuid": None,
        "nodeRunUuid": None,
        "nodeMessageUuid": None,
        "nodeChildIndex": None,
        "nextNodeUuid": following,
        "status": "pending",
        "errorMessage": None,
        "title": None,
        "iconUrl": f"https://icons.example/{integration}.svg" if integration else None,
        "creditsUsedCount": 0,
        "startedAt": None,
        "updatedAt": None,
        "finishedAt": None,
    }
