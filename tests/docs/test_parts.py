"""What is generated in the pages is what the project says. UPDATE_DOCS=1 writes these parts anew."""

import os
import re
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from typer.main import get_command

from cargo_source import settings as settings_module
from cargo_source.assumptions import PROBES
from cargo_source.catalog import ENTITIES, Entity, behind, permissions_of
from cargo_source.cli import app
from cargo_source.push.sizes import MOST
from cargo_source.sandbox import faults as faults_module
from cargo_source.views import VIEWS
from tests.docs.pages import ROOT, part, put

UPDATE = bool(os.environ.get("UPDATE_DOCS"))
DEMO = ROOT / "docs" / "demo.md"
COMMANDS = ("check", "discover", "sync", "preview", "views", "report", "push", "rejects", "sandbox", "demo")

REASONS = {
    "dlt": "loads, merges, keeps state: the connector is a dlt source",
    "duckdb": "the default destination; conforms parquet; the sandbox's store; below 2, which warns at every sync",
    "filelock": "one sync at a time in one folder of state",
    "httpx": "speaks HTTP, behind one seam",
    "msgspec": "decodes JSON quickly, with integers of any size",
    "numpy": "duckdb's functions in Python, by which a push compares nested values, need it",
    "pyarrow": "typed rows from the wire to the destination",
    "rich": "tables and progress in a terminal",
    "sqlglot": "reads the warehouse's DDL, and the SQL that the sandbox answers; bounded for dlt",
    "starlette": "the sandbox's routes",
    "tenacity": "the arithmetic of retries (dlt has it already)",
    "typer": "the command line",
    "uvicorn": "the sandbox's HTTP server",
}


def table(*lines: tuple[str, ...]) -> str:
    """Write a table; the first line is its head."""
    head, *rows = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rows])


def listed(names) -> str:
    return ", ".join(f"`{name}`" for name in names)


def needs(entity: Entity) -> str:
    """Write the permissions that are needed for an entity and all that it is read through."""
    return ", ".join(f"`{name}`{admin}" for name, admin in map(_apart, permissions_of(entity)))


def _apart(needed: str) -> tuple[str, str]:
    name, admin, _ = needed.partition(" (admin)")
    return name, admin and ", admin"


def entities() -> str:
    rows = [
        (
            f"`{e.table}`",
            listed(e.key),
            needs(e),
            e.cursor,
            e.evidence,
            e.description,
        )
        for e in ENTITIES.values()
    ]
    return table(("table", "key", "needs", "moves by", "complete when", "what it holds"), *rows)


def permissions() -> str:
    """The operations of an entity, and the permissions of all that it is read through, the catalogue's words."""
    rows = []
    for e in ENTITIES.values():
        read = [each.table for each in behind(e)]
        calls = [each.call for each in behind(e) if each.call]
        paths = dict.fromkeys(f"{call.method} {call.path}" for call in calls)
        rows.append(
            (
                f"`{e.table}`",
                needs(e),
                listed(read[1:]) or "",
                "; ".join(f"`{path}`" for path in paths),
            )
        )
    return table(("table", "least permissions", "read through", "operations"), *rows)


def landing() -> str:
    """What never lands of an entity, and what lands only when it is asked for."""
    rows = [
        (
            f"`{e.table}`",
            listed(e.dropped),
            listed(column.name for column in e.columns if column.personal),
        )
        for e in ENTITIES.values()
        if e.dropped or any(column.personal for column in e.columns)
    ]
    return table(("table", "fields that never land", "columns that land only when asked for"), *rows)


def assumptions() -> str:
    return table(
        ("topic", "what is assumed"), *((topic, assumed.replace("|", "\\|")) for topic, (assumed, _) in PROBES.items())
    )


def faults() -> str:
    """The kinds of faults with what they do, as the source has them."""
    kinds = re.findall(r'^    "(\w+)",  # (.+)$', Path(faults_module.__file__).read_text(), re.MULTILINE)
    assert [kind for kind, _ in kinds] == list(faults_module.KINDS)
    return table(("kind", "what happens"), *((f"`{kind}`", what) for kind, what in kinds))


def dependencies() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w-]+", line)[0] for line in project["dependencies"]]
    return "\n".join(f"- **{name}**: {REASONS[name]}" for name in names)


def settings() -> str:
    rows = [line.split("|")[1:-1] for line in settings_module.__doc__.splitlines() if line.startswith("| ")][1:]
    cells = [
        (what.strip(), f"`{variable.strip()}`", f"`sources.cargo.{name.strip()}`", default.strip())
        for what, variable, name, default in rows
    ]
    return table(("setting", "environment", "dlt's configuration", "default"), *cells)


def commands() -> str:
    found = get_command(app).commands
    rows = []
    for name in COMMANDS:
        options = [
            f"`{max(param.opts, key=len)}`" if param.param_type_name == "option" else f"`{param.name.upper()}`"
            for param in found[name].params
            if param.name != "help"
        ]
        rows.append((f"`{name}`", found[name].help.splitlines()[0], " ".join(options)))
    return table(("command", "what it does", "options"), *rows)


def views() -> str:
    return table(("view", "what it shows"), *((f"`{view.name}`", view.description) for view in VIEWS))


def demo_part() -> str:
    """The part of the demo's output that the README shows: a question, and the plan of a push."""
    lines = part(DEMO, "demo").splitlines()

    def between(first: str, last: str) -> list[str]:
        start = next(n for n, line in enumerate(lines) if line.startswith(first))
        end = next(n for n, line in enumerate(lines) if n > start and line.startswith(last))
        return lines[start:end]

    shown = [*between("Which agents spend", "Which plays"), *between("updates ", "and ")]
    while not shown[-1]:
        shown.pop()
    return "\n".join(["```text", *shown, "```"])


def requests() -> str:
    """How long it takes to send many rows, by what a request holds and how many there are in a second."""
    lines = [
        "| rows | requests | 4 in flight | 16 in flight | where 5 a second are let through |",
        "|---|---|---|---|---|",
    ]
    for rows, kind, told in (
        (1_000_000, "update", "updated"),
        (100_000_000, "update", "updated"),
        (1_000_000, "create", "created"),
        (100_000_000, "create", "created"),
    ):
        calls = rows // MOST[kind]
        cells = [spoken(timedelta(seconds=calls / rate)) for rate in (4 / 0.2, 16 / 0.2, 5)]
        lines.append(f"| {rows:,} {told} | {calls:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spoken(time: timedelta) -> str:
    """A time as people say it."""
    hours, seconds = divmod(round(time.total_seconds()), 3600)
    return f"{hours} h {seconds // 60} min" if hours else f"{seconds // 60} min {seconds % 60} s"


GENERATED = {
    "requests": ("docs/spark.md", requests),
    "entities": ("docs/tables.md", entities),
    "permissions": ("docs/security.md", permissions),
    "landing": ("docs/security.md", landing),
    "assumptions": ("docs/api.md", assumptions),
    "faults": ("docs/sandbox.md", faults),
    "settings": ("docs/token.md", settings),
    "commands": ("docs/commands.md", commands),
    "views": ("docs/views.md", views),
    "demo-part": ("README.md", demo_part),
    "dependencies": ("README.md", dependencies),
}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_parts_are_what_the_project_says(name):
    """Tables in README.md and docs/ are those of the code."""
    file, made = GENERATED[name]
    page, expected = ROOT / file, made()
    if UPDATE:
        put(page, name, expected)
    assert part(page, name) == expected


def test_every_command_is_documented():
    """A command that nobody can read about does not exist."""
    assert set(get_command(app).commands) == set(COMMANDS)


def shape(text: str) -> list[str]:
    """A text without what differs from run to run: port, seconds, the width that they take, and some requests.

    Lists that nobody counts are asked for ahead of their end, how far depends on who is quicker.
    """
    text = re.sub(r"(by parent.*?\s)[\d,]+(\s+\d+\.\d\s)", r"\1N\2", text)
    text = re.sub(r"[\d,]+ requests", "N requests", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"\d+\.\d s\b", "N s", text)
    lines = (re.sub(r"(?<=\s)\d+\.\d(?=\s+(complete|refreshing|skipped))", "N", line) for line in text.splitlines())
    return [re.sub(r"[\s─]+", " ", line).strip() for line in lines]


def test_the_demo_shows_what_the_pages_show(tmp_path):
    """The demo's output in docs/demo.md is its real output, but for seconds and port, and its tables make a report."""
    environment = {**os.environ, "HOME": str(tmp_path)}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "cargo_source", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = run("demo", "--database", "demo.duckdb").strip().removesuffix("The tables are in demo.duckdb, schema cargo.")
    if UPDATE:
        shown = "\n".join(line.rstrip() for line in told.strip().splitlines())
        put(DEMO, "demo", f"```text\n{shown}\n```")
        # A part of it is the README's.
        put(ROOT / GENERATED["demo-part"][0], "demo-part", demo_part())
    assert shape(part(DEMO, "demo").removeprefix("```text\n").removesuffix("```").strip()) == shape(told.strip())
    run("report", "report.html", "--database", "demo.duckdb")
    assert "<svg" in (tmp_path / "report.html").read_text()
