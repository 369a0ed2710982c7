from datetime import UTC, datetime, timedelta

from mainspring.clock import ManualClock
from mainspring.job import State
from mainspring.schedule import MICROSECOND
from mainspring.store import Store
from tests.contract.build import (
    BACKUPS,
    SNAPSHOTS,
    START,
    a_done_job,
    a_job,
    a_run,
    a_running_job,
    history,
    jobs_of,
    put,
    with_history,
)

RETENTION = timedelta(days=30)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def prune(store: Store) -> None:
    """Forget what can be forgotten."""
    while await store.prune(RETENTION):
        pass


async def test_done_job_is_forgotten_when_the_retention_of_its_day_is_over(store: Store, clock: ManualClock) -> None:
    """It stays for as long as was promised, and goes when the whole day on which it ended is that old."""
    job = a_done_job(updated_at=NOON)
    await put(store, job)

    clock.set(START + DAY + RETENTION - MICROSECOND)
    await prune(store)
    assert job == await store.get(job.id)

    clock.set(START + DAY + RETENTION)
    await prune(store)
    assert await store.get(job.id) is None
    assert [] == await history(store)


async def test_history_is_forgotten_by_the_day(store: Store, clock: ManualClock) -> None:
    """Rows of a day go together, the next day's stay."""
    days = [
        [a_run(a_job(), finished_at=START + n * DAY + hour) for hour in (timedelta(), DAY - MICROSECOND)]
        for n in (0, 1)
    ]
    await with_history(store, *days[0], *days[1])

    clock.set(START + DAY + RETENTION)
    await prune(store)

    assert days[1][::-1] == await history(store)


async def test_what_ran_on_a_day_that_nobody_prepared_is_kept_and_forgotten_too(
    store: Store, clock: ManualClock
) -> None:
    """History far behind or ahead of the days that the store has made is history all the same."""
    runs = [a_run(a_job(), finished_at=START + n * DAY) for n in (-400, 60, 400)]
    await with_history(store, *runs)
    assert runs[::-1] == await history(store)

    clock.set(START + 60 * DAY)
    await prune(store)
    assert runs[:0:-1] == await history(store)

    clock.set(START + 500 * DAY)
    await prune(store)
    assert [] == await history(store)


async def test_pending_jobs_are_never_forgotten(store: Store, clock: ManualClock) -> None:
    """A job that still has something to do waits for ever, with the run that it had last."""
    jobs = [a_job(), a_running_job(), a_job(state=State.PAUSED, paused=True)]
    await store.add(jobs)
    clock.advance(days=3_000)

    await prune(store)

    assert {job.id: job for job in jobs} == await jobs_of(store)


async def test_prune_takes_bites(store: Store, clock: ManualClock) -> None:
    """However much there is to forget, all of it goes when it is asked for as often as the answer says."""
    await store.add([a_job()])
    await with_history(store, *(a_run(a_job()) for _ in range(30)))
    clock.advance(days=32)

    await prune(store)

    assert [] == await history(store)


async def test_history_of_a_group_is_forgotten_by_the_moment(store: Store, clock: ManualClock) -> None:
    """Done jobs go with it, and are counted no more; other groups, and what is not that old, stay."""
    old, young = a_done_job(updated_at=NOON), a_done_job(updated_at=NOON + 2 * HOUR)
    other = a_done_job(key=SNAPSHOTS, updated_at=NOON)
    await put(store, old, young, other)
    passed = a_run(a_job(), finished_at=NOON, attempt=0)
    await with_history(store, passed)

    clock.set(NOON + 2 * HOUR)
    while await store.prune_group(BACKUPS, HOUR):
        pass

    assert {young.id: young} == await jobs_of(store)
    assert {other.id: other} == await jobs_of(store, SNAPSHOTS)
    assert passed not in await history(store)
    assert {key: counts.states[State.DONE] for key, counts in (await store.counts()).items()} == {
        BACKUPS: 1,
        SNAPSHOTS: 1,
    }


async def test_history_of_a_group_goes_in_bites(store: Store, clock: ManualClock) -> None:
    """All of it goes, when it is asked for as often as the answer says."""
    await store.add([a_job()])
    await with_history(store, *(a_run(a_job()) for _ in range(2500)))
    clock.advance(days=1)

    bites = 1
    while await store.prune_group(BACKUPS, HOUR):
        bites += 1

    assert [] == await history(store)
    assert bites > 1
