"""Occurrences that are taken out of their jobs, to be run beside them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from mainspring.errors import (
    JobNotRecurringError,
)
from mainspring.job.history import ended, rows_of
from mainspring.job.job import Edit, Job
from mainspring.job.lifecycle.edits import refuse_finished, refuse_unreadable
from mainspring.job.lifecycle.steps import Done, begun, next_occurrence, waits
from mainspring.job.run import Ending, Outcome
from mainspring.schedule import (
    Backfilled,
    Calendars,
    Once,
)

DELETED_BEFORE = "its job was deleted while it ran"
"""Why runs of occurrences end whose job was deleted."""


def split_off(job: Job, child_id: UUID, *, now: datetime, calendars: Calendars) -> tuple[Edit, Job] | None:
    """Take the occurrence that a running job is about to begin out of it, so that the next need not wait for its end.

    Return the job, which waits for that, and the occurrence as a running job of its own; `None` if there is no next.
    """
    run = ended(job, Ending(Outcome.SKIPPED), started_at=now, now=now)
    becomes = next_occurrence(job, run, now, calendars)
    if isinstance(becomes, Done):
        return None
    waiting = begun(job, becomes.fire_time, becomes.due_at)._replace(
        state=waits(job), run=None, node=None, claimed_at=None, version=job.version + 1, updated_at=now
    )
    child = job._replace(id=child_id, parent=job.id, trigger=Once(job.fire_time), paused=False, version=1)
    return Edit(waiting, rows_of(job, becomes.planned, run.node, now)), child


def check_backfill(job: Job) -> None:
    """Raise `JobFinishedError` or `JobNotRecurringError` for a job of which no past can be run afterwards."""
    refuse_finished(job)
    refuse_unreadable(job)
    if isinstance(job.trigger, Once):
        raise JobNotRecurringError("only the past of a job with a schedule can be run afterwards")


def backfilled(job: Job, occurrence: Backfilled, child_id: UUID, *, now: datetime) -> Job:
    """Return an occurrence of a job's past, to be run beside it."""
    return beside(job, occurrence.fire_time, occurrence.due_at, child_id, now=now)._replace(backfill=True)


def beside(job: Job, fire_time: datetime, due_at: datetime, child_id: UUID, *, now: datetime) -> Job:
    """Return a fire time of a job as a job of its own, which waits."""
    return Job(
        id=child_id,
        key=job.key,
        request=job.request,
        trigger=Once(fire_time),
        fire_time=fire_time,
        due_at=due_at,
        created_at=now,
        updated_at=now,
        options=job.options,
        priority=job.priority,
        concurrency_key=job.concurrency_key,
        parent=job.id,
    )
