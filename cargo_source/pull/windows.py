"""Windows that are given from outside: a stretch of the server's time that is read whatever the stored cursors say.

A window is half-open, ``[start, end)``, so that windows that follow one another together give what one over all of
them gives. Which rows belong to one is said in :func:`cargo_source.pull.reading.read_entity`; none of it moves state.
Pure, but for the scheduler's interval, which dlt finds in the environment or in Airflow's context.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import dlt

from cargo_source.errors import BadSettings
from cargo_source.pull.times import Span, format_time, parse_time

Moment = datetime | str

_SECOND = timedelta(seconds=1)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_STEP = re.compile(r"(\d{1,6})([mhdw])")
MOST_STEPS = 10_000
"""More windows than that are a slip: each costs a request for each workflow, at least."""


@dataclass(frozen=True)
class Interval:
    """A window that was given from outside: from ``start`` up to, and without, ``end`` (None: until now).

    ``lists`` says whether what tells no time lands with it: whole lists, and the rows of models that do not say when
    they were written. They are read as they are now, so the first window of several brings them for all.
    """

    start: datetime
    end: datetime | None = None
    lists: bool = True

    def __str__(self) -> str:
        """Say it as people write it on the command line."""
        return f"{brief(self.start)} to {brief(self.end) if self.end else 'now'}"

    def is_ahead_of(self, now: datetime) -> bool:
        """Say whether it ends later than the server's second ``now``."""
        return self.end is not None and self.end > _second_after(now)

    def clipped(self, now: datetime) -> "Interval":
        """End it with the server's second ``now`` at the latest. Raises BadSettings where it begins later."""
        latest = _second_after(now)
        if self.start >= latest:
            raise BadSettings(
                f"the window {self} has not begun: it is {format_time(now)} at Cargo, whose clock counts (times without"
                " a zone are UTC)"
            )
        return replace(self, end=latest if self.end is None else min(self.end, latest))

    def span(self, now: datetime) -> Span:
        """Give the span that is read for it."""
        window = self.clipped(now)
        return Span(window.start, window.end or now, bounded=True)

    def steps(self, step: timedelta) -> Iterator["Interval"]:
        """Cut it into windows of ``step``. Raises BadSettings for too many.

        The last may be shorter, or longer by a second: the present ends with its second, which is no window.
        """
        if self.end is None:
            raise ValueError("a window without an end is clipped before it is cut")
        if (self.end - self.start) / step > MOST_STEPS:
            raise BadSettings(f"the window {self} has more than {MOST_STEPS:,} steps: take a longer --step")
        start = self.start
        while start < self.end:
            # Near the year 9999 a step may lead beyond the last time that there is.
            end = start + step if self.end - start > step + _SECOND else self.end
            yield replace(self, start=start, end=end, lists=self.lists and start == self.start)
            start = end


def _second_after(now: datetime) -> datetime:
    """Give the end of the second ``now``: all of it has been, since the server's clock is known to the second."""
    return now.replace(microsecond=0) + _SECOND


def interval_of(start: Moment, end: Moment | None, *, named: str = "window") -> Interval:
    """Read a window; times without a zone are UTC. Raises BadSettings for one that is empty or runs backwards."""
    first, last = moment_of(start, named), moment_of(end, named) if end is not None else None
    if last is not None and last <= first:
        what = "is empty" if last == first else "ends before it begins"
        hint = (
            "; in Airflow, schedule='@daily' gives intervals of zero width: use CronDataIntervalTimetable"
            if last == first
            else ""
        )
        raise BadSettings(f"{named}: {brief(first)} to {brief(last)} {what}, so that nothing would load{hint}")
    return Interval(first, last)


def moment_of(value: Moment, named: str) -> datetime:
    """Read a time, aware; without a zone it is UTC. Raises BadSettings for what is none."""
    try:
        return parse_time(value if isinstance(value, str) else value.isoformat())
    except (ValueError, AttributeError):
        raise BadSettings(f"{named}: {value!r} is no time; write it as 2026-03-01 or 2026-03-01T09:00:00Z") from None


def step_of(text: str) -> timedelta:
    """Read the length of a step: 30m, 6h, 1d, 1w. Raises BadSettings for anything else."""
    found = _STEP.fullmatch(text.strip().lower())
    step = int(found[1]) * _UNITS[found[2]] if found else timedelta(0)
    if not step:
        raise BadSettings(f"--step {text!r}: write it as a number with m, h, d or w, such as 6h, 1d or 1w")
    return step


def brief(moment: datetime) -> str:
    """Write a time as short as it can be read back: days without their midnight."""
    text = format_time(moment)
    return text.removesuffix("T00:00:00.000Z") if text.endswith("T00:00:00.000Z") else text.replace(".000Z", "Z")


def window_of_run(
    start: datetime | None, end: datetime | None, now: datetime, *, again: bool = False
) -> tuple[datetime, datetime] | None:
    """Give the window that a run with this data interval loads; None where it goes on where the last one ended.

    The newest run goes on, since that finds late rows and what is gone as well, and misses nothing where runs were
    skipped. Older ones, and ``again`` any, load their own interval. A run without an interval goes on. Raises
    BadSettings for an interval that is empty or runs backwards, whichever run it is.
    """
    if start is None or end is None:
        return None
    interval_of(start, end, named="the data interval of this run")
    return (start, end) if again or end + (end - start) <= now else None


def scheduled() -> Interval | None:
    """Give the interval of the scheduler that runs this: DLT_INTERVAL_START and _END, else Airflow's data interval.

    None where there is neither. Raises BadSettings for one that is empty or runs backwards.
    """
    try:
        found = dlt.current.interval()
    except ValueError as error:
        raise BadSettings(f"DLT_INTERVAL_START and DLT_INTERVAL_END have to be times: {error}") from None
    return interval_of(found[0], found[1], named="the scheduler's interval") if found else None
