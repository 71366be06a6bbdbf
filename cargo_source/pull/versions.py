"""Tables of parquet files, which cannot be merged: each load adds the newest version of its rows beside older ones.

The name of a file begins with the load that wrote it, so the version of the latest load is the row as it is now.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dlt.common.destination.client import DEFAULT_FILE_LAYOUT
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.pipeline.pipeline import Pipeline

from cargo_source.errors import BadSettings
from cargo_source.pull import sql
from cargo_source.pull.dlt_tables import kind_of
from cargo_source.pull.landed import quoted

LOAD = "regexp_extract(filename, '([0-9]+[.][0-9]+)[.][^/.]+[.]parquet$', 1)"
"""The load of a row, in DuckDB's SQL over parquet files with their names."""


def check_versions(pipeline: Pipeline, deletes: str) -> None:
    """Refuse what files cannot be right with. Raises BadSettings."""
    if deletes == "hard":
        raise BadSettings(
            "deletes='hard': rows cannot be removed out of files; say deletes='soft' (--deletes soft), and leave out"
            " what has _cargo_deleted_at when you read them"
        )
    with pipeline.destination_client() as client:
        layout = getattr(client, "config").layout  # noqa: B009 - dlt's type of a client has no layout
    if layout != DEFAULT_FILE_LAYOUT:
        raise BadSettings(
            f"the filesystem's layout {layout!r} does not tell which version of a row is the newest: leave it as"
            f" {DEFAULT_FILE_LAYOUT!r}"
        )


def keeps_versions(pipeline: Pipeline) -> bool:
    """Say whether a pipeline loads into files."""
    return kind_of(pipeline) == "filesystem"


def remove_halves(pipeline: Pipeline, loads: Collection[str]) -> None:
    """Remove files that loads which were cut off had half written: nobody can read them, and their rows come again."""
    if not keeps_versions(pipeline):
        return
    with pipeline.destination_client() as opened:
        client: Any = opened
        if client.config.protocol != "file":
            # Elsewhere a file is there as a whole or not at all.
            return
        # Not by the tables that are known: a first load that was cut off has left none.
        for load in loads:
            for file in Path(client.dataset_path).rglob(f"{load}.*.parquet"):
                if not _is_whole(file):
                    file.unlink()


def _is_whole(file: Path) -> bool:
    """Whether a parquet file has its end."""
    if file.stat().st_size < len(b"PAR1....PAR1"):
        return False
    with file.open("rb") as opened:
        opened.seek(-4, os.SEEK_END)
        return opened.read() == b"PAR1"


def newest(client: Any, table: str, columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the rows of a table as they are now, as something that DuckDB selects from.

    Raises DestinationUndefinedEntity where there are none.
    """
    files = client.list_table_files(table)
    if not files:
        raise DestinationUndefinedEntity(table)
    url = "" if client.config.protocol == "file" else f"{client.config.protocol}://"
    versions = f"read_parquet([{quoted(url + file for file in files)}], union_by_name = true, filename = true)"
    latest = [
        f"{rank}() OVER (PARTITION BY {', '.join(names)} ORDER BY {LOAD} DESC) = 1"
        # Rows that share their merge key go together, when any of them is written.
        for rank, hint in (("row_number", "primary_key"), ("rank", "merge_key"))
        if (names := [sql.name(name) for name, column in columns.items() if column.get(hint)])
    ]
    return f"(FROM {versions} SELECT * EXCLUDE (filename) QUALIFY {' AND '.join(latest)}) AS newest"
