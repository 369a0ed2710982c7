import gc
from datetime import UTC, datetime, timedelta
from itertools import islice
from time import thread_time

import pytest

from mainspring.schedule import Recurring, TimeError
from mainspring.schedule.rules import RRule
from mainspring.schedule.rules.rrule_grammar import parse_rrule
from mainspring.schedule.rules.rrule_times import compile_rrule
from tests.schedules import check_rrule, rules

START = datetime(2026, 1, 31, 9, 30, 15, tzinfo=UTC)


def first(text: str, number: int = 3) -> list[str]:
    """Write the first fire times in UTC."""
    times = Recurring(RRule(text), START).fire_times(START, START + timedelta(days=4000))
    return [f"{moment:%Y-%m-%d %H:%M:%S}".removesuffix(" 09:30:15") for moment in islice(times, number)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FREQ=DAILY", ["2026-01-31", "2026-02-01", "2026-02-02"]),
        ("FREQ=DAILY;INTERVAL=10", ["2026-01-31", "2026-02-10", "2026-02-20"]),
        ("FREQ=WEEKLY", ["2026-01-31", "2026-02-07", "2026-02-14"]),
        ("FREQ=WEEKLY;BYDAY=MO,WE", ["2026-02-02", "2026-02-04", "2026-02-09"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU", ["2026-02-01", "2026-02-15", "2026-03-01"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU;WKST=SU", ["2026-02-08", "2026-02-22", "2026-03-08"]),
        # a day that a month does not have is left out, as RFC 5545 says
        ("FREQ=MONTHLY", ["2026-01-31", "2026-03-31", "2026-05-31"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", ["2026-02-27", "2026-03-27", "2026-04-24"]),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", ["2026-02-13", "2026-03-13", "2026-11-13"]),
        ("FREQ=MONTHLY;BYDAY=1MO,FR", ["2026-02-02", "2026-02-06", "2026-02-13"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["2026-02-27", "2026-03-31", "2026-04-30"]),
        ("FREQ=YEARLY", ["2026-01-31", "2027-01-31", "2028-01-31"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("FREQ=YEARLY;BYDAY=20MO", ["2026-05-18", "2027-05-17", "2028-05-15"]),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", ["2026-05-11", "2027-05-17", "2028-05-15"]),
        ("FREQ=YEARLY;BYYEARDAY=-1", ["2026-12-31", "2027-12-31", "2028-12-31"]),
        ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", ["2026-11-26", "2027-11-25", "2028-11-23"]),
        ("FREQ=WEEKLY;BYDAY=SU,WE;BYSETPOS=1", ["2026-02-04", "2026-02-11", "2026-02-18"]),
        (
            "FREQ=DAILY;BYHOUR=9,18;BYMINUTE=0;BYSECOND=0",
            ["2026-01-31 18:00:00", "2026-02-01 09:00:00", "2026-02-01 18:00:00"],
        ),
        ("FREQ=HOURLY;INTERVAL=7", ["2026-01-31", "2026-01-31 16:30:15", "2026-01-31 23:30:15"]),
        ("FREQ=MINUTELY;INTERVAL=50", ["2026-01-31", "2026-01-31 10:20:15", "2026-01-31 11:10:15"]),
        ("FREQ=MINUTELY;INTERVAL=1441", ["2026-01-31", "2026-02-01 09:31:15", "2026-02-02 09:32:15"]),
        ("FREQ=HOURLY;BYDAY=MO;BYHOUR=9", ["2026-02-02", "2026-02-09", "2026-02-16"]),
        ("rrule:freq=daily;interval=2;", ["2026-01-31", "2026-02-02", "2026-02-04"]),
    ],
)
def test_rrule(text: str, expected: list[str]) -> None:
    """A rule fires at the times that the standard gives it, counted from the start."""
    assert expected == first(text)


@pytest.mark.parametrize(
    ("text", "rule", "count", "until"),
    [
        ("FREQ=DAILY;COUNT=5", "FREQ=DAILY", 5, None),
        ("freq=daily;until=20261231T235959z", "FREQ=DAILY", None, datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("UNTIL=20261231T120000;FREQ=DAILY", "FREQ=DAILY", None, datetime(2026, 12, 31, 12)),  # noqa: DTZ001 - civil
        ("FREQ=DAILY;UNTIL=20261231", "FREQ=DAILY", None, datetime(2026, 12, 31, 23, 59, 59)),  # noqa: DTZ001 - civil
    ],
)
def test_bounds_are_taken_out(text: str, rule: str, count: int | None, until: datetime | None) -> None:
    """COUNT and UNTIL are the schedule's to keep; a date is meant with its whole day."""
    reading = parse_rrule(text)
    assert (rule, count, until) == (reading.text, reading.count, reading.until)
    assert rule == parse_rrule(rule).text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "FREQ",
        "FREQ=",
        "DAILY",
        "FREQ=FORTNIGHTLY",
        "INTERVAL=2",
        "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;;INTERVAL=2",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;INTERVAL=1.5",
        "FREQ=DAILY;INTERVAL=3654",
        "FREQ=YEARLY;INTERVAL=11",
        "FREQ=DAILY;INTERVAL=" + "9" * 500,
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=5;UNTIL=20261231",
        "FREQ=DAILY;UNTIL=tomorrow",
        "FREQ=DAILY;UNTIL=20261331",
        "FREQ=DAILY;UNTIL=2026-12-31",
        "FREQ=DAILY;BYMONTH=0",
        "FREQ=DAILY;BYMONTH=13",
        "FREQ=DAILY;BYMONTHDAY=0",
        "FREQ=DAILY;BYMONTHDAY=32",
        "FREQ=DAILY;BYHOUR=24",
        "FREQ=DAILY;BYHOUR=-1",
        "FREQ=DAILY;BYSECOND=60",
        "FREQ=DAILY;BYHOUR=",
        "FREQ=DAILY;BYHOUR=1,,2",
        "FREQ=DAILY;BYHOUR=\N{ARABIC-INDIC DIGIT ONE}",
        "FREQ=MONTHLY;BYDAY=XX",
        "FREQ=MONTHLY;BYDAY=0MO",
        "FREQ=MONTHLY;BYDAY=54MO",
        "FREQ=DAILY;BYDAY=1MO",
        "FREQ=YEARLY;BYWEEKNO=5;BYDAY=1MO",
        "FREQ=MONTHLY;BYWEEKNO=5",
        "FREQ=DAILY;BYYEARDAY=5",
        "FREQ=WEEKLY;BYMONTHDAY=5",
        "FREQ=YEARLY;BYEASTER=0",
        "FREQ=DAILY;BYSETPOS=1",
        "FREQ=HOURLY;BYMINUTE=0,30;BYSETPOS=1",
        "FREQ=DAILY;BYHOUR=0,1;BYSETPOS=" + ",".join(map(str, range(1, 14))),
        "FREQ=MINUTELY;INTERVAL=7;BYSECOND=0,30",
        "FREQ=DAILY;WKST=XX",
        "FREQ=DAILY;X-NAME=5",
        "RSCALE=CHINESE;FREQ=YEARLY",
        "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY",
        "FREQ=DAILY;DTSTART=20260101",
        "EXDATE:20260101T000000Z",
        "RDATE=20260101T000000Z;FREQ=DAILY",
        "FREQ=SECONDLY",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        pytest.param("FREQ=DAILY;" + "A" * 10_240, id="10 KiB"),
    ],
)
def test_rrule_refuses(text: str) -> None:
    """What is no rule, or one that we do not take, is refused in words and at once."""
    gc.collect()  # or a collection of what other tests left may fall into this one
    begun = thread_time()
    with pytest.raises(TimeError) as caught:
        parse_rrule(text)
    assert thread_time() - begun < 0.05
    assert "INVALID_RRULE" == caught.value.code
    assert 0 < len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("FREQ=FORTNIGHTLY", "FREQ=FORTNIGHTLY: it is one of YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR=24: it is a list of 0 to 23"),
        ("FREQ=DAILY;BYMONTHDAY=0", "BYMONTHDAY=0: it is a list of -31 to 31 without 0"),
        ("FREQ=DAILY;BYHOUR=1,,2", "BYHOUR='': it is a list"),
        ("FREQ=MONTHLY;BYDAY=XX", "BYDAY=XX: it is a list of days such as MO, or -1FR"),
        ("FREQ=WEEKLY;UNTL=20191023", "'UNTL=20191023', which is no member of a rule"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL=0: it is 1 to 3653"),
        ("FREQ=DAILY;UNTIL=tomorrow", "UNTIL=TOMORROW: it is a time such as 20261231T235959Z"),
        ("FREQ=DAILY\nEXDATE:20260101T000000Z", "several lines"),
        ("FREQ=DAILY\r\nRDATE;VALUE=DATE:20260101", "several lines"),
    ],
)
def test_rrule_says_what_is_wrong(text: str, hint: str) -> None:
    """What is refused is named as it stands there, with what it may be."""
    with pytest.raises(TimeError) as caught:
        parse_rrule(text)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYMONTH=2,4;BYMONTHDAY=31",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;INTERVAL=2;BYMINUTE=31",
        "FREQ=MINUTELY;INTERVAL=120;BYHOUR=11",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=3",
        "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6",
        "FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1",
    ],
)
def test_rule_that_never_fires_is_found_out(text: str) -> None:
    """A rule that cannot be met has no fire time, and that is known within 50 ms."""
    trigger = Recurring(RRule(text), START, time_zone="Europe/Berlin")
    begun = thread_time()
    assert trigger.next_fire_time(START) is None
    assert thread_time() - begun < 0.05


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FREQ=DAILY", ["31 09:30:15.500000", "01 09:30:15.500000"]),
        ("FREQ=DAILY;BYHOUR=9,10", ["31 09:30:15.500000", "31 10:30:15.500000"]),
        ("FREQ=DAILY;BYMINUTE=30,31;BYSETPOS=1", ["31 09:30:15.500000", "01 09:30:15.500000"]),
        ("FREQ=MONTHLY", ["31 09:30:15.500000", "31 09:30:15.500000"]),
        ("FREQ=HOURLY", ["31 09:30:15.500000", "31 10:30:15.500000"]),
        ("FREQ=MINUTELY;INTERVAL=7", ["31 09:30:15.500000", "31 09:37:15.500000"]),
        ("FREQ=DAILY;BYSECOND=15", ["01 09:30:15.000000", "02 09:30:15.000000"]),  # what it says is not the start's
    ],
)
def test_start_with_a_fraction_of_a_second(text: str, expected: list[str]) -> None:
    """The second that is taken from the start is taken with its fraction, so that the start is a fire time."""
    start = START.replace(microsecond=500_000)
    trigger = Recurring(RRule(text), start)
    found = list(islice(trigger.fire_times(start, start + timedelta(days=90)), 2))
    assert expected == [f"{moment:%d %H:%M:%S.%f}" for moment in found]
    assert 2 == trigger.number(start, found[-1])
    assert 1 == trigger.number(start, found[-1] - timedelta(microseconds=1))


def test_rrule_is_what_dateutil_takes_it_for() -> None:
    """Two hundred drawn rules fire when dateutil says, up to 60 times each over six years."""
    numbers = [check_rrule(text, start, 60) for text, start in rules(3, 200)]
    assert sum(numbers) > 6_000


def test_rules_with_the_same_days_share_them() -> None:
    """Jobs that differ in the time of day alone cost no further look through the calendar."""
    one, other = (compile_rrule("FREQ=WEEKLY;BYDAY=MO", START.replace(tzinfo=None, hour=hour)) for hour in (3, 4))
    assert one.days(2026) is other.days(2026)
    assert list(one.times(0)) != list(other.times(0))  # type: ignore[call-overload]
