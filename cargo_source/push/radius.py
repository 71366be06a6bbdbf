"""What a push sets off in Cargo: segments that records enter or leave, and the plays behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import duckdb

from cargo_source.pull.records import Model
from cargo_source.pull.session import Session
from cargo_source.pull.shapes import Shape


@dataclass(frozen=True)
class Radius:
    """What would be set off, in one line."""

    line: str = ""

    def as_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {"line": self.line}

    @classmethod
    def of_json(cls, row: Mapping[str, Any]) -> Self:
        """Make it of what :meth:`as_json` gave."""
        return cls(str(row["line"]))


@dataclass(frozen=True)
class Touched:
    """Rows that a push would change, in a DuckDB connection."""

    db: duckdb.DuckDBPyConnection
    present: str
    after: str
    removed: str


class Watchers:
    """What watches a model."""

    fields: frozenset[str] = frozenset()

    def radius(self, _touched: Touched) -> Radius:
        """Say what would be set off."""
        return Radius()


def watchers(_session: Session, _model: Model, _models: Sequence[Model], _shape: Shape) -> Watchers:
    """Find what watches a model."""
    return Watchers()
