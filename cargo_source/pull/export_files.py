"""An export whose files others bring, on other machines: asked for and counted here, by what the end of each file says.

The end of a parquet file tells how many rows it holds. So that all rows are there is shown before any of them is read;
who brings a file then holds it against that number.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from cargo_source.errors import Busy, IncompleteRead, RequestRefused
from cargo_source.pull.conform import UnusableExport
from cargo_source.pull.lanes import EXPORT, Part, bring, count_rows, counted_export, is_refreshing
from cargo_source.pull.patience import PATIENCE, looks
from cargo_source.pull.records import sheet_of
from cargo_source.pull.session import Session
from cargo_source.pull.shapes import Shape
from cargo_source.settings import Secret

END = 64 * 1024
"""Bytes of a file's end that are asked for first; few files need more."""
BATCH = 20_000
"""Most rows of a batch."""
_MAGIC, _LENGTH = b"PAR1", 8
_NOTHING_THERE = 416
"""How a store answers who asks for the end of an empty file."""


@dataclass(frozen=True)
class ExportFile:
    """A file of an export: its signed link, and the rows that it says it holds."""

    link: Secret
    rows: int


def list_files(session: Session, shape: Shape, part: Part) -> list[ExportFile]:
    """Have a table exported, and give its files; those without rows are left out.

    Waits while Cargo is writing the model, and raises Busy where it goes on for long. Raises IncompleteRead where the
    files hold fewer or more rows than there are, UnusableExport where nothing counts these, or the ends of files cannot
    tell.
    """
    files, refreshing = _listed(session, shape, part)
    if refreshing:
        for _ in looks(session, partial(is_refreshing, session, shape, EXPORT)):
            files, refreshing = _listed(session, shape, part)
            if not refreshing:
                break
    if refreshing:
        raise Busy(f"{shape.table}: Cargo is still writing this model after {PATIENCE:.0f} s: read it again later")
    return [file for file in files if file.rows]


def _listed(session: Session, shape: Shape, part: Part) -> tuple[list[ExportFile], bool]:
    files: list[ExportFile] = []

    distinct = count_rows(session, shape, part, f"count(DISTINCT {shape.id_name})")

    def take(links: list[str], total: int | None) -> tuple[int, int]:
        if distinct is not None and total is not None and distinct < total:
            raise UnusableExport("with rows that share an identifier")
        ends = list(session.many(partial(_end_of, session), links))
        if len({digest for rows, digest in ends if rows}) < sum(rows > 0 for rows, _ in ends):
            raise UnusableExport("with a file twice")
        files[:] = [ExportFile(Secret(link), rows) for link, (rows, _) in zip(links, ends, strict=True)]
        rows = sum(file.rows for file in files)
        return rows, rows

    landing = counted_export(session, shape, part, take)
    if landing.expected is None:
        raise UnusableExport("that nothing counts")
    return files, landing.refreshing


def _end_of(session: Session, link: str) -> tuple[int, str]:
    """Give how many rows a file says it holds, and a digest of all that its end says."""
    footer = b""
    path = session.spool.new_file(".end")
    wanted = END
    try:
        while not footer:
            session.client.download(link, path, last=wanted)
            size = path.stat().st_size
            if not size:
                break
            with path.open("rb") as file:
                file.seek(-min(size, _LENGTH), 2)
                told = file.read()
                if not told.endswith(_MAGIC) or len(told) < _LENGTH:
                    raise UnusableExport("as something else than parquet")
                length = int.from_bytes(told[:4], "little") + _LENGTH
                if length <= size:
                    file.seek(-length, 2)
                    footer = file.read()
                elif size < wanted:
                    raise UnusableExport("as something else than parquet")
                wanted = length
    except RequestRefused as error:
        if error.status != _NOTHING_THERE:
            raise
    finally:
        path.unlink(missing_ok=True)
    if not footer:
        return 0, ""
    try:
        rows = pq.read_metadata(pa.BufferReader(_MAGIC + footer)).num_rows
    except pa.ArrowException:
        raise UnusableExport("as parquet that cannot be read") from None
    return rows, hashlib.sha256(footer).hexdigest()


def read_file(session: Session, file: ExportFile, shape: Shape) -> Iterator[pa.RecordBatch]:
    """Bring a file, and give its rows as the table has them. Raises IncompleteRead where it holds others than it said.

    It needs no token. LinkExpired says that too much time has passed: the export has to be asked for anew.
    """
    sheet = sheet_of(session, shape)
    try:
        rows = bring(session, file.link, shape, sheet, "parquet")
        if rows != file.rows:
            raise IncompleteRead(
                f"{shape.table}: a file of the export holds {rows} rows and said {file.rows}: read it again",
                expected=file.rows,
                got=rows,
            )
        for chunk in sheet.chunks:
            with pq.ParquetFile(chunk.path) as parquet:
                yield from parquet.iter_batches(BATCH)
    finally:
        sheet.drop()
