"""The calls of the original's typed client, as they go over the wire.

Such a client has a class with public fields for each request and writes all of them, also those that are null. It knows
four fields of a job and skips the others. A full request is the body of PATCH, too.
"""

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.job import JobKey, Outcome
from mainspring.store import NodeBeat
from mainspring.store.sqlite.store import SqliteStore
from tests.web.conftest import Jobs

pytestmark = pytest.mark.anyio

VM = UUID(int=7)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ABSENT = UUID("5348dfe6-c87d-4f86-8b61-1d22f47c607e")


@dataclass
class JobRequest:
    """A request of the typed client; the names are those on the wire."""

    when: datetime | None = None
    jobType: str | None = None  # noqa: N815 - as the client's class has it
    repeatCount: int | None = None  # noqa: N815
    repeatIntervalInDays: int | None = None  # noqa: N815
    vmId: UUID | None = None  # noqa: N815

    def body(self) -> dict[str, Any]:
        """Write all fields: times as ISO 8601, ids as text, null as null."""
        moment = self.when and self.when.isoformat().replace("+00:00", "Z")
        return asdict(self) | {"when": moment, "vmId": self.vmId and str(self.vmId)}


@dataclass
class BackupRequest(JobRequest):
    backupName: str | None = None  # noqa: N815
    shopperId: str | None = None  # noqa: N815
    scheduledJobType: str | None = None  # noqa: N815


@dataclass
class UserRequest(JobRequest):
    username: str | None = None


@dataclass
class SupportUserRequest(JobRequest):
    supportUserName: str | None = None  # noqa: N815


@dataclass(frozen=True)
class JobDetail:
    """What the client reads of a job."""

    id: UUID
    nextRun: datetime | None  # noqa: N815
    jobRequest: JobRequest  # noqa: N815
    isPaused: bool  # noqa: N815

    @staticmethod
    def of(answer: dict[str, Any]) -> "JobDetail":
        """Read a job. Of the request the client knows the base class, also when its body had more."""
        sent = {field.name: answer["jobRequest"].get(field.name) for field in fields(JobRequest)}
        request = JobRequest(**sent | {"when": instant(sent["when"]), "vmId": sent["vmId"] and UUID(sent["vmId"])})
        assert isinstance(answer["isPaused"], bool)
        return JobDetail(UUID(answer["id"]), instant(answer["nextRun"]), request, answer["isPaused"])


def instant(text: str | None) -> datetime | None:
    """Read a time."""
    return None if text is None else datetime.fromisoformat(text)


class CallError(Exception):
    """The answer was no success; the client sees the status and the `id` of the body."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(status, code)


class Client:
    """The client: a method for each call, with the path that it is declared with."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def get_group_jobs(self, group: str, product: str = "vps4") -> list[JobDetail]:
        return [JobDetail.of(job) for job in await self._call("GET", f"/{product}/{group}/jobs")]

    async def submit_job(self, group: str, request: JobRequest, product: str = "vps4") -> JobDetail:
        return JobDetail.of(await self._call("POST", f"/{product}/{group}/jobs", request))

    async def get_job(self, group: str, job_id: UUID) -> JobDetail:
        return JobDetail.of(await self._call("GET", f"/vps4/{group}/jobs/{job_id}"))

    async def reschedule_job(self, group: str, job_id: UUID, request: JobRequest) -> JobDetail:
        return JobDetail.of(await self._call("PATCH", f"/vps4/{group}/jobs/{job_id}", request))

    async def pause_job(self, group: str, job_id: UUID) -> JobDetail:
        return JobDetail.of(await self._call("POST", f"/vps4/{group}/jobs/{job_id}/pause"))

    async def resume_job(self, group: str, job_id: UUID) -> JobDetail:
        return JobDetail.of(await self._call("POST", f"/vps4/{group}/jobs/{job_id}/resume"))

    async def delete_job(self, group: str, job_id: UUID) -> None:
        assert await self._call("DELETE", f"/vps4/{group}/jobs/{job_id}") is None

    async def _call(self, method: str, path: str, request: JobRequest | None = None) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        body = None if request is None else request.body()
        answer = await self._http.request(method, f"/api/scheduler{path}", headers=headers, json=body)
        if not answer.is_success:
            raise CallError(answer.status_code, answer.json()["id"])
        return answer.json() if answer.content else None


@pytest.fixture
def client(http: httpx2.AsyncClient) -> Client:
    """The client of the service."""
    return Client(http)


@pytest.fixture
async def jobs(http: httpx2.AsyncClient, store: SqliteStore, clock: ManualClock) -> Jobs:
    """What runs jobs in the place of a node."""
    await store.join(NodeBeat("node-1"))
    return Jobs(http, store, clock)


REQUESTS = {
    "backups": BackupRequest(vmId=VM, backupName="nightly", shopperId="4711", scheduledJobType="BACKUPS_MANUAL"),
    "zombie": JobRequest(vmId=VM),
    "patch": JobRequest(vmId=VM),
    "cancelAccount": JobRequest(vmId=VM),
    "destroyVm": JobRequest(vmId=VM),
    "removeSupportUser": UserRequest(vmId=VM, username="support-7"),
    "supportUser": SupportUserRequest(vmId=VM, supportUserName="support-7"),
}
"""A request of each group of the original, without its time."""


def at(request: JobRequest, *, minutes: int, job_type: str | None = "ONE_TIME", **more: Any) -> JobRequest:
    """Return a request for so many minutes after noon."""
    known = {field.name: getattr(request, field.name) for field in fields(request)}
    return type(request)(**known | {"when": NOON + timedelta(minutes=minutes), "jobType": job_type} | more)


# --- each call, as it is meant to be ----------------------------------------------------------------------------------


@pytest.mark.parametrize("group", REQUESTS)
async def test_job_lives_as_its_client_tells_it_to(client: Client, group: str) -> None:
    """Submitted, listed, read, moved, paused, resumed and deleted: each answer has what the client reads."""
    first, second = (at(REQUESTS[group], minutes=minutes) for minutes in (3, 2))

    submitted = await client.submit_job(group, first)
    listed, read = await client.get_group_jobs(group), await client.get_job(group, submitted.id)
    moved = await client.reschedule_job(group, submitted.id, second)
    paused, resumed = await client.pause_job(group, submitted.id), await client.resume_job(group, submitted.id)
    await client.delete_job(group, submitted.id)

    assert (first.when, VM, "ONE_TIME", False) == (
        submitted.nextRun,
        submitted.jobRequest.vmId,
        submitted.jobRequest.jobType,
        submitted.isPaused,
    )
    assert [submitted] == listed
    assert submitted == read
    assert (submitted.id, second.when, second.when) == (moved.id, moved.nextRun, moved.jobRequest.when)
    assert (True, False) == (paused.isPaused, resumed.isPaused)
    assert moved == resumed
    assert [] == await client.get_group_jobs(group)


async def test_field_that_the_client_does_not_set_is_null_and_means_nothing(client: Client) -> None:
    """Whether one of the scheduler's or of the group's own; only the time and the VM are asked for."""
    request = BackupRequest(when=NOON, vmId=VM)
    assert 6 == sum(value is None for value in request.body().values())

    job = await client.submit_job("backups", request)

    assert (NOON, NOON, None) == (job.nextRun, job.jobRequest.when, job.jobRequest.jobType)
    assert job == await client.reschedule_job("backups", job.id, request)


async def test_recurring_job_is_read_and_sent_back(client: Client, clock: ManualClock) -> None:
    """A client moves it by a full request, made of the fields that it has read."""
    weekly = at(REQUESTS["backups"], minutes=5, job_type="RECURRING", repeatIntervalInDays=7)

    job = await client.submit_job("backups", weekly)
    clock.advance(minutes=1)
    seen = job.jobRequest
    again = at(REQUESTS["backups"], minutes=9, job_type=seen.jobType, repeatIntervalInDays=seen.repeatIntervalInDays)
    moved = await client.reschedule_job("backups", job.id, again)

    assert ("RECURRING", 7, None) == (seen.jobType, seen.repeatIntervalInDays, seen.repeatCount)
    assert (job.id, again.when) == (moved.id, moved.nextRun)
    assert ("RECURRING", 7) == (moved.jobRequest.jobType, moved.jobRequest.repeatIntervalInDays)


async def test_recurring_job_repeats_as_often_as_it_says(client: Client, http: httpx2.AsyncClient) -> None:
    """So many times after the first run, so many days apart."""
    twice = at(REQUESTS["patch"], minutes=0, job_type="RECURRING", repeatCount=2, repeatIntervalInDays=1)

    job = await client.submit_job("patch", twice)

    preview = (await http.get(f"/api/schedulers/vps4/patch/jobs/{job.id}/preview")).json()
    assert [f"2026-01-0{day}T12:00:00Z" for day in (1, 2, 3)] == [start["utc"] for start in preview["fireTimes"]]


async def test_job_that_has_run_is_listed_no_more(client: Client, jobs: Jobs) -> None:
    """The list is of the jobs that are yet to run; by its id such a job can still be read, without a next run."""
    job = await client.submit_job("patch", at(REQUESTS["patch"], minutes=0))
    await jobs.finish(await jobs.claim(JobKey("vps4", "patch")), Outcome.SUCCEEDED)

    read = await client.get_job("patch", job.id)

    assert [] == await client.get_group_jobs("patch")
    assert (job.id, None, job.jobRequest) == (read.id, read.nextRun, read.jobRequest)


@pytest.mark.parametrize("base", ["/api/scheduler", "/api/schedulers"])
async def test_both_base_paths_lead_to_the_same_jobs(client: Client, http: httpx2.AsyncClient, base: str) -> None:
    """The seed writes both."""
    job = await client.submit_job("backups", at(REQUESTS["backups"], minutes=3))

    answer = await http.get(f"{base}/vps4/backups/jobs/{job.id}")

    assert job == JobDetail.of(answer.json())
    assert {"id", "nextRun", "jobRequest", "isPaused"} < answer.json().keys()


# --- each way in which a call can go wrong ----------------------------------------------------------------------------


async def refusal(call: Any) -> tuple[int, str]:
    """Return the status and the `id` of a call that is refused."""
    with pytest.raises(CallError) as refused:
        await call
    status, code = refused.value.args
    return status, code


UNFIT = {
    "no time": at(REQUESTS["backups"], minutes=0, when=None),
    "no VM": at(REQUESTS["backups"], minutes=0, vmId=None),
    "no such kind": at(REQUESTS["backups"], minutes=0, job_type="TWICE"),
    "recurring without an interval": at(REQUESTS["backups"], minutes=0, job_type="RECURRING"),
    "no interval": at(REQUESTS["backups"], minutes=0, job_type="RECURRING", repeatIntervalInDays=0),
    "negative count": at(REQUESTS["backups"], minutes=0, job_type="RECURRING", repeatIntervalInDays=1, repeatCount=-1),
    "a field of another group": UserRequest(when=NOON, jobType="ONE_TIME", vmId=VM, username="support-7"),
}


@pytest.mark.parametrize("unfit", UNFIT.values(), ids=UNFIT)
async def test_unfit_request_makes_and_changes_nothing(client: Client, unfit: JobRequest) -> None:
    """It is the client's error, under the code that it knows for the call."""
    job = await client.submit_job("backups", at(REQUESTS["backups"], minutes=3))

    created = await refusal(client.submit_job("backups", unfit))
    updated = await refusal(client.reschedule_job("backups", job.id, unfit))

    assert (HTTPStatus.UNPROCESSABLE_ENTITY, "JOB_CREATION_ERROR") == created
    assert (HTTPStatus.UNPROCESSABLE_ENTITY, "JOB_UPDATE_ERROR") == updated
    assert [job] == await client.get_group_jobs("backups")


async def test_group_that_no_plugin_has_registered_takes_no_jobs(client: Client) -> None:
    """Nor does a product that there is not, and the group of another product is not the same."""
    for product, group in (("vps4", "backup"), ("vps5", "backups")):
        created = await refusal(client.submit_job(group, at(REQUESTS["backups"], minutes=3), product))
        listed = await refusal(client.get_group_jobs(group, product))
        assert (HTTPStatus.NOT_FOUND, "NOT_FOUND") == created == listed


@pytest.mark.parametrize("call", ["get_job", "pause_job", "resume_job", "delete_job", "reschedule_job"])
async def test_job_that_is_not_in_the_group_is_not_found(client: Client, call: str) -> None:
    """Because it never was, was deleted, or is another group's."""
    deleted = await client.submit_job("backups", at(REQUESTS["backups"], minutes=3))
    await client.delete_job("backups", deleted.id)
    other = await client.submit_job("patch", at(REQUESTS["patch"], minutes=3))
    more = [at(REQUESTS["backups"], minutes=2)] if call == "reschedule_job" else []

    for job_id in (ABSENT, deleted.id, other.id):
        refused = await refusal(getattr(client, call)("backups", job_id, *more))
        assert (HTTPStatus.NOT_FOUND, "NOT_FOUND") == refused
    assert [other] == await client.get_group_jobs("patch")


async def test_job_that_has_run_can_no_longer_be_moved_or_held_back(client: Client, jobs: Jobs) -> None:
    """The client's error once more, which says that it comes too late."""
    job = await client.submit_job("backups", at(REQUESTS["backups"], minutes=0))
    await jobs.finish(await jobs.claim(JobKey("vps4", "backups")), Outcome.SUCCEEDED)

    moved = await refusal(client.reschedule_job("backups", job.id, at(REQUESTS["backups"], minutes=9)))
    paused, resumed = [await refusal(call("backups", job.id)) for call in (client.pause_job, client.resume_job)]

    assert (HTTPStatus.CONFLICT, "JOB_FINISHED") == moved == paused == resumed
