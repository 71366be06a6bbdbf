"""Counters of what was asked of the API, in all and for a stretch of code."""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

Count = Literal["requests", "retries", "rate_limited", "downloads", "bytes"]

_OPAQUE = re.compile(r"(?=[^/]*\d)[^/]{20,}|\d+")


@dataclass
class Counts:
    """What was asked of the API and of download links.

    ``requests`` were sent to the API; ``retries`` of them were repeated ones, and ``rate_limited`` were refused with
    429. ``downloads`` are files fetched from links, ``bytes`` what was received by both.
    """

    requests: int = 0
    retries: int = 0
    rate_limited: int = 0
    downloads: int = 0
    bytes: int = 0


class Tally(Counts):
    """Counts that threads may add to."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def add(self, what: Count, number: int) -> None:
        """Add to one of the counts."""
        with self._lock:
            setattr(self, what, getattr(self, what) + number)


_scopes: ContextVar[tuple[tuple[int, Tally], ...]] = ContextVar("cargo_source_scopes", default=())


class Stats:
    """A client's counters: in all, by group of paths, and inside of a scope."""

    def __init__(self) -> None:
        self._total = Tally()
        self._groups: dict[str, Tally] = {}
        self._lock = threading.Lock()

    def count(self, group: str, what: Count, number: int = 1) -> None:
        """Count something for a group of paths and for every scope that this code runs in."""
        with self._lock:
            tally = self._groups.setdefault(group, Tally())
        for counts in (self._total, tally, *(scope for owner, scope in _scopes.get() if owner == id(self))):
            counts.add(what, number)

    @contextmanager
    def scope(self, *, apart: bool = False) -> Iterator[Counts]:
        """Count what is asked inside of the ``with`` block, by its own thread or task and by those that it starts.

        Tasks inherit the scope by themselves; a thread does when it runs in ``contextvars.copy_context()``. What is
        counted ``apart`` does not count for the scopes around it.
        """
        counts, around = Tally(), _scopes.get()
        _scopes.set((*(() if apart else around), (id(self), counts)))
        try:
            yield counts
        finally:
            # Not by a token: a generator may be closed in another context than the one it was started in.
            _scopes.set(around if apart else tuple(scope for scope in _scopes.get() if scope[1] is not counts))

    def snapshot(self) -> tuple[Counts, Mapping[str, Counts]]:
        """Give the counts in all and by group of paths, as they are now."""
        with self._lock:
            groups = dict(self._groups)
        return _copy(self._total), {name: _copy(tally) for name, tally in groups.items()}


def _copy(tally: Tally) -> Counts:
    return replace(Counts(), **{name: getattr(tally, name) for name in Counts.__dataclass_fields__})


@lru_cache(maxsize=1024)
def group_of(path: str) -> str:
    """Give the group that a path belongs to: the path with its ids as ``{id}``."""
    return "/".join("{id}" if _OPAQUE.fullmatch(part) else part for part in path.strip("/").split("/"))
