"""Quotas of job groups and products: how many jobs may be there, be created in a minute, and how large they may be.

Whoever is about to write new jobs takes them from the quotas before, and gives them back if they were not written. How
many jobs are there, and how large they are, is read from the store now and then; in between a process counts what it
creates itself. So it is exact alone, and several together exceed such a quota by what they create between two readings.
How many are created in a minute is counted by the store, so that is exact for all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from math import inf
from typing import Any, NamedTuple

from pydantic_core import to_json

from mainspring.clock import Clock
from mainspring.errors import OverQuota, QuotaExceededError, StoreUnavailableError
from mainspring.job import PENDING, Job, JobKey, Quota, Scope, Spending, quotas_of
from mainspring.plugins import Registry
from mainspring.store import Notes, Store

FRESH_SECONDS = 1.0
"""How old what was read may be where that lets jobs be created."""
REFUSING_SECONDS = 0.05
"""How old it may be where jobs are refused by it, if it costs little to read."""
RESTS = 20
"""How many times as long as a reading took it is until the next one, where all jobs are read."""
PATIENCE_SECONDS = 1.0
"""How long a create that may have to be refused waits for others, of which it is not known if they were counted."""
ROOM_AGAIN = timedelta(seconds=5)
"""When to come again where jobs have to end first: nobody knows how long that takes."""
TURN = 64
"""After so many bodies that are measured everybody else has a turn."""


class Kept(NamedTuple):
    """A quota that the creates of a job group keep to, and the group or product that has it."""

    scope: Scope
    quota: Quota


class Size(NamedTuple):
    """How many jobs are to be created, and how many bytes their requests have, if a quota asks for that."""

    jobs: int
    bytes: int = 0


class Quotas:
    """Counts, for one process, what is created by quotas. All on one event loop."""

    def __init__(self, store: Store, notes: Notes, registry: Registry, clock: Clock) -> None:
        self._store = store
        self._notes = notes
        self._registry = registry
        self._clock = clock
        self._found_by: object = None
        self._found: dict[JobKey, tuple[Kept, ...]] = {}
        self._pending = _Gauge(self._read_pending, clock, refusing=REFUSING_SECONDS)
        self._bytes: dict[Scope, _Gauge] = {}

    def of(self, key: JobKey) -> tuple[Kept, ...]:
        """Return the quotas of a job group that is bound here, by the notes as they were read last."""
        if self._found_by is not self._notes.limits:
            self._found_by = self._notes.limits
            self._found.clear()
        found = self._found.get(key)
        if found is None:
            quotas = quotas_of(key, self._notes.limits, self._registry.limits)
            found = self._found[key] = tuple(Kept(*each) for each in quotas)
        return found

    async def current(self, key: JobKey) -> tuple[Kept, ...]:
        """Return the same by notes that are at most a beat old."""
        await self._notes.be_current()
        return self.of(key)

    async def measured(
        self, kept: Sequence[Kept], bodies: Collection[Mapping[str, Any]], but: Collection[int] = ()
    ) -> Size:
        """Return the size of what bodies are to create, without those of these numbers."""
        size = 0
        if any(quota.bytes is not None for _, quota in kept):
            for number, body in enumerate(bodies, 1):
                size += 0 if number - 1 in but else len(to_json(body))
                if number % TURN == 0:
                    await self._clock.breathe()
        return Size(len(bodies) - len(but), size)

    @asynccontextmanager
    async def taken(self, key: JobKey, kept: Sequence[Kept], size: Size) -> AsyncIterator[None]:
        """Take jobs of a group from quotas while they are written, and give them back if they were not.

        Raises `QuotaExceededError` with a problem for each quota that they exceed: those of jobs that are there, or,
        if these have room, those of creates a minute.
        """
        taken: list[_Taken] = []
        spent: list[tuple[Scope, Spending]] = []
        is_writing = False
        try:
            over = await self._take(key, kept, size, taken) or await self._spend(kept, size.jobs, spent)
            _refuse(over)
            is_writing = True
            yield
        except BaseException as error:
            # Of a write whose answer is not known the next reading tells.
            if not is_writing or not isinstance(error, StoreUnavailableError | asyncio.CancelledError):
                for each in taken:
                    each.give_back()
                await self._give_back(spent, size.jobs)
            raise
        finally:
            for each in taken:
                each.end()

    async def exceeded(self, job: Job) -> list[OverQuota]:
        """Return the quotas that a job would exceed if it were created; nothing is taken."""
        kept = await self.current(job.key)
        size = await self.measured(kept, [job.request])
        over = [each for gauge, wanted in self._gauges(kept, size) for each in await gauge.over(wanted)]
        if spending := list(_spending(kept)):
            now, moments = await self._store.now(), await self._store.rates(job.key.product)
            for scope, each in spending:
                wait = max(moments.get(each.name(scope), now), now) - now + each.cost(size.jobs) - each.most
                if wait > timedelta():
                    over.append(_over_minute(scope, each, size.jobs, wait))
        return over

    # --- jobs that are there

    async def _take(self, key: JobKey, kept: Sequence[Kept], size: Size, taken: list[_Taken]) -> list[OverQuota]:
        """Take jobs from the quotas of what is there, and return those that they exceed, from which none are taken."""
        all_over: list[OverQuota] = []
        for gauge, wanted in self._gauges(kept, size):
            over = await gauge.over(wanted)
            if not over:  # and nobody comes between
                taken.append(gauge.take(wanted[0].asked, (Scope(key.product), Scope(*key))))
            all_over += over
        return all_over

    def _gauges(self, kept: Sequence[Kept], size: Size) -> Iterator[tuple[_Gauge, list[_Wanted]]]:
        """Yield what tells how much is there, each with what is wanted of it."""
        pending = [_Wanted(scope, size.jobs, most) for scope, quota in kept if (most := quota.pending) is not None]
        if pending:
            yield self._pending, pending
        for scope, quota in kept:
            if quota.bytes is not None:
                if scope not in self._bytes:
                    self._bytes[scope] = _Gauge(partial(self._read_bytes, scope), self._clock, is_bytes=True)
                yield self._bytes[scope], [_Wanted(scope, size.bytes, quota.bytes)]

    async def _read_pending(self) -> Counter[Scope]:
        pending: Counter[Scope] = Counter()
        for key, counts in (await self._store.counts()).items():
            jobs = sum(counts.states.get(state, 0) for state in PENDING)
            pending[Scope(*key)] += jobs
            pending[Scope(key.product)] += jobs
        return pending

    async def _read_bytes(self, scope: Scope) -> Counter[Scope]:
        return Counter({scope: await self._store.request_bytes(scope)})

    # --- creates a minute

    async def _spend(self, kept: Sequence[Kept], jobs: int, spent: list[tuple[Scope, Spending]]) -> list[OverQuota]:
        """Take creates from the quotas of a minute, and return those that they exceed, from which none are taken."""
        over: list[OverQuota] = []
        for scope, each in _spending(kept):
            wait = await self._store.spend(scope.product, each.name(scope), each.cost(jobs), each.most)
            if wait is None:
                spent.append((scope, each))
            else:
                over.append(_over_minute(scope, each, jobs, wait))
        return over

    async def _give_back(self, spent: Sequence[tuple[Scope, Spending]], jobs: int) -> None:
        for scope, each in spent:
            with suppress(StoreUnavailableError):  # it counts then, for a minute at most
                await self._store.spend(scope.product, each.name(scope), -each.cost(jobs), each.most)


def _spending(kept: Sequence[Kept]) -> Iterator[tuple[Scope, Spending]]:
    for scope, quota in kept:
        if quota.creates_per_minute is not None:
            yield scope, Spending(quota.creates_per_minute)


# --- how much is there ------------------------------------------------------------------------------------------------


class _Wanted(NamedTuple):
    """So much more is asked for, of a group or product that may have so much."""

    scope: Scope
    asked: int
    most: int


class _Taken:
    """What was taken from a gauge and is about to be written, and where it counts."""

    def __init__(self, gauge: _Gauge, amount: int, scopes: Sequence[Scope]) -> None:
        self._gauge = gauge
        self.amount = amount
        self.scopes = scopes
        self.counter: Counter[Scope] = Counter()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def count_in(self, counter: Counter[Scope], sign: int = 1) -> None:
        """Count, or with a sign of -1 do not count any more, in a counter."""
        self.counter = counter
        for scope in self.scopes:
            counter[scope] += sign * self.amount

    def give_back(self) -> None:
        """Say that it was not written."""
        self._gauge.forget(self)

    def end(self) -> None:
        """Say that the write is over, or that its end is not known: the next reading that begins tells."""
        self._gauge.writing.discard(self)
        if not self.over.done():
            self.over.set_result(None)


class _Gauge:
    """How much is there, by group and product: what was read last, and what was taken since.

    What was being written while it was read may be in that or not. It counts, unless that is why a create would be
    refused: then it is waited for, and read again. With `is_bytes` it is read seldom, because that reads all jobs.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Counter[Scope]]],
        clock: Clock,
        *,
        refusing: float = inf,
        is_bytes: bool = False,
    ) -> None:
        self._read = read
        self._clock = clock
        self._refusing = refusing
        self._is_bytes = is_bytes
        self._turn = asyncio.Lock()
        self._rest = FRESH_SECONDS
        self._read_at = -inf
        self._begun, self._known = 0, 0
        """How many readings have begun, and which one the figures are of; 0 is none."""
        self._there: Counter[Scope] = Counter()
        self._since: Counter[Scope] = Counter()
        self._perhaps: Counter[Scope] = Counter()
        self.writing: set[_Taken] = set()
        self._during: set[_Taken] = set()
        """What was being written at some time of the reading that is under way, or of the last."""

    def take(self, amount: int, scopes: Sequence[Scope]) -> _Taken:
        """Count something that is about to be written."""
        taken = _Taken(self, amount, scopes)
        taken.count_in(self._since)
        self.writing.add(taken)
        if self._begun != self._known:
            self._during.add(taken)
        return taken

    def forget(self, taken: _Taken) -> None:
        """Do not count any more what was taken."""
        taken.count_in(taken.counter, -1)
        self._during.discard(taken)

    async def over(self, wanted: Sequence[_Wanted]) -> list[OverQuota]:
        """Return where there would be more than there may be, by what is known when this returns."""
        if self._age > self._rest and not (self._known and self._turn.locked() and not self._exceeded(wanted)):
            await self._look(lambda: self._age <= self._rest)  # else who only has to hear the same does not wait for it
        over = self._exceeded(wanted)
        if over and self._age > self._refusing:
            await self._look(lambda: self._age <= self._refusing)
            over = self._exceeded(wanted)
        if over and not self._is_bytes and not self._exceeded(wanted, surely=True):
            await self._written()
            begun = self._begun
            await self._look(lambda: self._known > begun)
            over = self._exceeded(wanted)
        return [self._told(each) for each in over]

    @property
    def _age(self) -> float:
        return self._clock.monotonic() - self._read_at

    def _used(self, scope: Scope, *, surely: bool = False) -> int:
        return self._there[scope] + self._since[scope] + (0 if surely else self._perhaps[scope])

    def _exceeded(self, wanted: Sequence[_Wanted], *, surely: bool = False) -> list[_Wanted]:
        return [each for each in wanted if self._used(each.scope, surely=surely) + each.asked > each.most]

    async def _look(self, is_enough: Callable[[], bool]) -> None:
        """Read anew, unless somebody else has done so meanwhile and that is enough."""
        async with self._turn:
            if is_enough():
                return
            self._begun += 1
            self._during, before = {*self.writing}, self._during
            begun = self._clock.monotonic()
            try:
                there = await self._read()
            except BaseException:
                self._begun, self._during = self._known, before
                raise
            self._there, self._known, self._read_at = there, self._begun, begun
            if self._is_bytes:
                self._rest = max(FRESH_SECONDS, RESTS * (self._clock.monotonic() - begun))
            self._since, self._perhaps = Counter(), Counter()
            for taken in self._during:
                taken.count_in(self._perhaps)

    async def _written(self) -> None:
        """Wait until all is written of which it is not known whether it is in what was read."""
        if writing := [taken.over for taken in self._during if not taken.over.done()]:
            with suppress(TimeoutError):
                async with self._clock.limit(PATIENCE_SECONDS):
                    await asyncio.wait(writing)

    def _told(self, wanted: _Wanted) -> OverQuota:
        scope, asked, most = wanted
        used = self._used(scope)
        if self._is_bytes:
            detail = f"{asked} more bytes and the {used} of pending requests exceed the quota of {most} of {scope}"
            wait = max(ROOM_AGAIN, timedelta(seconds=self._rest - self._age))
            return _over("bytes", wanted, used, detail, wait)
        detail = f"{asked} more jobs and the {used} that are pending exceed the quota of {most} of {scope}"
        return _over("pending", wanted, used, detail, ROOM_AGAIN)


def _over_minute(scope: Scope, spending: Spending, jobs: int, wait: timedelta) -> OverQuota:
    used = spending.used(wait - spending.cost(jobs) + spending.most)
    most = spending.number
    detail = f"{jobs} more jobs and the {used} of the last minute exceed the quota of {most} a minute of {scope}"
    return _over("createsPerMinute", _Wanted(scope, jobs, most), used, detail, wait)


def _over(name: str, wanted: _Wanted, used: int, detail: str, wait: timedelta) -> OverQuota:
    scope, asked, most = wanted
    never = asked > most
    if never:
        detail += "; so many at once never fit"
    code, wait_or_never = QuotaExceededError.code, None if never else wait
    return OverQuota(
        "", code, detail, scope=str(scope), name=name, used=used, asked=asked, quota=most, wait=wait_or_never
    )


def _refuse(over: Sequence[OverQuota]) -> None:
    if over:
        raise QuotaExceededError(f"nothing was created: {over[0].detail}", problems=over)
