"""Lives on the node's loop, but for `_cancel` and what is called `_on_…`, which run on the loop of a lane.

Gives assignments to lanes, knows what runs, interrupts it, and hands back what cannot begin here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from mainspring.clock import Clock
from mainspring.execution import Assignment, Lane, LoopWatch, Quarantine, Slots, ThreadWatch
from mainspring.failpoint import fp
from mainspring.job import Ending, Events, Job, JobKey, Outcome, RunStarted, retry
from mainspring.node.finisher import Finisher
from mainspring.plugins import Registry

QUARANTINE_PAUSE = timedelta(seconds=0.25)
"""How long a quarantined job that found no worker at hand waits at least, and at most twice."""
STOPPED = "the node stopped"
_NO_WORKER = "two nodes died under it, and no worker process was at hand"
_BLOCKED = "a job blocks the event loop of its group"


class Dispatcher:
    """Runs assignments, each in the lane of its group; `running` holds them by the number of their run.

    What is held here was claimed and is not written yet: it waits to begin, runs, or has ended.
    """

    def __init__(
        self,
        registry: Registry,
        lanes: Mapping[JobKey, Lane],
        quarantine: Quarantine | None,
        finisher: Finisher,
        slots: Slots,
        clock: Clock,
        events: Events,
    ) -> None:
        self._registry = registry
        self.keys = tuple(registry.bindings)
        self.limits = registry.limits
        self.lanes = lanes
        self.quarantine = quarantine
        self._finisher = finisher
        self.slots = slots
        self._clock = clock
        self._events = events
        self.running: dict[int, Assignment] = {}
        self._watch = LoopWatch(registry, lanes, clock)
        self._thread_watch = ThreadWatch(registry, lanes)
        self._unbegun: list[Assignment] = []
        self._some_unbegun = asyncio.Event()
        self.on_low: Callable[[], None] = lambda: None
        """Called when half of what waited in a lane has begun."""
        for lane in self._all_lanes():
            lane.on_end, lane.on_unbegun, lane.on_low = self._on_end, self._on_unbegun, self._on_low

    def _all_lanes(self) -> set[Lane]:
        return {*self.lanes.values(), *([self.quarantine] if self.quarantine is not None else [])}

    def open(self) -> None:
        """Be ready to work on the loop that runs."""
        self._loop = asyncio.get_running_loop()
        self._finisher.open()

    def start(self, assignments: list[Assignment], late: Mapping[int, Ending]) -> None:
        """Have assignments run, but for those that come too late to be begun: `late` says how these end at once."""
        fp("start.before")
        moment = self._clock.monotonic()
        batches: dict[Lane, list[Assignment]] = {}
        for assignment in assignments:
            job = assignment.job
            quarantine = self._quarantine_for(job) if retry.is_quarantined(job) else None
            lane = quarantine or self.lanes[job.key]
            assignment.lane = lane
            self.running[assignment.run] = assignment
            if assignment.run in late:
                self._finisher.put(assignment, late[assignment.run], moment)
            elif quarantine is not None and not quarantine.is_ready(len(batches.get(quarantine, ())) + 1):
                quarantine.get_ready()
                delay = QUARANTINE_PAUSE * (1 + self._clock.chance())
                self._finisher.put(assignment, Ending(Outcome.INTERRUPTED, _NO_WORKER, delay), moment)
            else:
                batches.setdefault(lane, []).append(assignment)
        on_begin = self._on_begin if self._events.has_subscribers(RunStarted) else None
        for lane, batch in batches.items():
            lane.on_begin = on_begin
            lane.give(batch)

    def _quarantine_for(self, job: Job) -> Quarantine | None:
        """Return where a job runs that may kill this node, if its group has no worker processes."""
        return self.quarantine if self._registry.bindings[job.key].job_class.isolation == "none" else None

    def _on_begin(self, assignment: Assignment) -> None:
        self._loop.call_soon_threadsafe(self._events.announce, RunStarted(assignment.job))

    def _on_end(self, assignment: Assignment, ending: Ending, moment: float, more: bool) -> None:  # noqa: FBT001
        if assignment.run in self.running:  # else it was handed back while the lane was stuck
            self._finisher.put(assignment, ending, moment, more=more)

    def _on_low(self) -> None:
        self._loop.call_soon_threadsafe(self.on_low)

    async def finish(self) -> None:
        """Wait for runs to end, have them written down, and forget them."""
        for assignment in await self._finisher.write():
            self.running.pop(assignment.run, None)

    # --- handing back what has not begun

    def _on_unbegun(self, assignments: list[Assignment]) -> None:
        self._loop.call_soon_threadsafe(self._take_back, assignments)

    def _take_back(self, assignments: list[Assignment]) -> None:
        for assignment in assignments:
            assignment.is_handed_back = True
        self._unbegun += assignments
        self._some_unbegun.set()

    async def hand_back(self) -> None:
        """Wait for jobs that cannot begin here, and give them back as they were before they were claimed."""
        await self._some_unbegun.wait()
        fp("hand_back.before")
        batch = self._unbegun[:]
        await self._finisher.undo([assignment.job for assignment in batch])
        del self._unbegun[: len(batch)]
        if not self._unbegun:
            self._some_unbegun.clear()
        for assignment in batch:
            self.running.pop(assignment.run, None)

    @property
    def stuck(self) -> tuple[JobKey, ...]:
        """The groups of which no plain function can be run here."""
        return self._thread_watch.stuck

    def take_back_stuck(self) -> None:
        """Name what blocks lanes, and hand back what waits in those that are stuck: other nodes may be free.

        The lane may come free at this moment. No lock is needed: a run first sets `started_at` and then looks whether
        it is still wanted; this first says that it is not wanted and then looks whether it has started. Whatever the
        order of these four steps, at least one of the two sees the other. If both do, the store takes one of them.
        """
        for blocked in self._watch.look(self.running.values()):
            self._events.announce(blocked)
        for stuck_threads in self._thread_watch.look():
            self._events.announce(stuck_threads)
        moment = self._clock.monotonic()
        stuck = {lane for lane in self.lanes.values() if lane.is_stuck(moment)}
        for assignment in [each for each in self.running.values() if each.task is not None and each.task.done()]:
            if not assignment.is_handed_back:  # and it has not started: a job has cancelled it before its first step
                self._take_back_unstarted(assignment)
        for assignment in [each for each in self.running.values() if stuck and each.lane in stuck]:
            if assignment.started_at is None and assignment.stopping.why is None:
                assignment.stopping.why = _BLOCKED
                self._take_back_unstarted(assignment)

    def _take_back_unstarted(self, assignment: Assignment) -> None:
        if assignment.started_at is None and assignment.lane is not None:
            self._take_back([assignment])
            assignment.lane.abandon(assignment)

    # --- stopping what runs

    def interrupt(self, runs: Collection[int], why: str) -> None:
        """Cancel runs, and say why; those that run elsewhere are left alone."""
        for number in list(runs):
            assignment = self.running.get(number)
            if assignment is not None and assignment.lane is not None and assignment.stopping.why is None:
                assignment.stopping.why = why
                assignment.stopping.set()
                assignment.lane.loop.call_soon_threadsafe(self._cancel, assignment)

    def _cancel(self, assignment: Assignment) -> None:
        """Cancel a run that has begun; others see by themselves that they are not wanted. On the lane's loop."""
        if assignment.task is not None and assignment.started_at is not None:
            assignment.task.cancel()

    def exclusive(self) -> set[int]:
        """Name the runs that must not go on when others may have been given their jobs."""
        bindings = self._registry.bindings
        return {number for number, run in self.running.items() if bindings[run.job.key].job_class.exclusive}

    def stop(self) -> None:
        """Let nothing begin any more; what waits is handed back."""
        for lane in self._all_lanes():
            lane.close()

    def ask_to_stop(self) -> None:
        """Ask all that runs to come to an end."""
        for assignment in list(self.running.values()):
            assignment.stopping.set()
