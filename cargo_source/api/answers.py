"""What comes back from one attempt: an answer of the server, or the failure to get one; and the reply made of it."""

import email.utils
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property, lru_cache
from typing import Any, Never, TypeVar

import msgspec

from cargo_source.errors import UnexpectedShape

T = TypeVar("T")

_HTML = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_PLACE = re.compile(r" - at `(\$[\w.\[\]]*)`$")
_PRINTABLE_ID = re.compile(r"[\w.:=/+-]{1,100}")
_REQUEST_ID_HEADERS = ("x-request-id", "x-amzn-requestid", "x-amz-request-id", "cf-ray")


@dataclass(frozen=True)
class Answer:
    """An answer with its whole body. Its repr shows neither headers nor body."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)

    @property
    def server_time(self) -> datetime | None:
        """The server's own time, from the Date header."""
        return http_date(self.headers.get("date"))

    @property
    def request_id(self) -> str | None:
        """What the server calls this request, where it says so in one of the usual headers."""
        found = next((self.headers[name] for name in _REQUEST_ID_HEADERS if name in self.headers), None)
        return found if found and _PRINTABLE_ID.fullmatch(found) else None

    @property
    def is_html(self) -> bool:
        """Whether the body is a web page."""
        return looks_like_html(self.content)


class Lost(Enum):
    """How an answer failed to come."""

    UNKNOWN_HOST = "there is no such host"
    UNTRUSTED = "its TLS certificate is not trusted"
    NO_TLS = "it does not speak TLS"
    NOT_CONNECTED = "no connection"
    SILENT = "no answer within the timeout"
    CUT = "the connection broke before the whole answer was here"
    TOO_LARGE = "the answer is larger than is allowed"
    UNSENDABLE = "the request cannot be sent"


@dataclass(frozen=True)
class Failure:
    """No answer, or half of one. ``detail`` is the system's word for it, if any."""

    lost: Lost
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.lost.value}: {self.detail}" if self.detail else self.lost.value


@dataclass(frozen=True)
class Reply:
    """A good answer of the API. ``content`` is JSON in UTF-8, or empty where the operation answers nothing.

    ``server_time`` is the server's own time, in UTC; None where it sent no Date header.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    server_time: datetime | None = None
    request_id: str | None = None
    method: str = ""
    path: str = ""

    def json(self) -> Any:
        """Give the body as Python objects; the same objects each time. Raises UnexpectedShape if it is no JSON."""
        return self._json

    # A frozen dataclass allows it: cached_property writes to the instance's dict, past __setattr__.
    @cached_property
    def _json(self) -> Any:
        try:
            return msgspec.json.decode(self.content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            problem = "the answer is not JSON" if self.content else "the answer is empty"
        return self._unexpected(problem)

    def decode(self, decoder: msgspec.json.Decoder[T]) -> T:
        """Give the body as the caller's decoder reads it. Raises UnexpectedShape, naming the place that differs."""
        try:
            return decoder.decode(self.content)
        except msgspec.ValidationError as error:
            # The rest of its text may quote a value.
            place = _PLACE.search(str(error))
            problem = f"the answer has another shape than expected{f' at {place[1]}' if place else ''}"
        except (msgspec.DecodeError, UnicodeDecodeError):
            problem = "the answer is not JSON" if self.content else "the answer is empty"
        return self._unexpected(problem)

    def take(self, key: str) -> Any:
        """Give what the answer holds under ``key``. Raises UnexpectedShape, naming the keys that are there."""
        body = self.json()
        if not isinstance(body, dict):
            self._unexpected(f"the answer is not an object with {key!r}")
        if key not in body:
            names = ", ".join(name if name.isidentifier() else "…" for name in sorted(body)[:20]) or "none"
            self._unexpected(f"the answer has no {key!r}; its keys are: {names}")
        return body[key]

    def _unexpected(self, problem: str) -> Never:
        raise UnexpectedShape(
            problem, method=self.method, path=self.path, status=self.status, request_id=self.request_id
        )


@lru_cache(maxsize=64)
def http_date(text: str | None) -> datetime | None:
    """Read an HTTP date as an aware time in UTC; None for what is none."""
    try:
        read = email.utils.parsedate_to_datetime(text or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def looks_like_html(start: bytes) -> bool:
    """Say whether this is the beginning of a web page."""
    return _HTML.match(start[:200].removeprefix(b"\xef\xbb\xbf")) is not None


def whole_json(content: bytes) -> bytes | None:
    r"""Give ``content`` if it is JSON in UTF-8, mended where only half a character is wrong with it; else None.

    JavaScript cuts long texts in the middle of a surrogate pair and writes ``\ud83d`` then, which is JSON but no text.
    """
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
        content.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _mended(content) if b"\\u" in content else None
    return content


def _mended(content: bytes) -> bytes | None:
    try:
        value = json.loads(content)
        whole = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        encoded = whole.encode()
        msgspec.json.decode(encoded, type=msgspec.Raw)
    except (ValueError, RecursionError, msgspec.DecodeError):
        return None
    return encoded
