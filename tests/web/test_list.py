"""GET jobs: all of a group as a stream or page by page, in order of the next run, and any part of them."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.job import Job, JobFilter, JobKey, Outcome, Position
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at, missing, refusal, refused
from tests.web.conftest import Jobs, MakeApp, client_of, some_jobs
from tests.web.plugin import BACKUPS, LEFT, NOTES, RIGHT

SOME = "5348dfe6-c87d-4f86-8b61-1d22f47c607e"

MANY = 1200


async def listed(client: httpx2.AsyncClient, key: JobKey, /, **query: Any) -> list[str]:
    """Return the ids of the jobs that a list has."""
    answer = await client.get(at(key), params=query)
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()]


async def pages(client: httpx2.AsyncClient, key: JobKey, query: str) -> list[list[dict[str, Any]]]:
    """Follow the links from page to page."""
    found, path = [], f"{at(key)}?{query}"
    while path:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        path = answer.links.get("next", {}).get("url", "")
    return found


class WatchedStore(SqliteStore):
    """Notes how many jobs were asked for at a time."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(None, clock)
        self.limits: list[int] = []

    async def page(self, key: JobKey, which: JobFilter, *, after: Position | None, limit: int) -> list[Job]:
        self.limits.append(limit)
        return await super().page(key, which, after=after, limit=limit)

    async def some(self, ids: Sequence[UUID]) -> list[Job]:
        self.limits.append(len(ids))
        return await super().some(ids)


# --- all of them ------------------------------------------------------------------------------------------------------


async def test_list_shows_what_is_not_done_by_next_run(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """As GET shows each of them, and nothing of another group."""
    await jobs.ended(BACKUPS, Outcome.SUCCEEDED)
    await jobs.ended(BACKUPS, Outcome.FAILED)
    running = await jobs.running(BACKUPS)
    await jobs.create(NOTES)
    later = await jobs.create(BACKUPS, when="2026-12-01T10:00:00Z")
    sooner = await jobs.create(BACKUPS, when="2026-07-01T10:00:00Z")
    await client.post(at(BACKUPS, sooner, "pause"))

    answer = await client.get(at(BACKUPS))

    assert (200, "application/json") == (answer.status_code, answer.headers["content-type"])
    assert [await jobs.shown(BACKUPS, job_id) for job_id in (running, sooner, later)] == answer.json()


async def test_group_without_jobs_has_an_empty_list(client: httpx2.AsyncClient) -> None:
    """Streamed or paged."""
    assert [] == await listed(client, BACKUPS) == await listed(client, BACKUPS, limit=10)


async def test_group_that_is_not_there_is_missing(client: httpx2.AsyncClient) -> None:
    """It is no group without jobs."""
    answers = [await client.get(at(JobKey("vps4", "patching")), params=query) for query in ({}, {"limit": 5})]

    assert [missing("UNKNOWN_JOB_GROUP")] * 2 == list(map(refusal, answers))


async def test_jobs_whose_plugin_is_gone_are_still_shown(
    client: httpx2.AsyncClient, store: SqliteStore, clock: ManualClock
) -> None:
    """They are kept, so they can be seen."""
    gone = JobKey("vps4", "patching")
    (job,) = some_jobs(gone, 1, clock)
    await store.add([job])

    assert [str(job.id)] == await listed(client, gone)
    assert (await client.get(at(gone, job.id))).json()["jobRequest"] == {"n": 0}


async def test_long_list_is_the_same_streamed_and_paged(
    client: httpx2.AsyncClient, store: SqliteStore, clock: ManualClock
) -> None:
    """All jobs, each once, in one order, however they are cut."""
    some = some_jobs(NOTES, MANY, clock)
    await store.add(some)

    streamed = (await client.get(at(NOTES))).json()
    by_100, by_7 = await pages(client, NOTES, "limit=100"), await pages(client, NOTES, "limit=7")

    assert [str(job.id) for job in sorted(some, key=lambda job: (job.due_at, job.id))] == [
        job["id"] for job in streamed
    ]
    assert streamed == [*chain(*by_100)] == [*chain(*by_7)]
    assert [*[100] * 12, 0] == list(map(len, by_100))


async def test_long_list_is_never_held_whole(make_app: MakeApp, clock: ManualClock) -> None:
    """The store is asked for the next part when the one before has gone out; HEAD asks for no second one."""
    store = WatchedStore(clock)
    await store.open()
    await store.add(some_jobs(NOTES, MANY, clock))

    async with client_of(make_app(store)) as client:
        await client.get(at(NOTES))
        for_get, store.limits = store.limits, []
        head = await client.head(at(NOTES))

    await store.close()
    assert [500, 500, 200] == for_get
    assert (200, b"", [500]) == (head.status_code, head.content, store.limits)


async def test_page_goes_on_where_the_one_before_ended(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Jobs that come or go meanwhile neither hide others nor show them twice."""
    ids = [await jobs.create(BACKUPS, when=f"2026-07-0{day}T00:00:00Z") for day in range(1, 6)]
    first = await client.get(at(BACKUPS), params={"limit": 2})
    await client.delete(at(BACKUPS, ids[1]))
    await client.delete(at(BACKUPS, ids[3]))
    await jobs.create(BACKUPS, when="2026-06-30T00:00:00Z")

    second = await client.get(first.links["next"]["url"])

    assert [str(ids[2]), str(ids[4])] == [job["id"] for job in second.json()]


async def test_link_keeps_the_rest_of_the_query_and_names_no_host(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Behind a proxy the service does not know by which name it was called."""
    await jobs.create(BACKUPS)

    answer = await client.get(f"{at(BACKUPS)}?state=scheduled&limit=1&from=2026-01-01T00:00:00%2B01:00")

    url = httpx2.URL(answer.links["next"]["url"])
    assert (at(BACKUPS), "") == (url.path, url.host)
    query = dict(url.params)
    assert query.pop("cursor")
    assert {"state": "scheduled", "limit": "1", "from": "2026-01-01T00:00:00+01:00"} == query


async def test_cursor_without_limit_streams_the_rest(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """From there to the end."""
    ids = [await jobs.create(BACKUPS, when=f"2026-07-0{day}T00:00:00Z") for day in range(1, 5)]
    first = await client.get(at(BACKUPS), params={"limit": 1})
    cursor = httpx2.URL(first.links["next"]["url"]).params["cursor"]

    assert [str(job_id) for job_id in ids[1:]] == await listed(client, BACKUPS, cursor=cursor)


# --- some of them -----------------------------------------------------------------------------------------------------


async def one_in_each_state(client: httpx2.AsyncClient, jobs: Jobs) -> dict[str, UUID]:
    """Make jobs in all states, in this order of their due times."""
    made = {
        "done": await jobs.ended(BACKUPS, Outcome.SUCCEEDED),
        "dead": await jobs.ended(BACKUPS, Outcome.FAILED),
        "running": await jobs.running(BACKUPS),
        "scheduled": await jobs.create(BACKUPS, when="2026-07-01T00:00:00Z"),
        "paused": await jobs.create(BACKUPS, when="2026-08-01T00:00:00Z"),
    }
    await client.post(at(BACKUPS, made["paused"], "pause"))
    return made


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["running", "scheduled", "paused"]),
        ("state=scheduled", ["scheduled"]),
        ("state=running", ["running"]),
        ("state=paused", ["paused"]),
        ("state=scheduled,paused", ["scheduled", "paused"]),
        ("state=paused&state=running", ["running", "paused"]),
        ("state=done", ["dead", "done"]),
        ("state=dead", ["dead"]),
        ("from=2026-07-01T00:00:00Z", ["scheduled", "paused"]),
        ("from=2026-07-01T00:00:00.000001Z", ["paused"]),
        ("to=2026-07-01T00:00:00Z", ["running"]),
        ("to=2026-07-01T00:00:00.000001Z", ["running", "scheduled"]),
        ("from=2026-07-01T00:00:00Z&to=2026-08-01T00:00:00Z", ["scheduled"]),
        ("from=2026-08-01T00:00:00Z&to=2026-07-01T00:00:00Z", []),
        ("from=2026-W27-3T02:00%2B02:00", ["scheduled", "paused"]),
        ("state=paused&to=2026-08-01T00:00:00Z", []),
        ("state=done&to=2026-06-01T12:00:00Z", []),
        ("state=dead&from=2026-06-01T12:00:00Z", ["dead"]),
    ],
)
@pytest.mark.parametrize("limit", ["", "limit=2&"])
async def test_list_is_filtered(
    client: httpx2.AsyncClient, jobs: Jobs, query: str, expected: list[str], limit: str
) -> None:
    """By state, and by due time: `from` is in, `to` is out. Streamed or paged."""
    made = await one_in_each_state(client, jobs)

    found = [job["id"] for page in await pages(client, BACKUPS, f"{limit}{query}") for job in page]

    assert [str(made[name]) for name in expected] == found


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("limit=0", [("?limit", "NUMBER_RANGE")]),
        ("limit=1001", [("?limit", "NUMBER_RANGE")]),
        ("limit=-1", [("?limit", "NUMBER_RANGE")]),
        ("limit=ten", [("?limit", "NUMBER_RANGE")]),
        ("limit=", [("?limit", "NUMBER_RANGE")]),
        ("limit=1e2", [("?limit", "NUMBER_RANGE")]),
        ("limit=%D9%A3", [("?limit", "NUMBER_RANGE")]),
        ("limit=" + "9" * 5000, [("?limit", "NUMBER_RANGE")]),
        ("state=dying", [("?state", "STATE_INVALID")]),
        ("state=", [("?state", "STATE_INVALID")]),
        ("state=done,running", [("?state", "STATE_INVALID")]),
        ("state=SCHEDULED", [("?state", "STATE_INVALID")]),
        ("from=yesterday", [("?from", "WHEN_FORMAT")]),
        ("from=", [("?from", "WHEN_FORMAT")]),
        ("to=2026-07-01", [("?to", "WHEN_ZONE_REQUIRED")]),
        ("to=2026-07-01T00:00:00+02:00", [("?to", "WHEN_FORMAT")]),
        ("to=2026-07-01T00:00:00%00Z", [("?to", "WHEN_FORMAT")]),
        ("to=2026-02-30T00:00:00Z", [("?to", "WHEN_RANGE")]),
        ("to=2026-07-01T00:00:00%2B23:00", [("?to", "WHEN_OFFSET_RANGE")]),
        ("page=2", [("?page", "UNKNOWN_PARAMETER")]),
        ("State=done", [("?State", "UNKNOWN_PARAMETER")]),
        (
            "page=a&state=x&from=y&to=z&limit=0&cursor=v",
            [
                ("?page", "UNKNOWN_PARAMETER"),
                ("?state", "STATE_INVALID"),
                ("?from", "WHEN_FORMAT"),
                ("?to", "WHEN_FORMAT"),
                ("?limit", "NUMBER_RANGE"),
                ("?cursor", "CURSOR_INVALID"),
            ],
        ),
    ],
)
async def test_query_that_cannot_be_is_refused(
    client: httpx2.AsyncClient, query: str, errors: list[tuple[str, str]]
) -> None:
    """With all that is wrong with it; never is a filter that was not understood left out."""
    assert (422, errors[0][1], errors) == refusal(await client.get(f"{at(BACKUPS)}?{query}"))


async def test_call_that_takes_no_parameters_refuses_them(client: httpx2.AsyncClient) -> None:
    """A job is not created by somebody who asked for something else."""
    answer = await client.post(f"{at(BACKUPS, 'batch')}?dryRun=true", json=[])

    assert (422, "JOB_CREATION_ERROR", [("?dryRun", "UNKNOWN_PARAMETER")]) == refusal(answer)


@pytest.mark.parametrize(
    ("path", "name", "values"),
    [
        (at(BACKUPS), "limit", ["1", "2"]),
        (at(BACKUPS), "limit", ["1", "1"]),
        (at(BACKUPS), "gaveUp", ["true", "false"]),
        (at(BACKUPS), "from", ["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"]),
        (at(BACKUPS), "cursor", ["a", "b", "c"]),
        ("/api/schedulers/jobs", "to", ["2026-01-01T00:00:00Z", "x"]),
        (at(BACKUPS, SOME, "runs"), "before", ["9", "1"]),
        (at(BACKUPS, SOME, "preview"), "next", ["9", "1"]),
    ],
)
async def test_parameter_that_is_given_twice_is_refused(
    client: httpx2.AsyncClient, path: str, name: str, values: list[str]
) -> None:
    """Nobody can say which is meant: a proxy or a filter before us may have looked at the other one."""
    answer = await client.get(path, params={name: values})

    assert refused(422, "REPEATED_PARAMETER", f"?{name}") == refusal(answer)


async def test_dry_run_that_is_said_twice_creates_nothing(client: httpx2.AsyncClient) -> None:
    """In whatever order."""
    for values in (["true", "false"], ["false", "true"]):
        answer = await client.post(at(BACKUPS), params={"dryRun": values}, json={"when": "2026-12-01T10:00:00Z"})
        assert ("?dryRun", "REPEATED_PARAMETER") in refusal(answer).errors
    assert [] == (await client.get(at(BACKUPS))).json()


# --- cursors ----------------------------------------------------------------------------------------------------------


async def a_cursor(client: httpx2.AsyncClient, jobs: Jobs, key: JobKey) -> str:
    """Return a cursor that a list gave out."""
    await jobs.create(key)
    answer = await client.get(at(key), params={"limit": 1})
    return httpx2.URL(answer.links["next"]["url"]).params["cursor"]


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda _: "x", id="one letter"),
        pytest.param(lambda cursor: cursor[:-1], id="a letter short"),
        pytest.param(lambda cursor: cursor[:-4], id="three bytes short"),
        pytest.param(lambda cursor: cursor[4:], id="without its beginning"),
        pytest.param(lambda cursor: cursor + "AAAA", id="too long"),
        pytest.param(lambda cursor: cursor.swapcase(), id="another one"),
        pytest.param(lambda cursor: "A" + cursor[1:] if cursor[0] != "A" else "B" + cursor[1:], id="one letter other"),
        pytest.param(lambda cursor: "é" + cursor, id="no ASCII"),
        pytest.param(lambda cursor: "!" + cursor, id="no base64"),
        pytest.param(lambda _: "A" * 7000, id="very long"),
        pytest.param(lambda _: "MjAyNi0wNi0wMVQxMjowMDowMFogMDE5ZTgzMGU", id="plain text"),
    ],
)
async def test_cursor_that_was_not_given_out_is_refused(
    client: httpx2.AsyncClient, jobs: Jobs, forge: Callable[[str], str]
) -> None:
    """Rather than taken for the beginning, or for a place somewhere else."""
    cursor = forge(await a_cursor(client, jobs, BACKUPS))

    answer = await client.get(at(BACKUPS), params={"limit": 1, "cursor": cursor})

    assert refused(422, "CURSOR_INVALID", "?cursor") == refusal(answer)


@pytest.mark.parametrize(("owner", "other"), [(NOTES, BACKUPS), (LEFT, RIGHT), (RIGHT, LEFT)])
async def test_cursor_of_another_group_is_refused(
    client: httpx2.AsyncClient, jobs: Jobs, owner: JobKey, other: JobKey
) -> None:
    """It is good for the list that gave it out."""
    cursor = await a_cursor(client, jobs, owner)

    answer = await client.get(at(other), params={"limit": 1, "cursor": cursor})

    assert refused(422, "CURSOR_INVALID", "?cursor") == refusal(answer)
    assert [] == await listed(client, owner, limit=1, cursor=cursor)
