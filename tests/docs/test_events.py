"""The page on events names all that there is."""

import re

from mainspring.job import EventKind
from mainspring.web.endpoints.events import EVENT, ROWS
from tests.docs.reading import ROOT, table

PAGE = "docs/events.md"


def names(cell: str) -> set[str]:
    """Return what stands in a cell as code."""
    return set(re.findall(r"`([^`]+)`", cell))


def test_types() -> None:
    """Each once, and no other."""
    assert set(EventKind) == set().union(*(names(kinds) for kinds, *_ in table(PAGE, "type")))


def test_filters() -> None:
    """Each parameter but those that say from where, how much and how long."""
    told = set().union(*(names(parameters) for parameters, _ in table(PAGE, "parameter")))
    filters = {parameter.name for parameter in ROWS[0].query or ()} - {"after", "limit", "wait"}
    assert {name.replace("*", "NAME") for name in filters} == told


def test_members() -> None:
    """Of each event, in the reference."""
    text = (ROOT / "docs/api.md").read_text()
    section = text.partition("\n## Follow events\n")[2].partition("\n## ")[0]
    told = set().union(*(names(line.split("|")[1]) for line in section.splitlines() if line.startswith("| `")))
    assert EVENT["properties"].keys() <= told
