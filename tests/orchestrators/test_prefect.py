"""The story of Prefect, run by Prefect itself against the sandbox, on a server of its own."""

import subprocess

import pytest

from tests.orchestrators.player import Player, environment, python_of
from tests.small import small_box
from tests.target import Target, differences

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(600)]

EVERYBODY = "SELECT domain, 'qualified' AS stage FROM cargo.default__companies"
FEW = f"{EVERYBODY} WHERE stage = 'lead' ORDER BY domain LIMIT 2"

TWICE = f"WITH few AS ({FEW}) SELECT * FROM few UNION ALL (SELECT * FROM few ORDER BY domain LIMIT 1)"
"""Of two leads one comes twice, so that nobody knows which row of it is meant: both are rejected."""


@pytest.fixture
def box():
    with small_box(73) as own:
        yield own


@pytest.fixture
def play(box, tmp_path):
    player = Player("prefect", box, tmp_path)
    yield player
    player.close()


def companies(box):
    """What the workspace has of the model that is pushed to."""
    model = next(m for m in box.truth("models") if m["slug"] == "companies" and m["kind"] == "native")
    return box.truth_rows(model["uuid"])


def test_the_flow_loads_pushes_and_ends_with_a_summary(box, play, tmp_path):
    """All tables are as in Cargo, scores are pushed, and state, artifact and log say what was done; then only news."""
    qualified = sum(row["stage"] == "qualified" for row in companies(box))
    played = play(query=FEW)
    assert played["state"] == "COMPLETED", play.log
    assert played["tasks"] == {"load": ["Completed", 1], "push": ["Completed", 1]}
    loaded, _, pushed = played["message"].partition("; ")
    assert loaded.endswith("complete")
    assert "2 updated" in pushed
    assert played["artifact"]["about"] == loaded
    lines = {line["table"]: line for line in played["artifact"]["lines"]}
    runs = len(box.truth("runs"))
    assert lines["runs"] == {"table": "runs", "rows": runs, "expected": runs, "lane": "window", "status": "complete"}
    assert loaded.startswith(f"{sum(line['rows'] for line in lines.values()):,} rows in {len(lines)} tables")
    assert loaded in play.log
    assert box.token not in play.log
    assert sum(row["stage"] == "qualified" for row in companies(box)) == qualified + 2
    box.advance(days=1)
    again = play(query=f"{EVERYBODY} WHERE false")
    assert again["state"] == "COMPLETED", play.log
    assert sum(line["rows"] for line in again["artifact"]["lines"]) < sum(line["rows"] for line in lines.values()) / 2
    assert "nothing to do" in again["message"]
    assert differences(Target(tmp_path), box, skip={"records", "warehouse_queries"}) == []


def test_a_window_is_loaded_where_one_is_given(box, play, tmp_path):
    """The flow's parameters are the partition: what moved from start to end, which is not in it."""
    days = sorted({row["updatedAt"][:10] for row in box.truth("runs")})
    start, end = days[len(days) // 4], days[-2]
    played = play(start=start, end=end, query="SELECT 'none.example' AS domain, 'lead' AS stage WHERE false")
    assert played["state"] == "COMPLETED", play.log
    wanted = {row["uuid"] for row in box.truth("runs") if start <= row["updatedAt"][:10] < end}
    assert {row["uuid"] for row in Target(tmp_path).rows("runs")} == wanted


def test_what_a_retry_can_mend_is_tried_again_and_nothing_else(box, tmp_path):
    """A server that failed is asked again; a stream that stays incomplete is not, and tells why."""
    play = Player("prefect", box, tmp_path, CARGO_WAIT_BUDGET="0.01")
    box.faults.add(path="ai/agents/list", kind="5xx", count=1)
    played = play(query=FEW)
    assert played["tasks"] == {"load": ["Completed", 2], "push": ["Completed", 1]}, play.log
    box.advance(days=1)
    box.faults.add(path="ai/chats/list", kind="repeat_page")
    before = companies(box)
    failed = play(query=FEW)
    play.close()
    assert failed["state"] == "FAILED"
    assert failed["tasks"] == {"load": ["Failed", 1]}
    assert "the same page again and again" in failed["message"]
    assert failed["artifact"]["about"].endswith("failed")
    assert {line["status"] for line in failed["artifact"]["lines"]} == {"failed"}
    assert companies(box) == before


def test_a_brake_fails_the_push_with_its_numbers(box, play):
    """Every company would change: the plan is in the log, nothing is sent, nothing is tried again."""
    before = companies(box)
    played = play(query=EVERYBODY)
    assert played["state"] == "FAILED"
    assert played["tasks"] == {"load": ["Completed", 1], "push": ["Failed", 1]}
    assert f"of {len(before)} rows" in played["message"]
    assert "max_change_pct is 50" in played["message"]
    assert "NOT APPLIED" in play.log
    assert companies(box) == before


def test_rows_that_are_rejected_fail_the_push_after_it_was_applied(box, play):
    """The good rows are written, the task fails at once and says how many are not; APPLY = False shows a plan alone."""
    before = companies(box)
    shown = play(query=TWICE, apply=False)
    assert shown["state"] == "COMPLETED", play.log
    assert shown["message"].endswith("; not applied: APPLY is False")
    assert f"updates 1 of {len(before)} companies" in play.log
    assert companies(box) == before
    played = play(query=TWICE)
    assert played["state"] == "FAILED"
    assert played["tasks"] == {"load": ["Completed", 1], "push": ["Failed", 1]}
    assert "the push was applied, and not every row is as it should be: 2 rejected" in played["message"]
    assert "_cargo_push_rows" in played["message"]
    assert sum(row["stage"] == "qualified" for row in companies(box)) == 1 + sum(
        row["stage"] == "qualified" for row in before
    )


def test_the_flow_loads_without_a_network(box, tmp_path):
    """No token, no socket: Prefect reads the flow and its parameters."""
    code = """
import socket
def refused(*_args, **_kwargs):
    raise AssertionError("somebody asked the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refused
from prefect_flow import refresh
print(refresh.name, list(refresh.parameters.properties))
"""
    hidden = environment(box, tmp_path)
    del hidden["CARGO_API_TOKEN"], hidden["CARGO_API_URL"]
    done = subprocess.run([python_of("prefect"), "-c", code], cwd=tmp_path, env=hidden, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "cargo ['start', 'end']\n"
    assert not list(tmp_path.glob("*.duckdb"))
