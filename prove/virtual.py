"""A scheduler in virtual time: the real service, store and node, under a clock that goes from one due job to the next.

What takes six hours or ten years takes seconds, and comes out the same each time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from mainspring import Binder, JobExecutionContext, SchedulerJob, SchedulerPluginModule, job_group, product
from mainspring.clock import ManualClock
from mainspring.job import Events, Job, JobKey, Run
from mainspring.plugins import build
from mainspring.service import SchedulerService
from mainspring.store import Notes, Store
from mainspring.testing import HandDrivenNode

KEY = JobKey("prove", "virtual")
SLOTS = 1000
PAGE = 10_000
"""How many rows of history are read at a time."""


@product(KEY.product)
@job_group(KEY.job_group)
class NothingJob(SchedulerJob):
    """Takes no time."""

    async def execute(self, context: JobExecutionContext) -> None:
        """Do nothing: that it ran stands in history."""


class NothingModule(SchedulerPluginModule):
    """Brings the one job class."""

    def configure(self, binder: Binder) -> None:
        """Bind it."""
        binder.bind_job(NothingJob)


class VirtualScheduler:
    """A service and its store; a node is there as long as a block `node` lasts, and runs jobs in `run_until` alone."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self._events = Events()
        known = build([("virtual", NothingModule())], clock=clock)
        self._notes = Notes(store, clock)
        self.service = SchedulerService(
            store=store, notes=self._notes, registry=known, clock=clock, events=self._events
        )

    @asynccontextmanager
    async def node(self) -> AsyncIterator[HandDrivenNode]:
        """Lend a node that joins now and has left when the block ends."""
        bindings = build([("virtual", NothingModule())], clock=self.clock)
        await bindings.open()
        node = HandDrivenNode(self.store, self._notes, bindings, self.clock, self._events, slots=SLOTS)
        await node.join()
        try:
            yield node
        finally:
            await self.store.leave(node.name)
            await bindings.close()

    async def run_until(self, node: HandDrivenNode, moment: datetime, *, including: bool = True) -> None:
        """Run each job at its time, until it is `moment`; what is due then too, if `including`."""
        while self.clock.now() < moment or including:
            while await node.run_what_is_due():
                pass
            due = await self.store.next_due([KEY])
            if due is None or due.at > moment or (due.at == moment and not including):
                break
            self.clock.set(max(self.clock.now(), due.at))
        self.clock.set(moment)

    async def history(self, job: Job | None = None) -> list[Run]:
        """Return all of history, or that of one job, oldest first."""
        rows: list[Run] = []
        before = None
        while page := await self.store.runs(KEY, job and job.id, before=before, limit=PAGE):
            rows += page
            before = page[-1].number
        return rows[::-1]
