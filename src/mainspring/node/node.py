"""One node's life, from joining to leaving.

Join, claim what is due, hand it to the job loop, write down how it ended, beat, see who died, drain, leave.

Every duty is a loop of turns. A turn that fails is announced and tried again; nothing of it ends the node. The node
decides nothing about jobs (`mainspring.job.lifecycle` does) and guards nothing by itself (the store does).
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from mainspring.clock import Clock, wait
from mainspring.errors import StoreUnavailableError
from mainspring.execution import OUT_OF_TOUCH, Assignment, Lane, Quarantine, watch
from mainspring.failpoint import fp
from mainspring.job import (
    Claim,
    Ending,
    Events,
    Job,
    JobKey,
    NodeBuried,
    NodeLost,
    NodeStarted,
    NodeStopped,
    Outcome,
    RunStarted,
    TurnFailed,
    lifecycle,
    retry,
)
from mainspring.node.failure_detector import MISSING_BEATS, FailureDetector
from mainspring.node.fairness import demands, still_hungry
from mainspring.node.finisher import Finisher
from mainspring.node.host_lock import HostLock
from mainspring.node.overlap import begin_beside, runs_beside
from mainspring.node.yielding import Yielding
from mainspring.plugins import Registry
from mainspring.schedule import Once
from mainspring.settings import Settings
from mainspring.store import NodeBeat, Pulse, Store, read_calendars

ORPHAN_BATCH = 1000
PRUNE_EVERY = timedelta(minutes=1)
BEATS_PER_LEASE = 10
TRUSTED = 0.8
"""The part of the lease for which a node may believe that it still has it, from its last beat on."""
FAILED_TURN_PAUSE = timedelta(seconds=1)
FRUITLESS_PAUSE = 0.02
"""Seconds to wait when something is due that cannot be had: others hold it for a moment, or its group has no room."""
IN_VAIN = 2
"""So many claims in a row must have found nothing before that: one may have come just before its job was due."""
DOUBT = 10.0
"""After a claim whose answer was lost a node looks for what it holds without knowing, for so many seconds from when the
store answers again. A statement that outlives its client ends well before that: its own limit is 2 s.
"""
UNHEEDED_PAUSE = timedelta(seconds=2)
"""How long an interrupted run may take to end before the node leaves without it."""
QUARANTINE_PAUSE = timedelta(seconds=0.25)
"""How long a job waits at least, at most twice, that may be what kills its nodes and found no worker at hand."""
_NO_WORKER = "two nodes died under it, and no worker process was at hand"
_STOPPED = "the node stopped"
_BLOCKED = "a job blocks the event loop of its group"


class Place(NamedTuple):
    """Where a node works: the loop on which it beats, its mark on the host, and a lane where jobs can hurt nobody.

    Without that lane a job that may be what kills its nodes runs where others do.
    """

    heart_loop: asyncio.AbstractEventLoop
    host_lock: HostLock
    quarantine: Quarantine | None = None


class _Claimed(NamedTuple):
    """What a claim brought, when it was sent, how much for each group, and whether that was all that it may bring."""

    claims: list[Claim]
    sent: float
    got: Mapping[JobKey, int]
    is_full: bool = False


class Node:
    """Runs due jobs of the groups in `registry`, each in its lane, until it is stopped.

    Lanes and the loop of its heart are threads of their own, which the compose root makes: user code that blocks its
    loop stops neither claims nor beats, and claims that take long stop no beats.
    """

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        lanes: Mapping[JobKey, Lane],
        clock: Clock,
        events: Events,
        settings: Settings,
        place: Place,
    ) -> None:
        self._store = store
        self._registry = registry
        self._lanes = lanes
        self._clock = clock
        self._events = events
        self._settings = settings
        self._place = place
        self._poll = settings.poll.total_seconds()
        self._lease = settings.lease.total_seconds()
        self._beat_seconds = self._lease / BEATS_PER_LEASE

        self._keys: deque[JobKey] = deque(registry.bindings)
        self._hungry: frozenset[JobKey] = frozenset()
        self._running: dict[int, Assignment] = {}
        self._finisher = Finisher(store, registry, clock, events)
        self._notes = -1

        self._look = asyncio.Event()
        self._may_be_due = True
        self._in_vain = 0
        self._next_due: datetime | None = None
        self._in_doubt_until = -math.inf
        self._strays_at = -math.inf
        store.watch(self._hear)

        self._trusted_until = math.inf  # until the first beat: who moves time by hand does not beat
        self._pulses: deque[tuple[str, float, Pulse | Exception]] = deque()
        self._pulsed = asyncio.Event()
        self._failure_detector = FailureDetector(lease=self._lease, beat=self._beat_seconds, died=place.host_lock.died)
        self._others: frozenset[str] | None = None
        self._last_pulse = -math.inf
        self._swept = -math.inf

        self.yielding = Yielding(clock)
        self._stopping = asyncio.Event()
        self._hurried = False
        self.name = ""
        self.ready = False

    # --- life

    async def run(self) -> None:
        """Live until `stop`; return when all is written down and the node has left."""
        self._trusted_until = self._clock.monotonic() + TRUSTED * self._lease
        await self.join()
        fp("node.joined")
        async with asyncio.TaskGroup() as duties:
            beating = duties.create_task(self._on_heart_loop())
            claiming = duties.create_task(self._repeat("claim", self._claim, until=self._stopping))
            tasks = [
                duties.create_task(self._repeat("finish", self._finish)),
                duties.create_task(self._repeat("sweep", self._feel)),
                duties.create_task(self._repeat("prune", self._prune)),
            ]
            self.ready = True
            await self._stopping.wait()
            self.ready = False
            await claiming  # not cancelled: what the store is just handing out would be nobody's
            await self._drain()
            for task in tasks:
                task.cancel()
            fp("leave.before")
            with suppress(StoreUnavailableError):
                await self._store.leave(self.name)
            beating.cancel()
        self._place.host_lock.release(self.name)
        self._events.announce(NodeStopped(self.name))

    def stop(self) -> None:
        """Begin to drain; called again, do not wait for running jobs any longer."""
        self._hurried = self._stopping.is_set()
        self._stopping.set()
        self._look.set()

    async def join(self) -> None:
        """Begin a life under a name of its own, so that nothing of an earlier life can be mistaken for this one's."""
        self._loop = asyncio.get_running_loop()
        self._finisher.open()
        name = f"{self._settings.node}:{self._clock.new_id().hex[-12:]}"
        host = self._place.host_lock.acquire(name)
        patient = any(binding.job_class.exclusive for binding in self._registry.bindings.values())
        await self._store.join(NodeBeat(name, host=host, patient=patient))
        former, self.name = self.name, name
        self._place.host_lock.release(former)
        self._others = None
        self._failure_detector.forget()
        await self._read_calendars()
        if not self._store.shared:
            for other in await self._store.nodes():
                if other.name != name and await self._store.bury(other):
                    self._events.announce(NodeLost(other.name, "the store was free"))
        self._events.announce(NodeStarted(name, tuple(str(key) for key in self._keys)))

    async def _read_calendars(self) -> None:
        """Read the calendars; one with holidays that are not known here is none, and that is announced."""
        self._finisher.calendars, unknown = await read_calendars(self._store)
        for error in unknown.values():
            self._events.announce(TurnFailed("calendars", error))

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
        await self._read_calendars()
        claimed = await self._take()
        while self._running:
            await self._finish()
        return claimed > 0

    async def _claim(self) -> None:
        """Claim what is due for the free slots, else sleep until something is due or changes, but not past `poll`.

        A sleep that ended with nothing changed is followed by a look at the next due time, not by a claim: an idle node
        asks one question a turn.
        """
        self._look.clear()
        self._next_due = None  # not known: until it is, whatever changes is worth another look
        if self._clock.monotonic() >= self._strays_at:
            await self._adopt()
        took = await self._take() if self._may_be_due else None
        if took and self._look.is_set():
            return  # there is room for more by now, and probably more
        pause = await self._pause()
        if pause <= 0:
            self._may_be_due = True
            self._in_vain = self._in_vain + 1 if took == 0 else 0
            if self._in_vain < IN_VAIN:
                return
            pause = FRUITLESS_PAUSE
        else:
            self._in_vain = 0
        woken = await wait(self._clock, self._look, pause)
        self._may_be_due = woken or pause < self._poll

    async def _pause(self) -> float:
        """Return for how many seconds nothing can be claimed, unless something changes."""
        if not self._trusted():
            return self._beat_seconds
        if not (demand := self._demand({}, limit=1)) or (due := await self._store.next_due(demand)) is None:
            return self._poll
        self._next_due = due.at
        return min(self._poll, due.wait.total_seconds())

    def _hear(self, due_at: datetime) -> None:
        """Look again if a job has come that is due before the one that is waited for."""
        if self._next_due is None or due_at < self._next_due:
            self._look.set()

    def _demand(self, coming: Mapping[JobKey, int], limit: int) -> dict[JobKey, int]:
        """Return how many jobs of each group to claim, at most `limit`; groups for which there is no room are left out.

        `coming` are those that have been claimed and not been started.
        """
        moment, free = self._clock.monotonic(), self._free(coming)
        busy = {key: lane.busy + coming.get(key, 0) for key, lane in self._lanes.items()}
        rooms = {key: self._lanes[key].room(free, moment, coming.get(key, 0)) for key in self._keys}
        wanted = demands(self._keys, self._hungry, busy, free)
        return {key: least for key, most in wanted.items() if (least := min(most, rooms[key], limit)) > 0}

    def _free(self, coming: Mapping[JobKey, int]) -> int:
        return self._settings.slots - len(self._running) - sum(coming.values())

    async def _take(self) -> int:
        """Claim and start what is due; answer how much that was.

        Where there is probably more, the next claim is under way while the jobs of the last one are started; unless
        there are requests that go first.
        """
        before = len(self._running)
        claimed = await self._ask({})
        number = len(claimed.claims)
        while claimed.is_full and self._may_go_on():
            ahead = asyncio.create_task(self._ask(claimed.got))
            await asyncio.sleep(0)  # noqa: TID251 - no wait: it is sent before this loop is busy
            try:
                await self._begin(claimed.claims, claimed.sent)
            finally:
                claimed = await ahead
            number += len(claimed.claims)
        await self._begin(claimed.claims, claimed.sent)
        if claimed.is_full:
            await self.yielding.yield_to_requests(lambda: len(self._running) <= before)
        return number

    def _may_go_on(self) -> bool:
        """Tell whether a claim may follow another without a break."""
        return (
            not self.yielding.is_crowded() and not self._stopping.is_set() and self._clock.monotonic() < self._strays_at
        )

    async def _ask(self, coming: Mapping[JobKey, int]) -> _Claimed:
        """Claim what is due, besides what is `coming`."""
        self._keys.rotate(-1)  # each group comes first in its turn when slots are scarce
        limit = min(self._free(coming), self.yielding.batch())
        demand = self._demand(coming, limit)
        if not demand or not self._trusted():
            return _Claimed([], 0, {})
        sent = self._clock.monotonic()  # before the store's time at the claim: whatever starts is never dated too early
        fp("claim.before")
        try:
            claims = await self._store.claim(self.name, demand, limit)
        except StoreUnavailableError:
            self._in_doubt_until, self._strays_at = math.inf, -math.inf
            raise
        fp("claim.after")
        got = Counter([claim.job.key for claim in claims])
        is_full = len(claims) == limit
        if len(self._keys) > 1:
            self._hungry = still_hungry(self._hungry, demand, got, cut_short=is_full)
        return _Claimed(claims, sent, got, is_full)

    async def _adopt(self) -> None:
        """Start what was claimed for this node by a call whose answer never came.

        It may come about long after the call failed: a database that was frozen does at its return what it was asked
        before. So this is looked for until all is well for a while, and then now and then all the same.
        """
        known = set(self._running)  # before asking: what ends meanwhile is no news
        held = [claim for claim in await self._store.holding(self.name) if claim.job.run not in known]
        if held:
            sent, now = self._clock.monotonic(), await self._store.now()
            await self._begin([claim._replace(at=now) for claim in held], sent)
        moment = self._clock.monotonic()
        self._in_doubt_until = min(self._in_doubt_until, moment + DOUBT)
        self._strays_at = moment + (self._poll if moment < self._in_doubt_until else self._lease)

    async def _begin(self, claims: list[Claim], sent: float) -> None:
        """Start what was claimed, but for occurrences that come too late to be begun: those end at once."""
        if not claims:
            return
        ahead, trusted = claims[0].at.timestamp() - sent, self._trusted
        recurring = [claim for claim in claims if not isinstance(claim.job.trigger, Once)]
        late: dict[int, Ending] = {}
        if recurring:
            missed = ((job, lifecycle.missed(job, now=at, calendars=self._finisher.calendars)) for job, at in recurring)
            late = {job.run: ending for job, ending in missed if job.run is not None and ending is not None}
            claims = await self._beside(claims, late)
        self._start([Assignment(job, ahead, trusted) for job, _ in claims], late)

    async def _beside(self, claims: list[Claim], late: Mapping[int, Ending]) -> list[Claim]:
        """Take occurrences that need not wait for one another out of their jobs.

        Where the store does not answer, nobody knows what the claim is: it is looked up with what else is in doubt.
        """
        begun: list[Claim] = []
        for claim in claims:
            if not runs_beside(claim.job) or claim.job.run in late:
                begun.append(claim)
                continue
            try:
                beside, cancelled = await begin_beside(self._store, claim, self._clock.new_id, self._finisher.calendars)
            except StoreUnavailableError:
                self._in_doubt_until, self._strays_at = math.inf, -math.inf
            else:
                self._interrupt(cancelled, "the next occurrence began")
                begun.append(beside)
        return begun

    def _start(self, assignments: list[Assignment], late: Mapping[int, Ending]) -> None:
        fp("start.before")
        batches: dict[Lane, list[Assignment]] = {}
        stopping = self._stopping.is_set()
        for assignment in assignments:
            if stopping:
                assignment.interrupt = _STOPPED  # claimed at the last moment: handed back before it begins
            job = assignment.job
            quarantine = self._quarantine_for(job) if retry.is_quarantined(job) else None
            lane = quarantine or self._lanes[job.key]
            assignment.lane = lane
            lane.busy += 1
            self._running[assignment.run] = assignment
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
        """Return where a job runs that may kill this node: in the shelter, if its group has no worker processes."""
        return self._place.quarantine if self._registry.bindings[job.key].job_class.isolation == "none" else None

    def _spawn(self, lane: Lane, assignments: list[Assignment]) -> None:
        """Give each assignment its task; runs on the loop of the lane, once for a whole batch."""
        lane.note_begun(self._clock.monotonic())
        for assignment in assignments:
            assignment.task = lane.loop.create_task(self._see_through(assignment))
        asyncio.get_running_loop().call_soon(watch, assignments, self._clock)  # after the first turn of each

    async def _see_through(self, assignment: Assignment) -> None:
        """Run an assignment and hand in its end, on its loop; what ends together wakes the node's loop once."""
        ending = await assignment.lane.run(assignment)
        if assignment.run in self._running:  # else it was handed back while the lane was stuck
            self._finisher.put(assignment, ending)

    # --- finish

    async def _finish(self) -> None:
        """Have runs that ended written down, and free what they took."""
        for assignment in await self._finisher.write():
            if self._running.pop(assignment.run, None) is not None:
                assignment.lane.busy -= 1
        self._look.set()

    # --- beat

    async def _on_heart_loop(self) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._beat(), self._place.heart_loop))

    async def _beat(self) -> None:
        """Show that this node lives, and hand what the store answers to the node's own loop."""
        while True:
            name, sent = self.name, self._clock.monotonic()
            fp("beat.before")
            answer: Pulse | Exception
            try:
                answer = await self._store.beat(name)
            except Exception as error:  # noqa: BLE001 - a background turn: announced by the node's loop, and tried again
                answer = error
            else:
                fp("beat.after")
                if name == self.name:
                    self._trusted_until = sent + TRUSTED * self._lease if answer.alive else -math.inf
            self._loop.call_soon_threadsafe(self._take_pulse, name, sent, answer)
            await self._clock.sleep(self._beat_seconds)

    def _take_pulse(self, name: str, sent: float, answer: Pulse | Exception) -> None:
        self._pulses.append((name, sent, answer))
        self._pulsed.set()

    def _trusted(self) -> bool:
        """Tell whether this node may believe that it still has its lease."""
        return self._clock.monotonic() < self._trusted_until

    async def _feel(self) -> None:
        """Take in what the last beats told: what to stop, who has died, or that this node was taken for dead itself."""
        await wait(self._clock, self._pulsed, self._beat_seconds)
        self._pulsed.clear()
        self._hand_back()
        if not self._trusted():
            self._failure_detector.forget()
            self._interrupt(self._exclusive(), OUT_OF_TOUCH)
        while self._pulses:
            name, sent, pulse = self._pulses.popleft()
            if isinstance(pulse, Exception):
                self._failure_detector.forget()
                self._events.announce(TurnFailed("beat", pulse))
            elif name == self.name and not pulse.alive:
                self._events.announce(NodeBuried(name))
                self._interrupt(set(self._running), "the node was taken for dead")
                await self._rejoin()
            elif name == self.name:
                self._interrupt(pulse.stops, "the job was deleted")
                if pulse.notes != self._notes:
                    await self._read_calendars()
                    self._notes = pulse.notes
                await self._see(pulse, sent)

    async def _rejoin(self) -> None:
        self._trusted_until = -math.inf
        await self.join()
        self._trusted_until = self._clock.monotonic() + TRUSTED * self._lease

    def _exclusive(self) -> set[int]:
        """Name the runs that must not go on when others may have been given their jobs."""
        bindings = self._registry.bindings
        return {number for number, run in self._running.items() if bindings[run.job.key].job_class.exclusive}

    def _interrupt(self, runs: Collection[int], why: str) -> None:
        """Ask runs to stop and cancel their tasks."""
        for number in runs:
            if (assignment := self._running.get(number)) is not None and assignment.interrupt is None:
                assignment.interrupt = why
                assignment.stopping.set()
                loop = assignment.lane.loop
                loop.call_soon_threadsafe(self._cancel, assignment)

    def _cancel(self, assignment: Assignment) -> None:
        """Cancel a run that has begun, on its loop; one that has not will see by itself that it is not wanted."""
        if assignment.task is not None and assignment.started_at is not None:
            assignment.task.cancel()

    def _hand_back(self) -> None:
        """Give back what waits in lanes that are stuck: it would fill the slots that other groups need.

        Should the lane come free meanwhile: a run looks whether it is wanted after it has begun, and this looks whether
        it has begun after it is no longer wanted.
        """
        moment = self._clock.monotonic()
        stuck = {lane for lane in self._lanes.values() if lane.is_stuck(moment)}
        for assignment in [a for a in self._running.values() if stuck and a.lane in stuck]:
            if assignment.started_at is None and assignment.interrupt != _BLOCKED:
                assignment.interrupt = _BLOCKED
                if assignment.started_at is None:
                    self._finisher.put(assignment, Ending(Outcome.INTERRUPTED, _BLOCKED))

    # --- sweep

    async def _see(self, pulse: Pulse, sent: float) -> None:
        """Bury who is dead, and give up for lost what nobody runs any more.

        That is looked for when somebody has gone, and now and then all the same: a claim may be written after its node
        was buried.
        """
        if sent - self._last_pulse > MISSING_BEATS * self._beat_seconds:
            self._failure_detector.forget()
        self._last_pulse = sent
        names = frozenset(node.name for node in pulse.nodes)
        gone = self._others is None or bool(self._others - names)
        if self._others and gone and self._place.quarantine is not None:
            self._place.quarantine.get_ready()  # should one more die, there will be jobs that may be what kills them
        for node, evidence in list(self._failure_detector.see((n for n in pulse.nodes if n.name != self.name), sent)):
            fp("sweep.seen")
            if await self._store.bury(node):
                fp("bury.after")
                self._events.announce(NodeLost(node.name, evidence))
                self._place.host_lock.release(node.name)
                gone = True
        if gone or sent - self._swept >= self._lease:
            await self._recover()
            self._swept = sent
        self._others = names

    async def _recover(self) -> None:
        """Send what the dead ran down the path of all runs that ended, with the outcome `lost`."""
        while orphans := await self._store.orphans(self._keys, ORPHAN_BATCH):
            fp("orphans.before")
            await self._finisher.give_up(orphans, await self._store.now())
            fp("orphans.after")
            self._look.set()

    # --- prune

    async def _prune(self) -> None:
        """Forget what is older than the retention, in small bites."""
        fp("prune.before")
        while await self._store.prune(self._settings.retention):
            pass
        await self._clock.sleep(PRUNE_EVERY.total_seconds())

    # --- drain

    async def _drain(self) -> None:
        """Let running jobs end for the grace period, then interrupt them, and wait until every result is written."""
        fp("drain.begin")
        for assignment in list(self._running.values()):
            assignment.stopping.set()
        await self._emptied(self._settings.grace)
        fp("drain.interrupt")
        self._interrupt(set(self._running), _STOPPED)
        self._hurried = False
        await self._emptied(UNHEEDED_PAUSE)

    async def _emptied(self, limit: timedelta) -> None:
        """Wait until nothing runs here, at most so long, or until somebody is in a hurry."""
        deadline = self._clock.monotonic() + limit.total_seconds()
        while self._running and not self._hurried and (rest := deadline - self._clock.monotonic()) > 0:
            self._look.clear()
            await wait(self._clock, self._look, rest)
