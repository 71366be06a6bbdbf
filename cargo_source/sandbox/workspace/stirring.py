"""How the rows of models move while time passes: added, changed, removed, returned, and some that come late."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import DAY, HOUR, MINUTE, iso
from cargo_source.sandbox.workspace.warehouse import model_uuid

if TYPE_CHECKING:
    from cargo_source.sandbox.models import ModelSpec
    from cargo_source.sandbox.world import World

RETURNS = 0.4
"""How many of a step's removed rows are made up for by rows that come back."""
LATE_MODELS = frozenset({"default.companies", "http.website_forms", "segment.tracks"})
LATEST, EARLIEST = 10 * MINUTE, 40 * MINUTE


def stir(world: World, before: int, until: int, number: int) -> Counter[str]:
    """Move the rows of every lively model between two moments."""
    counts: Counter[str] = Counter()
    for uuid, model in world.tables["models"].items():
        spec = world.spec_of(uuid)
        if model["isPaused"] or model["deletedAt"] or not any((spec.pace.adds, spec.pace.changes, spec.pace.removes)):
            continue
        stream = Stream(world.seed, "stir", spec.key, number)
        moved = _stir_model(world, spec, before, until, stream)
        if moved:
            remember_emission(world, spec, until)
            counts += moved
    return counts


def _stir_model(world: World, spec: ModelSpec, before: int, until: int, stream: Stream) -> Counter[str]:
    low, high = before + 1, until
    share = (until - before) / DAY
    if spec.sync_hours:
        if not stream.chance((until - before) / (spec.sync_hours * HOUR)):
            return Counter()
        low = high = stream.whole(before + 1, until)
    return _move_rows(world, spec, (low, high), share, stream) + _come_late(world, spec, before, share, stream)


def _move_rows(world: World, spec: ModelSpec, within: tuple[int, int], share: float, stream: Stream) -> Counter[str]:
    store, pace, turn = world.warehouse, spec.pace, stream.uuid()
    total = store.count(spec) * share
    # A whole day moves something in every lively model, however small it is.
    often = stream.count if share > 0.5 else stream.rounded
    changes, removes, adds, returns = (
        often(total * rate) if rate else 0 for rate in (pace.changes, pace.removes, pace.adds, pace.removes * RETURNS)
    )
    chosen = store.draw_ids(spec, changes + removes, turn)
    back = store.draw_removed(spec, returns, turn)
    store.change(spec, chosen[:changes], *within, turn)
    store.remove(spec, chosen[changes:])
    store.restore(spec, back, *within, turn)
    store.add(spec, adds, *within)
    return Counter(
        rowsAdded=adds, rowsChanged=len(chosen[:changes]), rowsRemoved=len(chosen[changes:]), rowsReturned=len(back)
    )


def _come_late(world: World, spec: ModelSpec, before: int, share: float, stream: Stream) -> Counter[str]:
    """Rows that were emitted before the step, but are only seen now."""
    late = stream.rounded(min(3.0, 12 * share)) if spec.key in LATE_MODELS else 0
    world.warehouse.add(spec, late, before - EARLIEST, before - LATEST)
    return Counter(rowsLate=late)


def remember_emission(world: World, spec: ModelSpec, moment: int) -> None:
    """Set when a model's rows moved last; a table without `_emitted_at` cannot tell, so it is told."""
    model = world.tables["models"][model_uuid(world.seed, spec)]
    model["lastEmittedAt"] = world.warehouse.last_emitted(spec) if spec.emits else iso(moment)


def moved(world: World, spec: ModelSpec, turn: str) -> None:
    """Have the rest of the workspace tell that rows of a model have moved right now."""
    remember_emission(world, spec, world.moment)
    uuid = model_uuid(world.seed, spec)
    if world.tables["models"][uuid]["lastEmittedAt"]:
        stream = Stream(world.seed, "storage runs", turn)
        world.storage_runs.follow(uuid, world.moment - 1, world.moment, stream)
    world.revision += 1
