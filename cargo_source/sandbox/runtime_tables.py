"""The runtime tables that `orchestration/query` reads: runs, batches, spans and records, in a DuckDB of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import orjson
import pyarrow as pa

from cargo_source.sandbox.filters import quoted
from cargo_source.sandbox.moments import from_datetime, iso

if TYPE_CHECKING:
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]
Columns = Literal["confirmed", "all"]

MEMORY = "256MB"


@dataclass(frozen=True)
class RuntimeTable:
    """A table: the entity behind it, the field that says how old a row is, and the columns known for sure.

    `wide` is how many columns the real table has, where that is known.
    """

    entity: str
    moved: str
    confirmed: tuple[str, ...]
    wide: int | None = None


TABLES = {
    "runs": RuntimeTable(
        "runs",
        "updatedAt",
        (
            "uuid", "workspace_uuid", "workflow_uuid", "release_uuid", "batch_uuid", "record_id", "record_title",
            "status", "created_at", "updated_at", "finished_at", "credits_used_count", "executions",
        ),
        wide=51,
    ),
    "batches": RuntimeTable(
        "batches",
        "updatedAt",
        ("workflow_uuid", "status", "runs_count", "failed_runs_count", "credits_used_count", "created_at"),
    ),
    "spans": RuntimeTable(
        "spans",
        "executionUpdatedAt",
        (
            "run_uuid", "workflow_uuid", "node_slug", "node_kind", "execution_status", "execution_started_at",
            "execution_finished_at", "execution_credits_used_count",
        ),
    ),
    "records": RuntimeTable("orchestration_records", "updatedAt", ()),
}  # fmt: skip
AGE = "-moved"
"""A column that no query can name: when a row last moved."""

# What ClickHouse calls otherwise than DuckDB, where the translation leaves the name as it is. Zones are all UTC.
_FUNCTIONS = (
    "toDate(x) AS CAST(x AS DATE)",
    "toDateTime(x) AS CAST(x AS TIMESTAMP_S), (x, zone) AS CAST(x AS TIMESTAMP_S)",
    "toDateTime64(x, n) AS CAST(x AS TIMESTAMP), (x, n, zone) AS CAST(x AS TIMESTAMP)",
    "parseDateTimeBestEffort(x) AS CAST(CAST(x AS TIMESTAMPTZ) AS TIMESTAMP)",
    "toString(x) AS CAST(x AS VARCHAR)",
    "toUnixTimestamp(x) AS CAST(epoch(CAST(x AS TIMESTAMP)) AS BIGINT)",
    "toUnixTimestamp64Milli(x) AS epoch_ms(CAST(x AS TIMESTAMP))",
    "sumIf(x, c) AS coalesce(sum(x) FILTER (WHERE c), 0)",
    "avgIf(x, c) AS avg(x) FILTER (WHERE c)",
    "uniqExact(x) AS count(DISTINCT x)",
    "countDistinct(x) AS count(DISTINCT x)",
    "groupArray(x) AS list(x)",
    "empty(x) AS length(x) = 0",
    "notEmpty(x) AS length(x) > 0",
)


class RuntimeTables:
    """Holds the tables for one revision of the world; only a table that is asked for is filled.

    `columns` are those that are confirmed, or all that the API's fields suggest. Rows that moved less than
    `lag_seconds` ago are not seen yet.
    """

    def __init__(self, world: World, columns: Columns = "confirmed", lag_seconds: float = 0) -> None:
        self._world = world
        self.columns_known = columns
        self.lag_seconds = lag_seconds
        self.db = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": MEMORY})
        self.db.execute("SET TimeZone = 'UTC'")
        self.db.execute("SET enable_external_access = false")
        self.db.execute("CREATE SCHEMA held")
        for function in _FUNCTIONS:
            self.db.execute(f"CREATE MACRO {function}")
        self._revision = -1
        self._held: dict[str, list[str]] = {}

    def columns(self, table: str) -> list[str]:
        """Name the columns of a table that a query may read."""
        self._fill(table)
        return self._held[table]

    def rows(self, table: str) -> int:
        """Count the rows of a table, those that are too young to be seen included."""
        return len(self._world.tables[TABLES[table].entity])

    def show(self, table: str) -> None:
        """Let queries see a table as it is at this moment."""
        names = ", ".join(quoted(name) for name in self.columns(table)) or quoted(AGE)
        until = iso(from_datetime(self._world.now - timedelta(seconds=self.lag_seconds)))
        seen = f"WHERE {quoted(AGE)} <= CAST('{until}' AS TIMESTAMPTZ)::TIMESTAMP" if self.lag_seconds else ""
        self.db.execute(f"CREATE OR REPLACE VIEW {quoted(table)} AS SELECT {names} FROM held.{quoted(table)} {seen}")

    def _fill(self, table: str) -> None:
        if self._revision != self._world.revision:
            self._revision = self._world.revision
            self._held.clear()
        if table not in self._held:
            self._held[table] = self._hold(TABLES[table], table)

    def _hold(self, about: RuntimeTable, table: str) -> list[str]:
        found = list(self._world.tables[about.entity].values())
        fields = dict.fromkeys(field for row in found for field in row)
        rows = [_with_credits(row) for row in found] if table == "runs" else found
        wanted = {snake(field): field for field in (*fields, *(["creditsUsedCount"] if table == "runs" else []))}
        if self.columns_known == "confirmed":
            wanted = {name: field for name, field in wanted.items() if name in about.confirmed}
        columns = {name: _column([row.get(field) for row in rows], field) for name, field in wanted.items()}
        columns[AGE] = _column([row[about.moved] for row in rows], about.moved)
        self.db.register("incoming", pa.table(columns))
        self.db.execute(f"CREATE OR REPLACE TABLE held.{quoted(table)} AS FROM incoming")
        self.db.unregister("incoming")
        return list(wanted)


def snake(field: str) -> str:
    """Give the column of a field: `contextS3Filename` is `context_s3_filename`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", field).lower()


def _with_credits(run: Wire) -> Wire:
    return run | {"creditsUsedCount": sum(each["creditsUsedCount"] for each in run["executions"])}


def _column(values: list[Any], field: str) -> pa.Array:
    """Type a column: times have no zone, and nested values are JSON texts."""
    if field.endswith("At"):
        return pa.array([_moment(value) for value in values], pa.timestamp("ms"))
    if field == "creditsUsedCount" or field.endswith("CreditsUsedCount"):
        return pa.array(values, pa.float64())
    if any(isinstance(value, dict | list) for value in values):
        return pa.array([None if value is None else orjson.dumps(value).decode() for value in values], pa.string())
    if all(value is None for value in values):
        return pa.array(values, pa.string())
    return pa.array(values)


def _moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)
