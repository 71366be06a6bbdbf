"""Workflows, and the plans by which they run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.models import ModelSpec
from cargo_source.sandbox.moments import DAY, HOUR, MINUTE, iso
from cargo_source.sandbox.workspace.graphs import Graph, graph_for
from cargo_source.sandbox.workspace.team import Team

Wire = dict[str, Any]

_FIELD_KINDS = ("string", "number", "boolean", "any", "date", "enum", "array")
_SUMMARY = (
    "uuid", "slug", "name", "description", "kind", "actionSlug", "connectorUuid", "integrationSlug", "templateSlug",
    "toolUuid", "agentUuid", "releaseUuid",
)  # fmt: skip
CALLED = 6
"""Nodes call one of the first so many tools and agents."""


@dataclass(frozen=True)
class Plan:
    """What the runs of one workflow need to know."""

    workflow: str
    release: str
    graph: Graph
    spec: ModelSpec | None
    """The model whose records a play runs on; None for a tool."""
    shape: str
    calls: str
    """The workflow of the tool that a tool node calls."""
    ready: bool
    """Whether a release is deployed."""
    first_batch: str | None = None
    """The uuid of the first batch of some plays."""


class Workflows:
    """Makes workflows and their plans, by name: `play-<place>` and `tool-<place>`."""

    def __init__(self, team: Team, agents: Sequence[Wire]) -> None:
        self._team = team
        self._agents = agents
        self._stream = Stream(team.seed, "workflows")
        self.plans: dict[str, Plan] = {}
        self.rows: dict[str, Wire] = {}

    def add_for_play(self, place: int, shape: str, spec: ModelSpec, *, ready: bool) -> Plan:
        """Make the workflow of a play."""
        name = f"play-{place}"
        plan = self._plan(name, shape, spec, ready=ready)
        owner = {"playUuid": play_uuid(self._team.seed, place), "toolUuid": None, "lastBatch": None}
        if place % 4:
            plan = self.plans[name] = replace(plan, first_batch=self._stream.uuid())
        self.rows[plan.workflow] = self._workflow(place + 1, plan, owner)
        return plan

    def add_for_tool(self, place: int, shape: str, *, ready: bool) -> Plan:
        """Make the workflow of a tool."""
        plan = self._plan(f"tool-{place}", shape, None, ready=ready)
        owner = {"playUuid": None, "toolUuid": tool_uuid(self._team.seed, place), "lastBatch": None}
        self.rows[plan.workflow] = self._workflow(place, plan, owner)
        return plan

    def _plan(self, name: str, shape: str, spec: ModelSpec | None, *, ready: bool) -> Plan:
        workflow = uuid_for(self._team.seed, "workflow", name)
        place = self._stream.whole(0, CALLED - 1)
        agent = self._agents[place]
        refers = {
            "tool": tool_uuid(self._team.seed, place),
            "agent": agent["uuid"],
            "release": agent["deployedRelease"]["uuid"],
        }
        plan = Plan(
            workflow=workflow,
            release=uuid_for(workflow, "release"),
            graph=graph_for(self._team, workflow, shape, refers),
            spec=spec,
            shape=shape,
            calls=uuid_for(self._team.seed, "workflow", f"tool-{place}"),
            ready=ready,
        )
        self.plans[name] = plan
        return plan

    def _workflow(self, place: int, plan: Plan, owner: Wire) -> Wire:
        made = self._team.created + MINUTE + place * HOUR
        moved = made + self._stream.whole(0, 60 * DAY)
        template = {
            "slug": plan.shape,
            "isAvailable": place % 2 == 0,
            "scope": "public" if place % 4 else "private",
        }
        return {
            "uuid": plan.workflow,
            "workspaceUuid": self._team.workspace_uuid,
            "nodes": _summary(plan.graph, place),
            "createdAt": iso(made),
            "updatedAt": iso(moved),
            "deletedAt": iso(moved) if place == 20 and owner["toolUuid"] else None,
            **owner,
            "folderUuid": self._team.folder(self._stream, "tool" if owner["toolUuid"] else "play"),
            "template": template if place % 3 == 0 else None,
            "deployedRelease": self._deployed(place, plan, moved) if plan.ready else None,
        }

    def _deployed(self, place: int, plan: Plan, moment: int) -> Wire:
        return {
            "uuid": plan.release,
            "userUuid": self._stream.pick(self._team.users),
            "description": "Adds a fallback" if place % 2 else None,
            "version": f"0.{place}" if place % 3 else None,
            "nodes": plan.graph.nodes,
            "formFields": None if plan.spec else [_field(self._stream, kind) for kind in _FIELD_KINDS],
            "templateSlug": plan.shape if place % 3 == 0 else None,
            "deployedAt": iso(moment) if place % 7 else None,
            "createdAt": iso(moment - MINUTE),
        }


def tool_uuid(seed: int, place: int) -> str:
    """Return the uuid of a tool by its place."""
    return uuid_for(seed, "tool", place)


def play_uuid(seed: int, place: int) -> str:
    """Return the uuid of a play by its place."""
    return uuid_for(seed, "play", place)


def _summary(graph: Graph, place: int) -> list[Wire]:
    """Return the nodes as the workflow lists them: those inside a group are nested, past ones are archived."""
    short: list[Wire] = [
        {key: node[key] for key in _SUMMARY if key in node} | {"isArchived": False, "nodes": []} for node in graph.nodes
    ]
    inner = graph.inner()
    for node in short:
        if node.get("actionSlug") == "group":
            node["nodes"] = [short[i] for i in inner]
    listed = [node for i, node in enumerate(short) if i not in inner]
    if place % 4:
        return listed
    uuid = uuid_for(graph.nodes[0]["uuid"], "past")
    past = {"slug": "old_step", "kind": "native", "actionSlug": "script", "isArchived": True, "nodes": []}
    return [*listed, {"uuid": uuid} | past]


def _field(stream: Stream, kind: str) -> Wire:
    field: Wire = {"name": kind.capitalize(), "slug": f"{kind}_field", "kind": kind}
    if stream.chance(0.5):
        field |= {"description": "Asked in the form.", "placeholder": "…", "isRequired": True}
    if kind == "enum":
        field["enum"] = ["small", "large"]
    if kind == "array":
        field["fields"] = [{"name": "Item", "slug": "item", "kind": "string"}]
    return field
