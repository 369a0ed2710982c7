"""For plugin authors: run jobs under a time that the test moves, with everything real but the clock and the disk.

async with TestScheduler(Vps4SchedulerPluginModule()) as scheduler:
job = await scheduler.create("vps4", "backups", {"vmId": vm_id, "when": "2026-01-01T03:00:00Z"})
await scheduler.advance(hours=3)
assert [run.outcome for run in await scheduler.runs(job)] == [Outcome.SUCCEEDED]
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from mainspring.clock import ManualClock
from mainspring.execution import Lane, Runner
from mainspring.job import Events, Job, JobKey, Run
from mainspring.node import HostLock, Node, Place
from mainspring.plugins import Binder, SchedulerJob, SchedulerPluginModule, build
from mainspring.service import SchedulerService
from mainspring.settings import Settings
from mainspring.store.sqlite import SqliteStore

START = datetime(2026, 1, 1, tzinfo=UTC)


class TestScheduler:
    """A scheduler in memory, whose time stands at `clock` and moves only by `advance`.

    What is due runs in the test's own event loop and is finished when `advance` returns. The use cases of REST are at
    `service`, what happens is announced at `events`. Raises `ConfigError` for modules that a service would not start
    with.

    Jobs with ``isolation = "process"`` run right here too, on the test's time: in a process of their own they would
    live by the real clock. So nothing kills them, and no `memory_limit` holds.
    """

    __test__ = False  # not a test, whatever pytest thinks of its name

    def __init__(self, *modules: SchedulerPluginModule, start: datetime = START) -> None:
        self.clock = ManualClock(start)
        self.events = Events()
        named = [(type(module).__name__, module) for module in modules]
        self._registry = build(named, clock=self.clock)
        self._store = SqliteStore(None, self.clock)
        self.service = SchedulerService(
            store=self._store, registry=self._registry, clock=self.clock, events=self.events
        )

    async def __aenter__(self) -> Self:
        await self._store.open()
        await self._registry.open()
        settings, loop = Settings(node="test"), asyncio.get_running_loop()
        runner = Runner(self._registry, self.clock, settings.threads)
        self._node = Node(
            store=self._store,
            registry=self._registry,
            lanes={key: Lane(loop, runner.run) for key in self._registry.bindings},
            clock=self.clock,
            events=self.events,
            settings=settings,
            place=Place(loop, HostLock()),
        )
        await self._node.join()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._registry.close()
        await self._store.close()

    async def create(self, product: str, job_group: str, body: Mapping[str, Any]) -> Job:
        """Create a job from the body of a request. Raises `InvalidRequestError`, `NotFoundError`."""
        return await self.service.create_job(JobKey(product, job_group), body)

    async def get(self, job: Job) -> Job:
        """Return the job as it is by this time. Raises `NotFoundError`."""
        return await self.service.get_job(job.key, job.id)

    async def runs(self, job: Job) -> list[Run]:
        """Return the job's history, oldest first."""
        return (await self.service.list_runs(job.key, job.id, before=None, limit=1000))[::-1]

    async def advance(self, **duration: float) -> None:
        """Let time pass, e.g. ``advance(days=1, hours=2)``, and run each job that is due meanwhile at its time."""
        until = self.clock.now() + timedelta(**duration)
        while await self._node.turn() or await self._go_to_next(until):
            pass
        self.clock.set(until)

    async def _go_to_next(self, until: datetime) -> bool:
        """Move to the moment when the next job is due, if it lies in reach."""
        due = await self._store.next_due(self._registry.bindings)
        if due is None or due.at > until:
            return False
        self.clock.set(max(self.clock.now(), due.at))
        return True


async def run_job(
    job_class: type[SchedulerJob], body: Mapping[str, Any], *, services: Mapping[type[Any], object] | None = None
) -> Run:
    """Run one job of a class at once and return how it ended.

    `services` are what its constructor may ask for, by type. `body` needs no ``when``. Raises `InvalidRequestError`
    when the body is none that the class takes.
    """
    module = _Single(job_class, services or {})
    async with TestScheduler(module) as scheduler:
        now = scheduler.clock.now().isoformat()
        job = await scheduler.create(job_class.product, job_class.job_group, {"when": now, **body})
        await scheduler.advance(seconds=0)
        return (await scheduler.runs(job))[0]


class _Single(SchedulerPluginModule):
    """A module of one job class and ready-made services."""

    def __init__(self, job_class: type[SchedulerJob], services: Mapping[type[Any], object]) -> None:
        self._job_class = job_class
        self._services = services

    def configure(self, binder: Binder) -> None:
        binder.bind_job(self._job_class)
        for provides, service in self._services.items():
            binder.bind_service(_ready(service), provides=provides)


def _ready(service: object) -> Callable[[], object]:
    return lambda: service
