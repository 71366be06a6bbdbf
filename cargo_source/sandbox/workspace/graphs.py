"""The shapes of workflows: which nodes follow each other, and what each costs."""

from dataclasses import dataclass
from typing import Any

from cargo_source.sandbox.identity import uuid_for
from cargo_source.sandbox.workspace.team import Team

Wire = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A node of a graph. Its kind is connector with an integration; native, tool or agent otherwise."""

    slug: str
    action: str = ""
    kind: str = "native"
    integration: str = ""
    cost: tuple[int, int] = (0, 0)
    """Least and most eighths of a credit that one execution uses."""
    waits: bool = False
    """Whether an execution may stay pending for long."""
    fallback: bool = False
    """Whether the step runs only when the one before it fails."""
    inner: bool = False
    """Whether the step runs in the child runs of the group before it."""


_START = Step("start", "start")
_END = Step("end", "end")

GRAPHS: dict[str, tuple[Step, ...]] = {
    "enrich": (
        _START,
        Step("enrich", "enrichCompany", "connector", "clearbit", cost=(4, 12), waits=True),
        Step("enrich_backup", "enrichOrganization", "connector", "apollo", cost=(2, 6), fallback=True),
        Step("filter", "filter"),
        Step("save", "modelUpsert", cost=(0, 1)),
        Step("filter", "filter"),
        _END,
    ),
    "research": (
        _START,
        Step("research", kind="agent"),
        Step("save", "modelUpsert", cost=(0, 1), waits=True),
        _END,
    ),
    "route": (
        _START,
        Step("qualify", "branch"),
        Step("assign", kind="tool"),
        Step("notify", "sendMessage", "connector", "slack", cost=(0, 1), waits=True),
        _END,
    ),
    "fan_out": (
        _START,
        Step("each", "group"),
        Step("clean", "script", cost=(0, 1), inner=True),
        Step("lookup", "searchPeople", "connector", "apollo", cost=(1, 4), inner=True),
        Step("wait", "delay", waits=True),
        _END,
    ),
    "sync": (
        _START,
        Step("upsert", "upsertObject", "connector", "hubspot", cost=(0, 2), waits=True),
        _END,
    ),
    "find_email": (
        _START,
        Step("search", "searchPeople", "connector", "apollo", cost=(2, 8)),
        Step("search_backup", "findEmail", "connector", "clearbit", cost=(4, 9), fallback=True),
        Step("verify", "verifyEmail", "connector", "outreach", cost=(1, 2), waits=True),
        _END,
    ),
}


@dataclass(frozen=True)
class Graph:
    """A graph inside one workflow: its steps, the wire nodes beside them, and the workflow-level nodes."""

    steps: tuple[Step, ...]
    nodes: list[Wire]

    def inner(self) -> list[int]:
        """Places of the steps that run in a group's child runs."""
        return [place for place, step in enumerate(self.steps) if step.inner]

    def outer(self, first: int = 0) -> list[int]:
        """Places of the steps that run in order when nothing fails, from a place on."""
        return [place for place in range(first, len(self.steps)) if not self._beside(place)]

    def _beside(self, place: int) -> bool:
        return self.steps[place].inner or self.steps[place].fallback

    def place_of(self, node_uuid: str) -> int:
        """Return the place of a node."""
        return next(place for place, node in enumerate(self.nodes) if node["uuid"] == node_uuid)


def graph_for(team: Team, workflow_uuid: str, shape: str, refers: dict[str, str]) -> Graph:
    """Make the nodes of a workflow; `refers` gives the uuid that a tool or agent node calls."""
    steps = GRAPHS[shape]
    uuids = [uuid_for(workflow_uuid, "node", place) for place in range(len(steps))]
    nodes = [_node(team, place, step, uuids[place], refers) for place, step in enumerate(steps)]
    graph = Graph(steps, nodes)
    _connect(graph, uuids)
    return graph


def _connect(graph: Graph, uuids: list[str]) -> None:
    outer = graph.outer()
    for place, following in zip(outer, [*outer[1:], None], strict=True):
        node = graph.nodes[place]
        node["childrenUuids"] = [uuids[following] if following is not None else None]
        if graph.steps[place].action == "branch":
            node["childrenUuids"].append(None)
        if place + 1 < len(graph.steps) and graph.steps[place + 1].fallback:
            node |= {"fallbackOnFailure": True, "fallbackChildUuid": uuids[place + 1]}
            graph.nodes[place + 1]["childrenUuids"] = node["childrenUuids"]


def _node(team: Team, place: int, step: Step, uuid: str, refers: dict[str, str]) -> Wire:
    node: Wire = {
        "uuid": uuid,
        "slug": step.slug,
        "config": {"note": f"step {place}", "limit": place * 10},
        "childrenUuids": [None],
        "fallbackOnFailure": False,
        "position": {"x": 0.0, "y": place * 160.0},
        "kind": step.kind,
    }
    if place % 2:
        node |= {
            "name": step.slug.replace("_", " ").capitalize(),
            "retry": {"maximumAttempts": 3, "initialInterval": 1000},
        }
    if place == 1:
        node["description"] = "Where the work is done."
    return node | _called(team, step, refers)


def _called(team: Team, step: Step, refers: dict[str, str]) -> Wire:
    """Return what a node of this kind names."""
    match step.kind:
        case "connector":
            return {
                "actionSlug": step.action,
                "integrationSlug": step.integration,
                "connectorUuid": team.connectors[step.integration],
            }
        case "tool":
            return {"toolUuid": refers["tool"], "templateSlug": "assign-v2", "waitUntilFinished": True}
        case "agent":
            return {"agentUuid": refers["agent"], "releaseUuid": refers["release"], "waitUntilFinished": False}
    return {"actionSlug": step.action}
