"""The grammar of recurrence rules (RFC 5545): text such as ``FREQ=MONTHLY;BYDAY=-1FR`` read into its parts.

Of the standard only ``FREQ=SECONDLY`` and ``BYSETPOS`` with a frequency under a day are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache, partial
from typing import NamedTuple

from mainspring.schedule.civil import HOUR, MINUTE, ClockTimes
from mainspring.schedule.text import TimeError, shown
from mainspring.schedule.words import WEEKDAYS

LONGEST_RULE = 1024
"""How many characters a rule may have."""
MOST_LISTED = 1440
"""How many times a day may have where they have to be listed: with ``BYSETPOS``, or with hours or minutes in steps."""
MOST_POSITIONS = 12
"""How many places ``BYSETPOS`` may name."""


_invalid = partial(TimeError, "INVALID_RRULE")


class Frequency(StrEnum):
    """The period of a rule."""

    YEARLY = "YEARLY"
    MONTHLY = "MONTHLY"
    WEEKLY = "WEEKLY"
    DAILY = "DAILY"
    HOURLY = "HOURLY"
    MINUTELY = "MINUTELY"


_MOST_OFTEN = {
    Frequency.YEARLY: 10,
    Frequency.MONTHLY: 120,
    Frequency.WEEKLY: 521,
    Frequency.DAILY: 3653,
    Frequency.HOURLY: 87_672,
    Frequency.MINUTELY: 5_260_320,
}
"""The greatest interval: ten years."""
UNITS = {Frequency.HOURLY: HOUR, Frequency.MINUTELY: MINUTE}
"""The frequencies under a day, with their lengths."""
_WEEKDAYS = {name[:2].upper(): number for number, name in enumerate(WEEKDAYS)}
_WEEKDAY = re.compile(rf"([+-]?\d{{1,2}})?({'|'.join(_WEEKDAYS)})", re.ASCII)
_UNTIL = re.compile(r"(?P<day>\d{8})(?:T(?P<time>\d{6})(?P<utc>Z)?)?", re.ASCII)
_LISTS = {
    "BYMONTH": (1, 12),
    "BYWEEKNO": (-53, 53),
    "BYYEARDAY": (-366, 366),
    "BYMONTHDAY": (-31, 31),
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
    "BYSECOND": (0, 59),
    "BYSETPOS": (-366, 366),
}
"""The members that are lists of numbers, with the least and the greatest. Where that is below zero, zero is refused."""
_REFUSED = {
    "DTSTART": "has a DTSTART among its members: give it a line of its own, or send start",
    "EXDATE": "has an EXDATE among its members: give it a line of its own, or send except",
    "RDATE": "has an RDATE among its members: give it a line of its own, or send anyOf with at",
}
_NOT_WITH = {
    "BYWEEKNO": (Frequency.MONTHLY, Frequency.WEEKLY, Frequency.DAILY, Frequency.HOURLY, Frequency.MINUTELY),
    "BYYEARDAY": (Frequency.MONTHLY, Frequency.WEEKLY, Frequency.DAILY),
    "BYMONTHDAY": (Frequency.WEEKLY,),
    "BYSETPOS": (Frequency.HOURLY, Frequency.MINUTELY),
}


class Parts(NamedTuple):
    """What a rule says, its lists sorted; an empty list says nothing. Weekdays count from Monday (0)."""

    frequency: Frequency
    interval: int = 1
    week_start: int = 0
    months: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[int, ...] = ()
    nth_weekdays: tuple[tuple[int, int], ...] = ()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    fraction: int = 0
    """What its times have beyond their second, in microseconds."""
    positions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedRule:
    """A rule that was read: its text without what bounds it, and these bounds.

    `until` is a moment in UTC, or a civil time if it has no zone; the end of its day, if it is a date.
    """

    text: str
    parts: Parts
    count: int | None = None
    until: datetime | None = None
    until_is_date: bool = False

    def __str__(self) -> str:
        said = self.text
        if self.count is not None:
            said += f";COUNT={self.count}"
        if self.until is not None:
            said += f";UNTIL={digits(self.until)}{'Z' if self.until.tzinfo else ''}"
        return said


# --- reading ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def parse_rrule(text: str) -> ParsedRule:
    """Read a rule such as ``FREQ=MONTHLY;BYDAY=-1FR``. Raises `TimeError` with the code ``INVALID_RRULE``."""
    if len(text) > LONGEST_RULE:
        raise _invalid(f"is longer than {LONGEST_RULE} characters")
    if "\n" in text:
        raise _invalid("has several lines, which only the rrule of a whole schedule may have")
    members = _members(text.upper().removeprefix("RRULE:"))
    count = _number(members.pop("COUNT", None), "COUNT", 2**31 - 1)
    last = members.pop("UNTIL", None)
    until = _until(last)
    if count is not None and until is not None:
        raise _invalid("has both COUNT and UNTIL")
    rule = ";".join(f"{name}={value}" for name, value in members.items())
    return ParsedRule(rule, _parts(members), count, until, until_is_date=last is not None and "T" not in last)


def _members(text: str) -> dict[str, str]:
    members: dict[str, str] = {}
    for member in text.removesuffix(";").split(";"):
        name, equals, value = member.partition("=")
        if refusal := _REFUSED.get(re.split(r"[:;=\n]", name)[0]):
            raise _invalid(refusal)
        if not equals or not value or name not in {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_LISTS}:
            raise _invalid(f"has {shown(member)}, which is no member of a rule such as FREQ=WEEKLY;BYDAY=MO")
        if name in members:
            raise _invalid(f"has {name} twice")
        members[name] = value
    if "FREQ" not in members:
        raise _invalid("needs FREQ, as in FREQ=WEEKLY;BYDAY=MO")
    return members


def _parts(members: Mapping[str, str]) -> Parts:
    frequency = _frequency(members["FREQ"])
    weekdays = _weekdays(members.get("BYDAY"))
    _check_together(members, frequency, numbered=any(place for place, _ in weekdays))
    if members.get("WKST", "MO") not in _WEEKDAYS:
        raise _invalid(f"has WKST={_shown(members['WKST'])}: it is one of {', '.join(_WEEKDAYS)}")
    lists = {name: _numbers(members.get(name), name) for name in _LISTS}
    if len(lists["BYSETPOS"]) > MOST_POSITIONS:
        raise _invalid(f"has more than {MOST_POSITIONS} places in BYSETPOS")
    parts = Parts(
        frequency=frequency,
        interval=_number(members.get("INTERVAL"), "INTERVAL", _MOST_OFTEN[frequency]) or 1,
        week_start=_WEEKDAYS[members.get("WKST", "MO")],
        months=lists["BYMONTH"],
        weeks=lists["BYWEEKNO"],
        year_days=lists["BYYEARDAY"],
        month_days=lists["BYMONTHDAY"],
        weekdays=tuple(sorted(weekday for place, weekday in weekdays if not place)),
        nth_weekdays=tuple(sorted(pair for pair in weekdays if pair[0])),
        hours=lists["BYHOUR"],
        minutes=lists["BYMINUTE"],
        seconds=lists["BYSECOND"],
        positions=lists["BYSETPOS"],
    )
    times = ClockTimes(*clock_of(parts, (0,), (0,), (0,)))
    if (parts.positions or (frequency in UNITS and parts.interval > 1)) and len(times) > MOST_LISTED:
        raise _invalid(
            f"has more than {MOST_LISTED} times a day with BYSETPOS, or with an INTERVAL of hours or minutes"
        )
    return parts


def _frequency(text: str) -> Frequency:
    if text == "SECONDLY":
        raise _invalid("is SECONDLY: a schedule with every, such as PT10S, says that")
    if text not in Frequency.__members__:
        raise _invalid(f"has FREQ={_shown(text)}: it is one of {', '.join(Frequency)}")
    return Frequency[text]


def _check_together(members: Mapping[str, str], frequency: Frequency, *, numbered: bool) -> None:
    for name, others in _NOT_WITH.items():
        if name in members and frequency in others:
            raise _invalid(f"has {name}, which does not go with FREQ={frequency}")
    if numbered and (frequency not in {Frequency.YEARLY, Frequency.MONTHLY} or "BYWEEKNO" in members):
        raise _invalid("has a numbered day in BYDAY, which goes with YEARLY or MONTHLY and without BYWEEKNO")
    if "BYSETPOS" in members and not any(name in members for name in ("BYDAY", *_LISTS) if name != "BYSETPOS"):
        raise _invalid("has a BYSETPOS that has nothing to choose from: it needs another BY member")


def _shown(value: str) -> str:
    """Return a value as an error may repeat it behind its name: what it is, if it stands in one word of ASCII."""
    return value if value.isalnum() and value.isascii() and len(value) <= 20 else shown(value)


def _number(text: str | None, name: str, most: int) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,10}", text, re.ASCII) or not 1 <= int(text) <= most:
        raise _invalid(f"has {name}={_shown(text)}: it is 1 to {most}")
    return int(text)


def _numbers(text: str | None, name: str) -> tuple[int, ...]:
    least, most = _LISTS[name]
    numbers: set[int] = set()
    for term in text.split(",") if text else ():
        plain = re.fullmatch(r"[+-]?\d{1,3}", term, re.ASCII)
        if not plain or not least <= int(term) <= most or (least < 0 and int(term) == 0):
            raise _invalid(f"has {name}={_shown(term)}: it is a list of {least} to {most}{' without 0' * (least < 0)}")
        numbers.add(int(term))
    return tuple(sorted(numbers))


def _weekdays(text: str | None) -> set[tuple[int, int]]:
    weekdays: set[tuple[int, int]] = set()
    for term in text.split(",") if text else ():
        match = _WEEKDAY.fullmatch(term)
        place = int(match[1] or 0) if match else 0
        if not match or abs(place) > 53 or (match[1] and not place):
            raise _invalid(f"has BYDAY={_shown(term)}: it is a list of days such as MO, or -1FR for the last Friday")
        weekdays.add((place, _WEEKDAYS[match[2]]))
    return weekdays


def _until(text: str | None) -> datetime | None:
    if text is None:
        return None
    match = _UNTIL.fullmatch(text)
    try:
        digits = match["day"] + (match["time"] or "235959") if match else ""
        until = datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007 - what has no zone stays without
    except ValueError:
        raise _invalid(f"has UNTIL={_shown(text)}: it is a time such as 20261231T235959Z") from None
    return until.replace(tzinfo=UTC) if match and match["utc"] else until


def digits(civil: date) -> str:
    """Write a day, or a time, as calendars do."""
    return re.sub(
        "[-:]", "", civil.replace(tzinfo=None).isoformat() if isinstance(civil, datetime) else civil.isoformat()
    )


def clock_of(parts: Parts, *anchor: tuple[int]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the hours, minutes and seconds of a rule that is counted from this hour, minute and second."""
    hour, minute, second = anchor
    hours = tuple(range(24)) if parts.frequency in UNITS else hour
    minutes = tuple(range(60)) if parts.frequency is Frequency.MINUTELY else minute
    return parts.hours or hours, parts.minutes or minutes, parts.seconds or second


def explicit(parts: Parts, anchor: datetime) -> Parts:
    """Fill in what a rule leaves to the civil time that it is counted from."""
    frequency = parts.frequency
    if not (parts.year_days or parts.month_days or parts.weekdays or parts.nth_weekdays):
        if frequency is Frequency.WEEKLY or parts.weeks:
            parts = parts._replace(weekdays=(anchor.weekday(),))
        elif frequency is Frequency.YEARLY:
            parts = parts._replace(months=parts.months or (anchor.month,), month_days=(anchor.day,))
        elif frequency is Frequency.MONTHLY:
            parts = parts._replace(month_days=(anchor.day,))
    hours, minutes, seconds = clock_of(parts, (anchor.hour,), (anchor.minute,), (anchor.second,))
    fraction = 0 if parts.seconds else anchor.microsecond
    return parts._replace(hours=hours, minutes=minutes, seconds=seconds, fraction=fraction)
