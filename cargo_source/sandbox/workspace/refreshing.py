"""Storage runs that a client asks for: each waits, and ends when its time has come, or when somebody cancels it.

Nothing new comes with them, for nobody has written anything where they fetch from; one that resets a model has every
row be emitted once more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import MINUTE, parse
from cargo_source.sandbox.workspace.stirring import remember_emission
from cargo_source.sandbox.workspace.storage_runs import ENDED
from cargo_source.sandbox.workspace.writing import Unwritable

if TYPE_CHECKING:
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

FRESH = MINUTE
"""So long after a run that ended well there is nothing to fetch."""


@dataclass
class Refreshing:
    """Begins, ends and cancels runs.

    A run takes `delay` seconds in real time, which is what clients wait in; without any it is over as soon as the next
    request looks. Time that passes in the sandbox ends it too.
    """

    world: World
    delay: float = 0.0
    _due: dict[str, float] = field(default_factory=dict)
    _resets: set[str] = field(default_factory=set)

    def create(self, model: str, *, resets: bool = False, forced: bool = False) -> Wire:
        """Begin a run of a model that is fetched.

        Raises:
            Unwritable: The model is not fetched or paused, one is under way, nothing can have come, or no
                credits are left.
        """
        row, runs = self.world.modelling.living(model), self.world.storage_runs
        if self.world.modelling.mode(row) != "fetch":
            raise Unwritable(reason="modelNotCompatible")
        if runs.is_under_way(model):
            raise Unwritable(reason="alreadyRunning")
        if row["isPaused"]:
            raise Unwritable(reason="modelIsPaused")
        if self.world.writing.left == 0:
            raise Unwritable(reason="notEnoughCredits")
        if not (resets or forced) and self._is_fresh(model):
            raise Unwritable(reason="upToDate")
        return self._begin(model, resets=resets)

    def refresh(self, model: str) -> Wire:
        """Have a model fetched anew, and give it; what is filled by hand is as it is.

        Raises:
            Unwritable: Rows are posted to the model, or a run is under way.
        """
        row = self.world.modelling.living(model)
        mode = self.world.modelling.mode(row)
        if mode == "ingest":
            raise Unwritable(reason="failedToSyncFromClient")
        if mode == "fetch":
            if self.world.storage_runs.is_under_way(model):
                raise Unwritable(reason="alreadySyncing")
            self._begin(model)
        return row

    def cancel(self, run: str) -> None:
        """Cancel a run that has not ended."""
        found: Wire | None = self.world.tables["storage_runs"].get(run)
        if found is None:
            raise Unwritable(reason="runNotFound")
        if found["status"] in ENDED:
            raise Unwritable(reason="runAlreadyFinished")
        self._forget(run)
        self.world.tick()
        self.world.storage_runs.end(found, "cancelled", self.world.moment)
        self.world.revision += 1

    def is_pending(self, model: str | None = None) -> bool:
        """Say whether a run that was asked for has not ended, of a model or of any."""
        runs = self.world.tables["storage_runs"]
        return any(model in {None, runs[run]["modelUuid"]} for run in self._due)

    def settle(self, *, at_once: bool = False) -> None:
        """End the runs whose time has come, or all of them."""
        for run, due in list(self._due.items()):
            if at_once or monotonic() >= due:
                self._end(self.world.tables["storage_runs"][run])

    def _is_fresh(self, model: str) -> bool:
        newest = self.world.storage_runs.newest(model)
        if newest is None or newest["status"] != "success":
            return False
        return self.world.moment - parse(newest["finishedAt"]) < FRESH

    def _begin(self, model: str, *, resets: bool = False) -> Wire:
        self.world.tick()
        stream = Stream(self.world.seed, "asked run", model, self.world.moment)
        run = self.world.storage_runs.ask(model, self.world.moment, stream)
        self._due[run["uuid"]] = monotonic() + self.delay
        if resets:
            self._resets.add(run["uuid"])
        self.world.revision += 1
        return run

    def _end(self, run: Wire) -> None:
        world, spec = self.world, self.world.spec_of(run["modelUuid"])
        resets = run["uuid"] in self._resets
        self._forget(run["uuid"])
        if run["status"] in ENDED:
            return  # rows that moved meanwhile came with it
        world.tick()
        world.modelling.tabled.add(run["modelUuid"])
        if resets and world.warehouse.count(spec):
            world.writing.settle(at_once=True)
            world.warehouse.emit_again(spec, world.moment)
            remember_emission(world, spec, world.moment)
        world.storage_runs.end(run, "success", world.moment)
        world.revision += 1

    def _forget(self, run: str) -> None:
        self._due.pop(run, None)
        self._resets.discard(run)
