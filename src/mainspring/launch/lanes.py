"""The lanes of a process: on which loop the jobs of each group run, and by which executor (decision 0020)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Self

from mainspring import logs
from mainspring.clock import Clock
from mainspring.errors import ConfigError
from mainspring.execution import (
    Lane,
    Places,
    ProcessRunner,
    Quarantine,
    Runner,
    Slots,
    Spawner,
    Threads,
    job_loop,
)
from mainspring.job import JobKey
from mainspring.launch.loops import event_loop, on
from mainspring.plugins import Binding, Calls, Registry, ServiceScope, raise_together
from mainspring.settings import Settings

FAREWELL_SECONDS = 5.0
"""How long the services of plugins may take to clean up."""
log = logs.logger("mainspring")


class Lanes(AsyncExitStack):
    """The lane of each group: a loop for each scope, and one without user code for what runs in worker processes.

    That is the groups that ask for it, and whatever may be what kills its nodes. And a loop for the node's heart.
    `calls` takes what runs call their `Scheduler` for.
    """

    def __init__(self, registry: Registry, clock: Clock, settings: Settings, calls: Calls) -> None:
        super().__init__()
        self._registry = registry
        self._calls = calls
        self._clock = clock
        self._settings = settings
        self._scopes: list[tuple[asyncio.AbstractEventLoop, ServiceScope]] = []
        self._spawner = Spawner(settings.worker_environment)
        self._workers = ProcessRunner(registry, clock, settings, self._spawner, calls=calls)
        self._quarantined = ProcessRunner(registry, clock, settings, self._spawner, shared=True, calls=calls)
        self.slots = Slots(settings.slots)
        self.by_key: dict[JobKey, Lane] = {}

    async def __aenter__(self) -> Self:
        self.heart = self._loop("heart")
        for scope in self._registry.scopes:
            ours = [binding for binding in scope.bindings if binding.job_class.isolation == "none"]
            if ours or not scope.bindings:
                self._add(scope, ours)
        loop = self._loop("workers")
        self.quarantine = Quarantine(loop, self._quarantined, self._clock, self.slots)
        for key in self._registry.bindings.keys() - self.by_key.keys():
            places = Places(self._settings.processes)
            self.by_key[key] = Lane(loop, self._workers, self._clock, self.slots, places)
        return self

    def _add(self, scope: ServiceScope, bindings: Sequence[Binding]) -> None:
        loop = self._loop(f"jobs-{len(self._scopes)}")
        threads = Threads(self._settings.threads)
        runner = Runner(self._registry, self._clock, threads)
        self._scopes.append((loop, scope))
        for binding in bindings:
            places = threads if binding.uses_threads else None
            self.by_key[binding.key] = Lane(loop, runner, self._clock, self.slots, places)

    def _loop(self, name: str) -> asyncio.AbstractEventLoop:
        return self.enter_context(job_loop(event_loop(), name))

    async def open(self) -> None:
        """Build all services, each on its loop. Raises `ConfigError` with every one that fails."""
        problems = []
        for loop, scope in self._scopes:
            try:
                self._registry.bound |= await on(loop, scope.open(self._calls))
            except ConfigError as error:
                problems.append(str(error))
        raise_together(problems)

    async def close(self) -> None:
        """Let workers go and clean up all services, but wait for no loop that a job blocks."""
        farewells = [on(loop, scope.close()) for loop, scope in self._scopes]
        farewells.append(on(self.quarantine.loop, self._let_workers_go()))
        for farewell in asyncio.as_completed(farewells, timeout=FAREWELL_SECONDS):
            try:
                await farewell
            except BaseException:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                log.exception("a service of a plugin could not be cleaned up")

    async def _let_workers_go(self) -> None:
        await asyncio.gather(self._workers.close(), self._quarantined.close())
        await self._spawner.close()
