"""The workspace's SQL: BigQuery's dialect over `<dataset>.<model>`, run by DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

from cargo_source.sandbox.filters import quoted
from cargo_source.sandbox.happened import with_time

if TYPE_CHECKING:
    from cargo_source.sandbox.world import World

_REFUSED = (exp.DDL, exp.DML, exp.Command, exp.Into)
_NAMED = (exp.Alias, exp.Column, exp.Star)


class QueryError(Exception):
    """A query that the warehouse refuses; the text is the warehouse's."""


def translated(query: str, world: World) -> str:
    """Give the DuckDB SQL of a query.

    Raises:
        QueryError: It does not parse, is no single SELECT, or names a table that does not exist.
    """
    tree = parsed(query)
    _check_tables(tree, world)
    _name_columns(tree)
    try:
        return tree.transform(with_time, world.now).sql(dialect="duckdb", identify=True)
    except sqlglot.errors.SqlglotError as error:
        raise QueryError(f"Syntax error: {warehouse_text(error)}") from error


def models_in(query: str, world: World) -> list[str]:
    """Give the uuids of the models that a query reads, in the order of their names in it."""
    known = _tables(world)
    found = [known.get((table.db, table.name)) for table in parsed(query).find_all(exp.Table)]
    return [uuid for uuid in found if uuid]


def parsed(query: str) -> exp.Query:
    """Read a query of the warehouse.

    Raises:
        QueryError: It does not parse, or is no single SELECT.
    """
    try:
        statements = [each for each in sqlglot.parse(query, read="bigquery") if each is not None]
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        raise QueryError(f"Syntax error: {warehouse_text(error)}") from error
    if len(statements) != 1:
        raise QueryError("Syntax error: Expected exactly one statement")
    tree = statements[0]
    if not isinstance(tree, exp.Query) or tree.find(*_REFUSED):
        raise QueryError("Only SELECT statements are allowed")
    return tree


def warehouse_text(error: Exception) -> str:
    """Give the first line of an error, without colours and without our own SQL."""
    return str(error).split("\n", 1)[0].replace("\x1b[4m", "").replace("\x1b[0m", "")


def _tables(world: World) -> dict[tuple[str, str], str]:
    """Give the models that have a table: it is made when a model is first synced."""
    datasets = world.tables["datasets"]
    return {
        (datasets[model["datasetUuid"]]["slug"], model["slug"]): uuid
        for uuid, model in world.tables["models"].items()
        if world.has_table(uuid)
    }


def _check_tables(tree: exp.Query, world: World) -> None:
    known = _tables(world)
    named = {cte.alias for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise QueryError(f"Table-valued function not found: {table.sql(dialect='bigquery')}")
        if table.db:
            if table.catalog or (table.db, table.name) not in known:
                place = ".".join(part.name for part in table.parts)
                raise QueryError(f"Not found: Table cargo-sandbox:{place} was not found in location US")
        elif table.name not in named:
            hint = "must be qualified with a dataset (e.g. dataset.table)"
            raise QueryError(f'Table "{table.name}" {hint}.')


def _name_columns(tree: exp.Query) -> None:
    """Name what has no name as BigQuery does: f0_, f1_ and so on."""
    if not isinstance(tree, exp.Select):
        return
    unnamed = [each for each in tree.expressions if not isinstance(each, _NAMED) and not each.is_star]
    for place, each in enumerate(unnamed):
        each.replace(exp.alias_(each.copy(), f"f{place}_"))


def checked_names(names: list[str]) -> None:
    """Refuse a result with two columns of one name, as BigQuery does.

    Raises:
        QueryError: A name comes twice.
    """
    lowered = [name.lower() for name in names]
    twice = sorted({name for name in lowered if lowered.count(name) > 1})
    if twice:
        listed = ", ".join(quoted(name) for name in twice)
        raise QueryError(f"Duplicate column names in the result are not supported. Found duplicate(s): {listed}")
