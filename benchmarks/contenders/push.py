"""cargo_source: a table pushed into a model, or what it is held against: the model's columns read.

    python push.py URL FOLDER read|plan|apply SOURCE [COLUMN ...]

The first column is the key. SOURCE is a parquet file; ``read`` reads the columns and nothing else.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

from served import MODEL

from cargo_source import Workspace
from cargo_source.push.brakes import Limits


def main(url: str, folder: str, what: str, source: str, *columns: str) -> None:
    """Do it, and say how long each part took, and what was done."""
    os.environ |= {"CARGO_API_URL": url, "CARGO_API_TOKEN": "benchmark"}
    said: dict[str, object] = {}
    with Workspace() as workspace:
        if what == "read":
            rows = workspace.read(MODEL, [*columns])
            said["rows"] = sum(batch.num_rows for batch in rows.batches())
        else:
            started = time.perf_counter()
            plan = workspace.push(
                source,
                MODEL,
                key=columns[0],
                columns=[*columns],
                ledger=Path(folder) / "pushes.duckdb",
                limits=Limits(max_change_pct=None),
                # The model is called filled by something else, so that it takes dates as they are.
                allow_connector_models=True,
            )
            said |= {"plan": time.perf_counter() - started, "rows": plan.counts.source, "cpu_plan": _cpu()}
            said |= {"creates": plan.counts.creates, "updates": plan.counts.updates}
            if what == "apply":
                started = time.perf_counter()
                report = plan.apply()
                said |= {"apply": time.perf_counter() - started, "sending": report.seconds}
                said |= {"created": report.created, "updated": report.updated}
                said |= {"altered": report.altered, "requests": report.requests}
            plan.close()
    print(json.dumps(said))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])
