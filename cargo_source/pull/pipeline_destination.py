"""The destination of the running dlt pipeline, as far as a sync asks it: see :mod:`cargo_source.pull.landed`."""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from dlt.common.destination.client import JobClientBase
from dlt.common.destination.exceptions import (
    DestinationUndefinedEntity,
    SqlClientNotAvailable,
)
from dlt.common.schema.typing import TFileFormat
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.sql_client import SqlClientBase, WithSqlClient
from dlt.pipeline.pipeline import Pipeline

from cargo_source.catalog.columns import Type
from cargo_source.pull.conform import SQL
from cargo_source.pull.dlt_tables import WRITTEN_AS, kind_of, type_of
from cargo_source.pull.landed import quoted, schema_of
from cargo_source.pull.versions import keeps_versions, newest

SCHEMA = "cargo"
"""The schema of this source, unless it is one of a part of the workspace; a pipeline may have loaded others."""
BATCH = 20_000
"""Rows that are in memory at once where a destination gives them one by one."""
TOGETHER = 50
"""Tables that are counted in one question."""
TEXT_ALREADY = frozenset({"bigquery", "databricks", "clickhouse"})
"""Kinds of destination that give JSON as the text that was loaded, and take no cast of it to VARCHAR."""
WITHOUT_NUL = frozenset({"postgres"})
"""Kinds of destination whose texts cannot have the character NUL."""

log = logging.getLogger("cargo_source")


class PipelineDestination:
    """Asks the pipeline's own destination; one without SQL is taken to hold what state says, with nothing open."""

    def __init__(self, pipeline: Pipeline, schema: str = SCHEMA) -> None:
        self._pipeline, self._schema = pipeline, schema
        self._lock = threading.Lock()
        self._tables: dict[str, dict[str, Type]] | None = None

    @cached_property
    def readable(self) -> bool:
        """Say whether rows can be asked for at all."""
        with self._lock, self._pipeline.destination_client() as client:
            try:
                return isinstance(client, WithSqlClient) and bool(client.sql_client)
            except NotImplementedError:
                # Files in a place that DuckDB cannot read.
                return False

    @property
    def written_as(self) -> TFileFormat | None:
        """Say in which form rows have to be handed over; None leaves it to dlt."""
        return WRITTEN_AS.get(kind_of(self._pipeline))

    @property
    def holds_nul(self) -> bool:
        """Say whether its texts may have the character NUL."""
        return kind_of(self._pipeline) not in WITHOUT_NUL

    @cached_property
    def _client(self) -> SqlClientBase[Any]:
        """What asks in SQL, closed between questions; it costs dlt more to configure one than a question costs."""
        return self._pipeline.sql_client(self._schema)

    @property
    def _known(self) -> bool:
        return self._schema in self._pipeline.schema_names

    def has(self, table: str) -> bool:
        """Say whether the table exists."""
        return table in self._columns()

    def lacks(self, table: str) -> bool:
        """Say whether there surely is no such table, of this pipeline or of another that loads to the same place."""
        if self.has(table):
            return False
        if not self._is_begun:
            return True
        with self._lock, self._any_client() as client:
            look = getattr(client, "get_storage_tables", None)
            return look is not None and not any(columns for _, columns in look([table]))

    @cached_property
    def _is_begun(self) -> bool:
        """Whether anybody has loaded anything to this place."""
        with self._lock, self._any_client() as client:
            return bool(client.is_storage_initialized())

    def _source(self, sql: Any, table: str) -> str:
        """Write what the rows of a table are selected from."""
        if keeps_versions(self._pipeline) and not table.startswith("_dlt"):
            known = self._pipeline.schemas[SCHEMA].tables
            return newest(sql.remote_client, table, known[table]["columns"] if table in known else {})
        return str(sql.make_qualified_table_name(table))

    def _any_client(self) -> JobClientBase:
        """Give what speaks to the place, also before this pipeline has loaded anything to it."""
        return self._pipeline.destination_client(self._schema) if self._known else self._pipeline.destination_client()

    def types(self, table: str) -> dict[str, Type]:
        """Give the columns that a table has there, as the schema types them; none where there is no such table."""
        return dict(self._columns().get(table, {}))

    def _columns(self) -> dict[str, dict[str, Type]]:
        with self._lock:
            if self._tables is None:
                self._tables = self._found()
            return self._tables

    def has_load(self, load_id: str) -> bool:
        """Say whether a load was completed here; one without SQL is believed to hold it."""
        try:
            return bool(self._ask("_dlt_loads", ("load_id",), f"load_id = '{load_id}'"))
        except SqlClientNotAvailable:
            return True

    def select(self, table: str, columns: Sequence[str], where: str) -> list[tuple[Any, ...]]:
        """Give these columns of the rows where ``where`` holds; no rows where there is no such table."""
        try:
            return self._ask(table, columns, where)
        except SqlClientNotAvailable:
            log.warning("the destination cannot be asked in SQL: rows that were still open are not followed")
            return []

    def counts(self, where: Mapping[str, str]) -> dict[str, int]:
        """Count the rows of tables, each under its own condition; a table that is not there has none."""
        found = dict.fromkeys(where, 0)
        there = [table for table in where if self.has(table)]
        for start in range(0, len(there), TOGETHER):
            some = there[start : start + TOGETHER]
            with self._lock, self._client as sql:
                parts = [
                    f"SELECT {quoted([table])} AS m, count(*) AS n FROM {self._source(sql, table)}"  # noqa: S608 - our own names
                    f" WHERE {where[table]}"
                    for table in some
                ]
                found |= {str(table): int(rows) for table, rows in sql.execute_sql(" UNION ALL ".join(parts)) or []}
        return found

    def copy(self, table: str, columns: Mapping[str, Type], where: str, path: Path, key: str = "") -> int:
        """Write these columns of the rows where ``where`` holds into a parquet file, and give how many there are."""
        if not self.has(table):
            pq.write_table(schema_of(columns).empty_table(), path)
            return 0
        with self._lock, self._client as sql:
            source = self._source(sql, table)
            if isinstance(sql, DuckDbSqlClient):
                return _copied(sql, source, columns, where, path)
            rows = 0
            with pq.ParquetWriter(path, schema_of(columns)) as writer:
                for batch in _batches(
                    sql, source, columns, where, key, parsed=kind_of(self._pipeline) not in TEXT_ALREADY
                ):
                    writer.write_table(batch)
                    rows += batch.num_rows
            return rows

    def _ask(self, table: str, columns: Sequence[str], where: str) -> list[tuple[Any, ...]]:
        if not self._known:
            return []
        try:
            with self._lock, self._client as sql:
                names = ", ".join(sql.escape_column_name(name) for name in columns)
                query = f"SELECT {names} FROM {self._source(sql, table)} WHERE {where}"  # noqa: S608 - our own names
                return [tuple(row) for row in sql.execute_sql(query) or []]
        except DestinationUndefinedEntity:
            return []

    def _found(self) -> dict[str, dict[str, Type]]:
        """Find which of the tables that this pipeline has ever made are there, with their columns, in one question."""
        if not self._known:
            return {}
        known = {
            name: {column: type_of(told) for column, told in table["columns"].items()}
            for name, table in self._pipeline.schemas[self._schema].tables.items()
        }
        with self._pipeline.destination_client(self._schema) as client:
            look = getattr(client, "get_storage_tables", None)
            if look is None:
                return known
            found = look(list(known)) if client.is_storage_initialized() else ()
            return {
                name: {column: kind for column, kind in known[name].items() if column in columns}
                for name, columns in found
                if columns
            }


def _copied(sql: Any, source: str, columns: Mapping[str, Type], where: str, path: Path) -> int:
    """Have DuckDB write the file itself."""
    cells = ", ".join(
        f"CAST({sql.escape_column_name(name)} AS {SQL[kind]}) AS {sql.escape_column_name(name)}"
        for name, kind in columns.items()
    )
    query = f"SELECT {cells} FROM {source} WHERE {where}"  # noqa: S608 - our own names
    sql.execute_sql(f"COPY ({query}) TO {quoted([str(path)])} (FORMAT parquet)")
    return int(pq.read_metadata(path).num_rows)


def _batches(
    sql: SqlClientBase[Any], source: str, columns: Mapping[str, Type], where: str, key: str, *, parsed: bool
) -> Iterator[pa.Table]:
    """Read batch by batch: drivers hold an answer in memory as a whole, so each batch is a question of its own."""
    asked = ", ".join(
        # Drivers parse JSON, each in its own way; as text it stays what it is.
        f"CAST({sql.escape_column_name(name)} AS VARCHAR)"
        if kind == "json" and parsed
        else sql.escape_column_name(name)
        for name, kind in columns.items()
    )
    names = list(columns)
    after, schema = "", schema_of(columns)
    top, limit = sql._limit_clause_sql(BATCH) if key else ("", "")  # noqa: SLF001 - dlt tells the dialect nowhere else
    order = f"ORDER BY {sql.escape_column_name(key)}" if key else ""
    while True:
        query = f"SELECT {top} {asked} FROM {source} WHERE ({where}) {after} {order} {limit}"  # noqa: S608 - our own names
        rows = sql.execute_sql(query) or []
        if rows:
            arrays = [
                pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            yield pa.Table.from_arrays(arrays, schema=schema)
        if not key or len(rows) < BATCH:
            return
        last = rows[-1][names.index(key)]
        after = f"AND {sql.escape_column_name(key)} > {quoted([str(last)])}"
