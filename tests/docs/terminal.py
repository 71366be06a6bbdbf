"""A terminal of fixed width: what a command writes there, as a picture that needs nothing else, and as text."""

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from collections import defaultdict
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.text import Text

WIDTH = 100
CELL = 12.2
"""What rich's picture gives a letter."""

FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font: {char_height}px/{line_height}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}}
.{unique_id}-title {{ font: bold 18px system-ui, "Segoe UI", Arial, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""The frame of rich's picture, with the fonts that a reader has; rich's own asks the network for one."""


def typed(shown: str) -> list[str]:
    """Give the arguments of a command as it is typed, on several lines maybe."""
    program, *arguments = shlex.split(shown.replace("\\\n", " "))
    assert program == "cargo-source"
    return arguments


def run_in_terminal(shown: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a command with a terminal for its output, and give what it writes there, colours and all."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
    command = [sys.executable, "-m", "cargo_source", *typed(shown)]
    # What the developer's own terminal is told must not change the picture.
    theirs = {"NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "LINES", "COLORTERM"}
    environment = {name: value for name, value in environment.items() if name not in theirs}
    environment |= {"TERM": "xterm-256color"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=its, stdout=its, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(its)
        written = b""
        # Where nobody has the other end any more, reading fails.
        while part := _read(ours):
            written += part
        errors = process.stderr.read()
    os.close(ours)
    assert process.returncode == 0, errors
    return written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def picture(shown: str, written: str, name: str) -> str:
    """Draw a command as it is typed, and what it writes."""
    console = Console(width=WIDTH, record=True, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "bold green"), (shown, "bold")), end="\n\n")
    lines = written.replace("\r\n", "\n").splitlines()
    while not lines[0].strip():
        del lines[0]
    console.print(Text.from_ansi("\n".join(lines)))
    svg = console.export_svg(title="cargo-source", code_format=FORMAT, unique_id=name)
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def text_of(svg: str) -> list[str]:
    """Give the lines that a picture shows."""
    lines: dict[float, dict[int, str]] = defaultdict(dict)
    for each in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        if each.get("class", "").endswith("-title"):
            continue
        lines[float(each.get("y"))][round(float(each.get("x")) / CELL)] = each.text or ""
    found = []
    for y in sorted(lines):
        line = ""
        for column, text in sorted(lines[y].items()):
            line = line.ljust(column) + text
        found.append(line.replace("\xa0", " ").rstrip())
    return found


def shape_of(svg: str) -> list[str]:
    """Give the same without what differs from run to run: seconds, numbers of requests, and widths for them."""
    found = []
    for line in text_of(svg):
        told = re.sub(r"[\d,]+\s+\d+\.\d(?=\s+(complete|skipped))", "N N", line)
        told = re.sub(r"\b(yes|no)\s+\d+", r"\1 N", told)
        told = re.sub(r"[\d,]+ requests", "N requests", told)
        told = re.sub(r"\d+\.\d s\b", "N s", told)
        found.append(re.sub(r"[\s─]+", " ", told).strip())
    return [line for line in found if line]
