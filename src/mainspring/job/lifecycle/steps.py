"""What a run makes of its job: decided first, as a value (`Done`, `Again` or `Next`), and then written into the job."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple, assert_never

from mainspring.job.history import rows_of, without_first
from mainspring.job.job import Change, Job, State
from mainspring.job.pause import Hold
from mainspring.job.retry import RetryPolicy, counted, delay_before_retry
from mainspring.job.run import DEADLY, Ending, Outcome, Run, Success
from mainspring.job.tuples import changer, maker, new_tuple
from mainspring.schedule import (
    HORIZON,
    Calendars,
    Once,
    Planned,
    Recurring,
    following,
    format_duration,
    overdue,
    put_off,
)

SHORTEST_POSTPONEMENT = timedelta(seconds=1)
"""A listener that postpones by nothing would send its job round in circles as fast as the store can write."""
EXPIRED = "expired"
"""How the reason begins why a run was skipped that came too late by the job's `expires_after`."""
CANCELLED = "cancelled on request"
"""Why runs end that people cancelled."""


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
    if job.failures or job.losses:
        return None
    limit = job.options.expires_after
    if limit is not None and not _had_begun(job) and now - job.fire_time > limit:
        return Ending(Outcome.SKIPPED, f"{EXPIRED}: it had not begun {format_duration(limit)} after its fire time")
    return None if isinstance(job.trigger, Once) else _missed_by_schedule(job, job.trigger, now, calendars)


def _had_begun(job: Job) -> bool:
    """Tell whether an occurrence began before this claim, or is one of the past that people asked for."""
    return job.backfill or (job.attempt > 1 and job.outcome is not Outcome.POSTPONED)


def _missed_by_schedule(job: Job, trigger: Recurring, now: datetime, calendars: Calendars) -> Ending | None:
    off = put_off(trigger, job.fire_time, now=now, job_id=job.series, calendars=calendars)
    if off is not None:
        until, reason = off
        return Ending(Outcome.POSTPONED, reason, delay=until - now)
    if not trigger.may_miss:
        return None
    planned = overdue(trigger, job.fire_time, due_at=job.due_at, now=now, job_id=job.id, calendars=calendars)
    if planned.fire_time == job.fire_time:
        return None
    return Ending(Outcome.SKIPPED, planned.unrun[0].reason, missed=True)


def after(
    job: Job, run: Run, ending: Ending, *, policy: RetryPolicy, now: datetime, chance: float, calendars: Calendars
) -> Change:
    """Return what a running job becomes when its run ends; `chance` in [0, 1) spreads retries.

    Only `failed` and `timed_out` use up attempts; `lost` counts towards `retry.HOPELESS`; `postponed` and `interrupted`
    cost nothing. A run that people cancelled is cancelled, however it ended.
    """
    if job.cancelling:
        ending = Ending(Outcome.CANCELLED, CANCELLED)
        run = run._replace(outcome=ending.outcome, reason=ending.reason, result=None, result_error=None)
    becomes = decide(job, run, ending, policy=policy, now=now, chance=chance, calendars=calendars)
    if type(becomes) is Done and becomes.planned is None:
        return new_tuple(Change, (run, quickly_done(job, becomes, run, now), (), ()))
    return Change(run, written(job, becomes, run, now), _passed_over(job, becomes, run, now))


def decide(
    job: Job, run: Run, ending: Ending, *, policy: RetryPolicy, now: datetime, chance: float, calendars: Calendars
) -> Becomes:
    """Say where a job stands after a run that ended so."""
    match ending.outcome:
        case Outcome.SUCCEEDED | Outcome.VETOED | Outcome.SKIPPED:
            return next_occurrence(job, run, now, calendars, missed=ending.missed)
        case Outcome.CANCELLED if job.cancelling:
            return next_occurrence(job, run, now, calendars)
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
            becomes = next_occurrence(job, run, now, calendars)
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
            return let_go(free)._replace(state=State.DONE, failures=failures, losses=losses)
        case Again(due_at, failures, losses):
            return free._replace(state=waits(job), due_at=due_at, failures=failures, losses=losses)
        case Next(fire_time, due_at):
            if run.outcome is Outcome.SUCCEEDED:
                free = free._replace(last_success=Success(run.fire_time, run.finished_at, run.result))
            waiting = _counted(begun(free, fire_time, due_at), run, now)
            return waiting._replace(state=waits(waiting))
        case _:
            assert_never(becomes)


def _counted(job: Job, run: Run, now: datetime) -> Job:
    """Count on how many occurrences in a row a job gave up; after as many as its options say, it is paused."""
    if run.outcome not in DEADLY:
        return job._replace(give_ups=0) if run.outcome is Outcome.SUCCEEDED else job
    job = job._replace(give_ups=job.give_ups + 1)
    most = job.options.pause_after
    if most is None or job.give_ups < most or job.paused:
        return job
    why = f"it gave up on {job.give_ups} {'occurrences in a row' if job.give_ups > 1 else 'occurrence'}"
    return job._replace(paused=True, hold=Hold(now, why))


def let_go(job: Job) -> Job:
    """Return a job that nothing holds back."""
    return job._replace(paused=False, hold=None, resume_at=None)


_over = changer(
    Job,
    "updated_at",
    "version",
    "state",
    "paused",
    "hold",
    "resume_at",
    "cancelling",
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
        None,
        None,
        False,  # noqa: FBT003 - nor being cancelled
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
        cancelling=False,
        version=job.version + 1,
        updated_at=now,
    )


def waits(job: Job) -> State:
    """Return the state of a job that does not run and is not done."""
    return State.PAUSED if job.paused else State.SCHEDULED


def begun(job: Job, fire_time: datetime, due_at: datetime) -> Job:
    """Return a job at the beginning of an occurrence, with its attempts from 1."""
    return job._replace(fire_time=fire_time, due_at=due_at, attempt=0, failures=0, losses=0)


def _passed_over(job: Job, becomes: Becomes, run: Run, now: datetime) -> tuple[Run, ...]:
    planned = None if isinstance(becomes, Again) else becomes.planned
    return () if planned is None else rows_of(job, planned, run.node, now)


def next_occurrence(job: Job, run: Run, now: datetime, calendars: Calendars, *, missed: bool = False) -> Done | Next:
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
        _without_run(job, run, now)._replace(state=State.PAUSED, paused=True, hold=Hold(now, run.reason)),
    )


def set_aside(job: Job, run: Run, *, now: datetime) -> Change:
    """Return a job that cannot be read as one that is dead, so that people find it and no other waits for it."""
    return Change(run, quickly_done(job, Done(job.failures, job.losses), run, now))
