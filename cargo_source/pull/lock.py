"""One sync at a time in one folder of state: two would take each other's package for one that was left behind."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from filelock import FileLock, Timeout

from cargo_source.errors import Busy

_held: ContextVar[frozenset[tuple[Path, str]]] = ContextVar("cargo_source_held", default=frozenset())


@contextmanager
def held(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of the state called ``name`` in ``folder``.

    Raises Busy where another process has it; a dead one has none. Whoever holds it may hold it again. The lock lies
    beside the state, because dlt empties a folder of state that it does not know.
    """
    mine = (folder.resolve(), name)
    if mine in _held.get():
        yield
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = folder / f"{name}.running"
    lock = FileLock(folder / f"{name}.lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        pid = owner.read_text().strip() if owner.exists() else "unknown"
        raise Busy(
            f"another sync (process {pid}) is at work in {folder}: wait for it, or give this one a --state-dir"
            " (a pipeline) of its own"
        ) from None
    try:
        owner.write_text(f"{os.getpid()}\n")
        token = _held.set(_held.get() | {mine})
        try:
            yield
        finally:
            _held.reset(token)
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
