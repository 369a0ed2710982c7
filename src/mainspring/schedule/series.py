"""Series: moments that rise and are known by arithmetic alone, whatever rule names them.

`Steps` counts in real time. `OnCalendar` turns civil times into moments, and is the one place that decides what becomes
of civil times that a change of the clocks skips or repeats. It goes from one span of constant offset to the next, so
that every rule obeys the same policies, nothing comes early or twice, and a search ends after `REACH` whatever the rule
is. `AnySeries` puts several together, `InTurn` one after the other. `With` adds moments to a series and `Without` takes
some away; both can be counted as what they are made of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import merge
from itertools import accumulate, groupby
from typing import ClassVar

from mainspring.schedule.civil import DAY, HOUR, MINUTE, REACH, CivilTimes, from_datetime
from mainspring.schedule.text import LATEST
from mainspring.schedule.zones import DstGap, DstOverlap, Span, span_at

FOREVER = from_datetime(LATEST)
"""The last moment of what has none."""
_STEPS = (366 * DAY, 30 * DAY, DAY, HOUR, MINUTE)


class Series(ABC):
    """Moments that rise, known by arithmetic alone."""

    __slots__ = ()

    @property
    def is_countable(self) -> bool:
        """Whether moments are counted by arithmetic; else they can only be counted one by one."""
        return True

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

    def note(self, moment: int) -> str | None:  # noqa: ARG002 - for those that follow no clocks
        """Say what a change of the clocks has to do with one of the moments, if it has."""
        return None


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
    """The moments that civil times are in a zone, from `start` on.

    Of a time that comes twice the policy `FIRST` takes the first that is not before the start.
    """

    times: CivilTimes
    zone: str
    gap: DstGap
    overlap: DstOverlap
    start: int

    def after(self, moment: int) -> int | None:
        """See `Series.after`."""
        low, limit = moment + 1, moment + REACH * _STEPS[0]
        while low < limit:
            span = span_at(self.zone, low)
            begin, end = self._stretch(span)
            regular = self.times.first(max(low + span.offset, begin))
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
            number += self.times.number(max(low + span.offset, begin), min(stop + span.offset, end))
            moment = self._out_of_gap(span, low) if span.before < span.offset else None
            while moment is not None and moment < stop:
                civil = moment + span.offset
                number += not (civil < end and self.times.has(civil, civil + 1))
                moment = self._out_of_gap(span, moment + 1)
            low = stop
        return number

    def note(self, moment: int) -> str | None:
        """See `Series.note`."""
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
            if self.start >= span.begin:
                begin = min(begin, self.start + span.offset)
        if span.after < span.offset and self.overlap is DstOverlap.SECOND:
            end = span.end + span.after
        return begin, end

    def _out_of_gap(self, span: Span, low: int) -> int | None:
        """Return the first moment from `low` on, within the span, that a civil time of the gap before it becomes."""
        begin, end = span.begin + span.before, span.begin + span.offset
        if self.gap is DstGap.NEXT_VALID:
            return span.begin if low <= span.begin and self.times.has(begin, end) else None
        civil = self.times.first(max(begin, low + span.before)) if self.gap is DstGap.SHIFT else None
        if civil is None or civil >= end or civil - span.before >= span.end:
            return None
        return civil - span.before


@dataclass(frozen=True, slots=True)
class AnySeries(Series):
    """The moments of several series, each once."""

    members: tuple[Series, ...]

    MOST: ClassVar[int] = 5000
    """How far moments are counted one by one, which takes 5 us each, however many members there are.

    Beyond it a moment that several members share counts once for each of them.
    """

    @property
    def is_countable(self) -> bool:
        """See `Series.is_countable`."""
        return False

    def after(self, moment: int) -> int | None:
        """See `Series.after`."""
        return min((found for each in self.members if (found := each.after(moment)) is not None), default=None)

    def last(self, low: int, high: int) -> int | None:
        """See `Series.last`."""
        return max((found for each in self.members if (found := each.last(low, high)) is not None), default=None)

    def number(self, low: int, high: int) -> int:
        """See `Series.number`."""
        number = 0
        for moment in self._moments(low):
            if moment >= high:
                break
            number += 1
            if number == self.MOST:
                return number + self._counted(moment, high - 1)
        return number

    def nth(self, low: int, number: int) -> int | None:
        """See `Series.nth`."""
        for place, moment in enumerate(self._moments(low)):
            if place == number:
                return moment
            if moment > FOREVER:
                break
            if place == self.MOST - 1:
                return self._beyond(moment, number - self.MOST)
        return None

    def note(self, moment: int) -> str | None:
        """See `Series.note`."""
        return next(filter(None, (each.note(moment) for each in self.members)), None)

    def _moments(self, low: int) -> Iterator[int]:
        """Yield the moments from `low` on, each once: only a member whose moment has come is asked for its next."""
        return (moment for moment, _ in groupby(merge(*(_moments(each, low) for each in self.members))))

    def _beyond(self, moment: int, number: int) -> int | None:
        """Return the first moment up to which there are more than `number` after `moment`, counted for each member."""
        low, high = moment, moment + DAY
        while self._counted(moment, high) <= number:
            high = moment + 2 * (high - moment)
            if high > FOREVER:
                return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._counted(moment, middle) > number else (middle, high)
        return high

    def _counted(self, moment: int, until: int) -> int:
        return sum(each.number(moment + 1, until + 1) for each in self.members)


def _moments(series: Series, low: int) -> Iterator[int]:
    moment = series.after(low - 1)
    while moment is not None:
        yield moment
        moment = series.after(moment)


@dataclass(frozen=True, slots=True)
class Listed(Series):
    """Moments that are listed, rising."""

    moments: tuple[int, ...]

    def after(self, moment: int) -> int | None:
        """See `Series.after`."""
        place = bisect_right(self.moments, moment)
        return self.moments[place] if place < len(self.moments) else None

    def number(self, low: int, high: int) -> int:
        """See `Series.number`."""
        return max(0, bisect_left(self.moments, high) - bisect_left(self.moments, low))


@dataclass(frozen=True, slots=True)
class InTurn(Series):
    """Several series, one after the other: of each the moments up to its last one, from the last of that before on."""

    turns: tuple[tuple[int, Series], ...]
    """The last moment of each, rising, and the series."""

    @property
    def is_countable(self) -> bool:
        """See `Series.is_countable`."""
        return all(series.is_countable for _, series in self.turns)

    def after(self, moment: int) -> int | None:
        """See `Series.after`."""
        for last, series in self.turns:
            found = series.after(moment) if moment < last else None
            if found is not None and found <= last:
                return found
            moment = max(moment, last)
        return None

    def number(self, low: int, high: int) -> int:
        """See `Series.number`."""
        number = 0
        for last, series in self.turns:
            number += series.number(low, min(high, last + 1))
            low = max(low, last + 1)
        return number

    def note(self, moment: int) -> str | None:
        """See `Series.note`."""
        return next((series.note(moment) for last, series in self.turns if moment <= last), None)


@dataclass(frozen=True, slots=True)
class With(Series):
    """The moments of a series and others, each once."""

    series: Series
    others: Listed

    @property
    def is_countable(self) -> bool:
        """See `Series.is_countable`."""
        return self.series.is_countable

    def after(self, moment: int) -> int | None:
        """See `Series.after`."""
        found, other = self.series.after(moment), self.others.after(moment)
        return other if found is None else found if other is None else min(found, other)

    def number(self, low: int, high: int) -> int:
        """See `Series.number`."""
        return self.series.number(low, high) + _added(self.series, self.others).number(low, high)

    def note(self, moment: int) -> str | None:
        """See `Series.note`."""
        return self.series.note(moment)


@dataclass(frozen=True, slots=True)
class Without(Series):
    """The moments of a series but those in some stretches of time, which are in order and apart."""

    series: Series
    stretches: tuple[tuple[int, int], ...]

    @property
    def is_countable(self) -> bool:
        """See `Series.is_countable`."""
        return self.series.is_countable

    def end(self, moment: int) -> int | None:
        """Return the end of the stretch that a moment lies in; `None` if it lies in none."""
        place = bisect_left(self.stretches, (moment + 1, 0)) - 1
        return self.stretches[place][1] if place >= 0 and moment < self.stretches[place][1] else None

    def after(self, moment: int) -> int | None:
        """See `Series.after`."""
        found = self.series.after(moment)
        while found is not None and (end := self.end(found)) is not None:
            found = self.series.after(end - 1)
        return found

    def number(self, low: int, high: int) -> int:
        """See `Series.number`."""
        return self.series.number(low, high) - max(0, self._left_out(high) - self._left_out(low))

    def note(self, moment: int) -> str | None:
        """See `Series.note`."""
        return self.series.note(moment)

    def _left_out(self, moment: int) -> int:
        """Count what is left out before a moment."""
        place = bisect_left(self.stretches, (moment, 0)) - 1
        if place < 0:
            return 0
        begin, end = self.stretches[place]
        return _sums(self.series, self.stretches)[place] + self.series.number(begin, min(end, moment))


# A thousand stretches take 10 to 30 ms to count; what is claimed again and again counts them once.
@lru_cache(maxsize=64)
def _sums(series: Series, stretches: tuple[tuple[int, int], ...]) -> Sequence[int]:
    """Count for each stretch the moments of a series in all that are before it."""
    return [0, *accumulate(series.number(*stretch) for stretch in stretches)]


@lru_cache(maxsize=64)
def _added(series: Series, others: Listed) -> Listed:
    """Return those of some moments that a series does not have itself."""
    return Listed(tuple(moment for moment in others.moments if series.after(moment - 1) != moment))
