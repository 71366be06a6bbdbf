"""The rows of a plan, in a private DuckDB file of its own."""

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

import duckdb

from cargo_source import __version__
from cargo_source.catalog.columns import Column
from cargo_source.errors import BadSettings
from cargo_source.pull.spool import is_alive
from cargo_source.push.compare import add_canonical
from cargo_source.push.facts import Facts
from cargo_source.push.target import Mapped

MEMORY, OF_COLUMN = 192, 16
"""Megabytes that DuckDB may take for a plan, and for each of its columns; what does not fit waits on disk."""
QUICK = {"force_compression": "uncompressed"}
"""A plan lives for minutes, and each of its rows is numbered: to pack a source took a third of bringing it in."""
FILE = "plan.duckdb"


_PREFIX = "cargo-source-plan-"


def _sweep() -> None:
    """Remove the plans of processes that were killed: they hold values."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if not is_alive(folder.name.removeprefix(_PREFIX).partition("-")[0]):
            shutil.rmtree(folder, ignore_errors=True)


class PlanStore:
    """The rows of a plan in a private DuckDB file of its own, removed with the object that holds it."""

    def __init__(self, saved: Path | None = None) -> None:
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self._finalizer = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        if saved is not None:
            shutil.copyfile(saved, self.folder / FILE)
        config: dict[str, Any] = {
            "memory_limit": f"{MEMORY}MB",
            "threads": 2,
            "temp_directory": str(self.folder / "spilled"),
            **QUICK,
        }
        self._db: duckdb.DuckDBPyConnection | None = duckdb.connect(str(self.folder / FILE), config=config)
        (self.folder / FILE).chmod(0o600)
        self.db.execute("SET TimeZone = 'UTC'")
        add_canonical(self.db)

    @property
    def db(self) -> duckdb.DuckDBPyConnection:
        """What asks it. Raises BadSettings where it was closed."""
        if self._db is None:
            raise BadSettings("this plan was closed: make it anew, or load it from where it was saved")
        return self._db

    def _give_room(self, columns: int) -> None:
        """Let DuckDB take memory for rows of so many columns."""
        self.db.execute(f"SET memory_limit = '{MEMORY + OF_COLUMN * columns}MB'")

    def close(self) -> None:
        """Remove it."""
        if self._db is not None:
            self._db.close()
            self._db = None
        self._finalizer()

    def save(self, path: Path) -> None:
        """Write all that is in it to ``path``, readable by its owner alone. Raises OSError where it cannot be."""
        self.db.execute("CHECKPOINT")
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            fresh.touch(mode=0o600)
            shutil.copyfile(self.folder / FILE, fresh)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)

    def keep(self, facts: Facts) -> None:
        """Write down what the plan is for."""
        self.db.execute("CREATE OR REPLACE TABLE plan (version VARCHAR, facts VARCHAR)")
        self.db.execute("INSERT INTO plan VALUES (?, ?)", [__version__, json.dumps(facts.as_json())])

    def keep_columns(self, columns: Sequence[Mapped], key: int) -> None:
        """Write down the columns of ``source`` in their order, and which of them rows are told apart by."""
        rows = [asdict(each) for each in columns]
        self.db.execute("CREATE OR REPLACE TABLE columns (key INTEGER, columns VARCHAR)")
        self.db.execute("INSERT INTO columns VALUES (?, ?)", [key, json.dumps(rows)])
        self._give_room(len(rows))

    def columns(self) -> tuple[list[Mapped], int]:
        """Give what :meth:`keep_columns` wrote down."""
        key, text = self.db.execute("FROM columns").fetchall()[0]
        rows = json.loads(text)
        self._give_room(len(rows))
        return [Mapped(**{**row, "column": Column(**row["column"])}) for row in rows], int(key)

    def facts(self) -> Facts:
        """Give what the plan is for. Raises BadSettings where this is no plan of this version."""
        try:
            version, text = self.db.execute("SELECT version, facts FROM plan").fetchall()[0]
        except (duckdb.Error, IndexError):
            raise BadSettings("this file holds no plan") from None
        if version != __version__:
            raise BadSettings(
                f"this plan was made by version {version} of cargo_source, not {__version__}: make it anew"
            )
        try:
            return Facts.of_json(json.loads(text))
        except (ValueError, KeyError, TypeError):
            raise BadSettings("this file holds no plan that can be read: make it anew") from None

    def recounted(self) -> Facts:
        """Give what the plan is for, with the changes counted that are truly in it."""
        facts = self.facts()
        try:
            found = dict(self.db.execute("SELECT kind, count(*) FROM changes GROUP BY 1").fetchall())
        except duckdb.Error:
            raise BadSettings("this file holds no plan that can be read: make it anew") from None
        counts = {f"{kind}s": int(found.get(kind, 0)) for kind in ("create", "update", "remove")}
        return replace(facts, counts=replace(facts.counts, **counts))

    def settled(self) -> list[tuple[Any, ...]]:
        """Give the rows of earlier pushes of which it shows what became of them: row, id, key as remembered, kind."""
        return self.db.execute("FROM settled").fetchall()

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        return int(self.db.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])

    @classmethod
    def opened(cls, path: Path) -> Self:
        """Open a saved plan: a copy of it, so that the file stays as it is."""
        if not path.is_file():
            raise BadSettings(f"there is no plan {path}")
        try:
            return cls(path)
        except duckdb.Error:
            raise BadSettings(f"{path} is no plan") from None
