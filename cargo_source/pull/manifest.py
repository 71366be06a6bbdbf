"""How far a sync has come, on disk beside its files: what one that is cut off has read, the next need not read again.

A manifest is a file of JSON lines. The first says which sync it belongs to, each further one what was read since the
one before: finished units of work, the files that hold their rows, and what others need to know of them. A line is
written when its files are finished, so what stands there can be relied on.
"""

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cargo_source.pull.spool import Chunk, Sheet, Spool
from cargo_source.pull.times import format_time, parse_time

NAME = "manifest.jsonl"
SAVED_EVERY = 15.0
"""Seconds of work that a sync which is cut off may lose, however few rows they gave."""


@dataclass(frozen=True)
class Header:
    """Which sync this is. ``identity`` says what it read with: state, settings, workspace and version."""

    identity: str
    now: datetime
    run_id: str


@dataclass
class Entry:
    """What is known of one reading: its finished units, its files by table, and what it noted."""

    units: set[str] = field(default_factory=set)
    chunks: dict[str, list[Chunk]] = field(default_factory=lambda: defaultdict(list))
    notes: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False


class Manifest:
    """The manifest of a running sync, and what it found of the one before it that was cut off."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._lock = threading.Lock()
        self._found: dict[str, Entry] = {}
        self.header: Header | None = None
        self.resumed = False

    def begin(self, header: Header) -> Header:
        """Go on with a sync of the same identity that was cut off, or else begin this one. Gives its header."""
        for left in self._spool.left():
            lines = _lines(left / NAME)
            if lines and lines[0].get("identity") == header.identity and self._spool.adopt(left):
                first = lines[0]
                self.header = Header(first["identity"], parse_time(first["now"]), first["run_id"])
                self._found = self._entries(lines[1:])
                self._spool.keep_only(
                    chunk.path.name for e in self._found.values() for chunks in e.chunks.values() for chunk in chunks
                )
                self.resumed = True
                return self.header
        self.header = header
        self._write({"identity": header.identity, "now": format_time(header.now), "run_id": header.run_id})
        return header

    def _entries(self, lines: Iterable[Mapping[str, Any]]) -> dict[str, Entry]:
        entries: dict[str, Entry] = defaultdict(Entry)
        for line in lines:
            entry = entries[line["reading"]]
            if line["anew"]:
                entries[line["reading"]] = entry = Entry()
            entry.units.update(line["units"])
            entry.notes.append(line["note"])
            entry.finished |= line["finished"]
            for table, files in line["files"].items():
                entry.chunks[table] += [Chunk(self._spool.folder / name, rows) for name, rows in files]
        return entries

    def progress(self, reading: str, sheets: Mapping[str, Sheet]) -> "Progress":
        """Give the progress of a reading, with the rows in ``sheets`` that came before this sync was cut off."""
        entry = self._found.get(reading, Entry())
        for table, sheet in sheets.items():
            for chunk in entry.chunks.get(table, ()):
                sheet.add_chunk(chunk)
        return Progress(self, reading, sheets, entry)

    def save(self, line: Mapping[str, Any]) -> None:
        """Add a line."""
        self._write(line)

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._spool.home is None:
            # Nobody would look there.
            return
        with self._lock, open(self._spool.folder / NAME, "a", opener=_private) as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


class Progress:
    """How far one reading has come. Threads may share it."""

    def __init__(self, manifest: Manifest, reading: str, sheets: Mapping[str, Sheet], found: Entry) -> None:
        self._manifest, self._reading, self._sheets = manifest, reading, sheets
        self._lock = threading.Lock()
        self._units: set[str] = set()
        self._saved = {table: len(sheet.chunks) for table, sheet in sheets.items()}
        self._anew = False
        self._saved_at = time.monotonic()
        self.found = found

    def has(self, unit: str) -> bool:
        """Say whether a unit was finished before this sync was cut off."""
        return unit in self.found.units

    def done(self, unit: str) -> None:
        """Note that all rows of a unit are in the sheets."""
        with self._lock:
            self._units.add(unit)

    @property
    def is_due(self) -> bool:
        """Whether some time has passed since the last line."""
        return time.monotonic() - self._saved_at > SAVED_EVERY

    def restart(self) -> None:
        """Forget what came: the reading begins anew."""
        with self._lock:
            for table, sheet in self._sheets.items():
                sheet.clear()
                self._saved[table] = 0
            self._units.clear()
            self.found = Entry()
            self._anew = True

    def save(self, note: Callable[[], Mapping[str, Any]], *, finished: bool = False) -> None:
        """Write down what came since the last time, with what ``note`` then gives."""
        with self._lock:
            # Units first: their rows are in the sheets, and what was noted of them has been noted.
            units, self._units = self._units, set()
            told = note()
            files = {}
            for table, sheet in self._sheets.items():
                chunks = sheet.settle()
                files[table] = [(chunk.path.name, chunk.rows) for chunk in chunks[self._saved[table] :]]
                self._saved[table] = len(chunks)
            self._manifest.save(
                {
                    "reading": self._reading,
                    "anew": self._anew,
                    "units": sorted(units),
                    "files": files,
                    "note": told,
                    "finished": finished,
                }
            )
            self._anew, self._saved_at = False, time.monotonic()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _lines(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a manifest up to one that was cut."""
    lines = []
    try:
        text = path.read_text()
    except OSError:
        return []
    for line in text.splitlines(keepends=True):
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines
