"""The table and the chart."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from measure import HERE, Run, own_peak_mb
from racing import Bench, Line, peak_of, seconds_of, trouble_of

LIBRARIES = ("dlt", "duckdb", "pyarrow", "httpx", "msgspec", "pycurl")
PEERS = {"singer": ("singer-sdk", "target-duckdb", "duckdb"), "airbyte": ("airbyte", "airbyte-cdk", "duckdb")}
_HEAD = "| | seconds | all rounds | x quickest | CPU s | peak MB | rows | checksum |\n|---|---|---|---|---|---|---|---|"
WIDTH, BAR, LABELS = 860, 22, 300


@dataclass(frozen=True)
class Told:
    """What was found, written down."""

    bench: Bench
    command: str
    load: float
    started: float

    def table(self) -> str:
        """Write all as Markdown."""
        parts = [
            "# Benchmarks",
            f"{self._how()}",
            "![Seconds of all contenders](results.svg)",
            "| | value | floor | goal | |\n|---|---|---|---|---|\n" + "\n".join(map(_line, self.bench.lines)),
            *self._races(),
        ]
        if self.bench.troubles:
            parts.append("## What has no figure\n\n" + "\n".join(f"- {trouble}" for trouble in self.bench.troubles))
        parts.append("## Versions\n\n" + "\n".join(f"- {each}" for each in _versions()))
        return "\n\n".join(parts) + "\n"

    def _how(self) -> str:
        bench = self.bench
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        scale = "" if bench.scale == 1 else f" **Sizes are scaled by {bench.scale:g}, so floors say little.**"
        busy = f" **The machine was busy (load {self.load:.1f}).**" if self.load > 1 else ""
        minutes = (time.monotonic() - self.started) / 60
        return (
            f"Made by `{self.command}` in {minutes:.0f} minutes: {bench.rounds} rounds, contenders in turn, each in a"
            f" process of its own from start to exit; medians, and ratios of medians.{scale}{busy}\n\nMachine:"
            f" {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}. The"
            " server runs on the same cores, over loopback, without TLS. Peak memory is that of the largest process, or"
            f" of all processes of a contender together; none reports less than {own_peak_mb():.0f} MB, the size of the"
            " process that starts them.\n\nA value that may be no more than its floor is marked with ≤, one that may be"
            " no less with ≥. Rows and a checksum of all cells, taken from the DuckDB file of each run, were equal to"
            " those that the server serves, but for what is listed as failed."
        )

    def _races(self) -> Iterable[str]:
        for name, runs in self.bench.races.items():
            quickest = min((s for its in runs.values() if (s := seconds_of(its))), default=1.0)
            rows = "\n".join(_entry(entrant, its, quickest) for entrant, its in runs.items())
            yield f"## {name}\n\n{_HEAD}\n{rows}"

    def chart(self) -> str:
        """Draw the seconds of the first race, a bar each."""
        runs = next(iter(self.bench.races.items()), ("nothing", {}))
        found = {name: s for name, its in runs[1].items() if (s := seconds_of(its))}
        most = max(found.values(), default=1.0)
        bars = "".join(_bar(place, name, seconds, most) for place, (name, seconds) in enumerate(found.items()))
        height = 50 + BAR * len(found)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"'
            f' font-size="13"><rect width="100%" height="100%" fill="#ffffff"/><text x="10" y="22" font-weight="bold">'
            f"{escape(runs[0])} into a DuckDB file: seconds, less is better</text>{bars}</svg>\n"
        )


def _bar(place: int, name: str, seconds: float, most: float) -> str:
    top = 38 + BAR * place
    colour = {"c": "#0b6e4f", "l": "#9aa5b1"}.get(name[0], "#c77d2e")
    width = max((WIDTH - LABELS - 90) * seconds / most, 1)
    return (
        f'<text x="{LABELS - 8}" y="{top + 12}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{LABELS}" y="{top}" width="{width:.1f}" height="{BAR - 6}" fill="{colour}"/>'
        f'<text x="{LABELS + width + 6:.1f}" y="{top + 12}">{seconds:.1f} s</text>'
    )


def _entry(entrant: str, its: Sequence[Run], quickest: float) -> str:
    seconds, peak = seconds_of(its), peak_of(its)
    if seconds is None or peak is None:
        return f"| {entrant} | {trouble_of(its) or 'not run'} | | | | | | |"
    every, cpu = " ".join(f"{run.seconds:.2f}" for run in its), median(run.cpu for run in its)
    landed = its[-1].landed
    sums = f"{landed.get('rows', '')} | {str(landed.get('checksum', ''))[-8:]}"
    return f"| {entrant} | {seconds:.2f} | {every} | {seconds / quickest:.1f} | {cpu:.1f} | {peak:.0f} | {sums} |"


def _line(line: Line) -> str:
    def told(bound: float | None) -> str:
        return "" if bound is None else f"{'≤' if line.most else '≥'} {bound:g}{line.unit}"

    value = "" if line.value is None else f"{line.value:.3g}{line.unit}"
    return f"| {line.what} | {value} | {told(line.floor)} | {told(line.goal)} | {line.verdict} |"


def _versions() -> Iterable[str]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - whatever git there is
        capture_output=True,
        text=True,
        cwd=HERE,
        check=False,
    )
    yield f"cargo_source {commit.stdout.strip() or _version('cargo-source')}, Python {sys.version.split()[0]}"
    yield ", ".join(f"{name} {_version(name)}" for name in LIBRARIES)
    for peer, names in PEERS.items():
        pinned = dict(line.split("==") for line in _lines(HERE / "peers" / f"{peer}.txt"))
        yield f"{peer}: " + ", ".join(f"{name} {pinned[name]}" for name in names)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if "==" in line]
