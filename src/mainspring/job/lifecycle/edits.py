"""How jobs are made, changed and moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from mainspring.errors import (
    InvalidRequestError,
    JobFinishedError,
    JobRunningError,
    NewerJobError,
    Problem,
    UnreadableJobError,
)
from mainspring.job.history import rows_of, unrun_since
from mainspring.job.job import Edit, Job, State
from mainspring.job.key import JobKey
from mainspring.job.labels import labels_of
from mainspring.job.lifecycle.steps import Next, begun, let_go
from mainspring.job.options import Options
from mainspring.job.pause import Hold
from mainspring.job.request import NOW
from mainspring.job.tuples import maker
from mainspring.schedule import (
    MICROSECOND,
    Calendars,
    Once,
    Planned,
    Recurring,
    Trigger,
    beginning,
    following,
    format_time,
    opening,
    realigned,
)

CREATED_PAUSED = "created paused"
"""Why jobs are paused that were created so."""
_WAITING = frozenset({State.SCHEDULED, State.PAUSED})


def create(  # noqa: PLR0913 - what a job is made of, and the two that a decision takes
    *,
    job_id: UUID,
    key: JobKey,
    request: Mapping[str, Any],
    trigger: Trigger,
    options: Options,
    now: datetime,
    calendars: Calendars,
    fires_from: datetime | None = None,
) -> Edit:
    """Return a new job that waits for the first occurrence of its trigger; one in the past is due at once.

    A schedule that goes on from elsewhere waits for its first occurrence at or after `fires_from`: those before have
    had their turn. Raises `InvalidRequestError` when the calendar of a schedule, the value of an ``H``, or
    `fires_from`, leaves it no time to fire.
    """
    trigger = trigger.for_job(job_id)
    if fires_from is None or isinstance(trigger, Once):
        fire_time, due_at, planned = first(trigger, job_id, calendars)
    else:
        fire_time, due_at, planned = _going_on(trigger, fires_from, job_id, calendars)
    job = _new_job(job_id, key, request, trigger, fire_time, due_at, now, now, options)
    if options.paused:
        job = job._replace(state=State.PAUSED, paused=True, hold=Hold(now, CREATED_PAUSED))
    return Edit(job, rows_of(job, planned, "", now) if planned.unrun or planned.reason else ())


def follow_up(job: Job, *, now: datetime, calendars: Calendars) -> Edit:
    """Return a job that a run has asked for, with its first occurrence by its calendar; one that is to run `NOW`, now.

    Raises `InvalidRequestError` when the calendar is not there, or leaves it no time to fire.
    """
    trigger = job.trigger
    if isinstance(trigger, Once) and job.request.get("when") == NOW:
        request = {**job.request, "when": format_time(now)}
        return Edit(job._replace(request=request, trigger=Once(now), fire_time=now, due_at=now))
    if isinstance(trigger, Once) or trigger.calendar is None:
        return Edit(job)
    if (name := trigger.calendar.name) not in calendars:
        problem = Problem("/schedule/calendar", "CALENDAR_UNKNOWN", f"there is no calendar {name}")
        raise InvalidRequestError(f"{problem.pointer} {problem.detail}", problems=[problem])
    fire_time, due_at, planned = first(trigger, job.id, calendars)
    return Edit(job._replace(fire_time=fire_time, due_at=due_at), rows_of(job, planned, "", now))


# To make it by name and put its first occurrence in took 3 us more, of the 18 for each job of a batch.
_new_job = maker(Job, "id", "key", "request", "trigger", "fire_time", "due_at", "created_at", "updated_at", "options")


def first(trigger: Trigger, job_id: UUID, calendars: Calendars) -> Next:
    """Return the first occurrence of a trigger. Raises `InvalidRequestError` if there is none."""
    return _found(opening(trigger, job_id=job_id, calendars=calendars))


def _going_on(trigger: Recurring, moment: datetime, job_id: UUID, calendars: Calendars) -> Next:
    """Return the first occurrence from a moment on. Raises `InvalidRequestError` if there is none."""
    if trigger.next_fire_time(moment - MICROSECOND) is None:
        problem = Problem("?firesFrom", "SCHEDULE_NEVER", "is later than the last fire time of the schedule")
        raise InvalidRequestError(f"{problem.pointer} {problem.detail}", problems=[problem])
    return _found(beginning(trigger, moment - MICROSECOND, job_id=job_id, calendars=calendars))


def _found(planned: Planned) -> Next:
    """Return an occurrence that there must be. Raises `InvalidRequestError` if there is none."""
    if planned.fire_time is None or planned.due_at is None:
        problem = Problem("/schedule/calendar", "SCHEDULE_NEVER", "leaves the schedule no time at which it fires")
        if not planned.unrun:  # not the calendar's doing: H may have got a value that comes too late or never
            problem = Problem("/schedule", "SCHEDULE_NEVER", "never fires, with the values of its H for this job")
        raise InvalidRequestError(f"{problem.pointer} {problem.detail}", problems=[problem])
    return Next(planned.fire_time, planned.due_at, planned)


def reschedule(
    job: Job,
    *,
    request: Mapping[str, Any],
    trigger: Trigger,
    options: Options,
    now: datetime,
    calendars: Calendars,
    is_moved: bool = False,
) -> Edit:
    """Return the job with a new request, trigger and options.

    A changed trigger begins a new fire time, with its attempts from 1. Of the occurrences that had their turn none is
    repeated: it is the first one after those, or that of a trigger that `is_moved`. Raises like `create`.
    """
    refuse_finished(job)
    refuse_newer(job)
    if job.state is State.RUNNING and isinstance(job.trigger, Once):
        detail = f"run {job.run} of the job is under way: what it was to do has begun and can no longer be changed"
        raise JobRunningError(detail, run=job.run)
    trigger = trigger.for_job(job.id)
    changed = _with_options(job, options, now)._replace(
        request=request, trigger=trigger, version=job.version + 1, updated_at=now, damage=None
    )
    if (trigger == job.trigger and job.damage is None) or job.state is State.RUNNING:
        return Edit(changed)
    had_turn = None if is_moved else _had_turn(job, now, calendars)
    if had_turn is None or isinstance(trigger, Once):
        fire_time, due_at, planned = first(trigger, job.id, calendars)
    else:
        fire_time, due_at, planned = _found(beginning(trigger, had_turn, job_id=job.id, calendars=calendars))
    if job.attempt:
        changed = changed._replace(outcome=None)  # it did not give up on the fire time that it leaves
    return Edit(begun(changed, fire_time, due_at), rows_of(changed, planned, "", now))


def ranked(job: Job, priority: int, key: str | None, searchable: Sequence[str] = ()) -> Job:
    """Return a job with the priority and the concurrency key that its options say, or else what its group does.

    And with its labels, some of which are of fields of its request that are `searchable`.
    """
    wanted = priority if job.options.priority is None else job.options.priority
    key = job.options.concurrency_key or key
    labels = labels_of(job.options, key, job.request, searchable)
    if job.priority == wanted and job.concurrency_key == key and job.labels == labels:
        return job
    return job._replace(priority=wanted, concurrency_key=key, labels=labels)


def _with_options(job: Job, options: Options, now: datetime) -> Job:
    """Return a job with new options: `paused` pauses it or lets it go, if it says something else than before."""
    changed = job._replace(options=options)
    if bool(options.paused) == bool(job.options.paused) or bool(options.paused) == job.paused:
        return changed
    if options.paused:
        return changed._replace(state=held_back(job.state), paused=True, hold=Hold(now))
    return let_go(changed)._replace(state=freed(job.state))


def held_back(state: State) -> State:
    """Return the state of a job that is paused in one."""
    return State.PAUSED if state is State.SCHEDULED else state


def freed(state: State) -> State:
    """Return the state of a job that is resumed in one."""
    return State.SCHEDULED if state is State.PAUSED else state


def amended(
    job: Job,
    *,
    request: Mapping[str, Any],
    trigger: Trigger,
    options: Options,
    calendars: Calendars,
) -> Job:
    """Return a dead job with a new request, trigger and options; it stays dead until it is retried.

    Raises like `create`.
    """
    refuse_newer(job)
    trigger = trigger.for_job(job.id)
    amended = job._replace(
        request=request,
        trigger=trigger,
        options=options,
        version=job.version + 1,
        damage=None,
    )
    if trigger == job.trigger and job.damage is None:
        return amended
    fire_time, due_at, _ = first(trigger, job.id, calendars)
    return amended if job.damage is None else amended._replace(fire_time=fire_time, due_at=due_at)


def _had_turn(job: Job, now: datetime, calendars: Calendars) -> datetime | None:
    """Return up to when occurrences of a job have had their turn; `None` if none has."""
    if job.damage is not None or isinstance(job.trigger, Once):
        return None
    if job.attempt:
        return job.fire_time
    first = opening(job.trigger, job_id=job.id, calendars=calendars)
    if job.last_run is None and first.fire_time == job.fire_time:
        return None
    return min(job.fire_time - MICROSECOND, now)


def moved(job: Job, moment: datetime, *, now: datetime, calendars: Calendars) -> Trigger:
    """Return the trigger of a job whose next fire time is to be `moment`.

    The occurrences before the pending one have had their turn: to name the time of one of them, or one before the last
    that ran, moves nothing.
    """
    if job.last_run is not None and moment <= job.last_run.fire_time and not isinstance(job.trigger, Once):
        return job.trigger
    had_turn = _had_turn(job, now, calendars)
    if had_turn and moment <= had_turn and job.trigger.next_fire_time(moment - MICROSECOND) == moment:
        return job.trigger
    gone = job.fire_time if job.state is State.RUNNING else job.fire_time - MICROSECOND
    return job.trigger.starting(moment, gone)


def replanned(job: Job, *, now: datetime, calendars: Calendars) -> Edit | None:
    """Return the job with the next occurrence that it has by its calendar and the rules of its time zone as they are.

    `None` if that is the one it waits for, or it waits for none: it runs, was tried already, or its time has come.
    """
    trigger = job.trigger
    if isinstance(trigger, Once) or job.state not in _WAITING or job.attempt or job.fire_time <= now or job.damage:
        return None
    moved = realigned(trigger, job.fire_time)
    since = now if moved is None or moved == job.fire_time else min(now, moved - MICROSECOND)
    planned = beginning(trigger, since, job_id=job.id, calendars=calendars)
    if planned.fire_time is None or planned.due_at is None:
        return None
    if (planned.fire_time, planned.due_at) == (job.fire_time, job.due_at):
        return None
    edited = begun(job._replace(version=job.version + 1, updated_at=now), planned.fire_time, planned.due_at)
    unrun = tuple(unrun_since(trigger, job.fire_time, planned.unrun))
    return Edit(edited, rows_of(job, planned._replace(unrun=unrun), "", now))


def pending(job: Job, *, now: datetime, calendars: Calendars) -> Planned:
    """Return the occurrence that a job waits for, or would wait for if its run ended now; none if it is done."""
    if job.state is State.DONE:
        return Planned(None, None)
    if job.state is State.RUNNING:
        began = job.begins_at or now
        return following(job.trigger, job.fire_time, started_at=began, now=now, job_id=job.id, calendars=calendars)
    return Planned(job.fire_time, job.due_at)


def refuse_newer(job: Job) -> None:
    """Refuse to change what only later versions can read."""
    if job.damage is not None and job.damage.is_newer:
        raise NewerJobError("a newer version of Mainspring wrote the job; only its nodes can read and change it")


def refuse_unreadable(job: Job) -> None:
    """Refuse what would leave a job as unreadable as it is."""
    refuse_newer(job)
    if job.damage is not None:
        raise UnreadableJobError(f"{job.damage.reason}; PATCH it with what it should be, or delete it")


def refuse_finished(job: Job) -> None:
    """Refuse to change what is done."""
    if job.state is State.DONE:
        raise JobFinishedError("the job is done" + (" and dead; retry brings it back" if job.is_dead else ""))
