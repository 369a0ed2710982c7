"""Recurrence rules of RFC 5545. `rrule_grammar` reads their text, `rrule_times` computes their days and times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, ClassVar

from pydantic import PlainSerializer, WithJsonSchema

from mainspring.errors import Problem
from mainspring.schedule import words
from mainspring.schedule.civil import DAY, REACH, ClockTimes, from_civil, from_datetime
from mainspring.schedule.rules.recurrence_set import RecurrenceSet, read_rrule
from mainspring.schedule.rules.rrule_grammar import UNITS, Frequency, ParsedRule, Parts, explicit, parse_rrule
from mainspring.schedule.rules.rrule_times import compile_rrule
from mainspring.schedule.rules.rule import CROWDED, NEVER, Bounds, Frame, Rule, Rules, Terms, on_calendar
from mainspring.schedule.series import FOREVER, InTurn, Series
from mainspring.schedule.text import range_problems, text_reader
from mainspring.schedule.zones import local_time, moment_of

_UNIT_WORDS = {
    Frequency.YEARLY: "year",
    Frequency.MONTHLY: "month",
    Frequency.WEEKLY: "week",
    Frequency.DAILY: "day",
    Frequency.HOURLY: "hour",
    Frequency.MINUTELY: "minute",
}
_MOST_SEARCHES = 4
"""How often it is gone on by `REACH` to find the last of the times that a rule counts."""
_FIRST, _LAST = datetime(2, 1, 1), datetime(9998, 12, 31, 23, 59, 59)  # noqa: DTZ001 - they have no zone
"""The civil times that are moments in every zone."""


@dataclass(frozen=True, slots=True)
class RRule(Rule):
    """Fires at the civil times that a rule of RFC 5545 names, counted from the start.

    Its COUNT is that of the times which the rule names itself, its UNTIL the last of them.
    """

    kind: ClassVar[str] = "rrule"
    phrase: ClassVar[str] = "by an `rrule` (RFC 5545)"

    text: str

    @classmethod
    def from_json(cls, value: str, _rules: Rules) -> RRule:
        """See `Rule.from_json`."""
        return cls(value)

    def to_json(self) -> str:
        """See `Rule.to_json`."""
        return self.text

    @classmethod
    def wire_type(cls, rules: Rules) -> Any:
        """See `Rule.wire_type`. A recurrence set is made of several rules, so it is no member of a combination."""
        schema = WithJsonSchema({"type": "string", "examples": ["FREQ=MONTHLY;BYDAY=-1FR"]})
        if any(rule.is_combination for rule in rules.values()):
            reader = text_reader(read_rrule, (ParsedRule, RecurrenceSet), "INVALID_RRULE")
            return Annotated[ParsedRule | RecurrenceSet, reader, PlainSerializer(str, when_used="json"), schema]
        reader = text_reader(parse_rrule, ParsedRule, "INVALID_RRULE")
        return Annotated[ParsedRule, reader, PlainSerializer(str, when_used="json"), schema]

    @classmethod
    def from_wire(cls, sent: ParsedRule, _rules: Rules) -> RRule:
        """See `Rule.from_wire`."""
        return cls(str(sent))

    def apart(self) -> tuple[RRule, Bounds]:
        """See `Rule.apart`: its COUNT and UNTIL."""
        parsed = parse_rrule(self.text)
        return RRule(parsed.text), Bounds(parsed.count, parsed.until)

    def series(self, frame: Frame) -> Series:
        """See `Rule.series`."""
        parsed = parse_rrule(self.text)
        series = on_calendar(compile_rrule(parsed.text, local_time(frame.start, frame.time_zone)), frame)
        last = None
        if parsed.count is not None:
            last = _nth(series, from_datetime(frame.start), parsed.count - 1)
        elif parsed.until is not None:
            last = moment_until(parsed.until, frame.time_zone)
        return series if last is None else InTurn(((last, series),))

    def clock(self, frame: Frame) -> ClockTimes:
        """See `Rule.clock`."""
        return compile_rrule(parse_rrule(self.text).text, frame.start.replace(tzinfo=None)).clock

    def left(self, frame: Frame, gone: datetime) -> RRule | None:
        """See `Rule.left`: with the rest of its COUNT."""
        parsed = parse_rrule(self.text)
        if parsed.count is None:
            return self
        count = parsed.count - self.series(frame).number(from_datetime(frame.start), from_datetime(gone) + 1)
        return RRule(str(replace(parsed, count=count))) if count > 0 else None

    @property
    def has_whole_seconds(self) -> bool:
        """See `Rule.has_whole_seconds`."""
        return True

    def problems(
        self,
        sent: ParsedRule,
        frame: Frame,
        pointer: str,
        _rules: Rules,
        *,
        combined: bool = False,  # noqa: ARG002 - the same in a combination
    ) -> Iterator[Problem]:
        """See `Rule.problems`."""
        for problem in range_problems(pointer, sent.until and sent.until.replace(tzinfo=UTC)):
            yield replace(problem, detail=f"has an UNTIL that {problem.detail}")
        if self.clock(frame).crowded:
            yield Problem(pointer, "SCHEDULE_TOO_FREQUENT", CROWDED)

    def conflicts(self, sent: ParsedRule, terms: Terms) -> Iterator[tuple[str, str]]:
        """See `Rule.conflicts`."""
        if sent.count and terms.count:
            yield "count", "is also said by the COUNT of the rrule; send one of them"
        if sent.until and terms.end:
            yield "end", "is also said by the UNTIL of the rrule; send one of them"

    def read_otherwise(self, sent: ParsedRule, frame: Frame, _rules: Rules) -> Iterator[str]:
        """See `Rule.read_otherwise`."""
        parts = sent.parts
        if parts.frequency is Frequency.YEARLY and parts.month_days and not (parts.months or parts.weeks):
            yield "BYMONTHDAY without BYMONTH is a day of every month; some programs take the month of the start alone"
        if sent.until_is_date:
            yield f"UNTIL is a date and ends with that day in {frame.time_zone}; some programs end when it begins"
        if parts.weekdays and parts.nth_weekdays:
            yield "BYDAY has plain and numbered days, and a day has to be one of them; some programs want both"
        if parts.frequency is Frequency.WEEKLY and parts.positions:
            yield "BYSETPOS counts from the beginning of the week; some programs count from the start in the first week"

    @property
    def never(self) -> Problem:
        """See `Rule.never`."""
        until = " before its UNTIL" if parse_rrule(self.text).until else ""
        return Problem("/schedule/rrule", "RRULE_NEVER", NEVER + until)

    def words(self, start: datetime) -> str:
        """See `Rule.words`."""
        parsed = parse_rrule(self.text)
        parts = explicit(parsed.parts, start)
        clock = ClockTimes(parts.hours, parts.minutes, parts.seconds, parts.fraction)
        in_steps = parts.frequency in UNITS and parts.interval > 1
        times = _steps_in_words(parts, clock) if in_steps else words.times_of_day(clock)
        said = words.joined(
            times, _days_in_words(parts, "" if in_steps or words.goes_on_all_day(clock) else "every day")
        )
        unit = _UNIT_WORDS[parts.frequency]
        if parts.positions:
            places = [words.ordinal(place) for place in words.ahead_first(parts.positions)]
            said += f", but only the {words.listed(places)} of these in each {unit}"
        counts_weeks = parts.frequency is Frequency.WEEKLY and (parts.interval > 1 or parts.positions)
        if parts.week_start and (counts_weeks or parts.weeks):
            said += f" (weeks begin on {words.WEEKDAYS[parts.week_start]})"
        return words.joined(said, *_bounds_in_words(parsed))


def moment_until(until: datetime, zone: str) -> int:
    """Return the last moment of a rule that ends at a moment, or at a civil time of a zone."""
    if until.tzinfo is not None:
        return from_datetime(until)
    return moment_of(from_civil(min(max(_FIRST, until), _LAST)), zone)


# The last of many times takes up to 1 ms to find, or 50 ms if it is far away, and is asked for with each claim.
@lru_cache(maxsize=1024)
def _nth(series: Series, low: int, number: int) -> int | None:
    """Return the moment that has `number` others before it from `low` on; `None` if it is centuries away."""
    for _ in range(_MOST_SEARCHES):
        if low > FOREVER:
            break
        found = series.nth(low, number)
        if found is not None:
            return found
        beyond = low + REACH * 365 * DAY
        number -= series.number(low, beyond)
        low = beyond
    return None


def _bounds_in_words(parsed: ParsedRule) -> Iterator[str]:
    """Say how often and how long the rule fires by itself, as a member of a combination."""
    if parsed.count is not None:
        yield f"{words.many(parsed.count, 'time')} at most"
    if parsed.until is not None:
        yield f"until {words.moment(parsed.until.replace(tzinfo=UTC), 'UTC')}{' UTC' if parsed.until.tzinfo else ''}"


def _steps_in_words(parts: Parts, clock: ClockTimes) -> str:
    """Say each n-th hour or minute, and of which hours and minutes it must be."""
    if parts.frequency is Frequency.HOURLY:
        at, only = words.at_minute(clock), ""
    else:
        at, only = words.at_second(clock), _only("minute", parts.minutes, 60)
    every = words.each(parts.interval, _UNIT_WORDS[parts.frequency])
    return words.joined(words.joined(every, at, by=" "), only, _only("hour", parts.hours, 24))


def _only(unit: str, numbers: tuple[int, ...], whole: int) -> str:
    return "" if len(numbers) == whole else f"only in {words.several(unit, numbers)}"


def _days_in_words(parts: Parts, every_day: str) -> str:
    """Say which days they are: those that one member names, if they are what the others ask for."""
    said, of, during, of_year, period = _period_in_words(parts)
    named: list[str] = []
    conditions: list[str] = []
    if parts.month_days:
        named.append(f"on {words.numbered('day', parts.month_days)} {of}")
        conditions.append(f"{words.one_of('day', parts.month_days)} of the month")
    if parts.year_days:
        named.append(words.joined(f"on {words.numbered('day', parts.year_days)} {of_year}", during, by=" "))
        conditions.append(f"{words.one_of('day', parts.year_days)} of the year")
    if (parts.weekdays or parts.nth_weekdays) and not (said and parts.frequency is Frequency.WEEKLY):
        by_month = parts.frequency is Frequency.MONTHLY or parts.months
        days = parts.weekdays, parts.nth_weekdays
        named.append(words.on_weekdays(*days, of if by_month else of_year, during))
        conditions.append(words.some_weekdays(*days, "month" if by_month else "year"))
    if not said and named:
        said = named[0]
        del conditions[0]
    else:
        said = words.joined(said or every_day, during, by=" ")
    if conditions:
        said += f" if it is {' and '.join(conditions)}"
    if parts.weeks:
        said += f" in {words.numbered('week', parts.weeks)} {of_year}"
    return words.joined(said, period)


def _period_in_words(parts: Parts) -> tuple[str, str, str, str, str]:
    """Say the days of an interval, of which months and in which months they are, of which years, and what is left."""
    frequency, place = parts.frequency, words.ordinal(parts.interval)
    of, during = words.of_months(parts.months), words.in_months(parts.months)
    if parts.interval == 1 or frequency in UNITS:
        return "", of, during, "of every year", ""
    match frequency:
        case Frequency.DAILY:
            return words.each(parts.interval, "day"), of, during, "of every year", ""
        case Frequency.WEEKLY:
            weekdays = words.weekdays(parts.weekdays)
            return f"{words.each(parts.interval, 'week')} on {weekdays}", of, during, "of every year", ""
        case Frequency.MONTHLY if parts.months:
            return "", of, during, "of every year", f"in every {place} month"
        case Frequency.MONTHLY:
            return "", f"of every {place} month", f"in every {place} month", "of every year", ""
        case _:
            return "", of, during, "of the year", f"in every {place} year"
