"""Random frames against random models: what is planned is applied, and what is applied is what the mode says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.push.playing import play, play_faults

PARTS = 4
"""Each property is played in parts, which processes of a test run share among them."""


@pytest.mark.parametrize("part", range(PARTS))
@settings(max_examples=60 // PARTS)
@given(random=st.randoms(use_true_random=False))
def test_a_push_does_what_its_mode_says_and_nothing_else(shared, part, random):
    """What is planned is what the sandbox notes; another writer makes it stale; a second push is empty."""
    play(random, shared)


@pytest.mark.parametrize("part", range(PARTS))
@settings(max_examples=40 // PARTS)
@given(random=st.randoms(use_true_random=False))
def test_answers_that_are_lost_cost_no_row_and_make_none_twice(shared, part, random):
    """Lost, cut and half-done writes, calls that are too large, rows that show late: exact in the end."""
    play_faults(random, shared)
