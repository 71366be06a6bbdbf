"""A tap made with the Singer SDK, into target-duckdb: two processes and a pipe, as Singer means it.

    python singer.py URL FOLDER

target-duckdb as shipped reads its own csv with a guess at a header, and loses the first row of each load by it. Here
it is told that there is none, since the contents of all contenders have to be equal.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from rows import COLUMNS
from served import MODEL_UUID

KINDS = {"STRING": "string", "INT64": "integer", "FLOAT64": "number", "BOOL": "boolean", "TIMESTAMP": "string"}


def _property(name: str, kind: str, physical: str) -> dict[str, Any]:
    if physical == "JSON":
        return {"type": ["object" if name == "address" else "array", "null"]}
    most = {"maximum": 2**63 - 1} if physical == "INT64" else {}
    return {"type": [KINDS[physical], "null"], **({"format": "date-time"} if kind == "date" else {}), **most}


SCHEMA = {"type": "object", "properties": {c.name: _property(c.name, c.type, c.physical) for c in COLUMNS}}


def tap(url: str) -> None:
    """Write the rows as Singer messages."""
    from singer_sdk import RESTStream, Tap

    class Companies(RESTStream[int]):
        name = "crm__companies"
        path = "/v1/storage/records/list"
        http_method = "POST"
        records_jsonpath = "$.records[*]"
        primary_keys = ("_id",)
        schema: ClassVar[dict[str, Any]] = SCHEMA
        url_base = url

        def prepare_request_payload(self, context: Any, next_page_token: int | None) -> dict[str, Any]:  # noqa: ARG002 - the SDK calls it so
            return {"modelUuid": MODEL_UUID, "limit": 100, "offset": next_page_token or 0}

        def get_new_paginator(self) -> Any:
            from singer_sdk.pagination import BaseOffsetPaginator

            class Full(BaseOffsetPaginator):
                def has_more(self, response: Any) -> bool:
                    return bool(response.json()["records"])

            return Full(0, 100)

    class Peer(Tap):
        name = "tap-peer"
        config_jsonschema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {}}

        def discover_streams(self) -> Iterable[Any]:
            return [Companies(self)]

    Peer(config={}).sync_all()


class _Told:
    """A connection that tells DuckDB that target-duckdb's csv files have no header."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def execute(self, query: str, *more: Any) -> Any:
        return self._db.execute(query.replace("WITH (new_line", "WITH (header false, new_line"), *more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def target(folder: str) -> None:
    """Load Singer messages."""
    import target_duckdb

    config = {"path": f"{folder}/warehouse.duckdb", "default_target_schema": "cargo"}
    target_duckdb.persist_lines(_Told(target_duckdb.duckdb_connect(config)), config, sys.stdin)


def main(url: str, folder: str) -> None:
    """Run both and wait for them."""
    script = str(Path(__file__).resolve())
    reading = subprocess.Popen([sys.executable, script, "tap", url], stdout=subprocess.PIPE)
    loading = subprocess.Popen([sys.executable, script, "target", folder], stdin=reading.stdout)
    if reading.stdout is not None:
        reading.stdout.close()
    if failed := [code for code in (reading.wait(), loading.wait()) if code]:
        sys.exit(failed[0])
    print(json.dumps({}))


if __name__ == "__main__":
    {"tap": tap, "target": target}[sys.argv[1]](sys.argv[2]) if sys.argv[1] in {"tap", "target"} else main(
        *sys.argv[1:]
    )
