"""Quotas: how many jobs may be there, be created in a minute, and how large they may be."""

import asyncio
from typing import Any

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.errors import StoreUnavailableError
from mainspring.job import Counts, JobKey, Limits, Outcome, Quota, Scope
from mainspring.plugins import Registry
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at, refusal, refused
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS, NOTES, ORDERS

WHEN = {"when": "2026-12-01T10:00:00Z"}
SIZE = len('{"when":"2026-12-01T10:00:00Z"}')
GROUP, PRODUCT = Scope(*NOTES), Scope(NOTES.product)
EXCEEDED = refused(429, "QUOTA_EXCEEDED")


async def set_quota(client: httpx2.AsyncClient, scope: Scope, **quota: int) -> None:
    """Write a quota."""
    answer = await client.put(f"/api/schedulers/{scope}/limits", json={"quota": quota})
    assert (200, quota) == (answer.status_code, answer.json()["quota"])


async def create(client: httpx2.AsyncClient, *, key: JobKey = NOTES, **body: Any) -> httpx2.Response:
    """Ask for a job."""
    return await client.post(at(key), json=WHEN | body)


async def batch(client: httpx2.AsyncClient, number: int) -> httpx2.Response:
    """Ask for many jobs."""
    return await client.post(at(NOTES, "batch"), json=[WHEN] * number)


def told(answer: httpx2.Response) -> list[dict[str, Any]]:
    """Return what each problem says to programs."""
    assert "QUOTA_EXCEEDED" == refusal(answer).id
    return [
        {name: value for name, value in error.items() if name not in {"pointer", "code", "detail"}}
        for error in answer.json()["errors"]
    ]


def a_problem(scope: Scope, name: str, used: int, asked: int, quota: int) -> dict[str, Any]:
    """Return what a problem says of one quota."""
    return {"scope": str(scope), "name": name, "used": used, "asked": asked, "quota": quota}


# --- jobs that are not done


async def test_no_more_jobs_are_pending_than_the_quota(
    client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock
) -> None:
    """Whatever state they are in; those of other groups do not count, nor do done ones."""
    await set_quota(client, GROUP, pending=3)
    await create(client, key=ORDERS, orderId="79bfd10c-1529-42de-bd68-1a6e084ee13d")
    await jobs.ended(NOTES, Outcome.SUCCEEDED)
    await jobs.running(NOTES)
    clock.advance(seconds=2)
    assert [201, 201] == [(await create(client, options={"paused": True})).status_code for _ in range(2)]

    answer = await create(client)

    assert EXCEEDED == refusal(answer)
    assert [a_problem(GROUP, "pending", 3, 1, 3)] == told(answer)
    (error,) = answer.json()["errors"]
    assert "1 more jobs and the 3 that are pending exceed the quota of 3 of shop/notes" == error["detail"]
    assert "5" == answer.headers["Retry-After"]


async def test_room_comes_back_with_the_end_of_a_job(
    client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock
) -> None:
    """As soon as it is read again, which is at once where a create would be refused."""
    await set_quota(client, GROUP, pending=1)
    job_id = await jobs.running(NOTES)
    assert 429 == (await create(client)).status_code
    await client.delete(at(NOTES, job_id))

    clock.advance(milliseconds=51)
    assert 201 == (await create(client)).status_code


async def test_quotas_of_group_and_product_both_hold(client: httpx2.AsyncClient) -> None:
    """Each that is exceeded is told."""
    await set_quota(client, PRODUCT, pending=2, bytes=2 * SIZE)
    assert [201, 201] == [(await create(client)).status_code for _ in range(2)]
    assert [a_problem(PRODUCT, "pending", 2, 1, 2), a_problem(PRODUCT, "bytes", 2 * SIZE, SIZE, 2 * SIZE)] == told(
        await create(client)
    )

    await set_quota(client, GROUP, pending=1)
    assert [("shop", "pending"), ("shop/notes", "pending"), ("shop", "bytes")] == [
        (each["scope"], each["name"]) for each in told(await create(client))
    ]
    assert 201 == (await create(client, key=BACKUPS, vmId="79bfd10c-1529-42de-bd68-1a6e084ee13d")).status_code


async def test_batch_counts_all_its_jobs(client: httpx2.AsyncClient) -> None:
    """All or none."""
    await set_quota(client, GROUP, pending=10)
    assert 201 == (await batch(client, 7)).status_code

    answer = await batch(client, 4)
    assert ([a_problem(GROUP, "pending", 7, 4, 10)], "5") == (told(answer), answer.headers["Retry-After"])
    assert 201 == (await batch(client, 3)).status_code
    assert 10 == len((await client.get(at(NOTES))).json())


@pytest.mark.parametrize(
    ("quota", "size"), [({"pending": 5}, 6), ({"createsPerMinute": 5}, 6), ({"bytes": 6 * SIZE - 1}, 6)]
)
async def test_batch_that_never_fits_is_told_so(client: httpx2.AsyncClient, quota: dict[str, int], size: int) -> None:
    """There is no time after which to come again."""
    await set_quota(client, GROUP, **quota)

    answer = await batch(client, size)

    assert EXCEEDED == refusal(answer)
    assert (False, True) == (answer.json()["retryable"], "never fit" in answer.json()["detail"])
    assert 201 == (await batch(client, size - 1)).status_code


async def test_large_batch_counts_while_it_is_written(client: httpx2.AsyncClient, store: SqliteStore) -> None:
    """Whoever comes meanwhile finds its room taken."""
    await set_quota(client, GROUP, pending=1000)

    first, second, *singles = await asyncio.gather(
        batch(client, 990), batch(client, 990), *(create(client) for _ in range(5))
    )

    assert {201, 429} == {first.status_code, second.status_code}
    assert {201} == {answer.status_code for answer in singles}
    assert 995 == sum((await store.counts())[NOTES].states.values())


async def test_concurrent_creates_fill_a_quota_exactly(
    client: httpx2.AsyncClient, store: SqliteStore, clock: ManualClock
) -> None:
    """However they come."""
    await set_quota(client, GROUP, pending=25)

    async def some() -> list[int]:
        statuses = []
        for _ in range(4):
            statuses.append((await create(client)).status_code)
            clock.advance(milliseconds=60)
        return statuses

    statuses = [status for each in await asyncio.gather(*(some() for _ in range(16))) for status in each]

    assert (25, 39) == (statuses.count(201), statuses.count(429))
    assert 25 == sum((await store.counts())[NOTES].states.values())


async def test_what_is_being_written_is_not_counted_twice(
    client: httpx2.AsyncClient, store: SqliteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a reading may have it or not, it is waited for before others are refused because of it."""
    await set_quota(client, GROUP, pending=2)
    add, is_written, goes_on = store.add, asyncio.Event(), asyncio.Event()

    async def slow(*jobs: Any) -> None:
        await add(*jobs)
        is_written.set()
        await goes_on.wait()

    monkeypatch.setattr(store, "add", slow)
    first = asyncio.create_task(create(client))
    await is_written.wait()
    monkeypatch.setattr(store, "add", add)
    clock.advance(seconds=2)
    second = asyncio.create_task(create(client))
    for _ in range(50):
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
    goes_on.set()

    assert [201, 201] == [(await first).status_code, (await second).status_code]
    assert 429 == (await create(client)).status_code


async def test_who_fits_does_not_wait_for_a_reading(
    client: httpx2.AsyncClient, store: SqliteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of somebody else; what was created meanwhile counts, as it may not be in what was read."""
    await set_quota(client, GROUP, pending=3)
    assert 201 == (await create(client)).status_code
    counts, is_read, goes_on = store.counts, asyncio.Event(), asyncio.Event()

    async def slow() -> dict[JobKey, Counts]:
        read = await counts()
        is_read.set()
        await goes_on.wait()
        return read

    clock.advance(seconds=2)
    with monkeypatch.context() as patch:
        patch.setattr(store, "counts", slow)
        reading = asyncio.create_task(create(client))
        await is_read.wait()
        assert 201 == (await create(client)).status_code
        goes_on.set()
        assert 201 == (await reading).status_code
    assert 429 == (await create(client)).status_code


async def test_jobs_of_all_groups_count_for_the_product(
    client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock
) -> None:
    """Those that were there before, too."""
    await create(client, key=ORDERS, orderId="79bfd10c-1529-42de-bd68-1a6e084ee13d")
    await jobs.create(NOTES)
    clock.advance(seconds=2)
    await set_quota(client, PRODUCT, pending=3)

    assert 201 == (await create(client)).status_code
    assert [a_problem(PRODUCT, "pending", 3, 1, 3)] == told(await create(client))


async def test_counts_are_read_once_a_second_at_most(
    client: httpx2.AsyncClient, store: SqliteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In between this process counts what it creates itself."""
    await set_quota(client, GROUP, pending=1000)
    read, counts = 0, store.counts

    async def counted() -> dict[JobKey, Counts]:
        nonlocal read
        read += 1
        return await counts()

    monkeypatch.setattr(store, "counts", counted)
    for _ in range(30):
        assert 201 == (await create(client)).status_code
        clock.advance(milliseconds=100)

    assert 3 == read


async def test_jobs_that_were_not_written_give_their_room_back(client: httpx2.AsyncClient) -> None:
    """Those of quotas of every kind."""
    await set_quota(client, GROUP, pending=2, createsPerMinute=2, bytes=1000)
    assert 201 == (await create(client, options={"key": "k"})).status_code

    for _ in range(5):
        assert 409 == (await create(client, options={"key": "k"})).status_code
        assert 422 == (await client.post(at(NOTES, "batch"), json=[{}])).status_code
    assert 201 == (await create(client)).status_code
    assert 429 == (await create(client)).status_code


async def test_write_whose_answer_was_lost_counts_until_it_is_known(
    client: httpx2.AsyncClient, store: SqliteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next reading tells."""
    await set_quota(client, GROUP, pending=1)

    async def lost(*_: object) -> None:
        raise StoreUnavailableError("it did not answer")

    with monkeypatch.context() as patch:
        patch.setattr(store, "add", lost)
        assert 503 == (await create(client)).status_code
    assert 429 == (await create(client)).status_code
    clock.advance(seconds=1)
    assert 201 == (await create(client)).status_code


@pytest.mark.parametrize("verb", ["counts", "request_bytes", "spend"])
async def test_nothing_is_created_where_nothing_is_known(
    client: httpx2.AsyncClient, store: SqliteStore, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """And what was taken of other quotas is given back."""
    await set_quota(client, GROUP, pending=1, bytes=1000, createsPerMinute=1)

    async def away(*_: object) -> None:
        raise StoreUnavailableError("it does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(store, verb, away)
        assert refused(503, "STORE_UNAVAILABLE") == refusal(await create(client))
    assert 201 == (await create(client)).status_code


# --- what is no create


async def test_what_is_kept_or_replaced_is_no_create(client: httpx2.AsyncClient) -> None:
    """It needs no room; who is to hear that a key is taken hears that."""
    await set_quota(client, GROUP, pending=1, createsPerMinute=1)
    keyed = await create(client, options={"key": "k"})
    assert 201 == keyed.status_code

    for how in ("keep", "replace"):
        answer = await create(client, options={"key": "k", "onConflict": how})
        assert (200, keyed.json()["id"]) == (answer.status_code, answer.json()["id"])
    assert "KEY_TAKEN" == (await create(client, options={"key": "k"})).json()["id"]
    assert EXCEEDED == refusal(await create(client, options={"key": "other"}))
    kept = [WHEN | {"options": {"key": "k", "onConflict": "keep"}}]
    answer = await client.post(at(NOTES, "batch"), json=kept)
    assert (201, 0) == (answer.status_code, answer.json()["created"])


async def test_what_a_batch_keeps_needs_no_room(client: httpx2.AsyncClient, clock: ManualClock) -> None:
    """Only what is new does; nothing does where there is less room than is used by now."""
    kept: dict[str, Any] = WHEN | {"options": {"key": "k", "onConflict": "keep"}}
    size = SIZE + len(',"options":{"key":"k","onConflict":"keep"}')
    assert 201 == (await create(client, **kept)).status_code
    clock.advance(seconds=2)
    await set_quota(client, GROUP, pending=2, createsPerMinute=1, bytes=size + SIZE)

    answer = await client.post(at(NOTES, "batch"), json=[kept, WHEN])
    assert (201, 1) == (answer.status_code, answer.json()["created"])
    await set_quota(client, GROUP, pending=1, bytes=1)
    assert 201 == (await client.post(at(NOTES, "batch"), json=[kept])).status_code


async def test_what_is_done_with_a_job_is_no_create(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """A full quota holds none of it back."""
    dead = await jobs.ended(NOTES, Outcome.FAILED)
    recurring = await jobs.made(NOTES, "recurring")
    await set_quota(client, GROUP, pending=1, createsPerMinute=1)
    assert EXCEEDED == refusal(await create(client))

    changed = await client.patch(at(NOTES, recurring), json={"options": {"priority": 9}})
    fired = await client.post(at(NOTES, recurring, "fire"))
    retried = await client.post(at(NOTES, dead, "retry"), json={})
    filled = await client.post(
        at(NOTES, recurring, "backfill"), json={"from": "2026-05-20T00:00:00Z", "to": "2026-05-25T00:00:00Z"}
    )
    assert [200, 200, 200, 202] == [answer.status_code for answer in (changed, fired, retried, filled)]


# --- creates a minute


async def test_no_more_are_created_in_a_minute_than_the_quota(client: httpx2.AsyncClient, clock: ManualClock) -> None:
    """All at once, and then as time passes."""
    await set_quota(client, GROUP, createsPerMinute=6)
    assert 201 == (await batch(client, 6)).status_code

    answer = await create(client)
    assert ([a_problem(GROUP, "createsPerMinute", 6, 1, 6)], "10") == (told(answer), answer.headers["Retry-After"])
    clock.advance(seconds=9.9)
    assert "1" == (await create(client)).headers["Retry-After"]
    clock.advance(seconds=0.1)
    assert 201 == (await create(client)).status_code
    assert 429 == (await create(client)).status_code
    clock.advance(seconds=30)
    assert [a_problem(GROUP, "createsPerMinute", 3, 4, 6)] == told(await batch(client, 4))
    assert 201 == (await batch(client, 3)).status_code


async def test_creates_of_a_product_are_those_of_all_groups(client: httpx2.AsyncClient) -> None:
    """A create that the product refuses costs the group nothing."""
    await set_quota(client, PRODUCT, createsPerMinute=2)
    await set_quota(client, GROUP, createsPerMinute=2)
    order = {"orderId": "79bfd10c-1529-42de-bd68-1a6e084ee13d"}
    assert 201 == (await create(client, key=ORDERS, **order)).status_code
    assert 201 == (await create(client)).status_code

    for _ in range(3):
        assert [a_problem(PRODUCT, "createsPerMinute", 2, 1, 2)] == told(await create(client))
    await client.put(f"/api/schedulers/{PRODUCT}/limits", json={})
    assert 201 == (await create(client)).status_code


# --- bytes


async def test_bytes_are_those_of_pending_requests(client: httpx2.AsyncClient, clock: ManualClock) -> None:
    """As they are stored."""
    text: dict[str, Any] = {"text": "é" * 50}
    size = SIZE + len(',"text":""') + 100
    await set_quota(client, GROUP, bytes=2 * size)
    first = await create(client, **text)
    assert [201, 201] == [first.status_code, (await create(client, **text)).status_code]

    assert [a_problem(GROUP, "bytes", 2 * size, size, 2 * size)] == told(await create(client, **text))
    await client.delete(at(NOTES, first.json()["id"]))
    assert 429 == (await create(client, **text)).status_code  # it is not read again so soon
    clock.advance(seconds=1.1)
    assert 201 == (await create(client, **text)).status_code


async def test_bytes_are_read_seldom_where_that_takes_long(
    client: httpx2.AsyncClient, store: SqliteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A twentieth of the time at most."""
    await set_quota(client, GROUP, bytes=1000)
    sums = store.request_bytes
    read = 0

    async def slow(scope: Scope) -> int:
        nonlocal read
        read += 1
        clock.advance(seconds=2)
        return await sums(scope)

    monkeypatch.setattr(store, "request_bytes", slow)
    for _ in range(5):
        assert 201 == (await create(client)).status_code
        clock.advance(seconds=10)
    assert 2 == read


# --- where quotas come from


async def test_quota_that_is_declared_holds(client: httpx2.AsyncClient, registry: Registry) -> None:
    """Until another is written."""
    registry.limits[GROUP] = Limits(quota=Quota(pending=1))
    try:
        assert [201, 429] == [(await create(client)).status_code for _ in range(2)]
        shown = (await client.get(f"/api/schedulers/{GROUP}/limits")).json()
        assert {"concurrency": [], "rates": [], "quota": {"pending": 1}} == shown
        await set_quota(client, GROUP, pending=2)
        assert [201, 429] == [(await create(client)).status_code for _ in range(2)]
    finally:
        del registry.limits[GROUP]


async def test_groups_without_quotas_ask_for_nothing(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They pay nothing for those of others."""
    await set_quota(client, Scope(*ORDERS), pending=1, createsPerMinute=1, bytes=1)
    for verb in ("counts", "request_bytes", "spend"):
        monkeypatch.delattr(SqliteStore, verb)

    assert [201, 201] == [(await create(client)).status_code, (await batch(client, 2)).status_code]


async def test_dry_run_says_what_would_be_in_the_way(client: httpx2.AsyncClient) -> None:
    """And takes nothing."""
    await set_quota(client, GROUP, pending=1, createsPerMinute=1, bytes=SIZE)

    async def warned() -> list[str]:
        answer = await client.post(f"{at(NOTES)}?dryRun=true", json=WHEN)
        assert 200 == answer.status_code
        return [each["detail"] for each in answer.json()["warnings"] if each["code"] == "QUOTA_EXCEEDED"]

    assert [] == await warned() == await warned()
    assert 201 == (await create(client)).status_code
    assert 3 == len(await warned())


async def test_what_is_no_quota_is_refused(client: httpx2.AsyncClient) -> None:
    """Each problem is told."""
    wrong = {"pending": 0, "createsPerMinute": 1_000_001, "bytes": "many", "more": 1}
    answer = await client.put(f"/api/schedulers/{GROUP}/limits", json={"quota": wrong})

    assert {f"/quota/{name}" for name in wrong} == {pointer for pointer, _ in refusal(answer).errors}
