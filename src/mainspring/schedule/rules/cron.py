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
from datetime import date, datetime
from functools import lru_cache, partial
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import PlainSerializer, WithJsonSchema

from mainspring.errors import Problem
from mainspring.schedule import words
from mainspring.schedule.civil import YEARS_KEPT, ClockTimes, SameTimes
from mainspring.schedule.rules.rule import CROWDED, NEVER, Frame, Rule, Rules, on_calendar
from mainspring.schedule.series import Series
from mainspring.schedule.text import TimeError, shown, text_reader
from mainspring.schedule.zones import has_change


@dataclass(frozen=True, slots=True)
class Cron(Rule):
    """Fires at the civil times that a cron expression names."""

    kind: ClassVar[str] = "cron"
    phrase: ClassVar[str] = "at the times of a `cron` expression"

    expression: str

    @classmethod
    def from_json(cls, value: str, _rules: Rules) -> Cron:
        """See `Rule.from_json`."""
        return cls(value)

    def to_json(self) -> str:
        """See `Rule.to_json`."""
        return self.expression

    @classmethod
    def wire_type(cls, _rules: Rules) -> Any:
        """See `Rule.wire_type`."""
        return Annotated[
            Cron,
            text_reader(_read, Cron, "INVALID_CRON"),
            PlainSerializer(lambda cron: cron.expression, when_used="json"),
            WithJsonSchema({"type": "string", "examples": ["0 3 * * *"]}),
        ]

    @classmethod
    def from_wire(cls, sent: Cron, _rules: Rules) -> Cron:
        """See `Rule.from_wire`."""
        return sent

    def series(self, frame: Frame) -> Series:
        """See `Rule.series`."""
        return on_calendar(compile_cron(self.expression), frame)

    def clock(self, _frame: Frame) -> ClockTimes:
        """See `Rule.clock`."""
        return compile_cron(self.expression).clock

    @property
    def has_whole_seconds(self) -> bool:
        """See `Rule.has_whole_seconds`."""
        return True

    def for_job(self, chance: Callable[[str], int]) -> Cron:
        """See `Rule.for_job`: with a number in place of each ``H``."""
        return Cron(settle(self.expression, chance)) if has_hash(self.expression) else self

    @property
    def depends_on_id(self) -> tuple[str, ...]:
        """See `Rule.depends_on_id`."""
        return ("H",) if has_hash(self.expression) else ()

    def problems(
        self,
        _sent: Cron,
        frame: Frame,
        pointer: str,
        _rules: Rules,
        *,
        combined: bool = False,  # noqa: ARG002 - the same in a combination
    ) -> Iterator[Problem]:
        """See `Rule.problems`."""
        if self.clock(frame).crowded:
            yield Problem(pointer, "CRON_TOO_FREQUENT", CROWDED)

    def read_otherwise(self, _sent: Cron, frame: Frame, _rules: Rules) -> Iterator[str]:
        """See `Rule.read_otherwise`."""
        fields = _split(self.expression)
        days = compile_cron(self.expression).dates
        if not (days.month_days.starred or days.weekdays.starred):
            yield "a day has to match only one of the two day fields; some programs want both"
        for text, field in zip(fields, FIELDS[-len(fields) :], strict=True):
            for term in text.split(","):
                yield from _read_otherwise(term, field, has_seconds=len(fields) == 6)
        chosen = frame.dst_gap or frame.dst_overlap
        if _EACH_FEW_HOURS.search(fields[-4]) and not chosen and has_change(frame.time_zone, frame.start):
            yield (
                f"the hours {shown(fields[-4])} are those of the clock, so that two runs come closer or further apart "
                "when it is changed; the member every goes on in real time"
            )

    @property
    def never(self) -> Problem:
        """See `Rule.never`."""
        return Problem("/schedule/cron", "CRON_NEVER", NEVER)

    def words(self, _start: datetime) -> str:
        """See `Rule.words`."""
        cron = compile_cron(self.expression)
        every_day = "" if words.goes_on_all_day(cron.clock) else "every day"
        return words.joined(words.times_of_day(cron.clock), cron.dates.words(every_day))


def _read_otherwise(term: str, field: CronField, *, has_seconds: bool) -> Iterator[str]:
    """Say what of one term of a field other programs read otherwise."""
    if (step := _STEP.search(term)) and int(step[1]) == field.size > 1:
        yield f"the step of {shown(term)} is as large as the {field.name}, so that it means once"
    if field is not _WEEKDAY_FIELD:
        return
    if has_seconds and re.match(r"\d", term):
        yield f"{shown(term)} counts the days of the week from Sunday, 0: Monday is 1; in Quartz Sunday is 1"
    begin = term.partition("/")[0].replace("SUN", "0")
    if step and begin.isalnum() and begin != "H" and _weekdays(term) != _weekdays(f"{begin}-7/{step[1]}"):
        yield f"{shown(term)} ends with Saturday, 6; some programs end with Sunday, 7"
    if re.match(r"(\w+)-\1", term):
        yield f"{shown(term)} is that one day; some programs read it as every day"


def _read(text: str) -> Cron:
    compile_cron(text)
    return Cron(text)


# --- the grammar ------------------------------------------------------------------------------------------------------

LONGEST_EXPRESSION = 256
"""How many characters an expression may have."""
_invalid = partial(TimeError, "INVALID_CRON")
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class CronField(NamedTuple):
    """One of the fields: what it is called, its least and greatest value, the names of values."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many values there are; Sunday is two numbers and one day."""
        return len(self.names) or self.most - self.least + 1


FIELDS = (
    CronField("second", 0, 59),
    CronField("minute", 0, 59),
    CronField("hour", 0, 23),
    CronField("day of month", 1, 31),
    CronField("month", 1, 12, tuple(name[:3].upper() for name in words.MONTHS)),
    CronField("day of week", 0, 7, tuple(name[:3].upper() for name in (words.WEEKDAYS[-1], *words.WEEKDAYS[:-1]))),
)
_DAY_FIELD, _MONTH_FIELD, _WEEKDAY_FIELD = FIELDS[3:]
_HASHED = {_DAY_FIELD: 28, _WEEKDAY_FIELD: 6}
"""The greatest value that a bare ``H`` has where it is not the greatest of the field: a day that every month has."""
_TERM = re.compile(r"(?P<from>\*|[A-Z]{3}|\d{1,2})(?:-(?P<to>[A-Z]{3}|\d{1,2}))?(?:/(?P<step>\d{1,2}))?", re.ASCII)
_YEAR = re.compile(r"\d{4}", re.ASCII)
_LAST_DAY = re.compile(r"L(?:-(\d{1,2}))?", re.ASCII)
_NTH = re.compile(r"([A-Z]{3}|\d)(?:#(\d)|L)", re.ASCII)
_LAST_WEEKDAY = "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"
_STEP = re.compile(r"/(\d+)$", re.ASCII)
_EACH_FEW_HOURS = re.compile(r"(?:^|,)(?:\*|H)/(?!1$|24$)", re.ASCII)
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

    def in_month(self, year: int, month: int) -> Iterator[int]:
        """Yield the days of a month, as ordinals."""
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

    def words(self, every_day: str) -> str:
        """Say which days they are; `every_day`, with the months, if it is all of them."""
        of, during = words.of_months(self.months), words.in_months(self.months)
        by_date = "" if len(self.month_days.days) == 31 else f"on {words.numbered('day', self._dates())} {of}"
        plain, nth = self._weekdays()
        by_weekday = "" if len(plain) == 7 else words.on_weekdays(plain, nth, of, during)
        if not (by_date and by_weekday):
            either = not (self.month_days.starred or self.weekdays.starred)
            return (not either and (by_date or by_weekday)) or words.joined(every_day, during, by=" ")
        if self.month_days.starred or self.weekdays.starred:
            return f"{by_date} if it is {words.some_weekdays(plain, nth, 'month')}"
        return f"{by_date}, and {by_weekday}"

    def _dates(self) -> list[int]:
        """Number the days from the first of the month, and below zero from its last."""
        return [*sorted(-number - 1 for number in self.month_days.from_last), *sorted(self.month_days.days)]

    def _weekdays(self) -> tuple[list[int], list[tuple[int, int]]]:
        """Count days of the week from Monday, those with a place in the month by themselves."""
        nth = [(place, (day - 1) % 7) for day, place in sorted(self.weekdays.nth)]
        return sorted((day - 1) % 7 for day in self.weekdays.days), nth


@lru_cache(maxsize=YEARS_KEPT)
def _in_year(days: CronDays, year: int) -> tuple[int, ...]:
    """List the days of a year, as ordinals."""
    return tuple(day for month in days.months for day in days.in_month(year, month))


class CronTimes(SameTimes):
    """The days and times that an expression names."""

    __slots__ = ("clock", "dates")

    def __init__(self, days: CronDays, times: ClockTimes) -> None:
        super().__init__(times)
        self.clock = times
        self.dates = days

    def days(self, year: int) -> Sequence[int]:
        """See `CivilTimes.days`."""
        return _in_year(self.dates, year)


@lru_cache(maxsize=1024)
def compile_cron(expression: str) -> CronTimes:
    """Read an expression; an ``H`` in it has its least value. Raises `TimeError` with the code ``INVALID_CRON``."""
    fields = _split(expression)
    if len(fields) == 5:
        fields = ["0", *fields]
    seconds, minutes, hours = (sorted(_values(text, field)) for text, field in zip(fields, FIELDS[:3], strict=False))
    return CronTimes(_compile_days(*fields[3:]), ClockTimes(hours, minutes, seconds))


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
    text = expression.strip(" \t").upper()
    if text.startswith("@"):
        if text.startswith("@EVERY"):
            raise _invalid("has @every: the member every says that, as in PT5M")
        if text.lower() not in MACROS:
            raise _invalid(f"must be one of {', '.join(MACROS)}, or have five or six fields")
        text = MACROS[text.lower()]
    fields = re.split(r"[ \t]+", text)
    if fields[0].startswith(("CRON_TZ=", "TZ=")):
        raise _invalid("begins with a time zone: timeZone says it, beside cron")
    if len(fields) == 7 or (len(fields) == 6 and _YEAR.match(fields[-1])):
        raise _invalid("ends with a year, which must be left out: start and end bound the years")
    if len(fields) not in {5, 6}:
        raise _invalid("must have five fields (minute, hour, day of month, month, day of week), or six (second first)")
    return fields


@lru_cache(maxsize=1024)
def _compile_days(month_days: str, months: str, weekdays: str) -> CronDays:
    some_months = tuple(sorted(_values(months, _MONTH_FIELD)))
    return CronDays(_days_of_month(month_days), some_months, _days_of_week(weekdays))


def _days_of_month(text: str) -> DaysOfMonth:
    days: set[int] = set()
    from_last: set[int] = set()
    for term in _terms("*" if text == "?" else text, _DAY_FIELD):
        if last := _LAST_DAY.fullmatch(term):
            back = int(last[1] or 0)
            if back > 30:
                raise _invalid("counts back from the last day of the month further than 30 days")
            from_last.add(back)
        else:
            days |= _range(term, _DAY_FIELD)
    return DaysOfMonth(frozenset(days), frozenset(from_last), text.startswith(("*", "?")))


def _days_of_week(text: str) -> DaysOfWeek:
    days: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for term in _terms("*" if text == "?" else text, _WEEKDAY_FIELD):
        if place := _NTH.fullmatch(term):
            number = int(place[2] or -1)
            if not -1 <= number <= 5 or number == 0:
                raise _invalid("has a # that is not followed by 1 to 5")
            nth.add((_value(place[1], _WEEKDAY_FIELD) % 7, number))
        else:
            days |= _weekdays(term)
    return DaysOfWeek(frozenset(days), frozenset(nth), text.startswith(("*", "?")))


def _weekdays(term: str) -> set[int]:
    """Return the days of the week of a term; 0 is Sunday, whichever it is there."""
    return {day % 7 for day in _range(term, _WEEKDAY_FIELD)}


def _values(text: str, field: CronField) -> set[int]:
    return {value for term in _terms(text, field) for value in _range(term, field)}


def _terms(text: str, field: CronField) -> Iterator[str]:
    """Split a field at its commas, each ``H`` replaced by the least value that it could have."""
    return iter(_settle(text, field, 0).split(","))


def _range(term: str, field: CronField) -> set[int]:
    match = _TERM.fullmatch(term)
    if match is None or (match["from"] == "*" and match["to"]):
        raise _unreadable(term, field)
    step = int(match["step"] or 1)
    if not 1 <= step <= field.size:
        raise _large_step(term, field, field.size)
    if match["from"] == "*":
        return set(range(field.least, field.least + field.size, step))
    first, greatest = _value(match["from"], field), field.least + field.size - 1
    if match["to"]:
        last = _value(match["to"], field)
        if field is _WEEKDAY_FIELD and "SUN" in match.groups():
            last = first if first % 7 == last % 7 else last or 7
    else:
        first = first if first <= greatest else field.least  # a Sunday that is 7
        last = greatest if match["step"] else first
    if first > last:
        raise _backwards(term, field, first, last)
    return set(range(first, last + 1, step))


def _unreadable(term: str, field: CronField) -> TimeError:
    """Return what is said of a term that has no form of ours, with what to write instead where that is known."""
    if not term:
        return _invalid(f"has a comma without a value beside it in its {field.name}")
    if field is _DAY_FIELD and term in {"LW", "WL"}:
        return _invalid(f"has {shown(term)} as its {field.name}: the rrule {_LAST_WEEKDAY} says that")
    if field is _DAY_FIELD and "W" in term:
        return _invalid(f"has {shown(term)} as its {field.name}: W, the nearest weekday, is not supported")
    if term == "?":
        return _invalid(f"has ? as its {field.name}: it goes with the day of month and the day of week; * is any value")
    if field is _WEEKDAY_FIELD and term == "L":
        return _invalid(f"has 'L' as its {field.name}: Saturday is 6, and the last Saturday of the month is 6L")
    forms = f"{field.least} to {field.most}, a range, * or a list, with a step as in */2"
    return _invalid(f"has {shown(term)} as its {field.name}, which is {forms}")


def _backwards(term: str, field: CronField, first: int, last: int) -> TimeError:
    over = f"{first}-{field.most},{field.most + 1 - field.size}-{last}"
    if field is _WEEKDAY_FIELD:  # from or to a Sunday
        over = over.removesuffix(",1-0").replace("7-7,1-", "0-")
    hint = "" if "/" in term else f"; over the end goes {over}"
    return _invalid(f"has a range of the {field.name} that goes backwards: {shown(term)}{hint}")


def _large_step(term: str, field: CronField, size: int) -> TimeError:
    period = "PT90M" if field in FIELDS[:3] else "P90D"
    return _invalid(
        f"has a step that is not 1 to {size} in its {field.name}: {shown(term)}; the member every, such as {period}, "
        "is not bound to it"
    )


def _value(text: str, field: CronField) -> int:
    if text in field.names:
        return field.names.index(text) + field.least
    if not text.isdigit() or not field.least <= int(text) <= field.most:
        raise _invalid(f"has {shown(text)} as its {field.name}, which is {field.least} to {field.most}")
    return int(text)


def _settle(text: str, field: CronField, chance: int) -> str:
    def number(match: re.Match[str]) -> str:
        least, most = int(match[1] or field.least), int(match[2] or _HASHED.get(field, field.most))
        if not field.least <= least <= most <= field.most:
            raise _invalid(f"has a range that does not fit the {field.name}: {shown(match[0])}")
        if match[3] is None:
            return str(least + chance % (most - least + 1))
        step, size = int(match[3]), most - least + 1
        if not 1 <= step <= size:
            raise _large_step(match[0], field, size)
        return f"{least + chance % step}-{most}/{step}"

    return _HASH.sub(number, text) if "H" in text else text
