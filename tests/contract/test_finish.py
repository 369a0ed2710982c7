import asyncio
from datetime import timedelta

import pytest

from mainspring.clock import ManualClock
from mainspring.job import Job, Outcome, lifecycle
from mainspring.schedule import Every, Period, Recurring
from mainspring.store import Answer, NodeBeat, Store
from tests.contract.build import BACKUPS, NODE, SECOND, START, a_job, claim, ended, history, running

HOURLY = Recurring(Every(Period(exact=timedelta(hours=1))), START)


@pytest.mark.parametrize("outcome", Outcome)
async def test_finish_writes_job_and_history(store: Store, clock: ManualClock, outcome: Outcome) -> None:
    """What the job became and how its run ended are written together, whatever the outcome."""
    [job] = await running(store, a_job(trigger=HOURLY, due_at=START - SECOND))
    clock.advance(minutes=1)
    change = ended(job, outcome, at=clock.now())

    assert [Answer.DONE] == await store.finish([change])

    assert change.job == await store.get(job.id)
    assert [change.run] == await history(store)


async def test_finish_of_nothing_is_harmless(store: Store) -> None:
    """An empty batch has no answers."""
    assert [] == await store.finish([])


async def test_answers_are_in_the_order_of_the_batch(store: Store) -> None:
    """Each change is judged by itself and answered at its place; what was refused changed nothing."""
    first, edited, deleted, middle, stranger, last = jobs = await running(store, *(a_job() for _ in range(6)))
    paused = lifecycle.pause(edited, now=START)
    await store.update(paused)
    await store.delete(deleted, None)
    changes = [ended(job._replace(run=999_999) if job is stranger else job) for job in jobs]

    answers = await store.finish(changes)

    assert [Answer.DONE, Answer.STALE, Answer.LOST, Answer.DONE, Answer.LOST, Answer.DONE] == answers
    done = [ended(job).job for job in (first, middle, last)]
    assert [done[0], paused, None, done[1], stranger, done[2]] == [await store.get(job.id) for job in jobs]
    assert {first.run, middle.run, last.run} == {run.number for run in await history(store)}


async def test_stale_change_is_taken_when_decided_again(store: Store) -> None:
    """A job that was edited during its run ends as the edit wants it."""
    [job] = await running(store, a_job(trigger=HOURLY))
    paused = lifecycle.pause(job, now=START)
    await store.update(paused)

    assert [Answer.STALE] == await store.finish([ended(job)])
    assert [Answer.DONE] == await store.finish([ended(paused)])

    assert ended(paused).job == await store.get(job.id)
    assert [ended(job).run] == await history(store)


@pytest.mark.parametrize("behind", [-1, 1])
async def test_change_of_another_version_is_stale(store: Store, behind: int) -> None:
    """A change made on a version that is not there is not written, be it too old or too new."""
    [job] = await running(store, a_job(version=5))
    change = ended(job._replace(version=job.version + behind))

    assert [Answer.STALE] == await store.finish([change])

    assert (job, []) == (await store.get(job.id), await history(store))


@pytest.mark.parametrize("goes_on", [True, False])
async def test_result_that_was_written_is_known_again(store: Store, *, goes_on: bool) -> None:
    """Who repeats a result, because the first answer did not arrive, hears that it is written, and it is so once."""
    job, other = await running(store, a_job(trigger=HOURLY) if goes_on else a_job(), a_job())
    change = ended(job)

    assert [Answer.DONE] == await store.finish([change])
    assert [Answer.DONE, Answer.DONE] == await store.finish([change, ended(other)])

    assert change.job == await store.get(job.id)
    assert [change.run] == await history(store, job_id=job.id)


async def test_other_result_of_a_run_that_was_written_is_refused(store: Store) -> None:
    """A run that was given up for lost did not succeed after all."""
    [job] = await running(store, a_job())
    await store.finish([ended(job, Outcome.LOST)])

    assert [Answer.LOST] == await store.finish([ended(job)])
    assert [Answer.LOST] == await store.finish([ended(job, Outcome.LOST, at=START + SECOND)])


async def lost_and_claimed_again(store: Store) -> tuple[Job, Job]:
    """Let a node die under a job and another one claim it: the job as the first sees it, and as the second does."""
    [job] = await running(store, a_job())
    await store.bury(NodeBeat(NODE, 0))
    [orphan] = await store.orphans([BACKUPS], 10)
    await store.finish([ended(orphan, Outcome.LOST)])
    await store.join(NodeBeat("node-2"))
    [again] = await claim(store, node="node-2")
    return job, again.job


async def test_finish_after_lease_lost_is_refused(store: Store) -> None:
    """A node that woke too late does not overwrite the run of the new owner."""
    zombies, owners = await lost_and_claimed_again(store)

    assert [Answer.LOST] == await store.finish([ended(zombies)])

    found = await store.get(owners.id)
    assert found is not None
    assert owners == found._replace(last_run=None)
    assert [Outcome.LOST] == [run.outcome for run in await history(store)]


async def test_finish_after_the_orphan_was_recovered_is_refused(store: Store) -> None:
    """Between two runs a job is nobody's."""
    [job] = await running(store, a_job())
    await store.leave(NODE)
    recovered = ended(job, Outcome.LOST)
    await store.finish([recovered])

    assert [Answer.LOST] == await store.finish([ended(job)])

    assert (recovered.job, [recovered.run]) == (await store.get(job.id), await history(store))


async def test_old_and_new_run_of_a_job_in_one_batch(store: Store) -> None:
    """A result that was written but never answered may come again beside that of the job's next run."""
    zombies, owners = await lost_and_claimed_again(store)
    change = ended(owners)

    assert [Answer.LOST, Answer.DONE] == await store.finish([ended(zombies), change])

    assert change.job == await store.get(owners.id)
    assert [change.run.number, zombies.run] == [run.number for run in await history(store)]


async def test_one_of_many_results_at_once_is_written(store: Store) -> None:
    """Of those who would end the same run one does, and history has one row of it."""
    [job] = await running(store, a_job())
    changes = [ended(job, at=START + n * SECOND) for n in range(9)]

    answers = await asyncio.gather(*(store.finish([change]) for change in changes))

    [winner] = [change for change, answer in zip(changes, answers, strict=True) if answer == [Answer.DONE]]
    assert (winner.job, [winner.run]) == (await store.get(job.id), await history(store))
    assert answers.count([Answer.LOST]) == len(changes) - 1


async def test_finish_takes_a_large_batch(store: Store) -> None:
    """A thousand results are one call."""
    jobs = await running(store, *(a_job() for _ in range(1000)))
    changes = [ended(job) for job in jobs]

    assert [Answer.DONE] * 1000 == await store.finish(changes)

    assert {change.run for change in changes} == set(await history(store))
