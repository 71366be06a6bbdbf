"""What can be made to go wrong, where, and how often."""

from __future__ import annotations

import random
import re
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KINDS = (
    "429",  # too many requests; with `retry_after` as "seconds" or "date", it asks to wait for `seconds`
    "5xx",  # a page of HTML with `status`
    "forbidden",  # 403, as for a missing permission
    "html_200",  # a page of HTML with status 200
    "reset",  # the connection is reset before the answer
    "slow",  # the answer waits for `seconds`
    "cut",  # the body ends midway, though Content-Length promised it whole
    "invalid_json",  # the body is cut and the length agrees
    "repeat_page",  # the page before the one that was asked for
    "reorder_page",  # the rows of the page in another order
    "short_page",  # at most `rows` rows, or half of them
    "write_between",  # rows are written before the page is read: `rows` new and as many changed
    "refreshing",  # isRefreshing is true
    "extra_fields",  # every object of the list has a field that nobody knows
    "unknown_enum",  # status, kind and type hold a value that nobody knows
    "no_ranges",  # the store of the links sends whole files to who asks for a part
    "expired_link",  # links are expired when given, or when fetched
    "lost_answer",  # what was asked for is done, then the connection is reset
    "late_commit",  # the connection is reset at once, and what was asked for is done after `seconds`
    "late_answer",  # what was asked for is done, then the answer waits for `seconds`
    "half_done",  # the first half of the rows is written, then comes a page of HTML with `status`
    "too_large",  # 413 for a write of more than `rows` rows
)


RETRY_AFTER = (None, "seconds", "date")


class FaultError(ValueError):
    """A fault that is not described as it should be."""


@dataclass
class Fault:
    """One thing that goes wrong.

    `path` is a glob over the path after /v1, or a regular expression if it starts with `^`, as in
    `storage/query*`; export links match as `exports/...`. Without `count` it happens always. `after` matches are let
    through first, then each `every`-th fires, or each with the `probability`.
    """

    path: str
    kind: str
    method: str | None = None
    count: int | None = None
    after: int = 0
    every: int = 1
    probability: float | None = None
    status: int = 503
    retry_after: str | None = None
    seconds: float = 1.0
    rows: int | None = None
    minutes: float = 30.0
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        numbers = ("count", "after", "every", "probability", "status", "seconds", "rows", "minutes")
        wrong = [name for name in ("path", "kind") if not isinstance(getattr(self, name), str)]
        wrong += [name for name in numbers if not isinstance(getattr(self, name), int | float | None)]
        if wrong:
            raise FaultError(f"of the wrong type: {', '.join(wrong)}")
        if self.kind not in KINDS:
            raise FaultError(f"unknown kind of fault: {self.kind!r}; known are {', '.join(KINDS)}")
        if self.retry_after not in RETRY_AFTER:
            raise FaultError(f"retry_after is one of {RETRY_AFTER}")
        if self.every < 1:
            raise FaultError("every has to be 1 or more")
        try:
            re.compile(self.path)
        except re.error as error:
            if self.path.startswith("^"):
                raise FaultError(f"path is no regular expression: {error}") from error

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a request is one that this fault is about."""
        if self.method and self.method.upper() != method:
            return False
        if self.path.startswith("^"):
            return re.search(self.path, path) is not None
        return fnmatchcase(path, self.path.lstrip("/"))

    def fires(self, chance: random.Random) -> bool:
        """Count a matching request and tell whether it is hit."""
        self.seen += 1
        place = self.seen - self.after
        if place < 1 or place % self.every or (self.count is not None and self.fired >= self.count):
            return False
        if self.probability is not None and chance.random() >= self.probability:
            return False
        self.fired += 1
        return True


class Faults:
    """The faults of a sandbox, in the order in which they were added; chance is seeded."""

    def __init__(self, seed: int, given: Iterable[dict[str, Any]] = ()) -> None:
        self._chance = random.Random(seed)
        self._all: list[Fault] = []
        for each in given:
            self.add(each)

    def add(self, given: dict[str, Any] | None = None, **settings: Any) -> Fault:
        """Add a fault, as a dict or as keywords, and give it; its `fired` counts how often it has happened.

        Raises:
            FaultError: A setting or kind is unknown.
        """
        settings = {**(given or {}), **settings}
        known = {each.name for each in fields(Fault) if each.init}
        unknown = sorted(set(settings) - known)
        if unknown or not {"path", "kind"} <= set(settings):
            listed = ", ".join(unknown) or "none"
            raise FaultError(f"a fault needs path and kind; settings that are not known: {listed}")
        fault = Fault(**settings)
        self._all.append(fault)
        return fault

    def clear(self) -> None:
        """Let everything go well again."""
        self._all.clear()

    def fire(self, method: str, path: str) -> list[Fault]:
        """Give the faults that hit a request."""
        return [each for each in self._all if each.matches(method, path) and each.fires(self._chance)]

    def described(self) -> list[dict[str, Any]]:
        """Give all faults with how often they matched and happened."""
        return [asdict(each) for each in self._all]


def read_faults(path: Path) -> list[dict[str, Any]]:
    """Read a file that holds a JSON list of faults.

    Raises:
        FaultError: The file is no such list.
    """
    try:
        given = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise FaultError(f"{path} is not JSON: {error}") from error
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise FaultError(f"{path} has to hold a list of objects")
    return given
