"""Rows of a query on PostgreSQL, asked by a cursor on the server: what it holds is exact, or refused by row.

dlt would read the whole answer into memory, take a column's type from its first rows, make one shape of all JSON, and
cut digits off large numbers.
"""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg2
import pyarrow as pa
from psycopg2 import extensions, extras

from cargo_source.errors import BadSettings
from cargo_source.push.batches import Incoming, arriving
from cargo_source.push.objects import JSON, array_of_objects

ROWS = 10_000
"""Rows that the server is asked for at once."""
_TEXT = pa.string()
_TYPES: dict[int, pa.DataType] = {
    **dict.fromkeys((16,), pa.bool_()),
    **dict.fromkeys((20, 21, 23), pa.int64()),
    **dict.fromkeys((700, 701), pa.float64()),
    # char, name, text, bpchar, varchar, uuid; json and jsonb as they stand.
    **dict.fromkeys((18, 19, 25, 1042, 1043, 2950, 114, 3802), _TEXT),
}
"""Types of PostgreSQL, by their numbers, that Arrow has; other values go one by one."""
_ENDLESS: dict[int, Callable[[str | None, Any], Any]] = {
    1082: extensions.PYDATE,
    1114: extensions.PYDATETIME,
    1184: extensions.PYDATETIMETZ,
}
"""Times, among which some are infinite: psycopg2 would make the last day of the calendar of them."""


def postgres_query(text: str, client: Any) -> Incoming:
    """Run a query through dlt's ``client`` of a database. Raises BadSettings, and what a connection raises."""
    db = client.open_connection()
    try:
        db.rollback()
        # Whatever the query is, it changes nothing.
        db.set_session(readonly=True, autocommit=False)
        _read_as_they_are(db)
        cursor = db.cursor("cargo_source")
        cursor.execute(text)
        first = cursor.fetchmany(ROWS)
    except psycopg2.Error as error:
        client.close_connection()
        if isinstance(error, psycopg2.OperationalError):
            raise
        raise BadSettings(f"the query failed: {_words(error)}") from None
    kinds = [_TYPES.get(column.type_code) for column in cursor.description]
    fields = [
        pa.field(column.name, kind or _TEXT, metadata=None if kind else JSON)
        for column, kind in zip(cursor.description, kinds, strict=True)
    ]
    schema = pa.schema(fields)

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            rows = first
            while rows:
                columns = zip(zip(*rows, strict=True), kinds, strict=True)
                arrays = [pa.array(cells, kind) if kind else array_of_objects(cells) for cells, kind in columns]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
                rows = cursor.fetchmany(ROWS)
        finally:
            client.close_connection()

    return arriving(schema, batches(), psycopg2.Error)


def _read_as_they_are(db: Any) -> None:
    """Have one connection give values without loss: JSON as text, and inside of arrays with all digits."""
    exact = partial(json.loads, parse_float=Decimal)
    extras.register_default_json(db, loads=exact)
    extras.register_default_jsonb(db, loads=exact)
    extensions.register_type(extensions.new_type((114, 3802, 2950), "TEXT", lambda value, _cursor: value), db)
    for number, reads in _ENDLESS.items():
        extensions.register_type(extensions.new_type((number,), f"TIME{number}", partial(_time, reads)), db)


def _time(reads: Callable[[str | None, Any], Any], value: str | None, cursor: Any) -> Any:
    return float(value) if value in {"infinity", "-infinity"} else reads(value, cursor)


def _words(error: psycopg2.Error) -> str:
    """Tell a failure in a line, and in PostgreSQL's words only where they name tables and columns, not cells."""
    known = str(error.pgcode or "").startswith("42")
    return next(iter(str(error).splitlines()), "") if known else type(error).__name__
