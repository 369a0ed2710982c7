"""What a request is before anybody reads its body: path, method, headers."""

import json
from uuid import UUID

import httpx2
import pytest
from starlette.types import ASGIApp

from tests.web.answers import Refusal, at, missing, refusal, refused
from tests.web.conftest import Jobs
from tests.web.plugin import BACKUPS
from tests.web.raw import JSON, ask

JOBS = "/api/schedulers/vps4/backups/jobs"
SOME = "5348dfe6-c87d-4f86-8b61-1d22f47c607e"
NOWHERE = refused(404, "NOT_FOUND")
UNKNOWN_GROUP = missing("UNKNOWN_JOB_GROUP")
BAD_PATH = refused(400, "INVALID_PATH")


# --- where nothing is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api", NOWHERE),
        ("/api/", NOWHERE),
        ("/api/schedulers/", NOWHERE),
        ("/api/scheduler/", NOWHERE),
        ("/api/schedulersx", NOWHERE),
        ("/api/schedulerx/vps4/backups/jobs", NOWHERE),
        ("/API/schedulers/vps4/backups/jobs", NOWHERE),
        ("/api/schedulers/vps4", NOWHERE),
        ("/api/schedulers/vps4/backups", NOWHERE),
        ("/api/schedulers//backups/jobs", NOWHERE),
        ("/api/schedulers/vps4//jobs", NOWHERE),
        ("//api/schedulers/vps4/backups/jobs", NOWHERE),
        (f"{JOBS}/", NOWHERE),
        (f"{JOBS}/{SOME}/", NOWHERE),
        (f"{JOBS}/{SOME}/water", NOWHERE),
        (f"{JOBS}/{SOME}/runs/1/2", NOWHERE),
        ("/api/schedulers/vps4/backups/../backups/jobs", NOWHERE),
        ("/api/schedulers/VPS4/backups/jobs", UNKNOWN_GROUP),
        ("/api/schedulers/vps4/patching/jobs", UNKNOWN_GROUP),
        ("/api/schedulers/vps4%20/backups/jobs", UNKNOWN_GROUP),
        ("/api/schedulers/%C3%A9/backups/jobs", UNKNOWN_GROUP),
        ("/api/schedulers/a/b/jobs", UNKNOWN_GROUP),
        (f"/api/schedulers/{'p' * 65}/backups/jobs", UNKNOWN_GROUP),
        (f"/api/schedulers/{'p' * 8000}/backups/jobs", UNKNOWN_GROUP),
        (f"/api/schedulers/{'p' * 10_000}/backups/jobs", refused(414, "URI_TOO_LONG")),
        (f"{JOBS}?state={'x' * 1024 * 1024}", refused(414, "URI_TOO_LONG")),
        ("/api/schedulers/vps4%00/backups/jobs", BAD_PATH),
        ("/api/schedulers/vps4%0d%0aX-Evil:1/backups/jobs", BAD_PATH),
        ("/api/schedulers/vps4%1b[31m/backups/jobs", BAD_PATH),
        ("/api/schedulers/%zz/backups/jobs", BAD_PATH),
        ("/api/schedulers/%/backups/jobs", BAD_PATH),
        ("/api/schedulers/%4/backups/jobs", BAD_PATH),
        ("/api/schedulers/%ff/backups/jobs", BAD_PATH),
        ("/api/schedulers/%c0%af/backups/jobs", BAD_PATH),
        ("/api/schedulers/vps4%252Fbackups/jobs", BAD_PATH),
        ("/api/schedulers/vps4%2Fbackups/jobs", BAD_PATH),
        ("/api/schedulers/vps4%2fbackups/jobs", BAD_PATH),
        ("/%zz", BAD_PATH),
    ],
)
async def test_path_that_leads_nowhere(app: ASGIApp, path: str, expected: Refusal) -> None:
    """No slash is merged, added or taken away, no letter case changed, no escape read twice."""
    assert expected == refusal(await ask(app, "GET", path))


async def test_escaped_letters_are_the_letters(app: ASGIApp, jobs: Jobs) -> None:
    """Under both spellings of the base path."""
    job_id = await jobs.create(BACKUPS)

    for base in ("/api/schedulers", "/api/scheduler", "/api/s%63heduler"):
        answer = await ask(app, "GET", f"{base}/vps%34/backups/%6Aobs/{job_id}")
        assert (200, str(job_id)) == (answer.status_code, answer.json()["id"])


@pytest.mark.parametrize("path", ["", f"/vps4/backups/jobs/{SOME}", f"/vps4/backups/jobs/{SOME}/runs", "/x/y/jobs"])
async def test_both_base_paths_answer_the_same(client: httpx2.AsyncClient, path: str) -> None:
    """Also in what they refuse."""
    answers = [
        await client.get(f"{base}{path}", headers={"X-Request-ID": "a"})
        for base in ("/api/schedulers", "/api/scheduler")
    ]

    assert answers[0].status_code == answers[1].status_code
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize(
    "text",
    [
        "5348dfe6c87d4f868b611d22f47c607e",
        "{5348dfe6-c87d-4f86-8b61-1d22f47c607e}",
        "urn:uuid:5348dfe6-c87d-4f86-8b61-1d22f47c607e",
        "5348dfe6c-87d-4f86-8b61-1d22f47c607e",
        "-5348dfe6-c87d-4f86-8b61-1d22f47c607e",
        "5348dfe6-c87d-4f86-8b61-1d22f47c607",
        "5348dfe6-c87d-4f86-8b61-1d22f47c607e0",
        "5348dfe6-c87d-4f86-8b61-1d22f47c607e%20",
        "0x48dfe6-c87d-4f86-8b61-1d22f47c607e",
        "5348_fe6-c87d-4f86-8b61-1d22f47c607e",
        "+348dfe6-c87d-4f86-8b61-1d22f47c607e",
        "5348dfe6-c87d-4f86-8b61-1d22f47c607g",
        "%D9%A5348dfe6-c87d-4f86-8b61-1d22f47c607e",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "1",
        "jobs",
        "x" * 7000,
        SOME,
    ],
)
async def test_what_is_no_id_names_no_job(app: ASGIApp, text: str) -> None:
    """Only the canonical form is an id, and only one that was given out is a job."""
    assert missing() == refusal(await ask(app, "GET", f"{JOBS}/{text}"))


async def test_id_may_be_in_capitals(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """RFC 9562 says that readers take both."""
    job_id = await jobs.create(BACKUPS)

    assert (await client.get(f"{JOBS}/{str(job_id).upper()}")).json()["id"] == str(job_id)


# --- methods ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/schedulers", {"GET", "HEAD"}),
        (JOBS, {"GET", "HEAD", "POST"}),
        (f"{JOBS}/{SOME}", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        (f"{JOBS}/{SOME}/pause", {"POST"}),
        (f"{JOBS}/{SOME}/resume", {"POST"}),
        (f"{JOBS}/{SOME}/retry", {"POST"}),
        (f"{JOBS}/{SOME}/runs", {"GET", "HEAD"}),
        ("/livez", {"GET", "HEAD"}),
        ("/readyz", {"GET", "HEAD"}),
    ],
)
async def test_method_that_a_path_does_not_take(client: httpx2.AsyncClient, path: str, allowed: set[str]) -> None:
    """405 names all that it does take; every other method is refused."""
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"} - allowed:
        answer = await client.request(method, path)

        assert answer.status_code == 405, method
        assert {"OPTIONS", *allowed} == set(answer.headers["allow"].split(", "))
        if method != "HEAD":
            assert refused(405, "METHOD_NOT_ALLOWED") == refusal(answer)


async def test_head_is_get_without_a_body(client: httpx2.AsyncClient, jobs: Jobs) -> None:
    """The status and the headers are the same."""
    job_id = await jobs.create(BACKUPS)

    for path in (
        "/api/schedulers",
        JOBS,
        f"{JOBS}?limit=1",
        f"{JOBS}/{job_id}",
        f"{JOBS}/{job_id}/runs",
        "/livez",
        "/x",
    ):
        get = await client.get(path, headers={"X-Request-ID": "a"})
        head = await client.head(path, headers={"X-Request-ID": "a"})

        assert (get.status_code, b"") == (head.status_code, head.content)
        assert get.headers == head.headers


# --- headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["text/html", "image/png", "text/html,application/xml;q=0.9", "jsonp", "text/json"])
@pytest.mark.parametrize(("method", "path"), [("GET", JOBS), ("POST", JOBS), ("DELETE", f"{JOBS}/{SOME}")])
async def test_client_that_takes_no_json_is_refused(
    client: httpx2.AsyncClient, method: str, path: str, accept: str
) -> None:
    """In JSON all the same, and before anything is done."""
    answer = await client.request(method, path, headers={"Accept": accept})

    assert refused(406, "NOT_ACCEPTABLE") == refusal(answer)


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "*/*",
        "application/*",
        "",
        "text/html, application/json;q=0.1",
        "text/html,*/*;q=0.8",
        "application/problem+json",
        "Application/JSON;charset=utf-8",
    ],
)
async def test_client_that_takes_json_is_served(client: httpx2.AsyncClient, accept: str) -> None:
    """However it says so."""
    assert (await client.get(JOBS, headers={"Accept": accept})).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", JOBS), ("HEAD", JOBS), ("DELETE", f"{JOBS}/{SOME}")])
async def test_body_where_none_belongs_is_refused(client: httpx2.AsyncClient, method: str, path: str) -> None:
    """Whether its length is known or not; an empty one is none."""
    sent = await client.request(method, path, content=b"{}")
    chunked = await client.request(method, path, headers={"Transfer-Encoding": "chunked"})
    empty = await client.request(method, path, headers={"Content-Length": "0"})

    if method != "HEAD":
        assert [refused(400, "BODY_NOT_ALLOWED")] * 2 == [refusal(sent), refusal(chunked)]
    assert (400, 400) == (sent.status_code, chunked.status_code)
    assert empty.status_code in {200, 404}


@pytest.mark.parametrize("given", ["a", "A.b_c-9", "x" * 64, "5348dfe6-c87d-4f86-8b61-1d22f47c607e"])
@pytest.mark.parametrize("path", ["/api/schedulers", "/nowhere", "/%zz", "/livez"])
async def test_request_id_is_kept(app: ASGIApp, path: str, given: str) -> None:
    """So that the client can find its request in the log; good answers name it too."""
    answer = await ask(app, "GET", path, ("x-request-id", given))

    assert given == answer.headers["x-request-id"]
    if answer.status_code != 200:
        assert answer.json()["instance"] == given


@pytest.mark.parametrize(
    "given",
    ["", "x" * 65, "x" * 10_240, "a b", "a\x1b[31mb", "a%0d%0aX-Evil:1", "é", "a/b", "${jndi:ldap://x}", "a\n", "\0"],
)
async def test_request_id_that_would_harm_the_log_is_replaced(app: ASGIApp, given: str) -> None:
    """By one of ours, as for a request without one."""
    answer = await ask(app, "GET", "/nowhere", ("x-request-id", given))

    assert UUID(answer.headers["x-request-id"]).version == 7
    assert NOWHERE == refusal(answer)


async def test_each_request_has_an_id_of_its_own(client: httpx2.AsyncClient) -> None:
    """Without asking for it."""
    ids = {(await client.get("/livez")).headers["x-request-id"] for _ in range(9)}

    assert len(ids) == 9


async def test_host_is_not_repeated(app: ASGIApp) -> None:
    """What a client says in Host comes back nowhere."""
    body = json.dumps({"when": "2026-12-01T10:00:00Z"}).encode()
    hosts = ["MainSpring:6666"]

    answers = [
        await ask(app, "POST", JOBS, JSON, body=[body], hosts=hosts),
        await ask(app, "GET", f"{JOBS}?limit=1", hosts=hosts),
        await ask(app, "GET", f"{JOBS}/", hosts=hosts),
        await ask(app, "GET", "/docs", hosts=hosts),
    ]

    assert [201, 200, 404, 200] == [answer.status_code for answer in answers]
    assert not any(part in f"{answer.headers}{answer.text}" for answer in answers for part in ("MainSpring", "6666"))
    assert at(BACKUPS) in answers[1].headers["link"]
