from datetime import timedelta

import pytest

from mainspring.clock import ManualClock
from mainspring.job import JobKey, State
from mainspring.schedule import MICROSECOND
from mainspring.store import Store
from tests.contract.build import BACKUPS, SECOND, SNAPSHOTS, START, a_done_job, a_job, a_running_job, due_in, put


@pytest.mark.parametrize(
    "wait",
    [timedelta(), MICROSECOND, SECOND, timedelta(days=3653, microseconds=1), -MICROSECOND, timedelta(days=-20_000)],
)
async def test_due_in_tells_the_wait(store: Store, wait: timedelta) -> None:
    """The wait is exact, and negative for a job that is overdue."""
    await store.add([a_job(fire_at=START + wait)])

    assert wait == await due_in(store, [BACKUPS])


async def test_due_in_goes_by_the_clock_of_the_store(store: Store, clock: ManualClock) -> None:
    """The wait is from now on."""
    await store.add([a_job(fire_at=START + 5 * SECOND)])
    clock.advance(seconds=2)

    assert 3 * SECOND == await due_in(store, [BACKUPS])


async def test_earliest_of_all_groups_counts(store: Store) -> None:
    """One look answers for all groups; those that were not named do not matter."""
    keys = [JobKey("p", str(n)) for n in range(4)]
    await store.add([a_job(key=key, fire_at=START + n * SECOND) for key, n in zip(keys, (5, 3, 4, 1), strict=True)])

    assert 3 * SECOND == await due_in(store, keys[:3])
    assert 4 * SECOND == await due_in(store, [keys[0], SNAPSHOTS, keys[2]])


async def test_only_scheduled_jobs_are_due(store: Store) -> None:
    """What is paused, runs or is done is not waited for."""
    await put(store, a_job(state=State.PAUSED, paused=True), a_running_job(), a_done_job())

    assert await due_in(store, [BACKUPS]) is None


async def test_nothing_to_wait_for(store: Store) -> None:
    """Without groups, and in groups without jobs, nothing is due ever."""
    await store.add([a_job()])

    assert [None, None] == [await due_in(store, []), await due_in(store, [SNAPSHOTS])]
