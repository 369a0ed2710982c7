"""A node on each store, under a clock that the tests move, with jobs that tell what happened to them."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest

from mainspring import Binder, JobExecutionContext, SchedulerJob, SchedulerPluginModule, job_group, product
from mainspring.clock import ManualClock
from mainspring.errors import StoreUnavailableError
from mainspring.execution import Assignment, Lane, Places, Quarantine, Runner, Slots, Threads
from mainspring.job import Backoff, Ending, Events, Job, JobKey, Run
from mainspring.job.events import Event
from mainspring.node import HostLock, Node, Place
from mainspring.plugins import build
from mainspring.schedule import format_time
from mainspring.service import SchedulerService
from mainspring.settings import Settings
from mainspring.store import Notes, Store
from mainspring.store.postgres.schema import rebuild_schema
from mainspring.store.postgres.store import PostgresStore
from mainspring.store.sqlite.store import SqliteStore

KEY = JobKey("vps4", "backups")
STEPS = 5000
QUIET_TURNS = 20


@dataclass
class Script:
    """What the test's jobs do, and what they saw."""

    contexts: list[JobExecutionContext] = field(default_factory=list)
    failures: int = 0
    hold: asyncio.Event | None = None
    most_at_once: int = 0
    at_once: int = 0

    async def play(self, context: JobExecutionContext) -> None:
        self.contexts.append(context)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.hold is not None:
                await self.hold.wait()
        finally:
            self.at_once -= 1
        if self.failures > 0:
            self.failures -= 1
            raise RuntimeError("as the script says")


@product("vps4")
@job_group("backups")
class ScriptedJob(SchedulerJob):
    backoff: ClassVar[Backoff] = Backoff(timedelta(seconds=10))

    def __init__(self, script: Script) -> None:
        self.script = script

    async def execute(self, context: JobExecutionContext) -> None:
        await self.script.play(context)


class Module(SchedulerPluginModule):
    def __init__(self, script: Script) -> None:
        self.script = script

    def configure(self, binder: Binder) -> None:
        binder.bind_job(ScriptedJob)
        binder.bind_service(lambda: self.script, provides=Script)


class Called:
    """An executor that is a function of a test."""

    def __init__(self, run: Callable[[Assignment], Awaitable[Ending]]) -> None:
        self._run = run

    async def run(self, assignment: Assignment) -> Ending:
        return await self._run(assignment)


class ReadyQuarantine(Quarantine):
    """A quarantine without processes, in which a test says how runs go; ready when it was asked to be so often."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        run: Callable[[Assignment], Awaitable[Ending]],
        clock: ManualClock,
        slots: Slots,
        after: int,
    ) -> None:
        Lane.__init__(self, loop, Called(run), clock, slots)
        self._asked = 0
        self._after = after

    def get_ready(self) -> None:
        self._asked += 1

    def is_ready(self, _coming: int) -> bool:
        return self._asked >= self._after


class WatchedStore:
    """A store that knows how many calls are under way, and whose named verbs fail a number of times first."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._under_way = 0
        self.failing: dict[str, int] = {}
        self.calls: Counter[str] = Counter()
        self.just_after: dict[str, Callable[[], None]] = {}
        """What happens between a verb's work and its answer."""

    def __getattr__(self, verb: str) -> Any:
        attribute = getattr(self._store, verb)
        return partial(self._watched, verb, attribute) if asyncio.iscoroutinefunction(attribute) else attribute

    async def _watched(self, verb: str, call: Callable[..., Awaitable[Any]], *arguments: Any, **named: Any) -> Any:
        self.calls[verb] += 1
        if self.failing.get(verb, 0) > 0:
            self.failing[verb] -= 1
            raise StoreUnavailableError("as the test says")
        self._under_way += 1
        try:
            answer = await call(*arguments, **named)
            self.just_after.pop(verb, lambda: None)()
            return answer
        finally:
            self._under_way -= 1

    async def settle(self) -> None:
        """Return when nobody has talked to the store for a number of turns of the loop: all wait for time to pass."""
        quiet = 0
        while quiet < QUIET_TURNS:
            await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
            quiet = 0 if self._under_way else quiet + 1


@dataclass
class World:
    """One store, one clock, and what happened on them."""

    store: Any
    clock: ManualClock
    script: Script
    events: Events
    seen: list[Event] = field(default_factory=list)

    @property
    def service(self) -> SchedulerService:
        return SchedulerService(
            store=self.store, notes=self.notes, registry=self._registry, clock=self.clock, events=self.events
        )

    def __post_init__(self) -> None:
        for kind in get_args(Event):
            self.events.subscribe(kind, self.seen.append)
        self._registry = build([("test", Module(self.script))])
        self.notes = Notes(self.store, self.clock)

    @asynccontextmanager
    async def node(
        self,
        *,
        places: Places | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        quarantine: Callable[[Assignment], Awaitable[Ending]] | None = None,
        ready_after: int = 0,
        **settings: Any,
    ) -> AsyncIterator[Node]:
        """A node that lives while the block runs, and has left when it ends; jobs run on `loop`, or the test's."""
        here = asyncio.get_running_loop()
        bindings = build([("test", Module(self.script))])
        await bindings.open()
        runner = Runner(bindings, self.clock, Threads(2))
        chosen = Settings.model_validate({"node": "test", **settings})
        slots = Slots(chosen.slots)
        node = Node(
            store=self.store,
            notes=Notes(self.store, self.clock),
            registry=bindings,
            clock=self.clock,
            events=self.events,
            settings=chosen,
            place=Place(
                {KEY: Lane(loop or here, runner, self.clock, slots, places)},
                slots,
                here,
                HostLock(),
                quarantine and ReadyQuarantine(here, quarantine, self.clock, slots, ready_after),
            ),
        )
        life = asyncio.create_task(node.run())
        try:
            await self.until(lambda: node.obstacle is None)
            yield node
        finally:
            node.stop()
            await self.until(life.done)
            await life
            await bindings.close()

    async def create(self, *, after: float = 0, **body: Any) -> Job:
        """Create a job due `after` seconds from the clock's time."""
        when = format_time(self.clock.now() + timedelta(seconds=after))
        return await self.service.create_job(KEY, {"when": when, **body})

    async def job(self, job: Job) -> Job:
        return await self.service.get_job(KEY, job.id)

    async def runs(self, job: Job) -> list[Run]:
        """Return the history of a job, oldest first."""
        return (await self.service.list_runs(KEY, job.id, before=None, limit=100))[::-1]

    async def until(self, condition: Callable[[], bool | Awaitable[bool]], *, step: float = 0.05) -> None:
        """Let time pass in small steps, each when all is quiet, until something has come about."""
        for _ in range(STEPS):
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await self.store.settle()
            self.clock.advance(seconds=step)
        raise AssertionError(f"did not come about in {STEPS} steps of {step} s")

    async def happened(self, kind: type[Event], times: int = 1) -> None:
        """Let time pass until that many events of a kind were announced."""
        await self.until(lambda: sum(isinstance(event, kind) for event in self.seen) >= times)

    async def pass_time(self, seconds: float) -> None:
        """Let that much time pass."""
        end = self.clock.now() + timedelta(seconds=seconds)
        await self.until(lambda: self.clock.now() >= end)


@pytest.fixture(scope="session")
def postgres_schema(postgres_url: str) -> str:
    """A database with a schema."""
    rebuild_schema(postgres_url)
    return postgres_url


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A world on each kind of store."""
    clock = ManualClock()
    store: Any
    match request.param:
        case "memory":
            store = SqliteStore(None, clock)
        case "sqlite":
            store = SqliteStore(tmp_path / "jobs.db", clock)
        case _:
            url = request.getfixturevalue("postgres_schema")
            rebuild_schema(url)
            store = PostgresStore(url, clock)
    await store.open()
    yield World(WatchedStore(store), clock, Script(), Events())
    await store.close()


@pytest.fixture
def threads_end() -> Iterator[None]:
    """No job may leave a thread behind."""
    before = threading.active_count()
    yield
    assert before == threading.active_count()
