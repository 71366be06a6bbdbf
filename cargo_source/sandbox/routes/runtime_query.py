"""SQL over what the workspace ran."""

from __future__ import annotations

from cargo_source.sandbox.answers import Answer, Call, failed
from cargo_source.sandbox.clickhouse import QueryRefused
from cargo_source.sandbox.operations import post
from cargo_source.sandbox.shapes import required, text


def _query(call: Call) -> Answer:
    try:
        rows = call.store.runtime.rows(call.params["query"], call.store.world.now)
    except QueryRefused as error:
        raise failed(str(error)) from error
    return Answer({"rows": rows}, "rows", len(rows))


OPERATIONS = (post("/orchestration/query", _query, {"query": required(text())}),)
