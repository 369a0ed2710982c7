"""The quarantine of a node (decision 0021): a lane where jobs that may be what kills their nodes can hurt nobody."""

from __future__ import annotations

import asyncio

from mainspring.clock import Clock
from mainspring.execution.lane import Lane
from mainspring.execution.slots import Slots
from mainspring.execution.workers.pool import ProcessRunner


class Quarantine(Lane):
    """Runs jobs of all groups in worker processes, once one of these is at hand: until then, they go to other nodes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, workers: ProcessRunner, clock: Clock, slots: Slots) -> None:
        super().__init__(loop, workers, clock, slots)
        self._workers = workers

    def get_ready(self) -> None:
        """Have a worker at hand soon. For any thread."""
        self.loop.call_soon_threadsafe(self._workers.prepare)

    def is_ready(self, coming: int) -> bool:
        """Tell whether there is a worker for each of its runs and those `coming`, or soon will be, or none can be had.

        Behind a worker that is busy or is slow to start a run would wait for seconds: another node may be further.
        """
        return self.waiting + self.executing + coming <= self._workers.at_hand
