"""The properties of `tests/properties` at length: `make soak`.

Each line of the log is one seed that was played, with what it found. A run that was stopped goes on where it was; a
seed that failed is played again. The log lies outside of what git keeps.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.properties.loads import FIRST_SYNCS
from tests.soak.playing import KINDS, Played, play_one

LOG = Path(__file__).parents[2] / ".soak" / "log.jsonl"
FIRST_SEED = 1000
"""Other seeds than those of a test run."""


def read_log(log: Path) -> list[Played]:
    """Give what was played so far, the last time that each seed was; a line that was cut off is none."""
    found = {}
    for line in log.read_text().splitlines() if log.exists() else ():
        if line.endswith("}"):
            played = Played(**json.loads(line))
            found[played.kind, played.seed] = played
    return list(found.values())


def to_play(done: list[Played], kinds: list[str]) -> Iterator[tuple[str, int]]:
    """Give the seeds that are left, the kinds in turn."""
    well = {(played.kind, played.seed) for played in done if not played.failures}
    seeds = {kind: KINDS[kind][2] // KINDS[kind][1] for kind in kinds}
    for turn in range(max(seeds.values())):
        for kind in kinds:
            if turn < seeds[kind] and (kind, FIRST_SEED + turn) not in well:
                yield kind, FIRST_SEED + turn


def told(done: list[Played]) -> str:
    """Sum up a log in a line for each kind."""
    well, failed, seconds = Counter(), Counter(), Counter()
    for played in done:
        (failed if played.failures else well)[played.kind] += played.count
        seconds[played.kind] += played.seconds
    return "\n".join(
        f"{kind}: {well[kind]} of {wanted} hold, {failed[kind]} are in seeds that failed, {seconds[kind]:.0f} s"
        for kind, (_, _, wanted) in KINDS.items()
    )


def in_processes(left: list[tuple[str, int]], jobs: int) -> Iterator[Played]:
    """Play seeds side by side, in processes that are followed by new ones from time to time."""
    # A pool that does so by itself (max_tasks_per_child) may wait for ever for one that has ended (CPython 115634).
    for start in range(0, len(left), together := 8 * jobs):
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            for future in as_completed([pool.submit(play_one, *each) for each in left[start : start + together]]):
                yield future.result()


def main() -> int:
    """Play what is left; give 1 where something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"which to play (default: all): {', '.join(KINDS)}")
    parser.add_argument("--log", type=Path, default=LOG, help="where the log is (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="play this seed alone, whatever the log says")
    given = parser.parse_args()
    if unknown := set(given.kinds) - set(KINDS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    given.log.parent.mkdir(parents=True, exist_ok=True)
    kinds = given.kinds or list(KINDS)
    left = list(to_play(read_log(given.log), kinds) if given.seed is None else ((kind, given.seed) for kind in kinds))
    print(f"{len(left)} seeds to play; the log is {given.log}", flush=True)
    first_syncs = TemporaryDirectory(prefix="cargo-soak-")
    os.environ[FIRST_SYNCS] = first_syncs.name
    with first_syncs, given.log.open("a") as log:
        for played in in_processes(left, given.jobs):
            log.write(json.dumps(asdict(played)) + "\n")
            log.flush()
            wrong = f" FAILED: {played.failures[0].strip().splitlines()[-1][:200]}" if played.failures else ""
            print(f"{played.kind} {played.seed}: {played.seconds} s{wrong}", flush=True)
    done = read_log(given.log)
    print(told(done))
    return int(any(played.failures for played in done))


if __name__ == "__main__":
    sys.exit(main())
