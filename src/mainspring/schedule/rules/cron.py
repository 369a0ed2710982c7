"""Cron expressions: five fields or six (the seconds first), read into the days and times that they name.

The dialect is that of Vixie cron with the usual additions: names, ``L`` and ``L-3`` (the last day of the month, the
third before it), ``5L`` (the last Friday), ``5#2`` (the second Friday), ``?`` for ``*``, ``@daily`` and the like, and
``H`` of Jenkins: some value that differs from job to job, put in its place by `settle`. If day of month and day of week
are both restricted, either may match; a field that begins with ``*`` does not count as restricted.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from mainspring.schedule.civil import ClockTimes, SameTimes
from mainspring.schedule.text import TimeError

LONGEST_EXPRESSION = 256
"""How many characters an expression may have."""
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Field(NamedTuple):
    """One of the fields: what it is called, its least and greatest value, the names of values."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.most - self.least + 1


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY = FIELDS = (
    Field("second", 0, 59),
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, _MONTHS),
    Field("day of week", 0, 7, _WEEKDAYS),
)
_HASHED = {DAY: 28, WEEKDAY: 6}
"""The greatest value that a bare ``H`` has where it is not the greatest of the field: a day that every month has."""
_TERM = re.compile(r"(?P<from>\*|[A-Z]{3}|\d{1,2})(?:-(?P<to>[A-Z]{3}|\d{1,2}))?(?:/(?P<step>\d{1,2}))?", re.ASCII)
_LAST_DAY = re.compile(r"L(?:-(\d{1,2}))?", re.ASCII)
_NTH = re.compile(r"([A-Z]{3}|\d)(?:#(\d)|L)", re.ASCII)
_HASH = re.compile(r"\bH(?:\((\d{1,2})-(\d{1,2})\))?(?:/(\d{1,2}))?(?![\w(])", re.ASCII)


class DaysOfMonth(NamedTuple):
    """The day-of-month field: days, and days counted back from the last (0)."""

    days: frozenset[int]
    from_last: frozenset[int]
    starred: bool


class DaysOfWeek(NamedTuple):
    """The day-of-week field: weekdays (0 is Sunday), and pairs of weekday and its place in the month (-1: last)."""

    days: frozenset[int]
    nth: frozenset[tuple[int, int]]
    starred: bool


@dataclass(frozen=True, slots=True, eq=False)
class CronDays:
    """The days that the last three fields name; shared by all expressions that have the same three."""

    month_days: DaysOfMonth
    months: tuple[int, ...]
    weekdays: DaysOfWeek
    _years: dict[int, tuple[int, ...]]

    def in_year(self, year: int) -> tuple[int, ...]:
        """List the days in a year, as ordinals."""
        if year not in self._years:
            self._years[year] = tuple(day for month in self.months for day in self._in_month(year, month))
        return self._years[year]

    def _in_month(self, year: int, month: int) -> Iterator[int]:
        first_weekday, length = monthrange(year, month)
        ordinal = date(year, month, 1).toordinal() - 1
        either = not (self.month_days.starred or self.weekdays.starred)
        for day in range(1, length + 1):
            by_date = day in self.month_days.days or length - day in self.month_days.from_last
            weekday = (first_weekday + day) % 7  # monthrange counts from Monday, cron from Sunday
            places = (weekday, (day + 6) // 7), (weekday, -1 if day > length - 7 else 0)
            by_weekday = weekday in self.weekdays.days or not self.weekdays.nth.isdisjoint(places)
            if (by_date or by_weekday) if either else (by_date and by_weekday):
                yield ordinal + day


class CronRule(SameTimes):
    """The days and times that an expression names."""

    __slots__ = ("clock", "dates")

    def __init__(self, days: CronDays, times: ClockTimes) -> None:
        super().__init__(times)
        self.clock = times
        self.dates = days

    def days(self, year: int) -> Sequence[int]:
        """See `Rule.days`."""
        return self.dates.in_year(year)


@lru_cache(maxsize=1024)
def compile_cron(expression: str) -> CronRule:
    """Read an expression; an ``H`` in it has its least value. Raises `TimeError` with the code ``INVALID_CRON``."""
    fields = _split(expression)
    if len(fields) == 5:
        fields = ["0", *fields]
    seconds, minutes, hours = (
        sorted(_values(text, field)) for text, field in zip(fields, (SECOND, MINUTE, HOUR), strict=False)
    )
    return CronRule(_compile_days(*fields[3:]), ClockTimes(hours, minutes, seconds))


def has_hash(expression: str) -> bool:
    """Say whether there is an ``H`` in an expression."""
    return _HASH.search(expression.upper()) is not None


def settle(expression: str, chance: Callable[[str], int]) -> str:
    """Return the expression with a number for each ``H``.

    `chance` answers a large whole number for the name of a field. The expression must be one that `compile_cron` takes.
    """
    if not has_hash(expression):
        return expression
    fields = _split(expression)
    settled = (
        _settle(text, field, chance(field.name)) for text, field in zip(fields, FIELDS[-len(fields) :], strict=True)
    )
    return " ".join(settled)


def _split(expression: str) -> list[str]:
    if len(expression) > LONGEST_EXPRESSION:
        raise _invalid(f"is longer than {LONGEST_EXPRESSION} characters")
    text = expression.strip(" \t")
    if text.startswith("@"):
        if text.lower() not in MACROS:
            raise _invalid(f"must be one of {', '.join(MACROS)}, or have five or six fields")
        text = MACROS[text.lower()]
    fields = re.split(r"[ \t]+", text.upper())
    if len(fields) not in {5, 6}:
        raise _invalid("must have five fields (minute, hour, day of month, month, day of week), or six (second first)")
    return fields


@lru_cache(maxsize=1024)
def _compile_days(month_days: str, months: str, weekdays: str) -> CronDays:
    return CronDays(_days_of_month(month_days), tuple(sorted(_values(months, MONTH))), _days_of_week(weekdays), {})


def _days_of_month(text: str) -> DaysOfMonth:
    days: set[int] = set()
    from_last: set[int] = set()
    for term in _terms("*" if text == "?" else text, DAY):
        if last := _LAST_DAY.fullmatch(term):
            back = int(last[1] or 0)
            if back > 30:
                raise _invalid("counts back from the last day of the month further than 30 days")
            from_last.add(back)
        else:
            days |= _range(term, DAY)
    return DaysOfMonth(frozenset(days), frozenset(from_last), text.startswith(("*", "?")))


def _days_of_week(text: str) -> DaysOfWeek:
    days: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for term in _terms("*" if text == "?" else text, WEEKDAY):
        if place := _NTH.fullmatch(term):
            number = int(place[2] or -1)
            if not -1 <= number <= 5 or number == 0:
                raise _invalid("has a # that is not followed by 1 to 5")
            nth.add((_value(place[1], WEEKDAY) % 7, number))
        else:
            days |= {day % 7 for day in _range(term, WEEKDAY)}
    return DaysOfWeek(frozenset(days), frozenset(nth), text.startswith(("*", "?")))


def _values(text: str, field: Field) -> set[int]:
    return {value for term in _terms(text, field) for value in _range(term, field)}


def _terms(text: str, field: Field) -> Iterator[str]:
    """Split a field at its commas, each ``H`` replaced by the least value that it could have."""
    return iter(_settle(text, field, 0).split(","))


def _range(term: str, field: Field) -> set[int]:
    match = _TERM.fullmatch(term)
    if match is None or (match["from"] == "*" and match["to"]):
        raise _invalid(f"has no {field.name} {_shown(term)}")
    step = int(match["step"] or 1)
    if not 1 <= step < field.size:
        raise _invalid(f"has a step that does not fit the {field.name}: {_shown(term)}")
    if match["from"] == "*":
        return set(range(field.least, field.most + (field is not WEEKDAY), step))
    first = _value(match["from"], field)
    last = _value(match["to"], field) if match["to"] else field.most if match["step"] else first
    if field is WEEKDAY and match["to"] == "SUN":
        last = 7
    if first > last:
        raise _invalid(f"has a range of the {field.name} that goes backwards: {_shown(term)}")
    return set(range(first, last + 1, step))


def _value(text: str, field: Field) -> int:
    if text in field.names:
        return field.names.index(text) + field.least
    if not text.isdigit() or not field.least <= int(text) <= field.most:
        raise _invalid(f"has no {field.name} {_shown(text)}: it is {field.least} to {field.most}")
    return int(text)


def _settle(text: str, field: Field, chance: int) -> str:
    def number(match: re.Match[str]) -> str:
        least, most = int(match[1] or field.least), int(match[2] or _HASHED.get(field, field.most))
        if not field.least <= least <= most <= field.most:
            raise _invalid(f"has a range that does not fit the {field.name}: {_shown(match[0])}")
        if match[3] is None:
            return str(least + chance % (most - least + 1))
        step = int(match[3])
        if not 1 <= step <= most - least + 1:
            raise _invalid(f"has a step that does not fit the {field.name}: {_shown(match[0])}")
        return f"{least + chance % step}-{most}/{step}"

    return _HASH.sub(number, text) if "H" in text else text


def _invalid(detail: str) -> TimeError:
    return TimeError("INVALID_CRON", detail)


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 20 else text[:19] + "…")
