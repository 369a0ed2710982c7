from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.errors import JobFinishedError, JobNotDeadError, JobRunningError, MainspringError
from mainspring.job import (
    DEADLY,
    PENDING,
    Backoff,
    Ending,
    Job,
    JobKey,
    Options,
    Outcome,
    RetryPolicy,
    Run,
    State,
    history,
    lifecycle,
    retry,
)
from mainspring.job.retry import backoff_delay
from mainspring.schedule import HORIZON, Every, Once, Period, Recurring, Trigger
from tests.drawn import jobs, runs

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
POISON, HOPELESS = 3, 20
"""How many processes may die under a job: when the last was its own worker, and when it was a node."""
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ONCE = Once(NOON)
DAILY = Recurring(Every(Period(days=1)), NOON)
HOURLY = Recurring(Every(Period(exact=HOUR)), NOON)
POLICY = RetryPolicy(max_attempts=3, backoff=Backoff(10 * SECOND, 2.0, MINUTE))
REQUEST = {"when": "2026-01-01T12:00:00Z", "disks": ["a", "b"]}


def a_job(trigger: Trigger = ONCE, **changes: Any) -> Job:
    """Make a job that was created an hour before noon, and then changed as a test needs it."""
    job = lifecycle.create(
        job_id=UUID(int=1),
        key=JobKey("vps4", "backups"),
        request=REQUEST,
        trigger=trigger,
        options=Options(),
        now=NOON - HOUR,
        calendars={},
    ).job
    return job._replace(**changes)


def claimed(job: Job, now: datetime = NOON) -> Job:
    """Make of a job what a store makes of it when a node claims it."""
    return job._replace(
        state=State.RUNNING,
        run=job.version,
        node="node-1",
        claimed_at=now,
        attempt=job.attempt + 1,
        version=job.version + 1,
        updated_at=now,
    )


def ended(
    job: Job,
    outcome: Outcome,
    *,
    delay: timedelta | None = None,
    now: datetime = NOON + MINUTE,
    chance: float = 0.0,
    policy: RetryPolicy = POLICY,
) -> Job:
    """Make of a running job what it becomes when its run ends that way."""
    ending = Ending(outcome, "because", delay)
    run = history.ended(job, ending, started_at=job.claimed_at or now, now=now)
    return lifecycle.after(job, run, ending, policy=policy, now=now, chance=chance, calendars={}).job


def after_outcomes(job: Job, *outcomes: Outcome, **keywords: Any) -> Job:
    """Run a job as often as there are outcomes."""
    for outcome in outcomes:
        job = ended(claimed(job), outcome, **keywords)
    return job


# --- create


@pytest.mark.parametrize("trigger", [ONCE, DAILY, Once(NOON - 3000 * DAY)])
def test_create(trigger: Trigger) -> None:
    """A new job waits for the first fire time of its trigger; one in the past is due at once."""
    job = lifecycle.create(
        job_id=UUID(int=1),
        key=JobKey("vps4", "backups"),
        request=REQUEST,
        trigger=trigger,
        options=Options(max_attempts=2),
        now=NOON,
        calendars={},
    ).job
    assert job == Job(
        id=UUID(int=1),
        key=JobKey("vps4", "backups"),
        request=REQUEST,
        trigger=trigger,
        options=Options(max_attempts=2),
        state=State.SCHEDULED,
        fire_time=trigger.first,
        due_at=trigger.first,
        version=1,
        created_at=NOON,
        updated_at=NOON,
    )


# --- what an edit does in each state

WAITING = a_job()
PAUSED = lifecycle.pause(WAITING, now=NOON)
RUNNING = claimed(WAITING)
RUNNING_SERIES = claimed(a_job(DAILY))
RUNNING_HELD = lifecycle.pause(RUNNING, now=NOON)
SUCCEEDED = ended(RUNNING, Outcome.SUCCEEDED)
CANCELLED = ended(RUNNING_SERIES, Outcome.CANCELLED)
DEAD = after_outcomes(WAITING, *[Outcome.FAILED] * 3)
POISONED = after_outcomes(WAITING, Outcome.FAILED, *[Outcome.LOST] * HOPELESS)

Edit = Callable[..., Job]


def reschedule(job: Job, *, now: datetime) -> Job:
    """Give a job another time."""
    return lifecycle.reschedule(
        job, request={"when": "later"}, trigger=Once(NOON + DAY), options=Options(max_attempts=9), now=now, calendars={}
    ).job


@pytest.mark.parametrize(
    ("job", "edit", "state", "paused"),
    [
        pytest.param(WAITING, lifecycle.pause, State.PAUSED, True, id="pause scheduled"),
        pytest.param(RUNNING, lifecycle.pause, State.RUNNING, True, id="pause running"),
        pytest.param(PAUSED, lifecycle.resume, State.SCHEDULED, False, id="resume paused"),
        pytest.param(RUNNING_HELD, lifecycle.resume, State.RUNNING, False, id="resume running"),
        pytest.param(DEAD, lifecycle.retry, State.SCHEDULED, False, id="retry dead"),
        pytest.param(WAITING, reschedule, State.SCHEDULED, False, id="reschedule scheduled"),
        pytest.param(PAUSED, reschedule, State.PAUSED, True, id="reschedule paused"),
        pytest.param(RUNNING_SERIES, reschedule, State.RUNNING, False, id="reschedule running series"),
    ],
)
def test_edit(job: Job, edit: Edit, state: State, paused: bool) -> None:  # noqa: FBT001 - a column of the table
    """An edit leads to its state, raises the version by one, is dated, and leaves its input alone."""
    before = deepcopy(job)
    now = NOON + 2 * HOUR
    edited = edit(job, now=now)
    assert (state, paused) == (edited.state, edited.paused)
    assert (job.version + 1, now, job.created_at) == (edited.version, edited.updated_at, edited.created_at)
    assert (job.run, job.node, job.claimed_at) == (edited.run, edited.node, edited.claimed_at)
    assert before == job


@pytest.mark.parametrize(
    ("job", "edit"),
    [
        pytest.param(PAUSED, lifecycle.pause, id="pause paused"),
        pytest.param(RUNNING_HELD, lifecycle.pause, id="pause running, held back"),
        pytest.param(WAITING, lifecycle.resume, id="resume scheduled"),
        pytest.param(RUNNING, lifecycle.resume, id="resume running"),
    ],
)
def test_edit_that_changes_nothing(job: Job, edit: Edit) -> None:
    """What is so already is left as it is, without a new version."""
    assert edit(job, now=NOON + DAY) is job


@pytest.mark.parametrize(
    ("job", "edit", "error"),
    [
        pytest.param(SUCCEEDED, lifecycle.pause, JobFinishedError, id="pause done"),
        pytest.param(SUCCEEDED, lifecycle.resume, JobFinishedError, id="resume done"),
        pytest.param(SUCCEEDED, reschedule, JobFinishedError, id="reschedule done"),
        pytest.param(CANCELLED, lifecycle.pause, JobFinishedError, id="pause cancelled"),
        pytest.param(DEAD, lifecycle.pause, JobFinishedError, id="pause dead"),
        pytest.param(DEAD, lifecycle.resume, JobFinishedError, id="resume dead"),
        pytest.param(DEAD, reschedule, JobFinishedError, id="reschedule dead"),
        pytest.param(RUNNING, reschedule, JobRunningError, id="reschedule running"),
        pytest.param(RUNNING_HELD, reschedule, JobRunningError, id="reschedule running, held back"),
        pytest.param(WAITING, lifecycle.retry, JobNotDeadError, id="retry scheduled"),
        pytest.param(PAUSED, lifecycle.retry, JobNotDeadError, id="retry paused"),
        pytest.param(RUNNING, lifecycle.retry, JobNotDeadError, id="retry running"),
        pytest.param(SUCCEEDED, lifecycle.retry, JobNotDeadError, id="retry succeeded"),
        pytest.param(CANCELLED, lifecycle.retry, JobNotDeadError, id="retry cancelled"),
    ],
)
def test_edit_refused(job: Job, edit: Edit, error: type[MainspringError]) -> None:
    """What a state does not allow is refused by name."""
    with pytest.raises(error):
        edit(job, now=NOON)


def test_refusal_points_to_retry_for_dead_jobs_alone() -> None:
    """Whoever edits a dead job is told what brings it back; for one that succeeded nothing does."""
    with pytest.raises(JobFinishedError, match="retry"):
        lifecycle.pause(DEAD, now=NOON)
    with pytest.raises(JobFinishedError, match=r"done$"):
        lifecycle.pause(SUCCEEDED, now=NOON)


def test_reschedule_begins_a_new_fire_time() -> None:
    """A job with another trigger waits for its first time, with its attempts from 1, and keeps what it told before."""
    tried = after_outcomes(a_job(), Outcome.FAILED, Outcome.LOST)
    assert (2, 1, 1) == (tried.attempt, tried.failures, tried.losses)
    moved = reschedule(tried, now=NOON + HOUR)
    assert (NOON + DAY, NOON + DAY, 0, 0, 0) == (
        moved.fire_time,
        moved.due_at,
        moved.attempt,
        moved.failures,
        moved.losses,
    )
    assert ({"when": "later"}, Once(NOON + DAY), Options(max_attempts=9)) == (
        moved.request,
        moved.trigger,
        moved.options,
    )
    assert (None, tried.last_run) == (moved.outcome, moved.last_run), "it did not give up"


def test_reschedule_without_a_new_trigger_keeps_the_fire_time() -> None:
    """An edited payload neither hastens nor delays a job that waits for its next attempt."""
    tried = after_outcomes(a_job(), Outcome.FAILED)
    edited = lifecycle.reschedule(
        tried, request={}, trigger=Once(NOON), options=tried.options, now=NOON + HOUR, calendars={}
    ).job
    assert tried._replace(request={}, version=tried.version + 1, updated_at=NOON + HOUR) == edited


def test_reschedule_while_a_series_runs_waits_for_its_end() -> None:
    """The run under way keeps its fire time; the new trigger says when the next one is."""
    running = lifecycle.reschedule(
        RUNNING_SERIES, request={}, trigger=HOURLY, options=Options(), now=NOON, calendars={}
    ).job
    assert (NOON, 1) == (running.fire_time, running.attempt)
    assert NOON + HOUR == running.next_run
    assert NOON + HOUR == ended(running, Outcome.SUCCEEDED).fire_time


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        pytest.param(WAITING, Once(NOON + HOUR), id="once"),
        pytest.param(a_job(DAILY), Recurring(Every(Period(days=1)), NOON + HOUR), id="series"),
        pytest.param(
            a_job(replace(DAILY, count=5)),
            Recurring(Every(Period(days=1)), NOON + HOUR, 5),
            id="series with a count, not begun",
        ),
        pytest.param(
            after_outcomes(a_job(replace(DAILY, count=5)), Outcome.SUCCEEDED),
            Recurring(Every(Period(days=1)), NOON + HOUR, 4),
            id="the first is over",
        ),
        pytest.param(
            claimed(a_job(replace(DAILY, count=5))),
            Recurring(Every(Period(days=1)), NOON + HOUR, 4),
            id="the first is running, and stays as it is",
        ),
        pytest.param(
            after_outcomes(a_job(replace(DAILY, count=5)), Outcome.FAILED),
            Recurring(Every(Period(days=1)), NOON + HOUR, 5),
            id="the first has failed and is to be tried again: it is what moves",
        ),
    ],
)
def test_moved(job: Job, expected: Trigger) -> None:
    """A series whose next fire time is moved goes on from there, with as many fire times as were to come."""
    assert expected == lifecycle.moved(job, NOON + HOUR, now=NOON, calendars={})


def test_resume_after_the_fire_time_is_due_at_once() -> None:
    """A fire time that passed while the job was held back is not skipped."""
    resumed = lifecycle.resume(PAUSED, now=NOON + DAY)
    assert (NOON, NOON) == (resumed.fire_time, resumed.due_at)


@pytest.mark.parametrize("dead", [DEAD, POISONED], ids=["failed", "poisoned"])
def test_retry_is_for_the_fire_time_given_up(dead: Job) -> None:
    """A dead job comes back for the same fire time, due at once, with all its attempts; their numbers go on."""
    back = lifecycle.retry(dead, now=NOON + DAY)
    assert (NOON, NOON + DAY, dead.attempt, 0, 0) == (
        back.fire_time,
        back.due_at,
        back.attempt,
        back.failures,
        back.losses,
    )
    assert dead.occurrence_id == back.occurrence_id
    assert not back.is_dead
    for outcome, most in ((Outcome.FAILED, 3), (Outcome.LOST, HOPELESS)):
        tried = [after_outcomes(back, *[outcome] * n).state for n in range(1, most + 1)]
        assert [State.SCHEDULED] * (most - 1) + [State.DONE] == tried


# --- what a run's end does


def test_ended_is_the_row_of_history() -> None:
    """A run tells what ran, when, as which attempt, where, and how it ended."""
    job = claimed(a_job(due_at=NOON + MINUTE), now=NOON + 2 * MINUTE)
    ending = Ending(Outcome.FAILED, "disk full", delay=HOUR)
    run = history.ended(job, ending, started_at=NOON + 3 * MINUTE, now=NOON + 4 * MINUTE)
    assert run == Run(
        number=1,
        job_id=job.id,
        key=job.key,
        fire_time=NOON,
        due_at=NOON + MINUTE,
        attempt=1,
        node="node-1",
        started_at=NOON + 3 * MINUTE,
        finished_at=NOON + 4 * MINUTE,
        outcome=Outcome.FAILED,
        reason="disk full",
    )
    assert run.lateness == 2 * MINUTE


@pytest.mark.parametrize("trigger", [ONCE, DAILY])
@pytest.mark.parametrize("outcome", Outcome)
def test_after_any_outcome_the_job_is_free(trigger: Trigger, outcome: Outcome) -> None:
    """However its run ends, the job has no run and no node, one more version, and tells of the run; the input stays."""
    running = claimed(a_job(trigger))
    before = deepcopy(running)
    job = ended(running, outcome)
    assert (None, None, None) == (job.run, job.node, job.claimed_at)
    assert (running.version + 1, NOON + MINUTE) == (job.version, job.updated_at)
    assert job.last_run is not None
    assert (outcome, outcome, running.run) == (job.outcome, job.last_run.outcome, job.last_run.number)
    assert before == running


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.VETOED, Outcome.SKIPPED, Outcome.CANCELLED])
def test_after_its_only_fire_time_a_job_is_done(outcome: Outcome) -> None:
    """Succeeded, vetoed, skipped or cancelled: a one-time job is done, and not dead."""
    job = ended(RUNNING, outcome)
    assert (State.DONE, False, None) == (job.state, job.is_dead, job.next_run)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.SUCCEEDED, NOON + DAY),
        (Outcome.VETOED, NOON + DAY),
        (Outcome.SKIPPED, NOON + DAY),
        (Outcome.CANCELLED, None),
    ],
)
def test_after_one_fire_time_of_a_series(outcome: Outcome, expected: datetime | None) -> None:
    """A series goes on with its next fire time; only cancelling ends it."""
    job = ended(RUNNING_SERIES, outcome)
    assert expected == job.next_run
    assert (State.DONE if expected is None else State.SCHEDULED) == job.state
    assert not job.is_dead


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("outcome", "delay", "expected"),
    [
        (Outcome.INTERRUPTED, None, NOON + MINUTE),
        (Outcome.POSTPONED, HOUR, NOON + MINUTE + HOUR),
        (Outcome.POSTPONED, None, NOON + MINUTE + SECOND),
        (Outcome.POSTPONED, timedelta(), NOON + MINUTE + SECOND),
        (Outcome.POSTPONED, -HOUR, NOON + MINUTE + SECOND),
        (Outcome.POSTPONED, timedelta.max, NOON + MINUTE + HORIZON),
    ],
)
def test_postponed_and_interrupted_cost_nothing(outcome: Outcome, delay: timedelta | None, expected: datetime) -> None:
    """The same occurrence is tried again after the delay, which is bounded; neither a failure nor a loss is counted."""
    job = ended(RUNNING, outcome, delay=delay)
    assert (State.SCHEDULED, NOON, expected, 0, 0) == (
        job.state,
        job.fire_time,
        job.due_at,
        job.failures,
        job.losses,
    )
    assert WAITING.occurrence_id == job.occurrence_id
    patient = after_outcomes(a_job(), *[outcome] * 50, delay=delay)
    assert (State.SCHEDULED, 50) == (patient.state, patient.attempt)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT])
def test_failures_are_retried_with_backoff_until_the_attempts_are_used_up(outcome: Outcome) -> None:
    """The n-th failure waits twice as long as the one before; the last makes the job dead, at its own fire time."""
    now = NOON + MINUTE
    jobs = [after_outcomes(a_job(), *[outcome] * n) for n in (1, 2, 3)]
    assert [now + 10 * SECOND, now + 20 * SECOND] == [job.due_at for job in jobs[:2]]
    assert [1, 2, 3] == [job.failures for job in jobs]
    assert [State.SCHEDULED, State.SCHEDULED, State.DONE] == [job.state for job in jobs]
    assert [False, False, True] == [job.is_dead for job in jobs]
    assert {NOON} == {job.fire_time for job in jobs}
    assert 1 == len({job.occurrence_id for job in jobs})


@pytest.mark.parametrize(
    ("options", "attempts"), [(Options(), 3), (Options(max_attempts=1), 1), (Options(max_attempts=5), 5)]
)
def test_options_go_before_the_policy_of_the_group(options: Options, attempts: int) -> None:
    """A request that says how many attempts it wants gets them; else the job group decides."""
    before, last = (after_outcomes(a_job(options=options), *[Outcome.FAILED] * n) for n in (attempts - 1, attempts))
    assert [False, True] == [before.is_dead, last.is_dead]


def test_backoff_of_the_options_goes_before_the_policy() -> None:
    """A request that says how long to wait is heard."""
    options = Options(backoff=Backoff(initial=HOUR, factor=1.0, longest=DAY))
    job = after_outcomes(a_job(options=options), Outcome.FAILED)
    assert NOON + MINUTE + HOUR == job.due_at


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (5 * SECOND, NOON + MINUTE + 5 * SECOND),
        (timedelta(), NOON + MINUTE),
        (-DAY, NOON + MINUTE),
        (timedelta.max, NOON + MINUTE + HORIZON),
    ],
)
def test_a_job_may_say_itself_when_to_retry(delay: timedelta, expected: datetime) -> None:
    """The delay that a job asks for takes the place of the backoff, within bounds; the attempt counts all the same."""
    assert expected == after_outcomes(a_job(), Outcome.FAILED, delay=delay).due_at
    assert after_outcomes(a_job(), *[Outcome.FAILED] * 3, delay=delay).is_dead


@given(
    initial=st.timedeltas(timedelta(microseconds=1), HORIZON),
    factor=st.floats(1, 100),
    longest=st.timedeltas(timedelta(microseconds=1), HORIZON),
    failures=st.integers(1, 1000),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_backoff_is_between_half_and_full(
    initial: timedelta, factor: float, longest: timedelta, failures: int, chance: float
) -> None:
    """Whatever the numbers, a delay is at most the full backoff and `longest`, and at least the half."""
    try:
        full = min(longest, initial * factor ** (failures - 1))
    except OverflowError:
        full = longest
    delay = backoff_delay(Backoff(initial, factor, longest), failures, chance)
    assert full / 2 <= delay <= full


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_chance_spreads_retries(one: float, other: float) -> None:
    """Jobs that failed together come back apart: more chance, less delay."""
    backoff = Backoff(initial=HOUR)
    less, more = sorted([one, other])
    assert backoff_delay(backoff, 1, less) >= backoff_delay(backoff, 1, more)
    assert HOUR - backoff_delay(backoff, 1, less) == pytest.approx(HOUR * (less / 2), abs=timedelta(microseconds=1))


def test_a_series_goes_on_after_giving_up() -> None:
    """When its attempts for one fire time are used up, a series waits for the next one with all of them again."""
    job = after_outcomes(a_job(DAILY), *[Outcome.FAILED] * 3)
    assert (State.SCHEDULED, NOON + DAY, NOON + DAY) == (job.state, job.fire_time, job.due_at)
    assert (0, 0, 0, Outcome.FAILED, False) == (job.attempt, job.failures, job.losses, job.outcome, job.is_dead)


def test_a_lost_run_is_repeated_at_once_until_it_is_poison() -> None:
    """A run whose node died costs no failure and waits for nothing; but the job that kills its nodes ends."""
    jobs = [after_outcomes(a_job(), *[Outcome.LOST] * n) for n in range(1, HOPELESS + 1)]
    assert [(n, 0) for n in range(1, HOPELESS + 1)] == [(job.losses, job.failures) for job in jobs]
    assert {NOON + MINUTE} == {job.due_at for job in jobs[:-1]}
    assert [False] * (HOPELESS - 1) + [True] == [job.is_dead for job in jobs]
    assert [False] * (POISON - 2) + [True] * (HOPELESS - POISON + 2) == [retry.is_quarantined(job) for job in jobs]
    series = after_outcomes(a_job(DAILY), *[Outcome.LOST] * HOPELESS)
    assert (State.SCHEDULED, NOON + DAY, 0) == (series.state, series.fire_time, series.losses)


def test_losses_and_failures_are_counted_apart() -> None:
    """Lost runs do not use up attempts, and failures do not make poison."""
    job = after_outcomes(a_job(), *[Outcome.LOST] * (HOPELESS - 1), *[Outcome.FAILED] * 2)
    assert (State.SCHEDULED, HOPELESS - 1, 2) == (job.state, job.losses, job.failures)
    assert after_outcomes(job, Outcome.LOST).is_dead
    assert after_outcomes(job, Outcome.FAILED).is_dead


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.SUCCEEDED, State.PAUSED),
        (Outcome.FAILED, State.PAUSED),
        (Outcome.LOST, State.PAUSED),
        (Outcome.POSTPONED, State.PAUSED),
        (Outcome.CANCELLED, State.DONE),
    ],
)
def test_paused_while_running(outcome: Outcome, state: State) -> None:
    """A job that was paused while it ran is held back when the run ends, unless it is done."""
    job = ended(lifecycle.pause(RUNNING_SERIES, now=NOON), outcome)
    assert (state, state is State.PAUSED) == (job.state, job.paused)


def test_paused_while_running_the_last_time_is_done() -> None:
    """There is nothing left to hold back."""
    job = ended(RUNNING_HELD, Outcome.SUCCEEDED)
    assert (State.DONE, False) == (job.state, job.paused)


@pytest.mark.parametrize(
    ("finished", "following"),
    [
        (NOON + MINUTE, NOON + HOUR),
        (NOON + HOUR, NOON + HOUR),
        (NOON + 5 * HOUR + MINUTE, NOON + HOUR),
        (NOON - MINUTE, NOON + HOUR),
    ],
    ids=["in time", "on the next", "after five", "clock set back"],
)
def test_first_occurrence_that_came_meanwhile_is_next(finished: datetime, following: datetime) -> None:
    """One occurrence waits for the end of a long run; when it begins late, it covers those after it."""
    assert following == ended(claimed(a_job(HOURLY)), Outcome.SUCCEEDED, now=finished).fire_time


def test_a_series_ends_with_its_last_fire_time() -> None:
    """When count or end leave no fire time, the job is done."""
    assert State.DONE is after_outcomes(a_job(replace(DAILY, count=1)), Outcome.SUCCEEDED).state
    assert State.DONE is after_outcomes(a_job(replace(DAILY, end=NOON + HOUR)), Outcome.SUCCEEDED).state
    assert after_outcomes(a_job(replace(DAILY, count=1)), *[Outcome.FAILED] * 3).is_dead


# --- invariants, over any history

delays = st.one_of(st.none(), st.timedeltas())
triggers = st.one_of(
    st.builds(Once, st.datetimes(datetime(2025, 12, 1), datetime(2026, 2, 1), timezones=st.just(UTC))),  # noqa: DTZ001 - made aware by `timezones`
    st.builds(
        Recurring,
        st.builds(Every, st.builds(Period, days=st.integers(0, 3), exact=st.timedeltas(MINUTE, DAY))),
        st.datetimes(datetime(2025, 12, 1), datetime(2026, 2, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        st.one_of(st.none(), st.integers(1, 5)),
    ),
)
steps = st.one_of(
    st.tuples(st.just("wait"), st.timedeltas(timedelta(), 10 * DAY)),
    st.tuples(st.just("claim"), st.none()),
    st.tuples(st.just("end"), st.tuples(st.sampled_from(Outcome), delays)),
    st.tuples(st.just("reschedule"), triggers),
    st.tuples(st.just("move"), st.datetimes(datetime(2025, 12, 1), datetime(2027, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
    st.tuples(st.sampled_from(["pause", "resume", "retry"]), st.none()),
)


def step(job: Job, what: str, how: Any, now: datetime) -> Job:
    """Take one step of a job's history, if it may be taken."""
    match what:
        case "claim":
            return claimed(job, now) if job.state is State.SCHEDULED and job.due_at <= now else job
        case "end":
            outcome, delay = how
            return ended(job, outcome, delay=delay, now=now, chance=0.5) if job.run is not None else job
        case "reschedule":
            return lifecycle.reschedule(job, request={}, trigger=how, options=Options(), now=now, calendars={}).job
        case "move":
            trigger = lifecycle.moved(job, how, now=now, calendars={})
            return lifecycle.reschedule(
                job, request={}, trigger=trigger, options=Options(), now=now, calendars={}, is_moved=True
            ).job
        case _:
            edit: Edit = getattr(lifecycle, what)
            return edit(job, now=now)


def faults(job: Job) -> list[str]:
    """Say what is contradictory about a job."""
    rules = {
        "a running job has a run, a node and a time of claim, any other has none": [job.state is State.RUNNING] * 3
        == [fact is not None for fact in (job.run, job.node, job.claimed_at)],
        "paused says that the job is held back, now or after its run": job.state is State.RUNNING
        or job.paused is (job.state is State.PAUSED),
        "what is pending has a next run, unless its last one is under way; what is done has none": (
            job.next_run is not None or job.state is State.RUNNING
        )
        == (job.state in PENDING),
        "dead is done, with an outcome that is deadly": job.is_dead
        is (job.state is State.DONE and job.outcome in DEADLY),
        "each failure and each loss was an attempt": job.failures + job.losses <= job.attempt,
        "a job is never due before its fire time": job.due_at >= job.fire_time,
        "the outcome is that of the last run, if that was for this fire time or one before": job.outcome
        in {None, job.last_run and job.last_run.outcome},
    }
    return [rule for rule, holds in rules.items() if not holds]


@settings(deadline=None)
@given(triggers, st.lists(steps, max_size=30))
def test_no_history_leads_to_a_contradiction(trigger: Trigger, history: list[tuple[str, Any]]) -> None:
    """Whatever is done to a job in whatever order, it is legal, and each change is one version."""
    job, now = a_job(trigger), NOON
    for what, how in history:
        if what == "wait":
            now += how
            continue
        before = deepcopy(job)
        try:
            after = step(job, what, how, now)
        except MainspringError:
            after = job
        assert before == job
        assert [] == faults(after)
        if after is not job:
            assert (job.version + 1, now) == (after.version, after.updated_at)
        job = after


@given(jobs, runs, st.integers(0, 99), st.integers(0, 99))
def test_a_job_is_quickly_done_as_it_is_plainly(job: Job, run: Run, failures: int, losses: int) -> None:
    """The fast path for the most common end of a run writes what the plain one writes."""
    becomes = lifecycle.Done(failures, losses)

    assert lifecycle.written(job, becomes, run, NOON) == lifecycle.quickly_done(job, becomes, run, NOON)
