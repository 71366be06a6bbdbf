"""Processes of their own that begin with what is heavy imported: they are forked from one that has done so.

An interpreter that starts anew takes a second of CPU to import dlt alone.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = (
    "cargo_source.cli",
    "cargo_source.pull.backfill",
    "cargo_source.render",
    "cargo_source.workspace",
    "dlt.destinations.impl.duckdb.duck",
    "pandas",
    "pyarrow.parquet",
    "tests.quick_dlt",
)
CONTEXT.set_forkserver_preload([*PRELOADED, __name__])


def run_command(
    arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], *, timeout: float = 120
) -> subprocess.CompletedProcess:
    """Run ``cargo-source`` as a shell would, and give its exit with what it wrote."""
    return _run(_command, tuple(arguments), cwd, environment, timeout)


def run_code(
    code: str, cwd: Path, environment: Mapping[str, str], *, timeout: float = 120
) -> subprocess.CompletedProcess:
    """Run a program of Python's in ``cwd``, and give its exit with what it wrote."""
    return _run(_code, (code,), cwd, environment, timeout)


def _run(
    target: Callable[..., None], arguments: tuple[str, ...], cwd: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory(prefix="cargo-command-") as folder:
        told = Path(folder)
        child = CONTEXT.Process(target=target, args=(arguments, cwd, dict(environment), told))
        child.start()
        child.join(timeout)
        if child.is_alive():
            child.kill()
            child.join()
            raise subprocess.TimeoutExpired(list(arguments), timeout)
        out, err = ((told / name).read_text(errors="replace") for name in ("out", "err"))
        return subprocess.CompletedProcess(list(arguments), child.exitcode, out, err)


def _command(arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], told: Path) -> None:
    _begin(cwd, environment, told)
    sys.argv[1:] = arguments
    runpy.run_module("cargo_source", run_name="__main__", alter_sys=True)


def _code(arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], told: Path) -> None:
    _begin(cwd, environment, told)
    program = cwd / "block.py"
    program.write_text(arguments[0])
    runpy.run_path(str(program), run_name="__main__")


def _begin(cwd: Path, environment: dict[str, str], told: Path) -> None:
    for name, number in (("out", 1), ("err", 2)):
        os.dup2(os.open(told / name, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
