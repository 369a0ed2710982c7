"""How people hold jobs back, let them go, have them run, end their runs, and bring them back."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from mainspring.errors import (
    JobNotDeadError,
    JobNotRunningError,
    JobRunningError,
)
from mainspring.job.history import rows_of, unbegun
from mainspring.job.job import Edit, Job, State
from mainspring.job.lifecycle.beside import beside
from mainspring.job.lifecycle.edits import freed, held_back, refuse_finished, refuse_newer, refuse_unreadable
from mainspring.job.lifecycle.steps import CANCELLED, Done, begun, let_go, quickly_done
from mainspring.job.pause import Hold
from mainspring.job.run import Outcome, Run
from mainspring.schedule import (
    Calendars,
    Once,
    opening,
)


def pause(job: Job, *, now: datetime, reason: str | None = None, until: datetime | None = None) -> Job:
    """Return the job held back, with `until` until then; a run that is under way ends normally.

    Pausing a paused job changes at most why and until when.
    """
    refuse_finished(job)
    refuse_unreadable(job)
    if job.paused and (reason, until) in {(None, None), (job.hold and job.hold.reason, job.resume_at)}:
        return job
    return job._replace(
        paused=True,
        hold=Hold(now, reason),
        resume_at=until,
        state=held_back(job.state),
        version=job.version + 1,
        updated_at=now,
    )


def resume(job: Job, *, now: datetime) -> Job:
    """Return the job let go again; a fire time that passed meanwhile is due at once.

    Resuming a job that is not paused changes nothing.
    """
    refuse_finished(job)
    refuse_unreadable(job)
    if not job.paused:
        return job
    return let_go(job)._replace(state=freed(job.state), give_ups=0, version=job.version + 1, updated_at=now)


def fire(job: Job, child_id: UUID, *, now: datetime) -> tuple[Job, Job | None]:
    """Have a job run at once, also a paused one: return the job, and what runs beside its schedule if it has one.

    A job without a schedule becomes due. Raises `JobRunningError` where it runs, `JobFinishedError`.
    """
    refuse_finished(job)
    refuse_unreadable(job)
    if not isinstance(job.trigger, Once):
        child = beside(job, now, now, child_id, now=now)._replace(backfill=True)
        return job._replace(version=job.version + 1, updated_at=now), child
    if job.state is State.RUNNING:
        raise JobRunningError(f"run {job.run} of the job is under way already", run=job.run)
    due = let_go(job)._replace(state=State.SCHEDULED, waits_for=(), due_at=now, version=job.version + 1, updated_at=now)
    return (due if job.attempt else begun(due, now, now)._replace(trigger=Once(now))), None


def cancel(job: Job, *, now: datetime) -> tuple[Job, Run | None]:
    """Have the run under way end as cancelled; a job without a schedule that does not run is done so.

    Return the job, and for one that is done the row of history that says so, which the store numbers. Raises
    `JobFinishedError`, and `JobNotRunningError` for a job that goes on and does not run.
    """
    refuse_finished(job)
    refuse_newer(job)
    if job.state is State.RUNNING:
        return job._replace(cancelling=True, version=job.version + 1, updated_at=now), None
    if not isinstance(job.trigger, Once):
        raise JobNotRunningError("the job does not run; to hold it back pause it, to end it delete it")
    run = unbegun(job, Outcome.CANCELLED, CANCELLED, now)
    return quickly_done(job, Done(job.failures, job.losses), run, now), run


def retry(job: Job, *, now: datetime) -> Job:
    """Return a dead job brought back: due at once for the fire time it gave up on, with its failures forgotten."""
    if not job.is_dead:
        raise JobNotDeadError("only a job that gave up can be retried")
    refuse_unreadable(job)
    return job._replace(
        state=State.SCHEDULED, due_at=now, failures=0, losses=0, version=job.version + 1, updated_at=now
    )


def revived(job: Job, *, now: datetime, calendars: Calendars) -> Edit:
    """Return a dead job brought back, as `retry` does; if it was moved since it gave up, it waits for its new time."""
    back = retry(job, now=now)
    planned = opening(job.trigger, job_id=job.id, calendars=calendars)
    fire_time, due_at = planned.fire_time, planned.due_at
    if fire_time is None or due_at is None or fire_time == job.fire_time:
        return Edit(back)
    if fire_time < job.fire_time and not isinstance(job.trigger, Once):
        return Edit(back)  # a schedule that began earlier goes on after the fire time that is tried again
    return Edit(begun(back._replace(outcome=None), fire_time, due_at), rows_of(back, planned, "", now))


def retry_run(job: Job, run: Run, child_id: UUID, *, now: datetime) -> tuple[Job, Job]:
    """Return a job that goes on, and the fire time that a run of it gave up on as a job of its own, due at once.

    Its attempts go on after those of the run.
    """
    refuse_finished(job)
    refuse_unreadable(job)
    child = beside(job, run.fire_time, now, child_id, now=now)._replace(attempt=run.attempt)
    return job._replace(outcome=None, version=job.version + 1, updated_at=now), child
