"""The state machine of a job, pure: what a job becomes, given what happened and when.

No clock, no store, no chance of its own.

Each function returns the job as it is to be written, its version raised by one. `now` is always the store's time. What
a run makes of its job is decided first, as a value (`Done`, `Again` or `Next`), and then written into the job.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, assert_never
from uuid import UUID

from mainspring.errors import (
    InvalidRequestError,
    JobFinishedError,
    JobNotDeadError,
    JobNotRecurringError,
    JobRunningError,
    NewerJobError,
    Problem,
    UnreadableJobError,
)
from mainspring.job.history import ended, rows_of, unrun_since, without_first
from mainspring.job.job import Change, Edit, Job, State
from mainspring.job.key import JobKey
from mainspring.job.options import Options
from mainspring.job.retry import RetryPolicy, counted, delay_before_retry
from mainspring.job.run import Ending, Outcome, Run
from mainspring.job.tuples import changer, maker, new_tuple
from mainspring.schedule import (
    HORIZON,
    MICROSECOND,
    Backfilled,
    Calendars,
    Once,
    Planned,
    Trigger,
    beginning,
    following,
    opening,
    overdue,
    put_off,
    realigned,
)

SHORTEST_POSTPONEMENT = timedelta(seconds=1)
"""A listener that postpones by nothing would send its job round in circles as fast as the store can write."""
DELETED_BEFORE = "its job was deleted while it ran"
"""Why runs of occurrences end whose job was deleted."""
_WAITING = frozenset({State.SCHEDULED, State.PAUSED})


# --- what a run makes of its job --------------------------------------------------------------------------------------


class Done(NamedTuple):
    """The job has nothing left to do. `planned` tells of occurrences that were passed over on the way to the end."""

    failures: int
    losses: int
    planned: Planned | None = None


_nothing_left = maker(Done, "failures", "losses")
"""What nearly all runs of jobs without a schedule make of them."""


class Again(NamedTuple):
    """The same fire time is tried once more, when `due_at` has come."""

    due_at: datetime
    failures: int
    losses: int


class Next(NamedTuple):
    """The job waits for its next occurrence, whose attempts begin from 1."""

    fire_time: datetime
    due_at: datetime
    planned: Planned


Becomes = Done | Again | Next
"""What a run makes of its job."""


def missed(job: Job, *, now: datetime, calendars: Calendars) -> Ending | None:
    """Return how to end a job that was claimed too late to be begun, or is to wait longer; `None` if it may start."""
    if isinstance(job.trigger, Once) or job.failures or job.losses:
        return None
    off = put_off(job.trigger, job.fire_time, now=now, job_id=job.series, calendars=calendars)
    if off is not None:
        until, reason = off
        return Ending(Outcome.POSTPONED, reason, delay=until - now)
    if not job.trigger.may_miss:
        return None
    planned = overdue(job.trigger, job.fire_time, due_at=job.due_at, now=now, job_id=job.id, calendars=calendars)
    if planned.fire_time == job.fire_time:
        return None
    return Ending(Outcome.SKIPPED, planned.unrun[0].reason, missed=True)


def after(
    job: Job, run: Run, ending: Ending, *, policy: RetryPolicy, now: datetime, chance: float, calendars: Calendars
) -> Change:
    """Return what a running job becomes when its run ends; `chance` in [0, 1) spreads retries.

    Only `failed` and `timed_out` use up attempts; `lost` counts towards `retry.HOPELESS`; `postponed` and `interrupted`
    cost nothing.
    """
    becomes = decide(job, run, ending, policy=policy, now=now, chance=chance, calendars=calendars)
    if type(becomes) is Done and becomes.planned is None:
        return new_tuple(Change, (run, quickly_done(job, becomes, run, now), ()))
    return Change(run, written(job, becomes, run, now), _passed_over(job, becomes, run, now))


def decide(
    job: Job, run: Run, ending: Ending, *, policy: RetryPolicy, now: datetime, chance: float, calendars: Calendars
) -> Becomes:
    """Say where a job stands after a run that ended so."""
    match ending.outcome:
        case Outcome.SUCCEEDED | Outcome.VETOED | Outcome.SKIPPED:
            return _next_occurrence(job, run, now, calendars, missed=ending.missed)
        case Outcome.CANCELLED:
            return Done(job.failures, job.losses)
        case Outcome.POSTPONED | Outcome.INTERRUPTED:
            least = SHORTEST_POSTPONEMENT if ending.outcome is Outcome.POSTPONED else timedelta()
            return Again(_in(max(ending.delay or least, least), now), job.failures, job.losses)
        case Outcome.LOST | Outcome.FAILED | Outcome.TIMED_OUT:
            counts = counted(job, ending)
            delay = delay_before_retry(job, ending, counts, policy, chance)
            if delay is not None:
                return Again(_in(delay, now), *counts)
            becomes = _next_occurrence(job, run, now, calendars)
            return (
                becomes._replace(failures=counts.failures, losses=counts.losses)
                if isinstance(becomes, Done)
                else becomes
            )
        case _:
            assert_never(ending.outcome)


def written(job: Job, becomes: Becomes, run: Run, now: datetime) -> Job:
    """Return a job as its run, which has ended, leaves it."""
    free = _without_run(job, run, now)
    match becomes:
        case Done(failures, losses):
            return free._replace(state=State.DONE, paused=False, failures=failures, losses=losses)
        case Again(due_at, failures, losses):
            return free._replace(state=_waits(job), due_at=due_at, failures=failures, losses=losses)
        case Next(fire_time, due_at):
            return _begun(free, fire_time, due_at)._replace(state=_waits(job))
        case _:
            assert_never(becomes)


_over = changer(
    Job,
    "updated_at",
    "version",
    "state",
    "paused",
    "failures",
    "losses",
    "run",
    "node",
    "claimed_at",
    "outcome",
    "last_run",
)


def quickly_done(job: Job, becomes: Done, run: Run, now: datetime) -> Job:
    """Return what `written` does for a job that is done, which is what most runs make of theirs.

    `written` takes 3 us more, of the 20 that Python has for a run.
    """
    return _over(
        job,
        now,
        job.version + 1,
        State.DONE,
        False,  # noqa: FBT003 - not paused
        becomes.failures,
        becomes.losses,
        None,
        None,
        None,
        run.outcome,
        run,
    )


def _without_run(job: Job, run: Run, now: datetime) -> Job:
    return job._replace(
        run=None,
        node=None,
        claimed_at=None,
        outcome=run.outcome,
        last_run=run,
        version=job.version + 1,
        updated_at=now,
    )


def _waits(job: Job) -> State:
    return State.PAUSED if job.paused else State.SCHEDULED


def _begun(job: Job, fire_time: datetime, due_at: datetime) -> Job:
    """Return a job at the beginning of an occurrence, with its attempts from 1."""
    return job._replace(fire_time=fire_time, due_at=due_at, attempt=0, failures=0, losses=0)


def _passed_over(job: Job, becomes: Becomes, run: Run, now: datetime) -> tuple[Run, ...]:
    planned = None if isinstance(becomes, Again) else becomes.planned
    return () if planned is None else rows_of(job, planned, run.node, now)


def _next_occurrence(job: Job, run: Run, now: datetime, calendars: Calendars, *, missed: bool = False) -> Done | Next:
    """Move on from an occurrence that is over, or that came too late to be begun."""
    trigger = job.trigger
    if isinstance(trigger, Once):
        return _nothing_left(job.failures, job.losses)
    if missed:
        planned = overdue(trigger, job.fire_time, due_at=job.due_at, now=now, job_id=job.id, calendars=calendars)
        planned = planned._replace(unrun=without_first(trigger, planned.unrun))
    else:
        planned = following(
            trigger, job.fire_time, started_at=run.started_at, now=now, job_id=job.id, calendars=calendars
        )
    if planned.fire_time is None or planned.due_at is None:
        return Done(job.failures, job.losses, planned)
    return Next(planned.fire_time, planned.due_at, planned)


def _in(delay: timedelta, now: datetime) -> datetime:
    """Return the moment after a delay, which is a plugin's word: not in the past, and not beyond the horizon."""
    return now + min(max(delay, timedelta()), HORIZON)


def held(job: Job, run: Run, *, now: datetime) -> Change:
    """Return a job held back as it is after a run, because what it becomes cannot be decided."""
    return Change(
        run,
        _without_run(job, run, now)._replace(state=State.PAUSED, paused=True),
    )


def set_aside(job: Job, run: Run, *, now: datetime) -> Change:
    """Return a job that cannot be read as one that is dead, so that people find it and no other waits for it."""
    return Change(run, quickly_done(job, Done(job.failures, job.losses), run, now))


# --- what people do to a job ------------------------------------------------------------------------------------------


def create(
    *,
    job_id: UUID,
    key: JobKey,
    request: Mapping[str, Any],
    trigger: Trigger,
    options: Options,
    now: datetime,
    calendars: Calendars,
) -> Edit:
    """Return a new job that waits for the first occurrence of its trigger; one in the past is due at once.

    Raises `InvalidRequestError` when the calendar of a schedule, or the value of an ``H``, leaves it no time to fire.
    """
    trigger = trigger.for_job(job_id)
    fire_time, due_at, planned = _first(trigger, job_id, calendars)
    job = _new_job(job_id, key, request, trigger, fire_time, due_at, now, now, options)
    return Edit(job, rows_of(job, planned, "", now) if planned.unrun or planned.reason else ())


# To make it by name and put its first occurrence in took 3 us more, of the 18 for each job of a batch.
_new_job = maker(Job, "id", "key", "request", "trigger", "fire_time", "due_at", "created_at", "updated_at", "options")


def _first(trigger: Trigger, job_id: UUID, calendars: Calendars) -> Next:
    """Return the first occurrence of a trigger. Raises `InvalidRequestError` if there is none."""
    return _found(opening(trigger, job_id=job_id, calendars=calendars))


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
    _refuse_finished(job)
    _refuse_newer(job)
    if job.state is State.RUNNING and isinstance(job.trigger, Once):
        raise JobRunningError("the job is running: what it was to do has begun and can no longer be changed")
    trigger = trigger.for_job(job.id)
    changed = job._replace(
        request=request, trigger=trigger, options=options, version=job.version + 1, updated_at=now, damage=None
    )
    if (trigger == job.trigger and job.damage is None) or job.state is State.RUNNING:
        return Edit(changed)
    had_turn = None if is_moved else _had_turn(job, now, calendars)
    if had_turn is None or isinstance(trigger, Once):
        fire_time, due_at, planned = _first(trigger, job.id, calendars)
    else:
        fire_time, due_at, planned = _found(beginning(trigger, had_turn, job_id=job.id, calendars=calendars))
    if job.attempt:
        changed = changed._replace(outcome=None)  # it did not give up on the fire time that it leaves
    return Edit(_begun(changed, fire_time, due_at), rows_of(changed, planned, "", now))


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
    edited = _begun(job._replace(version=job.version + 1, updated_at=now), planned.fire_time, planned.due_at)
    unrun = tuple(unrun_since(trigger, job.fire_time, planned.unrun))
    return Edit(edited, rows_of(job, planned._replace(unrun=unrun), "", now))


def split_off(job: Job, child_id: UUID, *, now: datetime, calendars: Calendars) -> tuple[Edit, Job] | None:
    """Take the occurrence that a running job is about to begin out of it, so that the next need not wait for its end.

    Return the job, which waits for that, and the occurrence as a running job of its own; `None` if there is no next.
    """
    run = ended(job, Ending(Outcome.SKIPPED), started_at=now, now=now)
    becomes = _next_occurrence(job, run, now, calendars)
    if isinstance(becomes, Done):
        return None
    waiting = _begun(job, becomes.fire_time, becomes.due_at)._replace(
        state=_waits(job), run=None, node=None, claimed_at=None, version=job.version + 1, updated_at=now
    )
    child = job._replace(id=child_id, parent=job.id, trigger=Once(job.fire_time), paused=False, version=1)
    return Edit(waiting, rows_of(job, becomes.planned, run.node, now)), child


def pending(job: Job, *, now: datetime, calendars: Calendars) -> Planned:
    """Return the occurrence that a job waits for, or would wait for if its run ended now; none if it is done."""
    if job.state is State.DONE:
        return Planned(None, None)
    if job.state is State.RUNNING:
        began = job.begins_at or now
        return following(job.trigger, job.fire_time, started_at=began, now=now, job_id=job.id, calendars=calendars)
    return Planned(job.fire_time, job.due_at)


def check_backfill(job: Job) -> None:
    """Raise `JobFinishedError` or `JobNotRecurringError` for a job of which no past can be run afterwards."""
    _refuse_finished(job)
    _refuse_unreadable(job)
    if isinstance(job.trigger, Once):
        raise JobNotRecurringError("only the past of a job with a schedule can be run afterwards")


def backfilled(job: Job, occurrence: Backfilled, child_id: UUID, *, now: datetime) -> Job:
    """Return an occurrence of a job's past, to be run beside it."""
    return _occurrence(job, occurrence.fire_time, occurrence.due_at, child_id, now=now)._replace(backfill=True)


def _occurrence(job: Job, fire_time: datetime, due_at: datetime, child_id: UUID, *, now: datetime) -> Job:
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
        parent=job.id,
    )


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


def pause(job: Job, *, now: datetime) -> Job:
    """Return the job held back; a run that is under way ends normally. Pausing a paused job changes nothing."""
    _refuse_finished(job)
    _refuse_unreadable(job)
    if job.paused:
        return job
    state = State.PAUSED if job.state is State.SCHEDULED else job.state
    return job._replace(paused=True, state=state, version=job.version + 1, updated_at=now)


def resume(job: Job, *, now: datetime) -> Job:
    """Return the job let go again; a fire time that passed meanwhile is due at once.

    Resuming a job that is not paused changes nothing.
    """
    _refuse_finished(job)
    _refuse_unreadable(job)
    if not job.paused:
        return job
    state = State.SCHEDULED if job.state is State.PAUSED else job.state
    return job._replace(paused=False, state=state, version=job.version + 1, updated_at=now)


def retry(job: Job, *, now: datetime) -> Job:
    """Return a dead job brought back: due at once for the fire time it gave up on, with its failures forgotten."""
    if not job.is_dead:
        raise JobNotDeadError("only a job that gave up can be retried")
    _refuse_unreadable(job)
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
    return Edit(_begun(back._replace(outcome=None), fire_time, due_at), rows_of(back, planned, "", now))


def retry_run(job: Job, run: Run, child_id: UUID, *, now: datetime) -> tuple[Job, Job]:
    """Return a job that goes on, and the fire time that a run of it gave up on as a job of its own, due at once.

    Its attempts go on after those of the run.
    """
    _refuse_finished(job)
    _refuse_unreadable(job)
    child = _occurrence(job, run.fire_time, now, child_id, now=now)._replace(attempt=run.attempt)
    return job._replace(outcome=None, version=job.version + 1, updated_at=now), child


def amended(job: Job, *, request: Mapping[str, Any], trigger: Trigger, options: Options, calendars: Calendars) -> Job:
    """Return a dead job with a new request, trigger and options; it stays dead until it is retried.

    Raises like `create`.
    """
    _refuse_newer(job)
    trigger = trigger.for_job(job.id)
    amended = job._replace(request=request, trigger=trigger, options=options, version=job.version + 1, damage=None)
    if trigger == job.trigger and job.damage is None:
        return amended
    fire_time, due_at, _ = _first(trigger, job.id, calendars)
    return amended if job.damage is None else amended._replace(fire_time=fire_time, due_at=due_at)


def _refuse_newer(job: Job) -> None:
    if job.damage is not None and job.damage.is_newer:
        raise NewerJobError("a newer version of Mainspring wrote the job; only its nodes can read and change it")


def _refuse_unreadable(job: Job) -> None:
    """Refuse what would leave a job as unreadable as it is."""
    _refuse_newer(job)
    if job.damage is not None:
        raise UnreadableJobError(f"{job.damage.reason}; PATCH it with what it should be, or delete it")


def _refuse_finished(job: Job) -> None:
    if job.state is State.DONE:
        raise JobFinishedError("the job is done" + (" and dead; retry brings it back" if job.is_dead else ""))
