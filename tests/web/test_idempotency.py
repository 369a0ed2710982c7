"""Calls that are sent again under an `Idempotency-Key`: done once, answered each time."""

import asyncio
from typing import Any

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.store import Store
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at, new_id, refusal, refused, uncreatable
from tests.web.conftest import Jobs, MakeApp, client_of
from tests.web.plugin import BACKUPS, NOTES, ORDERS

ORDER = {"when": "2026-12-01T10:00:00Z", "orderId": "79bfd10c-1529-42de-bd68-1a6e084ee13d"}
KEY = {"Idempotency-Key": "5f2c-first order"}
REPLAYED = "idempotency-replayed"
TELLING = {"content-type", "location", "etag"}


async def number_of(store: Store) -> int:
    """Return how many jobs there are."""
    return sum(sum(counts.states.values()) for counts in (await store.counts()).values())


async def test_the_first_answer_comes_again(client: httpx2.AsyncClient, store: SqliteStore) -> None:
    """Byte for byte, whatever has become of the job; the second call does nothing."""
    first = await client.post(at(ORDERS), json=ORDER, headers=KEY)
    await client.delete(at(ORDERS, new_id(first)))

    second = await client.post(at(ORDERS), json=ORDER, headers=KEY)

    assert (201, first.content) == (second.status_code, second.content)
    assert {name: first.headers[name] for name in TELLING} == {name: second.headers[name] for name in TELLING}
    assert (REPLAYED in first.headers, second.headers[REPLAYED]) == (False, "true")
    assert await number_of(store) == 0


async def test_a_key_belongs_to_a_path(client: httpx2.AsyncClient, store: SqliteStore) -> None:
    """In another group it is another key."""
    body = {"when": "2026-12-01T10:00:00Z"}
    ids = {new_id(await client.post(at(group), json=body, headers=KEY)) for group in (NOTES, BACKUPS, NOTES)}
    assert (2, 2) == (len(ids), await number_of(store))


@pytest.mark.parametrize(
    "other",
    [
        {"json": ORDER | {"amount": 4}},
        {"json": ORDER | {"amount": "no number"}},
        {"json": ORDER, "params": {"dryRun": "true"}},
        {"content": b'{"when": "2026-12-01T10:00:00Z", "orderId":"79bfd10c-1529-42de-bd68-1a6e084ee13d"}'},
    ],
)
async def test_another_call_under_the_same_key(client: httpx2.AsyncClient, other: dict[str, Any]) -> None:
    """It is refused, and not done; also one that would be refused anyway."""
    await client.post(at(ORDERS), json=ORDER, headers=KEY)

    answer = await client.post(at(ORDERS), headers=KEY | {"Content-Type": "application/json"}, **other)

    assert refused(422, "IDEMPOTENCY_MISMATCH") == refusal(answer)


async def test_errors_are_not_kept(client: httpx2.AsyncClient) -> None:
    """Whoever corrects the body may send it under the same key."""
    wrong = await client.post(at(ORDERS), json={"when": "2026-12-01T10:00:00Z"}, headers=KEY)
    assert uncreatable("REQD_FIELD_MISSING", "/orderId") == refusal(wrong)

    assert (await client.post(at(ORDERS), json=ORDER, headers=KEY)).status_code == 201


async def test_while_the_first_is_under_way(client: httpx2.AsyncClient, store: SqliteStore) -> None:
    """The second is asked to come again; one job is made."""
    answers = await asyncio.gather(*(client.post(at(ORDERS), json=ORDER, headers=KEY) for _ in range(5)))

    [made] = [answer for answer in answers if answer.status_code == 201]
    others = [answer for answer in answers if answer is not made]
    assert {"IDEMPOTENCY_IN_FLIGHT"} == {answer.json()["id"] for answer in others}
    assert {(409, "1", True)} == {
        (answer.status_code, answer.headers["retry-after"], answer.json()["retryable"]) for answer in others
    }
    assert await number_of(store) == 1


async def test_two_services_share_the_answers(make_app: MakeApp, store: SqliteStore) -> None:
    """Whoever of them gets the second call."""
    answers = []
    for _ in range(2):
        async with client_of(make_app(store)) as client:
            answers.append(await client.post(at(ORDERS), json=ORDER, headers=KEY))
    assert answers[0].content == answers[1].content
    assert await number_of(store) == 1


async def test_a_key_is_kept_for_a_day(client: httpx2.AsyncClient, clock: ManualClock) -> None:
    """Then it is as new."""
    first = new_id(await client.post(at(ORDERS), json=ORDER, headers=KEY))
    clock.advance(hours=23.9)
    assert first == new_id(await client.post(at(ORDERS), json=ORDER, headers=KEY))
    clock.advance(hours=0.2)

    answer = await client.post(at(ORDERS), json=ORDER, headers=KEY)

    assert (409, True) == (answer.status_code, answer.json()["retryable"]) or first != new_id(answer)
    assert first != new_id(await client.post(at(ORDERS), json=ORDER, headers=KEY))


@pytest.mark.parametrize("keys", [[""], [" "], ["x" * 256], ["ключ"], ["two", "keys"], ["a\x7fb"]])
async def test_keys_that_are_none(client: httpx2.AsyncClient, keys: list[str]) -> None:
    """Nothing is done."""
    headers = [(b"Idempotency-Key", key.encode()) for key in keys]

    answer = await client.post(at(ORDERS), json=ORDER, headers=headers)

    assert refused(400, "IDEMPOTENCY_KEY_INVALID") == refusal(answer)


async def test_the_longest_key(client: httpx2.AsyncClient) -> None:
    """All 255 of it."""
    headers = {"Idempotency-Key": "x" * 255}
    ids = {new_id(await client.post(at(ORDERS), json=ORDER, headers=headers)) for _ in range(2)}
    assert len(ids) == 1


async def test_a_batch_is_created_once(client: httpx2.AsyncClient, store: SqliteStore) -> None:
    """The same ids come again."""
    body = [{"when": "2026-12-01T10:00:00Z", "text": str(number)} for number in range(600)]
    first, second = [await client.post(f"{at(NOTES)}/batch", json=body, headers=KEY) for _ in range(2)]

    assert (201, first.content) == (second.status_code, second.content)
    assert (600, 600) == (len(set(first.json()["ids"])), await number_of(store))


async def test_a_job_that_was_kept_is_answered_again(client: httpx2.AsyncClient) -> None:
    """Nothing is written but the answer."""
    keyed = {"when": "2026-12-01T10:00:00Z", "options": {"key": "one", "onConflict": "keep"}}
    there = new_id(await client.post(at(NOTES), json=keyed))
    kept, again = [await client.post(at(NOTES), json=keyed, headers=KEY) for _ in range(2)]

    assert [(200, str(there))] * 2 == [(each.status_code, each.json()["id"]) for each in (kept, again)]
    assert (kept.content, "true") == (again.content, again.headers[REPLAYED])


@pytest.mark.parametrize("verb", ["fire", "pause", "resume", "cancel", "retry", "backfill"])
async def test_each_call_on_a_job_is_done_once(
    client: httpx2.AsyncClient, jobs: Jobs, store: SqliteStore, verb: str
) -> None:
    """Though by itself most of them could not be done twice."""
    made = {"retry": "failed", "backfill": "recurring", "cancel": "running"}
    job = await store.get(await jobs.made(BACKUPS, made.get(verb, "scheduled")))
    assert job is not None
    body = {"from": "2026-05-28T00:00:00Z", "to": "2026-05-30T00:00:00Z"} if verb == "backfill" else {}
    first, second = [await client.post(at(job.key, job.id, verb), json=body, headers=KEY) for _ in range(2)]

    assert first.is_success, first.text
    assert (first.status_code, first.content, "true") == (
        second.status_code,
        second.content,
        second.headers[REPLAYED],
    )
    found = await store.get(job.id)
    children = await store.children(job.id)
    assert found is not None
    assert found.version <= job.version + 1
    assert len(children) <= 3


async def test_pauses_of_groups_are_answered_again(client: httpx2.AsyncClient) -> None:
    """Though the group goes on again meanwhile."""
    path = "/api/schedulers/vps4/backups"
    first = await client.post(f"{path}/pause", json={"reason": "work"}, headers=KEY)
    await client.post(f"{path}/resume")

    second = await client.post(f"{path}/pause", json={"reason": "work"}, headers=KEY)

    assert first.content == second.content
    assert not (await client.get(f"{path}/pause")).json()["isPaused"]


async def test_other_methods_take_no_notice(client: httpx2.AsyncClient) -> None:
    """They can be sent again as they are."""
    job_id = new_id(await client.post(at(ORDERS), json=ORDER))
    answers = [await client.patch(at(ORDERS, job_id), json={"amount": 5}, headers=KEY) for _ in range(2)]
    assert [(2, False), (3, False)] == [(each.json()["version"], REPLAYED in each.headers) for each in answers]
