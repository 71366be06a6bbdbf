"""The client for threads: carries out the steps of a request by blocking."""

import time
from collections.abc import Callable
from contextlib import closing
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from cargo_source.api.answers import Reply
from cargo_source.api.asking import Ask
from cargo_source.api.exchange import Outcome, Steps
from cargo_source.api.line import line_for
from cargo_source.api.links import Download, Fetch
from cargo_source.api.pacer import Sleep, Turn
from cargo_source.api.surface import StandIns, Surface
from cargo_source.api.wire import without_frames
from cargo_source.settings import Settings

T = TypeVar("T")


class CargoClient(Surface[Reply, Download]):
    """Speaks to the API of one workspace; threads may share it.

    Requests wait in the workspace's line (``pacer``), are repeated where that is safe, and raise CargoError by remedy.
    ``clock``, ``sleep`` and ``random`` (0 to 1) stand in for time and chance in tests, ``transport`` for the network.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
        **means: Unpack[StandIns],
    ) -> None:
        super().__init__(settings, **means)
        self._sleep = sleep
        self._line = line_for(settings, self._auth, transport)

    def close(self) -> None:
        """Close the connections."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reply(self, steps: Steps[Reply]) -> Reply:
        return self._drive(steps)

    def _file(self, steps: Steps[Download]) -> Download:
        return self._drive(steps)

    def _drive(self, steps: Steps[T]) -> T:
        with closing(steps):
            try:
                step = next(steps)
                while True:
                    step = steps.send(self._carry_out(step))
            except StopIteration as end:
                result: T = end.value
                return result

    def _carry_out(self, step: Ask | Fetch | Sleep | Turn) -> Outcome:
        match step:
            case Sleep():
                self._sleep(step.seconds)
            case Turn():
                step.called.result()
            case Ask() | Fetch():
                return self._send(step)
        return None

    def _send(self, step: Ask | Fetch) -> Outcome:
        try:
            return self._line.send(step)
        except BaseException as error:  # noqa: BLE001 - it is raised again, without what its frames hold
            raise without_frames(error) from None
