"""Ready-made SQL views over the tables of a sync, one file each, made in the dataset beside them.

Each is written once, in DuckDB's SQL, and put into the words of the destination. They are views: they cost nothing
until they are asked, and show what the last sync has loaded.

>>> install_views(pipeline)  # doctest: +SKIP
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

import sqlglot
from dlt.common.destination.exceptions import DestinationUndefinedEntity, SqlClientNotAvailable
from dlt.destinations.exceptions import DatabaseException, DestinationConnectionError
from dlt.pipeline.exceptions import PipelineNeverRan
from dlt.pipeline.pipeline import Pipeline
from sqlglot import exp

from cargo_source.errors import BadSettings, DestinationRefused
from cargo_source.tabular import Grid

__all__ = ["VIEWS", "Installed", "View", "Views", "install_views", "is_there", "spelled"]


LONGEST = 1_000
"""Characters of a description that are shown: all of them."""


@dataclass(frozen=True)
class View:
    """A view: its name, and its SQL as the file has it, with a description in front."""

    name: str
    sql: str

    @property
    def description(self) -> str:
        """What it shows, in a few sentences."""
        return " ".join(re.findall(r"^-- (.*)$", self.sql, re.MULTILINE))

    @cached_property
    def query(self) -> exp.Query:
        """Its query, read."""
        found = sqlglot.parse_one(self.sql, dialect="duckdb")
        if not isinstance(found, exp.Query):
            raise TypeError(self.name)
        return found

    @property
    def tables(self) -> list[str]:
        """The tables that it reads."""
        return sorted({table.name for table in self.query.find_all(exp.Table)})

    def in_words_of(self, dialect: str, path: Mapping[str, Sequence[str]] | None = None) -> str:
        """Write its query in the words of a destination; ``path`` gives where each table is, if not by itself."""
        return spelled(self.query, dialect, path or {})


def spelled(query: exp.Query, dialect: str, path: Mapping[str, Sequence[str]]) -> str:
    """Write a query in the words of a destination, with each table of ``path`` by the names that lead to it."""
    query = query.copy()
    for table in query.find_all(exp.Table):
        if table.name in path:
            *before, name = (exp.to_identifier(part, quoted=True) for part in path[table.name])
            table.set("this", name)
            for arg, part in zip(("db", "catalog"), reversed(before), strict=False):
                table.set(arg, part)
    return query.sql(dialect=dialect, comments=False)


def _shipped() -> Iterator[View]:
    for file in files(__package__).iterdir():
        if file.name.endswith(".sql"):
            yield View(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))


VIEWS = tuple(sorted(_shipped(), key=lambda view: view.name))


@dataclass(frozen=True)
class Installed:
    """What became of a view: ``lacks`` are tables that it reads and that were never loaded, ``refused`` is why not."""

    view: View
    lacks: tuple[str, ...] = ()
    refused: str | None = None

    @property
    def status(self) -> str:
        """Say whether it is there, or what it lacks."""
        if self.refused:
            return f"refused: {self.refused}"
        return f"needs {', '.join(self.lacks)}" if self.lacks else "installed"


class Views(list[Installed]):
    """What became of all views; in a notebook a table."""

    def __repr__(self) -> str:
        return "\n".join(f"{each.view.name}: {each.status}" for each in self)

    @property
    def refused(self) -> list[Installed]:
        """Those that the destination refused."""
        return [each for each in self if each.refused]

    def grid(self) -> Grid:
        """Show each on a line."""
        rows = [(each.view.name, each.status, each.view.description) for each in self]
        return Grid(("view", "status", "what it shows"), rows, widest=LONGEST)

    def _repr_html_(self) -> str:
        return self.grid().html()

    def as_json(self) -> list[dict[str, Any]]:
        """Give them as JSON."""
        return [
            {
                "view": each.view.name,
                "status": "refused" if each.refused else "needs tables" if each.lacks else "installed",
                "lacks": list(each.lacks),
                "refused": each.refused,
                "tables": each.view.tables,
                "description": each.view.description,
            }
            for each in self
        ]


def install_views(pipeline: Pipeline) -> Views:
    """Make all views in the dataset of a pipeline, anew where they are there already.

    A view of which a table was never loaded is left out; it is made when the table is there. One that the destination
    refuses is told as such. Raises BadSettings where the destination has no views, DestinationRefused where it cannot
    be had.
    """
    if getattr(pipeline.destination, "destination_name", None) == "filesystem":
        raise BadSettings("views: a folder of files keeps no views; docs/warehouses.md has SQL that reads it")
    try:
        with pipeline.sql_client() as client:
            return Views(_installed(client))
    except SqlClientNotAvailable:
        raise BadSettings("views: this destination cannot be asked in SQL, so it has none") from None
    except PipelineNeverRan:
        raise BadSettings("views: nothing was loaded yet; sync first") from None
    except DestinationConnectionError as error:
        raise DestinationRefused.from_cause(error, step="views") from None


def _installed(client: Any) -> Iterator[Installed]:
    known: dict[str, bool] = {}
    for view in VIEWS:
        known |= {table: is_there(client, table) for table in view.tables if table not in known}
        lacks = tuple(table for table in view.tables if not known[table])
        yield Installed(view, lacks, None if lacks else _make(client, view))


def is_there(client: Any, table: str) -> bool:
    """Say whether a table is in the dataset of a client of dlt's."""
    try:
        client.execute_sql(f"SELECT 1 FROM {client.make_qualified_table_name(table)} WHERE 1 = 0")  # noqa: S608 - a name of ours
    except DestinationUndefinedEntity:
        return False
    return True


def _make(client: Any, view: View) -> str | None:
    """Make a view, or say why the destination makes none."""
    path = {table: client.make_qualified_table_name_path(table, quote=False) for table in view.tables}
    name = client.make_qualified_table_name(view.name)
    try:
        with client.begin_transaction():
            client.execute_sql(f"DROP VIEW IF EXISTS {name}")
            client.execute_sql(f"CREATE VIEW {name} AS {view.in_words_of(client.capabilities.sqlglot_dialect, path)}")
    except DatabaseException as error:
        # What a database says of a view speaks of tables and columns alone.
        return str(error).strip().partition("\n")[0]
    return None
