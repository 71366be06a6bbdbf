"""Download links: whom they may point to, where their bytes go, and what those bytes are.

A link is signed: whoever has it can read the file. So it is a secret like the token, the token is not sent along, and
it may point only to https, or to this machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urljoin, urlsplit

from cargo_source.api.answers import Answer, Failure, Lost, looks_like_html
from cargo_source.api.retries import Kind, Trouble, retry_after
from cargo_source.errors import CargoError, LinkExpired, NetworkFailed, RequestRefused, ServerFailed, UnexpectedShape
from cargo_source.settings import Secret, is_loopback

DEFAULT_LIMIT_BYTES = 50 * 1024**3
MOST_REDIRECTS = 5
_EXPIRED = {400, 401, 403, 404, 410}
"""What the stores answer for a link that is used up: 400 and 403 (S3, Google), 404 and 410 (gone)."""

ContentKind = Literal["parquet", "gzip", "csv", "json", "html", "empty"]


@dataclass(frozen=True)
class Download:
    """A file that a link gave: where it is, its size, and what its first bytes say that it is."""

    path: Path
    bytes: int
    kind: ContentKind


@dataclass(frozen=True)
class Fetch:
    """One request for a link's file. ``link`` is secret; ``host`` is what may be told of it.

    ``last`` wants no more than so many bytes of its end; a store may send all of it.
    """

    link: Secret
    host: str
    to: Path
    limit_bytes: int
    last: int | None = None

    @property
    def told(self) -> str:
        """What an error or a log may say of it."""
        return f"link on {self.host}"

    @property
    def headers(self) -> dict[str, str]:
        """What is sent along: never the token."""
        part = {"range": f"bytes=-{self.last}"} if self.last else {}
        return {"accept": "*/*", "accept-encoding": "identity", **part}


def fetch_of(link: Secret, to: Path, limit_bytes: int, last: int | None = None) -> Fetch:
    """Check where a link points to. Raises UnexpectedShape for anything but https, or http on this machine."""
    host, problem = _host_of(link)
    if problem:
        raise UnexpectedShape(
            f"a download link {problem}, so it was not followed", method="GET", path=f"link on {host}"
        )
    return Fetch(link, host, to, limit_bytes, last)


def next_hop(fetch: Fetch, answer: Answer) -> Fetch:
    """Follow a redirect of a link, under the same rules."""
    return fetch_of(_redirect(fetch.link, answer), fetch.to, fetch.limit_bytes, fetch.last)


def _redirect(link: Secret, answer: Answer) -> Secret:
    try:
        return Secret(urljoin(link.reveal(), answer.headers.get("location", "")))
    except ValueError:
        return Secret("")


def _host_of(link: Secret) -> tuple[str, str]:
    try:
        parts = urlsplit(link.reveal())
        host = parts.hostname or ""
    except ValueError:
        return "an unknown host", "is not a URL"
    if not host:
        return "an unknown host", "names no host"
    if "@" in parts.netloc:
        return host, "carries a user name"
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        return host, ""
    return host, f"is {parts.scheme or 'nothing'}:// and not https://"


def kind_of(head: bytes) -> ContentKind:
    """Say what a file is by its first bytes; neither its name nor its content type can be relied on."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        return "empty"
    if looks_like_html(text):
        return "html"
    return "json" if text[:1] in {b"{", b"["} else "csv"


_BY_LOSS: Mapping[Lost, tuple[Kind, type[CargoError]]] = {
    Lost.UNKNOWN_HOST: (Kind.UNKNOWN_HOST, NetworkFailed),
    Lost.UNTRUSTED: (Kind.FINAL, NetworkFailed),
    Lost.NOT_CONNECTED: (Kind.NOT_CONNECTED, NetworkFailed),
    Lost.SILENT: (Kind.SILENT, NetworkFailed),
    Lost.CUT: (Kind.CUT, NetworkFailed),
    Lost.UNSENDABLE: (Kind.FINAL, UnexpectedShape),
    Lost.TOO_LARGE: (Kind.FINAL, UnexpectedShape),
}


def trouble_with_link(fetch: Fetch, outcome: Answer | Failure) -> Trouble:
    """Say what is wrong with an attempt that gave no file."""
    if isinstance(outcome, Failure):
        kind, error = _BY_LOSS[outcome.lost]
        return Trouble(error(str(outcome), method="GET", path=fetch.told), kind)
    kind, error, what = _refusal(outcome.status)
    told = error(what, method="GET", path=fetch.told, status=outcome.status)
    return Trouble(told, kind, retry_after=retry_after(outcome))


def _refusal(status: int) -> tuple[Kind, type[CargoError], str]:
    if status in _EXPIRED:
        return Kind.FINAL, LinkExpired, "the link does not work any more"
    if status == 429:
        return Kind.RATE_LIMITED, ServerFailed, "the file's host is too busy"
    if status == 408 or status >= 500:
        return Kind.UNAVAILABLE, ServerFailed, "the file's host failed"
    if 300 <= status < 400:
        return Kind.FINAL, UnexpectedShape, "the link redirects without end"
    return Kind.FINAL, RequestRefused, "the file's host refuses the link"
