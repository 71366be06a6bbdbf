"""Whether a row passes a segment's filter before and after a push: yes, no, or unknown where nobody can tell.

What asks for other models, for runs, or in the warehouse's own SQL cannot be evaluated here. Such a condition is NULL,
and SQL's own logic keeps it from making unknown what the other conditions decide.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cargo_source.errors import StopAndLook
from cargo_source.pull.pages import Row
from cargo_source.pull.records import Model
from cargo_source.pull.segment_rows import SegmentRead, check_filter
from cargo_source.pull.shapes import Shape
from cargo_source.pull.sql import text
from cargo_source.push.column_tests import column_test, joined, moments
from cargo_source.push.watched_columns import WatchedColumn, watched_columns

SORTABLE = frozenset({"string", "number", "date", "boolean"})
CANNOT = {
    "occurrence": "it asks for rows of another model",
    "enrollment": "it asks for runs",
    "sql": "it asks in the warehouse's own SQL",
}


@dataclass(frozen=True)
class Truth:
    """The SQL of a filter, or a part of one, before and after; each gives TRUE, FALSE or NULL for a row.

    It stays the same for a row of which none of the ``inputs`` changes, unless it is ``open``: then any change of the
    row may move it. ``columns`` are those that it reads, ``members`` the tables of who is in the segments that it
    asks for, and ``reasons`` say what of it cannot be known.
    """

    before: str
    after: str
    inputs: frozenset[str] = frozenset()
    open: bool = False
    columns: frozenset[WatchedColumn] = frozenset()
    members: frozenset[str] = frozenset()
    reasons: tuple[str, ...] = ()


EVERY_ROW = Truth("TRUE", "TRUE")


@dataclass(frozen=True)
class SortKey:
    """A column by which a segment with a limit takes its rows."""

    column: WatchedColumn
    direction: Literal["ASC", "DESC"]


@dataclass(frozen=True)
class Watch:
    """A segment of the model as it can be evaluated. ``tracked`` is the SQL of whether a row changed for it.

    ``place`` tells segments apart in SQL. ``keys`` is None where an order is asked for that cannot be told.
    """

    row: Row
    place: int
    truth: Truth
    tracked: str
    keys: tuple[SortKey, ...] | None = ()
    reasons: tuple[str, ...] = ()

    @property
    def uuid(self) -> str:
        """The segment's uuid."""
        return str(self.row["uuid"])

    @property
    def limit(self) -> int | None:
        """The most rows that it takes."""
        return self.row.get("limit")

    @property
    def columns(self) -> frozenset[WatchedColumn]:
        """The columns that have to be read for it."""
        return self.truth.columns | {key.column for key in self.keys or ()}


def is_evaluated(segment: Row) -> bool:
    """Say whether the platform evaluates a segment: one that it never did, or that is deleted, sets off nothing."""
    return bool(segment.get("syncedAt")) and not segment.get("deletedAt")


@dataclass
class Segments:
    """The segments of a workspace, seen from one model whose rows are to change at ``now``."""

    rows: Mapping[str, Row]
    model: Model
    models: Iterable[Model]
    shape: Shape
    now: datetime
    watches: dict[str, Watch] = field(default_factory=dict)
    """Those that can be evaluated, each after those that it asks for."""
    _under_way: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._columns = watched_columns(self.model.row, self.shape)

    def watch(self, uuid: str) -> Watch:
        """Give a segment of the model as it can be evaluated."""
        if uuid not in self.watches:
            self._under_way.add(uuid)
            row = self.rows[uuid]
            truth = self._checked(row)
            keys = self._keys(row.get("sort") or [])
            tracked, reasons = self._tracked(row.get("trackingColumnSlugs") or [])
            self._under_way.discard(uuid)
            self.watches[uuid] = Watch(row, len(self.watches), truth, tracked, keys, (*truth.reasons, *reasons))
        return self.watches[uuid]

    def _checked(self, row: Row) -> Truth:
        """Give the truth of a segment's filter; of one that Cargo does not understand nothing is known."""
        try:
            check_filter(SegmentRead("the segment", row, self.shape), [model.row for model in self.models])
        except StopAndLook as problem:
            return unknown(str(problem))
        tree = row["filter"]
        return both([self._group(each) for each in tree["groups"]], tree["conjonction"])

    def _group(self, group: Mapping[str, Any]) -> Truth:
        return both([self._condition(each) for each in group["conditions"]], group["conjonction"])

    def _condition(self, condition: Mapping[str, Any]) -> Truth:
        kind = condition["kind"]
        if kind == "segment":
            return self._member(str(condition["segmentUuid"]), condition["operator"])
        if kind in CANNOT:
            # Whoever ran has run, whatever is written into the row.
            return unknown(CANNOT[kind], is_open=kind != "enrollment")
        if condition.get("relatedModelUuid") not in {None, self.model.uuid}:
            return unknown(CANNOT["occurrence"])
        column = self._columns.get(condition["columnSlug"])
        if column is None:
            return unknown(f"column {condition['columnSlug']!r} cannot be read")
        return self._column(condition, column)

    def _column(self, condition: Mapping[str, Any], column: WatchedColumn) -> Truth:
        cells = (column.before, column.after, "NULL::TIMESTAMPTZ" if column.type == "date" else "NULL::VARCHAR")
        tests = [column_test(condition, cell, column.type) for cell in cells]
        before, after, lost = (None if test is None else _decided(test) for test in tests)
        if before is None or after is None or lost is None:
            return unknown(f"what is asked of column {column.field!r} is not clear")
        columns = frozenset({column})
        match column.fate:
            case "kept":
                return Truth(before, after, frozenset({column.field}), columns=columns)
            case "doubtful":
                unsure = f"CASE WHEN NOT {_is_written(column)} OR {after} = {lost} THEN {after} END"
                reason = f"whether {column.field!r} keeps the date that is written is not known"
                return Truth(before, unsure, frozenset({column.field}), columns=columns, reasons=(reason,))
            case "made":
                known = f"CASE WHEN was OR {column.after} IS NOT NULL THEN {after} END"
                reason = f"{column.field!r} of new rows is not known yet"
                return Truth(before, known, columns=columns, reasons=(reason,))
            case "stamped" if all(moment is not None and moment < self.now for moment in moments(condition)):
                return Truth(before, after, open=True, columns=columns)
        unsure = f"CASE WHEN NOT touched THEN {before} END"
        reason = f"what becomes of {column.field!r} when a row is written is not known"
        return Truth(before, unsure, open=True, columns=columns, reasons=(reason,))

    def _member(self, uuid: str, operator: str) -> Truth:
        """Ask for the members of another segment, which are those that its filter gives."""
        row = self.rows.get(uuid)
        if row is None or row["modelUuid"] != self.model.uuid or not is_evaluated(row):
            return unknown("it asks for a segment that is not evaluated on this model")
        if uuid in self._under_way:
            return unknown("it asks for itself")
        other = self.watch(uuid)
        table, negation = member_table(other), "NOT " if operator == "notIn" else ""
        sides = [
            f"({negation}CASE WHEN {table}.key IS NULL THEN FALSE ELSE {table}.{side} END)"
            for side in ("before", "after")
        ]
        return Truth(sides[0], sides[1], members=frozenset({table}), reasons=other.reasons)

    def _keys(self, sort: list[Mapping[str, Any]]) -> tuple[SortKey, ...] | None:
        found = [(self._columns.get(str(key.get("columnSlug"))), key.get("kind")) for key in sort]
        keys = [
            SortKey(column, "DESC" if kind == "desc" else "ASC")
            for column, kind in found
            if column is not None and column.type in SORTABLE
        ]
        return tuple(keys) if len(keys) == len(found) else None

    def _tracked(self, slugs: list[str]) -> tuple[str, list[str]]:
        """Give the SQL of whether a column that a segment tracks changes in a row that is written."""
        tests, reasons = [], []
        for slug in slugs:
            column = self._columns.get(slug)
            match column.fate if column is not None else "derived":
                case "kept" if column is not None:
                    tests.append(_is_written(column))
                case "stamped":
                    tests.append("touched")
                case "doubtful" if column is not None:
                    tests.append(f"CASE WHEN NOT {_is_written(column)} THEN FALSE END")
                    reasons.append(f"it tracks {slug!r}, and whether that keeps the date that is written is not known")
                case "derived":
                    tests.append("CASE WHEN NOT touched THEN FALSE END")
                    reasons.append(f"it tracks {slug!r}, and what becomes of that when a row is written is not known")
        return joined([*tests], "or") or "FALSE", reasons


def both(parts: list[Truth], conjonction: str) -> Truth:
    """Join parts by a filter's own word; a filter without any takes every row."""
    if not parts:
        return EVERY_ROW
    return Truth(
        joined([part.before for part in parts], conjonction) or "TRUE",
        joined([part.after for part in parts], conjonction) or "TRUE",
        frozenset().union(*(part.inputs for part in parts)),
        any(part.open for part in parts),
        frozenset().union(*(part.columns for part in parts)),
        frozenset().union(*(part.members for part in parts)),
        tuple(dict.fromkeys(reason for part in parts for reason in part.reasons)),
    )


def unknown(reason: str, *, is_open: bool = True) -> Truth:
    """Give the truth of what cannot be evaluated."""
    return Truth("NULL::BOOLEAN", "NULL::BOOLEAN", open=is_open, reasons=(reason,))


def member_table(watch: Watch) -> str:
    """Name the table of those that are, or may be, in a segment before or after."""
    return f"radius_members_{watch.place}"


def _is_written(column: WatchedColumn) -> str:
    return f"list_contains(changed, {text(column.field)})"


def _decided(test: str) -> str:
    """Have a condition that a cell does not pass be false, as one on an empty cell is."""
    return f"coalesce({test}, FALSE)"
