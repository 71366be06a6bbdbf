"""Run the DAG once, as `dag.test()` does, and print how its tasks ended: Airflow's own python runs this.

play_airflow.py FOLDER CONF  # the folder of the DAG's file, what a run of it is started with
"""

import json
import sys
from datetime import timedelta

from airflow.dag_processing.dagbag import DagBag

folder, conf = sys.argv[1], json.loads(sys.argv[2])
bag = DagBag(folder)
if bag.import_errors:
    raise SystemExit(str(bag.import_errors))
dag = bag.dags["cargo_workspace"]
for task in dag.tasks:
    # As many as it says, and nobody waits.
    task.retry_delay, task.retry_exponential_backoff = timedelta(0), 0
run = dag.test(run_conf=conf)
tasks = {each.task_id: [each.state, each.try_number] for each in run.get_task_instances()}
sys.stdout.write("ENDED " + json.dumps({"run": run.state, "tasks": tasks}) + "\n")
