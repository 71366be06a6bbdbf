"""The stories in pipelines/: each runs as it stands, against the sandbox."""

import os
import re
import subprocess
import sys
from pathlib import Path

PIPELINES = Path(__file__).parent.parent / "pipelines"


def run(name, *arguments, cwd, **environment):
    """Run a story in a folder of its own."""
    found = {**os.environ, "HOME": str(cwd), "DLT_DATA_DIR": str(cwd / "dlt"), **environment}
    found["PYTHONPATH"] = str(PIPELINES.parent)
    command = [sys.executable, "-W", "ignore", str(PIPELINES / name), *arguments]
    done = subprocess.run(command, cwd=cwd, env=found, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


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
