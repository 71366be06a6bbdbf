"""What stands in the pages exists: links, pictures, commands, files, messages."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from cargo_source.cli import app
from tests.docs.pages import OTHERS, PAGES, ROOT, blocks_of, prose, spans

ALL = (*PAGES, *OTHERS)
LANGUAGES = {"console", "python", "sql", "toml", "json", "text"}
FILES = re.compile(r"(?:tests|pipelines|cargo_source|docs|benchmarks|notebooks)/[\w./*-]*\w")
by_name = pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Git's hosts make them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@by_name
def test_links_and_pictures_exist(page):
    """A relative link leads somewhere: to a file, and to a heading in it where it names one."""
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@by_name
def test_every_block_is_run_or_says_why_not(page):
    """A block is in a language that is run or only shown; one that is not run has its reason above it, in the page."""
    found = blocks_of(page)
    assert [str(block) for block in found if block.language not in LANGUAGES] == []
    left = len(re.findall(r"<!-- not run: \S.* -->", page.read_text()))
    assert left == sum(bool(block.not_run) for block in found), "a mark that is not right above a block"


def test_pages_that_nobody_plays_hold_no_block_to_run():
    """Blocks of pages beside README.md and docs/ are marked as not run."""
    silent = [
        str(block) for page in OTHERS for block in blocks_of(page) if not block.not_run and block.language != "text"
    ]
    assert silent == []


def typed(page: Path) -> list[str]:
    """The cargo-source commands of a page, in blocks, run or not, and in its text."""
    lines = [line for block in blocks_of(page) if block.language == "console" for line in block.commands]
    found = [line[line.index("cargo-source ") :] for line in lines if re.match(r"(\w+=\S+ )*cargo-source ", line)]
    return found + [span for span in spans(page) if re.match(r"cargo-source [a-z]", span)]


def problem(command, name: str, arguments: list[str]) -> str:
    """Say what a command has against its arguments; one that is spoken of may lack its argument, or an option's."""
    try:
        command.make_context(name, [*arguments])
    except Exception as error:  # noqa: BLE001 - typer brings its own click, whose errors have no public name
        # Click's errors say nothing as texts.
        spoken = "requires an argument" in repr(error) if arguments else type(error).__name__ == "MissingParameter"
        return "" if spoken else repr(error)
    return ""


@by_name
def test_commands_parse(page):
    """Each command that a page names exists, with the options that it is given."""
    known = get_command(app).commands
    for line in typed(page):
        _, name, *arguments = shlex.split(line)
        assert name in known, line
        assert problem(known[name], name, arguments) == "", line


def test_every_command_is_used_or_told_of():
    """There is a page that says what each command is for, beside the table of commands."""
    told = " ".join(line for page in PAGES if page.name != "commands.md" for line in typed(page))
    silent = [name for name in get_command(app).commands if f"cargo-source {name}" not in told]
    assert silent == []


@by_name
def test_files_that_are_named_exist(page):
    """A path of this repository that stands between backticks is there."""
    named = {path for span in spans(page) for path in FILES.findall(span) if span.startswith(path)}
    # What begins with a dot is made, and not committed.
    assert sorted(path for path in named if "/." not in path and not any(ROOT.glob(path))) == []


@by_name
def test_pages_are_reached_from_the_readme(page):
    """No page is hidden: the README links to each, or a page that it links to does."""
    if page == ROOT / "README.md":
        assert len(page.read_text().splitlines()) <= 165, "the README stays a page and a bit"
        return
    links = {
        str((source.parent / link.partition("#")[0]).resolve())
        for source in PAGES
        for link in re.findall(r"\]\(([^)\s]+)\)", prose(source))
        if "://" not in link
    }
    assert str(page) in links


# Messages ------------------------------------------------------------------------------------------------------------

MESSAGES = re.findall(r"^#### `(.+)`$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)


@cache
def said() -> tuple[str, ...]:
    """All texts of cargo_source's code, with … for what is put into them."""
    texts = []
    for path in (ROOT / "cargo_source").rglob("*.py"):
        if "sandbox" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(each.value if isinstance(each, ast.Constant) else "…" for each in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                # Texts that are filled in later.
                texts.append(re.sub(r"\{\w*\}", "…", node.value))
    return tuple(texts)


def is_said(message: str) -> bool:
    pieces = message.split("…")
    assert sum(map(len, pieces)) > 12, f"too little to be found: {message}"
    pattern = re.compile(".*?".join(map(re.escape, pieces)), re.DOTALL)
    longest = max(pieces, key=len)
    return any(longest in text and pattern.search(text) for text in said())


def test_messages_are_those_of_the_program():
    """What docs/troubleshooting.md quotes stands in the source, so that who searches for a message finds it."""
    assert [message for message in MESSAGES if not is_said(message)] == []


def test_messages_are_many():
    """The page knows of the errors that people meet."""
    assert len(MESSAGES) > 50
    assert len(set(MESSAGES)) == len(MESSAGES)
