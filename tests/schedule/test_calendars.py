from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mainspring.schedule import Calendar, calendar_from_json, calendar_to_json
from mainspring.schedule.calendars import Holidays, Range, Weekday, Weekly, holidays_of, postponed, ruled_out
from mainspring.schedule.trigger import Blackout, CalendarUse, Days

JOB = UUID("019e830e-1a00-70a5-abaa-9455e3e70682")
NIGHTS = {"weekly": [{"days": ["MO", "TU", "WE", "TH", "FR"], "start": "22:00", "end": "06:00"}]}
WEEKEND = {"weekly": [{"days": ["SA", "SU"]}]}


def a_calendar(**members: Any) -> Calendar:
    """Read a calendar as it is on the wire."""
    return calendar_from_json(members)


def at(text: str) -> datetime:
    """Read a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("members", "moment", "has", "changes"),
    [
        ({"dates": ["2026-12-24"]}, "2026-12-24T10:00", True, "2026-12-25T00:00"),
        ({"dates": ["2026-12-24"]}, "2026-12-23T23:59", False, "2026-12-24T00:00"),
        ({"dates": ["2026-12-24"]}, "2026-12-25T00:00", False, None),
        ({"dates": ["2026-12-24", "2026-12-25"]}, "2026-12-24T10:00", True, "2026-12-26T00:00"),
        ({"ranges": [{"first": "2026-12-24", "last": "2027-01-06"}]}, "2026-12-31T12:00", True, "2027-01-07T00:00"),
        ({"ranges": [{"first": "2026-12-24", "last": "2027-01-06"}]}, "2026-06-01T12:00", False, "2026-12-24T00:00"),
        (NIGHTS, "2026-06-01T23:00", True, "2026-06-02T06:00"),
        (NIGHTS, "2026-06-02T05:59", True, "2026-06-02T06:00"),
        (NIGHTS, "2026-06-02T06:00", False, "2026-06-02T22:00"),
        (NIGHTS, "2026-06-06T05:00", True, "2026-06-06T06:00"),
        (NIGHTS, "2026-06-06T23:00", False, "2026-06-08T22:00"),
        (WEEKEND, "2026-06-05T12:00", False, "2026-06-06T00:00"),
        (WEEKEND, "2026-06-06T12:00", True, "2026-06-08T00:00"),
        (NIGHTS | {"dates": ["2026-06-02"]}, "2026-06-01T23:00", True, "2026-06-03T06:00"),
        ({"holidays": {"country": "DE", "subdivision": "BY"}}, "2026-01-06T12:00", True, "2026-01-07T00:00"),
        ({"holidays": {"country": "DE"}}, "2026-01-06T12:00", False, "2026-04-03T00:00"),
        ({}, "2026-06-01T12:00", False, None),
        ({"weekly": [{"days": [day.value for day in Weekday]}]}, "2026-06-01T12:00", True, None),
        # in its own time zone, over a change of the clocks
        ({"dates": ["2026-03-29"], "timeZone": "Europe/Berlin"}, "2026-03-28T23:00", True, "2026-03-29T22:00"),
        (
            {"weekly": [{"days": ["SU"], "start": "01:00", "end": "02:30"}], "timeZone": "Europe/Berlin"},
            "2026-03-29T00:30",
            True,
            "2026-03-29T01:00",
        ),
    ],
)
def test_calendar(members: dict[str, Any], moment: str, has: bool, changes: str | None) -> None:  # noqa: FBT001 - an example's answer
    """A calendar has the times that it names, and knows when that changes; stretches that meet are one."""
    calendar = a_calendar(**members)
    assert has is calendar.has(at(moment))
    assert (changes and at(changes)) == calendar.changes(at(moment))


@settings(deadline=None)
@given(
    st.sampled_from([NIGHTS, WEEKEND, NIGHTS | {"timeZone": "America/New_York"}, {"holidays": {"country": "US"}}]),
    st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - made aware by `timezones`
    st.floats(0, 0.999),
)
def test_until_a_change_nothing_changes(members: dict[str, Any], moment: datetime, part: float) -> None:
    """What a calendar says of a moment it says of each moment until the change, and then no longer."""
    calendar = a_calendar(**members)
    changes = calendar.changes(moment)
    assert changes is not None
    assert changes > moment
    assert calendar.has(moment) is calendar.has(moment + (changes - moment) * part)
    assert calendar.has(moment) is not calendar.has(changes)


@pytest.mark.parametrize(
    ("members", "location", "kind"),
    [
        ({"dates": ["24.12.2026"]}, "dates", "DATE_FORMAT"),
        ({"dates": [1_795_428_000]}, "dates", "DATE_FORMAT"),
        ({"dates": ["2026-02-30"]}, "dates", "DATE_FORMAT"),
        ({"dates": ["2026-W49-1"]}, "dates", "DATE_FORMAT"),
        ({"weekly": [{"days": ["MO"], "start": "24:30"}]}, "weekly", "TIME_FORMAT"),
        ({"weekly": [{"days": ["MO"], "start": "9:00"}]}, "weekly", "TIME_FORMAT"),
        ({"weekly": [{"days": ["MO"], "start": 9}]}, "weekly", "TIME_FORMAT"),
        ({"weekly": [{"days": ["Monday"]}]}, "weekly", "enum"),
        ({"ranges": [{"first": "2026-12-24"}]}, "ranges", "missing"),
        ({"holidays": {"country": "Germany"}}, "holidays", "string_pattern_mismatch"),
        ({"timeZone": "Mars"}, "timeZone", "TIME_ZONE_UNKNOWN"),
        ({"days": []}, "days", "unexpected_keyword_argument"),
    ],
)
def test_calendar_refuses(members: dict[str, Any], location: str, kind: str) -> None:
    """What a calendar cannot be is refused where it stands; a number is not read as a date."""
    with pytest.raises(ValidationError) as caught:
        a_calendar(**members)
    assert [(location, kind)] == [(error["loc"][0], error["type"]) for error in caught.value.errors()]


def test_calendar_round_trip() -> None:
    """What a store keeps of a calendar, it reads back, and nothing that was left out is in it."""
    calendar = Calendar(
        dates=frozenset({date(2026, 12, 24)}),
        ranges=(Range(date(2026, 8, 1), date(2026, 8, 31)),),
        weekly=(
            Weekly(frozenset({Weekday.FR}), timedelta(hours=22), timedelta(hours=6)),
            Weekly(frozenset({Weekday.SU})),
        ),
        holidays=Holidays("DE", "BY"),
        time_zone="Europe/Berlin",
    )
    written = calendar_to_json(calendar)
    assert calendar == calendar_from_json(written)
    assert {"start": "22:00", "end": "06:00", "days": ["FR"]} == written["weekly"][0]
    assert {} == calendar_to_json(Calendar())


def test_holidays_have_names() -> None:
    """They are those of the country, and of its part."""
    assert "New Year's Day" == holidays_of(Holidays("US"), 2026)[date(2026, 1, 1)]


@pytest.mark.parametrize("holidays", [Holidays("XX"), Holidays("DE", "XX")])
def test_unknown_holidays(holidays: Holidays) -> None:
    """A country or a part of one that is not known is said so in words."""
    with pytest.raises(ValueError, match="are not known for"):
        holidays_of(holidays, 2026)


# --- what it does to a fire time

CALENDARS = {"weekend": a_calendar(**WEEKEND)}
SATURDAY, MONDAY = at("2026-06-06T12:00"), at("2026-06-08T12:00")


@pytest.mark.parametrize(
    ("use", "moment", "until"),
    [
        (CalendarUse("weekend"), SATURDAY, at("2026-06-08T00:00")),
        (CalendarUse("weekend", Days.INCLUDE), MONDAY, at("2026-06-13T00:00")),
        (CalendarUse("gone", Days.INCLUDE), MONDAY, None),
    ],
)
def test_ruled_out(use: CalendarUse, moment: datetime, until: datetime | None) -> None:
    """A time is ruled out until the calendar changes, and the reason names the calendar."""
    out = ruled_out(use, moment, CALENDARS)
    assert out is not None
    assert until == out.until
    assert use.name in out.reason


@pytest.mark.parametrize(
    ("use", "moment"),
    [
        (None, SATURDAY),
        (CalendarUse("weekend"), MONDAY),
        (CalendarUse("weekend", Days.INCLUDE), SATURDAY),
        (CalendarUse("gone"), SATURDAY),
    ],
)
def test_not_ruled_out(use: CalendarUse | None, moment: datetime) -> None:
    """Other times are free; a calendar that is gone and was to be left out rules nothing out."""
    assert ruled_out(use, moment, CALENDARS) is None


def test_postponed_jobs_are_spread() -> None:
    """After a blackout each job has a place of its own, the same each time, none before its end."""
    use = CalendarUse("weekend", blackout=Blackout.POSTPONE, spread=timedelta(minutes=10))
    end = at("2026-06-08T00:00")
    places = {postponed(use, end, UUID(int=JOB.int + number * 0x9E3779B1)) for number in range(100)}
    assert 100 == len(places)
    assert end <= min(places) <= max(places) < end + timedelta(minutes=10)
    assert postponed(use, end, JOB) == postponed(use, end, JOB)
