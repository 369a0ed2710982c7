"""Which plugins a folder has, and what counts as a change of it."""

import os
from pathlib import Path

import pytest

from mainspring.launch.source_tree import changed, look, state

MODULE = "from mainspring import SchedulerPluginModule\n\n\nclass {}(SchedulerPluginModule):\n    pass\n"


def write(folder: Path, **files: str) -> None:
    """Write files; ``__`` in a name is a slash, and each is Python."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_entry_points_are_the_plugins(tmp_path: Path) -> None:
    """A package says by itself what it has; its modules are below src, if that is there."""
    text = '[project.entry-points."mainspring.plugins"]\na = "shop.jobs:Module"\nb = "shop.more:Other"\n'
    (tmp_path / "pyproject.toml").write_text(text)
    assert (tmp_path, ("shop.jobs:Module", "shop.more:Other"), ()) == tuple_of(tmp_path)
    write(tmp_path, src__shop__jobs="")
    assert tmp_path / "src" == look(tmp_path).root


def tuple_of(path: Path) -> tuple[Path, tuple[str, ...], tuple[str, ...]]:
    """Return all that was found."""
    tree = look(path)
    return tree.root, tree.plugins, tree.problems


def test_classes_of_modules_are_the_plugins(tmp_path: Path) -> None:
    """In all modules of a folder, but not in tests and in what is hidden."""
    write(
        tmp_path,
        one=MODULE.format("One"),
        deep__two="import mainspring\nclass Two(mainspring.SchedulerPluginModule): ...\n",
        test_one=MODULE.format("No"),
        conftest=MODULE.format("No"),
        tests__three=MODULE.format("No"),
    )
    write(tmp_path / ".hidden", four=MODULE.format("No"))
    write(tmp_path / "env", five=MODULE.format("No"))
    (tmp_path / "env" / "pyvenv.cfg").touch()
    assert (tmp_path, ("one:One", "deep.two:Two"), ()) == tuple_of(tmp_path)
    assert (tmp_path, ("one:One",), ()) == tuple_of(tmp_path / "one.py")


def test_package_is_imported_from_above(tmp_path: Path) -> None:
    """Also one that lies in another."""
    package = tmp_path / "outer" / "inner"
    package.mkdir(parents=True)
    (tmp_path / "outer" / "__init__.py").touch()
    (package / "__init__.py").write_text(MODULE.format("Inner"))
    assert (tmp_path, ("outer.inner:Inner",), ()) == tuple_of(package)
    assert (tmp_path, ("outer.inner:Inner",), ()) == tuple_of(package / "__init__.py")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.py", b"class (", "a.py:1: "),
        ("a.py", b"\xff\xfe", "a.py"),
        ("a.py", b"x = '\0'", "a.py"),
        ("a.py", b"x = 1", "no class in"),
        ("a.txt", b"", "no class in"),
        ("pyproject.toml", b"[", "pyproject.toml cannot be read"),
        ("pyproject.toml", b"\xff", "pyproject.toml cannot be read"),
        ("pyproject.toml", b"project = 3", "no class in"),
    ],
)
def test_problems(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    """What cannot be read is told, and nothing is raised."""
    (tmp_path / name).write_bytes(content)
    (told,) = look(tmp_path).problems
    assert problem in told


def test_changes(tmp_path: Path) -> None:
    """A file that is new, gone, of another time or of another size; others are not looked at."""
    write(tmp_path, a="1", b="1", c="1", d="1")
    os.utime(tmp_path / "d.py", ns=(0, 0))
    before = state([tmp_path, tmp_path / "mainspring.toml"])
    assert [] == changed(before, state([tmp_path]))
    (tmp_path / "a.py").write_text("12")
    (tmp_path / "b.py").unlink()
    (tmp_path / "mainspring.db").touch()
    write(tmp_path / "__pycache__", x="1")
    write(tmp_path, e="1")
    os.utime(tmp_path / "d.py", ns=(1, 1))
    assert ["a.py", "b.py", "d.py", "e.py"] == [path.name for path in changed(before, state([tmp_path]))]
