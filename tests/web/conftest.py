"""The application over a store in memory, with time that stands still and no node but the test itself."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, get_args
from uuid import UUID

import httpx2
import pytest
from starlette.types import ASGIApp

from mainspring.clock import ManualClock
from mainspring.job import Ending, Events, Job, JobKey, Options, Outcome, RetryPolicy, history, lifecycle
from mainspring.job.events import Event
from mainspring.plugins import Registry, build
from mainspring.schedule import Once
from mainspring.service import CalendarService, SchedulerService
from mainspring.store import Answer, NodeBeat, Notes, Store
from mainspring.store.sqlite.store import SqliteStore
from mainspring.web import create_app
from tests.web.answers import at, new_id
from tests.web.plugin import BACKUPS, Module

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NO_MORE = RetryPolicy(1, at_most_once=True)
"""No run is tried again that went wrong."""


@pytest.fixture
def clock() -> ManualClock:
    """It is noon of 1 June 2026 until a test says otherwise."""
    return ManualClock(NOW)


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The job groups of these tests."""
    return build([("test", Module())])


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[SqliteStore]:
    """A store in memory."""
    store = SqliteStore(None, clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def events() -> Events:
    """Where the service announces what happened."""
    return Events()


@pytest.fixture
def announced(events: Events) -> list[Event]:
    """What the service has announced."""
    heard: list[Event] = []
    for kind in get_args(Event):
        events.subscribe(kind, heard.append)
    return heard


# --- the application --------------------------------------------------------------------------------------------------


class MakeApp(Protocol):
    def __call__(self, store: Store, obstacle: str | None = ...) -> ASGIApp: ...


@pytest.fixture
def make_app(registry: Registry, clock: ManualClock, events: Events) -> MakeApp:
    """Make the application over a store of the test's own."""

    def make(store: Store, obstacle: str | None = None) -> ASGIApp:
        notes = Notes(store, clock)
        service = SchedulerService(store=store, notes=notes, registry=registry, clock=clock, events=events)
        return create_app(
            service=service,
            calendars=CalendarService(store, notes),
            registry=registry,
            obstacle=lambda: obstacle,
            hosts=["mainspring"],
        )

    return make


@pytest.fixture
def app(make_app: MakeApp, store: SqliteStore) -> ASGIApp:
    """The application."""
    return make_app(store)


def client_of(app: ASGIApp, *, raise_app_exceptions: bool = True) -> httpx2.AsyncClient:
    """Return a client of an application, without a network between them."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=raise_app_exceptions)
    return httpx2.AsyncClient(transport=transport, base_url="http://mainspring")


@pytest.fixture
async def client(app: ASGIApp) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application."""
    async with client_of(app) as client:
        yield client


# --- jobs in every state ----------------------------------------------------------------------------------------------


def some_jobs(key: JobKey, number: int, clock: ManualClock) -> list[Job]:
    """Return new jobs; each three are due at the same time, and none in the order of its creation."""
    due = [NOW + timedelta(minutes=(number - n) // 3) for n in range(number)]
    return [
        lifecycle.create(
            job_id=clock.new_id(),
            key=key,
            request={"n": n},
            trigger=Once(due[n]),
            options=Options(),
            now=NOW,
            calendars={},
        ).job
        for n in range(number)
    ]


class Jobs:
    """Makes jobs as a client does and runs them as a node does, once time has come for them."""

    def __init__(self, client: httpx2.AsyncClient, store: Store, clock: ManualClock) -> None:
        self._client = client
        self._store = store
        self._clock = clock

    async def create(self, key: JobKey, /, **body: Any) -> UUID:
        """Create a job, due now if nothing else is said."""
        when = {} if body.keys() & {"when", "schedule"} else {"when": "2026-06-01T12:00:00Z"}
        return new_id(await self._client.post(at(key), json=when | body))

    async def claim(self, key: JobKey) -> Job:
        """Take the earliest due job of a group; it runs from now on."""
        (claim,) = (await self._store.claim("node-1", {key: 1}, 1)).claims
        return claim.job

    async def finish(
        self, job: Job, outcome: Outcome, reason: str | None = None, *, policy: RetryPolicy = NO_MORE
    ) -> None:
        """End the run of a job, for which no retry is left unless the policy leaves one."""
        now, ending = self._clock.now(), Ending(outcome, reason)
        run = history.ended(job, ending, started_at=now, now=now)
        change = lifecycle.after(job, run, ending, policy=policy, now=now, chance=0, calendars={})
        assert await self._store.finish([change]) == [Answer.DONE]

    async def running(self, key: JobKey, /, **body: Any) -> UUID:
        """Create a job that runs."""
        job_id = await self.create(key, **body)
        assert (await self.claim(key)).id == job_id
        return job_id

    async def ended(self, key: JobKey, outcome: Outcome, /, **body: Any) -> UUID:
        """Create a job that has run once."""
        job_id = await self.create(key, **body)
        await self.finish(await self.claim(key), outcome)
        return job_id

    async def made(self, key: JobKey, state: str) -> UUID:
        """Create a job in the state of that name, or one that is done with the outcome of that name."""
        match state:
            case "scheduled":
                return await self.create(key)
            case "running":
                return await self.running(key)
            case "recurring":
                await self._client.put("/api/schedulers/calendars/freeze", json={})
                schedule = {"cron": "0 3 * * *", "start": "2026-05-10T00:00:00Z", "calendar": "freeze"}
                return await self.create(key, schedule=schedule)
            case _:
                return await self.ended(key, Outcome(state))

    async def shown(self, key: JobKey, job_id: UUID) -> dict[str, Any]:
        """Return a job as a client sees it."""
        answer = await self._client.get(at(key, job_id))
        content: dict[str, Any] = answer.json()
        assert answer.status_code == 200, answer.text
        return content


@pytest.fixture
async def jobs(client: httpx2.AsyncClient, store: SqliteStore, clock: ManualClock) -> Jobs:
    """Jobs in the states that a test needs."""
    await store.join(NodeBeat("node-1", groups=(BACKUPS,), slots=9))
    return Jobs(client, store, clock)
