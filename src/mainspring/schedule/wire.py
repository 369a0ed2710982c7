"""What `schedule` is on the wire, and the reading of it into a trigger, with all problems at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import BeforeValidator, Field

from mainspring.errors import Problem
from mainspring.schedule.civil import to_datetime
from mainspring.schedule.rules import RULES, AnyOf, AnyRule, At, RRule
from mainspring.schedule.rules.at import MOST_MOMENTS
from mainspring.schedule.rules.recurrence_set import RecurrenceSet, Warned, read_rrule, some_of
from mainspring.schedule.rules.rrule import moment_until
from mainspring.schedule.rules.rule import Bounds, OnTheWire, Rules, one_kind, sent_rules, wire_model
from mainspring.schedule.text import (
    HORIZON,
    MICROSECOND,
    OLDEST,
    DayOrMoment,
    Duration,
    TimeError,
    TimeZone,
    UpToAWeek,
    When,
    format_excluded,
    format_time,
    range_problems,
)
from mainspring.schedule.trigger import (
    CalendarName,
    CalendarUse,
    Misfire,
    MisfirePolicy,
    Overlap,
    Recurring,
    Trigger,
    stretch,
)
from mainspring.schedule.zones import DstGap, DstOverlap

KINDS = tuple(RULES)
"""The members of a schedule that say how it repeats: it has one of them."""


def _named(kind: str, also: Any) -> BeforeValidator:
    """Make a validator that takes text for an object which has but that member; `also` is the type of both forms."""
    return BeforeValidator(
        lambda value: {kind: value} if isinstance(value, str) else value, json_schema_input_type=also
    )


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
    misfire: Annotated[Misfire, _named("policy", Misfire | MisfirePolicy)] | None = None
    grace: Annotated[Duration, Field(ge=timedelta())] | None = None
    overlap: Overlap = Overlap.QUEUE
    calendar: Annotated[CalendarUse, _named("name", CalendarUse | CalendarName)] | None = None
    excluded: Annotated[tuple[DayOrMoment, ...], Field(max_length=MOST_MOMENTS, alias="except")] = ()


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
    schedule = _told(schedule)
    return _trigger(schedule, *sent_rules(schedule, RULES)[0], when, now)


def _set_of(schedule: ScheduleTerms) -> RecurrenceSet | None:
    """Return the recurrence set that a schedule has for its `rrule`, if it is one."""
    sent = schedule.__dict__.get(RRule.kind)
    return sent if isinstance(sent, RecurrenceSet) else None


def _told(schedule: ScheduleTerms) -> ScheduleTerms:
    """Return a schedule with what its recurrence set says as members of its own; any other as it is."""
    recurrence = _set_of(schedule)
    if recurrence is None:
        return schedule
    told = Schedule.model_validate(recurrence.members(schedule.time_zone))
    members = {name: told.__dict__[name] for name in told.model_fields_set}
    members["excluded"] = (*told.excluded, *schedule.excluded)
    return schedule.model_copy(update={RRule.kind: None} | members)


def _trigger(
    schedule: ScheduleTerms, kind: type[AnyRule], sent: Any, when: datetime | None, now: datetime
) -> Recurring:
    rule, bounds = kind.from_wire(sent, RULES), Bounds()
    if not schedule.excluded:  # else a COUNT of the rule counts also what is excluded, as RFC 5545 has it
        rule, bounds = rule.apart()
    return Recurring(
        rule=rule,
        start=when or schedule.start or (_whole_second(now) if rule.has_whole_seconds else now),
        count=schedule.count or bounds.count,
        end=schedule.end or (bounds.until and to_datetime(moment_until(bounds.until, schedule.time_zone))),
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
        excluded=schedule.excluded,
    )


def depends_on_id(trigger: Trigger, sent: object) -> tuple[str, ...]:
    """Name what of a job's trigger follows from the job's id.

    `sent` is the `schedule` that the job was created with, if it was: the trigger has a number already where the
    schedule leaves one to the job.
    """
    if isinstance(trigger, Recurring) and sent is not None:
        kind, value = sent_rules(_told(Schedule.model_validate(sent)), RULES)[0]
        trigger = replace(trigger, rule=kind.from_wire(value, RULES))
    return trigger.depends_on_id


def read_otherwise(trigger: Trigger, sent: object) -> tuple[str, ...]:
    """Say what of the `schedule` that a job was created with, if it was, other programs read otherwise."""
    if not isinstance(trigger, Recurring) or sent is None:
        return ()
    kind, value = sent_rules(_told(Schedule.model_validate(sent)), RULES)[0]
    return tuple(dict.fromkeys(kind.from_wire(value, RULES).read_otherwise(value, trigger, RULES)))


def _whole_second(moment: datetime) -> datetime:
    """Round up: the times of some rules are counted in whole seconds, and none may be before the start."""
    return (moment + timedelta(seconds=1) - MICROSECOND).replace(microsecond=0)


# --- all problems at once ---------------------------------------------------------------------------------------------


def kind_problems(sent: object) -> Iterator[Problem]:
    """Check that a schedule, as it was sent, says in one way how it repeats, and so each rule of a combination.

    And that all of a recurrence set can be kept.
    """
    if not isinstance(sent, Mapping):
        return
    yield from one_kind(sent, RULES, "/schedule")
    if (recurrence := _sent_set(sent)) is not None:
        yield from _refusals(recurrence)
    for kind, rule in RULES.items():
        if rule.is_combination and kind in sent:
            yield from rule.kind_problems(sent[kind], f"/schedule/{kind}", RULES)


def _sent_set(sent: Mapping[str, Any]) -> RecurrenceSet | None:
    """Return the recurrence set of a schedule, as it was sent."""
    text = sent.get(RRule.kind)
    with suppress(TimeError):
        recurrence = read_rrule(text) if isinstance(text, str) else None
        return recurrence if isinstance(recurrence, RecurrenceSet) else None
    return None


def _refusals(recurrence: RecurrenceSet) -> Iterator[Problem]:
    yield from (Problem(f"/schedule/{RRule.kind}", "INVALID_RRULE", detail) for detail in recurrence.refused)


def schedule_problems(
    schedule: ScheduleTerms, when: datetime | None, now: datetime, calendars: Collection[str]
) -> Iterator[Problem]:
    """Check a schedule whose members are right by themselves; `calendars` are the names that it may use."""
    if (recurrence := _set_of(schedule)) is None:
        yield from _problems(schedule, when, now, calendars)
    else:
        yield from _set_problems(schedule, recurrence, when, now, calendars)


def _set_problems(
    schedule: ScheduleTerms,
    recurrence: RecurrenceSet,
    when: datetime | None,
    now: datetime,
    calendars: Collection[str],
) -> Iterator[Problem]:
    """Check a schedule that has a recurrence set; what is wrong with what the set says is wrong with its text."""
    place, sent = f"/schedule/{RRule.kind}", schedule.model_fields_set
    if recurrence.refused:
        yield from _refusals(recurrence)
        return
    if schedule.start is not None and recurrence.start is not None:
        yield Problem("/schedule/start", "SCHEDULE_CONFLICT", "is also said by the DTSTART of the rrule; send one")
    if "time_zone" in sent and recurrence.zone not in {None, schedule.time_zone}:
        detail = f"is {recurrence.zone} by the DTSTART of the rrule; send one of them"
        yield Problem("/schedule/timeZone", "SCHEDULE_CONFLICT", detail)
    if out_of_range := [*_out_of_range(schedule)]:
        yield from out_of_range
        return
    sent_places = {f"/schedule/{field.alias}" for name, field in Schedule.model_fields.items() if name in sent}
    for problem in _problems(_told(schedule), when, now, calendars):
        yield problem if problem.pointer in {"/schedule", *sent_places} else replace(problem, pointer=place)


def _problems(
    schedule: ScheduleTerms, when: datetime | None, now: datetime, calendars: Collection[str]
) -> Iterator[Problem]:
    out_of_range = [*_out_of_range(schedule)]
    yield from out_of_range
    yield from too_far("/schedule/start", schedule.start, now)
    if when is None:
        yield from too_old("/schedule/start", schedule.start, now)
    if schedule.calendar is not None and schedule.calendar.name not in calendars:
        yield Problem("/schedule/calendar", "CALENDAR_UNKNOWN", f"there is no calendar {schedule.calendar.name}")
    rules = sent_rules(schedule, RULES)
    begins = when or schedule.start
    if len(rules) != 1 or out_of_range or any((*range_problems("", begins), *too_old("", begins, now))):
        return
    kind, sent = rules[0]
    trigger = _trigger(schedule, kind, sent, when, now)
    by_itself = trigger.rule.problems(sent, trigger, f"/schedule/{kind.kind}", RULES)
    found = [*by_itself, *_conflicts(schedule, trigger, sent)]
    yield from found or _never(schedule, trigger, kind)


def _out_of_range(schedule: ScheduleTerms) -> Iterator[Problem]:
    """Find the times of a schedule that no store need keep; those of its rule the rule finds."""
    yield from range_problems("/schedule/start", schedule.start)
    yield from range_problems("/schedule/end", schedule.end)
    for place, each in enumerate(schedule.excluded):
        yield from range_problems(f"/schedule/except/{place}", each)


def too_far(pointer: str, moment: datetime | None, now: datetime) -> Iterator[Problem]:
    """Check that a moment is within the horizon."""
    if moment is not None and moment > now + HORIZON:
        limit = format_time(now + HORIZON)
        yield Problem(pointer, "WHEN_TOO_FAR", f"is more than ten years ahead (the limit is {limit})")


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


def _never(schedule: ScheduleTerms, trigger: Recurring, kind: type[AnyRule]) -> Iterator[Problem]:
    """Check that there are fire times, and one before the end."""
    endless = replace(trigger, end=None, count=None)
    before = trigger.start - MICROSECOND
    of_rule = replace(endless, start_fires=False)
    if of_rule.next_fire_time(before) is None:
        is_emptied = trigger.excluded and replace(of_rule, excluded=()).next_fire_time(before) is not None
        emptied = Problem("/schedule/except", "SCHEDULE_NEVER", "leaves out every fire time")
        yield emptied if is_emptied else trigger.rule.never
    elif trigger.end is not None and endless.first > trigger.end:
        pointer = "/schedule/end" if schedule.end else f"/schedule/{kind.kind}"
        yield Problem(pointer, "SCHEDULE_NEVER", "is before the first fire time")


# --- what is legal but perhaps not meant ------------------------------------------------------------------------------


def schedule_warnings(trigger: Trigger, sent: Mapping[str, Any] | None) -> Iterator[Warned]:
    """Warn of what a trigger may not do as it was meant; `sent` is the `schedule` that it was made of."""
    if not isinstance(trigger, Recurring) or sent is None:
        return
    if (recurrence := _sent_set(sent)) is not None:
        yield from recurrence.warned
        if recurrence.has_open_times and "timeZone" not in sent:
            detail = f"has times without a time zone, which are taken for those of {trigger.time_zone}; send timeZone"
            yield Warned("TIME_ZONE_OPEN", f"the rrule {detail}")
        if recurrence.start is not None and not _begins_with_start(trigger):
            detail = "is no time of the rule, so it is no fire time; startFires makes it one"
            yield Warned("DTSTART_NOT_NAMED", f"the start {format_time(trigger.start)} {detail}")
    if idle := [*_idle(trigger)]:
        yield Warned("NO_EFFECT", f"these change no fire time: {some_of(idle)}")


def _begins_with_start(trigger: Recurring) -> bool:
    """Say whether the start is a fire time, or would be one if it were not left out."""
    return replace(trigger, excluded=()).next_fire_time(trigger.start - MICROSECOND) == trigger.start


def _idle(trigger: Recurring) -> Iterator[str]:
    """Name the single moments that are not fire times, and what is excluded but would be none."""
    rules = trigger.rule.rules if isinstance(trigger.rule, AnyOf) else (trigger.rule,)
    for moment in (moment for rule in rules if isinstance(rule, At) for moment in rule.moments):
        if moment < trigger.start or (trigger.end is not None and moment > trigger.end):
            yield f"at {format_time(moment)}"
    # The last that is counted is looked for once: to count up to each of them may lead through thousands of years.
    everything = replace(trigger, excluded=(), count=None)
    last = everything.nth(trigger.start, trigger.count - 1) if trigger.count and trigger.excluded else None
    for each in trigger.excluded:
        begin, end = stretch(each, trigger.time_zone)
        fire_time = everything.next_fire_time(to_datetime(begin - 1))
        if fire_time is None or fire_time >= to_datetime(end) or (last is not None and fire_time > last):
            yield f"except {format_excluded(each)}"
