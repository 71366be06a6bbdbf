"""The warehouse as an analyst meets it: the pipeline that fills it, and frames out of its tables and views.

>>> from cargo_source import ask, cargo, sync, warehouse
>>> pipeline = warehouse()  # doctest: +SKIP
>>> sync(pipeline, cargo(), views=True)  # doctest: +SKIP
>>> ask(pipeline, "SELECT agent, sum(credits) AS credits FROM agent_performance_daily GROUP BY ALL")  # doctest: +SKIP
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from dlt.common.destination.exceptions import DestinationUndefinedEntity, SqlClientNotAvailable
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.pipeline.pipeline import Pipeline

from cargo_source.command import DEFAULT_STATE_DIR
from cargo_source.errors import BadSettings, DestinationRefused
from cargo_source.pull.destination import duckdb_pipeline

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 50_000
"""Rows that are fetched at once."""


def warehouse(
    database: str | Path = "warehouse.duckdb", dataset: str = "cargo", state_dir: str | Path | None = None
) -> Pipeline:
    """Give the dlt pipeline that ``cargo-source sync`` loads with, into a DuckDB file.

    What that command has loaded is there, and the next sync goes on where it ended, from here or from there.
    ``state_dir`` is by default the folder ``.cargo-source`` beside the file. Raises BadSettings where a folder cannot
    be written to.
    """
    file = Path(database)
    return duckdb_pipeline(file, dataset, file.parent / DEFAULT_STATE_DIR if state_dir is None else Path(state_dir))


def ask(pipeline: Pipeline, query: str) -> "pd.DataFrame":
    """Ask the tables and views of a pipeline's dataset in SQL, and give a pandas DataFrame.

    Tables go by their bare names; the words are those of the destination. Integers and booleans have pandas' nullable
    types, other numbers are floats, days are timestamps at midnight and moments are in UTC.

    Raises BadSettings where pandas is missing, a table was never loaded or the destination knows no SQL,
    DestinationRefused where it cannot be had, and what it says itself of a query that it cannot answer.
    """
    try:
        import pandas as pd
    except ImportError:
        raise BadSettings("ask() needs pandas: pip install 'cargo-source[pandas]'") from None
    try:
        with pipeline.sql_client() as client, client.execute_query(query) as cursor:
            names = [column[0] for column in cursor.description]
            parts = list(cursor.iter_arrow(chunk_size=AT_ONCE))
    except SqlClientNotAvailable:
        raise BadSettings("ask: this destination cannot be asked in SQL") from None
    except DestinationUndefinedEntity as error:
        what = str(error).strip().partition("\n")[0]
        raise BadSettings(f"ask: {what} Sync it first, and views with views=True") from None
    except DestinationConnectionError as error:
        raise DestinationRefused.from_cause(error, step="ask") from None
    if not parts:
        return pd.DataFrame(columns=names)
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = _plain(pa.concat_tables(parts)).to_pandas(types_mapper=nullable.get, date_as_object=False)
    return frame


def _plain(table: pa.Table) -> pa.Table:
    """Have numbers in the types that people count and draw with, and moments in one zone."""
    return table.cast(pa.schema([field.with_type(_plainer(field.type)) for field in table.schema]))


def _plainer(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_decimal(kind):
        # A sum of whole numbers is a decimal without places in DuckDB.
        return pa.int64() if kind.scale == 0 else pa.float64()
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        # DuckDB gives them in this machine's zone.
        return pa.timestamp(kind.unit, "UTC")
    return kind
