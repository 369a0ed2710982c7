import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from mainspring.job import Job, Options, Outcome, State, lifecycle
from mainspring.schedule import Every, Once, Period, Recurring
from mainspring.store import Store
from tests.contract.build import SECOND, START, a_done_job, a_job, edited, ended, put, running

LATER = START + SECOND
NEW = {"request": {"vmId": "v2"}, "trigger": Once(LATER), "options": Options(max_attempts=2)}
EDITS: dict[str, Callable[[Job], Job]] = {
    "reschedule": lambda job: lifecycle.reschedule(job, **NEW, now=LATER, calendars={}).job,  # type: ignore[arg-type]
    "pause": lambda job: lifecycle.pause(job, now=LATER),
    "resume": lambda job: lifecycle.resume(job._replace(state=State.PAUSED, paused=True), now=LATER),
    "every number": lambda job: edited(job, attempt=3, failures=2, losses=1, due_at=LATER, updated_at=LATER),
}


@pytest.mark.parametrize("edit", [pytest.param(edit, id=name) for name, edit in EDITS.items()])
async def test_edit_is_written(store: Store, edit: Callable[[Job], Job]) -> None:
    """All that an edit decides is written."""
    job = a_job()
    await store.add([job])

    assert await store.update(edit(job))

    assert edit(job) == await store.get(job.id)


async def test_edit_of_a_running_job_leaves_its_run_alone(store: Store) -> None:
    """A job that is edited while it runs is still run by whoever claimed it."""
    before = a_job(trigger=Recurring(Every(Period(exact=timedelta(hours=1))), START))
    [job] = await running(store, before)
    new = lifecycle.pause(job, now=LATER)

    assert await store.update(new._replace(run=None, node=None, claimed_at=None))

    assert new == await store.get(job.id)


async def test_edit_keeps_what_is_not_to_edit(store: Store) -> None:
    """The last run, the group and the creation are facts that no edit changes."""
    [job] = await running(store, a_job(trigger=Recurring(Every(Period(exact=timedelta(hours=1))), START)))
    change = ended(job)
    await store.finish([change])
    new = lifecycle.pause(change.job, now=LATER)

    assert await store.update(new._replace(last_run=None, created_at=LATER))

    assert new == await store.get(job.id)


@pytest.mark.parametrize("version", [1, 2, 4, 5])
async def test_edit_of_what_was_not_the_latest_is_refused(store: Store, version: int) -> None:
    """An edit counts only if it was made on the version that is there, here 2."""
    job = a_job(version=2)
    await store.add([job])

    assert not await store.update(job._replace(version=version, request={"vmId": "lost"}))

    assert job == await store.get(job.id)


async def test_edit_after_a_claim_is_refused(store: Store) -> None:
    """Who read the job before it was claimed must look again."""
    job = a_job()
    [claimed] = await running(store, job)

    assert not await store.update(edited(job, state=State.PAUSED, paused=True))

    assert claimed == await store.get(job.id)


async def test_edit_of_no_job_is_refused(store: Store) -> None:
    """An edit never makes a job."""
    job = edited(a_job())

    assert not await store.update(job)

    assert await store.get(job.id) is None


async def test_one_of_many_edits_at_once_wins(store: Store) -> None:
    """Of edits that were made on the same version one is written, and only its author is told so."""
    job = a_job()
    await store.add([job])
    edits = [edited(job, request={"author": author}) for author in range(10)]

    answers = await asyncio.gather(*map(store.update, edits))

    assert [await store.get(job.id)] == [edit for edit, done in zip(edits, answers, strict=True) if done]


async def test_jobs_that_come_with_an_edit_are_written_with_it(store: Store) -> None:
    """Both or neither."""
    job, child, lost = a_job(), a_job(), a_job()
    await store.add([job])

    assert await store.update(edited(job), (), [child])
    assert not await store.update(edited(job), (), [lost])

    assert [child, None] == [await store.get(each.id) for each in (child, lost)]


async def test_done_job_is_amended(store: Store) -> None:
    """What it is to do changes; it stays done, and how its run ended stays as it was."""
    job = a_done_job(outcome=Outcome.FAILED)
    await put(store, job)
    amended = job._replace(request={"vmId": "mended"}, options=Options(max_attempts=7), version=job.version + 1)

    assert not await store.amend(amended._replace(version=amended.version + 1))
    assert await store.amend(amended)
    assert not await store.amend(amended)

    assert amended == await store.get(job.id)
    assert not await store.amend(edited(a_job()))
