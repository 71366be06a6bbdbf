"""The soak itself: what it has played it does not play again, and what failed it does."""

import json
import subprocess
import sys

import pytest

from tests.soak.__main__ import FIRST_SEED, read_log, to_play
from tests.soak.playing import KINDS, Played


def test_there_is_as_much_to_play_as_is_asked_for():
    """500 sequences, 300 faults, 300 clean syncs, 200 kills; of pushes 500, 500, 200 and 200."""
    left = list(to_play([], list(KINDS)))
    counts = {kind: sum(KINDS[kind][1] for each, _ in left if each == kind) for kind in KINDS}
    syncs = {"sequences": 500, "faults": 300, "clean": 300, "kills": 200}
    assert counts == {**syncs, "pushes": 500, "lost": 500, "killed pushes": 200, "foretold": 200}


def test_a_soak_that_was_stopped_goes_on(tmp_path):
    """Seeds that held are left out, seeds that failed are not, and half a line is none."""
    log = tmp_path / "log.jsonl"
    held = {"kind": "kills", "seed": FIRST_SEED, "count": 4, "seconds": 1.0, "failures": []}
    failed = {**held, "seed": FIRST_SEED + 1, "failures": ["lost"]}
    log.write_text("\n".join([json.dumps(held), json.dumps(failed), json.dumps(held)[:30]]))
    assert read_log(log) == [Played(**held), Played(**failed)]
    left = list(to_play(read_log(log), ["kills"]))
    assert left[0] == ("kills", FIRST_SEED + 1)
    assert len(left) == KINDS["kills"][2] // KINDS["kills"][1] - 1


@pytest.mark.long
def test_a_seed_is_played_in_a_process_of_its_own(tmp_path):
    """The command plays one seed, tells of it, and keeps it in the log."""
    command = [
        sys.executable,
        "-m",
        "tests.soak",
        "kills",
        "--seed",
        "3",
        "--jobs",
        "1",
        "--log",
        str(tmp_path / "log"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "kills 3" in done.stdout
    assert [(played.kind, played.seed, played.failures) for played in read_log(tmp_path / "log")] == [("kills", 3, [])]
