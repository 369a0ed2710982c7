"""Jobs that follow a run: written with its success, once, and never without it."""

from datetime import timedelta

import pytest

from mainspring.job import Change, Edit, Job, Options, Outcome, Progress, State
from mainspring.schedule import Every, Period, Recurring
from mainspring.store import Answer, Store
from tests.contract.build import START, a_job, a_run, edited, ended, history, jobs_of, running

HOURLY = Recurring(Every(Period(exact=timedelta(hours=1))), START)


def followed(job: Job, *jobs: Job) -> Change:
    """End a run that has these jobs made."""
    return ended(job)._replace(added=tuple(map(Edit, jobs)))


@pytest.mark.parametrize("trigger", [None, HOURLY])
async def test_they_are_written_with_the_success(store: Store, trigger: Recurring | None) -> None:
    """Whether the job is done or goes on, and beside others that nothing follows."""
    first, second, third = await running(store, a_job(trigger=trigger), a_job(), a_job())
    after = [a_job(fire_at=START + timedelta(hours=hours)) for hours in (1, 2, 3)]

    answers = await store.finish([ended(second), followed(first, *after[:2]), followed(third, after[2])])

    assert [Answer.DONE] * 3 == answers
    assert after == [await store.get(job.id) for job in after]
    assert {first.id, second.id, third.id} <= (await jobs_of(store)).keys()


async def test_passed_over_occurrences_are_written_with_them(store: Store) -> None:
    """A calendar may have ruled out the first ones."""
    [job] = await running(store, a_job())
    after = a_job(trigger=HOURLY)
    skipped = a_run(after, attempt=0, outcome=Outcome.SKIPPED, number=0)

    await store.finish([ended(job)._replace(added=(Edit(after, (skipped,)),))])

    assert [Outcome.SKIPPED] == [run.outcome for run in await history(store, job_id=after.id)]


async def test_a_refused_change_adds_nothing(store: Store) -> None:
    """Nor does it keep others from what they add."""
    stale, lost, good = await running(store, a_job(), a_job(), a_job())
    assert await store.update(edited(stale))
    await store.delete(lost, None)
    after = [a_job(fire_at=START + timedelta(hours=1)) for _ in range(3)]

    answers = await store.finish([followed(job, next_) for job, next_ in zip((stale, lost, good), after, strict=True)])

    assert [Answer.STALE, Answer.LOST, Answer.DONE] == answers
    assert [None, None, after[2]] == [await store.get(job.id) for job in after]


async def test_a_repeated_run_makes_no_second_one(store: Store) -> None:
    """Neither while the first one is there, nor when it is done or was changed."""
    first, second = await running(store, a_job(), a_job())
    there = a_job(fire_at=START + timedelta(hours=1))
    await store.finish([followed(first, there)])
    moved = edited(there, due_at=START + timedelta(hours=2))
    assert await store.update(moved)

    assert [Answer.DONE] == await store.finish([followed(second, there)])

    assert moved == await store.get(there.id)
    [third, fourth] = await running(store, a_job(), a_job())
    await store.finish([followed(third, fourth._replace(state=State.SCHEDULED, run=None, node=None, claimed_at=None))])
    await store.finish([ended(fourth)])
    [fifth] = await running(store, a_job())
    await store.finish([followed(fifth, a_job(id=fourth.id))])
    found = await store.get(fourth.id)
    assert found is not None
    assert State.DONE is found.state


async def test_an_answer_that_was_lost_adds_nothing_twice(store: Store) -> None:
    """Who asks again is told that it is written."""
    [job] = await running(store, a_job())
    change = followed(job, a_job(fire_at=START + timedelta(hours=1)))

    assert [[Answer.DONE]] * 2 == [await store.finish([change]) for _ in range(2)]

    assert 2 == len(await jobs_of(store))


async def test_one_whose_key_is_taken_is_not_made(store: Store) -> None:
    """Another job of the group stands for it; the run has succeeded."""
    taken = a_job(options=Options(key="nightly"), fire_at=START + timedelta(hours=1))
    [job] = await running(store, a_job())
    await store.add([taken])
    other = a_job(options=Options(key="nightly"), fire_at=START + timedelta(hours=2))
    free = a_job(options=Options(key="weekly"), fire_at=START + timedelta(hours=2))

    assert [Answer.DONE] == await store.finish([followed(job, other, free)])

    assert [None, free] == [await store.get(other.id), await store.get(free.id)]


async def test_one_may_take_over_the_key_of_its_run(store: Store) -> None:
    """A chain of jobs with one key: the run's own job is over in the same commit."""
    [job] = await running(store, a_job(options=Options(key="nightly")))
    next_ = a_job(options=Options(key="nightly"), fire_at=START + timedelta(hours=1))

    assert [Answer.DONE] == await store.finish([followed(job, next_)])

    assert next_ == await store.get(next_.id)


async def test_progress_is_shown_while_a_job_runs(store: Store) -> None:
    """It raises no version, and the next run begins without."""
    [job] = await running(store, a_job(trigger=HOURLY))
    assert job.run is not None

    await store.put_progress({job.run: Progress(3, 10, "copying \N{SNOWMAN}"), 12345: Progress(1)})

    found = await store.get(job.id)
    assert found == job._replace(progress=Progress(3, 10, "copying \N{SNOWMAN}"), last_run=None)
    assert [Answer.DONE] == await store.finish([ended(job)])
    found = await store.get(job.id)
    assert found is not None
    assert found.progress is None
