"""Every time that is sent is in one range, which each store gives back: at both its ends, in any zone, by any call."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx2
import pytest

from mainspring.job import JobRequest
from mainspring.schedule import EARLIEST, LATEST, format_time
from tests.web.answers import Refusal, at, new_id, refusal
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS

BETWEEN = "must be between 1900-01-01T00:00:00Z and 9900-01-01T00:00:00Z"
ZONES = [
    "UTC", "Pacific/Kiritimati", "Etc/GMT-14", "Etc/GMT+12", "Asia/Kathmandu", "Australia/Lord_Howe", "Europe/Berlin",
    "Africa/Monrovia",
]  # fmt: skip
"""14 hours before UTC to 12 behind it, with offsets of minutes and, a century ago, of seconds."""
BEYOND = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1899-12-31T23:59:59.999999Z",
    "1900-01-01T00:00:00+14:00",
    "9900-01-01T00:00:00.000001Z",
    "9900-01-01T00:00:00-12:00",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999-12:00",
]
BEYOND_IN_CALENDARS = ["00020101T000000", "18991130T000000Z", "99000202T000000Z", "99981231T235959"]
DAYS_BEYOND = ["0002-01-01", "1899-12-31", "9900-01-02", "9998-12-31"]
LATER = "2026-07-01T00:00:00Z"

Body = Callable[[str], dict[str, Any]]
TIMES: dict[str, tuple[str, Body]] = {
    "when": ("/when", lambda time: {"when": time}),
    "when of first clients": (
        "/when",
        lambda time: {"when": time, "jobType": "RECURRING", "repeatIntervalInDays": 1, "repeatCount": 3},
    ),
    "when beside a schedule": ("/when", lambda time: {"when": time, "schedule": {"cron": "0 3 * * *"}}),
    "when beside a period": ("/when", lambda time: {"when": time, "schedule": {"every": "P1M"}}),
    "start": ("/schedule/start", lambda time: {"schedule": {"every": "P1D", "start": time}}),
    "start of a rule": ("/schedule/start", lambda time: {"schedule": {"rrule": "FREQ=DAILY", "start": time}}),
    "end": ("/schedule/end", lambda time: {"schedule": {"cron": "0 3 * * *", "end": time}}),
    "end of a rule": ("/schedule/end", lambda time: {"schedule": {"rrule": "FREQ=DAILY;BYDAY=MO", "end": time}}),
    "at": ("/schedule/at/1", lambda time: {"schedule": {"at": [LATER, time]}}),
    "at of several": (
        "/schedule/anyOf/1/at/1",
        lambda time: {"schedule": {"anyOf": [{"cron": "0 3 * * *"}, {"at": [LATER, time]}]}},
    ),
    "except": ("/schedule/except/1", lambda time: {"schedule": {"every": "P1D", "except": [LATER, time]}}),
}  # fmt: skip
IN_CALENDARS: dict[str, str] = {
    "UNTIL": "FREQ=DAILY;UNTIL={}",
    "UNTIL of a set": "DTSTART:20270101T000000\nRRULE:FREQ=DAILY;UNTIL={}",
    "DTSTART": "DTSTART:{}\nRRULE:FREQ=DAILY",
    "RDATE": "DTSTART:20270101T000000\nRRULE:FREQ=DAILY\nRDATE:{}",
    "EXDATE": "DTSTART:20270101T000000\nRRULE:FREQ=DAILY\nEXDATE:{}",
}


def in_each_way(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a body with each zone, with and without a count."""
    if "schedule" not in body:
        yield dict(body)
        return
    for zone in ZONES:
        for count in ({}, {"count": 3}):
            yield {**body, "schedule": {**body["schedule"], "timeZone": zone, **count}}


async def refuse(client: httpx2.AsyncClient, body: Mapping[str, Any], pointer: str) -> None:
    """Assert that a body is refused by each call that takes one, for one reason and with the one sentence."""
    job_id = new_id(await client.post(at(BACKUPS), json={"when": LATER}))
    for number, answer in enumerate(
        [
            await client.post(at(BACKUPS), json=body),
            await client.post(f"{at(BACKUPS)}?dryRun=true", json=body),
            await client.post(at(BACKUPS, "batch"), json=[body]),
            await client.patch(at(BACKUPS, job_id), json={"when": None, **body}),
        ]
    ):
        place = f"/0{pointer}" if number == 2 else pointer
        assert (422, [(place, "WHEN_RANGE")]) == (answer.status_code, refusal(answer).errors), (body, answer.text)
        assert answer.json()["errors"][0]["detail"].endswith(BETWEEN)


@pytest.mark.parametrize("name", TIMES)
async def test_time_beyond_the_range_is_refused(client: httpx2.AsyncClient, name: str) -> None:
    """By its place, in a request of any kind."""
    pointer, body_of = TIMES[name]
    for number, time in enumerate(BEYOND):
        ways = [*in_each_way(body_of(time))]
        for way in (ways[number % len(ways)], ways[(3 * number + 1) % len(ways)]):
            await refuse(client, way, pointer)


@pytest.mark.parametrize("name", IN_CALENDARS)
async def test_time_of_a_calendar_text_beyond_the_range_is_refused(client: httpx2.AsyncClient, name: str) -> None:
    """The place is that of the text."""
    for number, time in enumerate(BEYOND_IN_CALENDARS):
        ways = [*in_each_way({"schedule": {"rrule": IN_CALENDARS[name].format(time)}})]
        await refuse(client, ways[number % len(ways)], "/schedule/rrule")


@pytest.mark.parametrize("day", DAYS_BEYOND)
async def test_day_beyond_the_range_is_refused(client: httpx2.AsyncClient, day: str) -> None:
    """In a schedule; those of calendars are tried with them."""
    await refuse(client, {"schedule": {"every": "P1D", "except": ["2026-12-24", day]}}, "/schedule/except/1")


@pytest.mark.parametrize("time", BEYOND)
async def test_parameter_beyond_the_range_is_refused(client: httpx2.AsyncClient, jobs: Jobs, time: str) -> None:
    """Those of lists and those of previews."""
    job_id = await jobs.create(BACKUPS, schedule={"every": "P1D"})
    for path in (at(BACKUPS), "/api/schedulers/jobs"):
        for name in ("from", "to"):
            answer = await client.get(path, params={name: time})
            assert Refusal(422, "WHEN_RANGE", [(f"?{name}", "WHEN_RANGE")]) == refusal(answer)
            assert answer.json()["detail"] == f"?{name} {BETWEEN}"
    for name, other in (("outageFrom", "outageTo"), ("outageTo", "outageFrom")):
        outage = {name: time, other: LATER}
        answers = [
            await client.get(at(BACKUPS, job_id, "preview"), params=outage),
            await client.post(at(BACKUPS), params={"dryRun": "true", **outage}, json={"schedule": {"every": "P1D"}}),
        ]
        for answer in answers:
            assert (422, [(f"?{name}", "WHEN_RANGE")]) == (answer.status_code, refusal(answer).errors)


@pytest.mark.parametrize("time", BEYOND)
async def test_backfill_beyond_the_range_is_refused(client: httpx2.AsyncClient, jobs: Jobs, time: str) -> None:
    """At both its ends."""
    job_id = await jobs.create(BACKUPS, schedule={"every": "P1D", "start": "2026-05-01T00:00:00Z"})
    for name in ("from", "to"):
        bounds = {"from": "2026-05-02T00:00:00Z", "to": "2026-05-03T00:00:00Z", name: time}
        errors = refusal(await client.post(at(BACKUPS, job_id, "backfill"), json=bounds)).errors
        assert (f"/{name}", "WHEN_RANGE") in errors
        assert 1 == sum(pointer == f"/{name}" for pointer, _ in errors)


def test_no_time_of_a_request_is_left_out() -> None:
    """What the document of a request calls a time is tried above."""
    schema = JobRequest.model_json_schema()

    def places(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if part.get("format") == "date-time":
                yield ""
            for name, inner in part.get("properties", {}).items():
                yield from (f"/{name}{rest}" for rest in places(inner))
            yield from places(part.get("items"))
            for option in part.get("anyOf", []):
                yield from places(option)
            yield from places(schema["$defs"].get(part.get("$ref", "").rpartition("/")[2]))

    found = set(places(schema))
    assert {"/when", "/schedule/start", "/schedule/end", "/schedule/at", "/schedule/anyOf/at"} <= found
    assert found <= {re.sub(r"/\d+", "", pointer) for pointer, _ in TIMES.values()}


# --- the ends of the range


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("count", [{}, {"count": 3}], ids=["endless", "counted"])
async def test_the_ends_of_the_range_are_taken(client: httpx2.AsyncClient, zone: str, count: dict[str, int]) -> None:
    """They are stored, answered and described; what they leave is what fires."""
    first, last = format_time(EARLIEST), format_time(LATEST)
    rules: list[dict[str, Any]] = [
        {"cron": "0 3 29 2 *"},
        {"every": "P10Y"},
        {"every": "P1M2DT3H"},
        {"rrule": "FREQ=YEARLY;BYWEEKNO=53;BYDAY=TH"},
        {"rrule": "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=-1"},
        {"rrule": "FREQ=HOURLY;INTERVAL=5"},
        {"anyOf": [{"cron": "0 3 * * *"}, {"rrule": "FREQ=DAILY;UNTIL=98991231T235959Z"}]},
    ]
    for rule in rules:
        schedule = {**rule, "timeZone": zone, **count, "end": last, "except": [first, last, "1900-01-01", "9900-01-01"]}
        answer = await client.post(at(BACKUPS), json={"schedule": schedule})
        job_id = new_id(answer)
        shown = (await client.get(at(BACKUPS, job_id))).json()
        assert (last, schedule["except"]) == (shown["schedule"]["end"], shown["schedule"]["except"])
        ahead = await client.get(at(BACKUPS, job_id, "preview"), params={"next": "20"})
        assert 200 == ahead.status_code
        assert re.search("until (31 December 9899|1 January 9900)", ahead.json()["schedule"])
        starts = [start["utc"] for start in ahead.json()["fireTimes"]]
        assert starts == sorted(starts)
        assert first <= starts[0] <= starts[-1] <= last
        filtered = await client.get(at(BACKUPS), params={"from": first, "to": last})
        assert str(job_id) in filtered.text


@pytest.mark.parametrize("zone", ZONES)
async def test_moments_at_the_ends(client: httpx2.AsyncClient, zone: str) -> None:
    """The first is before any start, the last is the last fire time that there can be."""
    moments = [format_time(EARLIEST), "2027-01-01T00:00:00Z", format_time(LATEST)]
    for rule in ({"at": moments}, {"anyOf": [{"at": moments}, {"at": moments[1:]}]}):
        answer = await client.post(f"{at(BACKUPS)}?dryRun=true", json={"schedule": {**rule, "timeZone": zone}})
        assert moments[1:] == [start["utc"] for start in answer.json()["fireTimes"]]


async def test_once_at_the_earliest(jobs: Jobs) -> None:
    """A job of the year 1900 is due at once."""
    job_id = await jobs.running(BACKUPS, when=format_time(EARLIEST))

    assert format_time(EARLIEST) == (await jobs.shown(BACKUPS, job_id))["jobRequest"]["when"]


# --- how far ahead is counted


@pytest.mark.parametrize(
    "schedule",
    [
        {"cron": "* * * * *"},
        {"rrule": "FREQ=DAILY;BYSETPOS=1;BYHOUR=1,2"},
        {"anyOf": [{"every": "PT1M"}, {"cron": "*/7 * * * *"}]},
    ],
    ids=["cron", "rrule", "anyOf"],
)
async def test_outage_ends_within_the_horizon(client: httpx2.AsyncClient, jobs: Jobs, schedule: dict[str, Any]) -> None:
    """What it would make a preview count stays within ten years."""
    job_id = await jobs.create(BACKUPS, schedule=schedule)
    for end in ("2036-06-01T12:00:00.000001Z", "2999-01-01T00:00:00Z", "9899-12-31T00:00:00Z"):
        outage = {"outageFrom": "2026-06-01T13:00:00Z", "outageTo": end}
        for answer in (
            await client.get(at(BACKUPS, job_id, "preview"), params=outage),
            await client.post(at(BACKUPS), params={"dryRun": "true", **outage}, json={"schedule": schedule}),
        ):
            assert (422, [("?outageTo", "WHEN_TOO_FAR")]) == (answer.status_code, refusal(answer).errors)
    fine = {"outageFrom": "2026-06-01T13:00:00Z", "outageTo": "2036-06-01T12:00:00Z"}
    assert 200 == (await client.get(at(BACKUPS, job_id, "preview"), params=fine)).status_code
