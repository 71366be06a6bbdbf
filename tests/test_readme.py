"""What the README says is generated from the project, or run. UPDATE_README=1 writes the generated parts anew."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import duckdb
import pytest

from cargo_source import settings as settings_module
from cargo_source.catalog import ENTITIES
from cargo_source.views import VIEWS
from tests.forked import run_command
from tests.small import small_box

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
COMMANDS = ("check", "discover", "sync", "preview", "views", "report", "push", "rejects", "sandbox", "demo")

REASONS = {
    "dlt": "loads, merges, keeps state: the connector is a dlt source",
    "duckdb": "the default destination; conforms exported parquet; the sandbox's store",
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


def entities() -> str:
    lines = ["| table | key | needs | moves by | complete when | what it holds |", "|---|---|---|---|---|---|"]
    for e in ENTITIES.values():
        needs = f"`{e.permission}`" + (", admin" if e.admin else "")
        key = ", ".join(f"`{name}`" for name in e.key)
        lines.append(f"| `{e.table}` | {key} | {needs} | {e.cursor} | {e.evidence} | {e.description} |")
    return "\n".join(lines)


def dependencies() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w-]+", line)[0] for line in project["dependencies"]]
    return "\n".join(f"- **{name}**: {REASONS[name]}" for name in names)


def settings() -> str:
    rows = [line.split("|")[1:-1] for line in settings_module.__doc__.splitlines() if line.startswith("| ")][1:]
    lines = ["| setting | environment | dlt's configuration | default |", "|---|---|---|---|"]
    lines += [
        f"| {what.strip()} | `{variable.strip()}` | `sources.cargo.{name.strip()}` | {default.strip()} |"
        for what, variable, name, default in rows
    ]
    return "\n".join(lines)


def commands() -> str:
    from typer.main import get_command

    from cargo_source.cli import app

    found = get_command(app).commands
    lines = ["| command | what it does | options |", "|---|---|---|"]
    for name in COMMANDS:
        options = [
            f"`{max(param.opts, key=len)}`" if param.param_type_name == "option" else f"`{param.name.upper()}`"
            for param in found[name].params
            if param.name != "help"
        ]
        lines.append(f"| `{name}` | {found[name].help.splitlines()[0]} | {' '.join(options)} |")
    return "\n".join(lines)


def views() -> str:
    return "\n".join(["| view | what it shows |", "|---|---|", *(f"| `{v.name}` | {v.description} |" for v in VIEWS)])


GENERATED = {
    "entities": entities,
    "dependencies": dependencies,
    "settings": settings,
    "commands": commands,
    "views": views,
}


def part(name: str) -> str:
    return re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README.read_text(), re.DOTALL)[1].strip()


def put(name: str, text: str) -> None:
    whole = re.sub(
        rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
        lambda m: f"{m[1]}{text}\n{m[2]}",
        README.read_text(),
        flags=re.DOTALL,
    )
    README.write_text(whole)


@pytest.mark.parametrize("name", GENERATED)
def test_generated_parts_are_what_the_project_says(name):
    """The tables of the README are those of the code."""
    expected = GENERATED[name]()
    if os.environ.get("UPDATE_README"):
        put(name, expected)
    assert part(name) == expected


def test_every_command_is_in_the_readme():
    """A command that nobody can read about does not exist."""
    from typer.main import get_command

    from cargo_source.cli import app

    assert set(get_command(app).commands) == set(COMMANDS)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def own():
    """A workspace that the README may write to."""
    with small_box(7, companies=60) as box:
        yield box


@pytest.mark.parametrize("code", blocks("python"), ids=range(len(blocks("python"))))
def test_python_blocks_run(code, own, tmp_path):
    """Every Python block of the README runs as it stands, against the sandbox."""
    environment = {
        **os.environ,
        "CARGO_API_TOKEN": own.token,
        "CARGO_API_URL": own.url,
        "HOME": str(tmp_path),
        "DLT_DATA_DIR": str(tmp_path / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_shell_blocks_run(own, tmp_path):
    """Every cargo-source command of the README's shell blocks runs and exits with 0."""
    lines = [
        line.removeprefix("$ ").split("#")[0].strip() for block in blocks("console") for line in block.splitlines()
    ]
    ours = [shlex.split(line)[1:] for line in lines if line.startswith("cargo-source") and "demo" not in line]
    assert len(ours) >= 3
    environment = {
        **os.environ,
        "CARGO_API_TOKEN": own.token,
        "CARGO_API_URL": own.url,
        "HOME": str(tmp_path),
    }
    for arguments in ours:
        done = run_command(arguments, tmp_path, environment)
        assert done.returncode == 0, done.stderr


def test_sql_blocks_run(own, tmp_path):
    """Every SQL block of the README is asked of a database that was just loaded, views and all."""
    environment = {**os.environ, "CARGO_API_TOKEN": own.token, "CARGO_API_URL": own.url, "HOME": str(tmp_path)}
    done = run_command(["sync", "--views"], tmp_path, environment)
    assert done.returncode == 0, done.stderr
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        rows = [len(db.execute(query).fetchall()) for query in blocks("sql")]
    assert len(rows) >= 3
    assert max(rows) > 10


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


def test_the_demo_shows_what_the_readme_shows(tmp_path):
    """The demo's output in the README is its real output, but for the seconds and the port."""
    environment = {**os.environ, "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "cargo_source", "demo"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    if os.environ.get("UPDATE_README"):
        shown = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
        put("demo", f"```text\n{shown}\n```")
    assert shape(part("demo").removeprefix("```text\n").removesuffix("```").strip()) == shape(done.stdout.strip())
