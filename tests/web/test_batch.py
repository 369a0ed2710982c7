"""POST jobs/batch: many jobs, all or none."""

import json
from typing import Any

import httpx2
import pytest

from tests.web.answers import at, missing, refusal, refused
from tests.web.plugin import BACKUPS, NOTES, ORDERS

WHEN = "2026-12-01T10:00:00Z"
ORDER = {"orderId": "79bfd10c-1529-42de-bd68-1a6e084ee13d", "when": WHEN}
BATCH = at(ORDERS, "batch")
LINES = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


def lines(*objects: Any) -> str:
    """Write objects as NDJSON."""
    return "\n".join(map(json.dumps, objects))


async def amounts(client: httpx2.AsyncClient) -> list[Any]:
    """Return what the jobs of the group carry, by when they are due."""
    return [job["jobRequest"].get("amount") for job in (await client.get(at(ORDERS))).json()]


@pytest.mark.parametrize("as_lines", [False, True])
async def test_batch_is_created(client: httpx2.AsyncClient, *, as_lines: bool) -> None:
    """Each request becomes a job, and the ids come in the order of the requests."""
    orders = [ORDER | {"amount": n, "when": f"2026-12-{31 - n:02}T10:00:00Z"} for n in range(1, 21)]
    content, headers = (
        (lines(*orders), LINES) if as_lines else (json.dumps(orders), {"Content-Type": "application/json"})
    )

    answer = await client.post(BATCH, content=content, headers=headers)

    assert 201 == answer.status_code, answer.text
    assert 20 == answer.json()["created"] == len(set(answer.json()["ids"]))
    assert list(range(20, 0, -1)) == await amounts(client)
    for number, job_id in enumerate(answer.json()["ids"], 1):
        assert number == (await client.get(at(ORDERS, job_id))).json()["jobRequest"]["amount"]


async def test_nothing_is_created_when_one_is_wrong(client: httpx2.AsyncClient) -> None:
    """All problems of all requests are answered, each with the number of its request."""
    answer = await client.post(BATCH, json=[ORDER, {"when": "tomorrow"}, ORDER, {**ORDER, "colour": "red", "id": "x"}])

    assert 422 == answer.status_code
    assert refusal(answer).errors == [
        ("/1/when", "WHEN_FORMAT"),
        ("/1/orderId", "REQD_FIELD_MISSING"),
        ("/3/id", "RESERVED_FIELD"),
        ("/3/colour", "UNKNOWN_FIELD"),
    ]
    assert [] == await amounts(client)


@pytest.mark.parametrize("place", [0, 300, 699])
async def test_one_that_is_wrong_among_many_takes_all_with_it(client: httpx2.AsyncClient, place: int) -> None:
    """Also where those before it are on their way to the store."""
    bodies: list[dict[str, Any]] = [ORDER] * 700
    bodies[place] = ORDER | {"when": "tomorrow"}

    answer = await client.post(BATCH, json=bodies)

    assert (422, [(f"/{place}/when", "WHEN_FORMAT")]) == (answer.status_code, refusal(answer).errors)
    assert [] == await amounts(client)
    answer = await client.post(BATCH, json=[ORDER | {"amount": 1 + number % 20} for number in range(700)])
    assert (201, 700, 700) == (answer.status_code, answer.json()["created"], len(set(answer.json()["ids"])))


async def test_problems_of_keys_and_of_all_else_are_told_together(client: httpx2.AsyncClient) -> None:
    """Whoever mends them need not come twice."""
    keyed = ORDER | {"options": {"key": "k"}}
    answer = await client.post(BATCH, json=[keyed, keyed, {**ORDER, "when": "tomorrow"}])

    assert [("/1/options/key", "KEY_REPEATED"), ("/2/when", "WHEN_FORMAT")] == refusal(answer).errors


async def test_problems_are_not_looked_for_without_end(client: httpx2.AsyncClient) -> None:
    """A batch that is wrong from top to bottom is answered as fast as one that has a hundred faults."""
    answer = await client.post(BATCH, json=[{}] * 10_000)

    assert 422 == answer.status_code
    assert len(answer.content) <= 4096


@pytest.mark.parametrize("as_lines", [False, True])
async def test_empty_batch_is_no_mistake(client: httpx2.AsyncClient, *, as_lines: bool) -> None:
    """Whoever has nothing to schedule need not treat that apart."""
    content, headers = ("\n \n", LINES) if as_lines else ("[]", {"Content-Type": "application/json"})

    answer = await client.post(BATCH, content=content, headers=headers)

    assert (201, {"created": 0, "ids": []}) == (answer.status_code, answer.json())


@pytest.mark.parametrize(
    ("content", "headers", "status", "errors"),
    [
        ("{}", {"Content-Type": "application/json"}, 422, [("", "BODY_NOT_ARRAY")]),
        ("[1]", {"Content-Type": "application/json"}, 422, [("/0", "BODY_NOT_OBJECT")]),
        ("[{}, NaN]", {"Content-Type": "application/json"}, 400, [("", "MALFORMED_JSON")]),
        ("", {"Content-Type": "application/json"}, 400, [("", "MALFORMED_JSON")]),
        ('[{"a": "\\u0000"}]', {"Content-Type": "application/json"}, 422, [("/0", "NUL_IN_STRING")]),
        (lines(ORDER, ORDER) + "\n{", LINES, 400, [("", "MALFORMED_JSON")]),
        (lines(ORDER, [1]), LINES, 422, [("/1", "BODY_NOT_OBJECT")]),
        (lines(ORDER) + '\n{"a": ' + "[" * 40 + "]" * 40 + "}", LINES, 400, [("", "JSON_TOO_DEEP")]),
        ("a=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, [("", "UNSUPPORTED_MEDIA_TYPE")]),
        ("[" + "{}," * 100_000 + "{}]", {"Content-Type": "application/json"}, 413, [("", "BATCH_TOO_LARGE")]),
        ("{}\n" * 100_001, LINES, 413, [("", "BATCH_TOO_LARGE")]),
    ],
)
async def test_bodies_that_are_no_batch(
    client: httpx2.AsyncClient, content: str, headers: dict[str, str], status: int, errors: list[tuple[str, str]]
) -> None:
    """What is wrong with the whole, or with the form of one request, is said as for a single one."""
    answer = await client.post(BATCH, content=content, headers=headers)

    found = refusal(answer)
    assert (status, errors) == (found.status, found.errors)


async def test_line_that_is_wrong_is_named(client: httpx2.AsyncClient) -> None:
    """Where no pointer can say it, the sentence does."""
    answer = await client.post(BATCH, content=lines(ORDER) + "\n{oops}", headers=LINES)

    assert "number 1 of the batch" in answer.json()["detail"]


async def test_batch_of_a_group_that_nobody_knows(client: httpx2.AsyncClient) -> None:
    """The group is looked for first."""
    answer = await client.post("/api/schedulers/nobody/home/jobs/batch", json=[{}])

    assert missing("UNKNOWN_JOB_GROUP") == refusal(answer)


async def test_batch_is_no_job(client: httpx2.AsyncClient) -> None:
    """The word stands where ids stand, but names none."""
    assert missing() == refusal(await client.get(at(BACKUPS, "batch")))


@pytest.mark.parametrize("as_lines", [False, True])
@pytest.mark.parametrize("place", [0, 150, 249])
@pytest.mark.parametrize("more", [0, 1])
async def test_request_of_a_batch_is_no_larger_than_one_alone(
    client: httpx2.AsyncClient, place: int, more: int, *, as_lines: bool
) -> None:
    """Else a batch would be the way to store what no other call takes, and what every list has to read."""
    small = {"when": "2026-12-01T10:00:00Z", "note": ""}
    size = 256 * 1024 - len(json.dumps(small, separators=(",", ":"))) + more
    bodies = [small] * 250
    bodies[place] = small | {"note": "x" * size}
    texts = [json.dumps(body, separators=(",", ":")) for body in bodies]
    content, headers = ("\n".join(texts), LINES) if as_lines else (f"[{','.join(texts)}]", JSON)

    answer = await client.post(at(NOTES, "batch"), content=content, headers=headers)

    if more:
        assert refused(413, "BODY_TOO_LARGE") == refusal(answer)
        assert f"number {place} of the batch" in answer.json()["detail"]
    else:
        assert (201, 250) == (answer.status_code, answer.json()["created"])
