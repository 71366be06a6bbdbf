"""Rows of JSON that stay the text that came, until DuckDB makes columns of many of them at once, without Python's lock.

Who uses it holds each row against a struct of :data:`WIRE` first: then DuckDB reads what
:mod:`cargo_source.pull.typed` would. What does not fit goes value by value there.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from cargo_source.catalog.columns import Column, Type
from cargo_source.errors import UnexpectedShape
from cargo_source.pull import sql
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.spool import Spool
from cargo_source.pull.typed import ARROW, times_of

log = logging.getLogger("cargo_source")

MISFITS = 8
"""After so many pages in a row that do not fit, no further one is tried."""
FEW = 200
"""Fewer rows are typed value by value as soon as DuckDB is asked."""


class Unset(msgspec.Struct, forbid_unknown_fields=True):
    """A native date that some paths wrote: it reads back as ``{}`` and is null."""


msgspec.json.Decoder(Unset)
"""Found out about here, once: threads that do so at the same time, for structs that share this one, break msgspec."""

UNSET = "{}"
_INT64 = msgspec.Meta(ge=-(2**63), le=2**63 - 1)
_EXACT = msgspec.Meta(ge=-(2**53), le=2**53)
_LONGER = msgspec.Meta(min_length=len(UNSET) + 1)

WIRE: dict[Type, Any] = {
    "text": str | None,
    "integer": Annotated[int, _INT64] | None,
    "decimal": int | float | None,
    "number": Annotated[int, _EXACT] | float | None,
    "boolean": bool | None,
    "timestamp": Annotated[str, _LONGER] | Unset | None,
    "json": msgspec.Raw,
}
"""What a cell of each type is on the wire, where DuckDB reads it as :mod:`cargo_source.pull.typed` does.

Integers that a double would round are not among them, nor a text that could be taken for an unset date.
"""

_READ_AS: dict[Type, str] = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "json": "JSON"}
"""What DuckDB reads them as; all others as text, of which Arrow makes times and decimals."""

_EXACT_DECIMAL = "^-?[0-9]{1,29}([.][0-9]{1,9})?$"
NULL = msgspec.Raw(b"null")


def read(
    spool: Spool, table: str, lines: Sequence[bytes], columns: Sequence[Column], inside: Mapping[str, Sequence[Column]]
) -> pa.Table | None:
    """Read the fields of ``columns`` out of rows, and as ``field[]`` the objects in lists under those of ``inside``.

    Gives them by their names on the wire; None where one of the rows is for the other way after all.
    """
    content = b"\n".join(lines)
    # Nobody has promised that there are no line breaks inside of rows.
    if content.count(b"\n") != len(lines) - 1:
        return None
    kinds = ", ".join(f"{sql.text(column.field)}: {sql.text(_read_as(column))}" for column in columns)
    cells = [sql.name(column.field) + ("::VARCHAR" if column.type == "json" else "") for column in columns]
    for field, within in inside.items():
        items = json.dumps([{column.field: _read_as(column) for column in within}])
        cells.append(f"from_json({sql.name(field)}, {sql.text(items)})")
    options = "format = 'newline_delimited', auto_detect = false, compression = 'uncompressed'"
    with spool.scratch(".ndjson", content) as path, spool.database() as db:
        try:
            source = f"read_json({sql.text(str(path))}, columns = {{{kinds}}}, {options})"
            found = db.execute(f"SELECT {', '.join(cells)} FROM {source}").to_arrow_table()  # noqa: S608 - our own file
        except (duckdb.InvalidInputException, duckdb.ConversionException):
            # Its text may quote a cell, and what is wrong is found out value by value.
            return None
        except duckdb.Error as error:
            log.warning("%s: rows are read value by value: %s", table, type(error).__name__)
            return None
    names = [*(column.field for column in columns), *(f"{field}[]" for field in inside)]
    return found.rename_columns(names) if found.num_rows == len(lines) else None


def _read_as(column: Column) -> str:
    return _READ_AS.get(column.type, "VARCHAR")


def opened(line: msgspec.Raw) -> dict[str, Any]:
    """Give a row as a dict. Raises UnexpectedShape."""
    try:
        found: dict[str, Any] = msgspec.json.decode(line)
    except msgspec.DecodeError:
        # It is JSON, or it would not be here.
        raise UnexpectedShape("a row holds a number that no double can hold") from None
    return found


def are_apart(fields: Sequence[str]) -> bool:
    """Say whether DuckDB tells these names apart: it does not where they differ by their case alone."""
    return len({field.casefold() for field in fields}) == len(fields)


def array_of(column: Column, cells: pa.ChunkedArray, pseudonym: Pseudonym) -> pa.ChunkedArray | None:
    """Make the array of a column of what DuckDB read; None where a cell is for the other way."""
    if column.pii == "null":
        return pa.nulls(len(cells), ARROW[column.type])
    if column.pii == "hash":
        return pa.array([None if cell is None else pseudonym(cell) for cell in cells.to_pylist()], pa.string())
    try:
        if column.type == "timestamp":
            return times_of(pc.if_else(pc.equal(cells, UNSET), None, cells))
        if (
            column.type == "decimal"
            and not pc.all(pc.match_substring_regex(cells, _EXACT_DECIMAL), min_count=0).as_py()
        ):
            # Arrow does not say what it rounds.
            return None
        return cells.cast(ARROW[column.type])
    except pa.ArrowInvalid:
        return None
