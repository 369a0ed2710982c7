"""Words that descriptions are made of: numbers, lists, lengths, moments and times of day in plain English.

Each rule says itself with these; `english` puts the sentences together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise

from mainspring.schedule.civil import DAY, HOUR, MINUTE, SECOND, ClockTimes, from_civil
from mainspring.schedule.zones import is_second, local_time

MOST_TIMES = 6
"""How many times of day, and numbers in steps, are listed."""
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


# --- numbers and lists ------------------------------------------------------------------------------------------------


def listed(said: Sequence[str], last: str = "and") -> str:
    """Say several things: ``a, b and c``."""
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} {last} {said[-1]}"


def joined(*parts: str, by: str = ", ") -> str:
    """Put parts of a sentence together; empty ones are left out."""
    return by.join(filter(None, parts))


def many(number: int, unit: str) -> str:
    """Say how many: ``1 day``, ``2 days``."""
    return f"{number} {unit}{'' if number == 1 else 's'}"


def each(step: int, unit: str) -> str:
    """Say how often: ``every day``, ``every 2 days``."""
    return f"every {unit}" if step == 1 else f"every {step} {unit}s"


def ordinal(number: int) -> str:
    """Say a place: ``3rd``; counted from the end if it is negative: ``2nd-to-last``."""
    if number == -1:
        return "last"
    size = abs(number)
    ending = "th" if size % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(size % 10, "th")
    return f"{size}{ending}" + ("-to-last" if number < 0 else "")


def several(unit: str, numbers: Sequence[int]) -> str:
    """Say some hours, days or the like by their numbers: ``hours 9 to 17``, ``every 2nd hour from 0 to 22``."""
    step = _step(numbers)
    if step and step > 1 and len(numbers) > MOST_TIMES:
        return f"every {ordinal(step)} {unit} from {numbers[0]} to {numbers[-1]}"
    return f"{unit}{'' if len(numbers) == 1 else 's'} {_spans(numbers, str)}"


def _spans(numbers: Sequence[int], call: Callable[[int], str]) -> str:
    """List what numbers are called, three and more in a row as the first to the last."""
    said: list[str] = []
    for row in _rows(numbers):
        said += [f"{call(row[0])} to {call(row[-1])}"] if len(row) > 2 else map(call, row)
    return listed(said)


def _rows(numbers: Sequence[int]) -> list[list[int]]:
    """Split numbers where one is missing."""
    rows: list[list[int]] = []
    for number in numbers:
        if rows and rows[-1][-1] == number - 1:
            rows[-1].append(number)
        else:
            rows.append([number])
    return rows


def _step(numbers: Sequence[int]) -> int | None:
    """Return the step from each number to the next, if there is one."""
    steps = {right - left for left, right in pairwise(numbers)}
    return steps.pop() if len(steps) == 1 else None


# --- lengths and moments ----------------------------------------------------------------------------------------------


def length(duration: timedelta) -> str:
    """Say an exact duration: ``1 hour and 30 minutes``."""
    seconds = duration // timedelta(seconds=1)
    units = ((seconds // 3600, "hour"), (seconds // 60 % 60, "minute"))
    said = [many(number, unit) for number, unit in units if number]
    if seconds % 60 or duration.microseconds or not said:
        exact = _number(seconds % 60, duration.microseconds)
        said.append(f"{exact} second{'' if exact == '1' else 's'}")
    return listed(said)


def moment(when: datetime, zone: str) -> str:
    """Say a moment as the clocks of a zone show it."""
    local = local_time(when, zone)
    time = f"{time_of_day(from_civil(local) % DAY)}{' the second time' * is_second(when, zone)}"
    return f"{day(local)} {time}"


def day(when: date) -> str:
    """Say a day."""
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}"


def time_of_day(time: int) -> str:
    """Say a time of day, which is in microseconds: no smaller units than it has."""
    second, fraction = divmod(time % MINUTE, SECOND)
    smaller = f":{second:02}{_number(0, fraction)[1:]}" if time % MINUTE else ""
    return f"{time // HOUR:02}:{time // MINUTE % 60:02}{smaller}"


def _number(whole: int, fraction: int) -> str:
    """Write a number with its millionths."""
    return f"{whole}.{fraction:06}".rstrip("0").rstrip(".")


# --- days -------------------------------------------------------------------------------------------------------------


def weekdays(numbers: Sequence[int]) -> str:
    """Say days of the week, counted from Monday (0)."""
    return _spans(numbers, WEEKDAYS.__getitem__)


def nth_weekdays(pairs: Iterable[tuple[int, int]], last: str = "and") -> str:
    """Say days of the week by their places within a month or year; nothing, if there are none."""
    said = [
        f"the {ordinal(place)} {WEEKDAYS[day]}" for place, day in sorted(pairs, key=lambda pair: (pair[0] < 0, pair))
    ]
    return listed(said, last) if said else ""


def on_weekdays(plain: Sequence[int], nth: Sequence[tuple[int, int]], of: str, during: str = "") -> str:
    """Say each of some days of the week, and some by their places `of` a month or year; `during` are the months."""
    every = joined("every day" if len(plain) == 7 else f"every {weekdays(plain)}", during, by=" ") if plain else ""
    return joined(every, f"on {nth_weekdays(nth)} {of}" if nth else "", by=" and ")


def some_weekdays(plain: Sequence[int], nth: Sequence[tuple[int, int]], within: str) -> str:
    """Say one of some days of the week, or of some by their places within a month or year."""
    some = f"a {listed([WEEKDAYS[day] for day in plain], 'or')}" if plain else ""
    places = f"{nth_weekdays(nth, 'or')} of the {within}" if nth else ""
    return joined(some, places, by=" or ")


def numbered(unit: str, numbers: Sequence[int]) -> str:
    """Say days or weeks by their numbers; negative ones count from the end."""
    ahead = [number for number in numbers if number > 0]
    back = [number for number in numbers if number < 0]
    said = [several(unit, ahead)] if ahead else []
    return listed([*said, f"the {_spans(back, ordinal)} {unit}"] if back else said)


def one_of(unit: str, numbers: Sequence[int]) -> str:
    """Say one of some days by their numbers."""
    said = [f"{unit} {number}" if number > 0 else f"the {ordinal(number)} {unit}" for number in ahead_first(numbers)]
    return listed(said, "or")


def ahead_first(numbers: Iterable[int]) -> list[int]:
    """Sort places: those that count from the end come after the others."""
    return sorted(numbers, key=lambda number: (number < 0, number))


def in_months(numbers: Sequence[int]) -> str:
    """Say in which months; nothing, if it is all of them or none is named."""
    if len(numbers) in {0, 12}:
        return ""
    rows = _rows(numbers)
    if all(len(row) < 3 for row in rows):
        return f"in {_spans(numbers, _month)}"
    return listed([f"{'from' if len(row) > 2 else 'in'} {_spans(row, _month)}" for row in rows])


def of_months(numbers: Sequence[int]) -> str:
    """Say of which months something is."""
    if 0 < len(numbers) < 12 and all(len(row) < 3 for row in _rows(numbers)):
        return f"of every {_spans(numbers, _month)}"
    return joined("of every month", in_months(numbers), by=" ")


def _month(number: int) -> str:
    return MONTHS[number - 1]


# --- times of day -----------------------------------------------------------------------------------------------------


def times_of_day(clock: ClockTimes) -> str:
    """Say times of day: up to `MOST_TIMES` one by one, more of them as steps."""
    if len(clock) <= MOST_TIMES:
        return f"at {listed([time_of_day(clock[place]) for place in range(len(clock))])}"
    if len(clock.seconds) == 1:
        return joined(_minutes(clock.minutes, clock.hours), at_second(clock))
    every_hour, every_minute = len(clock.hours) == 24, len(clock.minutes) == 60
    hours = "every hour" if every_hour else several("hour", clock.hours)
    minutes = "every minute" if every_minute else several("minute", clock.minutes)
    return _steps("second", clock.seconds, "minute", "" if every_hour and every_minute else f"{minutes} of {hours}")


def goes_on_all_day(clock: ClockTimes) -> bool:
    """Say whether there are times in every hour, and more than are listed."""
    return len(clock.hours) == 24 and len(clock) > MOST_TIMES


def at_second(clock: ClockTimes) -> str:
    """Say at which seconds of the minute; nothing, if it is the first alone."""
    if len(clock.seconds) > 1:
        return f"at {several('second', clock.seconds)}"
    exact = _number(clock.seconds[0], clock.fraction)
    return "" if exact == "0" else f"at second {exact}"


def at_minute(clock: ClockTimes) -> str:
    """Say at which minutes of the hour and seconds of the minute; nothing, if it is the first alone."""
    minutes = "" if clock.minutes == (0,) else f"at {several('minute', clock.minutes)}"
    return joined(minutes, at_second(clock), by=" ")


def _minutes(minutes: Sequence[int], hours: Sequence[int]) -> str:
    """Say which minutes of which hours: from the first to the last, if they come in a few stretches."""
    if len(hours) == 24:
        return _steps("minute", minutes, "hour")
    step = 60 if len(minutes) == 1 else _step(minutes)
    goes_on = step == minutes[0] + 60 - minutes[-1]
    stretches = _rows(hours) if goes_on else [[hour] for hour in hours]
    if step and len(stretches) <= _MOST_STRETCHES:
        return f"{_each(step)} {listed([_from_to(row[0], row[-1], minutes) for row in stretches])}"
    if len(minutes) == 1 and (step := _step(hours)):
        return f"{each(step, 'hour')} {_from_to(hours[0], hours[-1], minutes)}"
    return _steps("minute", minutes, "hour", several("hour", hours))


_MOST_STRETCHES = 3
"""How many stretches of the day are listed."""


def _each(minutes: int) -> str:
    return "every hour" if minutes == 60 else each(minutes, "minute")


def _from_to(first: int, last: int, minutes: Sequence[int]) -> str:
    begin, end = first * HOUR + minutes[0] * MINUTE, last * HOUR + minutes[-1] * MINUTE
    return f"from {time_of_day(begin)} to {time_of_day(end)}"


def _steps(unit: str, numbers: Sequence[int], whole: str, of: str = "") -> str:
    """Say which minutes of hours, or seconds of minutes: of all, or of those that `of` says."""
    step = 60 if len(numbers) == 1 else _step(numbers)
    if step and numbers[0] == 0 and numbers[-1] + step == 60 and (step < 60 or not of):
        return joined(each(1, whole) if step == 60 else each(step, unit), of and f"of {of}", by=" ")
    return f"at {several(unit, numbers)} of {of or f'every {whole}'}"
