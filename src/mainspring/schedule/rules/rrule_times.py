"""The days and times that a recurrence rule names, computed from its parts.

A day is looked at by itself, whatever the rule is, so a rule that can never be met costs no more than one that can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from mainspring.schedule.civil import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    YEARS_KEPT,
    CivilTimes,
    ClockTimes,
    ListedTimes,
    SameTimes,
    Times,
)
from mainspring.schedule.rules.rrule_grammar import UNITS, Frequency, Parts, explicit, parse_rrule


@lru_cache(maxsize=1024)
def compile_rrule(text: str, anchor: datetime) -> PlainTimes | SteppedTimes | ChosenTimes:
    """Return the days and times of a rule, given the civil time that it is counted from.

    The rule must be one that `parse_rrule` takes. What is earlier than the anchor may be among them. `clock` has all
    times that a day may have.
    """
    parts = explicit(parse_rrule(text).parts, anchor)
    day = anchor.toordinal()
    units = day * 24 + anchor.hour
    phase = {
        Frequency.YEARLY: _week(anchor.date(), parts.week_start).year if parts.weeks else anchor.year,
        Frequency.MONTHLY: anchor.year * 12 + anchor.month,
        Frequency.WEEKLY: (day - 1 - parts.week_start) // 7,
        Frequency.DAILY: day,
        Frequency.HOURLY: units,
        Frequency.MINUTELY: units * 60 + anchor.minute,
    }[parts.frequency]
    return _compile(parts, phase % parts.interval)


@lru_cache(maxsize=512)
def _compile(parts: Parts, phase: int) -> PlainTimes | SteppedTimes | ChosenTimes:
    times = ClockTimes(parts.hours, parts.minutes, parts.seconds, parts.fraction)
    if parts.positions:
        chosen = {times[place] for place in _places(parts.positions, len(times))}
        if parts.frequency is Frequency.DAILY and chosen:  # the same ones on each day
            return PlainTimes(_days(_day_parts(parts), phase), ListedTimes(sorted(chosen)), times)
        return ChosenTimes(_days(_day_parts(parts), phase), times, parts.positions)
    if parts.frequency in UNITS and parts.interval > 1:
        days = _days(_day_parts(parts)._replace(frequency=Frequency.DAILY, interval=1), 0)
        return SteppedTimes(days, times, UNITS[parts.frequency] // MINUTE, parts.interval, phase)
    if parts.frequency in UNITS:
        return PlainTimes(_days(_day_parts(parts)._replace(frequency=Frequency.DAILY), 0), times, times)
    return PlainTimes(_days(_day_parts(parts), phase), times, times)


def _day_parts(parts: Parts) -> Parts:
    return parts._replace(hours=(), minutes=(), seconds=(), fraction=0, positions=())


@dataclass(frozen=True, slots=True, eq=False)
class RuleDays:
    """The days of a rule, shared by all rules that differ in the time of day alone."""

    parts: Parts
    phase: int

    def in_year(self, year: int) -> tuple[int, ...]:
        """List the days in a year, as ordinals."""
        return _in_year(self, year)

    def around(self, year: int) -> Sequence[int]:
        """List the days of all periods that have days in a year; of others there may be some before and after them."""
        if not self.parts.weeks:
            return [*self.in_year(year - 1)[-7:], *self.in_year(year), *self.in_year(year + 1)[:7]]
        return [day for near in range(year - 2, year + 3) for day in self.in_year(near)]

    def period(self, day: int) -> int:
        """Return the number of the period that a day lies in."""
        when = date.fromordinal(day)
        match self.parts.frequency:
            case Frequency.YEARLY:
                return _week(when, self.parts.week_start).year if self.parts.weeks else when.year
            case Frequency.MONTHLY:
                return when.year * 12 + when.month
            case Frequency.WEEKLY:
                return (day - 1 - self.parts.week_start) // 7
            case _:
                return day

    def look_through(self, year: int) -> Iterator[date]:
        """Yield the days of a year that may be among its days."""
        parts = self.parts
        if parts.frequency is Frequency.YEARLY and not parts.weeks and year % parts.interval != self.phase:
            return
        for month in parts.months or range(1, 13):
            first = date(year, month, 1).toordinal()
            yield from map(date.fromordinal, range(first, first + _month_length(year, month)))

    def matches(self, day: date) -> bool:
        """Say whether a day is as the rule says."""
        parts = self.parts
        return (
            (parts.interval == 1 or self.period(day.toordinal()) % parts.interval == self.phase)
            and (not parts.month_days or _is_one_of(parts.month_days, day.day, _month_length(day.year, day.month)))
            and (not (parts.weekdays or parts.nth_weekdays) or self._has_weekday(day))
            and (not parts.year_days or _is_one_of(parts.year_days, day.timetuple().tm_yday, _year_length(day.year)))
            and (not parts.weeks or _is_one_of(parts.weeks, *_week(day, parts.week_start)[1:]))
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


_days = lru_cache(maxsize=1024)(RuleDays)


@lru_cache(maxsize=YEARS_KEPT)
def _in_year(days: RuleDays, year: int) -> tuple[int, ...]:
    return tuple(day.toordinal() for day in days.look_through(year) if days.matches(day))


def _is_one_of(numbers: Sequence[int], number: int, length: int) -> bool:
    """Say whether the `number`-th of `length` is among some numbers, of which negative ones count from the end."""
    return number in numbers or number - length - 1 in numbers


def _month_length(year: int, month: int) -> int:
    return (date(year + month // 12, month % 12 + 1, 1) - date(year, month, 1)).days if year < 9999 else 31


def _year_length(year: int) -> int:
    return 366 if year % 4 == 0 and (year % 100 or year % 400 == 0) else 365


class _Week(NamedTuple):
    """A week: the year that it belongs to, its number in it, and how many weeks that year has."""

    year: int
    number: int
    weeks: int


def _week(day: date, week_start: int) -> _Week:
    """Return a day's week. It belongs to the year in which it has four days or more (ISO 8601)."""
    middle = date.fromordinal(day.toordinal() - (day.weekday() - week_start) % 7 + 3)
    place = middle.timetuple().tm_yday
    number = (place + 6) // 7
    return _Week(middle.year, number, number + (_year_length(middle.year) - place) // 7)


class PlainTimes(SameTimes):
    """Days of a rule that all have the same times."""

    __slots__ = ("_days", "clock")

    def __init__(self, days: RuleDays, times: Times, clock: ClockTimes) -> None:
        super().__init__(times)
        self.clock = clock
        self._days = days

    def days(self, year: int) -> Sequence[int]:
        """See `CivilTimes.days`."""
        return self._days.in_year(year)


class SteppedTimes(CivilTimes):
    """Each n-th hour or minute, counted through the days of a rule."""

    __slots__ = ("_by_rest", "_days", "_interval", "_phase", "_units", "clock")

    def __init__(self, days: RuleDays, times: ClockTimes, unit: int, interval: int, phase: int) -> None:
        self.clock = times
        self._days = days
        self._interval, self._phase, self._units = interval, phase, 24 * 60 // unit
        by_rest: dict[int, list[int]] = {}
        for hour in times.hours:
            for minute in times.minutes:
                listed = by_rest.setdefault((hour * 60 + minute) // unit % interval, [])
                begin = hour * HOUR + minute * MINUTE + times.fraction
                listed.extend(begin + second * SECOND for second in times.seconds)
        self._by_rest = {rest: ListedTimes(listed) for rest, listed in by_rest.items()}
        super().__init__(hourly=all(len({time // HOUR for time in listed}) == 24 for listed in by_rest.values()))

    def days(self, year: int) -> Sequence[int]:
        """See `CivilTimes.days`."""
        return _stepped(self, year)

    def in_year(self, year: int) -> Iterator[int]:
        """Yield the days of a year on which a step falls on one of the hours and minutes."""
        return (day for day in self._days.in_year(year) if self._rest(day) in self._by_rest)

    def times(self, day: int) -> Times:
        """See `CivilTimes.times`."""
        return self._by_rest[self._rest(day)]

    def _rest(self, day: int) -> int:
        return (self._phase - day * self._units) % self._interval


@lru_cache(maxsize=YEARS_KEPT)
def _stepped(times: SteppedTimes, year: int) -> tuple[int, ...]:
    return tuple(times.in_year(year))


class ChosenTimes(CivilTimes):
    """Some of the times of each period of a rule, by their places among them."""

    __slots__ = ("_candidates", "_days", "_positions", "clock")

    def __init__(self, days: RuleDays, times: ClockTimes, positions: Sequence[int]) -> None:
        super().__init__(hourly=False)
        self.clock = times
        self._days, self._candidates, self._positions = days, times, positions

    def days(self, year: int) -> Sequence[int]:
        """See `CivilTimes.days`."""
        return sorted(_chosen(self, year))

    def times(self, day: int) -> Times:
        """See `CivilTimes.times`."""
        return _chosen(self, date.fromordinal(day).year)[day]

    def choose(self, year: int) -> dict[int, Times]:
        """Choose in every period that has days in the year; a week, or a year of weeks, may begin before it."""
        chosen: set[int] = set()
        for _, group in groupby(self._days.around(year), self._days.period):
            chosen.update(self._of_period(list(group)))
        chosen_days = groupby(sorted(chosen), lambda civil: civil // DAY)
        return {
            day: ListedTimes(civil - day * DAY for civil in civils)
            for day, civils in chosen_days
            if date.fromordinal(day).year == year
        }

    def _of_period(self, days: Sequence[int]) -> Iterator[int]:
        for place in _places(self._positions, len(days) * len(self._candidates)):
            day, time = divmod(place, len(self._candidates))
            yield days[day] * DAY + self._candidates[time]


def _places(positions: Sequence[int], number: int) -> Iterator[int]:
    """Yield the places, from 0, that positions have among so many."""
    places = (position - 1 if position > 0 else number + position for position in positions)
    return (place for place in places if 0 <= place < number)


# A year may have twelve times on each day: 200 KB.
@lru_cache(maxsize=128)
def _chosen(times: ChosenTimes, year: int) -> Mapping[int, Times]:
    return times.choose(year)
