"""Anything tabular, as Arrow batches: frames, relations, readers, parquet files, queries on a database."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cargo_source.errors import BadSettings
from cargo_source.push.batches import BATCH, Differing, Incoming, arriving
from cargo_source.push.frames import pandas_frame, polars_frame
from cargo_source.push.queries import check_duckdb, dlt_relation, query

__all__ = ["Incoming", "incoming"]


@runtime_checkable
class _Streams(Protocol):
    """Gives Arrow itself, as many libraries do."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


def incoming(data: Any, database: Any = None) -> Incoming:
    """Open what somebody gives.

    ``data`` is a pandas or polars frame, anything of pyarrow (table, batch, reader, dataset), a DuckDB relation, what
    :meth:`Workspace.read` gives, a relation of a dlt dataset, the path of a parquet file, or, with ``database``, a
    query. ``database`` is a dlt pipeline, a DuckDB file, or the URL of a database, such as ``postgresql://...``.
    Raises BadSettings that says what can be given.
    """
    if database is not None:
        if not isinstance(data, str):
            raise BadSettings("database: it is for a query; what was given is a table already")
        return query(data, database)
    if isinstance(data, str | Path):
        return _parquet(Path(data))
    if isinstance(data, Differing):
        return replace(arriving(data.reader.schema, data.reader, *data.failures), left_out=data.left_out)
    for opens in (pandas_frame, polars_frame, _rows, _arrow, _relation):
        if (found := opens(data)) is not None:
            return found
    raise _unknown(data)


def _unknown(data: Any) -> BadSettings:
    return BadSettings(
        f"a {type(data).__module__}.{type(data).__qualname__} cannot be pushed: give a pandas or polars frame,"
        " something of pyarrow, a DuckDB relation, the path of a parquet file, or a query with its database"
    )


def _rows(data: Any) -> Incoming | None:
    """Take what Workspace.read gives."""
    schema, batches = getattr(data, "schema", None), getattr(data, "batches", None)
    if isinstance(schema, pa.Schema) and callable(batches) and hasattr(data, "arrow"):
        return arriving(schema, batches())
    return None


def _arrow(data: Any) -> Incoming | None:
    if isinstance(data, pa.RecordBatchReader):
        return arriving(data.schema, data)
    if isinstance(data, pa.RecordBatch):
        return arriving(data.schema, [data])
    if isinstance(data, pa.Table):
        return arriving(data.schema, data.to_batches(max_chunksize=BATCH))
    if type(data).__module__.startswith("pyarrow"):
        # Scanners give their batches as readers; so do datasets, by a scanner.
        scanner = data.scanner(batch_size=BATCH, batch_readahead=2, fragment_readahead=1) if _scans(data) else data
        if hasattr(scanner, "to_reader"):
            reader = scanner.to_reader()
            return arriving(reader.schema, reader)
    return None


def _scans(data: Any) -> bool:
    return hasattr(data, "scanner") and hasattr(data, "get_fragments")


def _relation(data: Any) -> Incoming | None:
    if isinstance(data, duckdb.DuckDBPyRelation):
        try:
            check_duckdb(data.columns, data.types)
            return _stream(data.to_arrow_reader(BATCH))
        except duckdb.Error as error:
            # Its own words may quote a cell.
            raise BadSettings(f"the relation cannot be read ({type(error).__name__}): show it to see why") from None
    if hasattr(data, "iter_arrow"):
        return dlt_relation(data)
    if not isinstance(data, _Streams):
        return None
    try:
        return _stream(pa.RecordBatchReader.from_stream(data))
    except pa.ArrowException:
        # A single column is a stream too.
        raise _unknown(data) from None


def _stream(reader: pa.RecordBatchReader) -> Incoming:
    return arriving(reader.schema, reader, duckdb.Error)


def _parquet(path: Path) -> Incoming:
    if not path.is_file():
        raise BadSettings(
            f"{str(path)!r} is no file; give the path of a parquet file, or say in which database to run a query"
        )
    try:
        # Without both, a whole row group is read ahead, which may be the whole file.
        file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise BadSettings(f"{path} cannot be read as parquet: {type(error).__name__}") from None
    return arriving(schema, _closing(file))


_BUFFER = 1 << 20


def _closing(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    with file:
        yield from file.iter_batches(BATCH)
