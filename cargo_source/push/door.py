"""Anything tabular, as Arrow batches: frames, relations, readers, parquet files, queries on a database.

Nothing is changed on the way. A column of Python objects that Arrow has no type for keeps its values: each becomes JSON
text, and the column says so (``JSON`` in its metadata), so that whether a value fits is told by row.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq

from cargo_source.errors import BadSettings
from cargo_source.push.objects import JSON, array_of_objects

BATCH = 20_000
"""Rows of a batch, where whoever gives them can be asked."""


@dataclass(frozen=True)
class Incoming:
    """A table on its way in: its columns, and its rows in batches, which can be taken once."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


@runtime_checkable
class _Streams(Protocol):
    """Gives Arrow itself, as polars, pyarrow, DuckDB and others do."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


def incoming(data: Any, database: Any = None) -> Incoming:
    """Open what somebody gives.

    ``data`` is a pandas or polars frame, anything of pyarrow (table, batch, reader, dataset), a DuckDB relation, what
    :meth:`Workspace.read` gives, a relation of a dlt dataset, the path of a parquet file, or, with ``database``, a
    query. ``database`` is a dlt pipeline, a DuckDB file, or the URL of a database, such as ``postgresql://...``.
    Raises BadSettings that says what can be given.
    """
    if isinstance(data, str | Path):
        return _query(str(data), database) if database is not None else _parquet(Path(data))
    if database is not None:
        raise BadSettings("database: it is for a query; what was given is a table already")
    for opens in (_pandas, _polars, _rows, _arrow, _relation):
        if (found := opens(data)) is not None:
            _check(found.schema)
            return found
    raise BadSettings(
        f"a {type(data).__module__}.{type(data).__qualname__} cannot be pushed: give a pandas or polars frame,"
        " something of pyarrow, a DuckDB relation, the path of a parquet file, or a query with its database"
    )


def _check(schema: pa.Schema) -> None:
    names = schema.names
    if twice := sorted({str(name) for name in names if names.count(name) > 1}):
        raise BadSettings(f"columns that share a name cannot be told apart: {', '.join(twice)}")


def _loaded(module: str, data: Any) -> Any:
    """Give a library only if what was given is one of its things: it is imported by then."""
    return importlib.import_module(module) if type(data).__module__.partition(".")[0] == module else None


def _pandas(data: Any) -> Incoming | None:
    pd = _loaded("pandas", data)
    if pd is None or not isinstance(data, pd.DataFrame):
        return None
    for name in data.columns:
        if not isinstance(name, str):
            raise BadSettings("the frame's columns need names that are texts: rename them with df.rename(columns=str)")
    _check_names(list(data.columns))
    columns = {name: _pandas_column(pd, data[name]) for name in data.columns}
    schema = pa.schema([kind for kind, _ in columns.values()])

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(data), BATCH):
            part = data.iloc[start : start + BATCH]
            arrays = [_one(make(part[name])) for name, (_, make) in columns.items()]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return Incoming(schema, batches())


def _one(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _check_names(names: Sequence[str]) -> None:
    _check(pa.schema([pa.field(name, pa.null()) for name in names]))


Make = Callable[[Any], pa.Array]


def _pandas_column(pd: Any, column: Any) -> tuple[pa.Field, Make]:
    """Give the Arrow type of a pandas column, and what makes an array of a part of it."""
    name = str(column.name)
    if not pd.api.types.is_object_dtype(column.dtype):
        kind = pa.array(column.iloc[:0], from_pandas=True).type
        if pa.types.is_null(kind):
            kind = pa.array(column, from_pandas=True).type
        return pa.field(name, kind), lambda part: pa.array(part, kind, from_pandas=True)
    inferred = _OBJECTS.get(pd.api.types.infer_dtype(column, skipna=True))
    if inferred is not None and _takes(column, inferred):
        return pa.field(name, inferred), lambda part: pa.array(part, inferred, from_pandas=True)
    return pa.field(name, pa.string(), metadata=JSON), lambda part: array_of_objects(part, pd.isna)


_OBJECTS: dict[str, pa.DataType] = {"string": pa.string(), "boolean": pa.bool_(), "empty": pa.null()}
"""Columns of objects that are all of one kind which Arrow has, by pandas' word for it; others go value by value."""


def _takes(column: Any, kind: pa.DataType) -> bool:
    """Say whether Arrow takes every value: half a character is no text to it."""
    try:
        return all(
            pa.array(column.iloc[at : at + BATCH], kind, from_pandas=True) is not None
            for at in range(0, len(column), BATCH)
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return False


def _polars(data: Any) -> Incoming | None:
    pl = _loaded("polars", data)
    if pl is None:
        return None
    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    if not isinstance(data, pl.DataFrame):
        return None
    if objects := [name for name, kind in data.schema.items() if kind == pl.Object]:
        raise BadSettings(f"columns of Python objects cannot leave polars: {', '.join(objects)}; cast them first")
    return _stream(data)


def _rows(data: Any) -> Incoming | None:
    """Take what Workspace.read gives."""
    schema, batches = getattr(data, "schema", None), getattr(data, "batches", None)
    if isinstance(schema, pa.Schema) and callable(batches) and hasattr(data, "arrow"):
        # What more it holds is known when its rows are.
        batches = data.batches()
        return Incoming(data.schema, batches)
    return None


def _arrow(data: Any) -> Incoming | None:
    if isinstance(data, pa.RecordBatchReader):
        return Incoming(data.schema, iter(data))
    if isinstance(data, pa.RecordBatch):
        return Incoming(data.schema, iter([data]))
    if isinstance(data, pa.Table):
        return Incoming(data.schema, iter(data.to_batches(max_chunksize=BATCH)))
    if type(data).__module__.startswith("pyarrow") and hasattr(data, "to_batches"):
        return Incoming(data.schema, iter(data.to_batches(batch_size=BATCH)))
    return None


def _relation(data: Any) -> Incoming | None:
    if type(data).__name__ == "DuckDBPyRelation":
        reader = data.to_arrow_reader(BATCH)
        return Incoming(reader.schema, iter(reader))
    if hasattr(data, "iter_arrow"):
        return _chunks(data.iter_arrow(chunk_size=BATCH))
    return _stream(data) if isinstance(data, _Streams) else None


def _stream(data: _Streams) -> Incoming:
    reader = pa.RecordBatchReader.from_stream(data)
    return Incoming(reader.schema, iter(reader))


def _chunks(tables: Iterator[pa.Table]) -> Incoming:
    first = next(tables, None)
    if first is None:
        raise BadSettings("the query gives no rows, and so no columns: there is nothing to push")

    def batches() -> Iterator[pa.RecordBatch]:
        yield from first.to_batches()
        for table in tables:
            yield from table.to_batches()

    return Incoming(first.schema, batches())


def _parquet(path: Path) -> Incoming:
    if not path.exists():
        raise BadSettings(
            f"{str(path)!r} is no file; give the path of a parquet file, or say in which database to run a query"
        )
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadSettings(f"{path} cannot be read as parquet: {type(error).__name__}") from None
    _check(file.schema_arrow)
    return Incoming(file.schema_arrow, file.iter_batches(BATCH))


def _query(query: str, database: Any) -> Incoming:
    """Run a query where ``database`` says, through the platform's own objects."""
    if isinstance(database, str | Path) and "://" not in str(database):
        return _duckdb(query, Path(database))
    if isinstance(database, str) and database.startswith("duckdb://"):
        return _duckdb(query, Path(database.removeprefix("duckdb://").removeprefix("/")))
    import dlt
    from dlt.destinations.exceptions import DatabaseException

    try:
        dataset = database.dataset() if hasattr(database, "dataset") else dlt.dataset(_destination(database), "public")
        found = _chunks(dataset(query, _execute_raw_query=True).iter_arrow(chunk_size=BATCH))
    except DatabaseException as error:
        raise BadSettings(f"the query failed: {_first_line(error)}") from None
    _check(found.schema)
    return found


def _destination(url: str) -> Any:
    from dlt.common.destination import Destination
    from dlt.common.destination.exceptions import UnknownDestinationModule

    kind = url.partition("://")[0].partition("+")[0]
    name = {"postgresql": "postgres", "postgres": "postgres"}.get(kind, kind)
    try:
        return Destination.from_reference(name, credentials=url)
    except (UnknownDestinationModule, ImportError) as error:
        raise BadSettings(f"database: dlt knows no {kind!r} ({type(error).__name__})") from None


def _duckdb(query: str, path: Path) -> Incoming:
    import duckdb

    if not path.exists():
        raise BadSettings(f"there is no database {path}")
    try:
        db = duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        raise BadSettings(f"{path} cannot be opened: {_first_line(error)}") from None
    try:
        db.execute("SET TimeZone = 'UTC'")
        reader = db.execute(query).to_arrow_reader(BATCH)
    except duckdb.Error as error:
        db.close()
        raise BadSettings(f"the query failed: {_first_line(error)}") from None

    def batches() -> Iterator[pa.RecordBatch]:
        with db:
            yield from reader

    _check(reader.schema)
    return Incoming(reader.schema, batches())


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
