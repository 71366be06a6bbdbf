"""What must not be found after a sync: tokens, signatures of links and secrets anywhere, cells of rows in logs."""

import os
import re
import subprocess
import sys

import duckdb
import pytest

SYNC = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from cargo_source.cli import main
sys.argv = ["cargo-source", "sync", *sys.argv[1:]]
main()
"""

SECRET = b"sandbox-secret-"
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
    only = ["--only", "models,agents,agent_releases,tools,plays,messages,changes", "--models", "default.contacts"]
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
        assert not SIGNATURE.search(data), what
        # Rows lie in the database, and in the package of a load that did not come to its end.
        if what not in ("output", database) and what.suffix != ".parquet":
            assert [cell for cell in cells if cell in data] == [], what
    if not faults:
        assert_no_cell_holds(database, SECRET.decode())
        assert_no_cell_holds(database, box.token)


def assert_no_cell_holds(database, text):
    with duckdb.connect(str(database), read_only=True) as db:
        tables = [name for (name,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        assert len(tables) > 10
        for table in tables:
            found = db.execute(f'SELECT count(*) FROM cargo."{table}" t WHERE t::VARCHAR LIKE ?', [f"%{text}%"])
            assert found.fetchone() == (0,), table
