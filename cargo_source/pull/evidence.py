"""What tells that the rows of a table are complete: gathered while they are read, from every request for them.

A read that nothing speaks for is ``unproven``: its rows load and are shown as such, and no delete is derived from them.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

COUNTED = "counted"
WHOLE = "whole answer"
CONFIRMED = "empty page confirmed"
SHORT = "short last page"
SORTED = "sorted, overlapping pages"
ENDS = "ends where pages end"
TESTIFIED = "parents' word"
MOVED = "the list moved while it was read"
UNCOUNTED = "nothing counts the rows of the export"
REFRESHING = "Cargo was still writing"


@dataclass(frozen=True)
class Proof:
    """What one read shows: ``ground`` speaks for it, or ``doubt`` against it; the numbers where something counts."""

    ground: str = ""
    doubt: str = ""
    expected: int | None = None
    got: int | None = None


@dataclass
class _Sum:
    """Proofs in sum."""

    grounds: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)
    expected: int | None = None
    got: int | None = None

    def add(self, more: "_Sum") -> None:
        self.grounds += more.grounds
        self.doubts += more.doubts
        self.expected = added(self.expected, more.expected)
        self.got = added(self.got, more.got)


def added(known: int | None, more: int | None) -> int | None:
    """Add two counts, of which either may be of nothing."""
    return known if more is None else (known or 0) + more


class Evidence:
    """The proofs of all reads of one table. Threads may add to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sum, self._news = _Sum(), _Sum()
        self._announced: int | None = None
        self._longest = 0

    def add(self, proof: Proof) -> None:
        """Take what one read shows."""
        more = _Sum(
            Counter(filter(None, [proof.ground])), Counter(filter(None, [proof.doubt])), proof.expected, proof.got
        )
        with self._lock:
            self._sum.add(more)
            self._news.add(more)

    def news(self) -> dict[str, Any]:
        """Give what was added since this was asked the last time, to be written down."""
        with self._lock:
            news, self._news = self._news, _Sum()
        return {**vars(news), "grounds": dict(news.grounds), "doubts": dict(news.doubts)}

    def recall(self, news: Mapping[str, Any]) -> None:
        """Take what an earlier sync, which was cut off, had written down."""
        noted = {**news, "grounds": Counter(news["grounds"]), "doubts": Counter(news["doubts"])}
        with self._lock:
            self._sum.add(_Sum(**noted))

    def announce(self, rows: int) -> None:
        """Take a count that the API gives ahead, for those who watch."""
        with self._lock:
            self._announced = (self._announced or 0) + rows

    def may_be_full(self, rows: int) -> bool:
        """Say whether a page of so many rows may be as long as the server makes them: none was longer so far."""
        with self._lock:
            longest, self._longest = self._longest, max(self._longest, rows)
        return rows >= longest

    @property
    def proven(self) -> bool:
        """Say whether something was read, and whether something speaks for all of it."""
        return bool(self._sum.grounds) and not self._sum.doubts

    @property
    def doubted(self) -> bool:
        """Say whether something was read that nothing speaks for."""
        return bool(self._sum.doubts)

    @property
    def announced(self) -> int | None:
        """Rows that the API says are to come; None where it does not count."""
        return self._announced

    @property
    def expected(self) -> int | None:
        """Rows that were counted; None where nothing counts."""
        return self._sum.expected

    @property
    def got(self) -> int | None:
        """Rows that came where something counts."""
        return self._sum.got if self._sum.expected is not None else None

    def __str__(self) -> str:
        """Say it in words, doubts first, in an order that does not depend on which thread was quicker."""
        with self._lock:
            said, grounds = sorted(self._sum.doubts), self._sum.grounds
            if grounds[COUNTED]:
                said.append(_counted(self._sum.expected or 0, self._sum.got or 0))
            said += [ground for ground, times in sorted(grounds.items()) if ground != COUNTED and times]
        return ", ".join(said)

    def merged(self, *others: "Evidence") -> "Evidence":
        """Give what stands behind rows that are made out of several tables' rows."""
        both = Evidence()
        for each in (self, *others):
            both._sum.add(each._sum)  # noqa: SLF001 - its own kind
        return both


def _counted(expected: int, got: int) -> str:
    # Rows that move while they are read may make more than were counted.
    return f"{COUNTED} {expected:,} " + (f"= {got:,}" if got == expected else f"and {got:,} came")


def in_sum(said: Iterable[str], expected: int | None, got: int | None) -> str:
    """Give in words what stands behind several loads of a table, of which each said what stood behind it."""
    grounds = dict.fromkeys(ground for each in said for ground in each.split(", ") if ground)
    counted = [_counted(expected, got or 0)] if expected is not None else []
    return ", ".join([*counted, *(ground for ground in grounds if not ground.startswith(f"{COUNTED} "))])
