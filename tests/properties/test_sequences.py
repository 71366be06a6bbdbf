"""Whatever happens to a workspace, in whatever order, and however syncs are disturbed: tables are as Cargo has it."""

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.machine import WorkspaceMachine

STEPS, SEQUENCES = 5, 5


def play(seed: int, sequences: int = SEQUENCES, steps: int = STEPS) -> None:
    """Play sequences of things that happen; the same seed gives the same ones."""
    machine = hypothesis.seed(seed)(type("Workspace", (WorkspaceMachine,), {}))
    chosen = hypothesis.settings(
        max_examples=sequences,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        # To explain a failure it would watch every line that runs, which takes several times as long.
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
    )
    run_state_machine_as_test(machine, settings=chosen)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(8))
def test_every_table_is_as_cargo_has_it_after_every_sync(seed):
    """Five sequences of five steps for each seed; a failing one is told as short as it can be."""
    play(seed)
