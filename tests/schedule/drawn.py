"""Schedules that tests draw, and small helpers to build moments and to walk through fire times."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import islice
from typing import Any
from zoneinfo import available_timezones, reset_tzpath

from hypothesis import strategies as st

from mainspring.schedule import AnyOf, At, Cron, Every, Overlap, Period, Recurring, RRule, Trigger
from mainspring.schedule.trigger import Blackout, CalendarUse, Days, Misfire, MisfirePolicy
from mainspring.schedule.zones import DstGap, DstOverlap

reset_tzpath(())  # the rules of the zones are those of the tzdata package, here as there
TEN = datetime(2026, 12, 1, 10, tzinfo=UTC)
BERLIN = "Europe/Berlin"
ZONES = sorted(available_timezones() - {"localtime"})


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, zone: tzinfo = UTC) -> datetime:
    """Make a moment from the civil time of a zone."""
    return datetime(year, month, day, hour, minute, tzinfo=zone).astimezone(UTC)


def fire_times(trigger: Trigger, limit: int = 100) -> list[datetime]:
    """List the first fire times of a trigger, as a node walks through them."""

    def walk() -> Any:
        moment: datetime | None = trigger.first
        while moment is not None:
            yield moment
            moment = trigger.next_fire_time(moment)

    return list(islice(walk(), limit))


periods = st.one_of(
    st.builds(Period, days=st.integers(1, 40)),
    st.builds(Period, months=st.integers(1, 14)),
    st.builds(
        Period,
        months=st.integers(0, 2),
        days=st.integers(0, 40),
        exact=st.timedeltas(timedelta(seconds=1), timedelta(40)),
    ),
    st.builds(Period, exact=st.timedeltas(timedelta(seconds=1), timedelta(days=400))),
)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made aware by `timezones`
zones = st.one_of(
    st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Antarctica/Troll"]),
    st.sampled_from(ZONES),
)
everies = st.builds(
    Recurring,
    st.builds(Every, periods),
    moments,
    st.one_of(st.none(), st.integers(1, 100)),
    st.one_of(st.none(), moments),
    zones,
)
rules = st.one_of(
    st.builds(Every, periods),
    st.sampled_from([Cron("0 3 * * *"), Cron("*/5 * * * * *"), RRule("FREQ=DAILY;BYHOUR=3")]),
    st.just(AnyOf((Cron("0 3 * * *"), RRule("FREQ=WEEKLY"), Every(Period(days=1))))),
    st.just(AnyOf((RRule("FREQ=WEEKLY;COUNT=5"), RRule("FREQ=DAILY;UNTIL=20300101T000000Z"), At((TEN,))))),
)
lengths = st.timedeltas(timedelta(), timedelta(days=7))
recurrings = st.builds(
    Recurring,
    rules,
    moments,
    count=st.none() | st.integers(1, 100),
    end=st.none() | moments,
    time_zone=zones,
    start_fires=st.booleans(),
    dst_gap=st.none() | st.sampled_from(DstGap),
    dst_overlap=st.none() | st.sampled_from(DstOverlap),
    jitter=lengths,
    window=lengths,
    misfire=st.builds(Misfire, st.sampled_from(MisfirePolicy), st.integers(1, 10_000), lengths),
    grace=st.none() | lengths,
    overlap=st.sampled_from(Overlap),
    calendar=st.none()
    | st.builds(CalendarUse, st.just("holidays"), st.sampled_from(Days), st.sampled_from(Blackout), lengths),
    excluded=st.lists(moments | st.dates(date(2020, 1, 1), date(2040, 1, 1)), max_size=3).map(tuple),
)
