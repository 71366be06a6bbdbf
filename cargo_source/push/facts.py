"""What a plan says about itself, apart from its rows: plain data that is saved with it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from cargo_source.push.radius import Radius


@dataclass(frozen=True)
class Counts:
    """How many rows a plan creates, updates, removes, leaves as they are, or refuses.

    ``source`` rows came and ``target`` rows are in the model. ``unmatched`` have no record and would not make one, in
    the modes that only update. ``known`` have a key that is in the model. ``untracked`` are records that a mirror would
    remove if they were its ledger's own.
    """

    source: int = 0
    target: int = 0
    creates: int = 0
    updates: int = 0
    removes: int = 0
    unchanged: int = 0
    unmatched: int = 0
    refused: int = 0
    known: int = 0
    untracked: int = 0

    @property
    def changes(self) -> int:
        """How many rows are to be sent."""
        return self.creates + self.updates + self.removes


@dataclass(frozen=True)
class Facts:
    """What a plan is for. ``columns`` maps the source's columns to the model's, ``key`` is one of the source's."""

    plan_id: str
    made_at: str
    workspace: str
    model_uuid: str
    model: str
    mode: str
    nulls: str
    key: str
    columns: dict[str, str]
    lane: str
    counts: Counts
    radius: Radius
    notes: tuple[str, ...] = ()
    ledger_keys: str = "hash"
    """How the ledger remembers keys: by their digest, or as they are ("clear")."""
    allow_connector_models: bool = False
    cells: dict[str, int] = field(default_factory=dict)
    """How many cells of each column an update would change."""
    reasons: dict[str, int] = field(default_factory=dict)
    """How many rows are refused for each reason."""

    def as_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {**asdict(self), "radius": self.radius.as_json()}

    @classmethod
    def of_json(cls, row: Mapping[str, Any]) -> Self:
        """Make it of what :meth:`as_json` gave."""
        names = {each.name for each in fields(cls)}
        known = {name: value for name, value in row.items() if name in names}
        known |= {"counts": Counts(**row["counts"]), "radius": Radius.of_json(row["radius"])}
        return cls(**known | {"notes": tuple(row["notes"])})
