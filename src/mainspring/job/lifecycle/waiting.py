"""Jobs that begin when others are done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from mainspring.errors import InvalidRequestError, JobRunningError, Problem
from mainspring.job.history import unbegun
from mainspring.job.job import Job, State
from mainspring.job.lifecycle.steps import Done, quickly_done
from mainspring.job.options import OnFailure, Options
from mainspring.job.run import Outcome, Run


def waits_for(options: Options, over: Mapping[UUID, bool]) -> tuple[UUID, ...]:
    """Return the jobs that one with these options waits for; `over` tells which are done, and whether they succeeded.

    Raises `InvalidRequestError` where it is to be cancelled if one of them does not succeed, and that is so already.
    """
    what = options.on_failure or OnFailure.WAIT
    waits, problems = [], []
    for place, awaited in enumerate(options.after or ()):
        if what is OnFailure.CANCEL and over.get(awaited) is False:
            detail = f"job {awaited} is done and did not succeed, so this one would be cancelled"
            problems.append(Problem(f"/options/after/{place}", "AFTER_FAILED", detail))
        elif awaited not in over or (not over[awaited] and what is OnFailure.WAIT):
            waits.append(awaited)
    if problems:
        raise InvalidRequestError(problems[0].detail, problems=problems)
    return tuple(waits)


def made_to_wait(job: Job, over: Mapping[UUID, bool]) -> Job:
    """Return a job that waits for what its options say. Raises `JobRunningError` for one that runs."""
    if job.state is State.RUNNING:
        detail = f"run {job.run} of the job is under way: it is too late to have it wait for others"
        raise JobRunningError(detail, run=job.run)
    return job._replace(waits_for=waits_for(job.options, over))


def has_succeeded(awaited: Job | None) -> bool:
    """Tell whether a job that others wait for has succeeded; one that was deleted has not."""
    return awaited is not None and awaited.state is State.DONE and awaited.outcome is Outcome.SUCCEEDED


def heard(job: Job, awaited: UUID, *, succeeded: bool, now: datetime) -> tuple[Job, Run | None]:
    """Return a job after one is over that it waits for, the same job if it goes on waiting for it.

    With it comes the row of history of one that is cancelled because of that.
    """
    if awaited not in job.waits_for:
        return job, None
    what = OnFailure.RUN if succeeded else job.options.on_failure or OnFailure.WAIT
    if what is OnFailure.WAIT:
        return job, None
    if what is OnFailure.CANCEL:
        run = unbegun(job, Outcome.CANCELLED, f"job {awaited}, for which it waited, did not succeed", now)
        return quickly_done(job, Done(job.failures, job.losses), run, now), run
    rest = tuple(each for each in job.waits_for if each != awaited)
    return job._replace(waits_for=rest, version=job.version + 1, updated_at=now), None
