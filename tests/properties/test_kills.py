"""A sync that is killed at any point: the next one gives exact tables, with nothing lost and nothing twice."""

import random

import pytest

from tests.properties.kills import POINTS, Kill, killed_sync
from tests.properties.loads import LOADS, asleep, target_after_first_sync
from tests.small import tiny_box
from tests.target import Target

KILLS = 4
"""How many each seed stands for."""


def kills_of(seed: int) -> list[tuple[str, float]]:
    """Draw where to kill: seeds that follow each other go through all points in turn."""
    names, chance = sorted(POINTS), random.Random(seed)
    return [(names[(seed * KILLS + turn) % len(names)], chance.random()) for turn in range(KILLS)]


def kill_and_go_on(seed: int, point: str, share: float, folder) -> None:
    """Kill a first sync, or one of a day's news; let time pass or not, sync again, and compare."""
    chance = random.Random(f"{seed} {point} {share}")
    name, fresh = chance.choice(sorted(LOADS)), chance.random() < 0.4
    load = LOADS[name]
    with tiny_box(seed % 3) as box:
        folder.mkdir(exist_ok=True)
        target = Target(folder) if fresh else target_after_first_sync(seed % 3, name, folder)
        if not fresh:
            box.advance(hours=26)
        begun = box.world.moment
        passed = killed_sync(target, box, load, Kill(point, share))
        assert passed[point] >= Kill(point, share).turn, f"no sync comes by {point}"
        box.advance(minutes=chance.choice([0, 1, 50]))
        load.sync(target, box)
        # What it had read was read at its own moment: what only a sweep finds comes with the next one.
        found = load.differences(target, box, excused=asleep(box, begun))
        assert found == [], "\n".join(found[:20])


def kill_each(seed: int, folder) -> None:
    """Kill as often as a seed stands for, each time in a workspace of its own."""
    for turn, (point, share) in enumerate(kills_of(seed)):
        try:
            kill_and_go_on(seed, point, share, folder / str(turn))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, killed at {point!r}, share {share}: {error}") from error


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(5))
def test_a_sync_that_is_killed_leaves_nothing_behind(seed, tmp_path):
    """Four kills for each seed, all of which happen: exact tables after the next sync."""
    kill_each(seed, tmp_path)


def test_every_point_is_drawn():
    """The kills of a test run go through all points at least once."""
    assert {point for seed in range(5) for point, _ in kills_of(seed)} == set(POINTS)
