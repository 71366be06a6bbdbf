"""Disks that are full or read-only: real small filesystems, mounted in a namespace of the test's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.target import Target, differences

MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && cd "$2" && exec "$3" "$4"'
"""Run a script on a filesystem of a given size; it is gone when the script ends."""

STORY = """
import json, os, shutil, subprocess, sys

def sync(*more):
    done = subprocess.run([sys.executable, "-m", "cargo_source", "sync", *more], capture_output=True, text=True)
    return {"code": done.returncode, "stderr": done.stderr}

def mount(option):
    subprocess.run(["mount", "-o", f"remount,{option}", "."], check=True)

"""


def on_a_small_disk(tmp_path: Path, size: str, box, story: str) -> dict:
    """Run a story in a folder that is a filesystem of ``size``, and give what it printed last."""
    folder, script = tmp_path / "disk", tmp_path / "story.py"
    folder.mkdir()
    script.write_text(STORY + story)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "CARGO_API_TOKEN": box.token,
        "CARGO_API_URL": box.url,
        "KEEP": str(tmp_path),
    }
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh"]
    done = subprocess.run(
        [*command, size, str(folder), sys.executable, str(script)], env=environment, capture_output=True, text=True
    )
    if done.returncode == 1 and "unshare" in done.stderr:
        pytest.skip(f"this system lets nobody mount in a namespace: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def told(found: dict, *words: str) -> None:
    assert found["code"] != 0
    assert "Traceback" not in found["stderr"]
    *progress, message = found["stderr"].strip().splitlines()
    # That the failure itself could not be written down is told too.
    others = [line for line in progress if line.startswith("cargo-source:") and "_cargo_syncs" not in line]
    assert not others, found["stderr"]
    for word in words:
        assert word in message


@pytest.mark.long
def test_a_full_disk_costs_nothing_but_the_sync(box, tmp_path):
    """A disk that fills up while loading: one message, tables as they were, and the next sync repairs everything."""
    story = """
first = sync("--only", "agents,tools")
shutil.copy("warehouse.duckdb", os.path.join(os.environ["KEEP"], "before.duckdb"))
free = shutil.disk_usage(".").free
with open("ballast", "wb") as ballast:
    ballast.write(bytes(free - 2_500_000))
full = sync()
shutil.copy("warehouse.duckdb", os.path.join(os.environ["KEEP"], "after.duckdb"))
os.remove("ballast")
mount("size=200m")
again = sync("--json")
shutil.copytree(".", os.path.join(os.environ["KEEP"], "kept"))
print(json.dumps({"first": first, "full": full, "again": again}))
"""
    found = on_a_small_disk(tmp_path, "40m", box, story)
    assert found["first"]["code"] == 0, found["first"]["stderr"]
    told(found["full"], "space")
    assert found["full"]["code"] == 1
    assert found["again"]["code"] == 0, found["again"]["stderr"]
    before, after, kept = Target(tmp_path), Target(tmp_path), Target(tmp_path / "kept")
    before.database, after.database = tmp_path / "before.duckdb", tmp_path / "after.duckdb"
    for table in ("agents", "tools"):
        assert sorted(map(str, before.rows(table))) == sorted(map(str, after.rows(table)))
    assert differences(kept, box) == []


def test_a_read_only_disk_is_named(box, tmp_path):
    """A database or a state folder that cannot be written to is named with its setting, before any request."""
    story = """
first = sync("--only", "agents")
mount("ro")
state = sync("--only", "agents")
database = sync("--only", "agents", "--state-dir", os.path.join(os.environ["KEEP"], "elsewhere"))
mount("rw")
again = sync("--only", "agents")
print(json.dumps({"first": first, "state": state, "database": database, "again": again}))
"""
    found = on_a_small_disk(tmp_path, "40m", box, story)
    assert found["first"]["code"] == found["again"]["code"] == 0, found
    told(found["state"], "--state-dir")
    told(found["database"], "--database")
    assert found["state"]["code"] == found["database"]["code"] == 2
