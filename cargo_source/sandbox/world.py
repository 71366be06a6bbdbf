"""The sandbox's workspace: its entities as the API shows them, the rows of its models, and its time.

Everything follows from the seed, the number of companies and the start; nothing looks at the machine's clock or at
global random state. The same seed, companies and start give the same bytes, also after the same advances.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.entities import TABLES
from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.models import MODELS
from cargo_source.sandbox.moments import DAY, HOUR, MINUTE, from_datetime, to_datetime
from cargo_source.sandbox.workspace import history, office, storage
from cargo_source.sandbox.workspace.agents import Agents
from cargo_source.sandbox.workspace.batch_courses import BatchCourses
from cargo_source.sandbox.workspace.batches import Batches
from cargo_source.sandbox.workspace.changes import Changes
from cargo_source.sandbox.workspace.chats import Chats
from cargo_source.sandbox.workspace.column_writing import ColumnWriting
from cargo_source.sandbox.workspace.latest_records import latest_records
from cargo_source.sandbox.workspace.modelling import Modelling
from cargo_source.sandbox.workspace.passing import Step
from cargo_source.sandbox.workspace.plays import make_plays
from cargo_source.sandbox.workspace.poking import Poking
from cargo_source.sandbox.workspace.refreshing import Refreshing
from cargo_source.sandbox.workspace.reshaping import Reshaping
from cargo_source.sandbox.workspace.runs import Record, Runs
from cargo_source.sandbox.workspace.segments import count_uses, make_segments
from cargo_source.sandbox.workspace.stirring import remember_emission
from cargo_source.sandbox.workspace.storage_runs import StorageRuns
from cargo_source.sandbox.workspace.team import Team
from cargo_source.sandbox.workspace.tools import TOOLS, make_tools
from cargo_source.sandbox.workspace.traces import Traces
from cargo_source.sandbox.workspace.usage import Usage
from cargo_source.sandbox.workspace.warehouse import PhysicalColumn, Warehouse, columns_of, model_uuid
from cargo_source.sandbox.workspace.workflow_releases import WorkflowReleases
from cargo_source.sandbox.workspace.workflows import Plan, Workflows, tool_uuid
from cargo_source.sandbox.workspace.writing import Writing

if TYPE_CHECKING:
    import duckdb

    from cargo_source.sandbox.models import ModelSpec

Wire = dict[str, Any]

DEFAULT_START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class World:
    """A Cargo workspace: wire-shaped dicts per entity, and a DuckDB table for the rows of each model.

    `tables` maps an entity's name to its rows by key (see `entities`). A run carries its executions. `change_rows` maps
    a change's uuid to its rows, those of kind unchanged included; a row object may be shared by several changes, so it
    must not be written to. `revision` moves whenever anything does.
    """

    def __init__(self, *, seed: int = 7, companies: int = 500, start: datetime | None = None) -> None:
        self.seed = seed
        self.companies = companies
        self.moment = from_datetime(start or DEFAULT_START)
        self.start = to_datetime(self.moment)
        self.revision = 0
        self._steps = 0
        self.usage: Usage = Usage(self)
        self.team = Team(seed, self.moment)
        self.workspace: Wire = self.team.workspace()
        self.user: Wire = self.team.user()
        self.warehouse = Warehouse(seed)
        self.tables: dict[str, dict[str, Wire]] = {name: {} for name in TABLES}
        self.change_rows: dict[str, list[Wire]] = {}
        self._specs = {model_uuid(seed, spec): spec for spec in MODELS}
        self.reshape = Reshaping(self)
        self.poke = Poking(self)
        self.writing = Writing(self)
        self.modelling = Modelling(self)
        self.column_writing = ColumnWriting(self)
        self.refreshing = Refreshing(self)
        self._settle_in()

    def _settle_in(self) -> None:
        tables = self.tables
        self.warehouse.fill(self.companies, self.moment)
        tables["datasets"] = storage.datasets(self.team)
        tables["models"] = storage.models(self.team, self.warehouse, self.moment)
        tables["relationships"] = storage.relationships(self.team)
        self._settle_agents()
        self.traces = Traces(self)
        self.batches = Batches(self)
        self.runs = Runs(self)
        self.chats = Chats(self)
        self.changes = Changes(self)
        tables["segments"] = make_segments(self)
        history.write_runs(self)
        history.write_chats(self)
        self.batch_courses = BatchCourses(self)
        self.batch_courses.write_history()
        self.changes.write_history()
        self.settle()
        count_uses(self)
        self.workflow_releases = WorkflowReleases(self)
        self.workflow_releases.write_history()
        self.storage_runs = StorageRuns(self)
        self.storage_runs.write_history()
        office.settle(self)

    def settle(self) -> None:
        """Bring what is summed up from runs in step with them: traces, batches, records."""
        self.traces.settle()
        self.batches.settle()
        self.tables["orchestration_records"] = latest_records(self.tables["runs"].values())

    def _settle_agents(self) -> None:
        tables = self.tables
        self.agents = Agents(self.team, [tool_uuid(self.seed, place) for place in range(len(TOOLS))])
        tables["agent_releases"] = self.agents.releases(self.moment)
        tables["agents"] = self.agents.agents(tables["agent_releases"], self.moment)
        workflows = Workflows(self.team, list(tables["agents"].values()))
        tables["workflows"] = workflows.rows
        tables["tools"] = make_tools(self.team, workflows)
        tables["plays"] = make_plays(self.team, workflows, self.warehouse.specs)
        self.plans = {plan.workflow: plan for plan in workflows.plans.values()}
        self.named_plans = workflows.plans

    @property
    def now(self) -> datetime:
        """The sandbox's own time."""
        return to_datetime(self.moment)

    @property
    def db(self) -> duckdb.DuckDBPyConnection:
        """The store of the rows: a schema per dataset, a table per model."""
        return self.warehouse.db

    def spec_of(self, uuid: str) -> ModelSpec:
        """Return how a model was made."""
        return self._specs[uuid]

    def remember_model(self, spec: ModelSpec) -> None:
        """Take note of how a model is made from now on."""
        self._specs[model_uuid(self.seed, spec)] = spec

    def has_table(self, uuid: str) -> bool:
        """Say whether a model's table is there: when it is first synced, or at once where clients write into it."""
        return self.tables["models"][uuid]["lastEmittedAt"] is not None or uuid in self.modelling.tabled

    def is_refreshing(self, model: str | None = None) -> bool:
        """Say whether rows that were written or asked for do not show yet, in a model or anywhere."""
        return self.writing.is_pending(model) or self.refreshing.is_pending(model)

    def catch_up(self, *, at_once: bool = False) -> None:
        """Let what clients wrote or asked for be done where its time has come, or all of it."""
        self.writing.settle(at_once=at_once)
        self.refreshing.settle(at_once=at_once)

    def columns_of(self, uuid: str) -> list[PhysicalColumn]:
        """Return the columns of a model's table, in its order."""
        return columns_of(self._specs[uuid])

    def ddl(self, uuid: str) -> str:
        """Return the CREATE TABLE text of a model in BigQuery's dialect."""
        return self.warehouse.ddl(self._specs[uuid], self.team.workspace_uuid)

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0) -> dict[str, int]:
        """Let time pass, at most a day at once; return how many things of each kind happened.

        Rows, runs and chats move inside the time that passes. A few rows and spans turn up late: their own time lies
        up to 40 minutes before it, never more.

        Raises:
            ValueError: The time would run backwards.
        """
        left = round(days * DAY + hours * HOUR + minutes * MINUTE)
        if left < 0:
            raise ValueError("the sandbox's time only moves forward")
        self.refreshing.settle(at_once=True)
        self.writing.react()
        counts: Counter[str] = Counter()
        while left:
            length = min(left, DAY)
            self._steps += 1
            counts += Step(self, self.moment, self.moment + length, self._steps).live()
            left -= length
        self.revision += 1
        return dict(sorted(counts.items()))

    def touch(self, model_uuid: str, n: int) -> None:
        """Insert `n` rows into a model and change `n` others, right now."""
        self.catch_up(at_once=True)
        spec = self._specs[model_uuid]
        self.revision += 1
        turn = f"touch {self.revision}"
        self.warehouse.change(spec, self.warehouse.draw_ids(spec, n, turn), self.moment, self.moment, turn)
        self.warehouse.add(spec, n, self.moment, self.moment)
        remember_emission(self, spec, self.moment)
        self.storage_runs.follow(model_uuid, self.moment - 1, self.moment, Stream(self.seed, "storage runs", turn))

    def tick(self, milliseconds: int = 1) -> None:
        """Let a moment pass in which nothing happens."""
        self.moment += milliseconds

    def records_of(self, plan: Plan, count: int, turn: str) -> list[Record]:
        """Choose records of a play's model by lot; none for a tool."""
        if plan.spec is None:
            return []
        return [Record(key, title) for key, title in self.warehouse.draw_titles(plan.spec, min(count, 400), turn)]

    def tool_plan(self, stream: Stream) -> Plan:
        """Choose a tool that an agent can call."""
        return stream.pick([plan for plan in self.plans.values() if plan.spec is None and plan.ready])
