"""An export's parquet file, brought into the schema of its table, whatever types the warehouse chose."""

from pathlib import Path

import duckdb

from cargo_source.catalog.columns import Column, Type
from cargo_source.pull.shapes import Shape
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.spool import Chunk
from cargo_source.pull.typed import EXTRA, RUN_ID


def conform(raw: Path, target: Path, shape: Shape, run_id: str, pseudonym: Pseudonym) -> Chunk:
    """Rewrite a parquet file into the table's schema. Values that do not fit are kept in the extra column."""
    columns, id_slug = shape.columns, shape.id_slug
    with duckdb.connect() as db:
        # A statement may be quoted in an error: the salt is in none.
        db.execute("CREATE TEMP TABLE pseudonym AS SELECT ?::VARCHAR AS salt", [pseudonym.reveal_salt()])
        db.execute("SET TimeZone = 'UTC'")
        db.execute("SET threads = 2")
        db.execute("SET memory_limit = '512MB'")
        described = db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(raw)]).fetchall()
        physical = {str(name): str(kind) for name, kind, *_ in described}
        if "_id" not in physical and id_slug in physical:
            physical["_id"] = physical[id_slug]
            source = f"(SELECT *, {_name(id_slug)} AS _id FROM read_parquet('{raw}'))"  # noqa: S608 - our own file
        else:
            source = f"read_parquet('{raw}')"
        cells = [f"{_cell(column, physical.get(column.field))} AS {_name(column.name)}" for column in columns]
        cells += [f"{_extra(shape, physical)} AS {EXTRA}", f"{_text(run_id)} AS {RUN_ID}"]
        db.execute(f"COPY (SELECT {', '.join(cells)} FROM {source}) TO '{target}' (FORMAT parquet)")  # noqa: S608 - as above
        count = db.execute("SELECT count(*) FROM read_parquet(?)", [str(target)]).fetchone()
    return Chunk(target, count[0] if count else 0)


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


def _cell(column: Column, physical: str | None) -> str:
    if physical is None or column.pii == "null":
        return f"NULL::{SQL[column.type]}"
    if column.pii == "hash":
        return f"sha256((SELECT salt FROM pseudonym) || {_name(column.field)}::VARCHAR)"  # noqa: S608 - our own table
    return _cast(column, physical)


def _cast(column: Column, physical: str) -> str:
    name = _name(column.field)
    match column.type:
        case "text" | "json" if physical == "VARCHAR" and column.type == "text":
            return name
        case "json" if physical == "VARCHAR":
            # Warehouses export nested values as JSON text; a plain string in such a column becomes JSON here.
            return f"CASE WHEN json_valid({name}) THEN {name} ELSE to_json({name})::VARCHAR END"
        case "json":
            return f"to_json({name})::VARCHAR"
        case "text":
            return f"{name}::VARCHAR"
        case "timestamp" if (physical.startswith("TIMESTAMP") and "TIME ZONE" not in physical) or physical == "DATE":
            return f"({name}::TIMESTAMP AT TIME ZONE 'UTC')"
        case "boolean" if physical not in {"BOOLEAN", "VARCHAR"}:
            # A number is no boolean: DuckDB would make TRUE of 7.
            return "NULL::BOOLEAN"
        case "integer" if _numeric(physical):
            return f"CASE WHEN {name} = floor({name}) THEN TRY_CAST({name} AS BIGINT) END"
        case _:
            return f"TRY_CAST({name} AS {SQL[column.type]})"


def _extra(shape: Shape, physical: dict[str, str]) -> str:
    parts = [_kept(f, f"{_name(f)} IS NOT NULL") for f in physical if f not in shape.fields]
    for column in shape.columns:
        kind = physical.get(column.field)
        if (
            kind is None
            or column.pii
            or column.type in {"text", "json"}
            or kind == SQL[column.type]
            or "TIMESTAMP" in kind
        ):
            continue
        name, cast = _name(column.field), _cast(column, kind)
        lossy = f"({cast})::{kind} IS DISTINCT FROM {name}" if _numeric(kind) else f"({cast}) IS NULL"
        # An unset native date reads back as {}: that is a null, not a value to keep.
        blank = f" AND {name} <> '{{}}'" if column.type == "timestamp" and kind == "VARCHAR" else ""
        parts.append(_kept(column.field, f"{name} IS NOT NULL AND {lossy}{blank}"))
    if not parts:
        return "NULL::VARCHAR"
    return f"NULLIF('{{' || concat_ws(',', {', '.join(parts)}) || '}}', '{{}}')"


def _numeric(physical: str) -> bool:
    return physical in {"BIGINT", "HUGEINT", "INTEGER", "DOUBLE", "FLOAT"} or physical.startswith("DECIMAL")


def _kept(field: str, when: str) -> str:
    return f"CASE WHEN {when} THEN to_json({_text(field)})::VARCHAR || ':' || to_json({_name(field)})::VARCHAR END"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
