"""Finding jobs and runs over REST: by tags, keys, fields, times, nodes, and how something begins."""

import json
from typing import Any
from uuid import UUID

import httpx2
import pytest

from mainspring.job import JobKey, Outcome
from tests.web.answers import at, missing, refusal, refused
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS, NOTES, ORDERS

ALL, SHOP = "/api/schedulers/jobs", "/api/schedulers/shop/jobs"
ORDER = {"orderId": "79bfd10c-1529-42de-bd68-1a6e084ee13d", "when": "2026-12-01T10:00:00Z"}


async def ids(client: httpx2.AsyncClient, path: str, **query: Any) -> list[UUID]:
    """Return the ids of a list."""
    answer = await client.get(path, params=query or None)
    assert answer.status_code == 200, answer.text
    return [UUID(job["id"]) for job in answer.json()]


async def test_jobs_are_found_wherever_they_are(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """By what they have; in a group, a product and all."""
    order = await jobs.create(ORDERS, **ORDER, options={"tags": ["vip", "late"], "concurrencyKey": "dc:ams3"})
    note = await jobs.create(NOTES, options={"tags": ["vip"], "key": "nightly"})
    backup = await jobs.create(BACKUPS, when="2026-06-02T00:00:00Z", options={"tags": ["vip"]})

    assert [note, backup, order] == await ids(client, ALL, tag="vip")
    assert [note, order] == await ids(client, SHOP, tag="vip")
    assert [order] == await ids(client, at(ORDERS), tag="vip")
    assert [order] == await ids(client, f"{ALL}?tag=vip&tag=late")
    assert [note] == await ids(client, ALL, key="nightly")
    assert [order] == await ids(client, ALL, concurrencyKey="dc:ams3")
    assert [note] == await ids(client, ALL, q="night")
    assert [backup] == await ids(client, ALL, q=str(backup)[:30])
    assert [] == await ids(client, ALL, q="nothing")
    for limit in (1, 2):
        pages, url = [], f"{ALL}?tag=vip&limit={limit}"
        while url:
            answer = await client.get(url)
            pages += [UUID(job["id"]) for job in answer.json()]
            url = answer.links.get("next", {}).get("url", "")
        assert [note, backup, order] == pages


async def test_jobs_are_found_by_fields_of_their_requests(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Those by which the job class says so; a change is found too."""
    first = await jobs.create(ORDERS, **ORDER, amount=3)
    second = await jobs.create(ORDERS, **ORDER | {"orderId": "5f0f6c3a-7d0e-5d0b-9a55-6f1d2f4b8c11"}, amount=3)

    assert [first] == await ids(client, ALL, **{"request.orderId": ORDER["orderId"]})
    assert sorted([first, second]) == sorted(await ids(client, SHOP, **{"request.amount": 3}))
    assert [first] == await ids(client, f"{at(ORDERS)}?request.amount=3&request.orderId={ORDER['orderId']}")
    await client.patch(at(ORDERS, second), json={"amount": 4})
    assert [second] == await ids(client, ALL, **{"request.amount": 4})
    for path, field in ((at(ORDERS), "channel"), (at(BACKUPS), "orderId"), (ALL, "none")):
        answer = await client.get(path, params={f"request.{field}": "x"})
        assert refused(422, "FIELD_NOT_SEARCHABLE", f"?request.{field}") == refusal(answer)


async def test_done_jobs_are_found(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """By the same, and by how they ended."""
    failed = await jobs.ended(NOTES, Outcome.FAILED, options={"tags": ["vip"], "key": "one"})
    succeeded = await jobs.ended(NOTES, Outcome.SUCCEEDED, options={"tags": ["vip"], "key": "one"})
    assert [] == await ids(client, ALL, tag="vip")
    assert [succeeded, failed] == await ids(client, ALL, tag="vip", state="done")
    assert [failed] == await ids(client, ALL, key="one", state="dead")
    assert [failed] == await ids(client, ALL, tag="vip", outcome="failed")
    assert [succeeded, failed] == await ids(client, ALL, order="ended")


async def test_jobs_by_their_creation(client: httpx2.AsyncClient, jobs: Jobs, clock: Any) -> None:
    """Older ones first, whenever they are due."""
    made = []
    for group, hour in ((NOTES, 9), (BACKUPS, 5), (NOTES, 7)):
        clock.advance(minutes=1)
        made.append(await jobs.create(group, when=f"2026-12-01T0{hour}:00:00Z"))
    assert made == await ids(client, ALL, order="created")
    assert made[1:] == await ids(client, ALL, order="created", createdFrom="2026-06-01T12:02:00Z", limit=9)
    assert made[:1] == await ids(client, ALL, order="created", createdTo="2026-06-01T12:02:00Z")
    assert [made[1], made[2], made[0]] == await ids(client, ALL, order="due")
    first = await client.get(f"{ALL}?order=created&limit=1")
    assert made[1:] == await ids(client, first.links["next"]["url"].replace("limit=1", "limit=5"))


async def test_every_filter_holds_in_every_order(client: httpx2.AsyncClient, jobs: Jobs, clock: Any) -> None:
    """Times of creation also where jobs come by due time or by their end; beginnings also of what runs on a node."""
    early, failed = await jobs.create(NOTES, when="2026-12-01T00:00:00Z"), await jobs.ended(NOTES, Outcome.FAILED)
    running = await jobs.running(BACKUPS, options={"tags": ["vip"]})
    clock.advance(minutes=1)
    late, lost = await jobs.create(NOTES, when="2026-12-01T00:00:00Z"), await jobs.ended(NOTES, Outcome.LOST)
    since = {"createdFrom": "2026-06-01T12:01:00Z"}
    before = {"createdTo": "2026-06-01T12:01:00Z"}
    for path in (at(NOTES), SHOP):
        assert [[late], [early]] == [await ids(client, path, **each) for each in (since, before)]
        assert [[late], [early]] == [await ids(client, path, order="due", limit=9, **each) for each in (since, before)]
        assert [[lost], [failed]] == [await ids(client, path, state="done", **each) for each in (since, before)]
        assert [[lost], [failed]] == [
            await ids(client, path, state="dead", limit=9, **each) for each in (since, before)
        ]
        assert [[lost], [failed]] == [
            await ids(client, path, outcome="failed,lost", **each) for each in (since, before)
        ]
    assert [[running], []] == [await ids(client, ALL, node="node-1", q=each) for each in ("vi", "none")]
    assert [running] == await ids(client, ALL, node="node-1", q=str(running)[:20])


async def test_jobs_of_a_node(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Those that it runs."""
    running = await jobs.running(BACKUPS)
    await jobs.create(BACKUPS)
    assert [running] == await ids(client, ALL, node="node-1")
    assert [] == await ids(client, ALL, node="node-2")
    assert [] == await ids(client, SHOP, node="node-1")


async def test_lines_fields_and_no_payload(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """A line for each job, only some members, and nothing of the request."""
    made = sorted([str(await jobs.create(NOTES, secret="x" * 50)) for _ in range(3)])
    lines = {"Accept": "application/x-ndjson"}
    for url in (ALL, f"{ALL}?limit=9", at(NOTES), f"{at(NOTES)}?limit=3"):
        answer = await client.get(url, headers=lines)
        assert "application/x-ndjson" == answer.headers["content-type"]
        assert made == [json.loads(line)["id"] for line in answer.text.splitlines()]
    assert [{"id": id_, "state": "scheduled"} for id_ in made] == (await client.get(f"{ALL}?fields=id,state")).json()
    without = (await client.get(f"{ALL}?payload=false")).json()
    assert [False] * 3 == ["jobRequest" in job for job in without]
    assert (await client.get(ALL, headers=lines | {"Accept": "application/json"})).json()[0]["id"] == made[0]


@pytest.mark.parametrize(
    ("query", "code", "name"),
    [
        ("order=next", "ORDER_INVALID", "order"),
        ("order=due&state=done", "ORDER_INVALID", "order"),
        ("order=ended&state=scheduled", "ORDER_INVALID", "order"),
        ("node=n&state=done", "NODE_INVALID", "node"),
        ("fields=id,nothing", "UNKNOWN_FIELD", "fields"),
        ("payload=no", "BOOLEAN_INVALID", "payload"),
        ("key=%00", "KEY_INVALID", "key"),
        ("q=", "PREFIX_INVALID", "q"),
        ("createdFrom=today", "WHEN_FORMAT", "createdFrom"),
        ("request.=1", "UNKNOWN_PARAMETER", "request."),
    ],
)
async def test_what_cannot_be_asked(client: httpx2.AsyncClient, query: str, code: str, name: str) -> None:
    """Each by its parameter."""
    path = ALL if "%00" not in query else f"{ALL}"
    assert refused(422, code, f"?{name}") == refusal(await client.get(f"{path}?{query}"))


async def test_a_cursor_is_good_for_its_order(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """A time of creation is no due time."""
    for _ in range(2):
        await jobs.create(NOTES)
    link = httpx2.URL((await client.get(f"{ALL}?limit=1&order=created")).links["next"]["url"])
    answer = await client.get(ALL, params={"limit": 1, "cursor": link.params["cursor"]})
    assert refused(422, "CURSOR_INVALID", "?cursor") == refusal(answer)


async def test_unknown_products(client: httpx2.AsyncClient) -> None:
    """They are no empty lists."""
    for what in ("jobs", "runs"):
        assert missing("UNKNOWN_JOB_GROUP") == refusal(await client.get(f"/api/schedulers/none/{what}"))
        assert missing("UNKNOWN_JOB_GROUP") == refusal(await client.get(f"/api/schedulers/shop/none/{what}"))


async def test_runs_are_listed_across_groups(client: httpx2.AsyncClient, jobs: Jobs, clock: Any) -> None:
    """Newest first; by outcome, node and end."""
    ended: list[tuple[JobKey, UUID]] = []
    for group, outcome in ((NOTES, Outcome.FAILED), (BACKUPS, Outcome.SUCCEEDED), (NOTES, Outcome.SUCCEEDED)):
        clock.advance(minutes=1)
        ended.append((group, await jobs.ended(group, outcome)))

    async def runs(path: str, **query: Any) -> list[UUID]:
        answer = await client.get(path, params=query or None)
        assert answer.status_code == 200, answer.text
        return [UUID(run["jobId"]) for run in answer.json()]

    first, second, third = (job_id for _, job_id in ended)
    assert [third, second, first] == await runs("/api/schedulers/runs")
    assert [third, first] == await runs("/api/schedulers/shop/runs")
    assert [second] == await runs("/api/schedulers/vps4/backups/runs")
    assert [first] == await runs("/api/schedulers/runs", outcome="failed")
    assert [third, second, first] == await runs("/api/schedulers/runs", node="node-1")
    assert [] == await runs("/api/schedulers/runs", node="node-2")
    times = {"from": "2026-06-01T12:02:00Z", "to": "2026-06-01T12:03:00Z"}
    assert [second] == await runs("/api/schedulers/runs", **times)
    page = await client.get("/api/schedulers/runs?limit=2")
    assert [first] == await runs(page.links["next"]["url"])
    assert 3 == len(
        (await client.get("/api/schedulers/runs", headers={"Accept": "application/x-ndjson"})).text.splitlines()
    )
