import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mainspring.errors import ConfigError
from mainspring.node import HostLock, default_directory
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
    """Where no mark can be left, a node lives without one, and knows why."""
    for host_lock in (HostLock(), HostLock(folder / "nowhere" / "marks")):
        assert host_lock.acquire("node:1") == host_lock.host == ""
        assert host_lock.trouble
        host_lock.release("node:1")
        assert not host_lock.died(NodeBeat("node:1", host=""))


def test_without_temporary_files_there_is_no_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing can be written at all is no reason not to run."""

    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", nowhere)
    assert default_directory() is None


def loose(folder: Path) -> None:
    """Everybody may write there."""
    folder.mkdir()
    folder.chmod(0o777)


def shared(folder: Path) -> None:
    """The group may write there."""
    folder.mkdir()
    folder.chmod(0o770)


def linked(folder: Path) -> None:
    """It is elsewhere."""
    folder.with_name("other").mkdir(0o700)
    folder.symlink_to(folder.with_name("other"))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (loose, "others may write"),
        (shared, "others may write"),
        (linked, "it is no folder"),
        (Path.touch, "it is no folder"),
    ],
)
def test_directory_in_which_others_could_free_a_lock_is_refused(
    folder: Path, make: Callable[[Path], None], why: str
) -> None:
    """It is named, with what to do."""
    make(folder)
    with pytest.raises(ConfigError, match=f"{folder}.*{why}.*TMPDIR"):
        HostLock(folder)


def test_directory_of_somebody_else_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the directory could free a lock."""
    owner = os.geteuid()
    folder.mkdir(0o700)
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)

    with pytest.raises(ConfigError, match=f"{folder}.* belongs to another user"):
        HostLock(folder)


def test_mark_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """Neither to leave a mark nor to look at one."""
    here = HostLock(folder)
    (tmp_path / "elsewhere").touch()
    (folder / "node_1").symlink_to(tmp_path / "elsewhere")

    assert here.acquire("node:1") == ""
    assert not here.died(NodeBeat("node:1", host=here.host))


@pytest.mark.parametrize("umask", [0o777, 0])
def test_umask_does_not_matter(folder: Path, umask: int) -> None:
    """The directory is for its owner only."""
    before = os.umask(umask)
    try:
        assert HostLock(folder).acquire("node:1")
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
