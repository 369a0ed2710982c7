"""`Store.add`, and that what comes back is what was written."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mainspring.errors import ConflictError
from mainspring.job import Backoff, Job, JobKey, Options, Outcome, State
from mainspring.schedule import EARLIEST, LATEST, MICROSECOND, Every, Once, Period, Recurring
from mainspring.store import Store
from mainspring.store.rows import to_json
from tests.contract.build import SECOND, START, Place, a_job, a_run, a_running_job, jobs_of, opened

ODD_REQUEST = {
    "": "",
    "__proto__": {"constructor": {"__class__": "$ref"}},
    "žluťoučký 🐎": "naïve \u2028 \u202e \U0010ffff",
    "escapes": '"\\/\b\f\n\r\t\x01\x7f',
    "nested": [[{"a": [None, True, False, [], {}]}], {"b": {"c": {}}}],
    "numbers": [0, -1, 2**53 + 1, -(10**40), 0.1, 1e-300, 1.7976931348623157e308, 1.0],
    "sql": "'; drop table jobs; -- %s %(id)s :id ?",
}
AT_NIGHT = datetime(2026, 3, 29, 0, 59, 59, 999999, UTC)
NIGHTLY = Recurring(
    Every(period=Period(months=1, days=2, exact=timedelta(hours=26, microseconds=1))),
    start=AT_NIGHT,
    count=7,
    end=datetime(2100, 2, 28, tzinfo=UTC),
    time_zone="Europe/Berlin",
)
FULL = a_running_job(
    key=JobKey("próduct", "group's"),
    request=ODD_REQUEST,
    trigger=NIGHTLY,
    options=Options(
        max_attempts=9, backoff=Backoff(timedelta(seconds=0.5), 1.5, 90 * MICROSECOND), timeout=MICROSECOND
    ),
    paused=True,
    fire_time=AT_NIGHT,
    due_at=AT_NIGHT + MICROSECOND,
    attempt=4,
    failures=2,
    losses=1,
    claimed_at=START + MICROSECOND,
    outcome=Outcome.TIMED_OUT,
    version=2**40,
    created_at=START - MICROSECOND,
    updated_at=START + 2 * MICROSECOND,
)
ENDED = a_run(FULL, attempt=3, started_at=AT_NIGHT, finished_at=START + MICROSECOND, outcome=Outcome.LOST)
JOBS = {
    "every field": FULL,
    "once, but not at its fire time": a_job(trigger=Once(START + SECOND), fire_time=START),
    "1970": a_job(fire_at=datetime(1970, 1, 1, tzinfo=UTC)),
    "before 1970": a_job(fire_at=datetime(1901, 12, 13, 20, 45, 51, 999999, UTC)),
    "2100": a_job(fire_at=datetime(2100, 12, 31, 23, 59, 59, 999999, UTC)),
    "the earliest of all times": a_job(fire_at=EARLIEST),
    "the latest of all times": a_job(fire_at=LATEST),
    "in between": a_job(trigger=Recurring(Every(Period(days=1)), EARLIEST, end=LATEST), fire_time=LATEST),
    "every microseconds": a_job(trigger=Recurring(Every(Period(exact=timedelta(seconds=60, microseconds=10))), START)),
    "every two days": a_job(trigger=Recurring(Every(Period(days=2)), START, time_zone="Pacific/Apia")),
    "48 exact hours": a_job(trigger=Recurring(Every(Period(exact=timedelta(hours=48))), START)),
    "an empty request": a_job(request={}),
    "paused": a_job(state=State.PAUSED, paused=True),
    **{f"ended {outcome}": a_job(outcome=outcome) for outcome in Outcome},
}


@pytest.mark.parametrize("job", [pytest.param(job, id=name) for name, job in JOBS.items()])
async def test_job_comes_back_as_it_was_written(store: Store, job: Job) -> None:
    """Every field of a job survives, to the microsecond and to the letter."""
    await store.add([job])

    back = await store.get(job.id)

    assert back is not None
    assert job == back
    assert to_json(job.request) == to_json(back.request), "1, 1.0 and true are equal in Python only"


async def test_moments_come_back_in_utc(store: Store) -> None:
    """What a store returns needs no conversion."""
    await store.add([FULL])

    back = await store.get(FULL.id)

    assert back is not None
    moments = [back.fire_time, back.due_at, back.claimed_at, back.created_at, back.updated_at]
    assert [timedelta()] * 5 == [moment and moment.utcoffset() for moment in moments]


async def test_jobs_are_there_when_add_returns(store: Store) -> None:
    """Many jobs are added in one call."""
    jobs = [a_job() for _ in range(1000)]

    await store.add(jobs)

    assert {job.id: job for job in jobs} == await jobs_of(store)


async def test_adding_nothing_is_harmless(store: Store) -> None:
    """An empty batch is a batch."""
    await store.add([])

    assert {} == await store.counts()


async def test_id_that_exists_is_refused(store: Store) -> None:
    """A job is never overwritten by another with its id, and nothing of the batch is written."""
    old, new = a_job(request={"old": True}), a_job()
    await store.add([old])

    with pytest.raises(ConflictError):
        await store.add([new, old._replace(request={"old": False})])

    assert [old, None] == [await store.get(old.id), await store.get(new.id)]


async def test_id_twice_in_a_batch_is_refused(store: Store) -> None:
    """All or none also holds for a batch at odds with itself."""
    job = a_job()

    with pytest.raises(ConflictError):
        await store.add([job, job])

    assert await store.get(job.id) is None


OLD = a_job()
UNWRITABLE = a_job(request={"half a character": "\ud83d"})


@pytest.mark.parametrize(("refused", "kind"), [(OLD, ConflictError), (UNWRITABLE, ValueError)])
async def test_refused_call_takes_no_other_with_it(store: Store, refused: Job, kind: type[Exception]) -> None:
    """Of calls at the same time, which may share a commit, only those that cannot be written are refused."""
    new = [a_job() for _ in range(20)]
    await store.add([OLD])
    calls = [[job] for job in new] + [[a_job(), refused]]

    answers = await asyncio.gather(*map(store.add, calls), return_exceptions=True)

    assert [None] * len(new) == answers[:-1]
    assert isinstance(answers[-1], kind)
    assert {job.id: job for job in [OLD, *new]} == await jobs_of(store)


async def test_call_that_was_given_up_takes_no_other_with_it(store: Store) -> None:
    """Whoever is cancelled while their jobs are written does not keep the others waiting."""
    first, other = a_job(), a_job()
    gone = asyncio.ensure_future(store.add([first]))

    async def give_up() -> None:
        gone.cancel()

    await asyncio.gather(give_up(), store.add([other]))

    assert gone.cancelled()
    assert other == await store.get(other.id)


async def test_durable_store_keeps_its_jobs(place: Place) -> None:
    """Jobs survive the close of a store that says it is durable, and of no other."""
    job = a_job()
    async with opened(place()) as store:
        await store.add([job])

    async with opened(place()) as store:
        assert (job if store.durable else None) == await store.get(job.id)
