"""A race: contenders in turn, round after round, what landed held against what was served, and lines of a table."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from entrants import Entrant, Peers, Place
from measure import Run, made, server

Runs = dict[str, list[Run]]


@dataclass(frozen=True)
class Line:
    """One line of the table. ``value`` is None where there is none, and ``why`` says why.

    ``most`` says that the value may be no more than floor and goal, not no less.
    """

    what: str
    value: float | None
    floor: float | None = None
    goal: float | None = None
    unit: str = "x"
    most: bool = False
    why: str = ""

    @property
    def verdict(self) -> str:
        """Say how the value stands to floor and goal."""
        if self.value is None:
            return self.why or "not measured"
        for name, bound in (("goal", self.goal), ("floor", self.floor)):
            if bound is not None and (self.value <= bound if self.most else self.value >= bound):
                return f"{name} met"
        return "missed" if self.floor is not None else ""


@dataclass
class Bench:
    """All that is shared, and all that was found."""

    cache: Path
    work: Path
    rounds: int
    scale: float
    with_peers: bool
    ten_million: bool
    lines: list[Line] = field(default_factory=list)
    races: dict[str, Runs] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.peers = Peers(self.cache)

    def size(self, rows: int) -> int:
        """Give a number of rows at the scale of this run."""
        return max(int(rows * self.scale), 300)

    @contextmanager
    def place(self, rows: int = 0, kinds: Sequence[str] = (), *options: object) -> Iterator[Place]:
        """Serve so many rows, with SQL and without; what is not in the cache yet is made first."""
        if rows:
            made(["rows.py", str(self.cache), "companies", str(rows), *kinds])
        served = ("--rows", rows, *options)
        with server(self.cache, *served) as with_sql, server(self.cache, *served, "--no-sql") as without:
            yield Place(self.cache, self.work, self.peers, rows, {True: with_sql, False: without})

    def race(self, name: str, entrants: Sequence[Entrant], rounds: int, take: Callable[[Entrant], Run]) -> Runs:
        """Let all run in turn, round after round. One that cannot is asked once."""
        runs: Runs = {entrant.name: [] for entrant in entrants}
        for number in range(rounds):
            for entrant in entrants:
                if any(run.trouble for run in runs[entrant.name]):
                    continue
                run = take(entrant)
                runs[entrant.name].append(run)
                told = run.trouble or f"{run.seconds:.2f} s, {run.peak_mb:.0f} MB"
                print(f"{name}, round {number + 1} of {rounds}: {entrant.name}: {told}", flush=True)
        self.races[name] = runs
        return runs

    def check(self, name: str, runs: Runs, truth: dict[str, Any]) -> None:
        """Hold what landed against what the server serves."""
        for entrant, its in runs.items():
            for run in its:
                if not run.trouble and run.landed != truth:
                    run.trouble = f"failed: landed {run.landed.get('rows')} rows that are not those served"
                if run.trouble:
                    self.note(f"{name}: {entrant}: {run.trouble}")

    def note(self, trouble: str) -> None:
        """Keep what went wrong for the table."""
        if trouble not in self.troubles:
            self.troubles.append(trouble)

    def truth(self, rows: int, table: str = "companies") -> dict[str, Any]:
        """Say what has to land."""
        folder = f"{'runs' if table == 'runs' else 'companies'}-{rows}"
        found: dict[str, Any] = json.loads(made(["checksum.py", "--truth", str(self.cache / folder), table]))
        return found


def seconds_of(runs: Sequence[Run]) -> float | None:
    """Give the median of the seconds; None where a run failed."""
    return median(run.seconds for run in runs) if runs and not any(run.trouble for run in runs) else None


def peak_of(runs: Sequence[Run]) -> float | None:
    """Give the median of the memory."""
    return median(run.peak_mb for run in runs) if runs and not any(run.trouble for run in runs) else None


def trouble_of(*several: Sequence[Run]) -> str:
    """Say why there is no figure."""
    return next((run.trouble for runs in several for run in runs if run.trouble), "")


def ratio(what: str, above: Sequence[Run], below: Sequence[Run], **bounds: Any) -> Line:
    """Give the ratio of two medians."""
    upper, lower = seconds_of(above), seconds_of(below)
    value = upper / lower if upper is not None and lower else None
    return Line(what, value, why=trouble_of(above, below), **bounds)
