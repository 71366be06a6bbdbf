"""Where rows wait between the API and dlt: typed parquet files in a private folder, one sheet a table."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK_ROWS = 20_000
"""Rows in one file: enough for parquet to be quick, few enough to stay small in memory."""


_PREFIX = "cargo-source-"


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        # Somebody else's process, or a folder that is not one of ours.
        return True
    return True


@dataclass(frozen=True)
class Chunk:
    """One finished parquet file."""

    path: Path
    rows: int


class Spool:
    """A private folder for the files of one sync, gone when it is closed.

    dlt links finished files into its own folder, so ``home``, where the spool lies, is on the same filesystem. What a
    process that was killed left there is removed. None is the system's folder for temporary files.
    """

    def __init__(self, home: Path | None = None) -> None:
        if home is not None:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in home.glob(f"{_PREFIX}*"):
                if not _is_alive(left.name.removeprefix(_PREFIX).partition("-")[0]):
                    shutil.rmtree(left, ignore_errors=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=home))
        self._lock = threading.Lock()
        self._files = 0

    def new_file(self, suffix: str = ".parquet") -> Path:
        """Name a file that does not exist yet."""
        with self._lock:
            self._files += 1
            return self.folder / f"{self._files:06d}{suffix}"

    def sheet(
        self, schema: pa.Schema, key: Sequence[str], typed: Callable[[list[dict[str, Any]]], pa.Table]
    ) -> "Sheet":
        """Start the sheet of one table; ``typed`` turns API rows into Arrow of that schema."""
        return Sheet(self, schema, key, typed)

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Sheet:
    """The rows of one table on their way, safe to fill from several threads."""

    def __init__(
        self,
        spool: Spool,
        schema: pa.Schema,
        key: Sequence[str],
        typed: Callable[[list[dict[str, Any]]], pa.Table],
    ) -> None:
        self._spool, self._schema, self._key, self._typed = spool, schema, tuple(key), typed
        self._lock = threading.Lock()
        self._waiting: list[dict[str, Any]] = []
        self._chunks: list[Chunk] = []

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take rows as the API sent them."""
        with self._lock:
            self._waiting.extend(rows)
            if len(self._waiting) < CHUNK_ROWS:
                return
            full, self._waiting = self._waiting, []
        self.add_table(self._typed(full))

    def add_table(self, table: pa.Table) -> None:
        """Take rows that are typed already."""
        path = self._spool.new_file()
        pq.write_table(table, path)
        self.add_chunk(Chunk(path, table.num_rows))

    def add_chunk(self, chunk: Chunk) -> None:
        """Take a finished file of the sheet's schema."""
        path = chunk.path
        path.chmod(0o600)
        with self._lock:
            self._chunks.append(chunk)

    def finish(self) -> "Spooled":
        """Write what is waiting and make keys unique: of rows with one key, the one that came last stays."""
        if self._waiting:
            self.add_table(self._typed(self._waiting))
            self._waiting = []
        return Spooled(self._schema, _unique(self._chunks, self._key, self._spool), self._spool)


@dataclass(frozen=True)
class Spooled:
    """A finished sheet."""

    schema: pa.Schema
    chunks: list[Chunk]
    spool: Spool

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return sum(chunk.rows for chunk in self.chunks)

    def tables(self) -> Iterator[pa.Table]:
        """Read the rows back, one chunk at a time."""
        for chunk in self.chunks:
            yield pq.read_table(chunk.path)

    def empty(self) -> Chunk:
        """Write a file without rows: it makes the typed table where there is nothing to load."""
        path = self.spool.new_file()
        pq.write_table(self.schema.empty_table(), path)
        return Chunk(path, 0)


def _unique(chunks: list[Chunk], key: tuple[str, ...], spool: Spool) -> list[Chunk]:
    rows = sum(chunk.rows for chunk in chunks)
    if rows <= 1:
        return chunks
    files = [str(chunk.path) for chunk in chunks]
    columns = ", ".join(f'"{name}"' for name in key)
    with duckdb.connect() as db:
        # The names in these statements are those of the catalogue and of our own files.
        query = f"SELECT count(*) FROM (SELECT DISTINCT {columns} FROM read_parquet(?))"  # noqa: S608 - as said
        distinct = db.execute(query, [files]).fetchone()
        if distinct is None or distinct[0] == rows:
            return chunks
        db.execute("SET TimeZone = 'UTC'")
        path = spool.new_file()
        newest = f"row_number() OVER (PARTITION BY {columns} ORDER BY filename DESC, file_row_number DESC) = 1"
        rows_of = (
            "SELECT * EXCLUDE (filename, file_row_number) FROM read_parquet(?, filename = true, file_row_number = true)"
        )
        db.execute(f"COPY ({rows_of} QUALIFY {newest}) TO '{path}' (FORMAT parquet)", [files])
    return [Chunk(path, distinct[0])]
