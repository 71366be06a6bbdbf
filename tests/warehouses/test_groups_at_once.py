"""Parts of a workspace that load into one PostgreSQL dataset at the same time, as tasks of Airflow do."""

import os
import shutil
import subprocess
import sys

import pytest

from cargo_source.catalog import ENTITIES
from cargo_source.pull.groups import GROUPS
from tests.small import small_box
from tests.target import differences
from tests.warehouses.places import InPostgres

pytestmark = pytest.mark.postgres

TASK = """
import sys
from pathlib import Path
from cargo_source import cargo, group_pipeline, sync
group = sys.argv[1]
print("ready", flush=True)
input()
sync(group_pipeline(group, "postgres", Path(sys.argv[2])), cargo(group=group)).require_whole()
"""
"""What the story's task does, once all that work beside it are there."""


@pytest.fixture
def box():
    with small_box(7, companies=40) as own:
        yield own


@pytest.fixture
def place(tmp_path, server):
    return InPostgres(tmp_path, server.new_database())


def load(place, box, *groups):
    """Load parts at the same time, each in a process of its own."""
    environment = {
        **os.environ,
        "CARGO_API_TOKEN": box.token,
        "CARGO_API_URL": box.url,
        "DESTINATION__POSTGRES__CREDENTIALS": place.url,
        "HOME": str(place.folder),
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    tasks = [
        subprocess.Popen(
            [sys.executable, "-c", TASK, group, place.folder / "state"], env=environment, cwd=place.folder, **pipes
        )
        for group in groups
    ]
    for task in tasks:
        assert task.stdout.readline() == "ready\n"
    for task in tasks:
        task.stdin.write("\n")
        task.stdin.flush()
    for task in tasks:
        _, errors = task.communicate(timeout=200)
        assert task.returncode == 0, errors[-4000:]


def twice(place):
    """Tables in which a key is there more than once."""
    keys = {entity.table: entity.key for entity in ENTITIES.values()}
    found = []
    for table in place.tables():
        key = ", ".join(f'"{name}"' for name in keys.get(table, ("_id",)))
        if place.query(f'SELECT 1 FROM cargo."{table}" GROUP BY {key} HAVING count(*) > 1 LIMIT 1'):
            found.append(table)
    return found


def test_parts_that_load_at_the_same_time_bring_every_row_once(place, box):
    """First the one that makes the dataset, then the others at once; a day later all at once, without their folder."""
    first, *others = GROUPS
    load(place, box, first)
    load(place, box, *others)
    assert differences(place, box) == []
    assert twice(place) == []
    box.advance(days=1)
    shutil.rmtree(place.folder / "state")
    load(place, box, *GROUPS)
    assert differences(place, box) == []
    assert twice(place) == []
    told = place.query("SELECT pipeline, count(DISTINCT run_id) FROM cargo._cargo_syncs GROUP BY 1 ORDER BY 1")
    assert told == [(f"cargo_{group}", 2) for group in sorted(GROUPS)]
    # Rows on their way wait where no other part takes them.
    schemas = {name for (name,) in place.query("SELECT schema_name FROM information_schema.schemata")}
    assert {f"cargo_staging_{group}" for group in GROUPS} <= schemas
