"""Series: moments that rise and are known by arithmetic alone, whatever rule names them.

`Steps` counts in real time. `OnCalendar` turns civil times into moments, and is the one place that decides what becomes
of civil times that a change of the clocks skips or repeats. It goes from one span of constant offset to the next, so
that every rule obeys the same policies, nothing comes early or twice, and a search ends after `REACH` whatever the rule
is. `AnySeries` puts several together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from mainspring.schedule.civil import DAY, HOUR, MINUTE, REACH, CivilTimes
from mainspring.schedule.zones import DstGap, DstOverlap, Span, span_at

_END_OF_TIME = (date.max.toordinal() + 1) * DAY
_STEPS = (366 * DAY, 30 * DAY, DAY, HOUR, MINUTE)


class Series(ABC):
    """Moments that rise, known by arithmetic alone.

    `is_countable` is false where moments can only be counted one by one.
    """

    __slots__ = ()

    is_countable: ClassVar[bool] = True

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

    is_countable: ClassVar[bool] = False
    members: tuple[Series, ...]

    MOST: ClassVar[int] = 5000
    """How far moments are counted one by one, which takes 5 us each.

    Beyond it a moment that several members share counts once for each of them.
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

    def note(self, moment: int) -> str | None:
        """See `Series.note`."""
        return next(filter(None, (each.note(moment) for each in self.members)), None)

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
