"""An export's csv file, brought into the schema of its table by the model's own column types.

The cells are those of the other lanes, :mod:`cargo_source.pull.conform` and :mod:`cargo_source.pull.typed`, as far as
csv can tell. It cannot tell

- a null from an empty text, where the writer does not quote the empty text; where it does, text columns keep both;
- a number, or true and false, from the text that spells it: it becomes what its column is declared as;
- JSON from a plain text that reads as JSON, in columns of nested values. An empty cell there is null;
- an object in a text column from its JSON: the text stays in the cell;
- what a column is that no declaration knows: its values are kept in ``_cargo_extra`` as texts;
- a file that was cut at the end of a row, or inside its very last value, from a whole one: the caller counts rows.
"""

import csv
import gzip
import os
import shutil
import zlib
from pathlib import Path

import duckdb

from cargo_source.catalog.columns import Column, Type
from cargo_source.pull import sql
from cargo_source.pull.conform import CASTS, SQL, Physical, UnusableExport
from cargo_source.pull.shapes import Shape
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.spool import Chunk, Spool, write_all
from cargo_source.pull.typed import DELETED_AT, EXTRA, RUN_ID

_GZIP = b"\x1f\x8b"
LONGEST_ROW = 16 * 1024 * 1024
"""Bytes; cells may hold documents."""
_OPTIONS = (
    "delim = ',', quote = '\"', escape = '\"', header = true, auto_detect = false, strict_mode = true, "
    f"nullstr = [''], allow_quoted_nulls = false, max_line_size = {LONGEST_ROW}, buffer_size = {2 * LONGEST_ROW}"
)


def read_csv(
    raw: Path, spool: Spool, shape: Shape, run_id: str, pseudonym: Pseudonym, *, ordered: bool = False
) -> Chunk:
    """Rewrite a csv file, packed by gzip or not, into the table's schema as parquet, in its order where that is wanted.

    Raises UnusableExport where the file is broken or cut short, where its header is none, or where a row has no key.
    """
    plain = _unpacked(raw)
    try:
        return _rewrite(plain, spool, shape, run_id, pseudonym, ordered=ordered)
    finally:
        if plain != raw:
            plain.unlink(missing_ok=True)


def _unpacked(raw: Path) -> Path:
    """Unpack a gzipped file beside itself: DuckDB reads packed files, and notices neither their end nor checksum."""
    with raw.open("rb") as file:
        if file.read(2) != _GZIP:
            return raw
    plain = raw.with_name(f"{raw.name}.csv")
    try:
        with (
            gzip.open(raw, "rb") as packed,
            os.fdopen(os.open(plain, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out,
        ):
            shutil.copyfileobj(packed, out, 1024 * 1024)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        plain.unlink(missing_ok=True)
        raise UnusableExport("as csv that is cut short or damaged") from None
    except BaseException:
        plain.unlink(missing_ok=True)
        raise
    return plain


def _rewrite(plain: Path, spool: Spool, shape: Shape, run_id: str, pseudonym: Pseudonym, *, ordered: bool) -> Chunk:
    names = _header(plain)
    found = _physical(names, shape)
    places = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(names)))
    source = f"read_csv({sql.text(str(plain))}, columns = {{{places}}}, {_OPTIONS})"
    cells = [f"{_cell(column, found.get(column.field))} AS {sql.name(column.name)}" for column in shape.columns]
    cells += [f"{_extra(shape, found)} AS {EXTRA}", f"{sql.text(run_id)} AS {RUN_ID}"]
    cells.append(f"NULL::TIMESTAMPTZ AS {DELETED_AT}")
    key = next(sql.name(column.name) for column in shape.columns if column.field == "_id")
    target = spool.new_file()
    with spool.database() as db:
        # A statement may be quoted in an error: the salt is in none.
        db.execute("CREATE TEMP TABLE pseudonym AS SELECT ?::VARCHAR AS salt", [pseudonym.reveal_salt()])
        try:
            write_all(db, f"SELECT {', '.join(cells)} FROM {source}", target, ordered=ordered)  # noqa: S608 - our own files
        except duckdb.InvalidInputException:
            # DuckDB's own words quote the row.
            raise UnusableExport("as csv that is cut short or broken") from None
        rows = db.execute(f"SELECT count(*), count({key}) FROM read_parquet(?)", [str(target)]).fetchone()  # noqa: S608 - as above
    if rows is None or rows[0] != rows[1]:
        raise UnusableExport("without the keys of some rows")
    return Chunk(target, rows[0])


def _header(plain: Path) -> list[str]:
    try:
        with plain.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file, strict=True), [])
    except (csv.Error, UnicodeDecodeError):
        raise UnusableExport("as csv without a header") from None
    if len(set(names)) != len(names):
        raise UnusableExport("as csv with two columns of one name")
    return names


def _physical(names: list[str], shape: Shape) -> dict[str, str]:
    """Find the columns of the file by our fields, or by their own name where they are none of ours.

    The order of a header means nothing. Some warehouses write all names in capitals.
    """
    found = {name: f"c{place}" for place, name in enumerate(names)}
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


def _cell(column: Column, place: str | None) -> str:
    if place is None or column.pii == "null":
        return f"NULL::{SQL[column.type]}"
    if column.pii == "hash":
        return f"sha256((SELECT salt FROM pseudonym) || {place})"  # noqa: S608 - our own table
    return _typed(column.type, place)


_NUMBER = "[-+]?[0-9]+([.][0-9]*)?([eE][-+]?[0-9]+)?"
_WHOLE = "[-+]?[0-9]+"


def _typed(kind: Type, place: str) -> str:
    """Write the SQL of a cell: the text of the file as its column's type, null where it does not fit."""
    number = f"regexp_full_match({place}, '{_NUMBER}')"
    match kind:
        case "text":
            return place
        case "integer":
            exact = f"TRY_CAST({place} AS DECIMAL(38, 9))"
            other = f"CASE WHEN {number} AND {exact} = floor({exact}) THEN TRY_CAST({exact} AS BIGINT) END"
            return f"CASE WHEN regexp_full_match({place}, '{_WHOLE}') THEN TRY_CAST({place} AS BIGINT) ELSE {other} END"
        case "decimal" | "number":
            return f"CASE WHEN {number} THEN TRY_CAST({place} AS {SQL[kind]}) END"
        case "boolean":
            # DuckDB would make TRUE of 1 and of 'yes'.
            said = f"lower({place}) IN"
            return f"CASE WHEN {said} ('true', 't') THEN TRUE WHEN {said} ('false', 'f') THEN FALSE END"
        case "timestamp":
            return CASTS["timestamp"](Physical(place, "VARCHAR"))
        case "json":
            return f"CASE WHEN {place} <> '' THEN {_as_json(place)} END"


def _as_json(place: str) -> str:
    return CASTS["json"](Physical(place, "VARCHAR"))


def _lost(kind: Type, place: str) -> str:
    """Write the SQL of whether a cell does not hold what its text says."""
    cell = _typed(kind, place)
    lost = f"({cell}) IS NULL"
    if kind == "number":
        # An integer that a double rounds; with a point or an exponent it was a double before.
        whole = f"regexp_full_match({place}, '{_WHOLE}')"
        lost += f" OR ({whole} AND TRY_CAST(({cell}) AS HUGEINT) IS DISTINCT FROM TRY_CAST({place} AS HUGEINT))"
        lost += f" OR ({whole} AND TRY_CAST({place} AS HUGEINT) IS NULL)"
    if kind == "decimal":
        lost += f" OR regexp_matches({place}, '[.][0-9]{{9}}[0-9]*[1-9]')"
        lost += (
            f" OR (regexp_matches({place}, '[eE]') AND ({cell})::DOUBLE IS DISTINCT FROM TRY_CAST({place} AS DOUBLE))"
        )
    if kind == "timestamp":
        # An unset native date reads back as {}: that is a null, not a value to keep.
        return f"({lost}) AND {place} <> '{{}}'"
    return lost


def _extra(shape: Shape, found: dict[str, str]) -> str:
    """Write the SQL of what is kept beside the cells: unknown columns as text, and values that did not fit."""
    unknown = [field for field in found if field not in shape.fields and not shape.hides(field)]
    parts = [_kept(field, f"to_json({found[field]})::VARCHAR", f"{found[field]} IS NOT NULL") for field in unknown]
    for column in shape.columns:
        place = found.get(column.field)
        if place is None or column.pii or column.type in {"text", "json"}:
            continue
        # A number where none is due is told as one, as the API would.
        parts.append(_kept(column.field, _as_json(place), f"{place} <> '' AND ({_lost(column.type, place)})"))
    if not parts:
        return "NULL::VARCHAR"
    return f"NULLIF('{{' || concat_ws(',', {', '.join(parts)}) || '}}', '{{}}')"


def _kept(field: str, value: str, when: str) -> str:
    return f"CASE WHEN {when} THEN to_json({sql.text(field)})::VARCHAR || ':' || {value} END"
