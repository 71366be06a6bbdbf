"""What a radius says to a person, and how it is kept."""

import json

import pytest

from cargo_source.push.forecast import PlayForecast, Radius, SegmentForecast


def play(runs, credits_per_run=3.0, name="Enrich new accounts", **more):
    return PlayForecast("p", name, "s", runs, credits_per_run, **more)


UNSURE = (
    "would start about 3 runs of 'A' (~9.0 credits), about 2 runs of 'B' (~6.0 credits)"
    " and an unknown number of runs of 'C' (at most 7)"
)
MANY = (
    "would start about 5 runs of 'P5' (~15 credits), about 4 runs of 'P4' (~12 credits),"
    " about 3 runs of 'P3' (~9.0 credits) and about 3 runs of 2 more plays"
)


@pytest.mark.parametrize(
    ("plays", "line"),
    [
        ([], "starts nothing"),
        ([play(0)], "starts nothing"),
        ([play(310)], "would start about 310 runs of 'Enrich new accounts' (~930 credits)"),
        ([play(1, 0.25)], "would start about 1 run of 'Enrich new accounts' (~0.2 credits)"),
        ([play(1, 0.01)], "would start about 1 run of 'Enrich new accounts' (less than 0.1 credits)"),
        ([play(1200, None)], "would start about 1,200 runs of 'Enrich new accounts' (credits unknown)"),
        ([play(None)], "would start an unknown number of runs of 'Enrich new accounts'"),
        ([play(2, name="B"), play(None, name="C", at_most=7), play(3, name="A")], UNSURE),
        ([play(n, name=f"P{n}") for n in range(1, 6)], MANY),
    ],
)
def test_the_line_for_a_person(plays, line):
    """It names plays, runs and credits, the most first, and says what is unknown."""
    assert Radius(plays=tuple(plays)).line == line


def test_a_radius_is_kept_as_json():
    """What is taken up again is the same, and sums are told where all of them are known."""
    segment = SegmentForecast("s", "Köln", "default.companies", 1, None, 0, "why")
    radius = Radius((segment,), (play(2), play(3, None, no_credits="none")))
    assert Radius.of_json(json.loads(json.dumps(radius.as_json()))) == radius
    assert (radius.runs, radius.credits) == (5, None)
    assert Radius(plays=(play(2), play(None))).runs is None
    assert Radius(plays=(play(2), play(0, None))).credits == 6.0


def test_a_segment_of_which_nothing_is_known_may_move():
    """Only one that surely stays as it is does not move."""
    moves = [SegmentForecast("s", "Köln", "m", *counts).moves for counts in ((0, 0, 0), (0, None, 0), (0, 0, 1))]
    assert moves == [False, True, True]


def test_a_notebook_shows_segments_by_their_play():
    """A table for each; what is not known is left out, and why is said."""
    own = SegmentForecast("u", "GENERATED_PLAY_SEGMENT", "default.companies", None, 2, 0, "it takes <60> rows")
    radius = Radius((own,), (PlayForecast("p", "Enrich new accounts", "u", 2, 3.0),))
    segments, plays = radius.grids()
    assert list(segments.rows) == [("Enrich new accounts", None, 2, 0, "it takes <60> rows")]
    assert list(plays.rows) == [("Enrich new accounts", 2, None, "~6.0 credits", None)]
    assert "&lt;60&gt;" in radius._repr_html_()
    assert "<table>" not in Radius(unknown="no token")._repr_html_()
    assert repr(radius) == "<Radius: would start about 2 runs of 'Enrich new accounts' (~6.0 credits)>"
