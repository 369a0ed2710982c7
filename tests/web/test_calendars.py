"""The calls on calendars: what is taken and what is not, and how the jobs that keep to one follow it."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.job import JobKey
from mainspring.schedule.calendars import holidays_of
from mainspring.store.notes import CALENDARS
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import Refusal, at, missing, new_id, refusal, refused
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS, NOTES

PATH = "/api/schedulers/calendars"
DAILY: dict[str, Any] = {"cron": "0 3 * * *", "calendar": "freeze"}


def freeze(*dates: str) -> dict[str, Any]:
    """Return a calendar of some days."""
    return {"dates": list(dates)}


async def followed(client: httpx2.AsyncClient, calendar: dict[str, Any]) -> httpx2.Response:
    """Write the calendar, and wait until its jobs follow it."""
    answer = await client.put(f"{PATH}/freeze", json=calendar)
    for _ in range(1000):
        if "replanning" not in (await client.get(f"{PATH}/freeze")).json():
            return answer
    raise AssertionError("its jobs do not follow it")


@pytest.fixture
def no_holidays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package is not installed, and nothing that it said before is remembered."""
    holidays_of.cache_clear()
    monkeypatch.setitem(sys.modules, "holidays", None)
    yield
    holidays_of.cache_clear()


# --- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "calendar",
    [
        {},
        {"dates": ["2026-12-24", "2026-12-31"]},
        {"ranges": [{"first": "2026-12-24", "last": "2026-12-24"}]},
        {"weekly": [{"days": ["MO", "FR"], "start": "22:00", "end": "06:00"}], "timeZone": "America/New_York"},
        {"weekly": [{"days": ["SA", "SU"]}]},
        {"holidays": {"country": "DE", "subdivision": "BY"}},
        {"dates": [f"{year}-01-{day:02}" for year in range(2026, 2056) for day in range(1, 32)]},
    ],
    ids=["empty", "dates", "range of a day", "weekly", "days of the week", "holidays", "many"],
)
async def test_calendar_is_answered_as_it_was_written(client: httpx2.AsyncClient, calendar: dict[str, Any]) -> None:
    """201 when it is new, 200 when there was one; by itself and in the list."""
    first = await client.put(f"{PATH}/freeze", json=calendar)
    second = await client.put(f"{PATH}/freeze", json=calendar)

    assert (201, f"{PATH}/freeze", calendar) == (first.status_code, first.headers["location"], first.json())
    assert (200, calendar) == (second.status_code, second.json())
    assert "location" not in second.headers
    assert calendar == (await client.get(f"{PATH}/freeze")).json()
    assert {"freeze": calendar} == (await client.get(PATH)).json()


async def test_what_is_by_default_is_not_repeated(client: httpx2.AsyncClient) -> None:
    """Days come in order, however they were sent."""
    sent = {
        "dates": ["2026-12-31", "2026-12-24", "2026-12-31"],
        "weekly": [{"days": ["SU", "SA"], "start": "00:00", "end": "24:00"}],
        "ranges": [],
        "holidays": None,
        "timeZone": "UTC",
    }

    answer = await client.put(f"{PATH}/freeze", json=sent)

    assert {"dates": ["2026-12-24", "2026-12-31"], "weekly": [{"days": ["SA", "SU"]}]} == answer.json()


async def test_calendars_come_by_name(client: httpx2.AsyncClient) -> None:
    """Without any the answer is an empty object."""
    assert {} == (await client.get(PATH)).json()
    for name in ("b", "a", "c.1-x_y"):
        await client.put(f"{PATH}/{name}", json={})

    assert ["a", "b", "c.1-x_y"] == list((await client.get(PATH)).json())


async def test_calendar_that_is_not_there(client: httpx2.AsyncClient) -> None:
    """404, whatever it is called, and also after it was deleted."""
    await client.put(f"{PATH}/freeze", json={})

    assert 204 == (await client.delete(f"{PATH}/freeze")).status_code
    for name in ("freeze", "%20", "x" * 200, "a%25"[:1]):
        assert missing("CALENDAR_NOT_FOUND") == refusal(await client.get(f"{PATH}/{name}"))
        assert missing("CALENDAR_NOT_FOUND") == refusal(await client.delete(f"{PATH}/{name}"))


@pytest.mark.parametrize("name", ["-x", ".x", "%20", "ä", "x" * 65, "a%0Ab"])
async def test_name_that_no_schedule_could_use_is_refused(client: httpx2.AsyncClient, name: str) -> None:
    """Names are those that a schedule takes."""
    answer = await client.put(f"{PATH}/{name}", json={})

    assert answer.status_code == 400 or refused(422, "CALENDAR_NAME_INVALID") == refusal(answer)
    assert {} == (await client.get(PATH)).json()


async def test_product_may_be_called_calendars(client: httpx2.AsyncClient) -> None:
    """Its paths are longer; there is only no such group here."""
    assert missing("UNKNOWN_JOB_GROUP") == refusal(await client.get(at(JobKey("calendars", "c"))))
    assert missing("UNKNOWN_JOB_GROUP") == refusal(await client.get("/api/schedulers/calendars/jobs/jobs"))


async def test_other_spelling_of_the_base(client: httpx2.AsyncClient) -> None:
    """Both bases have the calendars."""
    await client.put("/api/scheduler/calendars/freeze", json={})

    assert {"freeze": {}} == (await client.get(PATH)).json()


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calendar", "code", "pointer"),
    [
        ({"dates": ["2026-02-30"]}, "DATE_FORMAT", "/dates/0"),
        ({"dates": ["2026-01-01", "24.12.2026"]}, "DATE_FORMAT", "/dates/1"),
        ({"dates": [20261224]}, "DATE_FORMAT", "/dates/0"),
        ({"dates": "2026-12-24"}, "FROZEN_SET_TYPE", "/dates"),
        ({"ranges": [{"first": "2026-12-24", "last": "2026-12-23"}]}, "RANGE_REVERSED", "/ranges/0"),
        ({"ranges": [{"first": "2026-12-24"}]}, "REQD_FIELD_MISSING", "/ranges/0/last"),
        ({"ranges": [1]}, "OBJECT_TYPE", "/ranges/0"),
        ({"weekly": [{"days": []}]}, "TOO_SHORT", "/weekly/0/days"),
        ({"weekly": [{"days": ["MON"]}]}, "ENUM", "/weekly/0/days/0"),
        ({"weekly": [{"days": ["MO"], "start": "24:01"}]}, "TIME_FORMAT", "/weekly/0/start"),
        ({"weekly": [{"days": ["MO"], "start": "9:00"}]}, "TIME_FORMAT", "/weekly/0/start"),
        ({"weekly": [{"days": ["MO"], "end": 18}]}, "TIME_FORMAT", "/weekly/0/end"),
        ({"holidays": {"country": "Germany"}}, "STRING_PATTERN_MISMATCH", "/holidays/country"),
        ({"holidays": {"country": "ZZ"}}, "HOLIDAYS_UNKNOWN", "/holidays"),
        ({"holidays": {"country": "DE", "subdivision": "XX"}}, "HOLIDAYS_UNKNOWN", "/holidays"),
        ({"holidays": "DE"}, "OBJECT_TYPE", "/holidays"),
        ({"timeZone": "Europe/Atlantis"}, "TIME_ZONE_UNKNOWN", "/timeZone"),
        ({"timezone": "UTC"}, "UNKNOWN_FIELD", "/timezone"),
        ({"dates": ["2026-12-24"] * 1000}, "TOO_MANY_MEMBERS", ""),
        ([], "BODY_NOT_OBJECT", ""),
    ],
)
async def test_calendar_that_makes_no_sense_is_refused(
    client: httpx2.AsyncClient, calendar: object, code: str, pointer: str
) -> None:
    """With a pointer and a code, and nothing is kept of it."""
    assert refused(422, code, pointer) == refusal(await client.put(f"{PATH}/freeze", json=calendar))
    assert {} == (await client.get(PATH)).json()


@pytest.mark.parametrize("day", ["0001-01-01", "1899-12-31", "9900-01-02", "9999-12-31"])
async def test_day_out_of_range_is_refused(client: httpx2.AsyncClient, day: str) -> None:
    """Days have the range of all times, whose ends are taken."""
    christmas = "2026-12-24"
    span = {"first": min(day, christmas), "last": max(day, christmas)}
    place = "first" if day < christmas else "last"
    for calendar, pointer in (
        ({"dates": [christmas, day]}, "/dates"),
        ({"ranges": [{"first": christmas, "last": christmas}, span]}, f"/ranges/1/{place}"),
    ):
        answer = await client.put(f"{PATH}/freeze", json=calendar)
        assert refused(422, "WHEN_RANGE", pointer) == refusal(answer)
        assert answer.json()["detail"].endswith("must be between 1900-01-01T00:00:00Z and 9900-01-01T00:00:00Z")
    assert {} == (await client.get(PATH)).json()
    ends = {"ranges": [{"first": "1900-01-01", "last": "9900-01-01"}]}
    assert ends == (await client.put(f"{PATH}/freeze", json=ends)).json()


async def test_all_that_is_wrong_is_told_at_once(client: httpx2.AsyncClient) -> None:
    """As for a job."""
    out_of_range = {"dates": ["0001-01-01"], "holidays": {"country": "ZZ"}}
    calendar = {"dates": ["x"], "ranges": [{"first": "2026-12-24", "last": "2026-12-23"}], "timeZone": "x", "y": 1}

    errors = [
        ("/dates/0", "DATE_FORMAT"),
        ("/ranges/0", "RANGE_REVERSED"),
        ("/timeZone", "TIME_ZONE_UNKNOWN"),
        ("/y", "UNKNOWN_FIELD"),
    ]
    assert Refusal(422, "DATE_FORMAT", errors) == refusal(await client.put(f"{PATH}/freeze", json=calendar))
    errors = [("/dates", "WHEN_RANGE"), ("/holidays", "HOLIDAYS_UNKNOWN")]
    assert Refusal(422, "WHEN_RANGE", errors) == refusal(await client.put(f"{PATH}/freeze", json=out_of_range))


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be three calendars, of 100 bytes together."""
    monkeypatch.setattr("mainspring.service.calendars.MOST_CALENDARS", 3)
    monkeypatch.setattr("mainspring.service.calendars.MOST_BYTES", 100)


@pytest.mark.usefixtures("little_room")
async def test_more_calendars_than_there_may_be_are_refused(client: httpx2.AsyncClient) -> None:
    """One can take the place of another, and one that is deleted makes room."""
    for name in "abc":
        assert 201 == (await client.put(f"{PATH}/{name}", json={})).status_code

    assert refused(422, "TOO_MANY_CALENDARS") == refusal(await client.put(f"{PATH}/d", json={}))
    assert 200 == (await client.put(f"{PATH}/c", json=freeze("2026-12-24"))).status_code
    await client.delete(f"{PATH}/a")
    assert 201 == (await client.put(f"{PATH}/d", json={})).status_code
    assert ["b", "c", "d"] == list((await client.get(PATH)).json())


@pytest.mark.usefixtures("little_room")
async def test_larger_calendars_than_there_is_room_for_are_refused(client: httpx2.AsyncClient) -> None:
    """New ones and those that grow; one may shrink, whatever there is."""
    two, five = freeze("2026-12-24", "2026-12-25"), freeze(*(f"2026-12-{day}" for day in range(24, 29)))
    assert 201 == (await client.put(f"{PATH}/a", json=two)).status_code
    assert 201 == (await client.put(f"{PATH}/b", json=two)).status_code

    for name in "bc":
        assert refused(422, "CALENDARS_TOO_LARGE") == refusal(await client.put(f"{PATH}/{name}", json=five))
    assert {"a": two, "b": two} == (await client.get(PATH)).json()


@pytest.mark.usefixtures("little_room")
async def test_what_is_beyond_the_limits_already_may_shrink(client: httpx2.AsyncClient, store: SqliteStore) -> None:
    """Calendars from before there were limits stay, and none of them is in the way of mending another."""
    days = [f"2026-12-{day}" for day in range(10, 20)]
    for name in "abcde":
        await store.note(CALENDARS, name, freeze(*days))

    assert 200 == (await client.put(f"{PATH}/a", json=freeze(*days[1:]))).status_code
    errors = [("", "TOO_MANY_CALENDARS"), ("", "CALENDARS_TOO_LARGE")]
    assert Refusal(422, "TOO_MANY_CALENDARS", errors) == refusal(await client.put(f"{PATH}/f", json=freeze(*days)))
    assert 5 == len((await client.get(PATH)).json())


@pytest.mark.usefixtures("no_holidays")
async def test_holidays_without_the_package(client: httpx2.AsyncClient) -> None:
    """The calendar is refused, and the sentence names the extra."""
    answer = await client.put(f"{PATH}/feasts", json={"holidays": {"country": "DE"}})

    assert refused(422, "HOLIDAYS_NOT_INSTALLED", "/holidays") == refusal(answer)
    assert "mainspring[holidays]" in answer.json()["detail"]


@pytest.mark.usefixtures("no_holidays")
async def test_stored_calendar_with_holidays_that_are_not_known_here(
    client: httpx2.AsyncClient, store: SqliteStore
) -> None:
    """It was written where they are known: it can be shown, but no schedule can use it here, and others can."""
    await store.note(CALENDARS, "feasts", {"holidays": {"country": "DE"}})
    await store.note(CALENDARS, "freeze", freeze("2026-06-02"))

    shown = await client.get(f"{PATH}/feasts")
    good = await client.post(at(BACKUPS), json={"schedule": DAILY})
    bad = await client.post(at(BACKUPS), json={"schedule": DAILY | {"calendar": "feasts"}})

    assert {"holidays": {"country": "DE"}} == shown.json()
    assert 201 == good.status_code
    assert refused(422, "CALENDAR_UNKNOWN", "/schedule/calendar", id_="JOB_CREATION_ERROR") == refusal(bad)


# --- jobs that keep to one --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["freeze", {"name": "freeze", "blackout": "skip"}], ids=["name", "object"])
async def test_jobs_follow_their_calendar(client: httpx2.AsyncClient, jobs: Jobs, use: object) -> None:
    """What it newly rules out is skipped and told by history; what it no longer does comes back."""
    await client.put(f"{PATH}/freeze", json={})
    job = await jobs.create(BACKUPS, schedule=DAILY | {"calendar": use})
    other = await jobs.create(BACKUPS, schedule={"cron": "0 3 * * *"})

    async def after(*dates: str) -> str:
        assert 200 == (await followed(client, freeze(*dates))).status_code
        return str((await jobs.shown(BACKUPS, job))["nextRun"])

    assert "2026-06-02T03:00:00Z" == (await jobs.shown(BACKUPS, job))["nextRun"]
    assert "2026-06-04T03:00:00Z" == await after("2026-06-02", "2026-06-03")
    (row,) = (await client.get(at(BACKUPS, job, "runs"))).json()
    assert ("skipped", 2, "it is in the calendar freeze") == (row["outcome"], row["occurrences"], row["reason"])
    assert "2026-06-03T03:00:00Z" == await after("2026-06-02")
    assert "2026-06-02T03:00:00Z" == (await jobs.shown(BACKUPS, other))["nextRun"]


async def test_each_occurrence_is_told_once(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """A calendar that grows day by day accounts for each day when it comes to it."""
    await client.put(f"{PATH}/freeze", json={})
    job = await jobs.create(BACKUPS, schedule=DAILY)
    days = ["2026-06-02", "2026-06-03", "2026-06-04", "2026-06-05"]

    for number in (1, 3, 4):
        await followed(client, freeze(*days[:number]))

    rows = (await client.get(at(BACKUPS, job, "runs"))).json()[::-1]
    assert [("02", "02", 1), ("03", "04", 2), ("05", "05", 1)] == [
        (row["scheduledFireTime"][8:10], row["lastScheduledFireTime"][8:10], row["occurrences"]) for row in rows
    ]


async def test_job_that_is_tried_again_is_left_alone(
    client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock
) -> None:
    """What has begun is brought to its end; the calendar decides about what comes after."""
    await client.put(f"{PATH}/freeze", json={})
    job = await jobs.create(BACKUPS, schedule=DAILY)
    clock.advance(seconds=(datetime(2026, 6, 2, 3, tzinfo=UTC) - clock.now()).total_seconds())
    claimed = await jobs.claim(BACKUPS)

    answer = await followed(client, freeze("2026-06-02"))

    assert (200, claimed.version) == (answer.status_code, (await jobs.shown(BACKUPS, job))["version"])


async def test_many_jobs_follow(client: httpx2.AsyncClient, store: SqliteStore) -> None:
    """More than a page of them, of several groups."""
    await client.put(f"{PATH}/freeze", json={})
    for key in (BACKUPS, NOTES):
        created = await client.post(at(key, "batch"), json=[{"schedule": DAILY}] * 300)
        assert 201 == created.status_code

    answer = await client.put(f"{PATH}/freeze", json=freeze("2026-06-02"))
    assert {"done": 0, "of": 600} == answer.json()["replanning"]
    assert 200 == (await followed(client, answer.json())).status_code

    due = {job.due_at.day for job in await store.recurring(None, 1000)}
    assert {3} == due


async def test_calendar_in_use_is_not_deleted(client: httpx2.AsyncClient) -> None:
    """The answer says how many jobs keep to it and names one; without them it can go."""
    await client.put(f"{PATH}/freeze", json={})
    first = new_id(await client.post(at(BACKUPS), json={"schedule": DAILY}))
    second = new_id(await client.post(at(BACKUPS), json={"schedule": DAILY}))

    answer = await client.delete(f"{PATH}/freeze")

    assert refused(409, "CALENDAR_IN_USE") == refusal(answer)
    said = "2 jobs keep to the calendar freeze, such as {} of vps4/backups"
    assert answer.json()["detail"] in {said.format(first), said.format(second)}
    for job in (first, second):
        await client.delete(at(BACKUPS, job))
    assert 204 == (await client.delete(f"{PATH}/freeze")).status_code
