import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.schedule import (
    LATEST,
    AnyOf,
    Cron,
    Every,
    Once,
    Overlap,
    Period,
    Recurring,
    RRule,
    Trigger,
    describe,
    trigger_from_json,
    trigger_to_json,
)
from mainspring.schedule.stored import read_full, read_plain
from mainspring.schedule.trigger import CalendarUse, Misfire, MisfirePolicy
from mainspring.schedule.zones import DstGap, DstOverlap
from tests.schedule.drawn import BERLIN, TEN, at, everies, moments, recurrings, rules, zones

AT = {"start": "2026-12-01T10:00:00Z", "timeZone": "UTC"}


@pytest.mark.parametrize("rule", [{"sunrise": "Berlin"}, {"anyOf": [{"cron": "0 3 * * *"}, {"sunrise": "Berlin"}]}, {}])
def test_unknown_kind_is_an_error(rule: dict[str, Any]) -> None:
    """A trigger that another version stored, with a kind of rule that is not known here, is not read as another one."""
    with pytest.raises(ValueError, match="no known kind of rule"):
        trigger_from_json(rule | AT)


@pytest.mark.parametrize("terms", [{}, {"count": 3}, {"misfire": "skip", "except": ["9998-12-31"]}])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize("end", ["9999-12-31T23:59:59.999999Z", "9900-01-01T00:00:00.000001Z"])
def test_ends_of_before_there_was_a_range(terms: dict[str, Any], zone: str, end: str) -> None:
    """They were stored as they were sent: such a job goes on, and its end can be said in each zone."""
    trigger = trigger_from_json({"cron": "0 3 * * *", **AT, "timeZone": zone, "end": end, **terms})
    assert isinstance(trigger, Recurring)
    assert LATEST == trigger.end
    assert trigger.next_fire_time(TEN) == replace(trigger, end=None).next_fire_time(TEN)
    assert "until" in describe(trigger)
    assert trigger == trigger_from_json(trigger_to_json(trigger))


@given(st.one_of(st.builds(Once, moments), everies, recurrings))
def test_trigger_json_round_trip(trigger: Trigger) -> None:
    """What a store keeps of a trigger, it reads back as the same trigger."""
    assert trigger == trigger_from_json(json.loads(json.dumps(trigger_to_json(trigger))))


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        (Once(TEN), {"at": "2026-12-01T10:00:00Z"}),
        (Recurring(Every(Period(days=1)), TEN), {"every": "P1D", "start": "2026-12-01T10:00:00Z", "timeZone": "UTC"}),
        (
            Recurring(Every(Period(months=1)), TEN, 3, at(2027, 12, 1), BERLIN),
            {
                "every": "P1M",
                "start": "2026-12-01T10:00:00Z",
                "timeZone": "Europe/Berlin",
                "count": 3,
                "end": "2027-12-01T00:00:00Z",
            },
        ),
        (
            Recurring(Cron("0 3 * * *"), TEN, start_fires=True, misfire=Misfire(MisfirePolicy.SKIP)),
            {
                "cron": "0 3 * * *",
                "start": "2026-12-01T10:00:00Z",
                "timeZone": "UTC",
                "startFires": True,
                "misfire": "skip",
            },
        ),
        (
            Recurring(
                AnyOf((RRule("FREQ=DAILY"), Every(Period(days=1)))),
                TEN,
                dst_gap=DstGap.SHIFT,
                dst_overlap=DstOverlap.BOTH,
                window=timedelta(hours=1),
                misfire=Misfire(MisfirePolicy.FIRE_ALL, 5, timedelta(minutes=1)),
                grace=timedelta(),
                overlap=Overlap.SKIP,
                calendar=CalendarUse("holidays"),
            ),
            {
                "anyOf": [{"rrule": "FREQ=DAILY"}, {"every": "P1D"}],
                "start": "2026-12-01T10:00:00Z",
                "timeZone": "UTC",
                "dstGap": "shift",
                "dstOverlap": "both",
                "window": "PT1H",
                "misfire": {"policy": "fireAll", "cap": 5, "spacing": "PT1M"},
                "grace": "PT0S",
                "overlap": "skip",
                "calendar": "holidays",
            },
        ),
    ],
)
def test_trigger_json(trigger: Trigger, expected: dict[str, Any]) -> None:
    """The JSON of a trigger has the words of the wire, names no code, and leaves out what is not there."""
    assert expected == trigger_to_json(trigger)


@given(
    st.builds(
        Recurring,
        rules,
        moments,
        count=st.none() | st.integers(1, 100),
        end=st.none() | moments,
        time_zone=zones,
        start_fires=st.booleans(),
    )
)
def test_the_fast_way_reads_a_trigger_like_the_plain_one(trigger: Recurring) -> None:
    """A trigger without terms is the same, whichever way it is read."""
    data = trigger_to_json(trigger)
    assert read_plain(data) == read_full(data) == trigger
