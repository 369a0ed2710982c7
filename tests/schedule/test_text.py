from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mainspring.schedule import (
    MICROSECOND,
    Duration,
    Every,
    Period,
    Recurring,
    TimeError,
    When,
    format_time,
    parse_duration,
    parse_when,
)
from mainspring.schedule.text import (
    LONGEST,
    CalendarPeriod,
    TimeZone,
    check_zone,
    format_duration,
    parse_period,
    read_any,
    read_usual,
)
from tests.schedule.drawn import BERLIN, TEN, ZONES, at, fire_times


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


# --- as pydantic types

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


# --- the fast ways are as the plain ones


@given(
    st.from_regex(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{3}|\.[0-9]{6})?Z", fullmatch=True
    )
    | st.text(alphabet="0123456789-+:.,TZ", max_size=30)
)
@example("2026-12-01T24:00:00Z")
@example("2026-12-31T23:59:60Z")
def test_the_fast_way_reads_a_moment_like_the_plain_one(text: str) -> None:
    """What `read_usual` reads is what `read_any` reads; it leaves to it whatever else there is."""
    moment = read_usual(text)
    if moment is not None:
        assert read_any(text) == moment
        assert moment.tzinfo is UTC


@given(st.datetimes(timezones=st.timezones()))
def test_moments_are_written_as_the_standard_library_does(moment: datetime) -> None:
    """Pydantic's writer, which is faster, has the digits of `isoformat`."""
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:  # at the ends of the calendar
        return
    digits = "seconds" if not utc.microsecond else "microseconds" if utc.microsecond % 1000 else "milliseconds"
    assert utc.isoformat(timespec=digits).replace("+00:00", "Z") == format_time(moment)
