"""The fast line: requests carried out by libcurl (the ``fast`` extra), to the same outcomes as by httpx.

A page costs about a third of the processor time that it costs by httpx. Only threads use it: what waits in here blocks.
"""

import errno
import os
import re
import time
from collections import deque
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import httpx
import pycurl

from cargo_source.api.answers import Failure, Lost
from cargo_source.api.asking import USER_AGENT, Ask, Bearer
from cargo_source.api.exchange import Outcome
from cargo_source.api.links import Fetch
from cargo_source.api.sinks import BodySink, FileSink, sink_for
from cargo_source.api.wire import IDLE_SECONDS
from cargo_source.settings import Settings, is_loopback

_STOP = -1
"""What a callback answers to end the transfer."""
_SEND: int = pycurl.PREREQFUNC_OK
_DO_NOT_SEND: int = pycurl.PREREQFUNC_ABORT
_CHUNK = 256 * 1024
_CERTIFICATE = re.compile(r"(?:verify result|certificate problem): ([\w ,-]*\w)")
_NOT_TLS = re.compile("wrong version number|record layer failure|http request|unknown protocol|packet length too long")

_HEADER_LINES = ("expect:", "content-type:")
"""Without a value: curl would wait for leave to send what is large, and call what has no type a form."""

_BY_CODE = {
    pycurl.E_COULDNT_RESOLVE_HOST: Lost.UNKNOWN_HOST,
    pycurl.E_PEER_FAILED_VERIFICATION: Lost.UNTRUSTED,
    pycurl.E_SSL_CACERT_BADFILE: Lost.UNTRUSTED,
    pycurl.E_COULDNT_CONNECT: Lost.NOT_CONNECTED,
    pycurl.E_COULDNT_RESOLVE_PROXY: Lost.NOT_CONNECTED,
    # What comes later than a connection has no limit in all, so this is about making one.
    pycurl.E_OPERATION_TIMEDOUT: Lost.NOT_CONNECTED,
    pycurl.E_SSL_CONNECT_ERROR: Lost.NOT_CONNECTED,
    pycurl.E_URL_MALFORMAT: Lost.UNSENDABLE,
}
_NAMES = {
    pycurl.E_OPERATION_TIMEDOUT: "ConnectTimeout",
    pycurl.E_GOT_NOTHING: "closed without an answer",
    pycurl.E_PARTIAL_FILE: "closed in the middle",
    pycurl.E_BAD_CONTENT_ENCODING: "it cannot be unpacked",
}


class CurlLine:
    """Sends over connections that are kept: each belongs to a handle, and a handle to one request at a time."""

    def __init__(self, settings: Settings, auth: Bearer) -> None:
        self._auth = auth
        self._patience = settings.read_timeout
        self._near = is_loopback(urlsplit(settings.url).hostname or "")
        self._fixed = _fixed_options(settings)
        self._idle: deque[pycurl.Curl] = deque()
        self._process = os.getpid()
        self._closed = False

    def send(self, step: Ask | Fetch) -> Outcome:
        """Carry out one attempt."""
        handle = self._take()
        try:
            outcome = _Transfer(step, self._patience).carry_out(handle, self._options(step))
        except BaseException:
            handle.close()
            raise
        # What the handle knows of the request, the token or the link, goes; its connections stay.
        handle.reset()
        self._give_back(handle)
        return outcome

    def close(self) -> None:
        """Close the connections; those in use are closed by those who use them."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> pycurl.Curl:
        if self._process != os.getpid():
            # After a fork both processes hold the same connections, and each would read the other's answers.
            self._left_to_the_parent, self._idle, self._process = self._idle, deque(), os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return pycurl.Curl()

    def _give_back(self, handle: pycurl.Curl) -> None:
        if self._closed:
            handle.close()
        else:
            self._idle.append(handle)

    def _options(self, step: Ask | Fetch) -> dict[int, Any]:
        if isinstance(step, Fetch):
            # As httpx would write it, because a link may hold what curl does not take as it is.
            url, headers, near = str(httpx.URL(step.link.reveal())), step.headers, is_loopback(step.host)
            options = self._fixed
        else:
            url = step.url if step.url.isascii() else str(httpx.URL(step.url))
            headers, near = {**step.headers, **self._auth.as_wanted(step).header()}, self._near
            options = self._fixed | _options_of(step)
        options = options | {pycurl.URL: url, pycurl.HTTPHEADER: [*_HEADER_LINES, *map(": ".join, headers.items())]}
        # A proxy would see what goes to this machine in clear.
        return options | {pycurl.PROXY: ""} if near else options


def _options_of(ask: Ask) -> dict[int, Any]:
    options: dict[int, Any] = {pycurl.ACCEPT_ENCODING: "gzip, deflate"}
    if ask.content is not None or ask.method != "GET":
        options |= {pycurl.POSTFIELDS: ask.content or b"", pycurl.CUSTOMREQUEST: ask.method}
    return options


def _fixed_options(settings: Settings) -> dict[int, Any]:
    options: dict[int, Any] = {
        pycurl.USERAGENT: USER_AGENT,
        pycurl.CONNECTTIMEOUT_MS: max(1, round(settings.connect_timeout * 1000)),
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
        pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
        pycurl.FOLLOWLOCATION: False,
        pycurl.HEADEROPT: pycurl.HEADER_SEPARATE,
        pycurl.MAXAGE_CONN: int(IDLE_SECONDS),
        pycurl.MAXCONNECTS: 2,
        pycurl.BUFFERSIZE: _CHUNK,
        pycurl.NOSIGNAL: True,
        pycurl.NOPROGRESS: False,
    }
    # The same certificates as httpx trusts.
    if file := os.environ.get("SSL_CERT_FILE"):
        options[pycurl.CAINFO] = file
    elif folder := os.environ.get("SSL_CERT_DIR"):
        options |= {pycurl.CAINFO: None, pycurl.CAPATH: folder}
    else:
        import certifi

        options[pycurl.CAINFO] = certifi.where()
    return options


class _Transfer:
    """One attempt, as curl tells of it while it goes on."""

    def __init__(self, step: Ask | Fetch, patience: float) -> None:
        self._step, self._patience = step, patience
        self._head: list[bytes] = []
        self._opened = ExitStack()
        self._sink: BodySink | FileSink | None = None
        self._trouble: Exception | None = None
        self._sent = 0
        self._moved, self._moved_at, self._silent = (0, 0), time.monotonic(), False

    def carry_out(self, handle: pycurl.Curl, options: dict[int, Any]) -> Outcome:
        """Send the request and take the answer. Raises what the disk refuses."""
        for option, value in options.items():
            handle.setopt(option, value)
        handle.setopt(pycurl.HEADERFUNCTION, self._head.append)
        handle.setopt(pycurl.WRITEFUNCTION, self._take)
        handle.setopt(pycurl.PREREQFUNCTION, self._begin)
        handle.setopt(pycurl.XFERINFOFUNCTION, self._watch)
        with self._opened:
            try:
                handle.perform()
            except pycurl.error as error:
                if self._trouble is not None:
                    raise self._trouble from None
                if self._sink is None or not self._sink.full:
                    return self._failure(handle, *error.args)
            return self._into().finish()

    def _begin(self, *_addresses: object) -> int:
        # Curl sends a request again by itself when a kept connection dies under it; a write must not go out twice.
        self._sent += 1
        return _SEND if self._sent == 1 else _DO_NOT_SEND

    def _watch(self, _download: int, received: int, _upload: int, sent: int) -> int:
        """End a transfer in which nothing has moved for too long; curl asks once in a second at least."""
        now, moved = time.monotonic(), (received, sent)
        if moved != self._moved or not self._sent:
            self._moved, self._moved_at = moved, now
        elif now - self._moved_at >= self._patience:
            self._silent = True
        return int(self._silent)

    def _take(self, chunk: bytes) -> int | None:
        try:
            sink = self._into()
            sink.take(chunk)
        except Exception as error:  # noqa: BLE001 - curl would print it; it is raised when curl has ended
            self._trouble = error
            return _STOP
        return _STOP if sink.full else None

    def _into(self) -> BodySink | FileSink:
        if self._sink is None:
            sink = sink_for(self._step, *_status_and_headers(self._head))
            self._opened.enter_context(sink)
            self._sink = sink
        return self._sink

    def _failure(self, handle: pycurl.Curl, code: int, text: str) -> Failure:
        """Say in our words how an answer failed to come; of curl's own text only what it says of certificates."""
        lost = _BY_CODE.get(code, Lost.CUT)
        if self._silent:
            return Failure(Lost.SILENT)
        if lost is Lost.UNTRUSTED:
            return Failure(lost, _distrust(code, text))
        if code == pycurl.E_SSL_CONNECT_ERROR and _NOT_TLS.search(text):
            return Failure(Lost.NO_TLS)
        if lost is Lost.CUT and not self._sent:
            # Such as a proxy that refuses, or a TLS handshake that breaks off.
            lost = Lost.NOT_CONNECTED
        number = handle.getinfo(pycurl.OS_ERRNO)
        told = os.strerror(number) if number in errno.errorcode and number != errno.EINPROGRESS else ""
        return Failure(lost, told or _NAMES.get(code, f"curl {code}") if lost is not Lost.UNKNOWN_HOST else "")


def _distrust(code: int, text: str) -> str:
    if code == pycurl.E_SSL_CACERT_BADFILE:
        return "the certificates of this machine cannot be read; is SSL_CERT_FILE right?"
    found = _CERTIFICATE.search(text)
    return found[1] if found else "it is for another host"


def _status_and_headers(lines: list[bytes]) -> tuple[int, dict[str, str]]:
    """Read the last block of headers; those before it were of a proxy, or asked for patience."""
    status, headers = 0, dict[str, str]()
    for line in lines:
        if line.startswith(b"HTTP/"):
            status, headers = int(line.split(maxsplit=2)[1]), {}
            continue
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return status, headers
