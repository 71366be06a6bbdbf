"""Load the history of runs, window by window, several read at once. A window that is loaded twice changes nothing.

python pipelines/backfill_runs.py --sandbox
CARGO_API_TOKEN=... python pipelines/backfill_runs.py --since 2026-01-01 --parallel 4
"""

import argparse
from contextlib import ExitStack
from datetime import timedelta

import dlt

from cargo_source import backfill, cargo
from cargo_source.sandbox import Sandbox

BY_WEEK = """
SELECT date_trunc('week', created_at) AS week, count(*) AS runs, count(*) FILTER (status = 'error') AS failed
FROM runs GROUP BY week ORDER BY week
"""


def main() -> None:
    """Load the windows, show each, and the runs of each week."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", action="store_true", help="on a made-up workspace")
    parser.add_argument("--since", default="2026-02-01", metavar="DATE", help="how far back")
    parser.add_argument("--step", type=int, default=7, metavar="DAYS", help="of a window")
    parser.add_argument("--parallel", type=int, default=2, help="windows that are read at once")
    options = parser.parse_args()
    with ExitStack() as stack:
        where = {}
        if options.sandbox:
            box = stack.enter_context(Sandbox())
            where = {"token": box.token, "url": box.url}
        pipeline = dlt.pipeline("backfill_runs", destination="duckdb", dataset_name="cargo")
        source = cargo(only=["runs", "executions", "spans"], window=(options.since, None), **where)
        print(backfill(pipeline, source, step=timedelta(days=options.step), parallel=options.parallel))
        print(pipeline.dataset().query(BY_WEEK).df().to_string(index=False))


if __name__ == "__main__":
    main()
