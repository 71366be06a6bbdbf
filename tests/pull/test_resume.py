"""A sync that is cut off goes on where it was: what it had read is not asked for again, and the tables are exact."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cargo_source.errors import CargoError, OutOfTime
from cargo_source.pull import connection, manifest, record_pages
from cargo_source.pull.deadline import Deadline
from cargo_source.sandbox import Sandbox
from tests.proxy import proxied
from tests.small import small_box
from tests.target import Target, differences, model_differences

CUT = """
import os, signal, sys
from cargo_source.api.client import CargoClient
from cargo_source.pull import manifest, spool

spool.CHUNK_ROWS, manifest.SAVED_EVERY = int(os.environ["CHUNK"]), 0.0
send, left = CargoClient._send, [int(os.environ["REQUESTS"])]

def cut(self, step):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return send(self, step)

CargoClient._send = cut
from pathlib import Path
from tests.target import Target

class Box:
    url, token = os.environ["URL"], os.environ["TOKEN"]

import json
Target(Path(os.environ["FOLDER"])).sync(Box, **json.loads(os.environ["OPTIONS"]))
"""


@pytest.fixture(scope="module")
def box():
    with Sandbox(seed=5, companies=300) as own:
        yield own


def cut_off(box, target: Target, after: int, *, chunk: int = 20_000, **options) -> None:
    """Sync in a process of its own that is killed when it has made so many requests."""
    environment = {
        **os.environ,
        "URL": box.url,
        "TOKEN": box.token,
        "FOLDER": str(target.folder),
        "REQUESTS": str(after),
        "CHUNK": str(chunk),
        "OPTIONS": json.dumps(options),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run([sys.executable, "-c", CUT], env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


def asked(box, since: int) -> list[str]:
    """The paths that were asked for since there were so many."""
    return [request.path for request in box.journal.entries()[since:]]


def test_what_was_read_before_a_kill_is_not_read_again(box, target):
    """Chats, messages and all else that came whole stays: the next sync asks for little more than what was lacking."""
    only = {"only": ["chats", "messages", "agents", "runs", "spans"], "query_lane": False}
    begun = len(box.journal.entries())
    target.sync(box, **only)
    whole = len(box.journal.entries()) - begun
    target.sync(box, **only)
    news = len(box.journal.entries()) - begun - whole
    fresh = Target(target.folder / "fresh")
    fresh.folder.mkdir()
    before = len(box.journal.entries())
    cut_off(box, fresh, 500, **only)
    made = len(box.journal.entries()) - before
    fresh.sync(box, **only)
    again = len(box.journal.entries()) - before - made
    # Of the requests that were begun when the kill came, some never got to the sandbox.
    assert made >= 450
    # It finishes the sync that was cut off, and looks for what is new since; what was in flight is lost.
    assert again <= whole - made + news + 80
    skip = {"models", "records"} | {t for t in target_tables() if t not in only["only"]}
    assert differences(fresh, box, skip=skip) == []


def target_tables() -> set[str]:
    from cargo_source.catalog import ENTITIES

    return set(ENTITIES)


def test_pages_of_a_model_go_on_at_the_row_that_came_last(box, target, monkeypatch):
    """Pages are asked for again only behind the last file; the row there proves that the list is the same."""
    only = {"only": ["datasets", "models"], "models": ["default.contacts"], "lane": "pages"}
    model = next(m for m in box.truth("models") if m["slug"] == "contacts" and m["kind"] == "native")
    cut_off(box, target, 10, chunk=150, **only)
    page, offsets = record_pages.RecordPages._page, []

    def noted(self, offset, limit):
        offsets.append(offset)
        return page(self, offset, limit)

    monkeypatch.setattr(record_pages.RecordPages, "_page", noted)
    target.sync(box, **only)
    assert model_differences(target, box, model) == []
    assert offsets
    assert min(offsets) >= 198


def test_a_list_that_moved_meanwhile_is_read_anew(target):
    """Where the row that came last is at another place, nothing that came before is believed."""
    with small_box(6, companies=300) as own:
        only = {"only": ["datasets", "models"], "models": ["default.contacts"], "lane": "pages"}
        model = next(m for m in own.truth("models") if m["slug"] == "contacts" and m["kind"] == "native")
        cut_off(own, target, 9, chunk=150, **only)
        own.advance(days=2)
        target.sync(own, **only)
        assert model_differences(target, own, model) == []


def test_a_failure_keeps_what_came_and_a_success_leaves_nothing(box, target, monkeypatch):
    """After an error the spool waits, readable by its owner only; after the next sync it is gone."""
    monkeypatch.setattr(manifest, "SAVED_EVERY", 0.0)
    only = {"only": ["chats", "messages", "votes"]}

    def refuse(_method, path, _body):
        return (403, {"errorMessage": "forbidden"}) if path == "ai/votes/list" else None

    with proxied(box, before=refuse) as odd, pytest.raises(CargoError):
        target.sync(odd, strict=True, **only)
    left = [*target.folder.rglob("cargo-source-left-*")]
    assert len(left) == 1
    assert all(path.stat().st_mode & 0o077 == 0 for path in left[0].rglob("*"))
    assert [*left[0].glob("*.parquet")]
    target.sync(box, strict=True, **only)
    assert [*target.folder.rglob("cargo-source-*")] == []


def test_another_workspace_takes_up_nothing(box, target):
    """What was read of one workspace never lands as another's."""
    only = {"only": ["chats", "messages"]}
    cut_off(box, target, 40, **only)
    with small_box(77, companies=20) as other:
        target.sync(other, **only)
        skip = {"models", "records"} | {t for t in target_tables() if t not in only["only"]}
        assert differences(target, other, skip=skip) == []


@pytest.mark.parametrize("publish", [False, True], ids=["in place", "published"])
def test_syncs_that_run_out_of_time_get_there_together(box, target, monkeypatch, publish):
    """Each goes on where the one before stopped; the last one loads exactly, and all of them are told of."""
    ticks = itertools.count()
    monkeypatch.setattr(connection, "Deadline", lambda minutes: Deadline(minutes, lambda: float(next(ticks))))
    only = {"only": ["chats", "messages", "agents", "runs", "datasets", "models"], "query_lane": False}
    only |= {"models": ["default.contacts"], "lane": "pages"}
    begun = len(box.journal.entries())
    Target(target.folder).sync(box, **only)
    whole = len(box.journal.entries()) - begun
    fresh = Target(target.folder / "fresh")
    fresh.folder.mkdir()
    stopped, done = 0, None
    # A tick is a request: a third of them are made in each sync.
    while done is None and stopped < 12:
        try:
            done = fresh.sync(box, max_minutes=whole / 3 / 60, publish=publish, **only)
        except OutOfTime:
            stopped += 1
            assert fresh.database.exists() is not publish
    assert done is not None, f"{stopped} syncs of a third of the requests each got nowhere"
    # Each begins with what it always asks, and what is in flight at its end is lost: the more, the busier the machine.
    assert 2 <= stopped <= 8
    # A run that went on and was stopped again stands under the id of the one that it took up.
    told = fresh.query("SELECT DISTINCT run_id, status, error FROM cargo._cargo_syncs ORDER BY 1")
    assert ("failed", "OutOfTime") in {(status, error) for _, status, error in told}
    assert {status for run, status, _ in told if run == done.run_id} == {"complete"}
    assert differences(fresh, box, skip=target_tables() - set(only["only"]) | {"records"}) == []
    model = next(m for m in box.truth("models") if m["slug"] == "contacts" and m["kind"] == "native")
    assert model_differences(fresh, box, model) == []
