"""The spool's files: what a sheet gives back is what was put in, or an error."""

import os
import resource
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from cargo_source.pull import spool
from cargo_source.pull.spool import Sheet, Spool, write_all


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


def test_of_long_rows_there_are_fewer_at_once(tmp_path, monkeypatch):
    """The first rows show how long they are; then as many are typed as fit, and never more than short rows."""
    monkeypatch.setattr(spool, "CHUNK_BYTES", 1_000_000)
    seen = []

    def typed(rows):
        seen.append(len(rows))
        return pa.Table.from_pylist(rows, schema)

    own, schema = Spool(tmp_path), pa.schema([("id", pa.string())])
    for length in (10, 10_000):
        one = own.sheet(schema, ("id",), typed)
        for n in range(300):
            one.add([{"id": f"{n}-{m}".ljust(length)} for m in range(100)])
            wait(one._typing)
        assert one.finish().rows == 30_000
        assert seen[0] == spool.FIRST_ROWS
        assert max(seen[1:]) == {10: spool.CHUNK_ROWS, 10_000: 100}[length]
        seen.clear()
    own.close()


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


def test_rows_that_are_too_long_for_the_spools_memory_are_written_all_the_same(tmp_path):
    """They come in smaller groups, with as much memory as DuckDB takes by itself."""
    own, path = Spool(tmp_path), tmp_path / "long.parquet"
    with own.database() as db:
        db.execute("SET GLOBAL memory_limit = '100MB'")
        write_all(db, "SELECT i, repeat(md5(i::VARCHAR), 100) AS long FROM range(100000) AS t(i)", path)
        assert db.execute("SELECT i FROM read_parquet(?) LIMIT 3 OFFSET 70000", [str(path)]).fetchall() == [
            (70_000,),
            (70_001,),
            (70_002,),
        ]
        count, long = db.execute(
            "SELECT count(DISTINCT i), min(length(long)) FROM read_parquet(?)", [str(path)]
        ).fetchall()[0]
        groups = db.execute("SELECT count(DISTINCT row_group_id) FROM parquet_metadata(?)", [str(path)]).fetchall()
    own.close()
    assert (count, long) == (100_000, 3200)
    assert groups > [(1,)]


def test_keys_are_compared_in_several_passes_as_in_one(tmp_path, monkeypatch):
    """Of rows with one key, the one that came last stays, in whatever pass and file it is."""
    monkeypatch.setattr(spool, "PASS_ROWS", 7)
    own = Spool(tmp_path)
    schema = pa.schema([("id", pa.string()), ("part", pa.int64()), ("n", pa.int64())])
    found = own.sheet(schema, ("id", "part"), pa.Table.from_pylist)
    rows = [{"id": None if n % 5 == 4 else str(n % 5), "part": n % 4, "n": n} for n in range(50)]
    for start in range(0, 50, 10):
        found.add_table(pa.Table.from_pylist(rows[start : start + 10], schema))
        found.settle()
    kept = pa.concat_tables(found.finish().tables()).to_pylist()
    own.close()
    last = {(row["id"], row["part"]): row for row in rows}
    assert {key: row for key, row in last.items() if key[0] is not None}.items() <= {
        (row["id"], row["part"]): row for row in kept
    }.items()
    assert len([row for row in kept if row["id"] is not None]) == 16
