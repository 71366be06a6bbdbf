"""Keeps the HTTP libraries from logging our requests: httpx logs whole URLs, httpcore logs headers.

Only what is logged on behalf of our own clients is dropped; the client logs a line of its own for every request.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# A filter works for the logger that it hangs on, not for those below it, so each of them is named.
_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)

_ours: ContextVar[bool] = ContextVar("cargo_source_request", default=False)


def _not_ours(_record: logging.LogRecord) -> bool:
    return not _ours.get()


def silence() -> None:
    """Hang the filter onto the libraries' loggers; doing it again changes nothing."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_not_ours)


@contextmanager
def unlogged() -> Iterator[None]:
    """Mark the code inside, and only this thread or task, as a request of ours."""
    reset = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(reset)
