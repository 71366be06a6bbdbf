"""Runs the flow as it is told, a line of JSON each on standard input and output, on a server of its own."""

import json
import sys
import time

import prefect_flow as story
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

PATIENCE = 60
"""Seconds until the server has written down what became of tasks: it does so behind them."""


def play(client, *, query=story.QUALIFIED, apply=True, **parameters):
    """Run the flow, and tell what Prefect has recorded."""
    story.QUALIFIED, story.APPLY = query, apply
    state = story.refresh(**parameters, return_state=True)
    own = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    artifacts = [each for each in client.read_artifacts(flow_run_filter=own) if each.key == "cargo-sync"]
    newest = max(artifacts, key=lambda artifact: artifact.created) if artifacts else None
    return {
        "state": state.type.value,
        "message": state.message,
        "tasks": {run.name.split("-")[0]: [run.state.name, run.run_count] for run in ended(client, own)},
        "artifact": {"about": newest.description, "lines": json.loads(newest.data)} if newest else None,
    }


def ended(client, own):
    """Give the runs of tasks, all of which have come to an end."""
    until = time.monotonic() + PATIENCE
    while True:
        runs = client.read_task_runs(flow_run_filter=own)
        if runs and all(run.state and run.state.is_final() for run in runs):
            return runs
        if time.monotonic() > until:
            raise TimeoutError([run.state for run in runs])
        time.sleep(0.2)


if __name__ == "__main__":
    # The story waits minutes between two tries.
    for each in (story.load, story.push):
        each.retry_delay_seconds = 0
    with get_client(sync_client=True) as api:
        for line in sys.stdin:
            sys.stdout.write(json.dumps(play(api, **json.loads(line))) + "\n")
            sys.stdout.flush()
