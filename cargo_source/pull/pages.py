"""Paging: every row of a list operation, whatever the page size that the server keeps to.

The API pages by limit and offset, in no documented order, up to undocumented limits. So: a page shorter than asked is
no end, only an empty one is; and where the answer counts, what came is held against the count.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cargo_source.errors import IncompleteRead

Row = dict[str, Any]
PASSES = 3
"""How often a counted list is read again for the rows that moved between its pages, before giving up."""


@dataclass(frozen=True)
class Page:
    """The rows of one answer, and the total that it names, if any."""

    rows: list[Row]
    count: int | None = None


Fetch = Callable[[int, int], Page]
"""Reads one page: offset and limit to Page."""

Many = Callable[[Callable[[int], Page], Sequence[int]], Iterator[Page]]
"""Runs a function over offsets, several at once, and gives the answers in order."""


def read_list(fetch: Fetch, size: int, key: Callable[[Row], object], many: Many, *, what: str) -> Iterator[list[Row]]:
    """Give all rows, page by page, each key once. Raises IncompleteRead when a count stays out of reach."""
    seen: set[object] = set()
    for _ in range(PASSES):
        expected: int | None = None
        for page in _pass(fetch, size, many):
            expected = page.count if page.count is not None else expected
            fresh = []
            for row in page.rows:
                identity = key(row)
                if identity not in seen:
                    seen.add(identity)
                    fresh.append(row)
            if fresh:
                yield fresh
        if expected is None or len(seen) >= expected:
            return
    raise IncompleteRead(
        f"{what}: the server counts {expected} rows and gave {len(seen)}", expected=expected, got=len(seen)
    )


def _pass(fetch: Fetch, size: int, many: Many) -> Iterator[Page]:
    first = fetch(0, size)
    yield first
    offset = len(first.rows)
    if not offset:
        return
    step = offset
    if first.count is not None and first.count > offset:

        def filled(start: int) -> Page:
            return _fill(fetch, start, step)

        starts = range(offset, first.count, step)
        yield from many(filled, starts)
        offset += step * len(starts)
    while (page := fetch(offset, size)).rows:
        yield page
        offset += len(page.rows)


def _fill(fetch: Fetch, start: int, want: int) -> Page:
    rows: list[Row] = []
    count = None
    while len(rows) < want:
        page = fetch(start + len(rows), want - len(rows))
        if not page.rows:
            break
        rows += page.rows
        count = page.count if page.count is not None else count
    return Page(rows, count)
