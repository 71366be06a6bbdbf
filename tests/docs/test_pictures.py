"""Pictures of the command line in docs/img show what it writes, and that is so. UPDATE_IMAGES=1 draws them anew."""

import os
import re

import duckdb
import pytest

from cargo_source.catalog import ENTITIES, behind
from cargo_source.sandbox import Sandbox
from tests.docs.pages import PAGES, ROOT
from tests.docs.terminal import picture, run_in_terminal, shape_of, text_of

IMAGES = ROOT / "docs" / "img"
SMALL = 60_000
"""Bytes that a picture may have."""

COMMANDS = {
    "sync": """\
cargo-source sync --only segments,segment_members,plays,runs,agents,agent_runs \\
    --models default.companies,default.contacts""",
    "push": """\
cargo-source push --dry-run --mode update --model default.companies --key domain \\
    --database warehouse.duckdb "SELECT domain, 'qualified' AS stage FROM cargo.default__companies
      WHERE stage = 'lead' AND employees_count > 2500\"""",
    "check": "cargo-source check",
}


@pytest.fixture(scope="module")
def box():
    """The workspace of `cargo-source sandbox`, so that whoever tries it sees the same."""
    with Sandbox(seed=7, companies=500) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("terminal")


@pytest.fixture(scope="module")
def drawn(box, folder):
    """Each command once, in their order: what is pushed was synced."""
    token = {"check": box.token_without("content")}
    found = {}
    for name, shown in COMMANDS.items():
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CARGO_")}
        environment |= {"HOME": str(folder), "CARGO_API_URL": box.url, "CARGO_API_TOKEN": token.get(name, box.token)}
        found[name] = picture(shown, run_in_terminal(shown, folder, environment), f"terminal-{name}")
    if os.environ.get("UPDATE_IMAGES"):
        for name, svg in found.items():
            (IMAGES / f"terminal-{name}.svg").write_text(svg)
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_picture_shows_what_the_command_writes(drawn, name):
    """The committed one is what the command writes today, but for seconds and requests, and small; a page shows it."""
    committed = (IMAGES / f"terminal-{name}.svg").read_text()
    assert shape_of(committed) == shape_of(drawn[name])
    assert len(committed) < SMALL
    assert any(f"img/terminal-{name}.svg" in page.read_text() for page in PAGES)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_picture_asks_for_nothing(box, drawn, name):
    """No address but the name of the format, no font from elsewhere, no script; no token."""
    committed = (IMAGES / f"terminal-{name}.svg").read_text()
    assert re.findall(r"\w+://[^\s\"'<>)]+", committed) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<script|<image|<use|<foreignObject|@import|@font-face|href|url\((?!#)", committed)
    assert box.token not in committed


def rows_of(svg: str) -> dict[str, list[str]]:
    """The rows of the table in a picture, by their first word."""
    lines = text_of(svg)
    start = next(number for number, line in enumerate(lines) if "───" in line)
    end = lines.index("", start)
    return {line.split()[0]: re.split(r"\s{2,}", line.strip()) for line in lines[start + 1 : end]}


def model_rows(box: Sandbox, slug: str) -> list[dict]:
    """The rows of a model of the dataset `default`."""
    (dataset,) = (each["uuid"] for each in box.truth("datasets") if each["slug"] == "default")
    (uuid,) = (each["uuid"] for each in box.truth("models") if (each["datasetUuid"], each["slug"]) == (dataset, slug))
    return box.truth_rows(uuid)


def test_the_sync_of_the_picture_loaded_what_there_is(box, drawn, folder):
    """Its rows are those of the tables, and of the workspace."""
    shown = {table: int(row[1].replace(",", "")) for table, row in rows_of(drawn["sync"]).items()}
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as db:
        for table, rows in shown.items():
            assert db.execute(f"SELECT count(*) FROM cargo.{table}").fetchone() == (rows,), table
        (members,) = db.execute("SELECT count(*) FROM cargo.segment_members").fetchone()
    listed = {table: len(box.truth(table)) for table in ("segments", "plays", "runs", "agents")}
    listed |= {f"default__{slug}": len(model_rows(box, slug)) for slug in ("companies", "contacts")}
    assert shown == shown | listed
    assert shown["segment_members"] == members > 0
    assert text_of(drawn["sync"])[-1].startswith(f"{sum(shown.values()):,} rows into warehouse.duckdb")


def test_the_plan_of_the_picture_is_right(box, drawn):
    """It updates the leads that are large enough, out of all companies, and shows cells as they are."""
    rows = model_rows(box, "companies")
    leads = {row["domain"] for row in rows if row["stage"] == "lead" and (row["employeesCount"] or 0) > 2500}
    text = text_of(drawn["push"])
    assert any(line.startswith(f"updates {len(leads)} of {len(rows)} companies; ") for line in text)
    cells = [line.split() for line in text if line.startswith(" update ")]
    assert {tuple(cell[2:]) for cell in cells} == {("stage", "lead", "qualified")}
    assert {cell[1] for cell in cells} <= leads
    assert f"and {len(leads) - len(cells)} more rows" in text


def test_the_check_of_the_picture_says_what_the_token_may_do(box, drawn):
    """It names the workspace and every entity, and refuses those that are read through what the token lacks."""
    (workspace,) = box.truth("workspaces")
    assert f"{workspace['name']} {workspace['uuid']}" in "\n".join(text_of(drawn["check"]))
    verdicts = {table: row[2] for table, row in rows_of(drawn["check"]).items()}
    refused = {each.table for each in ENTITIES.values() if "content" in {of.group for of in behind(each)}}
    assert verdicts == {table: "no" if table in refused else "yes" for table in ENTITIES}
