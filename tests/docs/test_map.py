"""The map in CONTRIBUTING: its rooms are those of the tree, its floors those that the imports are checked by."""

import re
import tomllib

from tests.docs.reading import ROOT, table

PACKAGE = ROOT / "src/mainspring"
SURFACE = {"__init__.py", "__main__.py"}
"""What stands on no floor: the surface for authors, and the way in by `python -m`."""


def floors() -> list[set[str]]:
    """Return what stands on each floor of the map, from the top; rows without a name belong to the floor above them."""
    found: list[set[str]] = []
    for floor, rooms, _ in table("CONTRIBUTING.md", "floor, from the top"):
        if floor:
            found.append(set())
        found[-1] |= set(re.findall(r"`([^`]+)`", rooms))
    return found


def layers() -> list[set[str]]:
    """Return the floors by which imports are checked, from the top."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (contract for contract in contracts if contract["type"] == "layers")
    return [set(re.split(r"\s*[|:]\s*", layer)) for layer in contract["layers"]]


def test_the_map_shows_the_tree() -> None:
    """Each folder and each module of the package is on the map, and nothing else."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    modules = {path.name for path in PACKAGE.glob("*.py")} - SURFACE
    shown = [room for floor in floors() for room in floor]
    assert sorted(folders | modules) == sorted(shown)


def test_the_map_shows_the_floors() -> None:
    """In the order and with the neighbours of the import contract."""
    assert layers() == [{room.removesuffix(".py") for room in floor} for floor in floors()]
