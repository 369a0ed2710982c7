"""Trigger, misfire policy, calendar, window and jitter together; and the preview, which must be what then happens."""

import random  # noqa: TID251 - drawn from a seed, always the same
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from time import thread_time
from typing import Any
from uuid import UUID

import pytest

from mainspring.clock import ManualClock, SystemClock
from mainspring.schedule import (
    Backfill,
    Backfilled,
    Calendar,
    Every,
    Fate,
    Once,
    Outage,
    Overlap,
    Period,
    Planned,
    Recurring,
    Start,
    Trigger,
    Unrun,
    calendar_from_json,
    following,
    forecast,
    opening,
    overdue,
    preview,
)
from mainspring.schedule.preview import MOST_PASSED
from mainspring.schedule.rules import AnyOf, Cron, RRule
from mainspring.schedule.trigger import Blackout, CalendarUse, Days, Misfire, MisfirePolicy, spread
from mainspring.schedule.zones import DstOverlap
from tests.schedules import cron_expressions, rules

JOB = UUID("019e830e-1a00-70a5-abaa-9455e3e70682")
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CALENDARS: dict[str, Calendar] = {
    "weekend": calendar_from_json({"weekly": [{"days": ["SA", "SU"]}]}),
    "freeze": calendar_from_json({"ranges": [{"first": "2026-06-02", "last": "2026-06-03"}]}),
    "always": calendar_from_json({"weekly": [{"days": ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]}]}),
}


def daily(**terms: Any) -> Recurring:
    """Build a trigger that fires at noon."""
    return Recurring(Cron("0 12 * * *"), MONDAY, **terms)


def begin(trigger: Trigger) -> Planned:
    """Plan the first occurrence."""
    return opening(trigger, job_id=JOB, calendars=CALENDARS)


def starts_of(trigger: Trigger, number: int, *, now: datetime) -> list[Start]:
    """Return the first occurrences that a preview says will start."""
    lines = preview(trigger, now=now, job_id=JOB, calendars={})
    return list(islice((line for line in lines if isinstance(line, Start)), number))


def after(trigger: Trigger, ran: datetime, at: datetime | None = None) -> Planned:
    """Plan what comes after a short run."""
    return following(trigger, ran, started_at=at or ran, now=at or ran, job_id=JOB, calendars=CALENDARS)


# --- when an occurrence may start


def test_plain() -> None:
    """With nothing in the way an occurrence is due at its fire time."""
    noon = MONDAY + 12 * HOUR
    assert Planned(noon, noon) == begin(daily())
    assert Planned(noon + DAY, noon + DAY) == after(daily(), noon)
    assert Planned(noon, noon) == begin(Once(noon))
    assert Planned(None, None) == after(Once(noon), noon)


def test_window_is_the_jobs_own_place() -> None:
    """Each occurrence of a job starts at the same place in its window, and others' at others."""
    trigger = daily(window=HOUR)
    delays = [start.at - start.fire_time for start in starts_of(trigger, 5, now=MONDAY)]
    assert {HOUR * spread(JOB)} == set(delays)
    assert timedelta() <= delays[0] < HOUR
    assert trigger.due_at(MONDAY, UUID(int=JOB.int + 1)) != trigger.due_at(MONDAY, JOB)


def test_jitter_is_stable_per_occurrence() -> None:
    """Each occurrence has a delay of its own, at most the jitter, and the same whenever it is asked for."""
    trigger = daily(jitter=HOUR)
    delays = [trigger.due_at(MONDAY + number * DAY, JOB) - MONDAY - number * DAY for number in range(200)]
    assert delays == [trigger.due_at(MONDAY + number * DAY, JOB) - MONDAY - number * DAY for number in range(200)]
    assert 200 == len(set(delays))
    assert all(timedelta() <= delay < HOUR for delay in delays)
    assert 20 * MINUTE < sum(delays, timedelta()) / 200 < 40 * MINUTE


@pytest.mark.parametrize("ids", [SystemClock(), ManualClock(), ManualClock(seed=5)])
@pytest.mark.parametrize("step", [1, 2, 7])
def test_windows_are_a_level_load(ids: SystemClock | ManualClock, step: int) -> None:
    """Ten thousand jobs of "midnight, give or take half an hour": no minute has 1.2 times the mean.

    Also if only every second or seventh id is that of such a job.
    """
    trigger = Recurring(Cron("30 23 * * *"), MONDAY, window=HOUR)
    fire_time = trigger.first
    due = [trigger.due_at(fire_time, ids.new_id()) for number in range(10_000 * step) if number % step == 0]
    minutes = Counter((moment - fire_time) // MINUTE for moment in due)
    assert set(range(60)) == set(minutes)
    assert max(minutes.values()) <= 1.2 * 10_000 / 60
    assert min(minutes.values()) >= 0.8 * 10_000 / 60


# --- calendars


def test_calendar_skips() -> None:
    """What falls in a calendar is left out; each of it is accounted for, with the calendar's name."""
    friday = MONDAY + 4 * DAY + 12 * HOUR
    planned = after(daily(calendar=CalendarUse("weekend")), friday)
    assert friday + 3 * DAY == planned.fire_time
    [unrun] = planned.unrun
    assert (friday + DAY, friday + 2 * DAY, 2, Fate.SKIPPED) == unrun[:4]
    assert "weekend" in unrun.reason


def test_calendar_is_kept_to() -> None:
    """What falls outside a calendar is left out."""
    planned = begin(daily(calendar=CalendarUse("weekend", Days.INCLUDE)))
    assert MONDAY + 5 * DAY + 12 * HOUR == planned.fire_time
    assert [5] == [unrun.number for unrun in planned.unrun]


def test_blackout_postpones() -> None:
    """The first occurrence of a blackout starts after its end, and covers those that fall in it as well."""
    trigger = daily(calendar=CalendarUse("freeze", blackout=Blackout.POSTPONE, spread=10 * MINUTE))
    noon, end = MONDAY + 12 * HOUR, MONDAY + 3 * DAY
    planned = after(trigger, noon)
    assert (noon + DAY, end + 10 * MINUTE * spread(JOB)) == planned[:2]
    assert planned.reason is not None
    assert "freeze" in planned.reason
    assert planned.due_at is not None
    then = after(trigger, noon + DAY, planned.due_at)
    assert noon + 3 * DAY == then.fire_time == then.due_at
    assert [(noon + 2 * DAY, noon + 2 * DAY, 1, Fate.COALESCED)] == [unrun[:4] for unrun in then.unrun]


def test_postponed_occurrence_is_not_late() -> None:
    """The grace counts from the end of the blackout."""
    use = CalendarUse("freeze", blackout=Blackout.POSTPONE)
    trigger = daily(calendar=use, misfire=Misfire(MisfirePolicy.SKIP))
    planned = after(trigger, MONDAY + 12 * HOUR)
    assert planned.fire_time is not None
    assert planned.due_at is not None
    checked = overdue(
        trigger,
        planned.fire_time,
        due_at=planned.due_at,
        now=planned.due_at + SECOND,
        job_id=JOB,
        calendars=CALENDARS,
    )
    assert planned[:2] == checked[:2]


def test_catching_up_with_what_was_postponed_keeps_its_pace() -> None:
    """Where the blackout is over as well, occurrences do not all start at once."""
    use = CalendarUse("freeze", blackout=Blackout.POSTPONE)
    trigger = Recurring(Every(Period(exact=HOUR)), MONDAY, misfire=Misfire(MisfirePolicy.FIRE_ALL), calendar=use)
    ran, now = MONDAY + DAY, MONDAY + 4 * DAY
    assert (ran + HOUR, now + SECOND) == after(trigger, ran, now)[:2]


def test_calendar_that_leaves_nothing() -> None:
    """A schedule whose every time is ruled out ends, and says why."""
    planned = begin(daily(calendar=CalendarUse("always")))
    assert planned.fire_time is None
    assert [Fate.SKIPPED] == [unrun.fate for unrun in planned.unrun]


def test_calendar_and_schedule_that_never_meet() -> None:
    """A search for a time that both have is given up."""
    saturdays = Recurring(Cron("0 12 * * SAT"), MONDAY, calendar=CalendarUse("weekend"))
    planned = begin(saturdays)
    assert planned.fire_time is None
    [unrun] = planned.unrun
    assert unrun.number == saturdays.number(unrun.first, unrun.last) > 100


# --- previews


def lines(trigger: Trigger, number: int, outage: Outage | None = None) -> list[str]:
    """Write the first lines of a preview."""
    shown = islice(preview(trigger, now=MONDAY, job_id=JOB, calendars=CALENDARS, outage=outage), number)
    return [
        f"{line.fire_time:%d %H:%M} at {line.at:%d %H:%M}" + (f" ({line.note})" if line.note else "")
        if isinstance(line, Start)
        else f"{line.number} from {line.first:%d %H:%M} to {line.last:%d %H:%M} {line.fate}"
        for line in shown
    ]


OUTAGE = Outage(MONDAY + 11 * HOUR, MONDAY + 3 * DAY + 13 * HOUR + 5 * SECOND)


@pytest.mark.parametrize(
    ("misfire", "expected"),
    [
        (
            Misfire(),
            ["01 12:00 at 04 13:00 (late)", "3 from 02 12:00 to 04 12:00 coalesced", "05 12:00 at 05 12:00"],
        ),
        (Misfire(MisfirePolicy.SKIP), ["4 from 01 12:00 to 04 12:00 skipped", "05 12:00 at 05 12:00"]),
        (
            Misfire(MisfirePolicy.FIRE_ALL, cap=2, spacing=5 * MINUTE),
            [
                "2 from 01 12:00 to 02 12:00 skipped",
                "03 12:00 at 04 13:00 (late)",
                "04 12:00 at 04 13:05",
                "05 12:00 at 05 12:00",
            ],
        ),
    ],
)  # fmt: skip
def test_outage(misfire: Misfire, expected: list[str]) -> None:
    """A preview shows what an outage of four occurrences does under each policy."""
    assert expected == lines(daily(misfire=misfire), len(expected), OUTAGE)


def test_preview_notes_changes_of_the_clocks() -> None:
    """An occurrence that a change of the clocks has to do with says so; the local time is shown."""
    start = datetime(2026, 3, 28, tzinfo=UTC)
    gap = Recurring(Cron("30 2 * * *"), start, time_zone="Europe/Berlin")
    starts = starts_of(gap, 3, now=start)
    assert [None, "in place of a time that the clocks skip", None] == [line.note for line in starts]
    assert ["02:30", "03:00", "02:30"] == [f"{line.local:%H:%M}" for line in starts]
    both = Recurring(
        Cron("30 2 * * *"),
        datetime(2026, 10, 24, tzinfo=UTC),
        time_zone="Europe/Berlin",
        dst_overlap=DstOverlap.BOTH,
    )
    times = "time that the clocks show this time"
    assert [None, f"the first {times}", f"the second {times}", None] == [
        line.note for line in starts_of(both, 4, now=start)
    ]


def test_preview_shows_what_a_calendar_does() -> None:
    """What is left out is a line of its own; what is postponed says why."""
    skipped = lines(daily(calendar=CalendarUse("freeze")), 3)
    assert ["01 12:00 at 01 12:00", "2 from 02 12:00 to 03 12:00 skipped", "04 12:00 at 04 12:00"] == skipped
    use = CalendarUse("freeze", blackout=Blackout.POSTPONE, spread=timedelta())
    assert ["02 12:00 at 04 00:00 (it is in the calendar freeze)"] == lines(daily(calendar=use), 2)[1:]


def test_what_is_overdue_starts_now() -> None:
    """A preview does not show starts in the past."""
    now = MONDAY + 12 * HOUR + 30 * SECOND
    [start] = starts_of(Once(MONDAY), 1, now=now)
    assert (MONDAY, now, "late") == (start.fire_time, start.at, start.note)


def test_preview_of_one_moment() -> None:
    """A job that runs once has one line."""
    assert ["01 00:00 at 01 00:00"] == lines(Once(MONDAY), 5)


def drawn(number: int) -> list[Recurring]:
    """Draw triggers of all kinds, with all that can be in the way."""
    chance = random.Random(9)  # noqa: S311 - repeatable on purpose
    crons, rrules = cron_expressions(21, 60), [text for text, _ in rules(22, 60)]

    def rule() -> Every | Cron | RRule:
        period = Period(days=chance.randint(0, 3), exact=chance.randint(0, 3) * 7 * HOUR + MINUTE)
        kinds: list[Every | Cron | RRule] = [Every(period), Cron(chance.choice(crons)), RRule(chance.choice(rrules))]
        return chance.choice(kinds)

    return [
        Recurring(
            chance.choice([rule(), AnyOf((rule(), rule()))]),
            MONDAY + chance.randint(0, 300) * DAY,
            end=chance.choice([None, MONDAY + 400 * DAY]),
            time_zone=chance.choice(["UTC", "Europe/Berlin", "America/New_York"]),
            start_fires=chance.random() < 0.5,
            window=chance.choice([timedelta(), HOUR]),
            jitter=chance.choice([timedelta(), MINUTE]),
            misfire=Misfire(chance.choice([*MisfirePolicy]), cap=3, spacing=MINUTE),
            grace=chance.choice([None, HOUR]),
            overlap=chance.choice([Overlap.QUEUE, Overlap.SKIP]),
            calendar=chance.choice([None, CalendarUse("weekend"), CalendarUse("freeze", blackout=Blackout.POSTPONE)]),
        )
        for _ in range(number)
    ]


def check_previews(number: int) -> None:
    """Assert of so many drawn schedules that their previews show what a life under a moved clock has."""
    for trigger in drawn(number):
        if trigger.next_fire_time(trigger.start - SECOND) is None:
            continue
        outage = Outage(trigger.start + 2 * DAY, trigger.start + 4 * DAY)
        lines = preview(trigger, now=trigger.start, job_id=JOB, calendars=CALENDARS, outage=outage)
        told = [(line.fire_time, line.at) if isinstance(line, Start) else line for line in islice(lines, 12)]
        assert told == list(islice(live(trigger, outage), len(told))), trigger


def test_preview_is_what_then_happens() -> None:
    """The occurrences that a preview shows are those that then come."""
    check_previews(150)


def live(trigger: Recurring, outage: Outage) -> Any:
    """Lead a job through its life as a node does: it wakes when something is due, but not in the outage."""
    now = trigger.start
    planned = begin(trigger)
    while True:
        yield from planned.unrun
        if planned.fire_time is None or planned.due_at is None:
            return
        now = max(now, planned.due_at)
        if outage.begin <= now < outage.end:
            now = outage.end
        ready = overdue(trigger, planned.fire_time, due_at=planned.due_at, now=now, job_id=JOB, calendars=CALENDARS)
        if ready.fire_time == planned.fire_time:
            yield planned.fire_time, now
            planned = following(trigger, planned.fire_time, started_at=now, now=now, job_id=JOB, calendars=CALENDARS)
        else:
            planned = ready


def check_downtime(jobs: int) -> None:
    """Assert of so many jobs for each policy that six hours of downtime are accounted for, and caught up at a pace."""
    chance = random.Random(3)  # noqa: S311 - repeatable on purpose
    ids = ManualClock()
    outage = Outage(MONDAY + HOUR, MONDAY + 7 * HOUR)
    for policy, caught_up in ((MisfirePolicy.FIRE_NOW, 1), (MisfirePolicy.SKIP, 0), (MisfirePolicy.FIRE_ALL, 5)):
        misfire = Misfire(policy, cap=5, spacing=30 * SECOND)
        for _ in range(jobs):
            trigger = Recurring(Cron(f"*/{chance.choice([5, 10, 15, 20, 30])} * * * *"), MONDAY, misfire=misfire)
            ran: list[Start] = []
            unrun = 0
            for line in preview(trigger, now=MONDAY, job_id=ids.new_id(), calendars={}, outage=outage):
                if isinstance(line, Unrun):
                    unrun += line.number
                elif line.fire_time <= outage.end + 3 * HOUR:
                    ran.append(line)
                else:
                    break
            assert len(ran) + unrun == trigger.number(MONDAY, outage.end + 3 * HOUR)
            late = [line.at for line in ran if line.at > line.fire_time]
            assert caught_up == len(late)
            assert all(later - earlier >= 30 * SECOND for earlier, later in pairwise(late))


def test_six_hours_of_downtime_are_accounted_for() -> None:
    """Each occurrence ran or has a reason, and catch-up keeps its spacing."""
    check_downtime(100)


# --- backfill


def test_backfill() -> None:
    """The fire times of a past range, in order, spaced from now on, each marked; beyond the cap they are counted."""
    now = MONDAY + 30 * DAY
    backfill = Backfill(daily(), MONDAY, MONDAY + 9 * DAY + 12 * HOUR, cap=4, spacing=MINUTE)
    noon = MONDAY + 12 * HOUR
    assert [Backfilled(noon + number * DAY, now + number * MINUTE) for number in range(4)] == [
        *backfill.occurrences(now)
    ]
    assert 6 == backfill.left
    assert 0 == Backfill(daily(), MONDAY, noon).left


@pytest.mark.parametrize(("at", "expected"), [(MONDAY, 1), (MONDAY - SECOND, 0), (MONDAY + 2 * DAY, 0)])
def test_backfill_of_one_moment(at: datetime, expected: int) -> None:
    """A job that runs once is in the range or not."""
    backfill = Backfill(Once(at), MONDAY, MONDAY + DAY)
    assert (expected, 0) == (len([*backfill.occurrences(MONDAY)]), backfill.left)


def test_passed_is_told_with_its_ends() -> None:
    """A row of one has the same first and last."""
    [unrun] = after(daily(calendar=CalendarUse("freeze")), MONDAY + 2 * DAY + 12 * HOUR - DAY).unrun
    assert isinstance(unrun, Unrun)
    assert unrun.first == unrun.last


def test_forecast_has_room_for_so_much() -> None:
    """However much is passed over before the next start, it ends, and says that it was cut; so it does in time."""
    unrun = Unrun(MONDAY, MONDAY, 1, Fate.SKIPPED, "as the test says")
    start = Start(MONDAY, MONDAY, MONDAY)

    full = forecast(iter([unrun] * (MOST_PASSED + 1)), 1, lambda: False)
    late = forecast(iter([start, start]), 2, lambda: True)
    whole = forecast(iter([unrun, start, start]), 1, lambda: False)

    assert ((), MOST_PASSED, True) == (full.starts, len(full.unrun), full.cut)
    assert ((start,), True) == (late.starts, late.cut)
    assert ((start,), (unrun,), False) == (whole.starts, whole.unrun, whole.cut)


def test_calendar_that_leaves_no_time_is_found_out() -> None:
    """At night a schedule that keeps to office hours never fires, and that is known in no time."""
    office = calendar_from_json(
        {"weekly": [{"days": ["MO", "TU", "WE", "TH", "FR"], "start": "09:00", "end": "17:00"}]}
    )
    trigger = Recurring(Cron("0 3 * * *"), MONDAY, calendar=CalendarUse("office", Days.INCLUDE))

    begun = thread_time()
    planned = opening(trigger, job_id=JOB, calendars={"office": office})

    assert planned.fire_time is None
    assert thread_time() - begun < 1


# --- what would take long


CROWDS: dict[str, AnyOf] = {
    "cron": AnyOf(tuple(Cron(f"{n}-59/{7 + n} 0-11 {1 + n}-31 * *") for n in range(10))),
    "rrule": AnyOf(tuple(RRule(f"FREQ=HOURLY;INTERVAL={2 + n};BYHOUR=0,1,2,3,4,5;BYMINUTE={n}") for n in range(10))),
    "positions": AnyOf(tuple(RRule(f"FREQ=DAILY;BYHOUR=0,1,2,3,4,5;BYMINUTE={n};BYSETPOS=1,3,-1") for n in range(10))),
    "every": AnyOf(tuple(Every(Period(days=n, months=n % 3)) for n in range(1, 11))),
    "mixed": AnyOf((
        *(Cron(f"*/{7 + n} 0-11 * * *") for n in range(4)),
        *(Every(Period(days=n)) for n in range(1, 4)),
        *(RRule(f"FREQ=DAILY;INTERVAL={n};BYHOUR=3;BYMINUTE={n}") for n in range(1, 4)),
    )),
}  # fmt: skip
"""Ten rules each, that fire in the mornings alone."""


@pytest.mark.parametrize("kind", CROWDS)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_ten_rules_under_hundreds_of_long_stretches_end_at_the_horizon(kind: str, zone: str) -> None:
    """Each stretch has 700 days, and only mornings are between them: what is left is looked for ten years ahead."""
    begins = [MONDAY + number * 701 * DAY for number in range(400)]
    closed = calendar_from_json(
        {
            "ranges": [{"first": f"{each:%Y-%m-%d}", "last": f"{each + 699 * DAY:%Y-%m-%d}"} for each in begins],
            "weekly": [{"days": ["MO", "TU", "WE", "TH", "FR", "SA", "SU"], "end": "12:00"}],
            "timeZone": zone,
        }
    )
    midnight = MONDAY + 4 * HOUR  # in New York
    trigger = Recurring(CROWDS[kind], midnight, time_zone=zone, calendar=CalendarUse("closed"))
    begun = thread_time()
    planned = opening(trigger, job_id=JOB, calendars={"closed": closed})

    assert thread_time() - begun < 1
    (unrun,) = planned.unrun
    assert planned.fire_time is None
    assert timedelta(days=3600) < unrun.last - unrun.first <= timedelta(days=3653)
    assert trigger.number(unrun.first, unrun.first + timedelta(days=3653)) == unrun.number
