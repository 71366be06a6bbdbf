"""Faults that get by today, each with the reason: they are not drawn, and a test of each fails until it is mended."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.properties.faults import Fault, Seen


@dataclass(frozen=True)
class Gap:
    """A kind of fault at some paths, with a load and a stage in which it shows."""

    fault: str
    path: str
    always: bool | None
    load: str
    stage: str
    why: str

    def __str__(self) -> str:
        return f"{self.fault} at {self.path}"

    def covers(self, fault: Fault, seen: Seen, *, always: bool | None) -> bool:
        """Say whether a fault at a request is this one; a gap of which `always` is None is there either way."""
        if self.always is not None and always is not self.always:
            return False
        return fault.name == self.fault and re.fullmatch(self.path, seen.path) is not None


_UNTOLD = "nothing counts this list, and it stays empty however often it is asked for: it is taken as empty"
_ALIKE = "rows and count lie alike, and nothing else tells; asking twice would double a quiet sync"

KNOWN = [
    Gap("empty list", "segmentation/segments/list", True, "rows", "first sync", _UNTOLD),
    Gap("empty list", "orchestration/workflows/list", True, "runs", "first sync", _UNTOLD),
    Gap(
        "empty list",
        "storage/(models|datasets)/list",
        True,
        "rows",
        "first sync",
        "it ends as a slip in a model's name",
    ),
    Gap("empty page with its count", "ai/chats/list", True, "chats", "first sync", _UNTOLD),
    Gap("empty page with its count", "orchestration/batches/list", True, "runs", "first sync", _UNTOLD),
    Gap("empty page, count 0", "orchestration/(runs|spans|traces)/list", None, "runs", "first sync", _ALIKE),
    Gap(
        "page without its first row",
        "orchestration/batches/list",
        True,
        "runs",
        "first sync",
        "an uncounted list that never holds still is taken as it is after five passes",
    ),
]
