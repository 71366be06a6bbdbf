"""How quickly a workspace is asked: decided without I/O, from what it refused and what it answered.

Neither the number nor the window of Cargo's rate limit is published. So two things are learnt:

* how many requests are in flight. It starts at 4 at most, is halved by a refusal (429), and grows by one after every
  few answers, up to the configured maximum;
* how many requests start per second. Nothing limits that until the workspace has refused twice: what it answered
  between two refusals, by the time between them, is what it allows, whatever its window is. From there the rate
  starts a little below what was measured, stays close to it for a while, and then climbs faster and faster: a limit
  that was lifted is soon forgotten, and one that is still there costs about one refusal per hundred requests.

Requests that were in flight together are refused together: that counts as one refusal. A refusal that slowing down did
not help against was not about the rate; after two of them in a row the measure is given up, and each time that this
happens twice as many refusals have to come before there is another. What comes by chance then costs its pause alone.
"""

import math
from dataclasses import dataclass, field

POLITE_START = 4
ANSWERS_PER_SLOT = 10
"""After so many answers, one more request may be in flight."""
BELOW = 0.1
"""The rate starts this share below what was measured."""
PLATEAU_ANSWERS, PLATEAU_SECONDS = 50, 5.0
"""After so many answers, or seconds, the rate is back at what was measured."""
STEEPEST = 0.7
"""One refusal lowers the rate to this share at most: what is measured over a few answers says little."""
IN_VAIN = 2
MOST_UNHEEDED = 64
"""So many refusals at most go by before the rate is measured anew."""


@dataclass(frozen=True)
class Permit:
    """The right to have one request in flight; ``number`` counts them."""

    number: int


@dataclass
class Pace:
    """The state of the decision. Times are seconds of one clock that never goes back."""

    most: int
    limit: float = 0.0
    in_flight: int = 0
    paused_until: float = -math.inf
    _next_start: float = -math.inf
    _started: int = 0
    _burst_until: int = 0
    """Requests up to this number were in flight when the last refusal came."""
    _measured: float | None = None
    _answers: int = 0
    _busy: float | None = None
    """Seconds in which there was something to do, as ``_answers`` since the last refusal; None before the first."""
    _seen_at: float = field(default=-math.inf)
    _vain: int = 0
    _distrust: int = 0
    """How many refusals the last measure that was given up made go by unmeasured, and how many of them are left."""
    _unheeded: int = 0

    def __post_init__(self) -> None:
        self.limit = float(min(POLITE_START, self.most))

    @property
    def rate(self) -> float | None:
        """Requests that may start per second; None while nothing is known."""
        if self._measured is None:
            return None
        return self._measured * (1 + BELOW * (self._progress - 1) ** 3)

    @property
    def _progress(self) -> float:
        """How far the rate has come since the last refusal: at 1 it is what was measured."""
        return max(self._answers / PLATEAU_ANSWERS, (self._busy or 0.0) / PLATEAU_SECONDS)

    def ask(self, now: float) -> Permit | float:
        """Give a permit to start now, or else the seconds to wait; infinity means until another request ends."""
        self._pass_time(now)
        if self.in_flight >= int(self.limit):
            return math.inf
        start = max(self.paused_until, self._next_start)
        if start > now:
            return start - now
        self.in_flight += 1
        self._started += 1
        if self.rate is not None:
            # A start that was a little late does not delay those after it; a long silence is not caught up.
            self._next_start = max(self._next_start, now - 1 / self.rate) + 1 / self.rate
        return Permit(self._started)

    def leave(self, now: float) -> None:
        """Take a request off that has ended, however it ended."""
        self._pass_time(now)
        self.in_flight -= 1

    def answered(self) -> None:
        """Note that a request was not refused."""
        self._answers += 1
        self.limit = min(self.limit + 1 / ANSWERS_PER_SLOT, float(self.most))

    def refused(self, permit: Permit, now: float, delay: float) -> None:
        """Note that a request was refused: nobody starts for ``delay`` seconds, and then more slowly."""
        self._pass_time(now)
        self.paused_until = max(self.paused_until, now + delay)
        if permit.number <= self._burst_until:
            return
        self._burst_until = self._started
        self.limit = max(1.0, math.floor(self.limit) / 2)
        self._learn()

    def lower(self, most: int) -> None:
        """Let no more than ``most`` be in flight from now on."""
        self.most = min(self.most, most)
        self.limit = min(self.limit, float(self.most))

    def _learn(self) -> None:
        if self._busy is None:
            # What the workspace had left before its first refusal is not known: the measure starts here.
            self._busy, self._answers = 0.0, 0
        elif self._unheeded:
            self._unheeded -= 1
            self._busy, self._answers = 0.0, 0
        elif self._answers and self._busy:
            if self._measured and self._progress >= 1:
                self._distrust = 0
            self._vain = self._vain + 1 if self._measured and self._progress < 1 else 0
            if self._vain < IN_VAIN:
                self._measured = max(self._answers / self._busy, STEEPEST * (self._measured or 0.0))
            else:
                self._measured, self._vain = None, 0
                self._unheeded = self._distrust = min(max(2 * self._distrust, IN_VAIN), MOST_UNHEEDED)
            self._busy, self._answers = 0.0, 0

    def _pass_time(self, now: float) -> None:
        """Count the time in which something was in flight or held back; idle time says nothing about the limit."""
        if self._busy is not None:
            held_until = now if self.in_flight else min(now, max(self.paused_until, self._next_start))
            self._busy += max(0.0, held_until - self._seen_at)
        self._seen_at = now
