"""``mainspring new plugin``: what it makes works, and it harms nothing that is there."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cluster.process import Process

NEW = ("new", "plugin")


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with warnings as errors and no settings."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAINSPRING_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_plugin_works(run: Run, tmp_path: Path) -> None:
    """Its tests pass, it can be packed, and a service loads it and runs its job."""
    ran = run(*NEW, "acme-reports")

    assert (0, "") == (ran.code, ran.err)
    assert "mainspring dev ." in ran.out
    folder = tmp_path / "acme-reports"
    tested = python(folder, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis")
    assert 0 == tested.returncode, tested.stdout + tested.stderr
    assert "4 passed" in tested.stdout

    (folder / "wheels").mkdir()
    script = "import sys, hatchling.build as b; sys.exit(not b.build_wheel('wheels'))"
    built = python(folder, "-c", script)
    assert 0 == built.returncode, built.stderr
    (wheel,) = (folder / "wheels").iterdir()
    (tmp_path / "installed").mkdir()
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")

    # An unpacked wheel on the path is what pip would have made of it: its entry point is found without a flag.
    flags = ("--store", "memory:", "--log-format", "json", "--log-level", "debug")
    under = ("env", f"PYTHONPATH={tmp_path / 'installed'}")
    with Process("serve", "--port", "0", *flags, cwd=tmp_path, under=under) as service:
        service.url = service.wait_for("serving")["url"]
        assert "acme-reports/greetings" in service.wait_for("node started")["groups"]
        body = {"when": "2026-01-01T00:00:00Z", "name": "Ada"}
        answer = service.create_at("/api/schedulers/acme-reports/greetings/jobs", body)
        service.wait_for("greeted", name="Ada")
        service.wait_for("run finished", job=answer["id"], outcome="succeeded")


def test_plugin_passes_our_own_checks(run: Run, tmp_path: Path) -> None:
    """What we make for others is as good as what we make for ourselves."""
    run(*NEW, "shop", "--directory", "here")

    checked = python(
        tmp_path, "-m", "ruff", "check", "--isolated", "--select", "E,F,UP,B", "--line-length", "120", "here"
    )
    assert 0 == checked.returncode, checked.stdout
    formatted = python(tmp_path, "-m", "ruff", "format", "--isolated", "--line-length", "120", "--check", "here")
    assert 0 == formatted.returncode, formatted.stdout


def test_no_file_is_written_over(run: Run, tmp_path: Path) -> None:
    """If one is there, none is written."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "README.md").write_text("mine")

    ran = run(*NEW, "shop")

    assert 1 == ran.code
    assert "shop has README.md already, so nothing was written." in ran.err
    assert ["README.md"] == [path.name for path in (tmp_path / "shop").iterdir()]
    assert "mine" == (tmp_path / "shop" / "README.md").read_text()


def test_folder_with_other_files_is_fine(run: Run, tmp_path: Path) -> None:
    """Such as that of a repository which was just made."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / ".gitignore").write_text("*.db")

    assert 0 == run(*NEW, "shop").code
    assert (tmp_path / "shop" / "src" / "shop" / "__init__.py").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My Plugin", "try my-plugin"),
        ("9lives", "try lives"),
        ("a--b", "try a-b"),
        ("über", "small letters and digits"),
        ("-", "small letters and digits"),
        ("x" * 41, "up to 40"),
        ("class", "try class-jobs"),
        ("json", "try json-jobs"),
        ("mainspring", "try mainspring-jobs"),
        ("calendars", "try calendars-jobs"),
    ],
)
def test_names(run: Run, tmp_path: Path, name: str, message: str) -> None:
    """One that would make no package, or hide one, is refused with what helps."""
    ran = run(*NEW, "--", name)

    assert 2 == ran.code
    assert message in " ".join(ran.err.replace("│", " ").split())
    assert [] == list(tmp_path.iterdir())
