"""Jobs that gave up: how they are found and counted, in a group and in all, and how they are tried again."""

from itertools import chain
from typing import Any
from uuid import UUID

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.job import JobKey, Outcome, RetryPolicy
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at, refusal, refused
from tests.web.conftest import Jobs, some_jobs
from tests.web.plugin import BACKUPS, LEFT, NOTES, RIGHT

ALL = "/api/schedulers/jobs"
DAILY = {"every": "P1D"}
GONE = JobKey("vps4", "patching")


async def pages(client: httpx2.AsyncClient, path: str) -> list[list[str]]:
    """Follow the links from page to page; return the ids of each."""
    found = []
    while path:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        found.append([job["id"] for job in answer.json()])
        path = answer.links.get("next", {}).get("url", "")
    return found


async def listed(client: httpx2.AsyncClient, path: str) -> list[str]:
    """Return the ids of all jobs of a list."""
    return list(chain(*await pages(client, path)))


async def gave_up(client: httpx2.AsyncClient, job_id: UUID) -> bool:
    """Return whether the list of a group has the job among those that gave up, as its count has."""
    groups = {group["jobs"]: group["counts"]["gaveUp"] for group in (await client.get("/api/schedulers")).json()}
    found = str(job_id) in await listed(client, f"{at(BACKUPS)}?gaveUp=true")
    assert found == (groups[at(BACKUPS)] == 1)
    return found


async def runs_of(client: httpx2.AsyncClient, job_id: UUID) -> list[dict[str, Any]]:
    """Return the history of a job, the oldest run first."""
    answer = await client.get(at(BACKUPS, job_id, "runs"))
    runs: list[dict[str, Any]] = answer.json()
    return runs[::-1]


async def one_of_each(client: httpx2.AsyncClient, jobs: Jobs) -> dict[str, UUID]:
    """Make jobs that ended in different ways, pending ones by their due time; the one that succeeds ends last."""
    ways = {
        "waits": await jobs.create(BACKUPS, when="2026-06-05T00:00:00Z"),
        "lost": await jobs.ended(BACKUPS, Outcome.LOST, schedule=DAILY),
        "failed": await jobs.ended(BACKUPS, Outcome.FAILED, schedule={"every": "P2D"}),
        "well": await jobs.ended(BACKUPS, Outcome.SUCCEEDED, schedule={"every": "P3D"}),
        "paused": await jobs.ended(BACKUPS, Outcome.TIMED_OUT, schedule={"every": "P4D"}),
        "dead": await jobs.ended(BACKUPS, Outcome.FAILED),
        "timed out": await jobs.ended(BACKUPS, Outcome.TIMED_OUT),
        "cancelled": await jobs.ended(BACKUPS, Outcome.CANCELLED),
        "done": await jobs.ended(BACKUPS, Outcome.SUCCEEDED),
    }
    await client.post(at(BACKUPS, ways["paused"], "pause"))
    return ways


# --- lists ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("gaveUp=true", ["lost", "failed", "paused", "timed out", "dead"]),
        ("gaveUp=false", ["lost", "failed", "well", "waits", "paused"]),
        ("outcome=failed", ["failed", "dead"]),
        ("outcome=failed,lost", ["lost", "failed", "dead"]),
        ("outcome=timed_out&outcome=cancelled", ["paused", "cancelled", "timed out"]),
        ("outcome=succeeded", ["well", "done"]),
        ("outcome=vetoed", []),
        ("outcome=failed&gaveUp=true", ["failed", "dead"]),
        ("outcome=succeeded&gaveUp=true", []),
        ("state=scheduled&gaveUp=true", ["lost", "failed"]),
        ("state=paused&gaveUp=true", ["paused"]),
        ("state=scheduled,paused&outcome=timed_out", ["paused"]),
        ("state=running&gaveUp=true", []),
        ("state=done&gaveUp=true", ["timed out", "dead"]),
        ("state=done&outcome=cancelled,succeeded", ["done", "cancelled"]),
        ("state=dead&outcome=failed", ["dead"]),
        ("gaveUp=true&from=2026-06-03T12:00:00Z", ["failed", "paused"]),
        ("gaveUp=true&to=2026-06-03T12:00:00Z", ["lost", "timed out", "dead"]),
    ],
)
@pytest.mark.parametrize("limit", ["", "limit=1&", "limit=2&", "limit=3&", "limit=1000&"])
async def test_list_tells_jobs_by_how_they_ended(
    client: httpx2.AsyncClient, jobs: Jobs, query: str, expected: list[str], limit: str
) -> None:
    """Those that go on by their next run, then those that are done, the last first; page by page or streamed."""
    ways = await one_of_each(client, jobs)

    for path in (at(BACKUPS), ALL):
        assert [str(ways[name]) for name in expected] == await listed(client, f"{path}?{limit}{query}")


async def test_long_list_of_both_kinds_is_the_same_streamed_and_paged(
    client: httpx2.AsyncClient, store: SqliteStore, jobs: Jobs, clock: ManualClock
) -> None:
    """Also where a part of it ends in the middle of a page, or just at its end."""
    await store.add([job._replace(outcome=Outcome.FAILED) for job in some_jobs(NOTES, 600, clock)])
    for _ in range(6):
        await jobs.ended(BACKUPS, Outcome.FAILED)
        await jobs.ended(NOTES, Outcome.LOST, when="2026-05-01T00:00:00Z")

    for path, number in ((at(NOTES), 606), (ALL, 612)):
        streamed = [job["id"] for job in (await client.get(f"{path}?gaveUp=true")).json()]
        assert (number, number) == (len(streamed), len({*streamed}))
        for limit in (7, 100, 101, 600):
            assert streamed == await listed(client, f"{path}?gaveUp=true&limit={limit}")


@pytest.mark.parametrize("path", [at(BACKUPS), ALL])
@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("outcome=error", [("?outcome", "OUTCOME_INVALID")]),
        ("outcome=", [("?outcome", "OUTCOME_INVALID")]),
        ("outcome=failed,", [("?outcome", "OUTCOME_INVALID")]),
        ("outcome=FAILED", [("?outcome", "OUTCOME_INVALID")]),
        ("outcome=failed&outcome=dead", [("?outcome", "OUTCOME_INVALID")]),
        ("gaveUp=yes", [("?gaveUp", "BOOLEAN_INVALID")]),
        ("gaveUp=", [("?gaveUp", "BOOLEAN_INVALID")]),
        ("gave_up=true", [("?gave_up", "UNKNOWN_PARAMETER")]),
        ("state=done,paused&gaveUp=true", [("?state", "STATE_INVALID")]),
        ("outcome=x&gaveUp=y", [("?outcome", "OUTCOME_INVALID"), ("?gaveUp", "BOOLEAN_INVALID")]),
    ],
)
async def test_query_that_cannot_be_is_refused(
    client: httpx2.AsyncClient, path: str, query: str, errors: list[tuple[str, str]]
) -> None:
    """With all that is wrong with it."""
    assert (422, errors[0][1], errors) == refusal(await client.get(f"{path}?{query}"))


# --- all groups -------------------------------------------------------------------------------------------------------


async def in_four_groups(jobs: Jobs, store: SqliteStore, clock: ManualClock) -> list[str]:
    """Make jobs in four groups, one of which has no plugin here; return their ids in the order of the list."""
    (gone,) = some_jobs(GONE, 1, clock)
    await store.add([gone._replace(outcome=Outcome.FAILED)])
    right = await jobs.ended(RIGHT, Outcome.FAILED)
    left = await jobs.create(LEFT)
    notes = [await jobs.create(NOTES, when=f"2026-07-0{day}T00:00:00Z") for day in (1, 2)]
    done = await jobs.ended(NOTES, Outcome.LOST)
    return [str(job_id) for job_id in (right, left, *notes, done, gone.id)]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 1000])
async def test_jobs_of_all_groups_are_listed_together(
    client: httpx2.AsyncClient, jobs: Jobs, store: SqliteStore, clock: ManualClock, limit: int
) -> None:
    """By next run, those without a plugin too; then those that are done, from the one that ended last."""
    right, left, *notes, done, gone = await in_four_groups(jobs, store, clock)
    at_once = sorted([left, gone], key=lambda job_id: (job_id == gone, job_id))

    pending = await pages(client, f"{ALL}?limit={limit}")
    assert [*at_once, *notes] == [*chain(*pending)]
    assert [limit] * (len(pending) - 1) == [len(page) for page in pending[:-1]]
    assert [gone, done, right] == await listed(client, f"{ALL}?limit={limit}&gaveUp=true")
    assert [*at_once, *notes] == await listed(client, ALL)
    (first,) = (await client.get(f"{ALL}?limit=1&state=dead")).json()
    assert await jobs.shown(NOTES, UUID(done)) == first
    assert [*notes] == await listed(client, f"/api/schedulers/{NOTES.product}/jobs?limit={limit}")


async def test_list_of_all_groups_goes_on_where_it_ended(
    client: httpx2.AsyncClient, jobs: Jobs, store: SqliteStore, clock: ManualClock
) -> None:
    """Also when the group of the last job has none any more; its link keeps the query."""
    _, left, first, second, _, gone = await in_four_groups(jobs, store, clock)
    page = await client.get(f"{ALL}?limit=1&state=scheduled")
    assert [left] == [job["id"] for job in page.json()]
    await client.delete(at(LEFT, left))

    assert [gone, first, second] == await listed(client, page.links["next"]["url"])


async def test_cursor_is_good_for_the_list_that_gave_it_out(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """That of a group is none of all groups, nor the other way round."""
    await jobs.create(BACKUPS)
    for here, there in ((ALL, at(BACKUPS)), (at(BACKUPS), ALL)):
        link = (await client.get(f"{here}?limit=1")).links["next"]["url"]

        answer = await client.get(there, params={"cursor": httpx2.URL(link).params["cursor"]})

        assert refused(422, "CURSOR_INVALID", "?cursor") == refusal(answer)


async def test_no_jobs_at_all_are_an_empty_list(client: httpx2.AsyncClient) -> None:
    """Streamed or paged."""
    assert (
        [[]]
        == await pages(client, ALL)
        == await pages(client, f"{ALL}?limit=5")
        == await pages(client, f"{at(BACKUPS)}?gaveUp=true")
    )


async def test_group_that_is_not_there_is_missing(client: httpx2.AsyncClient) -> None:
    """Whatever is asked of it; `jobs` is no product."""
    for query in ("gaveUp=true", "outcome=failed", "state=dead"):
        answer = await client.get(f"{at(GONE)}?{query}")
        assert refused(404, "UNKNOWN_JOB_GROUP", id_="NOT_FOUND") == refusal(answer)


# --- retry of a job that goes on --------------------------------------------------------------------------------------


async def test_fire_time_that_a_recurring_job_gave_up_on_is_tried_again(
    client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock
) -> None:
    """At once and beside the next one. Until it ends the job gave up on nothing; then that run's outcome counts."""
    job_id = await jobs.ended(BACKUPS, Outcome.FAILED, schedule=DAILY)
    before = await jobs.shown(BACKUPS, job_id)
    assert await gave_up(client, job_id)
    clock.advance(hours=1)

    answer = await client.post(at(BACKUPS, job_id, "retry"))

    assert (200, f'"{before["version"] + 1}"') == (answer.status_code, answer.headers["etag"])
    assert before | {"outcome": None, "version": 3, "updatedAt": "2026-06-01T13:00:00Z"} == (
        answer.json() | {"version": 3}
    )
    assert not await gave_up(client, job_id)
    await jobs.finish(await jobs.claim(BACKUPS), Outcome.FAILED)
    assert await gave_up(client, job_id)
    assert (await jobs.shown(BACKUPS, job_id))["nextRun"] == before["nextRun"]

    await client.post(at(BACKUPS, job_id, "retry"))
    await jobs.finish(await jobs.claim(BACKUPS), Outcome.SUCCEEDED)

    assert not await gave_up(client, job_id)
    assert "succeeded" == (await jobs.shown(BACKUPS, job_id))["outcome"]
    assert [("failed", 1), ("failed", 2), ("succeeded", 3)] == [
        (run["outcome"], run["attempt"]) for run in await runs_of(client, job_id)
    ]
    assert 1 == len({run["scheduledFireTime"] for run in await runs_of(client, job_id)})
    assert refused(409, "JOB_NOT_DEAD") == refusal(await client.post(at(BACKUPS, job_id, "retry")))


async def test_call_that_is_repeated_tries_it_once(client: httpx2.AsyncClient, jobs: Jobs, store: SqliteStore) -> None:
    """While a fire time waits to be tried again, or is tried, it cannot be retried a second time."""
    job_id = await jobs.ended(BACKUPS, Outcome.FAILED, schedule=DAILY)
    run = (await runs_of(client, job_id))[0]["run"]
    await client.post(at(BACKUPS, job_id, "retry"))

    for body in (None, {"run": run}):
        assert refused(409, "JOB_NOT_DEAD") == refusal(await client.post(at(BACKUPS, job_id, "retry"), json=body))
    await jobs.claim(BACKUPS)
    assert refused(409, "JOB_NOT_DEAD") == refusal(await client.post(at(BACKUPS, job_id, "retry")))
    assert 1 == len(await store.children(job_id))


async def four_days(jobs: Jobs, clock: ManualClock) -> UUID:
    """Make a daily job that gave up on its first, second and fourth day."""
    job_id = await jobs.create(BACKUPS, schedule=DAILY)
    for outcome in (Outcome.FAILED, Outcome.LOST, Outcome.SUCCEEDED, Outcome.TIMED_OUT):
        await jobs.finish(await jobs.claim(BACKUPS), outcome)
        clock.advance(days=1)
    return job_id


async def test_run_to_retry_can_be_chosen(client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock) -> None:
    """By default it is the last that gave up; one in which the job did not is refused."""
    job_id = await four_days(jobs, clock)
    numbers = [run["run"] for run in await runs_of(client, job_id)]

    answers = [
        await client.post(at(BACKUPS, job_id, "retry"), json=body)
        for body in ({"run": numbers[1]}, None, {"run": numbers[2]}, {"run": 9999}, {"run": numbers[3]}, {})
    ]

    assert [200, 200, 409, 409, 409, 200] == [answer.status_code for answer in answers]
    assert [refused(409, "JOB_NOT_DEAD")] * 3 == list(map(refusal, answers[2:5]))
    begun = sorted([(await jobs.claim(BACKUPS)).fire_time.day for _ in range(4)])
    assert [1, 2, 4, 5] == begun


async def test_later_success_does_not_hide_what_was_given_up(
    client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock
) -> None:
    """The job is no longer listed as one that gave up, but its lost night can still be made up for."""
    job_id = await jobs.ended(BACKUPS, Outcome.FAILED, schedule=DAILY)
    clock.advance(days=1)
    await jobs.finish(await jobs.claim(BACKUPS), Outcome.SUCCEEDED)
    assert not await gave_up(client, job_id)

    assert 200 == (await client.post(at(BACKUPS, job_id, "retry"))).status_code
    assert 1 == (await jobs.claim(BACKUPS)).fire_time.day


async def test_fire_time_that_is_tried_again_was_not_given_up(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Between two attempts there is nothing to retry."""
    job_id = await jobs.create(BACKUPS, schedule=DAILY)
    await jobs.finish(await jobs.claim(BACKUPS), Outcome.FAILED, policy=RetryPolicy(2))

    assert not await gave_up(client, job_id)
    assert [str(job_id)] == await listed(client, f"{at(BACKUPS)}?outcome=failed")
    assert refused(409, "JOB_NOT_DEAD") == refusal(await client.post(at(BACKUPS, job_id, "retry")))


async def test_dead_job_is_retried_by_the_number_of_its_last_run(
    client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock
) -> None:
    """It comes back itself, whether it ran once or repeated; of an earlier run it has to be told by a live one."""
    for body in ({}, {"schedule": {"every": "P1D", "count": 2}}):
        job_id = await jobs.create(BACKUPS, **body)
        while (await jobs.shown(BACKUPS, job_id))["state"] != "done":
            await jobs.finish(await jobs.claim(BACKUPS), Outcome.FAILED)
            clock.advance(days=1)
        *earlier, last = [run["run"] for run in await runs_of(client, job_id)]

        for run in earlier:
            answer = await client.post(at(BACKUPS, job_id, "retry"), json={"run": run})
            assert refused(409, "JOB_FINISHED") == refusal(answer)
        answer = await client.post(at(BACKUPS, job_id, "retry"), json={"run": last})

        assert (200, "scheduled") == (answer.status_code, answer.json()["state"])
        assert job_id == (await jobs.claim(BACKUPS)).id


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"run": "7"}, refused(422, "NUMBER_RANGE", "/run", id_="JOB_CREATION_ERROR")),
        ({"run": 0}, refused(422, "NUMBER_RANGE", "/run", id_="JOB_CREATION_ERROR")),
        ({"run": -1}, refused(422, "NUMBER_RANGE", "/run", id_="JOB_CREATION_ERROR")),
        ({"run": 1.5}, refused(422, "NUMBER_RANGE", "/run", id_="JOB_CREATION_ERROR")),
        ({"run": True}, refused(422, "NUMBER_RANGE", "/run", id_="JOB_CREATION_ERROR")),
        ({"run": 2**63}, refused(422, "NUMBER_RANGE", "/run", id_="JOB_CREATION_ERROR")),
        ({"runs": 1}, refused(422, "UNKNOWN_FIELD", "/runs", id_="JOB_CREATION_ERROR")),
        ([], refused(422, "BODY_NOT_OBJECT", id_="JOB_CREATION_ERROR")),
    ],
)
async def test_body_that_names_no_run_is_refused(
    client: httpx2.AsyncClient, jobs: Jobs, body: object, expected: object
) -> None:
    """And the job stays as it was."""
    job_id = await jobs.ended(BACKUPS, Outcome.FAILED)
    before = await jobs.shown(BACKUPS, job_id)

    assert expected == refusal(await client.post(at(BACKUPS, job_id, "retry"), json=body))
    assert before == await jobs.shown(BACKUPS, job_id)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        ("", {}, 200),
        ("", {"Content-Type": "application/json"}, 200),
        ("{}", {"Content-Type": "application/json"}, 200),
        ('{"run": null}', {"Content-Type": "application/json"}, 200),
        ("{", {"Content-Type": "application/json"}, 400),
        ("run=7", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
async def test_body_is_not_needed(
    client: httpx2.AsyncClient, jobs: Jobs, content: str, headers: dict[str, str], status: int
) -> None:
    """One that was sent is read as strictly as elsewhere."""
    job_id = await jobs.ended(BACKUPS, Outcome.FAILED)

    answer = await client.post(at(BACKUPS, job_id, "retry"), content=content, headers=headers)

    assert status == answer.status_code


# --- repair of a dead job ---------------------------------------------------------------------------------------------


async def test_dead_job_is_repaired_and_stays_dead_until_it_is_retried(
    client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock
) -> None:
    """What was wrong with its request is changed, and then it is tried for the time it gave up on."""
    job_id = await jobs.ended(NOTES, Outcome.FAILED, colour="red")
    before = await jobs.shown(NOTES, job_id)
    clock.advance(hours=1)

    answer = await client.patch(at(NOTES, job_id), json={"colour": "blue", "options": {"maxAttempts": 2}})

    dead = answer.json()
    assert (200, '"4"') == (answer.status_code, answer.headers["etag"])
    assert ("done", "failed", None, "blue") == (
        dead["state"], dead["outcome"], dead["nextRun"], dead["jobRequest"]["colour"],
    )  # fmt: skip
    assert [str(job_id)] == await listed(client, f"{at(NOTES)}?state=dead")
    assert before["lastRun"] == dead["lastRun"]
    assert 200 == (await client.post(at(NOTES, job_id, "retry"))).status_code
    run = await jobs.claim(NOTES)
    assert ("blue", 1, 2) == (run.request["colour"], run.fire_time.day, run.options.max_attempts)


@pytest.mark.parametrize(
    ("body", "patch", "fire_time", "next_run"),
    [
        pytest.param({}, {"when": "2026-12-01T10:00:00Z"}, "2026-12-01T10", "2026-12-01T10:00:00Z", id="later"),
        pytest.param({}, {"when": "2026-05-01T10:00:00Z"}, "2026-05-01T10", "2026-05-01T10:00:00Z", id="earlier"),
        pytest.param({}, {"when": "2026-06-01T12:00:00Z"}, "2026-06-01T12", "2026-06-02T12:00:00Z", id="the same"),
        pytest.param({}, {"schedule": {"every": "P1D", "start": "2026-07-01T00:00:00Z"}, "when": None},
                     "2026-07-01T00", "2026-07-01T00:00:00Z", id="it repeats from then on"),
        pytest.param({"schedule": {"every": "P1D", "count": 1}}, {"when": "2026-12-01T10:00:00Z"},
                     "2026-12-01T10", "2026-12-01T10:00:00Z", id="the last of a schedule"),
        pytest.param({"schedule": {"every": "P1D", "count": 1, "start": "2026-06-01T12:00:00Z"}},
                     {"schedule": {"count": 9}},
                     "2026-06-01T12", "2026-06-02T12:00:00Z", id="more of a schedule"),
    ],
)  # fmt: skip
async def test_dead_job_that_was_moved_comes_back_for_its_new_time(  # noqa: PLR0913, PLR0917 - fixtures and a table
    client: httpx2.AsyncClient,
    jobs: Jobs,
    store: SqliteStore,
    clock: ManualClock,
    body: dict[str, Any],
    patch: dict[str, Any],
    fire_time: str,
    next_run: str,
) -> None:
    """It waits for it, if it is ahead; where it was not moved, it is due at once for the time it gave up on."""
    job_id = await jobs.ended(BACKUPS, Outcome.FAILED, **body)
    clock.advance(days=1)
    patched = await client.patch(at(BACKUPS, job_id), json=patch)
    assert (200, "done", None) == (patched.status_code, patched.json()["state"], patched.json()["nextRun"])

    answer = await client.post(at(BACKUPS, job_id, "retry"))

    assert (200, "scheduled", next_run) == (answer.status_code, answer.json()["state"], answer.json()["nextRun"])
    job = await store.get(job_id)
    assert job is not None
    assert f"{job.fire_time:%Y-%m-%dT%H}" == fire_time
    assert not await gave_up(client, job_id)


async def test_days_that_a_repaired_job_leaves_out_are_in_its_history(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """As for any other job whose calendar excludes them."""
    freeze = {"ranges": [{"first": "2026-07-01", "last": "2026-07-03"}]}
    await client.put("/api/schedulers/calendars/freeze", json=freeze)
    job_id = await jobs.ended(BACKUPS, Outcome.FAILED)
    schedule = {"every": "P1D", "start": "2026-07-01T00:00:00Z", "calendar": "freeze"}
    await client.patch(at(BACKUPS, job_id), json={"when": None, "schedule": schedule})

    answer = await client.post(at(BACKUPS, job_id, "retry"))

    assert "2026-07-04T00:00:00Z" == answer.json()["nextRun"]
    last = (await runs_of(client, job_id))[-1]
    assert ("skipped", 3) == (last["outcome"], last["occurrences"])


@pytest.mark.parametrize(
    ("patch", "code", "pointer"),
    [
        ({}, "EMPTY_PATCH", ""),
        ({"when": "tomorrow"}, "WHEN_FORMAT", "/when"),
        ({"colour": 1}, "UNKNOWN_FIELD", "/colour"),
        ({"when": None, "schedule": {"every": "P1D", "calendar": "always"}}, "SCHEDULE_NEVER", "/schedule/calendar"),
    ],
)
async def test_dead_job_cannot_be_made_worse(
    client: httpx2.AsyncClient, jobs: Jobs, patch: dict[str, Any], code: str, pointer: str
) -> None:
    """What it would become is checked as for any other job."""
    await client.put(
        "/api/schedulers/calendars/always", json={"ranges": [{"first": "2020-01-01", "last": "2120-01-01"}]}
    )
    job_id = await jobs.ended(BACKUPS, Outcome.FAILED)
    before = await jobs.shown(BACKUPS, job_id)

    answer = await client.patch(at(BACKUPS, job_id), json=patch)

    assert refused(422, code, pointer, id_="JOB_UPDATE_ERROR") == refusal(answer)
    assert before == await jobs.shown(BACKUPS, job_id)


async def test_dead_job_is_repaired_only_while_it_has_the_version_that_the_client_believes_in(
    client: httpx2.AsyncClient, jobs: Jobs
) -> None:
    """As any other."""
    job_id = await jobs.ended(NOTES, Outcome.FAILED)
    tag = (await client.get(at(NOTES, job_id))).headers["etag"]

    answers = [await client.patch(at(NOTES, job_id), json={"by": n}, headers={"If-Match": tag}) for n in range(2)]

    assert 200 == answers[0].status_code
    assert refused(412, "PRECONDITION_FAILED") == refusal(answers[1])
    assert 0 == (await jobs.shown(NOTES, job_id))["jobRequest"]["by"]


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.CANCELLED, Outcome.VETOED, Outcome.SKIPPED])
async def test_other_jobs_that_are_done_are_history(client: httpx2.AsyncClient, jobs: Jobs, outcome: Outcome) -> None:
    """Nothing brings them back, so there is nothing to repair."""
    job_id = await jobs.ended(NOTES, outcome)

    assert refused(409, "JOB_FINISHED") == refusal(await client.patch(at(NOTES, job_id), json={"a": 1}))
