"""Time and chance: the only place that reads a clock, sleeps, or draws a random number.

Everything that needs one of them takes a `Clock`, so that a test (or a plugin author) moves time by hand with
`ManualClock`.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol
from uuid import UUID

import uuid_utils

# A machine that slept has lost its lease all the same: where there is a clock that counts its sleep, it is that one.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Alarm(Protocol):
    """What will ring."""

    def cancel(self) -> None:
        """Do not ring. Cancelling one that has rung is harmless."""


class Clock(Protocol):
    """A source of time, waiting and randomness."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back, does not follow changes of the wall clock."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` (not before)."""

    async def breathe(self) -> None:
        """Let everybody else have a turn who needs the interpreter, threads too."""

    def limit(self, seconds: float | None) -> asyncio.Timeout:
        """Return an async context manager that raises `TimeoutError` when its body takes longer than `seconds`."""

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        """Call `ring` on the running loop after `seconds` (not before), unless the alarm is cancelled."""

    def chance(self) -> float:
        """Return a random number in [0, 1)."""

    def new_id(self) -> UUID:
        """Return a new UUIDv7 (RFC 9562): ids sort by the time of their creation.

        The last 32 bits are dealt out evenly, so that what is spread by them, such as the windows of schedules, is a
        level load.
        """


_GOLDEN = 0x9E3779B1
"""2^32 over the golden ratio: its multiples, modulo 2^32, fill the range evenly, however many are taken."""
_LOW = 0xFFFFFFFF


def _dealt(number: int) -> int:
    return number * _GOLDEN & _LOW


class SystemClock:
    """The clock of this machine."""

    def __init__(self) -> None:
        self._ids = count(random.getrandbits(32))

    def now(self) -> datetime:
        """See `Clock.now`."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.clock_gettime(_STEADY)

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(seconds)

    async def breathe(self) -> None:
        """See `Clock.breathe`.

        Threads wait up to 5 ms for an interpreter that is only handed on, and a job needs a dozen hand-overs from its
        claim to its end: jobs beside a batch of 100,000 began up to 1.5 s late. So it is left alone for a moment.
        """
        await asyncio.sleep(0.001)

    def limit(self, seconds: float | None) -> asyncio.Timeout:
        """See `Clock.limit`."""
        return asyncio.timeout(seconds)

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        """See `Clock.alarm`."""
        return asyncio.get_running_loop().call_later(seconds, ring)

    def chance(self) -> float:
        """See `Clock.chance`."""
        return random.random()  # noqa: S311 - jitter, not secrets

    def new_id(self) -> UUID:
        """See `Clock.new_id`."""
        return UUID(int=uuid_utils.uuid7().int & ~_LOW | _dealt(next(self._ids)))


def new_request_id() -> str:
    """Return a UUIDv7 as text that names a request. By way of `Clock.new_id` that takes 1.6 us more."""
    return str(uuid_utils.uuid7())


def new_secret() -> str:
    """Return a text that nobody can guess."""
    return secrets.token_hex(32)


class ManualClock:
    """A clock that stands still until `advance` moves it.

    Chance is drawn from a seed, so a run can be repeated exactly.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC), *, seed: int = 0) -> None:
        self._start = start
        self._elapsed = timedelta()
        self._timers: list[tuple[timedelta, int, Callable[[], object]]] = []
        self._order = count()
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._ids = count(seed)

    def now(self) -> datetime:
        """See `Clock.now`."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._elapsed.total_seconds()

    def advance(self, **duration: float) -> None:
        """Move on by a `timedelta` given by its keywords, as in ``advance(minutes=5)``.

        Whoever waits for less is woken, in order.
        """
        self.set(self.now() + timedelta(**duration))

    def set(self, moment: datetime) -> None:
        """Move on to `moment` (aware); moving back is refused with `ValueError`."""
        target = moment - self._start
        if target < self._elapsed:
            raise ValueError(f"time does not go back: it is {self.now()}, asked for {moment}")
        while self._timers and self._timers[0][0] <= target:
            self._elapsed, _, ring = heapq.heappop(self._timers)
            ring()
        self._elapsed = target

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        woken = asyncio.Event()
        self._at(seconds, woken.set)
        await woken.wait()

    async def breathe(self) -> None:
        """See `Clock.breathe`; no time passes."""
        await asyncio.sleep(0)

    def limit(self, seconds: float | None) -> asyncio.Timeout:
        """See `Clock.limit`."""
        if seconds is None or seconds <= 0:
            return asyncio.timeout(seconds)
        timeout = asyncio.timeout(None)
        loop = asyncio.get_running_loop()
        self._at(seconds, lambda: _expire(timeout, loop))
        return timeout

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        """See `Clock.alarm`."""
        alarm = _Alarm(ring)
        self._at(seconds, alarm.ring)
        return alarm

    def chance(self) -> float:
        """See `Clock.chance`."""
        return self._random.random()

    def new_id(self) -> UUID:
        """See `Clock.new_id`."""
        milliseconds = int(self.now().timestamp() * 1000)
        tail = self._random.getrandbits(74) & ~_LOW | _dealt(next(self._ids))
        return UUID(int=milliseconds << 80 | 0x7 << 76 | (tail >> 62) << 64 | 0b10 << 62 | tail & (1 << 62) - 1)

    def _at(self, seconds: float, ring: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        when = self._elapsed + timedelta(seconds=seconds)
        if seconds <= 0:
            ring()
        else:
            heapq.heappush(self._timers, (when, next(self._order), lambda: loop.call_soon_threadsafe(ring)))


class _Alarm:
    """An alarm of a `ManualClock`."""

    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring: Callable[[], object] | None = ring

    def ring(self) -> None:
        """Ring, unless it was cancelled."""
        if self._ring is not None:
            self._ring()

    def cancel(self) -> None:
        """See `Alarm.cancel`."""
        self._ring = None


def _expire(timeout: asyncio.Timeout, loop: asyncio.AbstractEventLoop) -> None:
    try:
        timeout.reschedule(loop.time())
    except RuntimeError:
        return  # its body has ended: there is nothing left to limit


async def wait(clock: Clock, event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for `event`, at most `seconds` (`None`: for ever). Answer whether it was set."""
    try:
        async with clock.limit(seconds):
            return await event.wait()
    except TimeoutError:
        return False
