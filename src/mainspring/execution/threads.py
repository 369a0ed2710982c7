"""The threads in which the plain functions of plugins run. On their job loop, but for what runs in the threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from mainspring.execution.places import Places


class Called(NamedTuple):
    """What a function returned, or what it raised."""

    result: object = None
    error: BaseException | None = None


Deliver = Callable[[asyncio.Future[Called], threading.Thread, Called], None]


class Threads(Places):
    """The threads of a job loop: at most `number` at once. Each call gets a new one, by the place that its run has.

    Nothing can end a thread. One that goes on when its run has ended is stuck, and keeps a place until it ends: what
    was claimed for that place could not begin here, while another node may have one.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._running: set[threading.Thread] = set()
        self.stuck: frozenset[threading.Thread] = frozenset()
        """Those that go on although their runs have ended. For any thread."""

    async def call(self, function: Callable[..., object], *arguments: object) -> Called:
        """Call a function in a daemon thread, which does not keep the process from ending.

        What it raises is returned: so no frame in here is part of its traceback.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Called] = loop.create_future()
        work = partial(contextvars.copy_context().run, function, *arguments)
        name = f"job-{getattr(function, '__qualname__', '')}"
        thread = threading.Thread(target=_work, args=(work, loop, self._deliver, ended), name=name, daemon=True)
        thread.start()
        self._running.add(thread)
        try:
            return await ended
        finally:
            if thread in self._running:
                self.free -= 1
                self.stuck |= {thread}

    def _deliver(self, ended: asyncio.Future[Called], thread: threading.Thread, called: Called) -> None:
        self._running.discard(thread)
        if thread in self.stuck:
            self.stuck -= {thread}
            self.give_back()
            for lane in self._lanes:
                lane.on_low()
        elif not ended.done():
            ended.set_result(called)


def _work(
    work: Callable[[], object], loop: asyncio.AbstractEventLoop, deliver: Deliver, ended: asyncio.Future[Called]
) -> None:
    """Do the work of a thread, and tell the loop how it ended.

    The frame of this function is a part of the traceback of what was raised. So it forgets all that leads back to that:
    a cycle would keep what the plugin had made, until the collector comes by.
    """
    try:
        called = Called(work())
    except BaseException as error:  # noqa: BLE001 - user code; it is raised again where it is awaited
        called = Called(error=error)
    try:
        loop.call_soon_threadsafe(deliver, ended, threading.current_thread(), called)
    except RuntimeError:  # the loop is closed: nobody waits any more
        pass
    finally:
        del work, deliver, ended, called
