"""The rows that are in a segment now, and those of one of its changes, typed as the rows of their model."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.columns import Column
from cargo_source.errors import IncompleteRead, LinkExpired, NotFound, PermissionDenied, RequestRefused
from cargo_source.pull.conform import UnusableExport
from cargo_source.pull.lanes import CSV, EXPORTS, PAGES, SNIFFED, Landing, answer_links, bring
from cargo_source.pull.listings import RECORD_KEY, Refused
from cargo_source.pull.pages import Page, Row, read_list
from cargo_source.pull.picked import NOTHING, Picked, kept
from cargo_source.pull.picking import Pick
from cargo_source.pull.record_pages import PAGE
from cargo_source.pull.records import sheet_of
from cargo_source.pull.segment_filters import META, Filters
from cargo_source.pull.session import Session
from cargo_source.pull.shapes import Shape
from cargo_source.pull.spool import Sheet

log = logging.getLogger("cargo_source")

CHANGE_COLUMNS = (
    Column("_kind", "_kind", "text", "what happened to the record: added, updated or removed", required=True),
    Column("_id", "_id", "text", "the record in its model", required=True),
    Column("_title", "_title", "text", "title of the record"),
    Column("_time", "_time", "timestamp", "the record's own time, where its model has one"),
)


@dataclass
class SegmentRead:
    """A segment to read: what it is called, its definition, and the shape of its model.

    ``refreshing`` is set where the workspace says that it was still writing.
    """

    label: str
    row: Row
    shape: Shape
    refreshing: bool = False

    @property
    def body(self) -> Row:
        """What picks its rows. In an order of its own, so that pages do not overlap."""
        sort = self.row.get("sort") or [{"columnSlug": "_id", "kind": "asc"}]
        body = {"modelUuid": self.row["modelUuid"], "filter": self.row["filter"], "sort": sort}
        return body if self.row.get("limit") is None else {**body, "limit": self.row["limit"]}


def check_filter(segment: SegmentRead, models: Iterable[Row]) -> None:
    """Raise StopAndLook where the segment's filter would give other rows than it says."""
    types = {str(model["uuid"]): types_of(model) for model in models}
    own = types.get(str(segment.row["modelUuid"]), {})
    Filters({**own, **_physical(segment.shape, own)}, types.get).check(segment.label, segment.row.get("filter"))


def types_of(model: Row) -> dict[str, str]:
    """Give the types of a model's columns, by slug and by the name that added ones have in rows."""
    found = dict(META)
    for column in [*(model.get("additionalColumns") or []), *(model.get("columns") or [])]:
        kind = column.get("kind") or "original"
        found[column["slug"]] = str(column.get("type"))
        if kind != "original":
            found[f"{kind}__{column['slug']}"] = str(column.get("type"))
    return found


def _physical(shape: Shape, types: dict[str, str]) -> dict[str, str]:
    """Add the names that added columns really have, where the warehouse calls them otherwise."""
    return {
        field: types[field.rpartition("__")[2]]
        for field in shape.fields
        if field not in types and field.rpartition("__")[2] in types
    }


def pick_segment(session: Session, segment: SegmentRead, pick: Pick) -> Picked:
    """Read the rows in a segment: by csv, or by pages where there is no export. Raises what such a read raises."""
    if pick.limit == 0:
        return kept(sheet_of(session, segment.shape).finish(), pick, NOTHING)
    if pick.limit is not None and pick.where is None:
        most = [limit for limit in (segment.row.get("limit"), pick.limit) if limit is not None]
        segment = replace(segment, row={**segment.row, "limit": min(most)})
    sheet = sheet_of(session, segment.shape)
    try:
        landing = _export(session, segment, sheet)
    except (PermissionDenied, NotFound, RequestRefused, UnusableExport) as error:
        log.warning("%s: no export (%s): reading pages instead", segment.label, getattr(error, "reason", None) or error)
        sheet = sheet_of(session, segment.shape)
        landing = _pages(session, segment, sheet)
    landing = replace(landing, refreshing=segment.refreshing)
    return kept(sheet.finish(), pick, landing, by_key=not segment.row.get("sort"))


def _export(session: Session, segment: SegmentRead, sheet: Sheet) -> Landing:
    """Have the segment exported; what came is held against the server's count where that is one of all rows."""
    before, got = _count(session, segment), 0
    for attempt in range(1, EXPORTS + 1):
        sheet.clear()
        try:
            links, ordered = _links(session, segment), bool(segment.row.get("sort"))
            got = sum(bring(session, link, segment.shape, sheet, *SNIFFED, ordered=ordered) for link in links)
        except LinkExpired:
            if attempt == EXPORTS:
                raise
            continue
        if sheet.make_unique() < got:
            raise UnusableExport("with some rows twice")
        after = _count(session, segment)
        # A count of 1 may be that of the page of one row that it came with.
        if before is None or after is None or max(before, after) <= 1 < got:
            return Landing(CSV)
        # Rows may have come or gone meanwhile.
        if min(before, after) <= got <= max(before, after):
            return Landing(CSV)
        before = after
    raise IncompleteRead(
        f"{segment.label}: the export gave {got} rows of {before}, {EXPORTS} times over", expected=before, got=got
    )


def _links(session: Session, segment: SegmentRead) -> list[str]:
    try:
        reply = session.client.post("segmentation/segments/download", segment.body, repeatable=True)
    except NotFound as error:
        if error.reason:
            raise
        # Published pages have the segment in the path.
        path = f"segmentation/segments/{segment.row['uuid']}/download"
        reply = session.client.post(path, segment.body, repeatable=True)
    return answer_links(reply.json())


def _count(session: Session, segment: SegmentRead) -> int | None:
    """Ask how many rows a segment has now."""
    count = _page(session, segment, 0, 1).count
    most = segment.row.get("limit")
    return count if count is None or most is None else min(count, int(most))


def _page(session: Session, segment: SegmentRead, offset: int, limit: int) -> Page:
    body = {**segment.body, "fetchingLimit": limit, "fetchingOffset": offset}
    reply = session.client.post("segmentation/segments/fetch", body, repeatable=True)
    count = reply.json().get("count")
    segment.refreshing |= bool(reply.json().get("isRefreshing"))
    return Page(reply.take("records"), count if isinstance(count, int) else None)


def _pages(session: Session, segment: SegmentRead, sheet: Sheet) -> Landing:
    def fetch(offset: int, limit: int) -> Page:
        return _page(session, segment, offset, limit)

    try:
        for page in read_list(fetch, PAGE, _identity(segment.shape), session.many, what=segment.label, confirm=True):
            sheet.add([_with_key(row, segment.shape) for row in page])
    except (PermissionDenied, NotFound) as error:
        raise Refused("segments", error) from error
    return Landing(PAGES)


def _with_key(row: Row, shape: Shape) -> Row:
    identity = row.get("_id", row.get(shape.id_slug))
    return row if identity is None or row.get("_id") == identity else {**row, "_id": str(identity)}


def _identity(shape: Shape) -> Callable[[Row], object]:
    return lambda row: row.get("_id", row.get(shape.id_slug))


def change_shape(shape: Shape) -> Shape:
    """Give the shape of a change's rows: what happened, then the columns of the model."""
    own = {column.field for column in CHANGE_COLUMNS}
    return replace(shape, columns=(*CHANGE_COLUMNS, *(column for column in shape.columns if column.field not in own)))


def pick_change(session: Session, uuid: str, shape: Shape, pick: Pick) -> Picked:
    """Read the rows of a change, which the server counts."""
    entity = ENTITIES["change_rows"]
    key = [column.name for column in shape.columns if column.field in RECORD_KEY]
    sheet = sheet_of(session, shape, key)
    pages: Iterator[list[dict[str, Any]]] = session.lists.rows(entity, entity.listed_by, {}, {"uuid": uuid})
    for page in pages:
        sheet.add(page)
    return kept(sheet.finish(), pick, Landing(PAGES))
