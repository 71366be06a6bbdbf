"""Rows that somebody wants, as a notebook takes them: asked for when a result is, kept in private files till then."""

import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from cargo_source.catalog.columns import Column
from cargo_source.errors import BadSettings
from cargo_source.pull.picked import Picked, quoted
from cargo_source.pull.picking import Names, Pick
from cargo_source.pull.session import Session
from cargo_source.pull.typed import EXTRA, arrow_schema
from cargo_source.tabular import Grid

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

FIRST_ROWS = 10
"""Rows that a notebook shows of a result."""
BATCH = 20_000
"""Most rows of a batch."""


@dataclass(frozen=True)
class Source:
    """Where rows come from: what it is called, its columns, and how it is read."""

    label: str
    session: Session
    names: Names
    read: Callable[[Pick], Picked]


class Rows:
    """Rows of a model, a segment or a change. They are read once, when a result is first asked for.

    Results are the columns that were asked for, or all; ``_cargo_extra`` comes with them only where it holds
    something: fields that nobody declared, and values of another type than declared.
    """

    def __init__(self, label: str, source: Callable[[], Source], pick: Callable[[Names], Pick]) -> None:
        self._label, self._make, self._make_pick = label, source, pick
        self._plan: tuple[Source, Pick] | None = None
        self._picked: Picked | None = None
        self._files: weakref.finalize[[list[Path], Session], Rows] | None = None

    # What is wanted ------------------------------------------------------------------------------------------------

    def check(self) -> "Rows":
        """Check columns and condition against the workspace, and give the rows themselves. Reads none of them."""
        self._planned()
        return self

    def _planned(self) -> tuple[Source, Pick]:
        if self._plan is None:
            source = self._make()
            self._plan = source, self._make_pick(source.names)
        return self._plan

    @property
    def _columns(self) -> tuple[Column, ...]:
        source, pick = self._planned()
        return source.names.columns if pick.columns is None else pick.columns

    @property
    def schema(self) -> pa.Schema:
        """The columns and their types. Before rows were read it does not know of ``_cargo_extra``."""
        columns = self._columns
        fields = list(arrow_schema(columns))
        extras = self._picked is not None and self._picked.extras > 0
        return pa.schema(fields[: len(columns) + extras])

    # Reading -------------------------------------------------------------------------------------------------------

    def _read(self) -> Picked:
        if self._picked is None:
            source, pick = self._planned()
            self._picked = source.read(pick)
            # The finalizer holds the session, and with it the folder, as long as these rows live.
            self._files = weakref.finalize(self, _remove, [chunk.path for chunk in self._picked.chunks], source.session)
            self._warn(self._picked)
        if not all(chunk.path.exists() for chunk in self._picked.chunks):
            raise BadSettings(f"{self._label}: these rows were closed, with the workspace or by themselves: read again")
        return self._picked

    def _warn(self, picked: Picked) -> None:
        if picked.landing.refreshing:
            told = "the workspace is still writing: rows may be missing, so read again later"
            warnings.warn(f"{self._label}: {told}", stacklevel=5)
        if picked.extras:
            told = f"{picked.extras} rows hold more than their columns say: see {EXTRA}"
            warnings.warn(f"{self._label}: {told}", stacklevel=5)

    @property
    def lane(self) -> str | None:
        """By which lane the rows came; None before they were read."""
        return self._picked.landing.lane if self._picked else None

    @property
    def extras(self) -> int:
        """How many rows hold something in ``_cargo_extra``. Reads the rows."""
        return self._read().extras

    def __len__(self) -> int:
        return self._read().rows

    def close(self) -> None:
        """Remove the files of these rows. Without it they go with the object, or with the workspace."""
        _LENT.discard(self)
        if self._files is not None:
            self._files()

    # Results -------------------------------------------------------------------------------------------------------

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Give the rows batch by batch from their files, without holding all of them in memory."""
        picked, schema = self._read(), self.schema
        for chunk in picked.chunks:
            with pq.ParquetFile(chunk.path) as file:
                for batch in file.iter_batches(BATCH, columns=schema.names):
                    yield pa.RecordBatch.from_arrays([batch.column(name) for name in schema.names], schema=schema)

    def arrow(self) -> pa.Table:
        """Give a pyarrow Table."""
        batches = list(self.batches())
        return pa.Table.from_batches(batches, self.schema)

    def df(self) -> "pd.DataFrame":
        """Give a pandas DataFrame. Integers and booleans have pandas' nullable types, so that no null rounds them."""
        try:
            import pandas as pd
        except ImportError:
            raise BadSettings(".df() needs pandas: pip install 'cargo-source[pandas]'") from None
        nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
        frame: pd.DataFrame = self.arrow().to_pandas(types_mapper=nullable.get)
        return frame

    def pl(self) -> Any:
        """Give a polars DataFrame."""
        try:
            import polars as pl
        except ImportError:
            raise BadSettings(".pl() needs polars: pip install 'cargo-source[polars]'") from None
        return pl.from_arrow(self.arrow())

    def duckdb(self) -> "duckdb.DuckDBPyRelation":
        """Give a DuckDB relation over the files, which reads them when it is asked.

        The files then live until :meth:`close`, the end of the workspace or of the process, since DuckDB does not say
        when the last relation is gone.
        """
        import duckdb

        picked = self._read()
        _LENT.add(self)
        db = duckdb.connect()
        db.execute("SET TimeZone = 'UTC'")
        columns = ", ".join(map(quoted, self.schema.names))
        files = ", ".join("'" + str(chunk.path).replace("'", "''") + "'" for chunk in picked.chunks)
        return db.sql(f"SELECT {columns} FROM read_parquet([{files}])")  # noqa: S608 - our own files

    # Seeing --------------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        if self._picked is None:
            return f"<Rows of {self._label}, not read yet>"
        return f"<Rows of {self._label}: {self._picked.rows} rows, {len(self.schema)} columns, by {self.lane}>"

    def _repr_html_(self) -> str:
        return self._head().html()

    def _head(self) -> Grid:
        """Show the first rows; where nothing has been read, only these are."""
        if self._picked is None:
            source, pick = self._planned()
            few = FIRST_ROWS if pick.limit is None else min(pick.limit, FIRST_ROWS)
            rows = Rows(self._label, lambda: source, lambda _names: replace(pick, limit=few))
            note = "the first rows; the others are read when they are asked for"
        else:
            rows, note = self, f"{self._picked.rows} rows"
        first: list[dict[str, Any]] = []
        for batch in rows.batches():
            first += batch.slice(0, FIRST_ROWS - len(first)).to_pylist()
            if len(first) >= FIRST_ROWS:
                break
        names = rows.schema.names
        return Grid(names, [[row[name] for name in names] for row in first], f"{self._label}: {note}")


_LENT: set[Rows] = set()
"""Rows whose files a DuckDB relation may still read."""


def _remove(files: list[Path], _session: Session) -> None:
    for file in files:
        file.unlink(missing_ok=True)
