"""Follow who enters and leaves segments, every few minutes: changes, their rows and memberships, and nothing else.

python pipelines/follow_segment_changes.py --sandbox                          # three rounds on a made-up workspace
CARGO_API_TOKEN=... python pipelines/follow_segment_changes.py --every 300    # yours, until it is stopped
"""

import argparse
import time
from contextlib import ExitStack
from itertools import count

import dlt

from cargo_source import cargo, sync
from cargo_source.sandbox import Sandbox

MOVED = """
SELECT s.name AS segment, m.record_id, m.entered_at, m.left_at
FROM segment_members m JOIN segments s ON s.uuid = m.segment_uuid
WHERE NOT s.from_play ORDER BY coalesce(m.left_at, m.entered_at) DESC NULLS LAST LIMIT 5
"""


def main() -> None:
    """Sync what segments tell, show who moved last, wait, and so on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", action="store_true", help="on a made-up workspace, in which hours pass at once")
    parser.add_argument("--every", type=float, default=300, metavar="SECONDS", help="from one round to the next")
    parser.add_argument("--rounds", type=int, help="stop after so many")
    options = parser.parse_args()
    with ExitStack() as stack:
        where, rounds, wait = {}, options.rounds, lambda: time.sleep(options.every)
        if options.sandbox:
            box = stack.enter_context(Sandbox())
            where, rounds, wait = {"token": box.token, "url": box.url}, rounds or 3, lambda: box.advance(hours=6)
        pipeline = dlt.pipeline("follow_segment_changes", destination="duckdb", dataset_name="cargo")
        for each in range(rounds) if rounds else count():
            if each:
                wait()
            report = sync(pipeline, cargo(only=["segments", "changes", "change_rows", "segment_members"], **where))
            print(report.line)
            print(pipeline.dataset().query(MOVED).df().to_string(index=False))


if __name__ == "__main__":
    main()
