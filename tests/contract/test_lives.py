"""Whole lives of jobs and nodes at random, beside a model of plain dicts that says what the store must answer.

The model is compared with the store after every step, and the invariants are checked on what the store returned. The
dice are a clock's, so a seed always throws the same.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import pytest

from mainspring.clock import ManualClock
from mainspring.errors import MainspringError
from mainspring.job import DEADLY, Change, Counts, Job, JobKey, Options, Outcome, Run, State, lifecycle
from mainspring.schedule import Every, Once, Period, Recurring, Trigger
from mainspring.store import Answer, NodeBeat, Store
from tests.contract.build import (
    ALL,
    BACKUPS,
    SECOND,
    SNAPSHOTS,
    a_job,
    as_claimed,
    ended,
    history,
    in_order,
    jobs_of,
)

T = TypeVar("T")

STEPS = 400
KEYS = (BACKUPS, SNAPSHOTS)
FINAL = frozenset({Outcome.SUCCEEDED, Outcome.VETOED, Outcome.SKIPPED, Outcome.CANCELLED})
"""What settles an occurrence for ever; one that failed may be retried by hand."""


class Lives:
    """A store, its model, and everybody who works with it: the living, the dead and the mistaken."""

    def __init__(self, store: Store, clock: ManualClock, seed: int) -> None:
        self.store = store
        self.clock = clock
        self.dice = ManualClock(seed=seed)
        self.jobs: dict[UUID, Job] = {}
        self.runs: list[Run] = []
        self.unrun: list[Run] = []
        self.nodes: dict[str, int] = {}
        self.names = ["stranger"]
        self.claimed: list[Job] = []
        self.seen: set[Answer] = set()

    def draw(self, items: Sequence[T]) -> T:
        """Pick one at random."""
        return items[int(self.dice.chance() * len(items))]

    def number(self, least: int, most: int) -> int:
        """Pick a number at random."""
        return self.draw(range(least, most + 1))

    # --- what happens

    async def step(self) -> None:
        """Let something happen, what is common more often."""
        common = [self.add, self.claim, self.finish, self.finish, self.edit, self.wait]
        await self.draw([*common, self.join, self.sweep, self.edit, self.delete, self.beat, self.end_node])()

    async def wait(self) -> None:
        """Let time pass."""
        self.clock.advance(seconds=self.number(1, 4))

    async def add(self) -> None:
        """Create jobs, some of them late already, some of them recurring."""
        jobs = [self._new_job() for _ in range(self.number(1, 3))]
        await self.store.add(jobs)
        self.jobs |= {job.id: job for job in jobs}

    async def join(self) -> None:
        """Begin the life of a node."""
        name = f"node-{len(self.names)}"
        await self.store.join(NodeBeat(name))
        self.names.append(name)
        self.nodes[name] = 0

    async def claim(self) -> None:
        """Claim for a node that lives, as a rule."""
        node = self.draw([*self.nodes, *self.nodes, *self.names])
        demand, limit, now = {key: self.number(0, 5) for key in KEYS}, self.number(1, 8), self.clock.now()
        due = {key: in_order(*(job for job in self._in(State.SCHEDULED, key) if job.due_at <= now)) for key in KEYS}
        claims = (await self.store.claim(node, demand, limit)).claims

        expected = sum(min(demand[key], len(due[key])) for key in KEYS) if node in self.nodes else 0
        assert min(limit, expected) == len(claims)
        for key in KEYS:
            taken = [claim.job.due_at for claim in claims if claim.job.key == key]
            assert len(taken) <= demand[key]
            assert [job.due_at for job in due[key][: len(taken)]] == sorted(taken), "the earliest come first"
        newest = max((job.run or 0 for job in self.claimed), default=0)
        for claim in claims:
            before = self.jobs[claim.job.id]
            assert before.state is State.SCHEDULED
            assert (claim.job.run or 0) > newest, "I-2: run numbers rise"
            claimed = as_claimed(before, run=claim.job.run, node=node, at=now)
            assert (claimed._replace(last_run=None), now) == claim
            self.jobs[before.id] = claimed
            self.claimed.append(claim.job)

    async def finish(self) -> None:
        """End runs that are or were somebody's, on the job as it was claimed or as it is now."""
        held = [job for job in self.claimed if self.jobs.get(job.id, job).run == job.run]
        believed = [*self.claimed[-8:], *held]
        picked = {job.run: job for job in [self.draw(believed) for _ in range(self.number(1, 3))]} if believed else {}
        outcome, delay = self.draw([*Outcome, *sorted(DEADLY), *sorted(DEADLY)]), self.draw([None, timedelta(), SECOND])
        changes = []
        for then in picked.values():
            now = self.jobs.get(then.id, then)
            job = now if now.run == then.run and self.number(0, 1) else then
            changes.append(ended(job, outcome, at=self.clock.now(), delay=delay))
        await self._finish(changes)

    async def sweep(self) -> None:
        """End what nobody living runs."""
        orphans = await self.store.orphans(KEYS, 2)
        answers = await self._finish([ended(job, Outcome.LOST, at=self.clock.now()) for job in orphans])
        assert [Answer.DONE] * len(orphans) == answers

    async def edit(self) -> None:
        """Edit a job as users do, now and then on a version that is no longer there."""
        stale = self.number(0, 3) == 0
        for job in self._any_job():
            if edits := possible_edits(job, self.clock.now()):
                new = self.draw(edits)
                write = self.store.revive if job.state is State.DONE else self.store.update
                assert (not stale) == await write(new._replace(version=new.version - stale))
                self.jobs[job.id] = job if stale else new

    async def delete(self) -> None:
        """Delete a job in whatever state, now and then on a version that is no longer there."""
        stale = self.number(0, 1)
        for job in self._any_job():
            run = ended(job, Outcome.CANCELLED, at=self.clock.now()).run if job.state is State.RUNNING else None
            assert (not stale) == await self.store.delete(job._replace(version=job.version - stale), run)
            if not stale:
                del self.jobs[job.id]
                self.runs += [run] if run else []

    async def beat(self) -> None:
        """Let a node beat, though it may be dead."""
        name = self.draw(self.names)
        assert (name in self.nodes) == (await self.store.beat(name)).alive
        if name in self.nodes:
            self.nodes[name] += 1

    async def end_node(self) -> None:
        """Let a node leave, or take it for dead, now and then by a beat that is over."""
        name, late = self.draw(self.names), self.number(0, 1)
        if self.number(0, 1):
            await self.store.leave(name)
            self.nodes.pop(name, None)
        else:
            buried = await self.store.bury(NodeBeat(name, self.nodes.get(name, 0) - late))
            assert (name in self.nodes and not late) == buried
            if buried:
                del self.nodes[name]

    # --- what must hold

    async def check(self) -> None:
        """Compare the store with the model, and check the invariants."""
        jobs = [self._in(None, key) for key in KEYS]
        assert [{job.id: job for job in of_key} for of_key in jobs] == await self._each(jobs_of)
        runs = sorted(self.runs, key=lambda run: -run.number)
        written = await self._each(history)
        ran = [[run for run in of_key if run.attempt] for of_key in written]
        assert [[run for run in runs if run.key == key] for key in KEYS] == ran
        unrun = [run for of_key in written for run in of_key if not run.attempt]
        assert Counter(self.unrun) == Counter(run._replace(number=0) for run in unrun), (
            "P8: nothing is skipped silently"
        )
        numbers = [run.number for of_key in written for run in of_key]
        assert len(numbers) == len(set(numbers)), "I-2: each row has a number of its own"
        assert self.nodes == {node.name: node.beat for node in await self.store.nodes()}
        counts = {
            key: Counts(Counter(job.state for job in of_key), sum(job.gave_up for job in of_key))
            for key, of_key in zip(KEYS, jobs, strict=True)
            if of_key
        }
        assert counts == await self.store.counts()

        alone = {job.id for job in self._in(State.RUNNING) if job.node not in self.nodes}
        assert alone == {job.id for job in await self.store.orphans(KEYS, ALL)}, (
            "I-4, I-6: what nobody runs is an orphan"
        )
        for job in self.jobs.values():
            nobodys = (job.run, job.node, job.claimed_at) == (None, None, None)
            assert nobodys == (job.state is not State.RUNNING), "I-5: what does not run is nobody's"

        assert len(self.claimed) == len({job.run for job in self.claimed}), "I-2: each run has a number of its own"
        tries: dict[tuple[UUID, datetime], list[int]] = {}
        for job in self.claimed:
            tries.setdefault((job.id, job.fire_time), []).append(job.attempt)
        assert all(list(range(1, len(n) + 1)) == n for n in tries.values()), "I-3: tries count from 1 without a gap"
        final = Counter((run.job_id, run.fire_time) for run in self.runs if run.outcome in FINAL)
        assert {1} >= set(final.values()), "I-1, I-7: an occurrence is settled once"

    # --- the model's own

    async def _each(self, look: Callable[[Store, JobKey], Awaitable[T]]) -> list[T]:
        return [await look(self.store, key) for key in KEYS]

    def _in(self, state: State | None, key: JobKey | None = None) -> list[Job]:
        return [job for job in self.jobs.values() if state in (None, job.state) and key in (None, job.key)]

    def _new_job(self) -> Job:
        at = self.clock.now() + self.number(-3, 5) * SECOND
        trigger: Trigger = Recurring(Every(Period(exact=3 * SECOND)), at, count=4) if self.number(0, 1) else Once(at)
        return a_job(id=self.dice.new_id(), key=self.draw(KEYS), trigger=trigger, options=Options(max_attempts=2))

    def _any_job(self) -> list[Job]:
        jobs = [*self._in(None)[-20:], *self._in(State.RUNNING) * 3]
        return [self.draw(jobs)] if jobs else []

    def _is_the_same(self, run: Run, other: Run) -> bool:
        return all(getattr(run, name) == getattr(other, name) for name in ("number", "finished_at", "outcome"))

    async def _finish(self, changes: Sequence[Change]) -> list[Answer]:
        answers = await self.store.finish(changes)
        assert [self._judge(change) for change in changes] == answers
        self.seen.update(answers)
        return answers

    def _judge(self, change: Change) -> Answer:
        """Say what the store must answer, and write what it must write."""
        if any(self._is_the_same(run, change.run) for run in self.runs):
            return Answer.DONE
        job = self.jobs.get(change.job.id)
        if job is None or job.run != change.run.number:
            return Answer.LOST
        if job.version != change.job.version - 1:
            return Answer.STALE
        self.jobs[job.id] = change.job
        self.runs.append(change.run)
        self.unrun += change.unrun
        return Answer.DONE


def possible_edits(job: Job, now: datetime) -> list[Job]:
    """Make every edit of a job that the lifecycle allows; a new time is one that it has not had."""

    def reschedule(job: Job, *, now: datetime) -> Job:
        trigger = Once(now + SECOND)
        return lifecycle.reschedule(
            job, request={"new": True}, trigger=trigger, options=job.options, now=now, calendars={}
        ).job

    edits = []
    for decide in (lifecycle.pause, lifecycle.resume, lifecycle.retry, reschedule):
        with suppress(MainspringError):
            edits.append(decide(job, now=now))
    return [edit for edit in edits if edit is not job]


@pytest.mark.parametrize("seed", range(4))
async def test_lives_go_as_the_model_says(store: Store, clock: ManualClock, seed: int) -> None:
    """Whatever happens in whatever order, the store answers what it must and holds what it must."""
    lives = Lives(store, clock, seed)
    for _ in range(STEPS):
        await lives.step()
        await lives.check()

    assert set(Answer) == lives.seen, "the lives were too quiet to prove anything"
