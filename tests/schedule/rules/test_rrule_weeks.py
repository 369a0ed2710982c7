"""Weeks by their numbers, against a reference that knows of nothing but where a year's first week begins."""

import random  # noqa: TID251 - drawn from a seed, always the same
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice

import pytest

from mainspring.schedule import Recurring, describe
from mainspring.schedule.rules import RRule

DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


# --- the reference


def first_day(year: int, week_start: int) -> date:
    """Return the day on which the first week of a year begins: it is the one that 4 January lies in (ISO 8601)."""
    fourth = date(year, 1, 4)
    return fourth - timedelta(days=(fourth.weekday() - week_start) % 7)


def year_of_week(day: date, week_start: int) -> int:
    """Return the year that a day's week belongs to."""
    return max(year for year in (day.year - 1, day.year, day.year + 1) if first_day(year, week_start) <= day)


def by_weeks(text: str, start: datetime) -> Iterator[datetime]:
    """Yield the times of a yearly rule with BYWEEKNO, week by week of every year that the interval reaches."""
    parts = dict(part.split("=") for part in text.split(";"))
    numbers = {name: [int(n) for n in parts[name].split(",")] for name in ("BYWEEKNO", "BYMONTH", "BYSETPOS") if name in parts}  # fmt: skip  # noqa: E501
    week_start = DAYS.index(parts.get("WKST", "MO"))
    wanted = [DAYS.index(name) for name in parts["BYDAY"].split(",")] if "BYDAY" in parts else [start.weekday()]
    begin = year_of_week(start.date(), week_start)
    for year in range(begin, begin + 60, int(parts.get("INTERVAL", 1))):
        first, last = first_day(year, week_start), first_day(year + 1, week_start)
        weeks = (last - first).days // 7
        chosen = sorted({number if number > 0 else weeks + 1 + number for number in numbers["BYWEEKNO"]})
        days = [
            day
            for week in chosen
            if 1 <= week <= weeks
            for day in (first + timedelta(days=7 * (week - 1) + place) for place in range(7))
            if day.weekday() in wanted and ("BYMONTH" not in parts or day.month in numbers["BYMONTH"])
        ]
        if "BYSETPOS" in parts:
            places = {place - 1 if place > 0 else len(days) + place for place in numbers["BYSETPOS"]}
            days = [day for place, day in enumerate(days) if place in places]
        times = (datetime.combine(day, start.time()) for day in days)
        yield from (moment for moment in times if moment >= start)


def ours(text: str, start: datetime, number: int) -> list[datetime]:
    """List the first times by our engine."""
    low = start.replace(tzinfo=UTC)
    times = Recurring(RRule(text), low).fire_times(low, low + timedelta(days=366 * 40))
    return [moment.replace(tzinfo=None) for moment in islice(times, number)]


def test_the_reference_is_the_iso_calendar() -> None:
    """For weeks that begin on Monday the standard library has the same years and numbers."""
    for year in range(1970, 2100):
        assert date.fromisocalendar(year, 1, 1) == first_day(year, 0)
        assert all(day.isocalendar().year == year_of_week(day, 0) for day in (date(year, 1, 1), date(year, 12, 31)))


# --- the weekday that a rule leaves open


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("FREQ=YEARLY;BYWEEKNO=20", "2027-05-17", ["2027-05-17", "2028-05-15", "2029-05-14"]),
        ("FREQ=YEARLY;BYWEEKNO=20", "2027-05-20", ["2027-05-20", "2028-05-18", "2029-05-17"]),
        ("FREQ=YEARLY;BYWEEKNO=1,-1", "2027-01-08", ["2027-01-08", "2027-12-31", "2028-01-07", "2028-12-29"]),
        ("FREQ=YEARLY;BYWEEKNO=53", "2026-12-28", ["2026-12-28", "2032-12-27", "2037-12-28"]),
        ("FREQ=YEARLY;BYWEEKNO=-53", "2026-12-01", ["2031-12-30", "2036-12-30"]),
        ("FREQ=YEARLY;BYWEEKNO=1;WKST=SU", "2027-01-03", ["2027-01-03", "2028-01-02", "2028-12-31"]),
        ("FREQ=YEARLY;BYWEEKNO=1;BYMONTH=12", "2027-01-04", ["2029-12-31", "2030-12-30", "2031-12-29"]),
        # what names its days by itself keeps them
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=TU,WE", "2027-05-17", ["2027-05-18", "2027-05-19", "2028-05-16"]),
        ("FREQ=YEARLY;BYWEEKNO=20;BYMONTHDAY=17", "2027-05-17", ["2027-05-17", "2028-05-17", "2029-05-17"]),
        ("FREQ=YEARLY;BYWEEKNO=20;BYYEARDAY=137,138", "2027-05-17", ["2027-05-17", "2027-05-18", "2028-05-16"]),
    ],
)
def test_weekday_comes_from_the_start(text: str, start: str, expected: list[str]) -> None:
    """A rule of weeks that names no day means the start's day of the week (RFC 5545, 3.3.10)."""
    if "WKST" in text:  # weeks that begin on Sunday: no number here is that of ISO 8601
        assert [f"{day}" for day in expected] == [
            f"{moment:%Y-%m-%d}" for moment in islice(by_weeks(text, datetime.fromisoformat(start)), 3)
        ]
    assert expected == [f"{moment:%Y-%m-%d}" for moment in ours(text, datetime.fromisoformat(start), len(expected))]


def test_weekday_is_said() -> None:
    """The sentence names the day that comes from the start."""
    trigger = Recurring(RRule("FREQ=YEARLY;BYWEEKNO=20"), datetime(2027, 5, 17, 9, tzinfo=UTC))
    assert "Monday" in describe(trigger)


# --- the week's own year


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        (
            "FREQ=YEARLY;INTERVAL=2;BYWEEKNO=1;BYDAY=MO",
            "2027-01-04",
            ["2027-01-04", "2029-01-01", "2030-12-30", "2033-01-03", "2035-01-01", "2036-12-29"],
        ),
        ("FREQ=YEARLY;INTERVAL=2;BYWEEKNO=-1;BYDAY=SU", "2027-01-04", ["2028-01-02", "2029-12-30", "2031-12-28"]),
        # 1 January 2027 lies in the last week of 2026: with it, the even years are counted
        ("FREQ=YEARLY;INTERVAL=2;BYWEEKNO=2;BYDAY=MO", "2027-01-01", ["2028-01-10", "2030-01-07", "2032-01-05"]),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO,WE,FR;BYSETPOS=1", "2027-01-04", ["2027-01-04", "2028-01-03", "2029-01-01"]),
        ("FREQ=YEARLY;BYWEEKNO=1,2;BYDAY=MO;BYSETPOS=-1", "2027-01-04", ["2027-01-11", "2028-01-10", "2029-01-08"]),
        ("FREQ=YEARLY;BYWEEKNO=53,1;BYDAY=TH;BYSETPOS=2", "2026-01-01", ["2026-12-31", "2032-12-30", "2037-12-31"]),
    ],
)
def test_the_weeks_own_year_decides(text: str, start: str, expected: list[str]) -> None:
    """INTERVAL and BYSETPOS count the years that weeks belong to, and not those in which their days lie."""
    assert expected == [f"{moment:%Y-%m-%d}" for moment in ours(text, datetime.fromisoformat(start), len(expected))]


def drawn(number: int) -> Iterator[tuple[str, datetime]]:
    """Draw rules with BYWEEKNO, with where they are counted from: at the turn of a year, where weeks are odd."""
    chance = random.Random(13)  # noqa: S311 - repeatable on purpose
    for _ in range(number):
        weeks = chance.sample([*range(1, 54), *range(-53, 0), 1, -1, 52, 53], chance.randint(1, 4))
        parts = {"FREQ": "YEARLY", "BYWEEKNO": ",".join(map(str, weeks))}
        if chance.random() < 0.5:
            parts["BYDAY"] = ",".join(chance.sample(DAYS, chance.randint(1, 4)))
        if chance.random() < 0.5:
            parts["INTERVAL"] = str(chance.randint(2, 5))
        if chance.random() < 0.5:
            parts["WKST"] = chance.choice(DAYS)
        if chance.random() < 0.3:
            parts["BYMONTH"] = ",".join(map(str, chance.sample(range(1, 13), 5)))
        if chance.random() < 0.4:
            parts["BYSETPOS"] = ",".join(map(str, chance.sample([1, 2, 3, -1, -2], 2)))
        day = date(chance.randint(2020, 2040), 1, 1) + timedelta(days=chance.randint(-7, 7))
        yield ";".join(f"{name}={value}" for name, value in parts.items()), datetime.combine(day, time(9, 30))


def test_weeks_are_those_of_the_reference() -> None:
    """Five hundred drawn rules fire when the reference says, and are counted so."""
    seen = 0
    for text, start in drawn(500):
        low = start.replace(tzinfo=UTC)
        until = start + timedelta(days=366 * 25)
        expected = [moment for moment in by_weeks(text, start) if moment <= until]
        found = [moment for moment in ours(text, start, 10**6) if moment <= until]
        assert expected == found, (text, start)
        assert len(expected) == Recurring(RRule(text), low).number(low, until.replace(tzinfo=UTC)), (text, start)
        seen += len(expected)
    assert seen > 10_000
