"""Single things that happen because somebody says so, where `advance` lets many happen by lot.

Whatever else the workspace tells of them follows: `lastEmittedAt`, storage runs, counters, batches, traces, records.
Everything happens right now, or `late` milliseconds ago: then it shows only now, though its own times lie before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import iso, parse
from cargo_source.sandbox.workspace.poking_work import WorkPoking
from cargo_source.sandbox.workspace.stirring import moved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cargo_source.sandbox.models import ModelSpec
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]


class Poking:
    """Moves rows of models, which go by the name `<dataset>.<slug>`, and segments; `work` is what runs and answers.

    Raises ValueError where there is no such thing, or where it cannot happen to it.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.work = WorkPoking(world)

    def ids(self, model: str) -> list[str]:
        """Return the `_id` of every row, in their order."""
        return self._ids(f"{self._world.warehouse.table(self._spec(model))}")

    def removed_ids(self, model: str) -> list[str]:
        """Return the `_id` of every row that was removed and has not come back."""
        tables = self._world.warehouse.tables_of(self._spec(model))
        return self._ids(tables[1]) if len(tables) > 1 else []

    def add(self, model: str, count: int = 1, *, late: int = 0) -> list[str]:
        """Insert rows, all emitted in the same millisecond; return their ids."""
        spec, before = self._spec(model), set(self.ids(model))
        moment = self._world.moment - late
        self._world.warehouse.add(spec, count, moment, moment)
        moved(self._world, spec, self._turn())
        return [key for key in self.ids(model) if key not in before]

    def change(self, model: str, ids: Sequence[str], *, late: int = 0) -> None:
        """Draw the moving cells of rows anew; all are emitted in the same millisecond."""
        spec = self._spec(model)
        self._known(ids, self.ids(model))
        moment = self._world.moment - late
        self._world.warehouse.change(spec, ids, moment, moment, self._turn())
        moved(self._world, spec, self._turn())

    def remove(self, model: str, ids: Sequence[str]) -> None:
        """Take rows out."""
        spec = self._spec(model)
        self._known(ids, self.ids(model))
        self._world.warehouse.remove(spec, ids)
        moved(self._world, spec, self._turn())

    def restore(self, model: str, ids: Sequence[str], *, anew: bool = True) -> None:
        """Put removed rows back: changed and newly emitted, or else just as they were, `_emitted_at` too."""
        spec = self._spec(model)
        self._known(ids, self.removed_ids(model))
        if anew:
            self._world.warehouse.restore(spec, ids, self._world.moment, self._world.moment, self._turn())
        else:
            self._world.warehouse.put_back(spec, ids)
        moved(self._world, spec, self._turn())

    def evaluate(self, segment: str, *, late: int = 0) -> list[tuple[str, Wire]]:
        """Evaluate a segment; return its records with what became of them. No play runs from it."""
        world = self._world
        row = world.tables["segments"].get(segment)
        if row is None or row["deletedAt"]:
            raise ValueError(f"there is no segment {segment}")
        earliest = parse(row["lastChange"]["createdAt"]) + 1 if row["lastChange"] else 0
        moment = max(world.moment - late, earliest)
        if moment > world.moment:
            raise ValueError(f"{segment} was evaluated at this very moment")
        found = world.changes.evaluate({segment: moment}, Stream(world.seed, "poke", self._turn()))
        world.revision += 1
        return found[segment]

    def rename(self, entity: str, uuid: str, name: str) -> None:
        """Give something that has a name another one."""
        row = self._world.tables[entity].get(uuid)
        if row is None or "name" not in row:
            raise ValueError(f"{entity}: there is no {uuid} with a name")
        row |= {"name": name, "updatedAt": iso(self._world.moment)}
        self._world.revision += 1

    def _ids(self, table: str) -> list[str]:
        return [str(key) for (key,) in self._world.db.execute(f"SELECT _id FROM {table} ORDER BY _id").fetchall()]

    def _known(self, ids: Sequence[str], known: Sequence[str]) -> None:
        if unknown := set(ids) - set(known):
            raise ValueError(f"there are no such rows: {', '.join(sorted(unknown))}")

    def _spec(self, model: str) -> ModelSpec:
        self._world.writing.settle(at_once=True)
        specs = [self._world.spec_of(uuid) for uuid in self._world.tables["models"]]
        found = next((spec for spec in specs if f"{spec.dataset}.{spec.slug}" == model), None)
        if found is None:
            raise ValueError(f"there is no model {model}")
        return found

    def _turn(self) -> str:
        return f"poke {self._world.revision}"
