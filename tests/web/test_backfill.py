"""A past range of a schedule, run afterwards."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.job import JobScheduled, Outcome
from mainspring.job.events import Event
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at, missing, refusal, refused, uncreatable
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS, NOTES

MAY = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-31T23:59:59Z"}
DAILY = {"cron": "0 3 * * *", "start": "2026-05-10T00:00:00Z", "misfire": "skip"}


async def asked(client: httpx2.AsyncClient, job: object, **body: Any) -> httpx2.Response:
    """Ask for a backfill of May, or of what is said instead."""
    return await client.post(at(BACKUPS, job, "backfill"), json=MAY | body)


async def test_each_fire_time_of_the_range_is_run(
    client: httpx2.AsyncClient, store: SqliteStore, jobs: Jobs, clock: ManualClock
) -> None:
    """The oldest first, spaced, marked in the history of the job, and not in the list of jobs."""
    job = await jobs.create(BACKUPS, schedule=DAILY)

    answer = await asked(client, job, cap=3, spacing="PT30S")

    assert (202, {"created": 3, "left": 19}) == (answer.status_code, answer.json())
    assert [str(job)] == [each["id"] for each in (await client.get(at(BACKUPS))).json()]
    due = sorted(child.due_at for child in await store.children(job))
    assert [clock.now() + number * timedelta(seconds=30) for number in range(3)] == due
    clock.advance(seconds=60)
    claims = (await store.claim("node-1", {BACKUPS: 10}, 10)).claims
    for claim in claims:
        await jobs.finish(claim.job, Outcome.SUCCEEDED)
    history = (await client.get(at(BACKUPS, job, "runs"))).json()
    assert ["2026-05-10", "2026-05-11", "2026-05-12"] == sorted(
        run["scheduledFireTime"][:10] for run in history if run["backfill"]
    )


async def test_job_goes_on_beside_it(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Its next run and its version are what they were."""
    job = await jobs.create(BACKUPS, schedule=DAILY)
    before = await jobs.shown(BACKUPS, job)

    assert 202 == (await asked(client, job)).status_code
    assert before == await jobs.shown(BACKUPS, job)


async def test_deleting_the_job_calls_off_what_is_left(
    client: httpx2.AsyncClient, store: SqliteStore, jobs: Jobs
) -> None:
    """Nothing runs for a job that is gone."""
    job = await jobs.create(BACKUPS, schedule=DAILY)
    await asked(client, job)

    assert 204 == (await client.delete(at(BACKUPS, job))).status_code
    assert ([], None, None) == await store.claim("node-1", {BACKUPS: 100}, 100)


async def test_range_without_fire_times(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Nothing is created, and that is said."""
    job = await jobs.create(BACKUPS, schedule=DAILY)

    answer = await asked(client, job, to="2026-05-02T00:00:00Z")

    assert (202, {"created": 0, "left": 0}) == (answer.status_code, answer.json())


async def test_a_large_range(client: httpx2.AsyncClient, jobs: Jobs, store: SqliteStore) -> None:
    """Up to ten thousand at once, of more than can be counted one by one."""
    job = await jobs.create(BACKUPS, schedule={"every": "PT1S", "start": "2026-05-01T00:00:00Z"})

    answer = await asked(client, job, cap=10_000, spacing="PT0S")

    assert {"created": 10_000, "left": 31 * 86_400 - 10_000} == answer.json()
    assert 10_000 == len(await store.children(job))


async def test_it_is_announced(client: httpx2.AsyncClient, jobs: Jobs, announced: list[Event]) -> None:
    """Each run that is to come is a job that was scheduled."""
    job = await jobs.create(BACKUPS, schedule=DAILY)
    await asked(client, job, cap=3)

    assert 4 == sum(isinstance(event, JobScheduled) for event in announced)


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"from": None}, "WHEN_TYPE", "/from"),
        ({"to": "2026-05-31"}, "WHEN_ZONE_REQUIRED", "/to"),
        ({"to": "2026-06-01T12:00:01Z"}, "RANGE_IN_FUTURE", "/to"),
        ({"to": "2026-04-30T00:00:00Z"}, "RANGE_REVERSED", "/to"),
        ({"cap": 0}, "GREATER_THAN_EQUAL", "/cap"),
        ({"cap": 10_001}, "LESS_THAN_EQUAL", "/cap"),
        ({"cap": "5"}, "INT_TYPE", "/cap"),
        ({"spacing": "P8D"}, "LESS_THAN_EQUAL", "/spacing"),
        ({"spacing": 1}, "DURATION_TYPE", "/spacing"),
        ({"until": "x"}, "UNKNOWN_FIELD", "/until"),
    ],
)
async def test_backfill_that_makes_no_sense_is_refused(
    client: httpx2.AsyncClient, store: SqliteStore, jobs: Jobs, body: dict[str, Any], code: str, pointer: str
) -> None:
    """With a pointer and a code, and nothing is created."""
    job = await jobs.create(BACKUPS, schedule=DAILY)

    assert uncreatable(code, pointer) == refusal(await asked(client, job, **body))
    assert [] == await store.children(job)


async def test_runs_that_would_be_due_in_more_than_ten_years_are_refused(
    client: httpx2.AsyncClient, jobs: Jobs
) -> None:
    """As for every other job."""
    job = await jobs.create(BACKUPS, schedule={"every": "PT1H", "start": "2026-05-01T00:00:00Z"})

    assert uncreatable("WHEN_TOO_FAR", "/spacing") == refusal(await asked(client, job, spacing="P7D"))


async def test_job_of_which_no_past_can_be_run(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """One that runs once, one that is done, and one that is not there."""
    once = await jobs.create(NOTES)
    done = await jobs.ended(BACKUPS, Outcome.SUCCEEDED)

    answer = await client.post(at(NOTES, once, "backfill"), json=MAY)
    assert refused(409, "JOB_NOT_RECURRING") == refusal(answer)
    assert refused(409, "JOB_FINISHED") == refusal(await asked(client, done))
    assert missing() == refusal(await asked(client, once))
