"""All benchmarks: contenders in processes of their own, in turn, against one local server.

    python benchmarks/bench.py [--all] [--only NAME ...] [--rounds N] [--scale X] [--ten-million] [--out FOLDER]

``--all`` takes Singer and PyAirbyte in, each installed in an environment of its own; ``--scale 0.01`` is for a quick
look. Made-up rows and environments stay in the cache, benchmarks/.cache. The table goes to results.md, the chart to
results.svg.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import report
from experiments import EXPERIMENTS
from measure import HERE
from racing import Bench


def main() -> None:
    """Run what is asked for and write it down."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true", help="with Singer and PyAirbyte")
    parser.add_argument("--only", nargs="+", choices=list(EXPERIMENTS), default=list(EXPERIMENTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--ten-million", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--cache", type=Path, default=HERE / ".cache")
    options = parser.parse_args()
    cache = options.cache.resolve()
    work = cache / f"work-{os.getpid()}"
    work.mkdir(parents=True)
    bench = Bench(cache, work, options.rounds, options.scale, options.all, options.ten_million)
    options.out.mkdir(parents=True, exist_ok=True)
    started, load = time.monotonic(), os.getloadavg()[0]
    told = report.Told(bench, "make bench-all" if options.all else "make bench", load, started)
    try:
        for name in options.only:
            EXPERIMENTS[name](bench)
            # A later one that breaks off costs nothing of what is there.
            (options.out / "results.md").write_text(told.table())
            (options.out / "results.svg").write_text(told.chart())
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(told.table())
    sys.exit(1 if any("failed" in trouble for trouble in bench.troubles) else 0)


if __name__ == "__main__":
    main()
