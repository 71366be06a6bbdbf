"""What can go wrong, grouped by what to do about it.

CargoError
 ├── SettingsError       fix the settings (exit 2)
 │    ├── BadSettings        a setting is missing or makes no sense
 │    ├── AuthError          401: the token is wrong, revoked or of another kind
 │    ├── PermissionDenied   403: the token may not do this
 │    └── NotFound           404, or a reason that ends in NotFound
 ├── TryLater            run it again later (exit 1)
 │    ├── RateLimited        429
 │    ├── ServerFailed       5xx
 │    ├── Busy               409: Cargo is doing the same thing already
 │    ├── NetworkFailed      no answer, or only half of one
 │    │    └── UnknownHost
 │    ├── LinkExpired        a download link is used up: ask for a new one
 │    └── WaitBudgetSpent    waited as long as was allowed
 ├── FixTheData          the request or its rows were refused (exit 1)
 │    └── RequestRefused     400 and other 4xx
 ├── StopAndLook         go on only after having looked (exit 3)
 │    ├── IncompleteRead     fewer or more rows than there are
 │    ├── OutOfTime          time was up before all was read: run it again
 │    ├── Braked             a push would change more than it may: look at its plan
 │    ├── StalePlan          the model has changed since the plan was made: make another
 │    ├── RowsLeft           a push was applied, and not every row is as it should be: look at why
 │    └── WriteDiffers       Cargo keeps something else than what was written
 ├── DestinationRefused  make room or access for the destination (exit 1)
 └── ReportBug           something that the API was not known to do (exit 1)
      └── UnexpectedShape    not JSON, or without the expected envelope
           └── WrongHost         a web page where JSON is due: most likely the URL is wrong (exit 2)

A message is one line: what happened, where, and what to do. It never holds a token, the signature of a link or the
value of a cell.
"""

import difflib
import re
from collections.abc import Iterable
from typing import ClassVar, Protocol

_MAX_CAUSE = 200
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|“[^”]*”")


class Hidden(Protocol):
    """A text that does not show by itself."""

    def reveal(self) -> str:
        """Give the text."""


class CargoError(Exception):
    """Anything that cargo_source raises on purpose.

    ``method`` and ``path`` say which request failed, ``status``, ``reason`` and ``request_id`` what the API answered;
    each is None where there was none. ``attempts`` counts how often the request was sent. ``report`` is what a
    push that it stopped had done until then. ``said`` is the server's own text, which may quote a cell: it is in no
    message, and nobody may show it as it is.
    """

    exit_code: ClassVar[int] = 1
    retry_helps: ClassVar[bool] = False
    """Whether the same once more, a while later, may end well: schedulers retry these and no others."""
    remedy: str = ""

    def __init__(
        self,
        message: str,
        *,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        reason: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.method, self.path, self.status, self.reason, self.request_id = (
            method,
            path,
            status,
            reason,
            request_id,
        )
        self.attempts = 1
        self.report: object | None = None
        self.said: Hidden | None = None

    def __str__(self) -> str:
        # Errors without a request are raised with words of their own about what to do.
        return f"{self.what}; {self.remedy}" if self.remedy and self.path else self.what

    @property
    def what(self) -> str:
        """What happened and where, without what to do."""
        where = " ".join(part for part in (self.method, self.path) if part)
        facts = self._facts()
        return (f"{where}: " if where else "") + str(self.args[0]) + (f" ({', '.join(facts)})" if facts else "")

    def _facts(self) -> list[str]:
        facts = [
            ("", self.status),
            ("reason ", self.reason),
            ("request id ", self.request_id),
            ("attempts ", self.attempts if self.attempts > 1 else None),
        ]
        return [f"{name}{value}" for name, value in facts if value is not None]


class SettingsError(CargoError):
    """Fix the settings."""

    exit_code = 2


class BadSettings(SettingsError):
    """A setting is missing or makes no sense."""


class AuthError(SettingsError):
    """The API does not know the token (401)."""

    remedy = "check CARGO_API_TOKEN, or make a new token in Cargo under Settings > API"


class PermissionDenied(SettingsError):
    """The token may not do this (403)."""

    remedy = "give the token this permission in Cargo under Settings > API, or leave out what needs it"


class NotFound(SettingsError):
    """There is no such thing, or no such operation (404, or a reason that ends in NotFound)."""

    remedy = "check that it still exists in this workspace and that CARGO_API_URL is the API's root"


class TryLater(CargoError):
    """Run it again later."""

    retry_helps = True
    remedy = "run it again later"


class RateLimited(TryLater):
    """The workspace's rate limit was met (429)."""


class ServerFailed(TryLater):
    """The API failed (5xx)."""


class Busy(TryLater):
    """Cargo is doing the same thing already (409)."""


class NetworkFailed(TryLater):
    """No answer came, or only a part of one."""

    remedy = "check the network and CARGO_API_URL, then run it again"


class UnknownHost(NetworkFailed):
    """There is no host of that name."""

    remedy = "check CARGO_API_URL and the network"


class LinkExpired(TryLater):
    """A download link does not work any more: ask for a new export."""

    remedy = "ask for the export again: its links live only for a while"


class WaitBudgetSpent(TryLater):
    """The request was refused or failed for as long as it was allowed to wait."""

    remedy = "run it again later, or let requests wait longer with CARGO_WAIT_BUDGET (seconds)"


class FixTheData(CargoError):
    """Correct what was sent."""


class RequestRefused(FixTheData):
    """The API refuses the request as it is (400 and other 4xx)."""

    remedy = "correct what is sent: repeating it changes nothing"


class StopAndLook(CargoError):
    """Something is not as it should be, and going on could do harm."""

    exit_code = 3


class IncompleteRead(StopAndLook):
    """A read gave another number of rows than there are: ``expected`` and ``got``."""

    def __init__(self, message: str, *, expected: int | None = None, got: int | None = None) -> None:
        super().__init__(message)
        self.expected, self.got = expected, got


class OutOfTime(StopAndLook):
    """The time that a sync was given is over, and not all was read."""

    # The next run goes on from there.
    retry_helps = True


class Braked(StopAndLook):
    """A push would change more than it may."""


class StalePlan(StopAndLook):
    """What a plan would change is no longer as it was when the plan was made."""

    # Who runs it again plans again.
    retry_helps = True


class RowsLeft(StopAndLook):
    """A push was applied, and some of its rows were rejected, or are stored otherwise than they were sent."""


class WriteDiffers(StopAndLook):
    """Cargo keeps something else than what was written, or clears what was not."""


class DestinationRefused(CargoError):
    """The destination did not take what was read."""

    # It may be down, full, or open elsewhere.
    retry_helps = True

    @classmethod
    def from_cause(cls, cause: BaseException, *, step: str) -> "DestinationRefused":
        """Tell in one line what stopped ``step`` of a load; values that the cause quotes are left out."""
        name = type(cause).__name__
        if "Could not set lock" in str(cause) or "Conflicting lock" in str(cause):
            return cls(
                f"the destination refused the {step}: another program has the database open, and DuckDB takes one at a"
                " time; close it there, then run the same command again"
            )
        return cls(
            f"the destination refused the {step}: {name}: {first_line(cause)};"
            " check its path, permissions and free space, then run the same command again"
        )


class ReportBug(CargoError):
    """Something happened that should not: report it."""

    remedy = "please report this as a bug of cargo_source"


class UnexpectedShape(ReportBug):
    """The API answered in a shape that it was not known to have."""


class WrongHost(UnexpectedShape):
    """A web page came where JSON was due, so this is hardly the API."""

    exit_code = 2
    remedy = "check CARGO_API_URL: is it the root of the API?"


def passes(name: str | None) -> bool:
    """Say whether an error of that name, as a report has it, is one that a retry may mend."""
    kind = globals().get(name or "")
    return isinstance(kind, type) and issubclass(kind, CargoError) and kind.retry_helps


def suggest(name: str, known: Iterable[str]) -> str:
    """Give " (did you mean 'x'?)" for the known name that is closest to ``name``, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def first_line(cause: BaseException) -> str:
    """Give the first line of what a foreign error says, without what it quotes."""
    if isinstance(cause, OSError) and cause.strerror:
        return f"{cause.strerror}: {cause.filename}" if cause.filename else cause.strerror
    text = next(iter(str(cause).splitlines()), "")
    # An input or output error quotes paths; any other may quote the values of a row.
    if "IO" not in type(cause).__name__:
        text = _QUOTED.sub("'…'", text)
    return text[:_MAX_CAUSE]
