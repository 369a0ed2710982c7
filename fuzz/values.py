"""Values that services have tripped over: times, text, numbers and shapes, each with what is near to it."""

from __future__ import annotations

from random import Random
from typing import Any

TEXTS = (
    "", " ", "a", "0", "-1", "true", "null", "{}", "[]", "\x00", "\x1b[31m", "\r\nX-Evil: 1", "\ud800", "\U0010ffff",
    "é", "e\u0301", "\u202egnp", "🙂" * 40, "a" * 65, "a" * 5000, "../../etc/passwd", "%00", "%2F", "%zz",
    "'; drop table x", "<script>alert(1)</script>", "${jndi:ldap://x}", "__proto__", "constructor", "__class__",
    "$ref", "NaN", "Infinity",
    "self", "model_fields", "1e999", "٣", "\uff10", "urn:uuid:79bfd10c-1529-42de-bd68-1a6e084ee13d",
)  # fmt: skip
TIMES = (
    "2035-01-01T00:00:00Z", "2034-06-01T10:00:00+02:00", "2026-12-01T10:00Z", "20261201T100000Z",
    "2026-W49-2T10:00:00Z", "2026-335T10:00:00Z", "2026-12-01T24:00:00Z", "2016-12-31T23:59:60Z",
    "2026-12-01T10:00:00.123456789Z",
    "2017-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999999Z",
    "9999-12-31T23:59:59-18:00", "0000-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-12-01T10:00:00", "2026-12-01",
    "2026-12-01T10:00:00+18:01", "infinity", "tomorrow", "now", "1795428000", "2026-12-01T10.5Z",
    "2026-12-01 10:00:00Z",
)  # fmt: skip
DURATIONS = (
    "PT15M", "PT1S", "P1D", "P1W", "P1M", "P1Y", "PT0S", "PT0.5S", "PT0.000001S", "P10Y", "P11Y", "PT1H0M1S", "P", "PT",
    "-PT1S", "P1.5D", "PT999999999S", "P999999999Y", "10s", "1",
)  # fmt: skip
CRONS = (
    "0 3 * * *", "*/15 * * * *", "H H * * *", "0 0 29 2 *", "0 0 L * *", "0 0 * * MON#2", "0 0 * * 5L", "0 0 15W * ?",
    "* * * * * *", "30 2 30 2 *", "@daily", "* * * *", "60 * * * *", "1/3 * * * *", "SUN", "0 0 * * SUN-SAT",
    "0 0 1-31/7 1-12 0-7", "a b c d e", "0 3 * * * " + "," * 900,
)  # fmt: skip
RRULES = (
    "FREQ=DAILY", "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=WEEKLY;COUNT=3",
    "FREQ=DAILY;UNTIL=99991231T235959Z", "FREQ=DAILY;UNTIL=00010101T000000Z", "FREQ=SECONDLY",
    "FREQ=HOURLY;INTERVAL=99999", "FREQ=YEARLY;BYWEEKNO=53", "FREQ=DAILY;COUNT=0", "FREQ=MINUTELY;BYSECOND=0,30",
    "RRULE:FREQ=DAILY", "FREQ=",
    "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY\nEXDATE:20260102T000000Z", "DTSTART:00010101T000000Z\nRRULE:FREQ=DAILY",
    "DTSTART;TZID=Nowhere/Land:20260101T000000\nRRULE:FREQ=DAILY", "FREQ=DAILY;BYMONTH=" + "1," * 900 + "1",
)  # fmt: skip
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Pacific/Apia",
    "Antarctica/Troll",
    "utc",
    "localtime",
    "../etc",
    "",
)
DAYS = ("2026-12-24", "0001-01-01", "9999-12-31", "2026-02-30", "24.12.2026", "2026-1-1")
NUMBERS: tuple[Any, ...] = (
    0, 1, 2, 3, 7, 10, -1, 1000, 1001, 3653, 3654, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**30, 0.5,
    1.0, -0.0, 1e-320, 1e308,
)  # fmt: skip
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], {"": {}}, [None], {"a": [1, {"b": None}]})
PLACES = {
    "when": TIMES, "start": TIMES, "end": TIMES, "from": TIMES, "to": TIMES, "outageFrom": TIMES, "outageTo": TIMES,
    "at": TIMES, "except": DAYS + TIMES, "every": DURATIONS, "timeout": DURATIONS, "backoff": DURATIONS,
    "initial": DURATIONS, "longest": DURATIONS, "jitter": DURATIONS, "window": DURATIONS, "grace": DURATIONS,
    "spacing": DURATIONS, "spread": DURATIONS, "cron": CRONS, "rrule": RRULES, "timeZone": ZONES, "dates": DAYS,
    "first": DAYS, "last": DAYS, "cap": (1, 2, 5), "count": (1, 2, 3),
}  # fmt: skip
"""What is near to the truth for members and parameters of these names."""


def anything(random: Random) -> Any:
    """Draw a value of any kind."""
    pool: tuple[Any, ...] = random.choice((TEXTS, TIMES, DURATIONS, CRONS, RRULES, NUMBERS, OTHERS, TEXTS))
    return random.choice(pool)


def near(name: str, random: Random) -> Any:
    """Draw a value for a member or parameter of that name: half of the time one that is surely taken."""
    if name not in PLACES:
        return anything(random)
    return PLACES[name][0] if random.random() < 0.5 else random.choice(PLACES[name] if random.random() < 0.8 else TEXTS)
