"""When a request is sent once more, and after how long. Pure: no clock, no sleep, no network."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from tenacity import RetryCallState, wait_exponential

from cargo_source.api.answers import Answer, http_date
from cargo_source.errors import CargoError, NetworkFailed, WaitBudgetSpent

_WINDOW = wait_exponential(multiplier=1, max=60)
"""The window of the n-th wait: 1 s, 2 s, 4 s, ... 60 s; the wait is drawn from it evenly ("full jitter")."""


class Kind(Enum):
    """A kind of trouble, with how often a request may be repeated for it and what it is called in a log."""

    RATE_LIMITED = 1_000_000, "the rate limit"  # only the wait budget ends it
    UNAVAILABLE = 8, "a server that is not available"  # 502, 503, 504: a deployment, minutes at most
    FAILED = 4, "a failing server"  # other 5xx: often as final as a 400
    CUT = 5, "broken connections"
    NOT_CONNECTED = 5, "refused connections"
    UNKNOWN_HOST = 2, "an unknown host"  # mostly a typing error, rarely a resolver that comes back
    SILENT = 1, "a silent server"  # each attempt takes minutes already
    MANGLED = 2, "unreadable answers"  # a web page in the place of JSON does not go away
    FINAL = 0, "a refusal"

    def __init__(self, repeats: int, label: str) -> None:
        self.repeats, self.label = repeats, label


@dataclass(frozen=True)
class Trouble:
    """An attempt that did not work: the error to raise if it was the last one, and what decides whether it was.

    ``done`` says that the server may have done what was asked; ``retry_after`` how many seconds it asked to wait.
    """

    error: CargoError
    kind: Kind
    done: bool = True
    retry_after: float | None = None


@dataclass
class Attempts:
    """The attempts of one request: how often for what, and how many seconds were waited between them."""

    repeatable: bool
    budget: float
    random: Callable[[], float]
    waited: float = 0.0
    _seen: Counter[Kind] = field(default_factory=Counter)

    @property
    def made(self) -> int:
        """How many attempts have failed."""
        return self._seen.total()

    def delay(self, trouble: Trouble) -> float:
        """Count an attempt that did not work and give the seconds to wait before the next one.

        Raises the trouble's own error where there must not be another.
        """
        self._seen[trouble.kind] += 1
        if self._seen[trouble.kind] > trouble.kind.repeats or (trouble.done and not self.repeatable):
            trouble.error.attempts = self.made
            raise trouble.error
        # A server that says "after 0 seconds" must not burn all attempts at once.
        return trouble.retry_after or self._backoff()

    def spend(self, seconds: float, trouble: Trouble) -> None:
        """Take ``seconds`` out of the wait budget. Raises WaitBudgetSpent if they are not in it."""
        if self.waited + seconds > self.budget:
            raise self.spent(seconds, trouble.error, trouble.kind)
        self.waited += seconds

    def spent(self, seconds: float, last: CargoError, kind: Kind) -> WaitBudgetSpent:
        """Make the error that says that there is no time for waiting ``seconds`` more."""
        error = WaitBudgetSpent(
            f"waited {self.waited:.0f} s because of {kind.label} and would have to wait {seconds:.0f} s more,"
            f" but a request may wait {self.budget:.0f} s in all; at last: {last.args[0]}",
            method=last.method,
            path=last.path,
            status=last.status,
            reason=last.reason,
            request_id=last.request_id,
        )
        error.attempts = max(self.made, 1)
        if isinstance(last, NetworkFailed):
            # Waiting longer hardly helps where nobody is there.
            error.remedy = last.remedy
        return error

    def _backoff(self) -> float:
        state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type] # a wait reads the number only
        state.attempt_number = self.made
        return _WINDOW(state) * self.random()


def retry_after(answer: Answer) -> float | None:
    """Read how many seconds the server asks to wait; None if it does not say, or says that no wait is needed.

    A date counts from the answer's own Date header, since the machine's clock may be wrong.
    """
    text = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        until, now = http_date(text), answer.server_time
        seconds = (until - now).total_seconds() if until and now else 0.0
    return seconds if 0 < seconds < float("inf") else None
