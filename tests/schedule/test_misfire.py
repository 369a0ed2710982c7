from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.schedule import Every, Fate, Once, Overlap, Period, Recurring, Unrun
from mainspring.schedule.misfire import Decision, following, late
from mainspring.schedule.rules import AnyOf, Cron, RRule
from mainspring.schedule.trigger import Misfire, MisfirePolicy

JOB = UUID("019e830e-1a00-70a5-abaa-9455e3e70682")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
SKIP, ALL = Misfire(MisfirePolicy.SKIP), Misfire(MisfirePolicy.FIRE_ALL, cap=3, spacing=10 * SECOND)


def hourly(misfire: Misfire = Misfire(), **terms: Any) -> Recurring:  # noqa: B008 - it is frozen
    """Build a trigger that has fired at each full hour since midnight."""
    return Recurring(Every(Period(exact=HOUR)), NOON - 12 * HOUR, misfire=misfire, **terms)


def before(trigger: Recurring | Once, now: datetime) -> Decision:
    """Decide about the occurrence of noon."""
    return late(trigger, NOON, due_at=NOON, now=now, job_id=JOB)


def after(trigger: Recurring | Once, started_at: datetime, now: datetime) -> Decision:
    """Decide what comes after the occurrence of noon."""
    return following(trigger, NOON, started_at=started_at, now=now, job_id=JOB)


def hours(first: int, last: int) -> tuple[datetime, datetime, int]:
    """Name the occurrences from the `first` to the `last` hour after noon."""
    return NOON + first * HOUR, NOON + last * HOUR, last - first + 1


def told(decision: Decision) -> list[tuple[datetime, datetime, int]]:
    """Tell which occurrences were passed over, and how many these are; each must have a reason."""
    assert all(unrun.reason for unrun in decision.unrun)
    return [(unrun.first, unrun.last, unrun.number) for unrun in decision.unrun]


# --- before a run


@pytest.mark.parametrize("policy", [*MisfirePolicy])
def test_what_is_in_time_starts(policy: MisfirePolicy) -> None:
    """A few seconds late is in time, whatever the policy."""
    assert Decision(NOON) == before(hourly(Misfire(policy)), NOON + 5 * SECOND)


@pytest.mark.parametrize("now", [NOON, NOON + 1000 * HOUR])
def test_a_job_that_runs_once_starts_however_late(now: datetime) -> None:
    """What was asked for once is not dropped."""
    assert Decision(NOON) == before(Once(NOON), now)
    assert Decision(None) == after(Once(NOON), now, now)


def test_fire_now_starts_the_pending_occurrence_late() -> None:
    """However long ago it was due."""
    assert Decision(NOON) == before(hourly(), NOON + 30 * HOUR)


def test_fire_now_with_a_grace() -> None:
    """What is later than the grace is skipped; the first within it starts."""
    decision = before(hourly(grace=90 * MINUTE), NOON + 5 * HOUR)
    assert NOON + 4 * HOUR == decision.fire_time
    assert [hours(0, 3)] == told(decision)
    assert {Fate.SKIPPED} == {unrun.fate for unrun in decision.unrun}


def test_skip_goes_to_the_next() -> None:
    """What is more than a minute late is skipped, and the job waits for its next fire time."""
    decision = before(hourly(SKIP), NOON + 2 * HOUR + 30 * MINUTE)
    assert NOON + 3 * HOUR == decision.fire_time
    assert [hours(0, 2)] == told(decision)


@pytest.mark.parametrize(("now", "fire_time"), [(MINUTE, NOON), (MINUTE + SECOND, NOON + HOUR)])
def test_grace_of_skip_is_a_minute(now: timedelta, fire_time: datetime) -> None:
    """To the second."""
    assert fire_time == before(hourly(SKIP), NOON + now).fire_time


def test_grace_counts_from_when_it_was_due() -> None:
    """An occurrence whose place in the window is late, or that was postponed, is not late for that."""
    now = NOON + 30 * MINUTE
    assert NOON == late(hourly(SKIP, window=HOUR), NOON, due_at=now - SECOND, now=now, job_id=JOB).fire_time


def test_fire_all_starts_one_after_the_other() -> None:
    """The oldest first, if there are no more than the cap."""
    assert Decision(NOON) == before(hourly(ALL), NOON + 2 * HOUR)


def test_fire_all_drops_the_oldest_beyond_the_cap() -> None:
    """The last three of six start; the others are accounted for."""
    decision = before(hourly(ALL), NOON + 5 * HOUR)
    assert NOON + 3 * HOUR == decision.fire_time
    assert [hours(0, 2)] == told(decision)


def test_fire_all_with_a_grace() -> None:
    """What is later than the grace is not caught up with."""
    decision = before(hourly(ALL, grace=2 * HOUR), NOON + 20 * HOUR)
    assert NOON + 18 * HOUR == decision.fire_time
    assert [hours(0, 17)] == told(decision)


def test_nothing_is_left_to_wait_for() -> None:
    """A schedule that is over ends with what was skipped last."""
    decision = before(hourly(SKIP, end=NOON + 2 * HOUR), NOON + 9 * HOUR)
    assert decision.fire_time is None
    assert [hours(0, 2)] == told(decision)


# --- after a run


def test_what_comes_next_is_the_next() -> None:
    """With nothing missed there is nothing to decide."""
    assert Decision(NOON + HOUR) == after(hourly(), NOON, NOON + MINUTE)


def test_fire_now_covers_what_was_missed() -> None:
    """A run that began three hours late stands for the occurrences in between."""
    decision = after(hourly(), NOON + 3 * HOUR + MINUTE, NOON + 3 * HOUR + 2 * MINUTE)
    assert NOON + 4 * HOUR == decision.fire_time
    assert [hours(1, 3)] == told(decision)
    assert {Fate.COALESCED} == {unrun.fate for unrun in decision.unrun}


def test_what_came_while_it_ran_is_queued() -> None:
    """The first such occurrence is next, overdue already; the run for it will cover the others."""
    decision = after(hourly(), NOON, NOON + 3 * HOUR + MINUTE)
    assert Decision(NOON + HOUR) == decision
    second = following(
        hourly(), NOON + HOUR, started_at=NOON + 3 * HOUR + MINUTE, now=NOON + 3 * HOUR + 2 * MINUTE, job_id=JOB
    )
    assert NOON + 4 * HOUR == second.fire_time
    assert [hours(2, 3)] == told(second)


def test_what_came_while_it_ran_is_skipped() -> None:
    """If the schedule says so: the next is one that is still to come."""
    decision = after(hourly(overlap=Overlap.SKIP), NOON, NOON + 3 * HOUR + MINUTE)
    assert NOON + 4 * HOUR == decision.fire_time
    assert [hours(1, 3)] == told(decision)
    assert {Fate.SKIPPED} == {unrun.fate for unrun in decision.unrun}


def test_missed_and_overlapped() -> None:
    """What was missed before a late run is covered by it, what came meanwhile goes by the overlap policy."""
    decision = after(hourly(overlap=Overlap.SKIP), NOON + 2 * HOUR, NOON + 4 * HOUR)
    assert NOON + 5 * HOUR == decision.fire_time
    assert [hours(1, 2), hours(3, 4)] == told(decision)
    assert [Fate.COALESCED, Fate.SKIPPED] == [unrun.fate for unrun in decision.unrun]


def test_fire_all_keeps_its_spacing() -> None:
    """The next is held back until the spacing after the start of the one before."""
    started_at = NOON + 2 * HOUR + 5 * MINUTE
    decision = after(hourly(ALL), started_at, started_at + SECOND)
    assert Decision(NOON + HOUR, not_before=started_at + 10 * SECOND) == decision


def test_skip_after_a_long_run() -> None:
    """What came during the run and is late is skipped, what came just now starts."""
    decision = after(hourly(SKIP), NOON, NOON + 3 * HOUR + SECOND)
    assert NOON + 3 * HOUR == decision.fire_time
    assert [hours(1, 2)] == told(decision)


def test_place_in_the_window_is_not_lateness() -> None:
    """A job whose place in its window is after the next fire time has missed nothing."""
    trigger = Recurring(Cron("*/10 * * * *"), NOON, window=HOUR)
    due_at = trigger.due_at(NOON, JOB)
    assert due_at - NOON > 20 * MINUTE
    assert Decision(NOON + 10 * MINUTE) == following(trigger, NOON, started_at=due_at, now=due_at + SECOND, job_id=JOB)


# --- every occurrence is accounted for

rules = st.sampled_from([
    Every(Period(exact=7 * MINUTE)),
    Every(Period(days=1)),
    Cron("*/10 * * * *"),
    Cron("0 3 * * *"),
    RRule("FREQ=HOURLY;INTERVAL=5"),
    AnyOf((Cron("0 */2 * * *"), Every(Period(exact=3 * HOUR)))),
])  # fmt: skip
triggers = st.builds(
    Recurring,
    rules,
    st.just(NOON),
    end=st.none() | st.just(NOON + 60 * HOUR),
    time_zone=st.sampled_from(["UTC", "Europe/Berlin"]),
    jitter=st.sampled_from([timedelta(), MINUTE]),
    window=st.sampled_from([timedelta(), HOUR]),
    misfire=st.sampled_from([Misfire(), SKIP, ALL]),
    grace=st.none() | st.sampled_from([MINUTE, 2 * HOUR]),
    overlap=st.sampled_from([Overlap.QUEUE, Overlap.SKIP]),
)
steps = st.lists(st.tuples(st.timedeltas(timedelta(), 20 * HOUR), st.timedeltas(timedelta(), 20 * HOUR)), max_size=12)


@settings(deadline=None, max_examples=200)
@given(triggers, steps)
def test_every_occurrence_is_accounted_for(trigger: Recurring, delays: list[tuple[timedelta, timedelta]]) -> None:
    """However late runs begin and however long they take: each occurrence ran or was passed over, once, in order."""
    history: list[Unrun | datetime] = []
    pending: datetime | None = trigger.first
    now, not_before = NOON, None
    for delay, length in delays:
        if pending is None:
            break
        due_at = max(filter(None, (trigger.due_at(pending, JOB), not_before)))
        now = max(now, due_at) + delay
        decision = late(trigger, pending, due_at=due_at, now=now, job_id=JOB)
        history += decision.unrun
        if decision.fire_time != pending:
            pending, not_before = decision.fire_time, None
            continue
        assert now >= trigger.due_at(pending, JOB), "never early"
        history.append(pending)
        decision = following(trigger, pending, started_at=now, now=now + length, job_id=JOB)
        history += decision.unrun
        now += length
        pending, not_before = decision.fire_time, decision.not_before
    expected = trigger.fire_times(NOON, NOON + 10_000 * HOUR)
    for entry in history:
        if isinstance(entry, datetime):
            assert next(expected) == entry
        else:
            row = [next(expected) for _ in range(entry.number)]
            assert (entry.first, entry.last) == (row[0], row[-1])
    assert pending == next(expected, None)


def test_a_long_outage_is_accounted_for_at_once() -> None:
    """A job of each minute that was held up for a year: half a million occurrences are counted, not walked through."""
    trigger = Recurring(Cron("* * * * *"), NOON, time_zone="Europe/Berlin", misfire=SKIP)
    decision = before(trigger, NOON + timedelta(days=365) + 2 * SECOND)
    assert [(NOON, NOON + timedelta(days=365) - MINUTE, 365 * 1440)] == told(decision)
    assert NOON + timedelta(days=365) == decision.fire_time
