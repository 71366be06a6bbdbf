"""What was asked and how much was served; never a token, a value of a query, or a body."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT_REQUESTS = 100_000


@dataclass(frozen=True)
class Request:
    """One request as it was served.

    `path` is the path that was asked and `route` the operation's, both after /v1/; links are `exports/...`, with the
    route `exports`. `rows` are the rows of the list in the answer, or of the export file that a link gave. `at` is
    the sandbox's time, `seconds` real time since the sandbox started. A connection that was reset has no `status`.
    `faults` are the kinds of faults that hit it.
    """

    method: str
    path: str
    route: str
    query: list[str]
    status: int | None
    rows: int
    bytes: int
    at: str
    seconds: float
    faults: list[str]


class Journal:
    """All requests since the start, or since it was cleared; the newest are kept, the totals count all."""

    def __init__(self) -> None:
        self._requests: deque[Request] = deque(maxlen=KEPT_REQUESTS)
        self._totals: dict[str, dict[str, int]] = {}
        self._faults = 0

    def add(self, request: Request) -> None:
        """Note a request."""
        self._requests.append(request)
        self._faults += bool(request.faults)
        total = self._totals.setdefault(request.route, {"requests": 0, "rows": 0, "bytes": 0})
        total["requests"] += 1
        total["rows"] += request.rows
        total["bytes"] += request.bytes

    def clear(self) -> None:
        """Begin anew."""
        self._requests.clear()
        self._totals.clear()
        self._faults = 0

    def entries(self) -> list[Request]:
        """Give the requests, oldest first."""
        return list(self._requests)

    def requests(self) -> int:
        """Count the requests."""
        return sum(total["requests"] for total in self._totals.values())

    def rows(self) -> int:
        """Count the rows that were served."""
        return sum(total["rows"] for total in self._totals.values())

    def faults(self) -> int:
        """Count the requests that were hit by a fault."""
        return self._faults

    def rows_by_path(self) -> dict[str, int]:
        """Give the rows that were served, by route."""
        return {route: total["rows"] for route, total in self._totals.items()}

    def requests_by_path(self) -> dict[str, int]:
        """Count the requests by route."""
        return {route: total["requests"] for route, total in self._totals.items()}

    def described(self) -> dict[str, Any]:
        """Give the journal as the control door does."""
        total = {"requests": self.requests(), "rows": self.rows(), "faults": self.faults()}
        return {"requests": [asdict(each) for each in self._requests], "paths": self._totals, "total": total}
