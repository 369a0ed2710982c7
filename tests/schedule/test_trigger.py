import calendar
from datetime import UTC, date, datetime, timedelta
from itertools import count, islice
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mainspring.schedule import (
    LATEST,
    MICROSECOND,
    Every,
    Once,
    Period,
    Recurring,
    describe,
    realigned,
)
from mainspring.schedule.rules import AnyOf, AnyRule, At, Cron, RRule
from mainspring.schedule.zones import DstGap, DstOverlap
from tests.schedule.drawn import BERLIN, TEN, at, everies, fire_times, moments, periods, recurrings, zones

JOB = UUID("019e830e-1a00-70a5-abaa-9455e3e70682")

# --- Once


def test_once_fires_once() -> None:
    """The only fire time comes strictly after any earlier moment, and never again."""
    once = Once(TEN)
    assert [TEN] == fire_times(once)
    assert once.next_fire_time(TEN - MICROSECOND) == TEN
    assert once.starting(at(2027, 1, 1), TEN) == Once(at(2027, 1, 1))


# --- Every: examples


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param("02:30", ["02:30+01:00", "03:00+02:00", "02:30+02:00"], id="inside the gap"),
        pytest.param("02:00", ["02:00+01:00", "03:00+02:00", "02:00+02:00"], id="the first time of the gap"),
        pytest.param("03:00", ["03:00+01:00", "03:00+02:00", "03:00+02:00"], id="the first time after the gap"),
        pytest.param("01:59", ["01:59+01:00", "01:59+01:00", "01:59+02:00"], id="the last time before the gap"),
    ],
)
def test_every_day_over_a_gap(start: str, expected: list[str]) -> None:
    """A civil time that the clocks skip is the first valid instant after the gap; the days around keep theirs."""
    zone = ZoneInfo(BERLIN)
    first = datetime.fromisoformat(f"2026-03-28T{start}").replace(tzinfo=zone).astimezone(UTC)
    times = fire_times(Recurring(Every(Period(days=1)), first, time_zone=BERLIN), 3)
    days = ["2026-03-28", "2026-03-29", "2026-03-30"]
    assert [f"{day}T{time}" for day, time in zip(days, expected, strict=True)] == [
        moment.astimezone(zone).isoformat(timespec="minutes") for moment in times
    ]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param("02:30", ["02:30+02:00", "02:30+02:00", "02:30+01:00"], id="inside the overlap"),
        pytest.param("02:00", ["02:00+02:00", "02:00+02:00", "02:00+01:00"], id="its first time"),
        pytest.param("03:00", ["03:00+02:00", "03:00+01:00", "03:00+01:00"], id="the first time after it"),
    ],
)
def test_every_day_over_an_overlap(start: str, expected: list[str]) -> None:
    """A civil time that comes twice is taken the first time, and only then."""
    zone = ZoneInfo(BERLIN)
    first = datetime.fromisoformat(f"2026-10-24T{start}").replace(tzinfo=zone).astimezone(UTC)
    times = fire_times(Recurring(Every(Period(days=1)), first, time_zone=BERLIN), 3)
    days = ["2026-10-24", "2026-10-25", "2026-10-26"]
    assert [f"{day}T{time}" for day, time in zip(days, expected, strict=True)] == [
        moment.astimezone(zone).isoformat(timespec="minutes") for moment in times
    ]


def test_every_may_start_in_the_second_pass_of_an_overlap() -> None:
    """The start is a moment, not a civil time: it is kept as it is, and the next day's comes after it."""
    second = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)
    every = Recurring(Every(Period(days=1)), second, time_zone=BERLIN)
    assert [second, second + timedelta(days=1)] == fire_times(every, 2)


def test_every_day_where_a_day_was_skipped() -> None:
    """Samoa had no 30 December 2011: a job of that day runs as the 31st begins, and a midnight job but once."""
    apia = ZoneInfo("Pacific/Apia")
    ten = fire_times(Recurring(Every(Period(days=1)), at(2011, 12, 29, 10, zone=apia), time_zone="Pacific/Apia"), 3)
    assert [at(2011, 12, 29, 10, zone=apia), at(2011, 12, 31, zone=apia), at(2011, 12, 31, 10, zone=apia)] == ten
    midnight = fire_times(Recurring(Every(Period(days=1)), at(2011, 12, 29, zone=apia), time_zone="Pacific/Apia"), 3)
    assert [at(2011, 12, 29, zone=apia), at(2011, 12, 31, zone=apia), at(2012, 1, 1, zone=apia)] == midnight


def test_every_exact_period_counts_real_time() -> None:
    """24 hours are 24 hours, also when the clocks change."""
    start = at(2026, 3, 28, 3, zone=ZoneInfo(BERLIN))
    every = Recurring(Every(Period(exact=timedelta(hours=24))), start, time_zone=BERLIN)
    assert [start + n * timedelta(hours=24) for n in range(4)] == fire_times(every, 4)


def test_every_mixed_period() -> None:
    """The days of a period follow the calendar, and its exact rest comes on top in real time."""
    zone = ZoneInfo(BERLIN)
    every = Recurring(Every(Period(days=1, exact=timedelta(hours=12))), at(2026, 3, 28, zone=zone), time_zone=BERLIN)
    expected = [at(2026, 3, 28, zone=zone), at(2026, 3, 29, 13, zone=zone), at(2026, 3, 31, zone=zone)]
    assert expected == fire_times(every, 3)


@pytest.mark.parametrize(
    ("period", "start", "expected"),
    [
        (Period(months=1), (2026, 1, 31), [(2026, 2, 28), (2026, 3, 31), (2026, 4, 30), (2026, 5, 31)]),
        (Period(months=1), (2028, 1, 30), [(2028, 2, 29), (2028, 3, 30), (2028, 4, 30), (2028, 5, 30)]),
        (Period(months=12), (2028, 2, 29), [(2029, 2, 28), (2030, 2, 28), (2031, 2, 28), (2032, 2, 29)]),
        (Period(months=12), (2096, 2, 29), [(2097, 2, 28), (2098, 2, 28), (2099, 2, 28), (2100, 2, 28)]),
        (Period(months=1, days=1), (2026, 1, 30), [(2026, 3, 1), (2026, 4, 1), (2026, 5, 3), (2026, 6, 3)]),
        (Period(days=7), (2026, 12, 25), [(2027, 1, 1), (2027, 1, 8), (2027, 1, 15), (2027, 1, 22)]),
    ],
)
def test_every_month_does_not_drift(
    period: Period, start: tuple[int, int, int], expected: list[tuple[int, int, int]]
) -> None:
    """Each fire time is computed from the start: a short month shortens its own date and no later one."""
    times = fire_times(Recurring(Every(period), at(*start)), 5)
    assert [at(*start), *(at(*day) for day in expected)] == times


def test_every_count() -> None:
    """With a count there are that many fire times."""
    assert [at(2026, 1, day) for day in (1, 2, 3)] == fire_times(
        Recurring(Every(Period(days=1)), at(2026, 1, 1), count=3)
    )


@pytest.mark.parametrize(("end", "last"), [(at(2026, 1, 3), 3), (at(2026, 1, 3) - MICROSECOND, 2), (at(2026, 1, 1), 1)])
def test_every_end(end: datetime, last: int) -> None:
    """A fire time at the end is the last; there is none after it."""
    every = Recurring(Every(Period(days=1)), at(2026, 1, 1), count=10, end=end)
    assert [at(2026, 1, day + 1) for day in range(last)] == fire_times(every)


def test_every_starts_with_its_start() -> None:
    """Before the start the next fire time is the start, however early one asks."""
    every = Recurring(Every(Period(months=1)), at(2026, 1, 31, 3), time_zone=BERLIN)
    assert every.start == every.first
    for before in (every.start - MICROSECOND, at(1970, 1, 1), datetime.min.replace(tzinfo=UTC)):
        assert every.start == every.next_fire_time(before)


@pytest.mark.parametrize(
    "period",
    [Period(days=1), Period(months=1), Period(months=12), Period(exact=timedelta(seconds=1)), Period(days=3653)],
)
def test_every_ends_with_the_calendar(period: Period) -> None:
    """Beyond the last of all times there is no next fire time, and no error either."""
    last = datetime.max.replace(tzinfo=UTC)
    assert Recurring(Every(period), at(2026, 1, 31)).next_fire_time(last) is None
    assert Recurring(Every(period), last).next_fire_time(last) is None
    assert Recurring(Every(period), last, time_zone="Pacific/Kiritimati").next_fire_time(last) is None


def test_every_reaches_the_last_year() -> None:
    """The last fire time of all is found."""
    every = Recurring(Every(Period(months=1)), at(2026, 1, 31))
    assert at(9899, 12, 31) == every.next_fire_time(at(9899, 11, 30))
    assert Recurring(Every(Period(days=1)), at(2026, 1, 1)).next_fire_time(LATEST - MICROSECOND) == LATEST


LAST_RULES: list[AnyRule] = [
    Every(Period(exact=timedelta(hours=1))),
    Every(Period(days=1)),
    Every(Period(days=3653)),
    Every(Period(months=120)),
    Every(Period(months=119, days=30, exact=timedelta(hours=15))),
    Cron("*/7 * * * *"),
    Cron("30 2 * * *"),
    Cron("0 0 29 2 MON"),
    Cron("0 0 29 2 *"),
    RRule("FREQ=YEARLY;INTERVAL=10"),
    RRule("FREQ=YEARLY;BYWEEKNO=53;BYDAY=TH"),
    RRule("FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO;BYSETPOS=1"),
    RRule("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=-1"),
    RRule("FREQ=WEEKLY;INTERVAL=521"),
    RRule("FREQ=HOURLY;INTERVAL=5"),
    RRule("FREQ=MINUTELY;INTERVAL=61;BYDAY=SU"),
    RRule("FREQ=DAILY;COUNT=2147483647"),
    RRule("FREQ=DAILY;UNTIL=99991231T235959Z"),
    At((at(1, 1, 2), at(9899, 12, 31), LATEST, LATEST + MICROSECOND, datetime.max.replace(tzinfo=UTC))),
    AnyOf((Cron("0 3 * * *"), Every(Period(exact=timedelta(hours=7))), Every(Period(months=120)))),
    AnyOf((Cron("0 3 29 2 *"), RRule("FREQ=DAILY;UNTIL=99991231"), At((LATEST, LATEST + MICROSECOND)))),
]


@pytest.mark.parametrize("rule", LAST_RULES, ids=str)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", BERLIN, "Australia/Lord_Howe"])
def test_no_rule_fires_or_fails_beyond_the_last_time(rule: AnyRule, zone: str) -> None:
    """Whatever is asked of a schedule near the end of all times: it ends there, and what is counted agrees."""
    for days, terms in ((0, {}), (1, {"count": 3}), (400, {}), (30 * 365, {"excluded": (date(9899, 12, 31),)})):
        start = LATEST - timedelta(days=days)
        trigger = Recurring(rule, start, time_zone=zone, **terms)
        low = LATEST - timedelta(days=1)
        times = [*islice(trigger.fire_times(low, LATEST + timedelta(days=30_000)), 10_000)]
        assert all(low <= moment <= LATEST for moment in times)
        assert len(times) == trigger.number(low, LATEST + timedelta(days=30_000))
        assert (times[-1] if times else None) == trigger.last(low, LATEST + timedelta(days=30_000))
        for number in (0, len(times) // 2):
            assert trigger.nth(low, number) == (times[number] if number < len(times) else None)
        assert trigger.nth(low, len(times)) is None
        for after in (LATEST, LATEST + timedelta(days=1), datetime.max.replace(tzinfo=UTC)):
            assert trigger.next_fire_time(after) is None
        assert all(trigger.due_at(moment, JOB) == moment for moment in times)
        assert describe(trigger)


@pytest.mark.parametrize(
    ("count_", "gone", "left"),
    [
        pytest.param(5, at(2026, 1, 1) - MICROSECOND, 5, id="none gone"),
        pytest.param(5, at(2026, 1, 1), 4, id="the first gone"),
        pytest.param(5, at(2026, 1, 3), 2, id="three gone"),
        pytest.param(5, at(2026, 1, 5), 1, id="all gone, yet one more was asked for"),
        pytest.param(None, at(2026, 1, 3), None, id="without a count"),
    ],
)
def test_every_starting(count_: int | None, gone: datetime, left: int | None) -> None:
    """Begun anew, a series keeps its period, end and zone, and the rest of its count."""
    every = Recurring(Every(Period(days=1)), at(2026, 1, 1), count_, at(2027, 1, 1), BERLIN)
    noon = at(2026, 2, 1, 12)
    assert Recurring(Every(Period(days=1)), noon, left, at(2027, 1, 1), BERLIN) == every.starting(noon, gone)


# --- Every: properties, against arithmetic that knows nothing of ours


def _plus_months(civil: datetime, months: int) -> datetime:
    year, month = divmod(civil.year * 12 + civil.month - 1 + months, 12)
    return civil.replace(year=year, month=month + 1, day=min(civil.day, calendar.monthrange(year, month + 1)[1]))


def _first_valid(civil: datetime, zone: ZoneInfo) -> datetime:
    """Answer when a civil time comes first, or the end of the gap that it lies in, by halving."""
    moment = civil.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == civil:
        return moment
    before, beyond = civil.replace(tzinfo=zone, fold=1).astimezone(UTC), moment
    offset = beyond.astimezone(zone).utcoffset()
    while beyond - before > MICROSECOND:
        middle = before + (beyond - before) // 2
        before, beyond = (before, middle) if middle.astimezone(zone).utcoffset() == offset else (middle, beyond)
    return beyond


def brute_force(every: Recurring, number: int) -> datetime:
    """Compute the n-th fire time with the standard library alone."""
    assert isinstance(every.rule, Every)
    period = every.rule.period
    if number == 0 or not (period.months or period.days):
        return every.start + period.exact * number
    zone = ZoneInfo(every.time_zone)
    civil = every.start.astimezone(zone).replace(tzinfo=None, fold=0)
    civil = _plus_months(civil, period.months * number) + timedelta(days=period.days * number)
    return _first_valid(civil, zone) + period.exact * number


@settings(deadline=None)
@given(everies, moments)
def test_next_fire_time_is_after(every: Recurring, after: datetime) -> None:
    """The next fire time is strictly later, and never beyond the end."""
    following = every.next_fire_time(after)
    if following is not None:
        assert following > after
        assert after < every.start or every.end is None or following <= every.end


@settings(deadline=None)
@given(everies, moments, moments)
def test_next_fire_time_is_monotonic(every: Recurring, one: datetime, other: datetime) -> None:
    """Whoever asks later hears of no earlier fire time."""
    never = datetime.max.replace(tzinfo=UTC)
    earlier, later = sorted([one, other])
    assert (every.next_fire_time(earlier) or never) <= (every.next_fire_time(later) or never)


@settings(deadline=None)
@given(everies)
@example(Recurring(Every(Period(days=1)), at(2026, 3, 20, 1), time_zone=BERLIN))
@example(Recurring(Every(Period(days=1)), at(2026, 10, 20, 0, 30), time_zone=BERLIN))
@example(Recurring(Every(Period(months=1)), at(2026, 1, 31, 1), time_zone=BERLIN))
def test_no_fire_time_is_skipped(every: Recurring) -> None:
    """Walking from one fire time to the next meets every one of them, as plain enumeration finds them, once."""
    numbers = range(30 if every.count is None else min(30, every.count))
    expected = [brute_force(every, number) for number in numbers]
    if every.end is not None:
        expected = expected[:1] + [moment for moment in expected[1:] if moment <= every.end]
    assert list(dict.fromkeys(expected)) == fire_times(every, len(expected))


@settings(deadline=None)
@given(
    st.builds(Recurring, st.builds(Every, periods), moments, time_zone=zones),
    st.integers(0, 50),
    st.timedeltas(timedelta(-3), timedelta(3)),
)
def test_any_moment_finds_its_next_fire_time(every: Recurring, number: int, shift: timedelta) -> None:
    """Asked out of the blue, not from fire time to fire time, the answer is the first one that enumeration finds."""
    after = max(every.start, brute_force(every, number) + shift)
    expected = next(moment for moment in (brute_force(every, n) for n in count()) if moment > after)
    assert expected == every.next_fire_time(after)


# --- other rules: the start, the end, the count, and moving


def daily(**terms: Any) -> Recurring:
    """Build a trigger that fires at three."""
    return Recurring(Cron("0 3 * * *"), at(2026, 1, 1), **terms)


def test_first_is_the_rules_own() -> None:
    """A start is a bound; the first fire time is the first that the rule names from then on."""
    assert at(2026, 1, 1, 3) == daily().first
    assert at(2026, 1, 1, 3) == Recurring(Cron("0 3 * * *"), at(2026, 1, 1, 3)).first


def test_start_may_fire_by_itself() -> None:
    """And then as the rule says, once where the two meet."""
    assert [at(2026, 1, 1), at(2026, 1, 1, 3), at(2026, 1, 2, 3)] == fire_times(daily(start_fires=True), 3)
    met = Recurring(Cron("0 3 * * *"), at(2026, 1, 1, 3), start_fires=True)
    assert [at(2026, 1, 1, 3), at(2026, 1, 2, 3)] == fire_times(met, 2)


def test_schedule_that_never_fires_has_no_first() -> None:
    """A search that ends without a result is said, not guessed."""
    with pytest.raises(ValueError, match="never fires"):
        _ = Recurring(Cron("0 0 30 2 *"), at(2026, 1, 1)).first


def test_end_is_included() -> None:
    """For every kind of rule."""
    assert [at(2026, 1, 1, 3), at(2026, 1, 2, 3)] == fire_times(daily(end=at(2026, 1, 2, 3)))


@pytest.mark.parametrize(("start_fires", "days"), [(False, [1, 2, 3]), (True, [1, 2])])
def test_count_counts_the_start_if_it_fires(start_fires: bool, days: list[int]) -> None:  # noqa: FBT001 - an example's answer
    """A count is that of fire times, whatever makes them."""
    opening = [at(2026, 1, 1)] if start_fires else []
    expected = [*opening, *(at(2026, 1, day, 3) for day in days)]
    assert expected == fire_times(daily(start_fires=start_fires, count=3))


def test_moving_a_cron_job() -> None:
    """The pending fire time is moved, those after it are where they were, and the count goes on."""
    moved = daily(count=5, time_zone=BERLIN).starting(at(2026, 1, 3, 12), at(2026, 1, 2, 3))
    assert (at(2026, 1, 3, 12), 3) == (moved.first, moved.count)
    assert [at(2026, 1, 3, 12), at(2026, 1, 4, 2), at(2026, 1, 5, 2)] == fire_times(moved)


@pytest.mark.parametrize(
    ("period", "number"), [(Period(exact=timedelta(hours=7)), 5), (Period(days=2), 2), (Period(months=1), 2)]
)
def test_any_of_with_a_period(period: Period, number: int) -> None:
    """A period is counted from the start, next to the other rules; a moment that two name is there once."""
    both = Recurring(AnyOf((Cron("0 0 * * *"), Every(period))), at(2026, 1, 1))
    assert number == both.number(at(2026, 1, 2), at(2026, 1, 3))
    assert fire_times(both, 30) == sorted(set(fire_times(both, 30)))


def test_any_of_in_one_zone_can_be_counted() -> None:
    """Rules on the calendar are merged before they are counted; with a period in real time they are not."""
    crons = AnyOf((Cron("0 3 * * *"), Cron("0 3,4 * * MON")))
    assert Recurring(crons, at(2026, 1, 1)).is_countable
    assert 8 == Recurring(crons, at(2026, 1, 1)).number(at(2026, 1, 5), at(2026, 1, 11, 23))
    mixed = AnyOf((Cron("0 3 * * *"), Every(Period(exact=timedelta(hours=5)))))
    assert not Recurring(mixed, at(2026, 1, 1)).is_countable


def test_a_year_of_minutes() -> None:
    """In a zone whose clocks change each minute of a year comes once, counted and walked through."""
    start, end = at(2026, 1, 1), at(2027, 1, 1) - MICROSECOND
    minutes = Recurring(Cron("* * * * *"), start, time_zone=BERLIN)
    assert 365 * 1440 == minutes.number(start, end)
    for change in (at(2026, 3, 29, 1), at(2026, 10, 25, 1)):
        low, high = change - timedelta(hours=3), change + timedelta(hours=3)
        assert [low + n * timedelta(minutes=1) for n in range(361)] == list(minutes.fire_times(low, high))
    named = Recurring(Cron("* * * * *"), start, time_zone=BERLIN, dst_gap=DstGap.SKIP, dst_overlap=DstOverlap.FIRST)
    assert 365 * 1440 - 60 == named.number(start, end)


# --- when the rules of a zone change


@pytest.mark.parametrize(
    ("stored", "today"),
    [
        (at(2026, 7, 1, 1), at(2026, 7, 1, 1)),
        (at(2026, 7, 1, 2), at(2026, 7, 1, 1)),
        (at(2026, 7, 1, 0), at(2026, 7, 1, 1)),
        (at(2026, 7, 1, 14), at(2026, 7, 2, 1)),
    ],
)
def test_realigned(stored: datetime, today: datetime) -> None:
    """A stored fire time that the zone's rules of today do not have is led to the nearest that they have."""
    assert today == realigned(daily(time_zone=BERLIN), stored)


def test_what_has_no_zone_is_not_realigned() -> None:
    """A moment stays what it is."""
    assert TEN == realigned(Once(TEN), TEN)


@given(recurrings, st.integers(0, 400))
def test_any_schedule_is_counted_as_it_fires(trigger: Recurring, place: int) -> None:
    """What is counted by arithmetic is what is gone through: rules, single moments and exceptions together."""
    low, high = trigger.start, trigger.start + timedelta(days=40)
    number = trigger.number(low, high)
    if number > 400:
        return
    times = list(trigger.fire_times(low, high))
    assert times == sorted(set(times))
    assert number == len(times)
    assert (times[-1] if times else None) == trigger.last(low, high)
    if place < number:
        assert times[place] == trigger.nth(low, place)
        assert number - place == trigger.number(times[place], high)
