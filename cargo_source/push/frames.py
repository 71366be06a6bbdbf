"""Frames of pandas and polars, as Arrow batches.

Nothing is changed on the way. A pandas column that Arrow has no type for keeps its values: each becomes JSON text, and
the column says so (``JSON`` in its metadata), so that whether a value fits is told by row.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from cargo_source.errors import BadSettings
from cargo_source.push.batches import BATCH, Incoming, arriving, check_names
from cargo_source.push.objects import JSON, array_of_objects

Make = Callable[[int, int], pa.Array | pa.ChunkedArray]
"""Gives the cells of a column from a row on, up to another."""

_REFUSALS = (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError)
"""What Arrow raises where values are of no type that it has; half a character is no text to it."""


def pandas_frame(data: Any) -> Incoming | None:
    """Open a pandas frame; None where it is none. Raises BadSettings for columns without a name of their own."""
    # Whoever has a frame has imported its library.
    pd = sys.modules.get("pandas")
    if pd is None or not isinstance(data, pd.DataFrame):
        return None
    if not all(isinstance(name, str) for name in data.columns):
        raise BadSettings("the frame's columns need names that are texts: rename them with df.rename(columns=str)")
    check_names(data.columns)
    columns = [_column(pd, data[name]) for name in data.columns]
    schema = pa.schema([field for field, _ in columns])

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(data), BATCH):
            arrays = [_one(make(start, start + BATCH)) for _, make in columns]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return arriving(schema, batches())


def _one(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _column(pd: Any, column: Any) -> tuple[pa.Field, Make]:
    """Give the Arrow type of a pandas column, and what makes an array of a part of it."""
    if isinstance(column.dtype, pd.SparseDtype):
        column = column.sparse.to_dense()
    name = str(column.name)
    if isinstance(column.dtype, pd.CategoricalDtype):
        found = _categories(name, column)
    elif pd.api.types.is_object_dtype(column.dtype):
        found = _typed(name, column, _OBJECTS.get(pd.api.types.infer_dtype(column, skipna=True)), look=True)
    else:
        # Texts of Python's own may hold what is no text to Arrow; other types are Arrow's or numpy's.
        found = _typed(name, column, _kind(column), look=isinstance(column.dtype, pd.StringDtype))
    return found or (
        pa.field(name, pa.string(), metadata=JSON),
        lambda start, stop: array_of_objects(column.iloc[start:stop]),
    )


_OBJECTS: dict[str, pa.DataType] = {"string": pa.string(), "boolean": pa.bool_(), "empty": pa.null()}
"""Columns of objects that are all of one kind which Arrow has, by pandas' word for it; others go value by value."""


def _kind(column: Any) -> pa.DataType | None:
    try:
        return pa.array(column.iloc[:0], from_pandas=True).type
    except _REFUSALS:
        return None


def _typed(name: str, column: Any, kind: pa.DataType | None, *, look: bool) -> tuple[pa.Field, Make] | None:
    """Have a column made as a type of Arrow; None where there is none, or where a look at all values says so."""
    if kind is None:
        return None

    def make(start: int, stop: int) -> pa.Array | pa.ChunkedArray:
        return pa.array(column.iloc[start:stop], kind, from_pandas=True)

    try:
        for start in range(0, len(column), BATCH) if look else ():
            make(start, start + BATCH)
    except _REFUSALS:
        return None
    return pa.field(name, kind), make


def _categories(name: str, column: Any) -> tuple[pa.Field, Make] | None:
    """Have a column of categories made at once: its parts would make all categories anew each."""
    try:
        array = pa.array(column, from_pandas=True)
    except _REFUSALS:
        return None
    return pa.field(name, array.type), lambda start, stop: array.slice(start, stop - start)


def polars_frame(data: Any) -> Incoming | None:
    """Open a polars frame, lazy or not; None where it is none. Raises BadSettings for what Arrow has nothing like."""
    pl = sys.modules.get("polars")
    if pl is None or not isinstance(data, pl.DataFrame | pl.LazyFrame):
        return None
    failures = (pl.exceptions.PolarsError,)
    try:
        kinds = data.collect_schema()
        _check(pl, kinds)
        if isinstance(data, pl.DataFrame):
            return _polars_batches(data, data.iter_slices(BATCH), failures)
        empty = pl.DataFrame(schema=kinds)
        # Older versions cannot give a query's rows in parts.
        in_parts = getattr(data, "collect_batches", None)
        frames = in_parts(chunk_size=BATCH, maintain_order=True) if in_parts else _collected(data)
        return _polars_batches(empty, frames, failures)
    except failures as error:
        raise BadSettings(f"the lazy frame cannot be planned ({type(error).__name__}): collect it to see why") from None


def _collected(lazy: Any) -> Iterator[Any]:
    yield from lazy.collect().iter_slices(BATCH)


def _check(pl: Any, kinds: Any) -> None:
    wide = [getattr(pl, name) for name in ("Object", "Int128", "UInt128") if hasattr(pl, name)]
    if lost := [name for name, kind in kinds.items() if _holds(kind, wide)]:
        raise BadSettings(
            f"columns of Python objects or of 128 bits cannot leave polars: {', '.join(lost)}; cast them first"
        )


def _holds(kind: Any, wanted: list[Any]) -> bool:
    """Say whether a type, or one within it, is one of those that are wanted."""
    inner = [field.dtype for field in getattr(kind, "fields", None) or ()]
    if getattr(kind, "inner", None) is not None:
        inner.append(kind.inner)
    return any(kind == each for each in wanted) or any(_holds(each, wanted) for each in inner)


def _polars_batches(first: Any, frames: Iterator[Any], failures: tuple[type[Exception], ...]) -> Incoming:
    schema = pa.RecordBatchReader.from_stream(first.clear()).schema

    def batches() -> Iterator[pa.RecordBatch]:
        for frame in frames:
            yield from pa.RecordBatchReader.from_stream(frame)

    return arriving(schema, batches(), *failures)
