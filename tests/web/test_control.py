"""Stop and go: pauses of all levels, runs at once, and cancelling; priorities, keys and tags of requests."""

from typing import Any

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.job import JobKey, Outcome
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at, missing, refusal, refused, uncreatable
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS, NOTES

BASE = "/api/schedulers"
WHEN = {"when": "2026-06-01T13:00:00Z"}
UNTIL = "2026-06-02T06:00:00Z"
SCOPES = [("", "everything"), ("/vps4", "product"), ("/vps4/backups", "group")]
JOB_HOLD = {"level": "job", "by": None, "at": "2026-06-01T12:00:00Z", "reason": None, "until": None}


# --- groups, products and everything


@pytest.mark.parametrize(("path", "level"), SCOPES)
async def test_pause_and_resume(
    client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock, path: str, level: str
) -> None:
    """Groups and jobs say what holds them, and so does the scope itself; then it is history."""
    job_id = await jobs.create(BACKUPS)
    hold = {"level": level, "by": None, "at": "2026-06-01T12:00:00Z", "reason": "it burns", "until": UNTIL}

    answer = await client.post(f"{BASE}{path}/pause", json={"reason": "it burns", "until": UNTIL})

    product, job_group = [*path.strip("/").split("/"), None][:2]
    shown = {"product": product or None, "jobGroup": job_group, "isPaused": True, "pausedBy": [hold], "history": []}
    assert (200, shown) == (answer.status_code, answer.json())
    assert shown == (await client.get(f"{BASE}{path}/pause")).json()
    job = await jobs.shown(BACKUPS, job_id)
    assert ("scheduled", True, [hold]) == (job["state"], job["isPaused"], job["pausedBy"])
    [listed] = (await client.get(at(BACKUPS))).json()
    assert job == listed | {"lastRun": None}
    held = {(each["product"], each["jobGroup"]): each["pausedBy"] for each in (await client.get(BASE)).json()}
    assert [hold] == held["vps4", "backups"]
    assert ([hold] if level == "everything" else []) == held["shop", "notes"]

    clock.advance(minutes=5)
    answer = await client.post(f"{BASE}{path}/resume")

    past = [hold | {"endedAt": "2026-06-01T12:05:00Z", "endedBy": None}]
    assert (200, shown | {"isPaused": False, "pausedBy": [], "history": past}) == (answer.status_code, answer.json())
    assert not (await jobs.shown(BACKUPS, job_id))["isPaused"]
    assert answer.json() == (await client.post(f"{BASE}{path}/resume")).json()


async def test_levels_are_independent(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Each is listed; what is resumed below stays held from above."""
    job_id = await jobs.create(BACKUPS)
    await client.post(at(BACKUPS, job_id, "pause"))
    for path, _ in SCOPES:
        await client.post(f"{BASE}{path}/pause")

    job = await jobs.shown(BACKUPS, job_id)
    assert ["job", "everything", "product", "group"] == [hold["level"] for hold in job["pausedBy"]]
    answer = await client.post(f"{BASE}/vps4/backups/resume")
    assert ["everything", "product"] == [hold["level"] for hold in answer.json()["pausedBy"]]
    assert ["everything", "product"] == [
        hold["level"] for hold in (await client.post(f"{BASE}/vps4/resume")).json()["pausedBy"] + [{"level": "product"}]
    ]


async def test_a_second_pause_takes_the_place_of_the_first(client: httpx2.AsyncClient, clock: ManualClock) -> None:
    """That one is history."""
    await client.post(f"{BASE}/pause", json={"reason": "first"})
    clock.advance(minutes=1)
    answer = (await client.post(f"{BASE}/pause", json={"reason": "second"})).json()

    assert (["second"], ["first"]) == (
        [hold["reason"] for hold in answer["pausedBy"]],
        [hold["reason"] for hold in answer["history"]],
    )


async def test_a_job_of_a_paused_group_is_created_with_a_warning(client: httpx2.AsyncClient) -> None:
    """It waits."""
    await client.post(f"{BASE}/vps4/pause")

    answer = await client.post(at(BACKUPS), json=WHEN)

    assert (201, True) == (answer.status_code, answer.json()["isPaused"])
    assert [("PAUSED", "the job waits for the end of the pause of vps4")] == [
        (warned["code"], warned["detail"]) for warned in answer.json()["warnings"]
    ]


@pytest.mark.parametrize("path", ["/nobody", "/nobody/backups", "/vps4/nothing"])
@pytest.mark.parametrize("call", ["pause", "resume"])
async def test_what_is_not_there_is_not_paused(client: httpx2.AsyncClient, path: str, call: str) -> None:
    """Nobody should believe that it is."""
    assert refused(404, "UNKNOWN_JOB_GROUP", id_="NOT_FOUND") == refusal(await client.post(f"{BASE}{path}/{call}"))


BAD_PAUSES: list[tuple[Any, list[tuple[str, str]]]] = [
    ({"until": "2026-06-01T12:00:00Z"}, [("/until", "UNTIL_IN_PAST")]),
    ({"until": "tomorrow"}, [("/until", "WHEN_FORMAT")]),
    ({"until": 7}, [("/until", "WHEN_FORMAT")]),
    ({"reason": ""}, [("/reason", "INVALID_REASON")]),
    ({"reason": "x" * 501}, [("/reason", "INVALID_REASON")]),
    ({"reason": "a\nb"}, [("/reason", "INVALID_REASON")]),
    ({"for": "ever", "until": "never"}, [("/for", "UNKNOWN_FIELD"), ("/until", "WHEN_FORMAT")]),
]


@pytest.mark.parametrize(("body", "errors"), BAD_PAUSES)
async def test_pause_that_makes_no_sense_is_refused(
    client: httpx2.AsyncClient, jobs: Jobs, body: dict[str, Any], errors: list[tuple[str, str]]
) -> None:
    """Of a job as of everything; with all that is wrong."""
    job_id = await jobs.create(BACKUPS)

    for path in (f"{BASE}/pause", at(BACKUPS, job_id, "pause")):
        answer = refusal(await client.post(path, json=body))
        assert (422, {*errors}) == (answer.status, {*answer.errors}), path
    assert not (await jobs.shown(BACKUPS, job_id))["isPaused"]


# --- jobs


async def test_pause_of_a_job_says_why_and_until_when(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """As those of groups do."""
    job_id = await jobs.create(BACKUPS)

    answer = await client.post(at(BACKUPS, job_id, "pause"), json={"reason": "wait", "until": UNTIL})

    assert ("paused", [JOB_HOLD | {"reason": "wait", "until": UNTIL}]) == (
        answer.json()["state"],
        answer.json()["pausedBy"],
    )


async def test_created_paused(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """It is resumed like any other."""
    job_id = await jobs.create(BACKUPS, options={"paused": True})
    job = await jobs.shown(BACKUPS, job_id)
    assert ("paused", [JOB_HOLD | {"reason": "created paused"}]) == (job["state"], job["pausedBy"])

    assert "scheduled" == (await client.post(at(BACKUPS, job_id, "resume"))).json()["state"]


async def test_fire(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """A job without a schedule is due at once, one with a schedule gets a run beside it."""
    once = await jobs.create(BACKUPS, when="2026-12-01T00:00:00Z")
    series = await jobs.create(BACKUPS, schedule={"every": "P1D", "start": "2026-12-01T00:00:00Z"})

    for job_id, next_run in ((once, "2026-06-01T12:00:00Z"), (series, "2026-12-01T00:00:00Z")):
        answer = await client.post(at(BACKUPS, job_id, "fire"))
        assert (200, next_run) == (answer.status_code, answer.json()["nextRun"])
        assert (await jobs.claim(BACKUPS)).series == job_id
    assert refused(409, "JOB_RUNNING") == refusal(await client.post(at(BACKUPS, once, "fire")))


async def test_cancel(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """A run is asked to stop; a job that waits and has no schedule is done."""
    waiting, running = await jobs.create(BACKUPS, **WHEN), await jobs.running(BACKUPS)

    answer = await client.post(at(BACKUPS, waiting, "cancel"))
    assert (200, "done", "cancelled") == (answer.status_code, answer.json()["state"], answer.json()["outcome"])
    shown = await jobs.shown(BACKUPS, waiting)
    assert shown == answer.json()
    assert ("cancelled", "cancelled on request") == (shown["lastRun"]["outcome"], shown["lastRun"]["reason"])

    answer = await client.post(at(BACKUPS, running, "cancel"))
    assert (200, "running") == (answer.status_code, answer.json()["state"])


async def test_cancel_of_a_series_is_also_for_runs_beside_it(
    client: httpx2.AsyncClient, jobs: Jobs, store: SqliteStore
) -> None:
    """Such as one that was fired."""
    series = await jobs.create(BACKUPS, schedule={"every": "P1D", "start": "2026-12-01T00:00:00Z"})
    await client.post(at(BACKUPS, series, "fire"))
    child = await jobs.claim(BACKUPS)

    answer = await client.post(at(BACKUPS, series, "cancel"))

    assert (200, "scheduled") == (answer.status_code, answer.json()["state"])
    found = await store.get(child.id)
    assert found is not None
    assert found.cancelling


@pytest.mark.parametrize(("state", "call", "code"), [
    ("recurring", "cancel", "JOB_NOT_RUNNING"),
    ("succeeded", "cancel", "JOB_FINISHED"),
    ("failed", "cancel", "JOB_FINISHED"),
    ("succeeded", "fire", "JOB_FINISHED"),
    ("failed", "fire", "JOB_FINISHED"),
    ("running", "fire", "JOB_RUNNING"),
])  # fmt: skip
async def test_what_cannot_be(client: httpx2.AsyncClient, jobs: Jobs, state: str, call: str, code: str) -> None:
    """It is said why."""
    job_id = await jobs.made(BACKUPS, state)

    assert refused(409, code) == refusal(await client.post(at(BACKUPS, job_id, call)))


# --- keys


def taken(answer: httpx2.Response) -> tuple[int, str, str, str]:
    """Read who has a key."""
    content = answer.json()
    assert content["job"]["href"].startswith("/api/schedulers/")
    return answer.status_code, content["id"], content["errors"][0]["pointer"], content["job"]["id"]


@pytest.mark.parametrize("policy", [{}, {"onConflict": "reject"}])
async def test_key_that_is_taken_is_refused(client: httpx2.AsyncClient, jobs: Jobs, policy: dict[str, str]) -> None:
    """The answer tells which job has it, and where that is."""
    job_id = await jobs.create(BACKUPS, options={"key": "k"})

    answer = await client.post(at(BACKUPS), json=WHEN | {"options": {"key": "k", **policy}})

    assert (409, "KEY_TAKEN", "/options/key", str(job_id)) == taken(answer)
    assert (await client.get(answer.json()["job"]["href"])).json()["id"] == str(job_id)
    assert 1 == len((await client.get(at(BACKUPS))).json())


async def test_key_that_is_taken_keeps_its_job(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """200 and that job, unchanged."""
    job_id = await jobs.create(BACKUPS, options={"key": "k"})

    answer = await client.post(at(BACKUPS), json=WHEN | {"options": {"key": "k", "onConflict": "keep"}})

    assert (200, str(job_id), 1) == (answer.status_code, answer.json()["id"], answer.json()["version"])
    assert answer.headers["location"] == at(BACKUPS, job_id)


async def test_request_takes_the_place_of_another(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """The job gets the whole request, under its id; while it runs it cannot, and the answer tells which it is."""
    body = {"options": {"key": "k", "onConflict": "replace", "priority": 7}}
    job_id = await jobs.create(BACKUPS, options={"key": "k", "tags": ["a"]})

    answer = await client.post(at(BACKUPS), json=WHEN | body)

    job = answer.json()
    assert (200, str(job_id), 2, 7) == (answer.status_code, job["id"], job["version"], job["priority"])
    assert (WHEN | body, "2026-06-01T13:00:00Z") == (job["jobRequest"], job["nextRun"])
    await client.post(at(BACKUPS, job_id, "fire"))
    await jobs.claim(BACKUPS)
    assert (409, "JOB_RUNNING", "", str(job_id)) == taken(await client.post(at(BACKUPS), json=WHEN | body))


async def test_keys_are_free_again(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """When their jobs are done, deleted, or were given others."""
    await jobs.ended(BACKUPS, Outcome.SUCCEEDED, options={"key": "k"})
    job_id = await jobs.create(BACKUPS, options={"key": "k"})
    await client.patch(at(BACKUPS, job_id), json={"options": {"key": "l"}})
    other = await jobs.create(BACKUPS, options={"key": "k"})
    assert (409, "KEY_TAKEN", "/options/key", str(job_id)) == taken(
        await client.patch(at(BACKUPS, other), json={"options": {"key": "l"}})
    )
    await client.delete(at(BACKUPS, job_id))
    assert 200 == (await client.patch(at(BACKUPS, other), json={"options": {"key": "l"}})).status_code


async def test_retried_job_whose_key_is_taken(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """It is told by whom."""
    dead = await jobs.ended(BACKUPS, Outcome.FAILED, options={"key": "k"})
    job_id = await jobs.create(BACKUPS, options={"key": "k"})
    assert (409, "KEY_TAKEN", "/options/key", str(job_id)) == taken(await client.post(at(BACKUPS, dead, "retry")))


async def test_keys_of_a_batch(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Those that are kept have their ids in the answer, and are not counted; one that is refused refuses all."""
    job_id = await jobs.create(BACKUPS, options={"key": "k"})
    kept = WHEN | {"options": {"key": "k", "onConflict": "keep"}}

    answer = await client.post(at(BACKUPS, "batch"), json=[WHEN, kept, WHEN | {"options": {"key": "l"}}])
    assert (201, 2, str(job_id)) == (answer.status_code, answer.json()["created"], answer.json()["ids"][1])

    answer = await client.post(at(BACKUPS, "batch"), json=[WHEN, WHEN | {"options": {"key": "k"}}])
    assert (409, "KEY_TAKEN", "/1/options/key", str(job_id)) == taken(answer)

    replace = WHEN | {"options": {"key": "m", "onConflict": "replace"}}
    refused_ = refusal(await client.post(at(BACKUPS, "batch"), json=[replace, replace]))
    assert {
        ("/0/options/onConflict", "REPLACE_IN_BATCH"),
        ("/1/options/onConflict", "REPLACE_IN_BATCH"),
        ("/1/options/key", "KEY_REPEATED"),
    } == {*refused_.errors}
    assert 3 == len((await client.get(at(BACKUPS))).json())


async def test_keys_are_those_of_one_group(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Others may have the same."""
    await jobs.create(BACKUPS, options={"key": "k"})

    assert 201 == (await client.post(at(NOTES), json=WHEN | {"options": {"key": "k"}})).status_code


# --- priorities, tags and what is no option


async def test_options_are_shown(client: httpx2.AsyncClient) -> None:
    """As they were sent; a tag that is given twice is one."""
    options = {"priority": 9, "expiresAfter": "PT5M", "key": "k", "onConflict": "keep", "tags": ["b", "a"]}

    answer = await client.post(at(BACKUPS), json=WHEN | {"options": options | {"tags": ["b", "a", "b"]}})

    assert (201, options, 9) == (answer.status_code, answer.json()["options"], answer.json()["priority"])
    assert 5 == (await client.post(at(BACKUPS), json=WHEN)).json()["priority"]


@pytest.mark.parametrize("tag", ["", "%00", "a%00b", "%7f", "a,b", "x" * 101, "a&tag=%0a"])
@pytest.mark.parametrize("path", [at(BACKUPS), f"{BASE}/jobs"])
async def test_what_can_be_no_tag_is_refused(client: httpx2.AsyncClient, path: str, tag: str) -> None:
    """A database may not even look for it: PostgreSQL knows no text with a NUL."""
    assert refused(422, "TAG_INVALID", "?tag") == refusal(await client.get(f"{path}?tag={tag}"))


@pytest.mark.parametrize("name", ["state", "outcome", "gaveUp", "from", "to", "limit", "cursor"])
async def test_no_filter_takes_a_nul(client: httpx2.AsyncClient, name: str) -> None:
    """Each says so by itself."""
    answer = await client.get(f"{at(BACKUPS)}?{name}=%00")
    assert answer.status_code in {400, 422}


@pytest.mark.parametrize(("query", "expected"), [
    ("tag=a", {0, 1}), ("tag=a&tag=b", {1}), ("tag=c", set()), ("tag=a&state=paused", set()),
])  # fmt: skip
async def test_lists_by_tag(client: httpx2.AsyncClient, jobs: Jobs, query: str, expected: set[int]) -> None:
    """Those that have all of the tags, in the group and in all groups."""
    ids = [
        str(await jobs.create(BACKUPS, options={"tags": tags} if tags else {}))
        for tags in (["a"], ["a", "b"], ["b"], None)
    ]

    for path in (at(BACKUPS), f"{BASE}/jobs"):
        listed = (await client.get(f"{path}?{query}")).json()
        assert {ids[n] for n in expected} == {job["id"] for job in listed}


BAD_OPTIONS = [
    ({"priority": 10}, "/options/priority"),
    ({"priority": -1}, "/options/priority"),
    ({"priority": "9"}, "/options/priority"),
    ({"priority": True}, "/options/priority"),
    ({"expiresAfter": "PT0S"}, "/options/expiresAfter"),
    ({"key": ""}, "/options/key"),
    ({"key": "a\nb"}, "/options/key"),
    ({"key": "x" * 201}, "/options/key"),
    ({"onConflict": "perhaps"}, "/options/onConflict"),
    ({"tags": "a"}, "/options/tags"),
    ({"tags": ["a"] * 21}, "/options/tags"),
    ({"tags": ["a", ""]}, "/options/tags/1"),
    ({"tags": ["a,b"]}, "/options/tags/0"),
    ({"paused": "yes"}, "/options/paused"),
    ({"pauseAfter": 0}, "/options/pauseAfter"),
]


@pytest.mark.parametrize(("options", "pointer"), BAD_OPTIONS)
async def test_option_that_makes_no_sense_is_refused(
    client: httpx2.AsyncClient, options: dict[str, Any], pointer: str
) -> None:
    """With the place of what is wrong."""
    answer = refusal(await client.post(at(BACKUPS), json=WHEN | {"options": options}))

    assert (uncreatable("").status, [pointer]) == (answer.status, [place for place, _ in answer.errors])


async def test_a_product_that_is_called_like_a_call_is_in_nobodys_way(client: httpx2.AsyncClient) -> None:
    """Its paths are longer."""
    assert 404 == (await client.get(at(JobKey("pause", "resume")))).status_code
    assert 200 == (await client.get(f"{BASE}/pause")).status_code


# --- now


async def test_now_is_the_time_of_the_store(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """The request says which moment that was; nobody is warned."""
    answer = await client.post(at(BACKUPS), json={"when": "now"})

    job = answer.json()
    assert (201, "2026-06-01T12:00:00Z", []) == (answer.status_code, job["nextRun"], job["warnings"])
    assert {"when": "2026-06-01T12:00:00Z"} == job["jobRequest"]
    later = await jobs.create(BACKUPS, **WHEN)
    assert "2026-06-01T12:00:00Z" == (await client.patch(at(BACKUPS, later), json={"when": "now"})).json()["nextRun"]
    series = await jobs.create(BACKUPS, schedule={"every": "P1D"}, **WHEN)
    moved = await client.patch(at(BACKUPS, series), json={"when": "now"})
    assert (200, "2026-06-01T12:00:00Z") == (moved.status_code, moved.json()["nextRun"])
    batch = await client.post(at(BACKUPS, "batch"), json=[WHEN, {"when": "now"}])
    assert 201 == batch.status_code
    preview = await client.post(f"{at(BACKUPS)}?dryRun=true", json={"when": "now"})
    assert "2026-06-01T12:00:00Z" == preview.json()["fireTimes"][0]["utc"]


@pytest.mark.parametrize("when", ["Now", "now ", "NOW", "soon"])
async def test_only_now_is_now(client: httpx2.AsyncClient, when: str) -> None:
    """Nothing that looks like it."""
    assert 422 == (await client.post(at(BACKUPS), json={"when": when})).status_code


async def test_a_running_job_shows_its_run(jobs: Jobs) -> None:
    """Its number, where, which attempt, and since when."""
    job_id = await jobs.running(BACKUPS)

    run = (await jobs.shown(BACKUPS, job_id))["currentRun"]
    since = "2026-06-01T12:00:00Z"
    assert {"run": run["run"], "node": "node-1", "attempt": 1, "since": since, "progress": None} == run
    assert (await jobs.shown(BACKUPS, await jobs.create(BACKUPS)))["currentRun"] is None


@pytest.mark.parametrize("call", ["pause", "resume", "fire", "cancel"])
@pytest.mark.parametrize("media_type", ["application/json", "text/plain", None])
async def test_calls_without_a_body(client: httpx2.AsyncClient, jobs: Jobs, call: str, media_type: str | None) -> None:
    """Whatever type it is said to have: there are clients that name one with each call."""
    job_id = await jobs.create(BACKUPS)
    headers = {"Content-Type": media_type} if media_type else {}

    assert 200 == (await client.post(at(BACKUPS, job_id, call), headers=headers)).status_code
    assert 200 == (await client.post(f"{BASE}/vps4/pause", headers=headers)).status_code


async def test_pause_takes_json_alone(client: httpx2.AsyncClient) -> None:
    """A form of another page cannot send that."""
    answer = await client.post(f"{BASE}/pause", content="reason=x", headers={"Content-Type": "text/plain"})
    assert refused(415, "UNSUPPORTED_MEDIA_TYPE") == refusal(answer)


# --- why


async def test_why_a_job_has_not_run(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Each fact with what leads further; a job that nothing holds back has none."""
    job_id = await jobs.create(BACKUPS, when="2026-06-01T13:00:00Z")
    path = at(BACKUPS, job_id, "why")
    [fact] = (await client.get(path)).json()
    assert ("NOT_DUE", "2026-06-01T13:00:00Z") == (fact["code"], fact["clears"])

    await client.post(f"{BASE}/vps4/pause", json={"reason": "it burns", "until": UNTIL})
    paused, not_due = (await client.get(path)).json()
    assert ("PAUSED", UNTIL, None, [f"{BASE}/vps4/pause"]) == tuple(
        paused[name] for name in ("code", "clears", "by", "links")
    )
    assert ("it burns" in paused["text"], fact) == (True, not_due)
    await client.post(f"{BASE}/vps4/resume")

    await client.post(at(BACKUPS, job_id, "fire"))
    assert [] == (await client.get(path)).json()


async def test_why_a_job_waits_for_others(client: httpx2.AsyncClient, jobs: Jobs, store: SqliteStore) -> None:
    """The runs that are in the way are linked, and the limits that say so."""
    key = JobKey("vps4", "backups")
    first = await jobs.create(BACKUPS, when="2026-06-01T11:00:00Z")
    second = await jobs.create(BACKUPS, when="2026-06-01T11:30:00Z")
    await client.put(f"{BASE}/vps4/backups/limits", json={"concurrency": [{"limit": 1}]})
    assert 1 == len((await store.claim("node-1", {key: 1}, 1)).claims)

    [limit] = (await client.get(at(BACKUPS, second, "why"))).json()
    assert ("LIMIT", [f"{BASE}/vps4/backups/limits", at(BACKUPS, first)]) == (limit["code"], limit["links"])
    [running] = (await client.get(at(BACKUPS, first, "why"))).json()
    assert "RUNNING" == running["code"]


async def test_why_of_what_is_not_there(client: httpx2.AsyncClient) -> None:
    """As of any call on a job."""
    answer = await client.get(at(BACKUPS, "79bfd10c-1529-42de-bd68-1a6e084ee13d", "why"))
    assert missing("JOB_NOT_FOUND") == refusal(answer)
