"""The pages that people read: README.md and docs/, with their blocks of code and the parts that are generated."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))
OTHERS = (ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "notebooks" / "README.md")
"""Pages whose links and commands are looked at, and whose blocks are not run."""

_FENCE = re.compile(r"^```")
_NOT_RUN = re.compile(r"<!-- not run: (\S.*) -->")
_SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A block of code: its page, the line that it begins in, its language, and why it is not run (empty: it is)."""

    page: Path
    line: int
    language: str
    code: str
    not_run: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The lines of a console block that are typed, without prompts and comments."""
        typed = [line.removeprefix("$ ") for line in self.code.splitlines() if line.startswith("$ ")]
        return [re.sub(r"\s+# .*$", "", line).strip() for line in typed]


def blocks_of(page: Path) -> list[Block]:
    """Give the blocks of a page in their order."""
    found: list[Block] = []
    lines = page.read_text().splitlines()
    start = None
    for number, line in enumerate(lines):
        if not _FENCE.match(line):
            continue
        if start is None:
            start = number
            continue
        above = _NOT_RUN.fullmatch(lines[start - 1].strip()) if start else None
        language = lines[start].removeprefix("```").strip()
        code = "\n".join(lines[start + 1 : number]) + "\n"
        found.append(Block(page, start + 1, language, code, above[1] if above else ""))
        start = None
    assert start is None, f"{page.name}: a block has no end"
    return found


def prose(page: Path) -> str:
    """Give a page without its blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def spans(page: Path) -> list[str]:
    """Give what stands between backticks in the text of a page, each on one line."""
    return [" ".join(found.split()) for found in _SPAN.findall(prose(page))]


def part(page: Path, name: str) -> str:
    """Give a generated part of a page."""
    return re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", page.read_text(), re.DOTALL)[1].strip()


def put(page: Path, name: str, text: str) -> None:
    """Write a generated part of a page anew."""
    marks = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    page.write_text(re.sub(marks, lambda m: f"{m[1]}{text}\n{m[2]}", page.read_text(), flags=re.DOTALL))
