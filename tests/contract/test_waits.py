"""Jobs that wait for others: never claimed before, listed as scheduled, and told when these are over."""

from datetime import timedelta
from uuid import uuid4

import pytest

from mainspring.job import Job, JobFilter, Outcome, State, lifecycle
from mainspring.store import NodeBeat, Store, Waits
from tests.contract.build import ALL, BACKUPS, NODE, START, a_job, claim, edited, ended, jobs_of, running

SCHEDULED, PAUSED = JobFilter(frozenset({State.SCHEDULED})), JobFilter(frozenset({State.PAUSED}))


def after(*awaited: Job) -> Job:
    """Make a job that waits for others."""
    return a_job(waits_for=tuple(job.id for job in awaited))


async def listed(store: Store, which: JobFilter) -> set[object]:
    """Return the jobs that pass a filter."""
    return {job.id for job in await store.page(BACKUPS, which, after=None, limit=ALL)}


async def test_one_that_waits_is_scheduled_and_not_claimed(store: Store) -> None:
    """It is due, counted and listed; it only does not begin."""
    first = a_job(fire_at=START + timedelta(hours=1))
    waiting = after(first)
    await store.join(NodeBeat(NODE))
    await store.add([first, waiting])

    assert [] == await claim(store)
    assert waiting == await store.get(waiting.id)
    assert ({first.id, waiting.id}, set()) == (await listed(store, SCHEDULED), await listed(store, PAUSED))
    assert {State.SCHEDULED: 2} == {
        state: jobs for state, jobs in (await store.counts())[BACKUPS].states.items() if jobs
    }
    assert [waiting] == await store.waiting(first.id)


async def test_one_that_waits_may_be_paused(store: Store) -> None:
    """Resumed it waits as before."""
    first = a_job(fire_at=START + timedelta(hours=1))
    waiting = after(first)
    await store.add([first, waiting])
    paused = lifecycle.pause(waiting, now=START)
    assert await store.update(paused)

    assert (State.PAUSED, {waiting.id}) == (paused.state, await listed(store, PAUSED))
    assert paused == await store.get(waiting.id)
    resumed = lifecycle.resume(paused, now=START)
    assert await store.update(resumed)
    assert resumed == await store.get(waiting.id)
    assert {State.SCHEDULED: 2} == {
        state: jobs for state, jobs in (await store.counts())[BACKUPS].states.items() if jobs
    }


async def test_released_it_is_claimed(store: Store) -> None:
    """When it waits for nothing any more."""
    first, second = a_job(fire_at=START + timedelta(hours=1)), a_job(fire_at=START + timedelta(hours=1))
    waiting = after(first, second)
    await store.join(NodeBeat(NODE))
    await store.add([first, second, waiting])
    rest, _ = lifecycle.heard(waiting, first.id, succeeded=True, now=START)
    assert await store.update(rest)
    assert [] == await claim(store)
    free, _ = lifecycle.heard(rest, second.id, succeeded=True, now=START)
    assert await store.update(free)

    assert [waiting.id] == [each.job.id for each in await claim(store)]


@pytest.mark.parametrize("way", ["succeeds", "fails", "is deleted", "is cancelled"])
async def test_the_end_of_what_is_awaited_is_told_until_it_is_known(store: Store, way: str) -> None:
    """Whatever the end is: it is over when it is not there any more."""
    [first] = await running(store, a_job())
    await store.add([waiting := after(first)])
    assert ([], True) == await store.ended_waits(ALL)

    match way:
        case "succeeds":
            await store.finish([ended(first)])
        case "fails":
            await store.finish([ended(first, Outcome.CANCELLED)])
        case "is deleted":
            await store.delete(first, None)
        case _:
            await store.unclaim([first])
            back = await store.get(first.id)
            assert back is not None
            job, run = lifecycle.cancel(back, now=START)
            assert run is not None
            assert await store.end(job, run)

    assert ([first.id], True) == await store.ended_waits(ALL)
    assert [waiting] == await store.waiting(first.id)
    await store.know(first.id)
    assert Waits([], are_any=False) == await store.ended_waits(ALL)


async def test_what_is_brought_back_is_awaited_again(store: Store) -> None:
    """Who waits hears of its next end."""
    [first] = await running(store, a_job())
    await store.add([after(first)])
    await store.finish([ended(first, Outcome.CANCELLED)])
    await store.know(first.id)
    done = await store.get(first.id)
    assert done is not None
    assert await store.revive(edited(done, state=State.SCHEDULED, last_run=None))
    assert ([], True) == await store.ended_waits(ALL)

    [again] = await claim(store)
    await store.finish([ended(again.job)])

    assert ([first.id], True) == await store.ended_waits(ALL)


async def test_what_is_brought_back_may_wait(store: Store) -> None:
    """For what it was made to wait for while it was done."""
    [first] = await running(store, a_job())
    await store.add([awaited := a_job(fire_at=START + timedelta(hours=1))])
    await store.finish([ended(first, Outcome.CANCELLED)])
    done = await store.get(first.id)
    assert done is not None
    assert await store.revive(back := edited(done, state=State.SCHEDULED, last_run=None, waits_for=(awaited.id,)))

    assert [] == await claim(store)
    assert [back] == [job._replace(last_run=None) for job in await store.waiting(awaited.id)]


async def test_many_may_wait(store: Store) -> None:
    """Also those that are written slice by slice, and those that are made to wait later."""
    first = a_job(fire_at=START + timedelta(hours=1))
    later = a_job(fire_at=START + timedelta(hours=1))
    await store.add([first, later])
    await store.add([after(first) for _ in range(600)])
    assert await store.update(edited(later, waits_for=(first.id, uuid4())))
    assert 601 == len(await store.waiting(first.id))
    await store.delete(first, None)
    assert first.id in (await store.ended_waits(ALL)).over
    assert ([], True) == await store.ended_waits(0)
    await store.prune(timedelta(days=1))
    assert 601 == len(await store.waiting(first.id))


async def test_waits_of_jobs_that_are_gone_are_forgotten(store: Store) -> None:
    """They would be looked at for ever."""
    first = a_job(fire_at=START + timedelta(hours=1))
    await store.add([first, waiting := after(first)])
    await store.delete(waiting, None)
    await store.prune(timedelta(days=1))
    assert Waits([], are_any=False) == await store.ended_waits(ALL)
    assert {first.id} == (await jobs_of(store)).keys()
