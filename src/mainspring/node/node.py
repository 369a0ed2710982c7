"""Lives on a loop of its own, the node's loop. One node's life: join → duties → drain → leave.

Each duty is a loop of turns; most are a class of their own: `Claimer`, `Dispatcher`, `Heartbeat`, `Recovery`. A turn
that fails is announced and tried again; nothing of it ends the node. The node decides nothing about jobs (the lifecycle
does) and guards nothing by itself (the store does).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

from mainspring.clock import Clock, wait
from mainspring.errors import StoreUnavailableError
from mainspring.execution import OUT_OF_TOUCH, Assignment, Lane, Quarantine, Slots
from mainspring.failpoint import fp
from mainspring.job import (
    Events,
    JobKey,
    NodeBuried,
    NodeLost,
    NodeStarted,
    NodeStopped,
    NodeStopping,
    RunLeft,
    RunsInterrupted,
    TurnFailed,
)
from mainspring.node.claimer import Claimer
from mainspring.node.dispatcher import STOPPED, Dispatcher
from mainspring.node.finisher import Finisher
from mainspring.node.heartbeat import Beat, Heartbeat
from mainspring.node.host_lock import HostLock
from mainspring.node.lease import Lease
from mainspring.node.outage import Outage
from mainspring.node.recovery import Recovery
from mainspring.node.releaser import Releaser
from mainspring.node.reporter import Reporter
from mainspring.node.resuming import Resuming
from mainspring.node.yielding import Yielding
from mainspring.plugins import Registry
from mainspring.settings import Settings
from mainspring.store import NodeBeat, Notes, Store

PRUNE_EVERY = timedelta(minutes=1)
REPORT_EVERY = timedelta(seconds=1)
"""How often the progress of runs is written."""
FAILED_TURN_PAUSE = timedelta(seconds=1)
VITAL = {"claim": "claims", "beat": "beats", "finish": "writing results"}
"""The duties without which no job runs, in words."""
FAILING = timedelta(seconds=3)
"""A vital duty that has failed for longer means that jobs do not run here; until then it may be a moment's trouble."""
UNHEEDED_PAUSE = timedelta(seconds=2)
"""How long an interrupted run may take to end before the node leaves without it."""


class Place(NamedTuple):
    """Where a node works: its lanes and their slots, the loop on which it beats, its lock on the host, its quarantine.

    Without a quarantine a job that may be what kills its nodes runs where others do.
    """

    lanes: Mapping[JobKey, Lane]
    slots: Slots
    heart_loop: asyncio.AbstractEventLoop
    host_lock: HostLock
    quarantine: Quarantine | None = None


class Node:
    """Runs due jobs of the groups in `registry`, each in its lane, until it is stopped."""

    def __init__(
        self,
        *,
        store: Store,
        notes: Notes,
        registry: Registry,
        place: Place,
        clock: Clock,
        events: Events,
        settings: Settings,
    ) -> None:
        self._store = store
        self._notes = notes
        self._registry = registry
        self._host_lock = place.host_lock
        self._clock = clock
        self._events = events
        self._settings = settings
        self.yielding = Yielding(clock)
        self.outage = Outage(clock, events)
        self._lease = Lease(clock, settings.lease)
        self._finisher = Finisher(store, notes, registry, clock, events)
        self._dispatcher = Dispatcher(
            registry, place.lanes, place.quarantine, self._finisher, place.slots, clock, events
        )
        self._claimer = Claimer(store, notes, self._dispatcher, self._lease, self.yielding, clock, settings)
        self._heartbeat = Heartbeat(store, self._lease, clock, place.heart_loop)
        self._recovery = Recovery(
            store, self._lease, self._finisher, place.host_lock, place.quarantine, events, registry.bindings
        )
        self._resuming = Resuming(store, notes, events)
        self._releaser = Releaser(store, clock, events)
        self._reporter = Reporter(store, self._dispatcher.running)
        self._stopping = asyncio.Event()
        self._hurried = False
        self._freed = asyncio.Event()
        self._is_up = False
        self._stuck: tuple[JobKey, ...] = ()

    @property
    def name(self) -> str:
        """The name of this life of the node."""
        return self._lease.name

    @property
    def running(self) -> int:
        """How many jobs it has claimed that are not written yet."""
        return len(self._dispatcher.running)

    @property
    def obstacle(self) -> str | None:
        """Why a job that is due would not start here, or its end not be kept; `None` while both would.

        Told by what beats, claims and results really met: the node starts or stops, a vital duty fails or hangs, or the
        node may claim nothing because the store has not heard of it.
        """
        if not self._is_up:
            return "the service is starting or stopping"
        failing = [words for duty, words in VITAL.items() if self.outage.lasts(duty) > FAILING.total_seconds()]
        if failing:
            return f"jobs do not run: {' and '.join(failing)} fail; the log says why"
        silence = self.outage.silence("beat")
        if silence > self._lease.beat + FAILING.total_seconds():
            return f"jobs do not run: the job store has not answered a beat for {silence:.0f} s"
        if self.name in self._notes.drained:
            return "the node is drained: it begins no jobs until it is resumed"
        return None if self._lease.is_trusted() else "jobs do not run: the node has no lease; the log says why"

    # --- life

    async def run(self) -> None:
        """Live until `stop`; return when all is written down and the node has left."""
        await self._join()
        fp("node.joined")
        async with asyncio.TaskGroup() as duties:
            beating = duties.create_task(self._heartbeat.run())
            claiming = duties.create_task(self._repeat("claim", self._claimer.turn, until=self._stopping))
            tasks = [
                duties.create_task(self._repeat("finish", self._finish)),
                duties.create_task(self._repeat("hand back", self._hand_back)),
                duties.create_task(self._repeat("sweep", self._on_pulse)),
                duties.create_task(self._repeat("prune", self._prune, pause=PRUNE_EVERY)),
                duties.create_task(self._repeat("release", self._releaser.turn)),
                duties.create_task(self._repeat("report", self._reporter.report, pause=REPORT_EVERY)),
            ]
            self._is_up = True
            await self._stopping.wait()
            self._is_up = False
            seconds = self._settings.grace.total_seconds()
            self._events.announce(NodeStopping(self.name, len(self._executing()), seconds))
            await claiming  # not cancelled: what the store is just handing out would be nobody's
            await self._drain()
            for task in tasks:
                task.cancel()
            fp("leave.before")
            with suppress(StoreUnavailableError):
                await self._store.leave(self.name)
            beating.cancel()
        self._host_lock.release(self.name)
        self._events.announce(NodeStopped(self.name))

    def stop(self) -> None:
        """Begin to drain; called again, do not wait for running jobs any longer."""
        self._hurried = self._stopping.is_set()
        self._stopping.set()
        self._claimer.stop()
        self._dispatcher.stop()
        self._freed.set()

    async def _repeat(
        self,
        duty: str,
        turn: Callable[[], Awaitable[None]],
        *,
        pause: timedelta | None = None,
        until: asyncio.Event | None = None,
    ) -> None:
        while until is None or not until.is_set():
            try:
                await turn()
            except Exception as error:  # noqa: BLE001 - a background turn: announced, and tried again
                self.outage.failed(duty, error)
                await self._clock.sleep(FAILED_TURN_PAUSE.total_seconds())
            else:
                self.outage.worked(duty)
                if pause is not None:
                    await self._clock.sleep(pause.total_seconds())

    # --- join

    async def _join(self) -> None:
        """Begin a life under a name of its own, so that nothing of an earlier life can be mistaken for this one's."""
        self._dispatcher.open()
        name = f"{self._settings.node}:{self._clock.new_id().hex[-12:]}"
        host = self._host_lock.acquire(name)
        patient = any(binding.job_class.exclusive for binding in self._registry.bindings.values())
        groups, slots = tuple(self._registry.bindings), self._settings.slots
        await self._store.join(NodeBeat(name, host=host, patient=patient, groups=groups, slots=slots))
        self._host_lock.release(self.name)
        self._lease.begin(name)
        self.outage.worked("beat")  # from here on silence is counted
        self._recovery.begin_anew()
        await self._read_calendars()
        if not self._store.shared:
            for other in await self._store.nodes():
                if other.name != name and await self._store.bury(other):
                    self._events.announce(NodeLost(other.name, "the store was free"))
        self._events.announce(NodeStarted(name, tuple(map(str, self._registry.bindings))))

    async def _read_calendars(self) -> None:
        """Read the calendars; one with holidays that are not known here is none, and that is announced."""
        await self._notes.refresh()
        for error in self._notes.unknown.values():
            self._events.announce(TurnFailed("calendars", error))

    # --- duties that are no class of their own

    async def _finish(self) -> None:
        """Have runs that ended written down; there may be room for others."""
        await self._dispatcher.finish()
        self._releaser.hurry()
        self._claimer.on_room()
        self._freed.set()

    async def _hand_back(self) -> None:
        """Give back jobs that cannot begin here."""
        await self._dispatcher.hand_back()
        self._freed.set()

    async def _on_pulse(self) -> None:
        """Take in what the last beats told: what to stop, who has died, or that this node was taken for dead itself."""
        await self._heartbeat.wait()
        self._dispatcher.take_back_stuck()
        if not self._lease.is_trusted():
            self._recovery.forget()
            self._dispatcher.interrupt(self._dispatcher.exclusive(), OUT_OF_TOUCH)
        if (stuck := self._dispatcher.stuck) != self._stuck:
            await self._store.show_stuck(self.name, stuck)
            self._stuck = stuck
        while self._heartbeat.beats:
            await self._on_beat(self._heartbeat.beats.popleft())  # one that fails must not take the others with it

    async def _on_beat(self, beat: Beat) -> None:
        pulse = beat.answer
        if isinstance(pulse, Exception):
            self._recovery.forget()
            self.outage.failed("beat", pulse)
            return
        self.outage.worked("beat")
        if beat.name == self.name and not pulse.alive:
            self._events.announce(NodeBuried(beat.name))
            self._dispatcher.interrupt(self._dispatcher.running, "the node was taken for dead")
            await self._join()
        elif beat.name == self.name:
            self._dispatcher.interrupt(pulse.stops, "the job was deleted, or its run cancelled")
            if self._notes.heard(pulse.notes, self._lease.seconds):
                await self._read_calendars()
                self._claimer.wake()  # a pause may be over
            await self._resuming.look(pulse)
            await self._recovery.look(pulse, beat.sent, self._claimer.wake)

    async def _prune(self) -> None:
        """Forget what is older than the retention, in small bites."""
        fp("prune.before")
        await self._finisher.forget()
        retention = self._settings.history
        while await self._store.prune(retention.longest):
            pass
        for key in await self._store.counts() if retention.scopes else ():
            if (kept := retention.of(key)) < retention.longest:
                while await self._store.prune_group(key, kept):
                    pass
        while await self._store.prune_events():
            pass

    # --- drain

    async def _drain(self) -> None:
        """Let running jobs end for the grace period, then interrupt them, and wait until every result is written."""
        fp("drain.begin")
        self._dispatcher.ask_to_stop()
        await self._emptied(self._settings.grace)
        fp("drain.interrupt")
        if executing := self._executing():
            why = "it was told to stop again" if self._hurried else "the grace period is over"
            self._events.announce(RunsInterrupted(self.name, len(executing), why))
        self._dispatcher.interrupt(self._dispatcher.running, STOPPED)
        self._hurried = False
        await self._emptied(UNHEEDED_PAUSE)
        executing = self._executing()
        for run in self._dispatcher.running.values():
            why = "it goes on although it was interrupted" if run in executing else "the store did not answer"
            self._events.announce(RunLeft(run.job, why))

    def _executing(self) -> list[Assignment]:
        """Return the runs that have begun and have not ended."""
        return [run for run in self._dispatcher.running.values() if run.task is not None and not run.task.done()]

    async def _emptied(self, limit: timedelta) -> None:
        """Wait until nothing runs here, at most so long, or until somebody is in a hurry."""
        deadline = self._clock.monotonic() + limit.total_seconds()
        while self._dispatcher.running and not self._hurried and (rest := deadline - self._clock.monotonic()) > 0:
            self._freed.clear()
            await wait(self._clock, self._freed, rest)
