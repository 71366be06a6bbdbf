"""Entities whose rows lie inside the rows of another."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.entity import Entity, Unfolded
from cargo_source.pull.pages import Row


def children_of(table: str) -> list[Entity]:
    """Give the entities that are unfolded from the rows of ``table``."""
    return [e for e in ENTITIES.values() if isinstance(e.reading, Unfolded) and e.reading.parent == table]


def how_unfolded(entity: Entity) -> Unfolded:
    """Say how an entity is unfolded. Raises TypeError where it is not."""
    if not isinstance(entity.reading, Unfolded):
        raise TypeError(f"{entity.table} is not unfolded")
    return entity.reading


def unfolded(parent: Row, entity: Entity) -> list[Row]:
    """Give the rows of ``entity`` that lie inside a row of its parent, in a list or in a map."""
    how = how_unfolded(entity)
    carried = {ours: parent.get(theirs) for ours, theirs in how.carry.items()}
    inside: list[tuple[object, Row]] = []
    for name in how.fields:
        held = parent.get(name) or []
        inside += held.items() if isinstance(held, dict) else enumerate(held, start=len(inside))
    return [{**item, **carried, how.position: place} for place, item in inside]


def unfolded_cells(parents: pa.Table, entity: Entity) -> dict[str, pa.ChunkedArray]:
    """Give the same from columns, by field: of parents whose one field of ``entity`` is a list of structs."""
    how = how_unfolded(entity)
    (field,) = how.fields
    lists = parents.column(field).combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    of = np.repeat(np.arange(len(lengths)), lengths)
    items = lists.flatten()
    found: dict[str, Any] = {
        member.name: pa.chunked_array([values]) for member, values in zip(items.type, items.flatten(), strict=True)
    }
    found |= {ours: parents.column(theirs).take(pa.array(of)) for ours, theirs in how.carry.items()}
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    found[how.position] = pa.chunked_array([pa.array(np.arange(len(of)) - first)])
    return found
