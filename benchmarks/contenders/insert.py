"""A plain insert: fetch the files of an export and let dlt append them to a table that is there, without any key.

    python insert.py URL FOLDER SINCE

What a merge is held against: the same rows, the same destination, no proof that nothing lands twice.
"""

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from served import DATASET, MODEL


def main(url: str, folder: str, since: str) -> None:
    """Append."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}
    import dlt
    import pyarrow.parquet as pq

    query = f"SELECT * FROM {DATASET}.{MODEL} WHERE _emitted_at >= TIMESTAMP '{since}'"
    body = json.dumps({"query": query, "format": "parquet"}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/storage/query/download", data=body)) as answer:
        links = json.load(answer)["urls"]

    def files() -> Iterator[Any]:
        for number, link in enumerate(links):
            path = Path(folder) / f"delta-{number}.parquet"
            with urllib.request.urlopen(link) as answer, path.open("wb") as out:
                shutil.copyfileobj(answer, out)
            yield dlt.mark.with_file_import(str(path), "parquet", pq.read_metadata(path).num_rows)

    schema = {name: {"data_type": "json"} for name in ("address", "tools")}
    resource = dlt.resource(files, name="crm__companies", columns=schema, write_disposition="append")
    destination = dlt.destinations.duckdb(str(Path(folder) / "warehouse.duckdb"))
    pipeline = dlt.pipeline("peer", destination=destination, dataset_name="cargo", pipelines_dir=f"{folder}/peer")
    pipeline.run(resource())


if __name__ == "__main__":
    main(*sys.argv[1:])
