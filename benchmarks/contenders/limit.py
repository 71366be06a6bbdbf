"""The physical limits: what nobody who lands rows in a DuckDB file can be quicker than.

python limit.py URL FOLDER pages ROWS          fetch all pages by hand, and let DuckDB read the bytes
python limit.py FILES FOLDER parquet|csv ROWS  let DuckDB read files that are there already
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import duckdb
from raw import fetch_pages
from rows import COLUMNS
from served import MODEL_UUID

TYPES = {"STRING": "VARCHAR", "INT64": "BIGINT", "FLOAT64": "DOUBLE", "BOOL": "BOOLEAN", "TIMESTAMP": "TIMESTAMPTZ"}


def main(source: str, folder: str, kind: str, rows: str) -> None:
    """Make the table. Nested values stay as text."""
    columns = {column.name: TYPES.get(column.physical, "VARCHAR") for column in COLUMNS}
    with duckdb.connect(str(Path(folder) / "warehouse.duckdb")) as db:
        db.execute("SET TimeZone = 'UTC'; CREATE SCHEMA cargo")
        if kind == "pages":
            spool = Path(folder) / "pages.ndjson"
            with spool.open("wb") as out:
                fetch_pages(source, MODEL_UUID, int(rows), _kept(out))
            found = f"read_json('{spool}', format = 'newline_delimited', columns = {columns})"
        elif kind == "csv":
            found = f"read_csv('{source}/*.csv', header = true, columns = {columns})"
        else:
            found = f"read_parquet('{source}/*.parquet')"
        db.execute(f"CREATE TABLE cargo.crm__companies AS SELECT * FROM {found}")


def _kept(out: BinaryIO) -> Callable[[bytes], None]:
    """Write pages one row a line: rows are parted by a comma and a line break."""

    def keep(page: bytes) -> None:
        if page:
            out.write(page.replace(b"},\n{", b"}\n{") + b"\n")

    return keep


if __name__ == "__main__":
    main(*sys.argv[1:])
