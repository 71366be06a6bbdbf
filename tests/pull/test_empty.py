"""Answers that hold nothing where there is something: asked for again before they are believed."""

import httpx
import pytest

from cargo_source.errors import IncompleteRead
from tests.proxy import proxied
from tests.small import small_box
from tests.target import entity_differences


@pytest.fixture(scope="module")
def box():
    """A sandbox that these tests leave as it is."""
    with small_box(37) as own:
        yield own


def emptied(path, envelope, *, times=1, count=None, offset=None):
    """Give a change of answers that takes all rows out of the first of those that have some."""
    left = [times]

    def before_and_after(asked, found, _again):
        _method, asked_path, params = asked
        body = found.json() if found.status_code == 200 and asked_path.startswith(path) else {}
        if not left[0] or not body.get(envelope) or (offset is not None and int(params.get("offset", 0)) != offset):
            return found
        left[0] -= 1
        body = {**body, envelope: [], **({"count": count} if count is not None else {})}
        return httpx.Response(200, json=body, headers={"Date": found.headers["Date"]})

    return before_and_after


@pytest.mark.parametrize(
    ("path", "envelope", "tables", "how"),
    [
        ("segmentation/segments/list", "segments", ["segments", "changes"], {}),
        ("orchestration/workflows/list", "workflows", ["workflows", "runs"], {}),
        ("segmentation/changes/list", "changes", ["changes"], {}),
        ("ai/messages/list", "messages", ["messages", "agent_runs"], {}),
        ("ai/messages/list", "messages", ["messages", "agent_runs"], {"offset": 100}),
        ("segmentation/changes/", "records", ["change_rows"], {"count": 0}),
    ],
    ids=["whole list", "list of parents", "lastChange", "lastMessage", "second page", "counters of a change"],
)
def test_an_empty_answer_is_not_believed_at_its_first_word(box, target, path, envelope, tables, how):
    """Where something tells that there are rows, or nothing could, the list is asked for once more."""
    with proxied(box, instead=emptied(path, envelope, **how)) as odd:
        target.sync(odd, only=tables)
    assert [each for table in tables for each in entity_differences(target, box, table)] == []


def test_a_change_whose_rows_do_not_come_stops_the_sync(box, target):
    """Its own counters say how many there are: fewer stop with both numbers, before any table is touched."""
    with (
        proxied(box, instead=emptied("segmentation/changes/", "records", times=-1, count=0)) as odd,
        pytest.raises(IncompleteRead, match=r"says \d+ \w+, and 0 came"),
    ):
        target.sync(odd, only=["change_rows"])
    assert not target.database.exists() or "change_rows" not in target.tables()
