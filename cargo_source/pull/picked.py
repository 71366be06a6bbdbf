"""Rows that somebody picked: read through the lanes of a sync, then held against the whole condition here.

The warehouse, or the server that pages, may do a part of it; the result is that of :func:`kept`, over typed rows.
"""

from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp

from cargo_source.errors import BadSettings
from cargo_source.pull.lanes import EXPORT, Landing, Part
from cargo_source.pull.picking import Pick
from cargo_source.pull.pushing import physical, pushed
from cargo_source.pull.records import by_lane, decoder_of, sheet_of, way_of
from cargo_source.pull.session import Session
from cargo_source.pull.shapes import Shape
from cargo_source.pull.spool import Chunk, Spooled
from cargo_source.pull.typed import EXTRA

NOTHING = Landing("none")
"""How nothing comes that nobody asked for."""


@dataclass(frozen=True)
class Picked:
    """The picked rows in finished files. ``extras`` counts those that have something in ``_cargo_extra``."""

    chunks: list[Chunk]
    landing: Landing
    extras: int

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(chunk.rows for chunk in self.chunks)


def pick_model(session: Session, shape: Shape, pick: Pick) -> Picked:
    """Read the picked rows of a model. Raises what a sync of the model raises."""
    narrow = narrowed(shape, pick)
    if pick.limit == 0:
        return kept(sheet_of(session, narrow).finish(), pick, NOTHING)
    part = part_of(session, narrow, pick)
    spooled, landing = _landed(session, narrow, part)
    came = spooled.rows
    picked = kept(spooled, pick, landing)
    if landing.lane == EXPORT and part.limit is not None and came >= part.limit > picked.rows:
        # The warehouse let pass what the condition does not, as one that compares texts without case does.
        spooled, landing = _landed(session, narrow, replace(part, limit=None))
        picked = kept(spooled, pick, landing)
    return picked


def _landed(session: Session, shape: Shape, part: Part) -> tuple[Spooled, Landing]:
    way = way_of(session, shape, shape.uuid, part)
    try:
        landing = by_lane(session, shape, way)
    except BaseException:
        # Nobody comes for what was read so far, and the session may live long.
        way.sheet.drop()
        raise
    return way.sheet.finish(), landing


def narrowed(shape: Shape, pick: Pick) -> Shape:
    """Give the shape of what has to come: picked columns, those that the condition reads, and the key."""
    if pick.columns is None:
        return shape
    names = {column.name for column in pick.columns} | pick.tested
    columns = tuple(column for column in shape.columns if column.field == "_id" or column.name in names)
    # Who names columns wants no others.
    return replace(
        shape,
        columns=columns,
        left_out=shape.fields - {column.field for column in columns},
        hides=lambda _field: True,
    )


def part_of(session: Session, shape: Shape, pick: Pick) -> Part:
    """Say what of a pick the warehouse may do, and when pages may stop."""
    there = physical(shape)
    test = pushed(pick.where, shape, there) if pick.where is not None else None
    first = pick.limit if "_id" in there and (pick.where is None or (test is not None and test.whole)) else None
    return Part(
        columns=_projection(shape, pick, {field: column.spelled for field, column in there.items()}),
        where=test.sql if test else None,
        limit=first,
        order=there["_id"].spelled if "_id" in there else "_id",
        enough=_Enough(session, shape, pick) if pick.limit is not None else None,
    )


def _projection(shape: Shape, pick: Pick, spelled: dict[str, str]) -> str:
    key = "_id" if "_id" in spelled else shape.id_slug
    if pick.columns is None or key not in spelled:
        return "*"
    fields = {key} | {column.field for column in shape.columns}
    return ", ".join(spelled[field] for field in sorted(fields & spelled.keys()))


class _Enough:
    """Counts the rows of pages that meet a condition; a page that comes again counts once."""

    def __init__(self, session: Session, shape: Shape, pick: Pick) -> None:
        self._shape, self._pick, self._decoder = shape, pick, decoder_of(session, shape)
        self._seen: set[str] = set()

    def __call__(self, rows: list[Any]) -> bool:
        if self._pick.where is None:
            self._seen.update(str(self._decoder.identity(row)) for row in rows)
        else:
            self._seen.update(self._matching(self._decoder.typed(rows)))
        return len(self._seen) >= (self._pick.limit or 0)

    def _matching(self, table: pa.Table) -> list[str]:
        with duckdb.connect() as db:
            db.execute("SET TimeZone = 'UTC'")
            db.register("page", table)
            query = f"SELECT {_key(self._shape)} FROM page WHERE ({self._pick.condition})"  # noqa: S608 - parsed and checked
            return [str(key) for (key,) in _run(db, query)]


def _key(shape: Shape) -> str:
    return quoted(next(column.name for column in shape.columns if column.field == "_id"))


def kept(spooled: Spooled, pick: Pick, landing: Landing, *, by_key: bool = True) -> Picked:
    """Keep the rows of a finished sheet that a pick asks for, out of core; files that are not needed go.

    Of rows that a limit cuts, the first by key stay, or with ``by_key`` False the first in the order that they came.
    """
    chunks = spooled.chunks or [spooled.empty()]
    files = [str(chunk.path) for chunk in chunks]
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute("SET memory_limit = '512MB'")
        if pick.where is not None or pick.limit is not None:
            try:
                kept_here = _filtered(db, spooled, files, pick, by_key=by_key)
            finally:
                for chunk in chunks:
                    chunk.path.unlink(missing_ok=True)
            chunks = [kept_here]
            files = [str(chunks[0].path)]
        (extras,) = _run(db, f"SELECT count({EXTRA}) FROM read_parquet(?)", [files])[0]  # noqa: S608 - our own files
    return Picked(chunks, landing, int(str(extras)))


def _filtered(db: duckdb.DuckDBPyConnection, spooled: Spooled, files: list[str], pick: Pick, *, by_key: bool) -> Chunk:
    path = spooled.spool.new_file()
    where = f" WHERE ({pick.condition})" if pick.where is not None else ""
    order = f" ORDER BY {quoted('_id')}" if by_key and pick.limit is not None and "_id" in spooled.schema.names else ""
    limit = f" LIMIT {pick.limit}" if pick.limit is not None else ""
    select = f"SELECT * FROM read_parquet(?){where}{order}{limit}"  # noqa: S608 - parsed and checked
    try:
        (rows,) = _run(db, f"COPY ({select}) TO '{path}' (FORMAT parquet)", [files])[0]
    except BadSettings:
        path.unlink(missing_ok=True)
        raise
    path.chmod(0o600)
    return Chunk(path, int(str(rows)))


def _run(db: duckdb.DuckDBPyConnection, sql: str, values: list[object] | None = None) -> list[tuple[object, ...]]:
    try:
        return db.execute(sql, values or []).fetchall()
    except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException):
        # DuckDB's own words quote the value.
        raise BadSettings(
            "where: the condition fails on the value of a row; TRY_CAST takes what CAST refuses"
        ) from None


def quoted(name: str) -> str:
    """Quote the name of a column for DuckDB."""
    return exp.to_identifier(name, quoted=True).sql(dialect="duckdb")
