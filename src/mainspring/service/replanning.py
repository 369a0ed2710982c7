"""What holds for the schedules of many jobs at once: the calendars, and the rules of time zones.

When one of them changes, the jobs that go by it are planned anew.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from pydantic import ValidationError

from mainspring.errors import CalendarInUseError, ConfigError, InvalidRequestError, NotFoundError, Problem
from mainspring.job import Job, lifecycle
from mainspring.problems import problems_of, sentence
from mainspring.schedule import (
    CALENDAR_NAME,
    Calendar,
    Calendars,
    HolidaysError,
    Recurring,
    calendar_from_json,
    calendar_to_json,
    calendars_from_json,
    realigned,
    without_unknown,
    zone_rules,
)
from mainspring.store import CALENDARS, ZONE_RULES, Store, read_calendars

PAGE = 500
"""How many jobs are fetched at a time to be planned anew."""
ABREAST = 50
"""How many of them are written at once, so that they may share commits."""
TRIES = 10
"""How often a job is planned anew when others keep writing it."""
COUNTED = 100
"""How many jobs that use a calendar are counted before it is said that there are many."""


class Moved(NamedTuple):
    """A job whose pending fire time is another by the rules of time zones of today; `None` if it has none any more."""

    job: Job
    to: datetime | None


class Agenda:
    """The calendars of one store, and the jobs that must follow when they or the rules of time zones change."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # --- calendars

    async def list_calendars(self) -> dict[str, Calendar]:
        """Return all calendars by name."""
        return dict(sorted(calendars_from_json(await self._store.notes(CALENDARS)).items()))

    async def get_calendar(self, name: str) -> Calendar:
        """Return a calendar. Raises `NotFoundError`."""
        calendar = (await self.list_calendars()).get(name)
        if calendar is None:
            raise _missing(name)
        return calendar

    async def put_calendar(self, name: str, body: Mapping[str, object]) -> tuple[Calendar, bool]:
        """Write a calendar and plan anew the jobs that keep to it; answer it, and whether it is new.

        When this raises `StoreUnavailableError` only some of the jobs may follow it: to call again makes all do so.
        Raises `InvalidRequestError` with every problem.
        """
        if not re.fullmatch(CALENDAR_NAME, name):
            detail = "must be 1 to 64 letters, digits, dots, _ or -, and begin with a letter or digit"
            problem = Problem("", "CALENDAR_NAME_INVALID", f"the name {detail}")
            raise InvalidRequestError(f"the name of a calendar {detail}", problems=[problem])
        calendar = await _read(body)
        was_there = await self._store.note(CALENDARS, name, calendar_to_json(calendar))
        await self.plan_anew(calendar=name)
        return calendar, not was_there

    async def delete_calendar(self, name: str) -> None:
        """Delete a calendar. Raises `NotFoundError`, and `CalendarInUseError` while jobs keep to it."""
        await self.get_calendar(name)
        if jobs := await self._store.recurring(None, COUNTED, calendar=name):
            many = "1 job keeps" if len(jobs) == 1 else f"{len(jobs)} jobs{' or more' * (len(jobs) == COUNTED)} keep"
            raise CalendarInUseError(f"{many} to the calendar {name}, such as {jobs[0].id} of {jobs[0].key}")
        if not await self._store.note(CALENDARS, name, None):
            raise _missing(name)

    async def adopt(self, calendars: Calendars) -> list[str]:
        """Write calendars of the settings where the store has others; answer the names of those.

        Their jobs are not planned anew yet. Raises `ConfigError` for holidays that are not known here.
        """
        _, unknown = await asyncio.to_thread(without_unknown, calendars)
        if unknown:
            said = "; ".join(f"the holidays of the calendar {name} {error}" for name, error in unknown.items())
            raise ConfigError(said)
        stored = await self.list_calendars()
        changed = [name for name, calendar in calendars.items() if stored.get(name) != calendar]
        for name in changed:
            await self._store.note(CALENDARS, name, calendar_to_json(calendars[name]))
        return changed

    # --- jobs

    async def plan_anew(self, *, calendar: str | None = None) -> int:
        """Let jobs follow their calendars and time zones as they are: all, or those of one calendar.

        Answer how many moved. One that others write at the same time is tried again. What runs or waits for a further
        attempt is left alone: what it has next is decided when it ends. So is what keeps to holidays that are not known
        here.
        """
        calendars, unknown = await read_calendars(self._store)
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
        if (await self.noted_zone_rules()) == rules:
            return None
        moved = await self.plan_anew()
        await self._store.note(ZONE_RULES, ZONE_RULES, rules)  # last: what was cut off begins again
        return moved

    async def noted_zone_rules(self) -> str | None:
        """Return the release of the rules of time zones that the jobs were planned by, if that is known."""
        noted: str | None = (await self._store.notes(ZONE_RULES)).get(ZONE_RULES)
        return noted

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


async def _read(body: Mapping[str, object]) -> Calendar:
    """Read a calendar. Raises `InvalidRequestError` with every problem."""
    try:
        calendar = calendar_from_json(body)
        await asyncio.to_thread(calendar.check_holidays)
    except ValidationError as error:
        problems = problems_of(error, body, owner="a calendar")
    except HolidaysError as error:
        problems = [Problem("/holidays", error.code, str(error))]
    else:
        return calendar
    raise InvalidRequestError(sentence(problems), problems=problems)


def _calendar_of(job: Job) -> str | None:
    use = job.trigger.calendar if isinstance(job.trigger, Recurring) else None
    return None if use is None else use.name


def _missing(name: str) -> NotFoundError:
    detail = f"there is no calendar {name[:64]!r}"
    return NotFoundError(detail, problems=[Problem("", "CALENDAR_NOT_FOUND", detail)])
