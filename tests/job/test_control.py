"""What people do to jobs besides changing them, and what options make of them."""

from datetime import timedelta
from typing import Any

import pytest

from mainspring.errors import JobFinishedError, JobNotRunningError, JobRunningError
from mainspring.job import Edit, Ending, Hold, Job, Options, Outcome, Run, State, history, lifecycle
from mainspring.schedule import Once, Trigger
from tests.job.test_lifecycle import DAILY, DAY, HOUR, MINUTE, NOON, ONCE, POLICY, SECOND, a_job, claimed

CHILD = a_job().id.__class__(int=2)
PAUSED: dict[str, Any] = {"state": State.PAUSED, "paused": True, "hold": Hold(NOON, "why"), "resume_at": NOON + HOUR}
DONE: dict[str, Any] = {"state": State.DONE, "outcome": Outcome.FAILED}


def over(job: Job, outcome: Outcome, now: Any = NOON + MINUTE) -> tuple[Run, Job]:
    """End the run of a job in some way; return its row and what the job becomes."""
    ending = Ending(outcome, "it was so")
    run = history.ended(job, ending, started_at=NOON, now=now)
    change = lifecycle.after(job, run, ending, policy=POLICY, now=now, chance=0, calendars={})
    return change.run, change.job


# --- pause and resume


def test_pause_says_why_and_until_when() -> None:
    """Again with other words it changes; with none or the same it does not."""
    paused = lifecycle.pause(a_job(), now=NOON, reason="why", until=NOON + HOUR)
    assert (State.PAUSED, True, Hold(NOON, "why"), NOON + HOUR) == (
        paused.state,
        paused.paused,
        paused.hold,
        paused.resume_at,
    )
    assert paused is lifecycle.pause(paused, now=NOON + MINUTE)
    assert paused is lifecycle.pause(paused, now=NOON + MINUTE, reason="why", until=NOON + HOUR)
    longer = lifecycle.pause(paused, now=NOON + MINUTE, reason="why", until=NOON + DAY)
    assert (Hold(NOON + MINUTE, "why"), NOON + DAY, paused.version + 1) == (
        longer.hold,
        longer.resume_at,
        longer.version,
    )


def test_resume_forgets_all_of_it() -> None:
    """Also on how many occurrences the job gave up before."""
    resumed = lifecycle.resume(a_job(**PAUSED, give_ups=3), now=NOON)
    assert (State.SCHEDULED, False, None, None, 0) == (
        resumed.state,
        resumed.paused,
        resumed.hold,
        resumed.resume_at,
        resumed.give_ups,
    )


def test_created_paused() -> None:
    """It waits to be resumed, and says so."""
    job = a_job()
    edit = lifecycle.create(
        job_id=job.id,
        key=job.key,
        request=job.request,
        trigger=ONCE,
        options=Options(paused=True),
        now=NOON,
        calendars={},
    )
    assert (State.PAUSED, True, Hold(NOON, "created paused")) == (edit.job.state, edit.job.paused, edit.job.hold)


@pytest.mark.parametrize(
    ("before", "was", "paused", "state"),
    [
        (None, False, True, State.PAUSED),
        (True, True, None, State.SCHEDULED),
        (True, True, False, State.SCHEDULED),
        (True, False, True, State.SCHEDULED),  # it was resumed since, and the option says nothing else than before
        (None, True, None, State.PAUSED),  # people paused it, not the option
        (False, True, None, State.PAUSED),
    ],
)
def test_the_option_pauses_and_resumes_when_it_changes(
    before: bool | None,  # noqa: FBT001 - a column of the table
    was: bool,  # noqa: FBT001
    paused: bool | None,  # noqa: FBT001
    state: State,
) -> None:
    """Else what people did since stays."""
    job = a_job(options=Options(paused=before), **(PAUSED if was else {}))
    changed = lifecycle.reschedule(
        job, request={}, trigger=ONCE, options=Options(paused=paused), now=NOON, calendars={}
    ).job
    assert (state, state is State.PAUSED) == (changed.state, changed.paused)
    assert (changed.hold is not None) == changed.paused


# --- fire


@pytest.mark.parametrize("changes", [{}, PAUSED])
def test_fired_job_is_due(changes: dict[str, Any]) -> None:
    """One without a schedule, also if it was paused; its fire time is now, so nothing starts before that."""
    fired, child = lifecycle.fire(a_job(Once(NOON + DAY), **changes), CHILD, now=NOON)
    assert (State.SCHEDULED, NOON, NOON, Once(NOON), False) == (
        fired.state,
        fired.due_at,
        fired.fire_time,
        fired.trigger,
        fired.paused,
    )
    assert child is None


def test_fired_retry_is_the_next_attempt() -> None:
    """Of the fire time that is tried."""
    waiting = a_job(due_at=NOON + HOUR, attempt=2, failures=2)
    fired, _ = lifecycle.fire(waiting, CHILD, now=NOON)
    assert (NOON, waiting.fire_time, 2, 2) == (fired.due_at, fired.fire_time, fired.attempt, fired.failures)


@pytest.mark.parametrize("changes", [{}, PAUSED, {"state": State.RUNNING, "run": 7, "node": "node-1"}])
def test_fired_series_gets_a_run_beside_it(changes: dict[str, Any]) -> None:
    """Its schedule and its pause stay."""
    job = a_job(DAILY, priority=8, **changes)
    fired, child = lifecycle.fire(job, CHILD, now=NOON + SECOND)
    assert fired == job._replace(version=job.version + 1, updated_at=NOON + SECOND)
    assert child is not None
    assert (CHILD, job.id, State.SCHEDULED, NOON + SECOND, True, 8, False) == (
        child.id,
        child.parent,
        child.state,
        child.due_at,
        child.backfill,
        child.priority,
        child.paused,
    )


# --- cancel


@pytest.mark.parametrize("outcome", [*Outcome])
@pytest.mark.parametrize(("trigger", "state"), [(ONCE, State.DONE), (DAILY, State.SCHEDULED)])
def test_cancelled_run_is_cancelled_however_it_ends(outcome: Outcome, trigger: Trigger, state: State) -> None:
    """It is not tried again; a series goes on with its next fire time."""
    cancelling, none = lifecycle.cancel(claimed(a_job(trigger)), now=NOON)
    assert (none, True, State.RUNNING) == (None, cancelling.cancelling, cancelling.state)
    run, job = over(cancelling, outcome)
    assert (Outcome.CANCELLED, "cancelled on request") == (run.outcome, run.reason)
    assert (state, False, Outcome.CANCELLED) == (job.state, job.cancelling, job.outcome)
    assert job.fire_time == (NOON + DAY if trigger is DAILY else NOON)


@pytest.mark.parametrize("changes", [{}, PAUSED])
def test_cancelled_before_it_begins_a_job_is_done(changes: dict[str, Any]) -> None:
    """History says so; a series is not cancelled but paused or deleted."""
    job = a_job(**changes)
    done, run = lifecycle.cancel(job, now=NOON)
    assert run is not None
    assert (State.DONE, Outcome.CANCELLED, False, None) == (done.state, done.outcome, done.paused, done.hold)
    assert (0, Outcome.CANCELLED, NOON, job.fire_time) == (run.attempt, run.outcome, run.finished_at, run.fire_time)
    with pytest.raises(JobNotRunningError):
        lifecycle.cancel(a_job(DAILY, **changes), now=NOON)


def test_what_is_done_is_neither_fired_nor_cancelled() -> None:
    """A job without a schedule that runs is not fired either."""
    for call in (lambda job: lifecycle.fire(job, CHILD, now=NOON), lambda job: lifecycle.cancel(job, now=NOON)):
        with pytest.raises(JobFinishedError):
            call(a_job(**DONE))
    with pytest.raises(JobRunningError):
        lifecycle.fire(claimed(a_job()), CHILD, now=NOON)


# --- pauseAfter


def give_up(job: Job, times: int, outcome: Outcome = Outcome.TIMED_OUT) -> Job:
    """Have a series end so many occurrences in that way, each after its only attempt."""
    for _ in range(times):
        _, job = over(claimed(job, job.due_at), outcome, job.due_at + SECOND)
    return job


def test_a_series_that_gives_up_too_often_is_paused() -> None:
    """Not before; it says why, and since when."""
    job = give_up(a_job(DAILY, options=Options(max_attempts=1, pause_after=3)), 2)
    assert (2, False) == (job.give_ups, job.paused)
    job = give_up(job, 1)
    assert (State.PAUSED, True, Hold(NOON + 2 * DAY + SECOND, "it gave up on 3 occurrences in a row")) == (
        job.state,
        job.paused,
        job.hold,
    )
    assert NOON + 3 * DAY == job.fire_time


@pytest.mark.parametrize(
    ("outcome", "left"),
    [(Outcome.SUCCEEDED, 0), (Outcome.SKIPPED, 2), (Outcome.VETOED, 2), (Outcome.LOST, 3), (Outcome.FAILED, 3)],
)
def test_only_success_ends_the_row(outcome: Outcome, left: int) -> None:
    """An occurrence that did not run says nothing."""
    job = give_up(a_job(DAILY, options=Options(max_attempts=1)), 2)
    once = POLICY.__class__(max_attempts=1, at_most_once=True)
    running = claimed(job, job.due_at)
    ending = Ending(outcome)
    run = history.ended(running, ending, started_at=job.due_at, now=job.due_at)
    change = lifecycle.after(running, run, ending, policy=once, now=job.due_at, chance=0, calendars={})
    assert (left, False) == (change.job.give_ups, change.job.paused)


# --- expiresAfter


@pytest.mark.parametrize(("trigger", "state"), [(ONCE, State.DONE), (DAILY, State.SCHEDULED)])
def test_what_has_not_begun_in_time_is_skipped(trigger: Trigger, state: State) -> None:
    """After that time and not at it; a series goes on."""
    job = claimed(a_job(trigger, options=Options(expires_after=MINUTE)), NOON + MINUTE)
    assert lifecycle.missed(job, now=NOON + MINUTE, calendars={}) is None
    ending = lifecycle.missed(job, now=NOON + MINUTE + timedelta(microseconds=1), calendars={})
    assert Ending(Outcome.SKIPPED, "expired: it had not begun PT1M after its fire time") == ending
    assert state is over(job, Outcome.SKIPPED)[1].state


@pytest.mark.parametrize(
    ("changes", "expires"),
    [
        ({"failures": 1, "attempt": 1, "outcome": Outcome.FAILED}, False),
        ({"losses": 1, "attempt": 1, "outcome": Outcome.LOST}, False),
        ({"attempt": 1, "outcome": Outcome.INTERRUPTED}, False),
        ({"attempt": 3, "outcome": Outcome.FAILED}, False),  # it gave up, and somebody retries it
        ({"backfill": True}, False),
        ({"attempt": 4, "outcome": Outcome.POSTPONED}, True),
        ({"outcome": Outcome.SUCCEEDED}, True),  # an occurrence before did that
    ],
)
def test_only_what_has_not_begun_expires(changes: dict[str, Any], expires: bool) -> None:  # noqa: FBT001 - a column
    """It is its fire time that expires, not the job's patience with failures, or what people ask for afterwards."""
    job = claimed(a_job(options=Options(expires_after=MINUTE), **changes), NOON + HOUR)
    assert expires == (lifecycle.missed(job, now=NOON + HOUR, calendars={}) is not None)


# --- priority


@pytest.mark.parametrize(("asked", "group", "expected"), [(None, 5, 5), (None, 7, 7), (0, 7, 0), (9, 5, 9)])
def test_priority_is_that_of_the_options_or_of_the_group(asked: int | None, group: int, expected: int) -> None:
    """Whichever says something first."""
    assert expected == lifecycle.ranked(a_job(options=Options(priority=asked)), group, None).priority


@pytest.mark.parametrize(
    ("asked", "group", "expected"), [(None, None, None), (None, "a", "a"), ("b", None, "b"), ("b", "a", "b")]
)
def test_concurrency_key_is_that_of_the_options_or_of_the_group(
    asked: str | None, group: str | None, expected: str | None
) -> None:
    """Whichever says something first."""
    assert expected == lifecycle.ranked(a_job(options=Options(concurrency_key=asked)), 5, group).concurrency_key


def test_what_runs_beside_a_series_has_its_priority() -> None:
    """An occurrence that was taken out of it, too."""
    parted = lifecycle.split_off(claimed(a_job(DAILY, priority=2)), CHILD, now=NOON, calendars={})
    assert parted is not None
    assert isinstance(parted[0], Edit)
    assert {2} == {parted[0].job.priority, parted[1].priority}
