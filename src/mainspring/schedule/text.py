"""Times as people write them: the grammar of moments, durations and time zones, and pydantic types made of it.

Text is read by a grammar of our own and never by `datetime.fromisoformat`, which takes any separator and misreads
fractions. All moments are aware datetimes in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    with_config,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError, to_json

from mainspring.errors import Problem

MICROSECOND = timedelta(microseconds=1)
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(9900, 1, 1, tzinfo=UTC)
"""Every time that is sent is in between, both included: each store gives it back as it was.

Zones, periods of ten years and a search of forty years never lead from there beyond the year 9999, which is the last
that a datetime has.
"""
HORIZON = timedelta(days=3653)
"""How far ahead a job may be scheduled: ten years."""
OLDEST = timedelta(days=10_957)
"""How far back a recurring job may have begun: thirty years. What it missed since then must be counted."""
FLOOR = timedelta(seconds=1)
"""The shortest period of a recurring job."""
LONGEST = timedelta(days=3653)
"""The longest period or duration that is taken: ten years."""
_MONTH = 30.44  # days, on average


class TimeError(ValueError):
    """Text that is no time, duration or zone. `code` names the rule that it breaks."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def shown(text: str) -> str:
    """Return a part of what was sent as an error may repeat it: in ASCII, and short."""
    return ascii(text if len(text) <= 20 else text[:19] + "…")


# --- moments ----------------------------------------------------------------------------------------------------------

_DAY = r"(?:(?P<month>\d\d){0}(?P<day>\d\d)|W(?P<week>\d\d){0}(?P<weekday>\d)|(?P<ordinal>\d{{3}}))"
_DATE = r"(?P<sign>[+-]?)(?P<year>\d{{4}}){0}" + _DAY
_TIME = r"[Tt](?P<hour>\d\d){0}(?P<minute>\d\d)(?:{0}(?P<second>\d\d)(?:[.,](?P<fraction>\d{{1,32}}))?)?"
_ZONE = r"(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)"
_EXTENDED = re.compile(_DATE.format("-") + "(?:" + _TIME.format(":") + f"{_ZONE}?)?", re.ASCII)
_BASIC = re.compile(_DATE.format("") + "(?:" + _TIME.format("") + f"{_ZONE}?)?", re.ASCII)
_USUAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3}|\.\d{6})?Z", re.ASCII)
"""The forms that `format_time` writes: for these `datetime.fromisoformat` can be trusted."""
_EXAMPLE = "2026-12-01T10:00:00Z"


# What is due together was mostly asked for in the same words, which are read again with each run: 1.4 us of 3.
@lru_cache(maxsize=1024)
def parse_when(text: str) -> datetime:
    """Read a moment in ISO 8601 (RFC 3339 and the basic, week and ordinal forms).

    The answer is in UTC, rounded *up* to the microsecond. A zone is required. ``24:00`` is the next midnight and
    ``23:59:60`` UTC the next second. Raises `TimeError`.
    """
    return read_usual(text) or read_any(text)


def read_usual(text: str) -> datetime | None:
    """Read a moment in a form that `format_time` writes, as `read_any` does but in 0.9 us instead of 4.

    Answers `None` for other forms, and for 24:00, leap seconds and days that do not exist.
    """
    if _USUAL.fullmatch(text):
        with suppress(ValueError):
            return datetime.fromisoformat(text)
    return None


def read_any(text: str) -> datetime:
    """Read a moment in any form that `parse_when` takes."""
    match = (_EXTENDED.fullmatch(text) or _BASIC.fullmatch(text)) if len(text) <= 64 else None
    if match is None:
        raise TimeError("WHEN_FORMAT", f"is not an ISO 8601 time such as {_EXAMPLE}")
    if match["zone"] is None:
        raise TimeError("WHEN_ZONE_REQUIRED", f"needs a time of day and a zone: Z or an offset, as in {_EXAMPLE}")
    offset = _offset(match["zone"])
    try:
        return _moment(match, offset)
    except OverflowError as error:
        raise _out_of_range() from error
    except ValueError as error:
        raise TimeError("WHEN_RANGE", "names a date or time of day that does not exist") from error


def check_range(moment: date) -> None:
    """Raise `TimeError` for a moment, or a day, that was sent and is not between `EARLIEST` and `LATEST`.

    Readers do not ask it by themselves, for they read also what was stored before there was a range.
    """
    is_moment = isinstance(moment, datetime)
    earliest, latest = (EARLIEST, LATEST) if is_moment else (EARLIEST.date(), LATEST.date())
    if not earliest <= moment <= latest:
        raise _out_of_range()


def range_problems(pointer: str, moment: date | None) -> Iterator[Problem]:
    """Find what `check_range` has to say of a moment, or a day, that stands at a place."""
    try:
        if moment is not None:
            check_range(moment)
    except TimeError as error:
        yield Problem(pointer, error.code, str(error))


def _out_of_range() -> TimeError:
    return TimeError("WHEN_RANGE", f"must be between {format_time(EARLIEST)} and {format_time(LATEST)}")


def _offset(zone: str) -> timedelta:
    if zone in "Zz":
        return timedelta()
    digits = zone[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if minutes > 59 or hours * 60 + minutes > 18 * 60:
        raise TimeError("WHEN_OFFSET_RANGE", "has an offset beyond 18:00")
    offset = timedelta(hours=hours, minutes=minutes)
    return -offset if zone[0] == "-" else offset


def _moment(match: re.Match[str], offset: timedelta) -> datetime:
    if match["sign"] == "-" or match["year"] == "0000":
        raise OverflowError("before the year 1")
    if match["sign"]:
        raise ValueError("a year has four digits and no sign")
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    fraction = _microseconds_up(match["fraction"] or "")
    midnight = _date(match)
    if hour == 24 and (minute or second or fraction):
        raise ValueError("24:00 is the end of the day")
    if hour > 24 or minute > 59 or second > 60:
        raise ValueError("no such time of day")
    moment = midnight + timedelta(hours=hour, minutes=minute, seconds=second, microseconds=fraction) - offset
    if (
        second == 60
        and (moment - timedelta(microseconds=fraction)).time().replace(microsecond=0).isoformat() != "00:00:00"
    ):
        raise ValueError("a leap second is 23:59:60 UTC")
    return moment


def _date(match: re.Match[str]) -> datetime:
    year = int(match["year"])
    if match["month"]:
        return datetime(year, int(match["month"]), int(match["day"]), tzinfo=UTC)
    if match["week"]:
        return datetime.fromisocalendar(year, int(match["week"]), int(match["weekday"])).replace(tzinfo=UTC)
    day = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=int(match["ordinal"]) - 1)
    if day.year != year:
        raise ValueError("no such day of the year")
    return day


def _microseconds_up(digits: str) -> int:
    return int(digits[:6].ljust(6, "0")) + bool(digits[6:].strip("0"))


def format_time(moment: datetime) -> str:
    """Write a moment in RFC 3339, UTC, with no more digits than it has (none, three or six)."""
    # pydantic's writer knows none or six digits. It takes 0.4 us, `isoformat` 1.5.
    text = to_json(moment.astimezone(UTC))[1:-1].decode()
    return f"{text[:-4]}Z" if text.endswith("000Z") else text


# --- durations --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time as people mean it: months and days on the calendar, and an exact rest. Never negative."""

    months: int = 0
    days: int = 0
    exact: timedelta = timedelta()

    @property
    def approximate(self) -> timedelta:
        """About how long this is; right when it has no months and no day is longer than another."""
        return timedelta(days=self.months * _MONTH + self.days) + self.exact

    def __str__(self) -> str:
        years, months = divmod(self.months, 12)
        seconds = self.exact // timedelta(seconds=1)
        hours, minutes, rest = seconds // 3600, seconds // 60 % 60, str(seconds % 60)
        if microseconds := self.exact.microseconds:
            rest += f".{microseconds:06}".rstrip("0")
        date = "".join(f"{n}{unit}" for n, unit in ((years, "Y"), (months, "M"), (self.days, "D")) if n)
        time = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if n not in (0, "0"))
        return f"P{date}T{time}" if time else f"P{date}" if date else "PT0S"


_N = r"(\d{1,9})"
_PERIOD = re.compile(
    rf"P(?!$)(?:{_N}Y)?(?:{_N}M)?(?:{_N}W)?(?:{_N}D)?(?:T(?!$)(?:{_N}H)?(?:{_N}M)?(?:(\d{{1,9}}(?:[.,]\d{{1,6}})?)S)?)?",
    re.ASCII,
)


# A period is read with each claim of a job that has one, most often in the same words: 4 us.
@lru_cache(maxsize=1024)
def parse_period(text: str) -> Period:
    """Read an ISO 8601 duration: ``PT15M``, ``P1D``, ``P1M`` (one month, not thirty days).

    Only seconds take a fraction. Raises `TimeError`.
    """
    match = _PERIOD.fullmatch(text) if len(text) <= 64 else None
    if match is None:
        raise TimeError("DURATION_FORMAT", "is not an ISO 8601 duration such as PT15M or P1D")
    years, months, weeks, days, hours, minutes = (int(n or 0) for n in match.groups()[:6])
    whole, _, fraction = (match[7] or "0").replace(",", ".").partition(".")
    exact_microseconds = (hours * 3600 + minutes * 60 + int(whole)) * 1_000_000 + int(fraction.ljust(6, "0"))
    about = ((years * 12 + months) * _MONTH + weeks * 7 + days) * 86_400_000_000 + exact_microseconds
    if about > LONGEST // MICROSECOND:
        raise TimeError("DURATION_RANGE", "is longer than ten years")
    return Period(years * 12 + months, weeks * 7 + days, timedelta(microseconds=exact_microseconds))


def parse_duration(text: str) -> timedelta:
    """Read an ISO 8601 duration that is exact: days are 24 hours; months and years are refused. Raises `TimeError`."""
    period = parse_period(text)
    if period.months:
        raise TimeError("DURATION_FORMAT", "must be an exact duration: months and years differ in length")
    return timedelta(days=period.days) + period.exact


def format_duration(duration: timedelta) -> str:
    """Write an exact duration in ISO 8601."""
    return str(Period(exact=duration))


# --- zones ------------------------------------------------------------------------------------------------------------


def check_zone(name: str) -> str:
    """Return `name` when it is an IANA time zone, else raise `TimeError`."""
    if name not in _zones():
        meant = find_zone(name)
        hint = f" such as Europe/Berlin; is {meant} meant?" if meant else " such as Europe/Berlin"
        raise TimeError("TIME_ZONE_UNKNOWN", f"is not an IANA time zone{hint}")
    return name


@cache
def _zones() -> frozenset[str]:
    """Name the zones that every node knows; a machine's own list also has its ``localtime``, which is no zone."""
    return frozenset(files("tzdata").joinpath("zones").read_text().split())


def find_zone(name: str) -> str | None:
    """Return the IANA time zone that is meant by a name of another style; `None` if none is.

    That is a name in the wrong case, one of Windows (``W. Europe Standard Time``), or one behind the path of its maker
    (``/example.org/20260101/Europe/Berlin``).
    """
    if name in _zones():
        return name
    names = _zone_names()
    parts = name.casefold().split("/")
    return next((zone for place in range(len(parts)) if (zone := names.get("/".join(parts[place:])))), None)


@cache
def _zone_names() -> dict[str, str]:
    """Return the zones by the names that others have for them, in lower case."""
    lines = files("mainspring.schedule").joinpath("windows_zones.txt").read_text().splitlines()
    windows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {name.casefold(): zone for name, zone in windows} | {zone.casefold(): zone for zone in _zones()}


@cache
def zone_rules() -> str:
    """Return the release of the rules of time zones that are in use, such as ``2026.6``: that of the package tzdata."""
    return version("tzdata")


# --- as pydantic types ------------------------------------------------------------------------------------------------


def text_reader(
    read: Callable[[str], Any], accepts: type | tuple[type, ...], type_error: str, must: str = "must be text"
) -> BeforeValidator:
    """Make a validator that reads text by our grammar and lets a ready value pass.

    Everything else is refused with the code `type_error` and the sentence `must`.
    """

    def validate(value: object) -> object:
        return value if isinstance(value, accepts) else _read_text(value, read, type_error, must)

    return BeforeValidator(validate)


def _read_text(value: object, read: Callable[[str], Any], type_error: str, must: str = "must be text") -> Any:
    if not isinstance(value, str) or not value:
        raise PydanticCustomError(type_error, "{detail}", {"detail": "is empty" if value == "" else must})
    try:
        return read(value)
    except TimeError as error:
        raise PydanticCustomError(error.code, "{detail}", {"detail": str(error)}) from error


def _read_moment(value: object) -> datetime:
    """Read a moment of a request; pydantic's own validator between two of ours took 0.1 us more for each run."""
    if not isinstance(value, datetime):
        moment: datetime = _read_text(value, parse_when, "WHEN_TYPE")
        return moment
    if value.tzinfo is None:
        raise PydanticCustomError("WHEN_ZONE_REQUIRED", "needs a zone")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


When = Annotated[
    datetime,
    PlainValidator(_read_moment),
    PlainSerializer(format_time, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": [_EXAMPLE]}),
]
Duration = Annotated[
    timedelta,
    text_reader(parse_duration, timedelta, "DURATION_TYPE"),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema({"type": "string", "format": "duration", "examples": ["PT30S"]}),
]
UpToAWeek = Annotated[Duration, Field(ge=timedelta(), le=timedelta(days=7))]
CalendarPeriod = Annotated[
    Period,
    text_reader(parse_period, Period, "DURATION_TYPE"),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "duration", "examples": ["P1D"]}),
]
TimeZone = Annotated[
    str,
    text_reader(check_zone, tuple, "TIME_ZONE_UNKNOWN"),
    WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]}),
]
_DAY_FORM = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def parse_excluded(text: str) -> date:
    """Read a day, or a moment. Raises `TimeError`."""
    if not _DAY_FORM.fullmatch(text):
        return parse_when(text)
    with suppress(ValueError):
        day = date.fromisoformat(text)
        if date.min.year < day.year < date.max.year:  # else in some zones it is beyond the calendar
            return day
    raise TimeError("WHEN_RANGE", "names a day that does not exist")


def format_excluded(value: date) -> str:
    """Write a day, or a moment."""
    return format_time(value) if isinstance(value, datetime) else value.isoformat()


DayOrMoment = Annotated[
    date,
    PlainValidator(lambda value: value if isinstance(value, date) else _read_text(value, parse_excluded, "WHEN_TYPE")),
    PlainSerializer(format_excluded, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["2026-12-24", _EXAMPLE]}),
]
"""A moment, or a whole day of the schedule's zone."""
ON_THE_WIRE = with_config(ConfigDict(alias_generator=to_camel, extra="forbid"))
"""For dataclasses that stand on the wire: their members are in camelCase, and no others are taken."""
