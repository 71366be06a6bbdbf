"""What an answer or a failure means: nothing bad, or a trouble with its error and whether to try again."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec

from cargo_source.api.answers import Answer, Failure, Lost
from cargo_source.api.asking import Ask
from cargo_source.api.retries import Kind, Trouble, retry_after
from cargo_source.errors import (
    AuthError,
    BadSettings,
    Busy,
    CargoError,
    NetworkFailed,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestRefused,
    ServerFailed,
    UnexpectedShape,
    UnknownHost,
    WrongHost,
)
from cargo_source.settings import Secret

_REASON = re.compile(r"[A-Za-z][\w.-]{0,59}")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|“[^”]*”|(?:[,;]? ?\b(?:received|got)\b).*", re.IGNORECASE | re.DOTALL)
_MAX_ISSUES, _MAX_ISSUE = 3, 120
_BUSY_REASONS = {"alreadyRunning", "alreadySyncing"}

_BY_STATUS: Mapping[int, tuple[type[CargoError], str]] = {
    401: (AuthError, "the API does not accept the token"),
    403: (PermissionDenied, "the token may not do this"),
    404: (NotFound, "there is no such thing"),
    409: (Busy, "Cargo is busy with this already"),
    429: (RateLimited, "the workspace's rate limit is met"),
}

_KIND_BY_STATUS: Mapping[int, Kind] = {
    408: Kind.UNAVAILABLE,
    429: Kind.RATE_LIMITED,
    502: Kind.UNAVAILABLE,
    503: Kind.UNAVAILABLE,
    504: Kind.UNAVAILABLE,
}

_KIND_BY_LOSS: Mapping[Lost, tuple[Kind, bool]] = {
    # The kind, and whether the server may have done what was asked.
    Lost.UNKNOWN_HOST: (Kind.UNKNOWN_HOST, False),
    Lost.UNTRUSTED: (Kind.FINAL, False),
    Lost.NO_TLS: (Kind.FINAL, False),
    Lost.NOT_CONNECTED: (Kind.NOT_CONNECTED, False),
    Lost.SILENT: (Kind.SILENT, True),
    Lost.CUT: (Kind.CUT, True),
    Lost.UNSENDABLE: (Kind.FINAL, False),
    Lost.TOO_LARGE: (Kind.FINAL, True),
}


def trouble_with(ask: Ask, outcome: Answer | Failure) -> Trouble | None:
    """Say what is wrong with the outcome of an attempt, or None if it is a good answer.

    That a 200 is readable is checked where it is read: see :func:`unreadable`.
    """
    if isinstance(outcome, Failure):
        return _lost(ask, outcome)
    if outcome.status < 300:
        return None
    if outcome.status < 400:
        return Trouble(_redirected(ask, outcome), Kind.FINAL)
    return _refused(ask, outcome)


def unreadable(ask: Ask, answer: Answer) -> Trouble:
    """Make the trouble of a good status with a body that is no JSON."""
    error = _error(WrongHost, "the host answered with a web page", ask, answer)
    if not answer.is_html:
        error = _error(UnexpectedShape, "the answer is not JSON", ask, answer)
    return Trouble(error, Kind.MANGLED)


def _lost(ask: Ask, failure: Failure) -> Trouble:
    kind, done = _KIND_BY_LOSS[failure.lost]
    error = UnknownHost if failure.lost is Lost.UNKNOWN_HOST else NetworkFailed
    told = str(failure)
    if failure.lost in {Lost.UNKNOWN_HOST, Lost.NOT_CONNECTED, Lost.UNTRUSTED, Lost.NO_TLS}:
        told += f" ({urlsplit(ask.url).netloc})"
    if done and not ask.repeatable:
        told += ", and it was not sent again because Cargo may have done it already"
    return Trouble(error(told, method=ask.method, path=ask.path), kind, done=done)


def _redirected(ask: Ask, answer: Answer) -> CargoError:
    try:
        host = urlsplit(answer.headers.get("location", "")).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    what = f"the host redirects to {host or 'elsewhere'}, which is not followed: is CARGO_API_URL right?"
    return _error(BadSettings, what, ask, answer)


def _refused(ask: Ask, answer: Answer) -> Trouble:
    body = _body(answer)
    reason = reason_of(body)
    error, what = _meaning(answer.status, reason)
    if answer.status == 400 and (issues := issues_of(body.get("errorMessage"))):
        what = f"{what}: {issues}"
    if answer.is_html and error is not ServerFailed:
        # Something before the API refuses, such as a firewall: that says nothing about the token.
        error = WrongHost if error is PermissionDenied else error
        what = f"{what}, and the host says so with a web page: is CARGO_API_URL right?"
    kind = Kind.FINAL if error in {NotFound, Busy, AuthError} else _KIND_BY_STATUS.get(answer.status)
    if kind is None:
        kind = Kind.FAILED if answer.status >= 500 else Kind.FINAL
    # A 429 was refused before anything was done.
    done = answer.status != 429
    refusal = _error(error, what, ask, answer, reason)
    said = body.get("errorMessage")
    refusal.said = Secret(said) if isinstance(said, str) and said else None
    return Trouble(refusal, kind, done=done, retry_after=retry_after(answer))


def _meaning(status: int, reason: str | None) -> tuple[type[CargoError], str]:
    # The status that goes with a reason is not documented: the reason decides first.
    if reason and reason.endswith("NotFound") and status not in {401, 403, 429}:
        return _BY_STATUS[404]
    if reason in _BUSY_REASONS:
        return _BY_STATUS[409]
    if status >= 500 or status == 408:
        return ServerFailed, f"the API failed with {_phrase(status)}"
    return _BY_STATUS.get(status, (RequestRefused, f"the API refuses this with {_phrase(status)}"))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "a status of its own"


def _error(error: type[CargoError], what: str, ask: Ask, answer: Answer, reason: str | None = None) -> CargoError:
    return error(
        what, method=ask.method, path=ask.path, status=answer.status, reason=reason, request_id=answer.request_id
    )


def _body(answer: Answer) -> Mapping[str, Any]:
    try:
        body = msgspec.json.decode(answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}


def reason_of(body: Mapping[str, Any]) -> str | None:
    """Give the reason of an error body, where it looks like the name that a reason is; a nested one is appended."""
    reason = body.get("reason")
    if not isinstance(reason, str) or not _REASON.fullmatch(reason):
        return None
    # Batches nest the real reason: reason=dataError, dataError.reason=noRecords.
    nested = body.get(reason)
    inner = reason_of(nested) if isinstance(nested, dict) else None
    return f"{reason}.{inner}" if inner else reason


def issues_of(message: Any) -> str:
    """Give the first issues of a validation error as "path: message", without anything that may be a cell's value.

    Any other message of the server is left out: the text of an SQL error quotes values.
    """
    try:
        issues = json.loads(message) if isinstance(message, str) else message
    except (ValueError, RecursionError):
        return ""
    if not isinstance(issues, list):
        return ""
    told = [_issue(issue) for issue in issues if isinstance(issue, dict) and "message" in issue]
    return "; ".join(told[:_MAX_ISSUES]) + (f"; and {len(told) - _MAX_ISSUES} more" if len(told) > _MAX_ISSUES else "")


def _issue(issue: Mapping[str, Any]) -> str:
    keys = [key for key in issue.get("keys") or [] if isinstance(key, str) and _REASON.fullmatch(key)]
    message = _QUOTED.sub("…", str(issue["message"]))[:_MAX_ISSUE] + (f" ({', '.join(keys[:5])})" if keys else "")
    path = issue.get("path")
    names = path if isinstance(path, list) else [path] if path else []
    where = ".".join(str(name) if isinstance(name, int) or _REASON.fullmatch(str(name)) else "…" for name in names)
    return f"{where or 'body'}: {message}"
