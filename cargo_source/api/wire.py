"""What the two drivers share of httpx: how a client is made, and what its answers and errors are to us."""

import errno
import http.cookiejar
import os
import socket
import ssl
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

import httpx

from cargo_source.api.answers import Failure, Lost
from cargo_source.api.asking import USER_AGENT, Ask, Bearer
from cargo_source.api.links import Fetch
from cargo_source.api.sinks import BodySink, FileSink, sink_for
from cargo_source.settings import Settings

IDLE_SECONDS = 4.0
"""Servers close idle connections after 5 s and more; one that is closed first is not written into by mistake."""
NO_ANSWER = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})


@cache
def trusted() -> ssl.SSLContext:
    """Give the certificates that are trusted; reading them takes longer than anything else a client does to start."""
    return httpx.create_ssl_context()


def client_options(settings: Settings) -> dict[str, Any]:
    """Give the arguments of an httpx client, sync or async."""
    # The API sets no cookies that matter, and none should travel from one host to the next.
    no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    return {
        "headers": {"user-agent": USER_AGENT},
        "cookies": no_cookies,
        "timeout": httpx.Timeout(settings.read_timeout, connect=settings.connect_timeout),
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=IDLE_SECONDS),
        "follow_redirects": False,
        "verify": trusted(),
        # A proxy would see what goes to this machine in clear.
        "mounts": {f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")},
    }


_url = lru_cache(maxsize=64)(httpx.URL)
"""Pages are asked for at the same few addresses, which are taken apart once."""


def request_options(step: Ask | Fetch, auth: Bearer) -> dict[str, Any]:
    """Give the arguments of one httpx request. The token goes to the API only."""
    if isinstance(step, Ask):
        return {
            "method": step.method,
            "url": _url(step.url),
            "content": step.content,
            "headers": step.headers,
            "auth": auth.as_wanted(step),
        }
    return {"method": "GET", "url": step.link.reveal(), "headers": step.headers, "auth": None}


def failure_of(error: Exception) -> Failure:
    """Say in our words how an answer failed to come.

    The error's own text is not used: httpx quotes headers in some of its messages.
    """
    roots = list(_chain(error))
    for root in roots:
        if isinstance(root, socket.gaierror):
            return Failure(Lost.UNKNOWN_HOST)
        if isinstance(root, ssl.SSLCertVerificationError):
            return Failure(Lost.UNTRUSTED, root.verify_message)
        if isinstance(root, ssl.SSLError) and root.reason in _NOT_TLS:
            return Failure(Lost.NO_TLS)
    detail = next((_os_text(root) for root in roots if isinstance(root, OSError) and root.errno), "")
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.PoolTimeout() | httpx.ProxyError():
            return Failure(Lost.NOT_CONNECTED, detail or _kind(error))
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return Failure(Lost.UNSENDABLE, _kind(error))
        case httpx.TimeoutException():
            return Failure(Lost.SILENT, _kind(error))
        case _:
            return Failure(Lost.CUT, detail or _kind(error))


def _kind(error: Exception) -> str:
    return type(error).__name__


def _os_text(error: OSError) -> str:
    code = error.errno or 0
    return f"{os.strerror(code)}" if code in errno.errorcode else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        if isinstance(error, BaseExceptionGroup):
            # The async client tries all addresses of a host and reports them together.
            yield from error.exceptions
        error = error.__cause__ or error.__context__


def sink_of(step: Ask | Fetch, response: httpx.Response) -> BodySink | FileSink:
    """Say where the body of a response goes."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return sink_for(step, response.status_code, headers)


def without_frames(error: BaseException) -> BaseException:
    """Take the traceback and the history off an error: their frames hold the token and the signed link."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
