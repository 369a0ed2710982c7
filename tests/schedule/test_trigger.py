import calendar
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import count, islice
from typing import Any
from zoneinfo import ZoneInfo, available_timezones, reset_tzpath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mainspring.schedule import (
    MICROSECOND,
    Duration,
    Every,
    Once,
    Overlap,
    Period,
    Recurring,
    TimeError,
    Trigger,
    When,
    format_time,
    parse_duration,
    parse_when,
    realigned,
    trigger_from_json,
    trigger_to_json,
)
from mainspring.schedule.rules import AnyOf, Cron, RRule
from mainspring.schedule.text import LONGEST, CalendarPeriod, TimeZone, check_zone, format_duration, parse_period
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


def code_of(read: Callable[[str], object], text: str) -> str:
    """Name the rule that a text breaks."""
    with pytest.raises(TimeError) as caught:
        read(text)
    assert str(caught.value), "every rule has a sentence"
    return caught.value.code


# --- moments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the forms
        ("2026-12-01T10:00:00Z", TEN),
        ("2026-12-01t10:00:00z", TEN),
        ("2026-12-01T10:00Z", TEN),
        ("20261201T100000Z", TEN),
        ("20261201T1000Z", TEN),
        ("2026-W49-2T10:00:00Z", TEN),
        ("2026W492T100000Z", TEN),
        ("2026-335T10:00:00Z", TEN),
        ("2026335T100000Z", TEN),
        # midnight, leap seconds, leap days
        ("2026-12-01T24:00:00Z", at(2026, 12, 2)),
        ("2026-12-31T24:00Z", at(2027, 1, 1)),
        ("2026-12-31T23:59:60Z", at(2027, 1, 1)),
        ("2026-12-31T23:59:60.5Z", at(2027, 1, 1) + timedelta(milliseconds=500)),
        ("2027-01-01T00:59:60+01:00", at(2027, 1, 1)),
        ("2026-12-31T18:59:60-05", at(2027, 1, 1)),
        ("2028-02-29T00:00:00Z", at(2028, 2, 29)),
        ("2028-366T00:00:00Z", at(2028, 12, 31)),
        ("2026-W53-7T00:00:00Z", at(2027, 1, 3)),
        ("2026-W01-1T00:00:00Z", at(2025, 12, 29)),
        # fractions: rounded up to the microsecond
        ("2026-12-01T10:00:00.5Z", TEN + timedelta(milliseconds=500)),
        ("2026-12-01T10:00:00,5Z", TEN + timedelta(milliseconds=500)),
        ("2026-12-01T10:00:00.123456Z", TEN + timedelta(microseconds=123_456)),
        ("2026-12-01T10:00:00.123456789Z", TEN + timedelta(microseconds=123_457)),
        ("2026-12-01T10:00:00.1234560000001Z", TEN + timedelta(microseconds=123_457)),
        ("2026-12-01T10:00:00.1234560000000Z", TEN + timedelta(microseconds=123_456)),
        ("2026-12-01T09:59:59.9999999Z", TEN),
        # offsets
        ("2026-12-01T10:00:00-00:00", TEN),
        ("2026-12-01T10:00:00+00", TEN),
        ("2026-12-01T11:00:00+01:00", TEN),
        ("2026-12-01T11:00:00+0100", TEN),
        ("2026-12-01T11:00:00+01", TEN),
        ("2026-12-01T04:30:00-05:30", TEN),
        ("2026-12-02T04:00:00+18:00", TEN),
        ("2026-11-30T16:00:00-18:00", TEN),
        # the ends of time
        ("0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_parse_when_reads(text: str, expected: datetime) -> None:
    """Each form of ISO 8601 that we take names one moment, in UTC."""
    moment = parse_when(text)
    assert expected == moment
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "tomorrow",
        "now",
        "infinity",
        "1795428000",
        "2026",
        "2026-12",
        "2026-W49",
        "26-12-01T10:00:00Z",
        "12026-12-01T10:00:00Z",
        "2026-12-01 10:00:00Z",
        "2026-12-01_10:00:00Z",
        "2026-12-01T10:00:00 Z",
        " 2026-12-01T10:00:00Z",
        "2026-12-01T10:00:00Z ",
        "2026-12-01T10:00:00Z\n",
        "2026-12-01T10:00\0:00Z",
        "2026-12-01T10:00:00Z\0",
        "2026-12-01Z",
        "2026-12-01T",
        "2026-12-01TZ",
        "2026-12-01T10Z",
        "2026-12-01T10.5Z",
        "2026-12-01T10:30.5Z",
        "2026-12-01T10:00:00.Z",
        pytest.param("2026-12-01T10:00:00." + "1" * 33 + "Z", id="33 digits"),
        "2026-12-01T1:00:00Z",
        "2026-12-1T10:00:00Z",
        "2026-1201T10:00:00Z",
        "202612-01T10:00:00Z",
        "2026-12-01T100000Z",
        "20261201T10:00:00Z",
        "2026-12-01T10:00:00ZZ",
        "2026-12-01T10:00:00Z+01:00",
        "2026-12-01T10:00:00+1",
        "2026-12-01T10:00:00+01:0",
        "2026-12-01T10:00:00+01:00:00",
        "2026-12-01T10:00:00[Europe/Berlin]",
        "2026-12-01T10:00:00 Europe/Berlin",
        "2026-12-01T10:00:00\N{MINUS SIGN}05:00",
        "\N{FULLWIDTH DIGIT TWO}026-12-01T10:00:00Z",
        "\N{ARABIC-INDIC DIGIT TWO}026-12-01T10:00:00Z",
        pytest.param("2026-12-01T10:00:00." + "0" * 100_000 + "Z", id="100,000 digits"),
        pytest.param("1" * 1_000_000, id="a million digits"),
    ],
)
def test_parse_when_refuses_what_is_no_iso_8601(text: str) -> None:
    """What does not have the form of a moment is refused whole and never misread."""
    assert code_of(parse_when, text) == "WHEN_FORMAT"


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01",
        "20261201",
        "2026-W49-2",
        "2026-335",
        "2026-12-01T10:00",
        "2026-12-01T10:00:00",
        "2026-12-01T10:00:00.5",
        "20261201T100000",
    ],
)
def test_parse_when_needs_a_zone(text: str) -> None:
    """A date or a local time alone names no moment."""
    assert code_of(parse_when, text) == "WHEN_ZONE_REQUIRED"


@pytest.mark.parametrize("offset", ["+18:01", "-18:01", "+19", "+23:59", "+24:00", "+99:99", "+00:60", "-1860"])
def test_parse_when_bounds_offsets(offset: str) -> None:
    """No zone is further from UTC than 18 hours, and no hour has more than 60 minutes."""
    assert code_of(parse_when, f"2026-12-01T10:00:00{offset}") == "WHEN_OFFSET_RANGE"


@pytest.mark.parametrize(
    "text",
    [
        # days that do not exist
        "2026-02-30T00:00:00Z",
        "2027-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-12-00T00:00:00Z",
        "2026-12-32T00:00:00Z",
        "2027-366T00:00:00Z",
        "2028-367T00:00:00Z",
        "2026-000T00:00:00Z",
        "2025-W53-1T00:00:00Z",
        "2026-W00-1T00:00:00Z",
        "2026-W49-0T00:00:00Z",
        "2026-W49-8T00:00:00Z",
        # times of day that do not exist
        "2026-12-01T25:00:00Z",
        "2026-12-01T24:00:01Z",
        "2026-12-01T24:01:00Z",
        "2026-12-01T24:00:00.1Z",
        "2026-12-01T24:00:60Z",
        "2026-12-01T10:60:00Z",
        "2026-12-01T10:00:61Z",
        "2026-12-01T10:00:60Z",
        "2026-12-31T23:59:60+01:00",
        # years that we do not have
        "0000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "+2026-12-01T10:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "0001-000T00:00:00Z",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T24:00:00Z",
        "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59.9999999Z",
        "9999-366T00:00:00Z",
        "9999-W52-7T00:00:00Z",
    ],
)
def test_parse_when_refuses_moments_that_do_not_exist(text: str) -> None:
    """The right form with values that no calendar, clock or century of ours has is out of range."""
    assert code_of(parse_when, text) == "WHEN_RANGE"


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (TEN, "2026-12-01T10:00:00Z"),
        (TEN + timedelta(milliseconds=500), "2026-12-01T10:00:00.500Z"),
        (TEN + MICROSECOND, "2026-12-01T10:00:00.000001Z"),
        (TEN.astimezone(timezone(timedelta(hours=-5))), "2026-12-01T10:00:00Z"),
        (datetime(987, 6, 5, tzinfo=UTC), "0987-06-05T00:00:00Z"),
    ],
)
def test_format_time(moment: datetime, expected: str) -> None:
    """A moment is written in UTC, with no digits that it does not have."""
    assert expected == format_time(moment)


@given(st.datetimes(timezones=st.just(UTC)))
def test_format_time_round_trip(moment: datetime) -> None:
    """What we write, we read as the same moment."""
    assert moment == parse_when(format_time(moment))


@given(st.text(alphabet="0123456789-+:.,TtWZz \n", max_size=70))
def test_parse_when_answers_or_refuses(text: str) -> None:
    """Whatever is sent, it is a moment in UTC or a named fault, and nothing else."""
    try:
        assert parse_when(text).tzinfo is UTC
    except TimeError as error:
        assert error.code in {"WHEN_FORMAT", "WHEN_ZONE_REQUIRED", "WHEN_OFFSET_RANGE", "WHEN_RANGE"}  # noqa: PT017


@given(
    st.from_regex(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{3}|\.[0-9]{6})?", fullmatch=True
    )
)
@example("2026-12-31T23:59:60")
@example("2026-12-31T24:00:00")
@example("2026-12-31T24:00:00.001")
def test_the_usual_form_is_read_like_the_others(text: str) -> None:
    """What is read in the fast way, with Z, means what the grammar says of it, with an offset."""

    def outcome(text: str) -> datetime | str:
        try:
            return parse_when(text)
        except TimeError as error:
            return error.code

    assert outcome(f"{text}+00:00") == outcome(f"{text}Z")


# --- periods and durations


@pytest.mark.parametrize(
    ("text", "expected", "written"),
    [
        ("PT15M", Period(exact=timedelta(minutes=15)), "PT15M"),
        ("PT90M", Period(exact=timedelta(minutes=90)), "PT1H30M"),
        ("PT36H", Period(exact=timedelta(hours=36)), "PT36H"),
        ("PT0.5S", Period(exact=timedelta(milliseconds=500)), "PT0.5S"),
        ("PT1,25S", Period(exact=timedelta(milliseconds=1250)), "PT1.25S"),
        ("PT0.000001S", Period(exact=MICROSECOND), "PT0.000001S"),
        ("PT1M0.5S", Period(exact=timedelta(seconds=60.5)), "PT1M0.5S"),
        ("P1D", Period(days=1), "P1D"),
        ("P2W", Period(days=14), "P14D"),
        ("P1W1D", Period(days=8), "P8D"),
        ("P1M", Period(months=1), "P1M"),
        ("P1Y", Period(months=12), "P1Y"),
        ("P1Y6M", Period(months=18), "P1Y6M"),
        ("P14M", Period(months=14), "P1Y2M"),
        ("P1DT12H", Period(days=1, exact=timedelta(hours=12)), "P1DT12H"),
        ("P1Y2M3W4DT5H6M7.089S", Period(14, 25, timedelta(hours=5, minutes=6, seconds=7.089)), "P1Y2M25DT5H6M7.089S"),
        ("P10Y", Period(months=120), "P10Y"),
        ("P120M", Period(months=120), "P10Y"),
        ("P3653D", Period(days=3653), "P3653D"),
        ("P0D", Period(), "PT0S"),
        ("PT0S", Period(), "PT0S"),
    ],
)
def test_period(text: str, expected: Period, written: str) -> None:
    """Months stay months, days stay days, the rest is exact; and it is written in its plainest form."""
    assert expected == parse_period(text)
    assert written == str(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1DT",
        "1D",
        "p1d",
        "P1d",
        "P-1D",
        "-P1D",
        "+P1D",
        "P1.5D",
        "P0.5Y",
        "PT1.5H",
        "PT1.5M",
        "PT.5S",
        "PT1.S",
        "PT1.1234567S",
        "P1D1M",
        "P1D1W",
        "PT1S1M",
        "PT1M1H",
        "P1H",
        "PT1D",
        "PT1M1M",
        "P1234567890D",
        "P1D ",
        "P1D\n",
        "P\N{ARABIC-INDIC DIGIT ONE}D",
        pytest.param("PT" + "0" * 100 + "S", id="100 digits"),
        "15m",
        "86400",
    ],
)
def test_period_refuses_what_is_no_duration(text: str) -> None:
    """Only ISO 8601 durations are taken: in order, never negative, with a fraction of seconds alone."""
    assert code_of(parse_period, text) == "DURATION_FORMAT"


@pytest.mark.parametrize("text", ["P11Y", "P121M", "P3654D", "P522W", "PT87673H", "P10YT5H", "P999999999Y999999999W"])
def test_period_is_at_most_ten_years(text: str) -> None:
    """What is longer than ten years is out of range, however large the numbers."""
    assert code_of(parse_period, text) == "DURATION_RANGE"


@pytest.mark.parametrize("text", ["P1M", "P1Y", "P1MT1S"])
def test_duration_is_exact(text: str) -> None:
    """A month is no exact duration, so a time limit of one is refused."""
    assert code_of(parse_duration, text) == "DURATION_FORMAT"


@pytest.mark.parametrize(
    ("text", "expected"), [("PT30S", timedelta(seconds=30)), ("P1D", timedelta(days=1)), ("P1WT1H", timedelta(7, 3600))]
)
def test_duration(text: str, expected: timedelta) -> None:
    """In an exact duration a day is 24 hours."""
    assert expected == parse_duration(text)


@given(st.timedeltas(timedelta(), LONGEST))
def test_duration_round_trip(duration: timedelta) -> None:
    """What we write, we read as the same duration."""
    assert duration == parse_duration(format_duration(duration))


@given(
    st.builds(
        Period,
        months=st.integers(0, 60),
        days=st.integers(0, 900),
        exact=st.timedeltas(timedelta(), timedelta(days=900)),
    )
)
def test_period_round_trip(period: Period) -> None:
    """What we write, we read as the same period: months do not turn into days."""
    assert period == parse_period(str(period))


# --- zones


def test_every_iana_zone_is_known() -> None:
    """All IANA zones are taken, and times can be computed in each."""
    assert ZONES == [check_zone(name) for name in ZONES]
    triggers = [Recurring(Every(Period(months=1)), TEN, time_zone=name) for name in ZONES]
    assert [14] * len(ZONES) == [len(fire_times(trigger, 14)) for trigger in triggers]


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "Berlin",
        "CEST",
        "UTC+1",
        "+01:00",
        "europe/berlin",
        "Europe",
        "Europe/",
        "Europe/Berlin\0",
        "Europe/Berlin/Mitte",
        "../../etc/passwd",
        "/etc/localtime",
        ".",
        "localtime",
        "posixrules",
        "right/Europe/Berlin",
        "zone.tab",
        "\ud800",
        pytest.param("a" * 10_000, id="10,000 letters"),
    ],
)
def test_other_zones_are_refused(name: str) -> None:
    """What is no IANA zone is refused, and so is what only this machine knows, such as its local time."""
    assert code_of(check_zone, name) == "TIME_ZONE_UNKNOWN"


# --- Once


def test_once_fires_once() -> None:
    """The only fire time comes strictly after any earlier moment, and never again."""
    once = Once(TEN)
    assert [TEN] == fire_times(once)
    assert once.next_fire_time(TEN - MICROSECOND) == TEN
    assert once.starting(at(2027, 1, 1), TEN) == Once(at(2027, 1, 1))


# --- Every: examples


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param("02:30", ["02:30+01:00", "03:00+02:00", "02:30+02:00"], id="inside the gap"),
        pytest.param("02:00", ["02:00+01:00", "03:00+02:00", "02:00+02:00"], id="the first time of the gap"),
        pytest.param("03:00", ["03:00+01:00", "03:00+02:00", "03:00+02:00"], id="the first time after the gap"),
        pytest.param("01:59", ["01:59+01:00", "01:59+01:00", "01:59+02:00"], id="the last time before the gap"),
    ],
)
def test_every_day_over_a_gap(start: str, expected: list[str]) -> None:
    """A civil time that the clocks skip is the first valid instant after the gap; the days around keep theirs."""
    zone = ZoneInfo(BERLIN)
    first = datetime.fromisoformat(f"2026-03-28T{start}").replace(tzinfo=zone).astimezone(UTC)
    times = fire_times(Recurring(Every(Period(days=1)), first, time_zone=BERLIN), 3)
    days = ["2026-03-28", "2026-03-29", "2026-03-30"]
    assert [f"{day}T{time}" for day, time in zip(days, expected, strict=True)] == [
        moment.astimezone(zone).isoformat(timespec="minutes") for moment in times
    ]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param("02:30", ["02:30+02:00", "02:30+02:00", "02:30+01:00"], id="inside the overlap"),
        pytest.param("02:00", ["02:00+02:00", "02:00+02:00", "02:00+01:00"], id="its first time"),
        pytest.param("03:00", ["03:00+02:00", "03:00+01:00", "03:00+01:00"], id="the first time after it"),
    ],
)
def test_every_day_over_an_overlap(start: str, expected: list[str]) -> None:
    """A civil time that comes twice is taken the first time, and only then."""
    zone = ZoneInfo(BERLIN)
    first = datetime.fromisoformat(f"2026-10-24T{start}").replace(tzinfo=zone).astimezone(UTC)
    times = fire_times(Recurring(Every(Period(days=1)), first, time_zone=BERLIN), 3)
    days = ["2026-10-24", "2026-10-25", "2026-10-26"]
    assert [f"{day}T{time}" for day, time in zip(days, expected, strict=True)] == [
        moment.astimezone(zone).isoformat(timespec="minutes") for moment in times
    ]


def test_every_may_start_in_the_second_pass_of_an_overlap() -> None:
    """The start is a moment, not a civil time: it is kept as it is, and the next day's comes after it."""
    second = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)
    every = Recurring(Every(Period(days=1)), second, time_zone=BERLIN)
    assert [second, second + timedelta(days=1)] == fire_times(every, 2)


def test_every_day_where_a_day_was_skipped() -> None:
    """Samoa had no 30 December 2011: a job of that day runs as the 31st begins, and a midnight job but once."""
    apia = ZoneInfo("Pacific/Apia")
    ten = fire_times(Recurring(Every(Period(days=1)), at(2011, 12, 29, 10, zone=apia), time_zone="Pacific/Apia"), 3)
    assert [at(2011, 12, 29, 10, zone=apia), at(2011, 12, 31, zone=apia), at(2011, 12, 31, 10, zone=apia)] == ten
    midnight = fire_times(Recurring(Every(Period(days=1)), at(2011, 12, 29, zone=apia), time_zone="Pacific/Apia"), 3)
    assert [at(2011, 12, 29, zone=apia), at(2011, 12, 31, zone=apia), at(2012, 1, 1, zone=apia)] == midnight


def test_every_exact_period_counts_real_time() -> None:
    """24 hours are 24 hours, also when the clocks change."""
    start = at(2026, 3, 28, 3, zone=ZoneInfo(BERLIN))
    every = Recurring(Every(Period(exact=timedelta(hours=24))), start, time_zone=BERLIN)
    assert [start + n * timedelta(hours=24) for n in range(4)] == fire_times(every, 4)


def test_every_mixed_period() -> None:
    """The days of a period follow the calendar, and its exact rest comes on top in real time."""
    zone = ZoneInfo(BERLIN)
    every = Recurring(Every(Period(days=1, exact=timedelta(hours=12))), at(2026, 3, 28, zone=zone), time_zone=BERLIN)
    expected = [at(2026, 3, 28, zone=zone), at(2026, 3, 29, 13, zone=zone), at(2026, 3, 31, zone=zone)]
    assert expected == fire_times(every, 3)


@pytest.mark.parametrize(
    ("period", "start", "expected"),
    [
        (Period(months=1), (2026, 1, 31), [(2026, 2, 28), (2026, 3, 31), (2026, 4, 30), (2026, 5, 31)]),
        (Period(months=1), (2028, 1, 30), [(2028, 2, 29), (2028, 3, 30), (2028, 4, 30), (2028, 5, 30)]),
        (Period(months=12), (2028, 2, 29), [(2029, 2, 28), (2030, 2, 28), (2031, 2, 28), (2032, 2, 29)]),
        (Period(months=12), (2096, 2, 29), [(2097, 2, 28), (2098, 2, 28), (2099, 2, 28), (2100, 2, 28)]),
        (Period(months=1, days=1), (2026, 1, 30), [(2026, 3, 1), (2026, 4, 1), (2026, 5, 3), (2026, 6, 3)]),
        (Period(days=7), (2026, 12, 25), [(2027, 1, 1), (2027, 1, 8), (2027, 1, 15), (2027, 1, 22)]),
    ],
)
def test_every_month_does_not_drift(
    period: Period, start: tuple[int, int, int], expected: list[tuple[int, int, int]]
) -> None:
    """Each fire time is computed from the start: a short month shortens its own date and no later one."""
    times = fire_times(Recurring(Every(period), at(*start)), 5)
    assert [at(*start), *(at(*day) for day in expected)] == times


def test_every_count() -> None:
    """With a count there are that many fire times."""
    assert [at(2026, 1, day) for day in (1, 2, 3)] == fire_times(
        Recurring(Every(Period(days=1)), at(2026, 1, 1), count=3)
    )


@pytest.mark.parametrize(("end", "last"), [(at(2026, 1, 3), 3), (at(2026, 1, 3) - MICROSECOND, 2), (at(2026, 1, 1), 1)])
def test_every_end(end: datetime, last: int) -> None:
    """A fire time at the end is the last; there is none after it."""
    every = Recurring(Every(Period(days=1)), at(2026, 1, 1), count=10, end=end)
    assert [at(2026, 1, day + 1) for day in range(last)] == fire_times(every)


def test_every_starts_with_its_start() -> None:
    """Before the start the next fire time is the start, however early one asks."""
    every = Recurring(Every(Period(months=1)), at(2026, 1, 31, 3), time_zone=BERLIN)
    assert every.start == every.first
    for before in (every.start - MICROSECOND, at(1970, 1, 1), datetime.min.replace(tzinfo=UTC)):
        assert every.start == every.next_fire_time(before)


@pytest.mark.parametrize(
    "period",
    [Period(days=1), Period(months=1), Period(months=12), Period(exact=timedelta(seconds=1)), Period(days=3653)],
)
def test_every_ends_with_the_calendar(period: Period) -> None:
    """Beyond the year 9999 there is no next fire time, and no error either."""
    last = datetime.max.replace(tzinfo=UTC)
    assert Recurring(Every(period), at(2026, 1, 31)).next_fire_time(last) is None
    assert Recurring(Every(period), last).next_fire_time(last) is None
    assert Recurring(Every(period), last, time_zone="Pacific/Kiritimati").next_fire_time(last) is None


def test_every_reaches_the_last_year() -> None:
    """The last fire time before the end of the calendar is found."""
    every = Recurring(Every(Period(months=1)), at(2026, 1, 31))
    assert at(9999, 12, 31) == every.next_fire_time(at(9999, 11, 30))


@pytest.mark.parametrize(
    ("count_", "gone", "left"),
    [
        pytest.param(5, at(2026, 1, 1) - MICROSECOND, 5, id="none gone"),
        pytest.param(5, at(2026, 1, 1), 4, id="the first gone"),
        pytest.param(5, at(2026, 1, 3), 2, id="three gone"),
        pytest.param(5, at(2026, 1, 5), 1, id="all gone, yet one more was asked for"),
        pytest.param(None, at(2026, 1, 3), None, id="without a count"),
    ],
)
def test_every_starting(count_: int | None, gone: datetime, left: int | None) -> None:
    """Begun anew, a series keeps its period, end and zone, and the rest of its count."""
    every = Recurring(Every(Period(days=1)), at(2026, 1, 1), count_, at(2027, 1, 1), BERLIN)
    noon = at(2026, 2, 1, 12)
    assert Recurring(Every(Period(days=1)), noon, left, at(2027, 1, 1), BERLIN) == every.starting(noon, gone)


# --- Every: properties, against arithmetic that knows nothing of ours


def _plus_months(civil: datetime, months: int) -> datetime:
    year, month = divmod(civil.year * 12 + civil.month - 1 + months, 12)
    return civil.replace(year=year, month=month + 1, day=min(civil.day, calendar.monthrange(year, month + 1)[1]))


def _first_valid(civil: datetime, zone: ZoneInfo) -> datetime:
    """Answer when a civil time comes first, or the end of the gap that it lies in, by halving."""
    moment = civil.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == civil:
        return moment
    before, beyond = civil.replace(tzinfo=zone, fold=1).astimezone(UTC), moment
    offset = beyond.astimezone(zone).utcoffset()
    while beyond - before > MICROSECOND:
        middle = before + (beyond - before) // 2
        before, beyond = (before, middle) if middle.astimezone(zone).utcoffset() == offset else (middle, beyond)
    return beyond


def brute_force(every: Recurring, number: int) -> datetime:
    """Compute the n-th fire time with the standard library alone."""
    assert isinstance(every.rule, Every)
    period = every.rule.period
    if number == 0 or not (period.months or period.days):
        return every.start + period.exact * number
    zone = ZoneInfo(every.time_zone)
    civil = every.start.astimezone(zone).replace(tzinfo=None, fold=0)
    civil = _plus_months(civil, period.months * number) + timedelta(days=period.days * number)
    return _first_valid(civil, zone) + period.exact * number


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


@settings(deadline=None)
@given(everies, moments)
def test_next_fire_time_is_after(every: Recurring, after: datetime) -> None:
    """The next fire time is strictly later, and never beyond the end."""
    following = every.next_fire_time(after)
    if following is not None:
        assert following > after
        assert after < every.start or every.end is None or following <= every.end


@settings(deadline=None)
@given(everies, moments, moments)
def test_next_fire_time_is_monotonic(every: Recurring, one: datetime, other: datetime) -> None:
    """Whoever asks later hears of no earlier fire time."""
    never = datetime.max.replace(tzinfo=UTC)
    earlier, later = sorted([one, other])
    assert (every.next_fire_time(earlier) or never) <= (every.next_fire_time(later) or never)


@settings(deadline=None)
@given(everies)
@example(Recurring(Every(Period(days=1)), at(2026, 3, 20, 1), time_zone=BERLIN))
@example(Recurring(Every(Period(days=1)), at(2026, 10, 20, 0, 30), time_zone=BERLIN))
@example(Recurring(Every(Period(months=1)), at(2026, 1, 31, 1), time_zone=BERLIN))
def test_no_fire_time_is_skipped(every: Recurring) -> None:
    """Walking from one fire time to the next meets every one of them, as plain enumeration finds them, once."""
    numbers = range(30 if every.count is None else min(30, every.count))
    expected = [brute_force(every, number) for number in numbers]
    if every.end is not None:
        expected = expected[:1] + [moment for moment in expected[1:] if moment <= every.end]
    assert list(dict.fromkeys(expected)) == fire_times(every, len(expected))


@settings(deadline=None)
@given(
    st.builds(Recurring, st.builds(Every, periods), moments, time_zone=zones),
    st.integers(0, 50),
    st.timedeltas(timedelta(-3), timedelta(3)),
)
def test_any_moment_finds_its_next_fire_time(every: Recurring, number: int, shift: timedelta) -> None:
    """Asked out of the blue, not from fire time to fire time, the answer is the first one that enumeration finds."""
    after = max(every.start, brute_force(every, number) + shift)
    expected = next(moment for moment in (brute_force(every, n) for n in count()) if moment > after)
    assert expected == every.next_fire_time(after)


# --- other rules: the start, the end, the count, and moving


def daily(**terms: Any) -> Recurring:
    """Build a trigger that fires at three."""
    return Recurring(Cron("0 3 * * *"), at(2026, 1, 1), **terms)


def test_first_is_the_rules_own() -> None:
    """A start is a bound; the first fire time is the first that the rule names from then on."""
    assert at(2026, 1, 1, 3) == daily().first
    assert at(2026, 1, 1, 3) == Recurring(Cron("0 3 * * *"), at(2026, 1, 1, 3)).first


def test_start_may_fire_by_itself() -> None:
    """And then as the rule says, once where the two meet."""
    assert [at(2026, 1, 1), at(2026, 1, 1, 3), at(2026, 1, 2, 3)] == fire_times(daily(start_fires=True), 3)
    met = Recurring(Cron("0 3 * * *"), at(2026, 1, 1, 3), start_fires=True)
    assert [at(2026, 1, 1, 3), at(2026, 1, 2, 3)] == fire_times(met, 2)


def test_schedule_that_never_fires_has_no_first() -> None:
    """A search that ends without a result is said, not guessed."""
    with pytest.raises(ValueError, match="never fires"):
        _ = Recurring(Cron("0 0 30 2 *"), at(2026, 1, 1)).first


def test_end_is_included() -> None:
    """For every kind of rule."""
    assert [at(2026, 1, 1, 3), at(2026, 1, 2, 3)] == fire_times(daily(end=at(2026, 1, 2, 3)))


@pytest.mark.parametrize(("start_fires", "days"), [(False, [1, 2, 3]), (True, [1, 2])])
def test_count_counts_the_start_if_it_fires(start_fires: bool, days: list[int]) -> None:  # noqa: FBT001 - an example's answer
    """A count is that of fire times, whatever makes them."""
    opening = [at(2026, 1, 1)] if start_fires else []
    expected = [*opening, *(at(2026, 1, day, 3) for day in days)]
    assert expected == fire_times(daily(start_fires=start_fires, count=3))


def test_moving_a_cron_job() -> None:
    """The pending fire time is moved, those after it are where they were, and the count goes on."""
    moved = daily(count=5, time_zone=BERLIN).starting(at(2026, 1, 3, 12), at(2026, 1, 2, 3))
    assert (at(2026, 1, 3, 12), 3) == (moved.first, moved.count)
    assert [at(2026, 1, 3, 12), at(2026, 1, 4, 2), at(2026, 1, 5, 2)] == fire_times(moved)


@pytest.mark.parametrize(
    ("period", "number"), [(Period(exact=timedelta(hours=7)), 5), (Period(days=2), 2), (Period(months=1), 2)]
)
def test_any_of_with_a_period(period: Period, number: int) -> None:
    """A period is counted from the start, next to the other rules; a moment that two name is there once."""
    both = Recurring(AnyOf((Cron("0 0 * * *"), Every(period))), at(2026, 1, 1))
    assert number == both.number(at(2026, 1, 2), at(2026, 1, 3))
    assert fire_times(both, 30) == sorted(set(fire_times(both, 30)))


def test_any_of_in_one_zone_can_be_counted() -> None:
    """Rules on the calendar are merged before they are counted; with a period in real time they are not."""
    crons = AnyOf((Cron("0 3 * * *"), Cron("0 3,4 * * MON")))
    assert Recurring(crons, at(2026, 1, 1)).is_countable
    assert 8 == Recurring(crons, at(2026, 1, 1)).number(at(2026, 1, 5), at(2026, 1, 11, 23))
    mixed = AnyOf((Cron("0 3 * * *"), Every(Period(exact=timedelta(hours=5)))))
    assert not Recurring(mixed, at(2026, 1, 1)).is_countable


def test_a_year_of_minutes() -> None:
    """In a zone whose clocks change each minute of a year comes once, counted and walked through."""
    start, end = at(2026, 1, 1), at(2027, 1, 1) - MICROSECOND
    minutes = Recurring(Cron("* * * * *"), start, time_zone=BERLIN)
    assert 365 * 1440 == minutes.number(start, end)
    for change in (at(2026, 3, 29, 1), at(2026, 10, 25, 1)):
        low, high = change - timedelta(hours=3), change + timedelta(hours=3)
        assert [low + n * timedelta(minutes=1) for n in range(361)] == list(minutes.fire_times(low, high))
    named = Recurring(Cron("* * * * *"), start, time_zone=BERLIN, dst_gap=DstGap.SKIP, dst_overlap=DstOverlap.FIRST)
    assert 365 * 1440 - 60 == named.number(start, end)


# --- when the rules of a zone change


@pytest.mark.parametrize(
    ("stored", "today"),
    [
        (at(2026, 7, 1, 1), at(2026, 7, 1, 1)),
        (at(2026, 7, 1, 2), at(2026, 7, 1, 1)),
        (at(2026, 7, 1, 0), at(2026, 7, 1, 1)),
        (at(2026, 7, 1, 14), at(2026, 7, 2, 1)),
    ],
)
def test_realigned(stored: datetime, today: datetime) -> None:
    """A stored fire time that the zone's rules of today do not have is led to the nearest that they have."""
    assert today == realigned(daily(time_zone=BERLIN), stored)


def test_what_has_no_zone_is_not_realigned() -> None:
    """A moment stays what it is."""
    assert TEN == realigned(Once(TEN), TEN)


# --- to and from JSON, and as pydantic types

rules = st.one_of(
    st.builds(Every, periods),
    st.sampled_from([Cron("0 3 * * *"), Cron("*/5 * * * * *"), RRule("FREQ=DAILY;BYHOUR=3")]),
    st.just(AnyOf((Cron("0 3 * * *"), RRule("FREQ=WEEKLY"), Every(Period(days=1))))),
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
)


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


KINDS = {"When": When, "Duration": Duration, "CalendarPeriod": CalendarPeriod, "TimeZone": TimeZone}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("When", "2026-12-01T11:00:00+01:00", TEN),
        ("When", TEN.astimezone(ZoneInfo(BERLIN)), TEN),
        ("Duration", "PT30S", timedelta(seconds=30)),
        ("Duration", timedelta(seconds=30), timedelta(seconds=30)),
        ("CalendarPeriod", "P1M", Period(months=1)),
        ("CalendarPeriod", Period(months=1), Period(months=1)),
        ("TimeZone", BERLIN, BERLIN),
    ],
)
def test_pydantic_types_read(kind: str, value: object, expected: object) -> None:
    """A field of ours takes text by our grammar, or a value that is ready."""
    assert expected == TypeAdapter[Any](KINDS[kind]).validate_python(value)


def test_when_is_always_in_utc() -> None:
    """Also a ready moment is turned to UTC, so that it is written the same everywhere."""
    assert TypeAdapter(When).validate_python(TEN.astimezone(ZoneInfo(BERLIN))).tzinfo is UTC


@pytest.mark.parametrize("value", [1_795_428_000, 1.8e9, True, None, [], {}, "", b"2026-12-01T10:00:00Z"])
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("When", "WHEN_TYPE"),
        ("Duration", "DURATION_TYPE"),
        ("CalendarPeriod", "DURATION_TYPE"),
        ("TimeZone", "TIME_ZONE_UNKNOWN"),
    ],
)
def test_pydantic_types_take_text_only(kind: str, code: str, value: object) -> None:
    """What is no text, or empty, is refused under a code of its own; a number is not read as a time."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter[Any](KINDS[kind]).validate_python(value)
    assert [code] == [error["type"] for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("When", "2026-12-01", "WHEN_ZONE_REQUIRED"),
        ("When", datetime(2026, 12, 1), "WHEN_ZONE_REQUIRED"),  # noqa: DTZ001 - that it is naive is the point
        ("When", "1505951896", "WHEN_FORMAT"),
        ("Duration", "P1M", "DURATION_FORMAT"),
        ("CalendarPeriod", "P11Y", "DURATION_RANGE"),
        ("TimeZone", "Mars/Olympus", "TIME_ZONE_UNKNOWN"),
    ],
)
def test_pydantic_types_name_the_rule(kind: str, value: object, code: str) -> None:
    """The fault that the grammar found is the fault that the client is told."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter[Any](KINDS[kind]).validate_python(value)
    assert [code] == [error["type"] for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        ("When", TEN, "2026-12-01T10:00:00Z"),
        ("Duration", timedelta(minutes=90), "PT1H30M"),
        ("CalendarPeriod", Period(months=1), "P1M"),
        ("TimeZone", BERLIN, BERLIN),
    ],
)
def test_pydantic_types_write_as_they_read(kind: str, value: object, written: str) -> None:
    """As JSON a field is the text that it is read from; the schema says that it is text."""
    adapter = TypeAdapter[Any](KINDS[kind])
    assert written == adapter.dump_python(value, mode="json")
    assert value == adapter.validate_python(written)
    assert adapter.json_schema()["type"] == "string"
