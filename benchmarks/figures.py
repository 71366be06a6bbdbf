"""Requests, seconds and peak memory of a first and of later syncs, each in a process of its own.

    python benchmarks/figures.py [COMPANIES ...]      in all, for workspaces of these sizes
    python benchmarks/figures.py --entities           requests and rows of each entity, first, busy and quiet

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

from cargo_source.sandbox import Sandbox

IDLE_MILLISECONDS = 2 * 3_600_000
SYNC = """
import json, resource, sys
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.pull.source import cargo
from cargo_source.pull.sync import sync
from pathlib import Path
folder = Path(sys.argv[1])
report = sync(duckdb_pipeline(folder / "warehouse.duckdb", "cargo", folder / "state"), cargo())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
asked = {outcome.table: (outcome.requests, outcome.rows, outcome.lane) for outcome in report.outcomes}
found = {"rows": report.rows, "requests": report.requests, "sync_seconds": report.seconds, "peak_mb": peak}
print(json.dumps({**found, "asked": asked}))
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
    request = urllib.request.Request(
        where["url"] + "/_sandbox/advance",
        data=json.dumps({"days": days}).encode(),
        headers={"Authorization": f"Bearer {where['control_token']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
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


def by_entity() -> None:
    """Print requests of each entity for a first sync, one a day later, and one in which nothing moved."""
    syncs = dict(zip(("first", "a day later", "quiet"), _three("confirmed"), strict=True))
    syncs["quiet, by query"] = _three("all")[-1]
    print(f"| entity | {' | '.join(syncs)} |\n|---|{'---|' * len(syncs)}")
    for table in syncs["first"]["asked"]:
        cells = [each["asked"].get(table, (0,))[0] for each in syncs.values()]
        if any(cells) and "__" not in table:
            print(f"| {table} | {' | '.join(map(str, cells))} |")
    of_models = [sum(asked[0] for name, asked in each["asked"].items() if "__" in name) for each in syncs.values()]
    print(f"| rows of models | {' | '.join(map(str, of_models))} |")
    print(f"| in all | {' | '.join(str(each['requests']) for each in syncs.values())} |")
    print(f"| rows written | {' | '.join(str(each['rows']) for each in syncs.values())} |")


def _three(columns: Any) -> list[dict[str, Any]]:
    """Give what a first sync, one after a day, and one after hours in which nothing happened cost."""
    found = []
    with Sandbox(companies=500, sql_columns=columns) as box, tempfile.TemporaryDirectory() as name:
        where = {"url": box.url, "token": box.token}
        found.append(measured(where, Path(name)))
        box.advance(days=1)
        found.append(measured(where, Path(name)))
        box.world.tick(IDLE_MILLISECONDS)
        measured(where, Path(name))
        found.append(measured(where, Path(name)))
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["--entities"]:
        by_entity()
    else:
        main([int(size) for size in sys.argv[1:]] or [1_000, 100_000])
