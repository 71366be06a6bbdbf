"""What a refusal says about a limit: the token bucket that explains it best. Pure.

A bucket gives one token to each request and is filled by ``rate`` tokens a second up to ``room`` of them. A refusal
says that it was empty. From one refusal to the next, what was let in is what came in by ``rate``, unless the bucket was
full for a while and lost some: so the more room there is, the slower the rate that explains the same starts.
"""

from collections.abc import Sequence

WIDE = 1.25
"""Bounds further apart than this say little: the truth is looked for between them."""
_WINDOWS = (2, 5, 10, 20, 50, 100)
_HALVINGS = 40


def rate_of(starts: Sequence[float], empty_at: float, refused_at: float, room: float) -> float:
    """Give the rate that explains that a bucket, empty at first, let these ``starts`` in and refused the next one."""
    low = max(lowest_rate(starts, room), len(starts) / max(refused_at - empty_at, 1e-9))
    high = 2 * low
    while _tokens(high, starts, empty_at, refused_at, room) < 1 and high < 1e6:
        high *= 2
    bottom = 0.0
    for _ in range(_HALVINGS):
        middle = (bottom + high) / 2
        if _tokens(middle, starts, empty_at, refused_at, room) < 1:
            bottom = middle
        else:
            high = middle
    return high if high <= WIDE * low else float((low * high) ** 0.5)


def lowest_rate(starts: Sequence[float], room: float) -> float:
    """Give the rate that it takes at least to let the last of these starts in."""
    ends = [(count, starts[-1] - starts[-count]) for count in (*_WINDOWS, len(starts)) if 1 < count <= len(starts)]
    return max(((count - room) / seconds for count, seconds in ends if seconds > 0), default=0.0)


def room_of(starts: Sequence[float], rate: float) -> float:
    """Give the room that it takes at least to let all these starts in."""
    most, owed, before = 1.0, 0.0, starts[0] if starts else 0.0
    for start in starts:
        owed = max(0.0, owed - rate * (start - before)) + 1
        most, before = max(most, owed), start
    return most


def _tokens(rate: float, starts: Sequence[float], empty_at: float, refused_at: float, room: float) -> float:
    tokens, before = 0.0, empty_at
    for start in starts:
        tokens = min(room, tokens + rate * (start - before)) - 1
        before = start
    return min(room, tokens + rate * (refused_at - before))
