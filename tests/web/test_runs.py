"""GET runs: the history of a job."""

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.job import Ending, Outcome, Progress, RetryPolicy, history, lifecycle
from mainspring.store import Store
from tests.web.answers import at, missing, refusal, refused
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS


async def test_history_tells_each_run(client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock) -> None:
    """When it was to be, when it was, how it ended, where and why; the job shows the last of them."""
    job_id = await jobs.create(BACKUPS, schedule={"every": "PT1H"})
    clock.advance(seconds=1.5)
    await jobs.finish(await jobs.claim(BACKUPS), Outcome.FAILED, "the disk is full")
    clock.set(clock.now().replace(hour=13, second=0, microsecond=250))
    await jobs.finish(await jobs.claim(BACKUPS), Outcome.SUCCEEDED)

    answer = await client.get(at(BACKUPS, job_id, "runs"))

    assert answer.status_code == 200
    assert "link" not in answer.headers
    newest, oldest = answer.json()
    assert oldest == {
        "run": 1,
        "jobId": str(job_id),
        "scheduledFireTime": "2026-06-01T12:00:00Z",
        "dueAt": "2026-06-01T12:00:00Z",
        "startedAt": "2026-06-01T12:00:01.500Z",
        "finishedAt": "2026-06-01T12:00:01.500Z",
        "latenessSeconds": 1.5,
        "attempt": 1,
        "outcome": "failed",
        "reason": "the disk is full",
        "node": "node-1",
        "occurrences": 1,
        "lastScheduledFireTime": "2026-06-01T12:00:00Z",
        "backfill": False,
    }
    assert (2, "2026-06-01T13:00:00.000250Z", "succeeded") == (newest["run"], newest["startedAt"], newest["outcome"])
    assert (await jobs.shown(BACKUPS, job_id))["lastRun"] == newest


async def test_job_that_has_not_run_has_no_history(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Nor has one that runs for the first time: a run is history when it has ended."""
    waiting, running = await jobs.create(BACKUPS, when="2026-12-01T10:00:00Z"), await jobs.running(BACKUPS)

    assert [[], []] == [(await client.get(at(BACKUPS, job_id, "runs"))).json() for job_id in (waiting, running)]


async def test_history_of_a_finished_job_stays(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Until its time of retention is over."""
    job_id = await jobs.ended(BACKUPS, Outcome.SUCCEEDED)

    (run,) = (await client.get(at(BACKUPS, job_id, "runs"))).json()

    shown = await jobs.shown(BACKUPS, job_id)
    assert ("done", "succeeded", None, run) == (shown["state"], shown["outcome"], shown["nextRun"], shown["lastRun"])


async def test_history_is_paged_from_the_newest_on(client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock) -> None:
    """A page that is full links to the next, which begins below the last run that was seen."""
    job_id = await jobs.create(BACKUPS, schedule={"every": "PT1H"})
    for _ in range(5):
        await jobs.finish(await jobs.claim(BACKUPS), Outcome.SUCCEEDED)
        clock.advance(hours=1)

    seen, path = [], f"{at(BACKUPS, job_id, 'runs')}?limit=2"
    while path:
        answer = await client.get(path)
        seen.append([run["run"] for run in answer.json()])
        path = answer.links.get("next", {}).get("url", "")

    assert [[5, 4], [3, 2], [1]] == seen


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ("limit=0", "?limit", "NUMBER_RANGE"),
        ("limit=1001", "?limit", "NUMBER_RANGE"),
        ("before=0", "?before", "NUMBER_RANGE"),
        ("before=x", "?before", "NUMBER_RANGE"),
        (f"before={2**63}", "?before", "NUMBER_RANGE"),
        ("cursor=x", "?cursor", "UNKNOWN_PARAMETER"),
    ],
)
async def test_query_that_cannot_be_is_refused(
    client: httpx2.AsyncClient, jobs: Jobs, query: str, pointer: str, code: str
) -> None:
    """As in a list of jobs."""
    job_id = await jobs.create(BACKUPS)

    assert refused(422, code, pointer) == refusal(await client.get(f"{at(BACKUPS, job_id, 'runs')}?{query}"))


async def test_largest_number_is_a_number(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """All runs are below it."""
    job_id = await jobs.ended(BACKUPS, Outcome.SUCCEEDED)

    assert len((await client.get(f"{at(BACKUPS, job_id, 'runs')}?before={2**63 - 1}")).json()) == 1


# --- one run


async def test_run_shows_what_it_returned(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Or why that was not kept; all else is as in the list."""
    job_id = await jobs.ended(BACKUPS, Outcome.SUCCEEDED)
    [listed] = (await client.get(at(BACKUPS, job_id, "runs"))).json()

    answer = await client.get(at(BACKUPS, job_id, "runs", listed["run"]))

    left = {"result": None, "resultError": None, "traceback": None}
    assert (200, listed | left) == (answer.status_code, answer.json())


async def test_run_shows_its_log_and_traceback(client: httpx2.AsyncClient, jobs: Jobs, store: Store) -> None:
    """The log is plain text of its own; one that said nothing has an empty one, and one under way none yet."""
    job_id = await jobs.create(BACKUPS)
    job = await jobs.claim(BACKUPS)
    await store.put_progress({job.run or 0: Progress(3, 4, "nearly")})
    underway = await client.get(at(BACKUPS, job_id, "runs", job.run, "log"))
    assert (404, True) == (underway.status_code, "is under way" in underway.text)
    assert {"done": 3, "total": 4, "note": "nearly"} == (await jobs.shown(BACKUPS, job_id))["currentRun"]["progress"]
    ending = Ending(Outcome.FAILED, "no", traceback="Traceback \N{SNOWMAN}", log="half done\n<script>\n")
    now = job.due_at
    run = history.ended(job, ending, started_at=now, now=now)
    policy = RetryPolicy()
    await store.finish([lifecycle.after(job, run, ending, policy=policy, now=now, chance=0, calendars={})])

    path = at(BACKUPS, job_id, "runs", job.run)
    answer = await client.get(f"{path}/log")

    assert "Traceback \N{SNOWMAN}" == (await client.get(path)).json()["traceback"]
    assert ("half done\n<script>\n", "text/plain; charset=utf-8") == (answer.text, answer.headers["content-type"])
    other = await jobs.ended(BACKUPS, Outcome.SUCCEEDED)
    [listed] = (await client.get(at(BACKUPS, other, "runs"))).json()
    assert (200, "") == (
        (empty := await client.get(at(BACKUPS, other, "runs", listed["run"], "log"))).status_code,
        empty.text,
    )


@pytest.mark.parametrize("run", ["0", "99", "x", "-1", "1.0", "9" * 19, "9" * 30, "%31x"])
async def test_run_that_is_not_there(client: httpx2.AsyncClient, jobs: Jobs, run: str) -> None:
    """Or is no number."""
    job_id = await jobs.create(BACKUPS)
    assert missing("RUN_NOT_FOUND") == refusal(await client.get(at(BACKUPS, job_id, "runs", run)))
