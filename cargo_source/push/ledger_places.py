"""Where a ledger can be: a DuckDB file, or the destination of a dlt pipeline."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa
from tenacity import Retrying, retry_if_exception, retry_if_exception_type, stop_after_delay, wait_random

from cargo_source.command import DEFAULT_STATE_DIR
from cargo_source.errors import BadSettings, DestinationRefused
from cargo_source.pull import sql
from cargo_source.push.ledger import Ledger
from cargo_source.push.queries import dlt_destination, is_unreached

NO_DATABASE = frozenset({".parquet", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".gz", ".xlsx", ".plan"})
"""Files that DuckDB would read as tables, and keep nothing in."""
SCHEMA = "cargo"
"""The schema that the ledger's tables are in, as that of a sync by default."""
_TYPES = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE PRECISION",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
}
MEMORY = "128MB"
"""What DuckDB may take while a push is written down."""
NO_TABLES = frozenset({"filesystem", "cargo"})
"""Destinations of dlt that keep no tables: what SQL writes there is gone with the connection."""
TOGETHER = 500
"""Rows of one statement, where they go as values."""


def ledger_in(place: Any) -> Ledger:
    """Open the ledger in a DuckDB file, given by its path, in a database by its URL, or where a dlt pipeline loads."""
    if isinstance(place, str | Path) and "://" in str(place):
        return Ledger(*_at(str(place)))
    if isinstance(place, str | Path):
        path = Path(place)
        if path.suffix.casefold() in NO_DATABASE:
            raise BadSettings(f"ledger: {path} is no DuckDB file; take one that ends in .duckdb")
        return Ledger(DuckDbFile(path), path.parent / f"{path.name}.pushes")
    if hasattr(place, "sql_client"):
        kind = getattr(place.destination, "destination_name", None)
        if kind is None:
            raise BadSettings(f"ledger: the pipeline {place.pipeline_name!r} has no destination")
        if kind in NO_TABLES:
            raise BadSettings(f"ledger: a pipeline that loads into {kind} keeps no tables; take a DuckDB file instead")
        folder = Path(place.pipelines_dir) / f"{place.pipeline_name}.pushes"
        return Ledger(PipelineTables(place.sql_client), folder)
    raise BadSettings("ledger: the path of a DuckDB file, the URL of a database, or a dlt pipeline")


def _at(url: str) -> tuple["PipelineTables", Path]:
    """Give the tables in a database, and where pushes that are under way are written down."""
    import dlt

    opened = dlt.dataset(dlt_destination(url), SCHEMA)
    # Who asks, and by which password, may change while a push waits to be gone on with.
    place = urlsplit(url)
    name = hashlib.sha256(f"{place.hostname}:{place.port}{place.path}".encode()).hexdigest()[:12]
    return PipelineTables(lambda: opened.sql_client), DEFAULT_STATE_DIR / f"{name}.pushes"


def _made(name: str, table: pa.RecordBatchReader) -> str:
    columns = ", ".join(f"{sql.name(field.name)} {_TYPES[field.type]}" for field in table.schema)
    return f"CREATE TABLE IF NOT EXISTS {name} ({columns})"


def _widened(name: str, table: pa.RecordBatchReader, there: Collection[str]) -> Iterator[str]:
    """Give a table of an earlier version, which has the columns ``there``, those that are new."""
    for field in table.schema:
        if field.name not in {name.casefold() for name in there}:
            yield f"ALTER TABLE {name} ADD COLUMN {sql.name(field.name)} {_TYPES[field.type]}"


class DuckDbFile:
    """Tables in a DuckDB file, which is open only while it is asked: others may want it."""

    patience = 20.0
    """Seconds to wait for another process that has the file open."""

    def __init__(self, path: Path, schema: str = SCHEMA) -> None:
        self._path, self._schema = path, schema

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        """Open the file; another push that writes to it is waited for."""
        waiting = Retrying(
            retry=retry_if_exception_type(duckdb.IOException),
            stop=stop_after_delay(self.patience),
            wait=wait_random(0.05, 0.5),
            reraise=True,
        )
        try:
            db = waiting(duckdb.connect, str(self._path), read_only=read_only)
        except duckdb.Error as error:
            raise DestinationRefused.from_cause(error, step="ledger") from None
        db.execute(f"SET TimeZone = 'UTC'; SET memory_limit = '{MEMORY}'")
        return db

    def select(self, table: str, columns: Sequence[str], where: str) -> list[tuple[Any, ...]]:
        """Give these columns of the rows where ``where`` holds; none where there is no file, or no such table."""
        if not self._path.exists():
            return []
        with self._open(read_only=True) as db:
            there = "SELECT 1 FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?"
            if not db.execute(there, [self._schema, table]).fetchall():
                return []
            names = ", ".join(columns)
            return db.execute(f"SELECT {names} FROM {self._schema}.{table} WHERE {where}").fetchall()

    def replace(self, run_id: str, tables: dict[str, pa.RecordBatchReader]) -> None:
        """Put the rows of one run in the place of those that are there of it."""
        fresh = not self._path.exists()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._open(read_only=False) as db:
            if fresh:
                self._path.chmod(0o600)
            db.execute("BEGIN")
            db.execute(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
            for name, table in tables.items():
                db.execute(_made(f"{self._schema}.{name}", table))
                there = [each[0] for each in db.execute(f"FROM {self._schema}.{name} LIMIT 0").description]
                for statement in _widened(f"{self._schema}.{name}", table, there):
                    db.execute(statement)
                db.execute(f"DELETE FROM {self._schema}.{name} WHERE run_id = ?", [run_id])
                db.register("fresh", table)
                db.execute(f"INSERT INTO {self._schema}.{name} BY NAME SELECT * FROM fresh")
                db.unregister("fresh")
            db.execute("COMMIT")


class PipelineTables:
    """Tables in a dataset of dlt's, asked in SQL that DuckDB and PostgreSQL share.

    ``client`` gives what speaks to it.
    """

    patience = 20.0
    """Seconds to wait for another program that has a DuckDB file open."""

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """Open the dataset. Raises BadSettings or DestinationRefused, which say why it cannot be."""
        from dlt.common.destination.exceptions import DestinationException, SqlClientNotAvailable

        waiting = Retrying(
            # Only a file that somebody has open becomes free by itself.
            retry=retry_if_exception(lambda error: "lock" in str(error)),
            stop=stop_after_delay(self.patience),
            wait=wait_random(0.05, 0.5),
            reraise=True,
        )
        try:
            with ExitStack() as opened:
                yield waiting(lambda: opened.enter_context(self._client()))
        except SqlClientNotAvailable:
            raise BadSettings("ledger: the destination cannot be asked in SQL; take a DuckDB file") from None
        except Exception as error:
            if not (isinstance(error, DestinationException) or is_unreached(error)):
                raise
            raise DestinationRefused.from_cause(error, step="ledger") from None

    def select(self, table: str, columns: Sequence[str], where: str) -> list[tuple[Any, ...]]:
        """Give these columns of the rows where ``where`` holds; none where there is no such table."""
        from dlt.common.destination.exceptions import DestinationUndefinedEntity

        with self._opened() as client:
            names = ", ".join(columns)
            query = f"SELECT {names} FROM {client.make_qualified_table_name(table)} WHERE {where}"
            try:
                return [tuple(row) for row in client.execute_sql(query) or []]
            except DestinationUndefinedEntity:
                return []

    def replace(self, run_id: str, tables: dict[str, pa.RecordBatchReader]) -> None:
        """Put the rows of one run in the place of those that are there of it."""
        with self._opened() as client:
            if not client.has_dataset():
                client.create_dataset()
            with client.begin_transaction():
                for name, table in tables.items():
                    qualified = client.make_qualified_table_name(name)
                    client.execute_sql(_made(qualified, table))
                    with client.execute_query(f"SELECT * FROM {qualified} WHERE 1 = 0") as cursor:
                        there = [each[0] for each in cursor.description]
                    for statement in _widened(qualified, table, there):
                        client.execute_sql(statement)
                    client.execute_sql(f"DELETE FROM {qualified} WHERE run_id = %s", run_id)
                    self._insert(client, qualified, table)

    @staticmethod
    def _insert(client: Any, qualified: str, table: pa.RecordBatchReader) -> None:
        names = ", ".join(map(sql.name, table.schema.names))
        places = "(" + ", ".join(["%s"] * len(table.schema.names)) + ")"
        parts = (batch.slice(start, TOGETHER) for batch in table for start in range(0, batch.num_rows, TOGETHER))
        for batch in parts:
            rows = [list(row.values()) for row in batch.to_pylist()]
            values = ", ".join([places] * len(rows))
            client.execute_sql(
                f"INSERT INTO {qualified} ({names}) VALUES {values}", *(cell for row in rows for cell in row)
            )
