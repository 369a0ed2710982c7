"""Planning jobs anew: when a calendar or the rules of time zones change, the jobs that go by it must follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from mainspring.job import Job, lifecycle
from mainspring.schedule import Calendars, Recurring, realigned, zone_rules
from mainspring.store import Notes, Store

PAGE = 500
"""How many jobs are fetched at a time to be planned anew."""
ABREAST = 50
"""How many of them are written at once, so that they may share commits."""
TRIES = 10
"""How often a job is planned anew when others keep writing it."""


class Moved(NamedTuple):
    """A job whose pending fire time is another by the rules of time zones of today; `None` if it has none any more."""

    job: Job
    to: datetime | None


class Replanning:
    """Plans the jobs of one store anew."""

    def __init__(self, store: Store, notes: Notes) -> None:
        self._store = store
        self._notes = notes

    async def plan_anew(self, *, calendar: str | None = None) -> int:
        """Let jobs follow their calendars and time zones as they are: all, or those of one calendar.

        Answer how many moved. One that others write at the same time is tried again. What runs or waits for a further
        attempt is left alone: what it has next is decided when it ends. So is what keeps to holidays that are not known
        here.
        """
        await self._notes.refresh()
        calendars, unknown = self._notes.known, self._notes.unknown
        moved = 0
        async for page in self._pages(calendar):
            for first in range(0, len(page), ABREAST):  # others have their turn after each
                now = await self._store.now()
                some = [job for job in page[first : first + ABREAST] if _calendar_of(job) not in unknown]
                moved += sum(await asyncio.gather(*(self._follow(job, now, calendars) for job in some)))
        return moved

    async def _follow(self, job: Job, now: datetime, calendars: Calendars) -> bool:
        pending: Job | None = job
        for _ in range(TRIES):
            edit = pending and lifecycle.replanned(pending, now=now, calendars=calendars)
            if not edit:
                break
            if await self._store.update(*edit):
                return True
            pending = await self._store.get(job.id)
        return False

    async def follow_zone_rules(self) -> int | None:
        """Plan all jobs anew if they were planned by other rules of time zones than those in use.

        Answer how many moved; `None` if the rules are the same.
        """
        rules = zone_rules()
        if (await self._notes.zone_rules()) == rules:
            return None
        moved = await self.plan_anew()
        await self._notes.put_zone_rules(rules)  # last: what was cut off begins again
        return moved

    async def moved_by_zone_rules(self) -> AsyncIterator[Moved]:
        """Yield the jobs whose pending fire time, which has not come yet, the rules of time zones in use have moved."""
        now = await self._store.now()
        async for page in self._pages(None):
            for job in page:
                if job.fire_time > now and (to := realigned(job.trigger, job.fire_time)) != job.fire_time:
                    yield Moved(job, to)

    async def _pages(self, calendar: str | None) -> AsyncIterator[list[Job]]:
        last: UUID | None = None
        while page := await self._store.recurring(last, PAGE, calendar=calendar):
            yield page
            last = page[-1].id


def _calendar_of(job: Job) -> str | None:
    use = job.trigger.calendar if isinstance(job.trigger, Recurring) else None
    return None if use is None else use.name
