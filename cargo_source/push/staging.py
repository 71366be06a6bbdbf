"""A source's rows, brought into DuckDB as a model takes them: numbered, typed, and with the reason where one is not."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from cargo_source.errors import FixTheData, ReportBug
from cargo_source.pull import sql
from cargo_source.push.batches import Incoming
from cargo_source.push.cells import Cell, cell, kind_of
from cargo_source.push.room import give, limit
from cargo_source.push.target import Mapped
from cargo_source.push.values import Kind, Make, form_of, maker

Nulls = str
Watch = Callable[[int], None]


@dataclass(frozen=True)
class Taken:
    """A column of the source that goes into a column of the model."""

    name: str
    mapped: Mapped
    kind: Kind
    cell: Cell

    @property
    def make(self) -> Make | None:
        """What makes its cells before DuckDB sees them, where something does."""
        return maker(self.kind, self.mapped.column.type, self.mapped.cargo_type)


def taken(incoming: Incoming, mapping: dict[str, Mapped]) -> list[Taken]:
    """Find how each column of a source is taken. Raises FixTheData for one that cannot be, whatever its rows hold."""
    found, wrong = [], []
    for place, (name, mapped) in enumerate(mapping.items()):
        field = incoming.schema.field(name)
        kind = kind_of(field)
        made = cell(kind, mapped.column.type, mapped.cargo_type, f"c{place}") if kind else None
        if kind is None or made is None:
            wrong.append(f"{name!r} ({field.type}) does not fit {mapped.slug!r}, which takes {mapped.cargo_type}")
        else:
            found.append(Taken(name, mapped, kind, made))
    if wrong:
        raise FixTheData("columns of another type than the model's: " + "; ".join(wrong) + "; cast them first")
    return found


def stage(
    db: duckdb.DuckDBPyConnection,
    incoming: Incoming,
    columns: Sequence[Taken],
    nulls: Nulls,
    watch: Watch,
    key: int = 0,
) -> None:
    """Write the source into the table ``source`` of ``db``.

    It has ``row`` (from 0), ``v0``, ``v1``, ... as the model takes them, and ``bad_column`` and ``bad_reason`` where a
    cell cannot be taken as it is. Raises FixTheData where the source cannot be read, or where its rows have no room.
    """
    values = ", ".join(f"{each.cell.value} AS v{place}" for place, each in enumerate(columns))
    # Of a row with several problems that of its key is told: without it nobody knows which record it stands for.
    order = sorted(range(len(columns)), key=lambda place: place != key)
    problems = [(columns[place].mapped.slug, _problem(columns[place], place, nulls)) for place in order]
    select = f"SELECT row, {values}, {_bad(problems)} FROM batch"
    schema = _schema(incoming, columns)
    with _frugal(db, len(columns)):
        _run(db, f"CREATE TABLE source AS {select}", schema.empty_table())
        source = _Source(db, f"INSERT INTO source {select}")
        rows = 0
        # A batch is made while the one before it is written.
        with source, ThreadPoolExecutor(1, thread_name_prefix="cargo-staging") as writing:
            written: Future[None] | None = None
            for batch in incoming.batches:
                given = _given(schema, columns, batch, rows)
                if written is not None:
                    written.result()
                written = writing.submit(source.insert, given)
                rows += batch.num_rows
                watch(rows)
            if written is not None:
                written.result()


GROUP_ROWS, GROUP_BYTES = 122_880, 64 << 20
"""What is committed at once: a whole row group, which DuckDB writes to its place; less than one goes to its log first,
and so to disk twice. More than that stays in memory."""
LONG = 2_000
"""Bytes of a row that is long: blocks of such texts are in memory until they are committed."""


@dataclass
class _Source:
    """The table of the source while it is written to; what is left is committed at the end, or undone."""

    db: duckdb.DuckDBPyConnection
    statement: str
    rows: int = 0
    bytes: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._commit()
        elif self.rows:
            # DuckDB takes nothing else while a transaction that has failed is open.
            with suppress(duckdb.Error):
                self.db.execute("ROLLBACK")

    def insert(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        if not self.rows:
            self.db.execute("BEGIN")
        self.rows, self.bytes = self.rows + batch.num_rows, self.bytes + batch.nbytes
        if batch.nbytes > LONG * batch.num_rows:
            give(self.db, max(limit(self.db), 64 + 4 * (self.bytes >> 20)))
        _run(self.db, self.statement, batch)
        if self.rows >= GROUP_ROWS or self.bytes >= GROUP_BYTES:
            self._commit()

    def _commit(self) -> None:
        if self.rows:
            _asked(self.db, "COMMIT")
        self.rows = self.bytes = 0
        pa.default_memory_pool().release_unused()


MEMORY, OF_COLUMN = 20, 2
"""Megabytes that DuckDB may take while it stages, and how many more for each column, of which it writes blocks."""


@contextmanager
def _frugal(db: duckdb.DuckDBPyConnection, columns: int) -> Iterator[None]:
    """Have DuckDB take little memory: it fills what it is given, though all that it does is to write."""
    before, threads = limit(db), db.execute("SELECT current_setting('threads')").fetchall()[0][0]
    give(db, min(MEMORY + OF_COLUMN * columns, before))
    db.execute("SET threads = 1")
    try:
        yield
    finally:
        give(db, before)
        db.execute(f"SET threads = {threads}")


def _run(db: duckdb.DuckDBPyConnection, statement: str, batch: pa.RecordBatch | pa.Table) -> None:
    db.register("batch", batch)
    try:
        _asked(db, statement)
    finally:
        db.unregister("batch")


def _asked(db: duckdb.DuckDBPyConnection, statement: str) -> None:
    try:
        db.execute(statement)
    except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.TransactionException) as error:
        raise FixTheData(
            f"there is no room for the source's rows ({type(error).__name__}): free some memory, or some of the disk of"
            " temporary files, which TMPDIR names, or push fewer columns at once"
        ) from None
    except duckdb.Error as error:
        # Its own words may quote a cell.
        raise ReportBug(
            f"the source's rows cannot be staged ({type(error).__name__}); please report this as a bug of cargo_source"
        ) from None


def _problem(column: Taken, place: int, nulls: Nulls) -> str:
    reasons = [column.cell.problem]
    if column.make:
        reasons.insert(0, f"p{place}")
    if nulls == "error":
        reasons.append(f"CASE WHEN ({column.cell.value}) IS NULL THEN 'is null' END")
    known = [reason for reason in reasons if reason != "NULL"]
    return f"coalesce({', '.join(known)})" if known else "NULL"


def _bad(problems: Sequence[tuple[str, str]]) -> str:
    """Write the columns that hold the first problem of a row."""
    some = [(slug, problem) for slug, problem in problems if problem != "NULL"]
    if not some:
        return "NULL::VARCHAR AS bad_column, NULL::VARCHAR AS bad_reason"
    cases = " ".join(f"WHEN ({problem}) IS NOT NULL THEN {sql.text(slug)}" for slug, problem in some)
    return f"CASE {cases} END AS bad_column, coalesce({', '.join(f'({problem})' for _, problem in some)}) AS bad_reason"


def _schema(incoming: Incoming, columns: Sequence[Taken]) -> pa.Schema:
    """Name the columns that are taken, numbered and in forms that DuckDB reads without losing any of them."""
    fields = [pa.field("row", pa.int64())]
    for place, each in enumerate(columns):
        fields.append(pa.field(f"c{place}", _form(each, incoming.schema.field(each.name).type)))
        if each.make:
            fields.append(pa.field(f"p{place}", pa.string()))
    return pa.schema(fields)


def _given(schema: pa.Schema, columns: Sequence[Taken], batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    arrays: list[pa.Array] = [pc.cumulative_sum(pa.repeat(1, batch.num_rows), start=first - 1)]
    for each in columns:
        arrays += _formed(each, batch.column(batch.schema.get_field_index(each.name)), first)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _form(column: Taken, kind: pa.DataType) -> pa.DataType:
    if column.make:
        return form_of(column.mapped.column.type, column.kind)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if column.kind == "text":
        # Batches are small, so that offsets of 32 bits will do.
        return pa.string()
    return pa.float32() if pa.types.is_float16(kind) else kind


def _formed(column: Taken, array: pa.Array, first: int) -> list[pa.Array]:
    if pa.types.is_dictionary(array.type):
        array = _decoded(array)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if _is_text(array.type):
        _check_text(column, array, first)
    if column.make:
        return list(column.make(array))
    form = _form(column, array.type)
    return [array if array.type == form else array.cast(form)]


def _decoded(array: pa.DictionaryArray) -> pa.Array:
    if pa.types.is_string_view(array.type.value_type):
        # Arrow cannot take views by index.
        array = pa.DictionaryArray.from_arrays(array.indices, array.dictionary.cast(pa.string()))
    return array.dictionary_decode()


def _is_text(kind: pa.DataType) -> bool:
    return kind in {pa.string(), pa.large_string(), pa.string_view()}


def _check_text(column: Taken, array: pa.Array, first: int) -> None:
    """Raise FixTheData where a text is none: whoever made the array may not have looked."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        row = next((place for place in range(len(array)) if not _is_valid(array.slice(place, 1))), 0)
        raise FixTheData(
            f"row {first + row:,}: column {column.name!r} holds bytes that are no text in UTF-8; write them anew"
        ) from None


def _is_valid(array: pa.Array) -> bool:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
