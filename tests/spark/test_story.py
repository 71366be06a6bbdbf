"""The story of Spark in pipelines/, as it stands, against the sandbox."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

STORY = Path(__file__).parent.parent.parent / "pipelines" / "spark_transfer.py"

pytestmark = pytest.mark.spark


def test_a_model_is_read_scored_and_pushed(tmp_path):
    """What differs is told, sent, and gone from a second plan."""
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(STORY.parent.parent)}
    command = [sys.executable, "-W", "ignore", str(STORY), "--sandbox", "--apply"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    first, plan = done.stdout.splitlines()[:2]
    assert first == "500 companies in 1 files"
    updates = int(re.match(r"updates (\d+) of 500 companies; would start", plan)[1])
    assert f"default.companies: {updates} updated" in done.stdout
    assert done.stdout.rstrip().endswith("changes nothing in 500 companies")
