"""What a push would set off, as plain data: segments that move, plays that run, credits, and what cannot be known."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Self

from cargo_source.tabular import Grid

NAMED = 3
"""Plays that the line for a person names one by one."""
SHOWN = 6
"""Segments and plays of which more is told."""
WIDEST = 200
"""Characters of a reason that a table shows."""


@dataclass(frozen=True)
class SegmentForecast:
    """How many records would enter a segment, leave it, or change in it by a column that it tracks.

    None is a number that cannot be known, and ``reason`` says why.
    """

    uuid: str
    name: str
    model: str
    entering: int | None
    leaving: int | None
    changed: int | None
    reason: str | None = None

    @property
    def moves(self) -> bool:
        """Say whether anything of it would move, or may."""
        return (self.entering, self.leaving, self.changed) != (0, 0, 0)


@dataclass(frozen=True)
class PlayForecast:
    """The runs of one play: None where their number cannot be known, and ``reason`` says why.

    ``at_most`` is how many there can be, where at least that is known. ``credits_per_run`` is what a run cost on
    average in recent history, None where there is none, and then ``no_credits`` says why. The fee for each executed
    node is in no run, and so is not in it.
    """

    uuid: str
    name: str
    segment: str
    runs: int | None
    credits_per_run: float | None
    reason: str | None = None
    at_most: int | None = None
    no_credits: str | None = None

    @property
    def credits(self) -> float | None:
        """What the runs would cost; None where that cannot be known."""
        if self.runs == 0:
            return 0.0
        return None if self.runs is None or self.credits_per_run is None else self.runs * self.credits_per_run


@dataclass(frozen=True, repr=False)
class Radius:
    """The segments that a push would move and the enabled plays behind them.

    ``unknown`` says why nothing at all can be told, where that is so.
    """

    segments: tuple[SegmentForecast, ...] = ()
    plays: tuple[PlayForecast, ...] = ()
    unknown: str | None = None

    @property
    def runs(self) -> int | None:
        """All runs that would start; None where that cannot be known."""
        found = [play.runs for play in self.plays if play.runs is not None]
        return sum(found) if len(found) == len(self.plays) and not self.unknown else None

    @property
    def credits(self) -> float | None:
        """All credits that they would cost; None where that cannot be known."""
        found = [play.credits for play in self.plays if play.credits is not None]
        return sum(found) if len(found) == len(self.plays) and not self.unknown else None

    @property
    def line(self) -> str:
        """Tell a person in a few words what would start."""
        if self.unknown:
            return f"what it would start is unknown ({self.unknown})"
        known = sorted((play for play in self.plays if play.runs), key=lambda play: -(play.runs or 0))
        parts = [_told(play) for play in known[:NAMED]]
        if rest := known[NAMED:]:
            parts.append(f"about {_runs(sum(play.runs or 0 for play in rest))} of {len(rest)} more plays")
        unsure = [play for play in self.plays if play.runs is None]
        parts += [_unsure(play) for play in unsure[:NAMED]]
        if rest := unsure[NAMED:]:
            parts.append(f"an unknown number of runs of {len(rest)} more plays")
        return f"would start {_joined(parts)}" if parts else "starts nothing"

    @property
    def told(self) -> list[str]:
        """Tell, line by line, which segments would move, and why something is not known; a few of many."""
        owners = {play.segment: play.name for play in self.plays}
        moving = [segment for segment in self.segments if segment.moves]
        lines = [_moved(segment, owners) for segment in moving[:SHOWN]]
        if len(moving) > SHOWN:
            lines.append(f"and {len(moving) - SHOWN:,} more segments that move")
        unsure = [play for play in self.plays if play.runs is None and play.reason]
        return lines + [f"runs of '{play.name}' are unknown: {play.reason}" for play in unsure[:SHOWN]]

    def grids(self) -> tuple[Grid, Grid]:
        """Show all segments and all plays, each on a line; a number that is not known is left out, and why is said."""
        owners = {play.segment: play.name for play in self.plays}
        segments = [
            (owners.get(each.uuid, each.name), each.entering, each.leaving, each.changed, each.reason)
            for each in self.segments
        ]
        plays = [
            (each.name, each.runs, each.at_most, _cost(each.credits), each.reason or each.no_credits)
            for each in self.plays
        ]
        return (
            Grid(("segment", "enter", "leave", "change", "not known, since"), segments, widest=WIDEST),
            Grid(("play", "runs", "at most", "cost", "not known, since"), plays, widest=WIDEST),
        )

    def __repr__(self) -> str:
        return f"<Radius: {self.line}>"

    def _repr_html_(self) -> str:
        segments, plays = self.grids()
        shown = (segments.html() if self.segments else "") + (plays.html() if self.plays else "")
        return f"<p><b>{escape(self.line)}</b></p>{shown}"

    def as_json(self) -> dict[str, Any]:
        """Give it as JSON."""
        return asdict(self)

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Self:
        """Take it up again from JSON."""
        segments = tuple(SegmentForecast(**each) for each in kept["segments"])
        return cls(segments, tuple(PlayForecast(**each) for each in kept["plays"]), kept["unknown"])


def _moved(segment: SegmentForecast, owners: Mapping[str, str]) -> str:
    called = f"segment of '{owners[segment.uuid]}'" if segment.uuid in owners else f"segment '{segment.name}'"
    counts = (("enter", segment.entering), ("leave", segment.leaving), ("change", segment.changed))
    known = [f"{count:,} {what}" for what, count in counts if count]
    unknown = [what for what, count in counts if count is None]
    if unknown:
        known.append(f"how many {', '.join(unknown)} is unknown ({segment.reason})")
    return f"{called}: {', '.join(known)}"


def _told(play: PlayForecast) -> str:
    return f"about {_runs(play.runs or 0)} of '{play.name}' ({_cost(play.credits)})"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"


def _cost(spent: float | None) -> str:
    if spent is None:
        return "credits unknown"
    if 0 < spent < 0.1:
        return "less than 0.1 credits"
    return f"~{spent:,.0f} credits" if spent >= 10 or spent == 0 else f"~{spent:.1f} credits"


def _unsure(play: PlayForecast) -> str:
    most = "" if play.at_most is None else f" (at most {play.at_most:,})"
    return f"an unknown number of runs of '{play.name}'{most}"


def _joined(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
