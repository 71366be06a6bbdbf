"""Lists and single objects, as data: which table, which filters, which order, how it pages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson

from cargo_source.sandbox.answers import Answer, Call, not_found
from cargo_source.sandbox.shapes import Fields, integer

if TYPE_CHECKING:
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]
Test = Callable[[Wire, Any], bool]

PAGE = 100
"""Rows in a page if none are asked for, and the most where no other maximum is documented."""
KEPT_LISTS = 256

PAGING: Fields = {"limit": integer(1), "offset": integer(0)}
CAPPED_PAGING: Fields = {"limit": integer(1, PAGE), "offset": integer(0)}


def _hundred(_params: Wire) -> int:
    return PAGE


@dataclass(frozen=True, eq=False)
class Listing:
    """A list operation.

    A filter compares the field of its own name, which a row may lack, unless `tests` says otherwise; `xAfter` and
    `xBefore` compare `xAt`, the first inclusive and the second exclusive. `parent` is the filter that nearly every call
    sends: rows are grouped by it once, so that a list per parent does not read the whole table.
    """

    table: str
    envelope: str
    newest: str | None = "createdAt"
    oldest: str | None = None
    tests: dict[str, Test] = field(default_factory=dict)
    parent: str | None = None
    paged: bool = False
    counted: bool = False
    most: Callable[[Wire], int] = _hundred

    def __call__(self, call: Call) -> Answer:
        """Answer one page, or the whole list where lists are not paged."""
        found = call.store.lists.matching(self, call.params)
        page = found[self.window(call.params)] if self.paged else found
        body: Wire = {self.envelope: page}
        if self.counted:
            body["count"] = len(found)
        return Answer(body, self.envelope, len(page))

    def count(self, call: Call) -> Answer:
        """Answer only how many rows match."""
        return Answer({"count": len(call.store.lists.matching(self, call.params))})

    def window(self, params: Wire) -> slice:
        """Give the rows that a page holds; a larger limit than the maximum is cut down without a word."""
        start = int(params.get("offset", 0))
        return slice(start, start + min(int(params.get("limit", PAGE)), self.most(params)))

    def sorted(self, rows: Iterable[Wire]) -> list[Wire]:
        """Put rows in the order of this list; the table's own order, which is stable, breaks ties."""
        first = self.newest or self.oldest
        return sorted(rows, key=itemgetter(first), reverse=bool(self.newest)) if first else list(rows)

    def passes(self, row: Wire, params: Wire) -> bool:
        """Tell whether a row passes all filters."""
        return all(self.test(name)(row, value) for name, value in params.items())

    def test(self, name: str) -> Test:
        """Give the test of one filter."""
        return self.tests.get(name) or _time_test(name) or (lambda row, value: row.get(name) == value)


def _time_test(name: str) -> Test | None:
    if name.endswith("After"):
        moment = f"{name.removesuffix('After')}At"
        return lambda row, value: row[moment] is not None and row[moment] >= value
    if name.endswith("Before"):
        moment = f"{name.removesuffix('Before')}At"
        return lambda row, value: row[moment] is not None and row[moment] < value
    return None


def among(name: str) -> Test:
    """Test that a field is one of several values; an empty list asks for nothing and so passes all."""
    return lambda row, values: not values or row[name] in values


def contains(*names: str) -> Test:
    """Test that one of the fields contains a text, whatever its case."""
    return lambda row, value: any(value.lower() in (row[name] or "").lower() for name in names)


@dataclass(frozen=True)
class Getting:
    """An operation that gives one object by the key in its path, which is a uuid nearly always."""

    table: str
    envelope: str
    reason: str
    by: str = "uuid"

    def __call__(self, call: Call) -> Answer:
        """Answer the object."""
        return Answer({self.envelope: self.found(call)})

    def found(self, call: Call) -> Wire:
        """Give the object, or refuse with the documented reason."""
        found: Wire | None = call.store.world.tables[self.table].get(call.path[self.by])
        if found is None:
            raise not_found(self.reason)
        return found


class Lists:
    """Ordered and filtered lists, kept while the world does not change, so that a page costs only its rows."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._revision = world.revision
        self._matching: OrderedDict[tuple[Listing, bytes], list[Wire]] = OrderedDict()
        self._by_parent: dict[tuple[Listing, str | None], dict[Any, list[Wire]]] = {}

    def matching(self, listing: Listing, params: Wire) -> list[Wire]:
        """Give all rows that pass the filters, in order."""
        if self._revision != self._world.revision:
            self._revision = self._world.revision
            self._matching.clear()
            self._by_parent.clear()
        filters = {name: value for name, value in params.items() if name not in PAGING}
        key = (listing, orjson.dumps(filters, option=orjson.OPT_SORT_KEYS))
        if key not in self._matching:
            rows = self._rows(listing, filters)
            self._matching[key] = [row for row in rows if listing.passes(row, filters)]
            if len(self._matching) > KEPT_LISTS:
                self._matching.popitem(last=False)
        self._matching.move_to_end(key)
        return self._matching[key]

    def _rows(self, listing: Listing, filters: Wire) -> list[Wire]:
        parent = listing.parent if listing.parent in filters else None
        key = (listing, parent)
        if key not in self._by_parent:
            groups: dict[Any, list[Wire]] = {}
            for row in listing.sorted(self._world.tables[listing.table].values()):
                groups.setdefault(row[parent] if parent else None, []).append(row)
            self._by_parent[key] = groups
        return self._by_parent[key].get(filters[parent] if parent else None, [])
