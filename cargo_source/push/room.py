"""Room for what DuckDB is asked: it begins with little, and is given more where a question needs it.

Rows of ordinary length are compared and kept on disk in little memory. DuckDB takes 2,048 rows in hand at once, however
long they are, so that a few megabytes in each need more.
"""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import duckdb

from cargo_source.errors import FixTheData

log = logging.getLogger("cargo_source")

_UNITS = {"bytes": 1 / 1024**2, "KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0, "TiB": 1024.0**2}


def asked(
    db: duckdb.DuckDBPyConnection, statement: str, values: Sequence[Any] | None = None
) -> duckdb.DuckDBPyConnection:
    """Execute a statement by itself, with twice the memory where there was too little, and so on.

    Raises FixTheData where the whole machine has too little.
    """
    while True:
        try:
            return db.execute(statement, values)
        except duckdb.OutOfMemoryException:
            room = limit(db)
            if room >= most():
                raise FixTheData(
                    f"the rows are too long for the memory of this machine ({room:,.0f} MB): push fewer columns at once"
                ) from None
            log.debug("rows are long: DuckDB may take %.0f MB now", 2 * room)
            give(db, 2 * room)


def limit(db: duckdb.DuckDBPyConnection) -> float:
    """Give the megabytes that DuckDB may take."""
    return _megabytes(str(db.execute("SELECT current_setting('memory_limit')").fetchall()[0][0]))


def give(db: duckdb.DuckDBPyConnection, megabytes: float) -> None:
    """Let DuckDB take so many megabytes, or as many as it would by itself."""
    db.execute(f"SET memory_limit = '{min(megabytes, most()):.1f}MiB'")


@cache
def most() -> float:
    """Give the megabytes that DuckDB takes by itself: four fifths of the machine's."""
    with duckdb.connect() as db:
        return limit(db)


def _megabytes(text: str) -> float:
    number, unit = text.split()
    return float(number) * _UNITS[unit]
