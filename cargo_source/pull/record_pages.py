"""Rows of a model by pages of 100, several in flight: the lane that every workspace has."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from cargo_source.api import CargoClient
from cargo_source.errors import IncompleteRead, NotFound, PermissionDenied
from cargo_source.pull.decoding import Decoder
from cargo_source.pull.listings import Refused
from cargo_source.pull.manifest import Progress
from cargo_source.pull.shapes import Shape
from cargo_source.pull.spool import Sheet

PAGE = 100
"""The most rows that records/list gives at once (documented)."""
RESTARTS = 3
"""How often a list that moves while it is paged is read anew."""

Page = list[Any]


class Many(Protocol):
    """Runs a function over offsets, several at once, and gives the pages in order, as a session's ``many`` does."""

    def __call__(self, function: Callable[[int], Page], items: Iterable[int], *, slow_start: bool) -> Iterator[Page]:
        """Give the pages."""
        ...


class RecordPages:
    """Pages of ``storage/records/list`` for one model, sorted by ``_id``."""

    def __init__(self, client: CargoClient, shape: Shape, decoder: Decoder) -> None:
        self._client, self._shape, self._decoder = client, shape, decoder
        self.identity = decoder.identity
        self.refreshing = self.answered = False

    def at(self, offset: int) -> Page:
        """Give the 100 rows from ``offset``, fewer only at the end, however short the server's pages are."""
        rows: Page = []
        while len(rows) < PAGE:
            page = self._page(offset + len(rows), PAGE - len(rows))
            if not page:
                break
            rows += page
        return rows

    def holds(self, offset: int) -> bool:
        """Say whether there is a row at ``offset``."""
        return bool(self._page(offset, 1))

    def _page(self, offset: int, limit: int) -> Page:
        body = {
            "modelUuid": self._shape.uuid,
            "limit": limit,
            "offset": offset,
            "sort": {"columnSlug": "_id", "kind": "asc"},
        }
        reply = self._client.post("storage/records/list", body, repeatable=True)
        rows, refreshing = self._decoder.page(reply)
        self.answered = True
        self.refreshing |= refreshing
        return rows


Enough = Callable[[Page], bool] | None
"""Takes the rows of a page and says whether no more are wanted."""


@dataclass(frozen=True)
class Reading:
    """What is read, where its rows go, how far they have come, when they are enough, and who is told how many came."""

    shape: Shape
    sheet: Sheet
    progress: Progress
    enough: Enough = None
    told: Callable[[int], object] = int


def read_pages(pager: RecordPages, reading: Reading, many: Many) -> None:
    """Read the whole table by pages sorted by ``_id``; neighbours overlap by one row.

    See ``POST storage/records/list``. The overlap shows when rows came or went while paging; then the list is read
    anew. The progress is told of the place after each file of rows, and says where an earlier sync was cut off. Raises
    IncompleteRead when the list does not hold still, Refused when its first page is refused.
    """
    for _ in range(RESTARTS):
        try:
            still = _one_reading(pager, reading, many)
        except (PermissionDenied, NotFound) as error:
            if pager.answered:
                raise
            raise Refused("records", error) from error
        if still:
            return
        reading.progress.restart()
    raise IncompleteRead(f"{reading.shape.table}: rows moved while they were paged, {RESTARTS} times over")


def _one_reading(pager: RecordPages, reading: Reading, many: Many) -> bool:
    """Read the list once; False when it moved meanwhile."""
    progress, sheet, enough = reading.progress, reading.sheet, reading.enough
    # A reading goes on with the row that came last: if it is still there, nothing before it came or went.
    first, last = 0, None
    if progress.found.notes:
        note = progress.found.notes[-1]
        (first, last), pager.refreshing = note["place"], note["refreshing"]
    place = (first, last)

    def save() -> None:
        progress.save(lambda: {"place": place, "refreshing": pager.refreshing})

    try:
        for offset, found in zip(count(first, PAGE - 1), many(pager.at, count(first, PAGE - 1), slow_start=True)):
            # That there is no row at all is not believed at its first word.
            rows = found if offset or found else pager.at(0)
            if offset and (not rows or pager.identity(rows[0]) != last):
                # The page before was full, so this one begins with its last row, unless the list moved.
                return False
            sheet.add(rows[1:] if offset else rows)
            reading.told(offset + len(rows))
            if len(rows) < PAGE or (enough is not None and enough(rows)):
                return True
            last = pager.identity(rows[-1])
            place = (offset + PAGE - 1, last)
            if progress.is_due:
                save()
    except BaseException:
        if last is not None:
            # Whatever stopped it, the next sync goes on from here.
            save()
        raise
    return False
