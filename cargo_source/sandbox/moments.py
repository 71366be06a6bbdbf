"""The sandbox's time: milliseconds since 1970 inside, ISO 8601 with milliseconds and Z on the wire."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)
def _date_text(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def iso(moment: int) -> str:
    """Write a moment as the wire does, for example ``2026-03-02T09:00:00.000Z``."""
    day, rest = divmod(moment, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds, millis = divmod(rest, SECOND)
    return f"{_date_text(day)}T{hours:02d}:{minutes:02d}:{seconds:02d}.{millis:03d}Z"


def parse(text: str) -> int:
    """Read a wire timestamp back into milliseconds."""
    return from_datetime(datetime.fromisoformat(text))


def from_datetime(moment: datetime) -> int:
    """Milliseconds of an aware datetime; what is finer than a millisecond is cut off."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def to_datetime(moment: int) -> datetime:
    """Return the aware UTC datetime of a moment, exact to the millisecond."""
    return _EPOCH + timedelta(milliseconds=moment)
