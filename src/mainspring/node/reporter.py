"""On the node's loop. Writes down how far runs are, for those that say so."""

from __future__ import annotations

from collections.abc import Mapping

from mainspring.execution import Assignment
from mainspring.job import Progress
from mainspring.store import Store


class Reporter:
    """Writes the progress of runs that have said something else since it was written last."""

    def __init__(self, store: Store, running: Mapping[int, Assignment]) -> None:
        self._store = store
        self._running = running
        self._told: dict[int, Progress] = {}

    async def report(self) -> None:
        """Write what is news. Raises `StoreUnavailableError`: then it is written the next time."""
        said = {run: each.progress for run, each in self._running.items() if each.progress is not None}
        if news := {run: progress for run, progress in said.items() if self._told.get(run) is not progress}:
            await self._store.put_progress(news)
        self._told = said
