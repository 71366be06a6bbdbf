"""How every command ends: in one line or one JSON object, with the exit that its contract says, whatever happens."""

import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Never

import typer

from cargo_source.errors import BadSettings, CargoError, ReportBug
from cargo_source.logs import LogFormat, line_of
from cargo_source.logs import start as start_logs

EXIT_FAILED, EXIT_INCOMPLETE = 1, 3
DEFAULT_STATE_DIR = Path(".cargo-source")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]

EXIT_OF_CTRL_C = 130


def interrupted(number: int, frame: FrameType | None) -> None:
    """Interrupt what is done; end at once where a module is being imported.

    What is half imported may swallow the interruption, or leave other threads waiting for it for ever. A sync may be
    killed at any moment.
    """
    stopped = KeyboardInterrupt(signal.Signals(number).name)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            die_of(stopped)
        frame = frame.f_back
    raise stopped


def die_of(stopped: KeyboardInterrupt) -> Never:
    """End a process that was interrupted outside of :func:`errors_told`."""
    if "--json" in sys.argv:
        print_json({"status": "failed", "error": {"type": "KeyboardInterrupt", "message": stopped_by(stopped)}})
    die(stopped_by(stopped))


LOADED = "every table is as after its last completed load"


def stopped_by(stopped: KeyboardInterrupt, left: str = LOADED) -> str:
    """Say what stopped a command, and how it ``left`` things."""
    by = "Ctrl-C" if stopped.args in {(), ("SIGINT",)} else stopped.args[0]
    return f"stopped by {by}: {left}; run the same command again to go on"


@contextmanager
def errors_told(
    *,
    as_json: bool,
    partial: Callable[[], dict[str, Any]] | None = None,
    form: LogFormat = LogFormat.text,
    left: str = LOADED,
) -> Iterator[None]:
    """Turn our errors into one line, or one JSON object, and the right exit; logs go to standard error.

    ``partial`` gives what is known of the work so far, ``left`` says how an interruption leaves things.
    """
    start_logs(form)
    try:
        yield
    except CargoError as error:
        if as_json:
            told = {"type": type(error).__name__, "message": str(error)}
            print_json({**(partial() if partial else {}), "status": "failed", "error": told})
        die(str(error), code=error.exit_code, form=form)
    except KeyboardInterrupt as stopped:
        if as_json:
            told = {"type": "KeyboardInterrupt", "message": stopped_by(stopped, left)}
            print_json({**(partial() if partial else {}), "status": "failed", "error": told})
        die(stopped_by(stopped, left), form=form)
    except Exception as error:  # noqa: BLE001 - the last line of defence: nobody should read a traceback
        # Only where it happened is told: the text of a foreign error may quote anything.
        bug = ReportBug(f"{type(error).__name__} in {_where(error)}: {ReportBug.remedy}")
        if as_json:
            told = {"type": type(bug).__name__, "message": str(bug)}
            print_json({**(partial() if partial else {}), "status": "failed", "error": told})
        die(str(bug), form=form)


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "cargo_source" in frame.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"


def die(message: str, *, code: int = EXIT_FAILED, form: LogFormat = LogFormat.text) -> Never:
    """Tell in one line what went wrong, and exit."""
    record = logging.LogRecord("cargo_source", logging.ERROR, "", 0, "%s", (message,), None)
    sys.stderr.write(line_of(record, form) + "\n")
    sys.stderr.flush()
    sys.stdout.flush()
    # Threads may still wait for the network; nothing that they could bring is wanted any more.
    os._exit(code)


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on a line."""
    sys.stdout.write(json.dumps(value, default=str) + "\n")
    sys.stdout.flush()


def names_of(text: str | None) -> list[str] | None:
    """Split names at commas."""
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


def pairs_of(texts: list[str] | None, option: str) -> list[tuple[str, str]]:
    """Split ``name=value`` options. Raises BadSettings for one that has no ``=``."""
    pairs = [text.partition("=") for text in texts or ()]
    for name, sign, _value in pairs:
        if not sign:
            raise BadSettings(f"{option} {name!r}: write it as name=value")
    return [(name.strip(), value.strip()) for name, _sign, value in pairs]
