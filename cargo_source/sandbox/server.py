"""A sandbox in this process: a port on loopback, served by a thread."""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

import uvicorn

from cargo_source.sandbox.app import build_app
from cargo_source.sandbox.faults import Faults, read_faults
from cargo_source.sandbox.front import Desk
from cargo_source.sandbox.gate import RateLimit, Tokens
from cargo_source.sandbox.store import Store
from cargo_source.sandbox.truth import truth, truth_rows
from cargo_source.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from pathlib import Path
    from types import FrameType, TracebackType

    from cargo_source.sandbox.journal import Journal
    from cargo_source.sandbox.runtime_tables import Columns
    from cargo_source.sandbox.workspace.poking import Poking
    from cargo_source.sandbox.workspace.reshaping import Reshaping

HOST = "127.0.0.1"
KEEP_ALIVE_SECONDS = 120
"""Longer than clients pause, so that they never meet a connection that is just being closed."""


class Sandbox:
    """A local Cargo workspace behind a real HTTP port.

    Use it as a context manager: `with Sandbox(seed=7, companies=500) as box:`, then `box.url` (the root, the API is
    under /v1) and `box.token`. `faults` is a list of faults, each a dict as in a faults file. `rate_limit` is in
    requests per second. `sql_columns` says which columns `orchestration/query` knows: those that are confirmed, or all
    that the API's fields suggest; it does not see rows that moved less than `sql_lag` seconds ago.
    """

    def __init__(  # noqa: PLR0913 - each is a switch of the sandbox
        self,
        *,
        seed: int = 7,
        companies: int = 500,
        start: datetime | None = None,
        port: int = 0,
        rate_limit: float | None = None,
        faults: Iterable[dict[str, Any]] = (),
        sql_columns: Columns = "confirmed",
        sql_lag: float = 0,
    ) -> None:
        self.world = World(seed=seed, companies=companies, start=start)
        store = Store(self.world, sql_columns=sql_columns, sql_lag=sql_lag)
        self._desk = Desk(store, Tokens(seed), Faults(seed, faults or ()), RateLimit(rate_limit))
        self._port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.url = ""

    @property
    def token(self) -> str:
        """A token that may read everything."""
        return self._desk.tokens.full

    @property
    def control_token(self) -> str:
        """The token of the control door."""
        return self._desk.tokens.control

    @property
    def faults(self) -> Faults:
        """What goes wrong: `box.faults.add(path=..., kind=...)`, `box.faults.clear()`."""
        return self._desk.faults

    @property
    def journal(self) -> Journal:
        """What was asked and served."""
        return self._desk.journal

    @property
    def rate(self) -> RateLimit:
        """The rate limit; its `per_second` and `retry_after` may be set at any time."""
        return self._desk.rate

    def token_without(self, *groups: str) -> str:
        """Give a token that lacks groups of permissions, such as `segmentation`."""
        return self._desk.tokens.without(*groups)

    def token_for_member(self) -> str:
        """Give a token that has every group of permissions and is refused where only an administrator may."""
        return self._desk.tokens.member

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0) -> dict[str, int]:
        """Let time pass and give what happened, as counts per kind of event."""
        with self._desk.store.lock:
            return self.world.advance(days=days, hours=hours, minutes=minutes)

    def touch(self, model_uuid: str, rows: int) -> None:
        """Insert rows into a model and change as many, right now."""
        with self._desk.store.lock:
            self.world.touch(model_uuid, rows)

    def truth(self, entity: str) -> list[dict[str, Any]]:
        """Give all objects of an entity as they are on the wire, straight from the store."""
        with self._desk.store.lock:
            return truth(self.world, entity)

    def truth_rows(self, model_uuid: str) -> list[dict[str, Any]]:
        """Give all rows of a model as they are on the wire, straight from the store."""
        with self._desk.store.lock:
            return truth_rows(self.world, model_uuid)

    @property
    def reshape(self) -> Reshaping:
        """What changes models and their columns; call it while nobody asks."""
        return self.world.reshape

    @property
    def poke(self) -> Poking:
        """What lets single things happen: to rows, segments, runs, batches and chats; call it while nobody asks."""
        return self.world.poke

    def start(self) -> Self:
        """Open the port and serve until `stop`."""
        # With the protocol named, asyncio sets TCP_NODELAY; without it each answer waits 40 ms for an ACK.
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, self._port))
        except OSError:
            sock.close()
            raise
        self.url = self._desk.store.origin = f"http://{HOST}:{sock.getsockname()[1]}"
        sock.listen(socket.SOMAXCONN)  # from here on requests wait in line instead of being refused
        self._server = uvicorn.Server(_quiet(build_app(self._desk)))
        self._thread = threading.Thread(target=self._server.run, args=([sock],), name="sandbox", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and remove export files; the world can still be read."""
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join()
            self._server = self._thread = None
        self._desk.store.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _quiet(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        date_header=False,  # the sandbox sends its own time
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
    )


def serve(  # noqa: PLR0913 - each is a switch of the command
    *,
    announce: Callable[[dict[str, str]], None],
    port: int = 0,
    seed: int = 7,
    companies: int = 500,
    start: datetime | None = None,
    rate_limit: float | None = None,
    faults: Path | None = None,
    sql_columns: Columns = "confirmed",
    sql_lag: float = 0,
) -> None:
    """Serve a sandbox until SIGINT or SIGTERM; `announce` gets url, token and control_token once it listens.

    Raises:
        FaultError: The faults file is not what it should be.
        OSError: The port is taken, or the faults file cannot be read.
    """
    given = read_faults(faults) if faults else ()
    box = Sandbox(
        seed=seed,
        companies=companies,
        start=start,
        port=port,
        rate_limit=rate_limit,
        faults=given,
        sql_columns=sql_columns,
        sql_lag=sql_lag,
    )
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with box:
            announce({"url": box.url, "token": box.token, "control_token": box.control_token})
            stopped.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
