"""Load a whole Cargo workspace into DuckDB. Run it again, and only what has moved comes.

python pipelines/load_workspace.py --sandbox             # a made-up workspace, with a day between two syncs
CARGO_API_TOKEN=... python pipelines/load_workspace.py   # yours
"""

import argparse
from contextlib import ExitStack

import dlt

from cargo_source import cargo, sync
from cargo_source.sandbox import Sandbox

BUSIEST = """
SELECT a.name AS agent, count(*) AS answers, round(sum(r.credits_used_count), 1) AS credits
FROM agent_runs r JOIN agents a ON a.uuid = r.agent_uuid
GROUP BY a.name ORDER BY credits DESC LIMIT 5
"""


def main() -> None:
    """Sync everything, and ask the tables a question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", action="store_true", help="on a made-up workspace")
    options = parser.parse_args()
    with ExitStack() as stack:
        where = {}
        if options.sandbox:
            box = stack.enter_context(Sandbox())
            where = {"token": box.token, "url": box.url}
        pipeline = dlt.pipeline("load_workspace", destination="duckdb", dataset_name="cargo")
        print(sync(pipeline, cargo(**where)))
        if options.sandbox:
            box.advance(days=1)
            print(sync(pipeline, cargo(**where)))
        print(pipeline.dataset().query(BUSIEST).df().to_string(index=False))


if __name__ == "__main__":
    main()
