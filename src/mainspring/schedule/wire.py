"""What `schedule` is on the wire, and the reading of it into a trigger, with every fault at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from mainspring.errors import Problem
from mainspring.schedule.civil import SECOND, ClockTimes, DstGap, DstOverlap, from_civil, moment_of, to_datetime
from mainspring.schedule.rules.cron import compile_cron
from mainspring.schedule.rules.rrule import Reading, compile_rrule, parse_rrule
from mainspring.schedule.text import (
    FLOOR,
    HORIZON,
    MICROSECOND,
    OLDEST,
    CalendarPeriod,
    Duration,
    Period,
    TimeZone,
    When,
    format_time,
    text_reader,
)
from mainspring.schedule.trigger import (
    AnyOf,
    CalendarUse,
    Cron,
    Every,
    Misfire,
    MisfirePolicy,
    Overlap,
    Recurring,
    RRule,
)

KINDS = ("every", "cron", "rrule", "anyOf")
"""The members of a schedule that say how it repeats: it has one of them."""
MOST_RULES = 10
"""How many rules may be combined."""
MOST_TIMES = 10_000
"""How many times a day combined rules may name."""


def _read_cron(text: str) -> Cron:
    compile_cron(text)
    return Cron(text)


def _named(kind: str) -> BeforeValidator:
    """Make a validator that takes text for an object which has but that member."""
    return BeforeValidator(lambda value: {kind: value} if isinstance(value, str) else value)


CronText = Annotated[
    Cron,
    text_reader(_read_cron, Cron, "INVALID_CRON"),
    PlainSerializer(lambda cron: cron.expression, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["0 3 * * *"]}),
]
RRuleText = Annotated[
    Reading,
    text_reader(parse_rrule, Reading, "INVALID_RRULE"),
    PlainSerializer(lambda reading: reading.text, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["FREQ=MONTHLY;BYDAY=-1FR"]}),
]
_A_WEEK = Field(ge=timedelta(), le=timedelta(days=7))


class RuleOnTheWire(BaseModel):
    """One way of repeating: `every` so often, at the times of a `cron` expression, or by an `rrule` (RFC 5545)."""

    model_config: ClassVar[ConfigDict] = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    every: CalendarPeriod | None = None
    cron: CronText | None = None
    rrule: RRuleText | None = None


class Schedule(RuleOnTheWire):
    """A recurring schedule: one of `every`, `cron`, `rrule` and `anyOf`, from `start` on.

    The start is by default the request's `when`, else the moment of creation.
    """

    any_of: Annotated[tuple[RuleOnTheWire, ...], Field(min_length=1, max_length=MOST_RULES)] | None = None
    time_zone: TimeZone = "UTC"
    start: When | None = None
    start_fires: Annotated[bool, Field(strict=True)] = False
    end: When | None = None
    count: Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)] | None = None
    dst_gap: DstGap | None = None
    dst_overlap: DstOverlap | None = None
    jitter: Annotated[Duration, _A_WEEK] | None = None
    window: Annotated[Duration, _A_WEEK] | None = None
    misfire: Annotated[Misfire, _named("policy")] | None = None
    grace: Annotated[Duration, Field(ge=timedelta())] | None = None
    overlap: Overlap = Overlap.QUEUE
    calendar: Annotated[CalendarUse, _named("name")] | None = None


def to_trigger(schedule: Schedule, when: datetime | None, now: datetime) -> Recurring:
    """Return the trigger of a schedule that has one kind of rule; with `when` that is the first fire time."""
    rules = schedule.any_of or (schedule,)
    rule = AnyOf(tuple(map(_rule, rules))) if schedule.any_of else _rule(schedule)
    count, until = (schedule.rrule.count, schedule.rrule.until) if schedule.rrule else (None, None)
    return Recurring(
        rule=rule,
        start=when or schedule.start or (_whole_second(now) if any(each.rrule for each in rules) else now),
        count=schedule.count or count,
        end=schedule.end or (until and _moment(until, schedule.time_zone)),
        time_zone=schedule.time_zone,
        start_fires=not isinstance(rule, Every) and (schedule.start_fires or when is not None),
        dst_gap=schedule.dst_gap,
        dst_overlap=schedule.dst_overlap,
        jitter=schedule.jitter or timedelta(),
        window=schedule.window or timedelta(),
        misfire=schedule.misfire or Misfire(),
        grace=schedule.grace,
        overlap=schedule.overlap,
        calendar=schedule.calendar,
    )


def _rule(rule: RuleOnTheWire) -> Every | Cron | RRule:
    if rule.cron:
        return rule.cron
    return RRule(rule.rrule.text) if rule.rrule else Every(rule.every or Period())


def _whole_second(moment: datetime) -> datetime:
    """Round up: the times of an RRULE have no fraction, and none may be before the start."""
    return (moment + timedelta(seconds=1) - MICROSECOND).replace(microsecond=0)


def _moment(until: datetime, zone: str) -> datetime:
    if until.tzinfo is not None:
        return until
    return to_datetime(moment_of(from_civil(until), zone))


# --- all problems at once ---------------------------------------------------------------------------------------------


def kind_problems(sent: object) -> Iterator[Problem]:
    """Check that a schedule, as it was sent, says in one way how it repeats, and so each rule of `anyOf`."""
    if not isinstance(sent, Mapping):
        return
    yield from _one_of(sent, KINDS, "/schedule")
    members = sent.get("anyOf")
    for index, member in enumerate(members[:MOST_RULES] if isinstance(members, list) else ()):
        if isinstance(member, Mapping):
            yield from _one_of(member, KINDS[:-1], f"/schedule/anyOf/{index}")


def _one_of(sent: Mapping[str, Any], kinds: tuple[str, ...], pointer: str) -> Iterator[Problem]:
    present = [kind for kind in kinds if sent.get(kind) is not None]
    if not present:
        others = " or ".join(kinds[1:])
        yield Problem(f"{pointer}/every", "REQD_FIELD_MISSING", f"is required: how the job repeats; or else {others}")
    for kind in present[1:]:
        yield Problem(f"{pointer}/{kind}", "SCHEDULE_CONFLICT", f"and {present[0]} both say how to repeat; send one")


def schedule_problems(
    schedule: Schedule, when: datetime | None, now: datetime, calendars: Collection[str]
) -> Iterator[Problem]:
    """Check a schedule whose members are right by themselves; `calendars` are the names that it may use."""
    kinds = [kind for kind in (schedule.every, schedule.cron, schedule.rrule, schedule.any_of) if kind is not None]
    if schedule.start is not None and schedule.start > now + HORIZON:
        limit = format_time(now + HORIZON)
        yield Problem("/schedule/start", "WHEN_TOO_FAR", f"is more than ten years ahead (the limit is {limit})")
    if when is None:
        yield from too_old("/schedule/start", schedule.start, now)
    if schedule.calendar is not None and schedule.calendar.name not in calendars:
        yield Problem("/schedule/calendar", "CALENDAR_UNKNOWN", f"there is no calendar {schedule.calendar.name}")
    if len(kinds) != 1 or any(too_old("", when or schedule.start, now)):
        return
    trigger = to_trigger(schedule, when, now)
    found = [*_rule_problems(schedule, trigger), *_conflicts(schedule, trigger)]
    yield from found or _never(schedule, trigger)


def too_old(pointer: str, start: datetime | None, now: datetime) -> Iterator[Problem]:
    """Check that a recurring job does not begin long ago."""
    if start is not None and start < now - OLDEST:
        limit = format_time(now - OLDEST)
        yield Problem(pointer, "WHEN_TOO_OLD", f"is more than thirty years back (the limit is {limit})")


def _rule_problems(schedule: Schedule, trigger: Recurring) -> Iterator[Problem]:
    """Check each rule by itself, and then what they are together."""
    combined = isinstance(trigger.rule, AnyOf)
    rules = trigger.rule.rules if isinstance(trigger.rule, AnyOf) else (trigger.rule,)
    for index, rule in enumerate(rules):
        pointer = f"/schedule/anyOf/{index}" if combined else "/schedule"
        yield from _too_frequent(rule, trigger, pointer, FLOOR if not combined else timedelta(minutes=1))
    for index, member in enumerate(schedule.any_of or ()):
        if member.rrule and (member.rrule.count or member.rrule.until):
            detail = "has a COUNT or UNTIL of its own; the schedule's count and end hold for all rules"
            yield Problem(f"/schedule/anyOf/{index}/rrule", "SCHEDULE_CONFLICT", detail)
    if combined and _crowd(rules, trigger):
        detail = f"must not name more than {MOST_TIMES} times a day, nor two that are a second apart"
        yield Problem("/schedule/anyOf", "SCHEDULE_TOO_FREQUENT", detail)


def _too_frequent(rule: Every | Cron | RRule, trigger: Recurring, pointer: str, floor: timedelta) -> Iterator[Problem]:
    if isinstance(rule, Every):
        if rule.period.approximate < floor:
            least = "one minute, combined with other rules" if floor > FLOOR else "one second"
            yield Problem(f"{pointer}/every", "SCHEDULE_TOO_FREQUENT", f"must be at least {least}")
    elif _clock(rule, trigger).crowded:
        kind, code = ("cron", "CRON_TOO_FREQUENT") if isinstance(rule, Cron) else ("rrule", "SCHEDULE_TOO_FREQUENT")
        yield Problem(f"{pointer}/{kind}", code, "has fire times that are a second apart; every with PT1S says that")


def _crowd(rules: tuple[Every | Cron | RRule, ...], trigger: Recurring) -> bool:
    clocks = [_clock(rule, trigger) for rule in rules if not isinstance(rule, Every)]
    if sum(map(len, clocks)) > MOST_TIMES:
        return True
    times = sorted({clock[place] for clock in clocks for place in range(len(clock))})
    return any(right - left <= SECOND for left, right in pairwise(times))


def _clock(rule: Cron | RRule, trigger: Recurring) -> ClockTimes:
    if isinstance(rule, Cron):
        return compile_cron(rule.expression).clock
    return compile_rrule(rule.text, trigger.start.replace(tzinfo=None)).clock


def _conflicts(schedule: Schedule, trigger: Recurring) -> Iterator[Problem]:
    """Find members that contradict each other; the pointer is that of the one to leave out."""

    def conflict(name: str, detail: str) -> Problem:
        return Problem(f"/schedule/{name}", "SCHEDULE_CONFLICT", detail)

    if schedule.rrule and schedule.rrule.count and schedule.count:
        yield conflict("count", "is also said by the COUNT of the rrule; send one of them")
    if schedule.rrule and schedule.rrule.until and schedule.end:
        yield conflict("end", "is also said by the UNTIL of the rrule; send one of them")
    if schedule.jitter and schedule.window:
        yield conflict("jitter", "and window both move the start; send one of them")
    if trigger.misfire.policy is MisfirePolicy.FIRE_ALL and trigger.overlap in {Overlap.SKIP, Overlap.CANCEL_PREVIOUS}:
        yield conflict("overlap", "drops occurrences, and the misfire policy fireAll wants every one of them")
    if schedule.every and schedule.every.exact and (schedule.every.months or schedule.every.days):
        for name in ("dst_gap", "dst_overlap"):
            if getattr(schedule, name):
                yield conflict(to_camel(name), "cannot be chosen for a period of both days and hours")
    if trigger.count and not trigger.is_countable:
        yield conflict("count", "cannot be kept for this mix of rules; send an end")


def _never(schedule: Schedule, trigger: Recurring) -> Iterator[Problem]:
    """Check that there are fire times, and one before the end."""
    endless = replace(trigger, end=None, count=None)
    if replace(endless, start_fires=False).next_fire_time(trigger.start - MICROSECOND) is None:
        match trigger.rule:
            case Cron():
                yield Problem("/schedule/cron", "CRON_NEVER", "never fires: there is no such day")
            case RRule():
                yield Problem("/schedule/rrule", "RRULE_NEVER", "never fires: there is no such day or time")
            case _:
                yield Problem("/schedule", "SCHEDULE_NEVER", "never fires")
    elif trigger.end is not None and endless.first > trigger.end:
        pointer = "/schedule/end" if schedule.end else "/schedule/rrule"
        yield Problem(pointer, "SCHEDULE_NEVER", "is before the first fire time")
