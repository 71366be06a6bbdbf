"""SQL with the warehouse's own table names, as the older calls take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

from cargo_source.sandbox.sql import QueryError, parsed, translated, warehouse_text

if TYPE_CHECKING:
    from cargo_source.sandbox.world import World


def translated_physical(query: str, world: World) -> str:
    """Give the DuckDB SQL of a query whose tables are named as in their DDL; the project may be left out.

    Raises:
        QueryError: It does not parse, is no single SELECT, or names a table that does not exist.
    """
    tree = parsed(query)
    known = _places(world)
    shadowed = {cte.alias for cte in tree.find_all(exp.CTE)}
    for table in list(tree.find_all(exp.Table)):
        parts = tuple(part.name for part in table.parts)
        if parts in known:
            table.replace(_named(table, *known[parts]))
        elif not isinstance(table.this, exp.Identifier) or len(parts) > 1 or table.name not in shadowed:
            raise QueryError(f"Not found: Table {'.'.join(parts)} was not found in location US")
    try:
        return translated(tree.sql(dialect="bigquery"), world)
    except sqlglot.errors.SqlglotError as error:
        raise QueryError(f"Syntax error: {warehouse_text(error)}") from error


def _places(world: World) -> dict[tuple[str, ...], tuple[str, str]]:
    """Give dataset and model of every table that was filled, by each way to write its place."""
    found: dict[tuple[str, ...], tuple[str, str]] = {}
    for uuid in world.tables["models"]:
        if world.has_table(uuid):
            spec = world.spec_of(uuid)
            place = world.warehouse.physical_name(spec, world.team.workspace_uuid).split(".")
            found[tuple(place)] = found[tuple(place[1:])] = (spec.dataset, spec.slug)
    return found


def _named(table: exp.Table, dataset: str, model: str) -> exp.Table:
    """Give a table its logical name; its columns can still be qualified by the one that it had."""
    called = exp.table_(model, db=dataset, quoted=True)
    called.set("alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name, quoted=True)))
    for kept in ("joins", "pivots", "laterals", "sample"):
        if table.args.get(kept):
            called.set(kept, table.args[kept])
    return called
