"""Occurrences that are taken out of their job, and what was passed over: rows of history without a run."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from mainspring.errors import ConflictError
from mainspring.job import Change, Counts, Job, Outcome, Run, State
from mainspring.schedule import Every, Once, Period, Recurring
from mainspring.schedule.trigger import CalendarUse, Days
from mainspring.store import Answer, Store
from tests.contract.build import (
    ALL,
    ANY,
    BACKUPS,
    NODE,
    START,
    a_job,
    a_run,
    edited,
    ended,
    history,
    jobs_of,
    running,
)

HOURLY = Recurring(Every(Period(exact=timedelta(hours=1))), START)
LATER = START + timedelta(hours=1)


def passed_over(job: Job, number: int = 1, **changes: object) -> Run:
    """Make a row for occurrences that were passed over, as it is before the store numbers it."""
    row = a_run(job, number=0, attempt=0, outcome=Outcome.SKIPPED, reason="it was late", occurrences=number)
    return row._replace(last_fire_time=LATER if number > 1 else None)._replace(**changes)  # type: ignore[arg-type]


def taken_out(job: Job) -> tuple[Job, Job]:
    """Take the occurrence that a job runs out of it."""
    freed = edited(job, state=State.SCHEDULED, run=None, node=None, claimed_at=None, fire_time=LATER, due_at=LATER)
    return freed._replace(attempt=0), job._replace(id=uuid4(), parent=job.id, trigger=Once(job.fire_time), version=1)


async def a_part(store: Store) -> tuple[Job, Job]:
    """Let a job run and take its occurrence out of it."""
    [job] = await running(store, a_job(trigger=HOURLY))
    waiting, child = taken_out(job)
    assert await store.split_off(waiting, child, [])
    return waiting, child


async def test_part_leaves_two_jobs(store: Store) -> None:
    """The job waits for its next occurrence while the other has its run; lists show the job alone."""
    waiting, child = await a_part(store)

    assert (waiting, child) == (await store.get(waiting.id), await store.get(child.id))
    assert [child] == await store.children(waiting.id)
    assert [] == await store.children(child.id)
    assert [waiting] == await store.page(BACKUPS, ANY, after=None, limit=ALL)
    assert Counts({State.SCHEDULED: 1, State.RUNNING: 1}) == (await store.counts())[BACKUPS]


async def test_part_of_what_was_not_the_latest_changes_nothing(store: Store) -> None:
    """Somebody edited the job meanwhile."""
    [job] = await running(store, a_job(trigger=HOURLY))
    await store.update(edited(job))
    waiting, child = taken_out(job)

    assert not await store.split_off(waiting, child, [passed_over(job)])

    assert (await store.get(job.id), None, []) == (edited(job), await store.get(child.id), await history(store))


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.CANCELLED, Outcome.SKIPPED])
async def test_occurrence_that_ended_leaves_a_row_of_its_job(store: Store, outcome: Outcome) -> None:
    """History has the run under the job that it was an occurrence of, and no done job stays."""
    waiting, child = await a_part(store)
    change = ended(child._replace(backfill=True), outcome)

    assert [Answer.DONE, Answer.DONE] == [*await store.finish([change]), *await store.finish([change])]

    [row] = await history(store, job_id=waiting.id)
    assert (child.run, waiting.id, outcome) == (row.number, row.job_id, row.outcome)
    assert {waiting.id} == set(await jobs_of(store))
    assert await store.get(child.id) is None


async def test_occurrence_that_failed_is_tried_again(store: Store) -> None:
    """It is claimed, held and found as an orphan like any other job, and stays what it is."""
    waiting, child = await a_part(store)
    change = ended(child, Outcome.FAILED, delay=timedelta())
    await store.finish([change])

    [claim] = (await store.claim(NODE, {BACKUPS: ALL}, ALL)).claims

    assert (child.id, waiting.id, 2) == (claim.job.id, claim.job.parent, claim.job.attempt)
    assert [claim.job] == [held.job for held in await store.holding(NODE)]
    await store.leave(NODE)
    assert [claim.job] == await store.orphans([BACKUPS], ALL)
    assert [(waiting.id, child.run)] == [(run.job_id, run.number) for run in await history(store)]


async def test_backfill_is_marked(store: Store) -> None:
    """Jobs and their rows of history keep the mark."""
    parent = a_job(trigger=HOURLY, due_at=LATER)
    await store.add([parent])
    [child] = await running(store, a_job(parent=parent.id, backfill=True))
    assert child.backfill

    await store.finish([ended(child)])

    assert [True] == [run.backfill for run in await history(store)]


# --- what was passed over


async def test_new_job_brings_rows_with_it(store: Store) -> None:
    """They are numbered in order; a row stands for one occurrence or many."""
    job = a_job(trigger=HOURLY)

    await store.add([job], [passed_over(job), passed_over(job, 5)])

    five, one = await history(store)
    assert 0 < one.number < five.number
    assert [passed_over(job, 5), passed_over(job)] == [run._replace(number=0) for run in (five, one)]


async def test_job_that_is_refused_brings_no_rows(store: Store) -> None:
    """All or none."""
    job = a_job(trigger=HOURLY)
    await store.add([job])

    with pytest.raises(ConflictError):
        await store.add([job], [passed_over(job)])

    assert [] == await history(store)


async def test_edit_brings_rows_with_it(store: Store) -> None:
    """If it is taken."""
    job = a_job(trigger=HOURLY)
    await store.add([job])

    assert await store.update(edited(job), [passed_over(job, 2)])
    assert not await store.update(edited(job), [passed_over(job, 3)])

    assert [2] == [run.occurrences for run in await history(store)]


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.CANCELLED])
async def test_finish_brings_rows_with_it_once(store: Store, outcome: Outcome) -> None:
    """They come after the run whose end passed them over, also when the answer was lost and the call is made again."""
    [job, other] = await running(store, a_job(trigger=HOURLY), a_job())
    change = ended(job, outcome)._replace(unrun=(passed_over(job, 7), passed_over(job)))

    for _ in range(2):
        assert [Answer.DONE, Answer.DONE] == await store.finish([change, ended(other)])

    mine = await history(store, job_id=job.id)
    assert [1, 7, 1] == [run.occurrences for run in mine]
    assert [job.run] == [run.number for run in mine if run.attempt]
    assert mine == sorted(mine, key=lambda run: -run.number)


async def test_finish_that_is_refused_brings_no_rows(store: Store) -> None:
    """A zombie passes nothing over."""
    [job] = await running(store, a_job(trigger=HOURLY))
    await store.update(edited(job))
    change = ended(job)

    assert [Answer.STALE] == await store.finish([Change(change.run, change.job, (passed_over(job),))])

    assert [] == await history(store)


# --- jobs that recur


async def test_recurring_jobs_come_by_id(store: Store) -> None:
    """All of them in pages, whatever their group and state; done ones and those that run once are left out."""
    series = sorted([a_job(id=UUID(int=n), trigger=HOURLY) for n in (3, 1, 2)], key=lambda job: job.id)
    await store.add([*series, a_job(id=UUID(int=4))])

    assert series == await store.recurring(None, ALL)
    assert series[1:2] == await store.recurring(series[0].id, 1)
    assert [] == await store.recurring(series[2].id, ALL)


async def test_recurring_jobs_of_a_calendar(store: Store) -> None:
    """Those that keep to it."""
    uses = (CalendarUse("closed"), CalendarUse("closed", Days.INCLUDE), CalendarUse("holidays"))
    keep, only, others = (a_job(trigger=HOURLY)._replace(trigger=replace(HOURLY, calendar=use)) for use in uses)
    await store.add([keep, only, others, a_job(trigger=HOURLY), a_job()])

    assert {keep.id, only.id} == {job.id for job in await store.recurring(None, ALL, calendar="closed")}
    assert [] == await store.recurring(None, ALL, calendar="open")


# --- notes


async def test_notes_are_kept_by_kind_and_name(store: Store) -> None:
    """A note replaces the one before; none takes it away."""
    assert [False, True, False, False] == [
        await store.note("calendar", "a", {"dates": []}),
        await store.note("calendar", "a", {"dates": ["2026-12-24"]}),
        await store.note("calendar", "b", [1, "ä", None]),
        await store.note("other", "a", "text"),
    ]

    assert {"a": {"dates": ["2026-12-24"]}, "b": [1, "ä", None]} == await store.notes("calendar")
    assert {"a": "text"} == await store.notes("other")
    assert [True, False] == [await store.note("calendar", "a", None), await store.note("calendar", "a", None)]
    assert {"b": [1, "ä", None]} == await store.notes("calendar")


async def test_beat_tells_that_there_is_a_new_note(store: Store) -> None:
    """The number rises with each, also when one goes."""
    heard = [(await store.beat("stranger")).notes]
    for value in ({"a": 1}, {"a": 2}, None):
        await store.note("calendar", "a", value)
        heard.append((await store.beat("stranger")).notes)

    assert heard == sorted(set(heard))


async def test_job_hears_how_an_occurrence_ended_that_ran_beside_it(store: Store) -> None:
    """The outcome is the job's, as if it had run itself; that of a backfill is not."""
    waiting, child = await a_part(store)
    await store.finish([ended(child._replace(failures=4), Outcome.FAILED)])
    found = await store.get(waiting.id)
    assert waiting._replace(outcome=Outcome.FAILED) == found

    backfill = a_job(parent=waiting.id, backfill=True)
    [claimed] = await running(store, backfill)
    await store.finish([ended(claimed, Outcome.SUCCEEDED)])
    assert found == await store.get(waiting.id)
