"""Triggers to and from JSON, as a store keeps them. The JSON has the words of the wire and names no code."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from mainspring.schedule.rules import RULES
from mainspring.schedule.rules.rule import rule_from_json
from mainspring.schedule.text import (
    LATEST,
    format_duration,
    format_excluded,
    format_time,
    parse_duration,
    parse_excluded,
    parse_when,
)
from mainspring.schedule.trigger import (
    Blackout,
    CalendarUse,
    Days,
    Misfire,
    MisfirePolicy,
    Once,
    Overlap,
    Recurring,
    Trigger,
)
from mainspring.schedule.zones import DstGap, DstOverlap

_PLAIN = frozenset({*RULES, "start", "count", "end", "timeZone", "startFires"})
"""The members of a trigger whose terms are as by default: most are."""


def trigger_to_json(trigger: Trigger) -> dict[str, Any]:
    """Write a trigger as a JSON object that names no code: `trigger_from_json` reads it back."""
    if isinstance(trigger, Once):
        return {"at": format_time(trigger.at)}
    written: dict[str, Any] = {trigger.rule.kind: trigger.rule.to_json()}
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
        "except": [format_excluded(each) for each in trigger.excluded] or None,
    }
    return written | {name: value for name, value in optional.items() if value is not None}


def trigger_from_json(data: Mapping[str, Any]) -> Trigger:
    """Read what `trigger_to_json` wrote. Raises `ValueError` for a kind of rule that is not known here."""
    if isinstance(at := data.get("at"), str):
        return Once(parse_when(at))
    return read_plain(data) if data.keys() <= _PLAIN else read_full(data)


def read_plain(data: Mapping[str, Any]) -> Recurring:
    """Read a recurring trigger that has no terms but its bounds, as `read_full` does but in 3 us instead of 6."""
    end = data.get("end")
    return Recurring(
        rule=rule_from_json(data, RULES),
        start=parse_when(data["start"]),
        count=data.get("count"),
        end=end and min(parse_when(end), LATEST),  # there are ends from before there was a range
        time_zone=data["timeZone"],
        start_fires=data.get("startFires", False),
    )


def read_full(data: Mapping[str, Any]) -> Recurring:
    """Read any recurring trigger."""
    end, grace = data.get("end"), data.get("grace")
    gap, overlap = data.get("dstGap"), data.get("dstOverlap")
    return Recurring(
        rule=rule_from_json(data, RULES),
        start=parse_when(data["start"]),
        count=data.get("count"),
        end=end and min(parse_when(end), LATEST),
        time_zone=data["timeZone"],
        start_fires=data.get("startFires", False),
        dst_gap=gap and DstGap(gap),
        dst_overlap=overlap and DstOverlap(overlap),
        jitter=parse_duration(data.get("jitter", "PT0S")),
        window=parse_duration(data.get("window", "PT0S")),
        misfire=_misfire_from_json(data.get("misfire", {})),
        grace=None if grace is None else parse_duration(grace),
        overlap=Overlap(data.get("overlap", Overlap.QUEUE)),
        calendar=_calendar_from_json(data["calendar"]) if "calendar" in data else None,
        excluded=tuple(map(parse_excluded, data.get("except", ()))),
    )


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
