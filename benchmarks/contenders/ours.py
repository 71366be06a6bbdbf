"""cargo_source: the rows of one model by one lane, or runs with their executions; one sync in all.

    python ours.py URL FOLDER export|csv|pages|runs [TRANSPORT]

Exits with 77 where this version has not got what is asked for.
"""

import importlib.util
import inspect
import json
import os
import sys
from pathlib import Path
from typing import Any

from served import MODEL

from cargo_source import cargo, sync
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.settings import Settings

MISSING = 77


def main(url: str, folder: str, lane: str, transport: str = "httpx") -> None:
    """Sync, and say what the report says."""
    os.environ |= {"CARGO_API_URL": url, "CARGO_API_TOKEN": "benchmark", "CARGO_TRANSPORT": transport}
    if transport == "fast":
        _need_fast()
    pipeline = duckdb_pipeline(Path(folder) / "warehouse.duckdb", "cargo", Path(folder) / "state")
    report = sync(pipeline, cargo(**_what(lane)))
    lanes = {outcome.table: outcome.lane for outcome in report.outcomes}
    print(json.dumps({"rows": report.rows, "requests": report.requests, "lanes": lanes}))


def _what(lane: str) -> dict[str, Any]:
    if lane == "runs":
        return {"only": ["runs", "executions"], "query_lane": False}
    found: dict[str, Any] = {"only": [], "models": [MODEL]}
    if "lane" in inspect.signature(cargo).parameters:
        found["lane"] = lane
    elif lane == "csv":
        _missing("this version has no lane by csv")
    # Else pages come where the server has no SQL, and an export where it has.
    return found


def _need_fast() -> None:
    """Say so where this version has no other transport, or its library is not installed."""
    if "transport" not in Settings.__dataclass_fields__:
        _missing("this version has no extra `fast`")
    if importlib.util.find_spec("pycurl") is None:
        _missing("the extra `fast` is not installed")


def _missing(what: str) -> None:
    print(what, file=sys.stderr)
    sys.exit(MISSING)


if __name__ == "__main__":
    main(*sys.argv[1:])
