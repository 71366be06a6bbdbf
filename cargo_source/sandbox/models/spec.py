"""What a model and a column are made of, before they become a table."""

from dataclasses import dataclass, field
from typing import Any

from cargo_source.sandbox.identity import number_for
from cargo_source.sandbox.models.cells import draw, share

SURE_NULLS = 20
"""Among the first so many rows of a model, each nullable column has a null."""

SQL_TYPES = {
    "string": "VARCHAR",
    "number": "DOUBLE",
    "date": "TIMESTAMPTZ",
    "boolean": "BOOLEAN",
    "object": "JSON",
    "array": "JSON",
    "any": "JSON",
    "vector": "DOUBLE[]",
}


@dataclass(frozen=True)
class Col:
    """One column of a model; `sql` says how a row's cell is made (see `cells`)."""

    slug: str
    type: str
    sql: str
    kind: str = "original"
    nulls: float = 0.0
    moves: bool = False
    """Whether a change of the row draws this cell anew. Such a column may use `h` and `e` only."""
    big: bool = False
    """Whether a number is a BIGINT."""
    described: bool = False
    formula: tuple[str, ...] = ()
    """Where an additional column comes from.

    Computed: the columns used. Metric: model, aggregation, column. Lookup: model, own column, its column, taken column.
    """
    shown: dict[str, Any] = field(default_factory=dict, hash=False)
    """The column as whoever added it wrote it, which is how its model lists it."""

    @property
    def name(self) -> str:
        """The physical name: additional columns carry their kind as a prefix."""
        return self.slug if self.kind == "original" else f"{self.kind}__{self.slug}"

    @property
    def sql_type(self) -> str:
        """DuckDB's type of the column."""
        return "BIGINT" if self.big else SQL_TYPES[self.type]

    def cell(self, *, place: bool) -> str:
        """Give the SQL of a cell with its share of nulls; where rows have a place, one early row is null for sure."""
        if not self.nulls:
            return self.sql
        absent = f"{draw('null:' + self.slug)} < {share(self.nulls)}"
        if place:
            absent += f" OR i = {number_for('null', self.slug) % SURE_NULLS}"
        return f"CASE WHEN {absent} THEN NULL ELSE {self.sql} END"


@dataclass(frozen=True)
class Pace:
    """Shares of a model's rows that are added, changed and removed in a day."""

    adds: float = 0.0
    changes: float = 0.0
    removes: float = 0.0


LIVELY = Pace(adds=0.01, changes=0.02, removes=0.005)
APPENDED = Pace(adds=0.01)
EDITED = Pace(changes=0.02)
QUIET = Pace()


@dataclass(frozen=True)
class ModelSpec:
    """A model: where it lives, its columns, how many rows it has and how lively it is."""

    dataset: str
    slug: str
    name: str
    extractor: str
    id: str
    title: str
    cols: tuple[Col, ...]
    per_company: float = 0.0
    at_least: int = 24
    time: str | None = None
    pace: Pace = QUIET
    emits: bool = True
    """Whether the table has an `_emitted_at` column."""
    sync_hours: int = 0
    """Rows arrive in batches this many hours apart; 0 means at any moment."""
    config: dict[str, Any] = field(default_factory=dict)
    origin: str = ""
    """The key of a model that has been renamed."""

    @property
    def key(self) -> str:
        """The two slugs in one word as they first were, for naming streams and hidden tables."""
        return self.origin or f"{self.dataset}.{self.slug}"

    def rows_at(self, companies: int) -> int:
        """How many rows the model starts with."""
        return max(self.at_least, round(self.per_company * companies))
