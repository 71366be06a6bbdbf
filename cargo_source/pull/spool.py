"""Where rows wait between the API and dlt: typed parquet files in a private folder, one sheet a table."""

import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cargo_source.pull import sql

CHUNK_ROWS = 20_000
"""Rows that are typed at once: enough to be quick, few enough to stay small in memory."""
CHUNK_BYTES = 16 * 1024 * 1024
"""Bytes of them, as they came or else as Arrow: of long rows there are fewer at once."""
FIRST_ROWS = 1_000
"""Rows that are typed first, and show how long they are."""
KEPT_DAYS = 3
"""How long what a sync that was cut off has read waits for the next one."""

_PREFIX, _LEFT = "cargo-source-", "cargo-source-left-"
_SPILLED = "spilled"
_FRUGAL: dict[str, str | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "512MB",
    # Each file is read once or twice, from the disk that the system caches already.
    "enable_external_file_cache": False,
}
"""What DuckDB may take for what it does beside everything else; what does not fit waits in the spool's folder."""


def is_alive(pid: str) -> bool:
    """Say whether a process runs; what is no number is somebody's."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        # Somebody else's process, or a folder that is not one of ours.
        return True
    return True


def _age_of(folder: Path) -> float | None:
    """Give the seconds since a folder was written to; None where another has taken or removed it meanwhile."""
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        return None


@dataclass(frozen=True)
class Chunk:
    """One finished parquet file."""

    path: Path
    rows: int


def _sweep() -> None:
    """Remove what processes that were killed have left among temporary files: nobody goes on with it."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}[0-9]*-*"):
        if not is_alive(folder.name.removeprefix(_PREFIX).partition("-")[0]):
            shutil.rmtree(folder, ignore_errors=True)


class Spool:
    """A private folder for the files of one sync.

    dlt links finished files into its own folder, so ``home``, where the spool lies, is on the same filesystem. None is
    the system's folder for temporary files.
    """

    def __init__(self, home: Path | None = None) -> None:
        self.home = home
        if home is not None:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=home))
        self._lock = threading.Lock()
        self._files = 0
        self._memory: duckdb.DuckDBPyConnection | None = None
        self.typing = ThreadPoolExecutor(1, thread_name_prefix="cargo-typing")
        """Types rows beside the threads that read them, in the order in which they come."""

    def left(self) -> list[Path]:
        """Give the folders of syncs that were cut off, the newest first; what is too old is removed."""
        found: list[tuple[float, Path]] = []
        for folder in self.home.glob(f"{_PREFIX}*") if self.home else ():
            dead = folder.name.startswith(_LEFT) or not is_alive(folder.name.removeprefix(_PREFIX).partition("-")[0])
            if dead and folder != self.folder and (age := _age_of(folder)) is not None:
                if age > KEPT_DAYS * 86400:
                    shutil.rmtree(folder, ignore_errors=True)
                else:
                    found.append((age, folder))
        return [folder for _, folder in sorted(found)]

    def adopt(self, left: Path) -> bool:
        """Take over the folder of a sync that was cut off; False where another has taken it."""
        mine = self.folder
        if any(mine.iterdir()):
            return False
        try:
            # An empty folder gives way; of two who want the same one, the second finds none.
            left.rename(mine)
        except OSError:
            return False
        self._files = max((int(path.stem) for path in mine.glob("[0-9]*.parquet")), default=0)
        return True

    def keep_only(self, names: Iterable[str]) -> None:
        """Remove half-made files: all but those called ``names``."""
        kept = {*names}
        shutil.rmtree(self.folder / _SPILLED, ignore_errors=True)
        for path in self.folder.glob("[0-9]*"):
            if path.name not in kept:
                path.unlink()

    def new_file(self, suffix: str = ".parquet") -> Path:
        """Name a file that does not exist yet."""
        with self._lock:
            self._files += 1
            return self.folder / f"{self._files:06d}{suffix}"

    @contextmanager
    def scratch(self, suffix: str, content: bytes) -> Iterator[Path]:
        """Keep bytes in a file as long as somebody reads it."""
        path = self.new_file(suffix)
        path.touch(mode=0o600)
        try:
            path.write_bytes(content)
            yield path
        finally:
            path.unlink()

    def sheet(
        self, schema: pa.Schema, key: Sequence[str], typed: Callable[[list[dict[str, Any]]], pa.Table]
    ) -> "Sheet":
        """Start the sheet of one table; ``typed`` turns API rows into Arrow of that schema."""
        return Sheet(self, schema, key, typed)

    @contextmanager
    def database(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection to a DuckDB in memory that reads and writes files; its temporary tables are its own.

        There is one for the whole sync: making it takes longer than most of what it does.
        """
        with self._lock:
            if self._memory is None:
                self._memory = duckdb.connect(config={**_FRUGAL, "temp_directory": str(self.folder / _SPILLED)})
                self._memory.execute("SET GLOBAL TimeZone = 'UTC'")
            connection = self._memory.cursor()
        with connection:
            yield connection

    def close(self, *, keep: bool = False) -> None:
        """Remove the folder and all that is in it; ``keep`` leaves it to the next sync."""
        self.typing.shutdown(cancel_futures=True)
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        if keep and self.home is not None and self.folder.exists():
            self.folder.rename(self.home / f"{_LEFT}{self.folder.name.removeprefix(_PREFIX)}")
        else:
            # What others left goes with it: it belongs to the time before this sync.
            for folder in (self.folder, *self.left()):
                shutil.rmtree(folder, ignore_errors=True)


GROUP = 30_720
"""Rows in a row group where their order does not matter, so that each thread keeps no more than one group in memory."""
LONG_GROUP = 10_240
"""Rows in a row group where they are too long for the usual ones."""


def write_all(db: duckdb.DuckDBPyConnection, query: str, path: Path, *, ordered: bool = True) -> None:
    """Write what ``query`` gives, in its order or in any, as a parquet file.

    Rows of hundreds of columns, or of long texts, may not fit into the memory that the spool allows itself: then
    they come in smaller groups, and DuckDB may take what it takes by itself.
    """
    begun = f"COPY ({query}) TO {sql.text(str(path))} (FORMAT parquet, PRESERVE_ORDER {ordered}"
    try:
        db.execute(f"{begun})" if ordered else f"{begun}, ROW_GROUP_SIZE {GROUP})")
    except duckdb.OutOfMemoryException:
        db.execute("RESET GLOBAL memory_limit")
        # DuckDB 1.5 tells the limit that it goes back to, and keeps to it when it is set.
        ((limit,),) = db.execute("SELECT current_setting('memory_limit')").fetchall()
        db.execute(f"SET GLOBAL memory_limit = '{limit}'")
        db.execute(f"{begun}, ROW_GROUP_SIZE {LONG_GROUP})")


TYPED_AHEAD = 1
"""How many batches of rows may wait to be typed, while one is."""
FILE_ROWS = 491_520
"""Rows in a file at least, unless a reading ends or is saved: DuckDB stores row groups of 122,880 as they come, several
at the same time, and keeps the rest of each file in memory."""


class Sheet:
    """The rows of one table on their way, safe to fill from several threads."""

    def __init__(
        self,
        spool: Spool,
        schema: pa.Schema,
        key: Sequence[str],
        typed: Callable[[list[Any]], pa.Table],
    ) -> None:
        self._spool, self._schema, self._key, self._typed = spool, schema, tuple(key), typed
        self._lock = threading.Lock()
        self._waiting: list[Any] = []
        self._enough, self._bytes = FIRST_ROWS, 0
        self._typing: deque[Future[None]] = deque()
        self._appending = threading.Lock()
        self._open: tuple[Path, pq.ParquetWriter] | None = None
        self._open_rows = 0
        self._broken: BaseException | None = None
        self._unique: list[Chunk] | None = None
        self._outdone = False
        self.chunks: list[Chunk] = []

    def add(self, rows: Sequence[Any]) -> None:
        """Take rows as dicts, or as text that has its length; many at once are typed while others come."""
        with self._lock:
            self._waiting.extend(rows)
            self._bytes += sum([len(row) for row in rows if not isinstance(row, dict)])
            if self._bytes < CHUNK_BYTES and len(self._waiting) < min(self._enough, CHUNK_ROWS):
                return
            self._typing.append(self._spool.typing.submit(self._write, self._taken()))
            ahead = self._typing.popleft() if len(self._typing) > TYPED_AHEAD else None
        if ahead is not None:
            ahead.result()

    def _taken(self) -> list[Any]:
        taken, self._waiting, self._bytes = self._waiting, [], 0
        return taken

    def _write(self, rows: list[Any]) -> None:
        if rows:
            with self._unbroken():
                table = self._typed(rows)
                self._enough = max(1, CHUNK_BYTES * len(rows) // max(1, table.nbytes))
                self.add_table(table)

    def add_table(self, table: pa.Table) -> None:
        """Take rows that are typed already, into a file that grows."""
        with self._appending, self._unbroken():
            if self._open is None:
                path = self._spool.new_file()
                self._open, self._open_rows = (path, pq.ParquetWriter(path, table.schema)), 0
                path.chmod(0o600)
            self._open[1].write_table(table)
            self._open_rows += table.num_rows
            if self._open_rows >= FILE_ROWS:
                self._close()

    def _close(self) -> None:
        """Finish the file that is being written, if there is one."""
        if self._open is not None:
            path, writer = self._open
            writer.close()
            self._open = None
            self.add_chunk(Chunk(path, self._open_rows))

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        """Give no rows after some that were lost: Arrow closes a file that it could not write as if it were whole."""
        if self._broken is not None:
            raise self._broken
        try:
            yield
        except BaseException as error:
            self._broken = error
            raise

    def add_chunk(self, chunk: Chunk) -> None:
        """Take a finished file of the sheet's schema."""
        chunk.path.chmod(0o600)
        with self._lock:
            self.chunks.append(chunk)

    def settle(self) -> list[Chunk]:
        """Bring all rows that were added so far into files, and give these."""
        with self._lock:
            rest, typing = self._taken(), [*self._typing]
        for each in typing:
            each.result()
        self._write(rest)
        with self._appending, self._unbroken():
            self._close()
        with self._lock:
            return [*self.chunks]

    def clear(self) -> None:
        """Forget all rows."""
        with self._lock:
            typing, self._typing = self._typing, deque()
            self._taken()
        wait(typing)
        with self._appending:
            self._open, self._broken, self._outdone = None, None, False
        with self._lock:
            self.chunks.clear()

    def drop(self) -> None:
        """Forget all rows, and remove their files."""
        with self._lock:
            typing = [*self._typing]
        wait(typing)
        with self._appending:
            begun = self._open
        with self._lock:
            files = [chunk.path for chunk in self.chunks]
        self.clear()
        if begun is not None:
            begun[1].close()
            files.append(begun[0])
        for path in files:
            path.unlink(missing_ok=True)

    def make_unique(self) -> int:
        """Make keys unique: of rows with one key, the one that came last stays. Gives how many rows there are then."""
        chunks = self.settle()
        if chunks != self._unique:
            self._unique = unique(chunks, self._key, self._spool)
            self._outdone |= self._unique != chunks
            with self._lock:
                self.chunks = [*self._unique]
        return sum(chunk.rows for chunk in self._unique)

    def finish(self) -> "Spooled":
        """Write what is waiting and make keys unique."""
        self.make_unique()
        return Spooled(self._schema, [*self.chunks], self._spool, outdone=self._outdone)


@dataclass(frozen=True)
class Spooled:
    """A finished sheet."""

    schema: pa.Schema
    chunks: list[Chunk]
    spool: Spool
    outdone: bool = False
    """Whether a row came more than once, and earlier versions of it were left out."""

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


PASS_ROWS = 2_000_000
"""Rows whose keys are compared at once."""


def unique(chunks: list[Chunk], key: Sequence[str], spool: Spool) -> list[Chunk]:
    """Make keys unique; only files that hold a row too many are written again. Memory does not grow with the rows."""
    rows = sum(chunk.rows for chunk in chunks)
    if rows <= 1:
        return chunks
    columns = ", ".join(map(sql.name, key))
    places = {str(chunk.path): place for place, chunk in enumerate(chunks)}
    passes = -(-rows // PASS_ROWS)
    with spool.database() as db:
        # The names in these statements are those of the catalogue and of our own files.
        db.execute("CREATE TEMP TABLE outdone (filename VARCHAR, file_row_number BIGINT)")
        for turn in range(passes):
            some = f"hash({columns}) % {passes} = {turn}" if passes > 1 else "true"
            source = f"(FROM read_parquet(?, filename = true, file_row_number = true) WHERE {some})"
            twice = f"SELECT {columns} FROM {source} GROUP BY ALL HAVING count(*) > 1"  # noqa: S608 - as said
            order = "filename DESC, file_row_number DESC"
            db.execute(
                "INSERT INTO outdone SELECT filename, file_row_number"  # noqa: S608 - as said
                f" FROM {source} SEMI JOIN ({twice}) AS twice USING ({columns})"
                f" QUALIFY row_number() OVER (PARTITION BY {columns} ORDER BY {order}) > 1",
                [[*places], [*places]],
            )
        whole = [*chunks]
        for name, gone in db.execute("SELECT filename, count(*) FROM outdone GROUP BY ALL").fetchall():
            path = spool.new_file()
            rest = "SELECT * EXCLUDE (file_row_number) FROM read_parquet($1, file_row_number = true)"
            rest += " WHERE file_row_number NOT IN (SELECT file_row_number FROM outdone WHERE filename = $1)"
            db.execute(f"COPY ({rest}) TO {sql.text(str(path))} (FORMAT parquet)", [name])
            path.chmod(0o600)
            whole[places[name]] = Chunk(path, chunks[places[name]].rows - gone)
    return whole
