"""Rows of a model by pages of 100, several in flight: the lane that every workspace has."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from cargo_source.api import CargoClient
from cargo_source.errors import IncompleteRead, NotFound, PermissionDenied
from cargo_source.pull.decoding import Decoder
from cargo_source.pull.session import Refused
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


def read_pages(pager: RecordPages, shape: Shape, sheet: Sheet, many: Many) -> None:
    """Read the whole table by pages sorted by ``_id``; neighbours overlap by one row.

    See ``POST storage/records/list``. The overlap shows when rows came or went while paging; then the list is read
    anew. Keys are unique in a sheet, so rows of a reading that was given up are replaced. Raises IncompleteRead when
    the list does not hold still, Refused when its first page is refused.
    """
    place = Place()
    for _ in range(RESTARTS):
        try:
            still = _one_reading(pager, sheet, many, place)
        except (PermissionDenied, NotFound) as error:
            if pager.answered:
                raise
            raise Refused("records", error) from error
        if still:
            return
        place = Place()
    raise IncompleteRead(f"{shape.table}: rows moved while they were paged, {RESTARTS} times over")


@dataclass(frozen=True)
class Place:
    """Where a reading goes on: the next offset, and the identifier of the row there, which came already."""

    offset: int = 0
    last: object = None


def _one_reading(pager: RecordPages, sheet: Sheet, many: Many, place: Place) -> bool:
    """Read the list once; False when it moved meanwhile."""
    last = place.last
    offsets = count(place.offset, PAGE - 1)
    for offset, rows in zip(count(place.offset, PAGE - 1), many(pager.at, offsets, slow_start=True)):
        if offset and (not rows or pager.identity(rows[0]) != last):
            # The page before was full, so this one begins with its last row, unless the list moved.
            return False
        sheet.add(rows[1:] if offset else rows)
        if len(rows) < PAGE:
            return True
        last = pager.identity(rows[-1])
    return False
