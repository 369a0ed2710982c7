"""Periods on the calendar: the days on which a schedule with days, weeks, months or years fires.

Each is computed from the start, so a short month shortens its own date and no later one.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from mainspring.schedule.civil import DAY, ListedTimes, SameTimes, Series, moment_of
from mainspring.schedule.text import MICROSECOND, Period


class EveryDays(SameTimes):
    """The days of a period that has no exact part, from the civil time `anchor` on."""

    __slots__ = ("_anchor", "_day", "_period", "_time")

    def __init__(self, period: Period, anchor: int) -> None:
        self._day, self._time = divmod(anchor, DAY)
        super().__init__(ListedTimes((self._time,)))
        self._anchor = date.fromordinal(self._day)
        self._period = period

    def days(self, year: int) -> Sequence[int]:
        """See `Rule.days`."""
        first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
        return [self._nth(number) for number in range(self._before_day(first), self._before_day(last + 1))]

    def first(self, civil: int) -> int | None:
        """See `Rule.first`."""
        try:
            return self._nth(self._index(civil)) * DAY + self._time
        except ValueError:
            return None  # beyond the year 9999

    def number(self, low: int, high: int) -> int:
        """See `Rule.number`."""
        return max(0, self._index(high) - self._index(low))

    def _index(self, civil: int) -> int:
        """Count the civil times before `civil`."""
        day, time = divmod(civil, DAY)
        return self._before_day(day + (time > self._time))

    def _before_day(self, day: int) -> int:
        """Count the days before `day`."""
        if day <= self._day:
            return 0
        if not self._period.months:
            return -((self._day - day) // self._period.days)
        when = date.fromordinal(day)
        months = (when.year - self._anchor.year) * 12 + when.month - self._anchor.month
        number = max(0, int(months / (self._period.months + self._period.days / 30)) - 2)  # never too many
        while self._nth(number) < day:
            number += 1
        return number

    def _nth(self, number: int) -> int:
        return day_of(self._day, self._anchor, self._period, number)


def day_of(day: int, anchor: date, period: Period, number: int) -> int:
    """Return the day that is `number` periods after `anchor`, which is `day`: its months before its days.

    Days are ordinals. Raises `ValueError` beyond the year 9999.
    """
    if period.months:
        year, month = divmod(anchor.year * 12 + anchor.month - 1 + period.months * number, 12)
        day = date(year, month + 1, min(anchor.day, monthrange(year, month + 1)[1])).toordinal()
    return day + period.days * number


@dataclass(frozen=True, slots=True)
class MixedSteps(Series):
    """A period of days or months and an exact part: the calendar first, then the exact part in real time.

    A civil time that the clocks skip or repeat is the first valid moment.
    """

    period: Period
    start: int
    anchor: int
    zone: str

    def after(self, moment: int) -> int:
        """See `Series.after`."""
        return self._nth(self._before(moment + 1))

    def number(self, low: int, high: int) -> int:
        """See `Series.number`."""
        return max(0, self._before(high) - self._before(low))

    def _before(self, moment: int) -> int:
        """Count the moments before `moment`: about, and then exactly, for lengths of the calendar vary."""
        if moment <= self.start:
            return 0
        number = (moment - self.start) // (self.period.approximate // MICROSECOND)
        while number > 0 and self._nth(number - 1) >= moment:
            number -= 1
        while self._nth(number) < moment:
            number += 1
        return number

    def _nth(self, number: int) -> int:
        if number == 0:
            return self.start
        day, time = divmod(self.anchor, DAY)
        civil = day_of(day, date.fromordinal(day), self.period, number) * DAY + time
        exact = self.period.exact // MICROSECOND * number
        return moment_of(civil, self.zone) + exact
