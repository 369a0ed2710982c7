"""Periods: `every` so often from the start on, on the calendar or in real time.

Each fire time is computed from the start, so a short month shortens its own date and no later one.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar

from mainspring.errors import Problem
from mainspring.schedule.civil import DAY, YEARS_KEPT, ListedTimes, SameTimes, from_civil, from_datetime
from mainspring.schedule.rules.rule import Frame, Rule, Rules, Terms, on_calendar
from mainspring.schedule.series import Series, Steps
from mainspring.schedule.text import FLOOR, MICROSECOND, CalendarPeriod, Period, parse_period
from mainspring.schedule.words import MONTHS, WEEKDAYS, length, listed, many, time_of_day
from mainspring.schedule.zones import moment_of, span_at

_COMBINED_FLOOR = timedelta(minutes=1)
"""The shortest period of a rule that is combined with others: what they have in common is looked for one by one."""


@dataclass(frozen=True, slots=True)
class Every(Rule):
    """Fires at the start and then each `period`.

    Months and days are counted on the calendar (a backup at 03:00 stays at 03:00 when the clocks change), the exact
    part in real time.
    """

    kind: ClassVar[str] = "every"
    phrase: ClassVar[str] = "`every` so often"
    start_is_fire_time: ClassVar[bool] = True

    period: Period

    @classmethod
    def from_json(cls, value: str, _rules: Rules) -> Every:
        """See `Rule.from_json`."""
        return cls(parse_period(value))

    def to_json(self) -> str:
        """See `Rule.to_json`."""
        return str(self.period)

    @classmethod
    def wire_type(cls, _rules: Rules) -> Any:
        """See `Rule.wire_type`."""
        return CalendarPeriod

    @classmethod
    def from_wire(cls, sent: Period, _rules: Rules) -> Every:
        """See `Rule.from_wire`."""
        return cls(sent)

    def series(self, frame: Frame) -> Series:
        """See `Rule.series`."""
        period, start = self.period, from_datetime(frame.start)
        if not period.months and not period.days:
            return Steps(start, period.exact // MICROSECOND)
        anchor = start + span_at(frame.time_zone, start).offset
        if period.exact:
            return MixedSteps(period, start, anchor, frame.time_zone)
        return on_calendar(EveryDays(period, anchor), frame)

    def problems(
        self, _sent: Period, _frame: Frame, pointer: str, _rules: Rules, *, combined: bool = False
    ) -> Iterator[Problem]:
        """See `Rule.problems`."""
        floor, least = (_COMBINED_FLOOR, "one minute, combined with other rules") if combined else (FLOOR, "one second")
        if self.period.approximate < floor:
            yield Problem(pointer, "SCHEDULE_TOO_FREQUENT", f"must be at least {least}")

    def conflicts(self, _sent: Period, terms: Terms) -> Iterator[tuple[str, str]]:
        """See `Rule.conflicts`."""
        if self.period.exact and (self.period.months or self.period.days):
            for name, policy in (("dstGap", terms.dst_gap), ("dstOverlap", terms.dst_overlap)):
                if policy:
                    yield name, "cannot be chosen for a period of both days and hours"

    def words(self, start: datetime) -> str:
        """See `Rule.words`."""
        said = f"every {self._length_in_words()}"
        if self.period.exact:
            return said
        time = time_of_day(from_civil(start) % DAY)
        if self.period.months:
            return f"{said}{self._day_in_words(start)} at {time}"
        weekday = f" on {WEEKDAYS[start.weekday()]}" if self.period.days and self.period.days % 7 == 0 else ""
        return f"{said}{weekday} at {time}"

    def _length_in_words(self) -> str:
        years, months = divmod(self.period.months, 12)
        weeks, days = divmod(self.period.days, 7) if self.period.days % 7 == 0 else (0, self.period.days)
        units = ((years, "year"), (months, "month"), (weeks, "week"), (days, "day"))
        parts = [many(number, unit) for number, unit in units if number]
        if self.period.exact:
            parts.append(length(self.period.exact))
        said = listed(parts)
        return said.removeprefix("1 ") if len(parts) == 1 and " and " not in said else said

    def _day_in_words(self, start: datetime) -> str:
        """Say on which day a period with months fires; nothing if it has days as well, for then no day is the same."""
        if self.period.days:
            return ""
        day = f"{start.day} {MONTHS[start.month - 1]}" if self.period.months % 12 == 0 else f"day {start.day}"
        return f" on {day}" + (" (or the last day of a shorter month)" if start.day > 28 else "")


# --- its series -------------------------------------------------------------------------------------------------------


class EveryDays(SameTimes):
    """The days of a period that has no exact part, from the civil time `anchor` on."""

    __slots__ = ("_anchor", "_day", "_period", "_time")

    def __init__(self, period: Period, anchor: int) -> None:
        self._day, self._time = divmod(anchor, DAY)
        super().__init__(ListedTimes((self._time,)))
        self._anchor = date.fromordinal(self._day)
        self._period = period

    def days(self, year: int) -> Sequence[int]:
        """See `CivilTimes.days`."""
        return _in_year(self, year)

    def in_year(self, year: int) -> Iterator[int]:
        """Yield the days of a year, as ordinals."""
        first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
        return map(self._nth, range(self._before_day(first), self._before_day(last + 1)))

    def first(self, civil: int) -> int:
        """See `CivilTimes.first`."""
        return self._nth(self._index(civil)) * DAY + self._time

    def number(self, low: int, high: int) -> int:
        """See `CivilTimes.number`."""
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


@lru_cache(maxsize=YEARS_KEPT)
def _in_year(days: EveryDays, year: int) -> tuple[int, ...]:
    return tuple(days.in_year(year))


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
