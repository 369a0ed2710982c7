"""A job's life by the rules alone: created, claimed as stores do it, ended, and so on, with nothing else around it."""

from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from mainspring.job import Ending, Job, JobKey, Options, Outcome, RetryPolicy, State, history, lifecycle
from mainspring.schedule import MICROSECOND, Recurring

_ID = UUID("019e830e-1a00-70a5-abaa-9455e3e70682")
_KEY = JobKey("vps4", "backups")
_SUCCEEDED = Ending(Outcome.SUCCEEDED)


class Life(NamedTuple):
    """How many runs there were, how many were not later than the one before, and a hash of all their fire times."""

    runs: int
    disorderly: int
    told: str


def live(trigger: Recurring, until: datetime) -> Life:
    """Lead a job through its life, each run at its time and of no length, as long as it is due before `until`."""
    policy, told, runs, disorderly = RetryPolicy(), blake2b(digest_size=8), 0, 0
    before = trigger.start - MICROSECOND
    job = lifecycle.create(
        job_id=_ID, key=_KEY, request={}, trigger=trigger, options=Options(), now=trigger.start, calendars={}
    ).job
    while job.state is State.SCHEDULED and (now := job.due_at) < until:
        runs += 1
        job = _claimed(job, runs, now)
        assert lifecycle.missed(job, now=now, calendars={}) is None
        run = history.ended(job, _SUCCEEDED, started_at=now, now=now)
        disorderly += run.fire_time <= before
        before = run.fire_time
        told.update(repr(before).encode())
        change = lifecycle.after(job, run, _SUCCEEDED, policy=policy, now=now, chance=0, calendars={})
        assert not change.unrun
        job = change.job
    return Life(runs, disorderly, told.hexdigest())


def _claimed(job: Job, run: int, now: datetime) -> Job:
    return job._replace(
        state=State.RUNNING, run=run, node="node", attempt=job.attempt + 1, version=job.version + 1, claimed_at=now
    )
