"""Civil time: which days and times of day a rule names, and which moments these are in a time zone.

A rule knows the calendar alone: for a year its days, for a day its times. `Series` turns these into moments, and is the
one place where it is decided what becomes of civil times that a change of the clocks skips or repeats. It goes from one
stretch of constant offset to the next, so that every rule obeys the same policies, nothing comes early or twice, and a
search ends after `REACH` whatever the rule is.

Inside, civil times and moments are whole microseconds since the day before 0001-01-01 (the moments in UTC): arithmetic
on integers is exact and takes a tenth of the time. The rules of the zones are those of the `tzdata` package on every
node, never those of the machine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple, Protocol

import whenever
from whenever import Instant

whenever.reset_tzpath(())

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
REACH = 40
"""How many years a search for the next fire time goes on: 29 February may take eight, on a Monday forty."""
_LAST_YEAR = date.max.year
_ORIGIN = datetime(1, 1, 1, tzinfo=UTC)
_EPOCH = date(1970, 1, 1).toordinal() * DAY
_MICROSECOND = timedelta(microseconds=1)
_FOREVER = 1 << 62
_END_OF_TIME = (date.max.toordinal() + 1) * DAY
_STEPS = (366 * DAY, 30 * DAY, DAY, HOUR, MINUTE)


class DstGap(StrEnum):
    """What becomes of a civil time that does not exist, because the clocks are put forward over it."""

    NEXT_VALID = "nextValid"
    """It is the first moment after the gap; several of one gap are that moment once."""
    SKIP = "skip"
    SHIFT = "shift"
    """It comes later by the length of the gap: 02:30 is 03:30."""


class DstOverlap(StrEnum):
    """What becomes of a civil time that exists twice, because the clocks are put back over it."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


def from_datetime(moment: datetime) -> int:
    """Return an aware moment as microseconds."""
    return (moment - _ORIGIN) // _MICROSECOND + DAY


def from_civil(civil: datetime) -> int:
    """Return a civil time, which has no zone, as microseconds."""
    return (civil - datetime.min) // _MICROSECOND + DAY  # noqa: DTZ901 - it has no zone


def to_datetime(moment: int) -> datetime:
    """Return microseconds as an aware moment in UTC. Raises `OverflowError` beyond the year 9999."""
    return _ORIGIN + timedelta(microseconds=moment - DAY)


# --- rules: days and times of day -------------------------------------------------------------------------------------


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
    """All times that are made of some hours, some minutes and some seconds; not listed, for they may be thousands."""

    __slots__ = ("_hour", "_minute", "hours", "minutes", "seconds")

    def __init__(self, hours: Sequence[int], minutes: Sequence[int], seconds: Sequence[int]) -> None:
        self.hours, self.minutes, self.seconds = tuple(hours), tuple(minutes), tuple(seconds)
        self._minute = len(self.seconds)
        self._hour = len(self.minutes) * self._minute

    def __len__(self) -> int:
        return len(self.hours) * self._hour

    def __getitem__(self, index: int, /) -> int:
        hour, rest = divmod(index, self._hour)
        minute, second = divmod(rest, self._minute)
        return self.hours[hour] * HOUR + self.minutes[minute] * MINUTE + self.seconds[second] * SECOND

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
                number += bisect_left(self.seconds, -(-rest // SECOND))
        return number


def _have_neighbours(numbers: Sequence[int]) -> bool:
    return any(right - left == 1 for left, right in pairwise(numbers))


class Rule(ABC):
    """What names civil times: days of the calendar, each with its times.

    `hourly` says that it names no hours: a day that has times has some in each of its hours.
    """

    __slots__ = ("_sums", "hourly")

    def __init__(self, *, hourly: bool) -> None:
        self.hourly = hourly
        self._sums: dict[int, list[int]] = {}

    @abstractmethod
    def days(self, year: int) -> Sequence[int]:
        """List the days of a year that have times, rising, as ordinals."""

    @abstractmethod
    def times(self, day: int) -> Times:
        """Return the times of a day that `days` lists; at least one."""

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

    def walk(self, low: int, high: int) -> Iterator[int]:
        """Yield the civil times from `low` to before `high`."""
        civil = self.first(low)
        while civil is not None and civil < high:
            yield civil
            civil = self.first(civil + 1)

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
        sums = self._sums.get(year)
        if sums is None:
            if len(self._sums) >= REACH:
                self._sums.clear()
            self._sums[year] = sums = [0, *accumulate(len(self.times(day)) for day in self.days(year))]
        return sums[days]


class SameTimes(Rule):
    """A rule with the same times on each of its days."""

    __slots__ = ("_times",)

    def __init__(self, times: Times) -> None:
        super().__init__(hourly=isinstance(times, ClockTimes) and len(times.hours) == 24)
        self._times = times

    def times(self, day: int) -> Times:  # noqa: ARG002 - the same for all
        """See `Rule.times`."""
        return self._times

    def _times_of(self, year: int, days: int) -> int:  # noqa: ARG002 - the same for all
        return days * len(self._times)


class Merged(Rule):
    """What any of several rules names, once."""

    __slots__ = ("_rules", "_years")

    def __init__(self, rules: Sequence[Rule]) -> None:
        super().__init__(hourly=all(rule.hourly for rule in rules))
        self._rules = tuple(rules)
        self._years: dict[int, list[int]] = {}

    def days(self, year: int) -> Sequence[int]:
        """See `Rule.days`."""
        if year not in self._years:
            self._years[year] = sorted({day for rule in self._rules for day in rule.days(year)})
        return self._years[year]

    def times(self, day: int) -> Times:
        """See `Rule.times`."""
        low, high = day * DAY, (day + 1) * DAY
        return _merged(tuple(rule.times(day) for rule in self._rules if rule.has(low, high)))

    def first(self, civil: int) -> int | None:
        """See `Rule.first`."""
        return min((found for rule in self._rules if (found := rule.first(civil)) is not None), default=None)


@lru_cache(maxsize=256)
def merged(rules: tuple[Rule, ...]) -> Rule:
    """Return what any of several rules names, once; the same rules are merged but once."""
    return rules[0] if len(rules) == 1 else Merged(rules)


@lru_cache(maxsize=64)
def _merged(several: tuple[Times, ...]) -> Times:
    """Merge times, once for all the days that have the same ones."""
    return ListedTimes(sorted({times[place] for times in several for place in range(len(times))}))


def _year(civil: int) -> int:
    return date.fromordinal(civil // DAY).year


# --- zones ------------------------------------------------------------------------------------------------------------


class Span(NamedTuple):
    """A stretch of time, from `begin` to before `end`, in which a zone has one `offset` from UTC.

    `before` and `after` are the offsets around it.
    """

    begin: int
    end: int
    before: int
    offset: int
    after: int


_UTC = Span(-_FOREVER, _FOREVER, 0, 0, 0)
_spans: dict[tuple[str, int], Span] = {}
"""The spans that were asked for last, by zone and season; emptied when it holds `_MOST_SPANS`."""
_MOST_SPANS = 10_000
_SEASON = 120 * DAY


def span_at(zone: str, moment: int) -> Span:
    """Return the span of a zone that a moment lies in. Raises `ValueError` beyond the years 1 to 9999."""
    if zone == "UTC":
        return _UTC
    place = zone, moment // _SEASON
    span = _spans.get(place)
    if span is None or not span.begin <= moment < span.end:
        if len(_spans) >= _MOST_SPANS:
            _spans.clear()
        _spans[place] = span = _span(zone, (moment - _EPOCH) // SECOND)
    return span


def local_time(moment: datetime, zone: str) -> datetime:
    """Return what the clocks of a zone show at a moment: a datetime that has no zone."""
    instant = from_datetime(moment)
    return to_datetime(instant + span_at(zone, instant).offset).replace(tzinfo=None)


def moment_of(civil: int, zone: str) -> int:
    """Return the first moment that a civil time is in a zone; of one that the clocks skip, the first after the gap."""
    span = span_at(zone, civil - 2 * DAY)
    while span.end + span.offset <= civil:
        span = span_at(zone, span.end)
    return max(span.begin, civil - span.offset)


def _span(zone: str, second: int) -> Span:
    here = Instant.from_timestamp(second).to_tz(zone)
    offset = _offset(here)
    begin = Instant.from_timestamp(second + 1).to_tz(zone).prev_transition()
    end = here.next_transition()
    return Span(
        begin=-_FOREVER if begin is None else begin.timestamp() * SECOND + _EPOCH,
        end=_FOREVER if end is None else end.timestamp() * SECOND + _EPOCH,
        before=offset if begin is None else _offset(Instant.from_timestamp(begin.timestamp() - 1).to_tz(zone)),
        offset=offset,
        after=offset if end is None else _offset(end),
    )


def _offset(moment: whenever.ZonedDateTime) -> int:
    return int(moment.offset.total("seconds")) * SECOND


# --- series of moments ------------------------------------------------------------------------------------------------


class Series(ABC):
    """Moments that rise, known by arithmetic alone."""

    __slots__ = ()

    @abstractmethod
    def after(self, moment: int) -> int | None:
        """Return the first of the moments that is later than `moment`."""

    @abstractmethod
    def number(self, low: int, high: int) -> int:
        """Count the moments from `low` to before `high`."""

    def nth(self, low: int, number: int) -> int | None:
        """Return the moment that has `number` others before it from `low` on; `None` when it is not within `REACH`."""
        limit = low + REACH * _STEPS[0]
        for step in _STEPS:
            while number >= (here := self.number(low, low + step)):
                number -= here
                low += step
                if low > limit:
                    return None
        found = self.after(low - 1)
        for _ in range(number):
            found = None if found is None else self.after(found)
        return found

    def last(self, low: int, high: int) -> int | None:
        """Return the last of the moments from `low` to before `high`."""
        number = self.number(low, high)
        return self.nth(low, number - 1) if number else None

    def has(self, moment: int) -> bool:
        """Say whether a moment is one of them."""
        return self.after(moment - 1) == moment

    def walk(self, low: int, high: int) -> Iterator[int]:
        """Yield the moments from `low` to before `high`, one by one."""
        moment = self.after(low - 1)
        while moment is not None and moment < high:
            yield moment
            moment = self.after(moment)


@dataclass(frozen=True, slots=True)
class Steps(Series):
    """Every so often in real time, from an anchor on."""

    anchor: int
    step: int

    def after(self, moment: int) -> int:
        """See `Series.after`."""
        return self.anchor + max(0, (moment - self.anchor) // self.step + 1) * self.step

    def number(self, low: int, high: int) -> int:
        """See `Series.number`."""
        return max(0, self._before(high) - self._before(low))

    def _before(self, moment: int) -> int:
        return max(0, -((self.anchor - moment) // self.step))


@dataclass(frozen=True, slots=True)
class OnCalendar(Series):
    """The moments of a rule's civil times in a zone."""

    rule: Rule
    zone: str
    gap: DstGap
    overlap: DstOverlap

    def after(self, moment: int) -> int | None:
        """See `Series.after`."""
        low, limit = moment + 1, moment + REACH * _STEPS[0]
        while low < limit:
            span = span_at(self.zone, low)
            begin, end = self._stretch(span)
            regular = self.rule.first(max(low + span.offset, begin))
            found = None if regular is None or regular >= end else regular - span.offset
            if span.before < span.offset:
                found = min(filter(None, (found, self._out_of_gap(span, low))), default=None)
            if found is not None or regular is None:
                return found
            low = span.end
        return None

    def number(self, low: int, high: int) -> int:
        """See `Series.number`."""
        number = 0
        while low < high:
            span = span_at(self.zone, low)
            begin, end = self._stretch(span)
            stop = min(high, span.end)
            number += self.rule.number(max(low + span.offset, begin), min(stop + span.offset, end))
            moment = self._out_of_gap(span, low) if span.before < span.offset else None
            while moment is not None and moment < stop:
                civil = moment + span.offset
                number += not (civil < end and self.rule.has(civil, civil + 1))
                moment = self._out_of_gap(span, moment + 1)
            low = stop
        return number

    def note(self, moment: int) -> str | None:
        """Say what a change of the clocks has to do with one of the moments, if it has."""
        span = span_at(self.zone, moment)
        civil = moment + span.offset
        if span.before < span.offset and self._out_of_gap(span, moment) == moment:
            return "in place of a time that the clocks skip"
        if civil < span.begin + span.before:
            return "the second time that the clocks show this time"
        if civil >= span.end + span.after:
            return "the first time that the clocks show this time"
        return None

    def _stretch(self, span: Span) -> tuple[int, int]:
        """Bound the civil times that belong to a span: of those that come twice, as many as the policy gives it."""
        begin, end = span.begin + span.offset, span.end + span.offset
        if span.offset < span.before and self.overlap is DstOverlap.FIRST:
            begin = span.begin + span.before
        if span.after < span.offset and self.overlap is DstOverlap.SECOND:
            end = span.end + span.after
        return begin, end

    def _out_of_gap(self, span: Span, low: int) -> int | None:
        """Return the first moment from `low` on, within the span, that a civil time of the gap before it becomes."""
        begin, end = span.begin + span.before, span.begin + span.offset
        if self.gap is DstGap.NEXT_VALID:
            return span.begin if low <= span.begin and self.rule.has(begin, end) else None
        civil = self.rule.first(max(begin, low + span.before)) if self.gap is DstGap.SHIFT else None
        if civil is None or civil >= end or civil - span.before >= span.end:
            return None
        return civil - span.before


@dataclass(frozen=True, slots=True)
class Union(Series):
    """The moments of several series, each once."""

    members: tuple[Series, ...]

    MOST = 5000
    """How far moments are counted one by one, which takes 5 us each. Beyond it one that members share counts for each.
    """

    def after(self, moment: int) -> int | None:
        """See `Series.after`."""
        return min((found for each in self.members if (found := each.after(moment)) is not None), default=None)

    def last(self, low: int, high: int) -> int | None:
        """See `Series.last`."""
        return max((found for each in self.members if (found := each.last(low, high)) is not None), default=None)

    def number(self, low: int, high: int) -> int:
        """See `Series.number`."""
        number, moment = 0, self.after(low - 1)
        while moment is not None and moment < high:
            number += 1
            if number == self.MOST:
                return number + self._counted(moment, high - 1)
            moment = self.after(moment)
        return number

    def nth(self, low: int, number: int) -> int | None:
        """See `Series.nth`."""
        moment = self.after(low - 1)
        for _ in range(min(number, self.MOST - 1)):
            moment = None if moment is None else self.after(moment)
        return moment if moment is None or number < self.MOST else self._beyond(moment, number - self.MOST)

    def _beyond(self, moment: int, number: int) -> int | None:
        """Return the first moment up to which there are more than `number` after `moment`, counted for each member."""
        low, high = moment, moment + DAY
        while self._counted(moment, high) <= number:
            high = moment + 2 * (high - moment)
            if high > _END_OF_TIME:
                return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._counted(moment, middle) > number else (middle, high)
        return high

    def _counted(self, moment: int, until: int) -> int:
        return sum(each.number(moment + 1, until + 1) for each in self.members)
