"""When a job fires: the triggers `Once` and `Recurring`, and the rules that a recurring one follows.

A trigger is a value. It knows its fire times by arithmetic alone (`first`, then `next_fire_time` after any moment), so
nothing has to be counted or remembered, and the same trigger gives the same times on every node. All moments are aware
datetimes in UTC; civil time (days and months in a time zone) exists only below this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Annotated, Any, assert_never, cast
from uuid import UUID

from pydantic import ConfigDict, Field, with_config
from pydantic.alias_generators import to_camel

from mainspring.schedule.civil import (
    DstGap,
    DstOverlap,
    OnCalendar,
    Rule,
    Series,
    Steps,
    Union,
    from_datetime,
    local_time,
    merged,
    span_at,
    to_datetime,
)
from mainspring.schedule.rules.cron import compile_cron, settle
from mainspring.schedule.rules.every import EveryDays, MixedSteps
from mainspring.schedule.rules.rrule import compile_rrule
from mainspring.schedule.text import (
    MICROSECOND,
    Duration,
    Period,
    format_duration,
    format_time,
    parse_duration,
    parse_period,
    parse_when,
)

GRACE = timedelta(minutes=1)
"""How late an occurrence may start under the misfire policy `SKIP` where the schedule does not say."""


# --- rules ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Every:
    """Fires at the start and then each `period`.

    Months and days are counted on the calendar (a backup at 03:00 stays at 03:00 when the clocks change), the exact
    part in real time.
    """

    period: Period


@dataclass(frozen=True, slots=True)
class Cron:
    """Fires at the civil times that a cron expression names. See `rules.cron` for what is understood."""

    expression: str


@dataclass(frozen=True, slots=True)
class RRule:
    """Fires at the civil times that a rule of RFC 5545 names, counted from the start; without its COUNT and UNTIL."""

    text: str


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Fires whenever one of several rules does; once, if two do."""

    rules: tuple[Every | Cron | RRule, ...]


# --- what to do when something is in the way --------------------------------------------------------------------------


class MisfirePolicy(StrEnum):
    """What becomes of occurrences that could not start in time."""

    FIRE_NOW = "fireNow"
    """The pending one starts late; those missed besides are covered by it."""
    SKIP = "skip"
    """What is later than the grace does not start."""
    FIRE_ALL = "fireAll"
    """Each starts late, one after the other: at most `Misfire.cap` of them, `Misfire.spacing` apart."""


_ON_THE_WIRE = with_config(ConfigDict(alias_generator=to_camel, extra="forbid"))
_A_WEEK = Field(ge=timedelta(), le=timedelta(days=7))


@_ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class Misfire:
    """A misfire policy, and for `FIRE_ALL` how many to catch up with, and how far apart they start."""

    policy: MisfirePolicy = MisfirePolicy.FIRE_NOW
    cap: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 100
    spacing: Annotated[Duration, _A_WEEK] = timedelta(seconds=1)


class Overlap(StrEnum):
    """What becomes of occurrences that come while the job still runs."""

    QUEUE = "queue"
    """The first of them starts when the run ends; it covers those after it."""
    SKIP = "skip"
    ALLOW = "allow"
    CANCEL_PREVIOUS = "cancelPrevious"


class Days(StrEnum):
    """How a schedule uses the times that a calendar names."""

    EXCLUDE = "exclude"
    INCLUDE = "include"


class Blackout(StrEnum):
    """What becomes of an occurrence at a time that the calendar rules out."""

    SKIP = "skip"
    POSTPONE = "postpone"
    """It starts when the time that is ruled out ends, spread over `CalendarUse.spread`."""


CALENDAR_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""What a calendar may be called."""


@_ON_THE_WIRE
@dataclass(frozen=True, slots=True)
class CalendarUse:
    """Which calendar a schedule keeps to, and how."""

    name: Annotated[str, Field(pattern=f"^{CALENDAR_NAME}$")]
    days: Days = Days.EXCLUDE
    blackout: Blackout = Blackout.SKIP
    spread: Annotated[Duration, _A_WEEK] = timedelta(minutes=5)


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

    def due_at(self, fire_time: datetime, _job_id: UUID) -> datetime:
        """Return when the occurrence of a fire time may start: then."""
        return fire_time

    def starting(self, moment: datetime, _gone: datetime) -> Once:
        """Return this trigger moved to `moment`."""
        return Once(moment)

    def for_job(self, _job_id: UUID) -> Once:
        """Return this trigger as a job has it."""
        return self


@dataclass(frozen=True, slots=True)
class Recurring:
    """Fires when its rule says, from `start` to `end` (both included), at most `count` times.

    `start_fires` makes the start a fire time of its own, though the rule may not name it; with `Every` it always is
    one. Rules in days and times of day follow the clocks of `time_zone`. What becomes of civil times that a change of
    the clocks skips or repeats, `dst_gap` and `dst_overlap` decide. If left open, a rule that names the hours keeps to
    them (`NEXT_VALID`, `FIRST`), and one that fires in every hour goes on in real time (`SKIP`, `BOTH`). A period of
    days and hours takes the first valid moment of its days, whatever they say.

    An occurrence may start at its fire time, or as much later as `due_at` says: by a part of `window` that is the job's
    own, and by up to `jitter`, different each time.
    """

    rule: Every | Cron | RRule | AnyOf
    start: datetime
    count: int | None = None
    end: datetime | None = None
    time_zone: str = "UTC"
    start_fires: bool = False
    dst_gap: DstGap | None = None
    dst_overlap: DstOverlap | None = None
    jitter: timedelta = timedelta()
    window: timedelta = timedelta()
    misfire: Misfire = Misfire()
    grace: timedelta | None = None
    overlap: Overlap = Overlap.QUEUE
    calendar: CalendarUse | None = None
    _made: Series | None = field(default=None, init=False, repr=False, compare=False)
    """The series, once it was asked for: making it anew took a fifth of the time to the next fire time."""

    @property
    def first(self) -> datetime:
        """The first fire time. Raises `ValueError` for a schedule that has none: no job has such a one."""
        first = self.next_fire_time(self.start - MICROSECOND)
        if first is None:
            raise ValueError("the schedule never fires")
        return first

    def next_fire_time(self, after: datetime) -> datetime | None:
        """Return the first fire time later than `after`, or `None` when there is none (within forty years)."""
        if after < self.start and self._opens:
            return self.start
        try:
            return self._next(self._series(), after)
        except (OverflowError, ValueError):
            return None  # beyond the year 9999

    def fire_times(self, low: datetime, high: datetime) -> Iterator[datetime]:
        """Yield the fire times from `low` to `high`, both included."""
        fire_time = self.next_fire_time(low - MICROSECOND)
        with suppress(OverflowError, ValueError):  # beyond the year 9999
            series = self._series()
            while fire_time is not None and fire_time <= high:
                yield fire_time
                fire_time = self._next(series, fire_time)

    def number(self, low: datetime, high: datetime) -> int:
        """Count the fire times from `low` to `high`, both included, without going through them."""
        series, first = self._series(), from_datetime(low)
        number = self._between(series, first, from_datetime(high))
        if self.count is None or not number:
            return number
        return min(number, max(0, self.count - self._between(series, from_datetime(self.start), first - 1)))

    def nth(self, low: datetime, number: int) -> datetime | None:
        """Return the fire time that has `number` others before it from `low` on."""
        moment, start = from_datetime(low), from_datetime(self.start)
        if self._opens and moment <= start:
            if number == 0:
                return self.start
            number -= 1
        found = self._series().nth(max(moment, start + self._opens), number)
        return None if found is None else self.next_fire_time(to_datetime(found - 1))

    def last(self, low: datetime, high: datetime) -> datetime | None:
        """Return the last fire time from `low` to `high`, both included."""
        if self.count is not None:
            number = self.number(low, high)
            return self.nth(low, number - 1) if number else None
        first, start, end = from_datetime(low), from_datetime(self.start), from_datetime(high)
        opens = self._opens and first <= start <= end
        if self.end is not None:
            end = min(end, from_datetime(self.end))
        found = self._series().last(max(first, start + self._opens), end + 1)
        return to_datetime(found) if found is not None else self.start if opens else None

    def due_at(self, fire_time: datetime, job_id: UUID) -> datetime:
        """Return when the occurrence of a fire time may start, for this job."""
        if not self.window and not self.jitter:
            return fire_time
        return fire_time + self.window * spread(job_id) + self.jitter * _chance(job_id, fire_time.isoformat())

    def starting(self, moment: datetime, gone: datetime) -> Recurring:
        """Return this trigger begun anew at `moment`, less the fire times up to and including `gone`."""
        count = self.count and max(1, self.count - self.number(self.start, gone))
        return replace(self, start=moment, count=count, start_fires=not isinstance(self.rule, Every))

    def for_job(self, job_id: UUID) -> Recurring:
        """Return this trigger as a job has it: with a number for each ``H`` of its cron expressions."""
        match self.rule:
            case Cron():
                return replace(self, rule=_settled(self.rule, job_id))
            case AnyOf(rules):
                settled = (_settled(rule, job_id) if isinstance(rule, Cron) else rule for rule in rules)
                return replace(self, rule=AnyOf(tuple(settled)))
            case _:
                return self

    def dst_note(self, fire_time: datetime) -> str | None:
        """Say what a change of the clocks has to do with a fire time, if it has."""
        series = self._series()
        members = series.members if isinstance(series, Union) else (series,)
        moment = from_datetime(fire_time)
        notes = (each.note(moment) for each in members if isinstance(each, OnCalendar))
        return next(filter(None, notes), None)

    @property
    def latest(self) -> timedelta | None:
        """How late an occurrence may start; `None` if it may start however late."""
        return GRACE if self.grace is None and self.misfire.policy is MisfirePolicy.SKIP else self.grace

    @property
    def may_miss(self) -> bool:
        """Whether an occurrence may come too late to start, or its calendar may have changed since it was planned."""
        return self.latest is not None or self.misfire.policy is MisfirePolicy.FIRE_ALL or self.calendar is not None

    @property
    def is_countable(self) -> bool:
        """Whether a `count` can be kept: not for rules that must be gone through one by one to see where they meet."""
        return not isinstance(self._series(), Union)

    @property
    def _opens(self) -> bool:
        return self.start_fires or isinstance(self.rule, Every)

    def _next(self, series: Series, after: datetime) -> datetime | None:
        start = from_datetime(self.start)
        found = series.after(max(from_datetime(after), start - 1))
        if found is None or (self.count is not None and self._between(series, start, found) > self.count):
            return None
        fire_time = to_datetime(found)
        return None if self.end is not None and fire_time > self.end else fire_time

    def _between(self, series: Series, low: int, high: int) -> int:
        """Count the fire times from `low` to `high`, both included, as if there were no `count`."""
        start, opens = from_datetime(self.start), self._opens
        low = max(low, start)
        if self.end is not None:
            end = from_datetime(self.end)
            high = min(high, max(end, start) if opens else end)
        opening = opens and low == start <= high
        return opening + series.number(max(low, start + opens), high + 1)

    def _series(self) -> Series:
        if self._made is None:
            object.__setattr__(self, "_made", self._make_series())
        return cast("Series", self._made)

    def _make_series(self) -> Series:
        if not isinstance(self.rule, AnyOf):
            return self._series_of(self.rule)
        members = [self._series_of(rule) for rule in self.rule.rules]
        alike: dict[tuple[DstGap, DstOverlap], list[Rule]] = {}
        for member in members:
            if isinstance(member, OnCalendar):
                alike.setdefault((member.gap, member.overlap), []).append(member.rule)
        together = [OnCalendar(merged(tuple(rules)), self.time_zone, *policies) for policies, rules in alike.items()]
        members = [*together, *(member for member in members if not isinstance(member, OnCalendar))]
        return members[0] if len(members) == 1 else Union(tuple(members))

    def _series_of(self, rule: Every | Cron | RRule) -> Series:
        match rule:
            case Every(period):
                start = from_datetime(self.start)
                if not period.months and not period.days:
                    return Steps(start, period.exact // MICROSECOND)
                anchor = start + span_at(self.time_zone, start).offset
                if period.exact:
                    return MixedSteps(period, start, anchor, self.time_zone)
                return self._on_calendar(EveryDays(period, anchor))
            case Cron(expression):
                return self._on_calendar(compile_cron(expression))
            case RRule(text):
                return self._on_calendar(compile_rrule(text, local_time(self.start, self.time_zone)))
            case _:
                assert_never(rule)

    def _on_calendar(self, rule: Rule) -> OnCalendar:
        gap, overlap = (DstGap.SKIP, DstOverlap.BOTH) if rule.hourly else (DstGap.NEXT_VALID, DstOverlap.FIRST)
        return OnCalendar(rule, self.time_zone, self.dst_gap or gap, self.dst_overlap or overlap)


Trigger = Once | Recurring
"""The closed union of all triggers."""


def spread(job_id: UUID) -> float:
    """Return the place of a job among all jobs, from 0 to below 1: the end of its id, which is dealt out evenly."""
    return (job_id.int & 0xFFFFFFFF) / 2**32


def _chance(job_id: UUID, of: str) -> float:
    """Return a number from 0 to below 1 that looks drawn by chance, and is always the same."""
    return int.from_bytes(_hash(job_id, of)[:6]) / 2**48


def _hash(job_id: UUID, of: str) -> bytes:
    return blake2b(of.encode(), key=job_id.bytes, digest_size=8).digest()


def _settled(cron: Cron, job_id: UUID) -> Cron:
    return Cron(settle(cron.expression, lambda field: int.from_bytes(_hash(job_id, field))))


def realigned(trigger: Trigger, fire_time: datetime) -> datetime | None:
    """Return where a stored fire time is today, if a change of the zone's rules has moved it.

    That is the nearest fire time within a day and two hours; without one, the next. The fire time itself, if it still
    is one.
    """
    if isinstance(trigger, Once) or trigger.next_fire_time(fire_time - MICROSECOND) == fire_time:
        return fire_time
    near = timedelta(hours=26)
    following = trigger.next_fire_time(fire_time)
    earlier = None
    if number := trigger.number(fire_time - near, fire_time):
        earlier = trigger.nth(fire_time - near, number - 1)
    if earlier is None or (following is not None and following - fire_time < fire_time - earlier):
        return following
    return earlier


# --- to and from JSON -------------------------------------------------------------------------------------------------


def trigger_to_json(trigger: Trigger) -> dict[str, Any]:
    """Write a trigger as a JSON object that names no code: `trigger_from_json` reads it back."""
    if isinstance(trigger, Once):
        return {"at": format_time(trigger.at)}
    written: dict[str, Any] = rule_to_json(trigger.rule)
    written |= {"start": format_time(trigger.start), "timeZone": trigger.time_zone}
    optional: dict[str, Any] = {
        "startFires": trigger.start_fires or None,
        "count": trigger.count,
        "end": trigger.end and format_time(trigger.end),
        "dstGap": trigger.dst_gap,
        "dstOverlap": trigger.dst_overlap,
        "jitter": _some(trigger.jitter),
        "window": _some(trigger.window),
        "misfire": None if trigger.misfire == Misfire() else _misfire_to_json(trigger.misfire),
        "grace": None if trigger.grace is None else format_duration(trigger.grace),
        "overlap": None if trigger.overlap is Overlap.QUEUE else trigger.overlap,
        "calendar": trigger.calendar and _calendar_to_json(trigger.calendar),
    }
    return written | {name: value for name, value in optional.items() if value is not None}


def rule_to_json(rule: Every | Cron | RRule | AnyOf) -> dict[str, Any]:
    """Write a rule as the one member of a JSON object."""
    match rule:
        case Every(period):
            return {"every": str(period)}
        case Cron(expression):
            return {"cron": expression}
        case RRule(text):
            return {"rrule": text}
        case AnyOf(rules):
            return {"anyOf": [rule_to_json(each) for each in rules]}
        case _:
            assert_never(rule)


def trigger_from_json(data: Mapping[str, Any]) -> Trigger:
    """Read what `trigger_to_json` wrote."""
    if "at" in data:
        return Once(parse_when(data["at"]))
    end, grace = data.get("end"), data.get("grace")
    trigger = Recurring(
        rule=_rule_from_json(data),
        start=parse_when(data["start"]),
        count=data.get("count"),
        end=end and parse_when(end),
        time_zone=data["timeZone"],
        start_fires=data.get("startFires", False),
    )
    if data.keys() <= _PLAIN:
        return trigger
    gap, overlap = data.get("dstGap"), data.get("dstOverlap")
    return replace(
        trigger,
        dst_gap=gap and DstGap(gap),
        dst_overlap=overlap and DstOverlap(overlap),
        jitter=parse_duration(data.get("jitter", "PT0S")),
        window=parse_duration(data.get("window", "PT0S")),
        misfire=_misfire_from_json(data.get("misfire", {})),
        grace=None if grace is None else parse_duration(grace),
        overlap=Overlap(data.get("overlap", Overlap.QUEUE)),
        calendar=_calendar_from_json(data["calendar"]) if "calendar" in data else None,
    )


_PLAIN = frozenset({"every", "cron", "rrule", "anyOf", "start", "count", "end", "timeZone", "startFires"})


def _rule_from_json(data: Mapping[str, Any]) -> Every | Cron | RRule | AnyOf:
    if "anyOf" in data:
        return AnyOf(tuple(_single_rule_from_json(each) for each in data["anyOf"]))
    return _single_rule_from_json(data)


def _single_rule_from_json(data: Mapping[str, Any]) -> Every | Cron | RRule:
    if "cron" in data:
        return Cron(data["cron"])
    return RRule(data["rrule"]) if "rrule" in data else Every(parse_period(data["every"]))


def _some(duration: timedelta) -> str | None:
    return format_duration(duration) if duration else None


def _misfire_to_json(misfire: Misfire) -> str | dict[str, Any]:
    if misfire == Misfire(misfire.policy):
        return misfire.policy
    return {"policy": misfire.policy, "cap": misfire.cap, "spacing": format_duration(misfire.spacing)}


def _misfire_from_json(data: str | Mapping[str, Any]) -> Misfire:
    if isinstance(data, str):
        return Misfire(MisfirePolicy(data))
    if not data:
        return Misfire()
    return Misfire(MisfirePolicy(data["policy"]), data["cap"], parse_duration(data["spacing"]))


def _calendar_to_json(use: CalendarUse) -> str | dict[str, Any]:
    if use == CalendarUse(use.name):
        return use.name
    return {"name": use.name, "days": use.days, "blackout": use.blackout, "spread": format_duration(use.spread)}


def _calendar_from_json(data: str | Mapping[str, Any]) -> CalendarUse:
    if isinstance(data, str):
        return CalendarUse(data)
    return CalendarUse(data["name"], Days(data["days"]), Blackout(data["blackout"]), parse_duration(data["spread"]))
