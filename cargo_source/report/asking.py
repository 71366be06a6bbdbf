"""What is asked for a page: SQL over the tables and the ready-made views of a place.

Whether the views were made there does not matter: their queries are put in front of a question, and nothing is written.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import dlt
import duckdb
import sqlglot
from dlt.common.destination.exceptions import SqlClientNotAvailable
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.pipeline.pipeline import Pipeline
from sqlglot import exp

from cargo_source.errors import BadSettings, DestinationRefused
from cargo_source.push.queries import dlt_destination, is_unreached
from cargo_source.views import VIEWS, is_there, spelled

Row = dict[str, Any]


class Place(ABC):
    """Tables that can be asked. Those that are not there have no rows, and :meth:`lacking` names them."""

    dialect = "duckdb"

    def ask(self, query: str) -> list[Row]:
        """Give the rows of a query in DuckDB's words, by the bare names of tables and views; none where one lacks."""
        tree = sqlglot.parse_one(query, dialect="duckdb")
        if not isinstance(tree, exp.Query):
            raise TypeError(query)
        for view in VIEWS:
            if view.name in _named(tree):
                tree = tree.with_(view.name, as_=view.query.copy())
        tables = _named(tree) - {view.name for view in VIEWS}
        if self.lacking(tables):
            return []
        return self._rows(spelled(tree, self.dialect, {table: self._path(table) for table in tables}))

    def lacking(self, tables: set[str]) -> list[str]:
        """Name those of these tables and views' tables that are not there."""
        wanted = {table for view in VIEWS if view.name in tables for table in view.tables}
        return sorted(each for each in wanted | (tables - {view.name for view in VIEWS}) if not self._has(each))

    @abstractmethod
    def _path(self, table: str) -> Sequence[str]:
        """Give the names that lead to a table."""

    @abstractmethod
    def _has(self, table: str) -> bool:
        """Say whether a table is there."""

    @abstractmethod
    def _rows(self, query: str) -> list[Row]:
        """Give the rows of a query in the place's own words."""


def _named(tree: exp.Expr) -> set[str]:
    return {table.name for table in tree.find_all(exp.Table)}


class DuckDbPlace(Place):
    """A schema of a DuckDB file, opened to be read, so that others may read it meanwhile."""

    def __init__(self, db: duckdb.DuckDBPyConnection, schema: str) -> None:
        self._db, self._schema = db, schema
        query = "SELECT table_name FROM duckdb_tables() WHERE schema_name = ?"
        self._tables = {str(name) for (name,) in db.execute(query, [schema]).fetchall()}

    @classmethod
    @contextmanager
    def opened(cls, path: Path, schema: str) -> Iterator["DuckDbPlace"]:
        """Open a file. Raises BadSettings where it cannot be."""
        try:
            db = duckdb.connect(str(path), read_only=True)
        except duckdb.IOException as error:
            raise BadSettings(f"{path} cannot be opened: {str(error).splitlines()[0]}") from None
        with db:
            db.execute("SET TimeZone = 'UTC'")
            yield cls(db, schema)

    def _path(self, table: str) -> Sequence[str]:
        return (self._schema, table)

    def _has(self, table: str) -> bool:
        return table in self._tables

    def _rows(self, query: str) -> list[Row]:
        found = self._db.execute(query)
        names = [each[0] for each in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


class PipelinePlace(Place):
    """The dataset of a dlt pipeline."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.dialect = client.capabilities.sqlglot_dialect
        self._known: dict[str, bool] = {}

    @classmethod
    def opened(cls, pipeline: Pipeline) -> AbstractContextManager["PipelinePlace"]:
        """Open it. Raises BadSettings where it cannot be asked, DestinationRefused where it cannot be had."""
        return cls._of(pipeline.sql_client)

    @classmethod
    def at(cls, url: str, schema: str) -> AbstractContextManager["PipelinePlace"]:
        """Open a schema of the database at a URL. Raises what :meth:`opened` raises."""
        dataset = dlt.dataset(dlt_destination(url), schema)
        return cls._of(lambda: dataset.sql_client)

    @classmethod
    @contextmanager
    def _of(cls, client: Callable[[], Any]) -> Iterator["PipelinePlace"]:
        try:
            with client() as opened:
                yield cls(opened)
        except SqlClientNotAvailable:
            raise BadSettings("report: this destination cannot be asked in SQL") from None
        except Exception as error:
            if not (isinstance(error, DestinationConnectionError) or is_unreached(error)):
                raise
            raise DestinationRefused.from_cause(error, step="report") from None

    def _path(self, table: str) -> Sequence[str]:
        path: list[str] = self._client.make_qualified_table_name_path(table, quote=False)
        return path

    def _has(self, table: str) -> bool:
        if table not in self._known:
            self._known[table] = is_there(self._client, table)
        return self._known[table]

    def _rows(self, query: str) -> list[Row]:
        with self._client.execute_query(query) as cursor:
            names = [each[0].lower() for each in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
