"""Answers that are not whole: each is made good, or the sync stops with exit 3 and no table has moved."""

import functools
import random
from contextlib import ExitStack

import pytest

from tests.properties.faults import FAULTS
from tests.properties.incomplete import STAGES, NeverHappened, scenario
from tests.properties.known import KNOWN
from tests.properties.loads import LOADS

FAULTS_EACH, CLEAN_EACH = 10, 10
WHERE = [
    (turn // 2 % 3, sorted(LOADS)[turn % len(LOADS)], [*STAGES][turn % len(STAGES)])
    for turn in range(len(LOADS) * len(STAGES))
]
"""Seeds that follow each other go through all loads and through all stages, and twelve of them through all pairs."""


def draw_and_sync(seed: int, where: tuple[int, str, str], count: int, folder) -> list[str]:
    """Spoil as many answers as asked for, each in a sync of its own; tell which were not made good."""
    chance, found = random.Random(seed), []
    with scenario(*where, folder) as play:
        assert play.sync_cleanly() == ""
        happened, tried = 0, 0
        while happened < count:
            fault, seen, always = play.draw(chance)
            tried += 1
            assert tried < 5 * count, "hardly any fault happens"
            try:
                wrong = play.sync_spoiled(fault, seen, always=always)
            except NeverHappened:
                continue
            happened += 1
            if wrong:
                found.append(f"seed {seed}: {fault.name} {'always' if always else 'once'} at {seen.told}: {wrong}")
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(4))
def test_an_answer_that_is_not_whole_is_made_good_or_stops_the_sync(seed, tmp_path):
    """Ten faults for each seed, over all paths and pages."""
    assert draw_and_sync(seed, WHERE[seed % len(WHERE)], FAULTS_EACH, tmp_path) == []


def sync_cleanly(seed: int, count: int, folder) -> list[str]:
    """Let time pass and sync through a proxy that changes nothing, several times over; tell of false alarms."""
    chance, found = random.Random(seed), []
    with scenario(*WHERE[seed % len(WHERE)], folder) as play:
        target = play.target()
        for turn in range(count):
            if wrong := play.sync_cleanly(target):
                found.append(f"seed {seed}, turn {turn}: {wrong}")
            play.box.advance(minutes=chance.choice([0, 1, 7, 45, 150]))
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(5))
def test_a_whole_answer_raises_no_alarm(seed, tmp_path):
    """Ten clean syncs for each seed: all complete, all tables as Cargo has them."""
    assert sync_cleanly(seed, CLEAN_EACH, tmp_path) == []


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Scenarios by load and stage, each made once."""
    with ExitStack() as stack:

        @functools.cache
        def scene(name: str, stage: str):
            play = stack.enter_context(scenario(0, name, stage, tmp_path_factory.mktemp("scene")))
            assert play.sync_cleanly() == ""
            return play

        yield scene


@pytest.mark.long
@pytest.mark.xfail(strict=True, reason="see tests/properties/known.py")
@pytest.mark.parametrize("gap", KNOWN, ids=str)
def test_known_gaps_are_still_there(gap, scenes):
    """What is known to slip through still does; when it does not any more, its line goes."""
    (fault,) = [fault for fault in FAULTS if fault.name == gap.fault]
    play = scenes(gap.load, gap.stage)
    fitting = [seen for seen in play.seen if fault.fits(seen) and gap.covers(fault, seen, always=gap.always)]
    assert play.sync_spoiled(fault, fitting[0], always=bool(gap.always)) == ""


@pytest.mark.long
@pytest.mark.parametrize("gap", KNOWN, ids=str)
def test_known_gaps_are_of_requests_that_are_made(gap, scenes):
    """A gap that is misspelt would be one that nobody looks at."""
    play = scenes(gap.load, gap.stage)
    assert any(gap.covers(fault, seen, always=gap.always) for fault in FAULTS for seen in play.seen if fault.fits(seen))
