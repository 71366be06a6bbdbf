"""How quickly a workspace is asked: decided without I/O, from what it refused and what it answered.

Neither the number nor the window of Cargo's rate limit is published. So two things are learnt:

* how many requests are in flight. It starts at 4 at most, is halved by a refusal (429), and grows by one after every
  few answers, up to the configured maximum;
* how many requests start per second. Nothing limits that until the workspace has refused twice: what it let in
  between two refusals says what it allows (:mod:`cargo_source.api.bucket`). From there the rate starts a little below
  what was measured, stays close to it for a while, and then climbs faster and faster. The while is twice as long each
  time that the limit proves to be where it was: one that is still there costs few refusals, and one that was lifted is
  forgotten soon after.

Requests that were in flight together are refused together: that counts as one refusal. A refusal that slowing down did
not help against was not about the rate; after four of them in a row the measure is given up, and each time that this
happens twice as many refusals have to come before there is another. What comes by chance then costs its pause alone.
"""

import math
from collections import deque
from dataclasses import dataclass, field

from cargo_source.api.bucket import rate_of, room_of

POLITE_START = 4
ANSWERS_PER_SLOT = 10
"""After so many answers, one more request may be in flight."""
BELOW = 0.05
"""The rate starts this share below what was measured."""
PLATEAU_ANSWERS, PLATEAU_SECONDS = 50, 5.0
"""After so many answers, or seconds, the rate is back at what was measured; later after a limit that proved to last."""
LONG_ENOUGH = 60.0
"""A rate that stays close to what was measured for so many seconds stays there no longer the next time."""
LEAST_MARGIN, MOST_MARGIN = 0.01, 0.08
"""What is measured is taken for so much less, for requests do not arrive as evenly as they start."""
STEEPEST = 0.5
"""One refusal lowers a rate that was held to this share at most: what is measured over a few answers says little."""
FEW, SLIGHTLY = 20, 0.95
"""So few answers lower a rate that was held to this share at most."""
FORGOTTEN = 0.7
"""The room for bursts shrinks to this share by every refusal, unless what was let in shows that it is there."""
IN_VAIN = 4
MOST_UNHEEDED = 64
"""So many refusals at most go by before the rate is measured anew."""
MOST_STARTS = 4096


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
    _starts: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=MOST_STARTS), repr=False)
    """The numbers and times of the starts since the last refusal."""
    _before: list[float] = field(default_factory=list, repr=False)
    """The starts of the stretch before this one."""
    _empty_at: float = -math.inf
    _room: float = 1.0
    """How many requests may come at once after a silence, as far as was seen."""
    _patience: int = 1
    """How many times longer the rate stays close to what was measured."""
    _margin: float = LEAST_MARGIN
    _held: bool = False
    """Whether the rate that was measured has lasted once."""
    _vain: int = 0
    """How many refusals in a row slowing down did not help against."""
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
        plateaus = max(self._answers / PLATEAU_ANSWERS, (self._busy or 0.0) / PLATEAU_SECONDS)
        return min(plateaus / self._patience, 1.0) + max(0.0, plateaus - self._patience)

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
        self._starts.append((self._started, now))
        if (rate := self.rate) is not None:
            # A start that was late does not delay those after it, as far as there is room; a silence is not caught up.
            self._next_start = max(self._next_start, now - (1 / rate if self._room >= 2 else 0.0)) + 1 / rate
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
        started = next((start for number, start in self._starts if number == permit.number), now)
        if permit.number > self._burst_until:
            self._burst_until = self._started
            self.limit = max(1.0, math.floor(self.limit) / 2)
            self._learn([start for number, start in self._starts if number < permit.number], started)
            self._starts.clear()
            self._busy, self._answers = 0.0, 0
        self._empty_at = max(self._empty_at, started)

    def lower(self, most: int) -> None:
        """Let no more than ``most`` be in flight from now on."""
        self.most = min(self.most, most)
        self.limit = min(self.limit, float(self.most))

    def _learn(self, let_in: list[float], refused_at: float) -> None:
        """Measure the rate by what was let in since the last refusal; before the first nothing is known of the rest."""
        if self._busy is None or not let_in:
            return
        if self._unheeded:
            self._unheeded -= 1
            return
        early = self._measured is not None and self._progress < 1
        if self._measured is None:
            self._room = room_of(let_in, len(let_in) / max(refused_at - self._empty_at, 1e-9))
        elif not early:
            self._room = max(1.0, FORGOTTEN * self._room)
        found = rate_of(let_in, self._empty_at, refused_at, self._room)
        if self._held and self._measured and len(let_in) < FEW:
            found = max(found, SLIGHTLY * self._measured)
        else:
            # What was let in too fast for this rate shows how much room there is, most of all where the rate climbed.
            self._room = max(self._room, room_of(let_in, found), room_of(self._before, found) if early else 0.0)
            self._before = let_in
        self._trust(found, early=early)

    def _trust(self, found: float, *, early: bool) -> None:
        """Take the rate that was found, more or less carefully; give it up if slowing down does not help."""
        before, steady = self._measured, self._measured is not None and found > 0.9 * self._measured
        if early:
            self._patience = max(1, self._patience // 2) if steady else 1
            self._margin = min(2 * self._margin, MOST_MARGIN) if steady else self._margin
            self._vain += steady
        elif before is not None:
            self._patience *= 2 if (self._busy or 0.0) < LONG_ENOUGH else 1
            self._margin = max(FORGOTTEN * self._margin, LEAST_MARGIN)
            self._held, self._vain, self._distrust = True, 0, 0
        if self._vain < IN_VAIN:
            self._measured = max(found * (1 - self._margin), STEEPEST * (before or 0.0) if self._held else 0.0)
        else:
            self._measured, self._vain, self._held, self._patience = None, 0, False, 1
            self._unheeded = self._distrust = min(max(2 * self._distrust, 2), MOST_UNHEEDED)

    def _pass_time(self, now: float) -> None:
        """Count the time in which something was in flight or held back; idle time says nothing about the limit."""
        if self._busy is not None:
            held_until = now if self.in_flight else min(now, max(self.paused_until, self._next_start))
            self._busy += max(0.0, held_until - self._seen_at)
        self._seen_at = now
