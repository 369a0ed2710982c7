import os
import subprocess
import sys
from pathlib import Path

import pytest

from mainspring.node import HostLock
from mainspring.store import NodeBeat

MARK = """
import sys; from pathlib import Path; from mainspring.node import HostLock
lock = HostLock(Path(sys.argv[1])); print(lock.acquire("node:1"), flush=True); sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where marks are left."""
    return tmp_path / "marks"


def test_node_whose_process_was_killed_is_proven_dead(folder: Path) -> None:
    """While the process lives its lock is held, whatever it does; the kernel frees it with the process."""
    here = HostLock(folder)
    command = [sys.executable, "-c", MARK, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        node = NodeBeat("node:1", host=process.stdout.readline().strip())
        assert here.host == node.host
        assert not here.died(node)

        process.kill()
        process.wait()

        assert here.died(node)
        assert here.died(node), "until somebody has buried it"
    here.release("node:1")
    assert not here.died(node)


def test_mark_that_was_wiped_proves_nothing(folder: Path) -> None:
    """A node that left, or whose mark was tidied away, has to be found out by its beats."""
    here, there = HostLock(folder), HostLock(folder)
    node = NodeBeat("node:1", host=there.acquire("node:1"))

    there.release("node:1")

    assert not here.died(node)
    assert [] == list(folder.iterdir())


def test_nothing_is_proven_of_another_host(folder: Path, tmp_path: Path) -> None:
    """A mark that is free says nothing of a node that left its mark elsewhere, or none."""
    here, there = HostLock(folder), HostLock(tmp_path / "elsewhere")
    there.acquire("node:1")
    (folder / "node_1").touch()

    assert there.host not in {"", here.host}
    assert not here.died(NodeBeat("node:1", host=there.host))
    assert not here.died(NodeBeat("node:1", host=""))


def test_without_a_directory_nothing_is_proven(folder: Path) -> None:
    """Where no mark can be left, a node lives without one."""
    folder.touch()
    for host_lock in (HostLock(), HostLock(folder)):
        assert host_lock.acquire("node:1") == host_lock.host == ""
        host_lock.release("node:1")
        assert not host_lock.died(NodeBeat("node:1", host=""))


def test_directory_of_somebody_else_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the directory could free a lock."""
    owner = os.getuid()
    monkeypatch.setattr("os.getuid", lambda: owner + 1)

    assert HostLock(folder).host == ""
