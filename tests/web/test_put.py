"""PUT of a job: created under an id of the caller's, once; and conditional requests."""

import asyncio
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid1, uuid3, uuid5

import httpx2
import pytest

from mainspring.job import Outcome
from tests.web.answers import at, missing, new_id, refusal, refused
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS, NOTES, ORDERS

ID = UUID("0197c1a6-2b8a-7c3e-9d5f-6a7b8c9d0e1f")
BODY = {"when": "2026-12-01T10:00:00Z", "text": "first"}
ANY = {"If-None-Match": "*"}


async def put(client: httpx2.AsyncClient, body: Any = BODY, job_id: object = ID, **headers: str) -> httpx2.Response:
    """Put a note."""
    return await client.put(at(NOTES, job_id), json=body, headers={n.replace("_", "-"): v for n, v in headers.items()})


async def test_a_job_is_created_under_the_id(client: httpx2.AsyncClient) -> None:
    """As POST would create it."""
    answer = await put(client)

    assert (201, str(ID), BODY, '"1"') == (
        answer.status_code,
        answer.json()["id"],
        answer.json()["jobRequest"],
        answer.headers["etag"],
    )
    assert answer.headers["location"] == at(NOTES, ID)
    assert (await client.get(at(NOTES, ID))).json() == {k: v for k, v in answer.json().items() if k != "warnings"}


async def test_the_same_again_changes_nothing(client: httpx2.AsyncClient) -> None:
    """In whatever order its members come, and after the job was changed: it was created with this."""
    await put(client)
    await client.patch(at(NOTES, ID), json={"text": "second", "when": "2026-12-02T10:00:00Z"})

    answer = await put(client, dict(reversed(BODY.items())))

    assert (200, 2, "second") == (answer.status_code, answer.json()["version"], answer.json()["jobRequest"]["text"])


async def test_a_done_job_is_there_too(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """It does not run again. One that was deleted is not there."""
    await put(client, BODY | {"when": "2026-06-01T11:00:00Z"})
    await jobs.finish(await jobs.claim(NOTES), Outcome.SUCCEEDED)

    again = await put(client, BODY | {"when": "2026-06-01T11:00:00Z"})
    assert (200, "done") == (again.status_code, again.json()["state"])

    await client.delete(at(NOTES, ID))
    assert (await put(client)).status_code == 201


@pytest.mark.parametrize("there", ["another body", "another group", "a POST"])
async def test_another_job_is_in_the_way(client: httpx2.AsyncClient, there: str) -> None:
    """409, and which it is."""
    job_id: object = ID
    if there == "another body":
        await put(client, BODY | {"text": "other"})
    elif there == "another group":
        await client.put(at(BACKUPS, ID), json={"when": "2026-12-01T10:00:00Z"})
    else:
        job_id = new_id(await client.post(at(NOTES), json=BODY))

    answer = await put(client, job_id=job_id)

    group = BACKUPS if there == "another group" else NOTES
    assert (409, "JOB_EXISTS", False) == (answer.status_code, answer.json()["id"], answer.json()["retryable"])
    assert {"id": str(job_id), "href": at(group, job_id)} == answer.json()["job"]


async def test_many_at_once_create_one(client: httpx2.AsyncClient) -> None:
    """The others find it."""
    answers = await asyncio.gather(*(put(client) for _ in range(10)))
    assert [200] * 9 + [201] == sorted(answer.status_code for answer in answers)


@pytest.mark.parametrize(
    "job_id",
    [uuid1(1, 2), uuid3(NAMESPACE_URL, "a"), UUID(int=1 << 127, version=4), uuid5(NAMESPACE_URL, "a"), str(ID).upper()],
)
async def test_any_uuid_is_an_id(client: httpx2.AsyncClient, job_id: object) -> None:
    """Of every version (RFC 9562)."""
    answer = await put(client, job_id=job_id)
    assert (201, str(job_id).lower()) == (answer.status_code, answer.json()["id"])


@pytest.mark.parametrize(
    "job_id", [UUID(int=0), UUID(int=2**128 - 1), "one", f"{{{ID}}}", ID.hex, "0197c1a6-2b8a-7c3e-1d5f-6a7b8c9d0e1f"]
)
async def test_what_is_no_id(client: httpx2.AsyncClient, job_id: object) -> None:
    """Nor the two that stand for none."""
    assert refused(422, "JOB_ID_INVALID", id_="JOB_CREATION_ERROR") == refusal(await put(client, job_id=job_id))


async def test_what_is_wrong_with_the_body(client: httpx2.AsyncClient) -> None:
    """All of it, as with POST; and a group that is not there."""
    answer = await client.put(at(ORDERS, ID), json={"amount": "x", "nextRun": 1})
    codes = {(error["pointer"], error["code"]) for error in answer.json()["errors"]}
    assert answer.status_code == 422
    assert {("/orderId", "REQD_FIELD_MISSING"), ("/nextRun", "RESERVED_FIELD")} <= codes
    assert missing("UNKNOWN_JOB_GROUP") == refusal(await client.put(f"/api/schedulers/no/group/jobs/{ID}", json=BODY))


async def test_a_key_that_is_taken(client: httpx2.AsyncClient) -> None:
    """No other job is replaced or kept in its place."""
    keyed = BODY | {"options": {"key": "one", "onConflict": "replace"}}
    there = new_id(await client.post(at(NOTES), json=keyed))

    answer = await put(client, keyed)

    assert (409, "KEY_TAKEN", str(there)) == (answer.status_code, answer.json()["id"], answer.json()["job"]["id"])


async def test_only_new_and_only_that_version(client: httpx2.AsyncClient) -> None:
    """`If-None-Match: *` and `If-Match` (RFC 9110)."""
    gone = refused(412, "PRECONDITION_FAILED")
    assert gone == refusal(await put(client, If_Match='"1"'))
    assert (await put(client, If_None_Match="*")).status_code == 201
    assert gone == refusal(await put(client, If_None_Match="*"))
    assert gone == refusal(await put(client, If_Match='"2"'))
    assert (await put(client, If_Match='"1"')).status_code == 200
    assert refused(400, "IF_NONE_MATCH_INVALID") == refusal(await put(client, If_None_Match='"1"'))


async def test_what_is_known_is_not_sent_again(client: httpx2.AsyncClient) -> None:
    """304 without a body, until something else is shown: a change, or a pause of the group."""
    await put(client)
    shown = await client.get(at(NOTES, ID))
    tag = shown.headers["etag"]
    for known in (tag, f'"7", W/{tag}', "*"):
        answer = await client.get(at(NOTES, ID), headers={"If-None-Match": known})
        assert (304, b"", tag) == (answer.status_code, answer.content, answer.headers["etag"])
    assert (await client.get(at(NOTES, ID), headers={"If-None-Match": '"7"'})).status_code == 200

    await client.post("/".join(["/api/schedulers", *NOTES, "pause"]))
    paused = await client.get(at(NOTES, ID), headers={"If-None-Match": tag})
    assert (200, True) == (paused.status_code, paused.json()["isPaused"])
    assert tag != paused.headers["etag"]

    changed = await client.patch(at(NOTES, ID), json={"text": "x"}, headers={"If-Match": paused.headers["etag"]})
    assert changed.status_code == 200
    assert refused(412, "PRECONDITION_FAILED") == refusal(
        await client.delete(at(NOTES, ID), headers={"If-Match": paused.headers["etag"]})
    )


# --- a schedule that goes on from another service


MONTHLY = {"schedule": {"every": "P1M", "start": "2026-01-31T10:00:00Z", "count": 7}, "text": "first"}


async def put_from(client: httpx2.AsyncClient, moment: str, body: Any = MONTHLY) -> httpx2.Response:
    """Put a note whose schedule goes on."""
    return await client.put(at(NOTES, ID), params={"firesFrom": moment}, json=body)


@pytest.mark.parametrize("moment", ["2026-06-30T10:00:00Z", "2026-06-02T00:00:00Z"])
async def test_a_schedule_goes_on(client: httpx2.AsyncClient, moment: str) -> None:
    """At the first fire time from then on; those before are neither made up for nor given back."""
    answer = await put_from(client, moment)

    assert (201, "2026-06-30T10:00:00Z") == (answer.status_code, answer.json()["nextRun"])
    ahead = (await client.get(at(NOTES, ID, "preview"))).json()["fireTimes"]
    assert ["2026-06-30T10:00:00Z", "2026-07-31T10:00:00Z"] == [start["utc"] for start in ahead]
    assert [] == (await client.get(at(NOTES, ID, "runs"))).json()


async def test_where_it_goes_on_is_no_part_of_the_body(client: httpx2.AsyncClient) -> None:
    """The same again changes nothing, wherever the job stands by now."""
    await put_from(client, "2026-06-30T10:00:00Z")

    again = await put_from(client, "2026-07-01T10:00:00Z")

    assert (200, "2026-06-30T10:00:00Z") == (again.status_code, again.json()["nextRun"])


async def test_nothing_is_left_to_go_on_with(client: httpx2.AsyncClient) -> None:
    """It is the parameter that is wrong."""
    answer = await put_from(client, "2026-08-01T00:00:00Z")

    assert 422 == answer.status_code
    assert [("?firesFrom", "SCHEDULE_NEVER")] == [(e["pointer"], e["code"]) for e in answer.json()["errors"]]


async def test_what_runs_once_runs_when_it_says(client: httpx2.AsyncClient) -> None:
    """It has no schedule to go on with."""
    assert "2026-12-01T10:00:00Z" == (await put_from(client, "2027-01-01T00:00:00Z", BODY)).json()["nextRun"]
