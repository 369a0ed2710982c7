"""A lane: where the jobs of a group run, how many of them at once, and whether that place is stuck.

The code of plugins runs on event loops of its own. Lanes that share a loop may block each other; others may not.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from mainspring.execution.executor import Executor

STUCK_SECONDS = 2.0
"""A loop that has not begun what it was given so long ago is blocked by a job."""

log = structlog.get_logger("mainspring")


class Lane:
    """The event loop on which the jobs of a group run, and what runs them there.

    `capacity` is how many it runs at once, where that is bounded: more are not claimed, they could only wait.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        executor: Executor,
        capacity: int | None = None,
    ) -> None:
        self.loop = loop
        self.executor = executor
        self._capacity = capacity
        self.busy = 0
        """How many runs it has; the node counts them."""
        self._given = 0
        self._begun = 0
        self._since = 0.0

    def give(self, begin: Callable[[], None], moment: float) -> None:
        """Have `begin` called on the loop; `moment` is now. For the node's thread alone."""
        if self._given == self._begun:
            self._since = moment
        self._given += 1
        self.loop.call_soon_threadsafe(begin)

    def note_begun(self, moment: float) -> None:
        """Take down that what was given has begun. For the loop's thread alone."""
        self._begun += 1
        self._since = moment

    @property
    def waiting_since(self) -> float | None:
        """The moment since which the loop has not begun what it was given; `None` if it has."""
        return None if self._given == self._begun else self._since

    def is_stuck(self, moment: float) -> bool:
        """Tell whether a job blocks the loop, so that what was given to it only waits."""
        return self._given != self._begun and moment - self._since >= STUCK_SECONDS

    def room(self, free: int, moment: float, coming: int = 0) -> int:
        """Return for how many more jobs, at most `free`, there is room besides those that are `coming`."""
        if self.is_stuck(moment):
            return 0
        return free if self._capacity is None else min(free, self._capacity - self.busy - coming)


@contextmanager
def job_loop(loop: asyncio.AbstractEventLoop, name: str) -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop for user code in a thread: a job that blocks it blocks neither the API nor the engine.

    In the end the loop is closed, unless a job does not give it back.
    """
    thread = threading.Thread(target=_keep_running, args=(loop,), name=name, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=1)
        if not thread.is_alive():
            loop.close()


def _keep_running(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped: `sys.exit` in a task of a job breaks out of the loop, but must not end it."""
    while True:
        try:
            loop.run_forever()
        except BaseException:
            log.exception("a task of a job tried to end the process")
        else:
            return
