"""Recurrence sets as calendars have them: read into rules, single moments and exceptions that are known already."""

import random  # noqa: TID251 - drawn from a seed, always the same
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from time import thread_time
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrule, rruleset, rrulestr

from mainspring.schedule import (
    Recurring,
    Start,
    Unrun,
    calendar_from_json,
    describe,
    preview,
    schedule_problems,
    schedule_warnings,
    to_trigger,
    trigger_from_json,
    trigger_to_json,
)
from mainspring.schedule.rules.recurrence_set import RecurrenceSet, read_rrule
from mainspring.schedule.text import find_zone
from mainspring.schedule.wire import Schedule
from tests.schedule.drawn import BERLIN

NOW = datetime(2026, 12, 1, 10, tzinfo=UTC)
FAR = datetime(2060, 1, 1, tzinfo=UTC)
GOOGLE = """BEGIN:VCALENDAR
PRODID:-//Google Inc//Google Calendar 70.9054//EN
VERSION:2.0
X-WR-TIMEZONE:Europe/Berlin
BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19701025T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
DTSTART;TZID=Europe/Berlin:20270104T090000
DTEND;TZID=Europe/Berlin:20270104T100000
RRULE:FREQ=WEEKLY;WKST=MO;UNTIL=20270201T225959Z
EXDATE;TZID=Europe/Berlin:20270111T090000
SUMMARY:A meeting\\, every week
DESCRIPTION:folded
  here
BEGIN:VALARM
TRIGGER:-PT10M
END:VALARM
END:VEVENT
END:VCALENDAR
"""


def problems(text: str, **terms: Any) -> list[tuple[str, str, str]]:
    """Return what is wrong with a schedule that has this text."""
    schedule = Schedule.model_validate({"rrule": text, **terms})
    return [(found.pointer, found.code, found.detail) for found in schedule_problems(schedule, None, NOW, ())]


def trigger_of(text: str, when: datetime | None = None, **terms: Any) -> Recurring:
    """Read a schedule that has this text."""
    assert [] == problems(text, **terms)
    return to_trigger(Schedule.model_validate({"rrule": text, **terms}), when, NOW)


def first(trigger: Recurring, number: int = 10, zone: str = "UTC") -> list[str]:
    """Write the first fire times by the clocks of a zone."""
    times = islice(trigger.fire_times(trigger.start, FAR), number)
    return [f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" for moment in times]


def stored(text: str, **terms: Any) -> dict[str, Any]:
    """Return what is kept of a schedule that has this text; it is read back as the same."""
    trigger = trigger_of(text, **terms)
    written = trigger_to_json(trigger)
    assert trigger == trigger_from_json(written)
    return written


def warnings(text: str, **terms: Any) -> dict[str, str]:
    """Return what a schedule with this text is warned of."""
    trigger = trigger_of(text, **terms)
    return {warned.code: warned.detail for warned in schedule_warnings(trigger, {"rrule": text, **terms})}


# --- what it becomes


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ["DTSTART;TZID=Europe/Berlin:20270104T090000", "RRULE:FREQ=WEEKLY;COUNT=3"],
            {"rrule": "FREQ=WEEKLY", "start": "2027-01-04T08:00:00Z", "timeZone": BERLIN, "count": 3},
        ),
        (
            ["DTSTART:20270104T090000Z", "RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE:20270111T090000Z"],
            {
                "rrule": "FREQ=WEEKLY;COUNT=3",
                "start": "2027-01-04T09:00:00Z",
                "timeZone": "UTC",
                "except": ["2027-01-11T09:00:00Z"],
            },
        ),
        (
            [
                "DTSTART;TZID=Europe/Berlin:20270104T090000",
                "RRULE:FREQ=WEEKLY",
                "RDATE:20270105T080000Z,20270106T080000Z",
            ],
            {
                "anyOf": [{"rrule": "FREQ=WEEKLY"}, {"at": ["2027-01-05T08:00:00Z", "2027-01-06T08:00:00Z"]}],
                "start": "2027-01-04T08:00:00Z",
                "timeZone": BERLIN,
            },
        ),
        (
            ["DTSTART:20270104T090000Z", "RRULE:FREQ=DAILY;COUNT=3", "RRULE:FREQ=WEEKLY;UNTIL=20270201"],
            {
                "anyOf": [{"rrule": "FREQ=DAILY;COUNT=3"}, {"rrule": "FREQ=WEEKLY;UNTIL=20270201T235959"}],
                "start": "2027-01-04T09:00:00Z",
                "timeZone": "UTC",
            },
        ),
        # without a rule, DTSTART is the first of the moments
        (
            ["DTSTART:20270104T090000Z", "RDATE:20270105T080000Z"],
            {
                "anyOf": [{"at": ["2027-01-04T09:00:00Z", "2027-01-05T08:00:00Z"]}],
                "start": "2027-01-04T09:00:00Z",
                "timeZone": "UTC",
            },
        ),
        # a day begins at midnight, and an exception to days is a day
        (
            ["DTSTART;VALUE=DATE:20270104", "RRULE:FREQ=DAILY", "EXDATE;TZID=Asia/Tokyo:20270106T000000"],
            {"rrule": "FREQ=DAILY", "start": "2027-01-04T00:00:00Z", "timeZone": "UTC", "except": ["2027-01-06"]},
        ),
        (
            ["DTSTART;VALUE=DATE:20270104", "RRULE:FREQ=DAILY"],
            {"rrule": "FREQ=DAILY", "start": "2027-01-04T00:00:00Z", "timeZone": "UTC"},
        ),
        (["FREQ=DAILY", "EXDATE:20270106"], {"rrule": "FREQ=DAILY", "except": ["2027-01-06"]}),
    ],
)  # fmt: skip
def test_lines_become_members(lines: list[str], expected: dict[str, Any]) -> None:
    """A set is kept as rules, moments and exceptions; LF and CRLF, folded lines and lower case are the same."""
    found = stored("\n".join(lines))
    from_now = set() if lines[0].startswith("DTSTART") else {"start", "timeZone"}
    assert expected == {name: found[name] for name in found if name not in from_now}
    assert found == stored("\r\n".join([*lines, ""]))
    assert found == stored("\r\n".join(f"{line[:8]}\r\n {line[8:30]}\r\n\t{line[30:]}" for line in lines))
    assert found == stored("\n".join(lines).replace("RRULE:FREQ", "rrule:freq").replace("EXDATE:", "exdate:"))


def test_zone_of_the_schedule_is_that_of_open_times() -> None:
    """Days and floating times are those of `timeZone`."""
    days = stored("DTSTART;VALUE=DATE:20270704\nRRULE:FREQ=DAILY", timeZone="America/New_York")
    assert "2027-07-04T04:00:00Z" == days["start"]
    floating = stored("DTSTART:20270704T090000\nRRULE:FREQ=DAILY\nRDATE:20270705T120000", timeZone=BERLIN)
    assert ("2027-07-04T07:00:00Z", ["2027-07-05T10:00:00Z"]) == (floating["start"], floating["anyOf"][1]["at"])


def test_plain_rule_is_kept_as_it_is() -> None:
    """One rule by itself is no set, with and without its name."""
    for text in ("FREQ=WEEKLY;BYDAY=MO;COUNT=3", "RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=3\n"):
        expected = {"rrule": "FREQ=WEEKLY;BYDAY=MO", "start": "2026-12-01T10:00:00Z", "timeZone": "UTC", "count": 3}
        assert expected == stored(text)
        assert not isinstance(read_rrule(text), RecurrenceSet)


@pytest.mark.parametrize("text", [GOOGLE, GOOGLE.replace("\n", "\r\n"), GOOGLE[GOOGLE.index("BEGIN:VEVENT") :]])
def test_whole_calendar(text: str) -> None:
    """Of a calendar or an event the lines that say when count; the others are ignored, and each is named."""
    trigger = trigger_of(text)
    expected = ["2027-01-04 09:00", "2027-01-18 09:00", "2027-01-25 09:00", "2027-02-01 09:00"]
    assert (BERLIN, expected) == (trigger.time_zone, first(trigger, zone=BERLIN))
    ignored = warnings(text)
    assert ["RRULE_IGNORED"] == list(ignored)
    assert all(name in ignored["RRULE_IGNORED"] for name in ("DTEND", "SUMMARY", "VALARM"))
    assert ("VTIMEZONE" in ignored["RRULE_IGNORED"]) is text.startswith("BEGIN:VCALENDAR")


# --- against others


def drawn_sets(number: int) -> Iterator[tuple[list[str], datetime]]:
    """Draw the lines of sets that begin at a civil time, whose moments now and then meet those of their rules."""
    chance = random.Random(14)  # noqa: S311 - repeatable on purpose
    for _ in range(number):
        start = datetime(2026, 1, 1, 9) + timedelta(days=chance.randint(0, 700))  # noqa: DTZ001 - it has no zone

        def some(most: int, start: datetime = start) -> list[str]:
            days = [start + timedelta(days=chance.randint(0, 60)) for _ in range(chance.randint(0, most))]
            return [f"{day + timedelta(hours=chance.choice([0, 0, 5])):%Y%m%dT%H%M%S}" for day in days]

        rules = []
        for _ in range(chance.randint(1, 3)):
            frequency = chance.choice(["DAILY", "WEEKLY", "MONTHLY", "DAILY;INTERVAL=3", "WEEKLY;BYDAY=MO,TH"])
            end = chance.choice(
                [f";COUNT={chance.randint(1, 30)}", f";UNTIL={start + timedelta(40):%Y%m%d}T090000", ""]
            )
            rules.append(f"RRULE:FREQ={frequency}{end}")
        lines = [f"RDATE:{text}" for text in some(5)] + [f"EXDATE:{text}" for text in some(10)]
        yield [*rules, *lines], start


def of_dateutil(lines: list[str], start: datetime, until: datetime) -> list[datetime]:
    """List the civil times of a set by another implementation."""
    together = rruleset()
    for line in lines:
        name, _, value = line.partition(":")
        match name:
            case "RRULE":
                rule = rrulestr(value, dtstart=start)
                assert isinstance(rule, rrule)
                together.rrule(rule)
            case "RDATE":
                together.rdate(datetime.strptime(value, "%Y%m%dT%H%M%S"))  # noqa: DTZ007 - civil
            case _:
                together.exdate(datetime.strptime(value, "%Y%m%dT%H%M%S"))  # noqa: DTZ007 - civil
    return [moment for moment in takewhile(lambda moment: moment <= until, together) if moment >= start]


@pytest.mark.parametrize("zone", ["UTC", BERLIN])
def test_sets_are_what_dateutil_takes_them_for(zone: str) -> None:
    """Two hundred drawn sets fire when dateutil says, and can be counted, looked up by number and from behind."""
    seen = 0
    for lines, start in drawn_sets(200):
        low, high = start, start + timedelta(days=200)
        expected = [moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for moment in of_dateutil(lines, low, high)]
        prefix = f"DTSTART;TZID={zone}" if zone != "UTC" else "DTSTART"
        text = "\n".join([f"{prefix}:{start:%Y%m%dT%H%M%S}", *lines])
        if not expected:
            continue
        trigger = trigger_of(text)
        end = high.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        assert expected == list(trigger.fire_times(trigger.start, end)), lines
        assert len(expected) == trigger.number(trigger.start, end), lines
        assert expected[-1] == trigger.last(trigger.start, end)
        for place in (0, len(expected) // 2, len(expected) - 1):
            assert expected[place] == trigger.nth(trigger.start, place)
        for left in (1, 5):
            limited = trigger_of(text, count=left)
            assert expected[:left] == list(limited.fire_times(trigger.start, end))
        seen += len(expected)
    assert seen > 5_000


# --- with the other members of a schedule


def test_count_of_a_rule_and_count_of_the_schedule() -> None:
    """A rule counts what it names, also what is left out; the schedule counts what fires."""
    lines = "DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY;COUNT=4\nRDATE:20270110T090000Z\nEXDATE:20270105T090000Z"
    assert ["2027-01-04 09:00", "2027-01-06 09:00", "2027-01-07 09:00", "2027-01-10 09:00"] == first(trigger_of(lines))
    assert ["2027-01-04 09:00", "2027-01-06 09:00"] == first(trigger_of(lines, count=2))


@pytest.mark.parametrize(("count", "years"), [(50, 50), (120, 120), (2**31 - 1, 200)])
def test_count_of_a_rule_may_take_longer_than_a_search(count: int, years: int) -> None:
    """A rule ends after its COUNT, also where that is further away than a next fire time is looked for."""
    begun = thread_time()
    trigger = trigger_of(f"DTSTART:20270104T090000Z\nRRULE:FREQ=YEARLY;COUNT={count}\nEXDATE:20280104")
    assert years - 1 == trigger.number(trigger.start, datetime(2226, 12, 31, tzinfo=UTC))
    assert thread_time() - begun < 1


def test_same_moment_counts_once() -> None:
    """Of rules and single moments that meet, one fire time is left (RFC 5545)."""
    lines = "DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY;COUNT=2\nRRULE:FREQ=WEEKLY;COUNT=2"
    trigger = trigger_of(f"{lines}\nRDATE:20270104T090000Z,20270111T090000Z")
    assert ["2027-01-04 09:00", "2027-01-05 09:00", "2027-01-11 09:00"] == first(trigger)
    assert 3 == trigger.number(trigger.start, FAR)


def test_when_is_the_first_fire_time() -> None:
    """It takes the place of DTSTART, as it does that of start."""
    when = datetime(2027, 1, 5, 7, tzinfo=UTC)
    trigger = trigger_of("DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY;COUNT=3\nRDATE:20270105T120000Z", when)
    assert ["2027-01-05 07:00", "2027-01-05 12:00", "2027-01-06 07:00", "2027-01-07 07:00"] == first(trigger)


def test_exceptions_are_those_of_both() -> None:
    """What is left out in the text and beside it is left out."""
    text = "DTSTART;TZID=Europe/Berlin:20270104T003000\nRRULE:FREQ=DAILY;COUNT=5"
    terms: dict[str, Any] = {"except": ["2027-01-07", "2027-01-03T23:30:00Z"]}
    trigger = trigger_of(f"{text}\nEXDATE;TZID=Europe/Berlin:20270105T003000", None, **terms)
    assert ["2027-01-06 00:30", "2027-01-08 00:30"] == first(trigger, zone=BERLIN)


def test_clocks_that_change() -> None:
    """An exception at a time that the clocks skip is that of the moment which it becomes."""
    lines = "DTSTART;TZID=Europe/Berlin:20270327T023000\nRRULE:FREQ=DAILY;COUNT=3"
    assert "2027-03-28 03:00" in first(trigger_of(lines), zone=BERLIN)
    left = first(trigger_of(f"{lines}\nEXDATE;TZID=Europe/Berlin:20270328T023000"), zone=BERLIN)
    assert ["2027-03-27 02:30", "2027-03-29 02:30"] == left


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({}, ["10-30 02:30", "10-31 02:30", "11-01 02:30"]),
        ({"dstOverlap": "both"}, ["10-30 02:30", "10-31 02:30", "10-31 02:30", "11-01 02:30"]),
        ({"dstOverlap": "both", "except": ["2027-10-31"]}, ["10-30 02:30", "11-01 02:30"]),
        ({"dstOverlap": "both", "except": ["2027-10-31T01:30:00Z"]}, ["10-30 02:30", "10-31 02:30", "11-01 02:30"]),
    ],
)
def test_policies_for_the_clocks_hold_for_sets(terms: dict[str, Any], expected: list[str]) -> None:
    """A time that comes twice is taken as often as the schedule says, and a day is left out with all of it."""
    lines = "DTSTART;TZID=Europe/Berlin:20271030T023000\nRRULE:FREQ=DAILY;UNTIL=20271101\nRDATE:20271030T003000Z"
    assert [f"2027-{time}" for time in expected] == first(trigger_of(lines, **terms), zone=BERLIN)


def test_calendar_and_window_hold_for_sets() -> None:
    """Single moments too are ruled out by a calendar, and start within the window."""
    lines = "DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY;COUNT=2\nRDATE:20270110T090000Z,20270111T090000Z"
    freeze = {"freeze": calendar_from_json({"dates": ["2027-01-05", "2027-01-10"]})}
    schedule = Schedule.model_validate({"rrule": lines, "calendar": "freeze", "window": "PT1H"})
    trigger = to_trigger(schedule, None, NOW)
    shown = [*preview(trigger, now=NOW, job_id=UUID(int=2**31), calendars=freeze)]
    starts = [f"{each.at:%m-%d %H:%M}" for each in shown if isinstance(each, Start)]
    assert ["01-04 09:30", "01-11 09:30"] == starts
    assert [2] == [each.number for each in shown if isinstance(each, Unrun)]


def test_moved_job_keeps_what_is_left_of_its_rules() -> None:
    """A job that is moved by `when` has what its rules have left to count, and no more."""
    text = "DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY;COUNT=3\nRRULE:FREQ=WEEKLY;COUNT=3\nRDATE:20270301T090000Z"
    trigger = trigger_of(text)
    gone = datetime(2027, 1, 6, 9, tzinfo=UTC)
    moved = trigger.starting(datetime(2027, 1, 8, 7, tzinfo=UTC), gone)
    assert ["2027-01-08 07:00", "2027-01-15 07:00", "2027-03-01 09:00"] == first(moved)
    last = trigger.starting(datetime(2027, 4, 1, 7, tzinfo=UTC), datetime(2027, 3, 31, tzinfo=UTC))
    assert last == trigger_from_json(trigger_to_json(last))
    assert ["2027-04-01 07:00"] == first(last)
    single = trigger_of("DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY;COUNT=2\nEXDATE:20270105T090000Z")
    alone = single.starting(datetime(2027, 2, 1, 7, tzinfo=UTC), FAR)
    assert ["2027-02-01 07:00"] == first(alone)
    assert "At no other time (UTC), from 1 February 2027 07:00. It fires at the start as well." in describe(alone)


def test_it_is_said() -> None:
    """The sentence names each rule with its own end, the moments, and what is left out."""
    rules = "DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY;COUNT=3\nRRULE:FREQ=WEEKLY;UNTIL=20270201"
    said = describe(trigger_of(f"{rules}\nRDATE:20270110T090000Z\nEXDATE:20270105"))
    for part in ("3 times at most", "until 1 February 2027 23:59:59", "10 January 2027 09:00 UTC", "5 January 2027"):
        assert part in said


# --- what is wrong


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["RRULE:FREQ=DAILY", "EXRULE:FREQ=WEEKLY", "EXRULE:FREQ=MONTHLY"], ["line 2 (EXRULE)", "line 3 (EXRULE)"]),
        (["DTSTART;TZID=Mars/Olympus:20270104T090000", "RRULE:FREQ=DAILY;BYHOUR=25"], ["'Mars/Olympus'", "BYHOUR=25"]),
        (["RRULE:FREQ=DAILY", "EXDATE:tomorrow,20270105T090000Z,20271301"], ["'tomorrow'", "'20271301'"]),
        (["RRULE:FREQ=DAILY", "what is this"], ["line 2 'what is this'"]),
        (["BEGIN:VCALENDAR", "END:VCALENDAR"], ["no RRULE, RDATE or DTSTART"]),
        (["EXDATE:20270105"], ["no RRULE, RDATE or DTSTART"]),
        (["DTSTART:20270104", "DTSTART:20270105", "RRULE:FREQ=DAILY"], ["more than one DTSTART"]),
        (["DTSTART:20270104T090000Z", "RRULE:FREQ=DAILY", "RDATE:20270105"], ["RDATE 20270105"]),
        (["RDATE:" + ",".join(["20270105T090000Z"] * 1001)], ["more than 1000 RDATEs"]),
        (["RRULE:FREQ=DAILY", "EXDATE:" + ",".join(["20270105T090000Z"] * 1001)], ["more than 1000 EXDATEs"]),
        (["RRULE:FREQ=DAILY"] * 11, ["more than 10 RRULEs"]),
        (["BEGIN:VEVENT", "DTSTART:20270104", "END:VEVENT"] * 2, ["2 events"]),
        (["BEGIN:VEVENT", "STATUS:CANCELLED", "DTSTART:20270104", "END:VEVENT"], ["CANCELLED"]),
        (["DTSTART:00010101T000000", "RRULE:FREQ=DAILY"], ["'00010101T000000'"]),
        (["DTSTART:99991231T000000", "RRULE:FREQ=DAILY"], ["'99991231T000000'"]),
    ],
)  # fmt: skip
def test_all_that_cannot_be_kept_is_named(lines: list[str], said: list[str]) -> None:
    """Each thing is named with its line, all at once."""
    found = problems("\n".join(lines))
    assert {("/schedule/rrule", "INVALID_RRULE")} == {(pointer, code) for pointer, code, _ in found}
    details = [detail for _, _, detail in found]
    assert all(sum(part in detail for detail in details) == 1 for part in said), details
    assert len(said) == len(details)


CHANGE = """BEGIN:VEVENT
RECURRENCE-ID{}
DTSTART:{}
END:VEVENT
"""


def test_changes_of_single_occurrences() -> None:
    """What moves or cancels one is refused, and each is named; what leaves it where it is, is ignored."""
    event = "BEGIN:VEVENT\nDTSTART:20270104T090000Z\nRRULE:FREQ=DAILY\nEND:VEVENT\n"
    moved = event + CHANGE.format(":20270105T090000Z", "20270105T100000Z")
    cancelled = moved + CHANGE.format(":20270106T090000Z", "20270106T090000Z\nSTATUS:CANCELLED")
    found = problems(cancelled + CHANGE.format(";RANGE=THISANDFUTURE:20270107T090000Z", "20270107T100000Z"))
    detail = "; ".join(detail for _, _, detail in found)
    for part in ("EXDATE:20270105T090000 and RDATE:20270105T100000", "EXDATE:20270106T090000", "all after it"):
        assert part in detail
    kept = event + CHANGE.format(";TZID=Europe/Berlin:20270105T100000", "20270105T090000Z")
    assert "the change of 20270105T100000" in warnings(kept)["RRULE_IGNORED"]


@pytest.mark.parametrize(
    ("text", "terms", "place", "code"),
    [
        ("DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY", {"start": "2027-01-05T09:00:00Z"}, "start", "SCHEDULE_CONFLICT"),
        ("DTSTART;TZID=Asia/Tokyo:20270104\nRRULE:FREQ=DAILY", {"timeZone": "UTC"}, "timeZone", "SCHEDULE_CONFLICT"),
        ("DTSTART:19600104T090000Z\nRRULE:FREQ=DAILY", {}, "rrule", "WHEN_TOO_OLD"),
        ("DTSTART:20400104T090000Z\nRRULE:FREQ=DAILY", {}, "rrule", "WHEN_TOO_FAR"),
        ("DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY;COUNT=1\nEXDATE:20270104", {}, "rrule", "SCHEDULE_NEVER"),
        ("RRULE:FREQ=DAILY;COUNT=1", {"except": ["2026-12-01"]}, "except", "SCHEDULE_NEVER"),
        ("DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY", {"end": "2026-12-30T00:00:00Z"}, "end", "SCHEDULE_NEVER"),
        ("DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY;UNTIL=20260101", {}, "rrule", "SCHEDULE_NEVER"),
        ("DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY;BYSECOND=0,1", {}, "rrule", "SCHEDULE_TOO_FREQUENT"),
        ("DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY", {"calendar": "none"}, "calendar", "CALENDAR_UNKNOWN"),
    ],
)  # fmt: skip
def test_problems_are_found_where_they_stand(text: str, terms: dict[str, Any], place: str, code: str) -> None:
    """What the text says is wrong in the text, what stands beside it is wrong there."""
    assert [(f"/schedule/{place}", code)] == [found[:2] for found in problems(text, **terms)]


def test_large_sets_are_read_at_once() -> None:
    """A thousand moments and a thousand exceptions take no second to read and to count."""
    days = [datetime(2027, 1, 4, 9, tzinfo=UTC) + timedelta(days=day) for day in range(2000)]
    lines = ["DTSTART:20270104T090000Z", "RRULE:FREQ=HOURLY;BYMINUTE=0,7,13,22"]
    lines += [f"RDATE:{day:%Y%m%d}T093100Z" for day in days[1000:]]
    lines += [f"EXDATE:{day:%Y%m%d}" for day in days[:1000]]
    begun = thread_time()
    trigger = trigger_of("\n".join(lines))
    assert 96 * 1000 + 1000 == trigger.number(days[0], days[-1] + timedelta(hours=14, minutes=59))
    assert thread_time() - begun < 1
    with pytest.raises(ValueError, match="longer than"):
        read_rrule("\n".join(lines) * 10)


@pytest.mark.parametrize(
    "part",
    [
        "x\n",
        " \n",
        " a\n",
        "A:\n",
        "RDATE:,\n",
        "RRULE:FREQ=DAILY\n",
        "BEGIN:VEVENT\nRECURRENCE-ID:1\n",
        'A;B="',
        ";A=",
    ],
)
def test_hostile_text_is_refused_at_once(part: str) -> None:
    """As much as may be sent of anything takes no second."""
    text = (f"EXRULE:\nA{part}" + part * 100_000)[:100_000]
    begun = thread_time()
    found = read_rrule(text)
    assert thread_time() - begun < 1
    assert isinstance(found, RecurrenceSet)
    assert 0 < len(found.refused) <= 11


# --- warnings


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("eastern standard time", "America/New_York"),
        ("Europe/lisbon", "Europe/Lisbon"),
        ("/freeassociation.sourceforge.net/Tzfile/Europe/Paris", "Europe/Paris"),
        ("America/Argentina/Ushuaia", "America/Argentina/Ushuaia"),
    ],
)
def test_names_of_zones(name: str, zone: str) -> None:
    """A name in the wrong case, one of Windows, and one behind a path are understood, with a warning."""
    assert zone == find_zone(name)
    text = f"DTSTART;TZID={name}:20270704T090000\nRRULE:FREQ=DAILY\nEXDATE;TZID={name}:20270705T090000"
    assert zone == trigger_of(text).time_zone
    assert ("TIME_ZONE_READ_AS" in warnings(text)) is (name != zone)


def test_zone_that_is_meant_is_named() -> None:
    """A schedule's own zone must be IANA's; the error says which one may be meant."""
    with pytest.raises(ValueError, match="is Europe/Berlin meant") as caught:
        Schedule.model_validate({"cron": "@daily", "timeZone": "w. europe standard time"})
    assert "TIME_ZONE_UNKNOWN" in str(caught.value)


def test_no_zone_is_guessed() -> None:
    """What no list knows is no zone."""
    for name in ("", "Germany/Berlin", "CEST", "(UTC-05:00) Eastern Time (US & Canada)", "Berlin", "/"):
        assert find_zone(name) is None


def test_every_zone_of_windows_is_one_of_ours() -> None:
    """The names on the list lead to zones that every node has."""
    from mainspring.schedule.text import _zone_names  # noqa: PLC0415 - the list itself

    assert len([name for name in _zone_names() if "standard time" in name]) > 120
    assert all(find_zone(zone) == zone for zone in _zone_names().values())


@pytest.mark.parametrize(
    ("text", "terms", "codes"),
    [
        ("DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY", {}, set()),
        ("FREQ=DAILY", {}, set()),
        ("DTSTART:20270104T090000\nRRULE:FREQ=DAILY", {}, {"TIME_ZONE_OPEN"}),
        ("DTSTART:20270104T090000\nRRULE:FREQ=DAILY", {"timeZone": "UTC"}, set()),
        ("DTSTART;VALUE=DATE:20270104\nRRULE:FREQ=DAILY", {}, {"TIME_ZONE_OPEN"}),
        ("DTSTART:20270104T090000Z\nRRULE;X-A=1:FREQ=DAILY", {}, {"RRULE_IGNORED"}),
        ("DTSTART;X-VOBJ-FLOATING=1:20270104T090000Z\nRRULE:FREQ=DAILY", {}, {"RRULE_IGNORED"}),
        ("DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY\nRDATE;VALUE=PERIOD:20270105T100000Z/PT1H", {}, {"RRULE_IGNORED"}),
        ("DTSTART:20270104T090000Z\nRRULE:FREQ=WEEKLY;BYDAY=TU", {}, {"DTSTART_NOT_NAMED"}),
        ("DTSTART:20270104T090000Z\nRRULE:FREQ=WEEKLY;BYDAY=TU", {"startFires": True}, set()),
        ("DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY\nEXDATE:20270104T090000Z", {}, set()),
        ("DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY\nEXDATE:20270105T100000Z", {}, {"NO_EFFECT"}),
        ("DTSTART:20270104T090000Z\nRRULE:FREQ=DAILY\nRDATE:20270103T100000Z", {}, {"NO_EFFECT"}),
        ("FREQ=DAILY", {"except": ["2026-11-30"]}, {"NO_EFFECT"}),
    ],
)  # fmt: skip
def test_what_is_perhaps_not_meant_is_said(text: str, terms: dict[str, Any], codes: set[str]) -> None:
    """What is read otherwise than it stands there, and what changes nothing, is warned of."""
    assert codes == warnings(text, **terms).keys()
