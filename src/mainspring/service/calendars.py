"""The use cases on calendars: named sets of times that the schedules of all job groups may keep to."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from hashlib import blake2s
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from mainspring.errors import (
    CalendarInUseError,
    ConfigError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
    Problem,
)
from mainspring.problems import problems_of, sentence
from mainspring.schedule import (
    CALENDAR_NAME,
    Calendar,
    Calendars,
    HolidaysError,
    calendar_from_json,
    calendar_to_json,
    without_unknown,
)
from mainspring.service.control import EDIT_TRIES
from mainspring.service.replanning import Replanning
from mainspring.store import Notes, Progress, Store

MOST_CALENDARS = 500
"""How many calendars a store may have: each service and node has all of them in memory."""
MOST_BYTES = 1024 * 1024
"""How large all calendars may be together, in bytes of JSON: a service reads them in 15 ms."""
COUNTED = 100
"""How many jobs that use a calendar are counted before it is said that there are many."""


class CalendarService:
    """The calendars of one store. Jobs follow when one of them changes."""

    def __init__(self, store: Store, notes: Notes) -> None:
        self._store = store
        self._notes = notes
        self.replanning = Replanning(store, notes)

    async def list_calendars(self) -> dict[str, Calendar]:
        """Return all calendars by name."""
        return dict(sorted((await self._notes.all_calendars()).items()))

    async def get_calendar(self, name: str) -> Calendar:
        """Return a calendar. Raises `NotFoundError`."""
        calendar = (await self.list_calendars()).get(name)
        if calendar is None:
            raise _missing(name)
        return calendar

    async def put_calendar(
        self, name: str, body: Mapping[str, object], *, tag: str | None = None, is_new: bool = False
    ) -> tuple[Calendar, bool]:
        """Write a calendar; answer it, and whether it is new.

        With `tag` only if it is that of the calendar which is there, or ``*`` for any. With `is_new` only if none is.

        Whatever begins from then on goes by it. The next runs of jobs that keep to it follow in the background: how far
        that is, `progress` says. Raises `InvalidRequestError` with every problem, `PreconditionFailedError`, and
        `ConflictError` if the calendar kept changing.
        """
        if not re.fullmatch(CALENDAR_NAME, name):
            detail = "must be 1 to 64 letters, digits, dots, _ or -, and begin with a letter or digit"
            problem = Problem("", "CALENDAR_NAME_INVALID", f"the name {detail}")
            raise InvalidRequestError(f"the name of a calendar {detail}", problems=[problem])
        calendar = await _read(body)
        if problems := await self._out_of_room({name: calendar}):
            raise InvalidRequestError(sentence(problems), problems=problems)
        was_there = await self._write(name, calendar, tag, is_new=is_new)
        await self.replanning.begin(name)
        return calendar, not was_there

    async def _write(self, name: str, calendar: Calendar, tag: str | None, *, is_new: bool) -> bool:
        """Write a calendar if what is there is as it was believed; answer whether one was there."""
        if tag is None and not is_new:
            return await self._notes.put_calendar(name, calendar)
        for _ in range(EDIT_TRIES):
            before = await self._notes.stored_calendar(name)
            _check(name, before, tag, is_new=is_new)
            if await self._notes.swap_calendar(name, before, calendar):
                return before is not None
        raise _kept_changing(name)

    async def progress(self) -> Mapping[str, Progress]:
        """Return how far jobs follow the calendars that they do not all follow yet, by name."""
        return await self._notes.progress()

    async def delete_calendar(self, name: str, *, tag: str | None = None) -> None:
        """Delete a calendar, with `tag` only if it is that of the calendar.

        Raises `NotFoundError`, `PreconditionFailedError`, `CalendarInUseError` while jobs keep to it, and
        `ConflictError` if the calendar kept changing.
        """
        for _ in range(EDIT_TRIES):
            if (before := await self._notes.stored_calendar(name)) is None:
                raise _missing(name)
            _check(name, before, tag)
            await self._refuse_used(name)
            if await self._notes.swap_calendar(name, before, None):
                return
        raise _kept_changing(name)

    async def _refuse_used(self, name: str) -> None:
        if jobs := await self._store.recurring(None, COUNTED, calendar=name):
            many = "1 job keeps" if len(jobs) == 1 else f"{len(jobs)} jobs{' or more' * (len(jobs) == COUNTED)} keep"
            raise CalendarInUseError(f"{many} to the calendar {name}, such as {jobs[0].id} of {jobs[0].key}")

    async def adopt(self, calendars: Calendars) -> list[str]:
        """Write calendars of the settings where the store has others; answer the names of those.

        Their jobs are not planned anew yet. Raises `ConfigError` for holidays that are not known here, for days out of
        range, and for more calendars than there is room for.
        """
        for name, calendar in calendars.items():
            if problems := [*calendar.problems()]:
                raise ConfigError(f"the calendar {name}: {sentence(problems)}")
        _, unknown = await asyncio.to_thread(without_unknown, calendars)
        if unknown:
            said = "; ".join(f"the holidays of the calendar {name} {error}" for name, error in unknown.items())
            raise ConfigError(said)
        if problems := await self._out_of_room(calendars):
            raise ConfigError(sentence(problems))
        stored = await self.list_calendars()
        changed = [name for name, calendar in calendars.items() if stored.get(name) != calendar]
        for name in changed:
            await self._notes.put_calendar(name, calendars[name])
        return changed

    async def _out_of_room(self, calendars: Calendars) -> list[Problem]:
        """Find out whether there is room for calendars; for one that takes no more than before there always is."""
        await self._notes.calendars()
        sizes = self._notes.sizes
        after = {**sizes, **{name: len(to_json(calendar_to_json(each))) for name, each in calendars.items()}}
        problems: list[Problem] = []
        if len(after) > max(len(sizes), MOST_CALENDARS):
            detail = f"there can be {MOST_CALENDARS} calendars at most: delete one that no job uses"
            problems.append(Problem("", "TOO_MANY_CALENDARS", detail))
        if sum(after.values()) > max(sum(sizes.values()), MOST_BYTES):
            detail = f"all calendars together can have {MOST_BYTES // 1024} KiB at most: shorten or delete one"
            problems.append(Problem("", "CALENDARS_TOO_LARGE", detail))
        return problems


def calendar_tag(calendar: Calendar) -> str:
    """Return what tells a calendar from others."""
    return _tag(calendar_to_json(calendar))


def _tag(stored: Any) -> str:
    """Return the tag of a calendar as the store has it. The order of members is not kept by every store."""
    return blake2s(json.dumps(stored, sort_keys=True).encode(), digest_size=8).hexdigest()


def _check(name: str, there: Any, tag: str | None, *, is_new: bool = False) -> None:
    """Raise `PreconditionFailedError` unless what is there is what the caller believes."""
    if is_new and there is not None:
        raise PreconditionFailedError(f"there is a calendar {name} already")
    if tag is not None and there is None:
        raise PreconditionFailedError(f"there is no calendar {name}")
    if tag not in {None, "*"} and tag != _tag(there):
        raise PreconditionFailedError(f"the calendar {name} is another by now; get it anew and decide again")


def _kept_changing(name: str) -> ConflictError:
    return ConflictError(f"the calendar {name} kept changing; try again")


async def _read(body: Mapping[str, object]) -> Calendar:
    """Read a calendar. Raises `InvalidRequestError` with every problem."""
    try:
        calendar = calendar_from_json(body)
    except ValidationError as error:
        problems = problems_of(error, body, owner="a calendar")
    else:
        problems = [*calendar.problems()]
        try:
            await asyncio.to_thread(calendar.check_holidays)
        except HolidaysError as error:
            problems.append(Problem("/holidays", error.code, str(error)))
        if not problems:
            return calendar
    raise InvalidRequestError(sentence(problems), problems=problems)


def _missing(name: str) -> NotFoundError:
    detail = f"there is no calendar {name[:64]!r}"
    return NotFoundError(detail, problems=[Problem("", "CALENDAR_NOT_FOUND", detail)])
