"""Jobs in processes of their own: the executor that hands them to workers (decisions 0019, 0021 and 0026).

A worker belongs to one job group, or to all of them, runs one job at a time, and is used again while it is healthy. It
makes its own registry from the names of the plugins (`worker`), so nothing but JSON crosses, a line a
message. The node believes an ending only if the worker says so; an exit without one has failed.
"""

from __future__ import annotations

import asyncio
import math
import signal
import sys

from mainspring.clock import Clock, wait
from mainspring.execution.assignment import Assignment
from mainspring.execution.endings import describe, failed, interrupted
from mainspring.execution.workers.handle import Worker, WorkerDiedError
from mainspring.execution.workers.spawner import Spawner
from mainspring.execution.workers.supervisor import Supervisor
from mainspring.execution.workers.wire import GOODBYE_SECONDS
from mainspring.job import Ending, JobKey
from mainspring.plugins import Calls, Registry
from mainspring.settings import DECLARED, Settings

START_SECONDS = 60.0
"""How long a worker may take to load its plugins and build its services."""
QUICK_SECONDS = 0.25
"""A start that takes no longer is worth waiting for: a job that is handed back waits longer."""
SHARED = 16
"""How many workers all groups together may have where they share them."""


class _Pool:
    """The workers of a job group, or of all groups where `key` is `None`: those that wait, and who waits for one."""

    def __init__(self, key: JobKey | None, most: int) -> None:
        self.key = key
        self.free = asyncio.Semaphore(most)
        self.idle: asyncio.Queue[Worker | Exception] = asyncio.Queue()
        self.waiting = 0
        self.grows = False


class ProcessRunner:
    """Runs assignments in workers; all on one event loop.

    Workers start when they are needed and stay. Each group has its own, at most `processes`: one that fills or wears
    out its workers leaves those of the others alone. If they are `shared`, all groups have the same workers. `calls`
    takes what runs call their `Scheduler` for.
    """

    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        settings: Settings,
        spawner: Spawner,
        *,
        shared: bool = False,
        calls: Calls | None = None,
    ) -> None:
        self._registry = registry
        self._calls = calls
        self._clock = clock
        self._settings = settings
        self._spawner = spawner
        if shared:
            self._pools = dict.fromkeys(registry.bindings, _Pool(None, SHARED))
        else:
            self._pools = {key: _Pool(key, settings.processes) for key in registry.bindings}
        self._workers: set[Worker] = set()
        self._growth: set[asyncio.Task[None]] = set()
        self._failed = False
        """Whether the last worker that was wanted could not be had."""
        self._start_seconds = math.inf
        """How long the last one took from its start until it was ready."""
        self._farewells: set[asyncio.Task[None]] = set()

    async def run(self, assignment: Assignment) -> Ending:
        """Run an assignment to its end, whatever that is; never raises.

        Waiting for a worker takes nothing from the job's time.
        """
        assignment.started_at = assignment.store_time(self._clock.monotonic())  # from here on the node may cancel it
        pool = self._pools[assignment.job.key]
        try:
            if (refusal := assignment.refusal()) is not None:
                return refusal
            async with pool.free:
                worker = await self._take(pool)
                if (refusal := assignment.refusal()) is not None:
                    pool.idle.put_nowait(worker)
                    return refusal
                assignment.started_at = assignment.store_time(self._clock.monotonic())
                return await self._see_through(worker, assignment)
        except asyncio.CancelledError:
            return interrupted(assignment.stopping.why or "the run was cancelled")
        except WorkerDiedError as death:
            return failed(f"no worker process could be had: {death}")
        except Exception as error:  # noqa: BLE001 - whatever the machine refuses: a process, a pipe, a thread
            return failed(f"no worker process could be had: {describe(error)}")

    async def close(self) -> None:
        """Let all workers go, and see that they are gone."""
        for growing in self._growth:
            growing.cancel()
        for worker in list(self._workers):
            self._dismiss(worker)
        while self._farewells:
            await asyncio.wait(self._farewells)

    def prepare(self) -> None:
        """Start a worker, and the fork server for more, before they are needed. On the loop of the workers."""
        for pool in set(self._pools.values()):
            if pool.idle.empty():
                self._grow(pool)

    @property
    def at_hand(self) -> float:
        """Number of workers alive or quick to start. Thread-safe.

        Infinite after a failed start, so that the next run meets the error and reports it.
        """
        if self._failed:
            return math.inf
        if self._start_seconds <= QUICK_SECONDS:
            return SHARED
        return sum(worker.lives() for worker in list(self._workers)) - len(self._growth)

    async def _take(self, pool: _Pool) -> Worker:
        """Return a worker that waits, else the first to come: one that a run gives back, or a new one.

        Raises `WorkerDiedError`, and what the machine raises that has no process left.
        """
        while True:
            pool.waiting += 1
            self._feed(pool)
            try:
                worker = await pool.idle.get()
            finally:
                pool.waiting -= 1
            if isinstance(worker, Exception):
                raise worker
            if worker.lives():
                return worker

    def _feed(self, pool: _Pool) -> None:
        """Start a worker if somebody waits for one: one at a time, as another may come free meanwhile."""
        if pool.waiting > pool.idle.qsize():
            self._grow(pool)

    def _grow(self, pool: _Pool) -> None:
        if not pool.grows:
            pool.grows = True
            growing = asyncio.create_task(self._add_worker(pool))
            self._growth.add(growing)
            growing.add_done_callback(self._growth.discard)

    async def _add_worker(self, pool: _Pool) -> None:
        try:
            pool.idle.put_nowait(await self._new_worker(pool.key))
        except Exception as error:  # noqa: BLE001 - it goes to whoever waits for the worker
            self._failed = True
            if pool.waiting:
                pool.idle.put_nowait(error)
        else:
            self._failed = False
        finally:
            pool.grows = False
        self._feed(pool)

    async def _new_worker(self, key: JobKey | None) -> Worker:
        worker = await Worker.start(key, self._spawner)
        self._workers.add(worker)
        born = self._clock.monotonic()
        try:
            await self._make_ready(worker, key)
            self._start_seconds = self._clock.monotonic() - born
        except BaseException:
            self._dismiss(worker)
            raise
        return worker

    async def _make_ready(self, worker: Worker, key: JobKey | None) -> None:
        """Tell a worker whose it is, and wait until it is ready. Raises `WorkerDiedError`."""
        known = {"plugins", "plugin_settings", "threads", "log_level", "log_format", *DECLARED}
        settings = self._settings.model_dump(mode="json", include=known)
        memory = None if key is None else self._registry.bindings[key].job_class.memory_limit
        worker.send({"path": sys.path, "settings": settings, "group": key, "memory": memory})
        try:
            async with self._clock.limit(START_SECONDS):
                answer = await worker.receive()
        except TimeoutError:
            raise WorkerDiedError(f"the worker process was not ready after {START_SECONDS:g} s") from None
        if "failed" in answer:
            raise WorkerDiedError(str(answer["failed"]))

    async def _see_through(self, worker: Worker, assignment: Assignment) -> Ending:
        """Have a worker run a job, and keep it for the next one, or let it go."""
        job = assignment.job
        supervisor = Supervisor(worker, assignment, self._registry.bindings[job.key], self._clock, self._calls)
        ending = await supervisor.see_through()
        worker.report(job=str(job.series), run=assignment.run, attempt=job.attempt)
        pool = self._pools[job.key]
        if supervisor.worn or supervisor.cut_off:
            self._dismiss(worker)
            self._feed(pool)
        else:
            pool.idle.put_nowait(worker)
        return ending

    def _dismiss(self, worker: Worker) -> None:
        """Let a worker close its services and go; kill what is not gone soon."""
        farewell = asyncio.create_task(self._farewell(worker))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    async def _farewell(self, worker: Worker) -> None:
        worker.hang_up()
        while not await wait(self._clock, worker.gone, GOODBYE_SECONDS):
            worker.kill(signal.SIGKILL)
        worker.report()
        worker.close()
        self._workers.discard(worker)
