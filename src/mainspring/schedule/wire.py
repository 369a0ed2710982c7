"""What `schedule` is on the wire, and the reading of it into a trigger, with all problems at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import BeforeValidator, Field

from mainspring.errors import Problem
from mainspring.schedule.civil import from_civil, to_datetime
from mainspring.schedule.rules import RULES, AnyRule
from mainspring.schedule.rules.rule import OnTheWire, Rules, one_kind, sent_rules, wire_model
from mainspring.schedule.text import (
    HORIZON,
    MICROSECOND,
    OLDEST,
    Duration,
    TimeZone,
    UpToAWeek,
    When,
    format_time,
)
from mainspring.schedule.trigger import CalendarUse, Misfire, MisfirePolicy, Overlap, Recurring, Trigger
from mainspring.schedule.zones import DstGap, DstOverlap, moment_of

KINDS = tuple(RULES)
"""The members of a schedule that say how it repeats: it has one of them."""


def _named(kind: str) -> BeforeValidator:
    """Make a validator that takes text for an object which has but that member."""
    return BeforeValidator(lambda value: {kind: value} if isinstance(value, str) else value)


class ScheduleTerms(OnTheWire):
    """All members of a schedule but those that say how it repeats."""

    time_zone: TimeZone = "UTC"
    start: When | None = None
    start_fires: Annotated[bool, Field(strict=True)] = False
    end: When | None = None
    count: Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)] | None = None
    dst_gap: DstGap | None = None
    dst_overlap: DstOverlap | None = None
    jitter: UpToAWeek | None = None
    window: UpToAWeek | None = None
    misfire: Annotated[Misfire, _named("policy")] | None = None
    grace: Annotated[Duration, Field(ge=timedelta())] | None = None
    overlap: Overlap = Overlap.QUEUE
    calendar: Annotated[CalendarUse, _named("name")] | None = None


def schedule_model(rules: Rules) -> type[ScheduleTerms]:
    """Make the model of a schedule that may have a rule of any of these kinds."""
    *kinds, last = (f"`{kind}`" for kind in rules)
    doc = (
        f"A recurring schedule: one of {', '.join(kinds)} and {last}, from `start` on.\n\n"
        "The start is by default the request's `when`, else the moment of creation."
    )
    return cast("type[ScheduleTerms]", wire_model("Schedule", doc, rules, ScheduleTerms))


if TYPE_CHECKING:
    Schedule = ScheduleTerms  # a type checker cannot know the fields that come from the table of rules
else:
    Schedule = schedule_model(RULES)


def to_trigger(schedule: ScheduleTerms, when: datetime | None, now: datetime) -> Recurring:
    """Return the trigger of a schedule that has one kind of rule; with `when` that is the first fire time."""
    return _trigger(schedule, *sent_rules(schedule, RULES)[0], when, now)


def _trigger(
    schedule: ScheduleTerms, kind: type[AnyRule], sent: Any, when: datetime | None, now: datetime
) -> Recurring:
    rule, bounds = kind.from_wire(sent, RULES), kind.bounds(sent)
    return Recurring(
        rule=rule,
        start=when or schedule.start or (_whole_second(now) if rule.has_whole_seconds else now),
        count=schedule.count or bounds.count,
        end=schedule.end or (bounds.until and _moment(bounds.until, schedule.time_zone)),
        time_zone=schedule.time_zone,
        start_fires=not rule.start_is_fire_time and (schedule.start_fires or when is not None),
        dst_gap=schedule.dst_gap,
        dst_overlap=schedule.dst_overlap,
        jitter=schedule.jitter or timedelta(),
        window=schedule.window or timedelta(),
        misfire=schedule.misfire or Misfire(),
        grace=schedule.grace,
        overlap=schedule.overlap,
        calendar=schedule.calendar,
    )


def depends_on_id(trigger: Trigger, sent: object) -> tuple[str, ...]:
    """Name what of a job's trigger follows from the job's id.

    `sent` is the `schedule` that the job was created with, if it was: the trigger has a number already where the
    schedule leaves one to the job.
    """
    if isinstance(trigger, Recurring) and sent is not None:
        kind, value = sent_rules(Schedule.model_validate(sent), RULES)[0]
        trigger = replace(trigger, rule=kind.from_wire(value, RULES))
    return trigger.depends_on_id


def read_otherwise(trigger: Trigger, sent: object) -> tuple[str, ...]:
    """Say what of the `schedule` that a job was created with, if it was, other programs read otherwise."""
    if not isinstance(trigger, Recurring) or sent is None:
        return ()
    kind, value = sent_rules(Schedule.model_validate(sent), RULES)[0]
    return tuple(dict.fromkeys(kind.from_wire(value, RULES).read_otherwise(value, trigger, RULES)))


def _whole_second(moment: datetime) -> datetime:
    """Round up: the times of some rules are counted in whole seconds, and none may be before the start."""
    return (moment + timedelta(seconds=1) - MICROSECOND).replace(microsecond=0)


def _moment(until: datetime, zone: str) -> datetime:
    if until.tzinfo is not None:
        return until
    return to_datetime(moment_of(from_civil(until), zone))


# --- all problems at once ---------------------------------------------------------------------------------------------


def kind_problems(sent: object) -> Iterator[Problem]:
    """Check that a schedule, as it was sent, says in one way how it repeats, and so each rule of a combination."""
    if not isinstance(sent, Mapping):
        return
    yield from one_kind(sent, RULES, "/schedule")
    for kind, rule in RULES.items():
        if rule.is_combination and kind in sent:
            yield from rule.kind_problems(sent[kind], f"/schedule/{kind}", RULES)


def schedule_problems(
    schedule: ScheduleTerms, when: datetime | None, now: datetime, calendars: Collection[str]
) -> Iterator[Problem]:
    """Check a schedule whose members are right by themselves; `calendars` are the names that it may use."""
    if schedule.start is not None and schedule.start > now + HORIZON:
        limit = format_time(now + HORIZON)
        yield Problem("/schedule/start", "WHEN_TOO_FAR", f"is more than ten years ahead (the limit is {limit})")
    if when is None:
        yield from too_old("/schedule/start", schedule.start, now)
    if schedule.calendar is not None and schedule.calendar.name not in calendars:
        yield Problem("/schedule/calendar", "CALENDAR_UNKNOWN", f"there is no calendar {schedule.calendar.name}")
    rules = sent_rules(schedule, RULES)
    if len(rules) != 1 or any(too_old("", when or schedule.start, now)):
        return
    kind, sent = rules[0]
    trigger = _trigger(schedule, kind, sent, when, now)
    by_itself = trigger.rule.problems(sent, trigger, f"/schedule/{kind.kind}", RULES)
    found = [*by_itself, *_conflicts(schedule, trigger, sent)]
    yield from found or _never(schedule, trigger)


def too_old(pointer: str, start: datetime | None, now: datetime) -> Iterator[Problem]:
    """Check that a recurring job does not begin long ago."""
    if start is not None and start < now - OLDEST:
        limit = format_time(now - OLDEST)
        yield Problem(pointer, "WHEN_TOO_OLD", f"is more than thirty years back (the limit is {limit})")


def _conflicts(schedule: ScheduleTerms, trigger: Recurring, sent: Any) -> Iterator[Problem]:
    """Find members that contradict each other; the pointer is that of the one to leave out."""

    def conflict(name: str, detail: str) -> Problem:
        return Problem(f"/schedule/{name}", "SCHEDULE_CONFLICT", detail)

    for name, detail in trigger.rule.conflicts(sent, schedule):
        yield conflict(name, detail)
    if schedule.jitter and schedule.window:
        yield conflict("jitter", "and window both move the start; send one of them")
    if trigger.misfire.policy is MisfirePolicy.FIRE_ALL and trigger.overlap in {Overlap.SKIP, Overlap.CANCEL_PREVIOUS}:
        yield conflict("overlap", "drops occurrences, and the misfire policy fireAll wants every one of them")
    if trigger.count and not trigger.is_countable:
        yield conflict("count", "cannot be kept for this mix of rules; send an end")


def _never(schedule: ScheduleTerms, trigger: Recurring) -> Iterator[Problem]:
    """Check that there are fire times, and one before the end."""
    endless = replace(trigger, end=None, count=None)
    if replace(endless, start_fires=False).next_fire_time(trigger.start - MICROSECOND) is None:
        yield trigger.rule.never
    elif trigger.end is not None and endless.first > trigger.end:
        pointer = "/schedule/end" if schedule.end else f"/schedule/{trigger.rule.kind}"
        yield Problem(pointer, "SCHEDULE_NEVER", "is before the first fire time")
