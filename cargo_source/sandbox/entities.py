"""Every entity of the workspace, as data: which schema of the API its rows follow, and which fields tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.workspace.billing import subscription
from cargo_source.sandbox.workspace.integrations import native_integration

if TYPE_CHECKING:
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]
Rows = Callable[["World"], Iterable[Wire]]


@dataclass(frozen=True)
class Entity:
    """An entity. Without `rows` it is a table of the world; with them it is read out of something else.

    What is nested in a parent carries the parent's key. `schema` is empty where the API has no object of its own.
    """

    schema: str
    key: tuple[str, ...] = ("uuid",)
    rows: Rows | None = None

    def key_of(self, row: Wire) -> str:
        """Give the key under which a table keeps a row."""
        return ":".join(str(row[field]) for field in self.key)


def _unfolded(world: World, name: str, called: str) -> Iterable[Wire]:
    """Give what the manifests of all integrations hold under a name, and what the platform has itself."""
    manifests = {slug: each[name] for slug, each in world.tables["integrations"].items()}
    manifests["native"] = native_integration()[name]
    for integration, found in manifests.items():
        for slug, row in found.items():
            yield {"integrationSlug": integration, called: slug, **row}


def _columns(world: World) -> Iterable[Wire]:
    for model in world.tables["models"].values():
        for column in (*model["columns"], *model["additionalColumns"]):
            yield {"modelUuid": model["uuid"], **column}


def _executions(world: World) -> Iterable[Wire]:
    for run in world.tables["runs"].values():
        for index, execution in enumerate(run["executions"]):
            yield {"runUuid": run["uuid"], "index": index, **execution}


def _change_rows(world: World) -> Iterable[Wire]:
    for change, rows in world.change_rows.items():
        for row in rows:
            yield {"changeUuid": change, **row}


ENTITIES: dict[str, Entity] = {
    "workspaces": Entity("Workspace", rows=lambda world: [world.workspace]),
    "users": Entity("User"),
    "roles": Entity("Role"),
    "folders": Entity("Folder"),
    "connectors": Entity("Connector"),
    "integrations": Entity("Integration", ("slug",)),
    "custom_integrations": Entity("CustomIntegration"),
    "actions": Entity(
        "IntegrationAction",
        ("integrationSlug", "actionSlug"),
        lambda world: _unfolded(world, "actions", "actionSlug"),
    ),
    "extractors": Entity(
        "Extractor",
        ("integrationSlug", "extractorSlug"),
        lambda world: _unfolded(world, "extractors", "extractorSlug"),
    ),
    "datasets": Entity("Dataset"),
    "models": Entity("Model"),
    "columns": Entity("", ("modelUuid", "kind", "slug"), _columns),
    "relationships": Entity("Relationship"),
    "storage_runs": Entity("StorageRun"),
    "segments": Entity("Segment"),
    "changes": Entity("Change"),
    "change_rows": Entity("", ("changeUuid", "_kind", "_id"), _change_rows),
    "workflows": Entity("Workflow"),
    "plays": Entity("Play"),
    "tools": Entity("Tool"),
    "workflow_releases": Entity("WorkflowRelease"),
    "batches": Entity("Batch"),
    "runs": Entity("Run"),
    "executions": Entity("Execution", ("runUuid", "index"), _executions),
    "orchestration_records": Entity("OrchestrationRecord", ("workflowUuid", "id")),
    "spans": Entity("Span", ("runUuid", "executionIndex")),
    "traces": Entity("Trace"),
    "agents": Entity("Agent"),
    "agent_releases": Entity("AgentRelease"),
    "chats": Entity("Chat"),
    "messages": Entity("Message"),
    "votes": Entity("Vote", ("userUuid", "messageUuid")),
    "mcp_servers": Entity("McpServer"),
    "memories": Entity("Memory", ("mem0Id",)),
    "libraries": Entity("Library"),
    "files": Entity("File"),
    "usage_metrics": Entity("", ("date", "unit", "dimension", "slug", "groupBy"), lambda world: world.usage.rows()),
    "subscriptions": Entity("Subscription", rows=lambda world: [subscription(world)]),
    "invoices": Entity("Invoice", ("id",)),
    "warehouse_queries": Entity("SystemOfRecordLog"),
}
"""By the name under which `truth` gives them."""

TABLES = tuple(name for name, entity in ENTITIES.items() if entity.rows is None)
"""The entities that the world keeps in a table, by key."""
