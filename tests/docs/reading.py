"""Markdown as the tests read it: fenced blocks, tables, headings and links."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/*/README.md")
    for path in ROOT.glob(pattern)
    if not path.is_relative_to(ROOT / ".venv")
)

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])+\]\((?P<target>[^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block, and the heading of the section that it stands in."""

    language: str
    text: str
    section: str


def blocks(page: str, *languages: str) -> list[Block]:
    """Return the fenced blocks of a page in these languages."""
    text = (ROOT / page).read_text()
    return [
        Block(match["language"], match["text"], _section(text[: match.start()]))
        for match in _FENCE.finditer(text)
        if match["language"] in languages
    ]


def _section(before: str) -> str:
    headings = re.findall(r"^##+ (.+)$", before, re.MULTILINE)
    return headings[-1] if headings else ""


def files(page: str) -> dict[str, str]:
    """Return the Python blocks of a page, each of which is a file whose first line is its name."""
    named = {}
    for block in blocks(page, "python"):
        first, _, _ = block.text.partition("\n")
        assert re.fullmatch(r"# \w+\.py", first), f"{page}: a Python block begins with {first!r}, not with its name"
        named[first.removeprefix("# ")] = block.text
    return named


def commands(page: str) -> Iterator[str]:
    """Return the lines of a page that call ``mainspring``."""
    for block in blocks(page, "sh", "console"):
        for line in block.text.splitlines():
            command = line.removeprefix("$ ").removeprefix("python -m ")
            if command.startswith("mainspring "):
                yield command


def table(page: str, head: str) -> list[list[str]]:
    """Return the rows of the table with that first heading, as cells."""
    lines = iter((ROOT / page).read_text().splitlines())
    for line in lines:
        if line.startswith(f"| {head} |"):
            next(lines)  # the rule below the headings
            rows = itertools.takewhile(lambda row: row.startswith("|"), lines)
            return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    raise AssertionError(f"{page} has no table that begins with {head!r}")


def links(path: Path) -> list[str]:
    """Return the targets of all links of a page, without those in blocks and code."""
    text = re.sub(r"`[^`\n]*`", "``", _FENCE.sub("", path.read_text()))
    return [match["target"] for match in _LINK.finditer(text)]


def anchors(path: Path) -> set[str]:
    """Return what can stand behind the ``#`` of a link to a page."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
