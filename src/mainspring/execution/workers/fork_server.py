"""The process of which workers are forks: it has imported what each of them needs, and holds nothing else.

`spawner` starts it with a channel as its stdin, tells it whom to start and to kill, and hears who has ended.
It has one thread and runs no code of plugins, so that a fork of it is as good as a process that was started from
nothing. It goes when the node does, and its workers with it.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
from contextlib import suppress
from typing import Self

import dishka  # noqa: F401 - every worker wires services, and would start 0.29 s later if it imported this itself

from mainspring.execution.workers import worker
from mainspring.execution.workers.spawner import ORDER

_FILES = 2
"""How many descriptors come with an order to start a process: its stdin and its stdout."""


def main() -> None:
    """Start processes until the node hangs up; in each of them, be a worker."""
    parent = os.getpid()
    gc.freeze()  # a collection would write to pages that all share
    with ForkServer() as server:
        is_child = server.serve()
    if is_child:
        worker.main(parent)


class ForkServer:
    """Does what the node says, and tells it of ends."""

    def __init__(self) -> None:
        self._channel = socket.socket(fileno=os.dup(0))
        self._ends, self._bell = os.pipe()
        self._children: set[int] = set()

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a service that is told to stop still needs its workers
        signal.signal(signal.SIGCHLD, lambda *_: None)
        os.set_blocking(self._bell, False)
        signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._channel.close()
        os.close(self._ends)
        os.close(self._bell)

    def serve(self) -> bool:
        """Heed orders; return when the node has hung up, or, with true, in each process that was started."""
        while True:
            ready, _, _ = select.select([self._channel.fileno(), self._ends], [], [])
            if self._ends in ready:
                os.read(self._ends, 1 << 12)
                self._bury()
            if self._channel.fileno() in ready:
                order, files, _, _ = socket.recv_fds(self._channel, ORDER.size, _FILES)
                if not order:
                    return False
                pid, number = ORDER.unpack(order)
                if files:
                    if self._fork(files):
                        return True
                elif pid in self._children:
                    _kill(pid, number)

    def _fork(self, files: list[int]) -> bool:
        """Start a process; answer true in that process."""
        try:
            pid = os.fork()
        except OSError as error:
            pid = -1
            self._tell({"refused": error.errno or 0})
        if pid == 0:
            os.setsid()
            for place, number in enumerate(files):
                os.dup2(number, place)
        elif pid > 0:
            self._children.add(pid)
            self._tell({"born": pid})
        for number in files:
            os.close(number)
        return pid == 0

    def _bury(self) -> None:
        """Kill what is left of the groups of those that ended, and reap them.

        In this order: while the leader is a zombie the number of its group cannot be another's.
        """
        while self._children and (end := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            pid = end.si_pid
            _kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            self._children.discard(pid)
            self._tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})

    def _tell(self, news: dict[str, int]) -> None:
        with suppress(OSError):  # the node is gone: the next order says so
            self._channel.sendall(json.dumps(news).encode() + b"\n")


def _kill(pid: int, number: int) -> None:
    """Send a signal to a group, or to a process that does not yet lead one."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        os.kill(pid, number)
    except PermissionError:  # what is left of the group is not ours to kill
        pass


if __name__ == "__main__":
    main()
