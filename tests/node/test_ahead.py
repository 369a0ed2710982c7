"""Jobs are claimed a little ahead: of their due time, and of free slots. Each begins at its time or is handed back."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from mainspring.execution import AHEAD_SECONDS
from mainspring.job import Job, NodeBuried, Outcome, RunFinished, RunRefused, State, TurnFailed
from tests.node.conftest import KEY, World

STEP = 0.001


async def state_of(world: World, job: Job) -> tuple[State, int]:
    """Return where a job stands, and which attempt it is at."""
    found = await world.job(job)
    return found.state, found.attempt


async def claimed(world: World, job: Job) -> None:
    """Let time pass until a node has claimed a job."""

    async def is_claimed() -> bool:
        return State.RUNNING is (await state_of(world, job))[0]

    await world.until(is_claimed, step=STEP)


async def test_job_is_claimed_before_it_is_due_and_begins_when_it_is(world: World) -> None:
    """For everybody it runs from the claim on; its start is when it was due, to the microsecond."""
    async with world.node():
        job = await world.create(after=1)
        await claimed(world, job)
        assert world.clock.now() < job.due_at
        assert [] == world.script.contexts
        await world.until(lambda: bool(world.script.contexts), step=STEP / 10)
    [run] = await world.runs(job)
    assert (job.due_at, timedelta(), 1) == (run.started_at, run.lateness, run.attempt)
    assert (job.due_at, job.due_at) == (
        world.script.contexts[0].fire_time,
        world.script.contexts[0].scheduled_fire_time,
    )


async def test_jobs_of_one_claim_begin_each_at_its_time(world: World) -> None:
    """Though they were claimed together; what they left is written together, or at once when nothing follows."""
    async with world.node():
        jobs = [await world.create(after=1 + number / 200) for number in range(4)]
        await world.until(lambda: len(world.script.contexts) == len(jobs), step=STEP)
    runs = [(await world.runs(job))[0] for job in jobs]
    assert [job.due_at for job in jobs] == [run.started_at for run in runs]


async def test_stopping_node_hands_back_what_has_not_begun(world: World) -> None:
    """Without an attempt, and without a row of history."""
    async with world.node() as node:
        job = await world.create(after=1)
        await claimed(world, job)
        node.stop()
    assert (State.SCHEDULED, 0) == await state_of(world, job)
    assert [] == await world.runs(job)
    assert [] == world.script.contexts


async def test_job_for_which_no_slot_comes_free_is_handed_back(world: World) -> None:
    """Recent runs were short, so it was claimed ahead; the one that has the slot is not."""
    async with world.node(slots=1):
        first = await world.create()
        await world.until(lambda: bool(world.script.contexts))
        await world.pass_time(1)
        world.script.hold = asyncio.Event()
        holder, waiting = await world.create(), await world.create()
        await claimed(world, holder)
        states = [await state_of(world, job) for job in (holder, waiting)]
        await world.pass_time(3 * AHEAD_SECONDS)
        assert sorted([(State.RUNNING, 1), (State.SCHEDULED, 0)]) == sorted(
            [await state_of(world, job) for job in (holder, waiting)]
        ), states
        world.script.hold.set()
        await world.pass_time(2)
    for job in (first, holder, waiting):
        [run] = await world.runs(job)
        assert (Outcome.SUCCEEDED, 1) == (run.outcome, run.attempt)
    assert not [event for event in world.seen if isinstance(event, RunRefused)]


async def test_edit_of_a_job_that_is_handed_back_holds(world: World) -> None:
    """One that was paused between its claim and its time is paused."""
    async with world.node() as node:
        job = await world.create(after=1)
        await claimed(world, job)
        await world.service.control.pause_job(KEY, job.id)
        node.stop()
    assert (State.PAUSED, 0) == await state_of(world, job)


async def test_store_that_is_away_when_jobs_are_handed_back(world: World) -> None:
    """They are handed back when it answers again."""
    async with world.node() as node:
        job = await world.create(after=1)
        await claimed(world, job)
        world.store.failing["unclaim"] = 2
        node.stop()
        await world.pass_time(5)
    assert (State.SCHEDULED, 0) == await state_of(world, job)


async def test_node_without_a_free_slot_or_a_group_waits(world: World) -> None:
    """It asks again when there may be room, and is no error of its own."""
    world.script.hold = asyncio.Event()
    async with world.node(slots=1):
        jobs = [await world.create() for _ in range(3)]
        await world.pass_time(5)
        assert 1 == len(world.script.contexts)
        world.script.hold.set()
        await world.until(lambda: len(world.script.contexts) == len(jobs))
    assert not [event for event in world.seen if isinstance(event, TurnFailed)]


async def test_claim_of_a_former_life_begins_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer comes after the node was taken for dead and has begun a new life: others may have the job by then."""
    claim, answered = world.store.claim, asyncio.Event()

    async def slow_claim(name: str, *rest: Any) -> Any:
        claimed = await claim(name, *rest)
        if claimed.claims and not answered.is_set():
            answered.set()
            await world.store.leave(name)
            while not any(isinstance(event, RunFinished) for event in world.seen):  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
        return claimed

    monkeypatch.setattr(world.store, "claim", slow_claim)
    async with world.node():
        job = await world.create()
        await world.happened(NodeBuried)
        await world.happened(RunFinished, 2)
    assert [Outcome.LOST, Outcome.SUCCEEDED] == [run.outcome for run in await world.runs(job)]
    assert 1 == len(world.script.contexts)
