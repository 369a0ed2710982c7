"""What a service or node does on signals, from its first moment on, and what it owes as process 1 of a container.

Imports next to nothing: what is heavy is imported under its protection.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PROCESS_ONE = 1


class StoppedError(KeyboardInterrupt):
    """A signal came before there was anything to stop. What catches the errors of plugins lets it pass."""


def until_stopped(work: Callable[[], int]) -> int:
    """Do the work of a service or node, and answer its exit code: 0 if a signal stopped it before it had begun.

    As process 1 it does so in a child: the kernel gives process 1 all orphans to reap, among which our own children
    could not be told from others, and ignores signals for it that have no handler.
    """
    return _above(work) if os.getpid() == _PROCESS_ONE else _obeying(work)


def _heeded() -> list[signal.Signals]:
    """Return the signals that stop us. One that was ignored when we started stays so: nohup asks for that."""
    return [number for number in _STOPS if number is signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN]


def _obeying(work: Callable[[], int]) -> int:
    before = {number: signal.signal(number, _stop) for number in _heeded()}
    try:
        return work()
    except (StoppedError, asyncio.CancelledError):
        return 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise StoppedError


def _above(work: Callable[[], int]) -> int:
    """Do the work in a child: pass signals on to it, reap whatever dies, and end as it does."""
    heeded = _heeded()
    signal.pthread_sigmask(signal.SIG_BLOCK, heeded)
    child = os.fork()
    if child == 0:
        return _obeying(lambda: _unblocked(heeded, work))

    def pass_on(number: int, _frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(child, number)

    for number in heeded:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, heeded)
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _unblocked(numbers: list[signal.Signals], work: Callable[[], int]) -> int:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    return work()


@contextmanager
def stopped_by_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Let signals call `stop`, on the running loop: the second call makes a node hurry."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _heeded()}
    for number in before:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
