import ast
import subprocess
import sys
from pathlib import Path

import cargo_source.sandbox

HOME = Path(cargo_source.sandbox.__file__).parent


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_sandbox_imports_nothing_of_the_connector():
    """A witness that shared the connector's code would share its mistakes."""
    for path in HOME.rglob("*.py"):
        names = [name for name in imported(path) if name.startswith("cargo_source")]
        assert [name for name in names if not name.startswith("cargo_source.sandbox")] == [], path


def test_running_the_sandbox_loads_nothing_of_the_connector():
    """Not at run time either: no module of the connector, and not dlt."""
    code = (
        "import sys; from cargo_source.sandbox import Sandbox; box = Sandbox(companies=1).start(); box.stop();"
        "print([m for m in sys.modules if m.split('.')[0] == 'dlt'"
        " or m.startswith('cargo_source.') and not m.startswith('cargo_source.sandbox')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
