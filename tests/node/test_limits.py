"""A node under limits and rates: what it claims, when it comes again, and that it follows what is written."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from mainspring.job import Scope, State
from tests.node.conftest import KEY, World

GROUP = Scope(*KEY)


async def limit(world: World, **limits: Any) -> None:
    """Write limits as REST does."""
    await world.service.limiting.put(GROUP, limits)


async def test_no_more_run_at_once_than_the_limit(world: World) -> None:
    """As one ends the next begins, without a wait; what is written holds from the next claim on."""
    world.script.hold = asyncio.Event()
    await limit(world, concurrency=[{"limit": 2}])
    jobs = [await world.create(after=number) for number in range(5)]
    async with world.node():
        await world.pass_time(20)
        assert 2 == world.script.at_once

        await limit(world, concurrency=[{"limit": 3}])
        await world.until(lambda: world.script.at_once == 3)
        await world.pass_time(5)
        assert 3 == world.script.at_once
        world.script.hold.set()
        await world.until(lambda: len(world.script.contexts) == 5)

    assert 3 == world.script.most_at_once
    assert {State.DONE} == {(await world.job(job)).state for job in jobs}


async def test_limits_by_key_leave_room_for_others(world: World) -> None:
    """One key that is full holds back nobody else."""
    world.script.hold = asyncio.Event()
    await limit(world, concurrency=[{"limit": 1, "by": "key"}])
    for key in ("a", "a", "a", "b", None):
        await world.create(options={"concurrencyKey": key} if key else None)
    async with world.node():
        await world.until(lambda: world.script.at_once == 3)
        await world.pass_time(5)
        assert 3 == world.script.at_once
        world.script.hold.set()
        await world.until(lambda: len(world.script.contexts) == 5)


async def test_rate_spreads_starts(world: World) -> None:
    """One after the other, each on its time, however many are due."""
    await limit(world, rates=[{"limit": 60, "per": "PT1M"}])
    for _ in range(5):
        await world.create()
    async with world.node():
        await world.until(lambda: len(world.script.contexts) == 5, step=0.01)

    starts = [context.fire_time for context in world.script.contexts]
    apart = [later - earlier for earlier, later in pairwise(starts)]
    assert timedelta(seconds=0.48) < min(apart)
    assert max(apart) < timedelta(seconds=1.1)
    assert timedelta(seconds=3.4) < starts[-1] - starts[0] < timedelta(seconds=4.2)


async def test_rates_by_key_leave_room_for_others(world: World) -> None:
    """Also for those that come, or become due, while one key is held back for long; each key goes on at its time."""
    await limit(world, rates=[{"limit": 6, "per": "PT1M", "by": "key"}])
    for key in ("a", "a", "a"):
        await world.create(options={"concurrencyKey": key})
    await world.create(after=8, options={"concurrencyKey": "b"})
    async with world.node():
        await world.until(lambda: len(world.script.contexts) == 1)
        begun = world.clock.now()
        await world.pass_time(2)
        await world.create(options={"concurrencyKey": "c"})
        await world.until(lambda: len(world.script.contexts) == 5)

    starts = [(context.fire_time - begun).total_seconds() for context in world.script.contexts]
    assert [0, 2, 5, 8, 15] == pytest.approx(starts, abs=0.4)


async def test_rate_that_is_lifted_holds_nobody(world: World) -> None:
    """A node that waits for the next moment of a rate hears that it is another."""
    await limit(world, rates=[{"limit": 1, "per": "P1D"}])
    for _ in range(3):
        await world.create()
    async with world.node():
        await world.until(lambda: len(world.script.contexts) == 1)
        await world.pass_time(10)
        assert 1 == len(world.script.contexts)
        await limit(world)
        await world.until(lambda: len(world.script.contexts) == 3)


async def test_room_that_comes_during_a_claim_is_taken_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim found the limit full, and the place is free when its answer comes: nobody waits for the next look."""
    world.script.hold = asyncio.Event()
    await limit(world, concurrency=[{"limit": 1}])
    jobs = {job.id: job for job in [await world.create(), await world.create()]}
    claim_capped, answered = world.store.claim_capped, list[datetime]()

    async def slow(*given: Any) -> Any:
        capped = await claim_capped(*given)
        if capped.is_cut and world.script.hold and not world.script.hold.is_set():
            world.script.hold.set()
            begun = jobs[world.script.contexts[0].job_id]
            while (await world.job(begun)).state is not State.DONE:
                await world.clock.breathe()
            answered.append(world.clock.now())
        return capped

    async with world.node():
        await world.until(lambda: world.script.at_once == 1)
        monkeypatch.setattr(world.store, "claim_capped", slow)
        await world.until(lambda: len(world.script.contexts) == 2, step=0.01)

    assert world.script.contexts[1].fire_time - answered[0] < timedelta(seconds=0.03)


async def test_a_group_of_which_nothing_is_due_is_not_asked_for_again_and_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim by limits is a call of its own; what comes for the group, or becomes due, begins on time all the same."""
    await limit(world, concurrency=[{"limit": 2}])
    claim_capped, calls = world.store.claim_capped, list[datetime]()

    async def counted(*given: Any) -> Any:
        calls.append(world.clock.now())
        return await claim_capped(*given)

    monkeypatch.setattr(world.store, "claim_capped", counted)
    async with world.node() as node:
        await world.pass_time(1)
        calls.clear()
        for _ in range(20):
            await node._claimer.take()  # noqa: SLF001 - the turn that it would take if it were woken
        assert len(calls) <= 1

        begun = world.clock.now()
        await world.create()
        await world.until(lambda: len(world.script.contexts) == 1, step=0.01)
        assert world.script.contexts[0].fire_time - begun < timedelta(seconds=0.05)

        late = await world.create(after=0.4)
        await world.until(lambda: len(world.script.contexts) == 2, step=0.01)
        assert world.script.contexts[1].fire_time - late.due_at < timedelta(seconds=0.05)
