"""The rows that are in a model now: all of them, a few by their key, or one by its identifier."""

import contextvars
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq
from sqlglot import exp

from cargo_source.catalog.columns import Column
from cargo_source.errors import BadSettings, Busy, IncompleteRead
from cargo_source.pull import sql
from cargo_source.pull.conform import SQL
from cargo_source.pull.patience import FIRST_LOOK, LONGEST, PATIENCE
from cargo_source.pull.picked import Picked, pick_model
from cargo_source.pull.picking import Pick
from cargo_source.pull.session import WATCHED_BY, Session, Watch
from cargo_source.push.target import Target

Meanwhile = Callable[[Callable[[], object]], object]
"""What is done while rows are read; it is given what raises the reading's failure, if there is one."""
Key = Any
"""A key as Python has it: a text or a number."""


@dataclass
class Present:
    """Reads a model that is written to, and waits while Cargo is still writing it."""

    session: Session
    target: Target
    anew: Callable[[], Target] | None = None
    """Finds the model once more, where writing to it may give it columns."""
    watch: Watch = lambda _table, _rows, _total: None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def rows(self, fields: frozenset[str]) -> Picked:
        """Read these fields of all rows. Raises Busy while Cargo is writing, IncompleteRead where rows may lack."""
        columns = tuple(column for column in self.target.shape.columns if column.field in fields | {"_id"})
        picked = self._settled(Pick(columns))
        if not picked.landing.proven:
            raise IncompleteRead(
                f"{self.target.label}: nothing shows that all its rows were read ({picked.landing.proof.doubt}), and a"
                " push would create those that were not once more"
            )
        return picked

    def by_key(self, column: Column, keys: Sequence[Key]) -> dict[Key, list[str]]:
        """Give the identifiers of the records that have these keys. Raises Busy while Cargo is writing."""
        if column.field not in self.target.shape.fields and self.anew is not None:
            self.target = self.anew()
        if column.field not in self.target.shape.fields:
            return {}
        cells = [exp.Literal.string(key) if isinstance(key, str) else exp.Literal.number(repr(key)) for key in keys]
        named = exp.column(exp.to_identifier(column.name, quoted=True))
        wanted = Pick((column,), exp.In(this=named, expressions=cells))
        found: dict[Key, list[str]] = {}
        with self._lock:
            picked = self._settled(wanted)
            for chunk in picked.chunks:
                table = pq.read_table(chunk.path)
                chunk.path.unlink()
                identity = next(each.name for each in self.target.shape.columns if each.field == "_id")
                for key, id_ in zip(table[column.name].to_pylist(), table[identity].to_pylist(), strict=True):
                    # JSON has one kind of number: a decimal is what a request says it is.
                    found.setdefault(float(key) if isinstance(key, Decimal) else key, []).append(id_)
        return found

    def _settled(self, wanted: Pick) -> Picked:
        for _ in looks(self.session.sleep):
            picked = pick_model(self.session, self.target.shape, wanted)
            if not picked.landing.refreshing:
                return picked
            for chunk in picked.chunks:
                chunk.path.unlink(missing_ok=True)
        raise Busy(f"{self.target.label}: Cargo is still writing this model after {PATIENCE:.0f} s: push again later")

    @contextmanager
    def view(
        self,
        db: Any,
        name: str,
        columns: Iterable[Column],
        also: frozenset[str] = frozenset(),
        meanwhile: Meanwhile = lambda _check: None,
    ) -> Iterator[Picked]:
        """Read columns of all rows, and the fields ``also``, into a view of ``db``; its columns are called by fields.

        A column that the model has not yet is null in all rows. ``meanwhile`` is done while they are read.
        """
        known = {column.field: column for column in self.target.shape.columns}
        wanted = {column.field: column for column in columns} | {each: known[each] for each in sorted(also | {"_id"})}
        _check_case(self.target.label, wanted)
        picked = self._beside(frozenset(wanted.keys() & known.keys()), meanwhile)
        try:
            files = ", ".join(sql.text(str(chunk.path)) for chunk in picked.chunks)
            cells = ", ".join(
                f"{sql.name(column.name) if field in known else f'NULL::{SQL[column.type]}'} AS {sql.name(field)}"
                for field, column in wanted.items()
            )
            db.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT {cells} FROM read_parquet([{files}])")
            yield picked
        finally:
            for chunk in picked.chunks:
                chunk.path.unlink(missing_ok=True)

    def _beside(self, fields: frozenset[str], meanwhile: Meanwhile) -> Picked:
        """Read while something else is done. What fails there ends the reading, and is raised."""
        ended = threading.Event()

        def told(_table: str, rows: int, total: int | None) -> None:
            if ended.is_set():
                raise CancelledError
            self.watch(self.target.label, rows, total)

        def read() -> Picked:
            WATCHED_BY.set(told)
            return self.rows(fields)

        with ThreadPoolExecutor(1, thread_name_prefix="cargo-present") as pool:
            reading = pool.submit(contextvars.copy_context().run, read)
            try:
                meanwhile(lambda: reading.result() if reading.done() else None)
                return reading.result()
            except BaseException:
                ended.set()
                reading.add_done_callback(_dropped)
                raise


def _dropped(reading: Future[Picked]) -> None:
    if reading.exception() is None:
        for chunk in reading.result().chunks:
            chunk.path.unlink(missing_ok=True)


def _check_case(label: str, fields: Iterable[str]) -> None:
    """Raise BadSettings where two columns differ by case alone: DuckDB would take one for the other."""
    seen: dict[str, str] = {}
    for each in fields:
        if (other := seen.setdefault(each.casefold(), each)) != each:
            raise BadSettings(
                f"{label}: columns {other!r} and {each!r} differ by case alone, so that they cannot be pushed together,"
                " nor one where a segment's filter reads the other: rename one in Cargo"
            )


def looks(sleep: Callable[[float], None]) -> Iterator[None]:
    """Give control at once, and then after waits that grow, until patience is at its end."""
    waited, pause = 0.0, FIRST_LOOK
    yield
    while waited + pause <= PATIENCE:
        sleep(pause)
        yield
        waited += pause
        pause = min(2 * pause, LONGEST)
