"""Worlds that tests share: one at its start, one that time has passed over, and what they looked like before."""

import functools
import hashlib
import json
import pickle
from types import SimpleNamespace

from cargo_source.sandbox.world import World


@functools.cache
def settled(seed=7):
    """A world at its start, which no test may change."""
    return World(seed=seed, companies=500)


@functools.cache
def settled_rows(seed=7):
    """The rows of a world at its start."""
    return rows_of(settled(seed))


@functools.cache
def lived():
    """A world of its own after two days, with all that was there before each day."""
    world = World(seed=11, companies=300)
    days = []
    for _ in range(2):
        before = picture(world)
        days.append(SimpleNamespace(before=before, counts=world.advance(days=1), after=picture(world)))
    return SimpleNamespace(world=world, days=days)


def picture(world):
    """What a world holds, copied."""
    return SimpleNamespace(
        now=world.now, moment=world.moment, tables=pickle.loads(pickle.dumps(world.tables)), rows=rows_of(world)
    )


def rows_of(world):
    """The rows of every model by model uuid, then by `_id`."""
    return {
        uuid: {row["_id"]: row for row in world.warehouse.wire_rows(world.spec_of(uuid))}
        for uuid in world.tables["models"]
    }


def digest(world):
    """A fingerprint of every byte that a world holds, rows in their order."""
    rows = {uuid: world.warehouse.wire_rows(world.spec_of(uuid)) for uuid in world.tables["models"]}
    whole = [world.workspace, world.user, world.tables, world.change_rows, rows, str(world.now)]
    return hashlib.sha256(json.dumps(whole, default=str).encode()).hexdigest()


def model_named(world, key):
    """The model of a `<dataset>.<slug>`."""
    return next(m for m in world.tables["models"].values() if world.spec_of(m["uuid"]).key == key)
