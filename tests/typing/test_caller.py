"""What type checkers say of a program that uses the client, which lies outside this project."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.typing import caller

STRICT = {"typeCheckingMode": "strict", "reportUnnecessaryTypeIgnoreComment": "error", "reportPrivateUsage": "error"}
WRONG = "from mainspring.client import Client\n\nClient().get(5)\n"


def check(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a module of Python in a folder."""
    environ = os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with the program and the settings of pyright."""
    shutil.copy(str(caller.__file__), tmp_path / "program.py")
    (tmp_path / "wrong.py").write_text(WRONG)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(STRICT))
    return tmp_path


def test_mypy_accepts_it(program: Path) -> None:
    """In strict mode; what is marked as wrong is wrong."""
    ran = check(program, "mypy", "--strict", "program.py")
    assert 0 == ran.returncode, ran.stdout
    assert 'has incompatible type "int"' in check(program, "mypy", "--strict", "wrong.py").stdout


def test_pyright_accepts_it(program: Path) -> None:
    """In strict mode; what is marked as wrong is wrong."""
    if shutil.which("node") is None or check(program, "pyright", "--version").returncode:
        pytest.skip("pyright does not start: it needs node, and the npm package that it fetches once")
    ran = check(program, "pyright", "--pythonpath", sys.executable, "program.py")
    assert 0 == ran.returncode, ran.stdout
    assert "reportArgumentType" in check(program, "pyright", "--pythonpath", sys.executable, "wrong.py").stdout
