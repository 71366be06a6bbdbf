"""What the workspace used, per day: credits, stored records and executions, read from what really happened.

Nothing here is written down anywhere else: credits are those of executions and messages, by the day on which they
ended, executions are those that ended, and inserted records are those that the warehouse made. An execution that calls
a tool or an agent uses no credits of its own: the runs and the answer that it leads to do.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from cargo_source.sandbox.moments import DAY, iso, parse
from cargo_source.sandbox.workspace.manifests import LANGUAGE_ACTION
from cargo_source.sandbox.workspace.warehouse import model_uuid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

CREDITS, RECORDS, EXECUTIONS = "billing.credits", "storage.records", "orchestration.executions"
UNITS = (CREDITS, RECORDS, EXECUTIONS)
DIMENSIONS = ("integration_slug", "connector_uuid", "model_uuid", "workflow_uuid", "agent_uuid")
_OF_ITSELF = frozenset({"native", "connector"})


class Use(NamedTuple):
    """What was used, of what, and to what it is attributable: fields after `slug` are dimensions or None."""

    date: str
    unit: str
    slug: str
    integration_slug: str | None = None
    connector_uuid: str | None = None
    model_uuid: str | None = None
    workflow_uuid: str | None = None
    agent_uuid: str | None = None


Uses = dict[Use, float]


class Usage:
    """Sums up what was used, once per revision of the world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._revision = -1
        self._uses: Uses = {}

    def uses(self) -> Uses:
        """Give how much there is of each use, in the order of days."""
        if self._revision != self._world.revision:
            self._revision = self._world.revision
            found: Uses = defaultdict(float)
            for use, count in (*self._executed(), *self._answered(), *self._stored()):
                found[use] += count
            self._uses = {use: count for use, count in sorted(found.items(), key=lambda each: each[0][:3]) if count}
        return self._uses

    def by(self, dimension: str | None, uses: Uses | None = None) -> dict[tuple[str, str, str, str | None], float]:
        """Give counts by date, unit, slug and the value of a dimension, which is None where there is no dimension."""
        found: dict[tuple[str, str, str, str | None], float] = defaultdict(float)
        for use, count in (self.uses() if uses is None else uses).items():
            value = getattr(use, dimension) if dimension else None
            found[use.date, use.unit, use.slug, value] += count
        return found

    def rows(self) -> Iterator[Wire]:
        """Give every metric there is: without a dimension, and by each of them."""
        for dimension in (None, *DIMENSIONS):
            for (date, unit, slug, value), count in self.by(dimension).items():
                yield {
                    "date": date,
                    "unit": unit,
                    "dimension": dimension or "none",
                    "slug": slug,
                    "groupBy": value,
                    "count": whole(count),
                }

    def _executed(self) -> Iterator[tuple[Use, float]]:
        tables = self._world.tables
        models = {play["workflowUuid"]: play["modelUuid"] for play in tables["plays"].values()}
        for run in tables["runs"].values():
            where = (models.get(run["workflowUuid"]), run["workflowUuid"], run["parentAgentUuid"])
            for each in run["executions"]:
                if each["finishedAt"] is None:
                    continue
                integration = each.get("nodeIntegrationSlug")
                place = (integration, each.get("nodeConnectorUuid"), *where)
                day = _day(each["finishedAt"])
                yield Use(day, EXECUTIONS, each["status"], *place), 1
                if each["nodeKind"] in _OF_ITSELF:
                    action = each["nodeActionSlug"]
                    slug = f"integration.{integration}.action.{action}" if integration else f"native.{action}"
                    yield Use(day, CREDITS, slug, *place), each["creditsUsedCount"]

    def _answered(self) -> Iterator[tuple[Use, float]]:
        tables = self._world.tables
        for message in tables["messages"].values():
            if message["usage"]:
                connector = message["usage"]["connectorUuid"]
                integration = tables["connectors"][connector]["integrationSlug"]
                trigger = tables["chats"][message["chatUuid"]]["trigger"]
                workflow = trigger["uuid"] if trigger["type"] == "workflow" else None
                slug = f"integration.{integration}.action.{LANGUAGE_ACTION}"
                place = (integration, connector, None, workflow, message["agentUuid"])
                yield Use(_day(message["finishedAt"]), CREDITS, slug, *place), message["usage"]["creditsUsedCount"]

    def _stored(self) -> Iterator[tuple[Use, float]]:
        """Give the records that were inserted; one that comes back after it was removed has been paid for."""
        tables = self._world.tables
        for (key, day), count in self._world.warehouse.inserted().items():
            model = tables["models"][model_uuid(self._world.seed, self._world.warehouse.specs[key])]
            connector = model["connectorUuid"]
            integration = tables["connectors"][connector]["integrationSlug"] if connector else None
            yield Use(iso(day * DAY), RECORDS, "insert", integration, connector, model["uuid"]), count


def _day(moment: str) -> str:
    return f"{moment[:10]}T00:00:00.000Z"


def whole(count: float) -> float:
    """Write a count without a fraction where it has none."""
    return int(count) if count == int(count) else count


def days_between(first: str, last: str) -> list[str]:
    """Give every day between two moments as the wire writes it, both included."""
    return [iso(day * DAY) for day in range(parse(first) // DAY, parse(last) // DAY + 1)]
