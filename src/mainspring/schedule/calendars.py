"""Calendars: named sets of times that schedules leave out or keep to. Pure.

A calendar is made of whole days, ranges, hours of the week and public holidays, all in its own time zone. It knows
whether a moment is among them, and until when that stays so.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from mainspring.errors import Problem
from mainspring.schedule.civil import DAY, from_datetime, joined, to_datetime
from mainspring.schedule.text import MICROSECOND, ON_THE_WIRE, TimeError, TimeZone, range_problems, text_reader
from mainspring.schedule.trigger import CalendarUse, Days, spread
from mainspring.schedule.zones import moment_of, span_at

_FAR = 800
"""How many days ahead a change is looked for."""
_ANY_YEAR = 2026
"""Who has holidays has some in this year."""


class Weekday(StrEnum):
    """A day of the week, as RFC 5545 writes it."""

    MO = "MO"
    TU = "TU"
    WE = "WE"
    TH = "TH"
    FR = "FR"
    SA = "SA"
    SU = "SU"


def _text_like(example: str, read: Callable[[str], Any], kind: type, code: str) -> BeforeValidator:
    """Make a validator that reads text of the example's form only: pydantic by itself takes numbers for dates."""
    form = re.compile(re.sub(r"\d", r"\\d", example), re.ASCII)
    must = f"must be text such as {example}"

    def read_form(text: str) -> Any:
        if form.fullmatch(text):
            with suppress(ValueError):
                return read(text)
        raise TimeError(code, must)

    return text_reader(read_form, kind, code, must)


def _time_of_day(text: str) -> timedelta:
    hour, minute = int(text[:2]), int(text[3:])
    if minute > 59 or hour * 60 + minute > 24 * 60:
        raise ValueError("no such time of day")
    return timedelta(hours=hour, minutes=minute)


def _write_time_of_day(time: timedelta) -> str:
    hour, minute = divmod(time // timedelta(minutes=1), 60)
    return f"{hour:02}:{minute:02}"


Day = Annotated[date, _text_like("2026-12-24", date.fromisoformat, date, "DATE_FORMAT")]
TimeOfDay = Annotated[
    timedelta,
    _text_like("18:00", _time_of_day, timedelta, "TIME_FORMAT"),
    PlainSerializer(_write_time_of_day, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["18:00"]}),
]


@ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Range:
    """All days from `first` to `last`, both included."""

    first: Day
    last: Day


def _in_order(span: Range) -> Range:
    if span.first > span.last:
        raise PydanticCustomError("RANGE_REVERSED", "ends before it begins")
    return span


@ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Weekly:
    """Some hours of some days of the week; if they end before they begin, they end on the next day."""

    days: Annotated[frozenset[Weekday], Field(min_length=1)]
    start: TimeOfDay = timedelta()
    end: TimeOfDay = timedelta(days=1)


@ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Holidays:
    """The public holidays of a country, or of a part of it, as the `holidays` package knows them."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    subdivision: Annotated[str, Field(max_length=32)] | None = None


@ON_THE_WIRE
@dataclass(frozen=True)
class Calendar:
    """A set of times."""

    dates: Annotated[frozenset[Day], Field(max_length=10_000)] = frozenset()
    ranges: Annotated[tuple[Annotated[Range, AfterValidator(_in_order)], ...], Field(max_length=1000)] = ()
    weekly: Annotated[tuple[Weekly, ...], Field(max_length=100)] = ()
    holidays: Holidays | None = None
    time_zone: TimeZone = "UTC"

    def check_holidays(self) -> None:
        """Raise `HolidaysError` if the holidays are not known here. Takes up to a second the first time."""
        if self.holidays is not None:
            holidays_of(self.holidays, _ANY_YEAR)

    def problems(self) -> Iterator[Problem]:
        """Find days that were sent and are out of range."""
        for day in sorted(self.dates):
            for problem in range_problems("/dates", day):
                yield replace(problem, detail=f"has {day}, which {problem.detail}")
        for place, each in enumerate(self.ranges):
            yield from range_problems(f"/ranges/{place}/first", each.first)
            yield from range_problems(f"/ranges/{place}/last", each.last)

    def has(self, moment: datetime) -> bool:
        """Say whether a moment is among the times."""
        return self._end(*divmod(self._civil(moment), DAY)) is not None

    def changes(self, moment: datetime) -> datetime | None:
        """Return when what `has` says of a moment is no longer so; `None` if it stays so for two years and more."""
        today, time = divmod(self._civil(moment), DAY)
        change = self._begins if self._end(today, time) is None else self._ends
        for day in range(today, today + _FAR + 1):
            at = change(day, time if day == today else 0)
            if at is not None:
                return max(moment, to_datetime(moment_of(day * DAY + at, self.time_zone)))
        return None

    def _end(self, day: int, time: int) -> int | None:
        """Return the end, within the day, of the stretch that a time of it lies in, if it lies in one."""
        stretches = self._of_day(day)
        place = bisect_right(stretches, (time, _FOREVER)) - 1
        return stretches[place][1] if place >= 0 and time < stretches[place][1] else None

    def _begins(self, day: int, time: int) -> int | None:
        """Return the begin of the first stretch of a day from a time on, at which there is none before it."""
        stretches = self._of_day(day)
        place = bisect_left(stretches, (time, 0))
        return stretches[place][0] if place < len(stretches) else None

    def _ends(self, day: int, time: int) -> int | None:
        """Return when the stretch ends that a time of a day lies in, if it does not go on with the next day."""
        end = self._end(day, time)
        return time if end is None else end if end < DAY else None

    def _civil(self, moment: datetime) -> int:
        instant = from_datetime(moment)
        return instant + span_at(self.time_zone, instant).offset

    def _of_day(self, day: int) -> Sequence[tuple[int, int]]:
        """List the stretches of a day in order, none touching the next, in microseconds from its midnight."""
        place = bisect_right(self._ranges, (day, _FOREVER)) - 1
        if place >= 0 and day <= self._ranges[place][1]:
            return _WHOLE_DAY
        if self.dates or self.holidays:
            when = date.fromordinal(day)
            if when in self.dates or (self.holidays and when in holidays_of(self.holidays, when.year)):
                return _WHOLE_DAY
        return self._week[(day - 1) % 7]

    @cached_property
    def _ranges(self) -> Sequence[tuple[int, int]]:
        """The ranges as ordinals of days, in order; those that overlap are one."""
        return joined(
            (each.first.toordinal(), each.last.toordinal()) for each in self.ranges if each.first <= each.last
        )

    @cached_property
    def _week(self) -> Sequence[Sequence[tuple[int, int]]]:
        """What `weekly` makes of each day of the week."""
        week: list[list[tuple[int, int]]] = [[] for _ in _WEEKDAYS]
        for weekly in self.weekly:
            start, end = weekly.start // MICROSECOND, weekly.end // MICROSECOND
            for number, weekday in enumerate(_WEEKDAYS):
                if weekday not in weekly.days:
                    continue
                week[number].append((start, end if start < end else DAY))
                if end <= start:
                    week[(number + 1) % 7].append((0, end))
        return [joined(stretches) for stretches in week]


_FOREVER = 1 << 62
_WHOLE_DAY = ((0, DAY),)
_WEEKDAYS = tuple(Weekday)


class HolidaysError(ValueError):
    """Holidays that are not known here. `code` names the reason."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@lru_cache(maxsize=256)
def holidays_of(holidays: Holidays, year: int) -> Mapping[date, str]:
    """Return the holidays of a year with their names. The first call takes up to a second.

    Raises `HolidaysError` when the package is not there, or does not know the country or the part of it.
    """
    try:
        from holidays import country_holidays  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise HolidaysError("HOLIDAYS_NOT_INSTALLED", "need the extra mainspring[holidays]") from None
    try:
        return dict(country_holidays(holidays.country, subdiv=holidays.subdivision, years=year))
    except NotImplementedError as error:
        where = f"{holidays.country} {holidays.subdivision or ''}".strip()
        raise HolidaysError("HOLIDAYS_UNKNOWN", f"are not known for {where}") from error


Calendars = Mapping[str, Calendar]
"""The calendars that schedules may name."""
_CALENDAR = TypeAdapter(Calendar)


def calendar_from_json(data: object) -> Calendar:
    """Read a calendar as it stands on the wire. Raises pydantic's `ValidationError` with every fault."""
    return _CALENDAR.validate_python(data)


def without_unknown(calendars: Calendars) -> tuple[Calendars, Mapping[str, HolidaysError]]:
    """Leave out calendars with holidays that are not known here; answer also why each was.

    Loads what knows holidays, which takes up to a second the first time: not for an event loop.
    """
    faults: dict[str, HolidaysError] = {}
    for name, calendar in calendars.items():
        try:
            calendar.check_holidays()
        except HolidaysError as error:
            faults[name] = error
    return {name: calendar for name, calendar in calendars.items() if name not in faults}, faults


def calendar_to_json(calendar: Calendar) -> dict[str, Any]:
    """Write a calendar as it stands on the wire."""
    written: dict[str, Any] = _CALENDAR.dump_python(calendar, mode="json", by_alias=True, exclude_defaults=True)
    for weekly in written.get("weekly", ()):
        weekly["days"].sort(key=_WEEKDAYS.index)
    return written | ({"dates": sorted(written["dates"])} if "dates" in written else {})


CALENDAR_SCHEMA = _CALENDAR.json_schema(ref_template="#/components/schemas/{model}")
"""A calendar as JSON Schema, with what it refers to under ``$defs``."""


# --- what a calendar does to a fire time ------------------------------------------------------------------------------


class RuledOut(NamedTuple):
    """A fire time that a calendar rules out: until when (`None`: for years), and why."""

    until: datetime | None
    reason: str


def ruled_out(use: CalendarUse | None, moment: datetime, calendars: Calendars) -> RuledOut | None:
    """Say whether a schedule's calendar rules a moment out.

    A calendar that is not there rules nothing out if it is to be left out, and everything if it is to be kept to.
    """
    if use is None:
        return None
    calendar = calendars.get(use.name)
    if calendar is None:
        return RuledOut(None, f"there is no calendar {use.name}") if use.days is Days.INCLUDE else None
    if calendar.has(moment) is (use.days is Days.INCLUDE):
        return None
    where = "is not in" if use.days is Days.INCLUDE else "is in"
    return RuledOut(calendar.changes(moment), f"it {where} the calendar {use.name}")


def postponed(use: CalendarUse, until: datetime, job_id: UUID) -> datetime:
    """Return when a job starts that waited for the end of a blackout: each job at a place of its own after it."""
    return until + use.spread * spread(job_id)
