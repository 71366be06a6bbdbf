from datetime import UTC, datetime, timedelta, timezone

import pytest

from cargo_source.pull.times import Span, format_time, parse_time, time_at

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-03-02T12:00:00.000Z", "2026-03-02T12:00:00Z", "2026-03-02T13:00:00+01:00", "2026-03-02 12:00:00"],
)
def test_every_form_of_a_time_is_read_as_utc(text):
    """With milliseconds or without, with a zone or without: one moment."""
    assert parse_time(text) == NOON


def test_times_are_written_as_the_api_writes_them():
    """UTC, milliseconds, Z."""
    assert format_time(NOON.astimezone(timezone(timedelta(hours=5)))) == "2026-03-02T12:00:00.000Z"


def test_bounds_lie_outside_the_window():
    """Whether the server's filters are inclusive is unknown, so what is sent encloses the window either way."""
    span = Span(NOON, NOON + timedelta(hours=1))
    assert parse_time(span.after) < NOON
    assert parse_time(span.before) > NOON + timedelta(hours=1, seconds=1)


def test_the_first_window_has_no_lower_bound():
    """Nothing was read before, so everything is news, even what has no time."""
    span = Span(None, NOON)
    assert span.after is None
    assert span.reached_by(None)


def test_times_are_found_under_paths_and_missing_ones_are_none():
    """Null, absent, a broken path and something that is no time all mean: unknown."""
    row = {"a": {"b": "2026-03-02T12:00:00Z"}, "c": None, "d": "soon", "e": 7}
    assert time_at(row, "a.b") == NOON
    assert [time_at(row, path) for path in ("c", "c.d", "d", "e", "x.y")] == [None] * 5
