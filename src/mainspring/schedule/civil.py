"""Civil time: days and times of day as a calendar and a clock show them, without a time zone.

`CivilTimes` is what a rule such as a cron expression is compiled into: for a year its days, for a day its times. Which
moments these are in a zone, `series` decides.

Civil times and moments are whole microseconds since the day before 0001-01-01 (the moments in UTC): arithmetic on
integers is exact and takes a tenth of the time that datetimes take.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Protocol

from mainspring.schedule.text import MICROSECOND

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
YEARS_KEPT = 1024
"""How many years of days are kept of all rules of a kind together. One is 13 KB at most: it names 366 days."""
REACH = 40
"""How many years a search for the next fire time goes on: 29 February may take eight, on a Monday forty."""
_LAST_YEAR = date.max.year
_ORIGIN = datetime(1, 1, 1, tzinfo=UTC)


def from_datetime(moment: datetime) -> int:
    """Return an aware moment as microseconds."""
    return (moment - _ORIGIN) // MICROSECOND + DAY


def from_civil(civil: datetime) -> int:
    """Return a civil time, which has no zone, as microseconds."""
    return (civil - datetime.min) // MICROSECOND + DAY  # noqa: DTZ901 - it has no zone


def to_datetime(moment: int) -> datetime:
    """Return microseconds as an aware moment in UTC. Raises `OverflowError` beyond the year 9999."""
    return _ORIGIN + timedelta(microseconds=moment - DAY)


def joined(stretches: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Bring stretches into order, and make one of those that overlap or meet; leave out the empty ones."""
    together: list[tuple[int, int]] = []
    for begin, end in sorted(stretches):
        if together and begin <= together[-1][1]:
            together[-1] = (together[-1][0], max(together[-1][1], end))
        elif begin < end:
            together.append((begin, end))
    return together


# --- times of day -----------------------------------------------------------------------------------------------------


class Times(Protocol):
    """Times of a day, rising, in microseconds since midnight."""

    def __len__(self) -> int:
        """Count the times."""

    def __getitem__(self, index: int, /) -> int:
        """Return the time at a place."""

    def before(self, time: int) -> int:
        """Count the times that are earlier than `time`."""


class ListedTimes(tuple[int, ...]):
    """Times of a day, listed."""

    __slots__ = ()

    def before(self, time: int) -> int:
        """See `Times.before`."""
        return bisect_left(self, time)


class ClockTimes:
    """All times that are made of some hours, some minutes and some seconds; not listed, for they may be thousands.

    `fraction` is what each of them has beyond its second, in microseconds.
    """

    __slots__ = ("_hour", "_minute", "fraction", "hours", "minutes", "seconds")

    def __init__(self, hours: Sequence[int], minutes: Sequence[int], seconds: Sequence[int], fraction: int = 0) -> None:
        self.hours, self.minutes, self.seconds = tuple(hours), tuple(minutes), tuple(seconds)
        self.fraction = fraction
        self._minute = len(self.seconds)
        self._hour = len(self.minutes) * self._minute

    def __len__(self) -> int:
        return len(self.hours) * self._hour

    def __getitem__(self, index: int, /) -> int:
        hour, rest = divmod(index, self._hour)
        minute, second = divmod(rest, self._minute)
        whole = self.hours[hour] * HOUR + self.minutes[minute] * MINUTE + self.seconds[second] * SECOND
        return whole + self.fraction

    @property
    def crowded(self) -> bool:
        """Whether two of the times are but a second apart."""
        next_hour = {0, 59} <= set(self.minutes) and (_have_neighbours(self.hours) or {0, 23} <= set(self.hours))
        next_minute = {0, 59} <= set(self.seconds) and (_have_neighbours(self.minutes) or next_hour)
        return _have_neighbours(self.seconds) or next_minute

    def before(self, time: int) -> int:
        """See `Times.before`."""
        hour, rest = divmod(time, HOUR)
        place = bisect_left(self.hours, hour)
        number = place * self._hour
        if place < len(self.hours) and self.hours[place] == hour:
            minute, rest = divmod(rest, MINUTE)
            place = bisect_left(self.minutes, minute)
            number += place * self._minute
            if place < len(self.minutes) and self.minutes[place] == minute:
                number += bisect_left(self.seconds, -((self.fraction - rest) // SECOND))
        return number


def _have_neighbours(numbers: Sequence[int]) -> bool:
    return any(right - left == 1 for left, right in pairwise(numbers))


# --- days with their times --------------------------------------------------------------------------------------------


class CivilTimes(ABC):
    """Civil times: days of the calendar, each with its times of day.

    `hourly` says that every day has times in each of its hours: no hour is named.
    """

    __slots__ = ("hourly",)

    def __init__(self, *, hourly: bool) -> None:
        self.hourly = hourly

    @abstractmethod
    def days(self, year: int) -> Sequence[int]:
        """List the days of a year that have times, rising, as ordinals."""

    @abstractmethod
    def times(self, day: int) -> Times:
        """Return the times of a day that `days` lists; at least one."""

    def size(self, day: int) -> int:
        """Count the times of a day that `days` lists."""
        return len(self.times(day))

    def has_day(self, day: int) -> bool:
        """Say whether a day has times."""
        days = self.days(date.fromordinal(day).year)
        index = bisect_left(days, day)
        return index < len(days) and days[index] == day

    def first(self, civil: int) -> int | None:
        """Return the first civil time that is not before `civil`, or `None` when none comes within `REACH`."""
        day, time = divmod(civil, DAY)
        year = date.fromordinal(day).year
        last_year = min(year + REACH, _LAST_YEAR)
        days = self.days(year)
        index = bisect_left(days, day)
        if index < len(days) and days[index] == day:
            times = self.times(day)
            place = times.before(time)
            if place < len(times):
                return day * DAY + times[place]
            index += 1
        while index >= len(days):
            year += 1
            if year > last_year:
                return None
            days, index = self.days(year), 0
        return days[index] * DAY + self.times(days[index])[0]

    def has(self, low: int, high: int) -> bool:
        """Say whether there is a civil time from `low` to before `high`."""
        first = self.first(low)
        return first is not None and first < high

    def number(self, low: int, high: int) -> int:
        """Count the civil times from `low` to before `high`."""
        if low >= high:
            return 0
        years = range(_year(low), _year(high) + 1)
        whole = sum(self._times_of(year, len(self.days(year))) for year in years[:-1])
        return whole + self._before(years[-1], high) - self._before(years[0], low)

    def _before(self, year: int, civil: int) -> int:
        day, time = divmod(civil, DAY)
        days = self.days(year)
        index = bisect_left(days, day)
        number = self._times_of(year, index)
        if index < len(days) and days[index] == day:
            number += self.times(day).before(time)
        return number

    def _times_of(self, year: int, days: int) -> int:
        """Count the times of the first so many days of a year."""
        return _sums(self, year)[days]


@lru_cache(maxsize=YEARS_KEPT)
def _sums(times: CivilTimes, year: int) -> Sequence[int]:
    """Count for each day of a year the times that are before it in that year."""
    return [0, *accumulate(map(times.size, times.days(year)))]


class SameTimes(CivilTimes):
    """Civil times that are the same on each of their days."""

    __slots__ = ("_times",)

    def __init__(self, times: Times) -> None:
        super().__init__(hourly=isinstance(times, ClockTimes) and len(times.hours) == 24)
        self._times = times

    def times(self, day: int) -> Times:  # noqa: ARG002 - the same for all
        """See `CivilTimes.times`."""
        return self._times

    def _times_of(self, year: int, days: int) -> int:  # noqa: ARG002 - the same for all
        return days * len(self._times)


class Merged(CivilTimes):
    """The civil times of several, each once."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[CivilTimes]) -> None:
        super().__init__(hourly=all(part.hourly for part in parts))
        self.parts = tuple(parts)

    def days(self, year: int) -> Sequence[int]:
        """See `CivilTimes.days`."""
        return _merged_days(self, year)

    def times(self, day: int) -> Times:
        """See `CivilTimes.times`."""
        return _merged(self._of_parts(day))

    def size(self, day: int) -> int:
        """See `CivilTimes.size`. Steps fall on other times each day: to list them in order took four times as long."""
        several = self._of_parts(day)
        listed = [times for times in several if isinstance(times, ListedTimes)]
        return len(frozenset[int]().union(*listed) if len(listed) == len(several) else _merged(several))

    def _of_parts(self, day: int) -> tuple[Times, ...]:
        return tuple([part.times(day) for part in self.parts if part.has_day(day)])

    def first(self, civil: int) -> int | None:
        """See `CivilTimes.first`."""
        return min((found for part in self.parts if (found := part.first(civil)) is not None), default=None)


@lru_cache(maxsize=256)
def merged(parts: tuple[CivilTimes, ...]) -> CivilTimes:
    """Return the civil times of several, each once. The answer for the same several is kept."""
    return parts[0] if len(parts) == 1 else Merged(parts)


@lru_cache(maxsize=YEARS_KEPT)
def _merged_days(times: Merged, year: int) -> Sequence[int]:
    return sorted({day for part in times.parts for day in part.days(year)})


@lru_cache(maxsize=64)
def _merged(several: tuple[Times, ...]) -> Times:
    """Merge times of day, once for all the days that have the same ones."""
    return ListedTimes(sorted({times[place] for times in several for place in range(len(times))}))


def _year(civil: int) -> int:
    return date.fromordinal(civil // DAY).year
