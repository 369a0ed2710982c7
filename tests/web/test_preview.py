"""What a job will do: asked of a request that is not meant yet, and of a job that exists."""

import asyncio
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.job import Outcome
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import Refusal, at, missing, new_id, refusal, uncreatable
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS, BUGGY, NOTES, ORDERS

BERLIN = "Europe/Berlin"
WEEKEND = "2026-06-06T00:00:00Z", "2026-06-08T00:00:00Z"


async def dry(client: httpx2.AsyncClient, schedule: dict[str, Any] | None = None, **query: object) -> dict[str, Any]:
    """Return what a schedule would do."""
    params = {"dryRun": "true"} | {name: str(value) for name, value in query.items()}
    answer = await client.post(at(BACKUPS), params=params, json={"schedule": schedule})
    content: dict[str, Any] = answer.json()
    assert answer.status_code == 200, answer.text
    return content


def starts(content: dict[str, Any]) -> list[str]:
    """Return when what is shown starts."""
    return [start["at"] for start in content["fireTimes"]]


# --- a request --------------------------------------------------------------------------------------------------------


async def test_nothing_is_created(client: httpx2.AsyncClient, store: SqliteStore) -> None:
    """A dry run leaves no job, and answers 200 with the schedule in English."""
    content = await dry(client, {"cron": "0 3 * * MON-FRI", "timeZone": BERLIN}, next=2)

    assert {
        "valid": True,
        "schedule": "At 03:00, every Monday to Friday (Europe/Berlin), from 1 June 2026 14:00.",
        "fireTimes": [
            {
                "utc": f"2026-06-0{day}T01:00:00Z",
                "local": f"2026-06-0{day}T03:00:00+02:00",
                "at": f"2026-06-0{day}T01:00:00Z",
                "note": None,
            }
            for day in (2, 3)
        ],
        "passed": [],
        "warnings": [],
    } == content
    assert [] == (await client.get(at(BACKUPS))).json()
    assert {} == await store.counts()


async def test_job_that_runs_once(client: httpx2.AsyncClient) -> None:
    """It has one fire time, and the warnings of a creation."""
    later = await client.post(f"{at(BACKUPS)}?dryRun=true", json={"when": "2026-07-01T10:00:00+02:00"})
    past = await client.post(f"{at(BACKUPS)}?dryRun=true", json={"when": "2026-05-01T10:00:00Z"})

    assert ("Once, on 1 July 2026 08:00.", []) == (later.json()["schedule"], later.json()["warnings"])
    (start,) = later.json()["fireTimes"]
    assert {
        "utc": "2026-07-01T08:00:00Z",
        "local": "2026-07-01T08:00:00+00:00",
        "at": "2026-07-01T08:00:00Z",
        "note": None,
    } == start
    assert ["2026-06-01T12:00:00Z"] == starts(past.json())
    assert ["WHEN_IN_PAST"] == [warning["code"] for warning in past.json()["warnings"]]


@pytest.mark.parametrize(("query", "number"), [({}, 10), ({"next": 1}, 1), ({"next": 1000}, 1000)])
async def test_number_of_starts(client: httpx2.AsyncClient, query: dict[str, int], number: int) -> None:
    """Ten, or as many as are asked for; fewer when there are no more."""
    assert number == len((await dry(client, {"every": "PT1S"}, **query))["fireTimes"])
    assert 3 == len((await dry(client, {"every": "PT1S", "count": 3}, next=20))["fireTimes"])


@pytest.mark.parametrize("key", [BACKUPS, ORDERS, NOTES, BUGGY], ids=str)
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"when": "soon", "schedule": {"cron": "x"}, "id": 1},
        {"schedule": {"cron": "0 0 30 2 *"}},
        {"schedule": {"every": "P1D", "cron": "* * * * *", "calendar": "none"}},
        {"orderId": "x", "amount": 2000, "colour": "blue", "when": "2026-12-01T10:00:00Z"},
        [],
    ],
)
async def test_bad_body_is_refused_as_if_it_were_meant(
    client: httpx2.AsyncClient, key: tuple[str, str], body: object
) -> None:
    """With the same status, codes and sentences."""
    path = f"/api/schedulers/{'/'.join(key)}/jobs"
    real, dry = await client.post(path, json=body), await client.post(f"{path}?dryRun=true", json=body)

    assert (real.status_code if real.status_code != 201 else 200) == dry.status_code
    if dry.status_code != 200:
        assert {**real.json(), "instance": ""} == {**dry.json(), "instance": ""}


@pytest.mark.parametrize(
    ("schedule", "parts"),
    [
        ({"cron": "0 0 13 * FRI"}, ["only one of the two day fields"]),
        ({"cron": "0 0 1-7 * MON"}, ["only one of the two day fields"]),
        ({"cron": "0 0 */2 * FRI"}, []),
        ({"cron": "0 0 12 * * 1"}, ["'1' counts the days of the week from Sunday"]),
        ({"cron": "0 0 12 * * 1-5,5L"}, ["'1-5' counts", "'5L' counts"]),
        ({"cron": "0 0 12 * * MON-FRI"}, []),
        ({"cron": "0 12 * * 1"}, []),
        ({"cron": "0 0 * * 3/1"}, ["'3/1' ends with Saturday"]),
        ({"cron": "0 0 * * MON/2"}, ["'MON/2' ends with Saturday"]),
        ({"cron": "0 0 * * 7/2"}, ["'7/2' ends with Saturday"]),
        ({"cron": "0 0 * * 3/3"}, []),
        ({"cron": "0 0 * * SUN/2"}, []),
        ({"cron": "0 0 * * */2"}, []),
        ({"cron": "0 0 * * SUN-SUN"}, ["'SUN-SUN' is that one day"]),
        ({"cron": "0 0 * * 0-0"}, ["'0-0' is that one day"]),
        ({"cron": "*/60 * * * *"}, ["'*/60' is as large as the minute"]),
        ({"cron": "0 */24 * * *"}, ["'*/24' is as large as the hour"]),
        ({"cron": "0 0 */31 * *"}, ["'*/31' is as large as the day of month"]),
        ({"cron": "0 0 1 */12 *"}, ["'*/12' is as large as the month"]),
        ({"cron": "0 0 * * */7"}, ["'*/7' is as large as the day of week"]),
        ({"cron": "0 */2 * * *", "timeZone": "Europe/Berlin"}, ["the hours '*/2' are those of the clock"]),
        ({"cron": "0 */2 * * *", "timeZone": "Europe/Berlin", "dstOverlap": "both"}, []),
        ({"cron": "0 */2 * * *", "timeZone": "Asia/Kolkata"}, []),
        ({"cron": "0 */2 * * *"}, []),
        ({"rrule": "FREQ=YEARLY;BYMONTHDAY=15"}, ["a day of every month"]),
        ({"rrule": "FREQ=YEARLY;BYMONTHDAY=15;BYMONTH=5"}, []),
        ({"rrule": "FREQ=DAILY;UNTIL=20271231", "timeZone": "Asia/Tokyo"}, ["ends with that day in Asia/Tokyo"]),
        ({"rrule": "FREQ=DAILY;UNTIL=20271231T235959"}, []),
        ({"rrule": "FREQ=MONTHLY;BYDAY=MO,-2TU"}, ["plain and numbered days"]),
        ({"rrule": "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=1"}, ["from the beginning of the week"]),
        ({"anyOf": [{"cron": "0 0 13 * FRI"}, {"rrule": "FREQ=YEARLY;BYMONTHDAY=15"}]}, ["only one", "every month"]),
        ({"every": "P1D"}, []),
    ],
)
async def test_what_others_read_otherwise(
    client: httpx2.AsyncClient, schedule: dict[str, Any], parts: list[str]
) -> None:
    """A preview names each thing that people may mean otherwise, and nothing else."""
    warnings = (await dry(client, schedule))["warnings"]
    assert ["READ_OTHERWISE"] * len(parts) == [warning["code"] for warning in warnings]
    for part, warning in zip(parts, warnings, strict=True):
        assert part in warning["detail"]


async def test_dry_run_in_no_group(client: httpx2.AsyncClient) -> None:
    """404, as for a creation."""
    answer = await client.post("/api/schedulers/vps4/patching/jobs?dryRun=true", json={})

    assert missing("UNKNOWN_JOB_GROUP") == refusal(answer)


async def test_dry_run_that_is_none_creates(client: httpx2.AsyncClient) -> None:
    """`dryRun=false` is as if it were not there."""
    new_id(await client.post(f"{at(BACKUPS)}?dryRun=false", json={"when": "2026-12-01T10:00:00Z"}))


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("dryRun=yes", [("?dryRun", "BOOLEAN_INVALID")]),
        ("dryRun=", [("?dryRun", "BOOLEAN_INVALID")]),
        ("next=3", [("?next", "UNKNOWN_PARAMETER")]),
        ("dryRun=true&next=0", [("?next", "NUMBER_RANGE")]),
        ("dryRun=true&next=1001", [("?next", "NUMBER_RANGE")]),
        ("dryRun=true&dryrun=true", [("?dryrun", "UNKNOWN_PARAMETER")]),
        ("dryRun=true&outageFrom=2026-06-01T00:00:00Z", [("?outageTo", "OUTAGE_INVALID")]),
        ("dryRun=true&outageTo=2026-06-01T00:00:00Z", [("?outageFrom", "OUTAGE_INVALID")]),
        (
            "dryRun=true&outageFrom=2026-06-02T00:00:00Z&outageTo=2026-06-02T00:00:00Z",
            [("?outageTo", "OUTAGE_INVALID")],
        ),
        ("dryRun=true&next=x&outageFrom=x&outageTo=y", [
            ("?next", "NUMBER_RANGE"), ("?outageFrom", "WHEN_FORMAT"), ("?outageTo", "WHEN_FORMAT"),
        ]),
    ],
)  # fmt: skip
async def test_parameter_that_makes_no_sense_is_refused(
    client: httpx2.AsyncClient, jobs: Jobs, query: str, errors: list[tuple[str, str]]
) -> None:
    """All that is wrong at once, of a request and of a job; and nothing is created."""
    assert Refusal(422, "JOB_CREATION_ERROR", errors) == refusal(await client.post(f"{at(BACKUPS)}?{query}", json={}))
    assert [] == (await client.get(at(BACKUPS))).json()
    if "dryRun=true&" in query and "dryrun" not in query:
        job = await jobs.create(BACKUPS)
        answer = await client.get(at(BACKUPS, job, f"preview?{query.removeprefix('dryRun=true&')}"))
        assert Refusal(422, errors[0][1], errors) == refusal(answer)


@pytest.mark.parametrize(
    ("terms", "names"),
    [
        ({"window": "PT1H"}, "window"),
        ({"jitter": "PT1H"}, "jitter"),
        ({"cron": "H 3 * * *"}, "H"),
        ({"calendar": {"name": "weekend", "blackout": "postpone"}}, "spread"),
        ({"cron": "H 3 * * *", "window": "PT1H"}, "window and H"),
    ],
)
async def test_what_follows_from_the_id_is_said(client: httpx2.AsyncClient, terms: dict[str, Any], names: str) -> None:
    """The job that is created gets another id, and another place with it."""
    await client.put("/api/schedulers/calendars/weekend", json={"weekly": [{"days": ["SA", "SU"]}]})

    (warning,) = (await dry(client, {"cron": "0 3 * * *"} | terms))["warnings"]

    assert "DEPENDS_ON_ID" == warning["code"]
    assert warning["detail"].startswith(f"{names}: ")


async def test_calendar_and_clocks_are_told(client: httpx2.AsyncClient) -> None:
    """What a calendar rules out is accounted for, and what a change of the clocks does is noted."""
    await client.put("/api/schedulers/calendars/weekend", json={"weekly": [{"days": ["SA", "SU"]}]})

    skipping = await dry(client, {"cron": "0 3 * * *", "calendar": "weekend"}, next=5)
    gap = await dry(client, {"cron": "30 2 * * *", "timeZone": BERLIN, "start": "2027-03-27T12:00:00Z"}, next=1)

    assert [
        {
            "first": "2026-06-06T03:00:00Z",
            "last": "2026-06-07T03:00:00Z",
            "occurrences": 2,
            "fate": "skipped",
            "reason": "it is in the calendar weekend",
        }
    ] == skipping["passed"]
    assert "2026-06-08T03:00:00Z" == starts(skipping)[-1]
    (start,) = gap["fireTimes"]
    assert ("2027-03-28T03:00:00+02:00", True) == (start["local"], bool(start["note"]))


@pytest.mark.parametrize(
    ("misfire", "expected", "passed"),
    [
        ("fireNow", ["2026-06-08T00:00:00Z", "2026-06-08T03:00:00Z"], [(1, "coalesced")]),
        ("skip", ["2026-06-08T03:00:00Z", "2026-06-09T03:00:00Z"], [(2, "skipped")]),
        ("fireAll", ["2026-06-08T00:00:00Z", "2026-06-08T00:00:01Z", "2026-06-08T03:00:00Z"], []),
    ],
)
async def test_outage_goes_by_the_misfire_policy(
    client: httpx2.AsyncClient, misfire: str, expected: list[str], passed: list[tuple[int, str]]
) -> None:
    """What a weekend without nodes does to a daily job."""
    schedule = {"cron": "0 3 * * *", "start": "2026-06-06T00:00:00Z", "misfire": misfire}

    content = await dry(client, schedule, next=len(expected), outageFrom=WEEKEND[0], outageTo=WEEKEND[1])

    assert expected == starts(content)
    assert passed == [(row["occurrences"], row["fate"]) for row in content["passed"]]


@pytest.mark.parametrize("misfire", ["fireNow", "skip", {"policy": "fireAll", "cap": 10_000, "spacing": "PT0S"}])
@pytest.mark.parametrize(
    "schedule",
    [
        {"every": "PT1S"},
        {"cron": "* * * * *", "timeZone": BERLIN},
        {"rrule": "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=1,2,3"},
        {"anyOf": [{"every": "PT1M"}, {"every": "PT90S"}, {"cron": "*/7 * * * *"}]},
    ],
    ids=["every", "cron", "rrule", "anyOf"],
)
async def test_outage_of_years_takes_no_time(
    client: httpx2.AsyncClient,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    schedule: dict[str, Any],
    misfire: object,
) -> None:
    """Nothing is gone through one by one, and others have their turns meanwhile."""
    monkeypatch.setattr(clock, "monotonic", perf_counter)
    begun, turns = perf_counter(), 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
            turns += 1

    beside = asyncio.create_task(others())
    outage = {"outageFrom": "2026-06-01T13:00:00Z", "outageTo": "2036-06-01T12:00:00Z"}
    content = await dry(client, schedule | {"misfire": misfire}, next=1000, **outage)
    beside.cancel()

    cut = [warning["code"] for warning in content["warnings"]] == ["PREVIEW_CUT"]
    assert len(content["fireTimes"]) == 1000 or (cut and content["fireTimes"])
    assert perf_counter() - begun < 5
    assert turns > 1


async def test_preview_ends_when_its_time_is_up(
    client: httpx2.AsyncClient, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers with what it has, and says so."""
    moments = iter(range(1000))
    monkeypatch.setattr(clock, "monotonic", lambda: float(next(moments)))

    content = await dry(client, {"every": "PT1S"}, next=1000)

    assert 1 == len(content["fireTimes"])
    assert ["PREVIEW_CUT"] == [warning["code"] for warning in content["warnings"]]


# --- a job ------------------------------------------------------------------------------------------------------------


async def shown(client: httpx2.AsyncClient, job: object, **query: object) -> dict[str, Any]:
    """Return what a job will do."""
    params = {name: str(value) for name, value in query.items()}
    answer = await client.get(at(BACKUPS, job, "preview"), params=params)
    content: dict[str, Any] = answer.json()
    assert answer.status_code == 200, answer.text
    return content


async def test_job_has_its_own_places(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """With the id that it has, window and H are what they will be: nothing is left to warn of."""
    job = await jobs.create(BACKUPS, schedule={"cron": "H 3 * * *", "window": "PT1H"})

    content = await shown(client, job, next=3)

    assert (3, []) == (len(content["fireTimes"]), content["warnings"])
    assert (await jobs.shown(BACKUPS, job))["nextRun"] == starts(content)[0]


@pytest.mark.parametrize(
    "rule",
    [
        {"cron": "*/20 * * * *"},
        {"cron": "*/20 * * * *", "except": ["2026-06-01T12:20:00Z", "2026-06-01T13:20:00Z"]},
        {"anyOf": [{"rrule": "FREQ=HOURLY;COUNT=5"}, {"at": ["2026-06-01T12:30:00Z"]}, {"rrule": "FREQ=DAILY"}]},
        {"rrule": "DTSTART:20260601T120000Z\nRRULE:FREQ=DAILY;COUNT=9\nRDATE:20260602T110000Z\nEXDATE:20260603"},
    ],
    ids=["cron", "except", "anyOf", "set"],
)
async def test_what_is_shown_is_what_happens(
    client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock, rule: dict[str, Any]
) -> None:
    """Run after run the job starts when its preview said."""
    schedule = {**rule, "jitter": "PT10M", "count": 8}
    job = await jobs.create(BACKUPS, schedule=schedule)
    foretold = starts(await shown(client, job, next=20))

    seen = []
    while (next_run := (await jobs.shown(BACKUPS, job))["nextRun"]) is not None:
        seen.append(next_run)
        clock.advance(seconds=(datetime.fromisoformat(next_run) - clock.now()).total_seconds())
        await jobs.finish(await jobs.claim(BACKUPS), Outcome.SUCCEEDED)

    assert 8 == len(seen)
    assert foretold == seen


async def test_pending_occurrence_comes_first(client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock) -> None:
    """Also one that is late already."""
    job = await jobs.create(BACKUPS, schedule={"cron": "0 3 * * *"})
    clock.advance(seconds=timedelta(days=2).total_seconds())

    content = await shown(client, job, next=2)

    assert ["2026-06-03T12:00:00Z", "2026-06-04T03:00:00Z"] == starts(content)
    assert ["late", None] == [start["note"] for start in content["fireTimes"]]
    assert [("coalesced", 1)] == [(row["fate"], row["occurrences"]) for row in content["passed"]]


async def test_job_in_other_states(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Of one that runs what comes next, of one that is done nothing; a paused one warns."""
    running = await jobs.running(BACKUPS, schedule={"every": "P1D"})
    once = await jobs.running(BACKUPS)
    done = await jobs.ended(BACKUPS, Outcome.SUCCEEDED)
    paused = await jobs.create(BACKUPS, schedule={"cron": "0 3 * * *"})
    await client.post(at(BACKUPS, paused, "pause"))

    assert ["2026-06-02T12:00:00Z"] == starts(await shown(client, running, next=1))
    assert [] == starts(await shown(client, once))
    assert [] == starts(await shown(client, done))
    content = await shown(client, paused, next=1)
    assert ["2026-06-02T03:00:00Z"] == starts(content)
    assert ["JOB_PAUSED"] == [warning["code"] for warning in content["warnings"]]


async def test_preview_of_no_job(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """404, also for a job of another group."""
    job = await jobs.create(BACKUPS)

    assert missing() == refusal(await client.get(at(NOTES, job, "preview")))
    assert uncreatable("REQD_FIELD_MISSING", "/when") == refusal(await client.post(at(BACKUPS), json={}))
