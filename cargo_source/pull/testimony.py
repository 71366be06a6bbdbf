"""What a parent's row says of its children, held against those that came. It costs no request."""

import logging
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from cargo_source.catalog.entity import Call, Entity, Gated, Testimony
from cargo_source.errors import IncompleteRead
from cargo_source.pull.evidence import TESTIFIED, Proof
from cargo_source.pull.times import time_at

log = logging.getLogger("cargo_source")
Row = dict[str, Any]


def testimony_of(entity: Entity, call: Call, parent: Row | None) -> Testimony | None:
    """Give what the parent can say of what ``call`` lists; None where it says nothing."""
    known = isinstance(entity.reading, Gated) and entity.reading.testimony
    return known if known and parent is not None and call == entity.call else None


class Hearing:
    """One reading of the children of one parent."""

    def __init__(self, entity: Entity, testimony: Testimony, parent: Row) -> None:
        self._entity, self._parent = entity, parent
        last = parent.get(testimony.last) if testimony.last else None
        self.last: Any = last.get("uuid") if isinstance(last, Mapping) else None
        self._counters = {
            kind: count for kind, name in testimony.counters.items() if isinstance(count := parent.get(name), int)
        }
        # A parent of which no more than its name is known says nothing.
        self.says_none = bool(testimony.last) and testimony.last in parent and last is None
        self._came: Counter[Any] = Counter()
        self._met = False

    def take(self, rows: list[Row]) -> None:
        """Take rows as they come, each once."""
        for row in rows:
            self._came[row.get("_kind")] += 1
            self._met = self._met or row.get("uuid") == self.last

    @property
    def came(self) -> int:
        """How many came."""
        return self._came.total()

    @property
    def miscounts(self) -> bool:
        """Say whether other numbers came than the parent counts."""
        return any(self._came[kind] != count for kind, count in self._counters.items())

    @property
    def contradicts(self) -> bool:
        """Say whether the parent says otherwise than what came."""
        return self.miscounts or (self.last is not None and not self._met)

    def error(self) -> IncompleteRead:
        """Say what the parent says, and what came."""
        table, parent = self._entity.table, self._parent.get("uuid")
        for kind, count in self._counters.items():
            if self._came[kind] != count:
                return IncompleteRead(
                    f"{table}: {parent} says {count} {kind}, and {self._came[kind]} came",
                    expected=count,
                    got=self._came[kind],
                )
        return IncompleteRead(
            f"{table}: {parent} names a newest one, {self.last}, that is not among the {self.came} that came",
            expected=self.came + 1,
            got=self.came,
        )


READINGS = 3
"""How often a list is read that is otherwise than its parent says."""
LACKS = "lacks the newest that its parent names"
FORGOTTEN = "Cargo gives no rows of old parents"
OLD = timedelta(days=1)
"""How old a parent is whose children Cargo may keep no longer; those of a newer one may not be there yet."""

Reading = Generator[list[Row], None, Proof]


@dataclass(frozen=True)
class Court:
    """What it takes to judge: ``read`` reads the children, and is told whether the parent says that there are none.

    ``exists`` asks for one child by its path, and ``now`` is the server's time.
    """

    read: Callable[[bool], Reading]
    exists: Callable[[str], bool]
    now: datetime


def heard(entity: Entity, testimony: Testimony, parent: Row, court: Court) -> Reading:
    """Read the children of a parent, and again while they are otherwise than it says.

    Raises IncompleteRead where the parent's word stands against them.
    """
    for _ in range(READINGS):
        hearing = Hearing(entity, testimony, parent)
        proof = yield from _listened(court.read(hearing.says_none), hearing)
        if not hearing.contradicts:
            return replace(proof, ground=proof.ground or TESTIFIED)
    created = time_at(parent, "createdAt")
    if hearing.miscounts and not hearing.came and created and created < court.now - OLD:
        # How long Cargo keeps what a change found is not documented.
        log.warning("%s: none came of %s, which says that there are some", entity.table, parent.get("uuid"))
        return replace(proof, ground="", doubt=FORGOTTEN)
    if not hearing.miscounts and testimony.item is None:
        return replace(proof, ground="", doubt=LACKS)
    if not hearing.miscounts and testimony.item and not court.exists(testimony.item.path.format(uuid=hearing.last)):
        # It is gone by now, which nobody else would have told.
        return proof
    raise hearing.error()


def _listened(pages: Reading, hearing: Hearing) -> Reading:
    while True:
        try:
            page = next(pages)
        except StopIteration as end:
            proof: Proof = end.value
            return proof
        hearing.take(page)
        yield page
