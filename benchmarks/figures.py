"""Requests, seconds and peak memory of a first and a second sync, each in a process of its own.

    python benchmarks/figures.py [COMPANIES ...]

The sandbox runs in another process, so the memory is the connector's own. Seconds depend on the machine; requests
and rows do not.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SYNC = """
import json, resource, sys
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.pull.source import cargo
from cargo_source.pull.sync import sync
from pathlib import Path
folder = Path(sys.argv[1])
report = sync(duckdb_pipeline(folder / "warehouse.duckdb", "cargo", folder / "state"), cargo())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rows": report.rows, "requests": report.requests, "sync_seconds": report.seconds, "peak_mb": peak}))
"""


@contextlib.contextmanager
def sandbox(companies: int) -> Iterator[dict[str, str]]:
    """Serve a workspace in a process of its own."""
    command = [sys.executable, "-m", "cargo_source", "sandbox", "--json", "--companies", str(companies)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline()) if process.stdout else {}
        finally:
            process.terminate()


def advance(where: dict[str, str], days: float) -> None:
    """Let time pass in the workspace."""
    request = urllib.request.Request(  # noqa: S310 - our own sandbox on loopback
        where["url"] + "/_sandbox/advance",
        data=json.dumps({"days": days}).encode(),
        headers={"Authorization": f"Bearer {where['control_token']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - as above
        answer.read()


def measured(where: dict[str, str], folder: Path) -> dict[str, Any]:
    """Run one sync in a process of its own."""
    environment = {**os.environ, "CARGO_API_URL": where["url"], "CARGO_API_TOKEN": where["token"]}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", SYNC, str(folder)], env=environment, capture_output=True, text=True, check=True
    )
    return {**json.loads(done.stdout.splitlines()[-1]), "seconds": time.monotonic() - started}


def main(sizes: list[int]) -> None:
    """Print a table."""
    print("| companies | sync | rows | requests | seconds (process) | peak MB |\n|---|---|---|---|---|---|")
    for companies in sizes:
        with sandbox(companies) as where, tempfile.TemporaryDirectory() as name:
            for sync in ("first", "second, nothing new", "third, a day later"):
                if sync.startswith("third"):
                    advance(where, 1)
                found = measured(where, Path(name))
                print(
                    f"| {companies:,} | {sync} | {found['rows']:,} | {found['requests']:,} |"
                    f" {found['sync_seconds']:.1f} ({found['seconds']:.1f}) | {found['peak_mb']:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [1_000, 100_000])
