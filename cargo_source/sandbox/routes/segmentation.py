"""Segments, the rows that a filter picks, and the changes of segments."""

from __future__ import annotations

from typing import Any

import duckdb

from cargo_source.sandbox.answers import Answer, Call, Refusal, not_found
from cargo_source.sandbox.conditions import text_literal
from cargo_source.sandbox.exports import export_parts, text_part
from cargo_source.sandbox.filters import InvalidFilter, compile_filter, order_by, table_of
from cargo_source.sandbox.listings import PAGE, PAGING, Getting, Listing
from cargo_source.sandbox.operations import get, post
from cargo_source.sandbox.rows import read_rows
from cargo_source.sandbox.shapes import (
    Fields,
    boolean,
    integer,
    loose_object,
    one_of,
    required,
    several,
    structure,
    text,
    uuid,
)
from cargo_source.sandbox.sql import warehouse_text

KINDS = ("added", "updated", "removed", "unchanged")
CHANGE_META = {"_kind": "string", "_id": "string", "_title": "string", "_time": "date"}
CHANGE = Getting("changes", "change", "changeNotFound")

Wire = dict[str, Any]


def _model(call: Call) -> str:
    """Give the uuid of the model; these operations document no reason for one that is not there."""
    if call.params["modelUuid"] not in call.store.world.tables["models"]:
        raise Refusal(404, {"errorMessage": "model not found"})
    return str(call.params["modelUuid"])


def _picked(call: Call) -> str:
    """Give the SELECT of the rows that a filter picks, in order, cut to the asked membership."""
    world, model = call.store.world, _model(call)
    try:
        where = compile_filter(call.params["filter"], model, world)
    except InvalidFilter as error:
        raise Refusal(400, {"reason": "invalidFilter", "errorMessage": str(error)}) from error
    order = order_by(call.params.get("sort"), model, world) or " ORDER BY t._id"
    limit = f" LIMIT {call.params['limit']}" if "limit" in call.params else ""
    return f"SELECT t.* FROM {table_of(model, world)} AS t WHERE {where}{order}{limit}"


def _count(call: Call, query: str) -> int:
    """Count what a filter picks; only now is a `sql` clause really run, so only now can it fail."""
    try:
        row = call.store.world.db.execute(f"SELECT count(*) FROM ({query})").fetchone()
    except duckdb.Error as error:
        raise Refusal(400, {"reason": "invalidFilter", "errorMessage": warehouse_text(error)}) from error
    return int(row[0]) if row else 0


def _fetch(call: Call) -> Answer:
    query = _picked(call)
    count = _count(call, query)
    limit = min(call.params.get("fetchingLimit", PAGE), PAGE)
    page = f"FROM ({query}) LIMIT {limit} OFFSET {call.params.get('fetchingOffset', 0)}"
    records = read_rows(call.store.world.db, page)
    columns = _columns(call, call.params["modelUuid"])
    body = {"records": records, "count": count, "columns": columns, "isRefreshing": False}
    return Answer(body, "records", len(records))


def _download(call: Call) -> Answer:
    query = _picked(call)
    _count(call, query)
    return Answer({"urls": call.links(export_parts(call.store.world.db, query, "csv"), "csv")})


def _columns(call: Call, model_uuid: str) -> list[Wire]:
    labels = _labels(call.store.world.tables["models"][model_uuid])
    return [
        {"slug": each.name, "type": each.type, "label": labels.get(each.slug, each.slug), "modelUuid": model_uuid}
        for each in call.store.world.columns_of(model_uuid)
    ]


def _labels(model: Wire) -> dict[str, str]:
    return {column["slug"]: column["label"] for column in (*model["columns"], *model["additionalColumns"])}


def _by_id(call: Call) -> Answer:
    model = _model(call)
    ids = ", ".join(text_literal(each) for each in call.params["ids"]) or "NULL"
    table = table_of(model, call.store.world)
    rows = read_rows(call.store.world.db, f"SELECT t.* FROM {table} AS t WHERE t._id IN ({ids}) ORDER BY t._id")
    return Answer({"records": rows}, "records", len(rows))


def _change_rows(call: Call) -> tuple[Wire, list[Wire]]:
    change = CHANGE.found(call)
    segment = call.store.world.tables["segments"].get(change["segmentUuid"])
    if segment is None:
        raise not_found("segmentNotFound")
    rows = call.store.world.change_rows.get(change["uuid"], [])
    return segment, [row for row in rows if row["_kind"] in call.params["kinds"]]


def _change_columns(call: Call, model_uuid: str) -> list[Wire]:
    """Give the columns of change rows: four of their own, then those of the model."""
    meta = [{"slug": slug, "type": kind, "label": slug, "modelUuid": model_uuid} for slug, kind in CHANGE_META.items()]
    return meta + [each for each in _columns(call, model_uuid) if each["slug"] not in CHANGE_META]


def _fetch_change(call: Call) -> Answer:
    segment, rows = _change_rows(call)
    start = call.params.get("offset", 0)
    page = rows[start : start + min(call.params.get("limit", PAGE), PAGE)]
    body = {"records": page, "count": len(rows), "columns": _change_columns(call, segment["modelUuid"])}
    return Answer(body, "records", len(page))


def _download_change(call: Call) -> Answer:
    segment, rows = _change_rows(call)
    names = [column["slug"] for column in _change_columns(call, segment["modelUuid"])]
    return Answer({"urls": call.links([text_part(rows, names)], "csv")})


def _download_old(call: Call) -> Answer:
    """Serve the path of the published pages, which names a segment that has to exist."""
    if call.path["uuid"] not in call.store.world.tables["segments"]:
        raise Refusal(404, {"errorMessage": "segment not found"})
    return _download(call)


def _has_kind(change: Wire, kind: str) -> bool:
    return int(change[f"{kind}RecordsCount"]) > 0


def _not_empty(change: Wire, wanted: bool) -> bool:
    return any(_has_kind(change, kind) for kind in KINDS[:3]) == wanted


_SORT = several(structure({"columnSlug": required(text()), "kind": required(one_of("asc", "desc"))}))
_PICK: Fields = {
    "modelUuid": required(uuid()),
    "filter": required(loose_object()),
    "sort": _SORT,
    "limit": integer(1),
}
_FETCH: Fields = {
    **_PICK,
    "fetchingLimit": integer(1),
    "fetchingOffset": integer(0),
    "enrich": boolean(),
    "sync": boolean(),
}
_KINDS: Fields = {"kinds": required(several(one_of(*KINDS), least=1))}
_CHANGES: Fields = {
    **PAGING,
    "segmentUuid": required(uuid()),
    "notEmpty": boolean(),
    "hasRecords": one_of(*KINDS),
}
_RECORDS: Fields = {"modelUuid": required(uuid()), "ids": required(several(text())), "resetCache": boolean()}

OPERATIONS = (
    get("/segmentation/segments/list", Listing("segments", "segments"), {"modelUuid": uuid()}),
    get("/segmentation/segments/{uuid}", Getting("segments", "segment", "segmentNotFound")),
    post("/segmentation/segments/fetch", _fetch, _FETCH),
    post("/segmentation/segments/download", _download, _PICK),
    post("/segmentation/segments/{uuid}/download", _download_old, _PICK),
    get(
        "/segmentation/changes/list",
        Listing(
            "changes",
            "changes",
            paged=True,
            parent="segmentUuid",
            tests={"hasRecords": _has_kind, "notEmpty": _not_empty},
        ),
        _CHANGES,
    ),
    get("/segmentation/changes/{uuid}", CHANGE),
    post("/segmentation/changes/{uuid}/fetch", _fetch_change, {**_KINDS, **PAGING}),
    post("/segmentation/changes/{uuid}/download", _download_change, _KINDS),
    post("/segmentation/records/fetch", _by_id, _RECORDS),
)
