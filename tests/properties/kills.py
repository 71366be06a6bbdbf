"""Work in a process of its own that is killed (SIGKILL) at a chosen point: no handler, no finally, no flush."""

import importlib
import os
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tests.forked import CONTEXT
from tests.target import Target


@dataclass(frozen=True)
class Point:
    """A function at which a process can be killed: just before it does its work, or just after."""

    module: str
    name: str
    when: Literal["before", "after"]
    usual: int
    """How often even a small piece of work comes by."""


DUCK = "dlt.destinations.impl.duckdb.duck"
CLIENT = "dlt.destinations.job_client_impl"
POINTS = {
    "request sent": Point("cargo_source.api.client", "CargoClient._send", "before", 15),
    "answer received": Point("cargo_source.api.client", "CargoClient._send", "after", 15),
    "spool file begun": Point("cargo_source.pull.spool", "Spool.new_file", "after", 3),
    "extracted": Point("dlt.pipeline.pipeline", "Pipeline.normalize", "before", 1),
    "normalized": Point("dlt.pipeline.pipeline", "Pipeline.load", "before", 1),
    "copy begun": Point(DUCK, "DuckDbCopyJob.run", "before", 3),
    "copy committed": Point(DUCK, "DuckDbCopyJob.run", "after", 3),
    "merge begun": Point(CLIENT, "SqlLoadJob.run", "before", 1),
    "merge not committed": Point("dlt.destinations.impl.duckdb.sql_client", "DuckDbSqlClient.execute_many", "after", 3),
    "merge committed": Point(CLIENT, "SqlLoadJob.run", "after", 1),
    "load not noted": Point(CLIENT, "SqlJobClientBase.complete_load", "before", 1),
    "load noted": Point(CLIENT, "SqlJobClientBase.complete_load", "after", 1),
    "package not done": Point("dlt.common.storages.load_storage", "LoadStorage.complete_load_package", "before", 1),
    "told not": Point("cargo_source.pull.syncs", "load", "before", 1),
    "told": Point("cargo_source.pull.syncs", "load", "after", 1),
    "state not written": Point("dlt.pipeline.pipeline", "Pipeline._save_state", "before", 2),
    "state written": Point("dlt.pipeline.pipeline", "Pipeline._save_state", "after", 2),
}


@dataclass(frozen=True)
class Kill:
    """Which point, and at which of the times that a sync comes by: a share of ``of``, or of what is usual."""

    point: str
    share: float
    of: int | None = None
    points: Mapping[str, Point] = field(default_factory=lambda: POINTS)

    @property
    def turn(self) -> int:
        """The turn at which it happens, from one."""
        return 1 + int(self.share * (self.of or self.points[self.point].usual))


def killed_sync(target: Target, box: Any, load: Any, kill: Kill | None) -> Counter[str]:
    """Sync in another process, which is killed if it comes to the point; give how often it came by each one.

    Raises AssertionError where the sync fails by itself.
    """
    return killed(partial(load.sync, Target(target.folder), Door(box.url, box.token)), target.folder, kill, POINTS)


def killed(work: Callable[[], object], folder: Path, kill: Kill | None, points: Mapping[str, Point]) -> Counter[str]:
    """Work in another process, which is killed if it comes to the point; give how often it came by each one.

    Raises AssertionError where the work fails by itself.
    """
    told = folder / "child"
    told.mkdir(exist_ok=True)
    child = CONTEXT.Process(target=_work, args=(work, kill, points, told))
    child.start()
    child.join(120)
    if child.is_alive():
        child.kill()
        raise AssertionError("the work hangs")
    failed = (told / "failed").read_text() if (told / "failed").exists() else ""
    passed = Counter((told / "passed").read_text().splitlines())
    assert child.exitcode in {0, -signal.SIGKILL}, failed or f"the work ended with {child.exitcode}"
    assert (child.exitcode == -signal.SIGKILL) == (kill is not None and passed[kill.point] >= kill.turn)
    for file in told.iterdir():
        file.unlink()
    return passed


class Door:
    """What a child process shows of a sandbox that another process serves."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token


def _work(work: Callable[[], object], kill: Kill | None, points: Mapping[str, Point], told: Path) -> None:
    # Written without a buffer, so that what was told stands however the process ends.
    passed = os.open(told / "passed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    _hook(passed, kill, points)
    try:
        work()
    except BaseException:  # noqa: BLE001 - whatever it is, the other process has to be told
        (told / "failed").write_text(traceback.format_exc())
        os._exit(1)
    os._exit(0)


def _hook(passed: int, kill: Kill | None, points: Mapping[str, Point]) -> None:
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def come_by(name: str) -> None:
        with lock:
            counts[name] += 1
            os.write(passed, f"{name}\n".encode())
            if kill is not None and name == kill.point and counts[name] == kill.turn:
                os.kill(os.getpid(), signal.SIGKILL)

    for name, point in points.items():
        owner, _, function = point.name.rpartition(".")
        module = importlib.import_module(point.module)
        holder = getattr(module, owner) if owner else module
        setattr(holder, function, _around(getattr(holder, function), point.when, lambda name=name: come_by(name)))


def _around(function: Callable[..., Any], when: str, come_by: Callable[[], None]) -> Callable[..., Any]:
    def around(*given: Any, **named: Any) -> Any:
        if when == "before":
            come_by()
        result = function(*given, **named)
        if when == "after":
            come_by()
        return result

    return around
