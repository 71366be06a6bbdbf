"""Entities whose rows lie inside the rows of another."""

from typing import Any

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
    inside: list[tuple[object, Any]] = []
    for name in how.fields:
        held = parent.get(name)
        # What is neither a list nor a map lands with its parent only.
        if isinstance(held, dict):
            inside += held.items()
        elif isinstance(held, list):
            inside += enumerate(held, start=len(inside))
    return [{**_as_object(item), **carried, how.position: place} for place, item in inside]


def _as_object(item: Any) -> Row:
    # Nothing says what an item is that is no object: it is kept beside the cells.
    return item if isinstance(item, dict) else {"item": item}


def unfolded_cells(parents: pa.Table, entity: Entity) -> dict[str, pa.ChunkedArray]:
    """Give the same from columns, by field: of parents whose one field of ``entity`` stands there as ``field[]``."""
    how = how_unfolded(entity)
    (field,) = how.fields
    lists = parents.column(f"{field}[]").combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    first = pc.subtract(pc.cumulative_sum(lengths), lengths)
    of = pc.list_parent_indices(lists)
    items = lists.flatten()
    found: dict[str, Any] = {
        member.name: pa.chunked_array([values]) for member, values in zip(items.type, items.flatten(), strict=True)
    }
    found |= {ours: parents.column(theirs).take(of) for ours, theirs in how.carry.items()}
    place = pc.subtract(pc.cumulative_sum(pa.repeat(1, len(items))), pc.add(first.take(of), 1))
    found[how.position] = pa.chunked_array([place])
    return found
