"""The lanes by which rows of a model come: parquet export by SQL, csv export, or pages. One schema for all."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cargo_source.errors import (
    CargoError,
    IncompleteRead,
    LinkExpired,
    NotFound,
    PermissionDenied,
    RequestRefused,
    ServerFailed,
    UnexpectedShape,
)
from cargo_source.pull.conform import UnusableExport, conform
from cargo_source.pull.csv_export import read_csv
from cargo_source.pull.decoding import Decoder
from cargo_source.pull.evidence import COUNTED, ENDS, REFRESHING, SORTED, UNCOUNTED, Proof
from cargo_source.pull.manifest import Progress
from cargo_source.pull.record_pages import Reading, RecordPages, read_pages
from cargo_source.pull.session import Session
from cargo_source.pull.shapes import Shape
from cargo_source.pull.spool import Sheet
from cargo_source.pull.times import format_time
from cargo_source.settings import Secret

Row = dict[str, Any]

EXPORTS = 3
"""How often an export is asked for whose links expire before they are fetched, or that is not whole."""

EXPORT, CSV, PAGES = LANES = ("export", "csv", "pages")
"""The lanes, best first: parquet by SQL, csv of a segment that all rows are in, pages of 100."""

SNIFFED = ("parquet", "csv", "gzip")
"""What the file of an export may be where its format is not documented."""

MATCH_ALL = {"conjonction": "and", "groups": []}
"""The filter that every row passes; the spelling is the API's."""


@dataclass(frozen=True)
class Part:
    """The part of a table that is wanted, in the warehouse's SQL. Pages know no parts: they may only stop early.

    ``since`` wants rows written since then; with ``until``, those written before that as well, and those that do not
    say when. With ``limit`` come the first by ``order``. ``enough`` takes the rows of a page and says whether no more
    are wanted.
    """

    since: datetime | None = None
    until: datetime | None = None
    columns: str = "*"
    where: str | None = None
    limit: int | None = None
    order: str = "_id"
    enough: Callable[[list[Any]], bool] | None = None


WHOLE = Part()

Take = Callable[[list[str], int | None], tuple[int, int]]
"""Takes the files of an export: see :func:`counted_export`."""


@dataclass(frozen=True)
class Way:
    """Where the rows of a model go, how far they have come, how pages of them are read, and which of them come."""

    sheet: Sheet
    progress: Progress
    decoder: Decoder
    part: Part = WHOLE


@dataclass(frozen=True)
class Landing:
    """What came by a lane. ``refreshing`` says that the workspace was still writing, so that rows may be missing.

    ``expected`` rows were counted, where the workspace counts, and ``got`` came; else ``ground`` is what shows that
    these are all.
    """

    lane: str
    refreshing: bool = False
    expected: int | None = None
    got: int | None = None
    ground: str = ""

    @property
    def proof(self) -> Proof:
        """What shows that these are all rows."""
        if self.refreshing:
            return Proof(doubt=REFRESHING)
        if self.ground:
            return Proof(self.ground)
        if self.expected is None:
            return Proof(doubt=UNCOUNTED)
        return Proof(COUNTED, expected=self.expected, got=self.got)

    @property
    def proven(self) -> bool:
        """Whether something shows that these are all rows, so that one that did not come is gone."""
        return not self.proof.doubt


def export_rows(session: Session, shape: Shape, sheet: Sheet, part: Part) -> Landing:
    """Have the workspace export the table as parquet and bring the files into the sheet's schema.

    See ``POST storage/query/download``. The rows that came are held against a count of their own: an export that lacks
    a file would look like a smaller table, and one that has a file twice like a whole one. Raises IncompleteRead where
    they stay fewer, or more, than there are.
    """

    def take(links: list[str], total: int | None) -> tuple[int, int]:
        sheet.clear()
        got = 0
        for link in links:
            got += bring(session, link, shape, sheet, "parquet", ordered=part.limit is not None)
            session.told(shape.table, got, total)
        return got, sheet.make_unique()

    return counted_export(session, shape, part, take)


def counted_export(session: Session, shape: Shape, part: Part, take: Take) -> Landing:
    """Have the workspace export the table as parquet, and hold the rows that came against a count of their own.

    ``take`` is given the links of the files and how many rows were counted. It gives how many rows the files hold, and
    how many of them with keys of their own.
    Raises IncompleteRead as :func:`export_rows`.
    """
    first = "" if part.limit is None else f" ORDER BY {part.order} LIMIT {part.limit}"
    body = {"query": f"SELECT {part.columns} {_source(shape, part)}{first}", "format": "parquet"}
    before = count_rows(session, shape, part)
    got = 0
    for attempt in range(1, EXPORTS + 1):
        # An export only reads, so asking again after a failure does no harm.
        answer = session.client.post("storage/query/download", body, repeatable=True).json()
        landing = Landing(EXPORT, refreshing=bool(answer.get("isRefreshing")))
        try:
            got, distinct = take(answer_links(answer), before)
        except LinkExpired:
            if attempt == EXPORTS:
                raise
            continue
        if distinct < got:
            # Where the table itself has rows of one identifier, these are all the same.
            got, before = distinct, count_rows(session, shape, part, f"count(DISTINCT {shape.id_name})")
        if landing.refreshing or before is None or got == before:
            return replace(landing, expected=before, got=got)
        # Rows may have come or gone meanwhile.
        after = count_rows(session, shape, part)
        if after is None or min(before, after) <= got <= max(before, after):
            return replace(landing, expected=after, got=got)
        before = after
    raise IncompleteRead(
        f"{shape.table}: the export gave {got} rows of {before}, {EXPORTS} times over", expected=before, got=got
    )


def bring(
    session: Session, link: str | Secret, shape: Shape, sheet: Sheet, *formats: str, ordered: bool = False
) -> int:
    """Bring the file of an export into the sheet and count its rows; it has to be of one of ``formats``.

    ``ordered`` says that its rows are to stay in their order, for whoever takes the first ones.
    """
    raw = session.spool.new_file(".download")
    try:
        kind = session.client.download(link, raw).kind
        if kind == "empty":
            return 0
        if kind not in formats:
            raise UnusableExport(f"as {kind}")
        read = conform if kind == "parquet" else read_csv
        chunk = read(raw, session.spool, shape, session.run_id, session.pseudonym, ordered=ordered)
        sheet.add_chunk(chunk)
        return chunk.rows
    finally:
        raw.unlink(missing_ok=True)


def count_rows(session: Session, shape: Shape, part: Part = WHOLE, what: str = "count(*)") -> int | None:
    """Count the rows of a model, or of a part of it, by SQL; None where the workspace cannot."""
    if not shape.stored:
        return 0
    if not session.can_export:
        return None
    query = f"SELECT {what} AS n {_source(shape, part)}"
    try:
        rows = session.client.post("storage/query", {"query": query}, repeatable=True).take("rows")
    except (PermissionDenied, NotFound, RequestRefused, ServerFailed) as error:
        session.can_export = not has_no_sql(error)
        return None
    # Warehouses differ in the case of an alias.
    counted = int(next(iter(rows[0].values()))) if rows else None
    return counted if counted is None or part.limit is None else min(counted, part.limit)


def is_refreshing(session: Session, shape: Shape, lane: str) -> bool:
    """Ask for next to nothing, to see whether the workspace is still writing what a lane reads; else the lane tells."""
    path, body = "storage/query", Row(query=f"SELECT count(*) AS n {_source(shape, WHOLE)}")
    if lane != EXPORT:
        path, body = "storage/records/list", {"modelUuid": shape.uuid, "limit": 1, "offset": 0}
    try:
        return bool(session.client.post(path, body, repeatable=True).json().get("isRefreshing"))
    except (PermissionDenied, NotFound, RequestRefused, ServerFailed):
        return False


def has_no_sql(error: CargoError) -> bool:
    """Say whether a refusal means that this workspace, or this token, has no SQL for any model."""
    return isinstance(error, PermissionDenied) or error.reason == "clientNotFound"


def _source(shape: Shape, part: Part) -> str:
    """Write FROM and WHERE of an export: plain ANSI, so that any warehouse takes it."""
    tests = [test for test in (_written(shape, part), part.where) if test]
    return f"FROM {shape.reference}" + (f" WHERE {' AND '.join(tests)}" if tests else "")


def _written(shape: Shape, part: Part) -> str | None:
    if part.since is None:
        return None
    emitted = next(column for column in shape.columns if column.field == "_emitted_at")
    low = f"_emitted_at >= {_moment(part.since, emitted.type)}"
    if part.until is None:
        return low
    # Rows that do not say when they were written belong to every window.
    return f"(({low} AND _emitted_at < {_moment(part.until, emitted.type)}) OR _emitted_at IS NULL)"


def _moment(moment: datetime, kind: str) -> str:
    text = format_time(moment)
    if kind == "text":
        return f"'{text}'"
    return "TIMESTAMP '" + text.replace("T", " ").replace("Z", "+00:00") + "'"


def answer_links(answer: Row) -> list[str]:
    """Give the links of an export's answer; sources disagree on ``urls`` and ``url``."""
    if isinstance(answer.get("urls"), list):
        return [str(link) for link in answer["urls"]]
    if isinstance(answer.get("url"), str):
        return [answer["url"]]
    raise UnexpectedShape("an export answered without links (neither 'urls' nor 'url')")


def download_rows(session: Session, shape: Shape, sheet: Sheet, pages: RecordPages) -> Landing:
    """Have the workspace export the table as csv and bring the files into the sheet's schema.

    See ``POST segmentation/segments/download``, with a filter that all rows pass. How many rows there are is held
    against the pages of the same table: there is one at the last place, and none behind it. Raises IncompleteRead
    where that stays untrue.
    """
    body = {"modelUuid": shape.uuid, "filter": MATCH_ALL}
    got = 0
    for attempt in range(1, EXPORTS + 1):
        sheet.clear()
        answer = session.client.post("segmentation/segments/download", body, repeatable=True).json()
        try:
            got = 0
            for link in answer_links(answer):
                got += bring(session, link, shape, sheet, *SNIFFED)
                session.told(shape.table, got, None)
        except LinkExpired:
            if attempt == EXPORTS:
                raise
            continue
        if sheet.make_unique() < got:
            # A file that came twice, or rows of one identifier: pages tell the two apart.
            raise UnusableExport("with some rows twice")
        if _ends_at(pages, got) or pages.refreshing:
            return Landing(CSV, refreshing=pages.refreshing, got=got, ground=ENDS)
    raise IncompleteRead(
        f"{shape.table}: the export gave {got} rows, and there are others, {EXPORTS} times over", got=got
    )


def _ends_at(pages: RecordPages, rows: int) -> bool:
    return not pages.holds(rows) and (rows == 0 or pages.holds(rows - 1))


def page_rows(session: Session, shape: Shape, way: Way, pages: RecordPages) -> Landing:
    """Read the whole table by pages: see :mod:`cargo_source.pull.record_pages`."""

    def told(rows: int) -> None:
        # Nothing says how many there are.
        session.told(shape.table, rows, None)

    read_pages(pages, Reading(shape, way.sheet, way.progress, way.part.enough, told), session.many)
    return Landing(PAGES, refreshing=pages.refreshing, ground=SORTED)
