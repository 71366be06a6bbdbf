"""Rows that are gone in Cargo: how that is found out, and what becomes of them here.

A row is gone when a read that is proven to be whole lacks its key. Its tombstone is the whole row as the destination
has it, with the time at which it was missed: merging the key alone would empty its other columns. Keys are compared in
DuckDB, from file to file, so that their number does not matter.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cargo_source.catalog.entity import Entity
from cargo_source.errors import IncompleteRead
from cargo_source.pull.landed import quoted
from cargo_source.pull.pages import Row
from cargo_source.pull.session import Session
from cargo_source.pull.spool import Chunk, Spooled
from cargo_source.pull.times import format_time
from cargo_source.pull.typed import DELETED_AT, RUN_ID, arrow_table

log = logging.getLogger("cargo_source")

MANY = 10
"""Rows of a table that is not believed to be empty all at once."""
FEW = 2_000
"""Keys that are asked for by name; of more, the whole table is read past."""
TOGETHER = 500
"""Keys in one question to the destination."""
LIVE, MARKED = f"{DELETED_AT} IS NULL", f"{DELETED_AT} IS NOT NULL"


def brake_empty(session: Session, table: str, got: int, live: int) -> None:
    """Stop where a table that has ``live`` rows here is read as empty, unless that was said to be believed.

    Raises IncompleteRead.
    """
    if got == 0 and live >= MANY and not session.options.allow_empty:
        raise IncompleteRead(
            f"{table}: Cargo gives no row where {live} are known; if that is so, say --allow-empty (allow_empty=True)",
            expected=live,
            got=got,
        )


def follows_deletes(session: Session, table: str) -> bool:
    """Say whether rows of ``table`` that are gone are looked for: there are rows here, and they may be touched.

    A window shows what moved in it, and never what is gone.
    """
    return (
        not session.windowed
        and session.options.deletes != "ignore"
        and table not in session.memory.anew
        and bool(columns_of(session, table))
    )


def followed(session: Session, table: str) -> str:
    """Say for the next sync what becomes of rows that are gone, if all that are here were looked at.

    In a table that another pipeline made, or of which the state was lost, they could not be.
    """
    known = columns_of(session, table) or table in session.memory.anew or session.destination.lacks(table)
    return session.options.deletes if known or not session.destination.readable else "ignore"


def columns_of(session: Session, table: str) -> dict[str, Any]:
    """Give the columns that a table has in the destination; none where it cannot be asked."""
    return session.destination.types(table) if session.destination.readable else {}


def is_live(session: Session, table: str) -> str:
    """Write the condition for rows that are not marked; before its first mark a table may lack the column."""
    return LIVE if DELETED_AT in session.destination.types(table) else "1 = 1"


def count_live(session: Session, table: str) -> int:
    """Count the rows of a table that are not marked."""
    return session.destination.counts({table: is_live(session, table)})[table]


# Keys ----------------------------------------------------------------------------------------------------------------


def files(paths: Iterable[Path]) -> str:
    """Write parquet files as a table of DuckDB's; there has to be one at least."""
    return f"read_parquet([{quoted(str(path) for path in paths)}], union_by_name = true)"


def paths_of(spooled: Spooled) -> list[Path]:
    """Give the files of a sheet, or one that is empty."""
    return [chunk.path for chunk in spooled.chunks or [spooled.empty()]]


def live_keys(session: Session, table: str, key: Sequence[str], where: str = "1 = 1") -> Path:
    """Copy the keys of rows that are not marked, and for which ``where`` holds, out of the destination."""
    path = session.spool.new_file()
    types = session.destination.types(table)
    only = f"{is_live(session, table)} AND ({where})"
    session.destination.copy(table, {name: types[name] for name in key}, only, path, key[0] if len(key) == 1 else "")
    path.chmod(0o600)
    return path


def keys_of(session: Session, entity: Entity, rows: Sequence[Row]) -> Path:
    """Write the keys of rows as the API sent them into a file, typed as they land."""
    path = session.spool.new_file()
    pq.write_table(key_table(session, entity, rows), path)
    path.chmod(0o600)
    return path


def key_table(session: Session, entity: Entity, rows: Sequence[Row]) -> pa.Table:
    """Type the keys of rows as the API sent them."""
    columns = [column for column in entity.columns if column.name in entity.key]
    typed = arrow_table(rows, columns, known=entity.fields, run_id=session.run_id, dropped=())
    return typed.select(list(entity.key))


def lacking(session: Session, key: Sequence[str], some: Sequence[Path], others: Sequence[Path]) -> tuple[Path, int]:
    """Write the keys that are in ``some`` and not in ``others`` into a file, and count them."""
    path, names = session.spool.new_file(), names_of(key)
    with session.spool.database() as db:
        query = f"SELECT DISTINCT {names} FROM {files(some)} AS a ANTI JOIN {files(others)} AS b USING ({names})"  # noqa: S608 - our own names
        db.execute(f"COPY ({query}) TO {quoted([str(path)])} (FORMAT parquet)")
    path.chmod(0o600)
    return path, int(pq.read_metadata(path).num_rows)


def names_of(columns: Iterable[str]) -> str:
    """Write names of columns for DuckDB."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in columns)


# Tombstones ----------------------------------------------------------------------------------------------------------


def absent(
    session: Session,
    table: str,
    key: Sequence[str],
    present: Sequence[Path],
    look_again: Callable[[Path], Sequence[Path]],
    where: str = "1 = 1",
) -> list[Chunk]:
    """Give tombstones of the rows that are live here and not among the keys in ``present``.

    ``look_again`` is given the keys that are missed and gives those of a second look: a row is gone when neither look
    shows it. ``where`` limits which rows here are looked at.
    """
    gone, count = lacking(session, key, [live_keys(session, table, key, where)], present)
    if count and (again := look_again(gone)):
        gone, count = lacking(session, key, [gone], again)
    return tombstones(session, table, key, gone, count) if count else []


def tombstones(session: Session, table: str, key: Sequence[str], gone: Path, count: int) -> list[Chunk]:
    """Read the rows of the keys in ``gone`` back and mark them."""
    session.gone[table] += count
    found = _read_back(session, table, key, gone, count)
    marks = {RUN_ID: quoted([session.run_id]), DELETED_AT: f"{quoted([format_time(session.now)])}::TIMESTAMPTZ"}
    cells = [*(names_of([name]) for name in session.destination.types(table) if name not in marks)]
    cells += [f"{mark} AS {name}" for name, mark in marks.items()]
    names = names_of(key)
    query = f"SELECT {', '.join(cells)} FROM {files(found)} AS a SEMI JOIN {files([gone])} AS b USING ({names})"  # noqa: S608 - our own names
    return _written(session, query)


def _read_back(session: Session, table: str, key: Sequence[str], gone: Path, count: int) -> list[Path]:
    types = session.destination.types(table)
    live, by, page_by = is_live(session, table), key[0], key[0] if len(key) == 1 else ""
    conditions = [live]
    if count <= FEW and types[by] == "text":
        values = sorted(set(pq.read_table(gone, columns=[by]).column(0).to_pylist()))
        some = [values[start : start + TOGETHER] for start in range(0, len(values), TOGETHER)]
        conditions = [f"{live} AND {by} IN ({quoted(each)})" for each in some]
    paths = [session.spool.new_file() for _ in conditions]
    for path, where in zip(paths, conditions, strict=True):
        session.destination.copy(table, types, where, path, page_by)
        path.chmod(0o600)
    return paths


def _written(session: Session, query: str) -> list[Chunk]:
    path = session.spool.new_file()
    with session.spool.database() as db:
        db.execute(f"COPY ({query}) TO {quoted([str(path)])} (FORMAT parquet)")
    path.chmod(0o600)
    rows = int(pq.read_metadata(path).num_rows)
    return [Chunk(path, rows)] if rows else []


def every_row(session: Session, table: str, key: Sequence[str]) -> list[Chunk]:
    """Give tombstones of all rows of a table whose model is gone."""
    gone = live_keys(session, table, key)
    count = int(pq.read_metadata(gone).num_rows)
    return tombstones(session, table, key, gone, count) if count else []


def marked_before(session: Session, table: str, key: Sequence[str], kept: dict[str, Any]) -> list[Chunk]:
    """Give the rows that were marked when marks were all that was asked for, so that ``hard`` removes them too."""
    was = kept.get("deletes")
    types = columns_of(session, table)
    if session.options.deletes != "hard" or was == "hard" or DELETED_AT not in types or table in session.memory.anew:
        return []
    path = session.spool.new_file()
    rows = session.destination.copy(table, types, MARKED, path, key[0] if len(key) == 1 else "")
    path.chmod(0o600)
    return [Chunk(path, rows)] if rows else []


def beside(session: Session, spooled: Spooled, key: Sequence[str], marks: list[Chunk]) -> Spooled:
    """Put tombstones beside the rows that were read; what was read just now is not gone, whatever else says so."""
    if not marks:
        return spooled
    if spooled.rows:
        names = names_of(key)
        missed, read = files(chunk.path for chunk in marks), files(paths_of(spooled))
        query = f"FROM {missed} AS a ANTI JOIN {read} AS b USING ({names})"
        marks = _written(session, query)
    return replace(spooled, chunks=[*spooled.chunks, *marks])


def told(session: Session, table: str) -> str:
    """Say how many rows of a table this sync found to be gone."""
    done = {"soft": "marked", "hard": "removed"}.get(session.options.deletes, "")
    return f"{session.gone[table]:,} gone in Cargo: {done}" if session.gone[table] else ""


# Lists ---------------------------------------------------------------------------------------------------------------


def gone_of_list(
    session: Session,
    entity: Entity,
    rows: Sequence[Row],
    look_again: Callable[[], Sequence[Row]],
    kept: dict[str, Any],
    digest: str,
) -> list[Chunk]:
    """Give tombstones of what a whole list lacks. Where nothing moved in it, nobody is asked.

    A list has no count to hold it against, so what it lacks is looked for in the list once more.
    """
    table = entity.table
    if session.evidence(table).doubted:
        return []
    if not rows and columns_of(session, table):
        brake_empty(session, table, 0, count_live(session, table))
    unlooked = kept.get("deletes") in {None, "ignore"}
    if not follows_deletes(session, table) or (digest == kept.get("digest") and not unlooked):
        return []
    present = [keys_of(session, entity, rows)]
    return absent(session, table, entity.key, present, lambda _gone: [keys_of(session, entity, look_again())])
