"""Paging: every row of a list operation, whatever the page size that the server keeps to.

The API pages by limit and offset, in no documented order, up to undocumented limits. So: a page shorter than asked is
no end, only an empty one is; and where the answer counts, what came is held against the count.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cargo_source.errors import IncompleteRead
from cargo_source.pull.evidence import CONFIRMED, COUNTED, MOVED, SHORT, Evidence, Proof

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


def read_list(  # noqa: PLR0913 - a list, and all that says when it is at its end
    fetch: Fetch,
    size: int,
    key: Callable[[Row], object],
    many: Many,
    *,
    what: str,
    confirm: bool = False,
    most: int | None = None,
    maybe_none: bool = True,
    evidence: Evidence | None = None,
) -> Generator[list[Row], None, Proof]:
    """Give all rows, page by page, each key once, and at last what shows that they are all.

    A pass over the list is believed when it held still: where the server counts, the count stayed the same and as
    many rows came in that pass; where it does not, no row came twice, and pages that were asked to overlap by a row
    did, so that none slipped from one to the other. Else another pass is made. The end of an
    uncounted list is asked for a second time with ``confirm``, where the last page may have been a full one by all
    that ``evidence`` knows of the entity's pages, and where there are no rows unless ``maybe_none`` says that this may
    be. Raises IncompleteRead when a count stays out of reach, and TooLong, before any row, when the server counts more
    than ``most``.
    """
    evidence = evidence or Evidence()
    seen: set[object] = set()
    counts: set[int] = set()
    stuck = 0
    for _ in range(PASSES):
        counts.clear()
        keys: set[object] = set()
        rows = 0
        for page in _pass(fetch, size, key, many, ending := _Ending(confirm, maybe_none, evidence)):
            if page.count is not None:
                counts.add(_wanted(page.count, None if seen else most, what))
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
        if len(counts) == 1 and len(keys) in counts:
            return Proof(COUNTED, expected=len(keys), got=len(keys))
        if not counts and rows == len(keys) and not ending.slipped:
            return Proof(ending.ground)
    expected = max(counts, default=0)
    if stuck == PASSES:
        raise IncompleteRead(f"{what}: the server gives the same page again and again", got=len(seen))
    if len(seen) < expected:
        raise IncompleteRead(
            f"{what}: the server counts {expected} rows and gave {len(seen)}", expected=expected, got=len(seen)
        )
    return Proof(doubt=MOVED)


def _wanted(count: int, most: int | None, what: str) -> int:
    if most is not None and count > most:
        raise TooLong(what)
    return count


class _Ending:
    """How many empty pages have to come in a row until an uncounted list is at its end."""

    def __init__(self, confirm: bool, maybe_none: bool, evidence: Evidence) -> None:
        self._confirm, self._maybe_none, self._evidence = confirm, maybe_none, evidence
        self.ground = ""
        self.slipped = False
        """Whether a page did not share the one row with the page before it that it was to share."""

    def needs(self, page: Page) -> int:
        """Give it after a page with rows, or after a first one without: there, one answer may be enough."""
        if page.count is not None:
            return int(bool(page.rows))
        if not page.rows:
            again = self._confirm or not self._maybe_none
            self.ground = CONFIRMED if again else ""
            return int(again)
        full = self._evidence.may_be_full(len(page.rows))
        self.ground = CONFIRMED if self._confirm or full else SHORT
        return 1 + (self._confirm or full)

    def overlap(self, page: Page) -> int:
        """Say how many rows the next page has to share with this one: one, where there may be a next one at all.

        Nobody counts these rows, and nobody would miss one that slips into this page when another one goes.
        """
        return int(page.count is None and len(page.rows) > 1 and self._evidence.may_be_full(len(page.rows)))


def _pass(fetch: Fetch, size: int, key: Callable[[Row], object], many: Many, ending: _Ending) -> Iterator[Page]:
    first = fetch(0, size)
    yield first
    offset = len(first.rows)
    if offset and first.count is not None and first.count > offset:
        step = offset

        def filled(start: int) -> Page:
            return _fill(fetch, start, step)

        starts = range(offset, first.count, step)
        yield from many(filled, starts)
        offset += step * len(starts)
    left = ending.needs(first)
    before, overlap = first.rows, ending.overlap(first)
    while left:
        page = fetch(offset - overlap, size)
        rows = page.rows
        if overlap:
            shared = {key(row) for row in before} & {key(row) for row in rows}
            if len(shared) == overlap:
                rows = [row for row in rows if key(row) not in shared]
            else:
                ending.slipped = True
        yield Page(rows, page.count)
        offset += len(page.rows) - (overlap if page.rows else 0)
        if rows:
            left, before, overlap = ending.needs(page), page.rows, ending.overlap(page)
        else:
            left, overlap = left - 1, 0


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
