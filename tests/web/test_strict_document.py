"""The OpenAPI document is as strict as the service.

The kind: whatever a body, a parameter or a header may look like. What the document forbids is refused, and what is
taken the document allows. `tests/fuzz` draws more of it.
"""

import json
from typing import Any

import httpx2
import jsonschema_rs
import pytest

from tests.web.answers import at
from tests.web.conftest import Jobs
from tests.web.plugin import NOTES, ORDERS

WHEN = {"when": "2026-12-01T10:00:00Z"}
DAILY = {"every": "P1D"}
CALENDAR = "/api/schedulers/calendars/freeze"
Document = dict[str, Any]


@pytest.fixture
async def document(client: httpx2.AsyncClient) -> Document:
    """The document as it is served."""
    content: Document = (await client.get("/openapi.json")).json()
    return content


def allows(document: Document, schema: Any, value: Any) -> bool:
    """Say whether a schema of the document allows a value."""
    everything = {"components": document["components"], **schema}
    return jsonschema_rs.validator_for(everything, validate_formats=False).is_valid(value)


def body_schema(document: Document, method: str, path: str) -> Any:
    """Return the schema of the body of a call."""
    return document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]


def parameter_schema(document: Document, method: str, path: str, name: str) -> Any:
    """Return the schema of a parameter of a call."""
    item = document["paths"][path]
    (found,) = (
        each for each in [*item.get("parameters", []), *item[method].get("parameters", [])] if each["name"] == name
    )
    return found["schema"]


def scheduled(**members: Any) -> dict[str, Any]:
    """Return a request with a schedule that has these members too."""
    return {"schedule": DAILY | members}


TAKEN = [
    WHEN,
    WHEN | {"jobType": None, "schedule": None, "options": None, "repeatCount": None, "repeatIntervalInDays": None},
    WHEN | {"jobType": "ONE_TIME", "repeatCount": "many", "repeatIntervalInDays": -1},
    WHEN | {"repeatCount": {}, "repeatIntervalInDays": []},
    WHEN | {"jobType": "RECURRING", "repeatIntervalInDays": 1},
    WHEN | {"jobType": "RECURRING", "repeatIntervalInDays": 3653, "repeatCount": 0},
    WHEN | {"jobType": "RECURRING", "repeatIntervalInDays": 7, "repeatCount": None},
    WHEN | {"options": {"backoff": "PT5S"}},
    WHEN | {"options": {"backoff": {"initial": "PT5S", "factor": 2}, "maxAttempts": 1000}},
    WHEN | {"options": {"backoff": None, "timeout": None}},
    scheduled(misfire="skip"),
    scheduled(misfire={"policy": "fireAll", "cap": 3}),
    scheduled(calendar="freeze"),
    scheduled(calendar={"name": "freeze", "days": "exclude"}),
    scheduled(overlap="skip", grace="PT1M", jitter="PT1M", startFires=True, count=2),
    {"schedule": {"at": ["2026-12-01T10:00:00Z", "2026-12-01T10:00:00Z"]}},
    {"schedule": {"anyOf": [{"cron": "0 3 * * *"}, {"every": "P1D"}]}},
]
REFUSED: list[Any] = [
    {},
    {"when": None},
    {"when": None, "schedule": None},
    {"when": 1795428000},
    {"when": ["2026-12-01T10:00:00Z"]},
    WHEN | {"jobType": "SOMETIMES"},
    WHEN | {"jobType": "RECURRING"},
    WHEN | {"jobType": "RECURRING", "repeatIntervalInDays": 0},
    WHEN | {"jobType": "RECURRING", "repeatIntervalInDays": 3654},
    WHEN | {"jobType": "RECURRING", "repeatIntervalInDays": "7"},
    WHEN | {"jobType": "RECURRING", "repeatIntervalInDays": True},
    WHEN | {"jobType": "RECURRING", "repeatIntervalInDays": 7, "repeatCount": -1},
    WHEN | {"jobType": "RECURRING", "repeatIntervalInDays": 7, "repeatCount": 2**31},
    WHEN | {"options": []},
    WHEN | {"options": {"backoff": 5}},
    WHEN | {"options": {"backoff": {"factor": 101}}},
    WHEN | {"options": {"maxAttempts": "3"}},
    WHEN | {"options": {"maxAttempts": 0}},
    WHEN | {"options": {"tries": 3}},
    {"schedule": "P1D"},
    {"schedule": {"anyOf": []}},
    {"schedule": {"at": []}},
    {"schedule": {"at": "2026-12-01T10:00:00Z"}},
    scheduled(misfire="sometimes"),
    scheduled(misfire=["skip"]),
    scheduled(calendar=""),
    scheduled(calendar={"days": "exclude"}),
    scheduled(count=0),
    scheduled(count=True),
    scheduled(startFires="true"),
    scheduled(overlap=None),
    scheduled(more=1),
    "text",
    None,
    [],
]


@pytest.mark.parametrize("body", TAKEN, ids=str)
async def test_what_is_taken_is_allowed(client: httpx2.AsyncClient, document: Document, body: Any) -> None:
    """Also the short forms, and members that are null or of no effect."""
    await client.put(CALENDAR, json={})
    answer = await client.post(at(NOTES), json=body)

    assert 201 == answer.status_code, answer.text
    assert allows(document, body_schema(document, "post", at(NOTES)), body)


@pytest.mark.parametrize("body", REFUSED, ids=str)
async def test_what_is_refused_is_forbidden(client: httpx2.AsyncClient, document: Document, body: Any) -> None:
    """As far as it is a matter of form."""
    answer = await client.post(at(NOTES), content=json.dumps(body), headers={"Content-Type": "application/json"})

    assert 422 == answer.status_code
    assert not allows(document, body_schema(document, "post", at(NOTES)), body)


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        ({}, True),
        ({"dates": ["2026-12-24", "2026-12-24"]}, True),
        ({"weekly": [{"days": ["SA", "SA"]}]}, True),
        ({"weekly": [{"days": []}]}, False),
        ({"weekly": [{"days": ["SAT"]}]}, False),
        ({"holidays": {"country": "de"}}, False),
        ({"ranges": [{"first": "2026-12-24"}]}, False),
        ({"dates": "2026-12-24"}, False),
        ({"more": 1}, False),
        ([], False),
    ],
    ids=str,
)
async def test_calendars(client: httpx2.AsyncClient, document: Document, body: Any, taken: bool) -> None:  # noqa: FBT001
    """Sets may be sent with what is in them twice."""
    answer = await client.put(CALENDAR, json=body)

    assert (201 if taken else 422) == answer.status_code
    assert taken == allows(document, body_schema(document, "put", "/api/schedulers/calendars/{name}"), body)


@pytest.mark.parametrize(
    ("call", "body", "taken"),
    [
        ("retry", {}, True),
        ("retry", {"run": None}, True),
        ("retry", {"run": 1}, True),
        ("retry", {"run": 0}, False),
        ("retry", {"run": "1"}, False),
        ("retry", {"run": 2**63}, False),
        ("retry", {"why": 1}, False),
        ("retry", [], False),
        ("backfill", {"from": "2026-05-20T00:00:00Z", "to": "2026-05-21T00:00:00Z", "cap": 1}, True),
        ("backfill", {"from": "2026-05-20T00:00:00Z"}, False),
        ("backfill", {"from": "2026-05-20T00:00:00Z", "to": "2026-05-21T00:00:00Z", "cap": 10_001}, False),
        ("backfill", {"from": "2026-05-20T00:00:00Z", "to": "2026-05-21T00:00:00Z", "pace": 1}, False),
    ],
    ids=str,
)
async def test_calls_on_a_job(
    client: httpx2.AsyncClient,
    jobs: Jobs,
    document: Document,
    call: str,
    body: Any,
    taken: bool,  # noqa: FBT001
) -> None:
    """A retry of what did not give up is a conflict, not a mistake of form."""
    job_id = await jobs.create(NOTES, schedule=DAILY | {"start": "2026-05-01T00:00:00Z"})
    answer = await client.post(at(NOTES, job_id, call), json=body)

    assert answer.status_code in ({202, 409} if taken else {422})
    assert taken == allows(document, body_schema(document, "post", at(NOTES, "{jobId}", call)), body)


async def test_body_of_a_retry_may_be_left_out(client: httpx2.AsyncClient, jobs: Jobs, document: Document) -> None:
    """But not that of other calls."""
    job_id = await jobs.create(NOTES)

    for call, optional in (("retry", True), ("backfill", False)):
        answer = await client.post(at(NOTES, job_id, call))
        assert optional == (answer.status_code == 409)
        path = document["paths"][at(NOTES, "{jobId}", call)]
        assert optional != path["post"]["requestBody"]["required"]


@pytest.mark.parametrize(
    ("body", "taken"), [({"when": None, "schedule": DAILY}, True), ({"a": 1}, True), ({}, False), ([], False)]
)
async def test_patches(
    client: httpx2.AsyncClient,
    jobs: Jobs,
    document: Document,
    body: Any,
    taken: bool,  # noqa: FBT001
) -> None:
    """One that changes nothing is refused."""
    job_id = await jobs.create(NOTES)

    assert (200 if taken else 422) == (await client.patch(at(NOTES, job_id), json=body)).status_code
    assert taken == allows(document, body_schema(document, "patch", at(NOTES, "{jobId}")), body)


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("*", True),
        ('"1"', True),
        ('"2"', True),
        ("1", False),
        ('W/"1"', False),
        ('"1", "2"', False),
        ('"x"', False),
        ("", False),
    ],
)
async def test_if_match(
    client: httpx2.AsyncClient,
    jobs: Jobs,
    document: Document,
    value: str,
    taken: bool,  # noqa: FBT001
) -> None:
    """An ETag of another version is one all the same."""
    job_id = await jobs.create(NOTES)
    answer = await client.delete(at(NOTES, job_id), headers={"If-Match": value})

    assert answer.status_code in ({204, 412} if taken else {400})
    assert taken == allows(document, parameter_schema(document, "delete", at(NOTES, "{jobId}"), "If-Match"), value)


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("limit", 1, True), ("limit", 1000, True), ("limit", 0, False), ("limit", 1001, False), ("limit", "x", False),
        ("gaveUp", "true", True), ("gaveUp", "yes", False), ("state", "paused", True), ("state", "asleep", False),
        ("outcome", "failed", True), ("outcome", "done", False),
    ],
)  # fmt: skip
async def test_parameters(
    client: httpx2.AsyncClient,
    document: Document,
    name: str,
    value: Any,
    taken: bool,  # noqa: FBT001
) -> None:
    """As they stand in a query."""
    schema = parameter_schema(document, "get", at(NOTES), name)
    read = {"boolean": {"true": True}.get(value, value), "array": [value]}.get(schema["type"], value)

    assert (200 if taken else 422) == (await client.get(at(NOTES), params={name: value})).status_code
    assert taken == allows(document, schema, read)


@pytest.mark.parametrize(
    ("name", "taken"), [("a", True), ("9.b_c-d", True), (".a", False), ("a b", False), ("a" * 65, False)]
)
async def test_names_of_calendars(client: httpx2.AsyncClient, document: Document, name: str, taken: bool) -> None:  # noqa: FBT001
    """As they stand in a path."""
    assert (201 if taken else 422) == (await client.put(f"/api/schedulers/calendars/{name}", json={})).status_code
    schema = parameter_schema(document, "put", "/api/schedulers/calendars/{name}", "name")
    assert taken == allows(document, schema, name)


async def test_statuses_of_errors_are_listed(client: httpx2.AsyncClient, jobs: Jobs, document: Document) -> None:
    """Those that a call can have, and no others: nothing that only another call has."""
    job_id = await jobs.create(ORDERS, orderId="79bfd10c-1529-42de-bd68-1a6e084ee13d")
    one = at(ORDERS, "{jobId}")

    def statuses(method: str, path: str) -> set[int]:
        return {int(status) for status in document["paths"][path][method]["responses"]}

    every = {400, 406, 414, 421, 422, 503}
    assert {200} | every == statuses("get", at(ORDERS))
    assert {200, 304, 404} | every == statuses("get", one)
    assert {200, 201, 403, 409, 413, 415, 429} | every == statuses("post", at(ORDERS))
    assert {200, 403, 404, 409, 412, 413, 415} | every == statuses("patch", one)
    assert {204, 403, 404, 409, 412} | every == statuses("delete", one)
    assert {200, 403, 404, 409, 413, 415} | every == statuses("post", f"{one}/pause")
    assert {200, 403, 404, 409} | every == statuses("post", f"{one}/resume")
    answer = await client.delete(at(ORDERS, job_id), headers={"If-Match": '"9"'})
    assert answer.status_code in statuses("delete", one)
