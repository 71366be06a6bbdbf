"""What an operation gives back: an answer with its rows, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from cargo_source.sandbox.exports import LINK_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    import pyarrow as pa

    from cargo_source.sandbox.shapes import Issue
    from cargo_source.sandbox.store import Store


@dataclass(frozen=True)
class Call:
    """A request that has passed its checks: the store, the parameters, and the values in its path.

    `links_expired` says that the links of an export are given when their time is already over.
    """

    store: Store
    params: dict[str, Any]
    path: dict[str, str] = field(default_factory=dict)
    links_expired: bool = False

    def links(self, parts: Iterable[pa.RecordBatch], file_format: str) -> list[str]:
        """Write an export and give its links."""
        return [self.store.origin + link for link in self.store.exports.add(parts, file_format, self._expires())]

    def link(self, part: pa.RecordBatch, file_format: str) -> str:
        """Write an export that is one file, though it may be empty, and give its link."""
        return self.store.origin + self.store.exports.add_one(part, file_format, self._expires())

    def link_to(self, content: bytes, rows: int) -> str:
        """Keep an export that is finished, and give its link."""
        return self.store.origin + self.store.exports.add_content(content, rows, self._expires())

    def _expires(self) -> datetime:
        return self.store.world.now if self.links_expired else self.store.world.now + LINK_LIFETIME


@dataclass
class Answer:
    """A body and how many rows its list holds; `listed` names the list, if there is one.

    The body is an object, or bytes where rows are kept encoded, or where it is no JSON at all.
    """

    body: dict[str, Any] | bytes
    listed: str | None = None
    rows: int = 0
    media_type: str = "application/json"
    status: int = 200

    def encoded(self) -> bytes:
        """Give the body as JSON."""
        return self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)

    def opened(self) -> dict[str, Any]:
        """Give the body as an object that may be changed without touching the store."""
        body: dict[str, Any] = orjson.loads(self.encoded())
        return body


class Refusal(Exception):
    """A request that is answered with an error status and one of the documented error bodies."""

    def __init__(self, status: int, body: dict[str, Any] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def not_found(reason: str) -> Refusal:
    """Refuse because something with a name of its own does not exist: `modelNotFound` and its kin."""
    return Refusal(404, {"reason": reason})


def invalid(issues: list[Issue]) -> Refusal:
    """Refuse a request whose keys or values break its shape; the text is the serialised list of issues."""
    return Refusal(400, {"errorMessage": orjson.dumps(issues).decode()})


def failed(text: str) -> Refusal:
    """Refuse with a text."""
    return Refusal(400, {"errorMessage": text})
