"""What every push did, row by row, in the user's own database: ``_cargo_push_runs`` and ``_cargo_push_rows``.

SQL answers why a row was rejected, when it was last sent, and what last night's push did. A push that is at work, or
was killed, has its journal beside it; the next one takes that over. Losing the ledger costs a re-read of the model:
what was pushed is found there by its key, and a mirror then removes nothing.
"""

import json
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from filelock import FileLock, Timeout

from cargo_source import __version__
from cargo_source.errors import BadSettings, Busy, SettingsError
from cargo_source.pull import sql
from cargo_source.pull.digest import digest_of
from cargo_source.pull.times import parse_time
from cargo_source.push import journal

log = logging.getLogger("cargo_source")

RUNS, ROWS = "_cargo_push_runs", "_cargo_push_rows"
_TEXT, _WHOLE, _REAL, _TIME = pa.string(), pa.int64(), pa.float64(), pa.timestamp("us", tz="UTC")

RUN_COLUMNS: dict[str, pa.DataType] = {
    "run_id": _TEXT,
    "plan_id": _TEXT,
    "workspace": _TEXT,
    "model_uuid": _TEXT,
    "model": _TEXT,
    "mode": _TEXT,
    "nulls": _TEXT,
    "ledger_keys": _TEXT,
    "key_column": _TEXT,
    "columns": _TEXT,
    "status": _TEXT,
    "source_rows": _WHOLE,
    "target_rows": _WHOLE,
    "planned_creates": _WHOLE,
    "planned_updates": _WHOLE,
    "planned_removes": _WHOLE,
    "unchanged": _WHOLE,
    "created": _WHOLE,
    "updated": _WHOLE,
    "removed": _WHOLE,
    "rejected": _WHOLE,
    "unknown": _WHOLE,
    "unsent": _WHOLE,
    "requests": _WHOLE,
    "seconds": _REAL,
    "started_at": _TIME,
    "finished_at": _TIME,
    "radius": _TEXT,
    "error": _TEXT,
    "version": _TEXT,
}
ROW_COLUMNS: dict[str, pa.DataType] = {
    "run_id": _TEXT,
    "workspace": _TEXT,
    "model_uuid": _TEXT,
    "model": _TEXT,
    "mode": _TEXT,
    "key_column": _TEXT,
    "key": _TEXT,
    "kind": _TEXT,
    "status": _TEXT,
    "record_id": _TEXT,
    "source_row": _WHOLE,
    "column_name": _TEXT,
    "reason": _TEXT,
    "sent_at": _TIME,
    "answered_at": _TIME,
}
SETTLE = 30.0
"""Seconds after which what was sent and never answered is done, or will not be."""
AT_ONCE = 20_000
"""Rows that are in memory at once when they are written down."""
REJECTED = frozenset({"rejected", "unknown"})
"""What has become of rows that are to be pushed again."""

_FATE = ("run_id", "model_uuid", "model", "source_row", "column_name", "reason", "key", "status", "kind", "record_id")
TOGETHER = 500
"""Keys of one question."""

Row = dict[str, Any]


class Database(Protocol):
    """Where the ledger's tables are. ``select`` gives no rows where there is no such table."""

    def select(self, table: str, columns: Sequence[str], where: str) -> list[tuple[Any, ...]]:
        """Give these columns of the rows where ``where`` holds."""

    def replace(self, run_id: str, tables: dict[str, pa.RecordBatchReader]) -> None:
        """Put the rows of one run in the place of those that are there of it, making tables that are not there."""


class Ledger:
    """The ledger in ``database``; what is at work lies in ``folder``, beside it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder

    # What it knows -------------------------------------------------------------------------------------------------

    def tracked(self, workspace: str, model: str, key: str) -> list[str]:
        """Give the records of a model that are its own: made by pushes by this key, or written by mirrors by it."""
        own = f"key_column = {sql.text(key)} AND (status = 'created' OR (status = 'updated' AND mode = 'mirror'))"
        where = f"{_of(workspace, model)} AND record_id IS NOT NULL AND {own}"
        return sorted(str(found) for (found,) in self.database.select(ROWS, ["DISTINCT record_id"], where))

    def last_columns(self, workspace: str, model: str, key: str) -> set[str]:
        """Give the model's columns that the last push by this key that was done wrote; none where there was none."""
        where = f"{_of(workspace, model)} AND key_column = {sql.text(key)}"
        found = self.database.select(RUNS, ["finished_at", "columns"], where)
        done = [each for each in found if each[0] is not None]
        return set(json.loads(max(done)[1]).values()) if done else set()

    def last(self, model: str | None) -> Row:
        """Give how the last push to a model went: ``model_uuid``, ``mode``, ``nulls``, ``key`` and ``columns``.

        Raises BadSettings where there was none, or where there were several models and none is named.
        """
        names = ["started_at", "model_uuid", "model", "mode", "nulls", "key_column", "columns", "ledger_keys"]
        found = sorted(self.database.select(RUNS, names, _called(model)))
        if not found:
            raise BadSettings(
                "nothing was pushed yet: this ledger knows of no push" + (f" to {model}" if model else "")
            )
        if several := sorted({str(each[2]) for each in found if each[1] != found[-1][1]}):
            raise BadSettings(f"this ledger knows of pushes to several models: say which of {', '.join(several)}")
        _, uuid, _, mode, nulls, slug, text, ledger_keys = found[-1]
        columns: dict[str, str] = json.loads(text)
        key = next(name for name, mapped in columns.items() if mapped == slug)
        how = {"mode": mode, "nulls": nulls, "key": key, "columns": columns, "ledger_keys": ledger_keys}
        return {"model_uuid": uuid, **how}

    def rejected(self, workspace: str, model: str) -> list[str]:
        """Give the keys, as they are remembered, of rows that were rejected or lost when they were last pushed."""
        found = self._last_fates(_of(workspace, model))
        return sorted({str(row["key"]) for row in found if row["status"] in REJECTED and row["key"] is not None})

    def unknown(self, workspace: str, model: str) -> list[Row]:
        """Give the rows of which nobody knows what became of them: ``key``, as kept, ``kind``, ``record_id``."""
        found = self._last_fates(_of(workspace, model), {"unknown"})
        cut_off = [{"record_id": row.get("id"), **row} for row in self._unanswered(model)]
        return [row for row in (*found, *cut_off) if row["status"] == "unknown" and row["key"] is not None]

    def rejects(self, model: str | None = None) -> list[Row]:
        """Give the rows that were rejected or lost when they were last pushed, with the reasons; the newest first."""
        found = [row for row in self._last_fates(_called(model)) if row["status"] in REJECTED]
        return [
            {name: value for name, value in row.items() if name not in {"model_uuid", "run_id", "kind", "record_id"}}
            for row in reversed(found)
        ]

    def _last_fates(self, where: str, ever: Collection[str] = REJECTED) -> list[Row]:
        """Give what last became of each row that was ever rejected, or ``ever`` so, in the order of the pushes.

        Rows without a key are those of the last push alone: nobody can tell them from others.
        """
        statuses = ", ".join(map(sql.text, sorted(ever)))
        bad = self.database.select(ROWS, _FATE, f"{where} AND status IN ({statuses})")
        if not bad:
            return []
        begun = dict(self.database.select(RUNS, ["run_id", "started_at"], where))
        keys = sorted({str(row[6]) for row in bad if row[6] is not None})
        rows = [row for row in bad if row[6] is None]
        for start in range(0, len(keys), TOGETHER):
            some = ", ".join(map(sql.text, keys[start : start + TOGETHER]))
            rows += self.database.select(ROWS, _FATE, f"{where} AND key IN ({some})")
        newest = {uuid: run for run, uuid in self._runs(where)}
        last: dict[object, list[Row]] = {}
        for run, uuid, called, place, column, reason, key, status, kind, record in sorted(
            rows, key=lambda row: (str(begun.get(row[0])), row[3] or 0)
        ):
            if key is None and run != newest[uuid]:
                continue
            told = {"model": called, "row": place, "column": column, "reason": reason, "key": key, "status": status}
            told |= {"model_uuid": uuid, "run_id": run, "at": str(begun.get(run) or "")[:19]}
            told |= {"kind": kind, "record_id": record}
            # What came later stands at the end; rows of one push may share a key.
            before = last.pop((uuid, key or place), [])
            last[uuid, key or place] = [*(each for each in before if each["run_id"] == run), told]
        return [row for rows in last.values() for row in rows]

    def _runs(self, where: str) -> list[tuple[str, str]]:
        """Give the pushes and their models in the order of time."""
        found = self.database.select(RUNS, ["started_at", "run_id", "model_uuid"], where)
        return [(run, uuid) for _, run, uuid in sorted(found)]

    # What is at work -----------------------------------------------------------------------------------------------

    @contextmanager
    def held(self, url: str, model: str, run_id: str) -> Iterator[None]:
        """Hold the right to push to a model of the workspace at ``url``, whatever ledger others have.

        Raises Busy, which names the push that has it; a dead one has not.
        """
        locks, name = _locks(), f"{model}-{digest_of(url)}"
        owner, lock = locks / f"{name}.running", FileLock(locks / f"{name}.lock", mode=0o600)
        try:
            for folder in (self.folder, locks):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            other = owner.read_text().strip() if owner.exists() else "of unknown number"
            raise Busy(f"another push to this model is at work: {other}; wait for it to end, then plan anew") from None
        except OSError as error:
            raise BadSettings(f"ledger: {error.filename or self.folder} cannot be made: {error.strerror}") from None
        try:
            owner.write_text(f"push {run_id} (process {os.getpid()})\n")
            yield
        finally:
            owner.unlink(missing_ok=True)
            lock.release()

    def let_settle(self, model: str, sleep: Callable[[float], None]) -> None:
        """Wait for what another push has sent last and was never answered: Cargo may still be at it."""
        sent = [row["sent_at"] for row in self._unanswered(model)]
        if not sent:
            return
        seconds = SETTLE - (datetime.now(UTC) - parse_time(max(sent))).total_seconds()
        if seconds > 0:
            log.warning("rows of another push are unanswered: waiting %.0f s for what it sent to show", seconds)
            sleep(seconds)

    def _unanswered(self, model: str) -> list[Row]:
        told = [journal.read(path) for path in self._journals(model)]
        return [row for each in told if each and not each.end for row in each.rows() if row["status"] == "unknown"]

    def _journals(self, model: str) -> list[Path]:
        return sorted(self.folder.glob(f"{model}.*{journal.SUFFIX}"))

    def journal(self, model: str, run_id: str) -> journal.Journal:
        """Open the journal of a push."""
        return journal.Journal(self.folder / f"{model}.{run_id}{journal.SUFFIX}")

    def take_over(self, model: str) -> list[Row]:
        """Write down what pushes to a model did, and remove their journals. Gives those that were cut off."""
        cut_off = []
        for path in self._journals(model):
            told = journal.read(path)
            if told is not None:
                self.database.replace(told.run["run_id"], _tables(told))
                if told.end is None:
                    cut_off.append(told.run)
            path.unlink()
        return cut_off


def _locks() -> Path:
    """Give where pushes hold the models that they write to: one place for all ledgers of a person on this machine."""
    # Where there are no numbers of users, each has a temporary folder of his own.
    user = os.getuid() if hasattr(os, "getuid") else ""
    return Path(tempfile.gettempdir()) / f"cargo-source-pushes-{user}"


def _called(model: str | None) -> str:
    if model is None:
        return "true"
    text = sql.text(model)
    return f"(model = {text} OR model_uuid = {text} OR model LIKE {sql.text('%.' + model)})"


def _of(workspace: str, model: str) -> str:
    return f"workspace = {sql.text(workspace)} AND model_uuid = {sql.text(model)}"


def check_workspace(known: str, workspace: str) -> None:
    """Raise SettingsError where something belongs to another workspace than the token."""
    if known != workspace:
        raise SettingsError(
            f"this plan was made for workspace {known}, the token is of {workspace}: apply it with that one's token"
        )


def _tables(told: journal.Told) -> dict[str, pa.RecordBatchReader]:
    run = {**told.run, **(told.end or {"status": "killed", **_counted(told.rows())}), "version": __version__}
    shared = {name: run[name] for name in ("run_id", "workspace", "model_uuid", "model", "mode", "key_column")}
    return {RUNS: _table(RUN_COLUMNS, run, iter([{}])), ROWS: _table(ROW_COLUMNS, shared, told.rows())}


def _counted(rows: Iterator[Row]) -> Row:
    found = Counter(row["status"] for row in rows if not row.get("settled"))
    return {name: found[name] for name in ("created", "updated", "removed", "rejected", "unknown")}


def _table(columns: dict[str, pa.DataType], shared: Row, rows: Iterator[Row]) -> pa.RecordBatchReader:
    """Give rows, with what all of them share, as a table of which a part at a time is in memory."""
    schema = pa.schema(list(columns.items()))

    def batches() -> Iterator[pa.RecordBatch]:
        while some := [*islice(rows, AT_ONCE)]:
            arrays = [
                pa.repeat(pa.scalar(_cell(shared[name], kind), kind), len(some))
                if name in shared
                else pa.array(_cells(some, _CALLED.get(name, name), kind), kind)
                for name, kind in columns.items()
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


_CALLED = {"record_id": "id", "source_row": "row", "column_name": "column"}
"""How a journal calls what columns of the ledger hold."""


def _cells(rows: Sequence[Row], name: str, kind: pa.DataType) -> list[Any]:
    cells = [row.get(name) for row in rows]
    return [_cell(cell, kind) for cell in cells] if kind == _TIME else cells


def _cell(value: Any, kind: pa.DataType) -> Any:
    return _moment(value) if kind == _TIME and isinstance(value, str) else value


@lru_cache(maxsize=64)
def _moment(text: str) -> datetime:
    # Rows of one request share it.
    return parse_time(text)
