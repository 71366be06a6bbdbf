"""Export files: parquet or gzipped csv, on disk until the sandbox stops, behind signed links that expire."""

from __future__ import annotations

import gzip
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from cargo_source.sandbox.filters import quoted
from cargo_source.sandbox.identity import uuid_for
from cargo_source.sandbox.rows import CHUNK_ROWS, as_json, typed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from duckdb import DuckDBPyConnection

ROWS_PER_FILE = CHUNK_ROWS
GZIP_LEVEL = 1
"""The quickest: these files travel on loopback only."""
LINK_LIFETIME = timedelta(minutes=15)
"""How long a link holds, in the sandbox's own time."""


@dataclass(frozen=True)
class ExportFile:
    """A finished file and how many rows it holds."""

    path: Path
    rows: int


class LinkError(Exception):
    """A link that is not served; `status` and `code` are those of an object store."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def xml(self) -> bytes:
        """Give the body in the object store's own form."""
        inner = f"<Error><Code>{self.code}</Code><Message>{self}</Message></Error>"
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{inner}'.encode()


class Exports:
    """All files of one sandbox."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._secret = hashlib.sha256(f"{seed}/links".encode()).digest()
        self._folder = TemporaryDirectory(prefix="cargo-sandbox-")
        self._files: dict[tuple[str, int], ExportFile] = {}
        self._made = 0

    def close(self) -> None:
        """Remove all files."""
        self._files.clear()
        self._folder.cleanup()

    def add(self, parts: Iterable[pa.RecordBatch], file_format: str, expires: datetime) -> list[str]:
        """Write each part into as many files as it needs and give their links, as paths with a query."""
        export = self._next()
        tables = (pa.Table.from_batches([part]) for part in parts)
        pieces = (
            table.slice(start, ROWS_PER_FILE) for table in tables for start in range(0, table.num_rows, ROWS_PER_FILE)
        )
        return [self._add_file(piece, file_format, (export, number), expires) for number, piece in enumerate(pieces)]

    def add_one(self, part: pa.RecordBatch, file_format: str, expires: datetime) -> str:
        """Write a part into one file, even if it has no rows, and give its link."""
        return self._add_file(pa.Table.from_batches([part]), file_format, (self._next(), 0), expires)

    def add_content(self, content: bytes, rows: int, expires: datetime) -> str:
        """Keep a file as it is and give its link."""
        key = (self._next(), 0)
        path = self._path(key)
        path.write_bytes(content)
        return self._link(key, ExportFile(path, rows), expires)

    def _next(self) -> str:
        self._made += 1
        return uuid_for(self._seed, "export", self._made)

    def _path(self, key: tuple[str, int]) -> Path:
        return Path(self._folder.name) / f"{key[0]}-{key[1]}"

    def _add_file(self, part: pa.Table, file_format: str, key: tuple[str, int], expires: datetime) -> str:
        path = self._path(key)
        write = _write_parquet if file_format == "parquet" else _write_csv
        write(part, path)
        return self._link(key, ExportFile(path, part.num_rows), expires)

    def _link(self, key: tuple[str, int], file: ExportFile, expires: datetime) -> str:
        self._files[key] = file
        until = int(expires.timestamp())
        return f"/exports/{key[0]}/{key[1]}?expires={until}&signature={self._signature(*key, str(until))}"

    def _signature(self, export: str, number: int, until: str) -> str:
        return hmac.new(self._secret, f"{export}/{number}/{until}".encode(), hashlib.sha256).hexdigest()

    def open(self, key: tuple[str, int], query: dict[str, str], now: datetime) -> ExportFile:
        """Give the file of a link.

        Raises:
            LinkError: The link has been tampered with, has expired, or leads nowhere.
        """
        until = query.get("expires", "")
        signature = self._signature(*key, until)
        if not hmac.compare_digest(signature.encode(), query.get("signature", "").encode()):
            raise LinkError(403, "SignatureDoesNotMatch", "The request signature does not match.")
        if int(until) <= now.timestamp():
            raise expired()
        if key not in self._files:
            raise LinkError(404, "NoSuchKey", "The specified key does not exist.")
        return self._files[key]


def expired() -> LinkError:
    """Give the refusal of a link whose time is over."""
    return LinkError(403, "AccessDenied", "Request has expired")


def export_parts(db: DuckDBPyConnection, query: str, file_format: str) -> Iterable[pa.RecordBatch]:
    """Run a query into the columns of an export, as parts that are read one by one.

    Parquet keeps types, with times in UTC and JSON as text. In csv times and nested values are text too.
    """
    columns = typed(db, query)
    cell = _parquet_cell if file_format == "parquet" else _csv_cell
    cells = ", ".join(f"{cell(name, kind)} AS {quoted(name)}" for name, kind in columns)
    reader: Iterable[pa.RecordBatch] = db.execute(f"SELECT {cells} FROM ({query})").to_arrow_reader(ROWS_PER_FILE)
    return reader


def text_part(rows: list[dict[str, Any]], names: list[str]) -> pa.RecordBatch:
    """Give rows in their wire form as texts, for csv."""
    columns = [pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in names]
    return pa.record_batch(columns, names=names)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def _parquet_cell(name: str, kind: str) -> str:
    if kind == "JSON":
        return f"CAST({quoted(name)} AS VARCHAR)"
    return quoted(name) if kind.startswith("TIMESTAMP") else as_json(name, kind)


def _csv_cell(name: str, kind: str) -> str:
    nested = kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "JSON"))
    return f"CAST(to_json({quoted(name)}) AS VARCHAR)" if nested else as_json(name, kind)


def _write_parquet(part: pa.Table, path: Path) -> None:
    pq.write_table(part, path, compression="snappy")


def _write_csv(part: pa.Table, path: Path) -> None:
    """Texts are quoted and nulls are not, so that an empty text is no null."""
    with gzip.GzipFile(path, "wb", compresslevel=GZIP_LEVEL, mtime=0) as packed:
        pa_csv.write_csv(part, packed)
