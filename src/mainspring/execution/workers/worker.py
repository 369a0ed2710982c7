"""A worker process: runs jobs of one group, one at a time, as the node at the other end of its channel says.

It is a composition root of its own: it loads the plugins by their names, opens the services that its group needs, and
runs claims with the same `Runner` as a node. `fork_server` starts it with the channel as its stdin; it dies
with its node.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import math
import os
import resource
import signal
import socket
import sys
import threading
from contextlib import redirect_stderr, suppress
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from mainspring import logs
from mainspring.clock import SystemClock
from mainspring.errors import ConfigError
from mainspring.execution.assignment import Assignment
from mainspring.execution.declared import load_all
from mainspring.execution.endings import failed
from mainspring.execution.host import WORKER, Host
from mainspring.execution.runner import Runner
from mainspring.execution.steady import run_steadily
from mainspring.execution.threads import Threads
from mainspring.execution.workers.calls import ChannelCalls
from mainspring.execution.workers.wire import (
    CHANNEL_LOST,
    GOODBYE_SECONDS,
    OTHER_CODE,
    OUT_OF_MEMORY,
    read_claim,
    what_is_said,
    write_ending,
)
from mainspring.job import Ending, JobKey, Outcome
from mainspring.plugins import BoundGroup, Registry, SchedulerJob, ServiceScope
from mainspring.settings import Settings

TELL_SECONDS = 0.1
"""How long what a run says may be known to its worker alone, after the first few things."""
TELLS_AT_ONCE = 20
NICENESS = 5
"""Jobs compute, the node must be on time: where there is not enough for both, the node comes first."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_CUT_OFF = frozenset({Outcome.TIMED_OUT, Outcome.INTERRUPTED})


def main(parent: int) -> None:
    """Work until the node hangs up; `parent` is the process that this one may not outlive."""
    channel, stderr = _take_streams()
    lines = channel.makefile("rb")
    if not (hello := lines.readline()):
        return
    orders = json.loads(hello)
    sys.path[:] = orders["path"]
    _die_with(parent)
    os.nice(NICENESS)
    settings = Settings(**orders["settings"])
    with redirect_stderr(stderr):
        logs.configure(settings)
    try:
        registry = load_all(settings, in_worker=True)
        key = orders["group"] and JobKey(*orders["group"])
        worker = Worker(channel, registry, key, settings.threads)
        run_steadily(None, worker.work, lines, orders["memory"])
    except ConfigError as error:
        _send(channel, {"failed": str(error)})
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


class Worker:
    """Runs what it is told to, on this process's main thread, and hears of it in another."""

    def __init__(self, channel: socket.socket, registry: Registry, key: JobKey | None, threads: int) -> None:
        self._channel = channel
        self._registry = registry
        self._key = key
        self._clock = SystemClock()
        self._threads = Threads(threads)
        self._runner = Runner(registry, self._clock, self._threads)
        self._calls = ChannelCalls(partial(_send, channel))
        self._assignment: Assignment | None = None
        self._over = asyncio.Event()
        self._spent: int | None = None
        self._scopes: list[ServiceScope] = []
        self._tells = 0
        self._told_at = -math.inf
        self._tells_soon = False

    async def work(self, lines: BinaryIO, memory: int | None) -> None:
        """Say that all is ready, and serve until the node hangs up. Raises `ConfigError`."""
        self._loop = asyncio.get_running_loop()
        if self._key is not None:
            await self._open(self._key)
        signal.signal(signal.SIGTERM, lambda *_: self._stop())  # also while a job blocks the loop
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._had_children = _has_children()
        self._limit_memory(memory)
        self._host = Host(WORKER)
        threading.Thread(target=self._listen, args=(lines,), name="channel", daemon=True).start()
        _send(self._channel, {"ready": True})
        await self._over.wait()
        for scope in self._scopes:
            await scope.close()

    async def _open(self, key: JobKey) -> None:
        """Build what a job group needs. Raises `ConfigError`."""
        scope = self._registry.alone(key)
        self._scopes.append(scope)
        self._registry.bound |= {key: self._announcing(group) for key, group in (await scope.open(self._calls)).items()}

    # --- what it hears, in a thread, so that it hears while a job blocks the loop

    def _listen(self, lines: BinaryIO) -> None:
        with suppress(OSError):
            for line in lines:
                order = json.loads(line)
                if "stop" in order:
                    self._stop(order["stop"])
                elif "answer" in order:
                    self._calls.take(order["answer"])
                else:
                    self._loop.call_soon_threadsafe(self._heed, order)
        if self._assignment is None:
            self._loop.call_soon_threadsafe(self._over.set)
            threading.Event().wait(GOODBYE_SECONDS)
        os.killpg(0, signal.SIGKILL)  # the node is gone, and with it whoever would take the result

    def _stop(self, run: int | None = None) -> None:
        """Tell a run to stop, unless it has ended: then another may be under way."""
        if (assignment := self._assignment) is not None and run in {None, assignment.run}:
            assignment.stopping.set()

    def _heed(self, order: dict[str, Any]) -> None:
        if "run" in order:
            try:
                self._assignment = read_claim(order["run"])
            except (KeyError, TypeError, ValueError):  # the node runs other code: it was updated since it started
                os._exit(OTHER_CODE)
            self._assignment.on_said, self._tells = self._on_said, 0
            self._calls.open(self._assignment.run)
            self._task = asyncio.Task(self._run(self._assignment))  # by `create_task` it would pass a job's own factory
        elif (assignment := self._assignment) is not None:
            assignment.stopping.why = order["interrupt"]
            assignment.stopping.set()
            if assignment.started_at is not None:
                self._task.cancel()

    # --- what it tells while a run goes on, from any thread

    def _on_said(self) -> None:
        """Tell the node what a run says: it must not be lost with this process."""
        moment = self._clock.monotonic()
        if self._tells < TELLS_AT_ONCE or moment - self._told_at >= TELL_SECONDS:
            self._tells += 1
            self._tell()
        elif not self._tells_soon:
            self._tells_soon = True
            self._loop.call_soon_threadsafe(self._loop.call_later, TELL_SECONDS, self._tell)

    def _tell(self) -> None:
        self._told_at, self._tells_soon = self._clock.monotonic(), False
        if (assignment := self._assignment) is not None:
            with suppress(OSError):  # no channel, nobody who hears
                _send(self._channel, {"said": what_is_said(assignment)})

    # --- what it does

    def _announcing(self, group: BoundGroup) -> BoundGroup:
        """Tell the node when the time limit of the job itself begins: the vetoes are asked, the job is made next."""

        def make_job() -> SchedulerJob:
            _send(self._channel, {"begun": True})
            return group.make_job()

        return group._replace(make_job=make_job)

    async def _run(self, assignment: Assignment) -> None:
        try:
            ending = await self._try(assignment)
            self._calls.close()
            self._assignment = None
            _, lost = self._host.put_back()
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):  # the job may have closed it
                    stream.flush()
            _send(self._channel, {"ending": write_ending(ending), "worn": bool(lost) or self._is_worn(ending)})
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except OSError:  # no channel, no result
            os._exit(CHANNEL_LOST)

    async def _try(self, assignment: Assignment) -> Ending:
        """Run a job; a worker of all groups builds what its group needs when its first job comes."""
        if assignment.job.key not in self._registry.bound:
            try:
                await self._open(assignment.job.key)
            except ConfigError as error:
                return failed(f"no worker process could be had: {error}")
        return await self._runner.run(assignment)

    def _is_worn(self, ending: Ending) -> bool:
        """Tell whether a job left something behind that would hurt the next: a thread, a child, open files, memory.

        What else a process has is put back by its `Host`, if it can be.
        """
        return (
            ending.outcome in _CUT_OFF
            or bool(self._threads.stuck)
            or (ending.reason or "").startswith("MemoryError")
            or (_has_children() and not self._had_children)
            or _has_leaked()
            or (self._spent is not None and _address_space() > self._spent)
        )

    def _limit_memory(self, memory: int | None) -> None:
        """Let jobs take so much more than is taken now. One that keeps half of it has spent the worker."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory is not None and (base := _address_space()):
            resource.setrlimit(resource.RLIMIT_AS, (base + memory, base + memory))
            self._spent = base + memory // 2


def _send(channel: socket.socket, message: dict[str, Any]) -> None:
    with _sending:
        channel.sendall(json.dumps(message).encode() + b"\n")


_sending = threading.Lock()
"""Messages of two threads must not mix."""


def _take_streams() -> tuple[socket.socket, TextIO]:
    """Return the channel, and the node's stderr for the log; what else is written goes where stdout goes.

    Nothing that a job starts gets the channel: held open by a child, it would hide that this process is gone.
    """
    channel = socket.socket(fileno=os.dup(0))
    number = channel.fileno()
    os.register_at_fork(after_in_child=lambda: os.close(number))
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(1, 2)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    return channel, stderr


def _die_with(parent: int) -> None:
    """Give up privileges, adopt what jobs leave behind, and see that no node's death leaves this process running.

    The channel tells of the node's death, and then the whole process group is killed. A job that holds the
    interpreter's lock keeps that from being heard; so the kernel sends SIGQUIT, whose handler is the C function alarm
    itself: called with its number, which is 3, it ends this process so many seconds later, whatever runs in it. (On a
    busy machine the thread that listens may need more than one to get its turn.)
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal(signal.SIGQUIT, ctypes.cast(libc.alarm, ctypes.c_void_p))
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _has_leaked() -> bool:
    """Tell whether half of the file descriptors are used up."""
    try:
        open_files = sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        return True
    return open_files > resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


def _address_space() -> int:
    """Return how much address space this process has, in bytes; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except FileNotFoundError:
        return 0
    return pages * resource.getpagesize()
