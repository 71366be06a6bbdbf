"""One run of a contender: a process of its own, its time from start to exit, and the most memory that it held.

The most memory is that of the largest process, exactly, as the system kept it, or where a process has children that
of all of them together, looked at every 50 ms (shared pages counted once).
"""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MISSING = 77
"""How a contender exits that this machine or this version has not got."""


@dataclass
class Run:
    """What one run gave; ``cpu`` are seconds of all its processes. ``trouble`` says why it gave nothing."""

    seconds: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0
    said: dict[str, Any] = field(default_factory=dict)
    landed: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the environment of all contenders: the modules of this folder, and no settings from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CARGO_", "DLT_", "COVERAGE"))}
    return {**kept, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}", **(more or {})}


def run(
    command: Sequence[str], folder: Path, *, more: Mapping[str, str] | None = None, patience: float = 3600.0
) -> Run:
    """Run a contender. One that takes longer than ``patience`` seconds is ended; it may have been meant so."""
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=folder, env=environment(more))
        watch = _Watch(process.pid)
        ending = threading.Timer(patience, process.kill)
        ending.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        ending.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        peak = max(usage.ru_maxrss * _RSS_UNIT, watch.stop())
        out.seek(0)
        err.seek(0)
        said, complaint = out.read().splitlines(), err.read().splitlines()
    found = Run(seconds, usage.ru_utime + usage.ru_stime, peak / 1e6)
    if process.returncode:
        told = complaint[-1].replace(str(folder), "its folder") if complaint else f"exit {process.returncode}"
        found.trouble = told[:200]
        if process.returncode != MISSING:
            found.trouble = f"failed: {found.trouble}"
    elif said and said[-1].startswith("{"):
        found.said = json.loads(said[-1])
    return found


_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class _Watch:
    """Looks at the memory of a process with children until it is stopped."""

    def __init__(self, pid: int) -> None:
        self._pid, self._most = pid, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            family = list(_family(self._pid))
            if len(family) > 1:
                self._most = max(self._most, sum(_memory(pid) for pid in family))

    def stop(self) -> int:
        """Give the most bytes that were seen."""
        self._over.set()
        self._thread.join()
        return self._most


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))
    except OSError:
        # It has just ended, or this system has no /proc.
        return


def _memory(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0


def made(arguments: Sequence[str], python: str = sys.executable) -> str:
    """Run one of our own scripts and give what it prints: so this process stays small, whose size children inherit."""
    command = [python, str(HERE / arguments[0]), *arguments[1:]]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} failed: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


@contextmanager
def server(cache: Path, *options: object) -> Iterator[str]:
    """Serve from the cache in a process of its own."""
    command = [sys.executable, str(HERE / "server.py"), str(cache), *map(str, options)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            yield process.stdout.readline().strip() if process.stdout else ""
        finally:
            process.terminate()


def own_peak_mb() -> float:
    """Say how large this process has been: what a child reports can be no smaller."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / 1e6
