"""When a job fires: the triggers `Once` and `Every`, and the grammar of times and durations that people write.

A trigger is a value. It knows its fire times by arithmetic alone (`first`, then `next_fire_time` after any moment), so
nothing has to be counted or remembered, and the same trigger gives the same times on every node. All moments are aware
datetimes in UTC; civil time (days and months in a time zone) exists only inside this module.

Text is read by a grammar of our own and never by `datetime.fromisoformat`, which takes any separator and misreads
fractions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, assert_never

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError
from whenever import Instant, PlainDateTime, RepeatedTime, SkippedTime, ZonedDateTime

MICROSECOND = timedelta(microseconds=1)
HORIZON = timedelta(days=3653)
"""How far ahead a job may be scheduled: ten years."""
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


# --- moments ----------------------------------------------------------------------------------------------------------

_DAY = r"(?:(?P<month>\d\d){0}(?P<day>\d\d)|W(?P<week>\d\d){0}(?P<weekday>\d)|(?P<ordinal>\d{{3}}))"
_DATE = r"(?P<sign>[+-]?)(?P<year>\d{{4}}){0}" + _DAY
_TIME = r"[Tt](?P<hour>\d\d){0}(?P<minute>\d\d)(?:{0}(?P<second>\d\d)(?:[.,](?P<fraction>\d{{1,32}}))?)?"
_ZONE = r"(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)"
_EXTENDED = re.compile(_DATE.format("-") + "(?:" + _TIME.format(":") + f"{_ZONE}?)?", re.ASCII)
_BASIC = re.compile(_DATE.format("") + "(?:" + _TIME.format("") + f"{_ZONE}?)?", re.ASCII)
_USUAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3}|\.\d{6})?Z", re.ASCII)
"""The forms that `format_time` writes: for these `datetime.fromisoformat` can be trusted, at a fifth of the time."""
_EXAMPLE = "2026-12-01T10:00:00Z"


def parse_when(text: str) -> datetime:
    """Read a moment in ISO 8601 (RFC 3339 and the basic, week and ordinal forms).

    Answer it in UTC, rounded *up* to the microsecond.

    A zone is required. ``24:00`` is the next midnight and ``23:59:60`` UTC the next second. Raises `TimeError`.
    """
    if _USUAL.fullmatch(text):
        with suppress(ValueError):  # 24:00, a leap second, or a day that does not exist: that is decided below
            return datetime.fromisoformat(text)
    match = (_EXTENDED.fullmatch(text) or _BASIC.fullmatch(text)) if len(text) <= 64 else None
    if match is None:
        raise TimeError("WHEN_FORMAT", f"is not an ISO 8601 time such as {_EXAMPLE}")
    if match["zone"] is None:
        raise TimeError("WHEN_ZONE_REQUIRED", f"needs a time of day and a zone: Z or an offset, as in {_EXAMPLE}")
    offset = _offset(match["zone"])
    try:
        return _moment(match, offset)
    except (ValueError, OverflowError) as error:
        raise TimeError("WHEN_RANGE", "names a date or time of day that does not exist") from error


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
    if match["sign"]:
        raise ValueError("only the years 0001 to 9999")
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
    microsecond = moment.microsecond
    precision = "microseconds" if microsecond % 1000 else "milliseconds" if microsecond else "seconds"
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=precision) + "Z"


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


# --- triggers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Once:
    """Fires at one moment."""

    at: datetime

    @property
    def first(self) -> datetime:
        """The only fire time."""
        return self.at

    def next_fire_time(self, after: datetime) -> datetime | None:
        """Return the first fire time later than `after`."""
        return self.at if self.at > after else None

    def starting(self, moment: datetime, _gone: datetime) -> Once:
        """Return this trigger moved to `moment`."""
        return Once(moment)


@dataclass(frozen=True, slots=True)
class Every:
    """Fires at `start` and then each `period`; at most `count` times, and not after `end`.

    Months and days are counted on the calendar of `time_zone` (a backup at 03:00 stays at 03:00 when clocks change),
    the exact part in real time. The n-th fire time is computed from `start`, so there is no drift. A civil time that a
    clock change skips becomes the first valid instant after the gap; one that comes twice is taken the first time.
    """

    period: Period
    start: datetime
    count: int | None = None
    end: datetime | None = None
    time_zone: str = "UTC"

    @property
    def first(self) -> datetime:
        """The first fire time."""
        return self.start

    def next_fire_time(self, after: datetime) -> datetime | None:
        """Return the first fire time later than `after`, or `None` when there is none."""
        try:
            number = self._number_after(after)
            if self.count is not None and number >= self.count:
                return None
            moment = self._nth(number)
        except (OverflowError, ValueError):
            return None  # beyond the year 9999
        return None if self.end is not None and moment > self.end else moment

    def starting(self, moment: datetime, gone: datetime) -> Every:
        """Return this trigger begun anew at `moment`, less the fire times up to and including `gone`."""
        count = self.count and max(1, self.count - self._number_after(gone))
        return Every(self.period, moment, count, self.end, self.time_zone)

    def _number_after(self, after: datetime) -> int:
        """Count the fire times up to and including `after`: the number (from 0) of the next one."""
        if after < self.start:
            return 0
        number = (after - self.start) // self.period.approximate
        if self.period.exact == self.period.approximate:
            return number + 1
        # Calendar lengths vary, so the estimate may be off by a little in either direction.
        while number > 0 and self._nth(number - 1) > after:
            number -= 1
        while self._nth(number) <= after:
            number += 1
        return number

    def _nth(self, number: int) -> datetime:
        months, days, exact = self.period.months * number, self.period.days * number, self.period.exact * number
        if not months and not days:
            return self.start + exact
        civil = Instant(self.start).to_tz(self.time_zone).to_plain().add(months=months, days=days)
        return _resolve(civil, self.time_zone) + exact


Trigger = Once | Every
"""The closed union of all triggers."""


def _resolve(civil: PlainDateTime, zone: str) -> datetime:
    try:
        resolved = civil.assume_tz(zone, disambiguation="raise")
    except RepeatedTime:
        resolved = civil.assume_tz(zone, disambiguation="earlier")
    except SkippedTime:
        resolved = _end_of_gap(civil.assume_tz(zone, disambiguation="earlier"))
    return resolved.to_instant().to_stdlib()


def _end_of_gap(before: ZonedDateTime) -> ZonedDateTime:
    end = before.next_transition()
    assert end is not None, "a time before a gap has its transition ahead"  # noqa: S101 - for the type checker
    return end


def check_zone(name: str) -> str:
    """Return `name` when it is an IANA time zone, else raise `TimeError`."""
    if name not in _zones():
        raise TimeError("TIME_ZONE_UNKNOWN", "is not an IANA time zone such as Europe/Berlin")
    return name


@cache
def _zones() -> frozenset[str]:
    """Name the zones that every node knows; a machine's own list also has its ``localtime``, which is no zone."""
    return frozenset(files("tzdata").joinpath("zones").read_text().split())


# --- to and from JSON -------------------------------------------------------------------------------------------------


def trigger_to_json(trigger: Trigger) -> dict[str, Any]:
    """Write a trigger as a JSON object that names no code: `trigger_from_json` reads it back."""
    match trigger:
        case Once(at):
            return {"at": format_time(at)}
        case Every(period, start, count, end, time_zone):
            schedule: dict[str, Any] = {"every": str(period), "start": format_time(start), "timeZone": time_zone}
            if count is not None:
                schedule["count"] = count
            if end is not None:
                schedule["end"] = format_time(end)
            return schedule
        case _:
            assert_never(trigger)


def trigger_from_json(data: dict[str, Any]) -> Trigger:
    """Read what `trigger_to_json` wrote."""
    if "at" in data:
        return Once(parse_when(data["at"]))
    end = data.get("end")
    return Every(
        period=parse_period(data["every"]),
        start=parse_when(data["start"]),
        count=data.get("count"),
        end=end and parse_when(end),
        time_zone=data["timeZone"],
    )


# --- as pydantic types ------------------------------------------------------------------------------------------------


def _reader(read: Callable[[str], Any], accepts: type, type_error: str) -> BeforeValidator:
    """Make a validator that reads text by our grammar, lets a ready value pass, and refuses everything else."""

    def validate(value: object) -> object:
        if isinstance(value, accepts):
            return value
        if not isinstance(value, str) or not value:
            raise PydanticCustomError(type_error, "must be text")
        try:
            return read(value)
        except TimeError as error:
            raise PydanticCustomError(error.code, "{detail}", {"detail": str(error)}) from error

    return BeforeValidator(validate)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise PydanticCustomError("WHEN_ZONE_REQUIRED", "needs a zone")
    return moment.astimezone(UTC)


When = Annotated[
    datetime,
    AfterValidator(_aware),
    _reader(parse_when, datetime, "WHEN_TYPE"),
    PlainSerializer(format_time, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": [_EXAMPLE]}),
]
Duration = Annotated[
    timedelta,
    _reader(parse_duration, timedelta, "DURATION_TYPE"),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema({"type": "string", "format": "duration", "examples": ["PT30S"]}),
]
CalendarPeriod = Annotated[
    Period,
    _reader(parse_period, Period, "DURATION_TYPE"),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "duration", "examples": ["P1D"]}),
]
TimeZone = Annotated[
    str,
    _reader(check_zone, tuple, "TIME_ZONE_UNKNOWN"),
    WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]}),
]
