"""A push that is killed at any point: the next one goes on, loses nothing, and repeats nothing that was done."""

import pytest

from tests.push.kills import POINTS, kill_one


@pytest.mark.parametrize("seed", range(20))
def test_a_push_that_is_killed_is_gone_on_with(shared, seed):
    """Each point twice: no duplicate, no lost row, no row written that did not differ, no run started for nothing."""
    kill_one(seed, shared)


def test_every_point_is_met():
    """The seeds go through all points, and more than once."""
    assert {sorted(POINTS)[seed % len(POINTS)] for seed in range(20)} == set(POINTS)
    assert len(POINTS) <= 10
