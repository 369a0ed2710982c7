"""POST jobs: what is scheduled, and how it is answered."""

from typing import Any
from uuid import UUID

import httpx2
import pytest

from mainspring.job import JobScheduled
from mainspring.job.events import Event
from tests.web.answers import at, missing, new_id, refusal
from tests.web.plugin import BACKUPS, ORDERS

SEED_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
SEED_BODY = """{
         "vmId": "79bfd10c-1529-42de-bd68-1a6e084ee13d",
         "when": "2017-09-21T23:58:16.797Z"
       }"""
ORDER = {"orderId": "79bfd10c-1529-42de-bd68-1a6e084ee13d"}
IN_THE_PAST = {"code": "WHEN_IN_PAST", "detail": "the next fire time is in the past; the job is due at once"}


async def test_new_job_is_answered_in_full(client: httpx2.AsyncClient) -> None:
    """201 shows the job as it stands, where it is and which version it has."""
    body = ORDER | {"when": "2026-12-01T10:00:00Z", "amount": 3}

    answer = await client.post(at(ORDERS), json=body)

    job_id = answer.json()["id"]
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["location"] == f"/api/schedulers/shop/orders/jobs/{job_id}"
    assert answer.headers["etag"] == '"1"'
    assert answer.json() == {
        "id": job_id,
        "product": "shop",
        "jobGroup": "orders",
        "state": "scheduled",
        "isPaused": False,
        "pausedBy": [],
        "priority": 5,
        "concurrencyKey": None,
        "currentRun": None,
        "nextRun": "2026-12-01T10:00:00Z",
        "jobRequest": body,
        "schedule": None,
        "options": {},
        "attempt": 0,
        "outcome": None,
        "lastRun": None,
        "version": 1,
        "createdAt": "2026-06-01T12:00:00Z",
        "updatedAt": "2026-06-01T12:00:00Z",
        "warnings": [],
    }


async def test_location_leads_to_the_same_job(client: httpx2.AsyncClient) -> None:
    """What GET shows is what POST answered, but for the warnings."""
    created = await client.post(at(ORDERS), json=ORDER | {"when": "2026-12-01T10:00:00Z"})

    shown = await client.get(created.headers["location"])

    assert created.json() == shown.json() | {"warnings": []}
    assert created.headers["etag"] == shown.headers["etag"]


async def test_new_job_is_announced_once(client: httpx2.AsyncClient, announced: list[Event]) -> None:
    """The log and the metrics hear of a job that was created, and of none that was refused."""
    job_id = new_id(await client.post(at(BACKUPS), json={"when": "2026-12-01T10:00:00Z"}))
    await client.post(at(BACKUPS), json={})

    assert [job_id] == [event.job.id for event in announced if isinstance(event, JobScheduled)]


@pytest.mark.parametrize("base", ["/api/scheduler", "/api/schedulers"])
async def test_call_of_the_seed_is_accepted(client: httpx2.AsyncClient, base: str) -> None:
    """The very request that the first clients send: its time has passed, so the job is due at once."""
    answer = await client.post(f"{base}/vps4/backups/jobs", content=SEED_BODY, headers=SEED_HEADERS)

    job = answer.json()
    assert answer.status_code == 201
    assert job["nextRun"] == "2017-09-21T23:58:16.797Z"
    assert job["jobRequest"]["vmId"] == "79bfd10c-1529-42de-bd68-1a6e084ee13d"
    assert job["warnings"] == [IN_THE_PAST]
    assert UUID(job["id"]).version == 7


@pytest.mark.parametrize(
    ("body", "warnings"),
    [
        ({"when": "2026-06-01T12:00:05Z"}, []),
        ({"when": "2026-06-01T12:00:00Z"}, []),
        ({"when": "2026-06-01T11:59:55Z"}, []),
        ({"when": "2026-06-01T11:59:54.999999Z"}, [IN_THE_PAST]),
        ({"schedule": {"every": "P1D"}}, []),
        ({"schedule": {"every": "P1D", "start": "2026-05-01T03:00:00Z"}}, [IN_THE_PAST]),
    ],
)
async def test_time_that_has_passed_is_taken_with_a_warning(
    client: httpx2.AsyncClient, body: dict[str, Any], warnings: list[dict[str, str]]
) -> None:
    """Clocks differ by seconds, so only what lies further back is likely to be a mistake."""
    answer = await client.post(at(BACKUPS), json=body)

    assert (201, warnings) == (answer.status_code, answer.json()["warnings"])


async def test_unknown_group_takes_no_jobs(client: httpx2.AsyncClient) -> None:
    """A job whose class nobody has bound could never run."""
    answer = await client.post("/api/schedulers/vps4/patching/jobs", json={"when": "2026-12-01T10:00:00Z"})

    assert missing("UNKNOWN_JOB_GROUP") == refusal(answer)
