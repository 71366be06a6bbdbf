import json
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from cargo_source.sandbox import Sandbox
from cargo_source.sandbox.gate import Tokens
from tests.sandbox.conftest import client


@pytest.fixture
def door(own):
    own.box.faults.clear()
    own.box.journal.clear()
    headers = {"authorization": f"Bearer {own.box.control_token}"}
    with httpx.Client(base_url=f"{own.box.url}/_sandbox", headers=headers) as control:
        yield control
    own.box.faults.clear()


def test_the_control_door_has_its_own_token(own, door):
    """The workspace's token opens nothing there, and the control token nothing in the API."""
    for path in ("truth?entity=runs", "journal", "faults"):
        assert httpx.get(f"{own.box.url}/_sandbox/{path}").status_code == 401
        assert httpx.get(f"{own.box.url}/_sandbox/{path}", headers=own.api.headers).status_code == 401
    assert httpx.get(f"{own.box.url}/v1/ai/agents/list", headers=door.headers).status_code == 401
    assert door.get("/nothing").status_code == 404


def test_time_passes_through_the_door(own, door):
    """advance moves the sandbox's time and tells what happened; nonsense is refused."""
    before = own.box.world.now
    told = door.post("/advance", json={"days": 1, "hours": 2}).json()
    assert (own.box.world.now - before).total_seconds() == 26 * 3600
    assert told["now"] == own.box.world.now.isoformat()
    assert sum(told["happened"].values()) > 0
    for body in ({"weeks": 1}, {"days": -1}, {"days": "1"}, [1], None):
        answer = door.post("/advance", content=json.dumps(body))
        assert (answer.status_code, "errorMessage" in answer.json()) == (400, True)


def test_faults_are_added_listed_and_cleared_through_the_door(own, door):
    """One fault or a list; each tells how often it happened; a wrong one is a 400."""
    assert door.post("/faults", json={"path": "ai/*", "kind": "5xx", "count": 1}).status_code == 200
    assert own.api.get("/ai/agents/list").status_code == 503
    (fault,) = door.get("/faults").json()["faults"]
    assert (fault["kind"], fault["seen"], fault["fired"]) == ("5xx", 1, 1)
    both = [{"path": "*", "kind": "slow", "seconds": 0}, {"path": "*", "kind": "forbidden"}]
    assert len(door.post("/faults", json=both).json()["faults"]) == 3
    for body in ({"path": "*", "kind": "teapot"}, [7], "x"):
        assert door.post("/faults", json=body).status_code == 400
    assert door.delete("/faults").json() == {"faults": []}
    assert own.api.get("/ai/agents/list").status_code == 200


@pytest.mark.parametrize(
    "entity",
    [
        *("workspaces", "users", "models", "columns", "runs", "executions", "spans", "change_rows"),
        "actions",
        "usage_metrics",
    ],
)
def test_the_truth_is_told_through_the_door(own, door, entity):
    """Every entity as the store holds it; nested ones carry the key of their parent."""
    rows = door.get("/truth", params={"entity": entity}).json()["rows"]
    assert rows == own.box.truth(entity)
    keys = {
        "columns": {"modelUuid", "slug"},
        "executions": {"runUuid", "index"},
        "change_rows": {"changeUuid", "_kind"},
    }
    assert rows
    assert keys.get(entity, set()) <= set(rows[0])


def test_the_truth_of_a_models_rows_is_told_through_the_door(own, door):
    """Columns and all rows; an unknown name is a 400."""
    model = own.box.truth("models")[0]
    told = door.get("/truth", params={"model": model["uuid"]}).json()
    assert told["rows"] == own.box.truth_rows(model["uuid"])
    assert [column["name"] for column in told["columns"]] == list(told["rows"][0])
    for query in ({"entity": "elves"}, {"model": "x"}, {}):
        assert door.get("/truth", params=query).status_code == 400


def test_the_journal_counts_requests_and_rows_and_keeps_no_secret(own, door):
    """Path, query keys, status, rows, bytes and time; no token, no query value, no link signature."""
    own.api.get("/ai/chats/list", params={"limit": 5, "name": "canary-value"})
    own.api.get("/ai/agents/list")
    own.api.get("/no/such/path")
    links = own.api.post("/storage/query/download", json={"query": "SELECT _id FROM zendesk.tickets"}).json()["urls"]
    assert own.box.journal.rows_by_path()["storage/query/download"] == 0
    httpx.get(links[0])
    told = door.get("/journal").json()
    entries = told["requests"]
    assert [entry["status"] for entry in entries] == [200, 200, 404, 200, 200]
    assert entries[0]["query"] == ["limit", "name"]
    agents = len(own.box.truth("agents"))
    tickets = own.api.post("/storage/query", json={"query": "SELECT count(*) AS n FROM zendesk.tickets"}).json()
    assert told["paths"]["ai/agents/list"]["rows"] == agents
    assert told["paths"]["exports"]["rows"] == tickets["rows"][0]["n"]
    assert told["total"]["requests"] == 5 == own.box.journal.requests() - 1
    assert told["total"]["rows"] == own.box.journal.rows() - 1
    text = json.dumps(told)
    signature = httpx.URL(links[0]).params["signature"]
    assert not [each for each in (own.box.token, own.box.control_token, "canary-value", signature) if each in text]
    assert door.delete("/journal").json()["requests"] == []


def test_tokens_follow_from_the_seed():
    """The same seed gives the same tokens, another seed others; they are long, and differ from each other."""
    one, same, other = Tokens(1), Tokens(1), Tokens(2)
    assert (one.full, one.control) == (same.full, same.control)
    tokens = {one.full, one.control, other.full, one.without("ai"), one.without("ai", "storage")}
    assert len(tokens) == 5
    assert all(len(token) >= 40 for token in tokens)


def test_the_port_is_closed_when_the_sandbox_stops():
    """After the with-block nobody listens; what it held can still be read."""
    with Sandbox(seed=1, companies=5) as box:
        port = httpx.URL(box.url).port
        assert httpx.URL(box.url).host == "127.0.0.1"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert box.truth("models")


def test_a_port_can_be_chosen_and_a_taken_one_is_an_error(own):
    """The port that was asked for, or an OSError at the start."""
    taken = Sandbox(seed=1, companies=1, port=httpx.URL(own.box.url).port)
    with pytest.raises(OSError, match="in use"):
        taken.start()
    taken.stop()


def test_times_and_rows_can_be_changed_while_it_serves(own):
    """Pages after advance and touch show the workspace as it then is."""
    model = next(m["uuid"] for m in own.box.truth("models") if m["slug"] == "tickets")

    def rows():
        sent = [{"modelUuid": model, "limit": 100, "offset": offset} for offset in (0, 100, 200, 300, 400)]
        return [row for each in sent for row in own.api.post("/storage/records/list", json=each).json()["records"]]

    assert rows() == own.box.truth_rows(model)
    own.box.touch(model, 5)
    assert rows() == own.box.truth_rows(model)
    own.box.advance(days=1)
    assert rows() == own.box.truth_rows(model)


SERVE = """
import json, pathlib, sys
from cargo_source.sandbox import serve
faults = pathlib.Path(sys.argv[1])
serve(announce=lambda where: print(json.dumps(where), flush=True), companies=5, rate_limit=50, faults=faults)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_in_the_foreground_until_a_signal(tmp_path, number):
    """Announced once it listens, with faults from a file; SIGINT and SIGTERM end it cleanly and at once."""
    faults = tmp_path / "faults.json"
    faults.write_text('[{"path": "ai/*", "kind": "5xx"}]')
    command = [sys.executable, "-c", SERVE, str(faults)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        where = json.loads(process.stdout.readline())
        assert set(where) == {"url", "token", "control_token"}
        headers = {"authorization": f"Bearer {where['token']}"}
        assert httpx.get(f"{where['url']}/v1/ai/agents/list", headers=headers).status_code == 503
        assert httpx.get(f"{where['url']}/v1/storage/models/list", headers=headers).status_code == 200
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")


def test_two_threads_may_ask_and_change_at_once(own):
    """Requests, truth and time from several threads do not get in each other's way."""
    from concurrent.futures import ThreadPoolExecutor

    model = own.box.truth("models")[0]["uuid"]

    def ask(turn):
        if turn % 5 == 0:
            own.box.touch(model, 1)
        if turn % 3 == 0:
            return bool(own.box.truth_rows(model))
        with client(own.box) as api:
            return api.post("/storage/records/list", json={"modelUuid": model}).status_code == 200

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(40)))
