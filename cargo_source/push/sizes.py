"""How many rows go into one request: few at first, more while that goes well, half where it does not. Pure."""

import threading
from collections.abc import Mapping

FIRST = 100
"""Rows of the first requests: the maximum of creations is not documented."""
MOST: Mapping[str, int] = {"create": 100, "update": 1000, "remove": 1000}
"""Rows in one request at most; 1000 is documented for updates and removals."""


class Sizes:
    """The sizes of requests, shared by all that are in flight. ``most`` is the most rows of a request, by kind."""

    def __init__(self, most: Mapping[str, int] = MOST) -> None:
        self._most = dict(most)
        self._now = {kind: min(FIRST, rows) for kind, rows in most.items()}
        self._lock = threading.Lock()

    def rows(self, kind: str) -> int:
        """Give how many rows the next request of a kind may have."""
        return self._now[kind]

    def went_well(self, kind: str, rows: int) -> None:
        """Take more the next time, where these were as many as could be."""
        with self._lock:
            if rows >= self._now[kind]:
                self._now[kind] = min(self._most[kind], 2 * self._now[kind])

    def went_wrong(self, kind: str, rows: int, *, too_large: bool = False) -> None:
        """Take half as many the next time; where they were too many, for good."""
        with self._lock:
            half = max(1, rows // 2)
            # What happens to the parts of a request that was refused says nothing of whole ones.
            if too_large or rows >= self._now[kind]:
                self._now[kind] = min(self._now[kind], half)
            if too_large:
                self._most[kind] = min(self._most[kind], half)
