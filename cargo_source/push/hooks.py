"""Models that take rows by a hook alone: new rows, with any columns, and no answer that says what became of them.

A hook takes a row as often as it comes, and nobody documents how it types one. So each row carries a digest of its key
in a column of ours, by which one that is there already is recognised, here and by whoever reads the model (contract
sheet, section 8.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from cargo_source.catalog.columns import Column, Type
from cargo_source.errors import BadSettings
from cargo_source.push.cells import kind_of
from cargo_source.push.target import Mapped, Target
from cargo_source.push.values import Kind

PUSH_KEY = "cargo_push_key"
"""The column that holds the digest of a row's key."""
MOST = 100
"""Rows of one call."""

_TYPES: dict[Kind, tuple[str, Type]] = {
    "integer": ("number", "integer"),
    "float": ("number", "number"),
    "decimal": ("number", "number"),
    "boolean": ("boolean", "boolean"),
    "time": ("date", "timestamp"),
}
"""What Cargo calls the type of a new column, and how a pull types it, by what the source holds; else text."""


def mapped_key() -> Mapped:
    """Give the column of digests."""
    return Mapped(PUSH_KEY, "string", Column(PUSH_KEY, PUSH_KEY, "text", "digest of the key that a push gave the row"))


@dataclass(frozen=True)
class HookTarget(Target):
    """A model that takes rows by a hook; ``new`` are columns that it has not yet, and will have by being given them."""

    new: Mapping[str, Mapped] = field(default_factory=dict)

    @property
    def writable(self) -> dict[str, Mapped]:
        """The columns that take values: those that are there, and any that come, but for the one that is made here."""
        takes = {**self.new, **super().writable}
        return {slug: mapped for slug, mapped in takes.items() if slug != PUSH_KEY}


def hooked(target: Target, schema: pa.Schema, mode: str) -> HookTarget:
    """Give a model as one that takes the columns of a source. Raises BadSettings where more than new rows is wanted."""
    if mode != "insert":
        raise BadSettings(f"{target.label} takes rows by a hook, and only new ones: say mode='insert' (--mode insert)")
    known = {str(row["slug"]) for row in target.declared}
    new = {each.name: _mapped(each) for each in schema if each.name not in known and not each.name.startswith("_")}
    return HookTarget(target.model, target.shape, new)


def _mapped(column: pa.Field) -> Mapped:
    cargo, kind = _TYPES.get(kind_of(column) or "text", ("string", "text"))
    return Mapped(column.name, cargo, Column(column.name, column.name, kind, ""))


def add_digests(db: duckdb.DuckDBPyConnection, place: int, key: int) -> None:
    """Give each row of the table ``source`` the digest of its key, in a column at ``place``."""
    db.execute(f"ALTER TABLE source ADD COLUMN v{place} VARCHAR")
    db.execute(f"UPDATE source SET v{place} = sha256(nullif(v{key}::VARCHAR, ''))")
