"""The sandbox's own store, read without the API, to hold what was synced against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from cargo_source.sandbox.entities import ENTITIES
from cargo_source.sandbox.rows import read_rows

if TYPE_CHECKING:
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]


def truth(world: World, entity: str) -> list[Wire]:
    """Give all objects of an entity as they are on the wire; what is nested in a parent carries the parent's key.

    Raises:
        KeyError: There is no such entity.
    """
    read = ENTITIES[entity].rows
    found = world.tables[entity].values() if read is None else read(world)
    rows: list[Wire] = orjson.loads(orjson.dumps(list(found)))
    return rows


def truth_rows(world: World, model_uuid: str) -> list[Wire]:
    """Give all rows of a model as they are on the wire, in the order of `_id`: those too that do not show yet."""
    return read_rows(world.db, f"FROM {world.warehouse.written_to(world.spec_of(model_uuid))} ORDER BY _id")
