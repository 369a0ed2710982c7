"""Recurrence rules of RFC 5545: read by a grammar of our own, into the days and times that they name.

Of the standard only ``FREQ=SECONDLY`` and ``BYSETPOS`` with a frequency under a day are refused. A day is looked at by
itself, whatever the rule is, so a rule that can never be met costs no more than one that can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from mainspring.schedule.civil import DAY, HOUR, MINUTE, SECOND, ClockTimes, ListedTimes, Rule, SameTimes, Times
from mainspring.schedule.text import TimeError

LONGEST_RULE = 1024
"""How many characters a rule may have."""
MOST_LISTED = 1440
"""How many times a day may have where they have to be listed: with ``BYSETPOS``, or with hours or minutes in steps."""
MOST_POSITIONS = 12
"""How many places ``BYSETPOS`` may name."""


class Frequency(StrEnum):
    """The period of a rule."""

    YEARLY = "YEARLY"
    MONTHLY = "MONTHLY"
    WEEKLY = "WEEKLY"
    DAILY = "DAILY"
    HOURLY = "HOURLY"
    MINUTELY = "MINUTELY"


_MOST_OFTEN = {
    Frequency.YEARLY: 10,
    Frequency.MONTHLY: 120,
    Frequency.WEEKLY: 521,
    Frequency.DAILY: 3653,
    Frequency.HOURLY: 87_672,
    Frequency.MINUTELY: 5_260_320,
}
"""The greatest interval: ten years."""
_UNITS = {Frequency.HOURLY: HOUR, Frequency.MINUTELY: MINUTE}
_WEEKDAYS = {"MO": 0, "TU": 1, "WE": 2, "TH": 3, "FR": 4, "SA": 5, "SU": 6}
_WEEKDAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_UNTIL = re.compile(r"(?P<day>\d{8})(?:T(?P<time>\d{6})(?P<utc>Z)?)?", re.ASCII)
_LISTS = {
    "BYMONTH": (1, 12),
    "BYWEEKNO": (-53, 53),
    "BYYEARDAY": (-366, 366),
    "BYMONTHDAY": (-31, 31),
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
    "BYSECOND": (0, 59),
    "BYSETPOS": (-366, 366),
}
"""The members that are lists of numbers, with the least and the greatest. Where that is below zero, zero is refused."""
_REFUSED = {
    "DTSTART": "has a DTSTART: the schedule's start says when to begin",
    "EXDATE": "has an EXDATE: a calendar says which days to leave out",
    "RDATE": "has an RDATE: anyOf adds other times",
}
_NOT_WITH = {
    "BYWEEKNO": (Frequency.MONTHLY, Frequency.WEEKLY, Frequency.DAILY, Frequency.HOURLY, Frequency.MINUTELY),
    "BYYEARDAY": (Frequency.MONTHLY, Frequency.WEEKLY, Frequency.DAILY),
    "BYMONTHDAY": (Frequency.WEEKLY,),
    "BYSETPOS": (Frequency.HOURLY, Frequency.MINUTELY),
}


class Parts(NamedTuple):
    """What a rule says, its lists sorted; an empty list says nothing. Weekdays count from Monday (0)."""

    frequency: Frequency
    interval: int = 1
    week_start: int = 0
    months: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[int, ...] = ()
    nth_weekdays: tuple[tuple[int, int], ...] = ()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """A rule that was read: its text without what bounds it, and these bounds.

    `until` is a moment in UTC, or a civil time if it has no zone.
    """

    text: str
    parts: Parts
    count: int | None
    until: datetime | None


# --- reading ----------------------------------------------------------------------------------------------------------


def parse_rrule(text: str) -> Reading:
    """Read a rule such as ``FREQ=MONTHLY;BYDAY=-1FR``. Raises `TimeError` with the code ``INVALID_RRULE``."""
    if len(text) > LONGEST_RULE:
        raise _invalid(f"is longer than {LONGEST_RULE} characters")
    members = _members(text.upper().removeprefix("RRULE:"))
    count = _number(members.pop("COUNT", None), "COUNT", 2**31 - 1)
    until = _until(members.pop("UNTIL", None))
    if count is not None and until is not None:
        raise _invalid("has both COUNT and UNTIL")
    return Reading(";".join(f"{name}={value}" for name, value in members.items()), _parts(members), count, until)


def _members(text: str) -> dict[str, str]:
    members: dict[str, str] = {}
    for member in text.removesuffix(";").split(";"):
        name, equals, value = member.partition("=")
        if refusal := _REFUSED.get(re.split(r"[:;=\n]", name)[0]):
            raise _invalid(refusal)
        if not equals or not value or name not in {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_LISTS}:
            raise _invalid(f"has no member {_shown(member)}")
        if name in members:
            raise _invalid(f"has {name} twice")
        members[name] = value
    if "FREQ" not in members:
        raise _invalid("needs FREQ, as in FREQ=WEEKLY;BYDAY=MO")
    return members


def _parts(members: Mapping[str, str]) -> Parts:
    frequency = _frequency(members["FREQ"])
    weekdays = _weekdays(members.get("BYDAY"))
    _check_together(members, frequency, numbered=any(place for place, _ in weekdays))
    if members.get("WKST", "MO") not in _WEEKDAYS:
        raise _invalid(f"has no WKST {_shown(members['WKST'])}")
    lists = {name: _numbers(members.get(name), name) for name in _LISTS}
    if len(lists["BYSETPOS"]) > MOST_POSITIONS:
        raise _invalid(f"has more than {MOST_POSITIONS} places in BYSETPOS")
    parts = Parts(
        frequency=frequency,
        interval=_number(members.get("INTERVAL"), "INTERVAL", _MOST_OFTEN[frequency]) or 1,
        week_start=_WEEKDAYS[members.get("WKST", "MO")],
        months=lists["BYMONTH"],
        weeks=lists["BYWEEKNO"],
        year_days=lists["BYYEARDAY"],
        month_days=lists["BYMONTHDAY"],
        weekdays=tuple(sorted(weekday for place, weekday in weekdays if not place)),
        nth_weekdays=tuple(sorted(pair for pair in weekdays if pair[0])),
        hours=lists["BYHOUR"],
        minutes=lists["BYMINUTE"],
        seconds=lists["BYSECOND"],
        positions=lists["BYSETPOS"],
    )
    times = ClockTimes(*_clock(parts, (0,), (0,), (0,)))
    if (parts.positions or (frequency in _UNITS and parts.interval > 1)) and len(times) > MOST_LISTED:
        raise _invalid(
            f"has more than {MOST_LISTED} times a day with BYSETPOS, or with an INTERVAL of hours or minutes"
        )
    return parts


def _frequency(text: str) -> Frequency:
    if text == "SECONDLY":
        raise _invalid("is SECONDLY: a schedule with every, such as PT10S, says that")
    if text not in Frequency.__members__:
        raise _invalid(f"has no FREQ {_shown(text)}")
    return Frequency[text]


def _check_together(members: Mapping[str, str], frequency: Frequency, *, numbered: bool) -> None:
    for name, others in _NOT_WITH.items():
        if name in members and frequency in others:
            raise _invalid(f"has {name}, which does not go with FREQ={frequency}")
    if numbered and (frequency not in {Frequency.YEARLY, Frequency.MONTHLY} or "BYWEEKNO" in members):
        raise _invalid("has a numbered day in BYDAY, which goes with YEARLY or MONTHLY and without BYWEEKNO")
    if "BYSETPOS" in members and not any(name in members for name in ("BYDAY", *_LISTS) if name != "BYSETPOS"):
        raise _invalid("has a BYSETPOS that has nothing to choose from: it needs another BY member")


def _number(text: str | None, name: str, most: int) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,10}", text, re.ASCII) or not 1 <= int(text) <= most:
        raise _invalid(f"has no {name} {_shown(text)}: it is 1 to {most}")
    return int(text)


def _numbers(text: str | None, name: str) -> tuple[int, ...]:
    least, most = _LISTS[name]
    numbers: set[int] = set()
    for term in text.split(",") if text else ():
        plain = re.fullmatch(r"[+-]?\d{1,3}", term, re.ASCII)
        if not plain or not least <= int(term) <= most or (least < 0 and int(term) == 0):
            raise _invalid(f"has no {name} {_shown(term)}")
        numbers.add(int(term))
    return tuple(sorted(numbers))


def _weekdays(text: str | None) -> set[tuple[int, int]]:
    weekdays: set[tuple[int, int]] = set()
    for term in text.split(",") if text else ():
        match = _WEEKDAY.fullmatch(term)
        place = int(match[1] or 0) if match else 0
        if not match or abs(place) > 53 or (match[1] and not place):
            raise _invalid(f"has no BYDAY {_shown(term)}")
        weekdays.add((place, _WEEKDAYS[match[2]]))
    return weekdays


def _until(text: str | None) -> datetime | None:
    if text is None:
        return None
    match = _UNTIL.fullmatch(text)
    try:
        digits = match["day"] + (match["time"] or "235959") if match else ""
        until = datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007 - what has no zone stays without
    except ValueError:
        raise _invalid(f"has no UNTIL {_shown(text)}: it is a time such as 20261231T235959Z") from None
    return until.replace(tzinfo=UTC) if match and match["utc"] else until


def _invalid(detail: str) -> TimeError:
    return TimeError("INVALID_RRULE", detail)


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 20 else text[:19] + "…")


# --- days and times ---------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def compile_rrule(text: str, anchor: datetime) -> PlainTimes | SteppedTimes | ChosenTimes:
    """Return the days and times of a rule, given the civil time that it is counted from.

    The rule must be one that `parse_rrule` takes. What is earlier than the anchor may be among them. `clock` has all
    times that a day may have.
    """
    parts = explicit(_read(text), anchor)
    day = anchor.toordinal()
    units = day * 24 + anchor.hour
    phase = {
        Frequency.YEARLY: anchor.year,
        Frequency.MONTHLY: anchor.year * 12 + anchor.month,
        Frequency.WEEKLY: (day - 1 - parts.week_start) // 7,
        Frequency.DAILY: day,
        Frequency.HOURLY: units,
        Frequency.MINUTELY: units * 60 + anchor.minute,
    }[parts.frequency]
    return _compile(parts, phase % parts.interval)


@lru_cache(maxsize=1024)
def _read(text: str) -> Parts:
    return parse_rrule(text).parts


def explicit(parts: Parts, anchor: datetime) -> Parts:
    """Fill in what a rule leaves to the civil time that it is counted from."""
    frequency = parts.frequency
    if not (parts.weeks or parts.year_days or parts.month_days or parts.weekdays or parts.nth_weekdays):
        if frequency is Frequency.YEARLY:
            parts = parts._replace(months=parts.months or (anchor.month,), month_days=(anchor.day,))
        elif frequency is Frequency.MONTHLY:
            parts = parts._replace(month_days=(anchor.day,))
        elif frequency is Frequency.WEEKLY:
            parts = parts._replace(weekdays=(anchor.weekday(),))
    hours, minutes, seconds = _clock(parts, (anchor.hour,), (anchor.minute,), (anchor.second,))
    return parts._replace(hours=hours, minutes=minutes, seconds=seconds)


def _clock(parts: Parts, *anchor: tuple[int]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the hours, minutes and seconds of a rule that is counted from this hour, minute and second."""
    hour, minute, second = anchor
    hours = tuple(range(24)) if parts.frequency in _UNITS else hour
    minutes = tuple(range(60)) if parts.frequency is Frequency.MINUTELY else minute
    return parts.hours or hours, parts.minutes or minutes, parts.seconds or second


@lru_cache(maxsize=512)
def _compile(parts: Parts, phase: int) -> PlainTimes | SteppedTimes | ChosenTimes:
    times = ClockTimes(parts.hours, parts.minutes, parts.seconds)
    if parts.positions:
        return ChosenTimes(_days(_day_parts(parts), phase), times, parts.positions)
    if parts.frequency in _UNITS and parts.interval > 1:
        days = _days(_day_parts(parts)._replace(frequency=Frequency.DAILY, interval=1), 0)
        return SteppedTimes(days, times, _UNITS[parts.frequency] // MINUTE, parts.interval, phase)
    if parts.frequency in _UNITS:
        return PlainTimes(_days(_day_parts(parts)._replace(frequency=Frequency.DAILY), 0), times)
    return PlainTimes(_days(_day_parts(parts), phase), times)


def _day_parts(parts: Parts) -> Parts:
    return parts._replace(hours=(), minutes=(), seconds=(), positions=())


@dataclass(frozen=True, slots=True, eq=False)
class RuleDays:
    """The days of a rule, shared by all rules that differ in the time of day alone."""

    parts: Parts
    phase: int
    _years: dict[int, tuple[int, ...]]

    def in_year(self, year: int) -> tuple[int, ...]:
        """List the days in a year, as ordinals."""
        if year not in self._years:
            self._years[year] = tuple(day.toordinal() for day in self._look_through(year) if self._matches(day))
        return self._years[year]

    def period(self, day: int) -> int:
        """Return the number of the period that a day lies in."""
        when = date.fromordinal(day)
        match self.parts.frequency:
            case Frequency.YEARLY:
                return when.year
            case Frequency.MONTHLY:
                return when.year * 12 + when.month
            case Frequency.WEEKLY:
                return (day - 1 - self.parts.week_start) // 7
            case _:
                return day

    def _look_through(self, year: int) -> Iterator[date]:
        if self.parts.frequency is Frequency.YEARLY and year % self.parts.interval != self.phase:
            return
        for month in self.parts.months or range(1, 13):
            first = date(year, month, 1).toordinal()
            yield from map(date.fromordinal, range(first, first + _month_length(year, month)))

    def _matches(self, day: date) -> bool:
        parts = self.parts
        return (
            (parts.interval == 1 or self.period(day.toordinal()) % parts.interval == self.phase)
            and (not parts.month_days or _is_one_of(parts.month_days, day.day, _month_length(day.year, day.month)))
            and (not (parts.weekdays or parts.nth_weekdays) or self._has_weekday(day))
            and (not parts.year_days or _is_one_of(parts.year_days, day.timetuple().tm_yday, _year_length(day.year)))
            and (not parts.weeks or _is_one_of(parts.weeks, *_week(day, parts.week_start)))
        )

    def _has_weekday(self, day: date) -> bool:
        weekday = day.weekday()
        if weekday in self.parts.weekdays:
            return True
        if not self.parts.nth_weekdays:
            return False
        if self.parts.frequency is Frequency.MONTHLY or self.parts.months:
            number, length = day.day, _month_length(day.year, day.month)
        else:
            number, length = day.timetuple().tm_yday, _year_length(day.year)
        places = {((number + 6) // 7, weekday), (-((length - number) // 7 + 1), weekday)}
        return not places.isdisjoint(self.parts.nth_weekdays)


_days = lru_cache(maxsize=1024)(lambda parts, phase: RuleDays(parts, phase, {}))


def _is_one_of(numbers: Sequence[int], number: int, length: int) -> bool:
    """Say whether the `number`-th of `length` is among some numbers, of which negative ones count from the end."""
    return number in numbers or number - length - 1 in numbers


def _month_length(year: int, month: int) -> int:
    return (date(year + month // 12, month % 12 + 1, 1) - date(year, month, 1)).days if year < 9999 else 31


def _year_length(year: int) -> int:
    return 366 if year % 4 == 0 and (year % 100 or year % 400 == 0) else 365


def _week(day: date, week_start: int) -> tuple[int, int]:
    """Return the number of a day's week, and how many weeks its year has; the first week has four days or more."""
    middle = day.toordinal() - (day.weekday() - week_start) % 7 + 3
    year = date.fromordinal(middle).year
    length = _year_length(year)
    place = date.fromordinal(middle).timetuple().tm_yday
    number = (place + 6) // 7
    return number, number + (length - place) // 7


class PlainTimes(SameTimes):
    """A rule with the same times on each of its days."""

    __slots__ = ("_days", "clock")

    def __init__(self, days: RuleDays, times: ClockTimes) -> None:
        super().__init__(times)
        self.clock = times
        self._days = days

    def days(self, year: int) -> Sequence[int]:
        """See `Rule.days`."""
        return self._days.in_year(year)


class SteppedTimes(Rule):
    """A rule that counts hours or minutes through its days and takes each n-th."""

    __slots__ = ("_by_rest", "_days", "_interval", "_phase", "_units", "_years", "clock")

    def __init__(self, days: RuleDays, times: ClockTimes, unit: int, interval: int, phase: int) -> None:
        self.clock = times
        self._days = days
        self._interval, self._phase, self._units = interval, phase, 24 * 60 // unit
        by_rest: dict[int, list[int]] = {}
        for hour in times.hours:
            for minute in times.minutes:
                listed = by_rest.setdefault((hour * 60 + minute) // unit % interval, [])
                listed.extend(hour * HOUR + minute * MINUTE + second * SECOND for second in times.seconds)
        self._by_rest = {rest: ListedTimes(listed) for rest, listed in by_rest.items()}
        super().__init__(hourly=all(len({time // HOUR for time in listed}) == 24 for listed in by_rest.values()))
        self._years: dict[int, tuple[int, ...]] = {}

    def days(self, year: int) -> Sequence[int]:
        """See `Rule.days`."""
        if year not in self._years:
            self._years[year] = tuple(day for day in self._days.in_year(year) if self._rest(day) in self._by_rest)
        return self._years[year]

    def times(self, day: int) -> Times:
        """See `Rule.times`."""
        return self._by_rest[self._rest(day)]

    def _rest(self, day: int) -> int:
        return (self._phase - day * self._units) % self._interval


class ChosenTimes(Rule):
    """A rule that takes some of the times of each period, by their places among them."""

    __slots__ = ("_candidates", "_days", "_positions", "_years", "clock")

    def __init__(self, days: RuleDays, times: ClockTimes, positions: Sequence[int]) -> None:
        super().__init__(hourly=False)
        self.clock = times
        self._days, self._candidates, self._positions = days, times, positions
        self._years: dict[int, dict[int, Times]] = {}

    def days(self, year: int) -> Sequence[int]:
        """See `Rule.days`."""
        return sorted(self._in_year(year))

    def times(self, day: int) -> Times:
        """See `Rule.times`."""
        return self._in_year(date.fromordinal(day).year)[day]

    def _in_year(self, year: int) -> Mapping[int, Times]:
        if year not in self._years:
            self._years[year] = self._choose(year)
        return self._years[year]

    def _choose(self, year: int) -> dict[int, Times]:
        """Choose in every period of the year; a week may begin before it, or end after it."""
        days = [*self._days.in_year(year - 1)[-7:], *self._days.in_year(year), *self._days.in_year(year + 1)[:7]]
        chosen: set[int] = set()
        for _, group in groupby(days, self._days.period):
            chosen.update(self._of_period(list(group)))
        chosen_days = groupby(sorted(chosen), lambda civil: civil // DAY)
        return {
            day: ListedTimes(civil - day * DAY for civil in civils)
            for day, civils in chosen_days
            if date.fromordinal(day).year == year
        }

    def _of_period(self, days: Sequence[int]) -> Iterator[int]:
        number = len(days) * len(self._candidates)
        for position in self._positions:
            place = position - 1 if position > 0 else number + position
            if 0 <= place < number:
                day, time = divmod(place, len(self._candidates))
                yield days[day] * DAY + self._candidates[time]
