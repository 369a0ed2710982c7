"""On the node's loop. Ends pauses whose time is over: those of jobs, and those of groups, products and everything."""

from __future__ import annotations

from mainspring.job import Events, JobChanged, ScopeResumed, lifecycle
from mainspring.store import Notes, Pulse, Store

AT_ONCE = 500
"""How many jobs are resumed at a beat."""


class Resuming:
    """Looks at each beat for what is to go on. Each node does; whoever comes second changes nothing."""

    def __init__(self, store: Store, notes: Notes, events: Events) -> None:
        self._store = store
        self._notes = notes
        self._events = events

    async def look(self, pulse: Pulse) -> None:
        """End what is over by the store's time. Raises `StoreUnavailableError`."""
        for pause in self._notes.pauses:
            is_over = pause.until is not None and pause.until <= pulse.now
            if is_over and await self._notes.end_pauses(pause.scope, pulse.now, over=True):
                self._events.announce(ScopeResumed(pause.scope))
        for job in await self._store.resumable(AT_ONCE) if pulse.resumes else ():
            resumed = lifecycle.resume(job, now=pulse.now)
            if await self._store.update(resumed):
                self._events.announce(JobChanged(resumed, "resumed"))
