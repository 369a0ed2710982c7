"""PATCH: a job is moved, or changed by a merge patch, unless it has begun, ended, or become another meanwhile."""

import asyncio
from typing import Any

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.job import Outcome
from tests.web.answers import at, missing, refusal, refused, unchangeable
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS, BUGGY, NOTES, ORDERS

ORDER_ID = "79bfd10c-1529-42de-bd68-1a6e084ee13d"
SEED_BODY = """{
         "when": "2017-09-21T22:16:36.797Z"
       }"""


async def test_moved_job_is_answered_in_full(client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock) -> None:
    """200 shows the job as it has become, with its new version."""
    job_id = await jobs.create(ORDERS, when="2026-12-01T10:00:00Z", orderId=ORDER_ID)
    before = await jobs.shown(ORDERS, job_id)
    clock.advance(minutes=5)

    answer = await client.patch(at(ORDERS, job_id), json={"when": "2026-12-02T10:00:00+01:00"})

    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    assert answer.json() == {
        **before,
        "nextRun": "2026-12-02T09:00:00Z",
        "jobRequest": {"when": "2026-12-02T10:00:00+01:00", "orderId": ORDER_ID},
        "version": 2,
        "updatedAt": "2026-06-01T12:05:00Z",
        "warnings": [],
    }
    assert await jobs.shown(ORDERS, job_id) | {"warnings": []} == answer.json()


async def test_call_of_the_seed_is_accepted(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """The very request that the first clients send; a time that has passed is due at once, and said to be."""
    job_id = await jobs.create(BACKUPS, when="2026-12-01T10:00:00Z")

    answer = await client.patch(
        f"/api/scheduler/vps4/backups/jobs/{job_id}",
        content=SEED_BODY,
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )

    assert (200, "2017-09-21T22:16:36.797Z") == (answer.status_code, answer.json()["nextRun"])
    assert [warning["code"] for warning in answer.json()["warnings"]] == ["WHEN_IN_PAST"]


# --- schedules --------------------------------------------------------------------------------------------------------


async def test_when_alone_keeps_the_rest_of_a_schedule(
    client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock
) -> None:
    """The period stays, and of ten fire times the two that are gone are not given back."""
    schedule = {"every": "P1D", "count": 10, "end": "2026-12-31T00:00:00Z", "timeZone": "Europe/Berlin"}
    job_id = await jobs.create(BACKUPS, schedule=schedule)
    for _ in range(2):
        await jobs.finish(await jobs.claim(BACKUPS), Outcome.SUCCEEDED)
        clock.advance(days=1)

    answer = await client.patch(at(BACKUPS, job_id), json={"when": "2026-07-01T03:00:00Z"})

    assert answer.json()["nextRun"] == "2026-07-01T03:00:00Z"
    assert answer.json()["schedule"] == schedule | {"start": "2026-07-01T03:00:00Z", "count": 8}


async def test_first_clients_move_a_recurring_job_the_same_way(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """They know only jobType and intervals; what they do not send again stays."""
    job_id = await jobs.create(
        BACKUPS, when="2026-06-02T03:00:00Z", jobType="RECURRING", repeatIntervalInDays=7, repeatCount=4
    )

    answer = await client.patch(at(BACKUPS, job_id), json={"when": "2026-06-03T04:00:00Z"})

    assert answer.json()["schedule"] == {
        "every": "P7D",
        "start": "2026-06-03T04:00:00Z",
        "count": 5,
        "timeZone": "UTC",
    }


@pytest.mark.parametrize(
    ("patch", "next_run", "schedule"),
    [
        pytest.param(
            {"schedule": {"every": "PT12H"}},
            "2026-07-01T03:00:00Z",
            {"every": "PT12H", "start": "2026-07-01T03:00:00Z", "timeZone": "UTC", "count": 5},
            id="another period",
        ),
        pytest.param(
            {"schedule": {"count": None}},
            "2026-07-01T03:00:00Z",
            {"every": "P1D", "start": "2026-07-01T03:00:00Z", "timeZone": "UTC"},
            id="null removes a member",
        ),
        pytest.param({"schedule": None}, "2026-07-01T03:00:00Z", None, id="null removes the schedule"),
        pytest.param(
            {"when": None},
            "2026-06-01T12:00:00Z",
            {"every": "P1D", "start": "2026-06-01T12:00:00Z", "timeZone": "UTC", "count": 5},
            id="null removes the first fire time",
        ),
    ],
)
async def test_schedule_is_merged(
    client: httpx2.AsyncClient, jobs: Jobs, patch: dict[str, Any], next_run: str, schedule: object
) -> None:
    """A patch that speaks of the schedule makes the job follow the request as it is after the merge."""
    job_id = await jobs.create(BACKUPS, when="2026-07-01T03:00:00Z", schedule={"every": "P1D", "count": 5})

    answer = await client.patch(at(BACKUPS, job_id), json=patch)

    assert (200, next_run, schedule) == (answer.status_code, answer.json()["nextRun"], answer.json()["schedule"])


# --- payload ----------------------------------------------------------------------------------------------------------


async def test_payload_is_merged_and_the_time_stays(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """RFC 7396: objects merge, null removes, all else replaces."""
    job_id = await jobs.create(NOTES, when="2026-12-01T10:00:00Z", a={"b": 1, "c": [1, 2], "d": {"e": 1}}, f=1, g=2)

    answer = await client.patch(
        at(NOTES, job_id),
        content='{"a": {"b": null, "c": [3], "d": {"e": 2, "x": null}, "h": {"i": null, "j": 1}}, "f": null, "k": {}}',
        headers={"Content-Type": "application/merge-patch+json"},
    )

    assert answer.json()["jobRequest"] == {
        "when": "2026-12-01T10:00:00Z",
        "a": {"c": [3], "d": {"e": 2}, "h": {"j": 1}},
        "g": 2,
        "k": {},
    }
    assert answer.json()["nextRun"] == "2026-12-01T10:00:00Z"


async def test_payload_alone_does_not_undo_a_move(client: httpx2.AsyncClient, jobs: Jobs, clock: ManualClock) -> None:
    """What was moved by a call of its own stays there, with the count that was left."""
    job_id = await jobs.create(NOTES, schedule={"every": "P1D", "count": 3})
    await jobs.finish(await jobs.claim(NOTES), Outcome.SUCCEEDED)
    clock.advance(hours=1)
    await client.patch(at(NOTES, job_id), json={"when": "2026-08-01T00:00:00Z"})

    answer = await client.patch(at(NOTES, job_id), json={"colour": "red", "options": {"maxAttempts": 2}})

    job = answer.json()
    assert ("2026-08-01T00:00:00Z", 2, 2) == (job["nextRun"], job["schedule"]["count"], job["options"]["maxAttempts"])


async def test_options_are_merged(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """An option that the patch does not name stays."""
    job_id = await jobs.create(BACKUPS, options={"maxAttempts": 2, "timeout": "PT5M"})

    answer = await client.patch(at(BACKUPS, job_id), json={"options": {"timeout": None, "backoff": "PT9S"}})

    backoff = {"initial": "PT9S", "factor": 3.0, "longest": "PT1H"}
    assert answer.json()["options"] == {"maxAttempts": 2, "backoff": backoff}


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({}, unchangeable("EMPTY_PATCH")),
        ([], unchangeable("BODY_NOT_OBJECT")),
        ({"when": None}, unchangeable("REQD_FIELD_MISSING", "/when")),
        ({"when": "tomorrow"}, unchangeable("WHEN_FORMAT", "/when")),
        ({"when": 5}, unchangeable("WHEN_TYPE", "/when")),
        ({"when": "2036-06-01T12:00:01Z"}, unchangeable("WHEN_TOO_FAR", "/when")),
        ({"orderId": None}, unchangeable("REQD_FIELD_MISSING", "/orderId")),
        ({"amount": 5000}, unchangeable("ORDER_TOO_LARGE")),
        ({"colour": "red"}, unchangeable("UNKNOWN_FIELD", "/colour")),
        ({"state": "done"}, unchangeable("RESERVED_FIELD", "/state")),
        ({"jobType": "RECURRING"}, unchangeable("INVALID_REPEAT_INTERVAL", "/repeatIntervalInDays")),
        ({"schedule": {"count": 2}}, unchangeable("REQD_FIELD_MISSING", "/schedule/every")),
    ],
)
async def test_patch_that_makes_no_legal_job_changes_nothing(
    client: httpx2.AsyncClient, jobs: Jobs, patch: object, expected: object
) -> None:
    """What the job would become is checked as a whole, as if it were new."""
    job_id = await jobs.create(ORDERS, when="2026-12-01T10:00:00Z", orderId=ORDER_ID)
    before = await jobs.shown(ORDERS, job_id)

    assert expected == refusal(await client.patch(at(ORDERS, job_id), json=patch))
    assert before == await jobs.shown(ORDERS, job_id)


async def test_patch_tells_all_that_is_wrong_at_once(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """As POST does."""
    job_id = await jobs.create(ORDERS, orderId=ORDER_ID)

    answer = refusal(await client.patch(at(ORDERS, job_id), json={"when": "x", "amount": 0, "colour": 1}))

    codes = [("/amount", "GREATER_THAN_EQUAL"), ("/colour", "UNKNOWN_FIELD"), ("/when", "WHEN_FORMAT")]
    assert codes == sorted(answer.errors)


async def test_bug_in_a_plugin_is_no_bug_of_the_service(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """As for POST."""
    job_id = await jobs.create(BUGGY)

    answer = await client.patch(at(BUGGY, job_id), json={"colour": "blue"})

    assert unchangeable("PLUGIN_VALIDATION_ERROR") == refusal(answer)


async def test_body_is_read_as_strictly_as_that_of_a_post(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """No media type, no JSON: no change."""
    job_id = await jobs.create(BACKUPS)

    answers = [
        await client.patch(at(BACKUPS, job_id)),
        await client.patch(at(BACKUPS, job_id), content="", headers={"Content-Type": "application/json"}),
    ]

    assert [refused(415, "UNSUPPORTED_MEDIA_TYPE"), refused(400, "MALFORMED_JSON")] == list(map(refusal, answers))


# --- what cannot be changed (any more) --------------------------------------------------------------------------------


@pytest.mark.parametrize("patch", [{"when": "2026-12-01T10:00:00Z"}, {"amount": 2}])
async def test_running_one_time_job_cannot_be_changed(
    client: httpx2.AsyncClient, jobs: Jobs, patch: dict[str, Any]
) -> None:
    """What it was to do has begun."""
    job_id = await jobs.running(ORDERS, orderId=ORDER_ID)

    assert refused(409, "JOB_RUNNING") == refusal(await client.patch(at(ORDERS, job_id), json=patch))


async def test_running_recurring_job_is_moved_from_its_next_run_on(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """The run under way goes on."""
    job_id = await jobs.running(BACKUPS, schedule={"every": "P1D", "count": 3})

    answer = await client.patch(at(BACKUPS, job_id), json={"when": "2026-07-01T00:00:00Z"})

    job = answer.json()
    assert (200, "running", "2026-07-01T00:00:00Z") == (answer.status_code, job["state"], job["nextRun"])
    assert job["schedule"]["count"] == 2


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.CANCELLED])
async def test_finished_job_cannot_be_changed(client: httpx2.AsyncClient, jobs: Jobs, outcome: Outcome) -> None:
    """It is history, unless it gave up."""
    job_id = await jobs.ended(BACKUPS, outcome)

    answer = await client.patch(at(BACKUPS, job_id), json={"when": "2026-12-01T10:00:00Z"})

    assert refused(409, "JOB_FINISHED") == refusal(answer)


async def test_unknown_job_cannot_be_changed(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Nor one of another group."""
    job_id = await jobs.create(NOTES)

    answer = await client.patch(at(BACKUPS, job_id), json={"when": "2026-12-01T10:00:00Z"})

    assert missing() == refusal(answer)


# --- versions ---------------------------------------------------------------------------------------------------------


async def test_job_is_changed_only_while_it_has_the_version_that_the_client_believes_in(
    client: httpx2.AsyncClient, jobs: Jobs
) -> None:
    """The second of two that read version 1 hears so, and the first one's change stands."""
    job_id = await jobs.create(NOTES)
    match = {"If-Match": '"1"'}

    first = await client.patch(at(NOTES, job_id), json={"by": "first"}, headers=match)
    second = await client.patch(at(NOTES, job_id), json={"by": "second"}, headers=match)

    assert (200, '"2"') == (first.status_code, first.headers["etag"])
    assert refused(412, "PRECONDITION_FAILED") == refusal(second)
    assert (await jobs.shown(NOTES, job_id))["jobRequest"]["by"] == "first"


async def test_of_many_at_once_one_wins(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """However they interleave."""
    job_id = await jobs.create(NOTES)

    answers = await asyncio.gather(
        *(client.patch(at(NOTES, job_id), json={"by": n}, headers={"If-Match": '"1"'}) for n in range(9))
    )

    assert [200, *[412] * 8] == sorted(answer.status_code for answer in answers)
    assert (await jobs.shown(NOTES, job_id))["version"] == 2


async def test_without_a_version_all_changes_go_through(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """Each is merged into what the one before has left."""
    job_id = await jobs.create(NOTES)

    await asyncio.gather(*(client.patch(at(NOTES, job_id), json={f"note{n}": n}) for n in range(5)))

    job = await jobs.shown(NOTES, job_id)
    assert (6, 6) == (job["version"], len(job["jobRequest"]))


async def test_any_version_will_do(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """``If-Match: *`` asks only that there be a job."""
    job_id = await jobs.create(NOTES)

    answer = await client.patch(at(NOTES, job_id), json={"a": 1}, headers={"If-Match": "*"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "tag", ["", "1", "abc", '"abc"', 'W/"1"', '"1', '"-1"', '"1", "2"', '*, "1"', '"٣"', '"' + "1" * 19 + '"']
)
async def test_version_that_is_none_is_refused(client: httpx2.AsyncClient, jobs: Jobs, tag: str) -> None:
    """Rather than taken for no condition."""
    job_id = await jobs.create(NOTES)

    answer = await client.patch(at(NOTES, job_id), json={"a": 1}, headers={b"If-Match": tag.encode()})

    assert refused(400, "IF_MATCH_INVALID") == refusal(answer)
    assert (await jobs.shown(NOTES, job_id))["version"] == 1


async def test_request_does_not_grow_without_end(client: httpx2.AsyncClient) -> None:
    """What patches add up to is held to the limit of one body; the job stays as it was."""
    created = await client.post(at(NOTES), json={"when": "2026-06-02T12:00:00Z"})
    path = at(NOTES, created.json()["id"])
    assert 200 == (await client.patch(path, json={"first": "x" * 150_000})).status_code

    assert unchangeable("REQUEST_TOO_LARGE") == refusal(await client.patch(path, json={"second": "x" * 150_000}))

    assert {"when", "first"} == (await client.get(path)).json()["jobRequest"].keys()
