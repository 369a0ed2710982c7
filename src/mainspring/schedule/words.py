"""Words that descriptions are made of: numbers, lists, lengths, moments and times of day in plain English.

Each rule says itself with these; `english` puts the sentences together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise

from mainspring.schedule.civil import SECOND, ClockTimes
from mainspring.schedule.zones import local_time

MOST_TIMES = 6
"""How many times of day are listed."""
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


# --- numbers and lists ------------------------------------------------------------------------------------------------


def listed(said: Sequence[str]) -> str:
    """Say several things: ``a, b and c``."""
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


def joined(*parts: str) -> str:
    """Put parts of a sentence together; empty ones are left out."""
    return ", ".join(filter(None, parts))


def many(number: int, unit: str) -> str:
    """Say how many: ``1 day``, ``2 days``."""
    return f"{number} {unit}{'' if number == 1 else 's'}"


def ordinal(number: int) -> str:
    """Say a place: ``3rd``; counted from the end if it is negative: ``2nd last``."""
    if number == -1:
        return "last"
    size = abs(number)
    ending = "th" if size % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(size % 10, "th")
    return f"{size}{ending}" + (" last" if number < 0 else "")


def _plural(word: str, numbers: Sequence[int]) -> str:
    return word if len(numbers) == 1 else f"{word}s"


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
    return listed(said)


# --- lengths and moments ----------------------------------------------------------------------------------------------


def length(duration: timedelta) -> str:
    """Say an exact duration: ``1 hour and 30 minutes``."""
    seconds = duration // timedelta(seconds=1)
    rest = duration.microseconds
    units = ((seconds // 3600, "hour"), (seconds // 60 % 60, "minute"))
    said = [many(number, unit) for number, unit in units if number]
    if seconds % 60 or rest or not said:
        exact = f"{seconds % 60}.{rest:06}".rstrip("0") if rest else str(seconds % 60)
        said.append(f"{exact} second{'' if exact == '1' else 's'}")
    return listed(said)


def moment(when: datetime, zone: str) -> str:
    """Say a moment as the clocks of a zone show it, to the second."""
    local = local_time(when, zone)
    time = _time(local.hour * 3600 + local.minute * 60 + local.second)
    return f"{day(local)} {time}"


def day(when: date) -> str:
    """Say a day."""
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}"


def _time(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}" + (f":{seconds % 60:02}" if seconds % 60 else "")


# --- days -------------------------------------------------------------------------------------------------------------


def weekdays(plain: Sequence[int], numbered: Iterable[tuple[int, int]], within: str) -> str:
    """Say days of the week, counted from Monday (0), and some of them by their place within a month or year."""
    said = [_spans([*plain], WEEKDAYS, 0)] if plain else []
    said += [f"the {ordinal(place)} {WEEKDAYS[day]} of the {within}" for place, day in numbered]
    return f"on {listed(said)}" if said else ""


def numbered(what: str, numbers: Sequence[int], within: str) -> str:
    """Say days or weeks by their numbers; negative ones count from the end."""
    if not numbers:
        return ""
    ahead = [number for number in numbers if number > 0]
    back = [f"the {ordinal(number)} {what}" for number in numbers if number < 0]
    said = [*([f"{what} {_spans(ahead)}"] if ahead else []), *back]
    return f"on {listed(said)} of the {within}"


def months(numbers: Sequence[int]) -> str:
    """Say some months; nothing, if it is all of them or none."""
    return "" if len(numbers) in {0, 12} else f"in {_spans(numbers, MONTHS, 1)}"


# --- times of day -----------------------------------------------------------------------------------------------------


def times_of_day(clock: ClockTimes) -> str:
    """Say times of day: up to `MOST_TIMES` one by one, more of them as steps."""
    if len(clock) <= MOST_TIMES:
        times = [clock[place] // SECOND for place in range(len(clock))]
        return f"at {listed([_time(time) for time in times])}"
    hours = "" if len(clock.hours) == 24 else f"in the {_plural('hour', clock.hours)} {_spans(clock.hours)}"
    if clock.seconds == (0,):
        return joined(_steps(clock.minutes, "minute", "hour"), hours)
    minutes = "" if len(clock.minutes) == 60 else f"in {_plural('minute', clock.minutes)} {_spans(clock.minutes)}"
    return joined(_steps(clock.seconds, "second", "minute"), minutes, hours)


def _steps(numbers: Sequence[int], unit: str, whole: str) -> str:
    """Say which minutes of the hour, or seconds of the minute: as a step if they are one."""
    steps = {right - left for left, right in pairwise([*numbers, numbers[0] + 60])}
    if len(steps) == 1 and numbers[0] == 0:
        (step,) = steps
        return f"every {whole}" if step == 60 else f"every {unit}" if step == 1 else f"every {step} {unit}s"
    return f"at {_plural(unit, numbers)} {_spans(numbers)} of every {whole}"
