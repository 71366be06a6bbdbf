"""An export's parquet file, brought into the schema of its table, whatever types the warehouse chose.

The rules are those of :mod:`cargo_source.pull.typed`, so that both lanes give the same cells: a value of another kind
than its column is kept beside it, and so is one that its column would round.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from cargo_source.catalog.columns import Column, Type
from cargo_source.pull import sql
from cargo_source.pull.shapes import Shape
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.spool import Chunk, Spool, write_all
from cargo_source.pull.typed import DELETED_AT, EXTRA, RUN_ID


class UnusableExport(Exception):
    """An export that cannot be used: it is no parquet, or lacks keys. The text says which."""


def conform(
    raw: Path, spool: Spool, shape: Shape, run_id: str, pseudonym: Pseudonym, *, ordered: bool = False
) -> Chunk:
    """Rewrite a parquet file of the spool into the table's schema, with its rows in their order where that is wanted.

    Raises UnusableExport where a row has no key.
    """
    target = spool.new_file()
    with spool.database() as db:
        # A statement may be quoted in an error: the salt is in none.
        db.execute("CREATE TEMP TABLE pseudonym AS SELECT ?::VARCHAR AS salt", [pseudonym.reveal_salt()])
        found = _physical(db, raw, shape)
        cells = [f"{_cell(column, found.get(column.field))} AS {sql.name(column.name)}" for column in shape.columns]
        cells += [f"{_extra(shape, found)} AS {EXTRA}", f"{sql.text(run_id)} AS {RUN_ID}"]
        cells.append(f"NULL::TIMESTAMPTZ AS {DELETED_AT}")
        query = f"SELECT {', '.join(cells)} FROM read_parquet({sql.text(str(raw))})"  # noqa: S608 - our own files
        write_all(db, query, target, ordered=ordered)
        key = next(sql.name(column.name) for column in shape.columns if column.field == "_id")
        rows = db.execute(f"SELECT count(*), count({key}) FROM read_parquet(?)", [str(target)]).fetchone()  # noqa: S608 - as above
    if rows is None or rows[0] != rows[1]:
        raise UnusableExport("without the keys of some rows")
    return Chunk(target, rows[0])


@dataclass(frozen=True)
class Physical:
    """A column of the file: what DuckDB calls it, and its type there."""

    name: str
    type: str

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers."""
        return self.type in _NUMBERS or self.type.startswith("DECIMAL")

    @property
    def is_time(self) -> bool:
        """Whether it holds moments."""
        return self.type == "DATE" or self.type.startswith("TIMESTAMP")


_NUMBERS = frozenset(
    f"{sign}{name}" for name in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT") for sign in ("", "U")
) | {"FLOAT", "DOUBLE"}


def _physical(db: duckdb.DuckDBPyConnection, raw: Path, shape: Shape) -> dict[str, Physical]:
    """Find the columns of the file by our fields, or by their own name where they are none of ours.

    DuckDB tells names apart whatever their case, so it renames twins: the file's own names come by their place. Some
    warehouses write all names in capitals.
    """
    described = db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(raw)]).fetchall()
    names = pq.read_schema(raw).names
    found = {name: Physical(str(called), str(kind)) for name, (called, kind, *_) in zip(names, described, strict=True)}
    for field in shape.fields - found.keys():
        alike = [name for name in found if name.casefold() == field.casefold() and name not in shape.fields]
        if len(alike) == 1:
            found[field] = found.pop(alike[0])
    if "_id" not in found and shape.id_slug in found:
        found["_id"] = found[shape.id_slug]
    if "_id" not in found:
        raise UnusableExport("without a key")
    if not shape.stored_fields <= found.keys():
        # Cells that did not come would look like cells that are empty.
        raise UnusableExport("without columns that the table has")
    return found


SQL: dict[Type, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "decimal": "DECIMAL(38, 9)",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
    "json": "VARCHAR",
}
"""How each of our types is called in DuckDB, which reads the exports."""


def _cell(column: Column, physical: Physical | None) -> str:
    if physical is None or column.pii == "null":
        return f"NULL::{SQL[column.type]}"
    if column.pii == "hash":
        return f"sha256((SELECT salt FROM pseudonym) || {_as_text(physical)})"  # noqa: S608 - our own table
    return CASTS[column.type](physical)


def _as_text(physical: Physical) -> str:
    name = sql.name(physical.name)
    if physical.type == "DATE":
        return f"strftime({name}, '%Y-%m-%d')"
    if physical.is_time:
        return f"strftime({_as_time(physical)} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%gZ')"
    if physical.type in {"VARCHAR", "BOOLEAN", "UUID", "JSON"} or physical.is_number:
        return f"{name}::VARCHAR"
    return "NULL::VARCHAR"


def _as_json(physical: Physical) -> str:
    name = sql.name(physical.name)
    if physical.type == "VARCHAR":
        # Warehouses export nested values as JSON text; a plain string in such a column becomes JSON here.
        return f"CASE WHEN {_is_json(name)} THEN {name} ELSE to_json({name})::VARCHAR END"
    if physical.is_time:
        return f"to_json({_as_text(physical)})::VARCHAR"
    written = f"to_json({name})::VARCHAR"
    if "DOUBLE" in physical.type or "FLOAT" in physical.type:
        # Infinities and what is no number are no JSON.
        return f"CASE WHEN {_is_json(written)} THEN {written} ELSE to_json({written})::VARCHAR END"
    return written


def _is_json(text: str) -> str:
    # DuckDB also takes NaN and Infinity for JSON, which nobody else does.
    return f"(json_valid({text}) AND NOT regexp_full_match({text}, '(?i)\\s*[-+]?(nan|inf|infinity)\\s*'))"


def _as_time(physical: Physical) -> str:
    name = sql.name(physical.name)
    if physical.type == "TIMESTAMP WITH TIME ZONE":
        return name
    if physical.is_time:
        return f"({name}::TIMESTAMP AT TIME ZONE 'UTC')"
    if physical.type == "VARCHAR":
        return f"CASE WHEN isfinite(TRY_CAST({name} AS TIMESTAMPTZ)) THEN TRY_CAST({name} AS TIMESTAMPTZ) END"
    return "NULL::TIMESTAMPTZ"


def _as_integer(physical: Physical) -> str:
    name = sql.name(physical.name)
    return (
        f"CASE WHEN {name} = floor({name}) THEN TRY_CAST({name} AS BIGINT) END"
        if physical.is_number
        else "NULL::BIGINT"
    )


def _as_decimal(physical: Physical) -> str:
    name, kind = sql.name(physical.name), SQL["decimal"]
    if physical.type == "VARCHAR":
        return f"CASE WHEN regexp_full_match({name}, '[-+]?[0-9]+([.][0-9]+)?') THEN TRY_CAST({name} AS {kind}) END"
    return f"TRY_CAST({name} AS {kind})" if physical.is_number else f"NULL::{kind}"


def _as_number(physical: Physical) -> str:
    return f"TRY_CAST({sql.name(physical.name)} AS DOUBLE)" if physical.is_number else "NULL::DOUBLE"


def _as_boolean(physical: Physical) -> str:
    # DuckDB would make TRUE of 7 and of 'yes'.
    return sql.name(physical.name) if physical.type == "BOOLEAN" else "NULL::BOOLEAN"


CASTS = {
    "text": _as_text,
    "json": _as_json,
    "timestamp": _as_time,
    "integer": _as_integer,
    "decimal": _as_decimal,
    "number": _as_number,
    "boolean": _as_boolean,
}


def _extra(shape: Shape, found: dict[str, Physical]) -> str:
    """Write the SQL of what is kept beside the cells: unknown columns, and values that did not fit."""
    unknown = [field for field in found if field not in shape.fields and not shape.hides(field)]
    parts = [_kept(field, found[field], "TRUE") for field in unknown]
    for column in shape.columns:
        physical = found.get(column.field)
        if physical is None or column.pii or column.type == "json" or physical.type == SQL[column.type]:
            continue
        cast, name = CASTS[column.type](physical), sql.name(physical.name)
        lost = f"({cast}) IS NULL"
        if physical.is_number and column.type != "text":
            lost = f"TRY_CAST(({cast}) AS {physical.type}) IS DISTINCT FROM {name}"
        if column.type == "timestamp" and physical.type == "VARCHAR":
            # An unset native date reads back as {}: that is a null, not a value to keep.
            lost += f" AND {name} <> '{{}}'"
        parts.append(_kept(column.field, physical, lost))
    if not parts:
        return "NULL::VARCHAR"
    return f"NULLIF('{{' || concat_ws(',', {', '.join(parts)}) || '}}', '{{}}')"


def _kept(field: str, physical: Physical, when: str) -> str:
    there = f"{sql.name(physical.name)} IS NOT NULL AND {when}"
    return f"CASE WHEN {there} THEN to_json({sql.text(field)})::VARCHAR || ':' || {_as_json(_plain(physical))} END"


def _plain(physical: Physical) -> Physical:
    """Have text written as JSON text, whatever it holds."""
    return Physical(physical.name, "TEXT") if physical.type == "VARCHAR" else physical
