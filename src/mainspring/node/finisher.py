"""Lives on the node's loop, but for `put`, which any thread may call. Writes down how runs ended.

What each job becomes is decided here, by the lifecycle, and written for many jobs at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from mainspring.clock import Clock, wait
from mainspring.errors import ConflictError, InvalidRequestError, first_line
from mainspring.execution import Assignment
from mainspring.failpoint import fp
from mainspring.job import (
    DEADLY,
    Change,
    Edit,
    Ending,
    Events,
    GaveUp,
    Job,
    JobPaused,
    JobScheduled,
    Outcome,
    Run,
    RunFinished,
    RunRefused,
    TurnFailed,
    history,
    lifecycle,
)
from mainspring.node.learner import Learner
from mainspring.plugins import Registry
from mainspring.store import Answer, Notes, Store

BATCH = 1000
"""How many results go into one call."""
TOGETHER_SECONDS = 0.025
"""How long a result may wait for those of jobs that are about to run, so that they are written together."""


_REFUSED = (ValueError, OverflowError, ConflictError)
"""What a store raises for what it cannot write."""
_Ended = tuple[Job, Run, Ending]
"""A run that ended, with what the decision about its job needs besides."""


class Finisher:
    """Takes results from any thread, and writes them on the loop on which it was opened."""

    def __init__(self, store: Store, notes: Notes, registry: Registry, clock: Clock, events: Events) -> None:
        self._store = store
        self._notes = notes
        self._registry = registry
        self._clock = clock
        self._events = events
        self._learner = Learner(store, notes, registry.limits)
        self._waiting: deque[tuple[Assignment, Ending, float]] = deque()
        self._noted = False
        self._hurried = False
        self._some = asyncio.Event()
        self._enough = asyncio.Event()

    def open(self) -> None:
        """Be ready to write on the loop that runs."""
        self._loop = asyncio.get_running_loop()

    def put(self, assignment: Assignment, ending: Ending, moment: float, *, more: bool = False) -> None:
        """Take the result of a run that ended at `moment`. What is put in together wakes the loop once.

        If there will soon be `more`, it may wait for that.
        """
        self._waiting.append((assignment, ending, moment))
        if not self._noted or not (more or self._hurried):
            self._noted, self._hurried = True, not more
            with suppress(RuntimeError):  # the node's loop is closed: it left without this run
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._some.set()
        if self._hurried:
            self._enough.set()

    async def write(self) -> list[Assignment]:
        """Wait for results and write them, together; return whose. They stay here until the store has answered."""
        await self._some.wait()
        await wait(self._clock, self._enough, TOGETHER_SECONDS)
        self._some.clear()
        self._enough.clear()
        self._noted = self._hurried = False  # before looking: what is put in from here on wakes this loop again
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
        if not batch:
            return []
        fp("finish.before")
        ended = [_ended(*result) for result in batch]
        try:
            await self._learner.learn(ended)
            await self._settle(ended, announce_refused=True)
        except BaseException:
            self._waiting.extendleft(reversed(batch))
            raise
        finally:
            if self._waiting:
                self._some.set()
                self._enough.set()
        fp("finish.after")
        return [assignment for assignment, _, _ in batch]

    async def forget(self) -> None:
        """Forget what was learned of services long ago."""
        await self._learner.forget()

    async def undo(self, claimed: Sequence[Job]) -> None:
        """Write that these did not begin: they wait again as they did before they were claimed."""
        await self._store.unclaim(claimed)

    async def give_up(self, orphans: Sequence[Job], now: datetime) -> None:
        """Write that runs whose node died are lost. If somebody else does so too, nobody is told."""
        ending = Ending(Outcome.LOST, "the node that ran it died")
        await self._settle(
            [(job, history.ended(job, ending, started_at=job.begins_at or now, now=now), ending) for job in orphans]
        )

    async def _settle(self, ended: list[_Ended], *, announce_refused: bool = False) -> None:
        """Decide what each job becomes and write it.

        Where the job was edited meanwhile, decide again from what it is.
        """
        while ended:
            changes = [self._decide(*facts) for facts in ended]
            try:
                answers = await self._store.finish(changes)
            except _REFUSED as error:
                await self._settle_one_by_one(ended, error)
                return
            self._announce([change for change, answer in zip(changes, answers, strict=True) if answer is Answer.DONE])
            if answers.count(Answer.DONE) == len(answers):
                return
            ended = [
                again
                for facts, answer in zip(ended, answers, strict=True)
                if answer is not Answer.DONE
                and (again := await self._refused(facts, answer, announce=announce_refused)) is not None
            ]

    async def _settle_one_by_one(self, ended: list[_Ended], error: Exception) -> None:
        """Write results of which one cannot be written each by itself; the job of that one is set aside."""
        if len(ended) > 1:
            for facts in ended:
                await self._settle([facts])
            return
        ((job, run, _),) = ended
        self._events.announce(TurnFailed("finish", error))
        failed = run._replace(outcome=Outcome.FAILED, reason=f"it cannot be written: {first_line(error)}")
        aside = lifecycle.set_aside(job, failed, now=run.finished_at)
        await self._store.finish([aside])
        self._announce([aside])

    def _announce(self, written: Sequence[Change]) -> None:
        for edit in (edit for change in written for edit in change.added):
            self._events.announce(JobScheduled(edit.job))
        if self._events.has_subscribers(RunFinished):
            for run, job, *_ in written:
                self._events.announce(RunFinished(run, job))
        for run, job, *_ in written:
            if run.outcome in DEADLY and job.gave_up:
                self._events.announce(GaveUp(run, job))
                if job.hold is not None and job.hold.at == run.finished_at:
                    self._events.announce(JobPaused(job))

    def _decide(self, job: Job, run: Run, ending: Ending) -> Change:
        """Decide what a job becomes. If deciding raises, the job is paused: it must not block its batch."""
        policy, chance, now = self._registry.policies[job.key], self._clock.chance(), run.finished_at
        if job.damage is not None:
            return lifecycle.set_aside(job, run, now=now)
        try:
            run, ending, added = self._following(run, ending)
            calendars = self._notes.known
            change = lifecycle.after(job, run, ending, policy=policy, now=now, chance=chance, calendars=calendars)
            return change if not added or change.run.outcome is not Outcome.SUCCEEDED else change._replace(added=added)
        except Exception as error:  # noqa: BLE001 - a bug of ours: announced, and the job waits for somebody to look
            self._events.announce(TurnFailed("decide", error))
            return lifecycle.held(job, run, now=now)

    def _following(self, run: Run, ending: Ending) -> tuple[Run, Ending, tuple[Edit, ...]]:
        """Return the jobs that are to follow a run, by their calendars; without one of these the run has failed."""
        calendars, now = self._notes.known, run.finished_at
        try:
            follow_ups = [lifecycle.follow_up(job, now=now, calendars=calendars) for job in ending.follow_ups]
        except InvalidRequestError as error:
            reason = f"a job that is to follow it cannot be made: {first_line(error)}"
            failed = Ending(Outcome.FAILED, reason, log=ending.log)
            return run._replace(outcome=failed.outcome, reason=reason, result=None), failed, ()
        return run, ending, tuple(follow_ups)

    async def _refused(self, facts: _Ended, answer: Answer, *, announce: bool) -> _Ended | None:
        """Return what to decide again, if the run is still this node's."""
        job, run, ending = facts
        current = await self._store.get(job.id) if answer is Answer.STALE else None
        if current is not None and current.run == run.number:
            return current, run, ending
        if announce:
            self._events.announce(RunRefused(run))
        return None


def _ended(assignment: Assignment, ending: Ending, moment: float) -> _Ended:
    job, at = assignment.job, assignment.store_time(moment)
    return job, history.ended(job, ending, started_at=assignment.started_at or at, now=at), ending
