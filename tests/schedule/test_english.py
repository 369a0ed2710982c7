import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mainspring.schedule import Every, Once, Overlap, Recurring, describe
from mainspring.schedule.rules import AnyOf, Cron, RRule
from mainspring.schedule.rules.cron import compile_cron
from mainspring.schedule.text import parse_period
from mainspring.schedule.trigger import Blackout, CalendarUse, Days, Misfire, MisfirePolicy
from mainspring.schedule.zones import DstGap, DstOverlap
from tests.schedules import cron_expressions, rules

START = datetime(2026, 1, 31, 2, tzinfo=UTC)
FROM = "from 31 January 2026 03:00"


def said(rule: Every | Cron | RRule | AnyOf, **terms: Any) -> str:
    """Describe a schedule in Berlin, without what all of them have."""
    text = describe(Recurring(rule, START, time_zone="Europe/Berlin", **terms))
    begun = f" (Europe/Berlin), {'counted ' if isinstance(rule, Every) else ''}{FROM}"
    assert begun in text
    return text.replace(begun, "")


def test_once() -> None:
    """A moment is said in UTC."""
    assert "Once, on 31 January 2026 02:00." == describe(Once(START))


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ("P1D", "Every day at 03:00."),
        ("P3D", "Every 3 days at 03:00."),
        ("P2W", "Every 2 weeks on Saturday at 03:00."),
        ("P1M", "Every month on day 31 (or the last day of a shorter month) at 03:00."),
        ("P1Y", "Every year on 31 January (or the last day of a shorter month) at 03:00."),
        ("P1Y6M", "Every 1 year and 6 months on day 31 (or the last day of a shorter month) at 03:00."),
        ("PT15M", "Every 15 minutes."),
        ("PT1H30M", "Every 1 hour and 30 minutes."),
        ("PT1S", "Every second."),
        ("PT1.5S", "Every 1.5 seconds."),
        ("P1DT12H", "Every 1 day and 12 hours."),
    ],
)
def test_every(period: str, expected: str) -> None:
    """A period on the calendar has its time of day; each is counted from its start."""
    assert expected == said(Every(parse_period(period)))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", "Every minute."),
        ("*/15 * * * *", "Every 15 minutes."),
        ("0 * * * *", "Every hour."),
        ("5,35 * * * *", "At minutes 5 and 35 of every hour."),
        ("*/17 * * * *", "At minutes 0, 17, 34 and 51 of every hour."),
        ("1/2 * * * *", "At every 2nd minute from 1 to 59 of every hour."),
        ("*/20 * * * * *", "Every 20 seconds."),
        ("30 */5 * * * *", "Every 5 minutes, at second 30."),
        ("*/20 5 3 * * *", "At 03:05, 03:05:20 and 03:05:40, every day."),
        ("*/10 5-7 3 * * *", "Every 10 seconds of minutes 5 to 7 of hour 3, every day."),
        ("0,1 * 9-17 * * *", "At seconds 0 and 1 of every minute of hours 9 to 17, every day."),
        ("0 3 * * *", "At 03:00, every day."),
        ("0 3,15 * * *", "At 03:00 and 15:00, every day."),
        ("0 9-17 * * *", "Every hour from 09:00 to 17:00, every day."),
        ("20 */3 * * *", "Every 3 hours from 00:20 to 21:20, every day."),
        ("0 */4,6 * * *", "At minute 0 of hours 0, 4, 6, 8, 12, 16 and 20, every day."),
        ("30-39 6 * * *", "Every minute from 06:30 to 06:39, every day."),
        ("0-20/3 9 * * *", "Every 3 minutes from 09:00 to 09:18, every day."),
        ("*/5 0-4,6-8 * * *", "Every 5 minutes from 00:00 to 04:55 and from 06:00 to 08:55, every day."),
        ("* */2 * * *", "Every minute of every 2nd hour from 0 to 22, every day."),
        ("30-35 9-17 * * *", "At minutes 30 to 35 of hours 9 to 17, every day."),
        ("*/10 9-17 * * MON-FRI", "Every 10 minutes from 09:00 to 17:50, every Monday to Friday."),
        ("0 0 * * 1,3", "At 00:00, every Monday and Wednesday."),
        ("0 0 1,15 * 5", "At 00:00, on days 1 and 15 of every month, and every Friday."),
        ("0 9 1 3,6 5", "At 09:00, on day 1 of every March and June, and every Friday in March and June."),
        ("0 0 1-7 * *", "At 00:00, on days 1 to 7 of every month."),
        ("0 0 */3 * *", "At 00:00, on every 3rd day from 1 to 31 of every month."),
        ("0 0 */10 * 5", "At 00:00, on days 1, 11, 21 and 31 of every month if it is a Friday."),
        ("0 0 */10 * */5", "At 00:00, on days 1, 11, 21 and 31 of every month if it is a Friday or Sunday."),
        ("0 0 1-31 * 5", "At 00:00, every day."),
        ("0 0 13 * 0-6", "At 00:00, every day."),
        ("0 0 1-31,L * *", "At 00:00, every day."),
        ("0 0 L * *", "At 00:00, on the last day of every month."),
        ("0 0 15,L * *", "At 00:00, on day 15 and the last day of every month."),
        ("0 0 L-2 6-8 *", "At 00:00, on the 3rd-to-last day of every month from June to August."),
        ("0 12 * * FRI#2", "At 12:00, on the 2nd Friday of every month."),
        ("0 12 * * 0L", "At 12:00, on the last Sunday of every month."),
        ("0 12 * * 1,5L", "At 12:00, every Monday and on the last Friday of every month."),
        ("23 12 * JAN *", "At 12:23, every day in January."),
        ("23 12 * 1-5,9-12 *", "At 12:23, every day from January to May and from September to December."),
        ("*/5 * * 6 *", "Every 5 minutes, in June."),
        ("@monthly", "At 00:00, on day 1 of every month."),
        ("@yearly", "At 00:00, on day 1 of every January."),
    ],
)
def test_cron(expression: str, expected: str) -> None:
    """The fields are said as what they mean together."""
    assert expected == said(Cron(expression))


# --- what is said of days, read back

DAYS_OF_MONTH = ("*", "?", "1-31", "*/2", "13", "1,15", "1-7", "L", "L-2", "15,L", "*/31", "1-30,L", "*,L", "1-31,L-3")
DAYS_OF_WEEK = (
    "*", "?", "0-6", "1-7", "*/2", "*/7", "5", "1/3", "7/2", "SUN-SUN", "FRI-SUN", "5L", "FRI#2", "1,5L", "0-7,5L",
    "MON#1,MON#3,0L", "*,5L", "6,7",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
Named = Callable[[date], bool]


def numbers(text: str, call: Callable[[str], int]) -> set[int]:
    """Read a list of things with spans in it."""
    spans = (part.split(" to ") for part in re.split(", | and | or ", text))
    return {number for span in spans for number in range(call(span[0]), call(span[-1]) + 1)}


def place(text: str) -> int:
    """Read a place: the 2nd is 2, the last is -1."""
    return -1 if text == "last" else -int(text[:-10]) if text.endswith("-to-last") else int(text[:-2])


def dates_said(text: str) -> Named:
    """Read days of the month: ``days 1 to 7 and 15 and the 2nd-to-last and last day``."""
    named: set[int] = set()
    if steps := re.match(r"every (\d+)\w\w day from (\d+) to (\d+)", text):
        named = set(range(int(steps[2]), int(steps[3]) + 1, int(steps[1])))
    elif ahead := re.match(r"days? ([^a-z]+(?:(?:and|to) \d+[^a-z]*)*)", text):
        named = numbers(ahead[1].strip(), int)
    if back := re.search("the (.+) day$", text):
        named |= numbers(back[1], place)
    return lambda day: not named.isdisjoint({day.day, day.day - monthrange(day.year, day.month)[1] - 1})


def weekdays_said(text: str) -> Named:
    """Read days of the week, and those with a place in the month."""
    places = {(place(nth), WEEKDAYS.index(name)) for nth, name in re.findall(r"the (\S+) ([A-Z]\w+day)", text)}
    plain = re.sub("(?: and on | or |^on |^)the [^ ]+ [A-Z].*", "", text).removeprefix("every ").removeprefix("a ")
    named = numbers(plain, WEEKDAYS.index) if plain else set()

    def is_one(day: date) -> bool:
        ahead, back = (day.day + 6) // 7, -((monthrange(day.year, day.month)[1] - day.day) // 7 + 1)
        return day.weekday() in named or not places.isdisjoint({(ahead, day.weekday()), (back, day.weekday())})

    return is_one


def days_said(text: str) -> Named:
    """Read which days they are that a sentence names."""
    if text == "every day":
        return lambda _: True
    both = re.fullmatch("on ([^A-Z]+) of every month(?:(, and | if it is )(.+))?", text)
    if both is None:
        return weekdays_said(text.removesuffix(" of every month"))
    by_date = dates_said(both[1])
    if both[2] is None:
        return by_date
    by_weekday = weekdays_said(re.sub(" of (every|the) month$", "", both[3]))
    either = both[2] == ", and "
    return lambda day: by_date(day) or by_weekday(day) if either else by_date(day) and by_weekday(day)


@pytest.mark.parametrize("month_days", DAYS_OF_MONTH)
@pytest.mark.parametrize("weekdays", DAYS_OF_WEEK)
def test_days_are_those_that_are_said(month_days: str, weekdays: str) -> None:
    """Who reads the sentence back finds the days of a year, whichever of the two fields is restricted or complete."""
    rule = Cron(f"0 0 {month_days} * {weekdays}")
    text = said(rule).removeprefix("At 00:00, ").removesuffix(".")

    year = [date(2026, 1, 1) + timedelta(days=number) for number in range(365)]
    fires = {date.fromordinal(day) for day in compile_cron(rule.expression).days(2026)}
    assert fires == set(filter(days_said(text), year)), text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FREQ=DAILY;INTERVAL=3", "At 03:00, every 3 days."),
        ("FREQ=DAILY;INTERVAL=3;BYDAY=MO,FR", "At 03:00, every 3 days if it is a Monday or Friday."),
        ("FREQ=WEEKLY;BYDAY=MO,WE", "At 03:00, every Monday and Wednesday."),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "At 03:00, every 2 weeks on Monday."),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU;WKST=SU", "At 03:00, every 2 weeks on Sunday (weeks begin on Sunday)."),
        ("FREQ=MONTHLY;BYDAY=SU", "At 03:00, every Sunday."),
        ("FREQ=MONTHLY;INTERVAL=2;BYDAY=TU", "At 03:00, every Tuesday in every 2nd month."),
        ("FREQ=MONTHLY;INTERVAL=13;BYMONTH=5", "At 03:00, on day 31 of every May, in every 13th month."),
        ("FREQ=MONTHLY;BYDAY=-1FR", "At 03:00, on the last Friday of every month."),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "At 03:00, on day 13 of every month if it is a Friday."),
        ("FREQ=MONTHLY;BYMONTHDAY=1,-2", "At 03:00, on day 1 and the 2nd-to-last day of every month."),
        ("FREQ=DAILY;BYMONTHDAY=-1,-2", "At 03:00, on the 2nd-to-last and last day of every month."),
        ("FREQ=YEARLY", "At 03:00, on day 31 of every January."),
        ("FREQ=YEARLY;INTERVAL=4", "At 03:00, on day 31 of every January, in every 4th year."),
        ("FREQ=YEARLY;BYMONTHDAY=29", "At 03:00, on day 29 of every month."),
        ("FREQ=YEARLY;BYDAY=20MO", "At 03:00, on the 20th Monday of every year."),
        ("FREQ=YEARLY;BYYEARDAY=100,-1", "At 03:00, on day 100 and the last day of every year."),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "At 03:00, every Monday in week 20 of every year."),
        ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;BYMONTHDAY=24",
         "At 03:00, on day 24 of every November if it is the 4th Thursday of the month."),
        ("FREQ=YEARLY;BYMONTHDAY=1,-1;BYYEARDAY=1,2",
         "At 03:00, on day 1 and the last day of every month if it is day 1 or day 2 of the year."),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=2", "At 03:00, every Monday, but only the 2nd of these in each month."),
        ("FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1,1,-2",
         "At 03:00, every Monday and Tuesday, but only the 1st, 2nd-to-last and last of these in each month."),
        ("FREQ=HOURLY", "Every hour."),
        ("FREQ=HOURLY;BYDAY=TH;BYHOUR=22,23", "At 22:00 and 23:00, every Thursday."),
        ("FREQ=HOURLY;INTERVAL=5", "Every 5 hours."),
        ("FREQ=HOURLY;INTERVAL=5;BYMINUTE=30", "Every 5 hours at minute 30."),
        ("FREQ=HOURLY;INTERVAL=7;BYHOUR=3,6", "Every 7 hours, only in hours 3 and 6."),
        ("FREQ=MINUTELY;INTERVAL=7", "Every 7 minutes."),
        ("FREQ=MINUTELY;BYSECOND=30", "Every minute, at second 30."),
        ("FREQ=MINUTELY;INTERVAL=61;BYMINUTE=5,25;BYDAY=MO",
         "Every 61 minutes, only in minutes 5 and 25, every Monday."),
    ],
)  # fmt: skip
def test_rrule(text: str, expected: str) -> None:
    """What a rule takes from the start is said as if it stood there."""
    assert expected == said(RRule(text))


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "from 25 October 2026 02:30."),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "from 25 October 2026 02:30 the second time."),
        (datetime(2026, 10, 25, 1, 0, 5, 500_000, tzinfo=UTC), "from 25 October 2026 02:00:05.5 the second time."),
        (datetime(2026, 10, 25, 2, 0, tzinfo=UTC), "from 25 October 2026 03:00."),
        (datetime(2026, 10, 25, 2, 0, 0, 1, tzinfo=UTC), "from 25 October 2026 03:00:00.000001."),
    ],
)
def test_start(start: datetime, expected: str) -> None:
    """Two starts are never said alike."""
    text = describe(Recurring(Cron("0 3 * * *"), start, time_zone="Europe/Berlin"))
    assert text.endswith(f"(Europe/Berlin), {expected}")


def test_several() -> None:
    """One after the other."""
    rule = AnyOf((Cron("0 3 * * *"), Cron("30 15 * * SAT,SUN")))
    assert "At 03:00, every day; and at 15:30, every Saturday and Sunday." == said(rule)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"count": 5}, ", 5 times at most."),
        ({"end": START + timedelta(days=1)}, ", until 1 February 2026 03:00."),
        ({"start_fires": True}, ". It fires at the start as well."),
        (
            {"window": timedelta(hours=1)},
            ". It starts anywhere within 1 hour of these times, always at the same place.",
        ),
        ({"jitter": timedelta(seconds=90)}, ". It starts up to 1 minute and 30 seconds later by chance."),
        ({"dst_gap": DstGap.SKIP}, ". A time that the clocks skip is left out."),
        ({"dst_overlap": DstOverlap.BOTH}, ". A time that comes twice is taken twice."),
        ({"misfire": Misfire(MisfirePolicy.SKIP)}, ". Each starts at most 1 minute late, or is skipped."),
        ({"grace": timedelta(hours=2)}, ". What could not start within 2 hours is skipped."),
        (
            {"misfire": Misfire(MisfirePolicy.FIRE_ALL, 3, timedelta(seconds=5))},
            ". What could not start in time is caught up with: 3 times at most, 5 seconds apart.",
        ),
        ({"overlap": Overlap.SKIP}, ". What comes while it still runs is skipped."),
        ({"calendar": CalendarUse("x")}, ". What falls in the times of the calendar x is left out."),
        (
            {"calendar": CalendarUse("x", Days.INCLUDE, Blackout.POSTPONE)},
            ". What falls outside the times of the calendar x waits until they begin, and up to 5 minutes longer.",
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
