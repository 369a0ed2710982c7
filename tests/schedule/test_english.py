from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mainspring.schedule import Every, Once, Overlap, Recurring, describe
from mainspring.schedule.rules import AnyOf, Cron, RRule
from mainspring.schedule.text import parse_period
from mainspring.schedule.trigger import Blackout, CalendarUse, Days, Misfire, MisfirePolicy
from mainspring.schedule.zones import DstGap, DstOverlap
from tests.schedules import cron_expressions, rules

START = datetime(2026, 1, 31, 2, tzinfo=UTC)
FROM = " (Europe/Berlin), from 31 January 2026 03:00."


def said(rule: Every | Cron | RRule | AnyOf, **terms: Any) -> str:
    """Describe a schedule in Berlin, without what all of them have."""
    text = describe(Recurring(rule, START, time_zone="Europe/Berlin", **terms))
    assert FROM[:-1] in text or isinstance(rule, Every)
    return text.replace(FROM[:-1], "")


def test_once() -> None:
    """A moment is said in UTC."""
    assert "Once, on 31 January 2026 02:00." == describe(Once(START))


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ("P1D", "Every day at 03:00."),
        ("P3D", "Every 3 days at 03:00."),
        ("P2W", "Every 2 weeks on Saturday at 03:00."),
        ("P1M", "Every month on day 31, or the last day of a shorter month at 03:00."),
        ("P1Y", "Every year on 31 January, or the last day of a shorter month at 03:00."),
        ("P1Y6M", "Every 1 year and 6 months on day 31, or the last day of a shorter month at 03:00."),
    ],
)
def test_every(period: str, expected: str) -> None:
    """A period on the calendar has its time of day."""
    assert expected == said(Every(parse_period(period)))


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ("PT15M", "Every 15 minutes"),
        ("PT1H30M", "Every 1 hour and 30 minutes"),
        ("PT1S", "Every second"),
        ("PT1.5S", "Every 1.5 seconds"),
        ("P1DT12H", "Every 1 day and 12 hours"),
    ],
)
def test_every_in_real_time(period: str, expected: str) -> None:
    """An exact period has no zone."""
    assert f"{expected}, from 31 January 2026 03:00." == said(Every(parse_period(period)))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", "Every minute."),
        ("*/15 * * * *", "Every 15 minutes."),
        ("0 * * * *", "Every hour."),
        ("5,35 * * * *", "At minutes 5 and 35 of every hour."),
        ("*/20 * * * * *", "Every 20 seconds."),
        ("*/20 5 3 * * *", "At 03:05, 03:05:20 and 03:05:40, every day."),
        ("*/10 5-7 3 * * *", "Every 10 seconds, in minutes 5 to 7, in the hour 3."),
        ("0 3 * * *", "At 03:00, every day."),
        ("0 3,15 * * *", "At 03:00 and 15:00, every day."),
        ("*/10 9-17 * * MON-FRI", "Every 10 minutes, in the hours 9 to 17, on Monday to Friday."),
        ("0 0 * * 1,3", "At 00:00, on Monday and Wednesday."),
        ("0 0 1,15 * 5", "At 00:00, on day 1 and 15 of the month or on Friday."),
        ("0 0 1-7 * *", "At 00:00, on day 1 to 7 of the month."),
        ("0 0 */10 * 5", "At 00:00, on day 1, 11, 21 and 31 of the month if that is on Friday."),
        ("0 0 L * *", "At 00:00, on the last day of the month."),
        ("0 0 L-2 6-8 *", "At 00:00, 2 days before the last of the month, in June to August."),
        ("0 12 * * FRI#2", "At 12:00, on the 2nd Friday of the month."),
        ("0 12 * * 0L", "At 12:00, on the last Sunday of the month."),
        ("@monthly", "At 00:00, on day 1 of the month."),
        ("@yearly", "At 00:00, on day 1 of the month, in January."),
    ],
)
def test_cron(expression: str, expected: str) -> None:
    """The fields are said as what they mean together."""
    assert expected == said(Cron(expression))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FREQ=DAILY;INTERVAL=3", "Every 3 days, at 03:00."),
        ("FREQ=WEEKLY;BYDAY=MO,WE", "Every week, on Monday and Wednesday, at 03:00."),
        ("FREQ=MONTHLY;BYDAY=-1FR", "Every month, on the last Friday of the month, at 03:00."),
        ("FREQ=MONTHLY;BYMONTHDAY=1,-2", "Every month, on day 1 and the 2nd last day of the month, at 03:00."),
        ("FREQ=YEARLY;BYDAY=20MO", "Every year, on the 20th Monday of the year, at 03:00."),
        (
            "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=2",
            "Every month, on Monday, at 03:00, and of these times in each month only the 2nd.",
        ),
        ("FREQ=HOURLY;INTERVAL=5", "Every 5 hours."),
        ("FREQ=MINUTELY;INTERVAL=7", "Every 7 minutes."),
    ],
)
def test_rrule(text: str, expected: str) -> None:
    """What a rule takes from the start is said as if it stood there."""
    assert expected == said(RRule(text))


def test_several() -> None:
    """One after the other."""
    rule = AnyOf((Cron("0 3 * * *"), Cron("30 15 * * SAT,SUN")))
    assert "At 03:00, every day; and at 15:30, on Saturday and Sunday." == said(rule)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"count": 5}, ", 5 times at most."),
        ({"end": START + timedelta(days=1)}, ", until 1 February 2026 03:00."),
        ({"start_fires": True}, ", and then as well."),
        (
            {"window": timedelta(hours=1)},
            ". It starts anywhere within 1 hour of these times, always at the same place.",
        ),
        ({"jitter": timedelta(seconds=90)}, ". It starts up to 1 minute and 30 seconds later by chance."),
        ({"dst_gap": DstGap.SKIP}, ". A time that the clocks skip is left out."),
        ({"dst_overlap": DstOverlap.BOTH}, ". A time that comes twice is taken twice."),
        ({"misfire": Misfire(MisfirePolicy.SKIP)}, ". What could not start within 1 minute is skipped."),
        ({"grace": timedelta(hours=2)}, ". What could not start within 2 hours is skipped."),
        (
            {"misfire": Misfire(MisfirePolicy.FIRE_ALL, 3, timedelta(seconds=5))},
            ". What could not start in time is caught up with: 3 times at most, 5 seconds apart.",
        ),
        ({"overlap": Overlap.SKIP}, ". What comes while it still runs is skipped."),
        ({"calendar": CalendarUse("x")}, ". What falls in the times of the calendar x is left out."),
        (
            {"calendar": CalendarUse("x", Days.INCLUDE, Blackout.POSTPONE)},
            ". What falls outside the times of the calendar x waits until they begin.",
        ),
    ],
)
def test_terms(terms: dict[str, Any], expected: str) -> None:
    """What is not as it is by default has a sentence."""
    assert f"At 03:00, every day{expected}" == said(Cron("0 3 * * *"), **terms)


def test_every_schedule_can_be_said() -> None:
    """Whatever the rule, there is a sentence, with no gaps in it."""
    drawn: list[Cron | RRule] = [*map(Cron, cron_expressions(31, 200)), *(RRule(text) for text, _ in rules(32, 200))]
    for rule in drawn:
        text = describe(Recurring(rule, START))
        assert text[0].isupper()
        assert not {", ,", "  ", ",,", " ."} & {text[place : place + 3] for place in range(len(text))}
