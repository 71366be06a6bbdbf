"""Push what SQL in the warehouse has found back into Cargo: planned, shown, applied, and seen again by the next sync.

python pipelines/push_scores.py --sandbox --apply        # on a made-up workspace, with no account
CARGO_API_TOKEN=... python pipelines/push_scores.py      # the plan; --apply sends it
"""

import argparse
from contextlib import ExitStack

import dlt

from cargo_source import Workspace, cargo, sync
from cargo_source.sandbox import Sandbox

MODEL = "default.companies"
QUALIFIED = """
SELECT domain, 'qualified' AS stage
FROM cargo.default__companies
WHERE stage = 'lead' AND employees_count > 2500 AND NOT coalesce(is_customer, false)
"""


def main() -> None:
    """Sync, plan, show, apply, sync again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", action="store_true", help="on a made-up workspace")
    parser.add_argument("--apply", action="store_true", help="send what the plan says")
    options = parser.parse_args()
    with ExitStack() as stack:
        where = {}
        if options.sandbox:
            box = stack.enter_context(Sandbox())
            where = {"token": box.token, "url": box.url}
        pipeline = dlt.pipeline("push_scores", destination="duckdb", dataset_name="cargo")
        sync(pipeline, cargo(only=["models"], models=[MODEL], **where))
        ws = stack.enter_context(Workspace(**where))
        plan = ws.push(QUALIFIED, MODEL, key="domain", mode="update", database=pipeline)
        print(plan)
        print(plan.grid().text())
        if options.apply:
            print(plan.apply())
            report = sync(pipeline, cargo(only=["models"], models=[MODEL], **where))
            back = sum(each.rows for each in report.outcomes if each.entity == "records")
            print(f"the next sync brings {back:,} of them back")


if __name__ == "__main__":
    main()
