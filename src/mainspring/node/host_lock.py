"""On the node's loop. The lock that a node holds on its host while it lives: a locked file.

Only the end of the process frees the lock, be it a crash, a kill or a clean exit. So whoever finds the file of another
node free, on the same host and in the same directory, has proof that its process is gone, without waiting for anything.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from mainspring.errors import ConfigError
from mainspring.store import NodeBeat

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def default_directory() -> Path | None:
    """Return where the nodes of this user on this host leave their marks; `None` if no temporary file can be made."""
    try:
        return Path(tempfile.gettempdir()) / f"mainspring-{os.geteuid()}"
    except FileNotFoundError:
        return None


class HostLock:
    """Marks one node, and looks for the marks of others, in one directory.

    `host` names the directory: on the same boot of the same machine, the same folder on the same disk. It is empty, and
    nothing is ever proven, without a directory, or where one cannot be had: `trouble` says why.

    Raises `ConfigError` for a directory in which somebody else could free or hold a lock.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._marks: dict[str, int] = {}
        self.host = ""
        self.trouble = "there is no folder for temporary files; name one with TMPDIR" if directory is None else ""
        if directory is not None:
            try:
                place = _own(directory)
                self.host = f"{_BOOT_ID.read_text().strip()}:{place.st_dev}:{place.st_ino}"
            except OSError as error:
                self.trouble = f"{error.filename or directory}: {error.strerror}"

    def acquire(self, node: str) -> str:
        """Mark that a node of this process lives; answer the host where that can be seen, empty if it cannot."""
        if not self.host:
            return ""
        try:
            mark = os.open(self._path(node), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return ""
        self._marks[node] = mark
        return self.host

    def release(self, node: str) -> None:
        """Take the mark of a node away that has ended its life, here or elsewhere on this host."""
        if self.host:
            with suppress(OSError):
                self._path(node).unlink()
        if (mark := self._marks.pop(node, None)) is not None:
            os.close(mark)

    def died(self, node: NodeBeat) -> bool:
        """Tell whether a node is proven to be dead. A mark that is gone proves nothing: somebody may have tidied up."""
        if not node.host or node.host != self.host:
            return False
        try:
            mark = os.open(self._path(node.name), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        else:
            return True
        finally:
            os.close(mark)

    def _path(self, node: str) -> Path:
        assert self._directory is not None, "there is a host"  # noqa: S101 - for the type checker
        return self._directory / re.sub("[^A-Za-z0-9._-]", "_", node)


def _own(directory: Path) -> os.stat_result:
    """Make a directory if need be, for ourselves only. Raises `ConfigError` if somebody else may write there."""
    with suppress(FileExistsError):
        directory.mkdir()
        directory.chmod(0o700)  # whatever the umask is
    place = directory.lstat()
    faults = {
        "it is no folder": not stat.S_ISDIR(place.st_mode),
        "it belongs to another user": place.st_uid != os.geteuid(),
        "others may write to it": bool(place.st_mode & (stat.S_IWGRP | stat.S_IWOTH)),
    }
    if found := [fault for fault, there in faults.items() if there]:
        raise ConfigError(
            f"the folder {directory}, where nodes prove to one another that they live, cannot be used: "
            f"{', '.join(found)}. Remove it, or name another folder for temporary files with TMPDIR"
        )
    return place
