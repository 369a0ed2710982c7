"""On the node's loop. Tells jobs that wait for others that these are over."""

from __future__ import annotations

import asyncio
from uuid import UUID

from mainspring.clock import Clock, wait
from mainspring.job import Events, JobChanged, lifecycle
from mainspring.store import Store

AT_ONCE = 100
"""How many jobs that are over are looked at in a turn."""
EVERY_SECONDS = 1.0
"""How often is looked for jobs that are over, where the end of none was heard of here."""
RESTS = 20
"""How many times as long as a look took it is until the next: it goes through all that is waited for."""


class Releaser:
    """Looks for jobs that are over and are waited for. Each node does; whoever comes second changes nothing."""

    def __init__(self, store: Store, clock: Clock, events: Events) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._ended = asyncio.Event()
        self._are_any = False

    def hurry(self) -> None:
        """Look at once, if anybody waited for anything a moment ago: jobs have ended."""
        if self._are_any:
            self._ended.set()

    async def turn(self) -> None:
        """Tell all that wait what is over, and wait for the next time. Raises `StoreUnavailableError`."""
        began = self._clock.monotonic()
        self._ended.clear()
        await self.release()
        took = self._clock.monotonic() - began
        await wait(self._clock, self._ended, max(EVERY_SECONDS, RESTS * took))

    async def release(self) -> bool:
        """Tell those that wait what is over; answer whether any was told."""
        over, self._are_any = await self._store.ended_waits(AT_ONCE)
        for awaited in over:
            await self._tell(awaited)
        return bool(over)

    async def _tell(self, awaited: UUID) -> None:
        succeeded = lifecycle.has_succeeded(await self._store.get(awaited))
        all_told = True
        now = await self._store.now()
        for job in await self._store.waiting(awaited):
            after, run = lifecycle.heard(job, awaited, succeeded=succeeded, now=now)
            if after is job:
                continue
            written = await (self._store.update(after) if run is None else self._store.end(after, run))
            if written:
                self._events.announce(JobChanged(after, "released" if run is None else "cancelled"))
            all_told = all_told and written
        if all_told:
            await self._store.know(awaited)
