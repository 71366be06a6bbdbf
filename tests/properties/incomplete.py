"""A sync through a proxy that spoils one answer: it ends as a clean one does, or it stops and no table has moved."""

import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from cargo_source.errors import CargoError
from tests.properties.faults import FAULTS, Fault, Recorder, Seen, Spoiled
from tests.properties.known import KNOWN
from tests.properties.loads import LOADS, Load, asleep, digests, quick_retries, target_after_first_sync
from tests.proxy import proxied
from tests.small import tiny_box
from tests.target import Target

ROWS_OF_A_FILE = 15
"""Exports come in several files."""
STAGES = {"first sync": None, "hours later": 3, "a day later": 26}
"""When the sync happens: hours after an earlier one, or without one."""


class NeverHappened(Exception):
    """What was to be spoiled was not asked for, or there is no other answer to it."""


@dataclass
class Scenario:
    """A workspace that stands still, what a target held before, and what a clean sync asks and makes of it."""

    box: object
    load: Load
    before: Path | None
    scratch: Path
    swept: int
    """When the workspace began: a sweep was then, or is in its first sync."""
    seen: list[Seen] = field(default_factory=list)
    clean: dict = field(default_factory=dict)
    _targets: int = 0

    def target(self) -> Target:
        """Give a target of its own, as the last sync left it."""
        self._targets += 1
        folder = self.scratch / str(self._targets)
        if self.before is None:
            folder.mkdir()
        else:
            shutil.copytree(self.before, folder)
        return Target(folder)

    def sync_cleanly(self, target: Target | None = None) -> str:
        """Sync through a proxy that changes nothing; say what is wrong with the outcome, if anything is."""
        target, recorder = target or self.target(), Recorder()
        with proxied(self.box, instead=recorder.instead) as odd:
            report = self.load.sync(target, odd)
        found = self.load.differences(target, self.box, excused=asleep(self.box, self.swept))
        statuses = {outcome.status for outcome in report.outcomes} - {"complete"}
        self.seen, self.clean = recorder.seen, digests(target)
        return "; ".join([*found[:5], *(f"a table is {status}" for status in statuses)])

    def sync_spoiled(self, fault: Fault, seen: Seen, *, always: bool) -> str:
        """Sync through a proxy that spoils an answer; say what is wrong with the outcome, if anything is."""
        target, spoiled = self.target(), Spoiled(fault, seen, always)
        before = digests(target)
        with proxied(self.box, instead=spoiled.instead) as odd:
            try:
                report = self.load.sync(target, odd)
                wrong = _moved(self.clean, digests(target), "differs from a clean sync")
                # An answer to more than was asked shows what a clean sync leaves to the next sweep. And what is shown
                # as unproven holds all rows that there are; those that are gone wait for a read that is proven.
                unproven = [f"{outcome.table}: " for outcome in report.outcomes if outcome.status == "unproven"]
                left = (
                    each
                    for each in self.load.differences(target, self.box)
                    if not (each.startswith(tuple(unproven)) and each.endswith(" is not in Cargo"))
                )
                if wrong and not any(left):
                    wrong = ""
            except CargoError as error:
                wrong = _moved(before, digests(target), f"moved in a sync that stopped with {type(error).__name__}")
                if error.exit_code not in fault.exits:
                    wrong += f" stopped with exit {error.exit_code} ({type(error).__name__})"
        shutil.rmtree(target.folder)
        if not spoiled.hits:
            raise NeverHappened
        return wrong.strip()

    def draw(self, chance: random.Random) -> tuple[Fault, Seen, bool]:
        """Draw a fault, then a path that it can happen to, then one of its requests; none that is known to get by."""
        while True:
            fault = chance.choice([fault for fault in FAULTS if any(map(fault.fits, self.seen))])
            fitting = sorted((seen for seen in self.seen if fault.fits(seen)), key=lambda seen: seen.told)
            path = chance.choice(sorted({seen.path for seen in fitting}))
            seen, always = chance.choice([seen for seen in fitting if seen.path == path]), chance.random() < 0.5
            if not any(gap.covers(fault, seen, always=always) for gap in KNOWN):
                return fault, seen, always


def _moved(before: dict, after: dict, what: str) -> str:
    tables = sorted(table for table in before.keys() | after.keys() if before.get(table) != after.get(table))
    return f"{', '.join(tables)} {what}" if tables else ""


@contextmanager
def scenario(seed: int, name: str, stage: str, scratch: Path) -> Iterator[Scenario]:
    """Give a scenario; nothing in its workspace moves."""
    hours = STAGES[stage]
    with ExitStack() as stack:
        box = stack.enter_context(tiny_box(seed))
        stack.enter_context(quick_retries())
        stack.enter_context(patch("cargo_source.sandbox.exports.ROWS_PER_FILE", ROWS_OF_A_FILE))
        before, swept = None, box.world.moment
        if hours is not None:
            before = target_after_first_sync(seed, name, scratch / "before").folder
            box.advance(hours=hours)
        yield Scenario(box, LOADS[name], before, scratch, swept)
