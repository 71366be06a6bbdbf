"""The lanes by which rows of a model come: parquet export by SQL, or pages of 100 in parallel. One schema for both."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cargo_source.api import CargoClient
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
from cargo_source.pull.session import Refused, Session
from cargo_source.pull.shapes import Shape
from cargo_source.pull.spool import Sheet
from cargo_source.pull.times import format_time

Row = dict[str, Any]

PAGE = 100
"""The most rows that records/list gives at once (documented)."""
RESTARTS = 3
"""How often a list that moves while it is paged is read anew."""

EXPORTS = 3
"""How often an export is asked for whose links expire before they are fetched. Keys are unique in a sheet, so what the
expired one brought already does no harm."""

EXPORT = "export"
PAGES = "pages"


@dataclass(frozen=True)
class Landing:
    """What came by a lane. ``refreshing`` says that the workspace was still writing, so that rows may be missing.

    ``proven`` says that as many rows came as there are, so that a row that did not come is gone.
    """

    lane: str
    refreshing: bool = False
    proven: bool = True


def export_rows(session: Session, shape: Shape, since: datetime | None, sheet: Sheet, selected: str = "*") -> Landing:
    """Have the workspace export the table as parquet and bring the files into the sheet's schema.

    See ``POST storage/query/download``. ``since`` limits the export to rows written since then, ``selected`` to some
    columns. The rows that came are
    held against a count of their own: an export that lacks a file would look like a smaller table. Raises
    IncompleteRead where they stay fewer, or more, than there are.
    """
    body = {"query": f"SELECT {selected} {_source(shape, since)}", "format": "parquet"}
    before = count_rows(session, shape, since)
    got = 0
    for attempt in range(1, EXPORTS + 1):
        # An export only reads, so asking again after a failure does no harm.
        answer = session.client.post("storage/query/download", body, repeatable=True).json()
        landing = Landing(EXPORT, refreshing=bool(answer.get("isRefreshing")), proven=before is not None)
        try:
            got = sum(_bring(session, link, shape, sheet) for link in answer_links(answer))
        except LinkExpired:
            if attempt == EXPORTS:
                raise
            continue
        if landing.refreshing or before is None or got == before:
            return landing
        # Rows may have come or gone meanwhile.
        after = count_rows(session, shape, since)
        if after is None or min(before, after) <= got <= max(before, after):
            return landing
        before = after
    raise IncompleteRead(
        f"{shape.table}: the export gave {got} rows of {before}, {EXPORTS} times over", expected=before, got=got
    )


def _bring(session: Session, link: str, shape: Shape, sheet: Sheet) -> int:
    raw = session.spool.new_file(".download")
    try:
        kind = session.client.download(link, raw).kind
        if kind == "empty":
            return 0
        if kind != "parquet":
            raise UnusableExport(f"as {kind}")
        chunk = conform(raw, session.spool.new_file(), shape, session.run_id, session.pseudonym)
        sheet.add_chunk(chunk)
        return chunk.rows
    finally:
        raw.unlink(missing_ok=True)


def count_rows(session: Session, shape: Shape, since: datetime | None = None) -> int | None:
    """Count the rows of a model by SQL; None where the workspace cannot."""
    if not shape.stored:
        return 0
    if not session.can_export:
        return None
    query = f"SELECT count(*) AS n {_source(shape, since)}"
    try:
        rows = session.client.post("storage/query", {"query": query}, repeatable=True).take("rows")
    except (PermissionDenied, NotFound, RequestRefused, ServerFailed) as error:
        session.can_export = not has_no_sql(error)
        return None
    # Warehouses differ in the case of an alias.
    return int(next(iter(rows[0].values()))) if rows else None


def has_no_sql(error: CargoError) -> bool:
    """Say whether a refusal means that this workspace, or this token, has no SQL for any model."""
    return isinstance(error, PermissionDenied) or error.reason == "clientNotFound"


def _source(shape: Shape, since: datetime | None) -> str:
    """Write FROM and WHERE of an export: plain ANSI, so that any warehouse takes it."""
    if since is None:
        return f"FROM {shape.reference}"
    emitted = next(column for column in shape.columns if column.field == "_emitted_at")
    moment = format_time(since)
    if emitted.type != "text":
        moment = moment.replace("T", " ").replace("Z", "+00:00")
    kind = "" if emitted.type == "text" else "TIMESTAMP "
    return f"FROM {shape.reference} WHERE _emitted_at >= {kind}'{moment}'"


def answer_links(answer: Row) -> list[str]:
    """Give the links of an export's answer; sources disagree on ``urls`` and ``url``."""
    if isinstance(answer.get("urls"), list):
        return [str(link) for link in answer["urls"]]
    if isinstance(answer.get("url"), str):
        return [answer["url"]]
    raise UnexpectedShape("an export answered without links (neither 'urls' nor 'url')")


Fan = Callable[[Callable[[int], list[Row]], Sequence[int]], Iterator[list[Row]]]


def page_rows(client: CargoClient, shape: Shape, sheet: Sheet, fan: Fan, width: int) -> Landing:
    """Read the whole table by pages sorted by ``_id``, several in flight; neighbours overlap by one row.

    See ``POST storage/records/list``. The overlap shows when rows came or went while paging; then the list is read
    anew. Keys are unique in a sheet, so rows of a reading that was given up are replaced. Raises IncompleteRead when
    the list does not hold still, Refused when its first page is refused.
    """
    pager = RecordPages(client, shape)
    for _ in range(RESTARTS):
        try:
            still = _one_reading(pager, sheet, fan, width)
        except (PermissionDenied, NotFound) as error:
            if pager.answered:
                raise
            raise Refused("records", error) from error
        if still:
            return Landing(PAGES, refreshing=pager.refreshing)
    raise IncompleteRead(f"{shape.table}: rows moved while they were paged, {RESTARTS} times over")


class RecordPages:
    """Pages of ``storage/records/list`` for one model."""

    def __init__(self, client: CargoClient, shape: Shape) -> None:
        self._client, self._shape = client, shape
        self.refreshing = self.answered = False

    def at(self, offset: int) -> list[Row]:
        """Give the 100 rows from ``offset``, fewer only at the end, however short the server's pages are."""
        rows: list[Row] = []
        while len(rows) < PAGE:
            page = self._page(offset + len(rows), PAGE - len(rows))
            if not page:
                break
            rows += page
        return rows

    def _page(self, offset: int, limit: int) -> list[Row]:
        body = {
            "modelUuid": self._shape.uuid,
            "limit": limit,
            "offset": offset,
            "sort": {"columnSlug": "_id", "kind": "asc"},
        }
        reply = self._client.post("storage/records/list", body, repeatable=True)
        rows: list[Row] = reply.take("records")
        self.answered = True
        self.refreshing |= bool(reply.json().get("isRefreshing"))
        for row in rows:
            if row.get("_id") is None:
                identity = row.get(self._shape.id_slug)
                row["_id"] = identity if identity is None or isinstance(identity, str) else str(identity)
        return rows


def _one_reading(pager: RecordPages, sheet: Sheet, fan: Fan, width: int) -> bool:
    """Read the list once; False when it moved meanwhile."""
    stride = PAGE - 1
    last: object = None
    offset = 0
    wave = 1
    while True:
        offsets = range(offset, offset + wave * stride, stride)
        for start, rows in zip(offsets, fan(pager.at, offsets), strict=True):
            if start and (not rows or rows[0]["_id"] != last):
                # The page before was full, so this one begins with its last row, unless the list moved.
                return False
            sheet.add(rows if start == 0 else rows[1:])
            if len(rows) < PAGE:
                return True
            last = rows[-1]["_id"]
        offset = offsets[-1] + stride
        wave = width
