"""What all errors have in common: one shape, little of what was sent, nothing of how the service is made."""

from typing import cast

import httpx2
import pytest
import structlog
from starlette.types import ASGIApp

from mainspring.clock import ManualClock
from mainspring.errors import ConflictError, StoreUnavailableError
from mainspring.plugins import Registry
from mainspring.service import CalendarService, SchedulerService
from mainspring.store import Notes
from mainspring.store.sqlite.store import SqliteStore
from mainspring.web import create_app
from tests.web.answers import at, refusal, refused
from tests.web.conftest import Jobs, client_of
from tests.web.plugin import BACKUPS, BUGGY, NOTES, ORDERS

LONG = "🙂" * 100
"""Longer than what may be repeated, in four bytes each."""
CONTROLS = "\x01" * 100
"""Six bytes each in JSON."""
ORDER = {"when": "2026-12-01T10:00:00Z", "orderId": "79bfd10c-1529-42de-bd68-1a6e084ee13d"}


async def test_error_reads_like_this(client: httpx2.AsyncClient) -> None:
    """In full, once; every test that reads an error checks its shape."""
    answer = await client.post(at(ORDERS), json=ORDER | {"amount": 0}, headers={"X-Request-ID": "order-66"})

    assert answer.status_code == 422
    assert answer.json() == {
        "type": "/problems/job-creation-error",
        "title": "Invalid request",
        "status": 422,
        "detail": "/amount must be greater than or equal to 1",
        "instance": "order-66",
        "id": "JOB_CREATION_ERROR",
        "errors": [
            {
                "pointer": "/amount",
                "code": "GREATER_THAN_EQUAL",
                "detail": "must be greater than or equal to 1",
            }
        ],
        "retryable": False,
    }


@pytest.mark.parametrize("text", [LONG, CONTROLS, "x" * 5000])
async def test_error_repeats_little_of_what_was_sent(client: httpx2.AsyncClient, text: str) -> None:
    """At most 64 characters of a name or a value, wherever they came from."""
    answers = [
        await client.post(at(ORDERS), json=ORDER | {"channel": text}),
        await client.post(at(ORDERS), json=ORDER | {"pet": {"kind": text}}),
        await client.post(at(ORDERS), json=ORDER | {"secret": text}),
        await client.post(at(ORDERS), json=ORDER | {text: 1}),
        await client.post(at(BUGGY), json={"when": "2026-12-01T10:00:00Z", "colour": text}),
        await client.post(at(BACKUPS), json={"when": text}),
        await client.post(at(BACKUPS), json={"schedule": {"every": "P1D", "timeZone": text}}),
        await client.post(at(BACKUPS), content=text, headers={"Content-Type": "application/json"}),
        await client.post(at(BACKUPS), content="{}", headers={"Content-Type": f"application/{text!a}"}),
        await client.get(at(BACKUPS), params={text: 1}),
        await client.get(at(BACKUPS), params={"cursor": text}),
        await client.get(at(BACKUPS), params={"state": text}),
    ]

    for answer in answers:
        assert refusal(answer).status in {400, 415, 422}
        assert text[:65] not in str(answer.json())


async def test_error_stays_small(client: httpx2.AsyncClient) -> None:
    """Whatever is wrong and however often; what is left out is counted in the sentence or is more of the same."""
    answers = [
        await client.post(at(ORDERS), json={f"{text[:60]}{n}": n for n in range(400)}) for text in (LONG, CONTROLS)
    ]
    answers += [await client.post(at(ORDERS), json=ORDER | {"tags": [text] * 400}) for text in (LONG, CONTROLS)]
    answers.append(await client.get(at(BACKUPS), params={f"{n}{'x' * 30}": n for n in range(200)}))

    for answer in answers:
        status, _, errors = refusal(answer)
        assert status == 422
        assert errors


@pytest.fixture
def broken_app(registry: Registry, store: SqliteStore) -> ASGIApp:
    """The application with a bug."""

    class Broken:
        @property
        def control(self) -> None:
            raise RuntimeError("select password from /etc/mainspring")

    service = cast("SchedulerService", Broken())
    return create_app(
        service=service,
        calendars=CalendarService(store, Notes(store, ManualClock())),
        registry=registry,
        obstacle=lambda: None,
        hosts=["mainspring"],
    )


async def test_bug_of_the_service_is_told_to_the_log_only(broken_app: ASGIApp) -> None:
    """The client gets the id under which the log has it."""
    async with client_of(broken_app, raise_app_exceptions=False) as client:
        with structlog.testing.capture_logs() as logged:
            answer = await client.get("/api/schedulers", headers={"X-Request-ID": "order-66"})

    assert refused(500, "INTERNAL_ERROR") == refusal(answer)
    assert "password" not in answer.text
    assert [("order-66", "RuntimeError")] == [(line["request"], type(line["exc_info"]).__name__) for line in logged]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StoreUnavailableError('connection to "10.1.2.3" failed: no password'), refused(503, "STORE_UNAVAILABLE")),
        (ConflictError('duplicate key violates "jobs_pkey"'), refused(409, "CONFLICT")),
    ],
)
async def test_words_of_a_store_are_told_to_the_log_only(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, store: SqliteStore, error: Exception, expected: object
) -> None:
    """They may name hosts, tables or SQL."""

    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(store, "add", fail)
    with structlog.testing.capture_logs() as logged:
        answer = await client.post(at(NOTES), json={"when": "2026-12-01T10:00:00Z"})

    assert expected == refusal(answer)
    assert str(error)[:10] not in answer.text
    assert [str(error)] == [line["error"] for line in logged]


async def test_change_that_never_gets_through_may_be_repeated(
    client: httpx2.AsyncClient, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, store: SqliteStore
) -> None:
    """When others keep writing the same job, nothing is written, and the error says that a repetition may help."""

    async def lose(*_: object) -> bool:
        return False

    job_id = await jobs.create(NOTES)
    monkeypatch.setattr(store, "update", lose)

    answer = await client.patch(at(NOTES, job_id), json={"a": 1})

    assert refused(409, "CONFLICT") == refusal(answer)
    assert answer.json()["retryable"] is True
