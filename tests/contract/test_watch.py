from datetime import datetime, timedelta

import pytest

from mainspring.errors import ConflictError
from mainspring.job import Job
from mainspring.schedule import Every, Period, Recurring
from mainspring.store import NodeBeat, Store
from tests.contract.build import BACKUPS, NODE, SECOND, START, a_job, claim, edited, ended, running

LATER = START + 60 * SECOND


def watched(store: Store) -> list[datetime]:
    """Return the list that grows by what the store tells its watchers."""
    noticed: list[datetime] = []
    store.watch(noticed.append)
    return noticed


async def test_new_jobs_are_noticed(store: Store) -> None:
    """Everyone who watches is told when the earliest of them is due."""
    one, other = watched(store), watched(store)

    await store.add([a_job(fire_at=LATER), a_job(fire_at=START)])

    assert [START] == one == other


async def test_edited_job_is_noticed(store: Store) -> None:
    """It may be due earlier."""
    job = a_job(fire_at=LATER)
    await store.add([job])
    noticed = watched(store)

    await store.update(edited(job)._replace(due_at=START))

    assert [START] == noticed


async def test_job_that_goes_on_after_its_run_is_noticed(store: Store) -> None:
    """Its next fire time, or its next try, is a time to wake up for."""
    [job] = await running(store, a_job(trigger=Recurring(Every(Period(exact=timedelta(minutes=1))), START)))
    change = ended(job)
    noticed = watched(store)

    await store.finish([change])

    assert [change.job.due_at] == noticed


async def test_what_leaves_nothing_to_do_is_not_noticed(store: Store) -> None:
    """A node that is woken for nothing, or by its own looks, never sleeps."""
    waiting, gone = a_job(), a_job()
    await store.add([waiting, gone])
    await store.join(NodeBeat(NODE))
    noticed = watched(store)

    [one, *_] = await claim(store)
    await store.finish([ended(one.job)])
    await store.delete(gone, None)
    await store.next_due([BACKUPS])
    await store.beat(NODE)
    await store.holding(NODE)
    await store.orphans([BACKUPS], 10)

    assert [] == noticed


@pytest.mark.parametrize("late", [True, False])
async def test_change_that_failed_is_not_noticed(store: Store, *, late: bool) -> None:
    """Nothing was written, so there is nothing to look at."""
    job = a_job()
    await store.add([job])
    noticed = watched(store)

    if late:
        assert not await store.update(Job(*edited(edited(job))))
    else:
        with pytest.raises(ConflictError):
            await store.add([job])

    assert [] == noticed
