"""What all nodes share besides jobs, typed: calendars, pauses, limits, rules of time zones, and keys.

Each process reads them here. They are kept in memory as long as the store's number of its last note is the one that
they were read by. A heartbeat brings that number (`Notes.heard`); where none does, they are read from the store.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pydantic_core import to_json

from mainspring.clock import Clock, new_secret
from mainspring.job import (
    Entry,
    EventKind,
    JobKey,
    Limits,
    Pause,
    Scope,
    limits_from_json,
    limits_to_json,
    pause_from_json,
    pause_to_json,
)
from mainspring.schedule import (
    Calendar,
    Calendars,
    calendar_from_json,
    calendar_to_json,
    format_time,
    without_unknown,
)
from mainspring.store.protocol import Store

CALENDARS = "calendar"
"""The kind of notes that are calendars, by name."""
ZONE_RULES = "tzdata"
"""The kind of the note that holds the release of the rules of time zones that the jobs were planned by."""
REPLANNING = "replanning"
"""The kind of notes that say how far jobs follow calendars that were written, by the name of the calendar."""
PAUSES = "pause"
"""The kind of notes that are pauses of groups, products and everything which are not over."""
PAST_PAUSES = "past-pause"
"""The kind of notes that are pauses which are over, under the names that they had."""
LIMITS = "limits"
"""The kind of notes that are limits of groups and products, by their names."""
BUSY = "busy"
"""The kind of notes that name products of which services said that they are busy: their jobs are claimed by that."""
DRAINED = "drained"
"""The kind of notes that name nodes which are to begin no more jobs."""
SCHEMAS = "schema"
"""The kind of notes that say what requests look like, by the names of job groups."""
MOST_PAST_PAUSES = 1000
"""How many of those are kept."""
CURSOR_KEYS = "cursor-key"
"""The kind of notes that are keys to sign cursors with."""
FEED = "feed"
"""The kind of the note that tells the events of this store from those of others."""
_FEED_TAG = re.compile("[0-9a-f]{8}")
_UNKNOWN = -1


class Progress(NamedTuple):
    """How many of the jobs of a calendar follow it, of how many, the last of them, and the number of that writing."""

    done: int
    of: int
    number: int
    after: UUID | None = None


class _Read(NamedTuple):
    """A calendar as it was read last: as JSON, and what that says."""

    text: bytes
    calendar: Calendar


class Notes:
    """The notes of one store, as one process knows them. All on one event loop."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._number = _UNKNOWN
        self._until = -math.inf
        self._read_by = _UNKNOWN
        self._read: Mapping[str, _Read] = {}
        self.pauses: tuple[Pause, ...] = ()
        """The pauses of groups, products and everything, as they were read last: nothing that they stop is claimed."""
        self._limits_as_read: Mapping[str, Any] = {}
        self.limits: Mapping[Scope, Limits] = {}
        """The limits of groups and products that were written, as they were read last."""
        self.busy: frozenset[str] = frozenset()
        """The products of which services said that they are busy."""
        self.drained: frozenset[str] = frozenset()
        """The nodes that are to begin no more jobs."""
        self.known: Calendars = {}
        """The calendars as they were read last, but for `unknown` ones: decisions about runs go by them."""
        self.unknown: Mapping[str, Exception] = {}
        """The calendars that cannot be used here, with why: they cannot be read, or their holidays are not known."""

    def heard(self, number: int, seconds: float) -> bool:
        """Take the store's number of its last note, which holds for so many seconds; tell whether it is another."""
        is_news = number != self._read_by
        self._number, self._until = number, self._clock.monotonic() + seconds
        return is_news

    async def calendars(self) -> Calendars:
        """Return the calendars that can be used here, by name."""
        await self.be_current()
        return self.known

    async def be_current(self) -> None:
        """Read all anew unless a heartbeat has told lately that there is nothing new."""
        if self._read_by == _UNKNOWN or self._read_by != self._number or self._clock.monotonic() >= self._until:
            await self.refresh()

    async def refresh(self) -> None:
        """Read the calendars, whatever is known."""
        number = await self._store.noted()  # before reading: what is written meanwhile has a higher one
        self.pauses = tuple((await self._read_pauses(PAUSES)).values())
        self.limits = await self._read_limits()
        self.busy = frozenset(await self._store.notes(BUSY))
        self.drained = frozenset(await self._store.notes(DRAINED))
        calendars, faults = await self._read_calendars()
        unknown: Mapping[str, Exception] = {}
        if any(calendar.holidays for calendar in calendars.values()):
            # Its first call loads the package, for half a second.
            calendars, unknown = await asyncio.to_thread(without_unknown, calendars)
        self.known, self.unknown, self._read_by = calendars, {**faults, **unknown}, number
        self._number = max(self._number, number)

    @property
    def number(self) -> int | None:
        """The number of the last note when `known` was read; a claim that goes by it finds out if there is another."""
        return None if self._read_by == _UNKNOWN else self._read_by

    async def catch_up(self) -> None:
        """Read the calendars if a note was written since."""
        if await self._store.noted() != self._read_by:
            await self.refresh()

    async def all_calendars(self) -> Calendars:
        """Return all calendars of the store by name, also those with holidays that are not known here.

        Only those that changed are read anew, and others have their turn after each: one may take 10 ms.
        """
        return (await self._read_calendars())[0]

    async def _read_calendars(self) -> tuple[Calendars, Mapping[str, Exception]]:
        """Read all calendars, and say why some cannot be read."""
        read: dict[str, _Read] = {}
        faults: dict[str, Exception] = {}
        for name, value in (await self._store.notes(CALENDARS)).items():
            text, before = to_json(value), self._read.get(name)
            if before is None or before.text != text:
                try:
                    before = _Read(text, calendar_from_json(value))
                except Exception as error:  # noqa: BLE001 - what is wrong with one must not take the others with it
                    faults[name] = error
                    continue
                await self._clock.sleep(0)
            read[name] = before
        self._read = read
        return {name: each.calendar for name, each in read.items()}, faults

    @property
    def sizes(self) -> Mapping[str, int]:
        """How large each calendar is that was read last, in bytes of JSON."""
        return {name: len(each.text) for name, each in self._read.items()}

    async def put_calendar(self, name: str, calendar: Calendar | None) -> bool:
        """Write a calendar, or with `None` delete it; answer whether there was one before."""
        was_there = await self._store.note(CALENDARS, name, calendar and calendar_to_json(calendar))
        await self.refresh()  # this process goes by its own writes at once
        return was_there

    async def stored_calendar(self, name: str) -> Any:
        """Return a calendar as the store has it, also one that cannot be read here; `None` if there is none."""
        return (await self._store.notes(CALENDARS)).get(name)

    async def swap_calendar(self, name: str, before: Any, calendar: Calendar | None) -> bool:
        """Write a calendar, or with `None` delete it, if what is stored is still `before`; answer whether it was."""
        done = await self._store.swap_note(CALENDARS, name, before, calendar and calendar_to_json(calendar))
        await self.refresh()
        return done

    async def _read_pauses(self, kind: str) -> dict[str, Pause]:
        """Read pauses by the names of their notes, the oldest first; a note that cannot be read is none."""
        read: dict[str, Pause] = {}
        for name, value in sorted((await self._store.notes(kind)).items()):
            with suppress(ValueError, TypeError, LookupError, AttributeError):
                read[name] = pause_from_json(value)
        return read

    async def put_pause(self, pause: Pause) -> None:
        """Write a pause; it takes the place of those that its scope has."""
        before = await self._read_pauses(PAUSES)
        name = f"{format_time(pause.hold.at)} {self._clock.new_id()}"
        detail = {"reason": pause.hold.reason, "until": pause.until and format_time(pause.until)}
        entry = Entry(EventKind.GROUP_PAUSED, pause.scope, detail=detail)
        await self._store.note(PAUSES, name, pause_to_json(pause), entry)
        await self._end_pauses(before, pause.scope, pause.hold.at, None, is_replaced=True)
        await self.refresh()

    async def end_pauses(self, scope: Scope, at: datetime, by: str | None = None, *, over: bool = False) -> bool:
        """Write that the pauses of a scope ended then, with `over` only those whose `until` has come by then.

        Answer whether there were any.
        """
        there = {
            name: pause
            for name, pause in (await self._read_pauses(PAUSES)).items()
            if not over or (pause.until is not None and pause.until <= at)
        }
        ended = await self._end_pauses(there, scope, at, by)
        await self.refresh()
        return ended

    async def _end_pauses(
        self, pauses: Mapping[str, Pause], scope: Scope, at: datetime, by: str | None, *, is_replaced: bool = False
    ) -> bool:
        there = {name: pause for name, pause in pauses.items() if pause.scope == scope}
        for name, pause in there.items():
            await self._store.note(PAST_PAUSES, name, pause_to_json(pause._replace(ended_at=at, ended_by=by)))
            is_last = name == max(there) and not is_replaced
            await self._store.note(PAUSES, name, None, Entry(EventKind.GROUP_RESUMED, scope) if is_last else None)
        if there:
            past = await self._store.notes(PAST_PAUSES)
            for name in sorted(past)[:-MOST_PAST_PAUSES]:
                await self._store.note(PAST_PAUSES, name, None)
        return bool(there)

    async def past_pauses(self) -> list[Pause]:
        """Return the last pauses that are over, the latest first."""
        return list((await self._read_pauses(PAST_PAUSES)).values())[::-1]

    async def _read_limits(self) -> dict[Scope, Limits]:
        """Read all limits; a note that cannot be read is none."""
        self._limits_as_read = await self._store.notes(LIMITS)
        read: dict[Scope, Limits] = {}
        for name, value in self._limits_as_read.items():
            with suppress(ValueError):
                read[Scope.named(name)] = limits_from_json(value)
        return read

    async def put_limits(self, scope: Scope, limits: Limits | None) -> bool:
        """Write the limits of a group or a product if they are still as they were read last; answer whether they are.

        `None` is no note: then those hold that are declared elsewhere.
        """
        name, value = str(scope), None if limits is None else limits_to_json(limits)
        entry = Entry(EventKind.GROUP_LIMITS, scope)
        done = await self._store.swap_note(LIMITS, name, self._limits_as_read.get(name), value, entry)
        await self.refresh()
        return done

    async def put_busy(self, product: str, *, is_busy: bool) -> None:
        """Write whether jobs of a product are claimed by what is known of busy services."""
        await self._store.note(BUSY, product, {} if is_busy else None)
        await self.refresh()

    async def put_drained(self, node: str, *, is_drained: bool, there: Collection[str]) -> None:
        """Write whether a node is to begin no more jobs; nodes that are not `there` are forgotten."""
        for gone in self.drained - frozenset(there):
            await self._store.note(DRAINED, gone, None)
        kind = EventKind.NODE_DRAINED if is_drained else EventKind.NODE_RESUMED
        await self._store.note(DRAINED, node, {} if is_drained else None, Entry(kind, node=node))
        await self.refresh()

    async def schemas(self) -> dict[JobKey, Mapping[str, Any]]:
        """Return what requests look like, as published last, by job group; a note that cannot be read is none."""
        noted = await self._store.notes(SCHEMAS)
        return {
            JobKey(*name.split("/")): schema
            for name, schema in noted.items()
            if name.count("/") == 1 and isinstance(schema, dict)
        }

    async def put_schema(self, key: JobKey, schema: Mapping[str, Any]) -> None:
        """Write what requests of a job group look like."""
        await self._store.note(SCHEMAS, f"{key.product}/{key.job_group}", schema)

    async def progress(self) -> dict[str, Progress]:
        """Return how far jobs follow the calendars that they do not all follow yet, by name."""
        read: dict[str, Progress] = {}
        for name, note in (await self._store.notes(REPLANNING)).items():
            with suppress(ValueError, TypeError, LookupError, AttributeError):  # it was tampered with, and is none
                after = note["after"] and UUID(note["after"])
                read[name] = Progress(int(note["done"]), int(note["of"]), int(note["number"]), after)
        return read

    async def put_progress(self, calendar: str, progress: Progress | None) -> None:
        """Write how far jobs follow a calendar, `None` if all do."""
        value = progress and {**progress._asdict(), "after": progress.after and str(progress.after)}
        await self._store.note(REPLANNING, calendar, value)

    async def zone_rules(self) -> str | None:
        """Return the release of the rules of time zones that the jobs were planned by, if that is known."""
        noted = (await self._store.notes(ZONE_RULES)).get(ZONE_RULES)
        return noted if isinstance(noted, str) else None

    async def put_zone_rules(self, release: str) -> None:
        """Note the release of the rules of time zones that the jobs were planned by."""
        await self._store.note(ZONE_RULES, ZONE_RULES, release)

    async def feed_tag(self) -> str:
        """Return what ids of events of this store begin with: the same in all processes, whoever makes it first."""
        there = (await self._store.notes(FEED)).get(FEED)
        if not (isinstance(there, str) and _FEED_TAG.fullmatch(there)):
            await self._store.swap_note(FEED, FEED, there, new_secret()[:8])
            there = (await self._store.notes(FEED))[FEED]
        return str(there)

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
