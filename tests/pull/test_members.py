"""Who was in which segment from when to when: the same whatever came first, and however often it is loaded."""

import shutil
from pathlib import Path

import pytest

from cargo_source.catalog import ENTITIES
from cargo_source.pull import resources
from cargo_source.pull.members import Event, intervals
from tests.proxy import proxied
from tests.small import small_box
from tests.target import Target, differences

ALONE = ["segment_members"]
ALONG = ["segment_members", "change_rows", "changes", "segments"]
OTHERS = set(ENTITIES) - {"segment_members"}


def without_changes(box, hidden):
    """Answer lists of changes without some of them."""

    def before(_method, path, params):
        if path != "segmentation/changes/list":
            return None
        found = [c for c in box.truth("changes") if c["segmentUuid"] == params["segmentUuid"]]
        shown = [change for change in found if change["uuid"] not in hidden]
        start = int(params["offset"])
        return 200, {"changes": shown[start : start + int(params["limit"])]}

    return before


def stays(*kinds):
    events = [Event("s", "r", f"t{turn}", kind, f"c{turn}") for turn, kind in enumerate(kinds)]
    found = intervals(events)
    return [(stay.entered and stay.entered.at, stay.left and stay.left.at) for stay in found]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["added"], [("t0", None)]),
        (["added", "updated", "removed", "added"], [("t0", "t2"), ("t3", None)]),
        (["removed", "added"], [(None, "t0"), ("t1", None)]),
        (["updated"], [(None, None)]),
        (["updated", "removed"], [(None, "t1")]),
        (["added", "added", "removed", "removed"], [("t0", "t2")]),
        (["added", "removed", "updated"], [("t0", "t1"), ("t2", None)]),
    ],
    ids=str,
)
def test_stays_follow_from_events(kinds, expected):
    """Added opens, removed closes, updated shows who is inside; who was there before has no time of entry."""
    assert stays(*kinds) == expected


@pytest.mark.parametrize("only", [ALONE, ALONG], ids=["alone", "along"])
def test_members_equal_who_was_inside_at_each_evaluation(target, only):
    """After each of several days, with change rows loaded along or read for this table alone."""
    with small_box(3, companies=20) as box:
        for _ in range(2):
            target.sync(box, only=only)
            assert differences(target, box, skip=OTHERS) == []
            box.advance(hours=20)


def test_change_rows_of_earlier_syncs_count(target):
    """Where they are here already, nothing is read again for members, in their first sync or after a gap."""
    with small_box(3, companies=20) as box:
        for only in (["change_rows"], ALONG, ["change_rows"], ALONG, ALONE):
            box.journal.clear()
            target.sync(box, only=only)
            fetched = sum(rows for path, rows in box.journal.rows_by_path().items() if path.endswith("/fetch"))
            if only != ["change_rows"]:
                assert differences(target, box, skip=OTHERS) == []
                assert fetched < len(box.truth("change_rows")) / 4
            box.advance(hours=20)


@pytest.mark.parametrize("only", [ALONE, ALONG], ids=["alone", "along"])
def test_the_order_in_which_changes_arrive_does_not_matter(target, only):
    """An older change that shows itself after a newer one moves entries and exits to where they belong."""
    with small_box(3, companies=20) as box:
        target.sync(box, only=only)
        synced = box.world.now
        (forms,) = (model["uuid"] for model in box.truth("models") if model["slug"] == "website_forms")
        for _ in range(3):
            box.touch(forms, 5)
            box.advance(minutes=18)
        new = [change for change in box.truth("changes") if change["createdAt"] > synced.isoformat()]
        moving = sorted((c for c in new if c["addedRecordsCount"]), key=lambda change: change["createdAt"])
        # The newest of a segment is named by it: without that one a sync would stop.
        newest = {segment["lastChange"]["uuid"] for segment in box.truth("segments") if segment["lastChange"]}
        late = {change["uuid"] for change in moving[: len(moving) // 2]} - newest
        assert late

        with proxied(box, before=without_changes(box, late)) as odd:
            target.sync(odd, only=only)
        assert differences(target, box, skip=OTHERS) != []
        target.sync(box, only=only)
        assert differences(target, box, skip=OTHERS) == []


@pytest.mark.parametrize("only", [ALONE, ALONG], ids=["alone", "along"])
def test_a_load_that_comes_twice_doubles_no_stay(target, only, monkeypatch):
    """Staging that a kill has filled twice gives each stay once, those without a time of entry as well."""

    plain = resources._files

    def twice(spooled, table, **options):
        yield from plain(spooled, table, **options)
        for chunk in spooled.chunks:
            again = Path(f"{chunk.path}.again.parquet")
            shutil.copy(chunk.path, again)
            yield resources._file(resources.Chunk(again, chunk.rows), table)

    with small_box(3, companies=20) as box:
        firsts = {}
        for change in sorted(box.truth("changes"), key=lambda change: change["createdAt"]):
            firsts.setdefault(change["segmentUuid"], change["uuid"])
        for _ in range(2):
            with proxied(box, before=without_changes(box, set(firsts.values()))) as odd:
                target.sync(odd, only=only)
            # The first load of a table is not merged, and never gone on with.
            monkeypatch.setattr(resources, "_files", twice)
            rows = target.rows("segment_members")
            keys = {(row["segment_uuid"], row["record_id"], row["entered_at"]) for row in rows}
            assert len(keys) == len(rows)
            assert any(row["entered_at"] is None for row in rows)
            box.advance(hours=20)


def test_members_need_what_they_are_made_of(tmp_path):
    """A token that may not read segments has no members, and the summary says why."""
    with small_box(3, companies=20) as box:
        report = Target(tmp_path).sync(box, token=box.token_without("segmentation"), only=None, models=[])
        (outcome,) = (each for each in report.outcomes if each.table == "segment_members")
        assert outcome.status == "skipped"
