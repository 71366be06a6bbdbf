"""A moment that moves on as things happen, and never passes its deadline."""

from dataclasses import dataclass

from cargo_source.sandbox.identity import Stream

HURRY = 12
"""Of the time left, at most one part in so many is spent at once, so that late work still fits."""


@dataclass
class Timeline:
    """Where a chain of events stands in time."""

    moment: int
    deadline: int
    stream: Stream

    def wait(self, low: int, high: int) -> int:
        """Let between `low` and `high` milliseconds pass, or less if the deadline is near; return the new moment."""
        left = max(0, self.deadline - self.moment)
        self.moment += min(self.stream.whole(low, high), left // HURRY)
        return self.moment
