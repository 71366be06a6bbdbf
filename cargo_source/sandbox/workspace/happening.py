"""A stretch of time in which things happen at a rate."""

from collections import Counter
from dataclasses import dataclass, field

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import DAY


@dataclass
class Stretch:
    """The time between two moments, a day at most, with a source of chance and what was counted in it."""

    before: int
    after: int
    stream: Stream
    counts: Counter[str] = field(default_factory=Counter)

    def often(self, per_day: float) -> int:
        """Draw how often something happens; in a whole day it does at least once, unless it never does."""
        share = (self.after - self.before) / DAY
        if not per_day:
            return 0
        return self.stream.count(per_day * share) if share > 0.5 else self.stream.rounded(per_day * share)

    def moment(self) -> int:
        """Draw a moment of the stretch."""
        return self.stream.whole(self.before + 1, self.after)
