"""A DuckDB file that is kept open for a whole sync, in memory that does not grow with the rows."""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import dlt
import duckdb
from dlt.common.destination.exceptions import DestinationException
from dlt.common.runtime.collector_base import Collector
from dlt.pipeline.pipeline import Pipeline

from cargo_source.errors import DestinationRefused

CHECKPOINT_MEMORY = "448MB"
"""What DuckDB may use while it brings its file in order: without a limit, two million rows took a gigabyte more."""
CACHED = 64 * 1024 * 1024
"""Bytes of its file that DuckDB may keep in memory between two jobs. Without end, it keeps all that it has written."""
LONG_JOB = 0.2
"""Seconds; what shorter jobs have written is not worth the time that forgetting takes."""
SMALL_FILE = 96 * 1024 * 1024
"""Bytes of a file, with what waits in its log, that may be brought in order when it is closed."""

log = logging.getLogger("cargo_source")


def is_duckdb(pipeline: Pipeline) -> bool:
    """Say whether a pipeline loads into a DuckDB file."""
    destination: Any = pipeline.destination
    return destination is not None and destination.destination_type.endswith(".duckdb")


@contextmanager
def kept_open(pipeline: Pipeline) -> Iterator[None]:
    """Keep a DuckDB file open meanwhile: to open it for each question and job took longer than what was asked and done.

    It also keeps others from coming between two jobs. Raises DestinationRefused.
    """
    if not is_duckdb(pipeline):
        yield
        return
    client: Any = pipeline.destination_client()
    sql = client.sql_client
    try:
        sql.open_connection()
    except DestinationException as error:
        raise DestinationRefused.from_cause(error.__cause__ or error, step="opening") from None
    try:
        connection = sql.native_connection
        with ExitStack() as tuned:
            tuned.enter_context(_set(connection, "write_buffer_row_group_count", 1))
            new = connection.execute("SELECT count(*) = 0 FROM duckdb_tables()").fetchone()[0]
            if new:
                # Nothing will be changed or deleted: rows just written need not be written closer together.
                tuned.enter_context(_set(connection, "max_vacuum_tasks", 0))
            with _forgetful(pipeline, connection):
                yield
            # When a new file is closed, its rows would be written again after all: a fifth of 500,000 rows' time.
            _brought_in_order(connection, smallest=0 if new else SMALL_FILE)
    finally:
        sql.close_connection()


@contextmanager
def _set(connection: duckdb.DuckDBPyConnection, name: str, value: int) -> Iterator[None]:
    """Have less kept in memory, or written twice, where this version of DuckDB knows how. Others may use it later."""
    try:
        ((before,),) = connection.execute(f"SELECT current_setting('{name}')").fetchall()
        connection.execute(f"SET {name} = {value}")
    except duckdb.CatalogException:
        log.debug("DuckDB %s has no %s", duckdb.__version__, name)
        yield
        return
    try:
        yield
    finally:
        # A database that broke takes no settings any more, and what broke it is what has to be told.
        with suppress(duckdb.Error):
            connection.execute(f"SET {name} = {before}")


@contextmanager
def _forgetful(pipeline: Pipeline, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Have DuckDB forget what it has written after each job; not where several run at once and need their memory."""
    if dlt.config.get("load.workers") != 1:
        yield
        return
    progress = pipeline.collector
    pipeline.collector = _Forgetting(progress, connection)
    try:
        yield
    finally:
        pipeline.collector = progress


class _Forgetting(Collector):
    """Passes progress on, which is how dlt tells when a job is done."""

    def __init__(self, progress: Collector, connection: duckdb.DuckDBPyConnection) -> None:
        self._progress, self._connection = progress, connection
        self._before = time.monotonic()

    def __deepcopy__(self, memo: dict[int, Any]) -> Collector:
        return deepcopy(self._progress, memo)

    def update(self, name: str, *how: Any, **more: Any) -> None:
        """Note that something is done."""
        self._progress.update(name, *how, **more)
        if name == "Jobs":
            if time.monotonic() - self._before > LONG_JOB:
                self._forget()
            self._before = time.monotonic()

    def _forget(self) -> None:
        usage = "SELECT sum(memory_usage_bytes), current_setting('memory_limit') FROM duckdb_memory()"
        ((used, limit),) = self._connection.execute(usage).fetchall()
        if used <= CACHED:
            return
        try:
            self._connection.execute(f"SET memory_limit = '{CACHED}B'")
        except duckdb.OutOfMemoryException:
            log.debug("DuckDB needs more than %s bytes for what is not committed", CACHED)
        finally:
            self._connection.execute(f"SET memory_limit = '{limit}'")

    def __call__(self, step: str) -> Self:
        """Begin a step."""
        self._progress(step)
        return super().__call__(step)

    def _start(self, step: str) -> None:
        self._progress._start(step)  # noqa: SLF001 - dlt's own way to pass it on

    def _stop(self) -> None:
        self._progress._stop()  # noqa: SLF001 - as above

    def on_start_trace(self, *about: Any) -> None:
        """Pass it on."""
        self._progress.on_start_trace(*about)

    def on_start_trace_step(self, *about: Any) -> None:
        """Pass it on."""
        self._progress.on_start_trace_step(*about)

    def on_end_trace_step(self, *about: Any) -> None:
        """Pass it on."""
        self._progress.on_end_trace_step(*about)

    def on_end_trace(self, *about: Any) -> None:
        """Pass it on."""
        self._progress.on_end_trace(*about)


def _brought_in_order(connection: duckdb.DuckDBPyConnection, smallest: int) -> None:
    """Have DuckDB write what it has put off, in little memory: when it is closed, it takes as much as it may."""
    ((file, limit),) = connection.execute(
        "SELECT path, current_setting('memory_limit') FROM duckdb_databases() WHERE database_name = current_database()"
    ).fetchall()
    # A database in memory has no file.
    files = [path for path in (Path(file), Path(f"{file}.wal")) if path.exists()] if file else []
    size = sum(path.stat().st_size for path in files)
    if not files or size < smallest:
        return
    # A limit below a gigabyte keeps it small already, and what is small needs none.
    lowered = size >= SMALL_FILE and limit.endswith(("GiB", "TiB"))
    try:
        if lowered:
            connection.execute(f"SET memory_limit = '{CHECKPOINT_MEMORY}'")
        connection.execute("CHECKPOINT")
    except duckdb.Error as error:
        log.info("the database is brought in order when it is closed: %s", type(error).__name__)
    finally:
        if lowered:
            connection.execute(f"SET memory_limit = '{limit}'")
