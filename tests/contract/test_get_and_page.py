from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from mainspring.job import Job, JobFilter, JobKey, Outcome, Position, State
from mainspring.schedule import MICROSECOND
from mainspring.store import Store
from tests.contract.build import (
    ALL,
    ANY,
    BACKUPS,
    DONE,
    SECOND,
    SNAPSHOTS,
    START,
    a_done_job,
    a_job,
    a_running_job,
    in_order,
    put,
)


def _last_run(job: Job) -> int:
    assert job.last_run is not None
    return -job.last_run.number


def ids(jobs: list[Job]) -> list[UUID]:
    """Name the jobs of a page."""
    return [job.id for job in jobs]


async def test_get_of_no_job_is_none(store: Store) -> None:
    """An id that nobody has is an answer, not an error."""
    await store.add([a_job()])

    assert await store.get(uuid4()) is None


async def test_get_finds_jobs_that_are_done(store: Store) -> None:
    """A job that is done is there until it is pruned."""
    job = a_done_job()
    await put(store, job)

    assert job == await store.get(job.id)


async def test_page_is_in_order_of_due_time_and_id(store: Store) -> None:
    """Jobs come by when they are due, those of one moment by id, in whatever order they were added."""
    jobs = [a_job(fire_at=START + second * SECOND) for second in (2, 0, 1, 1, 0, 1)]
    await store.add(jobs)

    assert in_order(*jobs) == await store.page(BACKUPS, ANY, after=None, limit=ALL)


async def test_page_goes_by_due_time_where_it_differs_from_the_fire_time(store: Store) -> None:
    """A job whose retry was put off stands where it will run."""
    put_off, next_one = a_job(due_at=START + 2 * SECOND), a_job(fire_at=START + SECOND)
    await store.add([put_off, next_one])

    assert [next_one, put_off] == await store.page(BACKUPS, ANY, after=None, limit=ALL)


@pytest.mark.parametrize("which", [pytest.param(ANY, id="pending"), pytest.param(DONE, id="done")])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_join_without_gap_or_overlap(store: Store, which: JobFilter, limit: int) -> None:
    """Whoever goes from page to page sees each job once, also among jobs that are due at the same time."""
    make = a_done_job if which.done else a_job
    jobs = [make(fire_at=START + (n // 3) * MICROSECOND) for n in range(7)]
    await put(store, *jobs)
    jobs = jobs[::-1] if which.done else in_order(*jobs)

    seen: list[Job] = []
    while page := await store.page(BACKUPS, which, after=Position.of(seen[-1]) if seen else None, limit=limit):
        assert len(page) == min(limit, len(jobs) - len(seen))
        seen += page

    assert jobs == seen


async def test_position_need_not_be_a_job_that_exists(store: Store) -> None:
    """A page goes on where it stopped, also when its last job is gone meanwhile."""
    first, last = a_job(fire_at=START), a_job(fire_at=START + SECOND)
    await store.add([first, last])

    assert [last] == await store.page(BACKUPS, ANY, after=Position(START + MICROSECOND, uuid4()), limit=ALL)


@pytest.mark.parametrize("which", [pytest.param(ANY, id="pending"), pytest.param(DONE, id="done")])
async def test_page_has_jobs_of_its_group_only(store: Store, which: JobFilter) -> None:
    """The group is the pair: the same names cut elsewhere are another one."""
    keys = [JobKey("a-b", "c"), JobKey("a", "b-c"), JobKey("a", "bc"), JobKey("ab", "c"), JobKey("A-B", "C")]
    jobs = [(a_done_job if which.done else a_job)(key=key) for key in keys]
    await put(store, *jobs)

    assert [[job] for job in jobs] == [await store.page(key, which, after=None, limit=ALL) for key in keys]


async def test_page_of_an_unknown_group_is_empty(store: Store) -> None:
    """A group that has no jobs has no pages."""
    await store.add([a_job()])

    assert [] == await store.page(SNAPSHOTS, ANY, after=None, limit=ALL)


async def test_filter_by_state(store: Store) -> None:
    """Pending jobs are listed if they stand where the filter says, and all of them if it says nothing."""
    jobs = {
        State.SCHEDULED: a_job(),
        State.RUNNING: a_running_job(),
        State.PAUSED: a_job(state=State.PAUSED, paused=True),
    }
    await put(store, *jobs.values(), a_done_job())

    async def listed(*states: State) -> list[UUID]:
        return sorted(ids(await store.page(BACKUPS, JobFilter(frozenset(states)), after=None, limit=ALL)))

    assert {state: [job.id] for state, job in jobs.items()} == {state: await listed(state) for state in jobs}
    assert sorted(job.id for job in jobs.values()) == await listed(*jobs)
    assert [] == await listed()
    assert sorted(job.id for job in jobs.values()) == sorted(ids(await store.page(BACKUPS, ANY, after=None, limit=ALL)))


async def test_filter_done_and_dead(store: Store) -> None:
    """Done jobs are listed apart from the pending ones; dead are those of them that gave up."""
    done = {outcome: a_done_job(outcome=outcome) for outcome in Outcome}
    await put(store, *done.values(), a_job(outcome=Outcome.FAILED))

    dead = {done[outcome].id for outcome in (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST)}
    assert {job.id for job in done.values()} == set(ids(await store.page(BACKUPS, DONE, after=None, limit=ALL)))
    assert dead == set(ids(await store.page(BACKUPS, replace(DONE, gave_up=True), after=None, limit=ALL)))
    for outcomes in [{Outcome.FAILED, Outcome.CANCELLED}, {Outcome.SUCCEEDED, Outcome.LOST}, set()]:
        which = replace(DONE, outcomes=frozenset(outcomes))
        expected = [job.id for job in sorted(done.values(), key=_last_run) if job.outcome in outcomes]
        assert expected == ids(await store.page(BACKUPS, which, after=None, limit=ALL))
        assert expected[:1] == ids(await store.page(BACKUPS, which, after=None, limit=1))


async def test_filter_pending_by_how_they_ended_last(store: Store) -> None:
    """Those that gave up are not tried again: they wait for their next fire time."""
    at = [START + n * SECOND for n in range(6)]
    never = a_job(fire_at=at[0])
    again = a_job(fire_at=at[3], outcome=Outcome.FAILED, attempt=1)
    gave_up = a_job(fire_at=at[2], outcome=Outcome.FAILED)
    timed_out = a_job(fire_at=at[1], outcome=Outcome.TIMED_OUT, state=State.PAUSED, paused=True)
    well = a_job(fire_at=at[4], outcome=Outcome.SUCCEEDED)
    await put(store, never, again, gave_up, timed_out, well, a_job(key=SNAPSHOTS, outcome=Outcome.FAILED))

    async def listed(which: JobFilter, after: Job | None = None) -> list[UUID]:
        return ids(await store.page(BACKUPS, which, after=after and Position.of(after), limit=ALL))

    failed = frozenset({Outcome.FAILED, Outcome.TIMED_OUT})
    assert [timed_out.id, gave_up.id, again.id] == await listed(replace(ANY, outcomes=failed))
    assert [gave_up.id, again.id] == await listed(replace(ANY, outcomes=failed), after=timed_out)
    assert [timed_out.id, gave_up.id] == await listed(replace(ANY, gave_up=True))
    assert [gave_up.id] == await listed(JobFilter(frozenset({State.SCHEDULED}), gave_up=True))
    assert [gave_up.id] == await listed(replace(ANY, gave_up=True, outcomes=frozenset({Outcome.FAILED})))
    assert [] == await listed(replace(ANY, gave_up=True, outcomes=frozenset({Outcome.SUCCEEDED})))
    assert [gave_up.id, again.id] == await listed(replace(ANY, outcomes=failed, due_from=at[2], due_to=at[4]))


@pytest.mark.parametrize("which", [pytest.param(ANY, id="pending"), pytest.param(DONE, id="done")])
async def test_filter_by_due_time(store: Store, which: JobFilter) -> None:
    """The first moment is in, the last is out."""
    make = a_done_job if which.done else a_job
    jobs = [make(fire_at=START + n * MICROSECOND) for n in range(4)]
    await put(store, *jobs)

    async def listed(due_from: int | None, due_to: int | None) -> list[Job]:
        bounds = [None if n is None else START + n * MICROSECOND for n in (due_from, due_to)]
        within = replace(which, due_from=bounds[0], due_to=bounds[1])
        return in_order(*await store.page(BACKUPS, within, after=None, limit=ALL))

    assert jobs[1:3] == await listed(1, 3)
    assert jobs[2:] == await listed(2, None)
    assert jobs[:2] == await listed(None, 2)
    assert [] == await listed(2, 2)


async def test_filter_and_position_go_together(store: Store) -> None:
    """The second page is filtered like the first."""
    jobs = [a_job(fire_at=START + n * SECOND) for n in range(4)]
    await store.add([*jobs, a_job(fire_at=START + SECOND, state=State.PAUSED, paused=True)])
    which = JobFilter(frozenset({State.SCHEDULED}), due_to=START + 3 * SECOND)

    first = await store.page(BACKUPS, which, after=None, limit=2)
    second = await store.page(BACKUPS, which, after=Position.of(first[-1]), limit=2)

    assert [jobs[:2], [jobs[2]]] == [first, second]
