"""A job of every minute, led through its life around the changes of the clocks; `tests/long` has whole years of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mainspring.schedule import Recurring
from mainspring.schedule.rules import Cron
from mainspring.schedule.zones import DstGap, DstOverlap
from tests.lives import live

WEEK = timedelta(days=7)
FORTNIGHT = 14 * 1440
CHANGES = {
    "America/New_York": (datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)),
    "Europe/London": (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    "Australia/Lord_Howe": (datetime(2026, 10, 3, 15, 30, tzinfo=UTC), datetime(2026, 4, 4, 15, tzinfo=UTC)),
}
"""When the clocks go forward, and when they go back: by half an hour on Lord Howe Island, else by an hour."""


def minutes(zone: str, change: datetime, **policies: Any) -> Recurring:
    """Build a trigger of every minute that begins a week before a change of the clocks."""
    return Recurring(Cron("* * * * *"), change - WEEK, time_zone=zone, **policies)


@pytest.mark.parametrize("change", [0, 1])
@pytest.mark.parametrize("zone", CHANGES)
def test_each_real_minute_has_one_run(zone: str, change: int) -> None:
    """A job of every minute goes on in real time, and its life is the same each time."""
    moment = CHANGES[zone][change]
    trigger = minutes(zone, moment)

    life = live(trigger, moment + WEEK)

    assert (FORTNIGHT, 0) == (life.runs, life.disorderly)
    assert FORTNIGHT == trigger.number(trigger.start, moment + WEEK - timedelta(microseconds=1))
    assert live(trigger, trigger.start + WEEK / 7) == live(minutes(zone, moment), trigger.start + WEEK / 7)


@pytest.mark.parametrize("gap", [*DstGap])
@pytest.mark.parametrize("overlap", [*DstOverlap])
def test_policies_take_what_they_say(gap: DstGap, overlap: DstOverlap) -> None:
    """No policy adds a run to the minutes that there are; of those that come twice all but `both` leave out one."""
    for zone, (forward, back) in CHANGES.items():
        length = 30 if zone == "Australia/Lord_Howe" else 60
        near = timedelta(hours=6)
        policies: dict[str, Any] = {"dst_gap": gap, "dst_overlap": overlap}
        spring = Recurring(Cron("* * * * *"), forward - near, time_zone=zone, **policies)
        autumn = Recurring(Cron("* * * * *"), back - near, time_zone=zone, **policies)
        assert (720, 0) == live(spring, forward + near)[:2]
        assert (720 - (overlap is not DstOverlap.BOTH) * length, 0) == live(autumn, back + near)[:2]
