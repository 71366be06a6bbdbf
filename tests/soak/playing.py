"""What a soak plays: a seed of each kind in a process of its own."""

import random
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import tests.conftest  # noqa: F401 - it keeps the developer's settings out, and hypothesis patient
from tests.properties.test_faults import CLEAN_EACH, FAULTS_EACH, WHERE, draw_and_sync, sync_cleanly
from tests.properties.test_kills import KILLS, kill_each
from tests.properties.test_sequences import SEQUENCES, play
from tests.push import foretold
from tests.push import kills as push_kills
from tests.push import playing as pushes
from tests.small import small_box

STEPS = 12
"""A soak's sequences are twice as long as those of a test run."""
TOLD = 20_000
"""Characters of a failure that the log keeps."""


def sequences(seed: int, _folder: Path) -> list[str]:
    """Play sequences; a failure comes as short as it can be made."""
    play(seed, SEQUENCES, STEPS)
    return []


def faults(seed: int, folder: Path) -> list[str]:
    """Spoil answers."""
    return draw_and_sync(seed, WHERE[seed % len(WHERE)], FAULTS_EACH, folder)


def clean(seed: int, folder: Path) -> list[str]:
    """Sync with nothing spoiled."""
    return sync_cleanly(seed, CLEAN_EACH, folder)


def _push_each(seed: int, how: Callable[..., object]) -> list[str]:
    """Push as often as a seed stands for, into one workspace."""
    with small_box(seed % 7) as box:
        for turn in range(PUSHES):
            how(random.Random(f"{seed} {turn}"), box)
    return []


def push(seed: int, _folder: Path) -> list[str]:
    """Push random frames in random modes."""
    return _push_each(seed, pushes.play)


def lost(seed: int, _folder: Path) -> list[str]:
    """Push while answers are lost and writes show late."""
    return _push_each(seed, pushes.play_faults)


def killed_pushes(seed: int, _folder: Path) -> list[str]:
    """Kill pushes."""
    with small_box(seed % 7) as box:
        for turn in range(PUSHES):
            push_kills.kill_one(seed * PUSHES + turn, box)
    return []


def foretell(seed: int, _folder: Path) -> list[str]:
    """Hold what plans foretell against what happens."""
    for turn in range(PUSHES):
        foretold.play(random.Random(f"{seed} {turn}"), seed * PUSHES + turn)
    return []


def kills(seed: int, folder: Path) -> list[str]:
    """Kill syncs."""
    kill_each(seed, folder)
    return []


PUSHES = 10
"""How many each seed stands for."""

KINDS: dict[str, tuple[Callable[[int, Path], list[str]], int, int]] = {
    "sequences": (sequences, SEQUENCES, 500),
    "faults": (faults, FAULTS_EACH, 300),
    "clean": (clean, CLEAN_EACH, 300),
    "kills": (kills, KILLS, 200),
    "pushes": (push, PUSHES, 500),
    "lost": (lost, PUSHES, 500),
    "killed pushes": (killed_pushes, PUSHES, 200),
    "foretold": (foretell, PUSHES, 200),
}
"""What is played: how, how many a seed stands for, and how many there are to be."""


@dataclass(frozen=True)
class Played:
    """One seed of one kind, and what it found wrong."""

    kind: str
    seed: int
    count: int
    seconds: float
    failures: list[str] = field(default_factory=list)


def play_one(kind: str, seed: int) -> Played:
    """Play a seed; whatever goes wrong is what it found."""
    how, count, _ = KINDS[kind]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cargo-soak-") as folder:
        try:
            failures = how(seed, Path(folder))
        except BaseException:  # noqa: BLE001 - a failure of any kind is a line of the log
            failures = [traceback.format_exc()[-TOLD:]]
    return Played(kind, seed, count, round(time.monotonic() - started, 1), failures)
