"""Reading that stops when its time is up: looked at before each request, so that nothing is cut in the middle."""

import time
from collections.abc import Callable

from cargo_source.api import CargoClient, Reply
from cargo_source.api.exchange import Steps
from cargo_source.api.links import Download
from cargo_source.errors import OutOfTime
from cargo_source.settings import Settings


class Deadline:
    """So many minutes from now. ``clock`` gives seconds."""

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._minutes, self._clock = minutes, clock
        self._end = clock() + 60 * minutes

    def check(self) -> None:
        """Raise OutOfTime when they are over."""
        if self._clock() >= self._end:
            raise OutOfTime(
                f"the {self._minutes:g} minutes of --max-minutes were over before all was read: run the same command"
                " again, and it goes on from there"
            )


class TimedClient(CargoClient):
    """A client that sends nothing more when time is up."""

    def __init__(self, settings: Settings, deadline: Deadline) -> None:
        super().__init__(settings)
        self._deadline = deadline

    def _reply(self, steps: Steps[Reply]) -> Reply:
        self._deadline.check()
        return super()._reply(steps)

    def _file(self, steps: Steps[Download]) -> Download:
        self._deadline.check()
        return super()._file(steps)
