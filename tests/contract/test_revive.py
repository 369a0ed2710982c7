import asyncio
from dataclasses import replace

from mainspring.clock import ManualClock
from mainspring.job import Outcome, lifecycle
from mainspring.store import NodeBeat, Store
from tests.contract.build import ALL, BACKUPS, DONE, NODE, SECOND, START, a_done_job, a_job, claim, edited, history, put

LATER = START + SECOND


async def test_dead_job_comes_back(store: Store) -> None:
    """It is scheduled as the retry wants it, is no longer among the done, and keeps its history."""
    job = a_done_job(outcome=Outcome.FAILED)
    await put(store, job)
    back = lifecycle.retry(job, now=LATER)

    assert await store.revive(back)

    assert back == await store.get(job.id)
    assert [] == await store.page(BACKUPS, DONE, after=None, limit=ALL)
    assert [job.last_run] == await history(store)


async def test_job_that_came_back_can_end_again(store: Store) -> None:
    """What is read after that is how it ended last."""
    job = a_done_job(outcome=Outcome.FAILED)
    await put(store, job)
    await store.revive(lifecycle.retry(job, now=START))
    again = a_done_job(id=job.id, version=9)
    await store.delete((await store.get(job.id)) or job, None)
    await put(store, again)

    assert again == await store.get(job.id)
    assert [again] == await store.page(BACKUPS, replace(DONE), after=None, limit=ALL)


async def test_job_comes_back_with_rows_of_what_it_left_out(store: Store) -> None:
    """They are history from then on, all or none."""
    job = a_done_job(outcome=Outcome.FAILED)
    await put(store, job)
    assert job.last_run is not None
    left_out = job.last_run._replace(outcome=Outcome.SKIPPED, attempt=0)

    assert [True, False] == [await store.revive(lifecycle.retry(job, now=LATER), [left_out]) for _ in range(2)]

    assert [Outcome.FAILED, Outcome.SKIPPED] == sorted(run.outcome for run in await history(store))


async def test_job_that_came_back_is_claimed(store: Store, clock: ManualClock) -> None:
    """It is due at once."""
    job = a_done_job(outcome=Outcome.FAILED)
    await put(store, job)
    await store.join(NodeBeat(NODE))

    await store.revive(lifecycle.retry(job, now=clock.now()))

    assert [job.id] == [one.job.id for one in await claim(store)]


async def test_revival_of_what_was_not_the_latest_is_refused(store: Store) -> None:
    """A done job that was brought back, or deleted, since it was read stays as it is."""
    job = a_done_job(outcome=Outcome.FAILED)
    await put(store, job)
    back = lifecycle.retry(job, now=LATER)

    answers = await asyncio.gather(*(store.revive(back) for _ in range(5)))

    assert 1 == answers.count(True)
    assert not await store.revive(edited(back))
    assert back == await store.get(job.id)


async def test_revival_of_a_job_that_is_not_done_is_refused(store: Store) -> None:
    """It is edited, not brought back."""
    job = a_job()
    await store.add([job])

    assert not await store.revive(edited(job))

    assert job == await store.get(job.id)


async def test_done_job_is_deleted_and_its_history_stays(store: Store) -> None:
    """What the job was is gone, the rows of its runs are not; who deletes second is told so."""
    job = a_done_job()
    await put(store, job)

    assert [True, False] == [await store.delete(job, None), await store.delete(job, None)]

    assert await store.get(job.id) is None
    assert [job.last_run] == await history(store)
