"""References for fire times that know nothing of ours, and comparisons with them: short in `unit`, long in `long`."""

import random  # noqa: TID251 - drawn from a seed, always the same
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo, reset_tzpath

from croniter import CroniterBadDateError, croniter
from cronsim import CronSim
from dateutil.rrule import rrulestr

from mainspring.schedule import Recurring
from mainspring.schedule.rules import Cron, RRule
from mainspring.schedule.zones import DstGap, DstOverlap

reset_tzpath(())  # the rules of the zones are those of the tzdata package, here as there
MICROSECOND = timedelta(microseconds=1)
QUARTER = timedelta(minutes=15)


def walk(trigger: Recurring, low: datetime, high: datetime) -> list[datetime]:
    """List the fire times from `low` to `high`, as a node walks through them."""
    return list(trigger.fire_times(low, high))


# --- zones


@cache
def transitions(zone: ZoneInfo, first_year: int, last_year: int) -> tuple[datetime, ...]:
    """Find the moments at which a zone's offset changes, by looking at each day and halving."""
    found = []
    moment, end = datetime(first_year, 1, 1, tzinfo=UTC), datetime(last_year + 1, 1, 1, tzinfo=UTC)
    while moment < end:
        following = moment + timedelta(days=1)
        if _offset(moment, zone) != _offset(following, zone):
            found.append(_change(moment, following, zone))
        moment = following
    return tuple(found)


def _change(before: datetime, beyond: datetime, zone: ZoneInfo) -> datetime:
    offset = _offset(before, zone)
    while beyond - before > MICROSECOND:
        middle = before + (beyond - before) // 2
        before, beyond = (middle, beyond) if _offset(middle, zone) == offset else (before, middle)
    return beyond


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def moments_of(civil: datetime, zone: ZoneInfo, gap: DstGap, overlap: DstOverlap) -> set[datetime]:
    """Answer the moments that a civil time becomes, by the standard library's idea of fold (PEP 495)."""
    both = [civil.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    real = sorted({moment for moment in both if moment.astimezone(zone).replace(tzinfo=None) == civil})
    if not real:
        by_offset_before, by_offset_after = both
        if gap is DstGap.NEXT_VALID:
            return {_change(by_offset_after, by_offset_before, zone)}
        return {by_offset_before} if gap is DstGap.SHIFT else set()
    return {
        DstOverlap.FIRST: {real[0]},
        DstOverlap.SECOND: {real[-1]},
        DstOverlap.BOTH: set(real),
    }[overlap]


def check_transition(name: str, transition: datetime, expression: str, gap: DstGap, overlap: DstOverlap) -> None:
    """Assert that the fire times around a change of the clocks are those of the reference, each once, and counted."""
    zone = ZoneInfo(name)
    low, high = transition - timedelta(days=1), transition + timedelta(days=1)
    civil = (low - timedelta(days=1)).replace(tzinfo=None, hour=0, minute=0, second=0)
    last = (high + timedelta(days=1)).replace(tzinfo=None)
    expected: set[datetime] = set()
    for civil_time in takewhile(lambda time: time < last, _matches(expression, civil)):
        expected |= moments_of(civil_time, zone, gap, overlap)
    trigger = Recurring(Cron(expression), low, time_zone=name, dst_gap=gap, dst_overlap=overlap)
    wanted = sorted(moment for moment in expected if low <= moment <= high)
    found = walk(trigger, low, high)
    assert wanted == found, (name, transition, expression, gap, overlap)
    assert len(wanted) == trigger.number(low, high), (name, transition, expression, gap, overlap)


def _matches(expression: str, start: datetime) -> Iterator[datetime]:
    """Yield the civil times of a cron expression by another implementation."""
    yield from CronSim(expression, start - timedelta(seconds=1))


# --- cron


def cron_expressions(seed: int, number: int) -> list[str]:
    """Draw expressions of five fields that all implementations understand.

    Ranges have two values and more: of ``3-3/2`` cronsim makes ``3/2``.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def field(least: int, most: int) -> str:
        low, high = sorted(chance.sample(range(least, most + 1), 2))
        some = ",".join(str(chance.randint(least, most)) for _ in range(chance.randint(2, 4)))
        step = chance.randint(1, max(2, (most - least) // 2))
        return chance.choice(
            ["*", "*", str(low), some, f"{low}-{high}", f"*/{step}", f"{low}-{high}/{chance.randint(1, 5)}"]
        )

    return [
        " ".join([
            field(0, 59),
            field(0, 23),
            chance.choice([field(1, 31), "L", "*", "*"]),
            chance.choice([field(1, 12), "*"]),
            chance.choice([field(0, 6), "5L", "1#2", "*", "*"]),
        ])
        for _ in range(number)
    ]  # fmt: skip


def check_cron(expression: str, start: datetime, end: datetime, limit: int) -> int:
    """Assert that the fire times of an expression in UTC are those that cronsim and croniter have; count them.

    croniter writes the last Friday as ``L5``. Where a field for days begins with a star, it must be told to look at
    both fields as Vixie cron does, which `implement_cron_bug` is for. And it is not asked where days of the month are
    restricted together with ``#`` or ``L``: there it takes both fields for an *and*, against its own rule.
    """
    found = list(islice(Recurring(Cron(expression), start).fire_times(start, end), limit))
    until = end if len(found) < limit else found[-1]
    assert found == _of_cronsim(expression, start, until), expression
    *_, month_day, _, weekday = expression.split()
    if month_day.startswith("*") or weekday == "*" or {"L", "#"}.isdisjoint(month_day + weekday):
        assert found == _of_croniter(expression.replace("5L", "L5"), start, until), expression
    return len(found)


def _of_cronsim(expression: str, start: datetime, end: datetime) -> list[datetime]:
    return list(takewhile(lambda moment: moment <= end, CronSim(expression, start - timedelta(seconds=1))))


def _of_croniter(expression: str, start: datetime, end: datetime) -> list[datetime]:
    moments = croniter(expression, start - timedelta(seconds=1), ret_type=datetime, implement_cron_bug=True)
    found: list[datetime] = []
    try:
        while (moment := moments.get_next()) <= end:
            found.append(moment)
    except CroniterBadDateError:  # it has given up looking for a further one
        pass
    return found


# --- RRULE

_DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
_LONG = ["YEARLY", "MONTHLY"]
_SHORT = ["HOURLY", "MINUTELY"]
_MEMBERS: list[tuple[str, set[str], float, list[object], int]] = [
    ("INTERVAL", {*_LONG, *_SHORT, "WEEKLY", "DAILY"}, 0.5, [2, 3, 4, 5, 7, 10], 1),
    ("BYMONTH", {*_LONG, *_SHORT, "WEEKLY", "DAILY"}, 0.3, [*range(1, 13)], 4),
    ("BYWEEKNO", {"YEARLY"}, 0.2, [*range(1, 54), -1, -2, -20], 4),
    ("BYYEARDAY", {"YEARLY", *_SHORT}, 0.15, [*range(1, 367), -1, -100, -366], 6),
    ("BYMONTHDAY", {*_LONG, *_SHORT, "DAILY"}, 0.3, [*range(1, 32), -1, -2, -31], 5),
    ("BYDAY", {*_LONG, *_SHORT, "WEEKLY", "DAILY"}, 0.25, [*_DAYS], 4),
    ("BYHOUR", {*_LONG, *_SHORT, "WEEKLY", "DAILY"}, 0.3, [*range(24)], 3),
    ("BYMINUTE", {*_LONG, *_SHORT, "WEEKLY", "DAILY"}, 0.2, [*range(60)], 3),
    ("BYSECOND", {*_LONG, "HOURLY", "WEEKLY", "DAILY"}, 0.1, [*range(60)], 2),
    ("WKST", {*_LONG, "WEEKLY"}, 0.3, [*_DAYS], 1),
]
"""What a rule may have: with which frequencies, how likely, which values, how many of them."""


def rules(seed: int, number: int) -> list[tuple[str, datetime]]:
    """Draw rules with the civil times they are counted from.

    Left out is where dateutil differs from RFC 5545: it takes numbered and plain days together for an *and*, lets
    BYSETPOS count from the start within the first week, and does not see that week -52 may be the first of a year and
    begin in the year before. With BYWEEKNO it takes all days of a week that no other member names, and counts INTERVAL
    and BYSETPOS by calendar years; `tests/schedule/rules/test_rrule_weeks.py` has a reference for these.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    return [(_drawn_rule(chance), _CIVIL + timedelta(seconds=chance.randint(0, 86400 * 800))) for _ in range(number)]


_CIVIL = datetime(2026, 1, 1)  # noqa: DTZ001 - it has no zone


def _drawn_rule(chance: random.Random) -> str:
    def some(values: list[object], most: int) -> str:
        return ",".join(map(str, chance.sample(values, chance.randint(1, most))))

    frequency = chance.choice([*_LONG, *_SHORT, "WEEKLY", "DAILY"])
    parts = {"FREQ": frequency} | {
        name: some(values, most)
        for name, frequencies, likely, values, most in _MEMBERS
        if frequency in frequencies and chance.random() < likely
    }
    if "BYWEEKNO" in parts:
        parts.pop("INTERVAL", None)
        if not {"BYDAY", "BYMONTHDAY", "BYYEARDAY"} & parts.keys():
            parts["BYDAY"] = some([*_DAYS], 4)
    elif frequency in _LONG and chance.random() < 0.3:
        parts["BYDAY"] = ",".join(f"{chance.choice([1, 2, 3, 5, -1, -2])}{day}" for day in chance.sample(_DAYS, 2))
    nothing_to_choose = "BYWEEKNO" in parts or not any(name.startswith("BY") for name in parts)
    if frequency in {*_LONG, "DAILY"} and not nothing_to_choose and chance.random() < 0.3:
        parts["BYSETPOS"] = some([1, 2, 3, -1, -2, 10], 2)
    return ";".join(f"{name}={value}" for name, value in parts.items())


def check_rrule(text: str, start: datetime, limit: int) -> int:
    """Assert that the fire times of a rule in UTC, over six years, are those that dateutil has; count them."""
    low = start.replace(tzinfo=UTC)
    found = list(islice(Recurring(RRule(text), low).fire_times(low, low + timedelta(days=2192)), limit))
    if found:  # for a rule that never fires dateutil looks through the years up to 9999
        until = found[-1].replace(tzinfo=None)
        expected = takewhile(lambda moment: moment <= until, rrulestr(text, dtstart=start))
        assert found == [moment.replace(tzinfo=UTC) for moment in expected], (text, start)
    return len(found)
