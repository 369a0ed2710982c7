"""What people stop, cancel and have run at once, on a node."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from mainspring.job import JobPaused, Outcome, RunFinished, RunStarted, Scope, ScopePaused, State
from mainspring.schedule import format_time
from tests.node.conftest import KEY, World

SCOPES = [Scope(), Scope("vps4"), Scope("vps4", "backups")]


@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_nothing_of_what_is_paused_begins(world: World, scope: Scope) -> None:
    """What was paused and passed goes by the misfire policy when it goes on: here one run stands for all."""
    async with world.node():
        job = await world.create(schedule={"every": "PT10S", "misfire": "fireNow"})
        await world.happened(RunFinished)
        await world.service.control.pause(scope, {"reason": "it burns"})
        began = len(world.script.contexts)
        once = await world.create()
        await world.pass_time(60)
        assert began == len(world.script.contexts)
        assert State.SCHEDULED == (await world.job(once)).state
        await world.service.control.resume(scope)
        await world.happened(RunFinished, began + 2)
    runs = await world.runs(job)
    last = max(run.last_fire_time or run.fire_time for run in runs)
    assert sum(run.occurrences for run in runs) == 1 + (last - runs[0].fire_time) // timedelta(seconds=10)
    assert [Outcome.SUCCEEDED] == [run.outcome for run in await world.runs(once)]


@pytest.mark.parametrize("scope", [Scope("vps4", "others"), Scope("other"), Scope("other", "backups")], ids=str)
async def test_other_pauses_hold_nothing_up(world: World, scope: Scope) -> None:
    """They are notes like those that do."""
    async with world.node():
        pause = await world.service.control.pause(Scope(), {})
        assert pause.pauses
        await world.service.control.resume(Scope())
        world.events.announce(ScopePaused(pause.pauses[0]._replace(scope=scope)))
        await world.notes.put_pause(pause.pauses[0]._replace(scope=scope))
        await world.create()
        await world.happened(RunFinished)


@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_a_pause_ends_when_its_time_has_come(world: World, scope: Scope) -> None:
    """Not before; history has it."""
    until = world.clock.now() + timedelta(seconds=30)
    async with world.node():
        await world.service.control.pause(scope, {"until": format_time(until)})
        await world.create()
        await world.happened(RunFinished)
        assert until <= world.clock.now() <= until + timedelta(seconds=2)
    standing = await world.service.control.standing(scope)
    assert ((), [until]) == (standing.pauses, [pause.until for pause in standing.past])
    assert standing.past[0].ended_at is not None


async def test_a_pause_above_holds_when_one_below_is_over(world: World) -> None:
    """The levels are independent."""
    async with world.node():
        for scope in SCOPES:
            await world.service.control.pause(scope, {})
        job = await world.create()
        for scope in SCOPES[::-1]:
            await world.pass_time(5)
            assert [] == await world.runs(job)
            await world.service.control.resume(scope)
        await world.happened(RunFinished)


async def test_a_paused_job_goes_on_when_its_time_has_come(world: World) -> None:
    """By itself; the store's time says when."""
    until = world.clock.now() + timedelta(seconds=30)
    async with world.node():
        job = await world.create(after=10)
        await world.service.control.pause_job(KEY, job.id, {"reason": "not yet", "until": format_time(until)})
        await world.happened(RunStarted)
        assert until <= world.clock.now() <= until + timedelta(seconds=2)
        await world.happened(RunFinished)


async def test_a_series_that_gives_up_too_often_is_paused(world: World) -> None:
    """And an event says so, once."""
    world.script.failures = 9
    async with world.node():
        job = await world.create(schedule={"every": "PT10S"}, options={"maxAttempts": 1, "pauseAfter": 2})
        await world.happened(JobPaused)
        await world.pass_time(60)
        assert [2, 1] == [len(world.script.contexts), sum(isinstance(event, JobPaused) for event in world.seen)]
        paused = await world.job(job)
        assert (State.PAUSED, "it gave up on 2 occurrences in a row") == (
            paused.state,
            paused.hold and paused.hold.reason,
        )
        world.script.failures = 0
        await world.service.control.resume_job(KEY, job.id)
        await world.happened(RunFinished, 4)
        assert State.SCHEDULED == (await world.job(job)).state


@pytest.mark.parametrize("schedule", [None, {"every": "PT1H"}])
async def test_a_run_that_is_cancelled_ends_within_a_second(world: World, schedule: dict[str, str] | None) -> None:
    """It is told to stop; a series goes on with its next fire time."""
    world.script.hold = asyncio.Event()
    async with world.node():
        more: dict[str, Any] = {"schedule": schedule} if schedule else {}
        job = await world.create(**more)
        await world.until(lambda: world.script.at_once == 1)
        asked = world.clock.now()
        await world.service.control.cancel_job(KEY, job.id)
        await world.happened(RunFinished)
        assert world.clock.now() - asked <= timedelta(seconds=1)
    [run] = await world.runs(job)
    assert (Outcome.CANCELLED, "cancelled on request") == (run.outcome, run.reason)
    assert world.script.contexts[0].stopping.is_set()
    assert (State.SCHEDULED if schedule else State.DONE) is (await world.job(job)).state


async def test_a_cancelled_run_of_a_dead_node_is_not_tried_again(world: World) -> None:
    """Whoever finds it lost knows."""
    world.script.hold = asyncio.Event()
    async with world.node():
        job = await world.create()
        await world.until(lambda: world.script.at_once == 1)
        world.store.failing["beat"] = 10**6
        await world.service.control.cancel_job(KEY, job.id)
        node = (await world.store.nodes())[0]
        assert await world.store.bury(node)
        world.store.failing.clear()
        await world.until(lambda: any(isinstance(event, RunFinished) for event in world.seen))
    assert [Outcome.CANCELLED] == [run.outcome for run in await world.runs(job)]
    assert 1 == len(world.script.contexts)


async def test_a_fired_job_runs_at_once(world: World) -> None:
    """One without a schedule becomes due, one with a schedule gets a run beside it; also if they are paused."""
    async with world.node():
        once, series = await world.create(after=900), await world.create(after=900, schedule={"every": "PT1H"})
        for job in (once, series):
            await world.service.control.pause_job(KEY, job.id)
            await world.service.control.fire_job(KEY, job.id)
        await world.happened(RunFinished, 2)
        assert [State.DONE, State.PAUSED] == [(await world.job(job)).state for job in (once, series)]
        assert [1, 1] == [len(await world.runs(job)) for job in (once, series)]
        assert series.fire_time == (await world.job(series)).fire_time


async def test_what_expired_is_skipped(world: World) -> None:
    """It was paused for longer than it may wait."""
    async with world.node():
        job = await world.create(options={"expiresAfter": "PT5S"})
        kept = await world.create(after=1, options={"expiresAfter": "PT5M", "paused": True})
        await world.happened(RunFinished)
        late = await world.create(after=1, options={"expiresAfter": "PT5S", "paused": True})
        await world.pass_time(10)
        for each in (kept, late):
            await world.service.control.resume_job(KEY, each.id)
        await world.happened(RunFinished, 3)
    outcomes = [(await world.runs(each))[0].outcome for each in (job, kept, late)]
    assert [Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.SKIPPED] == outcomes
    assert ((await world.runs(late))[0].reason or "").startswith("expired")


async def test_the_first_begin_first(world: World) -> None:
    """One slot, and jobs that wait for it."""
    world.script.hold = asyncio.Event()
    async with world.node(slots=1):
        await world.create()
        await world.until(lambda: world.script.at_once == 1)
        priorities = [5, 0, 9, 7, 5]
        jobs = {(await world.create(options={"priority": each})).id: each for each in priorities}
        await world.pass_time(1)
        world.script.hold.set()
        await world.happened(RunFinished, 6)
    began = [jobs[context.job_id] for context in world.script.contexts[1:]]
    assert sorted(priorities, reverse=True) == began
