"""The spool's files: what a sheet gives back is what was put in, or an error."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from cargo_source.pull import spool
from cargo_source.pull.spool import Sheet, Spool


@pytest.fixture
def sheet(tmp_path: Path) -> Iterator[Sheet]:
    own = Spool(tmp_path)
    yield own.sheet(pa.schema([("id", pa.string())]), ("id",), pa.Table.from_pylist)
    own.close()


def noise(rows: int) -> pa.Table:
    return pa.table({"id": [os.urandom(32).hex() for _ in range(rows)]})


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let this process write no byte behind the ``size``-th of a file, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_tables_share_files_up_to_a_bound(sheet, monkeypatch):
    """Small tables are put together until a file is long enough; in what order they came can be told."""
    monkeypatch.setattr(spool, "FILE_ROWS", 25)
    parts = [noise(10) for _ in range(7)]
    for part in parts:
        sheet.add_table(part)
    assert [chunk.rows for chunk in sheet.settle()] == [30, 30, 10]
    assert pa.concat_tables(sheet.finish().tables()).equals(pa.concat_tables(parts))


def test_a_file_that_broke_gives_no_rows(sheet):
    """Arrow closes a file that it could not write as if it were whole; the sheet says so until it is begun anew."""
    with files_of_at_most(100_000):
        sheet.add_table(noise(100))
        with pytest.raises(OSError, match="Error writing"):
            sheet.add_table(noise(10_000))
    for _ in range(2):
        with pytest.raises(OSError, match="Error writing"):
            sheet.settle()
    with pytest.raises(OSError, match="Error writing"):
        sheet.add_table(noise(1))
    sheet.clear()
    again = noise(5)
    sheet.add_table(again)
    assert pa.concat_tables(sheet.finish().tables()).equals(again)
