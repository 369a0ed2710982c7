"""Cursors are signed with a key of the store: whatever nobody gave out reaches no list."""

import base64
import hashlib

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at, refusal, refused
from tests.web.conftest import Jobs, MakeApp, client_of, some_jobs
from tests.web.plugin import BACKUPS

INVALID = refused(422, "CURSOR_INVALID", "?cursor")
ID = "019e830e-1a00-70a5-abaa-9455e3e70682"
TIME = "2026-06-01T12:00:00Z"


@pytest.mark.parametrize("length", [0, 8, 16, 32])
@pytest.mark.parametrize(
    "payload",
    [
        f"{TIME} {ID} 1 vps4 backups",
        f"{TIME} {ID} {2**63} vps4 backups",
        f"{TIME} {ID} -{2**70} vps4 backups",
        f"{TIME} {ID} {'9' * 600} vps4 backups",
        f"0001-01-01T00:00:00Z {ID} 1 vps4 backups",
        f"9999-12-31T23:59:59.999999Z {ID} 1 vps4 backups",
        f"{TIME} {ID} 1 vps4 a\0b",
        f"{TIME} {ID} 1 vps4",
        "",
    ],
)
@pytest.mark.parametrize("path", [at(BACKUPS), "/api/schedulers/jobs"])
async def test_made_up_cursor_is_refused(client: httpx2.AsyncClient, path: str, payload: str, length: int) -> None:
    """Whatever numbers it has, and however it is sealed."""
    scope = at(BACKUPS).removesuffix("/jobs") if path == at(BACKUPS) else ""
    seal = hashlib.sha256(scope.encode() + b"\0" + payload.encode()).digest()[:length]  # which needs no key
    cursor = base64.urlsafe_b64encode(seal + payload.encode()).decode().rstrip("=")

    answer = await client.get(path, params={"limit": 1, "cursor": cursor})

    assert INVALID == refusal(answer)


async def test_cursor_is_read_by_every_process_of_its_store(
    make_app: MakeApp, store: SqliteStore, clock: ManualClock
) -> None:
    """Also by one that started later, and after a restart."""
    await store.add(some_jobs(BACKUPS, 3, clock))
    async with client_of(make_app(store)) as one, client_of(make_app(store)) as other:
        first = await one.get(at(BACKUPS), params={"limit": 1})
        second = await other.get(first.links["next"]["url"])
        third = await one.get(second.links["next"]["url"])

    assert 3 == len({answer.json()[0]["id"] for answer in (first, second, third)})


async def test_processes_that_start_at_once_read_each_others_cursors(
    make_app: MakeApp, store: SqliteStore, clock: ManualClock
) -> None:
    """If each has made a key, one finds the other's when it is needed."""
    await store.add(some_jobs(BACKUPS, 4, clock))
    notes = store.notes

    async with client_of(make_app(store)) as one, client_of(make_app(store)) as other:
        first = await one.get(at(BACKUPS), params={"limit": 1})
        (key,) = await notes("cursor-key")
        await store.note("cursor-key", "0" * 16, "0" * 64)  # the other's, which wins
        second = await other.get(first.links["next"]["url"])
        third = await one.get(second.links["next"]["url"])
        fourth = await other.get(third.links["next"]["url"])

    assert 4 == len({answer.json()[0]["id"] for answer in (first, second, third, fourth)})
    assert {"0" * 16, key} == (await notes("cursor-key")).keys()


async def test_cursor_of_another_store_is_refused(make_app: MakeApp, store: SqliteStore, clock: ManualClock) -> None:
    """It is signed with another key."""
    other_store = SqliteStore(None, clock)
    await other_store.open()
    for each in (store, other_store):
        await each.add(some_jobs(BACKUPS, 3, clock))
    async with client_of(make_app(store)) as client, client_of(make_app(other_store)) as other:
        first = await other.get(at(BACKUPS), params={"limit": 1})
        answer = await client.get(first.links["next"]["url"])
    await other_store.close()

    assert INVALID == refusal(answer)


async def test_key_is_made_once(client: httpx2.AsyncClient, jobs: Jobs, store: SqliteStore) -> None:
    """And not before it is needed."""
    await jobs.create(BACKUPS)
    await client.get(at(BACKUPS))
    assert {} == await store.notes("cursor-key")
    for _ in range(3):
        await client.get(at(BACKUPS), params={"limit": 1})

    (secret,) = (await store.notes("cursor-key")).values()
    assert 64 == len(secret)
