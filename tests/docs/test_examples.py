"""The Python and the other code of README and guides: each block is a file that works."""

import inspect
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mainspring import SchedulerPluginModule
from tests.docs.reading import blocks, files

PAGES = ["README.md", "docs/plugins.md"]


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a directory, with warnings as errors."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAINSPRING_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def save(page: str, directory: Path) -> list[str]:
    """Write the files of a page, and return the names of its modules."""
    for name, text in files(page).items():
        (directory / name).write_text(text)
    return [name.removesuffix(".py") for name in files(page)]


@pytest.mark.parametrize("page", PAGES)
def test_files_of_a_page_work(tmp_path: Path, page: str) -> None:
    """Every Python block is a file; each can be imported, and the tests among them pass."""
    modules = save(page, tmp_path)
    imported = python("-c", f"import {', '.join(modules)}", cwd=tmp_path)
    assert 0 == imported.returncode, imported.stderr
    tests = [f"{module}.py" for module in modules if module.startswith("test_")]
    tested = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, cwd=tmp_path)
    assert 0 == tested.returncode, tested.stdout + tested.stderr


def test_the_report_of_mistakes(tmp_path: Path) -> None:
    """A plugin with mistakes is refused in the words that the guide shows."""
    save("docs/plugins.md", tmp_path)
    (report,) = (block.text for block in blocks("docs/plugins.md", "console") if "plugins list" in block.text)
    command, _, words = report.partition("\n")
    ended = python(*shlex.split(command)[2:], cwd=tmp_path)
    assert (78, words) == (ended.returncode, ended.stderr)


def test_the_package_names_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's pyproject.toml announces a module that exists, and packs every file that it needs."""
    modules = save("docs/plugins.md", tmp_path)
    (text,) = (block.text for block in blocks("docs/plugins.md", "toml") if "[project]" in block.text)
    package = tomllib.loads(text)
    name, _, cls = package["project"]["entry-points"]["mainspring.plugins"]["shop"].partition(":")
    packed = package["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert {f"{module}.py" for module in modules if not module.startswith(("test_", "broken"))} == set(packed)
    monkeypatch.syspath_prepend(tmp_path)
    module = __import__(name)
    assert inspect.isclass(getattr(module, cls))
    assert issubclass(getattr(module, cls), SchedulerPluginModule)
