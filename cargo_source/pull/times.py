"""Times on the wire and in state, and the arithmetic of windows. Pure: the caller says what time it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

LOOKBACK = timedelta(hours=1)
"""How far windows reach back behind the watermark: the vendor's own data arrives through a stream, and late."""

_SECOND = timedelta(seconds=1)


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time, aware; one without a zone is taken as UTC. Raises ValueError on anything else."""
    moment = datetime.fromisoformat(text)
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("a time before the year 1 or after the year 9999") from None


def format_time(moment: datetime) -> str:
    """Write a time as the API writes them: ISO 8601 in UTC with milliseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_at(row: Mapping[str, Any], path: str) -> datetime | None:
    """Give the time under a dotted path of an API row, or None where it is null, absent or no time."""
    value: Any = row
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    if not isinstance(value, str):
        return None
    try:
        return parse_time(value)
    except ValueError:
        return None


@dataclass(frozen=True)
class Span:
    """A stretch of the server's time: from ``start`` (None: from the beginning) to ``end``, both inclusive.

    ``sweep`` says that what moves without a signal is due to be looked through whole; ``swept`` is the start for it:
    when that was last done, less the lookback (None: never). Whether the API's own filters are inclusive is not
    documented, so the bounds that are sent lie a second outside. A ``bounded`` span was given from outside: it is
    half-open, rows are cut at its bounds, and what lies outside is left alone.
    """

    start: datetime | None
    end: datetime
    sweep: bool = True
    swept: datetime | None = None
    bounded: bool = False

    @property
    def after(self) -> str | None:
        """The lower bound to send."""
        return format_time(self.start - _SECOND) if self.start else None

    @property
    def before(self) -> str:
        """The upper bound to send; the server's clock is known to the second, so the whole second belongs to it."""
        return format_time(self.end + 2 * _SECOND)

    def reached_by(self, moment: datetime | None) -> bool:
        """Say whether something that last moved at ``moment`` (None: unknown) may have news in this stretch."""
        return self.start is None or (moment is not None and moment >= self.start)

    def holds(self, moment: datetime | None) -> bool:
        """Say whether a row of this time belongs here; one that tells no time (None) belongs to every window."""
        if not self.bounded or moment is None:
            return True
        return self.start is not None and self.start <= moment < self.end

    def reached_since_sweep(self, moment: datetime | None) -> bool:
        """Say the same of something that only a sweep finds."""
        return self.swept is None or moment is None or moment >= self.swept
