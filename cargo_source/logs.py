"""What the command line logs on standard error: lines for people, or one JSON object a line for machines.

Messages of the ``cargo_source`` logger hold no secret and no value of a cell, so neither do these.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

EXTRAS = ("rows", "total", "lane", "status", "requests", "seconds", "evidence")
"""What a message may say beside its text."""


class LogFormat(StrEnum):
    """How log lines are written."""

    text = "text"
    json = "json"


class ToStderr(logging.Handler):
    """Writes to whatever standard error is at that moment: a live display takes it over while it is shown."""

    def __init__(self, form: LogFormat = LogFormat.text) -> None:
        super().__init__(logging.WARNING if form is LogFormat.text else logging.INFO)
        self._form = form

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        sys.stderr.write(line_of(record, self._form) + "\n")
        sys.stderr.flush()


def start(form: LogFormat) -> None:
    """Have the logger of this package write to standard error."""
    logger = logging.getLogger("cargo_source")
    logger.addHandler(ToStderr(form))
    if form is LogFormat.json:
        logger.setLevel(logging.INFO)


def line_of(record: logging.LogRecord, form: LogFormat) -> str:
    """Write a record as one line."""
    if form is LogFormat.text:
        return f"cargo-source: {record.getMessage()}"
    told: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
    }
    args = record.args
    # Messages about a table begin with its name.
    if record.msg.startswith("%s: ") and isinstance(args, tuple) and args:
        told["table"], told["event"] = str(args[0]), told["event"].removeprefix(f"{args[0]}: ")
    told |= {name: getattr(record, name) for name in EXTRAS if hasattr(record, name)}
    return json.dumps(told, default=str)
