"""What the tests of the plugin vps4 share."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import httpx2
import pytest
from mainspring_vps4.plugin import Vps4SchedulerPluginModule

from mainspring import JobExecutionContext, JobRequest, Once, Trigger
from mainspring.clock import ManualClock
from mainspring.job import Events, Job, JobKey, Progress
from mainspring.plugins import build
from mainspring.service import CalendarService, SchedulerService
from mainspring.store import Notes
from mainspring.store.sqlite.store import SqliteStore
from mainspring.web import create_app

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


AT_NOON = Once(NOON)


@dataclass
class FakeTeller:
    """Notes which jobs are to follow a run."""

    follow_ups: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def keep(self, line: str) -> None:
        pass

    def report(self, progress: Progress) -> None:
        pass

    def follow(self, job_group: str, body: Mapping[str, Any]) -> UUID:
        self.follow_ups.append((job_group, body))
        return UUID(int=len(self.follow_ups))


class MakeContext(Protocol):
    """Makes what a job or a listener is told about its first run."""

    def __call__(
        self,
        request: JobRequest,
        *,
        trigger: Trigger = ...,
        fire_time: datetime = ...,
        teller: FakeTeller | None = None,
    ) -> JobExecutionContext: ...


@pytest.fixture
def a_context() -> MakeContext:
    """Make contexts of a job that is meant to run at noon, and does so unless a test says otherwise."""

    def make(
        request: JobRequest,
        *,
        trigger: Trigger = AT_NOON,
        fire_time: datetime = NOON,
        teller: FakeTeller | None = None,
    ) -> JobExecutionContext:
        job = Job(UUID(int=1), JobKey("vps4", "backups"), {}, trigger, NOON, NOON, NOON, NOON, attempt=1, run=1)
        return JobExecutionContext(job, request, fire_time, teller=teller or FakeTeller())

    return make


@pytest.fixture
def clock() -> ManualClock:
    """It is noon of 1 January 2026 until a test says otherwise."""
    return ManualClock(NOON)


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[SqliteStore]:
    """A store in memory."""
    store = SqliteStore(None, clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def http(store: SqliteStore, clock: ManualClock) -> AsyncIterator[httpx2.AsyncClient]:
    """The REST API of a service that has the plugin vps4; no node runs its jobs."""
    registry, notes = build([("vps4", Vps4SchedulerPluginModule())]), Notes(store, clock)
    service = SchedulerService(store=store, notes=notes, registry=registry, clock=clock, events=Events())
    calendars = CalendarService(store, notes)
    app = create_app(service=service, calendars=calendars, registry=registry, obstacle=lambda: None)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8089") as client:
        yield client
