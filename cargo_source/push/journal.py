"""The journal of one push: what is about to be sent, before it is, and what came of it, after.

It is a file of lines beside the ledger, which takes it over when the push is done, or when the next one finds it. It
holds no cell: of a key its digest, or the key itself where that was asked for.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

Status = Literal["created", "updated", "removed", "rejected", "unknown", "sent", "unsent"]
"""What became of a row. ``unknown``: it was sent, and nobody knows what became of it. The last two: on its way."""

Row = dict[str, Any]
SUFFIX = ".journal"


class Fate(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a row that was to be changed."""

    seq: int
    status: Status
    id: str | None = None
    reason: str | None = None
    column: str | None = None
    row: int | None = None
    """Its place in the source, where it was rejected."""


SETTLED: Row = {"settled": True, "sent_at": None}
"""What rows have that an earlier push has sent."""


class Journal:
    """Writes what happens, line by line; threads may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch(mode=0o600)
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def begin(self, run: Row) -> None:
        """Write down which push this is."""
        self._write({"what": "run", **run})

    def refuse(self, rows: Iterable[Row]) -> None:
        """Write down rows that are not sent at all."""
        self._write({"what": "refused", "at": _now(), "rows": [*rows]})

    def settle(self, rows: Iterable[Row]) -> None:
        """Write down rows of an earlier push of which it shows only now what became of them."""
        self._write({"what": "settled", "at": _now(), "rows": [*rows]})

    def send(self, kind: str, rows: Iterable[Row]) -> None:
        """Write down rows that are about to be sent: ``seq``, ``row``, ``key`` and, where it is known, ``id``."""
        self._write({"what": "sent", "kind": kind, "at": _now(), "rows": [*rows]})

    def tell(self, fates: Iterable[Fate]) -> None:
        """Write down what became of rows that were sent."""
        self._write({"what": "fates", "at": _now(), "rows": [*fates]})

    def end(self, status: str, **counts: Any) -> None:
        """Write down how it ended."""
        self._write({"what": "end", "status": status, "finished_at": _now(), **counts})

    def close(self) -> None:
        """Close the file, which stays."""
        self._file.close()

    def _write(self, line: Row) -> None:
        text = msgspec.json.encode(line) + b"\n"
        with self._lock:
            self._file.write(text)


def _now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass(frozen=True)
class Told:
    """What a journal tells: the push, how it ended, if it did, and its rows with what became of them."""

    path: Path
    run: Row
    end: Row | None

    def rows(self) -> Iterator[Row]:
        """Give the rows, one after another: of a large push they are more than memory holds.

        A row is given when it is told what became of it, those of which nothing is known at the end.
        """
        sent: dict[int, Row] = {}
        for what, text in _lines(self.path):
            if what not in {"refused", "settled", "sent", "fates"}:
                continue
            line = msgspec.json.decode(text)
            match what:
                case "refused":
                    yield from ({**row, "kind": None, "status": "rejected", "sent_at": None} for row in line["rows"])
                case "settled":
                    yield from ({**row, **SETTLED, "answered_at": line["at"]} for row in line["rows"])
                case "sent":
                    for row in line["rows"]:
                        # Of a row that was sent several times, the first time is when it began.
                        sent.setdefault(row["seq"], {"sent_at": line["at"], **row, "kind": line["kind"]})["status"] = (
                            "unknown"
                        )
                case "fates":
                    for fate in line["rows"]:
                        known = {name: value for name, value in fate.items() if value is not None}
                        yield {**sent.pop(fate["seq"], {}), **known, "answered_at": line["at"]}
        yield from sent.values()


def read(path: Path) -> Told | None:
    """Read a journal; None where nothing was begun. A line that was cut off with its process is not one."""
    found: dict[str, Row] = {what: msgspec.json.decode(text) for what, text in _lines(path) if what in {"run", "end"}}
    return Told(path, found["run"], found.get("end")) if "run" in found else None


class _Head(msgspec.Struct):
    what: str


_HEADS = msgspec.json.Decoder(_Head)


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as lines:
        for line in lines:
            try:
                yield _HEADS.decode(line).what, line
            except msgspec.DecodeError:
                return
