"""`cargo-source push` and `rejects` as a scheduler and a person meet them."""

import json
import os
import pty
import stat
import subprocess
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.forked import run_command
from tests.push.playing import model_of, stored, written


@pytest.fixture
def run(own, tmp_path):
    """What runs the command line in a folder of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARGO_")}
    environment |= {"HOME": str(tmp_path), "CARGO_API_URL": own.url, "CARGO_API_TOKEN": own.token}
    return lambda *arguments: run_command(arguments, tmp_path, environment)


@pytest.fixture
def source(own, tmp_path):
    """A parquet file of scores for two companies and a new one."""
    rows = sorted(stored(own, model_of(own, "default", "companies")).values(), key=lambda row: row["_id"])[:2]
    keys = [*(row["domain"] for row in rows), "new.example"]
    pq.write_table(pa.table({"domain": keys, "employeesCount": [11, 12, 13]}), tmp_path / "scores.parquet")
    return "scores.parquet"


ASKED = ("--model", "default.companies", "--key", "domain")


def test_a_plan_is_shown_and_nothing_is_sent(own, run, source):
    """One line says what it would do, then a sample of cells; twice in a row it says the same."""
    since = len(own.world.writing.journal)
    for _ in range(2):
        done = run("push", source, *ASKED)
        assert done.returncode == 0, done.stderr
        assert "updates 2 of 24 companies, creates 1" in done.stdout
        assert "employeesCount" in done.stdout
        assert "would be" in done.stdout
    assert not written(own, since)


def test_a_plan_is_applied_once_and_then_changes_nothing(own, run, source):
    """What a scheduler runs every night: the second time nothing is sent."""
    done = run("push", source, *ASKED, "--apply", "--yes")
    assert done.returncode == 0, done.stderr
    assert "default.companies: 1 created, 2 updated" in done.stdout
    since = len(own.world.writing.journal)
    done = run("push", source, *ASKED, "--apply", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["status"] == "done"
    assert (told["plan"]["counts"]["unchanged"], told["report"]["unchanged"]) == (3, 3)
    assert not written(own, since)


def test_nobody_is_asked_where_nobody_is(own, run, source):
    """Without a terminal --apply needs --yes, and nothing is read before that is said."""
    since = len(own.world.writing.journal)
    done = run("push", source, *ASKED, "--apply")
    assert (done.returncode, "--yes" in done.stderr) == (2, True)
    done = run("push", source, *ASKED, "--apply", "--dry-run")
    assert done.returncode == 2
    assert not written(own, since)


def test_a_person_is_asked(own, tmp_path, source):
    """On a terminal: n leaves everything as it is, y applies."""
    for answer, there in (("n", False), ("y", True)):
        master, slave = pty.openpty()
        command = [sys.executable, "-m", "cargo_source", "push", source, *ASKED, "--apply"]
        environment = {**os.environ, "CARGO_API_URL": own.url, "CARGO_API_TOKEN": own.token, "TERM": "dumb"}
        child = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        os.close(slave)
        os.write(master, f"{answer}\n".encode())
        _, err = child.communicate(timeout=60)
        os.close(master)
        assert child.returncode == 0, err
        assert b"Apply it?" in err
        domains = {row["domain"] for row in stored(own, model_of(own, "default", "companies")).values()}
        assert ("new.example" in domains) == there


def test_a_brake_exits_with_three(own, run, tmp_path):
    """With its numbers and the switch, as one object where that is asked for."""
    rows = stored(own, model_of(own, "default", "companies")).values()
    pq.write_table(
        pa.table({"domain": [row["domain"] for row in rows], "name": ["x"] * len(rows)}), tmp_path / "all.parquet"
    )
    done = run("push", "all.parquet", *ASKED, "--apply", "--yes")
    assert done.returncode == 3
    assert "--max-change-pct 100" in done.stderr
    done = run("push", "all.parquet", *ASKED, "--apply", "--yes", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["status"], told["error"]["type"]) == (3, "failed", "Braked")
    assert run("push", "all.parquet", *ASKED, "--apply", "--yes", "--max-change-pct", "100").returncode == 0


def test_rejected_rows_are_listed_and_tried_again(own, run, source, tmp_path):
    """They have their place, column and reason; when the server takes them, a retry sends them alone."""
    own.world.writing.refused["employeesCount"] = {13}
    done = run("push", source, *ASKED, "--apply", "--yes")
    assert done.returncode == 3
    assert "1 rejected" in done.stderr
    assert run("push", source, *ASKED, "--apply", "--yes", "--allow-rejected").returncode == 0
    done = run("rejects")
    assert "refused: Value of column employeesCount was rejected" in done.stdout
    told = json.loads(run("rejects", "--json").stdout)["rejects"]
    assert [(each["row"], each["column"], each["model"]) for each in told] == [
        (2, "employeesCount", "default.companies")
    ]
    own.world.writing.refused.clear()
    # Other rows have changed meanwhile: they are not what is retried.
    table = pq.read_table(tmp_path / source)
    pq.write_table(table.set_column(1, "employeesCount", pa.array([21, 22, 13])), tmp_path / source)
    since = len(own.world.writing.journal)
    done = run("rejects", "--retry", source, "--yes")
    assert done.returncode == 0, done.stderr
    assert [(kind, names) for kind, _, names in written(own, since)] == [
        ("create", frozenset({"domain", "employeesCount"}))
    ]
    assert "No row is rejected" in run("rejects").stdout


def test_a_plan_is_saved_reviewed_and_applied(own, run, source, tmp_path):
    """By one person today, by another command tomorrow."""
    done = run("push", source, *ASKED, "--save", "tonight.plan")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((tmp_path / "tonight.plan").stat().st_mode) == 0o600
    assert "updates 2 of 24 companies" in run("push", "--plan", "tonight.plan").stdout
    done = run("push", "--plan", "tonight.plan", "--apply", "--yes")
    assert done.returncode == 0, done.stderr
    done = run("push", "--plan", "tonight.plan", "--apply", "--yes")
    assert done.returncode == 3
    assert "make the plan anew" in done.stderr


def test_a_query_is_pushed_out_of_a_database(own, run, tmp_path):
    """Scores that were computed in the warehouse; the ledger may lie in the same file."""
    rows = sorted(stored(own, model_of(own, "default", "companies")).values(), key=lambda row: row["_id"])[:3]
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as db:
        db.execute("CREATE TABLE scores AS SELECT unnest(?) AS site, 7 AS score", [[row["domain"] for row in rows]])
    query = "SELECT site, score FROM scores"
    given = (
        "--database",
        "warehouse.duckdb",
        "--columns",
        "site=domain,score=employeesCount",
        "--ledger",
        "warehouse.duckdb",
    )
    done = run(
        "push", query, "--model", "default.companies", "--key", "site", "--mode", "update", *given, "--apply", "--yes"
    )
    assert done.returncode == 0, done.stderr
    assert "3 updated" in done.stdout
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        told = db.execute("SELECT status, mode, updated, columns FROM cargo._cargo_push_runs").fetchall()
    assert told == [("done", "update", 3, '{"site": "domain", "score": "employeesCount"}')]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["--help"]),
        (("scores.parquet",), ["--model"]),
        (("scores.parquet", "--model", "default.companies"), ["--key"]),
        (("scores.parquet", "--model", "nobody", "--key", "domain"), ["no model is called", "discover"]),
        (("scores.parquet", "--model", "companies", "--key", "domain"), ["say which of"]),
        (("scores.parquet", "--model", "default.companies", "--key", "domian"), ["did you mean 'domain'"]),
        (("nothing.parquet", *ASKED), ["is no file"]),
        (("scores.parquet", *ASKED, "--mode", "replace"), ["insert, update"]),
        (("scores.parquet", *ASKED, "--nulls", "drop"), ["write, skip, error"]),
        (("scores.parquet", *ASKED, "--columns", "domain,nmae"), ["the source has no column 'nmae'"]),
        (("scores.parquet", *ASKED, "--columns", "domain,employeesCount=nmae"), ["did you mean 'name'"]),
        (("SELECT 1 AS x FROM nowhere", *ASKED, "--database", "w.duckdb"), ["there is no DuckDB file"]),
        (("--plan", "nothing.plan"), ["there is no plan"]),
        (("scores.parquet", "--plan", "x.plan"), ["leave the source out"]),
    ],
)
def test_what_is_wrong_is_said_in_one_line(run, source, arguments, words):
    """Exit 2, no traceback, and what to do."""
    done = run("push", *arguments)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in done.stderr


def test_a_retry_needs_something_that_was_pushed(run, source):
    """An empty ledger says so; listing it shows nothing."""
    assert "No row is rejected" in run("rejects").stdout
    done = run("rejects", "--retry", source, "--yes")
    assert (done.returncode, "nothing was pushed yet" in done.stderr) == (2, True)


def test_no_cell_is_in_what_is_logged(own, run, tmp_path):
    """Neither a key, nor a value, nor the token: not in logs, errors, the journal or the ledger."""
    canary = "canary-7f3a.example"
    pq.write_table(pa.table({"domain": [canary, canary + "x"], "name": ["canary-name", "bad"]}), tmp_path / "c.parquet")
    own.world.writing.refused["name"] = {"bad"}
    done = run("push", "c.parquet", *ASKED, "--apply", "--yes", "--log-format", "json", "--json")
    assert done.returncode == 3
    for text in (done.stderr, done.stdout):
        assert "canary" not in text
        assert own.token not in text
    for path in (tmp_path / ".cargo-source").rglob("*"):
        if path.is_file():
            assert b"canary" not in path.read_bytes(), path
