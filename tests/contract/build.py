"""What the contract's cases are arranged with: jobs, runs, and stores that hold them."""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from mainspring.job import (
    Change,
    Claim,
    Ending,
    Job,
    JobFilter,
    JobKey,
    Options,
    Outcome,
    Run,
    State,
    lifecycle,
    retry,
)
from mainspring.job.history import ended as ended_run
from mainspring.schedule import Once, Trigger
from mainspring.store import Answer, NodeBeat, Store

Place = Callable[[], Store]
"""Where jobs can live: each call makes another store, not yet open, on the same data (in RAM on its own)."""

START = datetime(2026, 1, 1, tzinfo=UTC)
"""Where a `ManualClock` begins."""
SECOND = timedelta(seconds=1)
BACKUPS = JobKey("vps4", "backups")
SNAPSHOTS = JobKey("vps4", "snapshots")
ANY, DONE = JobFilter(), JobFilter(frozenset({State.DONE}))
NODE = "node-1"
ALL = 10_000

_numbers = count(1_000_000)


def a_job(*, fire_at: datetime = START, key: JobKey = BACKUPS, trigger: Trigger | None = None, **changes: Any) -> Job:
    """Make a new job that fires once, unless something else is asked for."""
    job = lifecycle.create(
        job_id=uuid4(),
        key=key,
        request={"vmId": "v1"},
        trigger=trigger or Once(fire_at),
        options=Options(),
        now=START,
        calendars={},
    ).job
    return job._replace(**changes)


def in_order(*jobs: Job) -> list[Job]:
    """Put jobs in the order of pages."""
    return sorted(jobs, key=lambda job: (job.due_at, job.id))


def a_run(job: Job, **changes: Any) -> Run:
    """Make a row of history of a job, under a number that no store has drawn."""
    run = Run(
        number=next(_numbers),
        job_id=job.id,
        key=job.key,
        fire_time=job.fire_time,
        due_at=job.due_at,
        attempt=1,
        node=NODE,
        started_at=START,
        finished_at=START,
        outcome=Outcome.SUCCEEDED,
    )
    return run._replace(**changes)


def a_running_job(**changes: Any) -> Job:
    """Make a job that somebody runs already."""
    return a_job(**{"state": State.RUNNING, "run": next(_numbers), "node": NODE, "claimed_at": START, **changes})


def a_done_job(**changes: Any) -> Job:
    """Make a job that has succeeded, with the run that ended it; `put` brings it into a store."""
    job = a_job(**{"state": State.DONE, "outcome": Outcome.SUCCEEDED, "version": 3, "attempt": 1, **changes})
    run = a_run(job, attempt=job.attempt, outcome=job.outcome, started_at=job.updated_at, finished_at=job.updated_at)
    return job._replace(last_run=run)


def edited(job: Job, **changes: Any) -> Job:
    """Change a job as an edit does: its version rises by one."""
    return job._replace(version=job.version + 1, **changes)


def as_claimed(job: Job, *, run: int | None, node: str, at: datetime) -> Job:
    """Change a job as a claim must."""
    return edited(job, state=State.RUNNING, run=run, node=node, attempt=job.attempt + 1, claimed_at=at, updated_at=at)


def ended(
    job: Job, outcome: Outcome = Outcome.SUCCEEDED, *, at: datetime | None = None, delay: timedelta | None = None
) -> Change:
    """End the run of a job, at the moment of its claim unless said otherwise."""
    assert job.claimed_at is not None
    now = at or job.claimed_at
    ending = Ending(outcome, reason=f"it was {outcome}", delay=delay)
    run = ended_run(job, ending, started_at=job.claimed_at, now=now)
    policy = retry.RetryPolicy()
    return lifecycle.after(job, run, ending, policy=policy, now=now, chance=0, calendars={})


# --- with a store


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Store]:
    """A store that is open meanwhile."""
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def put(store: Store, *jobs: Job) -> None:
    """Put jobs into a store as they are; those that are done get there by ending their last run."""
    for job in jobs:
        before = job._replace(version=job.version - 1, state=State.SCHEDULED, outcome=None, last_run=None)
        if job.state is not State.DONE:
            await store.add([job])
        elif job.last_run is not None:
            run = job.last_run
            running: dict[str, Any] = {
                "state": State.RUNNING,
                "run": run.number,
                "node": run.node,
                "claimed_at": run.started_at,
            }
            await store.add([before._replace(**running)])
            assert [Answer.DONE] == await store.finish([Change(run, job)])


async def claim(store: Store, *, node: str = NODE, key: JobKey = BACKUPS, limit: int = ALL) -> list[Claim]:
    """Claim from one group."""
    return (await store.claim(node, {key: limit}, limit)).claims


async def running(store: Store, *jobs: Job, node: str = NODE) -> list[Job]:
    """Let a node run new jobs, which must be due; return them as claimed, in the order given."""
    if node not in {beat.name for beat in await store.nodes()}:
        await store.join(NodeBeat(node))
    await store.add(jobs)
    demand = {job.key: ALL for job in jobs}
    claimed = {claim.job.id: claim.job for claim in (await store.claim(node, demand, ALL)).claims}
    return [claimed[job.id] for job in jobs]


async def jobs_of(store: Store, key: JobKey = BACKUPS) -> dict[UUID, Job]:
    """Return all jobs of a group, done ones too."""
    pages = [await store.page(key, which, after=None, limit=ALL) for which in (ANY, DONE)]
    return {job.id: job for page in pages for job in page}


async def history(store: Store, key: JobKey = BACKUPS, job_id: UUID | None = None) -> list[Run]:
    """Return all history of a group or a job."""
    return await store.runs(key, job_id, before=None, limit=ALL)


async def with_history(store: Store, *runs: Run) -> None:
    """Put rows of history into a store, of jobs that are gone."""
    for run in runs:
        job = a_job(id=run.job_id, key=run.key)
        await store.add([job])
        await store.delete(job, run)


async def due_in(store: Store, keys: Collection[JobKey]) -> timedelta | None:
    """Return how long it is until the next job of these groups is due."""
    due = await store.next_due(keys)
    return None if due is None else due.wait
