"""Planning jobs anew: when a calendar or the rules of time zones change, the jobs that go by it must follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from mainspring.errors import StoreUnavailableError
from mainspring.job import Job, lifecycle
from mainspring.schedule import Calendars, Recurring, realigned, zone_rules
from mainspring.store import Notes, Progress, Store

PAGE = 500
"""How many jobs are fetched at a time to be planned anew."""
ABREAST = 20
"""How many of them are written at once, so that they may share commits; then others have their turn: about 10 ms."""
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
        self._task: asyncio.Task[None] | None = None
        self._begun = 0
        self._seen: Mapping[str, Progress] = {}

    # --- after a calendar was written

    async def begin(self, calendar: str) -> None:
        """Have the jobs of a calendar follow it in the background; how far that is, `progress` says."""
        of, number = await self._store.count_recurring(calendar), await self._store.noted()
        await self._notes.put_progress(calendar, Progress(0, of, number) if of else None)
        self._begun += 1
        if of and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self.go_on())

    async def go_on(self) -> None:
        """Have all jobs follow that are not done with it; ends early where the store fails."""
        with suppress(StoreUnavailableError):  # `take_up` finds it later
            begun = -1
            while begun != self._begun:  # more may have begun while it was looked for
                begun = self._begun
                while progress := await self._notes.progress():
                    name, place = next(iter(progress.items()))
                    await self.plan_anew(calendar=name, place=place)

    async def take_up(self) -> None:
        """Go on with what nobody has gone on with since this was called last: who began it is dead."""
        progress = await self._notes.progress()
        stale = [name for name, place in progress.items() if self._seen.get(name) == place]
        self._seen = progress
        for name in stale:
            await self.plan_anew(calendar=name, place=progress[name])

    # --- at any time

    async def plan_anew(self, *, calendar: str | None = None, place: Progress | None = None) -> int:
        """Let jobs follow their calendars and time zones as they are: all, or those of one calendar.

        Answer how many moved. One that others write at the same time is tried again. What runs or waits for a further
        attempt is left alone: what it has next is decided when it ends. So is what keeps to holidays that are not known
        here. With a `place` it goes on from there, and notes how far it is.
        """
        await self._notes.refresh()
        calendars, unknown = self._notes.known, self._notes.unknown
        moved = 0
        async for page in self._pages(calendar, place and place.after):
            for first in range(0, len(page), ABREAST):  # others have their turn after each
                now = await self._store.now()
                some = [job for job in page[first : first + ABREAST] if _calendar_of(job) not in unknown]
                moved += sum(await asyncio.gather(*(self._follow(job, now, calendars) for job in some)))
            if calendar and place:
                done = place.done + len(page)
                place = place._replace(done=done, of=max(place.of, done), after=page[-1].id)
                if not await self._note(calendar, place, place):
                    return moved
        if calendar and place:
            await self._note(calendar, place, None)
        return moved

    async def _note(self, calendar: str, place: Progress, progress: Progress | None) -> bool:
        """Note how far the jobs of a calendar are, unless it was written anew: that begins from the first job."""
        there = (await self._notes.progress()).get(calendar)
        if there is None or there.number != place.number:
            return False
        await self._notes.put_progress(calendar, progress)
        return True

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

    async def _pages(self, calendar: str | None, last: UUID | None = None) -> AsyncIterator[list[Job]]:
        while page := await self._store.recurring(last, PAGE, calendar=calendar):
            yield page
            last = page[-1].id


def _calendar_of(job: Job) -> str | None:
    use = job.trigger.calendar if isinstance(job.trigger, Recurring) else None
    return None if use is None else use.name
