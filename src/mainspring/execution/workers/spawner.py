"""Starts the worker processes of a node, by orders to its fork server (decision 0026).

Workers are forks of one process that has imported what all of them need (`fork_server`). A start from nothing
takes 0.3 s of processor time, which is seconds on a machine whose nodes keep dying; a fork takes 0.03 s until it has
loaded the plugins, which each loads for itself: no thread and no connection that a plugin makes is shared by a fork.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import partial

ORDER = struct.Struct("=ii")
"""An order: (pid, signal) to signal a process group, (0, 0) to fork a new worker."""
PASSED_ON = (
    "HOME", "LANG", "LANGUAGE", "LC_*", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "PYTHON*", "SHELL", "SSL_CERT_DIR",
    "SSL_CERT_FILE", "TMPDIR", "TZ", "TZDIR", "USER", "VIRTUAL_ENV",
)  # fmt: skip
"""The variables of the node that workers get: what programs need to find their files. No secret belongs there."""


class Child:
    """A process that the spawner started, and the group that it leads."""

    def __init__(self, kill: Callable[[int], None]) -> None:
        self.kill = kill
        """Sends a signal to it and all that it started."""
        self.code: int | None = None
        """How it ended: the exit code, or the negative number of the signal that killed it.

        `None` if nobody knows, because what started it died.
        """
        self.gone = asyncio.Event()
        """Set once it has ended and nothing is left of its group."""

    def end(self, code: int | None) -> None:
        """Take down how it ended."""
        self.code = code
        self.gone.set()


class Spawner:
    """Starts processes, kills them, and hears of their ends; all on one event loop.

    They get the variables `PASSED_ON` of the environment, and those that match the names in `more`.

    It comes to life when the first process is wanted, and again should it die, which is the end of all its processes.
    """

    def __init__(self, more: Sequence[str] = ()) -> None:
        self._variables = (*PASSED_ON, *more)
        self._channel: socket.socket | None = None
        self._orders: deque[asyncio.Future[Child]] = deque()
        self._children: dict[int, Child] = {}

    async def start(self, channel: socket.socket, output: int) -> Child:
        """Start a process with these for its stdin and stdout; nothing else that is the node's comes with them.

        Raises `OSError` when the machine has no process left.
        """
        if self._channel is None:
            self._channel = self._open()
        started: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._orders.append(started)
        socket.send_fds(self._channel, [ORDER.pack(0, 0)], [channel.fileno(), output])
        return await started

    def _kill(self, pid: int, number: int) -> None:
        if self._channel is not None and pid in self._children:
            with suppress(OSError):  # the fork server has died, which its channel will tell
                self._channel.send(ORDER.pack(pid, number))

    async def close(self) -> None:
        """Let the fork server go; the processes that it started should have gone before."""
        if self._channel is not None:
            self._channel.shutdown(socket.SHUT_WR)
            await self._listening

    def _open(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "mainspring.execution.workers.fork_server"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=self._environment(),
                start_new_session=True,
            )
        self._listening = asyncio.create_task(self._listen(process, ours))
        return ours

    def _environment(self) -> dict[str, str]:
        """Return what workers get. What the node is told by variables of our own they hear from the node."""
        return {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("MAINSPRING_") and any(fnmatchcase(name, pattern) for pattern in self._variables)
        }

    async def _listen(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=channel)
        with suppress(ConnectionError):
            async for line in reader:
                self._hear(json.loads(line))
        self._channel = None
        writer.close()
        process.kill()
        process.wait()
        for started in self._orders:
            if not started.done():
                started.set_exception(OSError("the process that starts workers died"))
        self._orders.clear()
        for child in self._children.values():
            child.end(None)
        self._children.clear()

    def _hear(self, news: dict[str, int]) -> None:
        if "ended" in news:
            self._children.pop(news["ended"]).end(news["code"])
            return
        started = self._orders.popleft()
        if "born" in news:
            child = self._children[news["born"]] = Child(partial(self._kill, news["born"]))
            if not started.done():
                started.set_result(child)
        elif not started.done():
            started.set_exception(OSError(news["refused"], os.strerror(news["refused"])))
