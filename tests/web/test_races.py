"""A run begins or ends while a call is under way: the answer tells what really holds, and which run is in the way."""

from typing import Any, cast
from uuid import UUID

import httpx2
import pytest

from mainspring.job import Outcome
from mainspring.store import Store
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at, refusal, refused
from tests.web.conftest import Jobs, MakeApp, client_of
from tests.web.plugin import BACKUPS

WRITES = frozenset({"update", "cancel", "end", "delete", "revive", "add"})
RUNNING, FINISHED = refused(409, "JOB_RUNNING"), refused(409, "JOB_FINISHED")
MOVED = {"when": "2026-12-01T10:00:00Z"}


class Between:
    """A store in which the job begins to run, and with `ends` also ends, just before it is written."""

    def __init__(self, store: SqliteStore, jobs: Jobs, *, ends: bool) -> None:
        self._store = store
        self._jobs = jobs
        self._ends = ends
        self.run: int | None = None

    def __getattr__(self, verb: str) -> Any:
        work = getattr(self._store, verb)
        if verb not in WRITES:
            return work

        async def write(*args: object, **named: object) -> object:
            if self.run is None:
                job = await self._jobs.claim(BACKUPS)
                self.run = job.run
                if self._ends:
                    await self._jobs.finish(job, Outcome.SUCCEEDED)
            return await work(*args, **named)

        return write


async def raced(
    make_app: MakeApp, between: Between, method: str, path: str, body: dict[str, Any] | None
) -> httpx2.Response:
    """Make a call with the run in between."""
    async with client_of(make_app(cast("Store", between))) as client:
        answer = await client.request(method, path, json=body)
    assert between.run is not None
    return answer


CALLS = [
    pytest.param("PATCH", "", MOVED, id="patch"),
    pytest.param("POST", "/fire", None, id="fire"),
]


@pytest.mark.parametrize(("method", "rest", "body"), CALLS)
async def test_call_that_comes_too_late_names_the_run(
    make_app: MakeApp, store: SqliteStore, jobs: Jobs, method: str, rest: str, body: dict[str, Any] | None
) -> None:
    """As a number, and in the sentence."""
    between = Between(store, jobs, ends=False)
    job_id = await jobs.create(BACKUPS)

    answer = await raced(make_app, between, method, at(BACKUPS, job_id) + rest, body)

    assert RUNNING == refusal(answer)
    assert answer.json()["run"] == between.run
    assert f"run {between.run} " in answer.json()["detail"]
    assert (await jobs.shown(BACKUPS, job_id))["state"] == "running"


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [*CALLS, pytest.param("POST", "/pause", None, id="pause"), pytest.param("POST", "/cancel", None, id="cancel")],
)
async def test_call_on_a_job_that_has_just_ended_is_refused(
    make_app: MakeApp, store: SqliteStore, jobs: Jobs, method: str, rest: str, body: dict[str, Any] | None
) -> None:
    """It began and ended in between."""
    job_id = await jobs.create(BACKUPS)

    answer = await raced(make_app, Between(store, jobs, ends=True), method, at(BACKUPS, job_id) + rest, body)

    assert FINISHED == refusal(answer)
    assert (await jobs.shown(BACKUPS, job_id))["outcome"] == "succeeded"


@pytest.mark.parametrize("rest", ["/pause", "/cancel"])
async def test_pause_and_cancel_show_the_run_that_has_just_begun(
    make_app: MakeApp, store: SqliteStore, jobs: Jobs, rest: str
) -> None:
    """The job is not said to wait, or to be done."""
    between = Between(store, jobs, ends=False)
    job_id = await jobs.create(BACKUPS)

    answer = await raced(make_app, between, "POST", at(BACKUPS, job_id) + rest, None)

    assert (200, "running") == (answer.status_code, answer.json()["state"])
    assert answer.json()["currentRun"]["run"] == between.run
    assert answer.json() == await jobs.shown(BACKUPS, job_id)


async def test_delete_takes_the_run_that_has_just_begun_with_it(
    client: httpx2.AsyncClient, make_app: MakeApp, store: SqliteStore, jobs: Jobs
) -> None:
    """History has it as cancelled."""
    between = Between(store, jobs, ends=False)
    job_id = await jobs.create(BACKUPS)

    answer = await raced(make_app, between, "DELETE", at(BACKUPS, job_id), None)

    assert answer.status_code == 204
    assert (await client.get(at(BACKUPS, job_id))).status_code == 404
    (run,) = await store.runs(BACKUPS, job_id, before=None, limit=9)
    assert (between.run, Outcome.CANCELLED) == (run.number, run.outcome)


async def test_replacing_a_job_that_has_just_begun_names_job_and_run(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """The caller knows only the key."""
    body: dict[str, Any] = {"when": "2026-06-01T12:00:00Z", "options": {"key": "nightly"}}
    job_id = UUID((await client.post(at(BACKUPS), json=body)).json()["id"])
    run = (await jobs.claim(BACKUPS)).run

    body["options"]["onConflict"] = "replace"
    content = (await client.post(at(BACKUPS), json=body)).json()

    assert ("JOB_RUNNING", run, str(job_id)) == (content["id"], content["run"], content["job"]["id"])
    assert f"run {run} " in content["detail"]
