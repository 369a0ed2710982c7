"""The pages among themselves: links lead somewhere, commands exist, decisions have one form."""

import re
import shlex
from pathlib import Path

import pytest

from mainspring.cli import main
from mainspring.cli.main import app
from tests.docs.reading import PAGES, ROOT, anchors, commands, links, table

INDEX = "docs/decisions/index.md"
DECISIONS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
LONGEST_DECISION = 25
FAMILIES = {family.name for family in app.registered_groups}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of ours names one that is there, and a heading that it has."""
    for target in links(page):
        if re.match(r"https?://|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md", "docs/plugins.md"])
def test_commands_exist(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every call of `mainspring` that a page shows names a command that there is, and flags that it has."""
    for line in commands(page):
        _, *rest = shlex.split(line)
        command = rest[: 2 if rest[0] in FAMILIES else 1]
        with pytest.raises(SystemExit) as left:
            main([*command, "--help"])
        assert not left.value.code, line
        flags = {word for word in rest if word.startswith("--")}
        assert flags <= set(capsys.readouterr().out.split()), line


def test_decisions_are_numbered() -> None:
    """They are counted from 0001 on, without a gap."""
    assert [f"{number:04}" for number in range(1, len(DECISIONS) + 1)] == [path.name[:4] for path in DECISIONS]


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_decisions_have_one_form(path: Path) -> None:
    """A decision is short: its number and name, then context, decision and consequence.

    One that is overtaken says so before all that, and by which later one.
    """
    lines = path.read_text().splitlines()
    assert lines[0].startswith(f"# {path.name[:4]} ")
    assert len(lines) <= LONGEST_DECISION
    starts = [line.partition(" ")[0] for line in lines if line.startswith("**")]
    if starts[0] == "**Overtaken**":
        assert starts.pop(0) == lines[2].partition(" ")[0]
        (later,) = re.findall(r"^\*\*Overtaken\*\* by \[\d{4}\]\((\d{4}-[a-z0-9-]+\.md)\)", lines[2])
        assert path.name < later
        assert (path.parent / later).exists()
    assert ["**Context.**", "**Decision.**", "**Consequence.**"] == starts


def decision_row(path: Path) -> tuple[str, str, str]:
    """Return what the index has to say of a decision: its link, its title and its state."""
    title, blank, first, *_ = path.read_text().splitlines()
    assert not blank
    overtaken = re.match(r"Overtaken (?:in part )?by \[\d{4}\]\([^)]+\)", first)
    state = overtaken[0].lower() if overtaken else "in force"
    return f"[{path.name[:4]}]({path.name})", title.removeprefix(f"# {path.name[:4]} "), state


def test_decisions_are_in_the_index() -> None:
    """Each with its title, and it is overtaken there if its own first line says so, and only then."""
    listed = [(number, title, state) for number, title, _, state in table(INDEX, "number")]
    assert [decision_row(path) for path in DECISIONS] == listed
