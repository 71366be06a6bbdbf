"""The destination of the running dlt pipeline, as far as a sync asks it: see :mod:`cargo_source.pull.landed`."""

import logging
import threading
from collections.abc import Sequence
from typing import Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity, SqlClientNotAvailable
from dlt.pipeline.pipeline import Pipeline

SCHEMA = "cargo"
"""The schema of this source; a pipeline may have loaded others."""

log = logging.getLogger("cargo_source")


class PipelineDestination:
    """Asks the pipeline's own destination; one without SQL is taken to hold what state says, with nothing open."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._lock = threading.Lock()
        self._tables: frozenset[str] | None = None

    def has(self, table: str) -> bool:
        """Say whether the table exists."""
        with self._lock:
            if self._tables is None:
                self._tables = self._found()
            return table in self._tables

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

    def _ask(self, table: str, columns: Sequence[str], where: str) -> list[tuple[Any, ...]]:
        if SCHEMA not in self._pipeline.schema_names:
            return []
        try:
            with self._lock, self._pipeline.sql_client(SCHEMA) as sql:
                names = ", ".join(sql.escape_column_name(name) for name in columns)
                query = f"SELECT {names} FROM {sql.make_qualified_table_name(table)} WHERE {where}"  # noqa: S608 - our own names
                return [tuple(row) for row in sql.execute_sql(query) or []]
        except DestinationUndefinedEntity:
            return []

    def _found(self) -> frozenset[str]:
        """Find which of the tables that this pipeline has ever made are there, in one question."""
        if SCHEMA not in self._pipeline.schema_names:
            return frozenset()
        known = list(self._pipeline.schemas[SCHEMA].tables)
        with self._pipeline.destination_client(SCHEMA) as client:
            look = getattr(client, "get_storage_tables", None)
            if look is None:
                return frozenset(known)
            found = look(known) if client.is_storage_initialized() else ()
            return frozenset(name for name, columns in found if columns)
