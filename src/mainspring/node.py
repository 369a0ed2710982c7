"""One node's life, from joining to leaving.

Join, claim what is due, hand it to the job loop, write down how it ended, beat, sweep up after the dead, drain, leave.

Every duty is a loop of turns. A turn that fails is announced and tried again; nothing of it ends the node. The node
decides nothing about jobs (`mainspring.lifecycle` does) and guards nothing by itself (the store does).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice

from mainspring import lifecycle
from mainspring.clock import Clock, wait
from mainspring.errors import StoreUnavailableError
from mainspring.events import (
    Events,
    NodeBuried,
    NodeLost,
    NodeStarted,
    NodeStopped,
    RunFinished,
    RunRefused,
    RunStarted,
    TurnFailed,
)
from mainspring.model import Answer, Change, Ending, Job, JobKey, NodeBeat, Outcome, Run
from mainspring.registry import Registry
from mainspring.runner import Assignment, Runner
from mainspring.settings import Settings
from mainspring.store.protocol import Store

FINISH_BATCH = 1000
ORPHAN_BATCH = 100
PRUNE_BATCH = 1000
PRUNE_EVERY = timedelta(minutes=1)
BEATS_PER_LEASE = 10
FAILED_TURN_PAUSE = timedelta(seconds=1)
_STOPPED = "the node stopped"
UNHEEDED_PAUSE = timedelta(seconds=2)
"""How long an interrupted run may take to end before the node leaves without it."""


class Node:
    """Runs due jobs of the groups in `registry`, until it is stopped.

    `job_loop` is the event loop for user code; the compose root gives it a thread of its own.
    """

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        runner: Runner,
        clock: Clock,
        events: Events,
        settings: Settings,
        job_loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._store = store
        self._registry = registry
        self._runner = runner
        self._clock = clock
        self._events = events
        self._settings = settings
        self._job_loop = job_loop
        self._keys: deque[JobKey] = deque(registry.bindings)
        self._running: dict[int, Assignment] = {}
        self._ended: deque[tuple[Assignment, Ending, datetime]] = deque()
        self._end_noted = False
        self._seen: dict[str, tuple[NodeBeat, float]] = {}
        self._look = asyncio.Event()
        self._next_due: datetime | None = None
        store.watch(self._hear)
        self._some_ended = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurried = False
        self.name = ""
        self.ready = False

    # --- life

    async def run(self) -> None:
        """Live until `stop`; return when all is written down and the node has left."""
        await self.join()
        async with asyncio.TaskGroup() as duties:
            claiming = duties.create_task(self._repeat("claim", self._claim, until=self._stopping))
            tasks = [
                duties.create_task(self._repeat("finish", self._finish)),
                duties.create_task(self._repeat("beat", self._beat)),
                duties.create_task(self._repeat("sweep", self._sweep)),
                duties.create_task(self._repeat("prune", self._prune)),
            ]
            self.ready = True
            await self._stopping.wait()
            self.ready = False
            await claiming  # not cancelled: what the store is just handing out would be nobody's
            await self._drain()
            for task in tasks:
                task.cancel()
        with suppress(StoreUnavailableError):
            await self._store.leave(self.name)
        self._events.announce(NodeStopped(self.name))

    def stop(self) -> None:
        """Begin to drain; called again, do not wait for running jobs any longer."""
        self._hurried = self._stopping.is_set()
        self._stopping.set()
        self._look.set()

    async def join(self) -> None:
        """Begin a life under a name of its own, so that nothing of an earlier life can be mistaken for this one's."""
        self._loop = asyncio.get_running_loop()
        name = f"{self._settings.node}:{self._clock.new_id().hex[-12:]}"
        await self._store.join(name)
        self.name = name
        if not self._store.shared:
            for other in await self._store.nodes():
                if other.name != name:
                    await self._declare_dead(other)
        self._events.announce(NodeStarted(name, tuple(str(key) for key in self._keys)))

    async def _repeat(
        self, duty: str, turn: Callable[[], Awaitable[None]], *, until: asyncio.Event | None = None
    ) -> None:
        while until is None or not until.is_set():
            try:
                await turn()
            except Exception as error:  # noqa: BLE001 - a background turn: announced, and tried again
                self._events.announce(TurnFailed(duty, error))
                await self._clock.sleep(FAILED_TURN_PAUSE.total_seconds())

    # --- claim

    async def turn(self) -> bool:
        """Run what is due, as far as there are slots, and see it through; answer whether anything was due.

        For whoever moves time by hand, instead of `run`.
        """
        claimed = await self._take()
        while self._running:
            await self._finish()
        return claimed

    async def _claim(self) -> None:
        """Claim what is due for the free slots, else sleep until something is due or changes, but not past `poll`."""
        self._look.clear()
        self._next_due = None  # not known: until it is, whatever changes is worth another look
        if await self._take():
            return
        pause = self._settings.poll.total_seconds()
        if len(self._running) < self._settings.slots and (due := await self._store.next_due(self._keys)) is not None:
            self._next_due = due.at
            pause = min(pause, max(0.0, due.wait.total_seconds()))
        await wait(self._clock, self._look, pause)

    def _hear(self, due_at: datetime) -> None:
        """Look again if a job has come that is due before the one that is waited for."""
        if self._next_due is None or due_at < self._next_due:
            self._look.set()

    async def _take(self) -> bool:
        free = self._settings.slots - len(self._running)
        if free <= 0:
            return False
        self._keys.rotate(-1)  # each group comes first in its turn when slots are scarce
        claims = await self._store.claim(self.name, dict.fromkeys(self._keys, free), free)
        received = self._clock.monotonic()
        self._start([Assignment(claim, received) for claim in claims])
        return bool(claims)

    def _start(self, assignments: list[Assignment]) -> None:
        for assignment in assignments:
            if self._stopping.is_set():
                assignment.interrupt = _STOPPED  # claimed at the last moment: handed back before it begins
            self._running[assignment.run] = assignment
            self._events.announce(RunStarted(assignment.claim.job))
        self._job_loop.call_soon_threadsafe(self._spawn, assignments)

    def _spawn(self, assignments: list[Assignment]) -> None:
        """Give each assignment its task; runs on the job loop, once for a whole batch."""
        for assignment in assignments:
            assignment.task = self._job_loop.create_task(self._see_through(assignment))

    async def _see_through(self, assignment: Assignment) -> None:
        """Run an assignment and hand in its end, on the job loop; what ends together wakes the node's loop once."""
        ending = await self._runner.run(assignment)
        self._ended.append((assignment, ending, assignment.store_time(self._clock)))
        if not self._end_noted:
            self._end_noted = True
            with suppress(RuntimeError):  # the node's loop is closed: it left without this run
                self._loop.call_soon_threadsafe(self._some_ended.set)

    # --- finish

    async def _finish(self) -> None:
        """Write down all runs that ended, together. A result stays here until the store has answered."""
        await self._some_ended.wait()
        self._some_ended.clear()
        self._end_noted = False  # before looking: what ends from here on wakes this loop again
        while self._ended:
            batch = list(islice(self._ended, FINISH_BATCH))
            try:
                await self._settle([_closed(*end) for end in batch])
            except BaseException:
                self._some_ended.set()
                raise
            for assignment, *_ in batch:
                self._ended.popleft()
                self._running.pop(assignment.run, None)
            self._look.set()

    async def _settle(self, ended: list[tuple[Job, Run, Ending, datetime]]) -> None:
        """Decide what each job becomes and write it.

        Where the job was edited meanwhile, decide again from what it is.
        """
        while ended:
            changes = [Change(run, self._decide(*facts)) for facts in ended for run in [facts[1]]]
            answers = await self._store.finish(changes)
            stale = []
            for facts, change, answer in zip(ended, changes, answers, strict=True):
                if answer is Answer.DONE:
                    self._events.announce(RunFinished(change.run, change.job))
                elif answer is Answer.LOST:
                    self._events.announce(RunRefused(change.run))
                elif (current := await self._store.get(facts[0].id)) is not None and current.run == change.run.number:
                    stale.append((current, *facts[1:]))
                else:
                    self._events.announce(RunRefused(change.run))
            ended = stale

    def _decide(self, job: Job, run: Run, ending: Ending, now: datetime) -> Job:
        binding = self._registry.bindings.get(job.key)
        policy = binding.policy if binding else lifecycle.RetryPolicy()
        return lifecycle.after(job, run, ending, policy=policy, now=now, chance=self._clock.chance())

    # --- beat

    async def _beat(self) -> None:
        """Show that this node lives, and give up what was taken from it: deleted jobs, or all of them with its life."""
        mine = set(self._running)
        if await self._store.beat(self.name):
            self._interrupt(await self._store.stops(self.name), "the job was deleted")
        else:
            self._events.announce(NodeBuried(self.name))
            self._interrupt(mine, "the node was taken for dead")
            await self.join()
        await self._clock.sleep(self._settings.lease.total_seconds() / BEATS_PER_LEASE)

    def _interrupt(self, runs: Collection[int], why: str) -> None:
        """Ask runs to stop and cancel their tasks."""
        for number in runs:
            if (assignment := self._running.get(number)) is not None:
                assignment.interrupt = why
                assignment.stopping.set()
                self._job_loop.call_soon_threadsafe(self._cancel, assignment)

    def _cancel(self, assignment: Assignment) -> None:
        """Cancel a run that has begun, on the job loop; one that has not will see by itself that it is not wanted."""
        if assignment.task is not None and assignment.started_at is not None:
            assignment.task.cancel()

    # --- sweep

    async def _sweep(self) -> None:
        """Declare nodes dead that have not beaten for a lease, as watched from here.

        What they ran goes down the path of all runs that ended, with the outcome `lost`.
        """
        try:
            await self._watch_nodes()
        except BaseException:
            self._seen.clear()  # whoever was away knows nothing of the others' beats meanwhile
            raise
        while orphans := await self._store.orphans(ORPHAN_BATCH):
            now = await self._store.now()
            ending = Ending(Outcome.LOST, "the node that ran it died")
            runs = [lifecycle.ended(job, ending, started_at=job.claimed_at or now, now=now) for job in orphans]
            await self._settle([(job, run, ending, now) for job, run in zip(orphans, runs, strict=True)])
            self._look.set()
        await self._clock.sleep(self._settings.lease.total_seconds() / BEATS_PER_LEASE)

    async def _watch_nodes(self) -> None:
        moment = self._clock.monotonic()
        seen = {}
        for node in await self._store.nodes():
            known, since = self._seen.get(node.name, (None, moment))
            if known != node:
                since = moment
            elif node.name != self.name and moment - since >= self._settings.lease.total_seconds():
                await self._declare_dead(node)
                continue
            seen[node.name] = (node, since)
        self._seen = seen

    async def _declare_dead(self, node: NodeBeat) -> None:
        if await self._store.bury(node):
            self._events.announce(NodeLost(node.name))

    # --- prune

    async def _prune(self) -> None:
        """Forget what is older than the retention, in small bites."""
        while await self._store.prune(self._settings.retention, PRUNE_BATCH):
            pass
        await self._clock.sleep(PRUNE_EVERY.total_seconds())

    # --- drain

    async def _drain(self) -> None:
        """Let running jobs end for the grace period, then interrupt them, and wait until every result is written."""
        for assignment in list(self._running.values()):
            assignment.stopping.set()
        await self._emptied(self._settings.grace)
        self._interrupt(set(self._running), _STOPPED)
        self._hurried = False
        await self._emptied(UNHEEDED_PAUSE)

    async def _emptied(self, limit: timedelta) -> None:
        """Wait until nothing runs here, at most so long, or until somebody is in a hurry."""
        deadline = self._clock.monotonic() + limit.total_seconds()
        while self._running and not self._hurried and (rest := deadline - self._clock.monotonic()) > 0:
            self._look.clear()
            await wait(self._clock, self._look, rest)


def _closed(assignment: Assignment, ending: Ending, at: datetime) -> tuple[Job, Run, Ending, datetime]:
    """Return a run that ended here, with all that the decision about its job needs."""
    job = assignment.claim.job
    return job, lifecycle.ended(job, ending, started_at=assignment.started_at or at, now=at), ending, at
