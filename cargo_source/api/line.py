"""What carries one attempt of a thread's client: httpx, or libcurl where the ``fast`` extra is installed."""

from importlib.util import find_spec
from typing import Protocol

import httpx

from cargo_source.api.asking import Ask, Bearer
from cargo_source.api.exchange import Outcome
from cargo_source.api.links import Fetch
from cargo_source.api.quiet import unlogged
from cargo_source.api.wire import NO_ANSWER, client_options, failure_of, request_options, sink_of
from cargo_source.errors import BadSettings
from cargo_source.settings import Settings


class Line(Protocol):
    """Sends a request and gives what came of it. Threads may share it."""

    def send(self, step: Ask | Fetch) -> Outcome:
        """Carry out one attempt."""

    def close(self) -> None:
        """Close the connections."""


class HttpxLine:
    """Sends through httpx."""

    def __init__(self, settings: Settings, auth: Bearer, transport: httpx.BaseTransport | None) -> None:
        self._auth = auth
        self._http = httpx.Client(**client_options(settings), transport=transport)

    def send(self, step: Ask | Fetch) -> Outcome:
        """Carry out one attempt."""
        try:
            with unlogged(), self._http.stream(**request_options(step, self._auth)) as response:
                chunks = response.iter_raw() if isinstance(step, Fetch) else response.iter_bytes()
                with sink_of(step, response) as sink:
                    for chunk in chunks:
                        sink.take(chunk)
                        if sink.full:
                            break
                    return sink.finish()
        except NO_ANSWER as error:
            return failure_of(error)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def line_for(settings: Settings, auth: Bearer, transport: httpx.BaseTransport | None) -> Line:
    """Choose the line. Raises BadSettings where the wanted one is not installed."""
    if transport is not None or settings.transport == "httpx" or not _wants_curl(settings):
        return HttpxLine(settings, auth, transport)
    from cargo_source.api.curl import CurlLine

    return CurlLine(settings, auth)


def _wants_curl(settings: Settings) -> bool:
    installed = find_spec("pycurl") is not None
    if settings.transport == "fast" and not installed:
        raise BadSettings('CARGO_TRANSPORT is "fast", which needs pycurl: pip install "cargo-source[fast]"')
    return installed
