"""Where the bytes of an answer go: into memory, or into a file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from cargo_source.api.answers import Answer, Failure, Lost
from cargo_source.api.asking import Ask
from cargo_source.api.links import Download, Fetch, kind_of

_PARQUET_END = b"PAR1"
_HEAD = 256
LARGEST_BODY = 512 * 1024 * 1024
"""No page of a list comes near it; a body that was packed small may try."""


@dataclass
class BodySink:
    """Takes a body into memory, or only its first chunk where ``wanted`` is False."""

    answer: Answer
    wanted: bool = True
    _chunks: list[bytes] = field(default_factory=list, repr=False)
    _taken: int = 0

    @property
    def full(self) -> bool:
        """Whether no more is wanted."""
        return not self.wanted or self._taken > LARGEST_BODY

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._chunks.clear()

    def take(self, chunk: bytes) -> None:
        """Keep a chunk."""
        self._taken += len(chunk)
        self._chunks.append(chunk)

    def finish(self) -> Answer | Failure:
        """Give the answer with its body."""
        if self._taken > LARGEST_BODY:
            return Failure(Lost.TOO_LARGE)
        return Answer(self.answer.status, self.answer.headers, b"".join(self._chunks))


@dataclass
class FileSink:
    """Takes the bytes of a download into a file beside the wanted one, which it replaces when all has come.

    Only its owner can read the file. What the disk refuses is raised as OSError.
    """

    fetch: Fetch
    full: bool = False
    _written: int = 0
    _head: bytes = field(default=b"", repr=False)
    _tail: bytes = field(default=b"", repr=False)
    _file: IO[bytes] = field(init=False, repr=False)

    @property
    def _part(self) -> Path:
        return self.fetch.to.with_name(self.fetch.to.name + ".part")

    def __enter__(self) -> Self:
        self._part.unlink(missing_ok=True)
        self._file = os.fdopen(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        finally:
            self._part.unlink(missing_ok=True)

    def take(self, chunk: bytes) -> None:
        """Write a chunk, unless it goes past the limit."""
        self._written += len(chunk)
        if self._written > self.fetch.limit_bytes:
            self.full = True
            return
        self._file.write(chunk)
        if len(self._head) < _HEAD:
            self._head = (self._head + chunk)[:_HEAD]
        self._tail = (self._tail + chunk[-4:])[-4:]

    def finish(self) -> Download | Failure:
        """Put the file in its place and tell what it is; a parquet file without its end has been cut."""
        if self.full:
            return Failure(Lost.TOO_LARGE)
        kind = kind_of(self._head)
        if kind == "parquet" and self._tail != _PARQUET_END:
            return Failure(Lost.CUT)
        self._file.close()
        self._part.replace(self.fetch.to)
        return Download(self.fetch.to, self._written, kind)


def sink_for(step: Ask | Fetch, status: int, headers: Mapping[str, str]) -> BodySink | FileSink:
    """Say where the body of an answer goes. Nobody reads what a file store answers when it gives no file."""
    if isinstance(step, Fetch) and 200 <= status < 300:
        return FileSink(step)
    return BodySink(Answer(status, headers, b""), wanted=isinstance(step, Ask))
