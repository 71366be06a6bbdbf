"""Who enters, leaves and changes in segments when rows are written: evaluated by DuckDB, out of core.

Only rows that are written are looked at, and all rows of the model where a segment has a limit or asks for another
segment: there a row moves up when another one leaves. Membership is three-valued: NULL is a row of which nobody can
tell, as one that is level with others where the limit cuts.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from cargo_source.pull.sql import name, text
from cargo_source.push.room import asked
from cargo_source.push.segment_truth import SortKey, Watch, member_table
from cargo_source.push.watched_columns import WatchedColumn

WRITTEN, EVERYONE, BARRED = "radius_written", "radius_everyone", "radius_barred"
KINDS = {"added": "entering", "removed": "leaving", "updated": "changed"}
"""Kinds of changes of a record in a segment, and what is told of each."""
_NULLS = ("FIRST", "LAST")


@dataclass(frozen=True)
class Touched:
    """Rows of a model that a push would change, in a DuckDB connection, typed as a pull types them.

    ``present`` is a relation of all rows of the model: "_id" and one column per needed field, named by the field.
    ``after`` is a table of the rows that would be created or updated: seq, "_id" (null for creates), the same columns
    as they would be afterwards, and changed, the fields that an update changes or a create gives. ``removed`` is a
    table with one column "_id": the records that would be removed.
    """

    db: duckdb.DuckDBPyConnection
    present: str
    after: str
    removed: str


class Members:
    """The members of segments before and after, in tables that are there as long as this is open."""

    def __init__(self, touched: Touched, columns: Iterable[WatchedColumn]) -> None:
        self._db, self._touched = touched.db, touched
        self._columns = sorted(columns, key=lambda column: column.place)
        self._made: list[str] = []
        self._cut: set[str] = set()

    @classmethod
    @contextmanager
    def of(cls, touched: Touched, watches: Iterable[Watch]) -> Iterator["Members"]:
        """Evaluate segments, each after those that it asks for."""
        watches = list(watches)
        members = cls(touched, frozenset().union(*(watch.columns for watch in watches)))
        asked_for = frozenset().union(*(watch.truth.members for watch in watches))
        try:
            members._take_in()
            for watch in watches:
                members._evaluate(watch, asked_for=member_table(watch) in asked_for)
            yield members
        finally:
            members._forget()

    def counts(self, watch: Watch) -> dict[str, tuple[int, int]]:
        """Count the records with a change of each kind: sure ones, and maybe ones."""
        sides = [f"count(*) FILTER ({kind}), count(*) FILTER ({kind} IS NULL)" for kind in KINDS]
        found = self._db.execute(f"SELECT {', '.join(sides)} FROM {_moves(watch)}").fetchall()[0]
        return {kind: (int(found[2 * place]), int(found[2 * place + 1])) for place, kind in enumerate(KINDS)}

    def left(self, watch: Watch, kinds: Iterable[str], barred: pa.Table) -> tuple[int, int]:
        """Count the records with a change of some kinds that are not barred: sure ones, and maybe ones."""
        self._db.register(BARRED, barred)
        query = f"SELECT {_any_of(kinds)} AS happens FROM {_moves(watch)} ANTI JOIN {BARRED} USING (id)"
        counts = "count(*) FILTER (happens), count(*) FILTER (happens IS NULL)"
        sure, maybe = self._db.execute(f"SELECT {counts} FROM ({query})").fetchall()[0]
        self._db.unregister(BARRED)
        return int(sure), int(maybe)

    def reason(self, watch: Watch) -> str:
        """Say why of some rows nobody can tell whether they move in a segment."""
        reasons = [*watch.reasons]
        if member_table(watch) in self._cut:
            reasons.append(f"it takes only {watch.limit:,} rows, and which is not clear")
        if watch.truth.members & self._cut:
            reasons.append("it asks for a segment that takes only some rows, and which is not clear")
        return "; ".join(reasons) or "not all that it asks for is known"

    def ids(self, watch: Watch, kinds: Iterable[str], size: int) -> Iterator[list[str]]:
        """Give the ids of records with a change of some kinds, sure or not; new rows have none yet.

        Nothing else may be asked of the connection meanwhile.
        """
        query = f"SELECT id FROM {_moves(watch)} WHERE id IS NOT NULL AND ({_any_of(kinds)}) IS NOT FALSE"
        found = self._db.execute(query)
        while rows := found.fetchmany(size):
            yield [str(row[0]) for row in rows]

    def _take_in(self) -> None:
        """Put the rows that are written side by side with what they are now, and all others beside them."""
        present, after, removed = self._touched.present, self._touched.after, self._touched.removed
        before = "".join(f", p.{name(column.field)} AS {column.before}" for column in self._columns)
        later = "".join(f", {_afterwards(column)} AS {column.after}" for column in self._columns)
        gone = "".join(f", NULL AS {column.after}" for column in self._columns)
        still = "".join(f", p.{name(column.field)} AS {column.after}" for column in self._columns)
        self._make(
            "TABLE",
            WRITTEN,
            f"""
            SELECT CASE WHEN p._id IS NULL THEN 'new ' || a.seq ELSE 'old ' || p._id END AS key,
                p._id AS id, TRUE AS touched, p._id IS NOT NULL AS was, TRUE AS stays,
                coalesce(a.changed, []) AS changed{before}{later}
            FROM {after} AS a LEFT JOIN {present} AS p ON p._id = a._id
            UNION ALL
            SELECT 'old ' || p._id, p._id, TRUE, TRUE, FALSE, []::VARCHAR[]{before}{gone}
            FROM {present} AS p SEMI JOIN {removed} AS r ON r._id = p._id
            """,
        )
        self._make(
            "VIEW",
            EVERYONE,
            f"""
            FROM {WRITTEN} UNION ALL
            SELECT 'old ' || p._id, p._id, FALSE, TRUE, TRUE, []::VARCHAR[]{before}{still}
            FROM {present} AS p ANTI JOIN {WRITTEN} AS w ON w.id = p._id
            """,
        )

    def _evaluate(self, watch: Watch, *, asked_for: bool) -> None:
        everyone = asked_for or watch.limit is not None or bool(watch.truth.members)
        table, whole = member_table(watch), f"{member_table(watch)}_unlimited"
        self._make("TABLE", whole, _members(watch, EVERYONE if everyone else WRITTEN))
        limit = watch.limit
        if limit is not None and self._most(whole) > limit:
            self._cut.add(table)
            self._make("TABLE", table, _limited(whole, watch, limit))
        else:
            self._make("VIEW", table, f"FROM {whole}")
        self._make("TABLE", _moves(watch), _kinds(table, watch))

    def _most(self, table: str) -> int:
        """Count the rows that may be in a segment, before or after."""
        counts = "count(*) FILTER (before IS NOT FALSE), count(*) FILTER (after IS NOT FALSE)"
        return max(int(count) for count in self._db.execute(f"SELECT {counts} FROM {table}").fetchall()[0])

    def _make(self, what: str, table: str, query: str) -> None:
        self._made.append(f"{what} {table}")
        asked(self._db, f"CREATE OR REPLACE TEMP {what} {table} AS {query}")

    def _forget(self) -> None:
        while self._made:
            self._db.execute(f"DROP {self._made.pop()}")


def _afterwards(column: WatchedColumn) -> str:
    """Give the SQL of a cell after the write: what is not written stays, and whatever is written is written now."""
    present, after = f"p.{name(column.field)}", f"a.{name(column.field)}"
    if column.fate == "stamped":
        return "TIMESTAMPTZ 'infinity'"
    if column.fate == "derived":
        return present
    return f"CASE WHEN p._id IS NULL OR list_contains(a.changed, {text(column.field)}) THEN {after} ELSE {present} END"


def _members(watch: Watch, source: str) -> str:
    """Give the rows that are, or may be, in a segment by its filter alone; ``same`` is one that surely does not move.

    What a row is ordered by comes with it: ``placed`` says whether that is known.
    """
    truth, keys = watch.truth, watch.keys or ()
    places = dict.fromkeys(place for key in keys for place in (key.column.before, key.column.after))
    joins = "".join(
        f" LEFT JOIN (SELECT key, before, after, same FROM {other}) AS {other} ON {other}.key = r.key"
        for other in sorted(truth.members)
    )
    steady = [_is_steady(watch), *(f"coalesce({other}.same, TRUE)" for other in sorted(truth.members))]
    placed = [_is_placed(key) for key in keys] if watch.keys is not None else ["FALSE"]
    cells = [
        "r.key, r.id, touched, changed",
        f"was AND {truth.before} AS before",
        f"stays AND {truth.after} AS after",
        f"{' AND '.join(steady)} AS same",
        f"{watch.keys is not None} AS placed_before",
        f"{' AND '.join(placed) or 'TRUE'} AS placed_after",
        *places,
    ]
    # The conditions hold names of our own and quoted values.
    query = f"SELECT {', '.join(cells)} FROM {source} AS r{joins}"
    return f"SELECT * FROM ({query}) WHERE before IS NOT FALSE OR after IS NOT FALSE"


def _limited(table: str, watch: Watch, limit: int) -> str:
    """Give the members within a limit, by the least and the greatest place that each may have."""
    places = f"*, {_places('before', watch)}, {_places('after', watch)}"
    sides = [
        f"CASE WHEN {side} IS FALSE OR least_{side} > {limit} THEN FALSE "
        f"WHEN {side} AND most_{side} <= {limit} THEN TRUE END AS {side}"
        for side in ("before", "after")
    ]
    # Nobody says whether a row that is level with others keeps its place among them when it is written.
    stays = "same AND NOT touched AND least_before = least_after AND most_before = most_after AS same"
    return f"SELECT key, id, touched, changed, {', '.join(sides)}, {stays} FROM (SELECT {places} FROM {table})"


def _places(side: str, watch: Watch) -> str:
    """Give the SQL of the least and greatest place of a row in a segment's order.

    A row of which it is not known whether it is in, or where, may be before any other, or behind.
    """
    # Sums are used, as DuckDB takes a thousand times as long to count with a filter over such a window.
    sure = f"coalesce({side} AND placed_{side}, FALSE)::INT"
    maybe = f"({side} IS NOT FALSE AND placed_{side})::INT"
    level, *orders = _ordered(side, watch.keys or ())
    ahead = ", ".join(f"sum({sure}) OVER ({order}) - sum({sure}) OVER ({level})" for order in orders)
    so_far = ", ".join(f"sum({maybe}) OVER ({order})" for order in orders)
    astray = f"sum(({side} IS NOT FALSE AND NOT placed_{side})::INT) OVER ()"
    everyone = f"sum(({side} IS NOT FALSE)::INT) OVER ()"
    return (
        f"CASE WHEN placed_{side} THEN 1 + least({ahead}) ELSE 1 END AS least_{side}, "
        f"CASE WHEN placed_{side} THEN greatest({so_far}) + {astray} ELSE {everyone} END AS most_{side}"
    )


def _ordered(side: str, keys: tuple[SortKey, ...]) -> list[str]:
    """Give windows of the rows that are level with one, and of those up to it in each order; all, where there is none.

    Where rows without a value stand in an order is another matter in every warehouse.
    """
    if not keys:
        return ["", ""]
    columns = [key.column.before if side == "before" else key.column.after for key in keys]
    pairs = list(zip(columns, keys, strict=True))
    orders = [", ".join(f"{column} {key.direction} NULLS {nulls}" for column, key in pairs) for nulls in _NULLS]
    return [f"PARTITION BY {', '.join(columns)}", *(f"ORDER BY {order}" for order in orders)]


def _is_placed(key: SortKey) -> str:
    match key.column.fate:
        case "made":
            return f"(was OR {key.column.after} IS NOT NULL)"
        case "doubtful":
            return f"(NOT list_contains(changed, {text(key.column.field)}) OR {key.column.after} IS NULL)"
        case "derived":
            return "(NOT touched)"
    return "TRUE"


def _is_steady(watch: Watch) -> str:
    """Give the SQL of whether a row is left alone, or written without what the filter depends on."""
    if watch.truth.open:
        return "NOT touched"
    listed = ", ".join(text(each) for each in sorted(watch.truth.inputs))
    return f"(NOT touched OR was AND stays AND NOT list_has_any(changed, [{listed}]::VARCHAR[]))"


def _kinds(table: str, watch: Watch) -> str:
    """Give the records that move, or may, and how."""
    query = f"""
        SELECT id, CASE WHEN same THEN FALSE ELSE NOT before AND after END AS added,
            CASE WHEN same THEN FALSE ELSE before AND NOT after END AS removed,
            before AND after AND touched AND {watch.tracked} AS updated
        FROM {table}
    """
    return f"SELECT * FROM ({query}) WHERE {' OR '.join(f'{kind} IS NOT FALSE' for kind in KINDS)}"


def _moves(watch: Watch) -> str:
    return f"radius_moves_{watch.place}"


def _any_of(kinds: Iterable[str]) -> str:
    return " OR ".join(sorted(kinds)) or "FALSE"
