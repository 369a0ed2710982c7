"""For plugin authors: run jobs under a time that the test moves, with everything real but the clock and the disk.

A test moves the time and looks at what ran::

    async with TestScheduler(Vps4SchedulerPluginModule()) as scheduler:
        job = await scheduler.create("vps4", "backups", {"vmId": vm_id, "when": "2026-01-01T03:00:00Z"})
        await scheduler.advance(hours=3)
        assert [run.outcome for run in await scheduler.runs(job)] == [Outcome.SUCCEEDED]

`run_job` runs one job of one class at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, Self

from mainspring import logs
from mainspring.clock import Clock, ManualClock
from mainspring.execution import Lane, Runner, Slots, Threads
from mainspring.job import Events, Job, JobFilter, JobKey, Run, State
from mainspring.node import Claimer, Dispatcher, Finisher, Lease, Releaser, Yielding
from mainspring.plugins import Binder, Registry, SchedulerJob, SchedulerPluginModule, build
from mainspring.plugins.author import ServiceBinding
from mainspring.schedule import MICROSECOND
from mainspring.service import SchedulerService
from mainspring.settings import PluginSettings, Settings
from mainspring.store import NodeBeat, Notes, Store
from mainspring.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from mainspring.web import StoreCalls

START = datetime(2026, 1, 1, tzinfo=UTC)


class TestScheduler:
    """A scheduler in memory, whose time stands at `clock` and moves only by `advance`.

    What is due runs in the test's own event loop and is finished when `advance` returns. The use cases of REST are at
    `service`, what happens is announced at `events`. `settings` are the sections that plugins bind with
    `bind_settings`, by name. Raises `ConfigError` for modules and settings that a service would not start with.

    Jobs with ``isolation = "process"`` run right here too, on the test's time: in a process of their own they would
    live by the real clock. So nothing kills them, and no `memory_limit` holds.
    """

    __test__ = False  # not a test, whatever pytest thinks of its name

    def __init__(
        self,
        *modules: SchedulerPluginModule,
        start: datetime = START,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.clock = ManualClock(start)
        self.events = Events()
        logs.without_locals()
        named = [(type(module).__name__, module) for module in modules]
        told = PluginSettings(settings or {}, file=None)
        self._registry = build(named, clock=self.clock, told=told)
        self._store = SqliteStore(None, self.clock)
        self._notes = Notes(self._store, self.clock)
        self._calls: StoreCalls | None = None
        self.service = SchedulerService(
            store=self._store, notes=self._notes, registry=self._registry, clock=self.clock, events=self.events
        )

    async def __aenter__(self) -> Self:
        await self._store.open()
        if self._registry.asks_for_scheduler:
            from mainspring.web import StoreCalls  # noqa: PLC0415 - few tests need it

            self._calls = StoreCalls(self.service, self._registry)
        await self._registry.open(self._calls)
        self._node = HandDrivenNode(self._store, self._notes, self._registry, self.clock, self.events)
        await self._node.join()
        for source, declared in self._registry.declared.items():
            await self.service.declaring.adopt(source, declared)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._registry.close()
        if self._calls is not None:
            await self._calls.close()
        await self._store.close()

    async def create(self, product: str, job_group: str, body: Mapping[str, Any]) -> Job:
        """Create a job from the body of a request. Raises `InvalidRequestError`, `NotFoundError`."""
        return await self.service.create_job(JobKey(product, job_group), body)

    async def get(self, job: Job) -> Job:
        """Return the job as it is by this time. Raises `NotFoundError`."""
        return await self.service.get_job(job.key, job.id)

    async def runs(self, job: Job) -> list[Run]:
        """Return the job's history, oldest first, each run with its result, traceback and log."""
        runs = (await self.service.list_runs(job.key, job.id, before=None, limit=1000))[::-1]
        return [await self.service.get_run(job.key, job.id, run.number) for run in runs]

    async def run_once(self) -> None:
        """Run what is due at this moment, and nothing that comes of it."""
        await self._node.run_what_is_due()

    async def advance(self, **duration: float) -> None:
        """Let time pass, e.g. ``advance(days=1, hours=2)``, and run each job that is due meanwhile at its time."""
        until = self.clock.now() + timedelta(**duration)
        while await self._node.run_what_is_due() or await self._go_to_next(until):
            pass
        self.clock.set(until)

    async def _go_to_next(self, until: datetime) -> bool:
        """Move to the moment when the next job is due, if it lies in reach."""
        moment = await self._node.next_moment()
        if moment is None or moment > until:
            return False
        self.clock.set(moment)
        return True


class HandDrivenNode:
    """A node without a life of its own: it runs what is due when it is told to, on the loop that tells it so."""

    name = "test"

    def __init__(
        self, store: Store, notes: Notes, registry: Registry, clock: Clock, events: Events, *, slots: int = 100
    ) -> None:
        settings, loop = Settings(slots=slots), asyncio.get_running_loop()
        self._store = store
        self._notes = notes
        self._clock = clock
        self._lease = Lease(clock, timedelta.max / 2)  # nobody beats
        self._finisher = Finisher(store, notes, registry, clock, events)
        threads = Threads(settings.threads)
        runner = Runner(registry, clock, threads)
        shared = Slots(slots)
        lanes = {
            key: Lane(loop, runner, clock, shared, threads if binding.uses_threads else None)
            for key, binding in registry.bindings.items()
        }
        self._dispatcher = Dispatcher(registry, lanes, None, self._finisher, shared, clock, events)
        self._releaser = Releaser(store, clock, events)
        self._claimer = Claimer(store, notes, self._dispatcher, self._lease, Yielding(clock), clock, settings)

    async def join(self) -> None:
        """Write the node's row: only who has one may claim."""
        self._dispatcher.open()
        self._lease.begin(self.name)
        await self._store.join(NodeBeat(self.name, groups=self._dispatcher.keys, slots=self._dispatcher.slots.number))

    async def next_moment(self) -> datetime | None:
        """Return when there may be something to run that is not yet, if there will be."""
        now, groups = self._clock.now(), self._claimer.open_groups()
        openings = self._claimer.rates_open()
        moments = [now + timedelta(microseconds=ceil(seconds * 1e6)) for seconds in openings]  # never now again
        if due := await self._store.next_due(groups):
            moments.append(max(now, due.at))
        later = JobFilter(frozenset({State.SCHEDULED}), due_from=now + MICROSECOND)
        for key in self._dispatcher.keys:
            if key not in groups:  # what is due waits there, and hides what is not
                moments += [job.due_at for job in await self._store.page(key, later, after=None, limit=1)]
        return min(moments, default=None)

    async def run_what_is_due(self) -> bool:
        """Run what is due, as far as there are slots, and see it through; answer whether anything was due."""
        await self._notes.refresh()
        self._claimer.wake()
        claimed = await self._claimer.take(ahead=timedelta())
        while self._dispatcher.running:
            await self._dispatcher.finish()
        return await self._releaser.release() or claimed > 0


async def run_job(
    job_class: type[SchedulerJob], body: Mapping[str, Any], *, services: Mapping[type[Any], object] | None = None
) -> Run:
    """Run one job of a class at once and return how it ended.

    `services` are what its constructor may ask for, by type; settings too, as an instance of their model, and what
    stands in for its `Scheduler`, which else knows no group but its own. `body` needs no ``when``. Raises
    `InvalidRequestError` when the body is none that the class takes. Jobs that it schedules are not run.
    """
    module = _Single(job_class, services or {})
    async with TestScheduler(module) as scheduler:
        now = scheduler.clock.now().isoformat()
        job = await scheduler.create(job_class.product, job_class.job_group, {"when": now, **body})
        await scheduler.run_once()
        return (await scheduler.runs(job))[0]


class _Single(SchedulerPluginModule):
    """A module of one job class and ready-made services."""

    def __init__(self, job_class: type[SchedulerJob], services: Mapping[type[Any], object]) -> None:
        self._job_class = job_class
        self._services = services

    def configure(self, binder: Binder) -> None:
        binder.bind_job(self._job_class)
        for provides, service in self._services.items():
            # As a value, it may stand in for the scheduler too, and is closed by whoever made it.
            binder.services.append(ServiceBinding(_ready(service), provides, is_value=True))


def _ready(service: object) -> Callable[[], object]:
    return lambda: service
