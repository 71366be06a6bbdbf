"""What of each table lands, and how: columns that are wanted, left out, emptied or replaced by a pseudonym.

All of it happens before a row is written to disk, but for the file of an export, which lies in the private spool until
it has been conformed.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from cargo_source.catalog import ENTITIES, Entity
from cargo_source.catalog.columns import Column, snake_case
from cargo_source.catalog.entity import Gated, Window
from cargo_source.errors import BadSettings, suggest

log = logging.getLogger("cargo_source")

Treatment = Literal["hash", "null"]


class Pseudonym:
    """Replaces a text by its SHA-256 with a salt, the same in every lane: equal texts stay equal, and join."""

    def __init__(self, salt: str) -> None:
        self.__salt = salt

    def __repr__(self) -> str:
        return "Pseudonym(***)"

    def __call__(self, text: str) -> str:
        """Give the pseudonym of a text."""
        return hashlib.sha256((self.__salt + text).encode()).hexdigest()

    def reveal_salt(self) -> str:
        """Give the salt, for a lane that computes the same elsewhere."""
        return self.__salt


@dataclass(frozen=True)
class Shaping:
    """What people asked for. Names of columns are those of the destination.

    ``columns`` names the columns to keep, by table; a table that is not named keeps all. ``exclude`` are patterns such
    as ``contacts.phone``, ``*.notes`` or ``email``. ``pii`` maps such patterns to ``hash`` (text becomes a pseudonym)
    or ``null`` (the column stays, empty). Keys, and what a sync itself has to read again, always land as they are.
    """

    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    exclude: Sequence[str] = ()
    pii: Mapping[str, Treatment] = field(default_factory=dict)
    salted: str = ""
    """A digest of the salt of pseudonyms: with another salt, what has landed has to come again."""
    _met: set[str] = field(default_factory=set, repr=False, compare=False)

    def __post_init__(self) -> None:
        for pattern, treatment in self.pii.items():
            if treatment not in get_args(Treatment):
                raise BadSettings(f"pii: {pattern!r} can be 'hash' or 'null', not {treatment!r}")
        for table, names in self.columns.items():
            if entity := ENTITIES.get(table):
                known = [column.name for column in entity.columns]
                for name in names:
                    if name not in known:
                        raise BadSettings(f"columns: {table} has no column {name!r}{suggest(name, known)}")

    def entity(self, entity: Entity, *, personal: bool) -> tuple[Column, ...]:
        """Give the columns that land of an entity. Raises BadSettings where one that has to land is named."""
        return self.shaped(entity.table, entity.landing(personal=personal), _needed(entity))

    def shaped(self, table: str, columns: Iterable[Column], needed: frozenset[str]) -> tuple[Column, ...]:
        """Give the columns that land of any table; ``needed`` are those that must."""
        wanted = self.columns.get(table)
        found = []
        for column in columns:
            left_out = _matching(self.exclude, table, column.name)
            treated = _matching(self.pii, table, column.name)
            self._met.update(pattern for pattern in (left_out, treated) if pattern)
            if column.name in needed:
                for pattern in (left_out, treated):
                    if pattern is not None and "." in pattern and "*" not in pattern:
                        raise BadSettings(f"{pattern}: the sync itself reads this column, so it has to land as it is")
                found.append(column)
            elif left_out is None and (wanted is None or column.name in wanted):
                found.append(column if treated is None else _treated(table, column, self.pii[treated]))
        return tuple(found)

    def check_tables(self, models: Iterable[str]) -> None:
        """Raise BadSettings where ``columns`` names a table that is neither an entity's nor one of ``models``.

        After a model was renamed, its new table would land whole, with what was to be left out.
        """
        known = {*ENTITIES, *models}
        for table in self.columns:
            if table not in known:
                raise BadSettings(f"columns: there is no table {table!r}{suggest(table, known)}")

    def hides(self, table: str, name: str) -> bool:
        """Say whether nothing may be kept of a field that no column is known for."""
        if table in self.columns:
            return True
        return _matching((*self.exclude, *self.pii), table, name) is not None

    def record(self, record: Mapping[str, Any], pseudonym: Pseudonym) -> dict[str, Any]:
        """Shape a record of some model that lands as JSON, by what is asked of columns of that name in any table."""
        shaped = {}
        for name, value in record.items():
            column = snake_case(name)
            treated = _in_any_table(self.pii, column)
            if _in_any_table(self.exclude, column) is None:
                hashed = treated and self.pii[treated] == "hash" and isinstance(value, str)
                shaped[name] = value if treated is None else pseudonym(str(value)) if hashed else None
        return shaped

    @property
    def unmet(self) -> list[str]:
        """Patterns that named no column so far, of all tables that were shaped."""
        return sorted({*self.exclude, *self.pii} - self._met)


def _treated(table: str, column: Column, treatment: Treatment) -> Column:
    if treatment == "hash" and column.type != "text":
        log.warning("%s.%s: only text can be hashed: it is left empty", table, column.name)
        treatment = "null"
    return replace(column, pii=treatment)


def _matching(patterns: Iterable[str], table: str, column: str) -> str | None:
    """Give the first pattern that names a column: by itself, or with its table before a dot."""
    for pattern in patterns:
        if fnmatchcase(f"{table}.{column}" if "." in pattern else column, pattern):
            return pattern
    return None


def _in_any_table(patterns: Iterable[str], column: str) -> str | None:
    """Give the first pattern whose part for the column fits, whichever table it names."""
    return next((pattern for pattern in patterns if fnmatchcase(column, pattern.rpartition(".")[2])), None)


def _needed(entity: Entity) -> frozenset[str]:
    """Name the columns that a later sync reads in the destination, and the key."""
    names = set(entity.key)
    if entity.follow:
        names |= {entity.name_of(field) for field in (entity.follow.status, entity.follow.by, entity.follow.ended)}
        if isinstance(entity.reading, Window):
            names.add(entity.name_of(entity.reading.cursor))
    if isinstance(entity.reading, Gated) and (entity.reading.swept == "parents" or entity.reading.whole_lists):
        names |= {entity.name_of(field) for field in entity.listed_by.send}
    if entity.table == "change_rows":
        # Who was in a segment when is computed from these.
        names |= {"segment_uuid", "created_at"}
    if entity.table == "runs":
        # Agent runs count the runs that their message started.
        names.add("parent_message_uuid")
    return frozenset(names)
