"""The lane of ``orchestration/query``: runs and spans by SQL, ten thousand at a time where lists give a hundred.

Only a few of its columns are confirmed, its newest minutes may be missing, and 10,000 rows mean that it was cut. So it
is used where it gives every column of the entity, where one of its rows equals the one that the list gives, where it
is cheaper than the list, and every window is held against a count of its own.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from cargo_source.catalog.columns import Column, snake_case
from cargo_source.catalog.entity import Entity, Window
from cargo_source.errors import (
    IncompleteRead,
    NetworkFailed,
    NotFound,
    PermissionDenied,
    RequestRefused,
    ServerFailed,
    UnexpectedShape,
)
from cargo_source.pull.evidence import COUNTED, Proof
from cargo_source.pull.landing import Landing
from cargo_source.pull.pages import Row
from cargo_source.pull.session import ReadEntity, Session
from cargo_source.pull.times import Span, format_time, parse_time, time_at
from cargo_source.pull.typed import arrow_table

log = logging.getLogger("cargo_source")

LANE = "query"
REFUSALS = (PermissionDenied, NotFound, RequestRefused, ServerFailed, UnexpectedShape)
"""What says that rows do not come this way."""
CAP = 10_000
"""Rows of one answer (documented). As many as that mean that there are more."""
SHORTEST = timedelta(seconds=1)
TRIES = 3
"""How often a window whose rows do not match its count is read again."""
LAG = timedelta(days=1)
"""How old rows are that this lane has for sure; how far its newest ones lag behind is not documented."""
ASK_AGAIN = timedelta(hours=20)
"""How long what was found out about this lane is believed."""


@dataclass(frozen=True)
class Sample:
    """How to read one finished row of an entity by SQL, and the same row by the list.

    ``moved`` is the SQL of when a row last moved: where the list can filter on less, SQL finds late rows all the same.
    """

    moved: str
    finished: str
    needed: tuple[str, ...]
    again: Callable[[Session, Row], list[Row]]


def _run(session: Session, row: Row) -> list[Row]:
    return [session.client.get(f"orchestration/runs/{row['uuid']}").take("run")]


def _spans(session: Session, row: Row) -> list[Row]:
    after = format_time(parse_time(row["executionStartedAt"]) - timedelta(seconds=1))
    body = {"runUuid": row["runUuid"], "executionStartedAfter": after, "limit": 100}
    found: list[Row] = session.client.post("orchestration/spans/list", body, repeatable=True).take("spans")
    return [span for span in found if span.get("executionIndex") == row["executionIndex"]]


SAMPLES = {
    "runs": Sample("updated_at", "finished_at", ("uuid",), _run),
    "spans": Sample(
        "coalesce(execution_updated_at, execution_started_at)",
        "execution_finished_at",
        ("runUuid", "executionStartedAt"),
        _spans,
    ),
}
"""The entities that this lane can give. Traces have no table there, and how they degrade is not documented."""


def take_queried(
    session: Session, entity: Entity, window: Window, span: Span, landing: Landing, read: ReadEntity
) -> bool:
    """Read the window by SQL into ``landing``; False where the lane cannot be used, or the list is cheaper."""
    # What this lane may not have had yet is found by lists, once a day.
    if entity.table not in SAMPLES or not session.options.query_lane or _by_lists(session, span):
        return False
    try:
        if not _usable(session, entity):
            return False
        lane = _Lane(session, entity, span)
        days = lane.days()
        listed = sum(days.values()) // 100 + 1
        if window.per:
            # The list has to be asked once for each parent at least.
            listed += len(read(session, window.per, span).rows)
        if lane.requests(days) > listed:
            return False
        landing.take(lane.rows(days))
        session.shown(entity.table).add(Proof(COUNTED, expected=lane.counted, got=lane.got))
    except (*REFUSALS, IncompleteRead) as error:
        # Rows that have landed do no harm: keys are unique, and the list's come last.
        log.warning("%s: no rows by query (%s): reading lists instead", entity.table, type(error).__name__)
        _remember(session, entity, usable=False)
        return False
    session.lanes[entity.table] = LANE
    _remember(session, entity, used=True)
    return True


def _by_lists(session: Session, span: Span) -> bool:
    if span.bounded:
        # No sweep will come after a window, so it is read by lists while rows may be missing in SQL.
        return span.end > session.now - LAG
    return span.sweep and span.start is not None


def swept_by_lists(session: Session, entity: Entity, span: Span) -> Span:
    """Give the span that lists have to read at a sweep: all that queries gave since the last one may lack rows.

    How far its newest rows lag behind is not documented, so the span begins a day (LAG) before.
    """
    known = session.state.get("query_lane", {}).get(entity.table, {})
    # Also where the lane has failed since: what it gave before may still lack rows.
    if not (span.sweep and span.start and known.get("used")) or span.bounded:
        return span
    return replace(span, start=min(span.start, span.swept or span.start) - LAG)


class _Lane:
    """One window of one entity."""

    def __init__(self, session: Session, entity: Entity, span: Span) -> None:
        self._session, self._entity = session, entity
        self._cursor = snake_case(entity.cursor) if span.bounded else SAMPLES[entity.table].moved
        self._low = parse_time(span.after) if span.after else session.since - SHORTEST
        self._high = parse_time(span.before)
        self.counted = self.got = 0

    def days(self) -> dict[date, int]:
        """Count the rows of each day of the window."""
        day = f"CAST({self._cursor} AS DATE)"
        found = self._ask(f"{day} AS day, count(*) AS n", self._low, self._high, more=f" GROUP BY {day}")
        return {date.fromisoformat(str(row["day"])[:10]): int(row["n"]) for row in found}

    def requests(self, days: dict[date, int]) -> int:
        """Estimate what the rows will cost."""
        return len(list(_groups(days))) + 2 * sum(rows // CAP for rows in days.values())

    def rows(self, days: dict[date, int]) -> Iterator[list[Row]]:
        """Give the rows, as many as were counted or more."""
        for first, last, count in _groups(days):
            low, high = max(self._low, _midnight(first)), min(self._high, _midnight(last) + timedelta(days=1))
            yield from self._slice(low, high, count)

    def _slice(self, low: datetime, high: datetime, count: int) -> Iterator[list[Row]]:
        if count >= CAP:
            middle = low + (high - low) / 2
            if high - low <= SHORTEST:
                raise IncompleteRead(
                    f"{self._entity.table}: {count} rows within a second, more than a query gives", expected=count
                )
            for start, end in ((low, middle), (middle, high)):
                yield from self._slice(start, end, self._count(start, end))
            return
        for _ in range(TRIES):
            found = self._ask(", ".join(_names(self._entity)), low, high)
            rows = [_row(row, self._entity) for row in found]
            distinct = len({tuple(row[name] for name in self._entity.key_fields) for row in rows})
            if distinct < len(rows) and distinct < count:
                # A row that came twice may stand for one that did not, or the table itself may have it twice.
                count = self._count(
                    low, high, f"count(DISTINCT ({', '.join(map(snake_case, self._entity.key_fields))}))"
                )
            if count <= distinct and len(found) < CAP:
                self.counted, self.got = self.counted + count, self.got + distinct
                yield rows
                return
            # Rows move on while they are read: one that moved again belongs to a later slice.
            count = self._count(low, high)
            if count >= CAP:
                yield from self._slice(low, high, count)
                return
        raise IncompleteRead(
            f"{self._entity.table}: the query counts {count} rows and gave {len(found)}",
            expected=count,
            got=len(found),
        )

    def _count(self, low: datetime, high: datetime, what: str = "count(*)") -> int:
        return int(self._ask(f"{what} AS n", low, high)[0]["n"])

    def _ask(self, what: str, low: datetime, high: datetime, *, more: str = "") -> list[Row]:
        where = f"{self._cursor} >= '{_stamp(low)}' AND {self._cursor} < '{_stamp(high)}'"
        return ask(self._session, f"SELECT {what} FROM {self._entity.table} WHERE {where}{more}")  # noqa: S608 - names of the catalogue, and times


def _groups(days: dict[date, int]) -> Iterator[tuple[date, date, int]]:
    """Put days together while their rows fit into one answer."""
    first: date | None = None
    last, count = date.min, 0
    for day in sorted(days):
        if first is not None and count + days[day] >= CAP:
            yield first, last, count
            first, count = None, 0
        first = first or day
        last, count = day, count + days[day]
    if first is not None:
        yield first, last, count


def _midnight(day: date) -> datetime:
    return parse_time(day.isoformat())


def _stamp(moment: datetime) -> str:
    """Write a time as ClickHouse does: in UTC, without a zone."""
    return format_time(moment).replace("T", " ").removesuffix("Z")


def ask(session: Session, query: str, *, patient: bool = True) -> list[Row]:
    """Ask a query. It only reads, so it may be asked again where a failure is not itself the answer."""
    rows: list[Row] = session.client.post("orchestration/query", {"query": query}, repeatable=patient).take("rows")
    return rows


def _names(entity: Entity) -> list[str]:
    return [snake_case(column.field) for column in entity.columns]


def _row(row: Row, entity: Entity) -> Row:
    return {column.field: _value(row.get(snake_case(column.field)), column) for column in entity.columns}


def _value(value: Any, column: Column) -> Any:
    """Undo what SQL does to a value: nested ones come as text, whole numbers too, booleans as 0 and 1."""
    match column.type, value:
        case "json", str():
            try:
                return msgspec.json.decode(value)
            except msgspec.DecodeError:
                return value
        case "integer", str() if value.lstrip("-").isdigit():
            return int(value)
        case "boolean", 0 | 1:
            return bool(value)
        case "timestamp", str():
            moment = time_at({"at": value}, "at")
            return value if moment is None else format_time(moment)
    return value


def _usable(session: Session, entity: Entity) -> bool:
    """Say whether the lane gives all of the entity's columns, and a row as the list gives it; found out once a day."""
    return bool(session.once(("query lane", entity.table), lambda: _found_out(session, entity)))


def _found_out(session: Session, entity: Entity) -> bool:
    kept = session.state.setdefault("query_lane", {})
    known = kept.get(entity.table)
    if known and session.now - parse_time(known["at"]) < ASK_AGAIN:
        return bool(known["usable"])
    usable = is_as_listed(session, entity)
    _remember(session, entity, usable=usable)
    return usable


def _remember(session: Session, entity: Entity, **facts: bool) -> None:
    """Keep whether the lane can be used (``usable``), and that it was (``used``)."""
    kept = session.state.setdefault("query_lane", {}).setdefault(entity.table, {})
    kept.update(facts)
    if "usable" in facts:
        kept["at"] = format_time(session.now)


def is_as_listed(session: Session, entity: Entity) -> bool:
    """Say whether a finished row comes by SQL as the list gives it, with every column."""
    sample = SAMPLES[entity.table]
    names = ", ".join(_names(entity))
    try:
        query = f"SELECT {names} FROM {entity.table} WHERE {sample.finished} IS NOT NULL LIMIT 1"  # noqa: S608 - names of the catalogue
        found = _sampled(session, query)
        rows = [row for row in (_row(row, entity) for row in found) if all(row[name] for name in sample.needed)]
        return bool(rows) and _typed(rows, entity) == _typed(sample.again(session, rows[0]), entity)
    except REFUSALS as error:
        log.info("%s: no lane by query (%s)", entity.table, error.reason or error.status)
        return False


def _sampled(session: Session, query: str) -> list[Row]:
    """Ask once: a refusal is the answer, and a broken connection is none."""
    try:
        return ask(session, query, patient=False)
    except NetworkFailed:
        return ask(session, query)


def _typed(rows: list[Row], entity: Entity) -> list[dict[str, Any]]:
    table = arrow_table(rows, entity.columns, known=entity.fields, run_id="", dropped=entity.dropped)
    found: list[dict[str, Any]] = table.to_pylist()
    return [{name: _opened(value) for name, value in row.items()} for row in found]


def _opened(value: Any) -> Any:
    """Open JSON, so that the order of keys does not matter, nor whether a null is written."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return _without_nulls(msgspec.json.decode(value))
        except msgspec.DecodeError:
            return value
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
