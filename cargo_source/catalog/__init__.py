"""NAME: what a Cargo workspace holds, as data. No input or output happens here.

Each entity of the platform is one :class:`~cargo_source.catalog.entity.Entity`. To add one, write its entry in the
file of its group; paging, cursor, typing, the row in docs/tables.md and the conformance tests follow.
"""

from cargo_source.catalog import (
    ai,
    billing,
    connection,
    content,
    orchestration,
    runtime,
    segmentation,
    storage,
    warehouse,
    workspace,
)
from cargo_source.catalog.entity import Derived, Entity, Gated, Unfolded, Window

GROUPS = (workspace, storage, segmentation, connection, orchestration, runtime, ai, content, billing, warehouse)

ENTITIES: dict[str, Entity] = {
    entity.table: entity for group in GROUPS for entity in vars(group).values() if isinstance(entity, Entity)
}
"""Every entity by the name of its table, in the order in which a person would read about them."""


def _pointers() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for entity in ENTITIES.values():
        for owner in (entity.reading, entity.follow):
            for name in ("touched_by", "moves_with"):
                if pointer := getattr(owner, name, None):
                    found.setdefault(pointer[0], set()).add(pointer[1])
    return {table: frozenset(fields) for table, fields in found.items()}


POINTERS: dict[str, frozenset[str]] = _pointers()
"""Fields of an entity whose values show what moved elsewhere: the workflows of runs, the traces of spans."""


def parents_of(entity: Entity) -> tuple[Entity, ...]:
    """Give the entities whose rows have to be read for this one, the nearest alone."""
    match entity.reading:
        case Gated(parent=parent) | Unfolded(parent=parent) | Window(per=str(parent)):
            return (ENTITIES[parent],)
        case Derived(parents=parents):
            return tuple(ENTITIES[name] for name in parents)
        case _:
            return ()


def behind(entity: Entity) -> tuple[Entity, ...]:
    """Give an entity, first, and all that it is read through, each once."""
    found = {entity.table: entity}
    for parent in parents_of(entity):
        found |= {each.table: each for each in behind(parent)}
    return tuple(found.values())


def permissions_of(entity: Entity) -> tuple[str, ...]:
    """Give all the permissions that a token needs to load an entity: its own and those of what it is read through."""
    return tuple(dict.fromkeys(each.needed for each in behind(entity)))


__all__ = ["ENTITIES", "POINTERS", "Entity", "behind", "permissions_of"]
