"""``mainspring dev`` as a process: it follows the source, survives mistakes in it, and ends as the service does."""

import signal
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import httpx2
import pytest

from mainspring.cli.new import plugin_files
from tests.cluster.process import Process

FLAGS = ("--port", "0", "--log-format", "json", "--log-level", "debug")
WAITING = "Waiting for a change in {}; Ctrl-C ends it."
BODY = {"when": "2026-01-01T00:00:00Z", "name": "Ada"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The source of a plugin, as `new plugin` makes it."""
    for path, text in plugin_files("shop"):
        (tmp_path / "shop" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shop" / path).write_text(text)
    return tmp_path / "shop"


@pytest.fixture
def module(source: Path) -> Path:
    """The file with its code."""
    return source / "src" / "shop" / "__init__.py"


@pytest.fixture
def developing(source: Path, tmp_path: Path) -> Iterator[Process]:
    """The command at work on the source, which serves."""
    with Process("dev", str(source), *FLAGS, cwd=tmp_path) as process:
        serving(process)
        yield process
        process.signal(signal.SIGTERM)
        process.wait()


def serving(process: Process) -> None:
    """Wait until it serves."""
    process.url = process.wait_for("serving")["url"]
    assert "shop/greetings" in process.wait_for("node started")["groups"].split()


def test_a_change_is_served(developing: Process, module: Path) -> None:
    """What was saved is what runs, after a moment."""
    developing.create_at("/api/schedulers/shop/greetings/jobs", BODY)
    developing.wait_for("greeted", name="Ada")
    module.write_text(module.read_text().replace('"greeted"', '"greeted again"'))
    developing.wait_for(f"{module} changed: starting again.")
    serving(developing)
    developing.create_at("/api/schedulers/shop/greetings/jobs", BODY)
    developing.wait_for("greeted again", name="Ada")


def test_mistakes_are_told_and_waited_for(developing: Process, source: Path, module: Path) -> None:
    """One in the text, one in the package and one at the import: each is told, and its mending is served."""
    good, package = module.read_text(), (source / "pyproject.toml").read_text()

    (source / "pyproject.toml").write_text(package.replace("[project]", "[project"))
    developing.wait_for("The plugins cannot be read:")
    developing.wait_for(WAITING.format(source))
    (source / "pyproject.toml").write_text(package)
    serving(developing)

    module.write_text(f"import nothing_of_that_name\n{good}")
    developing.wait_for("The plugins cannot be used:")
    developing.wait_for("  - plugin shop:ShopModule: cannot be imported: there is no module 'nothing_of_that_name'")
    developing.wait_for(f"The service ended with 78. {WAITING.format(source)}")
    module.write_text(good)
    serving(developing)


def test_folder_of_modules(tmp_path: Path, module: Path) -> None:
    """Need not be a package; a mistake in the text is told with its line."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "greetings.py").write_text("x = (\n" + module.read_text())
    with Process("dev", "modules", *FLAGS, cwd=tmp_path) as process:
        process.wait_for("The plugins cannot be read:")
        process.wait_for(f"  - {folder / 'greetings.py'}:1: '(' was never closed")
        process.wait_for(WAITING.format("modules"))
        (folder / "greetings.py").write_text(module.read_text())
        serving(process)
        process.signal(signal.SIGTERM)
        assert 0 == process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_both(tmp_path: Path, source: Path, number: signal.Signals) -> None:
    """The service ends in order, and leaves nothing that listens; the exit code is its own."""
    with Process("dev", str(source), *FLAGS, cwd=tmp_path) as process:
        serving(process)
        process.signal(number)
        process.wait_for("node stopped")
        assert 0 == process.wait()
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(process.url)


def test_service_does_not_outlive_it(tmp_path: Path, source: Path) -> None:
    """A command that is killed leaves no service that keeps the port."""
    with Process("dev", str(source), *FLAGS, cwd=tmp_path) as process:
        serving(process)
        process.signal(signal.SIGKILL)
        process.wait_for("node stopped")


def test_signal_while_it_waits(tmp_path: Path) -> None:
    """There is nothing to end, and that is no failure."""
    (tmp_path / "empty").mkdir()
    with Process("dev", "empty", *FLAGS, cwd=tmp_path) as process:
        problem = f"no class in {tmp_path / 'empty'} is made of SchedulerPluginModule, so there is no plugin"
        process.wait_for(f"  - {problem}")
        process.wait_for(WAITING.format("empty"))
        process.signal(signal.SIGINT)
        assert 0 == process.wait()


def test_store_and_wrong_settings(tmp_path: Path, source: Path) -> None:
    """Flags are those of serve; jobs are kept in memory unless one says otherwise."""
    copytree(source, tmp_path / "copy")
    with Process("dev", "copy", *FLAGS, "--store", "sqlite:///dev.db", cwd=tmp_path) as process:
        assert "sqlite:///dev.db" == process.wait_for("serving")["store"]
        process.signal(signal.SIGTERM)
        assert 0 == process.wait()
    with Process("dev", "copy", "--port", "x", cwd=tmp_path) as process:
        process.wait_for("  port: 'x' (flag --port) is not a whole number from 0 to 65535")
        process.wait_for(f"The service ended with 78. {WAITING.format('copy')}")
        process.signal(signal.SIGTERM)
        assert 0 == process.wait()
    with Process("dev", "missing", cwd=tmp_path) as process:
        assert 2 == process.wait()
