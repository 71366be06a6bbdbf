"""The command line as scripts and people meet it: exits, JSON, messages."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import duckdb
import httpx
import pytest

from cargo_source.catalog import ENTITIES, behind
from tests.forked import run_command
from tests.small import small_box

USUAL = {entity.table for entity in ENTITIES.values() if not entity.on_request}


def run(*arguments, cwd, token=None, url=None, fresh=False, **more):
    """Run the command line, where asked for in an interpreter that is started for it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARGO_")}
    environment |= {"HOME": str(cwd), "CARGO_WAIT_BUDGET": "2", **more}
    if token:
        environment["CARGO_API_TOKEN"] = token
    if url:
        environment["CARGO_API_URL"] = url
    if not fresh:
        return run_command(arguments, cwd, environment)
    command = [sys.executable, "-m", "cargo_source", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


def told(done, *words):
    """One line, without a traceback, that says what to do."""
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_sync_prints_one_json_object_with_the_entities(box, tmp_path):
    """What scripts read: the entities with these fields, and no other list at the top."""
    done = run("sync", "--json", "--database", "x.duckdb", cwd=tmp_path, token=box.token, url=box.url)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [name for name, value in answer.items() if isinstance(value, list)] == ["entities"]
    assert {e["table"] for e in answer["entities"]} >= USUAL
    assert all(
        {"entity", "table", "rows", "requests", "lane", "status", "seconds"} <= e.keys() for e in answer["entities"]
    )
    assert answer["requests"] == sum(e["requests"] for e in answer["entities"])


def test_only_and_models_narrow_a_sync(box, tmp_path):
    """--only names entity tables, --models adds rows of models; parents are read and not loaded."""
    done = run(
        "sync",
        "--json",
        "--only",
        "executions",
        "--models",
        "default.companies",
        cwd=tmp_path,
        token=box.token,
        url=box.url,
    )
    assert done.returncode == 0, done.stderr
    assert {e["table"] for e in json.loads(done.stdout)["entities"]} == {"executions", "default__companies"}


def test_a_person_reads_a_table(box, tmp_path):
    """Without --json a sync ends with a table and a line that says what happened."""
    done = run("sync", "--only", "agents", cwd=tmp_path, token=box.token, url=box.url, fresh=True)
    assert done.returncode == 0
    assert "agents" in done.stdout
    assert "rows into" in done.stdout


@pytest.mark.parametrize("command", [["sync"], ["check"], ["discover"], ["preview", "companies"]], ids=lambda c: c[0])
def test_no_token(box, tmp_path, command):
    """Without a token every command names the variable and where to make one."""
    told(done := run(*command, cwd=tmp_path, url=box.url), "CARGO_API_TOKEN", "Settings > API")
    assert done.returncode == 2


@pytest.mark.parametrize("command", [["sync"], ["check"], ["discover"]], ids=lambda c: c[0])
def test_a_wrong_token(box, tmp_path, command):
    """A refused token is a setting to fix, and is not shown."""
    told(done := run(*command, cwd=tmp_path, url=box.url, token="wrong-canary"), "CARGO_API_TOKEN", "401")
    assert done.returncode == 2
    assert "canary" not in done.stderr + done.stdout


def test_an_unknown_host(tmp_path):
    """A host that does not exist is named, with the setting that names it."""
    told(done := run("sync", cwd=tmp_path, url="https://no-such-host.invalid", token="t"), "CARGO_API_URL")
    assert done.returncode in (1, 2)


def test_a_host_that_answers_html(tmp_path):
    """A web page in place of the API says that the address is wrong."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"<html>hello</html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = run(
            "check",
            cwd=tmp_path,
            url=f"http://127.0.0.1:{server.server_port}",
            token="t",
            CARGO_WAIT_BUDGET="30",
        )
        server.shutdown()
    told(done, "CARGO_API_URL", "web page")
    assert done.returncode in (1, 2)


def test_a_missing_permission_is_skipped_and_listed(box, tmp_path):
    """What the token may not read is skipped, visibly, and all the rest loads."""
    lacking = ("segmentation", "orchestration", "ai")
    done = run("sync", "--json", cwd=tmp_path, url=box.url, token=box.token_without(*lacking))
    assert done.returncode == 0, done.stderr
    status = {e["table"]: e["status"] for e in json.loads(done.stdout)["entities"]}
    skipped = {table for table, found in status.items() if found == "skipped"}
    assert skipped == {table for table in USUAL if ENTITIES[table].group in lacking}


@pytest.mark.parametrize("switch", [["--strict"], ["--only", "segments"]], ids=["strict", "named"])
def test_a_missing_permission_fails_where_a_skip_would_hide_it(box, tmp_path, switch):
    """--strict, or naming the entity, makes the skip a failure that names the permission."""
    done = run("sync", *switch, cwd=tmp_path, url=box.url, token=box.token_without("segmentation"))
    told(done, "403")
    assert done.returncode != 0


def test_check_lists_what_is_missing(box, tmp_path):
    """check names each permission that the token lacks."""
    done = run("check", "--json", cwd=tmp_path, url=box.url, token=box.token_without("ai"))
    assert done.returncode == 0
    assert json.loads(done.stdout)["missing"] == "ai:read"


@pytest.mark.parametrize(
    ("group", "lacking"),
    [
        ("orchestration", {"orchestration:read"}),
        ("ai", {"ai:read"}),
        ("workspaceManagement", {"workspaceManagement:read", "workspaceManagement:read (admin)"}),
    ],
)
def test_check_judges_a_table_by_all_that_it_is_read_through(box, tmp_path, group, lacking):
    """agent_runs are made of messages and runs: without either permission check says no, and only what lacks."""
    done = run("check", "--json", cwd=tmp_path, url=box.url, token=box.token_without(group))
    answer = json.loads(done.stdout)
    assert set(answer["missing"].split(", ")) == lacking
    found = {each["entity"]: each for each in answer["entities"]}
    assert found["agent_runs"]["permission"] == "ai:read, orchestration:read"
    for table, each in found.items():
        through = {parent.group for parent in behind(ENTITIES[table])}
        assert each["allowed"] == (group not in through), table
        assert set(each["lacks"]) <= lacking


def test_what_check_allows_a_sync_may_read(box, tmp_path):
    """With the one permission that agents need, agent_runs are a no in both; discover names what they need as well."""
    token = box.token_without("storage", "segmentation", "orchestration", "connection", "content", "billing")
    checked = json.loads(run("check", "--json", cwd=tmp_path, url=box.url, token=token).stdout)["entities"]
    allowed = {each["entity"] for each in checked if each["allowed"] and ENTITIES[each["entity"]].group == "ai"}
    assert "agent_runs" not in allowed
    told(done := run("sync", "--only", "agent_runs", "--strict", cwd=tmp_path, url=box.url, token=token), "403")
    assert done.returncode == 2
    done = run("sync", "--only", ",".join(allowed), "--strict", cwd=tmp_path, url=box.url, token=token)
    assert done.returncode == 0, done.stderr
    listed = json.loads(run("discover", "--json", cwd=tmp_path, url=box.url, token=box.token).stdout)["entities"]
    needs = {each["table"]: each["permission"] for each in listed}
    assert needs == {each["entity"]: each["permission"] for each in checked}
    assert needs["agent_runs"] == "ai:read, orchestration:read"


def test_discover_counts_and_names(box, tmp_path):
    """discover shows every model with its table, its rows and its lane."""
    done = run("discover", "--json", cwd=tmp_path, url=box.url, token=box.token)
    models = {m["table"]: m for m in json.loads(done.stdout)["models"]}
    assert len(models) == len(box.truth("models"))
    uuid = next(m["uuid"] for m in box.truth("models") if m["slug"] == "companies")
    assert models["default__companies"]["rows"] == len(box.truth_rows(uuid))


def test_preview_shows_rows_and_suggests_names(box, tmp_path):
    """preview shows typed rows; a name that is nearly right gets a suggestion, an ambiguous one a choice."""
    done = run("preview", "companies", "--limit", "3", "--json", cwd=tmp_path, url=box.url, token=box.token)
    ambiguous = done.returncode == 2
    done = run("preview", "default.companies", "--limit", "3", "--json", cwd=tmp_path, url=box.url, token=box.token)
    assert len(json.loads(done.stdout)["rows"]) == 3
    told(
        done := run("preview", "default.compnies", cwd=tmp_path, url=box.url, token=box.token),
        "default.companies",
    )
    assert done.returncode == 2
    assert ambiguous == (sum(m["slug"] == "companies" for m in box.truth("models")) > 1)


def test_a_read_only_database(box, tmp_path):
    """A file that cannot be written is named with its setting before anything is read."""
    folder = tmp_path / "missing"
    told(
        done := run("sync", "--database", str(folder / "x.duckdb"), cwd=tmp_path, url=box.url, token=box.token),
        "--database",
    )
    assert done.returncode == 2


def test_an_unknown_entity_is_suggested(box, tmp_path):
    """A slip in --only names the table that was meant."""
    told(done := run("sync", "--only", "agent_run", cwd=tmp_path, url=box.url, token=box.token), "agent_runs")
    assert done.returncode == 2


def test_ctrl_c_stops_at_once_and_the_next_run_repairs(box, tmp_path):
    """Ctrl-C ends with one line and exit 1; the next sync is complete."""
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "CARGO_API_TOKEN": box.token,
        "CARGO_API_URL": box.url,
    }
    command = [sys.executable, "-m", "cargo_source", "sync", "--json", "--only", "messages"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        before = box.journal.requests()
        while box.journal.requests() < before + 5:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert process.returncode == 1
    assert "Traceback" not in stderr
    assert "Ctrl-C" in stderr
    done = run(*command[3:], cwd=tmp_path, token=box.token, url=box.url)
    assert done.returncode == 0, done.stderr
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        assert db.execute("SELECT count(*) FROM cargo.messages").fetchone() == (len(box.truth("messages")),)


def listens(process, number):
    """Whether a process has a way of its own with a signal."""
    caught = Path(f"/proc/{process.pid}/status").read_text().split("SigCgt:")[1].split()[0]
    return int(caught, 16) >> (number - 1) & 1


@pytest.mark.parametrize("after", [0.0, 0.04, 0.08, 0.12, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0])
def test_a_signal_that_comes_early_stops_the_command_too(box, tmp_path, after):
    """While libraries are still being imported: it ends at once, with its one object and exit 1."""
    environment = {**os.environ, "HOME": str(tmp_path), "CARGO_API_TOKEN": box.token, "CARGO_API_URL": box.url}
    command = [sys.executable, "-m", "cargo_source", "sync", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not listens(process, signal.SIGTERM):
            time.sleep(0.005)
        time.sleep(after)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 1, stderr
    assert json.loads(stdout)["error"]["type"] == "KeyboardInterrupt"
    assert "stopped by SIGTERM" in stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("switches", "word"),
    [
        (["--database", "."], "folder"),
        (["--database", ""], "folder"),
        (["--columns", "=name"], "table=column"),
        (["--columns", "agents="], "table=column"),
    ],
)
def test_switches_that_say_nothing_are_refused(box, tmp_path, switches, word):
    """In one line that names the switch, before anything is asked."""
    told(done := run("sync", *switches, cwd=tmp_path, url=box.url, token=box.token), switches[0], word)
    assert done.returncode == 2


def test_a_name_that_the_locale_cannot_spell_is_refused(box, tmp_path):
    """What such a name is in bytes nobody knows."""
    where = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run("sync", "--database", "Größe.duckdb", cwd=tmp_path, url=box.url, token=box.token, fresh=True, **where)
    told(done, "--database", "PYTHONUTF8=1")
    assert done.returncode == 2


def test_since_may_not_be_to_come(box, tmp_path):
    """All that came before it would never load."""
    switches = ("--only", "runs", "--since", "2999-01-01")
    told(done := run("sync", *switches, cwd=tmp_path, url=box.url, token=box.token), "since: 2999")
    assert done.returncode == 2


def test_since_says_where_history_starts(box, tmp_path):
    """--since leaves out what was over before it; a later sync goes on from there."""
    since = (box.world.now - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%S")
    for _ in range(2):
        done = run("sync", "--only", "runs,traces", "--since", since, cwd=tmp_path, token=box.token, url=box.url)
        assert done.returncode == 0, done.stderr
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        db.execute("SET TimeZone = 'UTC'")
        landed = {uuid for (uuid,) in db.execute("SELECT uuid FROM cargo.runs").fetchall()}
    assert landed >= {row["uuid"] for row in box.truth("runs") if row["updatedAt"] >= since}
    assert len(landed) < len(box.truth("runs")) / 2


def test_rows_of_models_may_be_forbidden(tmp_path):
    """A token that may see models and not their rows loads all the rest, and says which permission is missing."""
    with small_box(7, companies=30) as box:
        for path in ("storage/query*", "storage/records*"):
            box.faults.add(path=path, kind="forbidden", count=None)
        command = ("sync", "--json", "--only", "models", "--models", "default.companies")
        named = run(*command, cwd=tmp_path, token=box.token, url=box.url)
        assert named.returncode == 2
        assert "Traceback" not in named.stderr
        assert "storage/records/list" in named.stderr.splitlines()[-1]
        done = run("sync", "--json", cwd=tmp_path, token=box.token, url=box.url)
        assert done.returncode == 0, done.stderr
        status = {e["table"]: e["status"] for e in json.loads(done.stdout)["entities"]}
        assert status["default__companies"] == "skipped"
        assert {status[table] for table in USUAL} == {"complete"}


def test_a_workspace_that_is_refreshing_exits_with_3(tmp_path):
    """What was read while Cargo was writing is loaded, marked, and comes again with the next sync."""
    with small_box(7, companies=30) as box:
        faults = [box.faults.add(path=path, kind="refreshing") for path in ("storage/query", "storage/query/download")]
        command = ("sync", "--json", "--only", "datasets", "--models", "default.companies")
        first = run(*command, cwd=tmp_path, token=box.token, url=box.url)
        assert all(fault.fired for fault in faults)
        box.faults.clear()
        second = run(*command, cwd=tmp_path, token=box.token, url=box.url)
    assert (first.returncode, second.returncode) == (3, 0)
    first, second = (
        {e["table"]: e for e in json.loads(each.stdout)["entities"]}["default__companies"] for each in (first, second)
    )
    assert (first["status"], second["status"]) == ("refreshing", "complete")
    assert first["rows"] == second["rows"] > 0


def test_help_teaches_without_loading_dlt():
    """--help is quick: the heavy libraries stay out of it."""
    code = (
        "import sys; from cargo_source import cli; assert not {'dlt', 'duckdb', 'pyarrow', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_sandbox_command_serves_until_it_is_stopped(tmp_path):
    """--json prints one first line with url and tokens; SIGTERM ends it."""
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps([{"path": "ai/*", "kind": "429", "retry_after": "date", "count": 2}]))
    command = [sys.executable, "-m", "cargo_source", "sandbox", "--json", "--companies", "30", "--faults", str(faults)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            where = json.loads(process.stdout.readline())
            assert set(where) == {"url", "token", "control_token"}
            more = {"CARGO_WAIT_BUDGET": "30"}
            done = run("check", "--json", cwd=tmp_path, url=where["url"], token=where["token"], **more)
            assert json.loads(done.stdout)["missing"] == ""
        finally:
            process.terminate()
        assert process.wait(10) == 0


def test_the_sandbox_command_knows_every_presumed_column_when_told_to(tmp_path):
    """--sql-columns all gives orchestration/query what nobody has confirmed, --sql-lag what is old enough."""
    command = [sys.executable, "-m", "cargo_source", "sandbox", "--json", "--companies", "30", "--sql-columns", "all"]
    with subprocess.Popen([*command, "--sql-lag", "60"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            where = json.loads(process.stdout.readline())
            answer = httpx.post(
                f"{where['url']}/v1/orchestration/query",
                json={"query": "SELECT uuid, trace_uuid FROM runs ORDER BY created_at LIMIT 3"},
                headers={"authorization": f"Bearer {where['token']}"},
            )
            assert len({row["trace_uuid"] for row in answer.json()["rows"]}) == 3
        finally:
            process.terminate()
        assert process.wait(10) == 0


def test_a_faults_file_that_makes_no_sense_is_told(tmp_path):
    """The sandbox names what is wrong with its faults."""
    (tmp_path / "faults.json").write_text('[{"path": "*", "kind": "gremlins"}]')
    told(done := run("sandbox", "--faults", "faults.json", cwd=tmp_path), "gremlins")
    assert done.returncode == 2


def test_importing_and_constructing_speaks_to_nobody(monkeypatch):
    """Orchestrators build the source when they parse: no socket and no token is needed before rows are asked for."""
    from cargo_source import cargo

    def refuse(*_args, **_kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert set(cargo().resources) == {*USUAL, "records"}


@pytest.mark.parametrize("body", ['{"workspace": "x"}', '{"workspace": null}', "[]", '{"models": "abc"}', "7"])
def test_json_of_another_shape_is_told_without_a_traceback(tmp_path, body):
    """A host that speaks JSON and is not Cargo gets one line, and one JSON object for scripts."""

    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET

        def log_message(self, *_args):
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        for command in (["check"], ["discover"], ["preview", "companies"], ["sync"]):
            told(done := run(*command, "--json", cwd=tmp_path, url=url, token="t"))
            assert done.returncode != 0
            assert json.loads(done.stdout)["status"] == "failed"
        server.shutdown()


@pytest.mark.parametrize("url", ["https://api..getcargo.io", "https://xn--/", f"https://{'a' * 70}.io", "https://[::1"])
def test_an_address_that_cannot_be_one_is_told(tmp_path, url):
    """What no resolver could look up is a setting to fix."""
    told(done := run("check", cwd=tmp_path, url=url, token="t"), "CARGO_API_URL")
    assert done.returncode == 2


def test_a_firewall_is_no_missing_permission(box, tmp_path):
    """A 403 that comes as a web page stops a sync: something before the API refuses."""
    with small_box(7, companies=20) as own:
        own.faults.add({"path": "ai/*", "kind": "5xx", "status": 403, "count": None})
        told(done := run("sync", cwd=tmp_path, token=own.token, url=own.url), "web page")
    assert done.returncode == 2


@pytest.mark.parametrize("command", [["discover"], ["preview", "companies"]], ids=["discover", "preview"])
def test_looking_without_the_permission_is_told(box, tmp_path, command):
    """discover and preview need storage: without it they say so, for people and for scripts."""
    token = box.token_without("storage")
    told(done := run(*command, cwd=tmp_path, token=token, url=box.url), "403")
    assert done.returncode == 2
    done = run(*command, "--json", cwd=tmp_path, token=token, url=box.url)
    assert json.loads(done.stdout)["error"]["type"] == "PermissionDenied"


@pytest.mark.parametrize("dataset", ["", "temp", "a b", "information_schema", "Cargo"])
def test_a_dataset_that_duckdb_would_call_otherwise_is_refused(box, tmp_path, dataset):
    """The schema that the summary names is the one that holds the tables."""
    told(done := run("sync", "--dataset", dataset, cwd=tmp_path, token=box.token, url=box.url), "--dataset")
    assert done.returncode == 2


def test_a_database_that_is_open_elsewhere_is_told(box, tmp_path):
    """DuckDB takes one program at a time: the message says what to close."""
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")):
        done = run("sync", "--only", "agents", cwd=tmp_path, token=box.token, url=box.url)
    assert done.returncode == 1
    assert "another program has the database open" in done.stderr
    assert "Traceback" not in done.stderr


def test_rows_show_where_the_terminal_knows_ascii_only(box, tmp_path):
    """Names with accents are no reason to stop."""
    ascii_only = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = run("preview", "default.contacts", cwd=tmp_path, token=box.token, url=box.url, fresh=True, **ascii_only)
    assert done.returncode == 0, done.stderr
    assert "?" in done.stdout


def test_an_administrators_entities_are_skipped_for_a_member(box, tmp_path):
    """A member's token loads all but billing, users and roles, and the summary lists them."""
    done = run("sync", "--json", cwd=tmp_path, token=box.token_for_member(), url=box.url)
    assert done.returncode == 0, done.stderr
    status = {e["table"]: e["status"] for e in json.loads(done.stdout)["entities"]}
    admin = {entity.table for entity in ENTITIES.values() if entity.admin}
    assert {table for table, found in status.items() if found == "skipped"} == admin
    done = run("check", "--json", cwd=tmp_path, token=box.token_for_member(), url=box.url)
    assert json.loads(done.stdout)["missing"] == "billing:read (admin), workspaceManagement:read (admin)"


def test_a_quiet_sync_shows_what_has_news_only(box, tmp_path):
    """The second of two syncs does not list tables without news one by one; for scripts they are all there."""
    for _ in range(2):
        done = run("sync", "--only", "agents,tools,roles", cwd=tmp_path, token=box.token, url=box.url)
    assert "3 tables have nothing new." in done.stdout
    assert "agents" not in done.stdout


@pytest.mark.parametrize(
    ("switches", "words"),
    [
        (["--to", "2026-03-01"], ["--from"]),
        (["--step", "1d"], ["--from"]),
        (["--from", "2026-02-01", "--parallel", "2"], ["--step"]),
        (["--from", "2026-02-01", "--step", "1 day"], ["6h, 1d or 1w"]),
        (["--from", ""], ["is no time"]),
        (["--from", "2026-02-02", "--to", "2026-02-01"], ["ends before it begins"]),
        (["--from", "2026-02-01", "--to", "2026-02-01"], ["is empty"]),
        (["--from", "2026-02-01", "--since", "2026-01-01"], ["since"]),
        (["--from", "2099-01-01"], ["has not begun"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_a_window_that_makes_no_sense_is_told(box, tmp_path, switches, words):
    """Exit 2 and one line; nothing is loaded, and no usual sync in its place."""
    told(done := run("sync", "--only", "roles", *switches, cwd=tmp_path, token=box.token, url=box.url), *words)
    assert done.returncode == 2


def test_a_backfill_on_the_command_line(box, tmp_path):
    """Windows in order with their bounds, tables in sum, a table for people; exit 0."""
    switches = (
        "--only",
        "runs,agents",
        "--from",
        "2026-02-20",
        "--to",
        "2026-02-24",
        "--step",
        "2d",
        "--parallel",
        "2",
    )
    done = run("sync", "--json", *switches, cwd=tmp_path, token=box.token, url=box.url)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    bounds = [(window["from"], window["to"], window["status"]) for window in answer["windows"]]
    assert bounds == [("2026-02-20", "2026-02-22", "complete"), ("2026-02-22", "2026-02-24", "complete")]
    moved = [row for row in box.truth("runs") if "2026-02-20" <= row["updatedAt"] < "2026-02-24"]
    assert {e["table"]: e["rows"] for e in answer["entities"]} == {
        "runs": len(moved),
        "agents": len(box.truth("agents")),
    }
    done = run("sync", *switches, cwd=tmp_path, token=box.token, url=box.url)
    assert "2026-02-22" in done.stdout
    assert "rows into" in done.stdout


def test_a_backfill_that_stops_says_how_to_go_on(tmp_path):
    """What was refused, the window at which it was, and the command's switches from there on; scripts get the same."""
    with small_box(7, companies=20) as own:
        run("sync", "--only", "runs", cwd=tmp_path, token=own.token, url=own.url)
        own.faults.add({"path": "orchestration/runs/list", "kind": "forbidden", "count": None})
        switches = ("--only", "runs", "--from", "2026-02-20", "--to", "2026-02-24", "--step", "2d")
        done = run("sync", "--json", *switches, cwd=tmp_path, token=own.token, url=own.url)
    assert done.returncode == 2
    assert "go on with --from 2026-02-20 --to 2026-02-24" in done.stderr
    answer = json.loads(done.stdout)
    assert (answer["status"], answer["failed_window"]["from"], answer["windows"]) == ("failed", "2026-02-20", [])


def test_logs_for_machines_are_one_json_object_a_line(tmp_path):
    """Everything on standard error is JSON: what was read, what went wrong on the way, and why it ended; no secret."""
    with small_box(7, companies=20) as own:
        own.faults.add({"path": "ai/agents/list", "kind": "5xx", "count": 1})
        own.faults.add({"path": "ai/chats/list", "kind": "forbidden"})
        options = ("--only", "agents,chats", "--log-format", "json", "--json")
        done = run("sync", *options, cwd=tmp_path, token=own.token, url=own.url)
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        assert {"time", "level", "event"} <= set.intersection(*(set(line) for line in lines))
        assert any(line.get("table") == "agents" and line["event"] == "read" for line in lines)
        assert any("503" in line["event"] for line in lines)
        assert lines[-1]["level"] == "error"
        assert "403" in lines[-1]["event"]
        assert own.token not in done.stderr
    assert done.returncode == 2


def test_partial_exits_with_3_and_names_what_failed(tmp_path):
    """What could be read is there, and the exit says that it is not all."""
    with small_box(7, companies=20) as own:
        own.faults.add({"path": "ai/chats/list", "kind": "forbidden"})
        done = run("sync", "--only", "agents,chats", "--partial", "--json", cwd=tmp_path, token=own.token, url=own.url)
    assert done.returncode == 3, done.stderr
    answer = json.loads(done.stdout)
    assert answer["status"] == "failed"
    assert {e["table"]: e["status"] for e in answer["entities"]} == {"agents": "complete", "chats": "failed"}
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        assert db.execute("SELECT count(*) > 0 FROM cargo.agents").fetchone() == (True,)


def test_max_minutes_stops_with_3_before_a_table_is_touched(box, tmp_path):
    """Time is up at once: one line, exit 3, and no database with tables."""
    told(
        done := run("sync", "--max-minutes", "0", cwd=tmp_path, token=box.token, url=box.url), "--max-minutes", "again"
    )
    assert done.returncode == 3


def test_publish_leaves_readers_alone(box, tmp_path):
    """A program that reads the database is no hindrance, and sees the new tables when it opens it again."""
    command = ("sync", "--only", "agents", "--publish")
    assert run(*command, cwd=tmp_path, token=box.token, url=box.url).returncode == 0
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as reader:
        done = run("sync", "--only", "agents,folders", "--publish", cwd=tmp_path, token=box.token, url=box.url)
        assert done.returncode == 0, done.stderr
        (before,) = reader.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_name = 'folders'"
        ).fetchone()
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as reader:
        assert reader.execute("SELECT count(*) > 0 FROM cargo.folders").fetchone() == (True,)
    assert before == 0


def test_the_summary_names_the_evidence_and_fits_a_terminal(box, tmp_path):
    """Each table on one line, with what showed that it is complete."""
    done = run("sync", "--only", "spans,agents", cwd=tmp_path, token=box.token, url=box.url, COLUMNS="100")
    assert f"counted {len(box.truth('spans')):,}" in done.stdout
    assert "whole answer" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120
