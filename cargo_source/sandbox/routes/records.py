"""The rows of models: pages, single rows, SQL, and exports of SQL."""

from __future__ import annotations

from typing import Any

import duckdb
import orjson
import pyarrow as pa

from cargo_source.sandbox.answers import Answer, Call, Refusal, failed, not_found
from cargo_source.sandbox.conditions import text_literal
from cargo_source.sandbox.exports import export_parts
from cargo_source.sandbox.filters import table_of
from cargo_source.sandbox.listings import CAPPED_PAGING, PAGE
from cargo_source.sandbox.operations import get, post
from cargo_source.sandbox.routes.storage import known_model
from cargo_source.sandbox.rows import read_rows, typed
from cargo_source.sandbox.shapes import LARGEST_INTEGER, boolean, integer, one_of, required, structure, text, uuid
from cargo_source.sandbox.sql import QueryError, checked_names, translated, warehouse_text

MOST_QUERY_ROWS = 10_000
"""How many rows `storage/query` gives at most; the real cap is not documented, and cuts without a word."""


def _list(call: Call) -> Answer:
    model = known_model(call.store, call.params["modelUuid"])
    sort = call.params.get("sort", {"columnSlug": "_id", "kind": "asc"})
    if sort["columnSlug"] not in {column.name for column in call.store.world.columns_of(model["uuid"])}:
        raise Refusal(400, {"reason": "failedToFetchRecords"})
    start = call.params.get("offset", 0)
    stop = start + call.params.get("limit", PAGE)
    order = (sort["columnSlug"], sort["kind"] == "desc")
    rows, count = call.store.pages.page(model["uuid"], order, start, stop)
    refreshing = b"true" if call.store.world.is_refreshing(model["uuid"]) else b"false"
    return Answer(b'{"records":[' + rows + b'],"isRefreshing":' + refreshing + b"}", "records", count)


def _get(call: Call) -> Answer:
    model = known_model(call.store, call.params["modelUuid"])
    chosen = f"t._id = {text_literal(call.params['id'])}"
    query = f"SELECT * FROM {table_of(model['uuid'], call.store.world)} AS t WHERE {chosen}"
    found = read_rows(call.store.world.db, query)
    if not found:
        raise not_found("recordNotFound")
    return Answer({"record": found[0], "isRefreshing": call.store.world.is_refreshing(model["uuid"])})


def _checked(call: Call) -> str:
    """Translate a query and let the store plan it, so that what cannot run is refused with a text."""
    try:
        query = translated(call.params["query"], call.store.world)
        checked_names([name for name, _ in typed(call.store.world.db, query)])
    except (QueryError, duckdb.Error) as error:
        raise failed(warehouse_text(error)) from error
    return query


def _query(call: Call) -> Answer:
    query = _checked(call)
    try:
        rows: list[dict[str, Any]] = read_rows(call.store.world.db, f"FROM ({query}) LIMIT {MOST_QUERY_ROWS}")
    except (duckdb.Error, orjson.JSONDecodeError) as error:
        raise failed(warehouse_text(error)) from error
    return Answer({"rows": rows, "isRefreshing": call.store.world.is_refreshing()}, "rows", len(rows))


def _download(call: Call) -> Answer:
    query = _checked(call)
    file_format = call.params.get("format", "csv")
    try:
        parts = export_parts(call.store.world.db, query, file_format)
        refreshing = call.store.world.is_refreshing()
        return Answer({"urls": call.links(parts, file_format), "isRefreshing": refreshing})
    except (duckdb.Error, pa.ArrowException) as error:
        raise failed(warehouse_text(error)) from error


_SORT = structure(
    {"kind": required(one_of("asc", "desc")), "columnSlug": required(one_of("_id", "_title", "_emitted_at"))}
)
_QUERY = {"query": required(text())}

OPERATIONS = (
    post(
        "/storage/records/list",
        _list,
        {
            **CAPPED_PAGING,
            "modelUuid": required(uuid()),
            "fromIngest": boolean(),
            "offset": integer(0, LARGEST_INTEGER),
            "sort": _SORT,
        },
    ),
    get("/storage/records/get", _get, {"modelUuid": required(uuid()), "id": required(text())}),
    post("/storage/query", _query, _QUERY),
    post("/storage/query/download", _download, {**_QUERY, "format": one_of("csv", "parquet")}),
)
