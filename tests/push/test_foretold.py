"""What a plan foretells is what its push sets off, on workspaces that nobody has looked at."""

import random

import pytest

from tests.push.foretold import play


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_foretells_what_happens(seed):
    """Records that enter, leave and change, plays and runs: exactly those, or said to be unknown."""
    play(random.Random(seed), seed)


def test_most_of_it_is_known():
    """A forecast that is always unknown would be right, too."""
    found = [play(random.Random(seed), seed) for seed in (101, 102)]
    assert sum(sure for sure, _ in found) > 0
    assert sum(sure for sure, _ in found) >= sum(unsure for _, unsure in found)
