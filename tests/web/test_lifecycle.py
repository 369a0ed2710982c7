"""DELETE, pause, resume and retry: what a client does to a job as a whole."""

from uuid import UUID

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.job import JobDeleted, JobKey, Outcome
from mainspring.job.events import Event
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at, missing, refusal, refused
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS, LEFT, NOTES, RIGHT

ABSENT = UUID("5348dfe6-c87d-4f86-8b61-1d22f47c607e")


# --- DELETE -----------------------------------------------------------------------------------------------------------


async def test_deleted_job_is_gone(client: httpx2.AsyncClient, jobs: Jobs, announced: list[Event]) -> None:
    """204 says so without a word; from then on there is no such job, also not to be deleted."""
    job_id = await jobs.create(BACKUPS)

    answer = await client.delete(at(BACKUPS, job_id))

    assert (204, b"") == (answer.status_code, answer.content)
    assert missing() == refusal(await client.get(at(BACKUPS, job_id)))
    assert missing() == refusal(await client.delete(at(BACKUPS, job_id)))
    assert [job_id] == [event.job.id for event in announced if isinstance(event, JobDeleted)]


async def test_call_of_the_seed_is_accepted(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """The very request that the first clients send."""
    job_id = await jobs.create(BACKUPS)

    answer = await client.delete(f"/api/scheduler/vps4/backups/jobs/{job_id}", headers={"Accept": "application/json"})

    assert answer.status_code == 204


async def test_run_of_a_deleted_job_is_cancelled(
    client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock, store: SqliteStore
) -> None:
    """The node loses the run, so its result will be refused; the history of the group tells of it."""
    job_id = await jobs.running(BACKUPS)
    clock.advance(seconds=30)

    answer = await client.delete(at(BACKUPS, job_id))

    assert answer.status_code == 204
    (run,) = await store.runs(BACKUPS, None, before=None, limit=9)
    assert (job_id, Outcome.CANCELLED, "node-1") == (run.job_id, run.outcome, run.node)
    assert (run.finished_at - run.started_at).total_seconds() == 30


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
async def test_finished_job_can_be_deleted(client: httpx2.AsyncClient, jobs: Jobs, outcome: Outcome) -> None:
    """Before its time of retention is over."""
    job_id = await jobs.ended(BACKUPS, outcome)

    assert (await client.delete(at(BACKUPS, job_id))).status_code == 204
    assert missing() == refusal(await client.get(at(BACKUPS, job_id)))


async def test_job_is_deleted_only_while_it_has_the_version_that_the_client_believes_in(
    client: httpx2.AsyncClient, jobs: Jobs
) -> None:
    """A job that was changed meanwhile is not what the client wants to be rid of."""
    job_id = await jobs.create(NOTES)
    await client.patch(at(NOTES, job_id), json={"a": 1})

    answers = [await client.delete(at(NOTES, job_id), headers={"If-Match": tag}) for tag in ('"1"', "1", '"2"')]

    assert refused(412, "PRECONDITION_FAILED") == refusal(answers[0])
    assert refused(400, "IF_MATCH_INVALID") == refusal(answers[1])
    assert answers[2].status_code == 204


# --- pause and resume -------------------------------------------------------------------------------------------------


async def test_paused_job_is_held_back_until_it_is_resumed(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Nothing but its state changes; each call answers with the job as it stands then, as PATCH does."""
    job_id = await jobs.create(BACKUPS, when="2026-12-01T10:00:00Z")
    before = await jobs.shown(BACKUPS, job_id)

    paused = await client.post(at(BACKUPS, job_id, "pause"))
    between = await jobs.shown(BACKUPS, job_id)
    resumed = await client.post(at(BACKUPS, job_id, "resume"))
    after = await jobs.shown(BACKUPS, job_id)

    assert (200, '"2"', between) == (paused.status_code, paused.headers["etag"], paused.json())
    assert (200, '"3"', after) == (resumed.status_code, resumed.headers["etag"], resumed.json())
    assert before | {"state": "paused", "isPaused": True, "pausedBy": between["pausedBy"], "version": 2} == between
    assert before | {"version": 3} == after


@pytest.mark.parametrize("call", ["pause", "resume"])
async def test_second_time_changes_nothing(client: httpx2.AsyncClient, jobs: Jobs, call: str) -> None:
    """A call that is repeated because its answer was lost is answered alike, and is no change."""
    job_id = await jobs.create(BACKUPS)
    await client.post(at(BACKUPS, job_id, call))
    before = await jobs.shown(BACKUPS, job_id)

    answer = await client.post(at(BACKUPS, job_id, call))

    assert (200, before) == (answer.status_code, answer.json())
    assert before == await jobs.shown(BACKUPS, job_id)


async def test_running_job_is_paused_for_its_next_run(
    client: httpx2.AsyncClient, jobs: Jobs, store: SqliteStore
) -> None:
    """The run under way ends normally; then the job is held back."""
    job_id = await jobs.running(BACKUPS, schedule={"every": "P1D"})

    answer = await client.post(at(BACKUPS, job_id, "pause"))

    running = await jobs.shown(BACKUPS, job_id)
    assert (200, running) == (answer.status_code, answer.json())
    assert ("running", True) == (running["state"], running["isPaused"])
    job = await store.get(job_id)
    assert job is not None
    await jobs.finish(job, Outcome.SUCCEEDED)
    assert (await jobs.shown(BACKUPS, job_id))["state"] == "paused"


@pytest.mark.parametrize("call", ["pause", "resume"])
@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
async def test_finished_job_has_nothing_to_hold_back(
    client: httpx2.AsyncClient, jobs: Jobs, outcome: Outcome, call: str
) -> None:
    """Also one that gave up: retry is what brings it back."""
    job_id = await jobs.ended(BACKUPS, outcome)

    assert refused(409, "JOB_FINISHED") == refusal(await client.post(at(BACKUPS, job_id, call)))


# --- retry ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT])
async def test_dead_job_is_brought_back(
    client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock, outcome: Outcome
) -> None:
    """It is due at once."""
    job_id = await jobs.ended(BACKUPS, outcome)
    clock.advance(hours=1)

    answer = await client.post(at(BACKUPS, job_id, "retry"))

    job = answer.json()
    assert (200, f'"{job["version"]}"') == (answer.status_code, answer.headers["etag"])
    assert ("scheduled", "2026-06-01T13:00:00Z") == (job["state"], job["nextRun"])
    assert job == await jobs.shown(BACKUPS, job_id)
    assert (await jobs.claim(BACKUPS)).id == job_id


@pytest.mark.parametrize("state", ["scheduled", "running", "succeeded", "cancelled", "vetoed"])
async def test_only_a_dead_job_can_be_brought_back(client: httpx2.AsyncClient, jobs: Jobs, state: str) -> None:
    """No other has given up."""
    job_id = await jobs.made(BACKUPS, state)

    assert refused(409, "JOB_NOT_DEAD") == refusal(await client.post(at(BACKUPS, job_id, "retry")))


# --- jobs that are not there ------------------------------------------------------------------------------------------

ON_A_JOB = [
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("POST", "/fire"),
    ("POST", "/cancel"),
    ("POST", "/retry"),
    ("GET", "/runs"),
]


async def call(client: httpx2.AsyncClient, method: str, path: str) -> httpx2.Response:
    """Call, with a body where one is needed."""
    body = {"when": "2026-12-01T10:00:00Z"} if method == "PATCH" else None
    return await client.request(method, path, json=body)


@pytest.mark.parametrize(("method", "rest"), ON_A_JOB)
async def test_job_that_is_not_there_is_missing(client: httpx2.AsyncClient, method: str, rest: str) -> None:
    """To every call; and a group that is not there is told apart from it."""
    in_a_group = await call(client, method, f"{at(BACKUPS, ABSENT)}{rest}")
    in_none = await call(client, method, f"{at(JobKey('vps4', 'patching'), ABSENT)}{rest}")

    assert missing() == refusal(in_a_group)
    assert missing("UNKNOWN_JOB_GROUP") == refusal(in_none)


@pytest.mark.parametrize(("method", "rest"), ON_A_JOB)
@pytest.mark.parametrize(("owner", "other"), [(NOTES, BACKUPS), (LEFT, RIGHT), (RIGHT, LEFT)])
async def test_job_of_another_group_is_missing(
    client: httpx2.AsyncClient, jobs: Jobs, owner: JobKey, other: JobKey, method: str, rest: str
) -> None:
    """Also when product and group, joined, read alike; and it comes to no harm."""
    job_id = await jobs.create(owner)
    before = await jobs.shown(owner, job_id)

    assert missing() == refusal(await call(client, method, f"{at(other, job_id)}{rest}"))
    assert before == await jobs.shown(owner, job_id)
