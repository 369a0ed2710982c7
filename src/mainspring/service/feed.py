"""The use case of whoever follows what happens: events from a place on, one after the other, for as long as they like.

While somebody follows, one task of the process reads the store, and hands each entry to those whom it may concern. Who
is behind, at the beginning or because entries came faster than they were taken, reads the store for itself, page by
page: so nobody who is slow keeps more than a few entries in memory, or holds up another.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator
from contextlib import aclosing, suppress
from typing import Any, NamedTuple
from uuid import UUID

from mainspring.clock import Clock, wait
from mainspring.errors import EventsForgottenError, StoreUnavailableError, TooManyFollowersError
from mainspring.job import Entry, EventFilter, EventKind, Scope, Told
from mainspring.schedule import format_time
from mainspring.store import Notes, Store

POLL_SECONDS = 0.25
"""How often is looked for what others wrote, while somebody follows."""
PAUSE_SECONDS = 0.02
"""How long is waited between two reads while there is more: what comes meanwhile is read together."""
PAGE = 100
"""How many entries are read at once; one may be about a thousand jobs."""
MOST_WAITING = 200
"""How many entries may wait for a follower before it has to read them for itself."""
MOST_FOLLOWERS = 500
SEARCH_SECONDS = 10
"""For how long more than asked is searched for the first event of a page, while there is more to read."""
_ID = re.compile(r"([0-9a-f]{8})-(\d{1,18})(?:-(\d{1,9}))?", re.ASCII)


class Place(NamedTuple):
    """A place in the feed: behind the first `taken` events of an entry, or behind all of them."""

    cursor: int
    taken: int | None = None

    def id(self, tag: str) -> str:
        """Return the id of the event before it, in the store with that tag."""
        return f"{tag}-{self.cursor}" if self.taken is None else f"{tag}-{self.cursor}-{self.taken}"


class Event(NamedTuple):
    """One event: an entry, and which of its jobs it is about, if it is about any."""

    entry: Entry
    number: int = 0

    @property
    def place(self) -> Place:
        """The place behind it."""
        is_last = self.number + 1 >= len(self.entry.jobs)
        return Place(self.entry.cursor, None if is_last else self.number + 1)

    @property
    def job_id(self) -> UUID | None:
        """The job that it is about."""
        return self.entry.jobs[self.number] if self.entry.jobs else None

    @property
    def run(self) -> int | None:
        """The number of the run that it is about."""
        return self.entry.runs[self.number] if self.entry.runs else None

    def to_json(self, tag: str) -> dict[str, Any]:
        """Write it as it stands on the wire, with an id of the store with that tag."""
        entry = self.entry
        written: dict[str, Any] = {
            "id": self.place.id(tag),
            "type": entry.kind,
            "time": None if entry.at is None else format_time(entry.at),
        }
        if entry.scope is not None:
            written |= {"product": entry.scope.product or None, "jobGroup": entry.scope.job_group or None}
        if self.job_id is not None:
            written["jobId"] = str(self.job_id)
        if entry.state is not None:
            written["state"] = entry.state.value
        if self.run is not None:
            written["run"] = self.run
        if entry.outcome is not None:
            written["outcome"] = entry.outcome.value
        if entry.node is not None:
            written["node"] = entry.node
        detail = {name: value for name, value in (entry.detail or {}).items() if name != "labels"}
        return written | detail


def events_of(entries: Iterable[Entry], after: Place) -> Iterator[Event]:
    """Return the events of entries, but for those before a place, where a part of an entry was taken."""
    for entry in entries:
        taken = (after.taken or 0) if entry.cursor == after.cursor else 0
        yield from (Event(entry, number) for number in range(taken, len(entry.jobs) or 1))


async def passing(store: Store, which: EventFilter, events: Iterable[Event]) -> list[Event]:
    """Return those of the events that pass a filter; that their entries may pass it was seen before."""
    found = list(events)
    if not which.looks_at_labels:
        return found
    labels = await store.labels_of({job_id for event in found if (job_id := event.job_id) is not None})
    return [event for event in found if event.job_id and which.passes(event.job_id, _labels_of(event, labels))]


class News(NamedTuple):
    """Some events, and the place behind them, and behind what was passed over."""

    events: list[Event]
    place: Place
    is_all: bool = False
    """Whether there is nothing yet behind that place."""


class Feed:
    """The feed of one store, in one process."""

    def __init__(self, store: Store, notes: Notes, clock: Clock) -> None:
        self._store = store
        self._notes = notes
        self._clock = clock
        self._tag: str | None = None
        self._followers: set[_Follower] = set()
        self.number = 0
        """How many follow, those that are behind too."""
        self._seen = 0
        self._reading: asyncio.Task[None] | None = None
        self.ending = asyncio.Event()
        """Set when nobody may follow any longer."""

    # --- places

    async def now(self) -> Place:
        """Return the place behind all that has happened."""
        return Place((await self._store.events(None, 0)).seen)

    async def oldest(self) -> Place:
        """Return the place before all that is kept."""
        return Place((await self._store.events(None, 0)).forgotten)

    async def breathe(self) -> None:
        """Let others have their turn."""
        await self._clock.breathe()

    async def tag(self) -> str:
        """Return what the ids of events of this store begin with."""
        if self._tag is None:
            self._tag = await self._notes.feed_tag()
        return self._tag

    async def read(self, text: str) -> Place:
        """Read an id. Raises `EventsForgottenError` for one of another store, and `ValueError` for what is none."""
        if (found := _ID.fullmatch(text)) is None:
            raise ValueError("it is no id of an event")
        tag, cursor, taken = found.groups()
        if tag != await self.tag():
            raise EventsForgottenError("the id is that of an event of another store; begin without one")
        return Place(int(cursor), None if taken is None else int(taken))

    # --- following

    async def page(self, which: EventFilter, after: Place, *, limit: int, seconds: float) -> News:
        """Return the next events, up to `limit`; wait so long for the first. Raises like `follow`.

        While all that there is behind the place passes no filter, it goes on for a while; then it returns none, and
        the place from which to go on.
        """
        news = News([], after)
        until = self._clock.monotonic() + seconds
        async with aclosing(self.follow(which, after, seconds)) as many:
            async for news in many:
                left = until - self._clock.monotonic()
                if news.events or (left <= 0 and (news.is_all or left <= -SEARCH_SECONDS)):
                    break
        if news.events[limit:]:
            return News(news.events[:limit], news.events[limit - 1].place)
        return news

    async def follow(self, which: EventFilter, after: Place, seconds: float) -> AsyncGenerator[News, None]:
        """Yield events from behind a place on until `ending`; after so many seconds without one none.

        The first come at once, with or without events.

        Raises `EventsForgottenError` if some behind the place are not kept any more, `TooManyFollowersError`, and
        `StoreUnavailableError`: who comes back then, with the id of the last event, misses nothing.
        """
        if self.number >= MOST_FOLLOWERS:
            raise TooManyFollowersError(f"{MOST_FOLLOWERS} follow events here already; try another node, or later")
        if self.ending.is_set():
            raise TooManyFollowersError("this node ends; try another one")
        self.number += 1
        # An entry of which a part was taken is read once more.
        follower = _Follower(which, after.cursor - (after.taken is not None))
        until = self._clock.monotonic()
        try:
            while not self.ending.is_set():
                entries = await self._next(follower, after, until)
                events = await passing(self._store, which, events_of(entries, after))
                if events or self._clock.monotonic() >= until:
                    yield News(events, Place(follower.seen), follower in self._followers)
                    until = self._clock.monotonic() + seconds
        finally:
            self.number -= 1
            self._leave(follower)

    async def _next(self, follower: _Follower, after: Place, until: float) -> list[Entry]:
        """Return the next entries that may pass, if there are any; whoever is not behind waits for them until then."""
        if follower in self._followers:
            await wait(self._clock, follower.news, max(until - self._clock.monotonic(), 0))
            return follower.take()
        scopes = None if follower.which.scope == Scope() else (follower.which.scope,)
        page = await self._store.events(follower.seen, PAGE, scopes)
        _refuse_gap(after, follower.seen, page)
        follower.seen = page.seen
        if not page.entries:
            self._join(follower)
        return [entry for entry in page.entries if follower.which.may_pass(entry)]

    def _join(self, follower: _Follower) -> None:
        """Let a follower that is not behind hear of what comes."""
        if self._reading is None or self._reading.done():
            self._seen = follower.seen
            self._reading = asyncio.create_task(self._read_on())
        if follower.seen >= self._seen:
            self._followers.add(follower)

    def _leave(self, follower: _Follower) -> None:
        self._followers.discard(follower)
        if not self._followers and self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def _read_on(self) -> None:
        """Read what comes, for all who follow."""
        try:
            while True:
                known = frozenset(self._followers)
                scopes = {follower.which.scope for follower in known}
                pause = POLL_SECONDS
                with suppress(StoreUnavailableError):
                    page = await self._store.events(self._seen, PAGE, None if Scope() in scopes else scopes)
                    pause = PAUSE_SECONDS if page.entries else POLL_SECONDS
                    self._hand_on(page, known)
                await self._clock.sleep(pause)
        finally:
            self._let_go(tuple(self._followers))

    def _hand_on(self, page: Told, known: Collection[_Follower]) -> None:
        """Give each what may concern them; who may miss something reads for themselves what they have not heard."""
        is_gapless = page.forgotten <= self._seen <= page.seen
        self._let_go([each for each in self._followers if not (is_gapless and each in known and each.give(page))])
        self._seen = page.seen

    def _let_go(self, followers: Iterable[_Follower]) -> None:
        for follower in followers:
            self._followers.discard(follower)
            follower.news.set()

    def end(self) -> None:
        """End it for all who follow."""
        self.ending.set()
        for follower in self._followers:
            follower.news.set()


class _Follower:
    """Somebody who follows: what may concern them, and what waits for them."""

    def __init__(self, which: EventFilter, seen: int) -> None:
        self.which = which
        self.seen = seen
        """Up to which entry they know, or need not know."""
        self.news = asyncio.Event()
        self._waiting: deque[Entry] = deque()
        self._read = seen

    def give(self, page: Told) -> bool:
        """Let entries wait that may concern them; tell whether there is room."""
        for entry in page.entries:
            if entry.cursor > self.seen and self.which.may_pass(entry):
                self._waiting.append(entry)
        if len(self._waiting) > MOST_WAITING:
            self._waiting.clear()
            self._read = self.seen
            return False
        self._read = max(page.seen, self._read)
        if self._waiting:
            self.news.set()
        return True

    def take(self) -> list[Entry]:
        """Return what waits."""
        self.news.clear()
        found = [entry for entry in self._waiting if entry.cursor > self.seen]
        self._waiting.clear()
        self.seen = max(self._read, self.seen)
        return found


def _refuse_gap(after: Place, seen: int, page: Told) -> None:
    """Raise `EventsForgottenError` if there may be events behind what was seen that are not kept, or never were."""
    if seen < page.forgotten:
        raise EventsForgottenError("events behind that one are not kept any more; begin without an id")
    if page.seen < max(after.cursor, seen):
        raise EventsForgottenError("there is no such event: the job store was brought back to an earlier time")


def _labels_of(event: Event, labels: dict[UUID, set[str]]) -> Collection[str]:
    """Return the labels of the job of an event; those of one that was deleted came with it."""
    entry = event.entry
    if entry.kind == EventKind.JOB_DELETED:
        return (entry.detail or {}).get("labels") or ()
    return labels.get(event.job_id, ()) if event.job_id else ()
