import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122

import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.clock import Clock, ManualClock, SystemClock, wait

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that only the test moves."""
    return ManualClock(START)


async def let_others_go_on() -> None:
    """Give every task that can go on the chance to."""
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


# --- moved by hand


def test_manual_clock_stands_still(clock: ManualClock) -> None:
    """Time passes only by `advance` and `set`, and by as much as they say, on both scales."""
    assert (START, 0.0) == (clock.now(), clock.monotonic())
    clock.advance(hours=1, microseconds=1)
    assert (START + HOUR + timedelta(microseconds=1), 3600.000001) == (clock.now(), clock.monotonic())
    clock.set((START + 2 * HOUR).astimezone(timezone(HOUR)))
    assert (START + 2 * HOUR, 7200.0) == (clock.now(), clock.monotonic())
    assert clock.now().tzinfo is UTC


def test_manual_clock_may_be_set_to_where_it_is(clock: ManualClock) -> None:
    """No time at all may pass."""
    clock.set(clock.now())
    clock.advance(seconds=0)
    assert START == clock.now()


@pytest.mark.parametrize(
    "back", [lambda clock: clock.advance(seconds=-1), lambda clock: clock.set(START)], ids=["advance", "set"]
)
def test_manual_clock_does_not_go_back(clock: ManualClock, back: Callable[[ManualClock], None]) -> None:
    """Time that goes back is a mistake of the test, and nothing happens."""
    clock.advance(hours=1)
    with pytest.raises(ValueError, match="time does not go back"):
        back(clock)
    assert START + HOUR == clock.now()


async def test_sleepers_wake_in_their_order(clock: ManualClock) -> None:
    """Who waits for less wakes first, who waits for the same in the order of going to sleep, and nobody early."""
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    async with asyncio.TaskGroup() as tasks:
        for name, seconds in [("late", 30.0), ("first", 10.0), ("second", 10.0), ("early", 5.0), ("never mind", 60.0)]:
            tasks.create_task(sleeper(name, seconds))
        await let_others_go_on()
        clock.advance(seconds=4.999999)
        await let_others_go_on()
        assert [] == woken
        clock.advance(seconds=25.000001)
        await let_others_go_on()
        assert ["early", "first", "second", "late"] == woken
        clock.advance(seconds=30)
    assert "never mind" == woken[-1]


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_sleep_is_over_at_once(clock: ManualClock, seconds: float) -> None:
    """Who waits for nothing does not wait."""
    await clock.sleep(seconds)
    assert START == clock.now()


async def test_a_sleeper_that_is_cancelled_disturbs_nobody(clock: ManualClock) -> None:
    """Its time comes, and nothing happens."""
    task = asyncio.create_task(clock.sleep(10))
    await let_others_go_on()
    task.cancel()
    clock.advance(seconds=10)
    with pytest.raises(asyncio.CancelledError):
        await task


# --- limits, by either clock


async def test_limit(clock: ManualClock) -> None:
    """A body that takes longer than its limit is cut off when the limit is reached, not before."""
    begun = asyncio.Event()

    async def body() -> None:
        async with clock.limit(10):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await begun.wait()
    clock.advance(seconds=9)
    await let_others_go_on()
    assert not task.done()
    clock.advance(seconds=1)
    with pytest.raises(TimeoutError):
        await task


async def test_limit_of_a_body_that_is_over_has_no_effect(clock: ManualClock) -> None:
    """When the body ends in time, the limit's moment means nothing any more."""
    async with clock.limit(10) as limit:
        pass
    clock.advance(seconds=10)
    await let_others_go_on()
    assert not limit.expired()


@pytest.mark.parametrize("make", [ManualClock, SystemClock])
@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_at_all(make: type[Clock], seconds: float) -> None:
    """A limit of nothing cuts off the first wait."""
    with pytest.raises(TimeoutError):
        async with make().limit(seconds):
            await asyncio.Event().wait()


@pytest.mark.parametrize("make", [ManualClock, SystemClock])
async def test_no_limit(make: type[Clock]) -> None:
    """Without a limit a body may take what it takes."""
    clock = make()
    async with clock.limit(None) as limit:
        if isinstance(clock, ManualClock):
            clock.advance(days=1000)
        await let_others_go_on()
    assert limit.when() is None


# --- waiting for an event


async def test_wait_for_an_event_that_comes(clock: ManualClock) -> None:
    """Whoever waits hears of the event before the time is up."""
    event = asyncio.Event()
    task = asyncio.create_task(wait(clock, event, 10))
    await let_others_go_on()
    clock.advance(seconds=9)
    event.set()
    assert await task


async def test_wait_for_an_event_that_does_not_come(clock: ManualClock) -> None:
    """When the time is up, the answer is that the event did not come."""
    task = asyncio.create_task(wait(clock, asyncio.Event(), 10))
    await let_others_go_on()
    clock.advance(seconds=10)
    assert not await task


async def test_wait_for_ever(clock: ManualClock) -> None:
    """Without a limit only the event ends the wait."""
    event = asyncio.Event()
    task = asyncio.create_task(wait(clock, event, None))
    await let_others_go_on()
    clock.advance(days=1000)
    await let_others_go_on()
    assert not task.done()
    event.set()
    assert await task


@pytest.mark.parametrize("make", [ManualClock, SystemClock])
async def test_wait_for_no_time(make: type[Clock]) -> None:
    """Without time to wait, the answer is whether the event was there already."""
    event = asyncio.Event()
    assert not await wait(make(), event, 0)
    event.set()
    assert await wait(make(), event, 0)


# --- chance and ids


def test_manual_chance_can_be_repeated() -> None:
    """The same seed draws the same numbers and ids, another seed others."""

    def draw(seed: int) -> tuple[object, ...]:
        clock = ManualClock(seed=seed)
        return clock.chance(), clock.chance(), clock.new_id(), clock.new_id()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert 4 == len(set(draw(1)))


@pytest.mark.parametrize("make", [ManualClock, SystemClock])
def test_chance_is_a_fraction(make: type[Clock]) -> None:
    """A chance is at least 0 and below 1."""
    clock = make()
    assert all(0 <= clock.chance() < 1 for _ in range(1000))


@pytest.mark.parametrize("make", [ManualClock, SystemClock])
def test_ids_are_of_version_7(make: type[Clock]) -> None:
    """An id says so in its version and variant (RFC 9562), and no two are the same."""
    clock = make()
    ids = [clock.new_id() for _ in range(1000)]
    assert {(7, RFC_4122)} == {(id_.version, id_.variant) for id_ in ids}
    assert 1000 == len(set(ids))


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=20))
def test_ids_sort_by_their_time(pauses: list[int]) -> None:
    """An id made a millisecond later, or more, is greater."""
    clock = ManualClock(START)
    ids = []
    for pause in pauses:
        clock.advance(milliseconds=pause)
        ids.append(clock.new_id())
    assert sorted(ids) == ids


def test_an_id_tells_its_time(clock: ManualClock) -> None:
    """The first 48 bits of an id are the milliseconds since 1970."""
    clock.advance(milliseconds=1234)
    assert START + timedelta(milliseconds=1234) == datetime.fromtimestamp((clock.new_id().int >> 80) / 1000, UTC)


# --- the clock of this machine


def test_system_clock_tells_aware_time_in_utc() -> None:
    """The wall time is aware and in UTC, and the other scale never goes back."""
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    moments = [clock.monotonic() for _ in range(100)]
    assert sorted(moments) == moments


async def test_system_clock_sleeps() -> None:
    """A sleep of nothing lets the others go on, and then ends."""
    others: list[str] = []
    sleeper: Callable[[float], Awaitable[None]] = SystemClock().sleep
    asyncio.get_running_loop().call_soon(others.append, "went on")
    await sleeper(0)
    assert ["went on"] == others
