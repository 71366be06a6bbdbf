"""The stories in pipelines/: each runs as it stands, against the sandbox."""

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

PIPELINES = Path(__file__).parent.parent / "pipelines"


def run(name, *arguments, cwd, **environment):
    """Run a story in a folder of its own."""
    found = {**os.environ, "HOME": str(cwd), "DLT_DATA_DIR": str(cwd / "dlt"), **environment}
    found["PYTHONPATH"] = str(PIPELINES.parent)
    found["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    command = [sys.executable, "-W", "ignore", str(PIPELINES / name), *arguments]
    done = subprocess.run(command, cwd=cwd, env=found, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(folder, name, query):
    """Ask the DuckDB file that a story has made."""
    with duckdb.connect(str(folder / f"{name}.duckdb"), read_only=True) as db:
        return db.execute(query).fetchall()


def synced(told):
    """The rows of each sync that a story has told of as complete."""
    lines = re.findall(r"^([\d,]+) rows in \d+ tables .*: complete", told, re.MULTILINE)
    return [int(each.replace(",", "")) for each in lines]


def test_a_workspace_is_loaded_and_then_what_moved(tmp_path):
    """Both syncs are complete, the second is a part of the first, and the question has an answer."""
    told = run("load_workspace.py", "--sandbox", cwd=tmp_path)
    first, second = synced(told)
    assert first > 10 * second > 0
    ((rows,),) = asked(tmp_path, "load_workspace", "SELECT count(*) FROM cargo.default__companies")
    assert rows >= 500
    ((agent, answers),) = asked(
        tmp_path,
        "load_workspace",
        "SELECT a.name, count(*) FROM cargo.agent_runs r JOIN cargo.agents a ON a.uuid = r.agent_uuid GROUP BY ALL"
        " ORDER BY sum(r.credits_used_count) DESC LIMIT 1",
    )
    assert re.search(rf"{re.escape(agent)} +{answers} ", told)


def test_changes_of_segments_are_followed_and_nothing_else(tmp_path):
    """Three rounds with hours between them, in each of which somebody moves."""
    told = run("follow_segment_changes.py", "--sandbox", cwd=tmp_path)
    rows = synced(told)
    assert len(rows) == 3
    assert rows[0] > rows[1] > 0 < rows[2] < rows[0]
    query = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'cargo' AND NOT starts_with(table_name, '_')"
    tables = {name for (name,) in asked(tmp_path, "follow_segment_changes", query)}
    assert tables == {"segments", "changes", "change_rows", "segment_members"}


def test_runs_are_loaded_window_by_window(tmp_path):
    """The windows give what one over all of them gives, and loading them again changes nothing."""
    told = run("backfill_runs.py", "--sandbox", cwd=tmp_path)
    assert len(re.findall(r"^2026-0\S+ +2026-0\S+ .*complete", told, re.MULTILINE)) >= 3
    query = "SELECT count(*), sum(hash(uuid, status, updated_at)) FROM cargo.runs"
    before = asked(tmp_path, "backfill_runs", query)
    assert before[0][0] > 100
    run("backfill_runs.py", "--sandbox", "--step", "30", cwd=tmp_path)
    assert asked(tmp_path, "backfill_runs", query) == before


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(path.name, marks=pytest.mark.spark if path.name.startswith("spark") else ())
        for path in sorted(PIPELINES.glob("*.py"))
    ],
)
def test_each_story_says_how_it_is_run(story, tmp_path):
    """In its first lines, which --help shows where it is a command."""
    text = (PIPELINES / story).read_text()
    assert text.startswith('"""')
    if "argparse" in text:
        assert f"python pipelines/{story} --sandbox" in run(story, "--help", cwd=tmp_path)


def test_scores_are_pushed_and_seen_again(tmp_path):
    """The plan says how many rows it would change; so many are changed, and so many come with the next sync."""
    told = run("push_scores.py", "--sandbox", "--apply", cwd=tmp_path)
    planned = re.search(r"^updates (\d+) of 500 companies", told)[1]
    assert int(planned) > 5
    assert f"default.companies: {planned} updated" in told
    assert f"the next sync brings {planned} of them back" in told


def test_without_apply_nothing_is_sent(tmp_path):
    """It ends with the plan."""
    told = run("push_scores.py", "--sandbox", cwd=tmp_path)
    assert "would be" in told
    assert "updated" not in told.replace("updated_at", "")
