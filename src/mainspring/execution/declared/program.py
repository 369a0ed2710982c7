"""One program under watch: what it writes is handed on line by line, and nothing of it is left over.

In a worker process the program stays in the worker's process group. So whatever ends the worker, such as the death of
its node, ends the program and what that has started. Elsewhere, as in a test, the program leads a group of its own.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

GRACE_SECONDS = 5.0
"""How long a program may take to end after SIGTERM, when its time is up."""
CANCEL_SECONDS = 0.7
"""The same when the run is cancelled: less than its worker is given."""
LEAVE_SECONDS = 1.0
"""How long what a program has left behind may keep its output open."""
_CHUNK = 64 * 1024
_LONGEST_LINE = 8 * 1024
_ROUNDS = 50
"""How often is looked for processes that are still there after SIGKILL, or were just started."""

Keep = Callable[[str], None]


class ProgramOverdueError(Exception):
    """The program took longer than its limit, and was ended."""


class Program(NamedTuple):
    """What is started, and with what."""

    command: Sequence[str]
    environment: Mapping[str, str]
    working_directory: str | None
    stdin: bytes | None
    memory_limit: int | None
    """Bytes of address space; `None` is no limit."""


class Programs:
    """Runs programs; `in_worker` says whether this process is a worker, whose group they join."""

    def __init__(self, *, in_worker: bool = False) -> None:
        self._in_worker = in_worker

    async def run(self, program: Program, keep: Keep, seconds: float) -> int:
        """Run a program to its end and return how it ended: its exit code, or the negative number of a signal.

        `keep` takes each line that it writes. Raises `OSError` if it cannot be started, and `ProgramOverdueError` after
        so many `seconds`, when it has been ended. Being cancelled ends it too.
        """
        process = await asyncio.create_subprocess_exec(
            *program.command,
            stdin=asyncio.subprocess.DEVNULL if program.stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=program.working_directory,
            env=dict(program.environment),
            start_new_session=not self._in_worker,
        )
        group = _Group(process, in_worker=self._in_worker)
        helpers = [asyncio.create_task(_read(process, keep)), asyncio.create_task(_write(process, program.stdin))]
        try:
            _limit_memory(process.pid, program.memory_limit)
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            await group.end(GRACE_SECONDS)
            raise ProgramOverdueError from None
        except asyncio.CancelledError:
            await group.end(CANCEL_SECONDS)
            raise
        finally:
            helpers[1].cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS):
                    await asyncio.wait(helpers)
            helpers[0].cancel()
            await group.end(0)
            await asyncio.wait(helpers)
        return process.returncode or 0


class _Group:
    """A program and what it has started."""

    def __init__(self, process: asyncio.subprocess.Process, *, in_worker: bool) -> None:
        self._process = process
        self._in_worker = in_worker

    async def end(self, seconds: float) -> None:
        """End all of it: by SIGTERM, and by SIGKILL what is there `seconds` later."""
        if seconds and self._process.returncode is None:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._process.wait()
        for _ in range(_ROUNDS):
            if not self._signal(signal.SIGKILL):
                break
        if self._process.returncode is None:
            await self._process.wait()

    def _signal(self, number: int) -> bool:
        """Send a signal to all of it; tell whether there may be more to send it to."""
        if not self._in_worker:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            return False
        others = _others_of_our_group()
        for pid in others or ([self._process.pid] if self._process.returncode is None else []):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return bool(others)


def _others_of_our_group() -> list[int]:
    """Return the processes of our own group that are alive, without this one; none where the system does not say."""
    ours, found = os.getpgrp(), []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            state, _, group, *_ = (path / "stat").read_text().rpartition(")")[2].split()
            if int(group) == ours and state not in "ZX" and (pid := int(path.name)) != os.getpid():
                found.append(pid)
    return found


def _limit_memory(pid: int, limit: int | None) -> None:
    if limit is not None and sys.platform == "linux":
        with suppress(ProcessLookupError, PermissionError):  # it has ended
            resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))


async def _read(process: asyncio.subprocess.Process, keep: Keep) -> None:
    """Hand on what the program writes, in lines; a long one is cut into several."""
    assert process.stdout is not None, "it is a pipe"  # noqa: S101 - for the type checker
    rest = b""
    while data := await process.stdout.read(_CHUNK):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            _hand_on(line, keep)
        if len(rest) > _LONGEST_LINE:
            _hand_on(rest, keep)
            rest = b""
    if rest:
        _hand_on(rest, keep)


def _hand_on(line: bytes, keep: Keep) -> None:
    for start in range(0, len(line) or 1, _LONGEST_LINE):
        keep(line[start : start + _LONGEST_LINE].decode(errors="replace").rstrip("\r"))


async def _write(process: asyncio.subprocess.Process, text: bytes | None) -> None:
    """Let the program read; it need not."""
    if process.stdin is not None:
        with suppress(ConnectionError):
            process.stdin.write(text or b"")
            await process.stdin.drain()
        process.stdin.close()
