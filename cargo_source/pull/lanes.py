"""The lanes by which rows of a model come: parquet export by SQL, or pages of 100 in parallel. One schema for both."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from cargo_source.api import CargoClient
from cargo_source.catalog.columns import Column, Type
from cargo_source.errors import IncompleteRead, LinkExpired, NotFound, PermissionDenied, UnexpectedShape
from cargo_source.pull.session import Refused
from cargo_source.pull.shapes import Shape
from cargo_source.pull.spool import Chunk, Sheet, Spool
from cargo_source.pull.times import format_time
from cargo_source.pull.typed import EXTRA, RUN_ID

Row = dict[str, Any]

PAGE = 100
"""The most rows that records/list gives at once (documented)."""
RESTARTS = 3
"""How often a list that moves while it is paged is read anew."""

EXPORTS = 3
"""How often an export is asked for whose links expire before they are fetched. Keys are unique in a sheet, so what the
expired one brought already does no harm."""

EXPORT = "export"
PAGES = "pages"


class NotParquet(Exception):
    """An export came in another format than the one that was asked for."""


@dataclass(frozen=True)
class Landing:
    """What came by a lane. ``refreshing`` says that the workspace was still writing, so that rows may be missing."""

    lane: str
    refreshing: bool = False


def export_rows(
    client: CargoClient, shape: Shape, since: datetime | None, sheet: Sheet, spool: Spool, run_id: str
) -> Landing:
    """Have the workspace export the table as parquet and bring the files into the sheet's schema.

    See ``POST storage/query/download``. ``since`` limits the export to rows written since then.
    """
    body = {"query": export_query(shape, since), "format": "parquet"}
    for attempt in range(1, EXPORTS + 1):
        # An export only reads, so asking again after a failure does no harm.
        answer = client.post("storage/query/download", body, repeatable=True).json()
        try:
            for link in answer_links(answer):
                _bring(client, link, shape, sheet, spool, run_id)
        except LinkExpired:
            if attempt == EXPORTS:
                raise
        else:
            break
    return Landing(EXPORT, refreshing=bool(answer.get("isRefreshing")))


def _bring(client: CargoClient, link: str, shape: Shape, sheet: Sheet, spool: Spool, run_id: str) -> None:
    raw = spool.new_file(".download")
    try:
        kind = client.download(link, raw).kind
        if kind == "parquet":
            sheet.add_chunk(conform(raw, spool.new_file(), shape.columns, shape.id_slug, run_id))
        elif kind != "empty":
            raise NotParquet(kind)
    finally:
        raw.unlink(missing_ok=True)


def export_query(shape: Shape, since: datetime | None) -> str:
    """Write the SQL of an export: plain ANSI, so that any warehouse takes it."""
    query = f"SELECT * FROM {shape.reference}"  # noqa: S608 - slugs of the workspace itself, quoted where they need it
    if since is None:
        return query
    emitted = next(column for column in shape.columns if column.field == "_emitted_at")
    moment = format_time(since)
    if emitted.type == "text":
        return f"{query} WHERE _emitted_at >= '{moment}'"
    return f"{query} WHERE _emitted_at >= TIMESTAMP '{moment.replace('T', ' ').replace('Z', '+00:00')}'"


def answer_links(answer: Row) -> list[str]:
    """Give the links of an export's answer; sources disagree on ``urls`` and ``url``."""
    if isinstance(answer.get("urls"), list):
        return [str(link) for link in answer["urls"]]
    if isinstance(answer.get("url"), str):
        return [answer["url"]]
    raise UnexpectedShape("an export answered without links (neither 'urls' nor 'url')")


def conform(raw: Path, target: Path, columns: Sequence[Column], id_slug: str, run_id: str) -> Chunk:
    """Rewrite a parquet file into the table's schema. Values that do not fit are kept in the extra column."""
    with duckdb.connect() as db:
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
        cells = [
            f"{_cast(c, physical[c.field]) if c.field in physical else f'NULL::{SQL[c.type]}'} AS {_name(c.name)}"
            for c in columns
        ]
        cells += [f"{_extra(columns, physical)} AS {EXTRA}", f"{_text(run_id)} AS {RUN_ID}"]
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


def _extra(columns: Sequence[Column], physical: dict[str, str]) -> str:
    known = {column.field for column in columns}
    parts = [_kept(f, f"{_name(f)} IS NOT NULL") for f in physical if f not in known]
    for column in columns:
        kind = physical.get(column.field)
        if kind is None or column.type in {"text", "json"} or kind == SQL[column.type] or "TIMESTAMP" in kind:
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


Fan = Callable[[Callable[[int], list[Row]], Sequence[int]], Iterator[list[Row]]]


def page_rows(client: CargoClient, shape: Shape, sheet: Sheet, fan: Fan, width: int) -> Landing:
    """Read the whole table by pages sorted by ``_id``, several in flight; neighbours overlap by one row.

    See ``POST storage/records/list``. The overlap shows when rows came or went while paging; then the list is read
    anew. Keys are unique in a sheet, so rows of a reading that was given up are replaced. Raises IncompleteRead when
    the list does not hold still, Refused when its first page is refused.
    """
    pager = RecordPages(client, shape)
    for _ in range(RESTARTS):
        try:
            still = _one_reading(pager, sheet, fan, width)
        except (PermissionDenied, NotFound) as error:
            if pager.answered:
                raise
            raise Refused("records", error) from error
        if still:
            return Landing(PAGES, refreshing=pager.refreshing)
    raise IncompleteRead(f"{shape.table}: rows moved while they were paged, {RESTARTS} times over")


class RecordPages:
    """Pages of ``storage/records/list`` for one model."""

    def __init__(self, client: CargoClient, shape: Shape) -> None:
        self._client, self._shape = client, shape
        self.refreshing = self.answered = False

    def at(self, offset: int) -> list[Row]:
        """Give the 100 rows from ``offset``, fewer only at the end, however short the server's pages are."""
        rows: list[Row] = []
        while len(rows) < PAGE:
            page = self._page(offset + len(rows), PAGE - len(rows))
            if not page:
                break
            rows += page
        return rows

    def _page(self, offset: int, limit: int) -> list[Row]:
        body = {
            "modelUuid": self._shape.uuid,
            "limit": limit,
            "offset": offset,
            "sort": {"columnSlug": "_id", "kind": "asc"},
        }
        reply = self._client.post("storage/records/list", body, repeatable=True)
        rows: list[Row] = reply.take("records")
        self.answered = True
        self.refreshing |= bool(reply.json().get("isRefreshing"))
        for row in rows:
            if row.get("_id") is None:
                identity = row.get(self._shape.id_slug)
                row["_id"] = identity if identity is None or isinstance(identity, str) else str(identity)
        return rows


def _one_reading(pager: RecordPages, sheet: Sheet, fan: Fan, width: int) -> bool:
    """Read the list once; False when it moved meanwhile."""
    stride = PAGE - 1
    last: object = None
    offset = 0
    wave = 1
    while True:
        offsets = range(offset, offset + wave * stride, stride)
        for start, rows in zip(offsets, fan(pager.at, offsets), strict=True):
            if start and (not rows or rows[0]["_id"] != last):
                # The page before was full, so this one begins with its last row, unless the list moved.
                return False
            sheet.add(rows if start == 0 else rows[1:])
            if len(rows) < PAGE:
                return True
            last = rows[-1]["_id"]
        offset = offsets[-1] + stride
        wave = width
