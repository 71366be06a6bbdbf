"""Where all chance in the sandbox comes from: random streams that are named, seeded and independent.

Each part of the world draws from its own stream, so a change in one part leaves the others as they were.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

CREDIT_STEP = 0.125
"""All credits are multiples of an eighth: binary fractions add up exactly in any order."""


def number_for(*parts: object) -> int:
    """Return a 128-bit number made from the parts, the same on every machine and in every process."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def uuid_from(number: int) -> str:
    """Shape a 128-bit number as a version 4 uuid."""
    text = f"{number:032x}"
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def uuid_for(*parts: object) -> str:
    """Return the uuid of a named thing, without drawing from any stream."""
    return uuid_from(number_for(*parts))


class Stream:
    """One named source of chance."""

    def __init__(self, *name: object) -> None:
        self._random = random.Random(number_for(*name))

    def uuid(self) -> str:
        """Draw a version 4 uuid."""
        return uuid_from(self._random.getrandbits(128))

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self._random.random() < probability

    def whole(self, low: int, high: int) -> int:
        """Draw an integer, both ends included."""
        return low + int(self._random.random() * (high - low + 1))

    def real(self, low: float, high: float, digits: int = 2) -> float:
        """Draw a rounded number."""
        return round(low + self._random.random() * (high - low), digits)

    def credits(self, low: int, high: int) -> float:
        """Draw a number of credits between two counts of eighths."""
        return self.whole(low, high) * CREDIT_STEP

    def pick(self, items: Sequence[Item]) -> Item:
        """Draw one of the items."""
        return items[int(self._random.random() * len(items))]

    def weighted(self, items: Sequence[tuple[Item, float]]) -> Item:
        """Draw one of the items by its weight."""
        mark = self._random.random() * sum(weight for _, weight in items)
        for item, weight in items:
            mark -= weight
            if mark < 0:
                return item
        return items[-1][0]

    def some(self, items: Sequence[Item], count: int) -> list[Item]:
        """Draw that many different items (all of them when there are fewer), in the order they came in."""
        marks = sorted((self._random.random(), place) for place in range(len(items)))
        return [items[place] for place in sorted(place for _, place in marks[:count])]

    def rounded(self, expected: float) -> int:
        """Turn an expected count into a count: the fraction becomes a chance."""
        return int(expected) + self.chance(expected - int(expected))

    def count(self, expected: float) -> int:
        """As `rounded`, but a day's work is at least one."""
        return max(1, self.rounded(expected))

    def moments(self, count: int, low: int, high: int) -> list[int]:
        """Draw that many moments between two, in order."""
        return sorted(self.whole(low, high) for _ in range(count))
