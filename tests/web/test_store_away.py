"""The store fails, at any moment of any call: 503 each time, and never an empty list, a 404 or a success."""

from typing import Any, cast
from uuid import UUID

import httpx2
import pytest

from mainspring.clock import ManualClock
from mainspring.errors import SchemaChangedError, StoreUnavailableError
from mainspring.store import Store
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at, refusal, refused
from tests.web.conftest import Jobs, MakeApp, client_of, some_jobs
from tests.web.plugin import BACKUPS, NOTES

AWAY = refused(503, "STORE_UNAVAILABLE")


class FailingStore:
    """A store that answers so many times and then no more."""

    def __init__(self, store: Store, answers: int) -> None:
        self._store = store
        self._left = answers

    def __getattr__(self, verb: str) -> Any:
        work = getattr(self._store, verb)

        async def answer(*args: object, **named: object) -> object:
            if self._left == 0:
                raise StoreUnavailableError(f"{verb} did not answer")
            self._left -= 1
            return await work(*args, **named)

        return answer


CALENDARS = "/api/schedulers/calendars"
WEBHOOKS = "/api/schedulers/webhooks"
CALLS = [
    pytest.param("GET", "/api/schedulers", None, 200, id="groups"),
    pytest.param("POST", at(BACKUPS), None, 201, id="create"),
    pytest.param("GET", at(BACKUPS), None, 200, id="list, empty"),
    pytest.param("GET", at(BACKUPS), "scheduled", 200, id="list"),
    pytest.param("GET", f"{at(BACKUPS)}?limit=1", "scheduled", 200, id="page"),
    pytest.param("GET", "/api/schedulers/jobs", "scheduled", 200, id="list of all groups"),
    pytest.param("GET", "/api/schedulers/vps4/patching/jobs", None, 404, id="list of no group"),
    pytest.param("GET", at(BACKUPS, "{}"), "scheduled", 200, id="show"),
    pytest.param("HEAD", at(BACKUPS, "{}"), "scheduled", 200, id="show, without a body"),
    pytest.param("GET", at(NOTES, "{}"), "scheduled", 404, id="show, of another group"),
    pytest.param("PATCH", at(BACKUPS, "{}"), "scheduled", 200, id="change"),
    pytest.param("PATCH", at(BACKUPS, "{}"), "running", 409, id="change, too late"),
    pytest.param("DELETE", at(BACKUPS, "{}"), "scheduled", 204, id="delete"),
    pytest.param("DELETE", at(BACKUPS, "{}"), "running", 204, id="delete, running"),
    pytest.param("POST", at(BACKUPS, "{}", "pause"), "scheduled", 200, id="pause"),
    pytest.param("POST", at(BACKUPS, "{}", "resume"), "scheduled", 200, id="resume"),
    pytest.param("POST", at(BACKUPS, "{}", "retry"), "failed", 200, id="retry"),
    pytest.param("GET", at(BACKUPS, "{}", "runs"), "failed", 200, id="runs"),
    pytest.param("POST", f"{at(BACKUPS)}?dryRun=true", None, 200, id="dry run"),
    pytest.param("GET", at(BACKUPS, "{}", "preview"), "recurring", 200, id="preview"),
    pytest.param("POST", at(BACKUPS, "{}", "backfill"), "recurring", 202, id="backfill"),
    pytest.param("GET", CALENDARS, None, 200, id="calendars"),
    pytest.param("PUT", f"{CALENDARS}/freeze", "recurring", 200, id="put calendar"),
    pytest.param("GET", f"{CALENDARS}/freeze", "recurring", 200, id="calendar"),
    pytest.param("DELETE", f"{CALENDARS}/freeze", "recurring", 409, id="delete calendar"),
    pytest.param("DELETE", f"{CALENDARS}/free", None, 404, id="delete no calendar"),
    pytest.param("GET", WEBHOOKS, None, 200, id="webhooks"),
    pytest.param("PUT", f"{WEBHOOKS}/hook", None, 201, id="put webhook"),
    pytest.param("GET", f"{WEBHOOKS}/hook", None, 404, id="no webhook"),
    pytest.param("DELETE", f"{WEBHOOKS}/hook", None, 404, id="delete no webhook"),
    pytest.param("GET", f"{WEBHOOKS}/hook/deliveries", None, 404, id="deliveries to no webhook"),
]


def body_of(method: str, path: str) -> dict[str, Any] | None:
    """Return what is sent with a call."""
    if path.endswith("backfill"):
        return {"from": "2026-05-01T00:00:00Z", "to": "2026-05-31T00:00:00Z", "cap": 2}
    if path.endswith(("retry", "pause")):
        return {}
    if "dryRun" in path:
        return {"schedule": {"every": "P1D"}}
    if method == "PUT" and path.startswith(WEBHOOKS):
        return {"url": "https://receiver.example/"}
    if method == "PUT":
        return {"dates": ["2026-06-02"]}
    return {"when": "2026-12-01T10:00:00Z"} if method in {"PATCH", "POST"} else None


@pytest.mark.parametrize(("method", "path", "state", "status"), CALLS)
async def test_store_that_fails_is_never_taken_for_an_answer(
    make_app: MakeApp, store: SqliteStore, jobs: Jobs, method: str, path: str, state: str | None, status: int
) -> None:
    """Wherever in the call the store falls silent: before its first word, its second, and so on."""
    path = path.format(state and await jobs.made(BACKUPS, state))
    body = body_of(method, path)

    async def call(answers: int) -> httpx2.Response:
        failing = cast("Store", FailingStore(store, answers))
        async with client_of(make_app(failing)) as client:
            return await client.request(method, path, json=body)

    answers = 0
    while (answer := await call(answers)).status_code == 503:
        assert answer.headers["retry-after"] == "2"
        if method != "HEAD":
            assert AWAY == refusal(answer)
            assert answer.json()["retryable"] is True
        answers += 1

    assert answers > 0
    assert status == answer.status_code


async def test_process_is_alive_but_not_ready(make_app: MakeApp, store: SqliteStore) -> None:
    """To restart it would not bring the store back; to send it requests would not help them."""
    async with client_of(make_app(cast("Store", FailingStore(store, 0)))) as client:
        live, ready = await client.get("/livez"), await client.get("/readyz")

    assert (200, {"status": "ok"}) == (live.status_code, live.json())
    assert refused(503, "NOT_READY") == refusal(ready)


async def test_list_that_breaks_off_is_not_a_shorter_list(
    make_app: MakeApp, store: SqliteStore, clock: ManualClock
) -> None:
    """When the store fails in the middle of a stream the answer is cut, so that no client takes it for whole."""
    await store.add(some_jobs(NOTES, 600, clock))

    async with client_of(make_app(cast("Store", FailingStore(store, 8)))) as client:
        with pytest.raises(StoreUnavailableError):  # goes to the server, which cuts the connection
            await client.get(at(NOTES))


@pytest.mark.parametrize(("method", "speaks_of_writes"), [("GET", False), ("POST", True), ("DELETE", True)])
async def test_only_a_call_that_writes_speaks_of_a_write(
    client: httpx2.AsyncClient, store: SqliteStore, method: str, *, speaks_of_writes: bool
) -> None:
    """Whoever only read need not look whether something was done."""
    await store.close()
    body: dict[str, Any] = {"json": {"when": "2026-12-01T10:00:00Z"}} if method == "POST" else {}
    path = f"{at(NOTES)}/{UUID(int=1)}" if method == "DELETE" else at(NOTES)

    answer = await client.request(method, path, **body)

    assert AWAY == refusal(answer)
    assert answer.json()["detail"].startswith("the job store does not answer")
    assert speaks_of_writes == ("a write in progress" in answer.json()["detail"])


async def test_schema_that_was_upgraded_is_told(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, store: SqliteStore
) -> None:
    """The service is of no use until it is restarted, and says so in place of an error of its own."""

    async def fail(*_: object, **__: object) -> None:
        raise SchemaChangedError("the schema was brought to version 0004; restart it")

    monkeypatch.setattr(store, "ids", fail)
    answer = await client.get(at(NOTES))

    assert refused(503, "SCHEMA_CHANGED") == refusal(answer)
    assert "restart it" in answer.json()["detail"]


async def test_closed_store_is_a_store_that_is_away(client: httpx2.AsyncClient, store: SqliteStore) -> None:
    """As while the service stops."""
    await store.close()

    assert AWAY == refusal(await client.get(at(BACKUPS)))
    assert refused(503, "NOT_READY") == refusal(await client.get("/readyz"))
