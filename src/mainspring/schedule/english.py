"""Schedules in plain English, so that people see whether they said what they meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from mainspring.schedule.civil import ClockTimes, DstGap, DstOverlap, local_time
from mainspring.schedule.rules.cron import CronDays, compile_cron
from mainspring.schedule.rules.rrule import Frequency, Parts, explicit, parse_rrule
from mainspring.schedule.text import Period
from mainspring.schedule.trigger import (
    AnyOf,
    Blackout,
    Cron,
    Days,
    Every,
    MisfirePolicy,
    Once,
    Overlap,
    Recurring,
    RRule,
    Trigger,
)

_MOST_TIMES = 6
"""How many times of day are listed."""
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_UNITS = {
    Frequency.YEARLY: "year",
    Frequency.MONTHLY: "month",
    Frequency.WEEKLY: "week",
    Frequency.DAILY: "day",
    Frequency.HOURLY: "hour",
    Frequency.MINUTELY: "minute",
}


def describe(trigger: Trigger) -> str:
    """Say in English when a trigger fires, and what it does when something is in the way."""
    if isinstance(trigger, Once):
        return f"Once, on {_moment(trigger.at, 'UTC')}."
    rules = trigger.rule.rules if isinstance(trigger.rule, AnyOf) else (trigger.rule,)
    said = "; and ".join(_rule(rule, trigger) for rule in rules)
    if not all(isinstance(rule, Every) and rule.period.exact for rule in rules):
        said += f" ({trigger.time_zone})"
    first, *rest = [f"{said[0].upper()}{said[1:]}{_bounds(trigger)}", *_terms(trigger)]
    return ". ".join([first, *rest]) + "."


def _bounds(trigger: Recurring) -> str:
    said = f", from {_moment(trigger.start, trigger.time_zone)}"
    if trigger.start_fires:
        said += ", and then as well"
    if trigger.end is not None:
        said += f", until {_moment(trigger.end, trigger.time_zone)}"
    if trigger.count is not None:
        said += f", {_many(trigger.count, 'time')} at most"
    return said


def _terms(trigger: Recurring) -> Iterable[str]:
    """Say each thing that is not as it is by default."""
    if trigger.window:
        yield f"It starts anywhere within {_length(trigger.window)} of these times, always at the same place"
    if trigger.jitter:
        yield f"It starts up to {_length(trigger.jitter)} later by chance"
    if trigger.dst_gap is not None:
        yield {
            DstGap.NEXT_VALID: "A time that the clocks skip is the first moment after the gap",
            DstGap.SKIP: "A time that the clocks skip is left out",
            DstGap.SHIFT: "A time that the clocks skip comes later by as much as they skip",
        }[trigger.dst_gap]
    if trigger.dst_overlap is not None:
        yield {
            DstOverlap.FIRST: "Of a time that comes twice, the first is taken",
            DstOverlap.SECOND: "Of a time that comes twice, the second is taken",
            DstOverlap.BOTH: "A time that comes twice is taken twice",
        }[trigger.dst_overlap]
    yield from _when_late(trigger)
    if (use := trigger.calendar) is not None:
        times, wait = ("outside", "begin") if use.days is Days.INCLUDE else ("in", "end")
        fate = f"waits until they {wait}" if use.blackout is Blackout.POSTPONE else "is left out"
        yield f"What falls {times} the times of the calendar {use.name} {fate}"


def _when_late(trigger: Recurring) -> Iterable[str]:
    if trigger.misfire.policy is MisfirePolicy.FIRE_ALL:
        yield (
            f"What could not start in time is caught up with: {_many(trigger.misfire.cap, 'time')} at most, "
            f"{_length(trigger.misfire.spacing)} apart"
        )
    if trigger.latest is not None:
        yield f"What could not start within {_length(trigger.latest)} is skipped"
    if trigger.overlap is not Overlap.QUEUE:
        yield {
            Overlap.SKIP: "What comes while it still runs is skipped",
            Overlap.ALLOW: "It may run several times at once",
            Overlap.CANCEL_PREVIOUS: "A run that is still under way is cancelled for the next",
        }[trigger.overlap]


# --- rules ------------------------------------------------------------------------------------------------------------


def _rule(rule: Every | Cron | RRule, trigger: Recurring) -> str:
    local = local_time(trigger.start, trigger.time_zone)
    match rule:
        case Every(period):
            return _period(period, local)
        case Cron(expression):
            cron = compile_cron(expression)
            days = _cron_days(cron.dates)
            every_day = "every day" if not days and len(cron.clock) <= _MOST_TIMES else ""
            return _joined(_clock(cron.clock), days or every_day)
        case RRule(text):
            return _rrule(explicit(parse_rrule(text).parts, local))


def _period(period: Period, local: datetime) -> str:
    years, months = divmod(period.months, 12)
    weeks, days = divmod(period.days, 7) if period.days % 7 == 0 else (0, period.days)
    units = ((years, "year"), (months, "month"), (weeks, "week"), (days, "day"))
    parts = [_many(number, unit) for number, unit in units if number]
    if period.exact:
        parts.append(_length(period.exact))
    said = f"every {_list(parts)}"
    said = said.replace("every 1 ", "every ") if len(parts) == 1 and " and " not in said else said
    if period.exact:
        return said
    time = local.strftime("%H:%M:%S").removesuffix(":00") + (f".{local.microsecond:06}" if local.microsecond else "")
    if not period.months:
        weekday = f" on {_WEEKDAYS[local.weekday()]}" if weeks else ""
        return f"{said}{weekday} at {time}"
    day = f"{local.day} {_MONTHS[local.month - 1]}" if period.months % 12 == 0 else f"day {local.day}"
    short = ", or the last day of a shorter month" if local.day > 28 and not period.days else ""
    return f"{said} on {day}{short} at {time}" if not period.days else f"{said} at {time}"


def _rrule(parts: Parts) -> str:
    unit = _UNITS[parts.frequency]
    said = f"every {unit}" if parts.interval == 1 else f"every {_many(parts.interval, unit)}"
    clock = _clock(ClockTimes(parts.hours, parts.minutes, parts.seconds))
    if parts.frequency in {Frequency.HOURLY, Frequency.MINUTELY} and len(parts.hours) * len(parts.seconds) == 24:
        clock = "" if parts.frequency is Frequency.MINUTELY and len(parts.minutes) == 60 else clock
        clock = "" if clock == "every hour" else clock
    days = [
        _weekdays(parts.weekdays, parts.nth_weekdays, "month" if parts.months else unit),
        _numbered("day", parts.month_days, "month"),
        _numbered("day", parts.year_days, "year"),
        _numbered("week", parts.weeks, "year"),
    ]
    said = _joined(said, " that is also ".join(filter(None, days)), _months(parts.months), clock)
    if parts.positions:
        places = _list([_ordinal(place) for place in parts.positions])
        said += f", and of these times in each {unit} only the {places}"
    return said


def _cron_days(days: CronDays) -> str:
    dates = [_numbered("day", sorted(days.month_days.days), "month")] if len(days.month_days.days) < 31 else []
    dates += [_from_last(number) for number in sorted(days.month_days.from_last)]
    plain = sorted((day - 1) % 7 for day in days.weekdays.days)
    nth = [(place, (day - 1) % 7) for day, place in sorted(days.weekdays.nth)]
    weekdays = "" if len(plain) == 7 else _weekdays(plain, nth, "month")
    either = not (days.month_days.starred or days.weekdays.starred)
    named = filter(None, (" and ".join(filter(None, dates)), weekdays))
    return _joined((" or " if either else " if that is ").join(named), _months(days.months))


def _from_last(number: int) -> str:
    return "on the last day of the month" if number == 0 else f"{_many(number, 'day')} before the last of the month"


def _weekdays(plain: Sequence[int], numbered: Iterable[tuple[int, int]], within: str) -> str:
    said = [_spans([*plain], _WEEKDAYS, 0)] if plain else []
    said += [f"the {_ordinal(place)} {_WEEKDAYS[day]} of the {within}" for place, day in numbered]
    return f"on {_list(said)}" if said else ""


def _numbered(what: str, numbers: Sequence[int], within: str) -> str:
    if not numbers:
        return ""
    ahead = [number for number in numbers if number > 0]
    back = [f"the {_ordinal(number)} {what}" for number in numbers if number < 0]
    said = [*([f"{what} {_spans(ahead)}"] if ahead else []), *back]
    return f"on {_list(said)} of the {within}"


def _months(months: Sequence[int]) -> str:
    return "" if len(months) in {0, 12} else f"in {_spans(months, _MONTHS, 1)}"


# --- times of day -----------------------------------------------------------------------------------------------------


def _clock(clock: ClockTimes) -> str:
    if len(clock) <= _MOST_TIMES:
        times = [clock[place] // 1_000_000 for place in range(len(clock))]
        return f"at {_list([_time(time) for time in times])}"
    hours = "" if len(clock.hours) == 24 else f"in the {_plural('hour', clock.hours)} {_spans(clock.hours)}"
    if clock.seconds == (0,):
        return _joined(_steps(clock.minutes, "minute", "hour"), hours)
    minutes = "" if len(clock.minutes) == 60 else f"in {_plural('minute', clock.minutes)} {_spans(clock.minutes)}"
    return _joined(_steps(clock.seconds, "second", "minute"), minutes, hours)


def _steps(numbers: Sequence[int], unit: str, whole: str) -> str:
    """Say which minutes of the hour, or seconds of the minute: as a step if they are one."""
    steps = {right - left for left, right in pairwise([*numbers, numbers[0] + 60])}
    if len(steps) == 1 and numbers[0] == 0:
        (step,) = steps
        return f"every {whole}" if step == 60 else f"every {unit}" if step == 1 else f"every {step} {unit}s"
    return f"at {_plural(unit, numbers)} {_spans(numbers)} of every {whole}"


def _time(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}" + (f":{seconds % 60:02}" if seconds % 60 else "")


# --- words ------------------------------------------------------------------------------------------------------------


def _moment(moment: datetime, zone: str) -> str:
    local = local_time(moment, zone)
    time = _time(local.hour * 3600 + local.minute * 60 + local.second)
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year} {time}"


def _length(duration: timedelta) -> str:
    seconds = duration // timedelta(seconds=1)
    rest = duration.microseconds
    units = ((seconds // 3600, "hour"), (seconds // 60 % 60, "minute"))
    said = [_many(number, unit) for number, unit in units if number]
    if seconds % 60 or rest or not said:
        exact = f"{seconds % 60}.{rest:06}".rstrip("0") if rest else str(seconds % 60)
        said.append(f"{exact} second{'' if exact == '1' else 's'}")
    return _list(said)


def _spans(numbers: Sequence[int], names: Sequence[str] = (), base: int = 0) -> str:
    """List numbers (or what they are called), three and more in a row as the first to the last."""
    rows: list[list[int]] = []
    for number in numbers:
        if rows and rows[-1][-1] == number - 1:
            rows[-1].append(number)
        else:
            rows.append([number])
    call = (lambda number: names[number - base]) if names else str
    said: list[str] = []
    for row in rows:
        said += [f"{call(row[0])} to {call(row[-1])}"] if len(row) > 2 else [call(number) for number in row]
    return _list(said)


def _list(said: Sequence[str]) -> str:
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


def _many(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _plural(word: str, numbers: Sequence[int]) -> str:
    return word if len(numbers) == 1 else f"{word}s"


def _ordinal(number: int) -> str:
    if number == -1:
        return "last"
    size = abs(number)
    ending = "th" if size % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(size % 10, "th")
    return f"{size}{ending}" + (" last" if number < 0 else "")


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))
