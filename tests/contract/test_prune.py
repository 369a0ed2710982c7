from datetime import timedelta

from mainspring.clock import ManualClock
from mainspring.model import State
from mainspring.store.protocol import Store
from mainspring.trigger import MICROSECOND
from tests.contract.build import SECOND, START, a_done_job, a_job, a_run, a_running_job, history, jobs_of, with_history

RETENTION = timedelta(days=30)


async def test_job_is_forgotten_when_its_retention_is_over(store: Store, clock: ManualClock) -> None:
    """A done job stays for as long as was promised, to the microsecond."""
    job = a_done_job(updated_at=START)
    await store.add([job])

    clock.set(START + RETENTION)
    assert (0, job) == (await store.prune(RETENTION, 10), await store.get(job.id))

    clock.set(START + RETENTION + MICROSECOND)
    assert (1, None) == (await store.prune(RETENTION, 10), await store.get(job.id))


async def test_history_is_forgotten_when_its_retention_is_over(store: Store, clock: ManualClock) -> None:
    """A row stays for as long as was promised after its run ended, to the microsecond."""
    run = a_run(a_job(), started_at=START - SECOND, finished_at=START)
    await with_history(store, run)

    clock.set(START + RETENTION)
    assert (0, [run]) == (await store.prune(RETENTION, 10), await history(store))

    clock.set(START + RETENTION + MICROSECOND)
    assert (1, []) == (await store.prune(RETENTION, 10), await history(store))


async def test_pending_jobs_are_never_forgotten(store: Store, clock: ManualClock) -> None:
    """A job that still has something to do waits for ever, with whatever it ran before."""
    jobs = [a_job(), a_running_job(), a_job(state=State.PAUSED, paused=True)]
    await store.add(jobs)
    clock.advance(days=10_000)

    assert 0 == await store.prune(RETENTION, 10)

    assert {job.id: job for job in jobs} == await jobs_of(store)


async def test_prune_takes_bites(store: Store, clock: ManualClock) -> None:
    """Up to the limit of jobs go, and as many rows of history, until none is left; the answer counts both."""
    await with_history(store, *(a_run(a_job()) for _ in range(3)))
    await store.add([a_done_job() for _ in range(5)])
    clock.advance(days=31)

    bites = [await store.prune(RETENTION, 2) for _ in range(4)]

    assert [2 + 2, 2 + 1, 1, 0] == bites
