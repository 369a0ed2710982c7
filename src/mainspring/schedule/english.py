"""Triggers in plain English, so that people see whether they said what they meant.

Each rule says itself (`Rule.words`); this module says the bounds and the terms of the trigger.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mainspring.schedule.trigger import Days, MisfirePolicy, Once, Overlap, Recurring, Trigger
from mainspring.schedule.words import day, length, listed, many, moment
from mainspring.schedule.zones import DstGap, DstOverlap, local_time

_MOST_EXCLUDED = 3
"""How many of the times that are excluded are said."""


def describe(trigger: Trigger) -> str:
    """Say in English when a trigger fires, and what it does when something is in the way."""
    if isinstance(trigger, Once):
        return f"Once, on {moment(trigger.at, 'UTC')}."
    said = trigger.rule.words(local_time(trigger.start, trigger.time_zone))
    first = f"{said[0].upper()}{said[1:]} ({trigger.time_zone}){_bounds(trigger)}"
    return ". ".join([first, *_terms(trigger)]) + "."


def _bounds(trigger: Recurring) -> str:
    counted = "counted " if trigger.rule.start_is_fire_time else ""
    said = f", {counted}from {moment(trigger.start, trigger.time_zone)}"
    if trigger.end is not None:
        said += f", until {moment(trigger.end, trigger.time_zone)}"
    if trigger.count is not None:
        said += f", {many(trigger.count, 'time')} at most"
    return said


def _terms(trigger: Recurring) -> Iterator[str]:
    """Say each thing that is not as it is by default."""
    if trigger.start_fires and not trigger.rule.start_is_fire_time:
        yield "It fires at the start as well"
    if trigger.window:
        yield f"It starts anywhere within {length(trigger.window)} of these times, always at the same place"
    if trigger.jitter:
        yield f"It starts up to {length(trigger.jitter)} later by chance"
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
    if trigger.excluded:
        yield f"It leaves out {_left_out(trigger)}"
    yield from _when_late(trigger)
    if (use := trigger.calendar) is not None:
        times, wait = ("outside", "begin") if use.days is Days.INCLUDE else ("in", "end")
        fate = "is left out"
        if use.postpones:
            fate = f"waits until they {wait}{f', and up to {length(use.spread)} longer' if use.spread else ''}"
        yield f"What falls {times} the times of the calendar {use.name} {fate}"


def _left_out(trigger: Recurring) -> str:
    """Say what is excluded, the first of it one by one: moments as the clocks of the schedule's zone show them."""
    said = [
        moment(each, trigger.time_zone) if isinstance(each, datetime) else day(each)
        for each in trigger.excluded[:_MOST_EXCLUDED]
    ]
    more = len(trigger.excluded) - len(said)
    return listed([*said, *([f"{more} more"] if more else [])])


def _when_late(trigger: Recurring) -> Iterator[str]:
    if trigger.misfire.policy is MisfirePolicy.FIRE_ALL:
        yield (
            f"What could not start in time is caught up with: {many(trigger.misfire.cap, 'time')} at most, "
            f"{length(trigger.misfire.spacing)} apart"
        )
    if trigger.latest is not None and trigger.misfire.policy is MisfirePolicy.SKIP:
        yield f"Each starts at most {length(trigger.latest)} late, or is skipped"
    elif trigger.latest is not None:
        yield f"What could not start within {length(trigger.latest)} is skipped"
    if trigger.overlap is not Overlap.QUEUE:
        yield {
            Overlap.SKIP: "What comes while it still runs is skipped",
            Overlap.ALLOW: "It may run several times at once",
            Overlap.CANCEL_PREVIOUS: "A run that is still under way is cancelled for the next",
        }[trigger.overlap]
