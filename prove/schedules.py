"""Schedules drawn from a seed, as clients send them, and calendars for them to keep to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from mainspring.schedule import format_time
from tests.schedules import cron_expressions, rules

CALENDARS: dict[str, dict[str, Any]] = {
    "weekend": {"weekly": [{"days": ["SA", "SU"]}], "timeZone": "Europe/Berlin"},
    "nights": {"weekly": [{"days": ["MO", "TU", "WE", "TH", "FR"], "start": "22:00", "end": "06:00"}]},
    "days": {"dates": [f"2027-{month:02}-{day:02}" for month in range(1, 13) for day in (1, 2, 15, 28)]},
    "freeze": {
        "ranges": [{"first": "2027-03-25", "last": "2027-04-02"}, {"first": "2027-10-29", "last": "2027-11-09"}]
    },
}
"""By name, as they stand on the wire."""
ZONES = (
    "UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/St_Johns", "America/Santiago",
    "Australia/Lord_Howe", "Africa/Casablanca", "Africa/Cairo", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Beirut",
    "Pacific/Apia", "Pacific/Chatham", "Antarctica/Troll", "America/Havana", "America/Scoresbysund",
)  # fmt: skip
"""Where the clocks change at many hours, by half an hour and by two hours, in both hemispheres, or never."""
_PERIODS = (
    "PT1M", "PT7M", "PT15M", "PT1H", "PT90M", "PT25H", "P1D", "P2D", "P1W", "P1M", "P3M", "P1Y", "P1DT6H", "P1MT1M",
)  # fmt: skip
_HASHED = ("H * * * *", "H H * * *", "H/20 * * * *", "H H(0-7) * * MON-FRI", "0 H H * * *", "H H H * *")
_WINDOWS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"window": "PT30M"},
    {"window": "PT6H"},
    {"jitter": "PT1M"},
    {"jitter": "PT3H"},
)
_MISFIRES: tuple[dict[str, Any], ...] = (
    {},
    {"misfire": "fireNow"},
    {"misfire": "skip"},
    {"misfire": "skip", "grace": "PT10M"},
    {"grace": "PT2H"},
    {"misfire": {"policy": "fireAll", "cap": 5, "spacing": "PT30S"}},
    {"misfire": {"policy": "fireAll", "cap": 3, "spacing": "PT2H"}},
    {"misfire": {"policy": "fireAll", "cap": 7, "spacing": "PT10M"}, "grace": "PT12H"},
    {"misfire": "fireAll"},
)


def schedules(chance: Random, now: datetime) -> Iterator[dict[str, Any]]:
    """Draw schedules of all kinds with all that can be in the way; some of them contradict themselves."""
    crons = cron_expressions(chance.getrandbits(32), 400)
    rrules = [text for text, _ in rules(chance.getrandbits(32), 400)]

    def rule() -> dict[str, str]:
        kinds = {"every": _PERIODS, "cron": (*crons, *_HASHED * 10), "rrule": rrules}
        kind = chance.choice(sorted(kinds))
        return {kind: chance.choice(kinds[kind])}

    while True:
        start = now + timedelta(seconds=chance.choice([0, 0, -5 * 86_400, 40 * 86_400]) * chance.random() // 1)
        drawn: dict[str, Any] = rule() if chance.random() < 0.8 else {"anyOf": [rule(), rule()]}
        drawn |= {"timeZone": chance.choice(ZONES), "start": format_time(start)}
        drawn |= chance.choice(_WINDOWS) | chance.choice(_MISFIRES)
        drawn |= _perhaps(chance, "startFires", [True], 0.2)
        drawn |= _perhaps(chance, "end", [format_time(start + timedelta(days=days)) for days in (3, 60, 900)], 0.2)
        drawn |= _perhaps(chance, "count", [1, 2, 7, 25], 0.2)
        drawn |= _perhaps(chance, "dstGap", ["nextValid", "skip", "shift"], 0.4)
        drawn |= _perhaps(chance, "dstOverlap", ["first", "second", "both"], 0.4)
        drawn |= _perhaps(chance, "overlap", ["skip", "queue"], 0.4)
        drawn |= _perhaps(chance, "calendar", [_calendar(chance)], 0.4)
        yield drawn


def _perhaps(chance: Random, name: str, values: list[Any], likely: float) -> dict[str, Any]:
    return {name: chance.choice(values)} if chance.random() < likely else {}


def _calendar(chance: Random) -> dict[str, Any]:
    return {
        "name": chance.choice(sorted(CALENDARS)),
        "days": chance.choice(["exclude", "exclude", "include"]),
        "blackout": chance.choice(["skip", "postpone"]),
        "spread": chance.choice(["PT0S", "PT5M", "PT2H"]),
    }
