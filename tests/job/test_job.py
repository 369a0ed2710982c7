from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from mainspring.job import DEADLY, PENDING, Job, JobKey, Options, Outcome, Run, State, lifecycle
from mainspring.schedule import Every, Once, Period, Recurring, Trigger

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
DAILY = Recurring(Every(Period(days=1)), NOON)


def a_job(trigger: Trigger = DAILY, *, state: State = State.SCHEDULED, outcome: Outcome | None = None) -> Job:
    """Make a job that stands somewhere, due five minutes after its fire time."""
    job = lifecycle.create(
        job_id=UUID(int=1),
        key=JobKey("vps4", "backups"),
        request={},
        trigger=trigger,
        options=Options(),
        now=NOON,
        calendars={},
    ).job
    return job._replace(state=state, outcome=outcome, due_at=NOON + timedelta(minutes=5))


def test_a_key_is_the_pair() -> None:
    """Products and groups that read the same when they are joined are still different keys."""
    assert JobKey("a-b", "c") != JobKey("a", "b-c")
    assert JobKey("a/b", "c") != JobKey("a", "b/c")
    assert "vps4/backups" == str(JobKey("vps4", "backups"))


def test_every_state_but_done_is_pending() -> None:
    """A job is either done or pending."""
    assert {State.DONE} == set(State) - PENDING


@pytest.mark.parametrize(
    ("trigger", "state", "expected"),
    [
        (DAILY, State.SCHEDULED, NOON + timedelta(minutes=5)),
        (DAILY, State.PAUSED, NOON + timedelta(minutes=5)),
        (DAILY, State.RUNNING, NOON + DAY),
        (Once(NOON), State.RUNNING, None),
        (DAILY, State.DONE, None),
    ],
)
def test_next_run(trigger: Trigger, state: State, expected: datetime | None) -> None:
    """A job that waits runs when it is due, one that runs at its next fire time, and one that is done never."""
    assert expected == a_job(trigger, state=state).next_run


@pytest.mark.parametrize("outcome", [None, *Outcome])
@pytest.mark.parametrize("state", State)
def test_is_dead(state: State, outcome: Outcome | None) -> None:
    """Dead is what is done and failed, timed out or was lost; what may still run is not dead."""
    gave_up = outcome in {Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST}
    assert (state is State.DONE and gave_up) == a_job(state=state, outcome=outcome).is_dead
    assert gave_up == (outcome in DEADLY)


def test_occurrence_id() -> None:
    """An occurrence has the same id for ever and everywhere: targets use it as a key."""
    job = a_job()
    assert UUID("f47016b5-3dec-54ca-8f4a-b06beb7b558b") == job.occurrence_id
    assert job.occurrence_id == job._replace(attempt=3, run=9, due_at=NOON + DAY, version=7).occurrence_id
    others = job._replace(fire_time=NOON + DAY), job._replace(id=UUID(int=2))
    assert 3 == len({job.occurrence_id, *(other.occurrence_id for other in others)})


def test_lateness() -> None:
    """A run is late by the time from when it was due to when it really started."""
    run = Run(
        number=1,
        job_id=UUID(int=1),
        key=JobKey("vps4", "backups"),
        fire_time=NOON,
        due_at=NOON + DAY,
        attempt=2,
        node="node-1",
        started_at=NOON + DAY + timedelta(seconds=3),
        finished_at=NOON + 2 * DAY,
        outcome=Outcome.SUCCEEDED,
    )
    assert timedelta(seconds=3) == run.lateness
