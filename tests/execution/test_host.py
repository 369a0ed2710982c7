"""What code of plugins changes of its process is put back."""

import gc
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mainspring import logs
from mainspring.execution import NODE, Host
from mainspring.execution.host import WORKER
from mainspring.settings import Settings
from tests.test_logs import own_log

NAMES = {thing.name for thing in NODE}


@pytest.fixture(autouse=True)
def host() -> Iterator[Host]:
    """The process of this test, which is as before in the end."""
    with own_log(), warnings.catch_warnings():
        warnings.resetwarnings()
        logs.configure(Settings())
        yield Host(NODE)


def lower_a_limit() -> None:
    """Let there be fewer open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))


def raise_a_limit() -> None:
    """Let there be more recursion."""
    sys.setrecursionlimit(sys.getrecursionlimit() + 100)


CHANGES: dict[str, list[Callable[[], object]]] = {
    "working directory": [lambda: os.chdir("/"), lambda: os.chdir("/dev")],
    "umask": [lambda: os.umask(0), lambda: os.umask(0o777)],
    "timers": [
        lambda: signal.setitimer(signal.ITIMER_REAL, 1000),
        lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 1000),
        lambda: signal.alarm(1000),
    ],
    "signal handlers": [
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        lambda: signal.signal(signal.SIGUSR1, lambda *_: None),
        lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    ],
    "switch interval": [lambda: sys.setswitchinterval(10)],
    "collector": [gc.disable, lambda: gc.set_threshold(0)],
    "socket timeout": [lambda: socket.setdefaulttimeout(0.001)],
    "resource limits": [lower_a_limit],
    "recursion limit": [lambda: sys.setrecursionlimit(500)],
    "warnings": [lambda: warnings.simplefilter("error"), lambda: warnings.filterwarnings("error", category=Warning)],
    "logging": [
        lambda: logging.disable(logging.CRITICAL),
        lambda: logging.getLogger("asyncio").setLevel(100),
        logging.root.handlers.clear,
        lambda: setattr(logging.getLogger("uvicorn.error"), "disabled", True),
        lambda: logs._handler.addFilter(lambda _: False),  # noqa: SLF001 - what hangs on the root logger
    ],
}


EACH = {
    f"{name} {number}": (name, change) for name, changes in CHANGES.items() for number, change in enumerate(changes)
}


@pytest.mark.parametrize(("name", "change"), EACH.values(), ids=EACH)
def test_what_a_plugin_changes_of_a_node_is_put_back(host: Host, name: str, change: Callable[[], object]) -> None:
    """It is named once, and then all is as it was."""
    change()
    assert ([name], []) == host.put_back()
    assert ([], []) == host.put_back()


def test_each_thing_of_a_node_is_tried() -> None:
    """All but the crash timer, which cannot be read: it is stopped whenever is looked."""
    assert {*CHANGES, "crash timer"} == NAMES


HARMLESS: dict[str, Callable[[], object]] = {
    "a higher limit": raise_a_limit,
    "silence": lambda: warnings.simplefilter("ignore"),
    "errors of its own": lambda: warnings.filterwarnings("error", module="acme"),
    "a level of its own": lambda: logging.getLogger("acme").setLevel(logging.DEBUG),
    "a handler of its own": lambda: logging.root.addHandler(logging.NullHandler()),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_what_hurts_nobody_is_the_plugins_own(host: Host, change: Callable[[], object]) -> None:
    """More than there was, and what is meant for the plugin alone."""
    before = sys.getrecursionlimit()
    change()
    assert ([], []) == host.put_back()
    sys.setrecursionlimit(before)


def test_a_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    """There is no way back to it."""
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    host = Host(NODE)
    os.chdir(tmp_path)
    (tmp_path / "gone").rmdir()
    assert (["working directory"], ["working directory"]) == host.put_back()


def test_a_process_may_begin_in_a_directory_that_is_gone(tmp_path: Path) -> None:
    """Then there is none to go back to."""
    (tmp_path / "gone").mkdir()
    code = "import os; os.rmdir(os.getcwd()); from mainspring.execution import NODE, Host; print(Host(NODE).put_back())"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "gone", check=True, capture_output=True, text=True
    )
    assert "([], [])\n" == ran.stdout


def test_a_worker_keeps_more_than_a_node() -> None:
    """Its docs say what: see docs/plugins.md."""
    page = (Path(__file__).parents[2] / "docs/plugins.md").read_text()
    assert [] == [thing.name for thing in (*WORKER, *NODE) if thing.name not in page]
