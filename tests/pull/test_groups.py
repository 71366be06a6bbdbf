"""Parts of a workspace that are synced apart, into one dataset."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from cargo_source import cargo, group_pipeline, sync, window_of_run
from cargo_source.catalog import ENTITIES
from cargo_source.errors import BadSettings, CargoError, IncompleteRead, TryLater
from cargo_source.pull.groups import GROUPS, resources_of
from cargo_source.pull.outcome import Outcome
from cargo_source.pull.records import RECORDS
from cargo_source.pull.sync import SyncReport
from tests.small import small_box
from tests.target import differences


@pytest.fixture
def own_box():
    with small_box(73, companies=20) as box:
        yield box


def load(target, box, **options):
    """Sync every part, each with what it knows."""
    return {
        group: sync(
            group_pipeline(group, str(target.database), target.folder / "state"),
            cargo(box.token, box.url, group=group, **options),
        )
        for group in GROUPS
    }


def test_parts_together_load_everything_and_a_worker_that_lost_its_folder_goes_on(own_box, target):
    """State and schema come back from the dataset that all share: the next sync brings what moved, and no more."""
    first = load(target, own_box)
    assert differences(target, own_box) == []
    own_box.advance(days=1)
    shutil.rmtree(target.folder / "state")
    second = load(target, own_box)
    assert differences(target, own_box) == []
    assert sum(each.rows for each in second.values()) < sum(each.rows for each in first.values()) / 3


def test_a_window_of_a_part_leaves_its_cursors(own_box, target):
    """What a backfill loads is no gap for the sync after it."""
    now = own_box.world.now
    load(target, own_box, window=(now - timedelta(days=3), now - timedelta(days=2)))
    load(target, own_box)
    assert differences(target, own_box) == []


def test_every_table_is_in_one_part():
    """None is forgotten, none is loaded by two."""
    found = [name for group in GROUPS for name in resources_of(group)]
    assert sorted(found) == sorted([*(e.table for e in ENTITIES.values() if not e.on_request), RECORDS])


def test_a_part_that_does_not_exist_is_refused(tmp_path):
    """With a suggestion; and a part is not narrowed."""
    with pytest.raises(BadSettings, match="did you mean 'models'"):
        cargo("token", group="model")
    with pytest.raises(BadSettings, match="take it, or only"):
        cargo("token", group="models", only=["runs"])


@pytest.mark.parametrize(
    ("days_ago", "again", "windowed"),
    [(0, False, False), (1, False, True), (0, True, True)],
    ids=["new", "old", "again"],
)
def test_the_newest_run_goes_on_and_older_ones_load_their_interval(days_ago, again, windowed):
    """And what is asked for again is loaded again, however new it is."""
    now = datetime(2026, 3, 9, 7, tzinfo=UTC)
    end = datetime(2026, 3, 9, tzinfo=UTC) - timedelta(days=days_ago)
    window = window_of_run(end - timedelta(days=1), end, now, again=again)
    assert window == ((end - timedelta(days=1), end) if windowed else None)


def test_an_interval_without_width_is_refused_even_for_the_newest_run():
    """Airflow's "@daily" would go by for years otherwise, until somebody fills a day again; none at all is none."""
    now = datetime(2026, 3, 9, tzinfo=UTC)
    with pytest.raises(BadSettings, match="CronDataIntervalTimetable"):
        window_of_run(now, now, now)
    assert window_of_run(None, None, now) is None


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        ("refreshing", None, TryLater),
        ("failed", "ServerFailed", TryLater),
        ("failed", "IncompleteRead", IncompleteRead),
    ],
)
def test_a_report_that_is_not_whole_says_whether_a_retry_helps(status, error, kind):
    """By the class of what it raises; a table that may not be read lacks nothing."""
    report = SyncReport("cargo", "cargo", [Outcome("runs", "runs", status="complete")])
    report.require_whole()
    report.outcomes += [
        Outcome("users", "users", status="skipped"),
        Outcome("chats", "chats", status=status, error=error),
    ]
    with pytest.raises(CargoError, match=r"1 of 3 tables .* chats") as caught:
        report.require_whole()
    assert type(caught.value) is kind
    assert caught.value.retry_helps is (kind is TryLater)
