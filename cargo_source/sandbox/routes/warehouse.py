"""The warehouse behind the workspace: its query log, and the older calls that query it by its own table names.

These calls leave no trace in the log: it holds what the platform asks by itself, so that reading changes nothing.
"""

from __future__ import annotations

from typing import Any

import duckdb
import orjson
import pyarrow as pa

from cargo_source.sandbox.answers import Answer, Call, failed
from cargo_source.sandbox.exports import export_parts
from cargo_source.sandbox.listings import PAGE, PAGING, Listing, among, contains
from cargo_source.sandbox.operations import get, post
from cargo_source.sandbox.physical import translated_physical
from cargo_source.sandbox.routes.records import MOST_QUERY_ROWS
from cargo_source.sandbox.rows import read_rows, typed
from cargo_source.sandbox.shapes import Fields, integer, one_of, required, several, text
from cargo_source.sandbox.sql import QueryError, checked_names, warehouse_text

_TROUBLE = (QueryError, duckdb.Error, pa.ArrowException, orjson.JSONDecodeError)


def _checked(call: Call) -> str:
    query = translated_physical(call.params["query"], call.store.world)
    checked_names([name for name, _ in typed(call.store.world.db, query)])
    return query


def _query(call: Call) -> Answer:
    """Answer rows; a query that fails is answered with 200 all the same, and only `outcome` tells."""
    try:
        rows: list[dict[str, Any]] = read_rows(call.store.world.db, f"FROM ({_checked(call)}) LIMIT {MOST_QUERY_ROWS}")
    except _TROUBLE as error:
        return Answer({"outcome": "notQueried", "errorMessage": warehouse_text(error)})
    return Answer({"rows": rows}, "rows", len(rows))


def _fetch(call: Call) -> Answer:
    """Answer a page and how many rows there are; no outcome of a failure is documented here, so it is refused."""
    try:
        query = _checked(call)
        (count,) = call.store.world.db.execute(f"SELECT count(*) FROM ({query})").fetchone() or (0,)
        limit = min(call.params.get("limit", PAGE), PAGE)
        page = f"FROM ({query}) LIMIT {limit} OFFSET {call.params.get('offset', 0)}"
        records = read_rows(call.store.world.db, page)
    except _TROUBLE as error:
        raise failed(warehouse_text(error)) from error
    return Answer({"records": records, "count": count}, "records", len(records))


def _download(call: Call) -> Answer:
    try:
        return Answer({"urls": call.links(export_parts(call.store.world.db, _checked(call), "csv"), "csv")})
    except _TROUBLE as error:
        raise failed(warehouse_text(error)) from error


LOGS = Listing(
    "warehouse_queries",
    "logs",
    paged=True,
    tests={"statuses": among("status"), "query": contains("query")},
)

_QUERY: Fields = {"query": required(text())}
_LOGS: Fields = {**PAGING, "statuses": several(one_of("success", "error")), "query": text()}

OPERATIONS = (
    get("/systemOfRecordIntegration/logs/list", LOGS, _LOGS),
    post("/systemOfRecordIntegration/clients/query", _query, _QUERY),
    post("/systemOfRecordIntegration/clients/fetch", _fetch, {**_QUERY, "limit": integer(1), "offset": integer(0)}),
    post("/systemOfRecordIntegration/clients/download", _download, _QUERY),
)
