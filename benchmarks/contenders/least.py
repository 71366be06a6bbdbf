"""The least that a dlt source can take which fetches pages by an ordinary HTTP client: nothing is checked or kept.

    python least.py URL FOLDER httpx|pycurl ROWS

One request after another, the bytes as they come to DuckDB, its file to dlt unread. Whoever uses dlt and that client
and is much quicker than this does not use them.
"""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from limit import TYPES
from raw import PAGE
from rows import COLUMNS
from served import MODEL_UUID

DLT_TYPES = {"STRING": "text", "INT64": "bigint", "FLOAT64": "double", "BOOL": "bool", "TIMESTAMP": "timestamp"}
MISSING = 77
Post = Callable[[str, dict[str, Any]], bytes]


def main(url: str, folder: str, client: str, rows: str) -> None:
    """Load."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}
    import dlt

    where, post = Path(folder), {"httpx": by_httpx, "pycurl": by_pycurl}[client]()

    def pages() -> Iterator[Any]:
        spool, found = where / "pages.ndjson", where / "pages.parquet"
        with spool.open("wb") as out:
            for offset in range(0, int(rows), PAGE):
                page = post(
                    f"{url}/v1/storage/records/list", {"modelUuid": MODEL_UUID, "limit": PAGE, "offset": offset}
                )
                inside = page[page.index(b"[") + 1 : page.rindex(b"]")]
                out.write(inside.replace(b"},\n{", b"}\n{") + b"\n")
        as_parquet(spool, found)
        yield dlt.mark.with_file_import(str(found), "parquet", int(rows))

    columns = {column.name: {"data_type": DLT_TYPES.get(column.physical, "json")} for column in COLUMNS}
    table = dlt.resource(pages, name="crm__companies", columns=columns, write_disposition="replace")
    destination = dlt.destinations.duckdb(str(where / "warehouse.duckdb"))
    pipeline = dlt.pipeline("least", destination=destination, dataset_name="cargo", pipelines_dir=f"{folder}/state")
    pipeline.run(table())


def as_parquet(spool: Path, found: Path) -> None:
    """Have DuckDB make a file of typed columns."""
    import duckdb

    kinds = {column.name: TYPES.get(column.physical, "VARCHAR") for column in COLUMNS}
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        rows = f"read_json('{spool}', format = 'newline_delimited', columns = {kinds})"
        db.execute(f"COPY (FROM {rows}) TO '{found}' (FORMAT parquet)")


def by_httpx() -> Post:
    """Post by httpx, as it comes."""
    import httpx

    client = httpx.Client()
    return lambda url, body: client.post(url, json=body).content


def by_pycurl() -> Post:
    """Post by libcurl."""
    try:
        import pycurl
    except ImportError:
        print("pycurl is not installed", file=sys.stderr)
        sys.exit(MISSING)

    curl = pycurl.Curl()
    curl.setopt(pycurl.HTTPHEADER, ["content-type: application/json"])

    def post(url: str, body: dict[str, Any]) -> bytes:
        answer = io.BytesIO()
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.POSTFIELDS, json.dumps(body))
        curl.setopt(pycurl.WRITEDATA, answer)
        curl.perform()
        return answer.getvalue()

    return post


if __name__ == "__main__":
    main(*sys.argv[1:])
