"""What a push would change: the source's rows held against the model's present ones, in DuckDB, out of core.

>>> Comparison(db, columns, key, mode, ...).make("changes")  # doctest: +SKIP
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import duckdb
import pyarrow as pa
from duckdb.func import PythonUDFType

from cargo_source.pull import sql
from cargo_source.push.cells import JSON_TEXT
from cargo_source.push.room import asked
from cargo_source.push.target import Mapped

Mode = Literal["insert", "update", "upsert", "mirror", "fill_empty"]
MODES: tuple[Mode, ...] = get_args(Mode)
CREATING = frozenset({"insert", "upsert", "mirror"})
UPDATING = frozenset({"update", "upsert", "mirror", "fill_empty"})
CREATE, UPDATE, REMOVE = KINDS = ("create", "update", "remove")

NO_KEY = "has no key"
EMPTY_KEY = "has an empty key"
NUL_KEY = "has a key with a NUL character, which no query can name"
TWICE = "shares its key with another row of the source"
AMBIGUOUS = "has a key that several records of the model share"
NO_RECORD = "names a record that is not there; Cargo makes identifiers itself"


@dataclass(frozen=True)
class Comparison:
    """A source and the rows of a model in one database, and how they are compared.

    Tables ``source`` (see :mod:`cargo_source.push.staging`) and ``present``, whose columns are called by their fields,
    are there. ``columns`` are those of the source in their order, ``key`` is the place of the one that rows are told
    apart by, ``by_identity`` says that it holds the records' identifiers. ``tracked`` names a table of the identifiers
    that a mirror may remove; None: all of them.
    """

    db: duckdb.DuckDBPyConnection
    columns: Sequence[Mapped]
    key: int
    mode: Mode
    nulls: str = "write"
    by_identity: bool = False
    tracked: str | None = "tracked"

    def make(self, changes: str, refused: str) -> None:
        """Make the tables of what would be changed, and of the source's rows that cannot be pushed."""
        self._pair()
        self._refuse(refused)
        asked(self.db, f"CREATE OR REPLACE SEQUENCE {changes}_seq")
        asked(
            self.db,
            f"CREATE TABLE {changes} (seq BIGINT DEFAULT nextval('{changes}_seq'), kind VARCHAR, id VARCHAR,"
            " row BIGINT, key VARCHAR, changed VARCHAR[], data VARCHAR, before VARCHAR)",
        )
        into = f"INSERT INTO {changes} (kind, id, row, key, changed, data, before)"
        if self.mode in CREATING and not self.by_identity:
            asked(self.db, f"{into} {self._creates(refused)}")
        if self.mode in UPDATING and len(self.columns) > 1:
            asked(self.db, f"{into} {self._updates(refused)}")
        if self.mode == "mirror" and not self.unreadable_keys:
            asked(self.db, f"{into} {self._removes()}")

    def _pair(self) -> None:
        """Find the source's rows whose key is in the model, how many records have it, and whether one may differ.

        Rows are wide, and most are as they are in the model. So they are held against each other by their keys and by
        hashes of their other cells, of 64 bits each: joined whole they took four times as long. Cells of other types
        hash otherwise though they are equal, so that a row of which the hashes differ is looked at anew.
        """
        there = self._there
        others = self._others if self.mode in UPDATING else []
        mine, theirs = hashes([f"v{place}" for place in others]), hashes([self._field(place) for place in others])
        records = (
            f"SELECT there, count(*) AS records, any_value(h1) AS h1, any_value(h2) AS h2"
            f" FROM (SELECT {there} AS there, {theirs} FROM present) WHERE there IS NOT NULL GROUP BY 1"
        )
        asked(
            self.db,
            f"CREATE OR REPLACE TEMP TABLE {PAIRED} AS SELECT s.row, p.records, s.h1 <> p.h1 OR s.h2 <> p.h2 AS differs"
            f" FROM (SELECT row, v{self.key} AS given, {mine} FROM source) s JOIN ({records}) p ON s.given = p.there",
        )

    # Rows that cannot be pushed ------------------------------------------------------------------------------------

    def _refuse(self, refused: str) -> None:
        key = f"v{self.key}"
        asked(self.db, f"CREATE TABLE {refused} (row BIGINT, key VARCHAR, column_name VARCHAR, reason VARCHAR)")
        slug = sql.text(self.columns[self.key].slug)
        # Keys may be long: those that may be shared are found by their hashes, and only they are held in memory.
        maybe = f"SELECT hash({key}) FROM source WHERE {key} IS NOT NULL GROUP BY 1 HAVING count(*) > 1"
        shared = f"SELECT {key} FROM source WHERE hash({key}) IN ({maybe}) GROUP BY 1 HAVING count(*) > 1"
        tests = [
            (f"{key} IS NULL", NO_KEY),
            (f"{key}::VARCHAR = ''", EMPTY_KEY),
            (f"contains({key}::VARCHAR, chr(0))", NUL_KEY),
            (f"{key} IN ({shared})", TWICE),
            (f"row IN (SELECT row FROM {PAIRED} WHERE records > 1)", AMBIGUOUS),
        ]
        if self.by_identity and self.mode in CREATING:
            tests.append((f"row NOT IN (SELECT row FROM {PAIRED})", NO_RECORD))
        cases = " ".join(f"WHEN {test} THEN {sql.text(reason)}" for test, reason in tests)
        asked(
            self.db,
            f"INSERT INTO {refused} SELECT row, {key}::VARCHAR, coalesce(bad_column, {slug}), coalesce(bad_reason, why)"
            f" FROM (SELECT *, CASE {cases} END AS why FROM source) WHERE bad_reason IS NOT NULL OR why IS NOT NULL",
        )

    @property
    def unreadable_keys(self) -> bool:
        """Whether the source has rows of which nobody can say which record they stand for."""
        slug = sql.text(self.columns[self.key].slug)
        test = f"v{self.key} IS NULL OR v{self.key}::VARCHAR = '' OR bad_column = {slug}"
        return self._one(f"SELECT count(*) FROM source WHERE {test}") > 0

    # Changes -------------------------------------------------------------------------------------------------------

    def _creates(self, refused: str) -> str:
        cells = [self._sent(place, f"s.v{place}", self._given(place)) for place in range(len(self.columns))]
        names = [self._named(place, self._given(place)) for place in range(len(self.columns))]
        new = f"SELECT row FROM source ANTI JOIN {refused} USING (row) ANTI JOIN {PAIRED} USING (row)"
        return (
            f"SELECT '{CREATE}', NULL, s.row, s.v{self.key}::VARCHAR, {_list(names)}, {_object(cells)}, NULL"
            f" FROM source s WHERE s.row IN ({new})"
        )

    def _updates(self, refused: str) -> str:
        others = self._others
        flags = ", ".join(f"{self._differs(place)} AS d{place}" for place in others)
        values = ", ".join(f"s.v{place}, p.{self._field(place)} AS w{place}" for place in others)
        names = [self._named(place, f"d{place}") for place in others]
        new = [self._sent(place, f"v{place}", f"d{place}") for place in others]
        old = [self._sent(place, f"w{place}", f"d{place}") for place in others]
        return (
            f"SELECT '{UPDATE}', id, row, key, {_list(names)}, {_object(new)}, {_object(old)} FROM ("
            f"SELECT p._id AS id, s.row, s.v{self.key}::VARCHAR AS key, {flags}, {values}"
            f" FROM (FROM source ANTI JOIN {refused} USING (row) SEMI JOIN (FROM {PAIRED} WHERE differs) USING (row)) s"
            f" JOIN present p ON {self.match})"
            f" WHERE {' OR '.join(f'd{place}' for place in others)}"
        )

    def _removes(self) -> str:
        there = f"p.{self._there}"
        mine = f" SEMI JOIN {self.tracked} t ON p._id = t.id" if self.tracked else ""
        # What a record holds now shows later whether somebody else has changed it.
        cells = [self._sent(place, f"p.{self._field(place)}", "true") for place in range(len(self.columns))]
        # A row that is in the source and cannot be pushed is in the source all the same.
        return (
            f"SELECT '{REMOVE}', p._id, NULL, {there}::VARCHAR, [], NULL, {_object(cells)} FROM present p{mine}"
            f" ANTI JOIN source s ON {self.match} WHERE {there} IS NOT NULL"
        )

    # Cells ---------------------------------------------------------------------------------------------------------

    @property
    def _others(self) -> list[int]:
        return [place for place in range(len(self.columns)) if place != self.key]

    @property
    def _there(self) -> str:
        return self._field(self.key)

    @property
    def match(self) -> str:
        """When a row ``s`` of the source and a record ``p`` of the model are the same."""
        return f"s.v{self.key} = p.{self._there}"

    def _field(self, place: int) -> str:
        return sql.name(self.columns[place].column.field)

    def _given(self, place: int) -> str:
        return f"s.v{place} IS NOT NULL" if self.nulls == "skip" else "true"

    def _differs(self, place: int) -> str:
        new, old = f"s.v{place}", f"p.{self._field(place)}"
        if self.mode == "fill_empty":
            return f"({old} IS NULL AND {new} IS NOT NULL)"
        if self.columns[place].column.type == "json":
            old = f"nullif({old}, 'null')"
            test = (
                f"(CASE WHEN {new} IS NULL OR {old} IS NULL THEN {new} IS DISTINCT FROM {old}"
                f" WHEN {new} = {old} THEN false ELSE {CANONICAL}({new}) <> {CANONICAL}({old}) END)"
            )
        else:
            test = f"({new} IS DISTINCT FROM {old})"
        return f"({test} AND {new} IS NOT NULL)" if self.nulls == "skip" else test

    def _named(self, place: int, when: str) -> str:
        return f"CASE WHEN {when} THEN {sql.text(self.columns[place].slug)} END"

    def _sent(self, place: int, cell: str, when: str) -> str:
        """Write a cell as it stands in a request, or nothing where it does not belong there."""
        mapped = self.columns[place]
        text = JSON_TEXT[mapped.column.type].format(cell)
        name = sql.text(json.dumps(mapped.slug, ensure_ascii=False) + ":")
        return f"CASE WHEN {when} THEN {name} || coalesce({text}, 'null') END"

    # Counts --------------------------------------------------------------------------------------------------------

    @property
    def known(self) -> int:
        """How many rows of the source have a key that is in the model."""
        return self._one(f"SELECT count(*) FROM {PAIRED}")

    def keep_rest(self, table: str) -> None:
        """Make a table of how many records no row of the source stands for, with a digest of their cells."""
        cells = ", ".join(f"p.{self._field(place)}" for place in range(len(self.columns)))
        asked(
            self.db,
            f"CREATE OR REPLACE TABLE {table} AS SELECT count(*) AS records, coalesce(sum(hash(p._id, {cells})), 0)"
            f" AS digest FROM present p ANTI JOIN source s ON {self.match}",
        )

    def _one(self, query: str) -> int:
        return int(asked(self.db, query).fetchall()[0][0])


CANONICAL = "cargo_canonical"
PAIRED = "paired"
"""The table of the source's rows whose key is in the model."""


def hashes(cells: Sequence[str]) -> str:
    """Write two hashes of cells, which differ where a cell does.

    A null has the hash of some value or other, so the second says where nulls are; it takes the cells in the other
    order, and so goes its own way where several differ.
    """
    if not cells:
        return "0 AS h1, 0 AS h2"
    with_nulls = ", ".join(f"{cell} IS NULL, {cell}" for cell in reversed(cells))
    return f"hash({', '.join(cells)}) AS h1, hash({with_nulls}) AS h2"


def _list(names: Sequence[str]) -> str:
    return f"list_filter([{', '.join(names)}], lambda x: x IS NOT NULL)"


def _object(cells: Sequence[str]) -> str:
    return f"'{{' || concat_ws(',', {', '.join(cells)}) || '}}'"


def add_canonical(db: duckdb.DuckDBPyConnection) -> None:
    """Teach DuckDB to write JSON in one way: with its keys in order, and equal numbers alike."""
    db.create_function(CANONICAL, _canonical, ["VARCHAR"], "VARCHAR", type=PythonUDFType.ARROW)


def _canonical(texts: pa.ChunkedArray) -> pa.Array:
    return pa.array([_one_way(text) for text in texts.to_pylist()], pa.string())


def _one_way(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return json.dumps(_plain(json.loads(text)), ensure_ascii=False, sort_keys=True)
    except (ValueError, RecursionError):
        return text


def _plain(value: object) -> object:
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
    return value
