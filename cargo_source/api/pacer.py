"""One line of waiting requests per workspace, shared by all threads, tasks and clients of this process.

:mod:`cargo_source.api.pace` decides; this waits. Waiters stand in one line. Only the first of them asks for a permit,
in its own thread or task, and lets the next one ask when it has gone: so a permit is never given to somebody who is no
longer there, and a waiter that is cancelled leaves the line by itself. As with any lock, a task that blocks its event
loop while other tasks of that loop hold the permits waits for itself.
"""

import hashlib
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass

from cargo_source.api.pace import Pace, Permit
from cargo_source.settings import Settings


@dataclass(frozen=True)
class Sleep:
    """A step: let some seconds pass."""

    seconds: float


class Turn:
    """A step: wait until somebody says that it is one's turn to look again."""

    def __init__(self) -> None:
        self.called: Future[None] = Future()
        # A running future cannot be cancelled, so that a call never meets a future that is done.
        self.called.set_running_or_notify_cancel()

    def call(self) -> None:
        """Wake the one who waits; the lock of the line is held."""
        if not self.called.done():
            self.called.set_result(None)


class Place:
    """A place in the line, with the turn that its owner waits for."""

    turn: Turn | None = None


class TooLong(Exception):
    """The pause is longer than the asker may wait: ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Pacer:
    """Gives out the permits of one workspace. ``most`` is the most requests in flight; ``clock`` never goes back."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.pace = Pace(most)
        self._clock = clock
        self._line: deque[Place] = deque()
        # Reentrant, because the garbage collector may close a waiting request anywhere, also in here.
        self._lock = threading.RLock()

    def permit(self, patience: float) -> Generator[Sleep | Turn, None, Permit]:
        """Wait for a permit by steps. Raises TooLong if everybody is paused for more than ``patience`` seconds."""
        place = Place()
        with self._lock:
            self._line.append(place)
        try:
            while True:
                step = self._look(place, patience)
                if isinstance(step, Permit):
                    return step
                yield step
        finally:
            with self._lock:
                self._line.remove(place)
                self._call_first()

    def _look(self, place: Place, patience: float) -> Permit | Sleep | Turn:
        with self._lock:
            now = self._clock()
            if self.pace.paused_until - now > patience:
                raise TooLong(self.pace.paused_until - now)
            if self._line[0] is place:
                answer = self.pace.ask(now)
                if isinstance(answer, Permit):
                    return answer
                if answer < float("inf"):
                    return Sleep(answer)
            place.turn = Turn()
            return place.turn

    def _call_first(self) -> None:
        if self._line and self._line[0].turn:
            self._line[0].turn.call()

    def answered(self) -> None:
        """Tell that a request was answered."""
        with self._lock:
            self.pace.answered()

    def refused(self, permit: Permit, delay: float) -> None:
        """Tell that a request was refused (429), and how long nobody should start."""
        with self._lock:
            self.pace.refused(permit, self._clock(), delay)

    def leave(self) -> None:
        """Give a permit back."""
        with self._lock:
            self.pace.leave(self._clock())
            self._call_first()

    def allow(self, most: int) -> None:
        """Let no more than ``most`` be in flight: of several clients of one workspace the most careful decides."""
        with self._lock:
            self.pace.lower(most)


_pacers: weakref.WeakValueDictionary[tuple[str, str], Pacer] = weakref.WeakValueDictionary()
_pacers_lock = threading.Lock()


def pacer_for(settings: Settings) -> Pacer:
    """Give the pacer of a workspace (an address and a token); it lives as long as a client that uses it."""
    # A digest, so that the token is not a key of a dict that a debugger may show.
    key = settings.url, hashlib.sha256(settings.token.reveal().encode()).hexdigest()
    with _pacers_lock:
        pacer = _pacers.get(key)
        if pacer is None:
            pacer = _pacers[key] = Pacer(settings.in_flight)
    pacer.allow(settings.in_flight)
    return pacer
