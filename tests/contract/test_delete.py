from mainspring.job import Outcome
from mainspring.store import Answer, Store
from tests.contract.build import BACKUPS, a_job, a_run, edited, ended, history, running


async def test_deleted_job_is_gone(store: Store) -> None:
    """What was deleted is neither found nor counted; others are untouched."""
    job, other = a_job(), a_job()
    await store.add([job, other])

    assert await store.delete(job, None)

    assert [None, other] == [await store.get(job.id), await store.get(other.id)]
    assert [] == await history(store)


async def test_delete_of_what_was_not_the_latest_is_refused(store: Store) -> None:
    """A job that somebody edited since is not deleted, and the run that was to end has not ended."""
    job = a_job()
    new = edited(job)
    await store.add([job])
    await store.update(new)

    assert not await store.delete(job, a_run(job))

    assert (new, []) == (await store.get(job.id), await history(store))


async def test_delete_of_no_job_is_refused(store: Store) -> None:
    """Who deletes second is told so."""
    job = a_job()
    await store.add([job])
    await store.delete(job, None)

    assert not await store.delete(job, a_run(job))

    assert [] == await history(store)


async def test_run_that_a_delete_ends_is_history(store: Store) -> None:
    """The row of the run is written with the delete, and the worker's own result comes too late."""
    [job] = await running(store, a_job())
    cancelled = ended(job, Outcome.CANCELLED)

    assert await store.delete(job, cancelled.run)
    assert [Answer.LOST] == await store.finish([ended(job)])

    assert [cancelled.run] == await store.runs(BACKUPS, job.id, before=None, limit=10)
