"""Each page is played from top to bottom in a folder of its own: what it tells people to type runs as it stands."""

import os
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock

from cargo_source.catalog import ENTITIES, behind
from cargo_source.pull.session import GREETINGS
from cargo_source.sandbox.gate import GROUPS
from tests.docs.pages import PAGES, ROOT, Block, blocks_of
from tests.forked import run_code, run_command
from tests.small import small_box

SHOWN = {"text"}
"""Languages of blocks that show something, and are held against what it is elsewhere or are drawings."""
FROM_NOTHING = {"warehouses.md"}
"""Pages that begin with a first sync into another place; the others begin where one has been."""
EXPORT = re.compile(r"export (\w+)=(\S+)")


@pytest.fixture(scope="module")
def own():
    """A workspace that the pages may write to."""
    with small_box(7, companies=60) as box:
        yield box


@pytest.fixture(scope="module")
def loaded(own, tmp_path_factory, worker_id):
    """A folder in which the workspace was synced, with views; processes share it, for their workspaces are alike."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "loaded"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            begun = tmp_path_factory.mktemp("begun")
            done = run_command(["sync", "--views"], begun, environment_in(begun, own))
            assert done.returncode == 0, done.stderr
            begun.rename(folder)
    return folder


def environment_in(folder: Path, box) -> dict[str, str]:
    return {
        **os.environ,
        "CARGO_API_TOKEN": box.token,
        "CARGO_API_URL": box.url,
        "HOME": str(folder),
        "PYSPARK_PYTHON": sys.executable,
        "DLT_DATA_DIR": str(folder / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }


class Reader:
    """Somebody who types what a page says."""

    def __init__(self, folder: Path, box, demo: Path) -> None:
        self.folder, self.environment, self._demo = folder, environment_in(folder, box), demo

    def follow(self, block: Block) -> None:
        """Do what a block says. Raises AssertionError, which names the block, where that does not work."""
        match block.language:
            case "console":
                for line in block.commands:
                    self._type(block, line)
            case "python":
                done = run_code(block.code, self.folder, self.environment)
                assert done.returncode == 0, f"{block}: {done.stderr}"
            case "sql":
                self._ask(block)
            case "toml":
                self._configure(block)
            case "json":
                self._misbehave(block)
            case _:
                pytest.fail(f"{block}: nobody knows how to run {block.language!r}")

    def _type(self, block: Block, line: str) -> None:
        words = shlex.split(line)
        if found := EXPORT.fullmatch(line):
            # What stands for a secret stays what it is here.
            self.environment |= {} if found[2] == "..." else {found[1]: found[2]}
        elif words[:2] == ["cargo-source", "demo"]:
            # The demo itself takes long, and has a test of its own: here is a database as it leaves one.
            shutil.copy(self._demo, self.folder / words[words.index("--database") + 1])
        elif words[0] == "cargo-source":
            done = run_command(words[1:], self.folder, self.environment)
            assert done.returncode == 0, f"{block}: {line}: {done.stderr}"
        elif words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{block}: {line}"
        elif words[:2] == ["pip", "install"]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            named = re.fullmatch(r"(?:\.|cargo-source)(?:\[([\w,-]+)\])?", words[-1])
            assert named, f"{block}: {line}"
            assert set(filter(None, (named[1] or "").split(","))) <= set(extras), f"{block}: {line}"
        else:
            pytest.fail(f"{block}: {line}: nobody knows how to run this; mark the block as not run, with the reason")

    def _ask(self, block: Block) -> None:
        here = Path.cwd()
        os.chdir(self.folder)
        try:
            with duckdb.connect("warehouse.duckdb" if Path("warehouse.duckdb").exists() else ":memory:") as db:
                found = db.execute(block.code).fetchall()
        finally:
            os.chdir(here)
        # Nothing is wrong in a workspace in which everything is complete.
        assert found or "<> 'complete'" in block.code, f"{block}: no row"

    def _configure(self, block: Block) -> None:
        """Put the settings where dlt finds them, with what they stand for, and look whether they are found."""
        assert list(tomllib.loads(block.code)) == ["sources"], block
        told = block.code.replace('"..."', f'"{self.environment["CARGO_API_TOKEN"]}"')
        (self.folder / ".dlt").mkdir()
        (self.folder / ".dlt" / "secrets.toml").write_text(told)
        without = {name: value for name, value in self.environment.items() if name != "CARGO_API_TOKEN"}
        done = run_command(["check"], self.folder, without)
        assert done.returncode == 0, f"{block}: {done.stderr}"

    def _misbehave(self, block: Block) -> None:
        """A list of faults is one that the sandbox takes."""
        from cargo_source.sandbox.faults import Faults, read_faults

        file = self.folder / "faults.json"
        file.write_text(block.code)
        assert Faults(7, read_faults(file)).described(), block


PLAYED = {page.name: [block for block in blocks_of(page) if not block.not_run] for page in PAGES}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.spark if name == "spark.md" else ())
        for name, found in PLAYED.items()
        if {block.language for block in found} - SHOWN
    ],
)
def test_a_page_runs_as_it_stands(name, own, loaded, tmp_path):
    """Whoever types what a page says, from top to bottom, gets there."""
    folder = tmp_path / "folder"
    if name in FROM_NOTHING:
        folder.mkdir()
    else:
        shutil.copytree(loaded, folder)
    reader = Reader(folder, own, loaded / "warehouse.duckdb")
    for block in PLAYED[name]:
        if block.language not in SHOWN:
            reader.follow(block)


def test_the_chart_of_the_readme_is_a_picture(own, loaded, tmp_path):
    """From a clone to a chart: the README's own lines draw it out of what a demo leaves."""
    (block,) = [block for block in PLAYED["README.md"] if "altair" in block.code]
    shutil.copy(loaded / "warehouse.duckdb", tmp_path / "demo.duckdb")
    # Up to the chart nobody needs a token.
    code = block.code.partition("with Workspace")[0].replace("warehouse()", 'warehouse("demo.duckdb")')
    environment = environment_in(tmp_path, own) | {"CARGO_API_TOKEN": ""}
    done = run_code(code, tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "credits.png").read_bytes().startswith(b"\x89PNG")


NEEDS = {e.table: frozenset(each.group for each in behind(e)) for e in ENTITIES.values()}


@pytest.mark.parametrize("needs", sorted(set(NEEDS.values()), key=sorted), ids=lambda each: "+".join(sorted(each)))
def test_the_least_permissions_are_enough(needs, own, tmp_path):
    """A token with what docs/security.md lists for a table, and nothing else, syncs that table in the sandbox."""
    tables = [table for table, wanted in NEEDS.items() if wanted == needs]
    if not needs & {ENTITIES[table].group for table in GREETINGS}:
        # Nothing else would tell whose workspace it is.
        needs |= {"workspaceManagement"}
    environment = environment_in(tmp_path, own) | {"CARGO_API_TOKEN": own.token_without(*set(GROUPS) - needs)}
    done = run_command(["sync", "--only", ",".join(tables), "--strict"], tmp_path, environment)
    assert done.returncode == 0, done.stderr
