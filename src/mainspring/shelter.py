"""The shelter of a node: a lane where jobs that may be what kills their nodes can hurt nobody."""

from __future__ import annotations

import asyncio

from mainspring.isolation import ProcessRunner
from mainspring.lane import Lane


class Shelter(Lane):
    """Runs jobs of all groups in worker processes, once one of these is at hand.

    A start takes half a second of processor time, which is three seconds on a machine whose nodes keep dying: jobs go
    to a node that is further.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, workers: ProcessRunner) -> None:
        super().__init__(loop, workers.run)
        self._workers = workers

    def get_ready(self) -> None:
        """Have a worker at hand soon. For any thread."""
        self.loop.call_soon_threadsafe(self._workers.prepare)

    @property
    def is_ready(self) -> bool:
        """Tell whether a worker is at hand, or none can be had."""
        return self._workers.is_prepared
