"""What must not be found after a sync: tokens, signatures of links and secrets anywhere, cells of rows in logs."""

import json
import os
import re
import subprocess
import sys

import duckdb
import pytest

from cargo_source.catalog import ENTITIES
from cargo_source.pull.typed import arrow_table

SYNC = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from cargo_source.cli import main
sys.argv = ["cargo-source", "sync", *sys.argv[1:]]
main()
"""

SECRET = b"sandbox-secret-"
PERSONAL = b"sandbox-personal-"
SIGNATURE = re.compile(rb"[Ss]ignature=\w{8}|Expires=\d+")


def cells_of(box) -> set[str]:
    """Values of rows that no log has a reason to hold: e-mail addresses, message texts, prompts."""
    contacts = next(m["uuid"] for m in box.truth("models") if m["slug"] == "contacts")
    values = {str(value) for row in box.truth_rows(contacts) for value in row.values() if "@" in str(value)}
    values |= {part["text"] for row in box.truth("messages") for part in row["parts"] or () if part.get("text")}
    values |= {row["systemPrompt"] for row in box.truth("agent_releases") if row.get("systemPrompt")}
    return {value for value in values if len(value) > 12}


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("variable", ["CARGO_API_TOKEN", "SOURCES__CARGO__API_TOKEN"], ids=["ours", "dlt's"])
@pytest.mark.parametrize("fault", ["none", "cut short"])
def test_nothing_that_is_secret_is_left_behind(box, tmp_path, variable, fault):
    """With every logger at DEBUG: no token, signature or secret in output, state or tables, and no cell in the logs."""
    environment = {
        **os.environ,
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
        "CARGO_API_URL": box.url,
        variable: box.token,
        "RUNTIME__LOG_LEVEL": "DEBUG",
        "CARGO_WAIT_BUDGET": "3",
    }
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    # Every entity, those too that load only when they are named.
    only = ["--only", ",".join(set(ENTITIES) - {"change_rows"}), "--models", "default.contacts"]
    faults = []
    if fault == "cut short":
        faults = [box.faults.add({"path": "ai/*", "kind": "invalid_json", "count": None, "after": 40})]
    try:
        done = subprocess.run(
            [sys.executable, "-c", SYNC, *only], cwd=tmp_path, env=environment, capture_output=True, timeout=120
        )
    finally:
        if faults:
            box.faults.clear()
    assert (done.returncode != 0) == bool(faults), done.stderr[-2000:]
    printed = done.stdout + done.stderr
    assert len(printed) > 10_000, "the loggers said nothing: this test would not see a leak"
    cells = [cell.encode() for cell in cells_of(box)]
    assert len(cells) > 100
    assert [cell for cell in cells if cell in printed] == []
    left = {path: path.read_bytes() for path in files(tmp_path)}
    database = tmp_path / "warehouse.duckdb"
    for what, data in {"output": printed, **left}.items():
        assert box.token.encode() not in data, what
        assert SECRET not in data, what
        assert PERSONAL not in data, what
        assert not SIGNATURE.search(data), what
        # Rows lie in the database, and in the package of a load that did not come to its end.
        if what not in ("output", database) and what.suffix != ".parquet":
            assert [cell for cell in cells if cell in data] == [], what
    if not faults:
        for canary in (SECRET.decode(), PERSONAL.decode(), box.token):
            assert_no_cell_holds(database, canary)


def assert_no_cell_holds(database, text):
    with duckdb.connect(str(database), read_only=True) as db:
        tables = [name for (name,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        assert len(tables) > 10
        for table in tables:
            found = db.execute(f'SELECT count(*) FROM cargo."{table}" t WHERE t::VARCHAR LIKE ?', [f"%{text}%"])
            assert found.fetchone() == (0,), table


def test_the_workspace_is_full_of_canaries(box):
    """Each entity of which the contract says that it holds secrets holds some here, so that their absence says much."""
    for entity in ("connectors", "users", "libraries", "tools", "agents", "agent_releases", "messages", "invoices"):
        assert SECRET.decode() in str(box.truth(entity)), entity
    for entity in ("batches", "workflow_releases", "models"):
        assert SECRET.decode() in str(box.truth(entity)), entity
    for entity in ("memories", "warehouse_queries"):
        assert PERSONAL.decode() in str(box.truth(entity)), entity


def test_the_report_of_a_check_names_nothing(box, tmp_path):
    """It goes into bug reports: no token, secret, link, name, address or uuid of the workspace is in it."""
    environment = {**os.environ, "HOME": str(tmp_path), "CARGO_API_TOKEN": box.token, "CARGO_API_URL": box.url}
    command = [sys.executable, "-m", "cargo_source", "check", "--report", "report.md"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "report.md").read_text()
    assert text.count("| yes |") > 50
    workspace = box.truth("workspaces")[0]
    names = {row["name"] for entity in ("models", "agents", "plays", "tools", "segments") for row in box.truth(entity)}
    names |= {row["slug"] for row in box.truth("models") if len(row["slug"]) > 6} - ENTITIES.keys()
    emails = {row["email"] for row in box.truth("users")}
    for what in {box.token, SECRET.decode(), PERSONAL.decode(), workspace["uuid"], workspace["name"], box.url} | emails:
        assert what not in text
    assert [name for name in names if re.search(rf"\b{re.escape(name)}\b", text)] == []
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text)
    assert not SIGNATURE.search(text.encode())


def test_a_secret_that_nobody_declared_does_not_land(target):
    """A new field that is named like a secret is not kept in _cargo_extra; its neighbours are."""
    rows = [{"uuid": "u", "name": "n", "apiKey": "k", "newThing": {"clientSecret": "s", "size": 1}}]
    columns = ENTITIES["agents"].columns
    table = arrow_table(rows, columns, known=ENTITIES["agents"].fields, run_id="r", dropped=())
    assert json.loads(table.to_pylist()[0]["_cargo_extra"]) == {"newThing": {"size": 1}}
