"""The sandbox's own store, read without the API, to hold what was synced against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from cargo_source.sandbox.filters import table_of
from cargo_source.sandbox.rows import read_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cargo_source.sandbox.world import World

Wire = dict[str, Any]


def truth(world: World, entity: str) -> list[Wire]:
    """Give all objects of an entity as they are on the wire; what is nested in a parent carries the parent's key.

    Raises:
        KeyError: There is no such entity.
    """
    rows: list[Wire] = orjson.loads(orjson.dumps(list(_rows(world, entity))))
    return rows


def _rows(world: World, entity: str) -> Iterable[Wire]:
    match entity:
        case "workspaces":
            return [world.workspace]
        case "users":
            return [world.user]
        case "columns":
            return [
                {"modelUuid": model["uuid"], **column}
                for model in world.tables["models"].values()
                for column in (*model["columns"], *model["additionalColumns"])
            ]
        case "executions":
            return [
                {"runUuid": run["uuid"], "index": index, **execution}
                for run in world.tables["runs"].values()
                for index, execution in enumerate(run["executions"])
            ]
        case "change_rows":
            return [{"changeUuid": change, **row} for change, rows in world.change_rows.items() for row in rows]
    return world.tables[entity].values()


def truth_rows(world: World, model_uuid: str) -> list[Wire]:
    """Give all rows of a model as they are on the wire, in the order of `_id`."""
    return read_rows(world.db, f"FROM {table_of(model_uuid, world)} ORDER BY _id")
