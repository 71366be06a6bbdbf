"""What a sync is asked to do, apart from which tables."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from cargo_source.catalog import Entity
from cargo_source.catalog.columns import Column
from cargo_source.pull.shaping import Shaping
from cargo_source.pull.times import LOOKBACK
from cargo_source.pull.windows import Interval

Deletes = Literal["soft", "hard", "ignore"]
"""What becomes of a row that is gone in Cargo: it is marked, removed, or left as it is."""
FULL_REFRESH = timedelta(days=7)
"""How often rows of a model are read whole: some columns are computed without the row saying that it moved."""


@dataclass(frozen=True)
class Options:
    """What a sync is asked to do, apart from which tables.

    ``lookback`` is how far windows reach back behind the watermark; ``since`` where the first sync starts (None: the
    workspace's creation). ``models`` limits model rows to these (slug, ``dataset.slug`` or uuid; None: all).
    ``partial`` lets what can be read load where something else cannot. ``query_lane`` allows runs and spans by SQL,
    ``lane`` pins how rows of models come, and ``shaping`` says what of each table lands, and how. ``deletes`` is what
    becomes of rows that are gone, ``full_refresh_every`` how often rows of a model are read whole at least, and
    ``allow_empty`` believes a table that had many rows to have none.
    """

    include_personal: bool = False
    lookback: timedelta = LOOKBACK
    since: datetime | None = None
    models: tuple[str, ...] | None = None
    named: frozenset[str] = frozenset()
    strict: bool = False
    partial: bool = False
    in_flight: int = 4
    spool_dir: Path | None = None
    query_lane: bool = True
    lane: str | None = None
    deletes: Deletes = "soft"
    full_refresh_every: timedelta = FULL_REFRESH
    allow_empty: bool = False
    shaping: Shaping = field(default_factory=Shaping)
    longest_name: int | None = None
    """Letters that a table or a column may have in the destination, where that is limited."""
    window: Interval | None = None
    """The window that was given from outside, if any: it stands in for the stored cursors, which stay as they are."""

    def columns(self, entity: Entity) -> tuple[Column, ...]:
        """Give the columns that land of ``entity``."""
        return self.shaping.entity(entity, personal=self.include_personal)

    def identity(self) -> str:
        """Give all of these that decide what is read and how it lands, as text."""
        return repr(replace(self, in_flight=0, spool_dir=None, named=frozenset(), partial=False))
