"""A folder with the source of plugins: which plugin modules it has, and whether a file of it has changed.

Nothing of it is imported: the classes are found in the text, so that a file with a mistake is a problem that can be
told, and what is loaded later is never an old version.
"""

from __future__ import annotations

import ast
import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WATCHED = frozenset({".py", ".toml", ".json", ".yaml", ".yml", ".sql"})
"""The ends of the names of files whose change starts the service again."""
_LEFT_OUT = frozenset({"__pycache__", "node_modules", "build", "dist"})
_BASE = "SchedulerPluginModule"
_GROUP = "mainspring.plugins"

State = dict[Path, tuple[int, int]]
"""Files, each with the time of its last change in nanoseconds, and its size in bytes."""


@dataclass(frozen=True, slots=True)
class SourceTree:
    """The source of some plugins: the `root` that modules are imported from, and the plugins, or what is wrong.

    `plugins` are of the form ``package.module:ClassName``.
    """

    root: Path
    plugins: tuple[str, ...]
    problems: tuple[str, ...]


def look(path: Path) -> SourceTree:
    """Find the plugins of a package, a folder of modules or a module.

    If its ``pyproject.toml`` names entry points, these are the plugins; else each class that is made of
    `SchedulerPluginModule`.
    """
    path = path.absolute()
    if path.is_file():
        return _scan(_root_of(path), [path], path)
    root = path / "src" if (path / "src").is_dir() else _root_of(path)
    try:
        named = _entry_points(path / "pyproject.toml")
    except (OSError, ValueError) as error:
        return SourceTree(root, (), (f"{path / 'pyproject.toml'} cannot be read: {error}",))
    if named:
        return SourceTree(root, named, ())
    return _scan(root, [file for file in _files(path) if file.suffix == ".py" and not _is_test(file, path)], path)


def state(paths: Sequence[Path]) -> State:
    """Return the files below these paths as they are. A file that goes away meanwhile is not there."""
    found: State = {}
    for path in paths:
        for file in [path] if path.is_file() else _files(path):
            try:
                facts = file.stat()
            except OSError:
                continue
            found[file] = facts.st_mtime_ns, facts.st_size
    return found


def changed(before: State, after: State) -> list[Path]:
    """Return the files that are in one state but not in the other, or not the same."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _root_of(path: Path) -> Path:
    """Return the folder from which a module or a package is imported: above the outermost package."""
    root = path.parent if path.is_file() else path
    while (root / "__init__.py").exists():
        root = root.parent
    return root


def _entry_points(file: Path) -> tuple[str, ...]:
    """Return the plugins that a package announces. Raises `OSError`, `ValueError`."""
    if not file.exists():
        return ()
    below: Any = tomllib.loads(file.read_bytes().decode())
    for key in ("project", "entry-points", _GROUP):
        below = below.get(key) if isinstance(below, dict) else None
    return tuple(str(value) for value in below.values()) if isinstance(below, dict) else ()


def _files(path: Path) -> Iterator[Path]:
    """Yield the files that are watched; hidden folders and virtual environments are left out."""
    for folder, folders, names in os.walk(path):
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in _LEFT_OUT and not (here / name / "pyvenv.cfg").exists()
        )
        yield from (here / name for name in sorted(names) if Path(name).suffix in WATCHED and not name.startswith("."))


def _is_test(file: Path, path: Path) -> bool:
    return file.name.startswith("test_") or file.name == "conftest.py" or "tests" in file.relative_to(path).parts[:-1]


def _scan(root: Path, files: Sequence[Path], path: Path) -> SourceTree:
    plugins: list[str] = []
    problems: list[str] = []
    for file in files:
        try:
            plugins += [f"{_module(file, root)}:{name}" for name in _classes(file)]
        except SyntaxError as error:
            problems.append(f"{file}:{error.lineno or 1}: {error.msg}")
        except (OSError, ValueError) as error:
            problems.append(f"{file} cannot be read: {error}")
    if not (plugins or problems):
        problems.append(f"no class in {path} is made of {_BASE}, so there is no plugin")
    return SourceTree(root, tuple(plugins), tuple(problems))


def _classes(file: Path) -> list[str]:
    """Name the plugin modules of a file. Raises `SyntaxError`, `OSError`, `ValueError`."""
    tree = ast.parse(file.read_bytes(), str(file))
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef) and any(map(_is_base, node.bases))]


def _is_base(base: ast.expr) -> bool:
    return (isinstance(base, ast.Name) and base.id == _BASE) or (isinstance(base, ast.Attribute) and base.attr == _BASE)


def _module(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
