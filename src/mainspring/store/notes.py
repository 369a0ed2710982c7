"""What all nodes share besides jobs, typed: calendars, by which rules of time zones jobs were planned, and keys.

Each process reads them here. They are kept in memory as long as the store's number of its last note is the one that
they were read by. A heartbeat brings that number (`Notes.heard`); where none does, they are read from the store.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

from mainspring.clock import Clock, new_secret
from mainspring.schedule import (
    Calendar,
    Calendars,
    HolidaysError,
    calendar_to_json,
    calendars_from_json,
    without_unknown,
)
from mainspring.store.protocol import Store

CALENDARS = "calendar"
"""The kind of notes that are calendars, by name."""
ZONE_RULES = "tzdata"
"""The kind of the note that holds the release of the rules of time zones that the jobs were planned by."""
CURSOR_KEYS = "cursor-key"
"""The kind of notes that are keys to sign cursors with."""
_UNKNOWN = -1


class Notes:
    """The notes of one store, as one process knows them. All on one event loop."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._number = _UNKNOWN
        self._until = -math.inf
        self._read_by = _UNKNOWN
        self.known: Calendars = {}
        """The calendars as they were read last, but for `unknown` ones: decisions about runs go by them."""
        self.unknown: Mapping[str, HolidaysError] = {}
        """The calendars that cannot be used here, with why: their holidays need a package that may not be here."""

    def heard(self, number: int, seconds: float) -> bool:
        """Take the store's number of its last note, which holds for so many seconds; tell whether it is another."""
        is_news = number != self._read_by
        self._number, self._until = number, self._clock.monotonic() + seconds
        return is_news

    async def calendars(self) -> Calendars:
        """Return the calendars that can be used here, by name."""
        if self._read_by == _UNKNOWN or self._read_by != self._number or self._clock.monotonic() >= self._until:
            await self.refresh()
        return self.known

    async def refresh(self) -> None:
        """Read the calendars, whatever is known."""
        number = self._number  # before reading: what is written meanwhile has a higher one
        calendars = await self.all_calendars()
        unknown: Mapping[str, HolidaysError] = {}
        if any(calendar.holidays for calendar in calendars.values()):
            # Its first call loads the package, for half a second.
            calendars, unknown = await asyncio.to_thread(without_unknown, calendars)
        self.known, self.unknown, self._read_by = calendars, unknown, number

    async def all_calendars(self) -> Calendars:
        """Return all calendars of the store by name, also those that cannot be used here."""
        return calendars_from_json(await self._store.notes(CALENDARS))

    async def put_calendar(self, name: str, calendar: Calendar | None) -> bool:
        """Write a calendar, or with `None` delete it; answer whether there was one before."""
        was_there = await self._store.note(CALENDARS, name, calendar and calendar_to_json(calendar))
        self._number = self._read_by = _UNKNOWN  # this process sees its own writes at once
        return was_there

    async def zone_rules(self) -> str | None:
        """Return the release of the rules of time zones that the jobs were planned by, if that is known."""
        noted: str | None = (await self._store.notes(ZONE_RULES)).get(ZONE_RULES)
        return noted

    async def put_zone_rules(self, release: str) -> None:
        """Note the release of the rules of time zones that the jobs were planned by."""
        await self._store.note(ZONE_RULES, ZONE_RULES, release)

    async def cursor_keys(self) -> list[bytes]:
        """Return the keys that cursors are signed with, of which the first is to be used. There is always one.

        There are more if processes began to use the store at the same time: each has made one.
        """
        keys = await self._store.notes(CURSOR_KEYS)
        if not keys:
            secret = new_secret()
            await self._store.note(CURSOR_KEYS, secret[:16], secret)
            keys = await self._store.notes(CURSOR_KEYS)
        return [str(secret).encode() for _, secret in sorted(keys.items())]
