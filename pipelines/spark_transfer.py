"""Read a model in parallel with Spark, work something out, and push what differs back: planned, shown, applied.

python pipelines/spark_transfer.py --sandbox --apply               # on a made-up workspace, with no account
CARGO_API_TOKEN=... spark-submit pipelines/spark_transfer.py       # the plan; --apply sends it
"""

import argparse
import os
import sys
from contextlib import ExitStack

from pyspark.sql import SparkSession

from cargo_source import Workspace
from cargo_source.sandbox import Sandbox
from cargo_source.spark import register

MODEL = "default.companies"
SCORED = """
SELECT domain, if(employees_count > 2500 AND NOT coalesce(is_customer, false), 'qualified', stage) AS stage
FROM companies
WHERE domain IS NOT NULL AND stage = 'lead'
"""


def main() -> None:
    """Read, score, plan, show, apply, plan again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", action="store_true", help="on a made-up workspace")
    parser.add_argument("--apply", action="store_true", help="send what the plan says")
    options = parser.parse_args()
    # The workers' Python is this one, where nobody said otherwise.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with ExitStack() as stack:
        where = {}
        if options.sandbox:
            box = stack.enter_context(Sandbox())
            where = {"token": box.token, "url": box.url}
        spark = SparkSession.builder.appName("cargo").getOrCreate()
        stack.callback(spark.stop)
        register(spark, **where)
        companies = spark.read.format("cargo").option("model", MODEL).load()
        companies.createOrReplaceTempView("companies")
        print(f"{companies.count():,} companies in {companies.rdd.getNumPartitions()} files")
        ws = stack.enter_context(Workspace(**where))
        plan = ws.push(spark.sql(SCORED), MODEL, key="domain", mode="update")
        print(plan)
        print(plan.grid().text())
        if options.apply:
            print(plan.apply())
            print(ws.push(spark.sql(SCORED), MODEL, key="domain", mode="update").line)


if __name__ == "__main__":
    main()
