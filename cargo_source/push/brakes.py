"""What stops a plan before anything is sent, each with its numbers and the switch that lets it go on. Pure."""

import math
from dataclasses import dataclass

from cargo_source.errors import BadSettings, Braked
from cargo_source.push.facts import Counts, Facts

NEEDS_KNOWN_KEYS = frozenset({"update", "mirror", "fill_empty"})
"""Modes in which a source of which no row is known in the model is most likely another model's."""


@dataclass(frozen=True)
class Limits:
    """How much of a model one push may change, in percent of its rows; None: as much as it likes.

    ``max_delete_pct`` counts rows that are removed, ``max_change_pct`` those that are updated or removed,
    ``max_create_pct`` those that are new. ``allow_empty`` takes a source without rows for what is wanted,
    ``allow_no_known_key`` one of which no row is in the model.
    """

    max_delete_pct: float | None = 5
    max_change_pct: float | None = 50
    max_create_pct: float | None = None
    allow_empty: bool = False
    allow_no_known_key: bool = False

    def __post_init__(self) -> None:
        for name in ("max_delete_pct", "max_change_pct", "max_create_pct"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value >= 0):
                raise BadSettings(f"{name}: a share in percent, 0 or more")


def reasons(facts: Facts, limits: Limits) -> list[str]:
    """Say why a plan must not be applied as it is; nothing where it may be."""
    found = [*_of_source(facts, limits)]
    counts = facts.counts
    for what, rows, limit, switch in (
        ("remove", counts.removes, limits.max_delete_pct, "max_delete_pct"),
        ("update or remove", counts.updates + counts.removes, limits.max_change_pct, "max_change_pct"),
        ("create", counts.creates, limits.max_create_pct, "max_create_pct"),
    ):
        share = _share(rows, counts)
        if limit is not None and rows and share > limit:
            found.append(
                f"it would {what} {rows:,} of {counts.target:,} rows ({share:.1f} %), and {switch} is {limit:g}:"
                f" say {switch}={_above(share)} (--{switch.replace('_', '-')} {_above(share)}) if that is meant"
            )
    return found


def _of_source(facts: Facts, limits: Limits) -> list[str]:
    counts = facts.counts
    if not counts.source and not limits.allow_empty:
        return ["the source has no rows: say allow_empty=True (--allow-empty) if that is meant"]
    lost = counts.source and counts.target and not counts.known
    if facts.mode in NEEDS_KNOWN_KEYS and lost and not limits.allow_no_known_key:
        told = (
            f"none of the source's {counts.source:,} rows has a {facts.key!r} that is among the {counts.target:,} rows"
            f" of {facts.model}: is it the right key and the right model? Say allow_no_known_key=True"
            " (--allow-no-known-key) if that is meant"
        )
        return [told]
    return []


def _share(rows: int, counts: Counts) -> float:
    return 100 * rows / counts.target if counts.target else 0.0


def _above(share: float) -> int:
    return math.ceil(share)


def check(facts: Facts, limits: Limits) -> None:
    """Raise Braked where a plan must not be applied as it is."""
    if found := reasons(facts, limits):
        raise Braked(f"{facts.model}: this plan is not applied: {'; '.join(found)}")
