"""Lives on the node's loop, but for `_spawn`, `_see_through` and `_cancel`, which run on the loop of a lane.

Gives assignments to lanes, counts what runs, interrupts it, and takes back what waits in a lane that is stuck.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from datetime import timedelta
from functools import partial

from mainspring.clock import Clock
from mainspring.execution import Assignment, Lane, LoopWatch, Quarantine
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
    """Runs assignments, each in the lane of its group; `running` holds them by the number of their run."""

    def __init__(
        self,
        registry: Registry,
        lanes: Mapping[JobKey, Lane],
        quarantine: Quarantine | None,
        finisher: Finisher,
        clock: Clock,
        events: Events,
    ) -> None:
        self._registry = registry
        self.keys = tuple(registry.bindings)
        self.lanes = lanes
        self.quarantine = quarantine
        self._finisher = finisher
        self._clock = clock
        self._events = events
        self.running: dict[int, Assignment] = {}
        self._watch = LoopWatch(registry, lanes, clock)
        self._is_stopping = False

    def start(self, assignments: list[Assignment], late: Mapping[int, Ending]) -> None:
        """Have assignments run, but for those that come too late to be begun: `late` says how these end at once."""
        fp("start.before")
        batches: dict[Lane, list[Assignment]] = {}
        for assignment in assignments:
            if self._is_stopping:
                assignment.stopping.why = STOPPED  # claimed at the last moment: handed back before it begins
            job = assignment.job
            quarantine = self._quarantine_for(job) if retry.is_quarantined(job) else None
            lane = quarantine or self.lanes[job.key]
            assignment.lane = lane
            lane.busy += 1
            self.running[assignment.run] = assignment
            if assignment.run in late:
                self._finisher.put(assignment, late[assignment.run])
            elif quarantine is not None and not quarantine.is_ready:
                quarantine.get_ready()
                delay = QUARANTINE_PAUSE * (1 + self._clock.chance())
                self._finisher.put(assignment, Ending(Outcome.INTERRUPTED, _NO_WORKER, delay))
            else:
                batches.setdefault(lane, []).append(assignment)
        if self._events.has_subscribers(RunStarted):
            for assignment in itertools.chain.from_iterable(batches.values()):
                self._events.announce(RunStarted(assignment.job))
        moment = self._clock.monotonic()
        for lane, batch in batches.items():
            lane.give(partial(self._spawn, lane, batch), moment)

    def _quarantine_for(self, job: Job) -> Quarantine | None:
        """Return where a job runs that may kill this node, if its group has no worker processes."""
        return self.quarantine if self._registry.bindings[job.key].job_class.isolation == "none" else None

    def _spawn(self, lane: Lane, assignments: list[Assignment]) -> None:
        """Give each assignment its task, once for a whole batch. On the lane's loop."""
        lane.note_begun(self._clock.monotonic())
        for assignment in assignments:
            assignment.task = lane.loop.create_task(self._see_through(lane, assignment))

    async def _see_through(self, lane: Lane, assignment: Assignment) -> None:
        """Run an assignment and hand in its end. On the lane's loop; what ends together wakes the node's loop once."""
        ending = await lane.executor.run(assignment)
        if assignment.run in self.running:  # else it was handed back while the lane was stuck
            self._finisher.put(assignment, ending)

    async def finish(self) -> None:
        """Wait for runs to end, have them written down, and free what they took."""
        for assignment in await self._finisher.write():
            if self.running.pop(assignment.run, None) is not None and assignment.lane is not None:
                assignment.lane.busy -= 1

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

    def hand_back(self) -> None:
        """Name what blocks lanes, and give back what waits in those that are stuck.

        It would fill the slots that other groups need.

        The lane may come free at this moment. No lock is needed: a run first sets `started_at` and then looks whether
        it is still wanted; this first says that it is not wanted and then looks whether it has started. Whatever the
        order of these four steps, at least one of the two sees the other.
        """
        for blocked in self._watch.look(self.running.values()):
            self._events.announce(blocked)
        moment = self._clock.monotonic()
        stuck = {lane for lane in self.lanes.values() if lane.is_stuck(moment)}
        for assignment in [each for each in self.running.values() if stuck and each.lane in stuck]:
            if assignment.started_at is None and assignment.stopping.why != _BLOCKED:
                assignment.stopping.why = _BLOCKED
                if assignment.started_at is None:
                    self._finisher.put(assignment, Ending(Outcome.INTERRUPTED, _BLOCKED))

    def stop(self) -> None:
        """Let nothing begin any more."""
        self._is_stopping = True

    def ask_to_stop(self) -> None:
        """Ask all that runs to come to an end."""
        for assignment in list(self.running.values()):
            assignment.stopping.set()
