"""A worker as its node sees it: a process in a group of its own, and the channel to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from typing import Any, Self

from mainspring import logs
from mainspring.execution.workers.output import Output
from mainspring.execution.workers.spawner import Child, Spawner
from mainspring.execution.workers.wire import CHANNEL_LOST, OTHER_CODE, OUT_OF_MEMORY
from mainspring.job import JobKey

PATIENCE_SECONDS = 1.0
"""How long a worker may take to end after it was told to: less than a leaving node waits for its runs."""
_LINE_LIMIT = 1 << 23
"""Bytes of a message: a result and a log of 64 KiB take six times as much where all of it is escaped, jobs that follow
may be a thousand.
"""
_CODES = {
    OUT_OF_MEMORY: "ran out of memory",
    CHANNEL_LOST: "lost its channel to the node: the job has closed it",
    OTHER_CODE: "runs other code than its node: it was updated; restart the node",
}
_SIGNALS = {
    signal.SIGABRT: "abort() was called, as native code does that finds an error",
    signal.SIGBUS: "native code used memory that is gone, such as that of a file which was cut",
    signal.SIGFPE: "native code divided by zero",
    signal.SIGILL: "native code has an instruction that this processor does not know",
    signal.SIGKILL: "by the system, if the machine ran out of memory, or by somebody",
    signal.SIGSEGV: "native code used memory that is not its own, or the stack was full",
    signal.SIGSYS: "native code made a system call that is forbidden here",
    signal.SIGXCPU: "its processor time is limited",
}
"""What a signal says about its cause. The memory limit is no part of it: more than that is a `MemoryError`, and native
code that takes such an end without checking cannot be told from any other bug."""

log = logs.logger("mainspring.execution")


class WorkerDiedError(Exception):
    """A worker is dead, and says nothing any more."""


class Worker:
    """A process in a group of its own, and the channel to it.

    Its stdin is the channel, its stdout (and what else it writes, but for its log) is kept. `gone` is set when it has
    ended and nothing is left of its process group.
    """

    def __init__(
        self,
        key: JobKey | None,
        child: Child,
        output: int,
        channel: socket.socket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._key = key
        self._child = child
        self._output = Output(output)
        self._channel = channel
        self._reader = reader
        self._writer = writer
        self.silenced = False
        self.gone = child.gone
        self._ending = asyncio.create_task(self._note_end())

    @classmethod
    async def start(cls, key: JobKey | None, spawner: Spawner) -> Self:
        """Start a process. Raises `OSError` when the machine has none left."""
        ours, theirs = socket.socketpair()
        output, written = os.pipe()
        try:
            child = await spawner.start(theirs, written)
        except BaseException:
            ours.close()
            os.close(output)
            raise
        finally:
            theirs.close()
            os.close(written)
        return cls(key, child, output, ours, *await asyncio.open_connection(sock=ours, limit=_LINE_LIMIT))

    @property
    def ran_out_of_memory(self) -> bool:
        """Tell whether it has ended because it had no memory left."""
        return self._child.code == OUT_OF_MEMORY

    def lives(self) -> bool:
        """Tell whether it has not ended yet: nobody but itself holds the other end of its channel."""
        try:
            return bool(self._channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; one that is dead does not hear it."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        """Wait for its next message. Raises `WorkerDiedError` once it is dead and all it has said was received."""
        try:
            message: dict[str, Any] = json.loads(await self._reader.readuntil())
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            await self._see_end()
            raise WorkerDiedError(self._fate()) from None
        return message

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to it and all that it started."""
        self._child.kill(number)

    def silence(self) -> None:
        """Kill one that talks nonsense: it is not believed any more."""
        self.silenced = True
        self.kill(signal.SIGKILL)

    def report(self, **run: object) -> None:
        """Log what it has written since the last report, if anything."""
        output, more = self._output.take()
        if output:
            group = {} if self._key is None else {"group": str(self._key)}
            log.info("output of a worker process", **group, **run, output=output, more_bytes=more)

    def hang_up(self) -> None:
        """Close the channel, which tells it to go."""
        self._writer.close()

    def close(self) -> None:
        """Let go of what the node holds of it; it is gone."""
        self._writer.close()
        self._output.close()

    async def _see_end(self) -> None:
        """Wait for the end of one that is heard no more, and bring it about if it lives on."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS / 2):
                await self.gone.wait()
        except TimeoutError:
            self.silence()
            await self.gone.wait()

    def _fate(self) -> str:
        code = self._child.code
        if self.silenced:
            return "the worker process broke its channel to the node"
        if code is None:
            return "the process that starts workers died, and the worker process with it"
        if code >= 0:
            return f"the worker process {_CODES.get(code, f'exited with code {code}')}"
        try:
            number = signal.Signals(-code)
        except ValueError:
            return f"the worker process was killed by signal {-code} ({signal.strsignal(-code)})"
        cause = f": {_SIGNALS[number]}" if number in _SIGNALS else ""
        return f"the worker process was killed by signal {-code} ({number.name}){cause}"

    async def _note_end(self) -> None:
        """Stop listening some time after the end: a process that left the group may hold the channel open."""
        await self.gone.wait()
        asyncio.get_running_loop().call_later(PATIENCE_SECONDS / 2, self._reader.feed_eof)


def cause_of_death(death: WorkerDiedError, worker: Worker, memory_limit: int | None) -> str:
    """Say of what a worker died, and if it was its memory, how much it may take."""
    if worker.ran_out_of_memory and memory_limit is not None:
        return f"{death}; it may take {memory_limit} bytes beyond what it held at first"
    return str(death)
