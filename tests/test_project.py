"""Rules of the project that a machine can keep."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent


def committed() -> list[Path]:
    """Files that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_every_test_states_its_promise_in_one_line():
    """A test without a sentence is a test that nobody can judge."""
    silent = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                text = ast.get_docstring(node)
                if not text or "\n" in text.strip():
                    silent.append(f"{path.name}:{node.lineno} {node.name}")
    assert silent == []


def test_no_committed_file_names_a_registry_or_this_machine():
    """Where packages come from, and where somebody's folders lie, is nobody else's business."""
    hosts = re.compile(
        r"py(pi|thonhosted)\.org|registry\.npm" + r"js\.org|(^|[\s\"'=])/(work|home|root)/", re.MULTILINE
    )
    found = [
        str(path.relative_to(ROOT))
        for path in committed()
        if path.suffix not in {".png", ".ipynb"} and path.name != Path(__file__).name and hosts.search(path.read_text())
    ]
    assert found == []


def test_no_lock_file_is_committed():
    """Lock files of package managers hold hosts."""
    assert not {path.name for path in committed()} & {"uv.lock", "package-lock.json", "poetry.lock"}


def test_constraints_pin_exactly_and_cover_the_dependencies():
    """constraints.txt is name==version, and has every dependency of the project."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", pin) for pin in pins)
    pinned = {pin.split("==")[0].lower().replace("_", "-") for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    assert {re.match(r"[\w-]+", line)[0].lower() for line in wanted} <= pinned


def test_duckdb_stays_below_the_version_that_warns():
    """An install without constraints takes no DuckDB that prints a warning at every sync."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (bounds,) = (SpecifierSet(line.removeprefix("duckdb")) for line in dependencies if line.startswith("duckdb"))
    assert not list(bounds.filter(["2.0.0", "2.1.3"]))
    assert "1.5.6" in bounds


@pytest.mark.parametrize("name", ["dagster", "prefect"])
def test_an_orchestrator_is_pinned_with_what_it_needs(name):
    """Its environment is the same tomorrow: names and versions, what the project needs included."""
    pins = (ROOT / "tests" / "orchestrators" / f"{name}.txt").read_text().splitlines()
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", pin)] == []
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    wanted = {re.match(r"[\w-]+", line)[0].lower() for line in dependencies}
    assert {name, *wanted} <= {pin.split("==")[0].lower().replace("_", "-") for pin in pins}


def test_every_switched_off_lint_rule_has_its_reason():
    """Turn all rules on, then say why one is off."""
    ignores = re.search(r"\[tool\.ruff\.lint\]\n.*?\n\n", (ROOT / "pyproject.toml").read_text(), re.DOTALL)[0]
    rules = [line for line in ignores.splitlines() if re.match(r'\s+"[A-Z]+', line)]
    assert len(rules) > 5
    assert all("# " in line for line in rules)


def test_ignores_in_code_name_their_rule_and_reason():
    """A bare noqa or type: ignore hides more than it says."""
    bare = re.compile(r"# (noqa(?!: [A-Z]+\d+.* - \S)|type: ignore(?!\[[\w-]+(, [\w-]+)*\]))")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / "cargo_source").rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if bare.search(line)
    ]
    assert found == []
