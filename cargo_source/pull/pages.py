"""Paging: every row of a list operation, whatever the page size that the server keeps to.

The API pages by limit and offset, in no documented order, up to undocumented limits. So: a page shorter than asked is
no end, only an empty one is; and where the answer counts, what came is held against the count.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cargo_source.errors import IncompleteRead

Row = dict[str, Any]
PASSES = 5
"""How often a list is read for the rows that move between its pages."""


class TooLong(Exception):
    """A list counts more rows than are wanted of it at once."""


@dataclass(frozen=True)
class Page:
    """The rows of one answer, and the total that it names, if any."""

    rows: list[Row]
    count: int | None = None


Fetch = Callable[[int, int], Page]
"""Reads one page: offset and limit to Page."""

Many = Callable[[Callable[[int], Page], Sequence[int]], Iterator[Page]]
"""Runs a function over offsets, several at once, and gives the answers in order."""


def read_list(
    fetch: Fetch,
    size: int,
    key: Callable[[Row], object],
    many: Many,
    *,
    what: str,
    confirm: bool = False,
    most: int | None = None,
) -> Iterator[list[Row]]:
    """Give all rows, page by page, each key once.

    A pass over the list is believed when it held still: where the server counts, the count stayed the same and as
    many rows came in that pass; where it does not, no row came twice. Else another pass is made. ``confirm`` asks a
    second time whether an uncounted list is at its end. Raises IncompleteRead when a count stays out of reach, and
    TooLong, before any row, when the server counts more than ``most``.
    """
    seen: set[object] = set()
    counts: set[int] = set()
    stuck = 0
    for _ in range(PASSES):
        counts.clear()
        keys: set[object] = set()
        rows = 0
        for page in _pass(fetch, size, many, confirm=confirm):
            if page.count is not None:
                if most is not None and page.count > most and not seen:
                    raise TooLong(what)
                counts.add(page.count)
            identities = [key(row) for row in page.rows]
            rows += len(identities)
            if identities and keys.issuperset(identities):
                # The server goes in circles: another pass may do better.
                stuck += 1
                break
            keys.update(identities)
            fresh = {identity: row for identity, row in zip(identities, page.rows, strict=True) if identity not in seen}
            seen.update(fresh)
            if fresh:
                yield list(fresh.values())
        if len(keys) in counts if len(counts) == 1 else not counts and rows == len(keys):
            return
    expected = max(counts, default=0)
    if stuck == PASSES:
        raise IncompleteRead(f"{what}: the server gives the same page again and again", got=len(seen))
    if len(seen) < expected:
        raise IncompleteRead(
            f"{what}: the server counts {expected} rows and gave {len(seen)}", expected=expected, got=len(seen)
        )


def _pass(fetch: Fetch, size: int, many: Many, *, confirm: bool) -> Iterator[Page]:
    first = fetch(0, size)
    yield first
    offset = len(first.rows)
    if first.count is not None:
        confirm = False
    if offset and first.count is not None and first.count > offset:
        step = offset

        def filled(start: int) -> Page:
            return _fill(fetch, start, step)

        starts = range(offset, first.count, step)
        yield from many(filled, starts)
        offset += step * len(starts)
    # Without rows, one answer is enough to know that there are none, unless it has to be confirmed.
    left = int(bool(offset)) + confirm
    while left:
        page = fetch(offset, size)
        yield page
        offset += len(page.rows)
        left = left - 1 if not page.rows else 1 + confirm


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
